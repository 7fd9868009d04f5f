"""Drawn backgrounds: soil, paper, gel and scans."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter
from scipy.ndimage import gaussian_filter


def noise(rng: Generator, height: int, width: int, cells: tuple[int, ...]) -> np.ndarray:
    """H×W float32 about -1 to 1: random fields, the one of the fewest cells the strongest."""
    total = np.zeros((height, width), np.float32)
    for level, count in enumerate(cells):
        rows, columns = max(2, count * height // max(height, width)), max(2, count * width // max(height, width))
        coarse = rng.uniform(-1, 1, (rows, columns)).astype(np.float32)
        layer = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        total += np.asarray(layer) / (1.6**level)
    return total / sum(1.6**-level for level in range(len(cells)))


def _grain(rng: Generator, height: int, width: int, sigma: float) -> np.ndarray:
    """H×W float32 of mean 0 and deviation 1: white noise, blurred by `sigma` pixels."""
    grain = gaussian_filter(rng.standard_normal((height, width), dtype=np.float32), sigma)
    return grain / grain.std()


def _tinted(rng: Generator, value: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Grey values around 1 to H×W×3 of a colour that itself varies a little from place to place."""
    height, width = value.shape
    drift = noise(rng, height, width, (3, 7))[..., None] * rng.uniform(-14, 14, 3)
    return (value[..., None] * colour + drift).astype(np.float32)


def _soil(rng: Generator, height: int, width: int) -> np.ndarray:
    fine = max(height, width)
    value = 1 + rng.uniform(0.1, 0.5) * noise(rng, height, width, (5, 13, fine // 12, fine // 4))
    value += rng.uniform(0.02, 0.2) * _grain(rng, height, width, rng.choice([0, rng.uniform(0.4, 1.5)]))
    brightness = rng.uniform(25, 150)
    colour = brightness * np.array([1, rng.uniform(0.7, 1.0), rng.uniform(0.45, 1.0)])
    return _stones(rng, _tinted(rng, value, colour))


def _stones(rng: Generator, picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    layer = Image.fromarray(np.uint8(np.clip(picture, 0, 255)))
    draw = ImageDraw.Draw(layer)
    for _ in range(rng.poisson(rng.choice([0, 6, 40]))):
        middle, radius = rng.uniform((0, 0), (width, height)), np.exp(rng.uniform(np.log(1), np.log(14)))
        angles = np.sort(rng.uniform(0, 2 * np.pi, 9))
        rim = middle + radius * rng.uniform(0.6, 1.1, (9, 1)) * np.stack([np.cos(angles), np.sin(angles)], 1)
        colour = np.clip(picture[int(middle[1]) % height, int(middle[0]) % width] * rng.uniform(0.4, 2), 0, 255)
        draw.polygon([tuple(p) for p in rim], fill=tuple(int(c) for c in colour))
    return np.asarray(layer.filter(ImageFilter.GaussianBlur(0.7)), np.float32)


def _paper(rng: Generator, height: int, width: int) -> np.ndarray:
    value = 1 + rng.uniform(0, 0.12) * noise(rng, height, width, (2, 5))
    value += rng.uniform(0.005, 0.08) * _grain(rng, height, width, rng.uniform(0.3, 2))
    colour = rng.uniform(20, 245) * rng.uniform(0.35 if rng.random() < 0.4 else 0.85, 1, 3)
    return _tinted(rng, value, colour)


def _gel(rng: Generator, height: int, width: int) -> np.ndarray:
    value = 1 + rng.uniform(0.05, 0.35) * noise(rng, height, width, (2, 3))
    value += rng.uniform(0, 0.02) * rng.standard_normal((height, width))
    return _tinted(rng, value, rng.uniform(60, 230) * rng.uniform(0.7, 1, 3))


def _scan(rng: Generator, height: int, width: int) -> np.ndarray:
    level = rng.uniform(200, 255) if rng.random() < 0.7 else rng.uniform(0, 40)
    value = level + rng.uniform(0, 4) * rng.standard_normal((height, width, 1)) + rng.uniform(-6, 6, 3)
    return value.astype(np.float32)


_GROUNDS: tuple[Callable[[Generator, int, int], np.ndarray], ...] = (_soil, _soil, _paper, _gel, _scan)


def draw(rng: Generator, height: int, width: int) -> np.ndarray:
    """A root-free ground, H×W×3 float32 in about [0, 255]."""
    return np.clip(_GROUNDS[int(rng.integers(len(_GROUNDS)))](rng, height, width), 0, 255)
