"""Speed, memory and agreement beside RootPainter's own trainer, on the same weights and images, in turn.

    python benchmarks/speed.py [--rounds 3] [--note "a quiet machine"]

Every measurement is a row of docs/performance.json as soon as it is made; run again, the missing ones are made and
docs/performance_tables.md is written anew from all of them. Delete the JSON to begin from nothing. Needs the extras
[test] and [fast]. Half an hour on a quiet machine with two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
import speed_report
from PIL import Image

from rootpainter_rootfm import files, masks
from rootpainter_rootfm.learn.drawing.synthetic import draw_photograph
from rootpainter_rootfm.model.library import DEFAULT_MODEL, Library

SIDES: Final = ("upstream", "core", "fast")
SMALL: Final = ((480, 640), (552, 736), (1100, 1100))  # rows, columns
LARGE: Final = (3000, 4000)
HUGE: Final = (9000, 12000)
FOLDER: Final = 50
CHUNK: Final = 5
REAL_TILES: Final = 2
STEPS: Final = 4
WORKER: Final = Path(__file__).with_name("speed_worker.py")
DOCS: Final = Path(__file__).parents[1] / "docs"

Row = dict[str, Any]


class Bench:
    """The rows measured so far, the workers that measure, and the images."""

    def __init__(self, work: Path, rows: Path) -> None:
        self.work, self._file = work, rows
        self.rows: list[Row] = json.loads(rows.read_text(encoding="utf-8")) if rows.is_file() else []
        self._workers: dict[tuple, subprocess.Popen] = {}
        self._warmed: set[tuple] = set()
        self.weights = work / "rootfm.pth"
        Library().export(DEFAULT_MODEL, self.weights)

    def row(
        self,
        case: str,
        side: str,
        threads: int,
        number: int,
        task: Row,
        fresh: bool = False,
        warm: str = "",
        **more: Any,
    ) -> None:
        """Measures one row, unless it is there; `fresh`: in a process of its own; `warm`: an image to do before."""
        key = {"case": case, "side": side, "threads": threads, "device": more.pop("device", "cpu"), "round": number}
        if any(key.items() <= row.items() for row in self.rows):
            return
        if warm:
            self.warm(side, threads, key["device"], warm)
        started = time.perf_counter()
        worker = self._worker(side, threads, key["device"], fresh)
        found = _ask(worker, task)
        if fresh:
            _end(worker)
        self.keep(key | more | found)
        print(f"{key} {found} ({time.perf_counter() - started:.0f} s)", flush=True)

    def keep(self, row: Row) -> None:
        """Adds a row to the file."""
        self.rows.append(row)
        lines = ",\n".join(json.dumps(row) for row in self.rows)
        files.write_text(self._file, f"[\n{lines}\n]\n")

    def has(self, case: str) -> bool:
        """Whether there is a row of that case."""
        return any(row["case"] == case for row in self.rows)

    def image(self, height: int, width: int, thin: bool = False) -> str:
        """A drawn photograph of roots, repeated where it is too small, as a file of numbers.

        Most of its roots are thinner than four pixels; `thin` leaves them so, else it is enlarged twice.
        """
        path = self.work / f"{height}x{width}{'_thin' if thin else ''}.npy"
        if not path.is_file():
            drawn, _ = draw_photograph(np.random.default_rng(1), *SMALL[0])
            if not thin:
                rows, columns = SMALL[0]
                drawn = np.asarray(Image.fromarray(drawn).resize((2 * columns, 2 * rows), Image.Resampling.BICUBIC))
                drawn = drawn[:rows, :columns]
            times = [-(-side // part) for side, part in zip((height, width), SMALL[0], strict=True)]
            np.save(path, np.tile(drawn, (*times, 1))[:height, :width])
        return str(path)

    def _worker(self, side: str, threads: int, device: str, fresh: bool) -> subprocess.Popen:
        key = (side, threads, device)
        if fresh or key not in self._workers:
            home = {"ROOTFM_HOME": str(self.work / "home"), "OMP_NUM_THREADS": str(threads)}
            hidden = {} if device == "cuda" else {"CUDA_VISIBLE_DEVICES": ""}
            worker = subprocess.Popen(
                [sys.executable, WORKER, side, self.weights, str(threads)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=os.environ | home | hidden,
            )
            assert worker.stdout.readline(), "the worker does not start"
            if fresh:
                return worker
            self._workers[key] = worker
        return self._workers[key]

    def warm(self, side: str, threads: int, device: str, path: str) -> None:
        """Not timed: what torch finds out once in a process, and OpenVINO's preparing for a shape of tile."""
        about = (side, threads, device, path if side == "fast" else "")
        if about not in self._warmed:
            self._warmed.add(about)
            task = {"do": "image" if side == "upstream" else "warm", "path": path}
            _ask(self._worker(side, threads, device, False), task)

    def close(self) -> None:
        """Ends the workers."""
        for worker in self._workers.values():
            _end(worker)


