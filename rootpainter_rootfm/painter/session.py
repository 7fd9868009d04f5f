"""What all windows of one program share: sync folder, preferences, trainer, the library's cards and the jobs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PyQt5 import QtCore, QtWidgets

from ..errors import ModelError
from ..model.card import ModelCard
from ..model.library import Library
from . import exchange
from .models.library_process import LibraryProcess
from .preferences import Preferences
from .trainer_control import TrainerControl
from .workers import Task

# A dialog that belongs to no window lives only as long as somebody holds it.
_open: set[QtWidgets.QMessageBox] = set()


class Session(QtCore.QObject):
    """Shared state of the windows.

    Attributes:
        folder: the sync folder.
        preferences: what the user chose.
        trainer: the trainer of the sync folder.
        cards: the library's models, empty until they are read.
        jobs: the folder jobs of this session, newest last.
        project: the name of the project that is open, empty where none is.
    """

    cards_changed = QtCore.pyqtSignal()
    jobs_changed = QtCore.pyqtSignal()
    choice_changed = QtCore.pyqtSignal()
    trainer_changed = QtCore.pyqtSignal()
    notice = QtCore.pyqtSignal(str)
    """A few words on what goes on in the background, for the lower edge of the windows."""
    training_asked = QtCore.pyqtSignal(object)
    """The window in whose project training was started."""

    def __init__(self, folder: Path, starts_trainer: bool) -> None:
        super().__init__()
        self.folder = folder
        self.preferences = Preferences()
        self.cards: list[ModelCard] = []
        self.jobs: list[Any] = []
        self.project = ""
        self._starts_trainer = starts_trainer
        self._told: set[str] = set()
        self._preparing: dict[Path, list[tuple[Callable[[Path], None], Callable[[Exception], None]]]] = {}
        self.trainer = self._control()
        self.read_library()

    def work_in(self, folder: Path) -> None:
        """Moves to another sync folder; the trainer of the old one ends, if it is ours, and its jobs are left."""
        if folder == self.folder:
            return
        for job in self.jobs:
            job.leave()
        self.trainer.shut_down()
        self.folder = folder
        self.trainer = self._control()
        self.trainer_changed.emit()

    def read_library(self) -> None:
        """Reads the library's cards in a thread."""
        task = Task(lambda cancel, progress: (Library().cards(), Library().damaged()))
        task.done.connect(self._have_cards)
        task.failed.connect(lambda error: show_failure(None, "The model library cannot be read", str(error)))
        task.start()

    def card(self, name: str | None = None) -> ModelCard:
        """The library model of that name, or the chosen one; raises `ModelError` when the library has none."""
        wanted = name or self.preferences.model
        for card in self.cards:
            if card.name == wanted:
                return card
        known = ", ".join(card.name for card in self.cards) or "none"
        raise ModelError(f"The model '{wanted}' is not in the library. Choose one in the menu Models: {known}.")

    def prepared(self, card: ModelCard) -> Path:
        """Where the sync folder keeps a library model for its trainers."""
        return self.folder / exchange.MODELS / f"{card.sha256}.pth"

    def prepare(self, card: ModelCard, then: Callable[[Path], None], failed: Callable[[Exception], None]) -> None:
        """Puts a library model into the sync folder if it is not there, then calls `then` with its path."""
        target = self.prepared(card)
        waiting = self._preparing.setdefault(target, [])
        waiting.append((then, failed))
        if len(waiting) > 1:
            return  # it is on its way for another image

        def have(path: Path) -> None:
            for then, _ in self._preparing.pop(target):
                then(path)

        def have_not(error: Exception) -> None:
            for _, failed in self._preparing.pop(target):
                failed(error)

        process = LibraryProcess("prepare", card.name, str(target))
        process.progress.connect(lambda done, total, _: self.notice.emit(f"{card.title}: {done / max(1, total):.0%}"))
        process.done.connect(lambda path: have(Path(path)))
        process.failed.connect(have_not)
        # False also for a folder that cannot be looked into; the process says why.
        task = Task(lambda cancel, progress: os.path.isfile(target))
        task.done.connect(lambda there: have(target) if there else process.start())
        task.start()

    def shut_down(self) -> None:
        """Ends what the session runs."""
        self.trainer.shut_down()

    def _control(self) -> TrainerControl:
        control = TrainerControl(self.folder, self._starts_trainer, self)
        control.changed.connect(self.trainer_changed)
        control.trouble.connect(lambda title, text: show_failure(None, title, text))
        control.failed.connect(self._tell_failure)
        return control

    def _tell_failure(self, project: str, sentence: str) -> None:
        """A failure of another project interrupts nobody here: its own window tells of it."""
        if project in ("", self.project):
            show_failure(None, "The trainer met a problem", sentence)
        else:
            self.notice.emit(f"Project {project}: {sentence}")

    def _have_cards(self, found: tuple[list[ModelCard], list[str]]) -> None:
        self.cards, damaged = found
        self.cards_changed.emit()
        for sentence in damaged:
            if sentence not in self._told:
                self._told.add(sentence)
                show_failure(None, "A model of the library is damaged", sentence)


def ask(window: QtWidgets.QWidget, text: str, more: str, yes: str, no: str, then: Callable[[], Any]) -> None:
    """A question over a window, which does not hold up the program: `then` is called for `yes`, `no` is the default."""
    box = QtWidgets.QMessageBox(QtWidgets.QMessageBox.Question, "RootPainter", text, parent=window)
    box.setInformativeText(more)
    agreed = box.addButton(yes, QtWidgets.QMessageBox.AcceptRole)
    box.setDefaultButton(box.addButton(no, QtWidgets.QMessageBox.RejectRole))
    box.setAttribute(QtCore.Qt.WA_DeleteOnClose)
    agreed.clicked.connect(lambda: QtCore.QTimer.singleShot(0, then))  # once the question itself is gone
    box.open()


def show_failure(parent: QtWidgets.QWidget | None, title: str, text: str) -> QtWidgets.QMessageBox:
    """A dialog with a cause and the next step; it does not hold up the program."""
    over = parent or QtWidgets.QApplication.activeWindow()
    while isinstance(over, QtWidgets.QMessageBox):
        over = over.parentWidget()  # which goes when the user has read it, and would take this one along
    box = QtWidgets.QMessageBox(QtWidgets.QMessageBox.Warning, "RootPainter", title, parent=over)
    box.setInformativeText(text)
    box.setAttribute(QtCore.Qt.WA_DeleteOnClose)
    _open.add(box)
    box.finished.connect(lambda _: _open.discard(box))
    box.open()
    return box
