"""One side of `speed.py` in a process of its own: takes tasks as lines of JSON and answers each with a line.

A worker is RootPainter's trainer 0.3.3 as it is installed ("upstream"), this package without OpenVINO ("core"), or with
it ("fast"); all three segment with the same weights.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np


class Ours:
    """This package."""

    def __init__(self, weights: Path) -> None:
        from rootpainter_rootfm.model.library import DEFAULT_MODEL
        from rootpainter_rootfm.segment import backend
        from rootpainter_rootfm.segment.engine import Segmenter
        from rootpainter_rootfm.segment.settings import SegmentSettings

        self.upstreams = SegmentSettings(
            tile=1024,
            overlap=0,
            padding="black",
            threshold=0.5,
            edges=False,
            balance=False,
            glance=False,
            second_look=False,
        )
        self.segmenter = Segmenter.load(DEFAULT_MODEL)
        backend.SHAPES = 9  # every image as in a folder of its own
        self.model = DEFAULT_MODEL

    def segment(self, image: np.ndarray) -> np.ndarray:
        return self.segmenter.segment(image).mask

    def segment_as_upstream(self, image: np.ndarray) -> np.ndarray:
        from rootpainter_rootfm.segment import backend
        from rootpainter_rootfm.segment.engine import Segmenter

        patience, backend.PATIENCE = backend.PATIENCE, 0
        try:
            return Segmenter.load(self.model, settings=self.upstreams).segment(image).mask
        finally:
            backend.PATIENCE = patience

    def folder(self, images: list[Path], out: Path) -> None:
        from rootpainter_rootfm.segment.folder import FolderJob

        report = FolderJob(images, out, self.segmenter, overwrite=True).run()
        assert not report.failed, report.failed[0].cause

    def only_first_tiles(self, count: int) -> None:
        """Real network for the first tiles, an answer at once for the others: the memory is the same."""
        network = self.segmenter._networks[0]
        forward, seen = network.forward, 0

        def answer(x: Any) -> Any:
            nonlocal seen
            seen += len(x)
            return forward(x) if seen - len(x) < count else x[:, :1]

        network.forward = answer


class Upstream:
    """RootPainter's own trainer, unmodified."""

    def __init__(self, weights: Path) -> None:
        sys.path.insert(0, find_spec("root_painter_trainer").submodule_search_locations[0])
        import MobileSAMInference
        from trainer import Trainer

        self.weights, self.inference = str(weights), MobileSAMInference
        self.trainer = Trainer.__new__(Trainer)  # its constructor only makes a sync folder and asks for GPUs
        self.trainer.training, self.trainer.msg_dir = False, None

    def segment(self, image: np.ndarray) -> np.ndarray:
        return self.inference.mobilesam_segment_image(self.weights, image).astype(bool)

    segment_as_upstream = segment

    def folder(self, images: list[Path], out: Path) -> None:
        for image in images:
            (out / f"{image.stem}.png").unlink(missing_ok=True)
            self.trainer.segment_file(image.parent, out, image.name, [self.weights], "RootPainter Default (.png)")
            assert (out / f"{image.stem}.png").is_file()

    def only_first_tiles(self, count: int) -> None:
        forward, seen = self.inference._forward, 0

        def answer(model: Any, x: Any) -> Any:
            nonlocal seen
            seen += 1
            return forward(model, x) if seen <= count else x[:, :1]

        self.inference._forward = answer


def main() -> None:
    side, weights, threads = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    if side == "core":
        sys.modules["openvino"] = None  # as where it is not installed
    import torch

    torch.set_num_threads(threads)
    answers = os.fdopen(os.dup(1), "w")
    with redirect_stdout(sys.stderr):
        program = (Upstream if side == "upstream" else Ours)(weights)
        print(json.dumps(_hello()), file=answers, flush=True)
        for line in sys.stdin:
            task = json.loads(line)
            print(json.dumps(TASKS[task.pop("do")](program, **task)), file=answers, flush=True)


def _hello() -> dict[str, Any]:
    import torch

    cuda = torch.cuda.is_available()
    return {"torch": torch.__version__, "gpu": torch.cuda.get_device_name() if cuda else None}