def _ask(worker: subprocess.Popen, task: Row) -> Row:
    print(json.dumps(task), file=worker.stdin, flush=True)
    answer = worker.stdout.readline()
    if not answer:
        raise RuntimeError(f"The worker ended at {task}.")
    return json.loads(answer)


def _end(worker: subprocess.Popen) -> None:
    worker.stdin.close()
    worker.wait()


def main() -> None:
    """Measures what is not measured yet and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often the smaller images are measured")
    parser.add_argument("--note", help="what was going on on the machine; stands at the top of the page")
    options = parser.parse_args()
    rows = DOCS / "performance.json"
    with tempfile.TemporaryDirectory() as work:
        bench = Bench(Path(work), rows)
        if options.note or not bench.has("machine"):
            bench.rows = [row for row in bench.rows if row["case"] != "machine"]
            bench.keep(speed_report.machine(options.note or ""))
        try:
            everything(bench, os.cpu_count() or 1, options.rounds)
        finally:
            bench.close()
            speed_report.write(bench.rows, DOCS / "performance_tables.md")


def everything(bench: Bench, cores: int, rounds: int) -> None:
    """All rows, the more telling ones first."""
    one_and_many(bench, 1, rounds)
    start_up(bench, rounds)
    folder(bench, cores)
    memory(bench, [HUGE], cores)
    fine_tuning(bench, cores, "cpu", rounds)
    bench.row("ready", "fast", 1, 0, {"do": "ready"}, fresh=True)
    memory(bench, [LARGE, SMALL[0]], cores)
    agreement(bench, cores)
    one_and_many(bench, cores, rounds)
    gpu(bench, cores, rounds)


def one_and_many(bench: Bench, threads: int, rounds: int) -> None:
    """Every image with so many threads; the large one once, for it averages over its tiles."""
    bench.row("product", "core", threads, 0, {"do": "product"})
    for number in range(rounds):
        sizes(bench, SMALL, threads, number)
    sizes(bench, [LARGE], threads, 0)


def sizes(bench: Bench, sizes: Any, threads: int, number: int, device: str = "cpu") -> None:
    """One round over some images, all sides in turn."""
    for (height, width), thin in product(sizes, (False, True)):
        for side in SIDES if device == "cpu" else SIDES[:2]:
            path = bench.image(height, width, thin)
            # OpenVINO is made ready for the tiles of each image; torch needs no more than any image.
            warm = path if side == "fast" or (height, width) in SMALL else bench.image(*SMALL[0])
            case = speed_report.case(height, width, thin)
            bench.row(case, side, threads, number, {"do": "image", "path": path}, warm=warm, device=device)


def agreement(bench: Bench, cores: int) -> None:
    """Dice of the masks that upstream's settings give, against upstream's own."""
    for height, width in (SMALL[0], SMALL[2]):
        image, found = speed_report.case(height, width), {}
        if any(row["case"] == "agreement" and row["image"] == image for row in bench.rows):
            continue
        for side in SIDES:
            to = bench.work / f"{side}.npy"
            task = {"do": "mask", "path": bench.image(height, width), "to": str(to)}
            _ask(bench._worker(side, cores, "cpu", False), task)
            found[side] = np.load(to)
        for side in SIDES[1:]:
            ours, theirs = found[side], found["upstream"]
            dice = 2 * np.count_nonzero(ours & theirs) / (np.count_nonzero(ours) + np.count_nonzero(theirs))
            about = {"share": float(theirs.mean()), "different": int(np.count_nonzero(ours != theirs))}
            bench.keep({"case": "agreement", "side": side, "image": image, "dice": dice} | about)


def folder(bench: Bench, cores: int) -> None:
    """A folder of small JPEGs to masks, some of them by each side in turn."""
    photographs = bench.work / "photographs"
    photographs.mkdir(exist_ok=True)
    paths = [photographs / f"roots_{number:02d}.jpg" for number in range(FOLDER)]
    drawn = np.load(bench.image(1100, 1100))
    for number, path in enumerate(paths):
        Image.fromarray(np.roll(drawn, 37 * number, 1)[: SMALL[0][0], : SMALL[0][1]]).save(path, quality=92)
    for number in range(FOLDER // CHUNK):
        for side in SIDES:
            chunk = [str(path) for path in paths[number * CHUNK : (number + 1) * CHUNK]]
            task = {"do": "folder", "images": chunk, "out": str(bench.work / side)}
            bench.row("folder", side, cores, number, task, warm=bench.image(*SMALL[0]), images=CHUNK)


def memory(bench: Bench, sizes: Any, cores: int) -> None:
    """The peak of a process of its own for each side; OpenVINO's needs some more tiles until it is at work."""
    for height, width in sizes:
        for side in SIDES:
            real = REAL_TILES * (6 if side == "fast" else 1)
            task = {"do": "memory", "path": bench.image(height, width), "real_tiles": real}
            bench.row(f"memory {speed_report.case(height, width)}", side, cores, 0, task, fresh=True)


