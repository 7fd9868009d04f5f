"""What RootPainter's trainer leaves for people: messages in the window, ``server_log.txt``, tables of training."""

from __future__ import annotations

import logging
import re
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from .. import files

if TYPE_CHECKING:
    from ..learn.metrics import Confusion

logger = logging.getLogger(__name__)

MESSAGE_BYTES = 200
"""A message is a file name; most systems end at 255 bytes, encrypted folders sooner."""

CSV_HEADER = (
    "date_time,true_positives,false_positives,true_negatives,false_negatives,precision,recall,f1,defined,duration,loss"
)


_FOLDERS = re.compile(r"""(?<![^\s"'(])(?:[A-Za-z]:)?[\\/](?:[^\s\\/]+[\\/])+(?=[^\s\\/])""")


def message_name(text: str) -> str:
    """`text` as a file name that every operating system accepts, at most `MESSAGE_BYTES` bytes long.

    Of an absolute path only its last part is kept: the rest would take the room of the cause.
    """
    text = _FOLDERS.sub("", text)
    name = re.sub(r"\s+", " ", text.replace("/", "-").replace("\\", "-").replace('"', "'"))
    name = re.sub(r"[<>:|?*\x00-\x1f]", "", name)
    # Left out is also what is no text: on Linux, file names may hold any bytes.
    name = name.encode("utf-8", "ignore")[:MESSAGE_BYTES].decode("utf-8", "ignore")
    return name.strip(" .")


class Journal:
    """Where the trainer tells what happens: messages and files of state for the window, the log in the sync folder."""

    def __init__(self, sync_dir: Path) -> None:
        self._log = sync_dir / "server_log.txt"
        self.last_error: dict[str, object] | None = None
        self._unwritten: dict[Path, str] = {}
        self._lock = Lock()

    def write(self, path: Path, text: str) -> None:
        """Writes a file by which a window knows how its work goes; its last word must not be lost. Safe in any thread.

        Raises:
            OSError: that is not possible just now; `catch_up` writes it later.
        """
        with self._lock:
            try:
                files.write_text(path, text)
            except OSError:
                self._unwritten[path] = text
                raise
            self._unwritten.pop(path, None)

    def catch_up(self) -> None:
        """Writes what could not be written, as while a drive was away."""
        if not self._unwritten:
            return  # without waiting for a file that is being written: a slow drive must not hold up the heartbeat
        with self._lock:
            for path, text in list(self._unwritten.items()):
                with suppress(OSError):
                    files.write_text(path, text)
                    del self._unwritten[path]

    def tell(self, message: str, folder: Path | None) -> None:
        """Shows `message` in the window of the project that `folder` (its ``messages``) belongs to, and logs it."""
        self.log(message)
        self.show(message, folder)

    def show(self, message: str, folder: Path | None) -> None:
        """Shows `message` in the window without keeping it."""
        if folder is None:
            return
        try:
            (folder / message_name(message)).touch()
        except OSError as error:
            logger.warning("The message could not be shown in RootPainter: %s", error)

    def fail(self, message: str, folder: Path | None, details: str = "") -> None:
        """As `tell`, for a failure: it also stands in the heartbeat, with the name of the project that it concerns."""
        project = folder.parent.name if folder is not None else None
        self.last_error = {"time": time.time(), "message": message, "project": project}
        self.tell(message, folder)
        if details:
            self.log(details)

    def log(self, message: str) -> None:
        """Adds a line to ``server_log.txt`` in one write, so that no half line can be left."""
        logger.info("%s", message)
        line = f"{datetime.now()}|{time.time()}|{message}\n"
        try:
            with open(self._log, "ab", buffering=0) as log:
                log.write(line.encode("utf-8", "backslashreplace"))
        except OSError as error:
            logger.warning("server_log.txt cannot be written: %s", error)


def write_metrics(log_dir: Path, table: str, counts: Confusion, seconds: float, loss: float) -> None:
    """Adds one row to today's ``<date>_<table>.csv``, in RootPainter's own columns; F1 is always a number."""
    now = datetime.now()
    path = log_dir / f"{now:%Y-%m-%d}_{table}.csv"
    row = [
        f"{now:%Y-%m-%d-%H:%M:%S}",
        *(counts.tp, counts.fp, counts.tn, counts.fn),
        *(round(value, 4) for value in (counts.precision, counts.recall, counts.dice)),
        *(counts.defined, round(seconds, 3), round(loss, 6)),
    ]
    line = ",".join(str(part) for part in row) + "\n"
    # Header and row go out in one write: killed at any moment, a table holds whole lines.
    with open(path, "ab", buffering=0) as csv:
        csv.write((line if csv.tell() else f"{CSV_HEADER}\n{line}").encode())
