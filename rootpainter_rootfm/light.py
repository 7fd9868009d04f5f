"""Photographs without the colour of an uncommon light or ground.

Roots on blue paper or under a coloured lamp are white roots all the same. A network that has not learnt that colour
finds nothing there, so a photograph is shown to it in a light in which all channels are about as bright (the grey world
of Buchsbaum 1980). The colours of soils and of roots themselves are left: they, too, tell roots from their ground.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np

NATURAL: Final = 1.25
"""A channel may be so many times brighter or darker than the mean of all: only what is beyond is taken out."""
MOST: Final = 2.0
"""A channel is multiplied or divided by no more: an image in one colour alone has no other light to be shown in."""
ENOUGH: Final = 1_000_000
"""Pixels that are looked at; of a larger image, every second or third of a row and of a column."""

Balance = Callable[[np.ndarray], np.ndarray]
"""Takes any part of one image, h×w×3 uint8, and gives it without that image's uncommon colour."""


def gains(image: np.ndarray) -> np.ndarray:
    """The factors that take an uncommon colour out of an image.

    Args:
        image: H×W×3 uint8.

    Returns:
        3 float32, one for each channel, in 1/`MOST`..`MOST`; 1 where the colours are natural or a channel is empty.
    """
    step = max(1, math.isqrt(image.shape[0] * image.shape[1] // ENOUGH))
    means = image[::step, ::step].mean((0, 1))
    if not means.all():
        return np.ones(3, np.float32)
    wanted = np.log(means.mean() / means)
    beyond = np.sign(wanted) * np.maximum(0, np.abs(wanted) - math.log(NATURAL))
    return np.exp(beyond).clip(1 / MOST, MOST).astype(np.float32)


def balancing(image: np.ndarray) -> Balance:
    """What takes the uncommon colour of an H×W×3 uint8 image out of it, or of parts of it such as tiles."""
    factors = gains(image)
    if (factors == 1).all():
        return unchanged
    levels = np.arange(256) * factors[:, None]
    tables = np.rint(levels.clip(max=255)).astype(np.uint8)

    def balance(part: np.ndarray) -> np.ndarray:
        shown = np.empty_like(part)
        for channel, table in enumerate(tables):
            shown[..., channel] = table[part[..., channel]]
        return shown

    return balance


def unchanged(image: np.ndarray) -> np.ndarray:
    """A `Balance` that leaves everything as it is."""
    return image


def balanced(image: np.ndarray) -> np.ndarray:
    """H×W×3 uint8: an image without an uncommon colour; itself where it has none."""
    return balancing(image)(image)
