"""Pictures of what a method found and missed: of one image, and of a dataset's best and worst."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ... import lettering
from ...lettering import drawable
from ..data import Truth

if TYPE_CHECKING:
    from .evaluate import Row

PANEL = (720, 480)  # height and width in pixels of a panel at most
SHOWN = 3  # best and worst images on a sheet
# Told apart with any kind of colour vision, and on soil as well as on paper.
HIT, FALSE, MISSED = (0, 200, 130), (235, 80, 0), (60, 160, 255)
_GAP = 6
_LINE = 24
_NARROWEST = 640  # room for the legend


def picture(truth: Truth, mask: np.ndarray) -> Image.Image:
    """Three panels side by side: photograph, truth (unknown parts grey), and the mask against the truth.

    Args:
        truth: the image and what is known of it.
        mask: H×W bool.
    """
    panels = _panels(truth, mask)
    gap = np.full((len(panels[0]), _GAP, 3), 255, np.uint8)
    return Image.fromarray(np.concatenate([panels[0], gap, panels[1], gap, panels[2]], axis=1))


def compared(truth: Truth, mask: np.ndarray) -> Image.Image:
    """The last panel of `picture` alone."""
    return Image.fromarray(_panels(truth, mask)[2])


def _panels(truth: Truth, mask: np.ndarray) -> list[np.ndarray]:
    height, width = mask.shape
    factor = min(1.0, PANEL[0] / height, PANEL[1] / width)
    size = max(1, round(height * factor)), max(1, round(width * factor))
    photograph = np.asarray(Image.fromarray(truth.image).resize(size[::-1], Image.Resampling.BOX))
    root = np.where(_share(truth.root, size) > 0, 255, 0)
    known = np.ones_like(mask) if truth.known is None else truth.known
    root = np.where(_share(known, size) > 0, root, 110)
    grey = photograph.mean(2, keepdims=True) * 0.45 + 20
    against = np.broadcast_to(grey, photograph.shape).copy()
    shares = [_share(part & known, size) for part in (mask & truth.root, mask & ~truth.root, ~mask & truth.root)]
    # A cell holds many pixels: it takes the colour of what most of its root pixels are.
    most = np.argmax(shares, axis=0)
    for k, colour in enumerate((HIT, FALSE, MISSED)):
        against[(most == k) & (shares[k] > 0)] = colour
    return [panel.astype(np.uint8) for panel in (photograph, np.repeat(root[..., None], 3, 2), against)]


def sheet(title: str, rows: Sequence[Row], folder: Path) -> Image.Image:
    """The best and the worst images of one dataset, each with its Dice, under a legend.

    Args:
        title: stands at the top.
        rows: of the dataset, with their pictures in `folder`. Root-free images are shown only among the worst.
        folder: of the evaluation.
    """
    ranked = sorted(rows, key=lambda row: row.counts.dice, reverse=True)
    rooted = [row for row in ranked if row.counts.tp + row.counts.fn]
    best = rooted[: min(SHOWN, (len(rooted) + 1) // 2)]
    worst = [row for row in ranked if row not in best][-SHOWN:]
    groups = [("Best", best), ("Worst", worst)]
    entries = [
        (f"{group}: Dice {row.counts.dice:.2f}  {row.image}", Image.open(folder / row.picture))
        for group, chosen in groups
        for row in chosen
    ]
    height = 2 * _LINE + _GAP + sum(_LINE + shown.height + _GAP for _, shown in entries)
    width = max(_NARROWEST, *(shown.width for _, shown in entries))
    canvas = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(canvas)
    font = lettering.font()
    pen.text((_GAP, 2), drawable(title), fill="black", font=font)
    _legend(pen, font)
    top = 2 * _LINE + _GAP
    for caption, shown in entries:
        pen.text((_GAP, top + 2), drawable(caption), fill="black", font=font)
        canvas.paste(shown, (0, top + _LINE))
        top += _LINE + shown.height + _GAP
    return canvas


def _legend(pen: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> None:
    pen.text((_GAP, _LINE + 2), "photograph | truth | mask:", fill="black", font=font)
    left = _GAP + pen.textlength("photograph | truth | mask:  ", font=font)
    for text, colour in (("root, found", HIT), ("not root, but marked", FALSE), ("root, missed", MISSED)):
        pen.rectangle([left, _LINE + 5, left + 14, _LINE + 19], fill=colour)
        pen.text((left + 20, _LINE + 2), text, fill="black", font=font)
        left += 44 + pen.textlength(text, font=font)


def _share(layer: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """H×W bool to h×w counts of True in the pixels that fall into each cell; no thin root is lost."""
    counts = layer.astype(np.int32)
    for axis, cells in enumerate(size):
        starts = np.arange(cells) * layer.shape[axis] // cells
        counts = np.add.reduceat(counts, starts, axis=axis)
    return counts
