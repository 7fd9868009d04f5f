"""The verb `rootfm train`."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `rootfm train` and its options."""
    parser = verbs.add_parser(
        "train",
        help="train a foundation model from masks",
        description="Trains from random weights on every dataset of DATA. Run again, it goes on where it stopped; "
        "with more --steps, a finished training is prolonged.",
    )
    parser.add_argument("data", type=Path, help="folder with a manifest.csv, or a RootPainter project")
    parser.add_argument("folder", type=Path, help="folder for checkpoints, log and curves")
    parser.add_argument("--only", nargs="+", default=[], metavar="DATASET", help="take these datasets alone")
    parser.add_argument("--without", nargs="+", default=[], metavar="DATASET", help="leave these datasets out")
    parser.add_argument("--steps", type=int, help="optimiser steps in all (20000)")
    parser.add_argument("--cooldown", type=float, help="share of the steps over which the rate falls (0.2)")
    parser.add_argument("--batch", type=int, help="patches of the smallest size in a step (8)")
    parser.add_argument("--tile-sizes", type=int, nargs="+", metavar="PIXELS", help="sides of patches (224 320 448)")
    parser.add_argument("--drawn", type=float, help="share of patches with drawn roots (0.35)")
    parser.add_argument("--rate", type=float, help="learning rate on the plateau (0.001)")
    parser.add_argument("--seed", type=int, help="seed of everything random (0)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument("--workers", type=int, default=1, help="processes that cut patches (1)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Trains until done or interrupted; returns 0."""
    from tqdm import tqdm

    from ..learn.data import read_datasets
    from ..learn.loop import Rhythm, train
    from ..learn.plan import TrainPlan
    from ..segment.device import choose_device

    datasets = read_datasets(options.data, options.only, options.without)
    given = {field.name: getattr(options, field.name, None) for field in dataclasses.fields(TrainPlan)}
    if given["tile_sizes"]:
        given["tile_sizes"] = tuple(given["tile_sizes"])
    plan = TrainPlan(**{name: value for name, value in given.items() if value is not None})
    bar = tqdm(total=plan.steps, unit="step", dynamic_ncols=True)

    def show(done: int, total: int, current: str) -> None:
        bar.n = done
        bar.set_postfix_str(current)

    device = choose_device(options.device)
    with bar:
        train(datasets, plan, options.folder, device, Rhythm(workers=options.workers), show)
    return 0
