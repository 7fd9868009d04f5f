"""The colour of the light and of the ground, and photographs without it.

Roots on blue paper or under a yellow lamp are white roots all the same. A network that has not learnt that colour finds
nothing there, so a photograph is first shown as if under white light: each channel is multiplied so that its bright
parts are as bright as those of the others (Shades of Grey, Finlayson and Trezzi 2004).
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

POWER: Final = 6
"""Of the mean that is made equal in all channels: 1 is the plain mean, more gives bright pixels more weight."""
MOST: Final = 2.0
"""A channel is multiplied or divided by no more: an image in one colour alone has no white light to be shown under."""
ENOUGH: Final = 1_000_000
"""Pixels that are looked at; of a larger image, every second or third of a row and of a column."""


def gains(image: np.ndarray) -> np.ndarray:
    """The factors that take the colour of the light out of an image.

    Args:
        image: H×W×3 uint8.

    Returns:
        3 float32, one for each channel, in 1/`MOST`..`MOST`; 1 where the image is grey or a channel is empty.
    """
    step = max(1, math.isqrt(image.shape[0] * image.shape[1] // ENOUGH))
    part = image[::step, ::step]
    counts = np.stack([np.bincount(part[..., channel].ravel(), minlength=256) for channel in range(3)])
    means = (counts @ np.arange(256.0) ** POWER / counts.sum(1)) ** (1 / POWER)
    if not means.all():
        return np.ones(3, np.float32)
    return np.clip(means.mean() / means, 1 / MOST, MOST).astype(np.float32)


def whitened(image: np.ndarray) -> np.ndarray:
    """H×W×3 uint8: an image as it would be under white light."""
    levels = np.arange(256)[:, None] * gains(image)
    table = np.rint(levels.clip(max=255)).astype(np.uint8)
    return np.stack([table[:, channel][image[..., channel]] for channel in range(3)], axis=2)
