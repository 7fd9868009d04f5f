"""``.rootfm_job.json`` in an output folder: how far the work there has come, for the window to show."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from .logs import Journal

logger = logging.getLogger(__name__)

FILE = ".rootfm_job.json"
SECONDS_BETWEEN_WRITES = 0.5


class JobFile:
    """The progress of one job. A failure to write it never stops the job.

    Args:
        folder: The output folder; made if absent.
        job: The window's name for the job.
        total: Images in all.
        journal: Writes later what cannot be written now.

    Attributes:
        made: Names of images that need no more work when the job is gone on with, also by the trainer's next start.
    """

    def __init__(self, folder: Path, job: str, total: int, journal: Journal) -> None:
        self._path, self._journal = folder / FILE, journal
        self._job, self._total = job, total
        self._done, self._current = 0, ""
        self._failed: list[tuple[str, str]] = []
        self._started: float | None = None
        self._began = self._last = 0.0
        self._first = 0
        self.made = self._made_before()
        with suppress(OSError):  # Who writes masks there says why that cannot be.
            folder.mkdir(parents=True, exist_ok=True)

    def queue(self) -> None:
        """The job waits for others."""
        self._write("queued")

    def start(self, already: int = 0) -> None:
        """Work begins; `already` images need none."""
        self._started, self._began = time.time(), time.monotonic()
        self._done = self._first = already
        self._write("running")

    def show(self, done: int, current: str, failed: Sequence[tuple[str, str]]) -> bool:
        """`done` images are finished, the `failed` ones (name and cause) included; whether that was due and written."""
        self._done, self._current, self._failed = done, current, list(failed)
        due = time.monotonic() - self._last >= SECONDS_BETWEEN_WRITES
        if due:
            self._write("running")
        return due

    def put_off(self) -> None:
        """The trainer ends; its next start goes on."""
        self._write("queued", "The trainer was stopped; the work goes on when it is started again.")

    def end(self, state: str, message: str = "", preview: str | None = None) -> None:
        """The job is `done`, `cancelled` or `failed`."""
        self._current = ""
        self._write(state, message, preview)

    def _made_before(self) -> set[str]:
        try:
            shown = json.loads(self._path.read_text(encoding="utf-8"))
            return set(shown["made"]) if shown["job"] == self._job else set()
        except (OSError, ValueError, KeyError, TypeError):
            return set()

    def _seconds_left(self) -> float | None:
        made = self._done - self._first
        return (time.monotonic() - self._began) / made * (self._total - self._done) if made > 0 else None

    def _write(self, state: str, message: str = "", preview: str | None = None) -> None:
        self._last = time.monotonic()
        over = state in ("done", "cancelled", "failed")
        shown = {
            "job": self._job,
            "state": state,
            "done": self._done,
            "total": self._total,
            "current": self._current,
            "failed": [{"file": file, "cause": cause} for file, cause in self._failed],
            "seconds_left": self._seconds_left() if state == "running" else None,
            "started": self._started,
            "ended": time.time() if over else None,
            "message": message,
            "preview": preview,
            "made": [] if over else sorted(self.made),
        }
        try:
            self._journal.write(self._path, json.dumps(shown, indent=1))
        except OSError as error:
            logger.warning("The progress cannot be shown in %s: %s", self._path.parent, error)
