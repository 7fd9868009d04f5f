"""Opens RootPainter with its plugins: the command `rootfm painter`, also installed as `rootpainter-rootfm`."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from types import FrameType, TracebackType

from PyQt5 import QtCore, QtWidgets
from pyqtgraph.util.garbage_collector import GarbageCollector

from ..cli.main import EXIT_USAGE
from ..cli.painter import add_options
from ..errors import HostError
from . import sync_folder, workers
from .host import Host, find_host
from .plugin import RootFMPlugin
from .plugins import Plugins
from .session import show_failure

_SECONDS_TO_SETTLE = 3.0
"""After which the program ends although a thread of it hangs: Qt would wait for that for ever."""


class Launcher:
    """RootPainter's windows, one after the other: closing a project opens the start window anew.

    Attributes:
        window: the window that is open now.
    """

    def __init__(self, host: Host, plugins: Plugins, folder: Path) -> None:
        self.window: QtWidgets.QMainWindow | None = None
        self._host = host
        self._plugins = plugins
        self._folder = folder

    def open(self, project: Path | None = None) -> QtWidgets.QMainWindow:
        """Builds and shows a window, on a project file if one is given."""
        with _command_line(project):
            window = self._host.window_class(self._folder)
        self.window = window
        # Once: Qt tells every widget of a new icon, and Python may be throwing those of a closed window away just then.
        if QtWidgets.QApplication.windowIcon().isNull():
            QtWidgets.QApplication.setWindowIcon(window.windowIcon())
        _show_own_errors()
        window.closed.connect(self._reopen)
        window.show()
        self._plugins.show_faults(window)
        return window

    def _reopen(self) -> None:
        if self.window is not None and self.window.isVisible():
            return  # it could not be closed, and asks what is to become of the strokes
        # The user may have chosen another sync folder in the window that was just closed.
        self._folder = Path(getattr(self.window, "sync_dir", self._folder))
        self.open()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command `rootpainter-rootfm`; returns the exit code of the program."""
    parser = argparse.ArgumentParser(prog="rootpainter-rootfm", description="RootPainter with Root Foundation Models.")
    add_options(parser)
    try:
        return run(parser.parse_args(arguments))
    except HostError:
        return EXIT_USAGE  # a dialog has said why


def run(options: argparse.Namespace) -> int:
    """Runs RootPainter until its last window is closed.

    Args:
        options: with ``sync_dir``, ``rootpainter``, ``no_trainer`` and ``project`` as `cli.painter` defines them.
    """
    app = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["RootPainter"])
    try:
        host = find_host(options.rootpainter)
        if options.project is not None and options.project.suffix == ".seg_proj":  # RootPainter refuses others itself
            check_project(options.project)
        folder = sync_folder.settle(options.sync_dir)
    except HostError as error:
        QtWidgets.QMessageBox.critical(None, "RootPainter", str(error))
        raise
    if folder is None:
        return 0
    if not options.no_trainer:
        # RootPainter 0.3.1 would start what this names, a second trainer for the same folder.
        os.environ.pop("ROOTPAINTER_TRAINER", None)
    plugins = Plugins(host)
    for plugin in plugins.loaded:
        if isinstance(plugin, RootFMPlugin):
            plugin.starts_trainer = not options.no_trainer
    launcher = Launcher(host, plugins, folder)
    launcher.open(options.project)
    _close_on_ctrl_c(launcher)
    collector = GarbageCollector()  # what Python throws away at any moment may be a window that Qt is looking at
    app.aboutToQuit.connect(lambda: plugins.tell("shut_down"))
    app.aboutToQuit.connect(collector.timer.stop)
    code = int(app.exec_())
    if not workers.settle(_SECONDS_TO_SETTLE):
        # Mostly a look at a drive that does not answer; what was painted was saved before the window closed.
        logging.shutdown()
        os._exit(code)
    return code


def check_project(file: Path) -> None:
    """Raises `HostError` where RootPainter could not open this project file, for it would end with a traceback."""
    try:
        described = json.loads(file.read_text(encoding="utf-8"))
        PurePath(described["dataset"], described["location"], described["file_names"][0])  # what it looks for in it
    except OSError as error:
        raise HostError(f"The project {file} cannot be opened: {error.strerror or error}.") from error
    except (ValueError, TypeError, LookupError) as error:
        cause = "is damaged. Copy the file from a backup, or create the project anew."
        raise HostError(f"The project {file} {cause}") from error


@contextmanager
def _command_line(project: Path | None) -> Iterator[None]:
    # RootPainter's window reads sys.argv itself and takes its first word for a project file.
    before = sys.argv
    sys.argv = [before[0], *([str(project)] if project else [])]
    try:
        yield
    finally:
        sys.argv = before


def _show_own_errors() -> None:
    """RootPainter writes an error to a file; one that comes from this package is shown to the user as well."""
    writes_file = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        with suppress(OSError):  # the file lies in the sync folder, whose drive may be what the error is about
            writes_file(kind, error, trace)
        own = str(Path(__file__).parents[1])
        if trace is not None and any(frame.startswith(own) for frame in _files(trace)):
            QtCore.QTimer.singleShot(0, lambda: _show(error))

    sys.excepthook = hook


def _files(trace: TracebackType | None) -> Iterator[str]:
    while trace is not None:
        yield trace.tb_frame.f_code.co_filename
        trace = trace.tb_next


def _show(error: BaseException) -> None:
    more = "RootPainter works on. The details are in client_exceptions.txt in the sync folder."
    show_failure(None, str(error) or type(error).__name__, more)


def _close_on_ctrl_c(launcher: Launcher) -> None:
    """In a terminal it ends the trainer as well; the window saves what was painted before it ends."""

    def close(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)  # a second one ends the program at once
        QtCore.QTimer.singleShot(0, launcher.window.close)

    before = signal.signal(signal.SIGINT, close)
