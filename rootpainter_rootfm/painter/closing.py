"""When a window is closed: work that would end with the program is named first, what was painted is saved, and its
dialogs go with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PyQt5 import QtCore, QtGui, QtWidgets

from .host import lacking
from .session import Session, ask
from .workers import Poll

SAVING = ("save_annotation", "scene.annot_pixmap")
"""What a window has once a project is open in it."""
_HOLDERS = ("image_pixmap_holder", "seg_pixmap_holder", "annot_pixmap_holder")
_PIXMAPS = ("seg_pixmap", "annot_pixmap", "blank_pixmap", "black_pixmap")
_LARGE = ("scene.history", "scene.redo_list", "scene.annot_pixmap", "np_im", *_HOLDERS, *_PIXMAPS)
"""What takes the memory of an open project: its photograph, mask and strokes, with those of fifty steps back."""


class Closing(QtCore.QObject):
    """Watches one of RootPainter's windows."""

    def __init__(self, session: Session, window: Any) -> None:
        super().__init__(window)
        self._session = session
        self._window = window
        self._sure = self._unsaved = False
        window.installEventFilter(self)

    def eventFilter(self, watched: QtCore.QObject, event: QtCore.QEvent) -> bool:
        """Stops the user's closing while there is work; RootPainter's own, as in Close project, goes through."""
        if watched is not self._window or event.type() != QtCore.QEvent.Close:
            return False
        work = self._work()
        if event.spontaneous() and work and not self._sure:
            event.ignore()
            self._ask(work)
            return True
        of_program = event.spontaneous() or self._sure
        if not self._save(self._window.close if of_program else self._window.close_project_window):
            event.ignore()
            return True
        for dialog in self._window.findChildren(QtWidgets.QDialog):
            dialog.close()
        # What its menus call may hold the window until the program ends, and it would look at files for so long.
        for poll in self._window.findChildren(Poll):
            poll.stop()
        QtCore.QTimer.singleShot(0, self._let_go)
        return False

    def _let_go(self) -> None:
        """Frees what is large in a window that is closed."""
        window = self._window
        if window.isVisible() or lacking(window, _LARGE):
            return
        nothing = QtGui.QPixmap()
        for name in _HOLDERS:
            getattr(window, name).setPixmap(nothing)
        for name in _PIXMAPS:
            setattr(window, name, nothing)
        window.scene.history, window.scene.redo_list, window.scene.annot_pixmap = [], [], nothing
        window.np_im = None

    def _save(self, close: Callable[[], Any]) -> bool:
        """Saves what was painted, which RootPainter does only on the way to another image; whether it may close."""
        # A window that was closed before may be told so again, when a newer one has changed the annotation.
        if self._unsaved or not self._window.isVisible() or lacking(self._window, SAVING) is not None:
            return True
        try:
            self._window.save_annotation()
        except OSError as error:
            self._ask_unsaved(error, close)
            return False
        return True

    def _ask_unsaved(self, error: OSError, close: Callable[[], Any]) -> None:
        def give_up() -> None:
            self._unsaved = True
            close()

        text = f"What was painted last cannot be saved: {error.strerror or error}."
        more = "Is the drive connected, and has its disk room? Then close the window once more."
        ask(self._window, text, more, "Close without saving", "Keep the window", give_up)

    def _work(self) -> str:
        """What would end with our trainer, in words; empty where nothing would."""
        trainer = self._session.trainer
        if not trainer.running:
            return ""
        work = [
            f"The folder {job.name} is being segmented, {job.state.done} of {job.state.total} done."
            for job in self._session.jobs
            if not job.state.ended
        ]
        if trainer.heartbeat is not None and trainer.heartbeat.training:
            work.append(f"The project {trainer.heartbeat.training} is being trained.")
        return "\n".join(work)

    def _ask(self, work: str) -> None:
        def close() -> None:
            self._sure = True
            self._window.close()

        more = (
            "The trainer was started by this window and ends with it. Masks and models that are made are kept, and a "
            "folder is continued when a trainer is started again; a training has to be started anew."
        )
        ask(self._window, work, more, "Stop and close", "Keep working", close)
