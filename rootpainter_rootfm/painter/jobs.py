"""A folder being segmented by the trainer, as the window follows it."""

from __future__ import annotations

import os
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
    """

    changed = QtCore.pyqtSignal()
    ended = QtCore.pyqtSignal()

    def __init__(self, session: Session, order: Order, model: JobModel, names: tuple[str, ...]) -> None:
        super().__init__(session)
        self.order = order
        self.model = model
        self.names = names
        self.id = uuid4().hex
        self.state = JobState(self.id, "queued", total=len(names), message=f"Preparing {model.title}…")
        self._session = session
        self._poll = Poll(lambda: exchange.read_job(order.output), _LOOK_EVERY, self)
        self._poll.seen.connect(self._see)

    def start(self) -> None:
        """Puts the model where every trainer finds it and sends the instruction."""
        self._session.jobs.append(self)
        self._session.jobs_changed.emit()
        if self.model.card is not None:
            self._session.prepare(self.model.card, self._send, self._fail)
        elif self.model.file is not None:
            self._send(self.model.file)

    def cancel(self) -> None:
        """Asks the trainer to stop; masks that are done stay."""
        if self.state.ended:
            return
        folder, content = self._session.folder, {"rootfm": {"cancel": self.id}}
        if self._session.trainer.alive:
            self._run(lambda: exchange.send(folder, "trainer_status", content))
            self._show(message="Stopping after the image that is being looked at…")
        else:
            self._poll.stop()
            self._end(JobState(self.id, "cancelled", self.state.done, self.state.total, failed=self.state.failed))

    def _send(self, model: Path) -> None:
        if self.state.ended:
            return  # cancelled while the model was prepared
        order, folder = self.order, self._session.folder
        content = instruction(self._session, order, model, self.names, self._own_part())

        def work() -> None:
            try:
                order.output.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise HostError(f"The folder {order.output} cannot be made: {error.strerror or error}.") from error
            exchange.send(folder, "segment", content)

        self._show(message="Waiting for the trainer…")
        self._run(work)
        self._poll.start()

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

    def _run(self, work: Any) -> None:
        task = Task(lambda cancel, progress: work())
        task.failed.connect(self._fail)
        task.start()

    def _see(self, state: JobState | None) -> None:
        if state is None or state.job != self.id or self.state.ended:
            return
        if state.ended:
            self._poll.stop()
            self._end(state)
        elif state != self.state:
            self.state = state
            self.changed.emit()

    def _show(self, message: str) -> None:
        known = self.state
        self.state = JobState(
            self.id, known.state, known.done, known.total, known.current, known.failed, known.seconds_left, message
        )
        self.changed.emit()

    def _fail(self, error: Exception) -> None:
        self._poll.stop()
        self._end(JobState(self.id, "failed", self.state.done, self.state.total, message=str(error)))

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
