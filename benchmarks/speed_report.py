"""The rows of `speed.py` as the page docs/performance_tables.md."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np

Row = dict[str, Any]

SIDES: Final = ("upstream", "core", "fast")
NO_GPU: Final = "not measured: no GPU here"
MARKS: Final = {"4000×3000": (0.60, 0.50), "640×480": (0.25, 0.25), "736×552": (0.25, 0.25), "1100×1100": (0.25, 0.25)}
TILE: Final = 1024
THIN: Final = ", thin roots"
DRAWN_SURENESS: Final = 0.7
"""How sure the network is of ordinary drawn photographs, about: not enough for a small one, enough for a large one."""
_INTRODUCTION: Final = """# Tables of speed and memory

What follows from them stands in [performance.md](performance.md). Made by `python benchmarks/speed.py`; the single
measurements are in [performance.json](performance.json). **upstream** is `mobilesam_segment_image` of RootPainter's
trainer 0.3.3, unmodified; **core** is this package as it is installed; **[fast]** is the same with the extra `fast`
(OpenVINO). All with the same weights on the same drawn photographs, in one run, in turn; medians. A ratio is ours ÷
upstream's: 0.25 means a quarter of the time.

**CPU-s** are seconds of processor time of all threads together, **wall** what a clock shows. **floor** is the
arithmetic of the tiles that are computed (the products of matrices and the convolutions, counted by torch) divided by
the speed of a product of 3072×3072 matrices with as many threads in the same run: no program that computes these tiles
in this precision can be faster by much. Images of **thin roots** are looked at once more, enlarged
([usage.md](usage.md), *A second look*): what that takes is shown, and has no mark. [fast] is measured with OpenVINO
ready for the tiles of the image, as in any folder from its fifth batch of tiles on; what making it ready costs once is
said below.
"""


def case(height: int, width: int, thin: bool = False) -> str:
    """The name of an image in the rows."""
    return f"{width}×{height}{THIN if thin else ''}"


def machine(note: str) -> Row:
    """What was measured on, as a row."""
    import torch

    cpu = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        cpu = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    from rootpainter_rootfm.model.library import DEFAULT_MODEL, Library

    about = {"cpu": cpu, "capability": torch.backends.cpu.get_cpu_capability(), "torch": torch.__version__}
    about |= {"openvino": version("openvino"), "model": Library().get(DEFAULT_MODEL).sha256[:12], "note": note}
    return {"case": "machine", "date": datetime.now(UTC).strftime("%Y-%m-%d"), **about}


def write(rows: list[Row], path: Path) -> None:
    """Writes the page from all rows that there are."""
    from rootpainter_rootfm import files

    about = next(row for row in rows if row["case"] == "machine")
    parts = [_INTRODUCTION, _about(rows, about), "## One image, in memory to mask\n", *_images(rows)]
    parts += ["## Agreement\n", _agreement(rows), "## Folder, end to end\n", _folder(rows)]
    parts += ["## Memory\n", _memory(rows), "## Start\n", _start(rows), "## OpenVINO\n", _ready(rows)]
    parts += ["## Fine-tuning\n", _training(rows)]
    files.write_text(path, "\n".join(parts))


def _about(rows: list[Row], about: Row) -> str:
    text = f"Measured on {about['date']}: {about['cpu']} ({about['capability']}), torch {about['torch']}, OpenVINO "
    text += f"{about['openvino']}, model {about['model']}…. {about['note']}".rstrip()
    speeds = [
        f"{row['cpu']:.0f} a CPU-second and {row['wall']:.0f} a second with {row['threads']} thread(s)"
        for row in rows
        if row["case"] == "product" and row["device"] == "cpu"
    ]
    return f"{text}\n\nThe product of matrices, GFLOP: {'; '.join(speeds)}.\n" if speeds else text + "\n"


def gflop(height: int, width: int, ours: bool, thin: bool = False) -> tuple[float, str]:
    """The arithmetic of an image's tiles in GFLOP, and the tiles in words; the image reduced adds 3 %."""
    from rootpainter_rootfm.model.library import DEFAULT_MODEL, Library
    from rootpainter_rootfm.segment.settings import SegmentSettings
    from rootpainter_rootfm.segment.tiles import plan

    settings = SegmentSettings() if ours else SegmentSettings(tile=TILE, overlap=0)
    looks = [settings, *(replace(settings, scale=scale) for scale in (_again(height, width, thin) if ours else ()))]
    plans = [plan(height, width, look, max(Library().get(DEFAULT_MODEL).tile_sizes)) for look in looks]
    work = sum(len(tiles) * _tile_gflop(tiles.rows.side, tiles.columns.side) for tiles in plans)
    return work, ", ".join(f"{len(tiles)} of {tiles.columns.side}×{tiles.rows.side}" for tiles in plans)


