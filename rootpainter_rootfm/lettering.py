"""Text on pictures, in letters that Pillow's own font has: it knows no umlauts, and draws boxes in their place."""

from __future__ import annotations

import string
import unicodedata

from PIL import ImageFont

SIZE = 16
_KNOWN = frozenset(string.printable + "·…°")
_ALIKE = str.maketrans({"ß": "ss", "ø": "o", "Ø": "O", "æ": "ae", "Æ": "Ae", "œ": "oe", "ł": "l", "×": "x", "–": "-"})


def font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font of captions."""
    return ImageFont.load_default(SIZE)


def drawable(text: str) -> str:
    """The same in letters that the font has: without accents, and with a question mark where nothing comes near."""
    parted = unicodedata.normalize("NFD", text.translate(_ALIKE))
    return "".join(sign if sign in _KNOWN else "?" for sign in parted if not unicodedata.combining(sign))
