"""The menu "Models": which model makes the masks, what is known about it, and what can be done with it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PyQt5 import QtCore, QtWidgets

from ..errors import ModelError
from .exchange import JobState
from .folder.segment_dialog import show_job, show_segment_dialog
from .help_window import show_help
from .models import choice
from .models.details import ModelDetails
from .models.library_process import LibraryProcess
from .preferences import NEWEST
from .session import Session, show_failure
from .settings_dialog import edit_settings
from .trainer_status import show_trainer

TITLE = "Models"
_OLDER_SHOWN = 6
_STATE_NAMES = {
    "queued": "waiting",
    "running": "running",
    "done": "done",
    "cancelled": "cancelled",
    "failed": "stopped",
    "left": "no longer followed",
}


class ModelsMenu(QtCore.QObject):
    """One menu in one window, built anew whenever the library, the choice or the jobs change.

    Args:
        session: the shared state.
        window: RootPainter's window.
        in_project: whether a project is open in it.
    """

    def __init__(self, session: Session, window: QtWidgets.QMainWindow, in_project: bool) -> None:
        super().__init__(window)
        self._session = session
        self._window = window
        self._in_project = in_project
        self.menu = QtWidgets.QMenu(TITLE, window)
        self.menu.setToolTipsVisible(True)
        self._jobs = QtWidgets.QMenu("Segmentation jobs", self.menu)
        insert_after(window.menuBar(), "Network", self.menu)
        # Not at once: a choice that changes the menu comes from an entry of this menu, which must live to its end.
        self._later = QtCore.QTimer(self, singleShot=True, interval=0)
        self._later.timeout.connect(self._build)
        for changed in (session.cards_changed, session.jobs_changed, session.choice_changed):
            changed.connect(self._later.start)
        self.menu.aboutToShow.connect(self._build)
        self._build()

    def _build(self) -> None:
        self.menu.clear()
        group = QtWidgets.QActionGroup(self.menu)
        if self._in_project:
            self.menu.addSection("This project")
            self._add_checkpoints(group)
        self.menu.addSection("Library")
        self._add_library(group)
        self.menu.addSeparator()
        self._add("Segment folder with this model…", lambda: show_segment_dialog(self._session, self._window))
        self._add_jobs()
        self.menu.addSeparator()
        self._add("Details of this model…", self._show_details)
        self._add("Verify this model", self._verify)
        self._add("Import model file…", self._import)
        self.menu.addSeparator()
        self._add("Settings…", self._edit_settings)
        self._add("Trainer…", lambda: show_trainer(self._session, self._window))
        self._add("Help", lambda: show_help(self._window))

    def _add_checkpoints(self, group: QtWidgets.QActionGroup) -> None:
        chosen = choice.project_choice(self._session, self._window)
        found = choice.window_checkpoints(self._window)
        newest = f" ({choice.checkpoint_title(found[0])})" if found else ""
        self._add_radio(group, f"Newest of this project{newest}", NEWEST, chosen)
        for path in found[1 : _OLDER_SHOWN + 1]:
            self._add_radio(group, choice.checkpoint_title(path), choice.checkpoint_choice(path), chosen)

    def _add_library(self, group: QtWidgets.QActionGroup) -> None:
        if not self._session.cards:
            self.menu.addAction("Reading the library…").setEnabled(False)
        if self._in_project:
            chosen = choice.project_choice(self._session, self._window)
        else:
            chosen = choice.library_choice(self._session.preferences.model)
        for card in self._session.cards:
            action = self._add_radio(group, card.title, choice.library_choice(card.name), chosen)
            action.setToolTip(f"{card.size_bytes / 1e6:.0f} MB, {card.licence}")

    def _add_radio(self, group: QtWidgets.QActionGroup, text: str, value: str, chosen: str) -> QtWidgets.QAction:
        action = self.menu.addAction(text)
        action.setCheckable(True)
        action.setChecked(value == chosen)
        action.setActionGroup(group)
        action.triggered.connect(lambda: self._choose(value, text))
        return action

    def _choose(self, value: str, title: str) -> None:
        project = choice.project_folder(self._window) if self._in_project else None
        if project is not None:
            self._session.preferences.set_project_model(project, value)
            self._say(f"{title} makes the masks from now on; press R to see it on this image.")
        elif name := choice.library_name(value):
            self._session.preferences.model = name
        self._session.choice_changed.emit()

    def _edit_settings(self) -> None:
        dialog = edit_settings(self._session, self._window)
        if self._in_project:
            said = "Masks are made with these settings from now on; press R to see them on this image."
            dialog.accepted.connect(lambda: self._say(said))

    def _say(self, words: str) -> None:
        self._window.statusBar().showMessage(words, 10_000)

    def _add(self, text: str, act: object) -> None:
        action = self.menu.addAction(text)
        action.setMenuRole(QtWidgets.QAction.NoRole)  # macOS would move "Settings…" into the program's own menu
        action.triggered.connect(lambda: act())

    def _add_jobs(self) -> None:
        self._jobs.clear()
        for job in reversed(self._session.jobs):
            action = self._jobs.addAction(f"{job.name}: {_how_far(job.state)}")
            action.triggered.connect(partial(self._open_job, job))
        self._jobs.setEnabled(bool(self._session.jobs))
        self.menu.addMenu(self._jobs)

    def _open_job(self, job: object, _checked: bool = False) -> None:
        show_job(self._session, job, self._window)

    def _show_details(self) -> None:
        model = choice.chosen_model(self._session, self._window)
        if model is None:
            self._no_model()
        elif card := model.card or choice.card_begun_with(self._session, self._window, model.file):
            ModelDetails(card, self._window).show()
        else:
            self._show_checkpoint(model.file)

    def _show_checkpoint(self, path: Path) -> None:
        title = f"Checkpoint {choice.checkpoint_title(path)}"
        text = f"{title} of this project."
        box = QtWidgets.QMessageBox(QtWidgets.QMessageBox.Information, title, text, parent=self._window)
        why = "It was saved because it did better on this project's validation annotations than the one before."
        if choice.is_first(path):
            why = "It is what the project began with."
        box.setInformativeText(f"{path}\n{path.stat().st_size / 1e6:.1f} MB\n\n{why}")
        box.open()

    def _verify(self) -> None:
        model = choice.chosen_model(self._session, self._window)
        if model is None or model.card is None:
            self._no_model() if model is None else self._no_checksum()
            return
        title = model.card.title
        self._run("verify", model.card.name, lambda _: f"The file of '{title}' is complete and unchanged.")

    def _import(self) -> None:
        path, _ = QtWidgets.QFileDialog.getOpenFileName(
            self._window, "Import a model file", "", "Model files (*.pth *.safetensors)"
        )
        if path:
            self._run("add", path, lambda title: f"It is in the library as {title}. Choose it in the menu Models.")

    def _run(self, verb: str, argument: str, said: Callable[[str], str]) -> None:
        self._window.statusBar().showMessage("Working on the model file…")
        process = LibraryProcess(verb, argument)
        process.done.connect(lambda result: self._ended(said(result)))
        process.failed.connect(lambda error: self._failed(error))
        process.start()

    def _ended(self, said: str) -> None:
        self._say(said)
        self._session.read_library()

    def _failed(self, error: Exception) -> None:
        self._window.statusBar().clearMessage()
        show_failure(self._window, "This model cannot be used", str(error))

    def _no_model(self) -> None:
        name = choice.project_library_name(self._session, self._window) if self._in_project else None
        try:
            self._session.card(name)
        except ModelError as error:
            show_failure(self._window, "There is no such model", str(error))

    def _no_checksum(self) -> None:
        text = "A project's own checkpoint has no published checksum. The trainer checks the file when it reads it."
        show_failure(self._window, "Nothing to compare with", text)


def _how_far(state: JobState) -> str:
    failed = f", {len(state.failed)} failed" if state.failed else ""
    return f"{_STATE_NAMES.get(state.state, state.state)}, {state.made} of {state.total}{failed}"


def insert_after(bar: QtWidgets.QMenuBar, title: str, menu: QtWidgets.QMenu) -> None:
    """Puts a menu behind the one with that title, or at the end where there is none."""
    actions = bar.actions()
    places = [index for index, action in enumerate(actions) if plain(action.text()) == title]
    if places and places[0] + 1 < len(actions):
        bar.insertMenu(actions[places[0] + 1], menu)
    else:
        bar.addMenu(menu)


def find_menu(window: QtWidgets.QMainWindow, title: str) -> QtWidgets.QMenu | None:
    """The menu of RootPainter's menu bar with that title."""
    for action in window.menuBar().actions():
        if plain(action.text()) == title:
            return action.menu()
    return None


def plain(text: str) -> str:
    """A menu's text without the mark of its key."""
    return text.replace("&", "")
