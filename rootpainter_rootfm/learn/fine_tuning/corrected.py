"""What a corrected image holds: the photograph, what the user painted, and the mask that was painted on."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ... import images, light, masks
from ...errors import DataError, ImageError, MaskError
from ...files import Stamp, stamp
from ..cache import ArrayCache
from ..data import Truth

CELL = 64
"""Side in pixels of the squares by which an annotated image is divided between training and validation."""
VALIDATION_EVERY = 3
"""Of such squares every third is validated on."""
UNUSABLE = (ImageError, MaskError, DataError)
"""What `Contents.truth` raises for an image that has to be left out."""


@dataclass(frozen=True)
class Correction:
    """An annotated image.

    Attributes:
        image: The photograph.
        annotation: The annotation.
        stamp: Of the annotation; another stamp is another annotation.
        part: `train` or `val` when the image is divided between the two, else empty.
    """

    image: Path
    annotation: Path
    stamp: Stamp
    part: str = ""


class Contents:
    """Reads corrected images; keeps what was read last within a limit.

    Args:
        shown: Folder of the masks that the user was shown and corrected, if it is known.
        balance: Whether uncommon colours are taken out of the photographs.
        cache_bytes: Memory for photographs and layers, the latter with a bit for each pixel.
    """

    def __init__(self, shown: Path | None, balance: bool, cache_bytes: int) -> None:
        self._shown, self._balance = shown, balance
        self._cache = ArrayCache(cache_bytes)

    def truth(self, correction: Correction) -> Truth:
        """The image with what was painted on it.

        Raises:
            ImageError, MaskError, DataError: a file is gone, unreadable, or of another size than its image.
        """
        image, (root, _) = self._image(correction.image), self._annotation(correction)
        _check_size(correction, root, image)
        known = self.known(correction)
        return Truth(image, root & known, known)

    def corrected(self, correction: Correction) -> Truth | None:
        """The image with the mask as the user left it: the one that was shown, and the strokes on it.

        Unknown is what is validated on. None where the mask that was shown is missing.

        Raises:
            ImageError, MaskError, DataError: as `truth`.
        """
        image = self._image(correction.image)
        if self._shown_bits(correction, image.shape[:2]) is None:
            return None
        root, known = self._layers((correction, "corrected"), lambda: self._painted_over(correction, image))
        return Truth(image, root, known if correction.part else None)

    def known(self, correction: Correction) -> np.ndarray:
        """H×W bool: where the user painted, in the part of the image that is meant; the photograph is not read.

        Raises:
            MaskError: the annotation is gone or unreadable.
        """
        root, painted = self._annotation(correction)
        if not correction.part:
            return painted
        return self._layers((correction, "known"), lambda: painted & divide(root, painted, correction.part))

    def painted(self, correction: Correction) -> np.ndarray:
        """The same for the whole image; raises what `known` raises."""
        return self._annotation(correction)[1]

    def shown_mask(self, correction: Correction, shape: tuple[int, ...]) -> np.ndarray | None:
        """The mask that the user corrected, bool of that shape.

        None where it is missing, unreadable, of another shape, or no foundation model's: the first masks of a U-Net are
        noise, and its users paint examples on them, not corrections.
        """
        bits = self._shown_bits(correction, shape)
        return None if bits is None else bits.array()

    def _shown_bits(self, correction: Correction, shape: tuple[int, ...]) -> Bits | None:
        if self._shown is None:
            return None
        path = self._shown / f"{correction.annotation.stem}.png"
        try:
            bits = self._bits((correction.annotation, correction.stamp, "shown"), lambda: _read_shown(path))
        except MaskError:
            return None
        return bits if bits.shape == shape else None

    def _painted_over(self, correction: Correction, image: np.ndarray) -> np.ndarray:
        """2×H×W: where there is root, and where that is known."""
        root, painted = self._annotation(correction)
        _check_size(correction, root, image)
        shown = self.shown_mask(correction, root.shape)
        known = divide(root, painted, correction.part) if correction.part else np.ones_like(root)
        return np.stack((np.where(painted, root, shown), known))

    def _image(self, path: Path) -> np.ndarray:
        """H×W×3 uint8, as the network is shown it."""
        # With its stamp: a photograph that was put right again is another one.
        return self._cache.get((path, stamp(path)), lambda: self._read(path))

    def _read(self, path: Path) -> np.ndarray:
        image = images.read(path)
        return light.balanced(image) if self._balance else image

    def _annotation(self, correction: Correction) -> np.ndarray:
        """What `read` gives, as one 2×H×W array."""
        key = (correction.annotation, correction.stamp)
        return self._layers(key, lambda: np.stack(read(correction.annotation)))

    def _layers(self, key: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
        return self._bits(key, make).array()

    def _bits(self, key: Hashable, make: Callable[[], np.ndarray]) -> Bits:
        return self._cache.get(key, lambda: Bits.of(make()))


@dataclass(frozen=True)
class Bits:
    """A bool array, eight values to a byte: an image has several layers, and there may be hundreds of images."""

    packed: np.ndarray
    shape: tuple[int, ...]

    @classmethod
    def of(cls, array: np.ndarray) -> Bits:
        """Packs it."""
        return cls(np.packbits(array), array.shape)

    def array(self) -> np.ndarray:
        """It is what was packed."""
        return np.unpackbits(self.packed, count=int(np.prod(self.shape))).reshape(self.shape).view(bool)

    @property
    def nbytes(self) -> int:
        """Memory held, in bytes."""
        return self.packed.nbytes


def read(annotation: Path) -> tuple[np.ndarray, np.ndarray]:
    """What an annotation says, as two H×W bool arrays: where there is root, and where anything is known at all.

    Raises:
        MaskError: the file cannot be read.
    """
    root, soil = masks.read_annotation(annotation)
    return root, root | soil


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


def _read_shown(path: Path) -> np.ndarray:
    """A mask with a note, as the foundation models' are, 0×0 for any other."""
    return masks.read(path) if masks.read_note(path) else np.zeros((0, 0), bool)


def _check_size(correction: Correction, root: np.ndarray, image: np.ndarray) -> None:
    if root.shape != image.shape[:2]:
        raise DataError(
            f"{correction.annotation.name} has {root.shape[1]}×{root.shape[0]} pixels, its image "
            f"{image.shape[1]}×{image.shape[0]}: the image was replaced, annotate it anew."
        )
