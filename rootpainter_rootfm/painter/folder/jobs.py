"""A folder being segmented by the trainer, as the window follows it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from PyQt5 import QtCore

from .. import exchange
from ..exchange import JobState
from ..session import Session
from ..workers import Poll, Task

_LOOK_EVERY = 0.5
_UNNAMED_FOR = 5.0
"""Seconds after which a job that the trainer no longer names counts as gone, where there is a sign that it is."""

TOLD_LATER = "A trainer has begun with this folder; it is told to stop as soon as it answers."


class Job(QtCore.QObject):
    """Work of a trainer, followed and cancelled; lives in the session, so closing a window does not lose it.

    Args:
        session: the shared state.
        name: what the user knows it by, the name of a folder.
        output: the folder of the masks.
        state: what is known of it at first.

    Attributes:
        folder: the sync folder of its trainer.
        state: the last that is known of it.
        id: the number that the trainer knows it by.
        stopping: whether its end was asked for.
    """

    changed = QtCore.pyqtSignal()
    ended = QtCore.pyqtSignal()

    def __init__(self, session: Session, name: str, output: Path, state: JobState) -> None:
        super().__init__(session)
        self.name = name
        self.output = output
        self.folder = session.folder
        self.state = state
        self.id = state.job
        self.stopping = False
        self._session = session
        self._cancel_owed = False
        self._begun = True
        self._doubtful = True  # until the file in the output folder has told of it, and once that tells of another job
        self._sure = 0.0
        self._poll = Poll(self._look, _LOOK_EVERY, self)
        self._poll.seen.connect(self._see)
        session.trainer_changed.connect(self._pay_cancel)

    def follow(self) -> None:
        """Puts it among the jobs of the session and looks how far it is until it has ended."""
        self._session.jobs.append(self)
        self._session.jobs_changed.emit()
        self._sure = time.monotonic()
        self._poll.start()

    def cancel(self) -> None:
        """Asks for its end; masks that are done stay."""
        if self.state.ended or self.stopping:
            return
        self.stopping = True
        self.changed.emit()
        self._withdraw()

    def leave(self) -> None:
        """The windows turn to another sync folder, where its trainer is not heard."""
        if self.state.ended:
            return
        goes_on = f"A trainer that serves {self.folder} goes on with this."
        if self._session.trainer.running:
            goes_on = f"This goes on when RootPainter works in {self.folder} again."
        self._stop("left", f"The sync folder was changed. {goes_on}")

    def _withdraw(self) -> None:
        self._cancel_owed = True
        self._pay_cancel()

    def _pay_cancel(self) -> None:
        """Sends the cancel once a trainer answers: what lies there when it starts is put aside unread."""
        if self._cancel_owed and self._session.folder == self.folder and self._session.trainer.alive:
            self._cancel_owed = False
            folder, content = self.folder, {"rootfm": {"cancel": self.id}}
            self._run(lambda: exchange.send(folder, "trainer_status", content))

    def _run(self, work: Callable[[], Any]) -> Task:
        task = Task(lambda cancel, progress: work())
        task.failed.connect(self._fail)
        return task.start()

    def _look(self) -> JobState | None:
        """In a thread: what is known of the job in the output folder."""
        return exchange.read_job(self.output)

    def _see(self, state: JobState | None) -> None:
        if self.state.ended:
            return
        if state is not None and state.job == self.id:
            self._see_own(state)
        elif state is not None and state.state != "queued":
            self._doubtful = self._begun
        if _named(self._session).get("id") == self.id or not (self.stopping or self._doubtful):
            self._sure = time.monotonic()
        elif not self.state.ended and time.monotonic() - self._sure >= _UNNAMED_FOR:
            self._give_up()

    def _see_own(self, state: JobState) -> None:
        self._begun, self._doubtful = True, False
        if state.ended:
            self._end(state)
        elif state != self.state:
            self.state = state
            self.changed.emit()

    def _give_up(self) -> None:
        """No word of its end will come: no file tells of it, or the trainer never began it."""
        if self.stopping:
            self._cancel_owed = not self._session.trainer.alive
            self._stop("cancelled", TOLD_LATER if self._cancel_owed else "")
        else:
            taken = f"Another job took over the folder {self.output}, or it cannot be reached from this computer."
            self._stop("failed", f"{taken} Start this one again if masks are missing.")

    def _fail(self, error: Exception) -> None:
        if not self.state.ended:
            self._stop("failed", str(error))

    def _stop(self, state: str, message: str = "") -> None:
        """Ends the job without a word of the trainer."""
        self._end(replace(self.state, state=state, message=message))

    def _end(self, state: JobState) -> None:
        self._poll.stop()
        self.state = state
        self.changed.emit()
        self.ended.emit()
        self._session.jobs_changed.emit()


def adopt(session: Session) -> None:
    """Follows the job that the trainer works on, if it is from an earlier window or from another computer."""
    named = _named(session)
    identity, folder = str(named.get("id") or ""), str(named.get("folder") or "")
    # One that was given up is followed anew: the windows have come back to its sync folder.
    known = any(job.id == identity and job.state.state not in ("failed", "left") for job in session.jobs)
    if identity and folder and not known:
        session.jobs[:] = [job for job in session.jobs if job.id != identity]
        output = session.folder / folder
        Job(session, output.name, output, JobState(identity, "running")).follow()


def _named(session: Session) -> Mapping[str, Any]:
    """The job that the trainer says it works on; empty where no trainer answers."""
    trainer = session.trainer
    job = trainer.heartbeat.job if trainer.alive and trainer.heartbeat is not None else None
    return job if isinstance(job, Mapping) else {}
