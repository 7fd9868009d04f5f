"""Whether a probability means what it says, and which threshold makes the best mask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import metrics

BINS = 100
THRESHOLDS = tuple(k / BINS for k in range(1, BINS))

# float16 numbers from 0 to 1, in order, are 0, 1, … 0x3C00 when their bits are read as integers: counting those
# counts every probability exactly, and faster than any search for its bin.
_VALUES = np.arange(0x3C01, dtype=np.uint16).view(np.float16).astype(np.float32)
_BIN_OF_VALUE = np.searchsorted(np.array(THRESHOLDS, np.float32), _VALUES, side="right")


@dataclass(frozen=True, eq=False)
class ProbabilityCounts:
    """How often each probability was given to pixels that are root and to pixels that are not; adds up over images.

    Attributes:
        root, soil: counts of known pixels in 100 bins, the last one with probability 1.
        total: sum of the probabilities in each bin.
    """

    root: np.ndarray
    soil: np.ndarray
    total: np.ndarray

    @classmethod
    def none(cls) -> ProbabilityCounts:
        """Of no pixels."""
        return cls(np.zeros(BINS, np.int64), np.zeros(BINS, np.int64), np.zeros(BINS))

    @classmethod
    def of(cls, probability16: np.ndarray, root: np.ndarray, known: np.ndarray | None = None) -> ProbabilityCounts:
        """Counts H×W float16 in [0, 1] against H×W bool, over the pixels where `known` (all of them by default)."""
        bits = np.ascontiguousarray(probability16).view(np.uint16)
        places = (root, ~root) if known is None else (root & known, ~root & known)
        values = [np.bincount(bits[place], minlength=len(_VALUES)) for place in places]
        counts = [np.bincount(_BIN_OF_VALUE, weights=value, minlength=BINS).astype(np.int64) for value in values]
        return cls(*counts, np.bincount(_BIN_OF_VALUE, weights=(values[0] + values[1]) * _VALUES, minlength=BINS))

    def __add__(self, other: ProbabilityCounts) -> ProbabilityCounts:
        return ProbabilityCounts(self.root + other.root, self.soil + other.soil, self.total + other.total)

    @property
    def dice(self) -> np.ndarray:
        """The pooled Dice at each of `THRESHOLDS`, float64."""
        hits, false = (counts[::-1].cumsum()[::-1][1:] for counts in (self.root, self.soil))
        total = hits + false + self.root.sum()
        return np.where(total > 0, 2 * hits / np.maximum(total, 1), 1.0)

    @property
    def error(self) -> float:
        """The expected calibration error: the mean distance, over pixels, of a bin's mean probability from the share of
        root in it."""
        count = self.root + self.soil
        return float(np.abs(self.total - self.root).sum() / max(1, count.sum()))

    def to_json(self) -> dict[str, Any]:
        """In types that JSON knows."""
        total = [round(float(value), 3) for value in self.total]
        return {"root": self.root.tolist(), "soil": self.soil.tolist(), "total": total}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ProbabilityCounts:
        """What `to_json` gave."""
        return cls(np.array(values["root"]), np.array(values["soil"]), np.array(values["total"]))

    def reliability(self, bins: int = 10) -> list[dict[str, float]]:
        """For each of `bins` ranges that any pixel fell into: mean probability, share of root, and pixels."""
        root, soil, total = (x.reshape(bins, -1).sum(1) for x in (self.root, self.soil, self.total))
        count = root + soil
        return [
            {"probability": float(total[i] / count[i]), "root": float(root[i] / count[i]), "pixels": int(count[i])}
            for i in np.flatnonzero(count)
        ]


def counting(datasets: Mapping[str, ProbabilityCounts]) -> dict[str, ProbabilityCounts]:
    """Those of the datasets that `metrics.counting` names."""
    root = {name: int(counts.root.sum()) for name, counts in datasets.items()}
    return {name: datasets[name] for name in metrics.counting(root)}


def mean_dice(datasets: Mapping[str, ProbabilityCounts]) -> np.ndarray:
    """The mean, over those of at least one dataset that count, of the pooled Dice at each of `THRESHOLDS`, float64."""
    return np.mean([counts.dice for counts in counting(datasets).values()], axis=0)


def choose_threshold(datasets: Mapping[str, ProbabilityCounts]) -> float:
    """The threshold with the best `mean_dice`; of equal ones, the nearest to 0.5.

    Args:
        datasets: the counts of every dataset's validation images, at least one.
    """
    dice = mean_dice(datasets)
    best = np.flatnonzero(dice >= dice.max() - 1e-9)
    return min((THRESHOLDS[i] for i in best), key=lambda threshold: abs(threshold - 0.5))
