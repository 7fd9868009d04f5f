"""The file in a project's logs that tells of its training; the window plots it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .logs import Journal

if TYPE_CHECKING:
    from ..learn.fine_tuning.measuring import Measured

STATE = ".rootfm_training.json"
HISTORY = 500
"""Epochs that the window can plot."""


class TrainingFile:
    """The state of one training.

    Args:
        logs: the project's folder of logs.
        patience: epochs without progress after which training ends.
        journal: writes later what cannot be written now.

    Attributes:
        epoch, without_progress: epochs validated, and those since a better model was saved.
        ripeness: how far it is on the way to its first check, 0 to 1.
        saved: file name of the last model that it saved.
    """

    def __init__(self, logs: Path, patience: int, journal: Journal) -> None:
        self.epoch = self.without_progress = 0
        self.ripeness = 0.0
        self.saved: str | None = None
        self._path, self._journal = logs / STATE, journal
        self._history: list[dict[str, float]] = []
        self._started = time.time()
        self._patience = patience

    def show(self, state: str, message: str) -> None:
        """Writes it anew.

        Raises:
            OSError: that is not possible just now.
        """
        shown: dict[str, Any] = {
            "started": self._started,
            "patience": self._patience,
            "state": state,
            "message": message,
            "epoch": self.epoch,
            "epochs_without_progress": self.without_progress,
            "ripeness": self.ripeness,
            "best_dice": self._history[-1]["best"] if self._history else None,
            "history": self._history,
            "saved": self.saved,
        }
        self._journal.write(self._path, json.dumps(shown))

    def add(self, before: Measured, current: Measured, better: bool, saved: bool) -> None:
        """An epoch was validated: the best model before it, its own, and whether that is better and was saved."""
        if not self._history:
            self._plot(self._started, before, before)
        self.epoch += 1
        self.without_progress = 0 if better else self.without_progress + 1
        self._plot(time.time(), current, current if saved else before)
        del self._history[:-HISTORY]

    def _plot(self, moment: float, current: Measured, best: Measured) -> None:
        self._history.append({"time": moment, "epoch": self.epoch, "dice": current.score, "best": best.score})
