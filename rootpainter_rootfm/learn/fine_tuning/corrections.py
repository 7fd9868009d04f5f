"""RootPainter's corrective annotations as training targets: only what the user painted counts."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ...errors import DataError
from ...files import stamp
from .corrected import UNUSABLE, Contents, Correction
from .photographs import Photographs

WHOLE = 3
"""Images to validate on from which on none is divided. One alone says little of others, and refused models that were
better there; and learning from only one of two images leaves half of what is known unused."""
SECONDS_LEFT_OUT = 10.0
"""After which an image that could not be read is tried again: its drive may be back, or the file whole."""


class Corrections:
    """The corrected images of a project, as they are on disk now.

    Args:
        dataset: Folder of the project's images.
        train, val: The two folders of its annotations.
        shown: Folder of the masks that the user was shown and corrected, if it is known.
        balance: Whether uncommon colours are taken out of the photographs.
        cache_bytes: Decoded images and annotations kept in memory.

    Attributes:
        training, validation: What to learn from and what to measure on.
        problems: What could not be used at the last look, and why, by the annotation's file name.
        contents: What these images, annotations and masks hold.
    """

    def __init__(
        self,
        dataset: Path,
        train: Path,
        val: Path,
        shown: Path | None = None,
        balance: bool = True,
        cache_bytes: int = 2 << 30,
    ) -> None:
        self.training: tuple[Correction, ...] = ()
        self.validation: tuple[Correction, ...] = ()
        self.problems: dict[str, str] = {}
        self.contents = Contents(shown, balance, cache_bytes)
        self._train, self._val = train, val
        self._photographs = Photographs(dataset)
        self._says_something: dict[Correction, bool] = {}
        self._left_out: dict[Correction, _LeftOut] = {}

    def refresh(self) -> Iterator[None]:
        """Looks for new, changed and removed annotations; yields after each file that it had to read.

        Raises:
            DataError: a folder of the project is gone.
            OSError: a folder cannot be read just now, as when its drive is away for a while.
        """
        self._photographs.forget_listing()
        problems: dict[str, str] = {}
        training = yield from self._look(self._train, problems)
        validation = yield from self._look(self._val, problems)
        if not training or len(validation) < WHOLE:
            both = training + validation
            training, validation = ([replace(item, part=part) for item in both] for part in ("train", "val"))
        self.training, self.validation, self.problems = tuple(training), tuple(validation), problems

    def drop(self, correction: Correction, cause: str) -> None:
        """Leaves an image out that cannot be read; `refresh` tries it again after a while.

        Raises:
            OSError: all photographs are out of reach, as when their drive is away for a while.
        """
        self._photographs.reach()
        self._photographs.forget(correction.image)
        self.problems[correction.annotation.name] = cause
        self._left_out[replace(correction, part="")] = _LeftOut(cause, time.monotonic())
        self.training, self.validation = (
            tuple(item for item in part if item.annotation != correction.annotation)
            for part in (self.training, self.validation)
        )

    def _look(self, folder: Path, problems: dict[str, str]) -> Generator[None, None, list[Correction]]:
        """The usable annotations of a folder; notes the `problems` of the others."""
        usable = []
        for annotation in _list(folder):
            try:
                correction = self._correction(annotation)
                if correction is None:
                    continue
                if correction not in self._says_something:
                    self._says_something[correction] = bool(self.contents.known(correction).any())
                    yield
                if correction in self._left_out:
                    self._try_again(correction)
                    yield
            except UNUSABLE as error:
                problems[annotation.name] = str(error)
                continue
            if self._says_something[correction]:
                usable.append(correction)
        return usable

    def _correction(self, annotation: Path) -> Correction | None:
        """What an annotation belongs to; None where it was removed in this moment. Raises DataError without image."""
        found = stamp(annotation)
        return None if found is None else Correction(self._photographs.find(annotation.stem), annotation, found)

    def _try_again(self, correction: Correction) -> None:
        """Takes an image in again if it can be read now; raises one of `UNUSABLE` if not, or if tried lately."""
        left = self._left_out[correction]
        if time.monotonic() - left.tried < SECONDS_LEFT_OUT:
            raise DataError(left.cause)
        left.tried = time.monotonic()
        self.contents.truth(correction)
        del self._left_out[correction]


@dataclass
class _LeftOut:
    """Why an image could not be read, and when that was tried last."""

    cause: str
    tried: float


def _list(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".png" and path.name[0] != ".")
    except OSError as error:
        cause = f"The folder {folder} cannot be read: {error.strerror or error}."
        if isinstance(error, FileNotFoundError) and folder.parent.is_dir():
            raise DataError(cause) from error
        raise OSError(cause) from error
