"""Photographs with their masks laid over them, as small pictures and together on one sheet."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .. import lettering
from ..files import replacing
from ..lettering import drawable

THUMBNAIL: Final = 320
"""Longest side in pixels of a picture on a sheet."""

ROOT_COLOUR: Final = (255, 0, 200)  # seen in no photograph of soil, paper, plates or leaves
_OPACITY: Final = 0.85
_SHEET: Final = 2000  # width in pixels
_NARROWEST: Final = 240  # of an entry, so that its name can be read
_GAP: Final = 4
_MARGIN: Final = 14
_CAPTION: Final = 24
_REMARK_LINES: Final = 6  # fit beneath the name of an entry without pictures
_BACKGROUND: Final = (32, 32, 32)
_INK: Final = (235, 235, 235)
_ALARM: Final = (255, 150, 120)


@dataclass(frozen=True)
class Entry:
    """One image's place on a sheet."""

    name: str
    remark: str
    """Stands beside the name, such as the share of root."""
    photograph: np.ndarray | None = None
    """h×w×3 uint8 of at most `THUMBNAIL` pixels a side; None where the image could not be read."""
    overlay: np.ndarray | None = None
    """The same with its roots painted; None where there is no mask."""


def thumbnail(image: np.ndarray, longest: int = THUMBNAIL) -> np.ndarray:
    """H×W×3 uint8 made no larger than `longest` pixels a side."""
    height, width = _small(*image.shape[:2], longest)
    # Every n-th pixel first: a whole copy of a large scan would cost more memory than segmenting it.
    step = max(1, min(image.shape[0] // height, image.shape[1] // width) // 4)
    coarse = Image.fromarray(np.ascontiguousarray(image[::step, ::step]))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BOX))


def painted(photograph: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """An h×w×3 uint8 photograph with the roots of its H×W mask, which may be larger, painted over it.

    A pixel is painted when any root lies in it: a root far thinner than a pixel of the small picture is still seen.
    """
    height, width = photograph.shape[:2]
    rows = np.arange(height) * mask.shape[0] // height
    columns = np.arange(width) * mask.shape[1] // width
    root = np.logical_or.reduceat(np.logical_or.reduceat(mask, rows, axis=0), columns, axis=1)
    result = photograph.copy()
    result[root] = (photograph[root] * (1 - _OPACITY) + np.array(ROOT_COLOUR) * _OPACITY).astype(np.uint8)
    return result


def chosen(count: int, most: int = 60) -> list[int]:
    """Which of `count` images a sheet shows: all, or `most` of them spread evenly from the first to the last."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(count, most))})


def write_sheet(entries: Sequence[Entry], title: str, path: Path) -> None:
    """Writes a PNG that shows every entry's photograph beside its overlay, in one step."""
    places, width, height = _layout(entries)
    sheet = Image.new("RGB", (width, height), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    font = lettering.font()
    draw.text((_MARGIN, _MARGIN), drawable(title), _INK, font)
    for entry, (left, top) in zip(entries, places, strict=True):
        _place(sheet, draw, font, entry, left, top)
    path.parent.mkdir(exist_ok=True)
    with replacing(path) as beside:
        sheet.save(beside)


def _layout(entries: Sequence[Entry]) -> tuple[list[tuple[int, int]], int, int]:
    """Left and top of every entry, row after row as words on a page, and the sheet's width and height."""
    places, left, top, row, right = [], _MARGIN, _CAPTION + 2 * _MARGIN, 0, _SHEET // 3
    for entry in entries:
        wide, high = _size(entry)
        if left > _MARGIN and left + wide > _SHEET:
            left, top, row = _MARGIN, top + row + _MARGIN, 0
        places.append((left, top))
        left, row, right = left + wide + _MARGIN, max(row, high), max(right, left + wide)
    return places, right + _MARGIN, top + row + _MARGIN


def _size(entry: Entry) -> tuple[int, int]:
    """Width and height of an entry with its caption."""
    if entry.photograph is None or entry.overlay is None:
        return _NARROWEST, THUMBNAIL // 2
    high, wide = entry.photograph.shape[:2]
    return max(_NARROWEST, 2 * wide + _GAP), high + _CAPTION


def _place(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont, entry: Entry, left: int, top: int
) -> None:
    room = _size(entry)[0]
    if entry.photograph is None or entry.overlay is None:
        draw.text((left, top), _shortened(entry.name, room, draw, font), _ALARM, font)
        draw.multiline_text((left, top + _CAPTION), _wrapped(entry.remark, room, draw, font), _INK, font)
        return
    name = _shortened(entry.name, room - draw.textlength(f"  {entry.remark}", font), draw, font)
    draw.text((left, top), f"{name}  {entry.remark}", _INK, font)
    for place, picture in enumerate((entry.photograph, entry.overlay)):
        sheet.paste(Image.fromarray(picture), (left + place * (picture.shape[1] + _GAP), top + _CAPTION))


def _small(height: int, width: int, longest: int) -> tuple[int, int]:
    factor = min(1.0, longest / max(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))


def _shortened(text: str, room: float, draw: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont) -> str:
    """A name cut in its middle, since the ends of names tell images apart."""
    text = " ".join(drawable(text).split())  # a name may hold a line break
    keep = len(text)
    short = text
    while draw.textlength(short, font) > room and keep > 4:
        keep -= 1
        short = f"{text[: keep // 2]}…{text[-(keep - keep // 2) :]}"
    return short


def _wrapped(text: str, room: float, draw: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont) -> str:
    letters = int(room / draw.textlength("n", font))
    return "\n".join(textwrap.wrap(drawable(text), letters, max_lines=_REMARK_LINES, placeholder=" …"))
