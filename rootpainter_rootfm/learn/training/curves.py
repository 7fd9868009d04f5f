"""The log of a training and its curves."""

from __future__ import annotations

import csv
import json
import logging
import time
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...files import replacing, write_text
from .state import BEST

if TYPE_CHECKING:
    from .validation import Report

LOG = "log.csv"
COLUMNS = ("step", "time", "seconds_per_step", "rate", "loss", "dice")
"""Of the log; further ones bear the names of datasets."""
BEST_STEP = "best_step.json"
CURVES = "curves.png"


def best_step(folder: Path) -> dict[str, Any]:
    """What `TrainLog.keep_best` noted of the best weights in the folder of a training; nothing where they are gone."""
    note = folder / BEST_STEP
    return json.loads(note.read_text(encoding="utf-8")) if note.is_file() and (folder / BEST).is_file() else {}


class TrainLog:
    """Appends a row to `log.csv` at each validation and draws `curves.png` from all of them.

    A resumed training goes on with the rows that are there; rows after the step it resumed from are superseded. Rows
    from before a dataset had images to validate on are empty there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._losses: list[float] = []
        self._since = time.monotonic()
        self.rows = self._read()

    def _read(self) -> list[dict[str, str]]:
        path = self._folder / LOG
        if not path.is_file():
            return []
        with open(path, newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    @property
    def best(self) -> dict[str, Any]:
        """What `keep_best` noted, or nothing. The digest is not in notes of old trainings."""
        return best_step(self._folder)

    @property
    def best_dice(self) -> float:
        """The mean Dice of the best weights that were kept; -1 before the first validation, and where they are gone.

        It outlives the rows: a training that is prolonged must not replace the weights of its first end by worse ones
        on the way.
        """
        if not (self._folder / BEST).is_file():
            return -1.0
        rows = max((float(row["dice"]) for row in self.rows), default=-1.0)
        return self.best.get("dice", rows)

    def keep_best(self, step: int, dice: float, digest: str) -> None:
        """Notes which weights were kept as the best, and the digest of the patches on which they were."""
        write_text(self._folder / BEST_STEP, json.dumps({"step": step, "dice": dice, "patches": digest}))

    def step(self, loss: float) -> None:
        """Takes in the loss of a step."""
        self._losses.append(loss)

    def validation(self, step: int, rate: float, report: Report, seconds: float) -> None:
        """Writes the row of a validation and renews the curves."""
        cells = (
            str(step),
            time.strftime("%Y-%m-%d %H:%M:%S"),
            f"{(time.monotonic() - self._since - seconds) / max(1, len(self._losses)):.3f}",
            f"{rate:.2e}",
            f"{np.nanmean(self._losses) if np.isfinite(self._losses).any() else np.nan:.4f}",
            f"{report.mean:.4f}",
        )
        row = dict(zip(COLUMNS, cells, strict=True)) | {name: f"{value:.4f}" for name, value in report.dice.items()}
        self.rows = [kept for kept in self.rows if int(kept["step"]) < step] + [row]
        self._losses, self._since = [], time.monotonic()
        with replacing(self._folder / LOG) as beside, open(beside, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(dict.fromkeys(chain(*self.rows))))
            writer.writeheader()
            writer.writerows(self.rows)
        self._draw(list(report.dice))

    def _draw(self, names: list[str]) -> None:
        try:
            from matplotlib.figure import Figure
        except ImportError:
            logging.getLogger(__name__).info("No curves: install matplotlib to have them drawn.")
            return
        figure = Figure(figsize=(9, 4), layout="constrained")
        left, right = figure.subplots(1, 2)
        steps = [int(row["step"]) for row in self.rows]
        left.plot(steps, [float(row["loss"]) for row in self.rows])
        left.set(xlabel="step", ylabel="loss", title="Training loss")
        for name in names:
            right.plot(steps, [float(row.get(name) or "nan") for row in self.rows], linewidth=1, label=name)
        right.plot(steps, [float(row["dice"]) for row in self.rows], color="black", linewidth=2, label="mean")
        right.set(xlabel="step", ylabel="Dice", ylim=(0, 1), title="Validation patches")
        right.legend(fontsize="small")
        with replacing(self._folder / CURVES) as beside:
            figure.savefig(beside, dpi=110)
