"""Lays the borders of roots where the photograph has them.

The network decides in steps of four pixels, so a mask of thin roots is too wide and neighbouring roots run together. A
guided filter (He, Sun and Tang, Guided Image Filtering, 2013; in the faster form of He and Sun, 2015) explains the
probability by the brightness around each pixel, as a line, and follows that line at full resolution. The line is fitted
in a small square among thin roots, which are too little of a large one to tell in it, and in a large one elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

STEP: Final = 4
"""Pixels between two places for which a line is fitted: the network's own step."""
REACH_OF_THIN: Final = 3
"""Side of the square that a line is fitted in where roots are thin, in steps; odd."""
REACH: Final = 9
"""The same where roots are wide."""
WIDE: Final = 8
"""Pixels from which on a root is wide; a multiple of 2."""
FLAT: Final = 1e-4
"""Variance of brightness, of 0..1, below which there is no border to follow."""
_TRACE: Final = 1e-3  # of root, below which nothing is said about its width


def follow_edges(probability: Tensor, brightness: Tensor) -> Tensor:
    """The probability with its borders moved to those of the photograph.

    Args:
        probability: B×1×H×W float32 in [0, 1]; H and W are multiples of 4.
        brightness: B×1×H×W float32; 1 apart is black from white, where zero lies does not matter.

    Returns:
        B×1×H×W float32 in [0, 1].
    """
    products = (probability, brightness, brightness * probability, brightness * brightness)
    steps = [F.avg_pool2d(values, STEP) for values in products]
    near, around = ([_around(values, reach) for values in steps] for reach in (REACH_OF_THIN, REACH))
    wide = (_around(_wide_root(probability), REACH) / (around[0] + _TRACE)).clamp_(0, 1)
    slope, offset = (
        F.interpolate(thin_line.lerp(line, wide), size=probability.shape[2:], mode="bilinear", align_corners=False)
        for thin_line, line in zip(_lines(near, REACH_OF_THIN), _lines(around, REACH), strict=True)
    )
    return torch.addcmul(offset, slope, brightness).clamp_(0, 1)


def _lines(means: Sequence[Tensor], reach: int) -> tuple[Tensor, Tensor]:
    """Slope and offset of the line for each step, from the means around it of what `follow_edges` multiplies."""
    share, light, together, squared = means
    slope = (together - light * share) / (squared - light * light + FLAT)
    return _around(slope, reach), _around(share - slope * light, reach)


def _wide_root(probability: Tensor) -> Tensor:
    """The share of each step that is wide root: what is left of the root when narrower parts are taken away."""
    halved, side = F.avg_pool2d(probability, 2), WIDE // 2
    eroded = -F.max_pool2d(-halved, side, stride=1)
    opened = F.max_pool2d(F.pad(eroded, (side - 1,) * 4), side, stride=1)
    return F.avg_pool2d(opened, STEP // 2)


def _around(steps: Tensor, reach: int) -> Tensor:
    """Means over squares of `reach` steps."""
    return F.avg_pool2d(steps, reach, stride=1, padding=reach // 2, count_include_pad=False)
