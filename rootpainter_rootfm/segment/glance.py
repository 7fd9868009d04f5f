"""Roots wider than the network's view: parts of them look like ground, the whole photograph, reduced, shows them.

The network learnt roots of up to some sixty pixels. Of wider ones a tile shows a plain surface, and nothing is found.
So a large photograph is looked at once more at a sixth of its size, which takes 5 % more time, and again at a sixth
of that, as long as it is large. From there only what is wide, long, sure and was missed is taken: beside each other,
fine roots look like one wide root when they are reduced, and so does a seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from PIL import Image

from ..bands import bands
from .thinness import without_thin

FACTOR: Final = 6
LARGE: Final = 1024
"""Pixels of the longer side from which on a photograph is reduced: a tile shows a large part of a smaller one."""
WIDE: Final = 8
"""Pixels of the reduced photograph that a root measures at least, so 48 of the photograph."""
SURE: Final = 0.7
"""Root probability that it has somewhere in all its width."""
LONG: Final = 4
"""Times its width that it is long, at least."""
MISSED: Final = 0.2
"""Share of it that was found without this, at most; more, and it is a bundle of finer roots."""


def is_large(image: np.ndarray) -> bool:
    """Whether a tile shows only a small part of an H×W×3 photograph."""
    return max(image.shape[:2]) >= LARGE


def reduced(image: np.ndarray) -> Iterator[np.ndarray]:
    """H×W×3 uint8 at a sixth of its size, and at a sixth of that, as long as it is large; nothing if it is not."""
    while is_large(image):
        image = _averaged(image, FACTOR)
        yield image


def add_wide(probability: np.ndarray, mask: np.ndarray, coarse: np.ndarray, factor: int, threshold: float) -> bool:
    """Puts wide roots that were missed into a segmentation, in place.

    Args:
        probability: H×W float16, root probability of the photograph.
        mask: H×W bool, its roots.
        coarse: h×w float16, root probability of the photograph reduced by `factor`, h = ceil(H / factor).
        factor: a power of `FACTOR`.
        threshold: of the mask.

    Returns:
        Whether there were any.
    """
    core = without_thin(coarse >= max(SURE, threshold), WIDE)
    if not core.any():
        return False
    from scipy import ndimage  # a third of a second to load, and few photographs come as far as this

    wide = ndimage.binary_propagation(core, mask=without_thin(coarse >= threshold, WIDE))
    labels, count = ndimage.label(wide)
    found = _averaged(mask, factor) / 255
    each = np.arange(1, count + 1)
    width = 2 * ndimage.maximum(ndimage.distance_transform_edt(wide), labels, each) - 1
    length = ndimage.sum(wide, labels, each) / width
    taken = (length >= LONG * width) & (ndimage.mean(found, labels, each) < MISSED)
    missed = np.concatenate([[False], taken])[labels]
    for rows in bands(*mask.shape):
        y, x = np.arange(rows.start, rows.stop) // factor, np.arange(mask.shape[1]) // factor
        here = missed[y][:, x]
        mask[rows] |= here
        np.maximum(probability[rows], coarse[y][:, x], out=probability[rows], where=here)
    return bool(taken.any())


def _averaged(layer: np.ndarray, factor: int) -> np.ndarray:
    """Means over squares of `factor` pixels as uint8, of uint8 or of bool as 0 and 255.

    A band of rows at a time, for Pillow works on a copy.
    """
    rows_of_squares = bands(-(-len(layer) // factor), factor * layer[0].size)
    parts = (layer[rows.start * factor : rows.stop * factor] for rows in rows_of_squares)
    values = (part * np.uint8(255) if layer.dtype == bool else part for part in parts)
    return np.concatenate([np.asarray(Image.fromarray(part).reduce(factor)) for part in values])
