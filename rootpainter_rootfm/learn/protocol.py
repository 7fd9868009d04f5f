"""The measuring protocol: how well a model does on an imaging system that it has never seen, and after a little help.

For every dataset in turn a model is trained on all the others (zero-shot), and continued on the dataset itself: on
all its train rows (fine-tuned, the ceiling), and on 3 and on 10 patches of them. Every stage chooses its weights and
its threshold on validation rows of what it may learn from, and is measured once on the dataset's test rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import DataError
from ..files import write_text
from ..progress import CancelToken, Progress, silent
from ..segment.settings import SegmentSettings
from . import baselines, record
from .calibration import choose_threshold
from .curves import BEST_STEP
from .data import Dataset
from .evaluate import Method, Summary, evaluate, file_name, probabilities
from .few_shot import few_patches
from .loop import Rhythm, Start, train
from .plan import TrainPlan
from .report import save_sheet
from .state import chosen_weights
from .trained import card_of, fingerprint, segmenter_of

ZERO_SHOT, FINE_TUNED = "zero-shot", "fine-tuned"
FEW = (3, 10)
RESULT = "result.json"

CONTINUED = TrainPlan(
    steps=400, scale=(0.7, 1.4), drawn=0.0, rate=1e-4, warmup=20, cooldown=0.5, decay=0.01, frozen_statistics=True
)


def few_shot(count: int) -> str:
    """The name of the stage with `count` patches."""
    return f"{count} patches"


Results = dict[str, dict[str, dict[str, Any]]]
"""What `run` gives: by dataset, by stage or baseline."""

STAGES = (ZERO_SHOT, FINE_TUNED, *(few_shot(count) for count in FEW))


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
        setup: how. More steps prolong the trainings that are there; other changes are refused.
        held_out: names of the datasets to hold out; empty takes each of them.
        progress: told of every step and image, with the stage's name.
        cancel: looked at between steps and images.

    Returns:
        For every dataset by name, what each stage and baseline gave by its name (see `_Fold.stage`).

    Raises:
        DataError: fewer than two datasets, a dataset lacks a split, a stage holds another training.
        Cancelled: `cancel` was used.
    """
    _check(datasets, held_out)
    results: Results = {}
    for dataset in datasets:
        if held_out and dataset.name not in held_out:
            continue
        fold = _Fold(dataset, [other for other in datasets if other is not dataset], folder, setup, progress, cancel)
        for name, result in fold.stages():
            results.setdefault(dataset.name, {})[name] = result
            setup.tell(results)
    return results


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
        yield ZERO_SHOT, self.stage(ZERO_SHOT, self.others, self.setup.foundation, fold, None)
        start = Start(chosen_weights(fold))
        # Other weights to start from make another training: their folders bear the weights' name.
        beside = fingerprint(start.weights)[:8]
        tuned = self.folder / f"{FINE_TUNED} {beside}"
        yield FINE_TUNED, self.stage(FINE_TUNED, [self.held_out], self.setup.continued, tuned, start)
        for count in FEW:
            name = few_shot(count)
            place = self.folder / f"{name} {beside}"
            few = few_patches(self.held_out, count, self.setup.continued.seed, place / "patches")
            yield name, self.stage(name, [few], self.setup.continued, place, start)

    def baseline(self, name: str) -> dict[str, Any]:
        """Measures classical segmentation on the same test rows."""
        place = self.folder / file_name(name)
        test = [self.held_out.split("test")]
        rows = evaluate(baselines.method(name), test, place, self._named(name), self.cancel, pictures=False)
        return {"test": asdict(Summary.of(rows))}

    def stage(
        self, name: str, datasets: list[Dataset], plan: TrainPlan, folder: Path, start: Start | None
    ) -> dict[str, Any]:
        """Trains, chooses and measures, or reads what an earlier run of the stage gave.

        Returns:
            `plan`, `weights` (fingerprint), `best` (step and Dice on validation patches), `threshold`, `val_dice`
            (mean over datasets of the pooled Dice on validation rows, by which the threshold was chosen), `test` (a
            `Summary`), and `made` (command, commit, hardware, time).
        """
        kept = folder / RESULT
        if kept.is_file():
            result = json.loads(kept.read_text(encoding="utf-8"))
            if TrainPlan.from_json(json.dumps(result["plan"])) == plan:
                return result
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
        save_sheet(measured, f"{self.held_out.name}, {name}: pooled Dice {summary.dice:.3f}", rows)
        best = folder / BEST_STEP
        result = {
            "plan": asdict(plan),
            "weights": fingerprint(weights),
            "best": json.loads(best.read_text(encoding="utf-8")) if best.is_file() else None,
            "threshold": threshold,
            "val_dice": float(np.mean([one.dice[round(threshold * 100) - 1] for one in counts.values()])),
            "test": asdict(summary),
            "evaluation": measured.relative_to(self.folder.parent).as_posix(),
            "made": record.describe(setup.device),
        }
        write_text(kept, json.dumps(result, indent=1))
        return result

    def _method(self, weights: Mapping[str, Tensor], plan: TrainPlan, threshold: float | None) -> Method:
        card = card_of(weights, f"without {self.held_out.name}", plan.tile_sizes)
        settings = SegmentSettings(device=str(self.setup.device))
        return Method.of(segmenter_of(weights, card, settings, threshold), self.cancel)

    def _named(self, stage: str) -> Progress:
        return lambda done, total, current: self.progress(done, total, f"{self.held_out.name}, {stage}: {current}")
