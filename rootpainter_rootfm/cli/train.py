"""The verb `rootfm train`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .training import add_plan_options, plan_of, progress_bar, stopped_by_ctrl_c, workers_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..learn.data import Dataset
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
        "a warm-up of 20 steps, a cool-down of 0.5, a zoom of 0.7 to 1.4, no drawn roots, a variety of 0.25 and the "
        "statistics of the normalisations kept, unless the options say otherwise",
    )
    add_plan_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Says what is used, trains until done or stopped, and says what came of it; returns 0."""
    from ..learn.data import read_datasets
    from ..learn.training.loop import Rhythm, train
    from ..learn.training.plan import CONTINUED, TrainPlan
    from ..learn.training.record import read_record
    from ..learn.training.state import LAST
    from ..segment.device import choose_device

    datasets = read_datasets(options.data, options.only, options.without)
    _say_what_is_used(options, datasets)
    start = _start(options.start) if options.start else None
    # A training that began with a model goes on as such a one, also where that model is no more and cannot be named.
    goes_on = (options.folder / LAST).is_file() and "model" in read_record(options.folder)
    plan = plan_of(options, CONTINUED if start or goes_on else TrainPlan())
    device = choose_device(options.device)
    with progress_bar("step") as progress, stopped_by_ctrl_c() as cancel:
        rhythm = Rhythm(workers=workers_of(options, device))
        state = train(datasets, plan, options.folder, device, rhythm, progress, cancel, start)
    print(_outcome(options.folder, state.step))
    return 0


def _say_what_is_used(options: argparse.Namespace, datasets: Sequence[Dataset]) -> None:
    """A split that is misspelt is one of which no row is used: who sees the numbers sees that."""
    from ..learn.data import known_datasets

    chosen = {dataset.name for dataset in datasets}
    others = [] if options.only else [one for one in known_datasets(options.data) if one.name not in options.without]
    for dataset in [*datasets, *(one for one in others if one.name not in chosen)]:
        counts = dataset.counts()
        used = f"{counts.pop('train', 0)} train and {counts.pop('val', 0)} val images are used"
        left = ", ".join(f"{count} {split or 'without a split'}" for split, count in sorted(counts.items()))
        print(f"{dataset.name}: {used}{f'; left alone: {left}' if left else ''}.", file=sys.stderr)
    if not any(dataset.split("val").items for dataset in datasets):
        print(
            "No dataset has a val row: nothing tells which weights are the best, and the last ones will be taken.",
            file=sys.stderr,
        )


def _outcome(folder: Path, step: int) -> str:
    from ..learn.training.curves import TrainLog
    from ..learn.training.state import BEST, LAST

    dice = TrainLog(folder).best_dice
    if dice < 0:
        return f"Step {step}, validated on nothing: {folder / LAST}"
    return f"Step {step}, best Dice {dice:.3f} on the validation patches: {folder / BEST}"


def _start(name: str) -> Start:
    from ..learn.training.loop import Start
    from ..model.library import load_model

    network, card = load_model(name)
    return Start(network.state_dict(), card)
