"""The verb `rootfm train`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .training import add_plan_options, plan_of, progress_bar, stopped_by_ctrl_c

if TYPE_CHECKING:
    from ..learn.training.loop import Start


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `rootfm train` and its options."""
    parser = verbs.add_parser(
        "train",
        help="train a foundation model from masks",
        description="Trains on every dataset of DATA, from random weights or from a model. Run again, it goes on where "
        "it stopped; with more --steps, a finished training is prolonged.",
    )
    parser.add_argument("data", type=Path, help="folder with a manifest.csv, or a RootPainter project")
    parser.add_argument("folder", type=Path, help="folder for checkpoints, log and curves")
    parser.add_argument("--only", nargs="+", default=[], metavar="DATASET", help="take these datasets alone")
    parser.add_argument("--without", nargs="+", default=[], metavar="DATASET", help="leave these datasets out")
    parser.add_argument(
        "--start",
        metavar="MODEL",
        help="continue from this model (a name or a file) instead of random weights: 400 steps at a rate of 0.0001, "
        "without drawn roots, unless the options say otherwise",
    )
    add_plan_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Trains until done or stopped; returns 0."""
    from ..learn.data import read_datasets
    from ..learn.training.loop import Rhythm, train
    from ..learn.training.plan import CONTINUED, TrainPlan
    from ..segment.device import choose_device

    datasets = read_datasets(options.data, options.only, options.without)
    start = _start(options.start) if options.start else None
    plan = plan_of(options, CONTINUED if options.start else TrainPlan())
    device = choose_device(options.device)
    with progress_bar("step") as progress, stopped_by_ctrl_c() as cancel:
        rhythm = Rhythm(workers=options.workers)
        train(datasets, plan, options.folder, device, rhythm, progress, cancel, start)
    return 0


def _start(name: str) -> Start:
    from ..learn.training.loop import Start
    from ..model.library import load_model

    network, card = load_model(name)
    return Start(network.state_dict(), card)
