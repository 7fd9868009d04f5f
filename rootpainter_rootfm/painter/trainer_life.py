"""Whether a trainer answers, judged by its heartbeat alone; no Qt in here."""

from __future__ import annotations

import math
import platform
from enum import Enum

from .exchange import Heartbeat

SILENT_AFTER = 6.0
"""Seconds without a new beat after which a trainer counts as gone."""
SILENT_ELSEWHERE_AFTER = 60.0
"""The same for one on another machine: Dropbox or Drive may bring its beats twenty to forty seconds late."""


class Life(Enum):
    """What the heartbeat says."""

    UNKNOWN = "not judged yet"
    ALIVE = "the beat changes"
    SILENT = "no beat"


class Judge:
    """Compares each look at the heartbeat with the ones before.

    Two machines share the file and their clocks differ, so only a beat that changes while we watch counts as life.

    Attributes:
        may_start: whether a trainer of ours may be started. One on another machine that was not seen to live is not
            called silent as soon: ours waits as long itself before it takes the folder over, and loads meanwhile.
    """

    def __init__(self) -> None:
        self._last: tuple[tuple[str, int], int] | None = None
        self._since: float | None = None
        self._moved = False
        self._elsewhere = False
        self.may_start = False

    def see(self, beat: Heartbeat | None, now: float) -> Life:
        """One look; `now` is a clock of this machine that never goes back, in seconds.

        A look that found nothing is no word of an end: the file may be half-written, or held by a virus scanner.
        """
        if beat is not None and beat.stopped:
            self._last, self._since, self._moved = None, None, False
        elif beat is not None and (beat.identity, beat.beat) != self._last:
            self._moved = self._last is not None
            self._last, self._since = (beat.identity, beat.beat), now
            self._elsewhere = beat.host != platform.node()
        waited = math.inf if self._since is None else now - self._since
        silent = waited >= (SILENT_ELSEWHERE_AFTER if self._elsewhere else SILENT_AFTER)
        self.may_start = silent or waited >= SILENT_AFTER and not self._moved
        if silent:
            return Life.SILENT
        return Life.ALIVE if self._moved else Life.UNKNOWN
