"""The Root Foundation Model as a plugin of RootPainter: puts the parts into the window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PyQt5 import QtWidgets

from .closing import Closing
from .folder import host_segment
from .folder.jobs import adopt
from .host import Host, lacking
from .models_menu import ModelsMenu, find_menu
from .plugins import Plugin
from .project import annotation, new_project, requests, tracking
from .project.project import Project
from .project.view import NEEDS
from .session import Session, show_failure
from .trainer_status import TrainerStatus

_PROJECT_PART = "mask view, image list and training panel"
_CHANGE_FOLDER = "Specify sync directory"


class RootFMPlugin(Plugin):
    """Entry point ``rootfm`` of the group ``root_painter.plugins``.

    Attributes:
        starts_trainer: whether a trainer is started where none answers; set before a window opens.
        session: what the windows share, from the first window on.
    """

    name = "Root Foundation Model"
    seams = (*host_segment.SEAMS, *new_project.SEAMS, *requests.SEAMS, *annotation.SEAMS, *tracking.SEAMS)

    def __init__(self) -> None:
        self.starts_trainer = True
        self.session: Session | None = None
        self._host: Host | None = None

    def install(self, host: Host, missing: dict[str, str]) -> None:
        """Wraps the parts of RootPainter that are as expected."""
        self._host = host
        for part in (host_segment, new_project, requests):
            if part.PART not in missing:
                part.install(host, lambda: self.session)
        for part in (annotation, tracking):
            if part.PART not in missing:
                part.install(host)

    def sync_folder_set(self, window: QtWidgets.QMainWindow, folder: Path) -> None:
        """Follows the window to its sync folder."""
        if self.session is None:
            self.session = Session(folder, self.starts_trainer)
            self.session.trainer_changed.connect(self._trainer_changed)
        else:
            self.session.work_in(folder)

    def menu_built(self, window: QtWidgets.QMainWindow, in_project: bool) -> None:
        """Adds the menu Models, and the trainer's state at the lower edge."""
        if self.session is None:
            return
        self.session.project = Path(window.proj_location).name if in_project else ""
        window.rootfm_menu = ModelsMenu(self.session, window, in_project)
        if not hasattr(window, "rootfm_status"):
            window.rootfm_status = TrainerStatus(self.session, window)
            window.statusBar().addPermanentWidget(window.rootfm_status)
            window.rootfm_closing = Closing(self.session, window)
        if in_project:
            _keep_sync_folder(window)

    def project_opened(self, window: Any) -> None:
        """Adds what an open project has."""
        if self.session is None or self._host is None:
            return
        fault = lacking(window, NEEDS)
        if fault:
            show_failure(window, _PROJECT_PART, self._host.explain(_PROJECT_PART, f"{fault} is missing"))
            return
        window.rootfm_project = Project(self.session, window, window.rootfm_menu.menu)

    def _trainer_changed(self) -> None:
        if self.session is not None:
            adopt(self.session)

    def shut_down(self) -> None:
        """Ends the trainer that was started for the windows."""
        if self.session is not None:
            self.session.shut_down()
            self.session = None


def _keep_sync_folder(window: QtWidgets.QMainWindow) -> None:
    """RootPainter would ask the trainer of another folder for the masks of this one's project."""
    extras = find_menu(window, "Extras")
    for action in extras.actions() if extras is not None else ():
        if action.text() == _CHANGE_FOLDER:
            action.setEnabled(False)
            action.setText(f"{_CHANGE_FOLDER} (close the project first)")