def _again(height: int, width: int, thin: bool) -> tuple[float, ...]:
    """The scales of the second look at a drawn photograph."""
    from rootpainter_rootfm.segment import second_look

    if thin:
        return (second_look.ENLARGED,)
    return second_look.sizes(np.broadcast_to(np.uint8(0), (height, width, 3)), DRAWN_SURENESS)


def _tile_gflop(height: int, width: int) -> float:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from rootpainter_rootfm.model.network import MobileSAM

    with torch.device("meta"):
        network = MobileSAM().eval()
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 3, height, width, device="meta"))
    return counter.get_total_flops() / 1e9


def _images(rows: list[Row]) -> Iterable[str]:
    for device, threads in sorted({(row["device"], row["threads"]) for row in rows if row["case"] in MARKS}):
        speed = _of(rows, "product", "core", device, threads)
        head = [
            "image",
            "side",
            "tiles",
            "CPU-s",
            "wall s",
            "ratio CPU-s",
            "ratio wall",
            "mark",
            "floor CPU-s",
            "rounds",
        ]
        table = []
        sizes = sorted(tuple(map(int, size.split("×"))) for size in MARKS)
        for (width, height), thin in product(sizes, (False, True)):
            name, marks = case(height, width, thin), MARKS[case(height, width)]
            theirs = _of(rows, name, "upstream", device, threads)
            for side in SIDES:
                ours = _of(rows, name, side, device, threads)
                if not (ours and theirs):
                    continue
                work, tiles = gflop(height, width, side != "upstream", thin)
                ratios = [f"{ours[key] / theirs[key]:.2f}" for key in ("cpu", "wall")]
                mark = "" if thin else f"≤ {marks[side == 'fast']:.2f}" if device == "cpu" else "≤ 0.10"
                about = ["", "", ""] if side == "upstream" else [*ratios, mark]
                floor = f"{work / speed['cpu']:.2f}" if speed else ""
                table.append([name, side, tiles, f"{ours['cpu']:.2f}", f"{ours['wall']:.2f}", *about, floor, ours["n"]])
        yield f"{device.upper()}, {threads} thread(s):\n\n" + _table(head, table)
    if not any(row.get("device") == "cuda" for row in rows):
        yield f"CUDA: {NO_GPU}.\n"
    work = [gflop(9000, 12000, ours) for ours in (False, True)]
    work = [(tiles, f"{flop / 1000:.1f} TFLOP") for flop, tiles in work]
    yield (
        "12000×9000 is nine times 4000×3000 and was not timed as a whole: upstream computes "
        f"{work[0][0]} tiles ({work[0][1]}), we compute {work[1][0]} ({work[1][1]}).\n"
    )


def _agreement(rows: list[Row]) -> str:
    found = [row for row in rows if row["case"] == "agreement"]
    head = ["image", "side", "Dice with upstream's mask", "different pixels", "share of root"]
    cells = [[r["image"], r["side"], f"{r['dice']:.5f}", r["different"], f"{r['share']:.3f}"] for r in found]
    return "With upstream's own settings (tile 1024, no overlap, black, 0.5), mark ≥ 0.999.\n\n" + _table(head, cells)


def _folder(rows: list[Row]) -> str:
    found = {side: [r for r in rows if r["case"] == "folder" and r["side"] == side] for side in SIDES}
    parts = min(map(len, found.values()))
    if not parts:
        return "Not measured yet.\n"
    head, cells = ["side", "wall s", "ratio wall", "mark", "CPU-s", "ratio CPU-s", "ratio wall of the parts"], []
    total = {side: {key: sum(r[key] for r in found[side][:parts]) for key in ("wall", "cpu")} for side in SIDES}
    for side in SIDES:
        ratio = {key: f"{total[side][key] / total['upstream'][key]:.2f}" for key in ("wall", "cpu")}
        pairs = zip(found[side][:parts], found["upstream"], strict=False)
        each = ", ".join(f"{ours['wall'] / theirs['wall']:.2f}" for ours, theirs in pairs)
        about = [ratio["wall"], "≤ 0.25"] if side != "upstream" else ["", ""]
        cells.append([side, f"{total[side]['wall']:.1f}", *about, f"{total[side]['cpu']:.1f}", ratio["cpu"], each])
    row = found["core"][0]
    count = sum(r["images"] for r in found["core"][:parts])
    text = (
        f"{count} JPEGs of 640×480 to mask files with {row['threads']} threads, in {parts} part(s), the sides in turn."
    )
    if count < 50:
        text += " The mark is for 50; the first images are no faster than the others."
    return text + "\n\n" + _table(head, cells)


