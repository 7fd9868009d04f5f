"""Whether an output folder takes files: on a full disk a night of images would be segmented in vain."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

from ..errors import MaskError

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_FORBIDDEN: Final = (errno.EACCES, errno.EPERM)
_SAMPLE: Final = bytes(1 << 16)


class DiskError(MaskError, OSError):
    """A folder takes no files. As an OSError it may pass: a trainer tries again, when somebody has made room."""


def try_to_write(folder: Path) -> None:
    """Writes and removes a small hidden file; raises DiskError where the folder takes none."""
    sample = folder / f".{uuid4().hex[:16]}.part"
    try:
        sample.write_bytes(_SAMPLE)
    except OSError as error:
        raise DiskError(_sentence(folder, error)) from error
    finally:
        with suppress(OSError):  # A virus scanner may hold it for a moment; that is no refusal.
            sample.unlink(missing_ok=True)


def refusal(folder: Path, error: Exception) -> str:
    """Why the folder takes no file at all, after one could not be written.

    Empty where only that file was refused, as when another program holds a mask.
    """
    if not os.path.isdir(folder):  # `Path.is_dir` raises where a share has dropped
        return f"The folder {folder} is gone. Once it is there again, the same work goes on where it stopped."
    cause = error if isinstance(error, OSError) else error.__cause__
    number = cause.errno if isinstance(cause, OSError) else None
    if number in _FULL:
        return _sentence(folder, cause)
    if number not in _FORBIDDEN:
        return ""
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
