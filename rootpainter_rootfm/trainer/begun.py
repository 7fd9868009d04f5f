"""Which instructions were being worked on when the trainer ended, and how often: one of them may bring it down."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from threading import Lock

from .. import files

logger = logging.getLogger(__name__)

FILE = ".begun.json"


class Begun:
    """How often work on each instruction was begun and came no further, was not finished and not put off.

    Safe across threads.

    Args:
        folder: Where the numbers are kept, so that they outlive the trainer; made if absent.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()
        self._counts = self._read()
        self._now: set[str] = set()
        self._further: set[str] = set()

    def count(self, file: str) -> int:
        """How often work on an instruction was begun."""
        return self._counts.get(file, 0)

    def add(self, file: str) -> None:
        """Work on it goes on; noted before its first part, for the case that the trainer does not survive it."""
        with self._lock:
            if file not in self._now:
                self._now.add(file)
                self._note({**self._counts, file: self.count(file) + 1})

    def further(self, file: str) -> None:
        """It has come to where the next start goes on: whatever ended the trainer before, such work comes to its end.

        Noted once in the life of a trainer, however often it is called.
        """
        with self._lock:
            if file not in self._further:
                self._further.add(file)
                self._forget(file)

    def forget(self, file: str) -> None:
        """The trainer survived it."""
        with self._lock:
            self._now.discard(file)
            self._further.discard(file)
            self._forget(file)

    def clear(self) -> None:
        """The trainer ends in good order; what it is still busy with then is not counted once more."""
        with self._lock:
            self._note({})

    def _forget(self, file: str) -> None:
        if file in self._counts:
            self._note({other: count for other, count in self._counts.items() if other != file})

    def _read(self) -> dict[str, int]:
        try:
            begun = json.loads((self._folder / FILE).read_text(encoding="utf-8"))
            return {str(file): int(count) for file, count in begun.items()}
        except (OSError, ValueError, AttributeError, TypeError):
            return {}

    def _note(self, counts: dict[str, int]) -> None:
        self._counts = counts
        try:
            self._folder.mkdir(exist_ok=True)
            files.write_text(self._folder / FILE, json.dumps(counts))
        except OSError as error:
            logger.warning("What was begun could not be noted: %s", error)
