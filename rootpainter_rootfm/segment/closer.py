"""Roots too thin for a network that decides in steps of four pixels: an enlarged photograph shows them better.

Where most of the roots that were found in a photograph are thin, it is looked at once more at one and a half times its
size, and that look counts. Tiles without a trace of a root in the first look keep what it said.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from .thinness import thin_share
from .tiles import Plan

SCALE: Final = 1.5
"""Twice the size finds hardly more, for nearly twice the time."""
MANY_THIN: Final = 0.45
"""Share of thin roots (`thin_share`) from which on it is worth the time. Wider roots gain nothing, some lose."""
ENOUGH: Final = 3000
"""Pixels of root from which on their share says something: of few, some specks are the most."""
TRACE: Final = 0.5
"""Share of the threshold that a tile's highest root probability has to reach to be looked at again."""


def needed(mask: np.ndarray) -> bool:
    """Whether an H×W bool mask shows roots that are thin for the most part."""
    return np.count_nonzero(mask) >= ENOUGH and thin_share(mask) >= MANY_THIN


def traces(probability: np.ndarray, tiles: Plan, threshold: float) -> list[bool]:
    """For every tile in the plan's order, whether the H×W root probability shows a trace of a root in it."""
    return [bool((tiles.inside(probability, *place) >= TRACE * threshold).any()) for place in tiles]
