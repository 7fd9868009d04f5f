"""How long work reports and how it is stopped: one callable and one token for command line, window and trainer."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event

from .errors import Cancelled

Progress = Callable[[int, int, str], None]
"""Called as ``progress(done, total, current)``: items finished, items in all, and what is being worked on."""


def silent(done: int, total: int, current: str) -> None:
    """A `Progress` that shows nothing."""


class CancelToken:
    """Shared between who works and who may stop the work; safe across threads."""

    def __init__(self) -> None:
        self._event = Event()

    def cancel(self) -> None:
        """Asks the work to stop at its next check."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._event.is_set()

    def check(self) -> None:
        """Raises `Cancelled` once `cancel` was called."""
        if self._event.is_set():
            raise Cancelled("Stopped on request.")
