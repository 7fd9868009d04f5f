"""The trainer as a whole: reads instructions, hands them to who can carry them out, and shows what is going on."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from threading import Event
from typing import Any

from .. import __version__, files
from .heartbeat import Heartbeat
from .instructions import STARTS, Instruction, InstructionBox
from .logs import Journal
from .machine import describe
from .models import Models, for_unet
from .paths import SyncFolder
from .requests import SegmentRequest, find_messages
from .segmenting import FolderSegmenting, ProjectSegmenting
from .trainings import Trainings
from .unet import UNetTrainer
from .worker import Outcome, Work, Worker, attempt

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_POLLS = 0.25
SECONDS_TO_END = 1.5
"""RootPainter kills its trainer two seconds after it asked it to end."""
SECONDS_BETWEEN_LOOKS = 10.0
"""How often the library is looked at for new models."""


class Server:
    """Serves one sync folder.

    Args:
        sync: The folder.
        unet_options: Command line options for RootPainter's own trainer, when a project needs it.
    """

    def __init__(self, sync: SyncFolder, unet_options: tuple[str, ...] = ()) -> None:
        self.sync = sync
        self._journal = Journal(sync.root)
        self._box = InstructionBox(sync, self._report)
        self.worker = Worker(self._box.begin)
        self._models = Models(sync)
        self._unet = UNetTrainer(self._journal, unet_options)
        self._trainings = Trainings(sync, self._box, self.worker, self._unet, self._models, self._journal)
        self._heartbeat = Heartbeat(sync.root, self._state)
        self._machine: dict[str, Any] = {"device": "", "devices": [], "models": []}
        self._looked = 0.0
        self._works: dict[str, Work] = {}
        self._ended = Event()
        self._away = False
        self._answers: dict[str, Callable[[Instruction], bool]] = {
            "segment": self._segment,
            "start_training": self._trainings.start,
            "stop_training": self._stop_training,
            "trainer_status": self._trainer_status,
        }

    def end(self) -> None:
        """Asks the trainer to end; safe in a signal handler."""
        self._ended.set()

    def run(self) -> bool:
        """Serves until `end` is called; whether all work had ended by then.

        Raises:
            SecondTrainer: a trainer already serves the folder, or has taken it over.
            HostError: the folder cannot be used.
        """
        if not self.begin():
            return True
        try:
            self.worker.start()
            while not self._ended.wait(SECONDS_BETWEEN_POLLS):
                self._try_tick()
        finally:
            ended = self.wind_up()
        return ended

    def begin(self) -> bool:
        """Takes the sync folder, and takes up what an earlier run left; False when it was to end before that."""
        self.sync.prepare()
        if not self._heartbeat.claim(ended=self._ended):
            return False
        self._journal.log(f"Trainer {__version__} started for {self.sync.root}")
        self._look_at_machine()
        self._heartbeat.beat()
        for instruction in self._box.resume():
            if self._box.deadly(instruction):
                self._give_up(instruction)
            else:
                self._answer(instruction)
        return True

    def _try_tick(self) -> None:
        """A `tick` that outlives a network drive which is away for a while, as all work does."""
        try:
            self.tick()
        except OSError as error:
            if not self._away:
                self._journal.log(f"The sync folder cannot be used just now; the trainer tries on. {error}")
            self._away = True
        else:
            if self._away:
                self._journal.log("The sync folder can be used again.")
            self._away = False

    def tick(self) -> None:
        """Answers new instructions, puts finished ones away, shows the state. Never waits for work.

        Raises:
            OSError: the sync folder cannot be used just now; nothing is lost, and the next call goes on.
        """
        for instruction in self._box.take():
            self._answer(instruction)
        self._settle()
        training = self._trainings.due()
        if training is not None:
            self._answer(training)
        self._journal.catch_up()
        if time.monotonic() - self._looked >= SECONDS_BETWEEN_LOOKS:
            self._look_at_machine()
        self._heartbeat.beat()

    def wind_up(self) -> bool:
        """Ends what is being done and says so; whether it has ended."""
        ended = self.worker.end(SECONDS_TO_END)
        self._box.release()
        self._unet.end()
        self._settle()
        self._trainings.end()
        self._heartbeat.stop()
        self._journal.log("Trainer stopped")
        return ended

    def _look_at_machine(self) -> None:
        """Which devices and models there are; a window on this machine may add models at any time."""
        self._looked = time.monotonic()
        self._machine = describe()

    def _answer(self, instruction: Instruction) -> None:
        handed_on = False

        def answer() -> None:
            nonlocal handed_on
            handed_on = self._answers[instruction.name](instruction)

        outcome = attempt(instruction, answer)
        if not handed_on:
            self._put_away(outcome)

    def _segment(self, instruction: Instruction) -> bool:
        request = SegmentRequest.parse(instruction, self.sync)
        if for_unet(request):
            self._unet.segment(request)
            return True
        # One that is tried again knows what it has done.
        work = self._works.get(instruction.file) or self._work(request)
        self._works[instruction.file] = work
        work.wait()
        self.worker.add(work, urgent=request.of_project)
        if request.of_project and not self._trainings.request:
            # Who goes from image to image may believe that training is on.
            self._journal.show("Network not training", request.messages)
        return True

    def _work(self, request: SegmentRequest) -> Work:
        kind = ProjectSegmenting if request.of_project else FolderSegmenting
        return kind(request, self._models, self._journal, self._box.further)

    def _give_up(self, instruction: Instruction) -> None:
        """It brings the trainer down; a window that follows it hears so."""
        reason = f"Given up: the trainer ended unexpectedly {STARTS} times while it worked on this and came no further."

        def leave_word() -> None:
            if instruction.name == "segment":
                self._work(SegmentRequest.parse(instruction, self.sync)).abandon(reason)
            else:
                self._trainings.abandon(instruction, reason)

        attempt(instruction, leave_word)
        self._box.fail(instruction, reason)

    def _stop_training(self, instruction: Instruction) -> bool:
        self._settle()  # One that has just failed waits for its next try.
        return self._trainings.stop(instruction)

    def _trainer_status(self, instruction: Instruction) -> bool:
        name = instruction.own.get("cancel")
        if isinstance(name, str) and name:
            self._cancel(name)
        training = self._trainings.request
        status: dict[str, Any] = {
            "timestamp": time.time(),
            "training": training is not None,
            "plugins": {"rootfm": __version__},
        }
        if training is not None:
            status["project"] = training.project
        files.write_text(self.sync.root / "trainer_status.json", json.dumps(status))
        return False

    def _cancel(self, name: str) -> None:
        self._settle()  # One that has just failed waits for its next try.
        for instruction in self._box.withdraw(lambda waiting: waiting.goes_by(name)):
            work = self._works.pop(instruction.file, None)
            if work is not None:
                work.drop()
        for work in self.worker.cancel(lambda work: work.instruction.goes_by(name)):
            work.drop()
            self._works.pop(work.instruction.file, None)
            self._box.finish(work.instruction)
        for instruction in self._unet.cancel(name):
            self._box.finish(instruction)

    def _settle(self) -> None:
        """Puts away what was finished or failed since the last time."""
        for outcome in self._unet.poll():
            self._put_away(outcome)
        while not self.worker.outcomes.empty():
            self._put_away(self.worker.outcomes.get())

    def _put_away(self, outcome: Outcome) -> None:
        instruction = outcome.instruction
        if outcome.kind == "finished":
            self._box.finish(instruction)
        elif outcome.kind == "failed":
            self._box.fail(instruction, outcome.reason, outcome.details)
        elif self._box.retry(instruction, outcome.reason):
            return
        work = self._works.pop(instruction.file, None)
        if outcome.kind != "finished" and work is not None:
            work.abandon(outcome.reason)

    def _report(self, sentence: str, instruction: Instruction | None, details: str) -> None:
        messages = find_messages(instruction.content, self.sync) if instruction is not None else None
        self._journal.fail(sentence, messages, details)

    def _state(self) -> dict[str, Any]:
        """What the heartbeat shows."""
        training = self._trainings.request
        running = self.worker.running
        segmenting = running.request if running is not None else self._unet.segmenting
        project = training or segmenting
        job = segmenting if segmenting is not None and not segmenting.of_project else None
        folder = job.output.relative_to(self.sync.root) if job and job.output.is_relative_to(self.sync.root) else None
        return self._machine | {
            "state": "segmenting" if segmenting else "training" if training else "idle",
            "training": training.project if training is not None else None,
            "unet": self._unet.installed,
            "local_paths": self.sync.allow_local_paths,
            "job": {"id": job.job, "folder": (folder or job.output).as_posix()} if job is not None else None,
            "project": project.project if project is not None else None,
            "last_error": self._journal.last_error,
        }
