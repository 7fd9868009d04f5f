"""The one thread that computes. What a user waits for comes first, then folders, then steps of training."""

from __future__ import annotations

import logging
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Protocol

from ..errors import Cancelled, ImageError, ModelError, RootFMError, WeightsError
from .instructions import Instruction
from .requests import SegmentRequest, TrainingRequest

logger = logging.getLogger(__name__)

_OVER = object()

MAY_PASS = (OSError, ImageError, ModelError, WeightsError)
"""Causes that may be over in a moment, as when a synchronised model file is not complete yet."""


Further = Callable[[Instruction, bool], None]
"""Called where work has come further, as with a mask or a better model, and whether the next start of the trainer would
go on from there."""


class Work(Protocol):
    """A piece of work that comes from one instruction."""

    instruction: Instruction
    request: SegmentRequest

    @property
    def many(self) -> bool:
        """Whether so much of it is left that neither a folder nor a training should wait for all of it."""

    def wait(self) -> None:
        """It is queued; leaves word for who waits for it."""

    def run(self, between: Callable[[], None]) -> bool:
        """Does a part of it; whether that was the last. Calls `between` wherever something urgent may be done."""

    def cancel(self) -> None:
        """Asks it to end soon, for good. Safe from any thread."""

    def interrupt(self) -> None:
        """Asks it to end soon, to be gone on with later. Safe from any thread."""

    def drop(self) -> None:
        """It was cancelled before it began; leaves word for who waits for it."""

    def abandon(self, message: str) -> None:
        """It is given up; leaves word for who waits for it."""


class Training(Protocol):
    """A training in progress."""

    instruction: Instruction
    request: TrainingRequest

    def steps(self) -> Iterator[None]:
        """Trains; yields at least once a second."""

    def stop(self) -> None:
        """Asks it to end in good order at the next step, which is short then. Safe from any thread."""

    @property
    def stopping(self) -> bool:
        """Whether it was asked to."""

    def drop(self) -> None:
        """Tells the window that it is stopped, where it cannot say so itself any more."""


@dataclass(frozen=True)
class Outcome:
    """What became of an instruction: `finished`, `retry` (the cause may pass), or `failed`."""

    instruction: Instruction
    kind: str
    reason: str = ""
    details: str = ""


class Worker:
    """Work in order of urgency, on a thread of its own, so that instructions are answered whatever it computes.

    Args:
        begins: Called on that thread before each part of the work on an instruction.

    Attributes:
        outcomes: What was finished or failed, for the thread that keeps the instructions.
    """

    def __init__(self, begins: Callable[[Instruction], None]) -> None:
        self.outcomes: SimpleQueue[Outcome] = SimpleQueue()
        self._begins = begins
        self._changed = threading.Condition()
        self._urgent: deque[Work] = deque()
        self._later: deque[Work] = deque()
        self._running: list[Work] = []
        self._training: Training | None = None
        self._steps: Iterator[None] | None = None
        self._ending = False
        self._thread = threading.Thread(target=self._loop, name="worker", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def end(self, seconds: float) -> bool:
        """Asks everything to stop and waits at most `seconds`; whether it ended."""
        with self._changed:
            self._ending = True
            for work in self._running:
                work.interrupt()
            if self._training is not None:
                self._training.stop()
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def add(self, work: Work, urgent: bool) -> None:
        """Queues work; urgent work is also done between the images of other work."""
        with self._changed:
            (self._urgent if urgent else self._later).append(work)
            self._changed.notify()

    def cancel(self, wanted: Callable[[Work], bool]) -> list[Work]:
        """Cancels the running work that is `wanted`; takes queued work out of the queue and gives it back."""
        with self._changed:
            for work in self._running:
                if wanted(work):
                    work.cancel()
            dropped = [work for work in (*self._urgent, *self._later) if wanted(work)]
            for queue in (self._urgent, self._later):
                kept = [work for work in queue if work not in dropped]
                queue.clear()
                queue.extend(kept)
        return dropped

    @property
    def training(self) -> Training | None:
        """The training in progress."""
        return self._training

    @property
    def busy(self) -> bool:
        """Whether there is work that goes before training."""
        return bool(self._running or self._urgent or self._later)

    @property
    def running(self) -> Work | None:
        """The work being done; where urgent work interrupts it, still the work that was interrupted."""
        running = self._running
        return running[0] if running else None

    def train(self, training: Training) -> None:
        """Begins a training; there must be none in progress."""
        with self._changed:
            self._training, self._steps = training, training.steps()
            self._changed.notify()

    def _loop(self) -> None:
        while not self._ending:
            with self._changed:
                while not (self._ending or self._urgent or self._later or self._training):
                    self._changed.wait()
            self.do_next()
        while self._training is not None:
            self._step()

    def do_next(self) -> None:
        """Does the most urgent piece of work, or one step of training.

        Between the images of a project's long request, which ends a part after each, training goes on by a step.
        """
        if self._do_urgent():
            return
        if self._later and (self._do(self._later) or self._urgent):
            return
        if self._training is not None:
            self._step()

    def _do_urgent(self) -> bool:
        """Does the next of what waits for no folder: the end of a training that was stopped, urgent work."""
        if self._training is not None and self._training.stopping:
            self._step()
        elif self._urgent:
            self._do(self._urgent)
        else:
            return False
        return True

    def _do_all_urgent(self) -> None:
        while not self._ending and self._do_urgent():
            pass

    def _do(self, queue: deque[Work]) -> bool:
        """Does a part of the next work in a queue; whether that was its last."""
        urgent = queue is self._urgent
        with self._changed:
            if not queue:
                return True  # It was cancelled in this moment.
            # The image asked for last is the one on the screen; folders are done in their order.
            work = queue.pop() if urgent else queue.popleft()
            self._running.append(work)
        finished = True

        def part() -> None:
            nonlocal finished
            self._begins(work.instruction)
            finished = work.run(_nothing if urgent else self._do_all_urgent)

        outcome = attempt(work.instruction, part)
        with self._changed:
            self._running.remove(work)
            if urgent and not finished and work.many:
                self._later.append(work)  # Its first image was the one on the screen; nobody looks at the others yet.
            elif not finished:
                queue.appendleft(work)
        if finished and not self._ending:
            self.outcomes.put(outcome)
        return finished

    def _step(self) -> None:
        outcome = attempt(self._training.instruction, self._advance)
        if self._steps is None or outcome.kind != "finished":
            self._training = self._steps = None
            self.outcomes.put(outcome)

    def _advance(self) -> None:
        self._begins(self._training.instruction)
        if next(self._steps, _OVER) is _OVER:
            self._steps = None


def attempt(instruction: Instruction, action: Callable[[], object]) -> Outcome:
    """Runs `action`; whatever it raises becomes an outcome, for no fault may end the trainer."""
    try:
        action()
    except Cancelled:
        return Outcome(instruction, "finished")
    except MAY_PASS as error:
        return Outcome(instruction, "retry", str(error))
    except RootFMError as error:
        return Outcome(instruction, "failed", str(error))
    except Exception as error:
        logger.exception("A fault while carrying out %s", instruction.file)
        return Outcome(
            instruction,
            "failed",
            f"An unexpected fault stopped this: {type(error).__name__}: {error}. Details are in server_log.txt.",
            traceback.format_exc(),
        )
    return Outcome(instruction, "finished")


def _nothing() -> None:
    """Urgent work is not interrupted."""
