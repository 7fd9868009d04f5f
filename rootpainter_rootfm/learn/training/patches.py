"""Patches: what the network sees of an image while it learns."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator
from PIL import Image

from ..data import Patch, Truth

ROOT_CENTRED = 0.75  # share of patches placed on a root; the others lie anywhere and show mostly background
BLACK_BEYOND = 0.4  # share of patches for which the image ends in black at its borders
THINNEST = 4.0  # pixels; no image is shrunk until its roots are thinner: the decoder decides on squares of 4×4
DIAGONAL = 1.4143  # a square turned by any angle is cut from one this much wider


def cut(rng: Generator, truth: Truth, size: int, scale: tuple[float, float] = (0.4, 2.5)) -> Patch:
    """A random patch at a random place, scale, angle and mirror image.

    Beyond its borders an image goes on as its mirror image, with its roots, or it is black: an unmodified
    RootPainter trainer pads small images with black.

    Args:
        rng: source of chance.
        truth: the image and what is known of it.
        size: side S of the patch in pixels.
        scale: smallest and largest zoom; 2 shows roots twice as wide. An image of thin roots is shrunk less.
    """
    zoom = _zoom(rng, truth.root_width, scale)
    turned = rng.random() < 0.5
    side = round(size * DIAGONAL) if turned else size
    reach = max(1, round(side / zoom))
    top, left = _corner(rng, truth, reach)
    black = rng.random() < BLACK_BEYOND
    layers = [(truth.image, 0), (truth.root, False)]  # with what lies beyond: black, and no root
    if truth.known is not None:
        layers.append((truth.known, True))  # that it is no root, is known
    squares = [
        _square(layer, top, left, reach, fill if black else None).resize((side, side), Image.Resampling.BILINEAR)
        for layer, fill in layers
    ]
    if turned:
        angle = rng.uniform(0, 2 * math.pi)
        squares = [_middle(square, angle, size) for square in squares]
    quarters, mirrored = int(rng.integers(4)), rng.random() < 0.5
    image, root, *known = (_orient(np.asarray(square), quarters, mirrored) for square in squares)
    return Patch(image, root.astype(np.float32) / 255, known[0] == 255 if known else np.ones((size, size), bool))


def _zoom(rng: Generator, root_width: float, scale: tuple[float, float]) -> float:
    """A random zoom that leaves the roots wide enough to be seen, if they were."""
    smallest, largest = scale
    if smallest < 1 and root_width > 0:
        smallest = min(1.0, largest, max(smallest, THINNEST / root_width))
    return float(np.exp(rng.uniform(*np.log((smallest, largest)))))


def _corner(rng: Generator, truth: Truth, reach: int) -> tuple[int, int]:
    """Top and left of a square of `reach` pixels: around a root or a known pixel, or anywhere."""
    on_root = rng.random() < ROOT_CENTRED and truth.root_per_row.any()
    wanted, per_row = (truth.root, truth.root_per_row) if on_root else (truth.known, truth.known_per_row)
    if wanted is None or not per_row.any():
        height, width = truth.root.shape
        centre = rng.uniform(0, height), rng.uniform(0, width)
    else:
        row = rng.choice(len(per_row), p=per_row / per_row.sum())
        centre = row, rng.choice(np.flatnonzero(wanted[row]))
        centre += rng.uniform(-0.35, 0.35, 2) * reach
    return round(centre[0] - reach / 2), round(centre[1] - reach / 2)


def _square(layer: np.ndarray, top: int, left: int, reach: int, fill: int | None) -> Image.Image:
    """A square of a layer, of a bool one in black and white; beyond the borders it holds `fill`, or the mirror image
    where `fill` is None."""
    height, width = layer.shape[:2]
    if 0 <= top <= height - reach and 0 <= left <= width - reach:
        square = np.ascontiguousarray(layer[top : top + reach, left : left + reach])
    elif fill is None:
        square = layer[np.ix_(_mirrored(top, reach, height), _mirrored(left, reach, width))]
    else:
        square = np.full((reach, reach, *layer.shape[2:]), fill, layer.dtype)
        inside = layer[max(0, top) : max(0, top + reach), max(0, left) : max(0, left + reach)]
        square[max(0, -top) :, max(0, -left) :][: inside.shape[0], : inside.shape[1]] = inside
    return Image.fromarray(square * np.uint8(255) if square.dtype == bool else square)


def _middle(square: Image.Image, angle: float, size: int) -> Image.Image:
    """The middle of a square, `size` pixels a side, turned by an angle in radians."""
    across, along = math.cos(angle), math.sin(angle)
    right = square.width / 2 - (across + along) * size / 2
    down = square.width / 2 - (across - along) * size / 2
    turn = (across, along, right, -along, across, down)
    return square.transform((size, size), Image.Transform.AFFINE, turn, Image.Resampling.BILINEAR)


def _mirrored(start: int, count: int, limit: int) -> np.ndarray:
    """Indices of `count` pixels from `start` on along a side of `limit` pixels that repeats as its mirror image."""
    places = np.arange(start, start + count) % (2 * limit)
    return np.where(places < limit, places, 2 * limit - 1 - places)


def _orient(layer: np.ndarray, quarters: int, mirrored: bool) -> np.ndarray:
    layer = np.rot90(layer, quarters)
    return np.ascontiguousarray(layer[:, ::-1] if mirrored else layer)
