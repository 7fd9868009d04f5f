"""Removes specks from a mask, in strips, so that a large mask needs little more memory than itself."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

_STRIP_PIXELS = 1 << 24
_EIGHT_NEIGHBOURS = np.ones((3, 3), bool)


def drop_small(mask: np.ndarray, smallest: int, strip_pixels: int = _STRIP_PIXELS) -> None:
    """Sets to False, in place, every connected root area (8 neighbours) of fewer than `smallest` pixels.

    Args:
        mask: H×W bool.
        smallest: pixels of the smallest area that stays.
        strip_pixels: pixels that are labelled at once.
    """
    height, width = mask.shape
    rows = max(1, strip_pixels // width)
    strips = [mask[top : top + rows] for top in range(0, height, rows)]
    firsts, kept = _areas(strips, smallest)
    for strip, first in zip(strips, firsts, strict=True):
        labels, found = ndimage.label(strip, _EIGHT_NEIGHBOURS)
        strip[:] = np.concatenate(([False], kept[first : first + found]))[labels]


def _areas(strips: list[np.ndarray], smallest: int) -> tuple[list[int], np.ndarray]:
    """The number of each strip's first area, areas being numbered through all strips, and for every area if it stays.

    An area here ends at the border of its strip; those that touch across a border are weighed together.
    """
    sizes, firsts, touching = [np.empty(0, np.int64)], [], [np.empty((0, 2), np.int64)]
    count = 0
    above = np.full(strips[0].shape[1], -1)
    for strip in strips:
        labels, found = ndimage.label(strip, _EIGHT_NEIGHBOURS)
        sizes.append(np.bincount(labels.ravel(), minlength=found + 1)[1:])
        firsts.append(count)
        top, bottom = (np.where(row > 0, row.astype(np.int64) - 1 + count, -1) for row in (labels[0], labels[-1]))
        touching += _pairs(above, top)
        above = bottom
        count += found
    links = np.concatenate(touching)
    graph = coo_array((np.ones(len(links), bool), (links[:, 0], links[:, 1])), shape=(count, count))
    whole = connected_components(graph, directed=False)[1] if count else np.empty(0, np.int64)
    total = np.bincount(whole, weights=np.concatenate(sizes)) if count else np.empty(0)
    return firsts, total[whole] >= smallest


def _pairs(above: np.ndarray, below: np.ndarray) -> list[np.ndarray]:
    """The areas that touch between two rows of area numbers (-1: soil), as N×2 arrays for the three directions."""
    width = len(above)
    pairs = []
    for shift in (-1, 0, 1):
        upper = above[max(0, shift) : width + min(0, shift)]
        lower = below[max(0, -shift) : width + min(0, -shift)]
        both = (upper >= 0) & (lower >= 0)
        pairs.append(np.stack([upper[both], lower[both]], axis=1))
    return pairs
