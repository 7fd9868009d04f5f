"""Peak memory of a whole process that segments one very large image, from an array and from file to mask.

    python benchmarks/memory.py [--side 20000] [--real-tiles 3]

Each case runs in a process of its own, whose largest resident size is what is reported. The network is the real one,
with random weights, for the first tiles; these need the most memory. For the others a stand-in answers at once, unless
`--real-tiles all`: 529 real tiles take two laptop cores a quarter of an hour and not a byte more.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

CASES = ("array", "file")


def main() -> None:
    options = _parser().parse_args()
    if options.case:
        _measure(options)
        return
    print("| case | image | tiles | real tiles | peak memory GB | before GB | seconds |")
    print("|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            arguments = ["--case", case, "--folder", folder, "--side", options.side, "--real-tiles", options.real_tiles]
            subprocess.run([sys.executable, __file__, *map(str, arguments)], check=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=20_000, help="height and width of the image in pixels")
    parser.add_argument("--real-tiles", default="3", help="tiles that the real network computes, or all")
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser


def _measure(options: argparse.Namespace) -> None:
    segmenter, network = _segmenter(options.real_tiles)
    path = options.folder / "image.jpg"
    if options.case == "file":
        _in_another_process(_write_image, options.side, path)
    before, started = _peak(), time.perf_counter()
    if options.case == "array":
        found = segmenter.segment(_image(options.side))
        assert found.mask.shape == (options.side, options.side)
    else:
        from rootpainter_rootfm.segment.folder import FolderJob

        report = FolderJob([path], options.folder / "masks", segmenter).run()
        assert not report.failed, report.failed[0].cause
    seconds = time.perf_counter() - started
    image = f"{options.side}×{options.side}"
    cells = (options.case, image, network.tiles, network.computed, f"{_peak():.2f}", f"{before:.2f}", f"{seconds:.0f}")
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def _segmenter(real_tiles: str) -> tuple:
    import torch
    from torch import nn

    from rootpainter_rootfm.model.card import ModelCard
    from rootpainter_rootfm.model.folding import fold_batchnorm
    from rootpainter_rootfm.model.network import MobileSAM
    from rootpainter_rootfm.segment.engine import Segmenter
    from rootpainter_rootfm.segment.settings import SegmentSettings

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.real = fold_batchnorm(MobileSAM())
            self.most = sys.maxsize if real_tiles == "all" else int(real_tiles)
            self.tiles = self.computed = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.tiles += len(x)
            if self.tiles > self.most:
                return x.mean(1, keepdim=True)
            self.computed = self.tiles
            return self.real(x)

    card = ModelCard(
        name="benchmark",
        title="Random weights",
        file="",
        sha256="0" * 64,
        licence="",
        training_data=(),
        tile_sizes=(512, 1024),
        padding="reflect",
        threshold=0.5,
        trained=False,
        weaknesses="",
        notes="",
        url=None,
        size_bytes=0,
    )
    network = Network()
    return Segmenter([network], [card], SegmentSettings(device="cpu")), network


def _image(side: int) -> np.ndarray:
    image = np.empty((side, side, 3), np.uint8)
    ramp = np.arange(side) // 7
    for row in range(side):
        image[row] = (ramp + row)[:, None] % 251
    return image


def _write_image(side: int, path: Path) -> None:
    from PIL import Image

    Image.fromarray(_image(side)).save(path, quality=70)


def _in_another_process(work, *arguments) -> None:  # noqa: ANN001, ANN002
    from multiprocessing import get_context

    process = get_context("spawn").Process(target=work, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == 0


def _peak() -> float:
    """The largest resident size of this process so far, in GB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


if __name__ == "__main__":
    main()
