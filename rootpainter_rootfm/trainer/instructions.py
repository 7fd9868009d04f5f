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
from dataclasses import dataclass, field, replace
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
"""An instruction that came no further while the trainer died this often is set aside, or it dies at every start."""

_NOT_OURS = frozenset({"desktop.ini", "thumbs.db"})
_TAKEN = ".rootfm_taken"


@dataclass(frozen=True)
class Instruction:
    """One thing that the window asks for.

    Attributes:
        file: Name of its file among what was taken.
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

    def goes_by(self, name: str) -> bool:
        """Whether the window knows it by this name: that of a folder job, or of a project's masks asked for at once."""
        return name in (self.own.get("job"), self.own.get("batch"))


Report = Callable[[str, "Instruction | None", str], None]
"""Called as ``report(sentence, instruction or None, details)`` for a failure that a user should hear of."""


@dataclass
class _Trial:
    """How often a file was tried; begins anew when the file changes or work on it comes further."""

    stamp: files.Stamp | None = None
    count: int = 0
    last: float = 0.0

    @property
    def due(self) -> bool:
        return time.monotonic() - self.last >= SECONDS_BETWEEN_TRIES


class InstructionBox:
    """The instructions in one sync folder. Used by one thread, but for `begin` and `further`.

    Args:
        sync: Whose folder to read.
        report: Tells a user of failures.
    """

    def __init__(self, sync: SyncFolder, report: Report) -> None:
        self._sync = sync
        self._taken = sync.instructions / _TAKEN
        self._report = report
        self._trials: dict[Path, _Trial] = {}
        self._waiting: dict[str, Instruction] = {}
        self._unmoved: dict[Path, Path] = {}
        self._begun = Begun(self._taken)
        # Known from here on: a trainer needs seconds to start, and a training asked for meanwhile is wanted.
        self._left = _listing(sync.instructions)

    def resume(self) -> list[Instruction]:
        """At the start: what an earlier run took and did not finish.

        What was asked for while no trainer ran is still wanted: the window waits for masks, and who stopped or
        cancelled something does not want it taken up again. Only a training is not begun hours later behind the
        user's back: a message says so.
        """
        for file in self._left:
            path = self._sync.instructions / file
            try:
                instruction = _parse(path)
            except (OSError, ValueError):
                continue
            if instruction.name == "start_training":
                reason = "No trainer was running when training was started. Start it again now."
                self._set_aside(path, reason, instruction)
        return [instruction for file in _listing(self._taken) if (instruction := self._resumed(file))]

    def take(self) -> list[Instruction]:
        """The instructions that came since the last call and those to be tried again, in the order they were sent.

        What cannot be read is tried at most once a second, and given up after `TRIES`. While the drive is away nothing
        is tried.

        Raises:
            OSError: the drive cannot be reached just now.
        """
        if not self._sync.root.is_dir():
            return []
        self._sync.instructions.mkdir(exist_ok=True)
        # What was done while the drive was away would be carried out again at the next start.
        self._unmoved = {path: folder for path, folder in self._unmoved.items() if not _move(path, folder)}
        fresh = [self._waiting.pop(file) for file in list(self._waiting) if self._trials[self._taken / file].due]
        for file in _listing(self._sync.instructions):
            path = self._sync.instructions / file
            if path in self._unmoved or path in self._trials and not self._trials[path].due:
                continue
            try:
                fresh.append(self._take(path))
            except (OSError, ValueError) as error:
                self._tried_in_vain(path, str(error))
        return fresh

    def begin(self, instruction: Instruction) -> None:
        """Work on it goes on: noted, for the case that the trainer does not survive it. Safe from any thread."""
        self._begun.add(instruction.file)

    def further(self, instruction: Instruction, lasting: bool) -> None:
        """Work on it has come further, and its tries are counted anew. Safe from any thread, and cheap.

        Args:
            instruction: What was being worked on.
            lasting: Whether the next start of the trainer would go on from there.
        """
        trial = self._trials.get(self._taken / instruction.file)
        if trial is not None:
            trial.count = 0
        if lasting:
            self._begun.further(instruction.file)

    def deadly(self, instruction: Instruction) -> bool:
        """Whether the trainer ended unexpectedly `STARTS` times while it worked on this and came no further."""
        return self._begun.count(instruction.file) >= STARTS

    def finish(self, instruction: Instruction) -> None:
        """It was carried out: to ``executed_instructions``."""
        self._begun.forget(instruction.file)
        self._put_away(self._taken / instruction.file, self._sync.executed)

    def fail(self, instruction: Instruction, reason: str, details: str = "") -> None:
        """It cannot be carried out: to ``failed_instructions``, with the reason beside it."""
        self._begun.forget(instruction.file)
        self._set_aside(self._taken / instruction.file, reason, instruction, details)

    def retry(self, instruction: Instruction, reason: str) -> bool:
        """It failed for a cause that may pass, such as a file still being synchronised.

        Returns:
            Whether `take` will give it again; if not, it was given up and reported, or somebody took its file away.
        """
        self._begun.forget(instruction.file)
        path = self._taken / instruction.file
        first = path not in self._trials
        if not self._tried_in_vain(path, reason, instruction):
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
        """The trainer ends because it was asked to: what it works on did not bring it down."""
        self._begun.clear()

    def _resumed(self, file: str) -> Instruction | None:
        try:
            return _parse(self._taken / file)
        except (OSError, ValueError) as error:
            self._set_aside(self._taken / file, str(error))
            return None

    def _take(self, path: Path) -> Instruction:
        instruction = _parse(path)
        self._taken.mkdir(exist_ok=True)
        # RootPainter names a file by its content: what is asked for twice comes twice under the same name.
        taken, number = self._taken / path.name, 1
        while files.is_there(taken):
            number += 1
            taken = self._taken / f"{path.name}-{number}"
        os.replace(path, taken)
        self._trials.pop(path, None)
        return replace(instruction, file=taken.name)

    def _tried_in_vain(self, path: Path, reason: str, instruction: Instruction | None = None) -> bool:
        """Whether there is to be another try; after the last one the file is set aside."""
        stamp = files.stamp(path)
        if stamp is None and _taken_back(path):
            self._trials.pop(path, None)
            return False
        if self._count(path, stamp) < TRIES:
            return True
        self._set_aside(path, reason, instruction)
        return False

    def _count(self, path: Path, stamp: files.Stamp | None) -> int:
        """How often a file was tried since it last changed or came further, this time included."""
        trial = self._trials.setdefault(path, _Trial(stamp))
        if stamp is not None and stamp != trial.stamp:
            trial = self._trials[path] = _Trial(stamp)
        trial.count += 1
        trial.last = time.monotonic()
        return trial.count

    def _set_aside(self, path: Path, reason: str, instruction: Instruction | None = None, details: str = "") -> None:
        self._put_away(path, self._sync.failed)
        try:
            files.write_text(self._sync.failed / f"{path.name}_exception.txt", f"{reason}\n{details}")
        except OSError as error:
            logger.warning("The reason could not be kept in %s: %s", self._sync.failed, error)
        self._report(reason, instruction, details)

    def _put_away(self, path: Path, folder: Path) -> None:
        self._trials.pop(path, None)
        if not _move(path, folder):
            logger.warning("%s cannot be moved to %s yet", path.name, folder)
            self._unmoved[path] = folder


def _move(path: Path, folder: Path) -> bool:
    """Moves a file to `folder`; False when that has to be tried again."""
    try:
        folder.mkdir(exist_ok=True)
        os.replace(path, folder / path.name)
    except FileNotFoundError:
        return _taken_back(path)
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


def _parse(path: Path) -> Instruction:
    file = path.name
    name = file.rpartition("_")[0]
    if name not in NAMES:
        raise ValueError(f"{file} is not an instruction that this trainer knows ({', '.join(NAMES)}).")
    text = path.read_text(encoding="utf-8")
    if not text.strip():
        raise ValueError(f"The instruction {file} is empty.")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"The instruction {file} is not complete or not JSON ({error}).") from error
    if not isinstance(content, dict):
        raise ValueError(f"The instruction {file} does not hold a JSON object.")
    return Instruction(file, name, content)
