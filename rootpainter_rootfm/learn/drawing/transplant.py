"""Real roots transplanted into other ground: a network that knows them by their own soil alone fails in any other."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from scipy.ndimage import gaussian_filter, maximum_filter

from ..data import Patch

KEEPS_COLOUR = 0.4  # share of transplants that keep the colour of their roots; the others keep their contrast
TURNED_DARK = 0.25  # share of the latter whose contrast is turned round: bright roots become dark ones
RIM = 0.8  # pixels over which a transplanted root blends into its ground
STANDS_OUT = 0.5  # share of its contrast that a root must keep: white roots vanish on white paper
FAINTEST = 6.0  # grey levels by which a root must differ from its new ground
NEAR = 12.0  # pixels: the ground around a root, from which it differs by its contrast


def transplant(rng: Generator, donor: Patch, host: Patch) -> Patch:
    """The roots of one patch in the ground of another, whose own roots stay where they are.

    Args:
        rng: source of chance.
        donor: where the roots come from; those that are not known stay behind.
        host: where they go, of the same size. It comes back as it is where they could not be seen.
    """
    planted = donor.root * donor.known
    if not planted.any():
        return host
    cover = gaussian_filter(maximum_filter(planted, 3), RIM)[..., None]
    ground = host.image.astype(np.float32)
    contrast = donor.image - _behind(donor)
    image = ground + cover * (_roots(rng, donor, ground, contrast) - ground)
    image = np.uint8(np.clip(image, 0, 255))
    if _strength(image - ground, planted) < max(FAINTEST, STANDS_OUT * _strength(contrast, planted)):
        return host
    return Patch(image, np.maximum(host.root, planted), host.known)


def _roots(rng: Generator, donor: Patch, ground: np.ndarray, contrast: np.ndarray) -> np.ndarray:
    """S×S×3 float32: what the roots look like in their new ground."""
    if rng.random() < KEEPS_COLOUR:
        return donor.image.astype(np.float32)
    strength = rng.uniform(0.6, 1.4) * (-1 if rng.random() < TURNED_DARK else 1)
    return ground + strength * contrast


def _strength(difference: np.ndarray, planted: np.ndarray) -> float:
    """Mean difference of the planted roots from their ground, in grey levels."""
    return float((np.abs(difference).mean(2) * planted).sum() / planted.sum())


def _behind(patch: Patch) -> np.ndarray:
    """S×S×3 float32: the ground near every pixel, as it would go on behind the roots."""
    bare = (patch.known & (patch.root == 0)).astype(np.float32)
    weight = gaussian_filter(bare, NEAR)[..., None]
    blurred = gaussian_filter(patch.image * bare[..., None], (NEAR, NEAR, 0))
    far = np.median(patch.image, axis=(0, 1))
    return (blurred + 1e-3 * far) / (weight + 1e-3)
