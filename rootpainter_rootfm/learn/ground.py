"""Drawn backgrounds: soil, paper, gel and scans, and what lies about on them without being root."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter, ImageFont
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


def _edge(rng: Generator, draw: ImageDraw.ImageDraw, size: tuple[int, int], colour: tuple[int, ...]) -> None:
    """The rim of a plate, a frame or a ruler: one long straight line, thin or broad."""
    place, slope = rng.uniform(0, max(size)), rng.uniform(-0.1, 0.1) * max(size)
    ends = [(-9, place), (size[0] + 9, place + slope)]
    if rng.random() < 0.5:
        ends = [(y, x) for x, y in ends]
    draw.line(ends, fill=colour, width=int(rng.choice([1, 2, 3, 6, 14, 40])))


def _rim(rng: Generator, draw: ImageDraw.ImageDraw, size: tuple[int, int], colour: tuple[int, ...]) -> None:
    """The arc of a round plate or pot."""
    radius = rng.uniform(0.5, 3) * max(size)
    angle = rng.uniform(0, 2 * np.pi)
    x, y = (s * rng.uniform(0.2, 0.8) + radius * f(angle) for s, f in zip(size, (np.cos, np.sin), strict=True))
    draw.ellipse([x - radius, y - radius, x + radius, y + radius], outline=colour, width=int(rng.integers(1, 7)))


def _droplet(rng: Generator, draw: ImageDraw.ImageDraw, size: tuple[int, int], colour: tuple[int, ...]) -> None:
    """A drop of water or a bubble: a disc with a rim, or a blob."""
    x, y = rng.uniform((0, 0), size)
    a, b = np.exp(rng.uniform(np.log(1.5), np.log(22), 2))
    filled = rng.random() < 0.5
    draw.ellipse([x - a, y - b, x + a, y + b], outline=colour, fill=colour if filled else None)


def _label(rng: Generator, draw: ImageDraw.ImageDraw, size: tuple[int, int], colour: tuple[int, ...]) -> None:
    """Writing on the picture."""
    text = "".join(rng.choice(list("ABCDEFGHKLMNRSTX0123456789-./ ")) for _ in range(int(rng.integers(2, 14))))
    font = ImageFont.load_default(size=float(rng.integers(9, 60)))
    draw.text(tuple(rng.uniform((-20, -10), size)), text, fill=colour, font=font)


def _scratch(rng: Generator, draw: ImageDraw.ImageDraw, size: tuple[int, int], colour: tuple[int, ...]) -> None:
    """A short straight scratch, thinner than most roots."""
    start = rng.uniform((0, 0), size)
    draw.line([tuple(start), tuple(start + rng.normal(0, 30, 2))], fill=colour, width=1)


_CLUTTER = (_edge, _rim, _droplet, _droplet, _label, _scratch)


def clutter(rng: Generator, picture: np.ndarray) -> np.ndarray:
    """Adds what may be taken for a root and is none. H×W×3 float 0 to 255 in and out."""
    if rng.random() < 0.5:
        return picture
    layer = Image.fromarray(np.uint8(np.clip(picture, 0, 255)))
    pen = ImageDraw.Draw(layer)
    for _ in range(int(rng.integers(1, 4))):
        thing = _CLUTTER[int(rng.integers(len(_CLUTTER)))]
        level = rng.uniform(0, 255) * rng.uniform(0.8, 1, 3)
        for _ in range(int(rng.integers(1, 12)) if thing in (_droplet, _scratch) else 1):
            thing(rng, pen, layer.size, tuple(int(c) for c in level))
    blurred = layer.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.5)))
    share = rng.uniform(0.5, 1)
    return picture * (1 - share) + np.asarray(blurred, np.float32) * share
