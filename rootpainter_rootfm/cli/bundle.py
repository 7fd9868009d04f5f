"""The verb `rootfm bundle`: a training becomes a model file with its card."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .training import progress_bar, stopped_by_ctrl_c


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `rootfm bundle` and its options."""
    parser = verbs.add_parser(
        "bundle",
        help="make a model file out of a training",
        description="Writes NAME.safetensors in half precision and its card NAME.json: with data and licences, the "
        "commands that made it, a threshold chosen on validation images, and the protocol's table. "
        "`rootfm models add` takes the two into the library.",
    )
    parser.add_argument("training", metavar="TRAINING", type=Path, help="folder of a `rootfm train`")
    parser.add_argument("data", metavar="DATA", type=Path, help="the data it was trained on")
    parser.add_argument("out", metavar="OUT", type=Path, help="folder for the model")
    parser.add_argument(
        "--average",
        nargs="+",
        default=[],
        metavar="OTHER",
        help="further trainings (folders) and models (names or files): the mean of all weights is bundled",
    )
    parser.add_argument("--name", help="what users type (the name of TRAINING)")
    parser.add_argument("--title", help="what menus show (the name)")
    parser.add_argument("--licence", default="not stated", help="of the weights (not stated)")
    parser.add_argument("--weaknesses", required=True, help="what it is bad at, in a sentence or two")
    parser.add_argument("--protocol", type=Path, metavar="FOLDER", help="folder of a `rootfm protocol`, for its table")
    parser.add_argument("--padding", help="around images smaller than a tile: reflect, black or mean (reflect)")
    parser.add_argument("--threshold", type=float, help="of the masks; chosen on validation images unless given")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Chooses the threshold, writes the model and says so; returns 0."""
    from ..learn.shipping.bundle import Words, bundle
    from ..segment.settings import SegmentSettings

    name = options.name or options.training.absolute().name
    words = Words(name, options.title or name, options.licence, options.weaknesses)
    settings = SegmentSettings(device=options.device, padding=options.padding, threshold=options.threshold)
    with progress_bar("image") as progress, stopped_by_ctrl_c() as cancel:
        card = bundle(
            options.training,
            options.data,
            options.out,
            words,
            averaged=options.average,
            protocol=options.protocol,
            settings=settings,
            progress=progress,
            cancel=cancel,
        )
    print(f"{options.out / card.file}: {card.size_bytes / 1e6:.1f} MB, threshold {card.threshold}.")
    print(card.notes, file=sys.stderr)
    return 0
