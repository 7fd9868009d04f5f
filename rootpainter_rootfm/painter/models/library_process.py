"""Runs `library_task` as a process, with signals like those of a `workers.Task`."""

from __future__ import annotations

import json
import sys

from PyQt5 import QtCore

from ...errors import ModelError

_running: set[LibraryProcess] = set()


class LibraryProcess(QtCore.QObject):
    """One piece of work on model files; the window stays free of torch and never waits.

    Args:
        verb: prepare, convert, copy, add or verify, see `library_task`.
        arguments: its arguments.
    """

    done = QtCore.pyqtSignal(object)
    failed = QtCore.pyqtSignal(Exception)
    progress = QtCore.pyqtSignal(int, int, str)

    def __init__(self, verb: str, *arguments: str) -> None:
        super().__init__()
        self._answer: dict[str, object] = {}
        self._process = QtCore.QProcess(self)
        self._process.setProgram(sys.executable)
        # Without the folder it was started from: a user's random.py there would be taken for Python's.
        self._process.setArguments(
            ["-P", "-m", "rootpainter_rootfm.painter.models.library_task", verb, *map(str, arguments)]
        )
        self._process.readyReadStandardOutput.connect(self._read)
        self._process.finished.connect(self._ended)
        self._process.errorOccurred.connect(self._not_started)

    def start(self) -> LibraryProcess:
        """Begins; the object stays alive until the end."""
        _running.add(self)
        self._process.start()
        return self

    def _read(self) -> None:
        while self._process.canReadLine():
            line = bytes(self._process.readLine()).decode("utf-8", errors="replace")
            try:
                answer = json.loads(line)
            except ValueError:
                continue  # a library's own chatter
            if not isinstance(answer, dict):
                continue
            self._answer = answer
            step = self._answer.get("progress")
            if isinstance(step, list):
                self.progress.emit(*step)

    def _ended(self, code: int, status: QtCore.QProcess.ExitStatus) -> None:
        self._read()
        _running.discard(self)
        if "result" in self._answer:
            self.done.emit(self._answer["result"])
            return
        said = bytes(self._process.readAllStandardError()).decode("utf-8", errors="replace").strip()
        cause = self._answer.get("error") or (said.splitlines() or [f"The work ended with code {code}."])[-1]
        self.failed.emit(ModelError(str(cause)))

    def _not_started(self, kind: QtCore.QProcess.ProcessError) -> None:
        if kind == QtCore.QProcess.FailedToStart:
            _running.discard(self)
            self.failed.emit(ModelError(f"{sys.executable} could not be run. Install rootpainter-rootfm again."))
