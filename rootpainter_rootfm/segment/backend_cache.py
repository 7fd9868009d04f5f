"""Prepared encoders on disk: found by everything that decides them, whole or not at all, and never too many."""

from __future__ import annotations

import hashlib
import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from ..files import replacing
from ..home import cache_folder

KEPT_BYTES: Final = 512 * 1024**2
"""Of all of them together, at most; what was not used for longest goes first."""
_DIGEST_BYTES: Final = 32
_SUFFIX: Final = ".encoder"

_log = logging.getLogger(__name__)


def kept(name: str) -> bytes | None:
    """What was kept under a name, or None when there is nothing, or nothing whole."""
    path = cache_folder() / (name + _SUFFIX)
    try:
        content = path.read_bytes()
    except OSError:
        return None
    with suppress(OSError):  # of a colleague, in a folder that is shared
        os.utime(path)
    digest, blob = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    if hashlib.sha256(blob).digest() == digest:
        return blob
    _log.info("%s is damaged and will be made anew.", path)
    return None


def keep(name: str, blob: bytes) -> None:
    """Keeps bytes under a name, in one step; where the disk does not allow it, they are not kept."""
    path = cache_folder() / (name + _SUFFIX)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as beside:
            beside.write_bytes(hashlib.sha256(blob).digest() + blob)
        _drop_oldest(path.parent)
    except OSError as error:
        _log.info("%s cannot be kept: %s", path, error.strerror or error)


def _drop_oldest(folder: Path) -> None:
    total = 0
    for path in sorted(_files(folder), key=lambda file: -file.stat().st_mtime):
        total += path.stat().st_size
        if total > KEPT_BYTES:
            path.unlink(missing_ok=True)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*" + _SUFFIX) if not path.name.startswith(".")]
