"""What a model to ship is made of: the weights of one training, or the mean of several trainings and models.

The mean of models that were begun with the same weights often does better on systems that none of them has seen than
each of them (Wortsman et al. 2022, model soups).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ...errors import DataError
from ...model.card import ModelCard
from ...model.library import load_model
from ..training.beginning import PLAN
from ..training.curves import best_step
from ..training.plan import TrainPlan
from ..training.record import read_record
from ..training.state import chosen_weights, last_average, last_state
from ..training.trained import State


@dataclass(frozen=True)
class Ingredient:
    """Weights with what is known of them.

    Attributes:
        weights: in single precision.
        datasets: names of those that the training learnt from; none for a model that is taken as it is.
        tile_sizes: of its patches.
        notes: how it was made, as lines of Markdown.
        model: that which the training began with, or which was taken; None where there is none.
    """

    weights: State
    datasets: tuple[str, ...]
    tile_sizes: tuple[int, ...]
    notes: tuple[str, ...]
    model: ModelCard | None

    @classmethod
    def of(cls, source: str | Path, last: bool = False) -> Ingredient:
        """The folder of a training, or a model by its name or file.

        Args:
            source: the folder, name or file.
            last: of a training, take the average of its last steps, not what did best on its validation patches.

        Raises:
            DataError: the folder holds no training, or no record of its datasets.
            ModelError, WeightsError: there is no such model.
        """
        if Path(source).is_dir():
            return _of_training(Path(source), last)
        network, card = load_model(str(source))
        notes = (f"{card.name} as it is (sha256 {card.sha256}).",)
        return cls(network.state_dict(), (), card.tile_sizes, notes, card)


def mean(ingredients: Sequence[Ingredient]) -> State:
    """The mean of their weights, element by element; what counts steps is the first one's."""
    first = ingredients[0].weights
    return {
        name: torch.stack([one.weights[name].float() for one in ingredients]).mean(0)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in first.items()
    }


def _of_training(run: Path, last: bool) -> Ingredient:
    record = read_record(run)
    if "datasets" not in record:
        raise DataError(f"{run} does not say what was learnt from; run its `rootfm train` once more, which notes it.")
    plan = TrainPlan.from_json((run / PLAN).read_text(encoding="utf-8"))
    begun_with = ModelCard.from_json(json.dumps(record["model"])) if "model" in record else None
    weights = last_average(run) if last else chosen_weights(run)
    saved = last_state(run)
    steps = saved["step"] if saved else plan.steps  # it may have been stopped before its end
    notes = tuple(_notes(record, plan, steps, begun_with, _which(run, last)))
    return Ingredient(weights, tuple(record["datasets"]), plan.tile_sizes, notes, begun_with)


def _which(run: Path, last: bool) -> str:
    """Which weights of the training were taken."""
    best = best_step(run)
    if last or not best:
        return "The average of the last steps."
    return f"Weights of step {best['step']}, Dice {best['dice']:.3f} on validation patches."


def _notes(
    record: Mapping[str, Any], plan: TrainPlan, steps: int, begun_with: ModelCard | None, which: str
) -> list[str]:
    lines = [f"{steps} steps, seed {plan.seed}, patches of {', '.join(map(str, plan.tile_sizes))} pixels."]
    if begun_with is not None:
        lines.append(f"Begun with {begun_with.name} (sha256 {begun_with.sha256}).")
    lines += [which, "Made by:", ""]
    for start in record["starts"]:
        made = f"version {start['version']}, commit {start['commit']}, {start['hardware']}"
        lines.append(f"- from step {start['step']}: `{start['command']}` ({made})")
    return lines
