"""Opens a file that somebody else wrote: whatever goes wrong with it becomes one sentence of one kind of error."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from PIL import ImageFile, PngImagePlugin

from .errors import RootFMError

# A large colour profile or note, as image programs put into a PNG, makes no photograph unreadable.
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY


class Unreadable(ValueError):
    """Why a file is refused, as the end of the sentence "… cannot be read: "."""


@contextmanager
def opened(path: str | os.PathLike[str], failure: type[RootFMError]) -> Iterator[BinaryIO]:
    """Yields the open file; every error inside, from opening to decoding, is raised as `failure` with the cause."""
    try:
        if not Path(path).is_file():
            existing = "it is a folder" if Path(path).is_dir() else "it is not a regular file"
            raise Unreadable(existing if Path(path).exists() else "it does not exist")
        with open(path, "rb") as file:
            if not file.read(1):
                raise Unreadable("the file is empty; copy or export it again")
            file.seek(0)
            with _truncation_noticed:
                yield file
    except Unreadable as error:
        raise failure(f"{path} cannot be read: {error}.") from error
    except MemoryError as error:
        raise failure(f"{path} cannot be read: there is not enough memory for it.") from error
    # Damaged files make the decoders raise nearly anything, and one bad file must never end a folder.
    except Exception as error:
        refused = isinstance(error, OSError) and error.strerror
        # The first sentence: some decoders go on at length about what a user cannot act on.
        detail = " ".join(str(error).split()).partition(". ")[0].rstrip(".") or type(error).__name__
        cause = refused or f"the file is damaged or cut short ({detail}); copy or export it again"
        raise failure(f"{path} cannot be read: {cause}.") from error


class _Strictness:
    """RootPainter's window lets Pillow fill up truncated images with grey, for its whole process; here they fail.

    Several threads may read at a time: the first one switches it off, the last one back.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._readers = 0
        self._before = False

    def __enter__(self) -> None:
        with self._lock:
            if not self._readers:
                self._before, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
            self._readers += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._readers -= 1
            if not self._readers:
                ImageFile.LOAD_TRUNCATED_IMAGES = self._before


_truncation_noticed = _Strictness()
