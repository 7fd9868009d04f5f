"""``rootfm_trainer.json`` in the sync folder: the window sees that we live, a second trainer that it must not start."""

from __future__ import annotations

import json
import logging
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any
from uuid import uuid4

from .. import __version__, files
from ..errors import HostError

logger = logging.getLogger(__name__)

FILE = "rootfm_trainer.json"
PROTOCOL = 1
SECONDS_BETWEEN_BEATS = 2.0
SECONDS_TO_PROVE_LIFE = 6.0
"""A trainer lives if its beat changes within this time: clocks of two machines are never compared."""
SECONDS_FROM_ELSEWHERE = 60.0
"""The same for one on another machine, whose beats Dropbox or Drive may bring twenty to forty seconds late."""


class SecondTrainer(HostError):
    """Another trainer serves this sync folder."""


def read(path: Path) -> dict[str, Any]:
    """The heartbeat at `path`; empty when there is none or it cannot be read just now."""
    try:
        heart = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return heart if isinstance(heart, dict) else {}


class Heartbeat:
    """The life sign of this trainer, and its claim to the sync folder.

    Args:
        sync_dir: The sync folder.
        state: Gives what the window should know now; called at each beat.
    """

    def __init__(self, sync_dir: Path, state: Callable[[], dict[str, Any]]) -> None:
        self.path = sync_dir / FILE
        self._state = state
        self._token = uuid4().hex
        self._beat = 0
        self._last = 0.0
        self._shown: dict[str, Any] = {}
        self._fixed = {
            "protocol": PROTOCOL,
            "plugin": __version__,
            "host": platform.node(),
            "pid": os.getpid(),
            "started": time.time(),
            "token": self._token,
        }

    def claim(self, wait: float | None = None, ended: Event | None = None) -> bool:
        """Takes the sync folder, unless a living trainer holds it.

        Args:
            wait: Seconds in which a living trainer shows itself; None for as long as it takes from its machine.
            ended: Set when this trainer is to end, also while it still waits.

        Returns:
            Whether the folder is ours; False when this trainer was `ended` before that was known.

        Raises:
            SecondTrainer: names the host and process of the first.
            HostError: the folder cannot be written to.
        """
        first = read(self.path)
        if first and not first.get("stopped"):
            if not self._outwait(first, self._patience(first) if wait is None else wait, ended or Event()):
                return False
        try:
            self._write(self._state())
        except OSError as error:
            raise HostError(
                f"The sync folder {self.path.parent} cannot be written to: {error.strerror or error}. Without that no "
                "window finds this trainer. Get the right to write there, or choose another folder."
            ) from error
        return True

    def beat(self) -> None:
        """Shows the state when it is due or has changed; call it often, it costs nothing in between.

        Raises:
            SecondTrainer: another trainer took over, as it may after this machine slept.
        """
        state = self._state()
        if state == self._shown and time.monotonic() - self._last < SECONDS_BETWEEN_BEATS:
            return
        holder = read(self.path)
        if self._beat and holder.get("token", self._token) != self._token:
            raise SecondTrainer(
                f"Another trainer (process {holder.get('pid')} on {holder.get('host')}) has taken over this sync "
                "folder. This one ends, so that the two do not disturb each other."
            )
        self._try_to_write(state)

    def stop(self) -> None:
        """The trainer ends in good order: the next one need not wait to see whether it lives."""
        if read(self.path).get("token", self._token) == self._token:
            self._try_to_write(self._state() | {"state": "idle", "job": None, "project": None, "stopped": True})

    def _patience(self, first: dict[str, Any]) -> float:
        """Seconds in which the first trainer shows itself if it lives; says so where they are many."""
        if first.get("host") == self._fixed["host"]:
            return SECONDS_TO_PROVE_LIFE
        logger.info(
            "The trainer on %s (process %s) did not say that it ended. A synchronised folder may show late that it "
            "still works, so this one waits for %d seconds before it takes over.",
            first.get("host"),
            first.get("pid"),
            SECONDS_FROM_ELSEWHERE,
        )
        return SECONDS_FROM_ELSEWHERE

    def _outwait(self, first: dict[str, Any], wait: float, ended: Event) -> bool:
        """Waits for a sign of life of the first trainer; False when this one was ended meanwhile."""
        end = time.monotonic() + wait
        while time.monotonic() < end:
            if ended.wait(min(0.2, wait)):
                return False
            now = read(self.path)
            if now.get("stopped"):
                return True
            if now and (now.get("beat"), now.get("token")) != (first.get("beat"), first.get("token")):
                raise SecondTrainer(
                    f"A trainer already serves {self.path.parent}: process {now.get('pid')} on {now.get('host')}. "
                    "Stop that one first; two trainers on one sync folder take each other's work."
                )
        return True

    def _try_to_write(self, state: dict[str, Any]) -> None:
        try:
            self._write(state)
        except OSError as error:
            # A reader may hold the file open on Windows, or the drive be away; the next beat follows soon.
            logger.debug("The heartbeat could not be written: %s", error)

    def _write(self, state: dict[str, Any]) -> None:
        self._beat += 1
        self._last = time.monotonic()
        files.write_text(self.path, json.dumps(self._fixed | {"beat": self._beat} | state, indent=1))
        self._shown = state