def start_up(bench: Bench, rounds: int) -> None:
    """The help, and the first mask of a small image, each in a process of its own."""
    photograph = bench.work / "first.jpg"
    Image.fromarray(np.load(bench.image(*SMALL[0]))).save(photograph)
    program = [sys.executable, "-c", "import sys; from rootpainter_rootfm.cli.main import main; sys.exit(main())"]
    for number in range(rounds):
        cases = {"help": ["--help"], "first mask": ["segment", photograph, bench.work / f"first{number}"]}
        for case, arguments in cases.items():
            if any(row["case"] == case and row["round"] == number for row in bench.rows):
                continue
            before, started = os.times(), time.perf_counter()
            subprocess.run([*program, *arguments], check=True, capture_output=True)
            wall, after = time.perf_counter() - started, os.times()
            cpu = after.children_user + after.children_system - before.children_user - before.children_system
            bench.keep({"case": case, "side": "core", "round": number, "cpu": cpu, "wall": wall})


def fine_tuning(bench: Bench, cores: int, device: str, rounds: int) -> None:
    """Some steps of the optimiser on patches around drawn annotations, ours and the plain loop in turn."""
    project = bench.work / "project"
    for name in ("images", "train", "val", "shown"):
        (project / name).mkdir(parents=True, exist_ok=True)
    for number, part in enumerate(("train", "val")):
        photograph, root = draw_photograph(np.random.default_rng(number), 600, 800)
        Image.fromarray(photograph).save(project / "images" / f"{part}.png")
        masks.write(root, project / "shown" / f"{part}.png", note="shown")
        soil = np.zeros_like(root)
        soil[200:400] = ~root[200:400]
        masks.write_annotation(root & (np.arange(800) > 300), soil, project / part / f"{part}.png")
    for number in range(rounds):
        for case, plain in (("training, plain", True), ("training, ours", False)):
            task = {"do": "training", "project": str(project), "plain": plain, "steps": STEPS}
            bench.row(case, "core", cores, number, task, device=device, steps=STEPS)


def gpu(bench: Bench, cores: int, rounds: int) -> None:
    """The rows for CUDA, where there is a device."""
    import torch

    if torch.cuda.is_available():
        bench.row("product", "core", cores, 0, {"do": "product"}, device="cuda")
        for number in range(rounds):
            sizes(bench, [*SMALL, LARGE], cores, number, "cuda")
        fine_tuning(bench, cores, "cuda", rounds)


if __name__ == "__main__":
    main()
