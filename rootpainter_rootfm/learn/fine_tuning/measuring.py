"""How good a model is on corrected images, as far as corrections can tell."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import groupby, product
from operator import itemgetter

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ...model.card import TILE_MULTIPLE
from ...model.network import MobileSAM, normalise
from ..cache import ArrayCache
from ..metrics import Confusion
from ..training.losses import believed, dice_bce
from .corrected import UNUSABLE, Correction
from .corrections import Corrections
from .settings import FineTuneSettings

BESIDE = 5
"""Pixels around a stroke that belong to what was corrected: a stroke is narrower than the root under it."""
SMOOTHING = 0.01
"""Of the annotated pixels; added to both sides of the Dice that decides which model is better."""
UNSAID = 0.05
"""What a pixel away from all strokes counts in it: a person paints only a part of what is wrong. Counted a fifth, ten
corrected images of rape on blue paper refused models that had gained 0.016 on others, for the roots that they found."""
SEEN_BYTES = 256 << 20
"""Memory for what does not change of the tiles that are measured, on a GPU up to 256."""

Window = tuple[slice, slice]
"""Rows and columns of a part of an image."""


@dataclass(frozen=True)
class Measured:
    """What an epoch of training or a validation found.

    Attributes:
        counts: of annotated pixels.
        loss: its mean.
        seconds: taken.
        kept, changed: pixels away from all strokes that are root as in the starting model's mask, and those of which
            that model was sure and that are not as in its mask. Only a validation counts them, and only where the mask
            that the user corrected was the same.
    """

    counts: Confusion
    loss: float
    seconds: float
    kept: int = 0
    changed: int = 0

    @property
    def score(self) -> float:
        """Dice of the corrected images as far as it can be told: it decides which model is better.

        A person who corrects an image paints some of what is wrong and leaves what is right: a pixel without a stroke
        was more often right than wrong in the mask that was shown. By the strokes alone a mask that covers the soil
        would be the best, for hardly anybody paints soil. Smoothed, so that it tells better from worse where no root
        is known.
        """
        counts, smooth = self.counts, SMOOTHING * self.counts.defined
        right = 2 * (counts.tp + UNSAID * self.kept) + smooth
        return right / max(1.0, right + counts.fp + counts.fn + UNSAID * self.changed)


Steps = Generator[None, None, Measured]
"""Yields at least once a second on a usual computer; returns what was measured."""


@dataclass(frozen=True)
class Seen:
    """What is the same for all models that began as one.

    Attributes:
        pixels: 1×h×w×3 uint8, a tile padded for the network; as numbers the tiles of a GPU would not all be kept.
        mask, sure: H×W bool, the starting model's mask and where it was sure of it; neither where the user was shown
            something else, because other sizes of the image were looked at as well: nobody said anything to that.
    """

    pixels: Tensor
    mask: np.ndarray
    sure: np.ndarray

    @property
    def nbytes(self) -> int:
        """Memory held, in bytes."""
        return self.pixels.nbytes + self.mask.nbytes + self.sure.nbytes


class Measurer:
    """Measures models against one that all of them began as.

    Args:
        start: the model begun with, in evaluation mode.
        device: where it lies.
        settings: size, number and zoom of the tiles.
    """

    def __init__(self, start: MobileSAM, device: torch.device, settings: FineTuneSettings) -> None:
        self._start = start
        self._device = device
        self._settings = settings
        self._seen = ArrayCache(SEEN_BYTES)
        self._windows: dict[Correction, list[Window]] = {}

    def measure(self, network: MobileSAM, corrections: Corrections, items: Sequence[Correction]) -> Steps:
        """Measures `network` on annotations, in evaluation mode; yields after every tile and what `tiles` reads."""
        started, counts, losses = time.monotonic(), Confusion(), []
        kept = changed = 0
        for correction, tiles in groupby((yield from self.tiles(corrections, items)), itemgetter(0)):
            try:
                truth, painted = corrections.contents.truth(correction), corrections.contents.painted(correction)
            except UNUSABLE as error:
                corrections.drop(correction, str(error))
                continue
            for _, window in tiles:
                seen = self._look(corrections, correction, truth.image, window)
                root, known = truth.root[window], truth.known[window]
                logits = self._logits(network, seen.pixels, root.shape)
                targets = (torch.from_numpy(layer)[None, None] for layer in (root.astype(np.float32), known))
                losses.append(float(dice_bce(torch.from_numpy(logits)[None, None], *targets)))
                counts += Confusion.of(logits >= 0, root, known)
                yield
                away = ~around(torch.from_numpy(painted[window])[None]).numpy()[0]
                now = logits >= 0
                kept += int(np.count_nonzero(now & seen.mask & away))
                changed += int(np.count_nonzero((now ^ seen.mask) & seen.sure & away))
        loss = float(np.mean(losses)) if losses else 0.0
        return Measured(counts, loss, time.monotonic() - started, kept, changed)

    def tiles(
        self, corrections: Corrections, items: Sequence[Correction]
    ) -> Generator[None, None, list[tuple[Correction, Window]]]:
        """What is measured: parts of images that hold annotated pixels, spread evenly where there are too many.

        Yields after every annotation that it had to read; photographs are not read.
        """
        tiles = []
        side = round(self._settings.tile / self._settings.zoom)
        for correction in items:
            if correction not in self._windows:
                try:
                    self._windows[correction] = windows(corrections.contents.known(correction), side)
                except UNUSABLE as error:
                    corrections.drop(correction, str(error))
                    continue
                yield
            tiles += [(correction, window) for window in self._windows[correction]]
        if len(tiles) > self._settings.tiles:
            chosen = np.linspace(0, len(tiles) - 1, self._settings.tiles).round().astype(int)
            tiles = [tiles[i] for i in chosen]
        return tiles

    def _look(self, corrections: Corrections, correction: Correction, image: np.ndarray, window: Window) -> Seen:
        def look() -> Seen:
            shown = corrections.contents.shown_mask(correction, image.shape[:2])
            return self._first_look(image[window], None if shown is None else shown[window])

        return self._seen.get((correction.image, correction.stamp, *((part.start, part.stop) for part in window)), look)

    @torch.inference_mode()
    def _first_look(self, image: np.ndarray, shown: np.ndarray | None) -> Seen:
        height, width = self._zoomed(image.shape[:2])
        view = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
        # Towards the right and below, an image smaller than the tile goes on as its mirror image.
        margins = ((0, -height % TILE_MULTIPLE), (0, -width % TILE_MULTIPLE), (0, 0))
        pixels = torch.from_numpy(np.pad(view, margins, mode="symmetric"))[None].to(self._device)
        logits = self._logits(self._start, pixels, image.shape[:2])
        # Less sure soil may hold roots that nobody painted: a model that finds more of them is no worse for it.
        mask, sure = logits >= 0, believed(torch.from_numpy(logits).sigmoid()).numpy()
        same = np.ones_like(mask) if shown is None else mask == shown
        return Seen(pixels, mask & same, sure & same)

    @torch.inference_mode()
    def _logits(self, network: MobileSAM, pixels: Tensor, shape: tuple[int, int]) -> np.ndarray:
        """H×W float32 for a tile of that shape."""
        height, width = self._zoomed(shape)
        logits = network(normalise(pixels))[:, :, :height, :width].float().cpu()
        return F.interpolate(logits, shape, mode="bilinear", align_corners=False)[0, 0].numpy()

    def _zoomed(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Height and width at which the network sees a tile of that shape."""
        height, width = (max(1, round(side * self._settings.zoom)) for side in shape)
        return height, width


def around(known: Tensor) -> Tensor:
    """…×H×W bool: the painted pixels and those at most `BESIDE` rows and columns from one."""
    return F.max_pool2d(known.float(), 2 * BESIDE + 1, 1, BESIDE) > 0


def windows(known: np.ndarray, tile: int) -> list[Window]:
    """Windows of at most `tile` pixels a side that part the image evenly, those that hold annotated pixels."""
    edges = [np.linspace(0, side, -(-side // tile) + 1).round().astype(int) for side in known.shape]
    rows, columns = (list(map(slice, cuts[:-1], cuts[1:])) for cuts in edges)
    return [window for window in product(rows, columns) if known[window].any()]
