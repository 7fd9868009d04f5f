"""What is known of each image of a project: its mask, how sure the model is of it, its annotation; no Qt in here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from .. import exchange


@dataclass(frozen=True)
class Row:
    """One image of the project.

    Attributes:
        name: its file name.
        uncertain: the share of its pixels in which the model is unsure, 0..1; None where that was not measured.
        annotated: whether the user has painted on it.
        masked: whether it has a mask.
    """

    name: str
    uncertain: float | None
    annotated: bool
    masked: bool

    @property
    def unmeasured(self) -> bool:
        """Whether its mask was made without a measure of uncertainty; no matter where the user has corrected it."""
        return self.masked and self.uncertain is None and not self.annotated


class ImageRows:
    """Looks at the folders of a project again and again; reads only the measures that have changed.

    Args:
        masks: the folder of the masks.
        annotations: the folders of the annotations.
    """

    def __init__(self, masks: Path, annotations: tuple[Path, ...]) -> None:
        self._masks = masks
        self._annotations = annotations
        self._measures: dict[str, tuple[tuple[int, int], float | None]] = {}

    def look(self, names: list[str]) -> list[Row]:
        """All images, the least sure first, those that were not measured last; for a thread."""
        annotated = {Path(file).stem for folder in self._annotations for file in _listing(folder)}
        masked = {file.removesuffix(".png") for file in _listing(self._masks) if file.endswith(".png")}
        self._read_measures()
        found = []
        for name in names:
            stem = Path(name).stem
            _, share = self._measures.get(stem, (None, None))
            found.append(Row(name, share, stem in annotated, stem in masked))
        return sorted(found, key=lambda row: (row.uncertain is None, -(row.uncertain or 0), row.name))

    def _read_measures(self) -> None:
        known, self._measures = self._measures, {}
        for stem, stamp in _stamps(self._masks / exchange.CONFIDENCE):
            if stem in known and known[stem][0] == stamp:
                self._measures[stem] = known[stem]
            else:
                self._measures[stem] = stamp, _share(self._masks / exchange.CONFIDENCE / f"{stem}.json")


def _share(path: Path) -> float | None:
    share = exchange.read_json(path).get("uncertain")
    return float(share) if isinstance(share, int | float) else None


def _stamps(folder: Path) -> list[tuple[str, tuple[int, int]]]:
    """Each measure in the folder by its image's stem, with what tells that its file is the same: time and size."""
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(".json"):
                    about = entry.stat()
                    found.append((entry.name.removesuffix(".json"), (about.st_mtime_ns, about.st_size)))
    except OSError:
        pass  # not there yet, or a file was replaced while we looked: the next look is soon
    return found


def _listing(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
