"""Lays the borders of roots where the photograph has them.

The network decides in steps of four pixels, so a mask of thin roots is too wide and neighbouring roots run together. A
guided filter (He, Sun and Tang, Guided Image Filtering, 2013; in the faster form of He and Sun, 2015) explains the
probability by the brightness around each pixel, as a line, and follows that line at full resolution.
"""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

STEP: Final = 4
"""Pixels between two places for which a line is fitted: the network's own step."""
REACH: Final = 7
"""Side of the square that a line is fitted in, in steps; odd."""
FLAT: Final = 1e-4
"""Variance of brightness, of 0..1, below which there is no border to follow."""


def follow_edges(probability: Tensor, brightness: Tensor) -> Tensor:
    """The probability with its borders moved to those of the photograph.

    Args:
        probability: B×1×H×W float32 in [0, 1]; H and W are multiples of 4, at least 28.
        brightness: B×1×H×W float32; 1 apart is black from white, where zero lies does not matter.

    Returns:
        B×1×H×W float32 in [0, 1].
    """
    light, share = _around(brightness), _around(probability)
    together, squared = _around(brightness * probability), _around(brightness * brightness)
    slope = (together - light * share) / (squared - light * light + FLAT)
    offset = share - slope * light
    slope, offset = (
        F.interpolate(_averaged(part), size=probability.shape[2:], mode="bilinear", align_corners=False)
        for part in (slope, offset)
    )
    return torch.addcmul(offset, slope, brightness).clamp_(0, 1)


def _around(values: Tensor) -> Tensor:
    """Means over squares of `REACH` steps, one for each step."""
    return _averaged(F.avg_pool2d(values, STEP))


def _averaged(steps: Tensor) -> Tensor:
    return F.avg_pool2d(steps, REACH, stride=1, padding=REACH // 2, count_include_pad=False)
