"""Measures masks of whole images against the truth: image by image, resumable, and summed up by dataset."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError
from ...files import file_name, move, replacing, write_text
from ...progress import CancelToken, Progress, silent
from ...segment.engine import Segmenter
from ..data import Dataset, Item, load
from ..metrics import CentreLines, Confusion, pooled
from ..names import may_be_one, named_items
from . import sheets
from .calibration import ProbabilityCounts

ROWS = "rows.jsonl"
PICTURES = "pictures"


@dataclass(frozen=True)
class Method:
    """Anything that makes masks.

    Attributes:
        signature: what decides its masks, in JSON types; rows of an equal signature are not measured again.
        predict: H×W×3 uint8 to its mask, H×W bool, and the root probability, H×W float16, where it has one.
    """

    signature: Mapping[str, Any]
    predict: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]

    @classmethod
    def of(cls, segmenter: Segmenter, cancel: CancelToken | None = None) -> Method:
        """One or several models with their settings."""

        def predict(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            found = segmenter.segment(image, cancel)
            return found.mask, found.probability16

        return cls(segmenter.signature, predict)

    @property
    def mark(self) -> str:
        """Eight hex digits that are others for another signature: a name for a folder of its own."""
        text = json.dumps(self.signature, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]


@dataclass(frozen=True, eq=False)
class Row:
    """What was measured on one image.

    Attributes:
        dataset, image, split: which image; its name, with the folders in which the dataset's images differ.
        counts: of its known pixels.
        lines: None where only a part of the image is known: the skeleton of a part is no root's.
        probability: None for a method without probabilities.
        seconds: taken by the method.
    """

    dataset: str
    image: str
    split: str
    counts: Confusion
    lines: CentreLines | None
    probability: ProbabilityCounts | None
    seconds: float

    @property
    def picture(self) -> Path:
        """Where its picture lies in the folder of the evaluation."""
        return Path(PICTURES, file_name(self.dataset), f"{self.image}.jpg")

    def to_json(self) -> dict[str, Any]:
        """In types that JSON knows."""
        return {
            "dataset": self.dataset,
            "image": self.image,
            "split": self.split,
            "counts": vars(self.counts),
            "lines": self.lines and vars(self.lines),
            "probability": self.probability and self.probability.to_json(),
            "seconds": round(self.seconds, 3),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Row:
        """What `to_json` gave."""
        lines, probability = values["lines"], values["probability"]
        return cls(
            values["dataset"],
            values["image"],
            values["split"],
            Confusion(**values["counts"]),
            lines and CentreLines(**lines),
            probability and ProbabilityCounts.from_json(probability),
            values["seconds"],
        )


@dataclass(frozen=True)
class Summary:
    """What was measured on the images of one dataset.

    Attributes:
        images: how many.
        dice: over all their known pixels pooled; None where nothing is known.
        mean_dice: the mean over images of which anything is known; 1 for a root-free image with an empty mask.
        precision, recall: of pixels, pooled; None where all masks are empty, or nothing is root.
        line_precision, line_recall: of centre lines within 3 pixels, pooled; None where images are known in part, too.
        calibration_error: expected over 100 bins of probability; None without probability.
        seconds: mean time for one image.
    """

    images: int
    dice: float | None
    mean_dice: float | None
    precision: float | None
    recall: float | None
    line_precision: float | None
    line_recall: float | None
    calibration_error: float | None
    seconds: float

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Summary:
        """Sums up at least one row."""
        counts = pooled(row.counts for row in rows)
        lines = pooled((row.lines for row in rows if row.lines is not None), CentreLines())
        probability = [row.probability for row in rows if row.probability is not None]
        known = [row.counts.dice for row in rows if row.counts.defined]
        return cls(
            len(rows),
            counts.dice if known else None,
            float(np.mean(known)) if known else None,
            counts.precision if counts.tp + counts.fp else None,
            counts.recall if counts.tp + counts.fn else None,
            lines.precision if lines.mask else None,
            lines.recall if lines.root else None,
            pooled(probability, ProbabilityCounts.none()).error if probability and known else None,
            float(np.mean([row.seconds for row in rows])),
        )


def by_dataset(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """The rows of every dataset by its name, in their order."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.dataset, []).append(row)
    return found


def probabilities(rows: Iterable[Row]) -> dict[str, ProbabilityCounts]:
    """The pooled counts of every dataset by its name, as `calibration.choose_threshold` takes them."""
    return {
        name: pooled((row.probability for row in found if row.probability is not None), ProbabilityCounts.none())
        for name, found in by_dataset(rows).items()
    }


