"""Which pixels of a dataset's mask are root: what is white in it, or cyan as RootPainter's masks, on black.

Other programs write masks of classes and of numbered roots, in colours and in greys. What may or may not be root is
refused: learning from it would go wrong without a word.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from .bands import bands
from .opening import Unreadable

SPECKS = 0.001  # share of grey pixels that a mask without white may have: the rim of a root beyond its edge, dirt
NEARLY_BLACK = 10  # levels up to which a colour of a mask may be taken for the black around roots

_AS_IT_SHOULD_BE = "save it with root in white (255) and everything else in black (0)"
_COLOURS = f"its colours are not those of a root mask; {_AS_IT_SHOULD_BE}"

Colours = Iterable[tuple[slice, np.ndarray]]
"""Rows and their 4×H×W uint8 red, green, blue and alpha."""


def is_white(levels: np.ndarray, noise: int = 0) -> np.ndarray:
    """Where a picture of zeros and ones, or of 8 or 16 bit, is nearer to white than to black; H×W number to bool.

    Raises Unreadable when nothing is, though more than specks of it are not black: it holds classes or numbered roots,
    which would pass for a picture without roots. Where there are more than 8 bits, roots may be numbered beyond half
    of white, too: something has to be all white there. Levels up to `noise` count as black.
    """
    top = levels.max()
    if not levels.min() >= 0:
        raise Unreadable(f"it holds values that are below zero or no numbers; {_AS_IT_SHOULD_BE}")
    white = next((white for white in (1, 255) if top <= white), 65535)
    root = levels > white / 2
    found = root.any() and (levels.dtype == np.uint8 or top <= 1 or top == white)
    if not found and (levels > noise).mean() > SPECKS:
        raise Unreadable(
            f"it holds values up to {top}, none of them white, so it cannot be told which are root; {_AS_IT_SHOULD_BE}"
        )
    return root


def is_light(shape: tuple[int, int], colours: Colours, noise: int = 0) -> np.ndarray:
    """Where a picture in colour is white, or cyan as RootPainter's masks, on black or on nothing; H×W bool.

    All that lies between may be there. Any other colour, dark ones too, may be a class, and black beside nothing may be
    root: neither passes for root-free. Of a grey picture saved with loss, colours differ by up to `noise`. Raises
    Unreadable.
    """
    levels = np.empty(shape, np.uint8)
    all_grey, all_cyan, black, clear = True, True, False, False
    for rows, (red, green, blue, alpha) in colours:
        away = alpha == 0
        levels[rows] = np.where(away, 0, np.minimum(green, blue))
        root = (red < 128) & (levels[rows] > 127)
        rim = (red <= NEARLY_BLACK) & (np.maximum(green, blue) - levels[rows] <= NEARLY_BLACK)
        spread = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
        all_grey &= bool(((spread <= noise) & (alpha == 255)).all())
        all_cyan &= bool((away | root | rim).all())
        black |= bool(((alpha > 127) & rim & (levels[rows] <= NEARLY_BLACK)).any())
        clear |= bool(away.any())
    if black and clear:
        raise Unreadable(f"black and transparent pixels in one mask do not tell which are root; {_AS_IT_SHOULD_BE}")
    if not all_grey and not all_cyan:
        raise Unreadable(_COLOURS)
    return is_white(levels, noise if all_grey else NEARLY_BLACK)


def is_root(picture: np.ndarray, noise: int = 0) -> np.ndarray:
    """The same of an H×W number or an opaque H×W×3 number; H×W bool. Raises Unreadable."""
    if picture.ndim == 2:
        return is_white(picture, noise)
    if picture.dtype == np.uint8:
        return is_light(picture.shape[:2], _opaque(picture), noise)
    if (picture != picture[:, :, :1]).any():
        raise Unreadable(_COLOURS)
    return is_white(picture[:, :, 0], noise)


def _opaque(picture: np.ndarray) -> Colours:
    for rows in bands(len(picture), picture[0].size):
        red, green, blue = np.moveaxis(picture[rows], 2, 0)
        yield rows, np.stack([red, green, blue, np.full_like(red, 255)])
