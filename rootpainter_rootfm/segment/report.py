"""What became of every image of a folder, and how sure the network was of it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from ..bands import bands
from ..files import way, write_text
from .thinness import thin_share

if TYPE_CHECKING:
    from .engine import Segmentation

UNCERTAIN: Final = (0.2, 0.8)
"""Root probabilities between which a pixel counts as uncertain."""

_BOM: Final = "\ufeff"
"""Excel takes a table without it for the country's old character set, and spoils umlauts."""
_COLUMNS: Final = (
    "image",
    "status",
    "cause",
    "seconds",
    "root_pixels",
    "coverage",
    "mean_confidence",
    "uncertain",
    "thin",
    "folder",
)


class Status(StrEnum):
    """What became of one image."""

    MADE = "made"
    SKIPPED = "skipped"
    FAILED = "failed"
    NOT_REACHED = "not reached"


_WITH_MASK: Final = (Status.MADE, Status.SKIPPED)


@dataclass(frozen=True)
class Measures:
    """What can be said of a segmentation without knowing the truth."""

    root_pixels: int
    """Pixels of the mask that are root."""
    coverage: float
    """Share of the image's pixels that are root, 0..1."""
    mean_confidence: float
    """Mean over all pixels of the probability of what the pixel was more likely taken for, 0.5..1."""
    uncertain: float
    """Share of the pixels whose root probability lies between 0.2 and 0.8."""
    thin: float = 0.0
    """Share of the roots' outline that belongs to roots narrower than four pixels, 0..1."""

    @classmethod
    def of(cls, found: Segmentation) -> Measures:
        """Measures one segmentation, band by band."""
        confidence, uncertain = 0.0, 0
        for rows in bands(*found.mask.shape):
            probability = found.probability16[rows].astype(np.float32)
            confidence += float(np.maximum(probability, 1 - probability).sum(dtype=np.float64))
            uncertain += int(((probability > UNCERTAIN[0]) & (probability < UNCERTAIN[1])).sum())
        root, pixels = int(np.count_nonzero(found.mask)), found.mask.size
        return cls(root, root / pixels, confidence / pixels, uncertain / pixels, thin_share(found.mask))


@dataclass(frozen=True)
class ImageResult:
    """One image's row of the report."""

    image: Path
    status: Status
    cause: str = ""
    """Why it failed, or what should be known of its mask."""
    seconds: float | None = None
    """Time from opening the image to the finished mask, without waiting."""
    measures: Measures | None = None

    @property
    def brief(self) -> str:
        """The cause with the image's name alone: its folder is known where this is shown, and makes it long."""
        return self.cause.replace(str(self.image), self.image.name)


class FolderReport:
    """The results of a folder in the order of its images; those not yet known are `not reached`."""

    def __init__(self, images: Sequence[Path]) -> None:
        self.results = [ImageResult(image, Status.NOT_REACHED) for image in images]

    def having(self, status: Status) -> list[ImageResult]:
        """The results of one status."""
        return [result for result in self.results if result.status is status]

    @property
    def failed(self) -> list[ImageResult]:
        """The images that have no mask, each with its cause."""
        return self.having(Status.FAILED)

    @property
    def reached(self) -> int:
        """Images whose result is known, failures included."""
        return sum(result.status is not Status.NOT_REACHED for result in self.results)

    def write_csv(self, path: Path) -> None:
        """Writes one row a photograph, in one step; rows of those that were not reached this time stay as they were.

        Photographs of one name have a row each, as long as the mask of that name is not made from another one of them.
        """
        rows, masks = _rows_of(path), {}
        folders = {folder: way(path.parent, folder) for folder in {result.image.parent for result in self.results}}
        for result in self.results:
            row = _row(result, folders[result.image.parent])
            key = next((key for key in (_key(row), _key([row[0]])) if key in rows), _key(row))
            if result.status is not Status.NOT_REACHED or key not in rows:
                rows[key] = row
            if result.status in _WITH_MASK:
                masks[_stem(row)] = key
        text = io.StringIO()
        text.write(_BOM)
        table = csv.writer(text, lineterminator="\n")
        table.writerow(_COLUMNS)
        for key, row in rows.items():
            if row[1] not in _WITH_MASK or masks.get(_stem(row), key) == key:
                table.writerow(row)
        write_text(path, text.getvalue())


def _rows_of(path: Path) -> dict[tuple[str, str], list[str]]:
    """The rows of an earlier report by photograph, in their order; none where no report can be read."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file, restval="")
            rows = [[row["image"], *(row.get(column, "") for column in _COLUMNS[1:])] for row in table]
            return {_key(row): row for row in rows}
    except (OSError, ValueError, KeyError, csv.Error):
        return {}


def _key(row: list[str]) -> tuple[str, str]:
    """Name and folder of a photograph; older reports know no folder."""
    return row[0], row[-1] if len(row) == len(_COLUMNS) else ""


def _stem(row: list[str]) -> str:
    """By which a mask is named, as `FolderJob.check` compares it."""
    return Path(row[0]).stem.casefold()


def _row(result: ImageResult, folder: str) -> list[str]:
    seconds = "" if result.seconds is None else f"{result.seconds:.3f}"
    # As they can be written, and are read again.
    name, folder = (text.encode(errors="backslashreplace").decode() for text in (result.image.name, folder))
    row = [name, str(result.status), result.cause, seconds]
    measures = result.measures
    if measures is None:
        return [*row, *[""] * (len(_COLUMNS) - len(row) - 1), folder]
    shares = (measures.coverage, measures.mean_confidence, measures.uncertain, measures.thin)
    return [*row, str(measures.root_pixels), *(f"{share:.6f}" for share in shares), folder]
