"""``rootfm_trainer.json`` in the sync folder: the window sees that we live, a second trainer that it must not start."""

from __future__ import annotations

import json
import logging
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
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

    def claim(self, wait: float = SECONDS_TO_PROVE_LIFE) -> None:
        """Takes the sync folder, unless a living trainer holds it.

        Raises:
            SecondTrainer: names the host and process of the first.
        """
        first = read(self.path)
        if first and not first.get("stopped"):
            _refuse_if_alive(self.path, first, wait)
        self.beat(force=True)

    def beat(self, force: bool = False) -> None:
        """Shows the state when it is due or has changed; call it often, it costs nothing in between.

        Raises:
            SecondTrainer: another trainer took over, as it may after this machine slept.
        """
        state = self._state()
        if not force and state == self._shown and time.monotonic() - self._last < SECONDS_BETWEEN_BEATS:
            return
        holder = read(self.path)
        if self._beat and holder.get("token", self._token) != self._token:
            raise SecondTrainer(
                f"Another trainer (process {holder.get('pid')} on {holder.get('host')}) has taken over this sync "
                "folder. This one ends, so that the two do not disturb each other."
            )
        self._beat += 1
        self._write(state)

    def stop(self) -> None:
        """The trainer ends in good order: the next one need not wait to see whether it lives."""
        if read(self.path).get("token", self._token) == self._token:
            self._beat += 1
            self._write(self._state() | {"state": "idle", "job": None, "project": None, "stopped": True})

    def _write(self, state: dict[str, Any]) -> None:
        self._last = time.monotonic()
        try:
            files.write_text(self.path, json.dumps(self._fixed | {"beat": self._beat} | state, indent=1))
            self._shown = state
        except OSError as error:
            # A reader may hold the file open on Windows, or the drive be away; the next beat follows soon.
            logger.debug("The heartbeat could not be written: %s", error)


def _refuse_if_alive(path: Path, first: dict[str, Any], wait: float) -> None:
    end = time.monotonic() + wait
    while time.monotonic() < end:
        time.sleep(min(0.2, wait))
        now = read(path)
        if now.get("stopped"):
            return
        if now and (now.get("beat"), now.get("token")) != (first.get("beat"), first.get("token")):
            raise SecondTrainer(
                f"A trainer already serves {path.parent}: process {now.get('pid')} on {now.get('host')}. "
                "Stop that one first; two trainers on one sync folder take each other's work."
            )
