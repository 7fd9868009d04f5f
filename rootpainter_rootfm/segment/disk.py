"""Whether an output folder takes files: on a full disk a night of images would be segmented in vain."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Final
from uuid import uuid4

from ..errors import MaskError

_REFUSALS: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_SAMPLE: Final = bytes(1 << 16)


class DiskError(MaskError, OSError):
    """A folder takes no files. As an OSError it may pass: a trainer tries again, when somebody has made room."""


def try_to_write(folder: Path) -> None:
    """Writes and removes a small hidden file; raises DiskError where the folder takes none."""
    sample = folder / f".{uuid4().hex[:16]}.part"
    try:
        try:
            sample.write_bytes(_SAMPLE)
        finally:
            sample.unlink(missing_ok=True)
    except OSError as error:
        raise DiskError(_sentence(folder, error)) from error


def refusal(folder: Path, error: Exception) -> str:
    """Why the folder takes no file at all, after one could not be written; empty where only that file was refused."""
    cause = error if isinstance(error, OSError) else error.__cause__
    if not isinstance(cause, OSError):
        return ""
    if cause.errno in _REFUSALS:
        return _sentence(folder, cause)
    # A single mask may be held by another program, or belong to somebody else.
    try:
        try_to_write(folder)
    except DiskError as refused:
        return str(refused)
    return ""


def _sentence(folder: Path, error: OSError) -> str:
    return (
        f"Masks cannot be written to {folder}: {error.strerror or error}. Free some space or allow writing there; "
        "started again, the same work goes on where it stopped."
    )