def _memory(rows: list[Row]) -> str:
    found = [row for row in rows if row["case"].startswith("memory")]
    head, cells = ["image", "side", "peak GB", "of it before the image's tiles", "ratio", "mark"], []
    for row in found:
        theirs = next(r for r in found if r["case"] == row["case"] and r["side"] == "upstream")
        mark = "≤ 0.50" if "12000" in row["case"] and row["side"] != "upstream" else ""
        ratio = f"{row['peak'] / theirs['peak']:.2f}"
        cells.append([row["case"][7:], row["side"], f"{row['peak']:.2f}", f"{row['before']:.2f}", ratio, mark])
    text = (
        "The largest resident size of a process that segments one image from memory. The network computed the first\n"
    )
    return text + "tiles, an answer at once stood for the others: these need no more memory.\n\n" + _table(head, cells)


def _start(rows: list[Row]) -> str:
    cells = []
    names = {"help": ("`rootfm --help`", "< 1 s"), "first mask": ("first mask of a 640×480 JPEG, from file", "< 5 s")}
    for case, (text, mark) in names.items():
        if ours := _of(rows, case, "core"):
            cells.append([text, f"{ours['cpu']:.2f}", f"{ours['wall']:.2f}", mark, ours["n"]])
    text = (
        "From the start of the process to its end. That the window is there before torch is loaded, a test holds.\n\n"
    )
    return text + _table(["what", "CPU-s", "wall s", "mark", "rounds"], cells)


def _ready(rows: list[Row]) -> str:
    row = _of(rows, "ready", "fast", keys=("torch", "openvino", "made", "kept"))
    if not row:
        return "Not measured yet.\n"
    return (
        f"The image encoder takes {row['torch']:.2f} CPU-s with torch for two tiles of 448×448 and "
        f"{row['openvino']:.2f} with OpenVINO, on one thread. To make it ready for them and to compare it with torch "
        f"takes {row['made']:.2f} CPU-s, once; to take it from the disk later {row['kept']:.2f}.\n"
    )


def _training(rows: list[Row]) -> str:
    head, cells = ["device", "loop", "CPU-s a step", "wall s a step", "patches a second", "ratio wall", "rounds"], []
    for device in ("cpu", "cuda"):
        plain = _of(rows, "training, plain", "core", device)
        for case in ("training, plain", "training, ours"):
            ours = _of(rows, case, "core", device, keys=("cpu", "wall", "steps"))
            if ours and plain:
                step, wall = ours["cpu"] / ours["steps"], ours["wall"] / ours["steps"]
                ratio = f"{ours['wall'] / plain['wall']:.2f}"
                cells.append([device, case[10:], f"{step:.2f}", f"{wall:.2f}", f"{8 / wall:.2f}", ratio, ours["n"]])
        if not plain:
            cells.append([device, NO_GPU if device == "cuda" else "not measured yet", "", "", "", "", ""])
    text = (
        "Steps of eight patches of 224×224. *plain* is the same network, patches and loss in torch's usual memory "
        "layout, the whole batch at once.\n\n"
    )
    return text + _table(head, cells)


def _of(
    rows: list[Row], case: str, side: str, device: str = "", threads: int = 0, keys: tuple[str, ...] = ("cpu", "wall")
) -> Row | None:
    """The medians of the rows of one kind, and how many there are."""
    found = [row for row in rows if row["case"] == case and row["side"] == side]
    found = [row for row in found if not device or row["device"] == device]
    found = [row for row in found if not threads or row["threads"] == threads]
    return {key: median(row[key] for row in found) for key in keys} | {"n": len(found)} if found else None


def _table(head: list[str], cells: list[list[Any]]) -> str:
    lines = [head, ["---"] * len(head), *cells]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"
