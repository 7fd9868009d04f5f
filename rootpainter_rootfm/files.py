"""Files that a user may lose are written beside their place and moved there in one step."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from .errors import RootFMError

READING = (0.01, 0.03, 0.1, 0.3, 0.6)
"""Seconds to wait, one time after the other, for whoever reads a file that is to be replaced."""
ABANDONED = 24 * 3600
"""Seconds without a change after which nobody is still writing a file, whatever the clock of another computer says."""
_BESIDE = re.compile(r"\.[0-9a-f]{16}\.part(\.\w+)?")


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a path beside `path` to write to; on success it takes the place of `path`, on failure it is removed.

    The temporary name starts with a dot, so RootPainter never counts it, and ends like `path`, so that
    libraries which choose a format by the extension choose the right one. It is short: `path` may have the longest
    name that its disk allows.
    """
    target = Path(path)
    beside = target.with_name(f".{uuid4().hex[:16]}.part{target.suffix}")
    try:
        yield beside
        with open(beside, "r+b") as written:  # Windows flushes only what may be written to.
            os.fsync(written.fileno())
        move(beside, target)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def writing(path: str | os.PathLike[str], failure: type[RootFMError], *wrapped: type[Exception]) -> Iterator[Path]:
    """As `replacing`, with a `failure` for whatever the disk or the network folder refuses.

    `wrapped` are the errors of its own in which a library hides that refusal.
    """
    try:
        with replacing(path) as beside:
            yield beside
    except (OSError, *wrapped) as error:
        cause = getattr(error, "strerror", None) or str(error).rstrip(".")
        raise failure(f"{path} cannot be written: {cause}.") from error


def unfinished(folder: Path, suffix: str) -> list[Path]:
    """Files of that suffix that `replacing` left in a folder when its process was killed, or is writing just now."""
    return list(folder.glob(f".*.part{suffix}"))


def remove_abandoned(folder: Path) -> None:
    """Removes what `replacing` left in a folder when its process was killed, but nothing that is being written."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            ours = _BESIDE.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
            if ours and entry.stat().st_mtime < time.time() - ABANDONED:
                os.unlink(entry)


def move(beside: Path, target: Path) -> None:
    """Lets a whole file take the place of `target`, patiently.

    Windows refuses to replace a file while anybody reads it: the window, a virus scanner, a synchronised folder.
    """
    for wait in READING:
        try:
            os.replace(beside, target)
            return
        except PermissionError:
            time.sleep(wait)
    os.replace(beside, target)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes `text` as UTF-8 in one step: a reader sees the old file or the new one, never a part.

    Of file names that are no text, as old archives leave them on Linux, the odd bytes are written as codes.
    """
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8", errors="backslashreplace")


def is_there(path: str | os.PathLike[str]) -> bool:
    """Whether there is a file or folder of that name; raises OSError where nobody can tell, as of a drive that is away.

    `Path.exists` and `Path.is_file` say no to that, too, from Python 3.14 on. Who writes where they say so may replace
    what is there.
    """
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


Stamp = tuple[int, int]
"""Time of change in nanoseconds and size in bytes: a file with another stamp holds something else."""


def stamp(path: str | os.PathLike[str]) -> Stamp | None:
    """The stamp of a file; None where it is gone or out of reach."""
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size


def sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file's bytes, as 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def way(masks_folder: Path, images_folder: Path) -> str:
    """The folder of the images as seen from that of their masks, links followed."""
    there, here = os.path.realpath(images_folder), os.path.realpath(masks_folder)
    try:
        return Path(os.path.relpath(there, here)).as_posix()
    except ValueError:  # another drive of Windows
        return Path(there).as_posix()


def file_name(name: str) -> str:
    """A dataset's name as it may stand in a path on every system."""
    return re.sub(r"[^\w.-]", "_", name)
