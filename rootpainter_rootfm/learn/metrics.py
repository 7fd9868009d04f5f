"""How well a mask agrees with the truth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy.ndimage import distance_transform_edt
from skimage.morphology import skeletonize

CENTRE_LINE_TOLERANCE = 3.0  # pixels

Counts = TypeVar("Counts")
"""`Confusion`, `CentreLines` or `ProbabilityCounts`."""


@dataclass(frozen=True)
class Confusion:
    """Counts of pixels; they add up over images.

    Attributes:
        tp, fp, tn, fn: true positive, false positive, true negative and false negative pixels.
    """

    tp: int = 0
    fp: int = 0
    tn: int = 0
    fn: int = 0

    @classmethod
    def of(cls, mask: np.ndarray, root: np.ndarray, known: np.ndarray | None = None) -> Confusion:
        """Compares two H×W bool arrays over the pixels where `known` (all of them by default)."""
        if known is not None:
            mask, root = mask[known], root[known]
        tp = int(np.count_nonzero(mask & root))
        fp, fn = int(np.count_nonzero(mask)) - tp, int(np.count_nonzero(root)) - tp
        return cls(tp, fp, mask.size - tp - fp - fn, fn)

    def __add__(self, other: Confusion) -> Confusion:
        return Confusion(self.tp + other.tp, self.fp + other.fp, self.tn + other.tn, self.fn + other.fn)

    @property
    def dice(self) -> float:
        """2TP / (2TP + FP + FN), never NaN: 1 where neither mask nor truth has any root."""
        total = 2 * self.tp + self.fp + self.fn
        return 2 * self.tp / total if total else 1.0

    @property
    def precision(self) -> float:
        """TP / (TP + FP); 1 for an empty mask."""
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else 1.0

    @property
    def recall(self) -> float:
        """TP / (TP + FN); 1 where there is no root."""
        return self.tp / (self.tp + self.fn) if self.tp + self.fn else 1.0

    @property
    def defined(self) -> int:
        """Pixels compared."""
        return self.tp + self.fp + self.tn + self.fn


@dataclass(frozen=True)
class CentreLines:
    """How much of two skeletons lies within `CENTRE_LINE_TOLERANCE` of the other; adds up over images.

    Attributes:
        mask, mask_near: skeleton pixels of the mask, and those near the truth's skeleton.
        root, root_near: skeleton pixels of the truth, and those near the mask's skeleton.
    """

    mask: int = 0
    mask_near: int = 0
    root: int = 0
    root_near: int = 0

    @classmethod
    def of(cls, mask: np.ndarray, root: np.ndarray) -> CentreLines:
        """Compares the skeletons of two H×W bool arrays."""
        lines = [skeletonize(layer) for layer in (mask, root)]
        near = [_near(a, b) for a, b in (lines, lines[::-1])]
        return cls(int(lines[0].sum()), near[0], int(lines[1].sum()), near[1])

    def __add__(self, other: CentreLines) -> CentreLines:
        return CentreLines(
            self.mask + other.mask,
            self.mask_near + other.mask_near,
            self.root + other.root,
            self.root_near + other.root_near,
        )

    @property
    def precision(self) -> float:
        """Share of the mask's centre lines that are roots; 1 for an empty mask."""
        return self.mask_near / self.mask if self.mask else 1.0

    @property
    def recall(self) -> float:
        """Share of the roots' centre lines that were found; 1 where there is no root."""
        return self.root_near / self.root if self.root else 1.0


def pooled(counts: Iterable[Counts], none: Counts = Confusion()) -> Counts:
    """The sum over images; `none` are the counts of no image."""
    return sum(counts, none)


def counting(root: Mapping[str, int]) -> tuple[str, ...]:
    """Of datasets with so many pixels of root, the names of those that show any, or of all where none does.

    Without root, Dice is 1 for an empty mask and 0 for one with a single wrong pixel, and would drown the others.
    """
    return tuple(name for name, pixels in root.items() if pixels) or tuple(root)


def inverted(root: Mapping[str, int], known: Mapping[str, int]) -> list[str]:
    """Sentences on datasets with masks of whole images of which more than half is root, by their pixels."""
    return [
        f"More than half of {name} is root: its masks may be inverted; root has to be white in them."
        for name, pixels in root.items()
        if 2 * pixels > known[name]
    ]


def _near(line: np.ndarray, other: np.ndarray) -> int:
    if not line.any() or not other.any():
        return 0
    return int(np.count_nonzero(distance_transform_edt(~other)[line] <= CENTRE_LINE_TOLERANCE))
