"""The verb `rootfm protocol`: what a recipe for training is worth on imaging systems that it has never seen."""

from __future__ import annotations

import argparse
from pathlib import Path

from .training import add_plan_options, plan_of, progress_bar, stopped_by_ctrl_c, workers_of


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `rootfm protocol` and its options."""
    parser = verbs.add_parser(
        "protocol",
        help="train and measure leaving one dataset out",
        description="Leaves out one dataset of DATA after the other: trains on all the others, measures on it, then "
        "continues on all of it, on 3 and on 10 patches of it, and measures again. Run again, it goes on where it "
        "stopped; the report in FOLDER is renewed after every stage.",
    )
    parser.add_argument("data", metavar="DATA", type=Path, help="folder with a manifest.csv")
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="folder for trainings, measurements and the report")
    parser.add_argument("--hold-out", nargs="+", default=[], metavar="DATASET", help="hold out these alone")
    parser.add_argument("--only", nargs="+", default=[], metavar="DATASET", help="take these datasets alone")
    parser.add_argument(
        "--continued-steps", type=int, metavar="N", help="steps of the trainings that continue on a dataset (400)"
    )
    parser.add_argument(
        "--continued-rate", type=float, metavar="R", help="learning rate of the trainings that continue (0.0001)"
    )
    add_plan_options(
        parser.add_argument_group(
            "the first stage, zero-shot",
            "The trainings that continue take --batch, --tile-sizes, --seed, --device and --workers from here and "
            "nothing else: steps and rate are those above, the rest is what `rootfm train --start` does by itself.",
        )
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Carries the protocol out and prints its report; returns 0."""
    from dataclasses import replace

    from ..learn.data import read_datasets
    from ..learn.evaluation import baselines, protocol
    from ..learn.evaluation.protocol_report import write_protocol
    from ..learn.training.loop import Rhythm
    from ..learn.training.plan import CONTINUED, TrainPlan
    from ..learn.training.record import describe
    from ..segment.device import choose_device

    datasets = read_datasets(options.data, options.only)
    device = choose_device(options.device)
    foundation = plan_of(options, TrainPlan())
    changed = {"steps": options.continued_steps, "rate": options.continued_rate}
    changed = {name: value for name, value in changed.items() if value is not None}
    alike = {name: getattr(foundation, name) for name in ("tile_sizes", "batch", "seed")}
    continued = replace(CONTINUED, **alike, **changed)
    rhythm = Rhythm(workers=workers_of(options, device))
    text = ""
    with progress_bar("") as progress, stopped_by_ctrl_c() as cancel:
        first_images = baselines.first_images(datasets, progress, cancel)

        def tell(results: protocol.Results) -> None:
            nonlocal text
            text = write_protocol(options.folder, results, describe(device), first_images)

        setup = protocol.Setup(foundation, continued, device, rhythm, tell)
        protocol.run(datasets, options.folder, setup, options.hold_out, progress, cancel)
    print(text)
    return 0
