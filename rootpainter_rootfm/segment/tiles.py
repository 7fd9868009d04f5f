"""Where the tiles of an image lie and how their probabilities blend into one.

A plan is the product of two axes, and so are its weights: along each axis the weights of the tiles over a pixel sum
to 1, hence their products do so over the image. No sum of weights has to be kept beside the probabilities, and rows
of tiles can be finished one after the other, which is what bounds the memory for a large image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, groupby
from typing import Final

import numpy as np

from ..light import Balance, unchanged
from ..model.card import TILE_MULTIPLE
from .settings import SegmentSettings

STRETCH: Final = 1.125
"""Tiles may exceed the largest size on the model's card by this factor where a row or column less of them is less
work."""

PADDED_SIDES: Final = {1: 0.6, 112: 0.3, 224: 0.1}
"""Share of the encoder's time that grows as if a side were a multiple of so many pixels: its windows of 7 and 14 tokens
of 16 pixels are padded. A tile of 480 takes a third more time than one of 448 on a CPU."""

_MEAN_COLOUR: Final = (124, 116, 104)  # the ImageNet mean in 8 bits, about zero after normalising


@dataclass(frozen=True)
class Axis:
    """The tiles along one axis of an image."""

    length: int
    """Pixels of the image along this axis."""
    side: int
    """Pixels of the network's input along this axis, a multiple of 32."""
    span: int
    """Pixels of the image that one tile covers: `side` divided by the scale."""
    starts: tuple[int, ...]
    """First image pixel of every tile, rising; negative when the tile is larger than the image."""
    hard: bool = False
    """Where tiles overlap the last one counts alone, instead of a blend."""

    @cached_property
    def weights(self) -> tuple[np.ndarray, ...]:
        """For every tile its `span` float32 weights; over each pixel of the image they sum to 1."""
        if self.hard:
            return tuple(self._owned(index) for index in range(len(self.starts)))
        bump = np.sin(np.pi * (np.arange(self.span) + 0.5) / self.span) ** 2
        first = self.starts[0]
        total = np.zeros(self.starts[-1] + self.span - first)
        for start in self.starts:
            total[start - first : start - first + self.span] += bump
        return tuple(
            (bump / total[start - first : start - first + self.span]).astype(np.float32) for start in self.starts
        )

    def _owned(self, index: int) -> np.ndarray:
        owned = np.ones(self.span, np.float32)
        if index + 1 < len(self.starts):
            owned[self.starts[index + 1] - self.starts[index] :] = 0
        return owned

    def inside(self, index: int) -> tuple[slice, slice]:
        """The part of a tile that lies in the image: in pixels of the image, and in pixels of the tile's span."""
        start = self.starts[index]
        first, last = max(start, 0), min(start + self.span, self.length)
        return slice(first, last), slice(first - start, last - start)


@dataclass(frozen=True)
class Plan:
    """All tiles of one image, row by row."""

    rows: Axis
    columns: Axis

    def __len__(self) -> int:
        return len(self.rows.starts) * len(self.columns.starts)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Row and column number of every tile, a row of tiles after the other."""
        return ((row, column) for row in range(len(self.rows.starts)) for column in range(len(self.columns.starts)))

    def batches(self, chosen: Sequence[bool], most: int) -> Iterator[list[tuple[tuple[int, int], bool]]]:
        """All tiles in order, each with whether it is chosen, in parts with at most so many chosen ones."""
        ranks = accumulate(chosen)
        for _, part in groupby(zip(self, chosen, ranks, strict=True), lambda each: max(0, each[2] - 1) // most):
            yield [(place, is_chosen) for place, is_chosen, _ in part]

    def inside(self, layer: np.ndarray, row: int, column: int) -> np.ndarray:
        """The part of an H×W layer, or of an H×W×C image, that one tile covers, as a view."""
        return layer[self.rows.inside(row)[0], self.columns.inside(column)[0]]

    def cut(self, image: np.ndarray, row: int, column: int, padding: str, balance: Balance = unchanged) -> np.ndarray:
        """The span of one tile out of an H×W×3 uint8 image, as span×span×3 uint8; what lies outside is padded.

        A tile at a time is balanced, for a copy of a whole scan would take as much memory as the scan.
        """
        inside = balance(self.inside(image, row, column))
        if inside.shape[:2] == (self.rows.span, self.columns.span):
            return inside
        in_y, in_x = self.rows.inside(row)[1], self.columns.inside(column)[1]
        around = [(part.start, axis.span - part.stop) for part, axis in ((in_y, self.rows), (in_x, self.columns))]
        if padding == "reflect":
            return np.pad(inside, [*around, (0, 0)], mode="reflect")
        tile = np.empty((self.rows.span, self.columns.span, 3), np.uint8)
        tile[:] = _MEAN_COLOUR if padding == "mean" else 0
        tile[in_y, in_x] = inside
        return tile


def plan(height: int, width: int, settings: SegmentSettings, largest: int) -> Plan:
    """The tiles for an image of `height` × `width` pixels.

    Args:
        height: rows of the image, at least 1.
        width: columns of the image, at least 1.
        settings: tile, overlap and scale count here.
        largest: the largest side in pixels that the model is good at; it bounds the tiles where `settings.tile` leaves
            them free.
    """
    return Plan(_axis(height, settings, largest), _axis(width, settings, largest))


def _axis(length: int, settings: SegmentSettings, largest: int) -> Axis:
    overlap, scale = settings.overlap, settings.scale
    side = settings.tile or _fitting_side(math.ceil(length * scale), overlap, largest)
    span = max(1, round(side / scale))
    if length <= span:
        return Axis(length, side, span, (-((span - length) // 2),))
    # Rounded, so that e.g. 1.0000000001 steps do not cost one more tile.
    count = 1 + math.ceil(round((length - span) / (span * (1 - overlap)), 6))
    if overlap == 0:
        return Axis(length, side, span, tuple(min(i * span, length - span) for i in range(count)), hard=True)
    return Axis(length, side, span, tuple(round(i * (length - span) / (count - 1)) for i in range(count)))


def _fitting_side(length: int, overlap: float, largest: int) -> int:
    """The smallest side for the fewest tiles that cover `length`, stretched ones where they are less work."""

    def tiles(limit: int) -> tuple[float, int]:
        count = max(1, math.ceil((length - overlap * limit) / (limit * (1 - overlap))))
        side = min(limit, _multiple(length / (count - (count - 1) * overlap), math.ceil))
        return count * _work(side), side

    return min(tiles(_multiple(limit, math.floor)) for limit in (largest, largest * STRETCH))[1]


def _work(side: int) -> float:
    """The time of a square tile to the power of 1/2, that is, per row of tiles; any unit."""
    return math.sqrt(sum(share * (math.ceil(side / step) * step) ** 2 for step, share in PADDED_SIDES.items()))


def _multiple(pixels: float, rounding: Callable[[float], int]) -> int:
    return max(1, rounding(pixels / TILE_MULTIPLE)) * TILE_MULTIPLE
