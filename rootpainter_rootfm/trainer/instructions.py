"""The folder ``instructions``: what the window asks for, taken once it is complete, put away once it is done.

What is taken waits in a hidden folder beside, so a crash loses nothing: the next start goes on with it. Nothing that
lies in ``instructions`` can block what comes after it.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import files
from .begun import Begun
from .paths import SyncFolder

logger = logging.getLogger(__name__)

NAMES = ("start_training", "segment", "stop_training", "trainer_status")
TRIES = 60
"""As RootPainter's own trainer: a file that is still being synchronised is tried this often, once a second."""
SECONDS_BETWEEN_TRIES = 1.0
STARTS = 3
"""An instruction during which the trainer died this often is set aside, or it would die at every start."""

_NOT_OURS = frozenset({"desktop.ini", "thumbs.db"})
_TAKEN = ".rootfm_taken"


@dataclass(frozen=True)
class Instruction:
    """One thing that the window asks for.

    Attributes:
        file: Name of its file.
        name: One of `NAMES`.
        content: The JSON object, as the window wrote it.
    """

    file: str
    name: str
    content: dict[str, Any] = field(hash=False)

    @property
    def own(self) -> dict[str, Any]:
        """The part that only this trainer understands; empty when an unmodified window wrote the instruction."""
        own = self.content.get("rootfm")
        return own if isinstance(own, dict) else {}


Report = Callable[[str, "Instruction | None", str], None]
"""Called as ``report(sentence, instruction or None, details)`` for a failure that a user should hear of."""


@dataclass
class _Trial:
    """How often a file was tried; begins anew when the file changes."""

    stamp: tuple[int, int] | None = None
    count: int = 0
    last: float = 0.0

    @property
    def due(self) -> bool:
        return time.monotonic() - self.last >= SECONDS_BETWEEN_TRIES