def evaluate(
    method: Method,
    datasets: Sequence[Dataset],
    folder: Path,
    progress: Progress = silent,
    cancel: CancelToken | None = None,
    pictures: bool = True,
) -> list[Row]:
    """Measures every item of `datasets`, or goes on with the evaluation that `folder` holds.

    Each image's row is added to `rows.jsonl` as soon as it was measured, and its picture to `pictures`. Rows of
    images and masks that have not changed since are kept, also where other images give them longer or shorter names.

    Args:
        method: what makes the masks.
        datasets: all their items are measured, at their own scale.
        folder: made if absent.
        progress: counts images.
        cancel: looked at between images.
        pictures: whether to draw pictures.

    Raises:
        DataError: there is no item, or the folder holds an evaluation of another method.
        ImageError, MaskError: an image or its truth cannot be read.
        Cancelled: `cancel` was used.
    """
    items = [(dataset.name, *named) for dataset in datasets for named in named_items(dataset)]
    if not items:
        raise DataError("There are no images to measure on.")
    folder.mkdir(parents=True, exist_ok=True)
    kept = _Kept(folder / ROWS, method.signature)
    rows = []
    for done, (dataset, name, item) in enumerate(items):
        if cancel is not None:
            cancel.check()
        progress(done, len(items), f"{dataset}: {name}")
        row = kept.get(dataset, name, item)
        if row is None or (pictures and not (folder / row.picture).is_file()):
            row = _measure(method, dataset, name, item, folder if pictures else None)
            kept.add(row, item)
        elif row.image != name:
            row = _renamed(row, name, folder)
            kept.add(row, item)
        rows.append(row)
    progress(len(items), len(items), "")
    return rows


def _measure(method: Method, dataset: str, name: str, item: Item, pictures: Path | None) -> Row:
    truth = load(item)
    started = time.monotonic()
    mask, probability = method.predict(truth.image)
    seconds = time.monotonic() - started
    row = Row(
        dataset,
        name,
        item.split,
        Confusion.of(mask, truth.root, truth.known),
        CentreLines.of(mask, truth.root) if truth.known is None else None,
        None if probability is None else ProbabilityCounts.of(probability, truth.root, truth.known),
        seconds,
    )
    if pictures is not None:
        path = pictures / row.picture
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as beside:
            sheets.picture(truth, mask).save(beside, quality=88, subsampling=0)
    return row


def _renamed(row: Row, name: str, folder: Path) -> Row:
    """The row of an image that is called otherwise now, with its picture."""
    renamed = replace(row, image=name)
    if (folder / row.picture).is_file():
        (folder / renamed.picture).parent.mkdir(parents=True, exist_ok=True)
        move(folder / row.picture, folder / renamed.picture)
    return renamed


class _Kept:
    """The rows of a folder, by image, with the size and time of the files that they were measured from."""

    def __init__(self, path: Path, signature: Mapping[str, Any]) -> None:
        self._path = path
        lines = _lines(path)
        if lines and lines[0].get("signature") != json.loads(json.dumps(signature)):
            raise DataError(
                f"{path.parent} holds an evaluation of another model or with other settings; choose another folder."
            )
        self._lines = lines or [{"signature": dict(signature)}]
        # Written anew without the half line that a killed process may have left.
        write_text(path, "".join(json.dumps(line) + "\n" for line in self._lines))
        self._rows: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
        for line in self._lines[1:]:
            alike = self._rows.setdefault((line["dataset"], line["image"].rpartition("/")[2]), {})
            alike.pop(line["image"], None)  # so that the latest is the last
            alike[line["image"]] = line

    def get(self, dataset: str, name: str, item: Item) -> Row | None:
        for line in reversed(self._rows.get((dataset, item.image.name), {}).values()):
            if line["files"] == _stamps(item) and may_be_one(line["image"], name):
                return Row.from_json(line)
        return None

    def add(self, row: Row, item: Item) -> None:
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps({**row.to_json(), "files": _stamps(item)}) + "\n")


def _stamps(item: Item) -> list[list[int]]:
    return [[path.stat().st_size, path.stat().st_mtime_ns] for path in item.files]


def measured_files(folder: Path) -> dict[tuple[str, str], list[list[int]]]:
    """Size in bytes and time of change in nanoseconds of the files of each measured image, by dataset and name."""
    return {(line["dataset"], line["image"]): line["files"] for line in _lines(folder / ROWS)[1:]}


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except ValueError:
            break
    return lines
