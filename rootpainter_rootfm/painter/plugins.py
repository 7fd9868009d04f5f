"""The plugin interface of the window: what a plugin is, how it is found, and how its errors stay its own.

A plugin is an entry point of the group ``root_painter.plugins`` that names a class like `Plugin`; a package
brings its own without touching this one. See docs/plugins.md.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from PyQt5 import QtWidgets

from .host import Host, Seam, lacking, wrap

GROUP = "root_painter.plugins"
WINDOW_SEAMS = (
    Seam("the menus of plugins", "root_painter", "RootPainter", "init_missing_project_ui"),
    Seam("the menus of plugins", "root_painter", "RootPainter", "add_menu"),
    Seam("plugins in an open project", "root_painter", "RootPainter", "open_project", ("proj_file_path",)),
    Seam("the sync folder of plugins", "root_painter", "RootPainter", "assign_sync_directory", ("sync_dir",)),
)

log = logging.getLogger(__name__)


class Plugin:
    """What RootPainter's window tells a plugin; a plugin overrides what it wants to hear.

    Attributes:
        name: how the plugin is called in messages.
        seams: the places of RootPainter that it holds on to; a missing one is reported before `install`.
    """

    name: str = "plugin"
    seams: Sequence[Seam] = ()

    def install(self, host: Host, missing: dict[str, str]) -> None:
        """Once, before any window is built: wrap what is to be wrapped; `missing` maps parts to why they cannot be."""

    def sync_folder_set(self, window: QtWidgets.QMainWindow, folder: Path) -> None:
        """A window works with this sync folder from now on; the window's own parts may not exist yet."""

    def menu_built(self, window: QtWidgets.QMainWindow, in_project: bool) -> None:
        """RootPainter has made its menu bar anew; what a plugin put there before is gone."""

    def project_opened(self, window: QtWidgets.QMainWindow) -> None:
        """A project is open in the window, its first image on the screen."""

    def shut_down(self) -> None:
        """The program ends."""


class Plugins:
    """The loaded plugins; the first error in each is shown, and none reaches RootPainter or the others.

    Attributes:
        loaded: the plugins that work.
        faults: sentences for the user about what does not.
    """

    def __init__(self, host: Host, found: Sequence[EntryPoint] | None = None) -> None:
        self.host = host
        self.loaded: list[Plugin] = []
        self.faults: list[str] = []
        self._told: list[object] = []
        for entry in sorted(entry_points(group=GROUP) if found is None else found, key=lambda entry: entry.name):
            try:
                self.loaded.append(entry.load()())
            except Exception as error:  # whatever a foreign module raises must not keep RootPainter from opening
                self._report(entry, f"The plugin '{entry.name}' could not be loaded: {error}", error)
        self._install()

    def tell(self, hook: str, *arguments: Any) -> None:
        """Calls one hook of every plugin; what a plugin raises is logged, and shown the first time."""
        for plugin in self.loaded:
            try:
                getattr(plugin, hook)(*arguments)
            except Exception as error:  # see above
                self._report(plugin, f"The plugin '{plugin.name}' failed in {hook}: {error}", error)

    def show_faults(self, window: QtWidgets.QWidget) -> None:
        """One dialog with what does not work, if anything, and then forgets it."""
        if not self.faults:
            return
        text, self.faults = "\n\n".join(self.faults), []
        box = QtWidgets.QMessageBox(QtWidgets.QMessageBox.Warning, "Plugins", text, parent=window)
        box.setInformativeText("RootPainter itself works on.")
        box.open()

    def _install(self) -> None:
        faults = self.host.missing(WINDOW_SEAMS)
        self.faults += faults.values()
        for plugin in self.loaded[:]:
            missing = self.host.missing(plugin.seams)
            self.faults += missing.values()
            try:
                plugin.install(self.host, missing)
            except Exception as error:  # see above
                self.loaded.remove(plugin)
                self._report(plugin, f"The plugin '{plugin.name}' could not be installed: {error}", error)
        window = self.host.window_class
        if WINDOW_SEAMS[0].part not in faults:
            wrap(window, "init_missing_project_ui", self._after("menu_built", False))
            wrap(window, "add_menu", self._after("menu_built", True))
        if WINDOW_SEAMS[2].part not in faults:
            wrap(window, "open_project", self._after_open_project)
        if WINDOW_SEAMS[3].part not in faults:
            wrap(window, "assign_sync_directory", self._after_sync_folder)

    def _after(self, hook: str, *arguments: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def make(original: Callable[..., Any]) -> Callable[..., Any]:
            def method(window: QtWidgets.QMainWindow) -> None:
                original(window)
                self.tell(hook, window, *arguments)

            return method

        return make

    def _after_open_project(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def open_project(window: QtWidgets.QMainWindow, proj_file_path: Any) -> None:
            original(window, proj_file_path)
            # RootPainter 0.3.1 returns without a project when its user goes back.
            if lacking(window, ("graphics_view", "proj_location")) is None:
                self.tell("project_opened", window)

        return open_project

    def _after_sync_folder(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def assign_sync_directory(window: QtWidgets.QMainWindow, sync_dir: Path) -> None:
            original(window, sync_dir)
            self.tell("sync_folder_set", window, Path(sync_dir))

        return assign_sync_directory

    def _report(self, source: object, sentence: str, error: Exception) -> None:
        log.error("%s", sentence, exc_info=error)
        if any(source is told for told in self._told):
            return  # a hook may fail each time that it is called
        self._told.append(source)
        where = traceback.extract_tb(error.__traceback__)[-1] if error.__traceback__ else None
        place = f" ({Path(where.filename).name}, line {where.lineno})" if where else ""
        self.faults.append(f"{sentence}{place}. The plugin may lack this part.")
        active = QtWidgets.QApplication.activeWindow() if "PyQt5.QtWidgets" in sys.modules else None
        if active is not None:
            self.show_faults(active)
