"""How much of the roots in a mask is too thin for a network that decides in steps of four pixels."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Final

import numpy as np

from ..bands import bands

STEP: Final = 4
"""Pixels a side of the squares in which the network decides."""


def thin_share(mask: np.ndarray) -> float:
    """The share of the roots' outline that goes when all that is narrower than `STEP` pixels is taken away.

    It counts lengths, so that one thick thing, such as the rim of a scan, does not hide many thin roots.

    Args:
        mask: H×W bool, True for root.

    Returns:
        0..1; 0 where there is no root.
    """
    everything = wide = 0
    for rows in bands(*mask.shape):
        top = max(0, rows.start - STEP)
        part = mask[top : rows.stop + STEP]
        inside = slice(rows.start - top, rows.stop - top + 1)  # with the row below, to which the last one borders
        count = rows.stop - rows.start
        everything += _outline(part[inside], count)
        wide += _outline(without_thin(part, STEP)[inside], count)
    return 1 - wide / everything if everything else 0.0


def _outline(part: np.ndarray, count: int) -> int:
    """Places where root borders on soil, to the right of and below the first `count` rows."""
    beside = np.count_nonzero(part[:count, 1:] != part[:count, :-1])
    return beside + np.count_nonzero(part[1:] != part[:-1])


def without_thin(mask: np.ndarray, width: int) -> np.ndarray:
    """H×W bool: what squares of `width` pixels a side cover that lie wholly in the roots of an H×W bool mask."""
    if min(mask.shape) < width:
        return np.zeros_like(mask)
    fitting = _along_columns(np.logical_and, _along_columns(np.logical_and, mask, width).T, width).T
    around = np.pad(fitting, width - 1)
    return _along_columns(np.logical_or, _along_columns(np.logical_or, around, width).T, width).T


def _along_columns(combine: Callable[..., np.ndarray], layer: np.ndarray, width: int) -> np.ndarray:
    """`width` pixels below each other become one."""
    count = len(layer) - width + 1
    return reduce(combine, (layer[first : first + count] for first in range(width)))
