"""A training becomes a model to ship: weights in half precision and a card that says all that is known of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from ...errors import ModelError
from ...files import sha256, write_text
from ...model import checkpoint
from ...model.card import ModelCard, is_model_name
from ...progress import CancelToken, Progress, silent
from ...segment.settings import SegmentSettings
from ..data import Dataset, read_datasets
from ..evaluation.calibration import THRESHOLDS, ProbabilityCounts, choose_threshold, mean_dice
from ..evaluation.evaluate import Method, evaluate, probabilities
from ..evaluation.protocol_report import REPORT, fold_table, said
from ..training.trained import State, card_of, rounded, segmenter_of
from .ingredients import Ingredient, mean

NOT_STATED = "not stated"
_LICENCE = re.compile(r"^[-*\s]*Licen[cs]e:\s*(.+)$", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True)
class Words:
    """What only people know of a model.

    Attributes:
        name, title, licence, weaknesses: as on a `ModelCard`.
    """

    name: str
    title: str
    licence: str
    weaknesses: str


def bundle(
    run: Path,
    data: Path,
    out: Path,
    words: Words,
    *,
    averaged: Sequence[str | Path] = (),
    protocol: Path | None = None,
    settings: SegmentSettings = SegmentSettings(),
    progress: Progress = silent,
    cancel: CancelToken | None = None,
) -> ModelCard:
    """Writes `<name>.safetensors` and its card `<name>.json`.

    The weights are those that did best on the validation patches. A mean is made of the last ones of each training,
    since the best of one that was begun with a model may be that model itself. The threshold is chosen on the
    validation images of the datasets that were learnt from, as whole images, with the weights as half precision keeps
    them.

    Args:
        run: folder of a training.
        data: where its datasets are; the folder of each may hold a SOURCE.md with a line "Licence: …".
        out: folder for the two files; made if absent.
        words: for the card.
        averaged: further trainings (folders) and models (names or files); the mean of all weights is bundled.
        protocol: folder of a finished protocol, whose table goes onto the card.
        settings: the device to measure on, and padding and threshold for the card; without one it is chosen.
        progress: counts validation images.
        cancel: looked at between images.

    Raises:
        DataError: a folder holds no training, or no record of its datasets.
        ModelError: the name is not one for a model, or there is no model that was to be averaged.
        Cancelled: `cancel` was used.
    """
    if not is_model_name(words.name):
        raise ModelError(f"{words.name} cannot be a model's name: use letters, digits, dots, underscores and hyphens.")
    ingredients = [Ingredient.of(source, last=bool(averaged)) for source in (run, *averaged)]
    datasets = read_datasets(data, only=[name for one in ingredients for name in one.datasets])
    state = rounded(mean(ingredients))
    card = replace(card_of(state, words.name, ingredients[0].tile_sizes), padding=settings.padding or "reflect")
    counts = _measure(state, card, datasets, run, settings, progress, cancel)
    best = choose_threshold(counts)
    threshold = best if settings.threshold is None else settings.threshold
    out.mkdir(parents=True, exist_ok=True)
    file = out / f"{words.name}.safetensors"
    checkpoint.write_safetensors(state, file)
    card = replace(
        card,
        title=words.title,
        file=file.name,
        sha256=sha256(file),
        licence=words.licence,
        training_data=_learnt_from(ingredients, [(dataset.name, licence(data, dataset.name)) for dataset in datasets]),
        threshold=threshold,
        weaknesses=words.weaknesses,
        notes="\n".join(_notes(ingredients, protocol, _measured(counts, best, threshold))),
        size_bytes=file.stat().st_size,
    )
    write_text(file.with_suffix(".json"), card.to_json())
    return card


def _models(ingredients: Sequence[Ingredient]) -> list[ModelCard]:
    """The models that the ingredients were begun with or are, each once."""
    return list({one.model.sha256: one.model for one in ingredients if one.model is not None}.values())


def _learnt_from(ingredients: Sequence[Ingredient], datasets: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The datasets with their licences, and before them those of the models that the trainings began with."""
    found: dict[str, str] = {}
    for name, text in chain(*(model.training_data for model in _models(ingredients)), datasets):
        if text != NOT_STATED or name not in found:
            found[name] = text
    return tuple(found.items())


def licence(data: Path, dataset: str) -> str:
    """What the dataset's SOURCE.md says after "Licence:", or "not stated"."""
    source = data / dataset / "SOURCE.md"
    found = _LICENCE.search(source.read_text(encoding="utf-8", errors="replace")) if source.is_file() else None
    return found[1].strip() if found else NOT_STATED


def _measure(
    state: State,
    card: ModelCard,
    datasets: Sequence[Dataset],
    run: Path,
    settings: SegmentSettings,
    progress: Progress,
    cancel: CancelToken | None,
) -> dict[str, ProbabilityCounts]:
    validation = [dataset.split("val") for dataset in datasets]
    # Whatever threshold will cut them, the probabilities are the same: made with another one, nothing is measured anew.
    method = Method.of(segmenter_of(state, card, replace(settings, threshold=None)), cancel)
    folder = run / f"val {method.mark}"
    return probabilities(evaluate(method, validation, folder, progress, cancel, pictures=False))


def _measured(counts: Mapping[str, ProbabilityCounts], best: float, threshold: float) -> str:
    """What the threshold gives on the validation images, and what the best one would."""
    dice = mean_dice(counts)
    at = {value: np.interp(value, THRESHOLDS, dice) for value in (best, threshold)}
    where = f"on the validation images of {len(counts)} datasets"
    text = f"Threshold {threshold}: mean pooled Dice {at[threshold]:.3f} {where}."
    return text if threshold == best else f"{text} It was set by hand; {best} has {at[best]:.3f} there."


def _notes(
    ingredients: Sequence[Ingredient],
    protocol: Path | None,
    measured: str,
) -> list[str]:
    """How the model was made, as lines of Markdown."""
    lines = []
    if len(ingredients) > 1:
        lines += [f"The mean, element by element, of {len(ingredients)} sets of weights:", ""]
    for ingredient in ingredients:
        lines += [*ingredient.notes, ""]
    lines.append(measured)
    for model in _models(ingredients):
        lines += ["", f"How {model.name} (sha256 {model.sha256}) was made:", "", model.notes]
    if protocol is not None:
        measured = json.loads((protocol / f"{REPORT}.json").read_text(encoding="utf-8"))
        lines += ["", "Leave one dataset out, pooled Dice; each row by models that never saw that dataset before:", ""]
        lines += [*fold_table(measured["folds"]), "", *said(measured["marks"])]
    return lines
