"""Projects with RootPainter's own U-Net are handed to RootPainter's own trainer, which runs unmodified beside ours.

It is given a few images at a time, so that a request for the image on screen never waits for a whole folder, and every
failure has a name.
"""

from __future__ import annotations

import logging
import math
import shutil
import time
from collections import deque
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .. import images
from ..errors import ImageError
from ..files import is_there, replacing
from ..versions import UNET
from .instructions import Instruction
from .jobs import JobFile
from .logs import Journal
from .paths import Refused
from .requests import SegmentRequest, TrainingRequest
from .unet_child import PACKAGE
from .unet_process import Answer, UNetProcess
from .worker import Outcome

logger = logging.getLogger(__name__)

INSTALL = f"This needs RootPainter's own trainer. Install it with  {UNET}."
AT_ONCE = 4
"""Images given away at a time: enough to keep it busy, few enough to stop soon."""
SECONDS_BETWEEN_QUESTIONS = 3.0
"""How often it is asked whether it still trains."""
SECONDS_AWAY = 600.0
"""How long a folder that was there may be gone before its images fail."""


class UNetTrainer:
    """What concerns a U-Net, from the instruction to its outcome. Used by one thread; nothing here waits.

    Args:
        journal: Where users are told of what goes wrong.
        options: Command line options for RootPainter's trainer.
    """

    def __init__(self, journal: Journal, options: Sequence[str] = ()) -> None:
        self.installed = find_spec(PACKAGE) is not None
        self._journal = journal
        self._options = options
        self._process: UNetProcess | None = None
        self._jobs: list[_Job] = []
        self._asked: dict[str, Instruction] = {}
        self._training: TrainingRequest | None = None
        self._question, self._questioned = "", 0.0

    @property
    def training(self) -> TrainingRequest | None:
        """The training in progress."""
        return self._training

    @property
    def stopping(self) -> bool:
        """Whether training was asked to end and has not yet."""
        return any(asked.name == "stop_training" for asked in self._asked.values())

    @property
    def segmenting(self) -> SegmentRequest | None:
        """The folder or images being segmented."""
        return self._jobs[0].request if self._jobs else None

    def segment(self, request: SegmentRequest) -> None:
        """Queues a request; what a project's window waits for goes first.

        Raises:
            Refused: RootPainter's trainer is not installed.
        """
        process = self._running()
        job = _Job(request, process.folder, self._journal)
        if request.of_project:
            self._jobs.insert(0, job)
        else:
            self._jobs.append(job)

    def train(self, request: TrainingRequest, content: dict[str, Any]) -> None:
        """Starts training as `content` asks; raises `Refused` as `segment` does."""
        self._asked[self._running().give("start_training", content)] = request.instruction
        self._training = request
        self._questioned = time.monotonic()

    def stop_training(self, instruction: Instruction, content: dict[str, Any]) -> None:
        """Stops training."""
        self._asked[self._running().give("stop_training", content)] = instruction

    def cancel(self, name: str) -> list[Instruction]:
        """Ends the jobs of that name after the images given away; returns their instructions."""
        ended = [known for known in self._jobs if known.request.instruction.goes_by(name)]
        for known in ended:
            self._jobs.remove(known)
            known.cancel()
        return [known.request.instruction for known in ended]

    def poll(self) -> Iterator[Outcome]:
        """Gives work away and collects what was done. A fault ends all of its work, and never the trainer."""
        if self._process is None:
            return
        if self._process.exit_code is not None:
            yield from self._died(f"RootPainter's own trainer ended unexpectedly (code {self._process.exit_code}).")
            return
        try:
            yield from self._exchange(self._process)
        except Exception as error:
            logger.exception("A fault beside RootPainter's own trainer")
            yield from self._died(f"RootPainter's own trainer could not be used: {type(error).__name__}: {error}.")

    def end(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.end()
            self._process = None

    def _running(self) -> UNetProcess:
        if not self.installed:
            raise Refused(INSTALL)
        if self._process is None:
            self._process = UNetProcess(self._options)
        return self._process

    def _exchange(self, process: UNetProcess) -> Iterator[Outcome]:
        free = AT_ONCE - sum(len(job.given) for job in self._jobs)
        for job in self._jobs:
            while free > 0 and job.give(process):
                free -= 1
        for answer in process.answers():
            yield from self._answered(answer)
        for job in [job for job in self._jobs if job.over]:
            self._jobs.remove(job)
            job.end()
            yield Outcome(job.request.instruction, "finished")
        # Before it has answered to Start it may still say that it does not train.
        if self._training is not None and not self._asked:
            self._ask_whether_it_trains(process)

    def _answered(self, answer: Answer) -> Iterator[Outcome]:
        for job in self._jobs:
            if answer.file in job.given:
                job.take(answer)
        if answer.file == self._question:
            self._question = ""
            if self._process.training() is False:
                self._training = None
        instruction = self._asked.pop(answer.file, None)
        if instruction is None:
            return
        if instruction.name == "stop_training" or answer.error:
            self._training = None
        reason, _, details = answer.error.partition("\n")
        yield Outcome(instruction, "failed" if answer.error else "finished", reason, details)

    def _ask_whether_it_trains(self, process: UNetProcess) -> None:
        if not self._question and time.monotonic() - self._questioned >= SECONDS_BETWEEN_QUESTIONS:
            self._questioned = time.monotonic()
            self._question = process.give("trainer_status", {})

    def _died(self, reason: str) -> Iterator[Outcome]:
        self.end()
        if self._training is not None:
            self._journal.fail(f"Training stopped. {reason}", self._training.messages)
        jobs, asked = self._jobs, self._asked
        self._jobs, self._asked, self._training, self._question = [], {}, None, ""
        for job in jobs:
            job.abandon(reason)
        for instruction in (*(job.request.instruction for job in jobs), *asked.values()):
            yield Outcome(instruction, "failed", reason)


class _Job:
    """A request whose images are given away one by one."""

    def __init__(self, request: SegmentRequest, folder: Path, journal: Journal) -> None:
        self.request = request
        self._journal = journal
        self.given: dict[str, str] = {}
        self._names = deque(request.names)
        self._failed: list[tuple[str, str]] = []
        self._reached = -math.inf
        # A mask that is to be made anew is made elsewhere, so that the old one stays until the new one is whole.
        self._output = folder / "anew" / request.instruction.file if request.again else request.output
        self._file = None
        if not request.of_project:
            self._file = JobFile(request.output, request.job or request.instruction.file, len(request.names), journal)
            self._file.start()

    @property
    def over(self) -> bool:
        """Whether every image has been dealt with."""
        return not self._names and not self.given

    @property
    def done(self) -> int:
        """Images dealt with, failures included."""
        return len(self.request.names) - len(self._names) - len(self.given)

    def give(self, process: UNetProcess) -> bool:
        """Gives the next image that needs a mask away, or notes why that cannot be; False when there is none now."""
        while self._names and not self._away():
            name = self._names.popleft()
            try:
                if self.request.wanted(name):
                    self.given[process.give("segment", self._content(name))] = name
                    return True
            except OSError as error:
                self._dealt_with(name, str(error))
                return True
        return False

    def _away(self) -> bool:
        """Whether a folder is gone that was there a while ago: mostly its drive is, and comes back."""
        now = time.monotonic()
        if self.request.images.is_dir() and self.request.output.parent.is_dir():
            self._reached = now
        return 0 < now - self._reached < SECONDS_AWAY

    def _content(self, name: str) -> dict[str, Any]:
        """The instruction for one image, as RootPainter's window would write it, with absolute paths."""
        request = self.request
        request.output.mkdir(exist_ok=True)
        self._output.mkdir(parents=True, exist_ok=True)
        content: dict[str, Any] = {
            "dataset_dir": str(request.images),
            "seg_dir": str(self._output),
            "file_names": [name],
            "format": request.mask_format.value,
        }
        if request.model_paths:
            return content | {"model_paths": [str(path) for path in request.model_paths]}
        return content | {"model_dir": str(request.model_dir)}

    def take(self, answer: Answer) -> None:
        """Notes what became of an image."""
        name = self.given.pop(answer.file)
        if self._away():
            self._names.appendleft(name)
            return
        made = self._output / self.request.target(name).name
        cause = answer.error.partition("\n")[0]
        try:
            if not cause and not is_there(made):
                cause = _cause(self.request.images / name)
            elif not cause and self.request.again:
                with replacing(self.request.target(name)) as beside:
                    shutil.move(made, beside)
        except OSError as error:
            cause = str(error)
        self._dealt_with(name, cause)

    def _dealt_with(self, name: str, cause: str) -> None:
        """Notes an image whose mask is there, or that failed for a cause."""
        if cause:
            self._failed.append((name, cause))
        if self._file is not None:
            self._file.show(self.done, name, self._failed)

    def end(self) -> None:
        """Tells how it went."""
        message = f"Segmented {self.done - len(self._failed)} of {self.done} images."
        if self._failed:
            message += f" {len(self._failed)} failed, the first: {self._failed[0][0]}: {self._failed[0][1]}"
        if self._file is not None:
            self._file.end("done", message)
        if self._failed:
            self._journal.fail(message, self.request.messages)

    def cancel(self) -> None:
        """Leaves word that it was stopped."""
        if self._file is not None:
            self._file.end("cancelled", f"Stopped after {self.done} of {len(self.request.names)} images.")

    def abandon(self, reason: str) -> None:
        """Leaves word that it was given up."""
        if self._file is not None:
            self._file.end("failed", reason)


def _cause(image: Path) -> str:
    """Why RootPainter's trainer made no mask; it only says so in its own log."""
    try:
        images.read(image)
    except ImageError as error:
        return str(error)
    return f"{image.name} could not be read by RootPainter's own trainer."
