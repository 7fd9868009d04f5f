"""A folder being segmented by the trainer, as the window follows it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from PyQt5 import QtCore

from ..errors import HostError
from ..model.card import ModelCard
from . import exchange
from .exchange import JobState
from .preflight import Order
from .session import Session
from .workers import Poll, Task

_LOOK_EVERY = 0.5
_UNNAMED_FOR = 5.0
"""Seconds after which a job that the trainer no longer names counts as gone, where there is a sign that it is."""


@dataclass(frozen=True)
class JobModel:
    """What a job segments with: a library model, or a checkpoint file of a project.

    Attributes:
        title: its name for the user.
        card: the library model, None for a checkpoint.
        file: the checkpoint, None for a library model.
    """

    title: str
    card: ModelCard | None = None
    file: Path | None = None


class Job(QtCore.QObject):
    """Prepared, sent, followed and cancelled; lives in the session, so closing a window does not lose it.

    Attributes:
        order: the folders and the format.
        model: what makes the masks.
        names: the images asked for.
        state: the last that is known of it.
        id: the number that the trainer knows it by.
        stopping: whether its end was asked for.
    """

    changed = QtCore.pyqtSignal()
    ended = QtCore.pyqtSignal()

    def __init__(self, session: Session, order: Order, model: JobModel, names: tuple[str, ...]) -> None:
        super().__init__(session)
        self.order = order
        self.model = model
        self.names = names
        self.id = uuid4().hex
        self.stopping = False
        self.state = JobState(self.id, "queued", total=len(names), message=f"Preparing {model.title}…")
        self._session = session
        self._sent: Path | None = None
        self._cancel_owed = False
        self._seen = False
        self._overtaken = False
        self._sure = 0.0
        self._poll = Poll(self._look, _LOOK_EVERY, self)
        self._poll.seen.connect(self._see)
        session.trainer_changed.connect(self._pay_cancel)

    def start(self) -> None:
        """Puts the model where every trainer finds it and sends the instruction."""
        self._session.jobs.append(self)
        self._session.jobs_changed.emit()
        if self.model.card is not None:
            self._session.prepare(self.model.card, self._send, self._fail)
        elif self.model.file is not None:
            self._send(self.model.file)

    def cancel(self) -> None:
        """Takes the instruction back, or asks the trainer to stop; masks that are done stay."""
        if self.state.ended or self.stopping:
            return
        self.stopping = True
        if self._sent is None:
            self._stop("cancelled")  # what is on its way to be sent is taken back by _have_sent
        else:
            self.changed.emit()
            self._take_back(self._sent)

    def _take_back(self, sent: Path) -> None:
        task = Task(lambda cancel, progress: exchange.take_back(sent))
        task.done.connect(self._taken_back)
        task.start()

    def _taken_back(self, in_time: bool) -> None:
        # Told in any case: on a synchronised folder it may have been taken and still lie here.
        self._cancel_owed = True
        self._pay_cancel()
        if self.state.ended:
            return
        if in_time:
            self._stop("cancelled")
        elif self._cancel_owed:
            self._stop("cancelled", "A trainer has begun with this folder; it is told to stop as soon as it answers.")

    def _pay_cancel(self) -> None:
        """Sends the cancel once a trainer answers: what lies there when it starts is put aside unread."""
        if self._cancel_owed and self._session.trainer.alive:
            self._cancel_owed = False
            folder, content = self._session.folder, {"rootfm": {"cancel": self.id}}
            self._run(lambda: exchange.send(folder, "trainer_status", content))

    def _send(self, model: Path) -> None:
        if self.state.ended:
            return  # cancelled while the model was prepared
        order, folder = self.order, self._session.folder
        content = instruction(self._session, order, model, self.names, self._own_part())

        def work() -> Path:
            try:
                order.output.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise HostError(f"The folder {order.output} cannot be made: {error.strerror or error}.") from error
            return exchange.send(folder, "segment", content)

        self._show(message="Waiting for the trainer…")
        self._run(work).done.connect(self._have_sent)
        self._poll.start()

    def _have_sent(self, sent: Path) -> None:
        self._sent = sent
        if self.state.ended:
            self._take_back(sent)

    def _own_part(self) -> dict[str, Any]:
        own: dict[str, Any] = {
            "job": self.id,
            "settings": self._session.preferences.settings.to_dict(),
            "again": self.order.again,
            "preview": True,
        }
        if self.model.card is not None:
            own["model"] = {"name": self.model.card.name, "sha256": self.model.card.sha256}
        return own

    def _run(self, work: Callable[[], Any]) -> Task:
        task = Task(lambda cancel, progress: work())
        task.failed.connect(self._fail)
        return task.start()

    def _look(self) -> tuple[JobState | None, str | None]:
        """In a thread: the state of the job in the folder, and why the trainer refused ours, if it did."""
        return exchange.read_job(self.order.output), exchange.refusal(self._sent) if self._sent is not None else None

    def _see(self, found: tuple[JobState | None, str | None]) -> None:
        state, refusal = found
        if self.state.ended:
            return
        if refusal is not None:
            self._stop("failed", refusal)
        elif state is not None and state.job == self.id:
            self._see_own(state)
        elif state is not None and state.state != "queued":
            self._overtaken = self._seen
        if self._is_named() or not (self.stopping or self._overtaken):
            self._sure = time.monotonic()
        elif not self.state.ended and time.monotonic() - self._sure >= _UNNAMED_FOR:
            self._give_up()

    def _see_own(self, state: JobState) -> None:
        self._seen, self._overtaken = True, False
        if state.ended:
            self._poll.stop()
            self._end(state)
        elif state != self.state:
            self.state = state
            self.changed.emit()

    def _is_named(self) -> bool:
        """Whether the trainer says that it works on this job."""
        trainer = self._session.trainer
        job = trainer.heartbeat.job if trainer.alive and trainer.heartbeat is not None else None
        return job is not None and job.get("id") == self.id

    def _give_up(self) -> None:
        """No word of its end will come: its file tells of another job, or the trainer never began it."""
        if self.stopping:
            self._cancel_owed = not self._session.trainer.alive
            self._stop("cancelled")
        else:
            self._stop("failed", f"Another job took over the folder {self.order.output}. Start this one again.")

    def _show(self, message: str) -> None:
        known = self.state
        self.state = JobState(
            self.id, known.state, known.done, known.total, known.current, known.failed, known.seconds_left, message
        )
        self.changed.emit()

    def _fail(self, error: Exception) -> None:
        if not self.state.ended:
            self._stop("failed", str(error))

    def _stop(self, state: str, message: str = "") -> None:
        """Ends the job without a word of the trainer."""
        self._poll.stop()
        known = self.state
        self._end(JobState(self.id, state, known.done, known.total, failed=known.failed, message=message))

    def _end(self, state: JobState) -> None:
        self.state = state
        self.changed.emit()
        self.ended.emit()
        self._session.jobs_changed.emit()


def instruction(
    session: Session, order: Order, model: Path, names: tuple[str, ...], own: dict[str, Any]
) -> dict[str, Any]:
    """The `segment` for a folder; what lies outside the sync folder is named in our dict."""
    images, output = (exchange.inside(session.folder, path) for path in (order.images, order.output))
    if images is None or output is None:
        own = own | {
            "local_paths": True,
            "dataset_dir": os.path.abspath(order.images),
            "seg_dir": os.path.abspath(order.output),
        }
    return exchange.segment_instruction(
        images or order.images.as_posix(),
        output or order.output.as_posix(),
        names,
        order.mask_format.value,
        own,
        [exchange.inside(session.folder, model) or model.as_posix()],
    )
