"""Patches around the strokes of an annotation. Strokes are few pixels wide: none of them may be lost on the way."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from PIL import Image

from .data import Truth
from .patches import Patch

PLACES = 4096
"""Annotated pixels of a class that patches are placed around; more would only be their neighbours."""
OFF_CENTRE = 0.35
"""How far from the middle of a patch, in parts of its side, the annotated pixel may lie that it is placed around."""
ROOT, SOIL = 255, 128


@dataclass(frozen=True)
class Strokes:
    """An annotated image, ready to draw patches from.

    Attributes:
        image: The photograph.
        labels: 8-bit, `ROOT`, `SOIL`, or 0 where nothing is known.
        places: For each class that was painted, N×2 rows and columns.
    """

    image: Image.Image
    labels: Image.Image
    places: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, truth: Truth) -> Strokes:
        """Finds the strokes of an image of which something is known."""
        soil = truth.known & ~truth.root
        labels = np.where(truth.root, np.uint8(ROOT), np.where(soil, np.uint8(SOIL), np.uint8(0)))
        places = tuple(_some(layer) for layer in (truth.root, soil) if layer.any())
        return cls(Image.fromarray(truth.image), Image.fromarray(labels), places)

    @property
    def nbytes(self) -> int:
        """Memory held, in bytes."""
        width, height = self.image.size
        return 4 * width * height + sum(places.nbytes for places in self.places)

    def draw(self, rng: Generator, size: int, scale: tuple[float, float]) -> Patch:
        """A patch around an annotated pixel, of root as often as of soil, at a random scale, angle and mirror image.

        Beyond the image's borders it is black, and nothing is known.
        """
        places = self.places[rng.integers(len(self.places))]
        row, column = places[rng.integers(len(places))]
        zoom = math.exp(rng.uniform(*np.log(scale)))
        angle = rng.uniform(0, 2 * math.pi)
        mirrored = rng.choice((-1, 1))
        # From a patch's pixels, measured from the annotated one, to the image's.
        along, across = math.cos(angle) / zoom, math.sin(angle) / zoom
        x, y = size * (0.5 + rng.uniform(-OFF_CENTRE, OFF_CENTRE, 2))
        to_image = (
            mirrored * along,
            across,
            column + 0.5 - mirrored * along * x - across * y,
            -mirrored * across,
            along,
            row + 0.5 + mirrored * across * x - along * y,
        )
        image, labels = (
            np.asarray(layer.transform((size, size), Image.Transform.AFFINE, to_image, how))
            for layer, how in ((self.image, Image.Resampling.BILINEAR), (self.labels, Image.Resampling.NEAREST))
        )
        return Patch(image, (labels == ROOT).astype(np.float32), labels > 0)


def _some(layer: np.ndarray) -> np.ndarray:
    places = np.flatnonzero(layer)
    if len(places) > PLACES:
        places = places[np.linspace(0, len(places) - 1, PLACES).astype(np.int64)]
    return np.stack(np.unravel_index(places, layer.shape), axis=1)
