"""When the mask of the image on the screen does not come: why, and what to do, instead of "Loading" for ever."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

from PyQt5 import QtCore, QtWidgets

from ..exchange import Heartbeat, mask_owed
from ..session import Session, show_failure
from ..trainer_life import Life
from ..workers import Poll
from .tracking import let_go_on

_LOOK_EVERY = 2.0
_PATIENCE = 8.0
"""Seconds until a word is said: a mask usually takes less."""
_OLD_TRAINER_PATIENCE = 45.0
_LOOKS_WITHOUT_WORD = 5
"""Looks in a row at which nobody owes the mask any more, until it counts as one that cannot be made."""
_WAITING = "Waiting for the mask"


class MaskWait(QtCore.QObject):
    """Watches one project window; says the same thing once."""

    def __init__(self, session: Session, window: Any) -> None:
        super().__init__(window)
        self._session = session
        self._window = window
        self._waiting_for = ""
        self._since = 0.0
        self._without_word = 0
        self._box: QtWidgets.QMessageBox | None = None
        self._said: set[str] = set()
        self._was_alive = session.trainer.alive
        self._poll = Poll(self._look, _LOOK_EVERY, self)
        self._poll.seen.connect(self._see)
        self._poll.start()
        session.trainer_changed.connect(self._trainer_changed)

    def _look(self) -> tuple[str, bool, bool]:
        """In a thread: which mask, whether it is there, whether a request for it still waits to be answered."""
        path = str(self._window.seg_path)
        there = os.path.isfile(path)
        try:
            owed = not there and mask_owed(self._session.folder, Path(path))
        except OSError:
            owed = True
        return path, there, owed

    def _see(self, found: tuple[str, bool, bool]) -> None:
        path, there, owed = found
        self._without_word = 0 if there or owed or path != self._waiting_for else self._without_word + 1
        if there or path != self._waiting_for:
            self._waiting_for, self._since = path, time.monotonic()
            if there:
                self._retract()
                if self._window.statusBar().currentMessage().startswith(_WAITING):
                    self._window.statusBar().clearMessage()
                return
        waited = time.monotonic() - self._since
        if waited >= _PATIENCE:
            self._explain(waited, owed)
            if self._given_up:
                let_go_on(self._window)

    @property
    def _given_up(self) -> bool:
        """Whether a trainer answers, but does not owe the mask any more, or said that it could not make it."""
        trainer = self._session.trainer
        project, failure = trainer.heartbeat.failure if trainer.heartbeat is not None else ("", "")
        own = project in ("", Path(self._window.proj_location).name)  # images of another may have the same name
        said = own and _names(failure, Path(self._window.image_path).name)
        return trainer.alive and (said or self._without_word >= _LOOKS_WITHOUT_WORD)

    def _explain(self, waited: float, owed: bool) -> None:
        trainer = self._session.trainer
        bar = self._window.statusBar()
        name = Path(self._window.image_path).name
        if trainer.starting:
            bar.showMessage("The trainer is starting; the first mask takes up to a minute.", 3000)
        elif self._given_up:
            bar.showMessage(f"No mask could be made of {name}. Go on to the next image; R tries it again.", 3000)
        elif trainer.alive:
            bar.showMessage(f"{_WAITING} of {name}: the trainer {doing(trainer.heartbeat)}. ({waited:.0f} s)", 3000)
        elif trainer.life is Life.SILENT:
            self._explain_silence(waited, owed)

    def _explain_silence(self, waited: float, owed: bool) -> None:
        folder = self._session.folder
        if owed:
            self._say(
                "No trainer answers",
                f"The request for a mask lies in {folder / 'instructions'} and nobody answers it.\n\n"
                "Start a trainer: Models → Trainer…, or on the machine that shares this folder: "
                f"rootfm trainer --syncdir {folder}",
            )
        elif waited > _OLD_TRAINER_PATIENCE:
            self._say(
                "A trainer without this plugin answers",
                "It took the request for a mask but has made none; RootPainter's own trainer may still be busy, or be "
                "too old to read foundation models.\n\nOn its machine run 'pip install .' in this program's folder, "
                f"then: rootfm trainer --syncdir {folder}",
            )

    def _say(self, title: str, text: str) -> None:
        if title not in self._said:
            self._said.add(title)
            self._box = show_failure(self._window, title, text)
            self._box.finished.connect(self._forget)

    def _retract(self) -> None:
        """What was said is no longer true."""
        if self._box is not None:
            self._box.close()

    def _forget(self) -> None:
        self._box = None

    def _trainer_changed(self) -> None:
        """A trainer that has just come may have thrown away what was asked before, as RootPainter's own does."""
        came = self._session.trainer.alive and not self._was_alive
        self._was_alive = self._session.trainer.alive
        if came:
            self._retract()
        if came and self._window.isVisible() and not os.path.isfile(self._window.seg_path):
            self._window.segment_image([os.path.basename(self._window.image_path)])


def _names(message: str, name: str) -> bool:
    """Whether a message names this file, and not one whose name ends with this one."""
    return re.search(rf"(?<![\w.-]){re.escape(name)}(?!\w)", message) is not None


def doing(beat: Heartbeat | None) -> str:
    """What keeps a trainer that answers from sending a mask, in words that follow its name."""
    if beat is not None and beat.state == "training":
        return "trains"
    if beat is not None and beat.state == "segmenting":
        return "segments a folder" if beat.job else "is at work on it"
    return "has not sent it yet"
