"""The measuring protocol: how well a model does on an imaging system that it has never seen, and after a little help.

For every dataset in turn a model is trained on all the others (zero-shot), and continued on the dataset itself: on
all its train rows (fine-tuned, the ceiling), and on 3 and on 10 patches of them. Every stage chooses its weights and
its threshold on validation rows of what it may learn from, and is measured once on the dataset's test rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import DataError
from ...files import Stamp, file_name, sha256, stamp, write_text
from ...progress import CancelToken, Progress, silent
from ...segment.settings import SegmentSettings
from ..data import Dataset
from ..names import named_items
from ..training import record
from ..training.curves import best_step
from ..training.loop import Rhythm, Start, train
from ..training.plan import CONTINUED, TrainPlan
from ..training.state import chosen_weights
from ..training.trained import card_of, fingerprint, segmenter_of
from . import baselines
from .calibration import THRESHOLDS, choose_threshold, mean_dice
from .evaluate import Method, Summary, evaluate, probabilities
from .few_shot import few_patches
from .report import number, save_sheet

ZERO_SHOT, FINE_TUNED = "zero-shot", "fine-tuned"
FEW = (3, 10)
RESULT = "result.json"


def few_shot(count: int) -> str:
    """The name of the stage with `count` patches."""
    return f"{count} patches"


Results = dict[str, dict[str, dict[str, Any]]]
"""What `run` gives: by dataset, by stage or baseline."""

_PATCHES = {few_shot(count): count for count in FEW}
_CONTINUED_STAGES = (FINE_TUNED, *_PATCHES)
STAGES = (ZERO_SHOT, *_CONTINUED_STAGES)


@dataclass(frozen=True)
class Setup:
    """How the protocol is carried out, apart from its data.

    Attributes:
        foundation: the training on all other datasets, from random weights.
        continued: the training that continues from there on the dataset itself.
        device: a torch device.
        rhythm: how often trainings save and validate.
        tell: called after every stage, to renew the report.
    """

    foundation: TrainPlan = TrainPlan()
    continued: TrainPlan = CONTINUED
    device: torch.device = torch.device("cpu")
    rhythm: Rhythm = Rhythm()
    tell: Callable[[Results], None] = field(default=lambda results: None)


def run(
    datasets: Sequence[Dataset],
    folder: Path,
    setup: Setup = Setup(),
    held_out: Sequence[str] = (),
    progress: Progress = silent,
    cancel: CancelToken | None = None,
) -> Results:
    """Carries the protocol out, or goes on with what `folder` holds: every finished stage is kept.

    Args:
        datasets: with train, val and test rows, at least two.
        folder: receives a folder for every dataset and stage; made if absent.
        setup: how. More steps prolong the trainings that are there (see `loop.train`).
        held_out: names of the datasets to hold out; empty takes each of them.
        progress: told of every step and image, with the stage's name.
        cancel: looked at between steps and images.

    Returns:
        For every dataset by name, what each stage and baseline gave by its name (see `_Fold.stage`), also those of
        earlier runs.

    Raises:
        DataError: fewer than two datasets, a dataset lacks a split, a stage holds another training or other images.
        Cancelled: `cancel` was used.
    """
    _check(datasets, held_out)
    folds = {
        one.name: _Fold(one, [other for other in datasets if other is not one], folder, setup, progress, cancel)
        for one in datasets
    }
    results = {name: fold.kept() for name, fold in folds.items()}
    for name, fold in folds.items():
        if held_out and name not in held_out:
            continue
        for stage, result in fold.stages():
            results[name][stage] = result
            setup.tell(_begun(results))
    return _begun(results)


def _begun(results: Results) -> Results:
    """Those of the folds that have any."""
    return {name: stages for name, stages in results.items() if stages}


def _check(datasets: Sequence[Dataset], held_out: Sequence[str]) -> None:
    if len(datasets) < 2:
        raise DataError("Leaving one dataset out takes at least two datasets.")
    missing = set(held_out) - {dataset.name for dataset in datasets}
    if missing:
        raise DataError(f"There is no dataset {', '.join(sorted(missing))} to hold out.")
    for dataset in datasets:
        lacking = [split for split in ("train", "val", "test") if not dataset.split(split).items]
        if lacking:
            raise DataError(f"{dataset.name} has no rows for {' and '.join(lacking)}.")


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode("utf-8", "backslashreplace")).hexdigest()


@cache
def _contents(path: Path, stamp: Stamp) -> str:
    """The digest of a file, which is read once for all folds and stages as long as its stamp stays."""
    return sha256(path)


class _Fold:
    """One dataset held out."""

    def __init__(
        self,
        held_out: Dataset,
        others: list[Dataset],
        folder: Path,
        setup: Setup,
        progress: Progress,
        cancel: CancelToken | None,
    ) -> None:
        self.held_out = held_out
        self.others = others
        self.folder = folder / file_name(held_out.name)
        self.setup = setup
        self.progress = progress
        self.cancel = cancel

    def stages(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yields the name and the result of every stage as it is done."""
        for name in baselines.BASELINES:
            yield name, self.baseline(name)
        fold = self.folder / ZERO_SHOT
        yield ZERO_SHOT, self.stage(ZERO_SHOT, fold, None)
        start = Start(chosen_weights(fold))
        weights = fingerprint(start.weights)
        for name in _CONTINUED_STAGES:
            yield name, self.stage(name, self._place(name, weights), start)

    def kept(self) -> dict[str, dict[str, Any]]:
        """What earlier runs gave, by stage or baseline; baselines are done first, so they are there as well."""
        fold = self._result(ZERO_SHOT, self.folder / ZERO_SHOT)
        if fold is None or not self._is_of_these_images(ZERO_SHOT, fold):
            return {}
        found = {name: self.baseline(name) for name in baselines.BASELINES} | {ZERO_SHOT: fold}
        for name in _CONTINUED_STAGES:
            result = self._result(name, self._place(name, fold["weights"]))
            if result is not None and self._is_of_these_images(name, result):
                found[name] = result
        return found

    def baseline(self, name: str) -> dict[str, Any]:
        """Measures classical segmentation on the same test rows."""
        place = self.folder / file_name(name)
        test = [self.held_out.split("test")]
        rows = evaluate(baselines.method(name), test, place, self._named(name), self.cancel, pictures=False)
        return {"test": asdict(Summary.of(rows))}

    def stage(self, name: str, folder: Path, start: Start | None) -> dict[str, Any]:
        """Trains, chooses and measures, or reads what an earlier run of the stage gave.

        Returns:
            `plan` (the last one), `history` (see `record.history`), `datasets`, `images` and `contents` (names of the
            datasets learnt from, and digests of the names of all images and of what their files and masks hold),
            `weights` (fingerprint), `best` (step and Dice on validation patches), `threshold`, `val_dice` (mean over
            datasets of the pooled Dice on validation rows, by which the threshold was chosen), `test` (a `Summary`),
            and `made` (command, commit, hardware, time). Old results lack some of them.
        """
        kept = self._result(name, folder)
        if kept is not None:
            if not self._is_of_these_images(name, kept):
                raise DataError(
                    f"{folder} was trained and measured on other images or masks than there are now. Choose another "
                    "folder for the protocol, or remove that one to have its stage done again."
                )
            return kept
        datasets, plan = self._data(name, folder), self._plan(name)
        tell, setup = self._named(name), self.setup
        train(datasets, plan, folder, setup.device, setup.rhythm, tell, self.cancel, start)
        weights = chosen_weights(folder)
        validation = [dataset.split("val") for dataset in datasets]
        method = self._method(weights, plan, None)
        rows = evaluate(method, validation, folder / f"val {method.mark}", tell, self.cancel, pictures=False)
        counts = probabilities(rows)
        threshold = choose_threshold(counts)
        method = self._method(weights, plan, threshold)
        measured = folder / f"test {method.mark}"
        rows = evaluate(method, [self.held_out.split("test")], measured, tell, self.cancel)
        summary = Summary.of(rows)
        save_sheet(measured, f"{self.held_out.name}, {name}: pooled Dice {number(summary.dice)}", rows)
        result = {
            "plan": asdict(plan),
            "history": record.history(record.read_record(folder)),
            **self._images(name),
            "weights": fingerprint(weights),
            "best": best_step(folder) or None,
            "threshold": threshold,
            "val_dice": float(np.interp(threshold, THRESHOLDS, mean_dice(counts))),
            "test": asdict(summary),
            "evaluation": measured.relative_to(self.folder.parent).as_posix(),
            "made": record.describe(setup.device),
        }
        write_text(folder / RESULT, json.dumps(result, indent=1))
        return result

    def _place(self, stage: str, weights: str) -> Path:
        # Other weights to start from make another training: their folders bear the weights' name.
        return self.folder / f"{stage} {weights[:8]}"

    def _plan(self, stage: str) -> TrainPlan:
        return self.setup.foundation if stage == ZERO_SHOT else self.setup.continued

    def _data(self, stage: str, folder: Path) -> list[Dataset]:
        """What a stage is trained on; a few patches are cut into its folder."""
        if stage in _PATCHES:
            return [few_patches(self.held_out, _PATCHES[stage], self._plan(stage).seed, folder / "patches")]
        return self._source(stage)

    def _source(self, stage: str) -> list[Dataset]:
        return self.others if stage == ZERO_SHOT else [self.held_out]

    def _result(self, stage: str, folder: Path) -> dict[str, Any] | None:
        """What an earlier run of a stage gave under the same plan."""
        path = folder / RESULT
        if not path.is_file():
            return None
        result = json.loads(path.read_text(encoding="utf-8"))
        return result if TrainPlan.from_json(json.dumps(result["plan"])) == self._plan(stage) else None

    def _images(self, stage: str) -> dict[str, Any]:
        source = self._source(stage)
        used = [*(one.split("train", "val") for one in source), self.held_out.split("test")]
        items = {f"{one.name} {item.split} {name}": item for one in used for name, item in named_items(one)}
        contents = [_contents(path, stamp(path)) for name in sorted(items) for path in items[name].files]
        return {
            "datasets": sorted(one.name for one in source),
            "images": _digest(sorted(items)),
            "contents": _digest(contents),
        }

    def _is_of_these_images(self, stage: str, result: Mapping[str, Any]) -> bool:
        # Old results do not say.
        return all(result.get(name, value) == value for name, value in self._images(stage).items())

    def _method(self, weights: Mapping[str, Tensor], plan: TrainPlan, threshold: float | None) -> Method:
        card = card_of(weights, f"without {self.held_out.name}", plan.tile_sizes)
        settings = SegmentSettings(device=str(self.setup.device))
        return Method.of(segmenter_of(weights, card, settings, threshold), self.cancel)

    def _named(self, stage: str) -> Progress:
        return lambda done, total, current: self.progress(done, total, f"{self.held_out.name}, {stage}: {current}")
