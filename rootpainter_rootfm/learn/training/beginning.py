"""Whether a training may begin, or go on with what its folder holds, and what is noted before it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ...errors import DataError
from ...files import write_text
from ...model.card import ModelCard
from ..data import Dataset, Item, check_files, splits_of
from ..names import may_be_one
from . import record
from .curves import BEST_STEP, COLUMNS, LOG, best_step
from .plan import TrainPlan
from .state import BEST, LAST

PLAN = "plan.json"

# A killed training goes on with the same patches; one that is done may be given others for the steps that are added.
_SCHEDULE = ("steps", "cooldown", "rate")
_PATCHES = ("scale", "drawn", "transplanted", "variety")


def check(
    datasets: Sequence[Dataset], plan: TrainPlan, folder: Path, model: ModelCard | None, step: int | None, often: int
) -> None:
    """Finds out what is wrong before hours have gone by; nothing is written.

    Args:
        datasets: with all their items.
        plan: what is to be done.
        folder: of the training.
        model: to begin with, if it is one that a card may name.
        step: that the folder's last checkpoint is of; None where there is none.
        often: every so many steps there is a checkpoint.

    Raises:
        DataError, ImageError, MaskError: no image to learn from, files that are missing or do not fit, or the folder
            holds a training under another plan, on other data, of another model or of more steps.
    """
    if not any(dataset.split("train").items for dataset in datasets) and plan.drawn < 1:
        raise DataError(
            "None of the datasets has a train row: there is nothing to learn from. There are rows of "
            f"{splits_of(datasets) or 'no split at all'}."
        )
    taken = sorted(set(COLUMNS) & set(record.learning(datasets)))
    if taken:
        raise DataError(f"A dataset cannot be named {taken[0]}, as a column of {LOG} is: give it another name.")
    if step is None:
        _check_nothing_is_lost(folder, often)
    else:
        _check_plan(plan, folder, step)
        noted = record.read_record(folder)
        _check_data(datasets, folder, noted)
        _check_model(folder, model, noted)
    for dataset in datasets:
        for item in dataset.split("train", "val").items:
            check_files(item)


def begin_anew(folder: Path) -> None:
    """Removes what a training left that ended before its first checkpoint."""
    for name in (BEST, BEST_STEP, LOG, record.RECORD):
        (folder / name).unlink(missing_ok=True)


def note(
    datasets: Sequence[Dataset],
    plan: TrainPlan,
    folder: Path,
    model: ModelCard | None,
    step: int,
    device: str | torch.device,
) -> None:
    """Writes down what is about to be done."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / PLAN, plan.to_json())
    now = {"step": step, "plan": asdict(plan), **record.describe(device)}
    record.write_record(folder, datasets, model, now, finished=step == plan.steps)


def _check_nothing_is_lost(folder: Path, often: int) -> None:
    """Without a checkpoint the best weights may only be those of a training that had none yet."""
    if (folder / BEST).is_file() and best_step(folder).get("step", often + 1) > often:
        raise DataError(
            f"{folder} holds {BEST} of an earlier training, but no {LAST} to go on from. Put that back, or move {BEST} "
            "away to begin anew."
        )


def _check_plan(plan: TrainPlan, folder: Path, step: int) -> None:
    file = folder / PLAN
    before = TrainPlan.from_json(file.read_text(encoding="utf-8")) if file.is_file() else plan
    finished = step == before.steps
    free = (*_SCHEDULE, *_PATCHES) if finished else _SCHEDULE
    if _without(free, before) != _without(free, plan):
        raise DataError(
            f"{folder} holds a training under another plan ({PLAN}). Only {_options(_SCHEDULE)} may change, and "
            f"{_options(_PATCHES)} where a finished training is prolonged; choose another folder for a new training."
        )
    if step > plan.steps:
        raise DataError(f"{folder} holds a training of {step} steps already: choose more than that.")
    if step == plan.steps and _without(("steps",), before) != _without(("steps",), plan):
        raise DataError(
            f"{folder} is finished under another plan (rate {before.rate:g}, cool-down {before.cooldown:g}; {PLAN}); "
            "give more --steps to go on, or choose another folder."
        )


def _without(names: Sequence[str], plan: TrainPlan) -> dict[str, object]:
    return {name: value for name, value in vars(plan).items() if name not in names}


def _options(names: Sequence[str]) -> str:
    return ", ".join(f"--{name}" for name in names)


def _check_data(datasets: Sequence[Dataset], folder: Path, noted: Mapping[str, Any]) -> None:
    learnt, learning = noted.get("datasets"), record.learning(datasets)
    # Records of old trainings name those with test rows alone, too.
    if learnt is not None and not set(learning) <= set(learnt) <= {dataset.name for dataset in datasets}:
        raise DataError(
            f"{folder} holds a training on {', '.join(learnt)}, not on {', '.join(learning)}. "
            "Choose another folder for a new training."
        )
    for dataset in datasets:
        _check_images(dataset, folder, noted.get("images", {}).get(dataset.name, {}))


def _check_images(dataset: Dataset, folder: Path, noted: Mapping[str, Sequence[str]]) -> None:
    """What was learnt from must not be validated or measured on, nor what was validated on be measured on."""
    now: dict[str, list[Item]] = {}
    for item in dataset.items:
        now.setdefault(item.image.name, []).append(item)
    for split, unseen in (("train", ("val", "test")), ("val", ("test",))):
        for name in noted.get(split, ()):
            fitting = [item for item in now.get(name.rpartition("/")[2], ()) if may_be_one(name, item.name)]
            found = {item.split for item in [one for one in fitting if one.name == name] or fitting}
            # A name in an old record lacks folders and may fit several images: one that is still used is the one meant.
            if found and found <= set(unseen):
                raise DataError(
                    f"{folder} has used {name} of {dataset.name} as a {split} row, but now it is a "
                    f"{' or '.join(sorted(found))} row, which must be unseen. Put the splits back, or choose another "
                    "folder for a new training."
                )


def _check_model(folder: Path, model: ModelCard | None, noted: Mapping[str, Any]) -> None:
    if model is None:
        return
    before = noted.get("model")
    if before is None:
        begun = "from random weights"
    elif before["sha256"] == model.sha256:
        return
    else:
        begun = f"with {before['name']} (sha256 {before['sha256'][:8]})"
    raise DataError(
        f"{folder} holds a training that was begun {begun}, not with {model.name} (sha256 {model.sha256[:8]}). Leave "
        "--start out to go on with it, or choose another folder for a new training."
    )
