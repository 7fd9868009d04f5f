"""When a window is closed: work that would end with the program is named first, what was painted is saved, and its
dialogs go with it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from PyQt5 import QtCore, QtWidgets

from .host import lacking
from .session import Session, ask
from .workers import Poll

SAVING = ("save_annotation", "scene.annot_pixmap")
"""What a window has once a project is open in it."""


@cache
def _empty_folder() -> TemporaryDirectory[str]:
    """Of this process, and gone with it."""
    return TemporaryDirectory(prefix="rootpainter_closed_")


class Closing(QtCore.QObject):
    """Watches one of RootPainter's windows."""

    def __init__(self, session: Session, window: QtWidgets.QMainWindow) -> None:
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
        if not self._save():
            event.ignore()
            return True
        for dialog in self._window.findChildren(QtWidgets.QDialog):
            dialog.close()
        # RootPainter never deletes a closed window; what looks at files for it would look for ever.
        for poll in self._window.findChildren(Poll):
            poll.stop()
        if hasattr(self._window, "message_dir"):
            # It goes on to take messages as well, and would take those of the project's next window.
            self._window.message_dir = Path(_empty_folder().name)
        return False

    def _save(self) -> bool:
        """Saves what was painted, which RootPainter does only on the way to another image; whether it may close."""
        # A window that was closed before may be told so again, when a newer one has changed the annotation.
        if self._unsaved or not self._window.isVisible() or lacking(self._window, SAVING) is not None:
            return True
        try:
            self._window.save_annotation()
        except OSError as error:
            self._ask_unsaved(error)
            return False
        return True

    def _ask_unsaved(self, error: OSError) -> None:
        def close() -> None:
            self._unsaved = True
            self._window.close()

        text = f"What was painted last cannot be saved: {error.strerror or error}."
        more = "Is the drive connected, and has its disk room? Then close the window once more."
        ask(self._window, text, more, "Close without saving", "Keep the window", close)

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
