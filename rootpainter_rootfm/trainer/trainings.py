"""`start_training` and `stop_training`: one training at a time, whichever kind of model it is for."""

from __future__ import annotations

from pathlib import Path

from .fine_tuning import FineTuning
from .instructions import Instruction, InstructionBox
from .logs import Journal
from .models import Models, is_unet, newest
from .paths import SyncFolder
from .requests import TrainingRequest, absolute, find_messages
from .unet import UNetTrainer
from .worker import Worker


class Trainings:
    """Begins and stops trainings. Used by one thread; nothing here waits.

    Args:
        sync: The folder that is served.
        box: Where the instructions are.
        worker: Trains foundation models.
        unet: Trains U-Nets.
        models, journal: Those of the trainer.
    """

    def __init__(
        self, sync: SyncFolder, box: InstructionBox, worker: Worker, unet: UNetTrainer, models: Models, journal: Journal
    ) -> None:
        self._sync, self._box, self._worker, self._unet = sync, box, worker, unet
        self._models, self._journal = models, journal
        self._next: TrainingRequest | None = None

    @property
    def request(self) -> TrainingRequest | None:
        """The training in progress."""
        training = self._worker.training
        return training.request if training is not None else self._unet.training

    def start(self, instruction: Instruction) -> bool:
        """Begins a training, or lets it wait for one that is ending; whether its outcome comes later."""
        request = TrainingRequest.parse(instruction, self._sync)
        busy = self._next or self.request
        if busy is None:
            self._begin(request)
            return True
        if self._next is None and self._ending:
            # It may end only after a large image, for minutes.
            self._next = request
            self._journal.tell("Training begins when the one that was stopped has ended", request.messages)
            return True
        # RootPainter's own trainer ignores this in silence; its user waits for a training that never begins.
        message = f"Training of {busy.project} is running already."
        if busy.models != request.models:
            message = f"Training not started: the project {busy.project} is being trained. Stop that first."
        self._journal.tell(message, request.messages)
        return False

    def due(self) -> Instruction | None:
        """The start that waited, once the training before it has ended."""
        if self._next is None or self.request is not None:
            return None
        request, self._next = self._next, None
        return request.instruction

    def stop(self, instruction: Instruction) -> bool:
        """Stops the training in progress and all that wait; whether the outcome comes later.

        Only those of the project that asks, where it says which that is, and its user hears what else is going on.
        """
        asking = find_messages(instruction.content, self._sync)

        def is_meant(messages: Path | None) -> bool:
            return asking is None or messages == asking

        waited = self._next is not None and is_meant(self._next.messages)
        if waited:
            self._drop_next()
        for waiting in self._box.withdraw(
            lambda other: other.name == "start_training" and is_meant(find_messages(other.content, self._sync))
        ):
            self._fine_tuning(TrainingRequest.parse(waiting, self._sync)).drop()
        current = self.request
        if current is not None and not is_meant(current.messages):
            if not waited:
                self._journal.tell(f"Nothing was stopped, for {current.project} is being trained", asking)
            return False
        if self._unet.training is not None:
            self._unet.stop_training(instruction, absolute(instruction.content, self._sync))
            return True
        if self._worker.training is not None:
            self._worker.training.stop()
        return False

    def end(self) -> None:
        """The trainer ends: no training that was stopped by that begins again by itself."""
        self._drop_next()
        training = self._worker.training
        if training is not None:  # Its step did not end in time.
            self._box.finish(training.instruction)
            training.drop()

    def abandon(self, instruction: Instruction, reason: str) -> None:
        """A start is given up; its window hears why."""
        self._fine_tuning(TrainingRequest.parse(instruction, self._sync)).abandon(reason)

    @property
    def _ending(self) -> bool:
        """Whether the training in progress was stopped, or has just ended on its own thread."""
        training = self._worker.training
        if training is not None:
            return training.stopping
        return self._unet.training is None or self._unet.stopping

    def _begin(self, request: TrainingRequest) -> None:
        latest = newest(request.models)
        if latest is not None and is_unet(latest) or latest is None and not request.model:
            self._unet.train(request, absolute(request.instruction.content, self._sync))
            return
        training = self._fine_tuning(request)
        if self._worker.busy:
            training.wait()
        self._worker.train(training)

    def _drop_next(self) -> None:
        if self._next is not None:
            self._box.finish(self._next.instruction)
            self._journal.tell("Training stopped", self._next.messages)
            self._next = None

    def _fine_tuning(self, request: TrainingRequest) -> FineTuning:
        return FineTuning(request, self._models, self._journal, self._box.further)
