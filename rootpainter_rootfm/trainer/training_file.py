"""The file in a project's logs that tells of its training: the window plots it, and the next training reads it."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import files

if TYPE_CHECKING:
    from ..learn.measuring import Measured

STATE = ".rootfm_training.json"
HISTORY = 500
"""Epochs that the window can plot."""


@dataclass(frozen=True)
class Lineage:
    """Where the last saved model of a project came from.

    Attributes:
        model: its file name.
        begun_with: file name of the model that its training began with; None for the foundation model.
        divided: whether it learnt from a part of an image and was validated on the rest.
    """

    model: str
    begun_with: str | None
    divided: bool


class TrainingFile:
    """The state of one training.

    Args:
        logs: the project's folder of logs.
        patience: epochs without progress after which training ends.

    Attributes:
        epoch, without_progress: epochs validated, and those since a better model was saved.
        last_saved: of this training or an earlier one; None where nothing is known.
    """

    def __init__(self, logs: Path, patience: int) -> None:
        self.epoch = self.without_progress = 0
        self._path = logs / STATE
        self.last_saved = _lineage(self._path)
        self._saved: str | None = None
        self._history: list[dict[str, float]] = []
        self._fixed = {"started": time.time(), "patience": patience}

    def show(self, state: str, message: str) -> None:
        """Writes it anew.

        Raises:
            OSError: that is not possible.
        """
        shown: dict[str, Any] = {
            **self._fixed,
            "state": state,
            "message": message,
            "epoch": self.epoch,
            "epochs_without_progress": self.without_progress,
            "best_dice": self._history[-1]["best"] if self._history else None,
            "history": self._history,
            "saved": self._saved,
            "last_saved": asdict(self.last_saved) if self.last_saved else None,
        }
        files.write_text(self._path, json.dumps(shown))

    def save(self, lineage: Lineage) -> None:
        """A better model was saved."""
        self._saved, self.last_saved = lineage.model, lineage

    def add(self, learnt: Measured, current: Measured, best: Measured, better: bool) -> None:
        """An epoch was validated."""
        self.epoch += 1
        self.without_progress = 0 if better else self.without_progress + 1
        self._history.append(
            {
                "time": time.time(),
                "epoch": self.epoch,
                "dice": current.score,
                "best": best.score,
                "loss": learnt.loss,
            }
        )
        del self._history[:-HISTORY]


def _lineage(path: Path) -> Lineage | None:
    """What an earlier training left; None where it left nothing, or nothing whole."""
    try:
        return Lineage(**json.loads(path.read_text(encoding="utf-8"))["last_saved"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
