"""The verb `rootfm demo`: shows on drawn photographs what the program does, without network or data."""

from __future__ import annotations

import argparse
from pathlib import Path

from .segment import add_model_option, add_settings_options, load_segmenter, run_job

_HEIGHT, _WIDTH = 600, 800  # pixels; one tile, a second or two on a laptop
_SEED = 2


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `rootfm demo` and its options."""
    parser = verbs.add_parser(
        "demo",
        help="draw photographs of roots, segment them and show the result",
        description="Draws photographs of roots, segments them, and writes photographs, masks and a sheet of overlays "
        "to OUT. Needs no data and no network.",
    )
    parser.add_argument("out", metavar="OUT", type=Path, nargs="?", default=Path("rootfm-demo"), help="(rootfm-demo)")
    parser.add_argument("--images", type=int, default=6, metavar="N", help="how many photographs (6)")
    add_model_option(parser)
    add_settings_options(parser.add_argument_group("how they are segmented"))
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Draws, segments and compares with what was drawn; returns 0 when every photograph has its mask."""
    from .. import masks
    from ..learn.metrics import Confusion
    from ..segment.folder import FolderJob

    segmenter = load_segmenter(options)
    photographs, truths = _draw(options.out / "photographs", options.images)
    job = FolderJob(photographs, options.out / "masks", segmenter, preview=options.out / "overlays.png")
    run_job(job)
    if job.report.failed:
        for result in job.report.failed:
            print(f"Failed: {result.image.name}: {result.cause}")
        return 1
    dice = [
        Confusion.of(masks.read(job.target(image)), truth).dice
        for image, truth in zip(photographs, truths, strict=True)
    ]
    print(f"{len(photographs)} photographs were drawn and segmented.")
    print(f"Overlays to look at: {job.preview}")
    print(f"Masks, as RootPainter opens them: {job.out}")
    print(f"Agreement with the roots that were drawn: mean Dice {sum(dice) / len(dice):.2f} (1 is perfect)")
    return 0


def _draw(folder: Path, count: int) -> tuple[list[Path], list]:
    """The files of `count` drawn photographs, always the same ones, and their true masks, H×W bool."""
    import numpy as np
    from PIL import Image

    from ..files import replacing
    from ..learn.drawing.synthetic import draw_photograph

    folder.mkdir(parents=True, exist_ok=True)
    paths, truths = [], []
    for number in range(1, count + 1):
        image, truth = draw_photograph(np.random.default_rng([_SEED, number]), _HEIGHT, _WIDTH)
        path = folder / f"roots_{number}.png"
        with replacing(path) as beside:
            Image.fromarray(image).save(beside)
        paths.append(path)
        truths.append(truth)
    return paths, truths
