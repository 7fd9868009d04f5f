"""A folder that this window wants to be segmented: its model is prepared and its instruction sent to the trainer."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from ...errors import HostError
from .. import exchange
from ..exchange import JobState
from ..models.choice import JobModel
from ..session import Session
from ..workers import Task
from .jobs import TOLD_LATER, Job
from .preflight import Order


class NewJob(Job):
    """A job of this window.

    Attributes:
        order: the folders and the format.
        model: what makes the masks.
        names: the images asked for.
    """

    def __init__(self, session: Session, order: Order, model: JobModel, names: tuple[str, ...]) -> None:
        queued = JobState(uuid4().hex, "queued", total=len(names), message=f"Preparing {model.title}…")
        super().__init__(session, order.images.name, order.output, queued)
        self.order = order
        self.model = model
        self.names = names
        self._begun = self._doubtful = False
        self._sent: Path | None = None

    def start(self) -> None:
        """Puts the model where every trainer finds it and sends the instruction."""
        self.follow()
        if self.model.card is not None:
            self._session.prepare(self.model.card, self._send, self._fail)
        elif self.model.file is not None:
            self._send(self.model.file)

    def leave(self) -> None:
        """The windows turn to another sync folder; what was not sent to the old one is not sent any more."""
        if self._sent is None and not self.state.ended:
            self._stop("cancelled", "The sync folder was changed before this was sent. Start it again there.")
        super().leave()

    def _withdraw(self) -> None:
        """Takes the instruction back, or asks the trainer to stop."""
        if self._sent is None:
            self._stop("cancelled")  # what is on its way to be sent is taken back by _have_sent
        else:
            self._take_back(self._sent)

    def _take_back(self, sent: Path) -> None:
        task = Task(lambda cancel, progress: exchange.take_back(sent))
        task.done.connect(self._taken_back)
        task.start()

    def _taken_back(self, in_time: bool) -> None:
        # Told in any case: on a synchronised folder it may have been taken and still lie here.
        super()._withdraw()
        if self.state.ended:
            return
        if in_time:
            self._stop("cancelled")
        elif self._cancel_owed:
            self._stop("cancelled", TOLD_LATER)

    def _send(self, model: Path) -> None:
        if self.state.ended:
            return  # cancelled while the model was prepared
        order, folder = self.order, self.folder
        content = instruction(folder, order, model, self.names, self._own_part())

        def work() -> Path:
            try:
                order.output.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise HostError(f"The folder {order.output} cannot be made: {error.strerror or error}.") from error
            return exchange.send(folder, "segment", content)

        self.state = replace(self.state, message="Waiting for the trainer…")
        self.changed.emit()
        self._run(work).done.connect(self._have_sent)

    def _have_sent(self, sent: Path) -> None:
        self._sent = sent
        if self.state.ended:
            self._take_back(sent)

    def _own_part(self) -> dict[str, Any]:
        own: dict[str, Any] = {
            "job": self.id,
            "settings": self.model.used_with(self._session.preferences.settings).to_dict(),
            "again": self.order.again,
            "preview": True,
        }
        if self.model.card is not None:
            own["model"] = {"name": self.model.card.name, "sha256": self.model.card.sha256}
        return own

    def _look(self) -> JobState | None:
        """In a thread: what is known of the job in the output folder, or why the trainer refused it."""
        refusal = exchange.refusal(self._sent) if self._sent is not None else None
        return super()._look() if refusal is None else replace(self.state, state="failed", message=refusal)


def instruction(folder: Path, order: Order, model: Path, names: tuple[str, ...], own: dict[str, Any]) -> dict[str, Any]:
    """The `segment` for the trainer of a sync folder; what lies outside of that is named in our dict."""
    images, output = (exchange.inside(folder, path) for path in (order.images, order.output))
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
        [exchange.inside(folder, model) or model.as_posix()],
    )
