"""The trainer as the window sees it: its heartbeat, and our own process while we run one."""

from __future__ import annotations

import platform
import sys
import time
from collections import deque
from pathlib import Path

from PyQt5 import QtCore

from .exchange import Heartbeat, read_heartbeat
from .trainer_life import Judge, Life
from .workers import Poll

_LOOK_EVERY = 1.0
_KILL_AFTER_MS = 4000
_LINES_KEPT = 400
EXIT_SERVED = 3
"""How our trainer ends where another one serves the folder."""


class TrainerControl(QtCore.QObject):
    """Watches the heartbeat of one sync folder; starts a trainer where none answers, and never a second one.

    Attributes:
        folder: the sync folder.
        life: whether a trainer answers.
        heartbeat: what it last said, None where there is none.
        lines: the last lines that our own process wrote.
        expected: whether this program is meant to run the trainer, rather than rely on one elsewhere.
    """

    changed = QtCore.pyqtSignal()
    trouble = QtCore.pyqtSignal(str, str)
    """A title, and the cause with the next step."""
    failed = QtCore.pyqtSignal(str, str)
    """What could not be done: the project that it concerns, or nothing, and the cause with the next step."""

    def __init__(self, folder: Path, wanted: bool, parent: QtCore.QObject | None = None) -> None:
        super().__init__(parent)
        self.folder = folder
        self.life = Life.UNKNOWN
        self.heartbeat: Heartbeat | None = None
        self.lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self.expected = wanted
        self._wanted = wanted
        self._stopping = False
        self._process: QtCore.QProcess | None = None
        self._judge = Judge()
        self._told: object = None
        self._poll = Poll(lambda: read_heartbeat(folder), _LOOK_EVERY, self)
        self._poll.seen.connect(self._see)
        self._poll.start()

    @property
    def alive(self) -> bool:
        """Whether a trainer of ours answers now."""
        return self.life is Life.ALIVE

    @property
    def starting(self) -> bool:
        """Whether our process was started and has not answered yet."""
        return self.running and not self.alive

    @property
    def unanswered(self) -> bool:
        """Whether no trainer of ours answers, nor is one starting."""
        return self.life is Life.SILENT and not self.starting

    @property
    def may_start(self) -> bool:
        """Whether `start` starts one: none answers for now, and none of ours runs."""
        return self._judge.may_start and not self.running

    @property
    def running(self) -> bool:
        """Whether the process that we started exists."""
        return self._process is not None

    @property
    def remote(self) -> bool:
        """Whether the trainer that answers runs on another machine."""
        return self.alive and self.heartbeat is not None and self.heartbeat.host != platform.node()

    @property
    def awaited(self) -> bool:
        """Whether a trainer of ours is meant to serve the folder: run by this program, or one elsewhere that never
        took its leave."""
        return self.expected or (self.heartbeat is not None and not self.heartbeat.stopped)

    def start(self) -> None:
        """Starts a trainer for the sync folder unless one answers or is being looked for."""
        self.expected = self._wanted = True
        if self.may_start:
            self._launch()

    def stop(self, wait: bool = False) -> None:
        """Ends the process that we started; with `wait` it is gone on return, else it is asked to end."""
        self._wanted = False
        process = self._process
        if process is None:
            return
        self._stopping = True
        process.closeWriteChannel()  # trainer_child understands; SIGTERM means nothing to a process on Windows
        if wait:
            if not process.waitForFinished(_KILL_AFTER_MS):
                process.kill()
                process.waitForFinished(_KILL_AFTER_MS)
        else:
            QtCore.QTimer.singleShot(_KILL_AFTER_MS, lambda: process is self._process and process.kill())
        self.changed.emit()

    def shut_down(self) -> None:
        """Watches no more and ends our process."""
        self._poll.stop()
        self.stop(wait=True)

    def _launch(self) -> None:
        process = QtCore.QProcess(self)
        process.setProgram(sys.executable)
        module = "rootpainter_rootfm.painter.trainer_child"
        # -P: files in the folder where the user happens to be must not take the place of Python's own modules.
        process.setArguments(["-P", "-u", "-m", module, "--syncdir", str(self.folder), "--allow-local-paths"])
        process.setProcessChannelMode(QtCore.QProcess.MergedChannels)
        process.readyReadStandardOutput.connect(self._read_lines)
        process.errorOccurred.connect(self._start_failed)
        process.finished.connect(self._ended)
        self._process, self._stopping = process, False
        self.lines.clear()
        process.start()
        self.changed.emit()

    def _see(self, heartbeat: Heartbeat | None) -> None:
        before = self.life, _shown(self.heartbeat)
        self.life = self._judge.see(heartbeat, time.monotonic())
        if heartbeat is None and self.life is not Life.SILENT:
            heartbeat = self.heartbeat  # it cannot be read just now; what it said last still holds
        self.heartbeat = heartbeat
        if self._wanted and self.may_start:
            self._wanted = False  # once: a trainer that cannot start is not started for ever
            self._launch()
        if (self.life, _shown(heartbeat)) != before:
            self.changed.emit()
        self._tell_error(heartbeat)

    def _tell_error(self, heartbeat: Heartbeat | None) -> None:
        error = heartbeat.last_error if heartbeat else None
        stamp = (heartbeat.identity, error.get("time")) if heartbeat and error else None
        if stamp is None or stamp == self._told:
            return
        self._told = stamp
        # What was there at our first look was told in an earlier session.
        if self.alive:
            self.failed.emit(*heartbeat.failure)

    def _read_lines(self) -> None:
        if self._process is not None:
            text = bytes(self._process.readAllStandardOutput()).decode("utf-8", errors="replace")
            self.lines.extend(line for line in text.splitlines() if line.strip())

    def _start_failed(self, kind: QtCore.QProcess.ProcessError) -> None:
        if kind == QtCore.QProcess.FailedToStart:
            self._process = None
            self.trouble.emit(
                "The trainer cannot be started",
                f"{sys.executable} could not be run. Install rootpainter-rootfm again in a fresh environment.",
            )
            self.changed.emit()

    def _ended(self, code: int, status: QtCore.QProcess.ExitStatus) -> None:
        self._read_lines()
        process, self._process = self._process, None
        if process is not None:
            process.deleteLater()
        # A second trainer refuses to serve a folder that has one, whose beat may not have come here yet.
        if not self._stopping and code != EXIT_SERVED:
            last = "\n".join(list(self.lines)[-6:]) or f"It ended with code {code}."
            self.trouble.emit(
                "The trainer has ended",
                f"{last}\n\nWithout a trainer no image is segmented. Start it again from Models → Trainer….",
            )
        self._stopping = False
        self.changed.emit()


def _shown(heartbeat: Heartbeat | None) -> object:
    """What of a heartbeat the windows show."""
    return heartbeat and (heartbeat.state, heartbeat.job, heartbeat.project, heartbeat.training)
