"""A training becomes a model to ship: weights in half precision and a card that says all that is known of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from ...errors import DataError, ModelError, WeightsError
from ...files import is_there, sha256, write_text
from ...model import checkpoint
from ...model.card import ModelCard, is_model_name
from ...progress import CancelToken, Progress, silent
from ...segment.settings import SegmentSettings
from ..data import Dataset, read_datasets
from ..evaluation.calibration import THRESHOLDS, ProbabilityCounts, choose_threshold, counting, mean_dice
from ..evaluation.evaluate import Method, evaluate, probabilities
from ..evaluation.protocol_report import REPORT, fold_table, said
from ..training.trained import State, card_of, fingerprint, rounded, segmenter_of
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
    them. Nothing is written before all that may fail is done.

    Args:
        run: folder of a training.
        data: where its datasets are; the folder of each may hold a SOURCE.md with a line "Licence: …".
        out: folder for the two files; made if absent.
        words: for the card.
        averaged: further trainings (folders) and models (names or files); the mean of all weights is bundled.
        protocol: folder of a finished protocol, whose table goes onto the card.
        settings: the device to measure on, and padding and threshold for the card; without one it is chosen, and
            without validation images it must be given.
        progress: counts validation images.
        cancel: looked at between images.

    Raises:
        DataError: a folder is not there, holds no training, no record of its datasets or no finished protocol, or there
            is nothing to choose a threshold on.
        ModelError: the name is not one for a model or another model's in `out`, or there is no model that was to be
            averaged.
        Cancelled: `cancel` was used.
    """
    if not run.is_dir():
        raise DataError(f"There is no folder {run}; name that of a `rootfm train`.")
    if not is_model_name(words.name):
        raise ModelError(f"{words.name} cannot be a model's name: use letters, digits, dots, underscores and hyphens.")
    ingredients = [Ingredient.of(source, last=bool(averaged)) for source in (run, *averaged)]
    datasets = read_datasets(data, only=[name for one in ingredients for name in one.datasets])
    table = [] if protocol is None else _protocol_table(protocol)
    state = rounded(mean(ingredients))
    file = out / f"{words.name}.safetensors"
    _check_free(file, state)
    card = replace(card_of(state, words.name, ingredients[0].tile_sizes), padding=settings.padding or "reflect")
    threshold, measured = _threshold(state, card, datasets, run, settings, progress, cancel)
    card = replace(
        card,
        title=words.title,
        file=file.name,
        licence=words.licence,
        training_data=_learnt_from(ingredients, [(dataset.name, licence(data, dataset.name)) for dataset in datasets]),
        threshold=threshold,
        weaknesses=words.weaknesses,
        notes="\n".join([*_notes(ingredients, measured), *table]),
    )
    out.mkdir(parents=True, exist_ok=True)
    checkpoint.write_safetensors(state, file)
    card = replace(card, sha256=sha256(file), size_bytes=file.stat().st_size)
    write_text(file.with_suffix(".json"), card.to_json())
    return card


def _check_free(file: Path, state: State) -> None:
    """Raises ModelError where a model of other weights would be lost."""
    try:
        free = not is_there(file) or fingerprint(checkpoint.read_state(file)) == fingerprint(state)
    except WeightsError:
        free = False
    if not free:
        raise ModelError(f"{file} is there already, with other weights; choose another --name or move it away.")


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


def _threshold(
    state: State,
    card: ModelCard,
    datasets: Sequence[Dataset],
    run: Path,
    settings: SegmentSettings,
    progress: Progress,
    cancel: CancelToken | None,
) -> tuple[float, str]:
    """The threshold for the card, and a sentence on what it gives."""
    given, validation = settings.threshold, [dataset.split("val") for dataset in datasets]
    if not any(dataset.items for dataset in validation):
        if given is None:
            names = " and ".join(dataset.name for dataset in datasets)
            raise DataError(f"Without val rows in {names} no threshold can be chosen: give one with --threshold.")
        return given, f"Threshold {given} was set by hand; there were no validation images to measure it on."
    # Whatever threshold will cut them, the probabilities are the same: made with another one, nothing is measured anew.
    method = Method.of(segmenter_of(state, card, replace(settings, threshold=None)), cancel)
    folder = run / f"val {method.mark}"
    counts = probabilities(evaluate(method, validation, folder, progress, cancel, pictures=False))
    best = choose_threshold(counts)
    threshold = best if given is None else given
    return threshold, _measured(counts, best, threshold)


def _measured(counts: Mapping[str, ProbabilityCounts], best: float, threshold: float) -> str:
    """What the threshold gives on the validation images, and what the best one would."""
    dice = mean_dice(counts)
    at = {value: np.interp(value, THRESHOLDS, dice) for value in (best, threshold)}
    where = f"on the validation images of {len(counting(counts))} datasets"
    text = f"Threshold {threshold}: mean pooled Dice {at[threshold]:.3f} {where}."
    return text if threshold == best else f"{text} It was set by hand; {best} has {at[best]:.3f} there."


def _notes(ingredients: Sequence[Ingredient], measured: str) -> list[str]:
    """How the model was made, as lines of Markdown."""
    lines = []
    if len(ingredients) > 1:
        lines += [f"The mean, element by element, of {len(ingredients)} sets of weights:", ""]
    for ingredient in ingredients:
        lines += [*ingredient.notes, ""]
    lines.append(measured)
    for model in _models(ingredients):
        lines += ["", f"How {model.name} (sha256 {model.sha256}) was made:", "", model.notes]
    return lines


def _protocol_table(protocol: Path) -> list[str]:
    """What a protocol found, as lines of Markdown."""
    file = protocol / f"{REPORT}.json"
    title = "Leave one dataset out, pooled Dice; each row by models that never saw that dataset before:"
    try:
        measured = json.loads(file.read_text(encoding="utf-8"))
        return ["", title, "", *fold_table(measured["folds"]), "", *said(measured["marks"])]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} cannot be read ({error!r}): name the folder of a `rootfm protocol`.") from error
