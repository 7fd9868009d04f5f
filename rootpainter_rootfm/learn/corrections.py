"""RootPainter's corrective annotations as training targets: only what the user painted counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .. import images, light, masks
from ..errors import DataError, ImageError, MaskError
from .cache import ArrayCache
from .data import Truth

CELL = 64
"""Side in pixels of the squares by which an annotated image is divided between training and validation."""
VALIDATION_EVERY = 3
"""Of such squares every third is validated on."""
WHOLE = 3
"""Images to validate on from which on none is divided. One alone says little of others, and refused models that were
better there; and learning from only one of two images leaves half of what is known unused."""


def read(annotation: Path) -> tuple[np.ndarray, np.ndarray]:
    """What an annotation says, as two H×W bool arrays: where there is root, and where anything is known at all.

    Raises:
        MaskError: the file cannot be read.
    """
    root, soil = masks.read_annotation(annotation)
    return root, root | soil


@dataclass(frozen=True)
class Correction:
    """An annotated image.

    Attributes:
        image: The photograph.
        annotation: The annotation.
        stamp: Time of change and size of the annotation; another stamp is another annotation.
        part: `train` or `val` when the image is divided between the two, else empty.
    """

    image: Path
    annotation: Path
    stamp: tuple[int, int]
    part: str = ""


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
        problems: What could not be used, and why, by file name.
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
        self._dataset, self._folders, self._shown = dataset, (train, val), shown
        self._balance = balance
        self._cache = ArrayCache(cache_bytes)
        self._usable: dict[tuple[Path, tuple[int, int]], bool] = {}
        self._photographs: dict[str, Path] = {}
        self._listed: dict[str, Path] | None = None

    def refresh(self) -> Iterator[None]:
        """Looks for new, changed and removed annotations; yields after each file that it had to read.

        Raises:
            DataError: a folder of the project is gone.
            OSError: the drive of the project is away, as it may be for a while.
        """
        self._listed = None
        found: list[list[Correction]] = []
        for folder in self._folders:
            found.append([])
            for correction in self._list(folder):
                if (correction.annotation, correction.stamp) not in self._usable:
                    self._examine(correction)
                    yield
                if self._usable.get((correction.annotation, correction.stamp)):
                    found[-1].append(correction)
        training, validation = found
        if not training or len(validation) < WHOLE:
            both = training + validation
            training, validation = ([replace(item, part=part) for item in both] for part in ("train", "val"))
        self.training, self.validation = tuple(training), tuple(validation)

    def truth(self, correction: Correction) -> Truth:
        """The image with what is known of it.

        Raises:
            ImageError, MaskError, DataError: a file is gone, unreadable, or of another size than its image.
        """
        image = self._image(correction.image)
        root, _ = self._annotation(correction)
        if root.shape != image.shape[:2]:
            raise DataError(
                f"{correction.annotation.name} has {root.shape[1]}×{root.shape[0]} pixels, its image "
                f"{image.shape[1]}×{image.shape[0]}: the image was replaced, annotate it anew."
            )
        known = self.known(correction)
        return Truth(image, root & known, known)

    def corrected(self, correction: Correction) -> Truth | None:
        """The image with the mask as the user left it: the one that was shown, and the strokes on it.

        Unknown is what is validated on. None where the mask that was shown is missing.

        Raises:
            ImageError, MaskError, DataError: as `truth`.
        """
        shown = self.shown_mask(correction, self._image(correction.image).shape[:2])
        if shown is None:
            return None
        return self._cache.get((correction, "corrected"), lambda: self._painted_over(shown, correction))

    def _painted_over(self, shown: np.ndarray, correction: Correction) -> Truth:
        image = self.truth(correction).image  # which also says whether image and annotation belong together
        root, painted = self._annotation(correction)
        known = divide(root, painted, correction.part) if correction.part else None
        return Truth(image, np.where(painted, root, shown), known)

    def known(self, correction: Correction) -> np.ndarray:
        """H×W bool: where the user painted, in the part of the image that is meant; the photograph is not read.

        Raises:
            MaskError: the annotation is gone or unreadable.
        """
        root, painted = self._annotation(correction)
        if not correction.part:
            return painted
        return self._cache.get((correction, "known"), lambda: painted & divide(root, painted, correction.part))

    def painted(self, correction: Correction) -> np.ndarray:
        """The same for the whole image; raises what `known` raises."""
        return self._annotation(correction)[1]

    def shown_mask(self, correction: Correction, shape: tuple[int, ...]) -> np.ndarray | None:
        """The mask that the user corrected, bool of that shape; None where it is missing, unreadable or of another."""
        if self._shown is None:
            return None
        path = self._shown / f"{correction.annotation.stem}.png"
        try:
            # Kept with the annotation: a mask that is made anew meanwhile is not the one that was corrected.
            mask = self._cache.get((correction.annotation, correction.stamp, "shown"), lambda: masks.read(path))
        except MaskError:
            return None
        return mask if mask.shape == shape else None

    def _image(self, path: Path) -> np.ndarray:
        """H×W×3 uint8, as the network is shown it."""
        return self._cache.get((path, ()), lambda: self._read(path))

    def _read(self, path: Path) -> np.ndarray:
        image = images.read(path)
        return light.balanced(image) if self._balance else image

    def _annotation(self, correction: Correction) -> np.ndarray:
        """What `read` gives, as one 2×H×W array."""
        key = (correction.annotation, correction.stamp)
        return self._cache.get(key, lambda: np.stack(read(correction.annotation)))

    def drop(self, correction: Correction, cause: str) -> None:
        """Leaves an image out until its annotation changes, because it cannot be read any more."""
        self._usable[correction.annotation, correction.stamp] = False
        self.problems[correction.annotation.name] = cause
        self._photographs.pop(correction.annotation.stem, None)
        self.training, self.validation = (
            tuple(item for item in part if item.annotation != correction.annotation)
            for part in (self.training, self.validation)
        )

    def _list(self, folder: Path) -> list[Correction]:
        try:
            files = sorted(path for path in folder.iterdir() if path.suffix == ".png" and path.name[0] != ".")
        except OSError as error:
            if not folder.parent.is_dir():
                raise
            raise DataError(f"The folder {folder} cannot be read: {error.strerror or error}.") from error
        return [item for item in map(self._correction, files) if item is not None]

    def _correction(self, annotation: Path) -> Correction | None:
        try:
            stat = annotation.stat()
        except OSError:
            return None  # Removed in this moment.
        image = self._photographs.get(annotation.stem)
        if image is None:
            image = self._photograph(annotation.stem)
            if image is None:
                self.problems[annotation.name] = f"{annotation.stem} has no image in {self._dataset}."
                return None
            self._photographs[annotation.stem] = image
        return Correction(image, annotation, (stat.st_mtime_ns, stat.st_size))

    def _photograph(self, stem: str) -> Path | None:
        candidates = (self._dataset / f"{stem}{ending}" for ending in images.EXTENSIONS)
        found = next((path for path in candidates if path.is_file()), None)
        return found or self._by_stem().get(stem)

    def _by_stem(self) -> dict[str, Path]:
        """All photographs, the first of each name without its ending; listed at most once a look."""
        if self._listed is None:
            listed = images.list_images(self._dataset) if self._dataset.is_dir() else []
            self._listed = {path.stem: path for path in reversed(listed)}
        return self._listed

    def _examine(self, correction: Correction) -> None:
        """Whether the annotation says anything; one that cannot be read yet is looked at again next time."""
        try:
            _, known = self._annotation(correction)
        except MaskError as error:
            self.problems[correction.annotation.name] = str(error)
            return
        self._usable[correction.annotation, correction.stamp] = bool(known.any())
        self.problems.pop(correction.annotation.name, None)


UNUSABLE = (ImageError, MaskError, DataError)
"""What `Corrections.truth` raises for an image that has to be left out."""


def divide(root: np.ndarray, known: np.ndarray, part: str) -> np.ndarray:
    """H×W bool: which pixels of one image belong to its `train` or its `val` part.

    Neighbouring strokes stay together in squares of `CELL`; of the squares with root, and of those with soil, every
    third is validated on. Where there are too few squares to divide, both parts have them all.
    """
    rows, columns = -(-root.shape[0] // CELL), -(-root.shape[1] // CELL)
    chosen = np.zeros((rows, columns), bool)
    for layer in (root, known & ~root):
        cells = np.argwhere(_any_in_cells(layer, rows, columns))
        for row, column in cells[1::VALIDATION_EVERY]:
            chosen[row, column] = True
    validation = chosen.repeat(CELL, 0).repeat(CELL, 1)[: root.shape[0], : root.shape[1]]
    if not (known & validation).any() or not (known & ~validation).any():
        return np.ones_like(known)
    return validation if part == "val" else ~validation


def _any_in_cells(layer: np.ndarray, rows: int, columns: int) -> np.ndarray:
    padded = np.zeros((rows * CELL, columns * CELL), bool)
    padded[: layer.shape[0], : layer.shape[1]] = layer
    return padded.reshape(rows, CELL, columns, CELL).any((1, 3))