class InstructionBox:
    """The instructions in one sync folder. Used by one thread, but for `begin`.

    Args:
        sync: Whose folder to read.
        report: Tells a user of failures.
    """

    def __init__(self, sync: SyncFolder, report: Report) -> None:
        self._sync = sync
        self._taken = sync.instructions / _TAKEN
        self._report = report
        self._trials: dict[str, _Trial] = {}
        self._waiting: dict[str, Instruction] = {}
        self._unmoved: dict[str, Path] = {}
        self._begun = Begun(self._taken)
        # Known from here on: a trainer needs seconds to start, and a training asked for meanwhile is wanted.
        self._left = _listing(sync.instructions)

    def resume(self) -> list[Instruction]:
        """At the start: what an earlier run took and did not finish; what no longer means anything is put aside.

        Masks asked for while no trainer ran are still wanted, for the window waits for them. A training asked for
        then is not begun hours later behind the user's back: a message says so.
        """
        for file in self._left:
            try:
                instruction = _parse(self._sync.instructions, file)
            except (OSError, ValueError):
                continue
            if instruction.name == "start_training":
                self.fail(instruction, "No trainer was running when training was started. Start it again now.")
            elif instruction.name != "segment":
                self.finish(instruction)
        return [instruction for file in _listing(self._taken) if (instruction := self._resumed(file))]

    def take(self) -> list[Instruction]:
        """The instructions that came since the last call and those to be tried again, in the order they were sent.

        What cannot be read is tried at most once a second, and given up after `TRIES`.

        Raises:
            OSError: the drive cannot be reached just now.
        """
        if self._sync.root.is_dir():
            self._sync.instructions.mkdir(exist_ok=True)
        # What was done while the drive was away would be carried out again at the next start.
        self._unmoved = {file: place for file, place in self._unmoved.items() if not self._move(file, place)}
        fresh = [self._waiting.pop(file) for file in list(self._waiting) if self._trials[file].due]
        for file in _listing(self._sync.instructions):
            if file in self._unmoved or file in self._trials and not self._trials[file].due:
                continue
            try:
                instruction = _parse(self._sync.instructions, file)
                self._taken.mkdir(exist_ok=True)
                os.replace(self._sync.instructions / file, self._taken / file)
            except (OSError, ValueError) as error:
                self._failed_try(file, self._sync.instructions, str(error))
            else:
                self._trials.pop(file, None)
                fresh.append(instruction)
        return fresh

    def begin(self, instruction: Instruction) -> None:
        """Work on it goes on: noted, for the case that the trainer does not survive it. Safe from any thread."""
        self._begun.add(instruction.file)

    def deadly(self, instruction: Instruction) -> bool:
        """Whether the trainer ended unexpectedly `STARTS` times while it worked on this."""
        return self._begun.count(instruction.file) >= STARTS

    def finish(self, instruction: Instruction) -> None:
        """It was carried out: to ``executed_instructions``."""
        self._put_away(instruction.file, self._sync.executed)

    def fail(self, instruction: Instruction, reason: str, details: str = "") -> None:
        """It cannot be carried out: to ``failed_instructions``, with the reason beside it."""
        self._set_aside(instruction.file, reason, instruction, details)

    def retry(self, instruction: Instruction, reason: str) -> bool:
        """It failed for a cause that may pass, such as a file still being synchronised.

        Returns:
            Whether `take` will give it again; if not, it was given up and reported.
        """
        self._begun.forget(instruction.file)
        first = instruction.file not in self._trials
        if not self._failed_try(instruction.file, self._taken, reason, instruction):
            return False
        self._waiting[instruction.file] = instruction
        if first:
            self._report(f"{reason} Trying again for a minute.", instruction, "")
        return True

    def withdraw(self, wanted: Callable[[Instruction], bool]) -> list[Instruction]:
        """Those `wanted` of the instructions that wait for their next try: they are not tried again, but finished."""
        withdrawn = [instruction for instruction in self._waiting.values() if wanted(instruction)]
        for instruction in withdrawn:
            del self._waiting[instruction.file]
            self.finish(instruction)
        return withdrawn

    def release(self) -> None:
        """The trainer ends in good order: what it worked on did not bring it down."""
        self._begun.clear()

    def _resumed(self, file: str) -> Instruction | None:
        try:
            return _parse(self._taken, file)
        except (OSError, ValueError) as error:
            self._set_aside(file, str(error), None, "")
            return None

    def _failed_try(self, file: str, folder: Path, reason: str, instruction: Instruction | None = None) -> bool:
        """Counts a failed try; False when it was the last, or when the window took the file back."""
        trial = self._trials.setdefault(file, _Trial())
        try:
            stat = (folder / file).stat()
            stamp = (stat.st_mtime_ns, stat.st_size)
        except OSError:
            if _taken_back(folder / file):
                self._trials.pop(file, None)
                return False
            stamp = trial.stamp
        if trial.stamp != stamp:
            trial = self._trials[file] = _Trial(stamp)
        trial.count += 1
        trial.last = time.monotonic()
        if trial.count < TRIES:
            return True
        self._set_aside(file, reason, instruction, "")
        return False

    def _set_aside(self, file: str, reason: str, instruction: Instruction | None, details: str) -> None:
        self._put_away(file, self._sync.failed)
        try:
            files.write_text(self._sync.failed / f"{file}_exception.txt", f"{reason}\n{details}")
        except OSError as error:
            logger.warning("The reason could not be kept in %s: %s", self._sync.failed, error)
        self._report(reason, instruction, details)

    def _put_away(self, file: str, folder: Path) -> None:
        self._trials.pop(file, None)
        self._begun.forget(file)
        if not self._move(file, folder):
            logger.warning("%s cannot be moved to %s yet", file, folder)
            self._unmoved[file] = folder

    def _move(self, file: str, folder: Path) -> bool:
        """Moves a file to `folder`, wherever it lies; False when that has to be tried again."""
        try:
            folder.mkdir(exist_ok=True)
        except OSError:
            return False
        for place in (self._taken, self._sync.instructions):
            try:
                os.replace(place / file, folder / file)
                return True
            except FileNotFoundError:
                continue  # It lies in the other place, or the window took it back.
            except OSError:
                return False
        return True


def _listing(folder: Path) -> list[str]:
    """Names of the files that may be instructions, the oldest first; none while the drive is away."""
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and entry.name.lower() not in _NOT_OURS and entry.is_file():
                    found.append((entry.stat().st_mtime_ns, entry.name))
    except OSError as error:
        logger.debug("%s cannot be read: %s", folder, error)
    return [name for _, name in sorted(found)]


def _taken_back(path: Path) -> bool:
    """Whether a file is gone from its folder; not where the folder cannot be read, for then the drive is away."""
    try:
        return path.name not in os.listdir(path.parent)
    except OSError:
        return False


def _parse(folder: Path, file: str) -> Instruction:
    name = file.rpartition("_")[0]
    if name not in NAMES:
        raise ValueError(f"{file} is not an instruction that this trainer knows ({', '.join(NAMES)}).")
    text = (folder / file).read_text(encoding="utf-8")
    if not text.strip():
        raise ValueError(f"The instruction {file} is empty.")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"The instruction {file} is not complete or not JSON ({error}).") from error
    if not isinstance(content, dict):
        raise ValueError(f"The instruction {file} does not hold a JSON object.")
    return Instruction(file, name, content)
