"""What the verbs that train have in common: options of a plan, a progress bar, and stopping in good order."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from ..learn.training.plan import TrainPlan
    from ..progress import CancelToken, Progress

_WORKERS_BESIDE_GPU = 4  # each may hold 4 GB of decoded images


def add_plan_options(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Adds the options of a training; those left out are None.

    The numbers in brackets are those of `TrainPlan`, written out so that `--help` need not load what that needs.
    """
    parser.add_argument("--steps", type=int, help="optimiser steps in all (20000)")
    parser.add_argument("--cooldown", type=float, help="share of the steps over which the rate falls (0.2)")
    parser.add_argument("--batch", type=int, help="patches of the smallest size in a step (8)")
    parser.add_argument("--tile-sizes", type=int, nargs="+", metavar="PIXELS", help="sides of patches (224 320 448)")
    parser.add_argument("--drawn", type=float, help="share of patches with drawn roots (0.35)")
    parser.add_argument("--transplanted", type=float, help="share of the others with real roots in other ground (0)")
    parser.add_argument("--variety", type=float, help="how often light, colour and sharpness are changed, 0 to 1 (1)")
    parser.add_argument("--rate", type=float, help="learning rate on the plateau (0.001)")
    parser.add_argument("--warmup", type=int, help="steps over which the rate rises to the plateau (300)")
    parser.add_argument(
        "--scale", type=float, nargs=2, metavar=("MIN", "MAX"), help="smallest and largest zoom of an image (0.4 2.5)"
    )
    parser.add_argument(
        "--frozen-statistics",
        action=argparse.BooleanOptionalAction,
        help="keep the statistics of the normalisations as they are (no)",
    )
    parser.add_argument("--seed", type=int, help="seed of everything random (0)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument("--workers", type=int, help="processes that cut patches (1; beside a GPU up to 4)")


def plan_of(options: argparse.Namespace, base: TrainPlan) -> TrainPlan:
    """The plan that the options name; what they leave out is as in `base`."""
    from dataclasses import replace

    given = {name: getattr(options, name, None) for name in vars(base)}
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    return replace(base, **{name: value for name, value in given.items() if value is not None})


def workers_of(options: argparse.Namespace, device: torch.device) -> int:
    """Processes that cut patches, as asked for or as suits the device.

    A core cuts those of four to seven steps a second: more than a CPU learns from, fewer than a GPU does.
    """
    if options.workers is not None:
        return options.workers
    if device.type == "cpu":
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    trainings = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # torchrun says how many share this machine
    return max(1, min(_WORKERS_BESIDE_GPU, cores // trainings - 1))


@contextmanager
def progress_bar(unit: str) -> Iterator[Progress]:
    """A bar on standard error; work that comes in several parts has the bar begin anew with each."""
    from tqdm import tqdm

    with tqdm(unit=unit, dynamic_ncols=True, file=sys.stderr) as bar:

        def show(done: int, total: int, current: str) -> None:
            if bar.total != total or done < bar.n:
                bar.reset(total)
                bar.initial = done
            bar.n = done
            bar.set_postfix_str(current)

        yield show


@contextmanager
def stopped_by_ctrl_c() -> Iterator[CancelToken]:
    """A token that the first Ctrl-C uses, so that the work ends between two steps; a second one interrupts at once."""
    from ..progress import CancelToken

    token = CancelToken()
    before = signal.getsignal(signal.SIGINT)

    def stop(*_: object) -> None:
        token.cancel()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, stop)
    try:
        yield token
    finally:
        signal.signal(signal.SIGINT, before)
