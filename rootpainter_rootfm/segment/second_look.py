"""Images whose size does not suit the network are looked at in others as well.

The network decides in steps of four pixels, so thin roots show better in an enlarged image. Where it is not sure of
what it found, it is asked again: of a large photograph or scan, whose roots are fine for the most part, enlarged; of a
small one, such as a camera in a tube takes, reduced twice, for there roots may be blurred or too wide. The looks are
averaged. What is a root looks like one in several sizes, drops and stones seldom do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from ..bands import bands
from .blend import Blender
from .glance import is_large
from .thinness import thin_share
from .tiles import Plan

ENLARGED: Final = 1.5
"""Of large images and of thin roots; twice the size finds hardly more, for nearly twice the time."""
REDUCED: Final = (0.71, 0.5)
"""Of images that are not large. In half a large scan the network is surest of the scan's rims."""
MANY_THIN: Final = 0.45
"""Share of thin roots (`thin_share`) from which on the first look does not count any more."""
ENOUGH: Final = 3000
"""Pixels of root from which on that share says something: of few, some specks are the most."""
TRACE: Final = 0.5
"""Share of the threshold that a tile's highest root probability has to reach to be looked at enlarged."""
SURE: Final = 0.8
"""Sureness from which on one look at a small image is enough. Below it, parts of roots are still missed."""
SURE_OF_LARGE: Final = 0.65
"""The same for large ones, where looking again takes more than twice the time."""
TRUST: Final = 4
"""A look weighs as much as its sureness to this power. With 2 to 8 nearly the same is found; counting alone, the surest
look is too often wrong, and with equal weights a size that does not suit the roots spoils the mean."""
NOTHING: Final = 500
"""Pixels of root that are as good as none: who finds nothing, and hardly a trace of it, is sure as well."""
NO_MEMORY: Final = (
    "there was not enough memory for a second look at it, so some roots may be missing; close other programs and make "
    "its mask anew"
)
"""What should be known of a mask that had to do with the first look."""


def look_again(
    image: np.ndarray, found: Blender, look: Callable[[float, Blender | None], Blender], threshold: float
) -> None:
    """Renews a look at an image whose size does not suit the network, or of which it is not sure; leaves others.

    Args:
        image: H×W×3 uint8.
        found: the look at its own size, renewed in place.
        look: looks at the image at a scale; where an earlier look is given, only at what that saw a trace of, renewing
            it in place.
        threshold: of the mask.

    Raises:
        MemoryError: what was not renewed is as the first look left it.
    """
    if thin(found.mask):
        look(ENLARGED, found)
        return
    sure = sureness(found.probability, found.mask)
    others = [look(scale, found.copied() if scale > 1 else None) for scale in sizes(image, sure)]
    if others:
        average(found, sure, others, threshold)


def thin(mask: np.ndarray) -> bool:
    """Whether an H×W bool mask shows enough roots, and thin ones for the most part."""
    return np.count_nonzero(mask) >= ENOUGH and thin_share(mask) >= MANY_THIN


def sizes(image: np.ndarray, sure: float) -> tuple[float, ...]:
    """The scales at which an H×W×3 image is looked at once more, by the sureness of the look at its own size."""
    if is_large(image):
        return (ENLARGED,) if sure < SURE_OF_LARGE else ()
    return REDUCED if sure < SURE else ()


def traces(probability: np.ndarray, tiles: Plan, threshold: float) -> list[bool]:
    """For every tile in the plan's order, whether the H×W root probability shows a trace of a root in it."""
    return [bool((tiles.inside(probability, *place) >= TRACE * threshold).any()) for place in tiles]


def sureness(probability: np.ndarray, mask: np.ndarray) -> float:
    """The Dice of a mask if its probabilities were right, smoothed by `NOTHING`: how sure the network is of it.

    Args:
        probability: H×W float16, root probability.
        mask: H×W bool, its roots.

    Returns:
        0..1.
    """
    root = np.count_nonzero(mask)
    agreed = np.sum(probability, where=mask, dtype=np.float64)
    return float((2 * agreed + NOTHING) / (root + np.sum(probability, dtype=np.float64) + NOTHING))


def average(first: Blender, sure: float, others: Sequence[Blender], threshold: float) -> None:
    """Renews the first look at an image: its probability becomes the mean of all, the surer ones weighing more.

    Args:
        first: renewed in place.
        sure: its sureness.
        others: looks at the same image in other sizes.
        threshold: of the mask.
    """
    looks = [first, *others]
    surenesses = [sure, *(sureness(look.probability, look.mask) for look in others)]
    weights = np.array([each**TRUST for each in surenesses], np.float32)
    weights /= weights.sum()
    for rows in bands(*first.mask.shape):
        first.probability[rows] = sum(
            weight * look.probability[rows].astype(np.float32) for weight, look in zip(weights, looks, strict=True)
        )
        first.mask[rows] = first.probability[rows].astype(np.float32) >= threshold