def _timed(work: Any) -> dict[str, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}


def image(program: Any, path: str) -> dict[str, float]:
    """The mask of one image that is in memory."""
    pixels = np.load(path)
    return _timed(lambda: program.segment(pixels))


def warm(program: Any, path: str) -> dict[str, float]:
    """As `image`, with OpenVINO from the first tile on."""
    from rootpainter_rootfm.segment import backend

    patience, backend.PATIENCE = backend.PATIENCE, 0
    try:
        return image(program, path)
    finally:
        backend.PATIENCE = patience


def ready(program: Ours, side: int = 448) -> dict[str, float]:
    """CPU-seconds until OpenVINO is ready for a shape of tile: made, and taken from the disk."""
    import torch

    encoder = program.segmenter._networks[0].image_encoder
    x = torch.randn(2, side, side, 3).permute(0, 3, 1, 2)
    with torch.inference_mode():
        times = {"torch": lambda: encoder.encoder(x), "made": lambda: encoder._built(x)}
        times["kept"] = lambda: encoder._kept(tuple(x.shape))
        encoder.encoder(x)
        found = {name: _timed(work)["cpu"] for name, work in times.items()}
        openvino = encoder._kept(tuple(x.shape))
        openvino(x)
        return found | {"openvino": _timed(lambda: openvino(x))["cpu"]}


def folder(program: Any, images: list[str], out: str) -> dict[str, float]:
    """Files to masks on disk."""
    Path(out).mkdir(exist_ok=True)
    return _timed(lambda: program.folder([Path(path) for path in images], Path(out)))


def mask(program: Any, path: str, to: str) -> dict[str, float]:
    """The mask with upstream's settings, written to a file."""
    np.save(to, program.segment_as_upstream(np.load(path)))
    return {}


def memory(program: Any, path: str, real_tiles: int) -> dict[str, float]:
    """The largest resident size of this process in GB, before and after an image of which few tiles are computed."""
    program.only_first_tiles(real_tiles)
    pixels, before = np.load(path), _peak()
    program.segment(pixels)
    return {"before": before, "peak": _peak()}


def product(program: Any, side: int = 3072) -> dict[str, float]:
    """GFLOP/s of a large product of matrices, per second and per CPU-second; half precision on a GPU."""
    import torch

    gpu = torch.cuda.is_available()
    a = torch.randn(side, side, device="cuda" if gpu else "cpu", dtype=torch.half if gpu else torch.float32)

    def multiply() -> None:
        _ = float((a @ a)[0, 0])

    multiply()
    times = [_timed(multiply) for _ in range(7)]
    flop = 2 * side**3 / 1e9
    return {key: flop / float(np.median([time[key] for time in times])) for key in ("cpu", "wall")}


def training(program: Ours, project: str, plain: bool, steps: int) -> dict[str, float]:
    """An epoch of fine-tuning: ours, or the same written plainly (usual memory layout, the whole batch at once)."""
    from dataclasses import replace

    import torch

    from rootpainter_rootfm.learn.fine_tuning import fine_tune
    from rootpainter_rootfm.learn.fine_tuning.corrections import Corrections
    from rootpainter_rootfm.model.library import load_model
    from rootpainter_rootfm.model.network import normalise

    settings = fine_tune.FineTuneSettings()
    settings = replace(settings, epoch=settings.batch * steps)
    corrections = Corrections(*(Path(project, name) for name in ("images", "train", "val", "shown")))
    list(corrections.refresh())
    tuner = fine_tune.FineTuner(
        load_model(program.model)[0],
        torch.device("cuda" if torch.cuda.is_available() else "cpu"),
        replace(settings, at_once=settings.batch) if plain else settings,
    )
    fine_tune.normalise = normalise
    if plain:
        for network in (tuner.network, tuner.start):
            network.to(memory_format=torch.contiguous_format)
        fine_tune.normalise = lambda images: normalise(images).contiguous()
    return _timed(lambda: list(tuner.epoch(corrections)))


def _peak() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


TASKS = {work.__name__: work for work in (image, warm, ready, folder, mask, memory, product, training)}

if __name__ == "__main__":
    main()
