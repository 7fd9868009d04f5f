"""Images whose size does not suit the network are looked at once more, at another.

The network decides in steps of four pixels, so roots that are thinner show better in an enlarged image. Where it is not
sure of what it found in a small image, such as a camera in a tube takes, roots may be blurred or too wide, and show
better in a reduced one; what is no root, such as drops and stones, seldom looks like one in several sizes. In half a
large scan it is surest of the scan's rims.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from .blend import Blender
from .thinness import thin_share
from .tiles import Plan

ENLARGED: Final = 1.5
"""Twice the size finds hardly more, for nearly twice the time."""
MANY_THIN: Final = 0.45
"""Share of thin roots (`thin_share`) from which on enlarging is worth its time. Wider roots gain nothing, some lose."""
ENOUGH: Final = 3000
"""Pixels of root from which on that share says something: of few, some specks are the most."""
TRACE: Final = 0.5
"""Share of the threshold that a tile's highest root probability has to reach to be looked at enlarged."""

REDUCED: Final = (0.71, 0.5)
"""Of images that are not large (`glance`)."""
SURE: Final = 0.8
"""Expected Dice from which on no reduced image is tried. Below it, parts of roots are still missed."""
TRUST: Final = 4
"""A look weighs as much as its expected Dice to this power. With 2 to 8 nearly the same is found; counting alone, the
surest look is too often wrong, and with equal weights a size that does not suit the roots spoils the mean."""


def thin(mask: np.ndarray) -> bool:
    """Whether an H×W bool mask shows enough roots, and thin ones for the most part."""
    return np.count_nonzero(mask) >= ENOUGH and thin_share(mask) >= MANY_THIN


def traces(probability: np.ndarray, tiles: Plan, threshold: float) -> list[bool]:
    """For every tile in the plan's order, whether the H×W root probability shows a trace of a root in it."""
    return [bool((tiles.inside(probability, *place) >= TRACE * threshold).any()) for place in tiles]


def expected_dice(probability: np.ndarray, mask: np.ndarray) -> float:
    """The Dice of a mask if its probabilities were right: how sure the network is of what it found.

    Args:
        probability: H×W float16, root probability.
        mask: H×W bool, its roots.

    Returns:
        0..1; 0 where there is no root.
    """
    root = np.count_nonzero(mask)
    agreed = np.sum(probability, where=mask, dtype=np.float64)
    return float(2 * agreed / (root + np.sum(probability, dtype=np.float64))) if root else 0.0


def sure(look: Blender) -> bool:
    """Whether the network knows what it saw well enough to be left in peace."""
    return expected_dice(look.probability, look.mask) >= SURE


def average(looks: Sequence[Blender], threshold: float) -> None:
    """Renews the first look at an image: its probability becomes the mean of all, the surer ones weighing more."""
    first = looks[0]
    weights = [expected_dice(look.probability, look.mask) ** TRUST for look in looks]
    if not any(weights):
        return
    mean = np.average([look.probability.astype(np.float32) for look in looks], axis=0, weights=weights)
    first.probability[:] = mean
    first.mask[:] = first.probability.astype(np.float32) >= threshold
