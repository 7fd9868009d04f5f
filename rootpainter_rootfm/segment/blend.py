"""Tiles of root probability become one probability map and one mask, a strip of rows at a time."""

from __future__ import annotations

from copy import copy

import numpy as np
import torch
from torch import Tensor

from ..errors import RootFMError
from .tiles import Axis, Plan


class NotFiniteError(RootFMError):
    """The network's result is not a number."""


class Blender:
    """Adds up weighted tiles, row after row of them, and keeps only the rows that are not finished in full precision.

    Probabilities are blended, not logits: a logit has no bound, so one tile that is over-confident near its border
    would overrule its neighbour, and a mean of probabilities is what mirror images and several models are averaged by.
    """

    def __init__(self, tiles: Plan, threshold: float, device: torch.device, before: Blender | None = None) -> None:
        """Begins the probability and mask of one image, or takes those of an earlier look and renews them in place."""
        self._tiles = tiles
        self._threshold = threshold
        self._strip = torch.zeros((min(tiles.rows.span, tiles.rows.length), tiles.columns.length), device=device)
        self._row = 0
        self._weights = [_on(axis, device) for axis in (tiles.rows, tiles.columns)]
        shape = (tiles.rows.length, tiles.columns.length)
        self.probability = np.empty(shape, np.float16) if before is None else before.probability
        self.mask = np.empty(shape, bool) if before is None else before.mask

    def add(self, row: int, column: int, probability: Tensor) -> None:
        """Adds one tile, span×span in [0, 1]; tiles come in the plan's order."""
        in_y, in_x = self._tiles.rows.inside(row)[1], self._tiles.columns.inside(column)[1]
        self._add(row, column, probability[in_y, in_x])

    def keep(self, row: int, column: int) -> None:
        """Adds one tile as the earlier look left it: rows that tiles to come cover are not renewed yet."""
        self._add(row, column, torch.from_numpy(self._tiles.inside(self.probability, row, column)))

    def _add(self, row: int, column: int, inside: Tensor) -> None:
        if row != self._row:
            self._finish_rows(self._top(row) - self._top(self._row))
            self._row = row
        (ys, in_y), (xs, in_x) = self._tiles.rows.inside(row), self._tiles.columns.inside(column)
        weights = self._weights[0][row][in_y, None] * self._weights[1][column][None, in_x]
        self._strip[: ys.stop - ys.start, xs] += inside.to(self._strip.device) * weights

    def finish(self) -> None:
        """Completes `probability` (H×W float16) and `mask` (H×W bool) after the last tile."""
        self._finish_rows(self._tiles.rows.length - self._top(self._row))

    def copied(self) -> Blender:
        """The same probability and mask in memory of their own."""
        other = copy(self)
        other.probability, other.mask = self.probability.copy(), self.mask.copy()
        return other

    def _top(self, row: int) -> int:
        return self._tiles.rows.inside(row)[0].start

    def _finish_rows(self, count: int) -> None:
        """Hands the strip's first rows over, which no later tile touches, and moves the others up."""
        rounded = self._strip[:count].half()
        mask = rounded.float() >= self._threshold
        if bool(rounded.isnan().any()):
            raise NotFiniteError("The network's result is not a number; try the precision fp32, or verify the model.")
        top = self._top(self._row)
        torch.from_numpy(self.probability[top : top + count]).copy_(rounded)
        torch.from_numpy(self.mask[top : top + count]).copy_(mask)
        rest = self._strip[count:].clone()
        self._strip[: len(rest)] = rest
        self._strip[len(rest) :] = 0


def _on(axis: Axis, device: torch.device) -> list[Tensor]:
    return [torch.from_numpy(weights).to(device) for weights in axis.weights]
