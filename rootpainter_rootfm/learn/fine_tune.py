"""How a model learns from corrections: few patches, little time, and nothing forgotten of what it knew."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from scipy.special import logit
from torch import Tensor, nn

from ..errors import ImageError, RootFMError
from ..model.folding import fold_batchnorm
from ..model.network import TILE_MULTIPLE, MobileSAM, normalise
from ..segment.device import is_out_of_memory
from . import augment, patches
from .batches import Batch
from .cache import ArrayCache
from .corrections import UNUSABLE, Correction, Corrections
from .data import Truth
from .fine_tune_settings import FineTuneSettings
from .losses import SURE, corrected_dice_bce, dice_bce
from .metrics import Confusion
from .patches import Patch
from .precision import autocast
from .state import WeightAverage, make_optimizer

logger = logging.getLogger(__name__)

BESIDE = 5
"""Pixels around a stroke that belong to what was corrected: a stroke is narrower than the root under it."""
SMOOTHING = 0.01
"""Of the annotated pixels; added to both sides of the Dice that decides which model is better."""
UNSAID = 0.5
"""What a pixel counts in it that changed away from all strokes: some of the roots that were missed are not painted."""
BEFORE_BYTES = 128 << 20
"""Memory for what the starting model says of the tiles that are measured, on a GPU up to 256."""

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
            that model was sure and that are not as in its mask; only a validation counts them.
    """

    counts: Confusion
    loss: float
    seconds: float
    kept: int = 0
    changed: int = 0

    @property
    def score(self) -> float:
        """Dice of the corrected images as far as it can be told: it decides which model is better.

        A person who corrects an image paints what is clearly wrong and leaves what is right: a pixel without a stroke
        was probably right in the mask that was shown. By the strokes alone a mask that covers the soil would be the
        best, for hardly anybody paints soil. Smoothed, so that it tells better from worse where no root is known.
        """
        counts, smooth = self.counts, SMOOTHING * self.counts.defined
        right = 2 * (counts.tp + self.kept) + smooth
        return right / max(1.0, right + counts.fp + counts.fn + UNSAID * self.changed)


Steps = Generator[None, None, Measured]
"""Yields at least once a second on a usual computer; returns what was measured."""


class FineTuner:
    """A network on its way from one model to a better one.

    Attributes:
        start: What it began as.
        network: What learns.
    """

    def __init__(self, network: MobileSAM, device: torch.device, settings: FineTuneSettings) -> None:
        self.settings = settings
        self.device = device
        # Evaluation mode freezes the statistics of the normalisation layers: small batches would spoil them.
        self.network = network.to(device, memory_format=torch.channels_last).eval().requires_grad_(True)
        self._average = WeightAverage(self.network, settings.average)
        self._first = [weights.detach().clone() for weights in self.network.parameters()]
        self.start = fold_batchnorm(self.network).to(memory_format=torch.channels_last)
        self._optimizer = make_optimizer(self.network, settings.rate, settings.decay)
        self._rng = np.random.default_rng(settings.seed)
        self._scale = (settings.scale[0] * settings.zoom, settings.scale[1] * settings.zoom)
        self._at_once = settings.at_once
        self._steps = 0
        self._before = ArrayCache(BEFORE_BYTES)

    def epoch(self, corrections: Corrections) -> Steps:
        """Learns from `settings.epoch` patches around the training annotations.

        Raises:
            RootFMError: the memory does not suffice even for one patch.
        """
        started, counts, losses = time.monotonic(), Confusion(), []
        while len(losses) * self.settings.batch < self.settings.epoch:
            drawn = [patch for _ in range(self.settings.batch) if (patch := self._draw(corrections)) is not None]
            if not drawn:
                break
            found, loss = yield from self._step(drawn)
            counts += found
            losses.append(loss)
        return Measured(counts, float(np.mean(losses)) if losses else 0.0, time.monotonic() - started)

    @torch.no_grad()
    def learnt(self, corrections: Corrections) -> MobileSAM:
        """What is to be validated and saved: a copy of the moving average, part of the way back to the start.

        With n images to learn from it goes n / (n + 1) of the way: half of it for one image, whose corrections say
        little of others. Weights between two such models do better on other images than most of either end.
        """
        network = deepcopy(self._average.network)
        back = 1 / (len(corrections.training) + 1)
        for weights, first in zip(network.parameters(), self._first, strict=True):
            weights.lerp_(first, back)
        return network

    def validate(self, network: nn.Module, corrections: Corrections) -> Steps:
        """Measures `network` on the validation annotations, in evaluation mode."""
        return self._measure(network, corrections, corrections.validation)

    def fit(self, network: nn.Module, corrections: Corrections) -> Steps:
        """Measures `network` in the same way on the annotations that are learnt from."""
        return self._measure(network, corrections, corrections.training)

    def _measure(self, network: nn.Module, corrections: Corrections, items: Sequence[Correction]) -> Steps:
        started, counts, losses = time.monotonic(), Confusion(), []
        kept = changed = 0
        for correction, window in self._tiles(corrections, items):
            try:
                truth = corrections.truth(correction)
            except UNUSABLE as error:
                corrections.drop(correction, str(error))
                continue
            logits = self._logits(network, truth.image[window])
            root, known = truth.root[window], truth.known[window]
            targets = (torch.from_numpy(layer)[None, None] for layer in (root.astype(np.float32), known))
            losses.append(float(dice_bce(torch.from_numpy(logits)[None, None], *targets)))
            counts += Confusion.of(logits >= 0, root, known)
            yield
            away = ~_around(torch.from_numpy(known)[None]).numpy()[0]
            now, (before, sure) = logits >= 0, self._mask_before(correction, truth, window)
            kept += int(np.count_nonzero(now & before & away))
            changed += int(np.count_nonzero((now ^ before) & sure & away))
        loss = float(np.mean(losses)) if losses else 0.0
        return Measured(counts, loss, time.monotonic() - started, kept, changed)

    def _draw(self, corrections: Corrections) -> Patch | None:
        while corrections.training:
            elsewhere = self._rng.random() < self.settings.elsewhere
            patch = self._anywhere(corrections) if elsewhere else self._on_strokes(corrections)
            if patch is not None:
                changed = self._rng.random() < self.settings.light
                image = augment.photograph(self._rng, patch.image) if changed else patch.image
                return Patch(image, patch.root, patch.known)
        return None

    def _on_strokes(self, corrections: Corrections) -> Patch | None:
        correction = corrections.training[self._rng.integers(len(corrections.training))]
        try:
            return corrections.strokes(correction).draw(self._rng, self.settings.patch, self._scale)
        except UNUSABLE as error:
            corrections.drop(correction, str(error))
            return None

    def _anywhere(self, corrections: Corrections) -> Patch | None:
        """A patch of an image that nobody corrected; None when there is none."""
        try:
            image = corrections.photograph(self._rng)
        except ImageError:
            return None
        if image is None:
            return None
        nothing = np.zeros(image.shape[:2], bool)
        patch = patches.cut(self._rng, Truth(image, nothing, nothing), self.settings.patch, self._scale)
        return Patch(patch.image, patch.root, np.zeros_like(patch.known))

    def _learn(self, batch: Batch, share: float) -> tuple[float, Confusion]:
        images, root, known = (x.to(self.device) for x in (batch.images, batch.root, batch.known))
        pixels = normalise(images)
        with autocast(self.device):
            logits = self.network(pixels)
        with torch.no_grad():
            before = self.start(pixels).float().sigmoid()
        loss = corrected_dice_bce(logits, root, known, before, _around(known), self.settings.painted)
        if torch.isfinite(loss):
            (loss * share).backward()
        mask = (logits.detach() >= 0).cpu().numpy()
        return float(loss.detach()) * share, Confusion.of(mask, batch.root.numpy() >= 0.5, batch.known.numpy())

    def _step(self, drawn: list[Patch]) -> Generator[None, None, tuple[Confusion, float]]:
        """One step of the optimiser, in as many parts as the memory asks for."""
        counts, loss, first = Confusion(), 0.0, 0
        while first < len(drawn):
            part = drawn[first : first + self._at_once]
            try:
                part_loss, found = self._learn(Batch.of(part), len(part) / len(drawn))
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._make_smaller()
                counts, loss, first = Confusion(), 0.0, 0
                continue
            counts, loss, first = counts + found, loss + part_loss, first + len(part)
            yield
        self._steps += 1
        for group in self._optimizer.param_groups:
            group["lr"] = self.settings.rate * min(1.0, self._steps / self.settings.warmup)
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip)
        if torch.isfinite(norm):
            self._optimizer.step()
            self._average.update(self.network)
        self._optimizer.zero_grad(set_to_none=True)
        return counts, loss

    def _make_smaller(self) -> None:
        self._optimizer.zero_grad(set_to_none=True)
        if self._at_once == 1:
            raise RootFMError(
                f"The memory of {self.device} does not suffice for training. Close other programs that use it, or "
                "choose the device cpu in the settings."
            )
        self._at_once //= 2
        logger.warning("Memory ran out: from now on %d patches go through the network at once", self._at_once)

    def _tiles(self, corrections: Corrections, items: Sequence[Correction]) -> list[tuple[Correction, Window]]:
        tiles = []
        side = round(self.settings.tile / self.settings.zoom)
        for correction in items:
            try:
                known = corrections.truth(correction).known
            except UNUSABLE as error:
                corrections.drop(correction, str(error))
                continue
            tiles += [(correction, window) for window in _windows(known, side)]
        if len(tiles) > self.settings.tiles:
            chosen = np.linspace(0, len(tiles) - 1, self.settings.tiles).round().astype(int)
            tiles = [tiles[i] for i in chosen]
        return tiles

    def _mask_before(self, correction: Correction, truth: Truth, window: Window) -> np.ndarray:
        """2×H×W bool of a window: the starting model's mask, and where it was sure of it."""
        key = (correction.image, *((part.start, part.stop) for part in window))
        image = truth.image[window]
        return self._before.get(key, lambda: _mask_and_sure(self._logits(self.start, image)))

    @torch.inference_mode()
    def _logits(self, network: nn.Module, image: np.ndarray) -> np.ndarray:
        """H×W float32 for H×W×3 uint8."""
        height, width = (round(side * self.settings.zoom) for side in image.shape[:2])
        shown = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
        # Towards the right and below, an image smaller than the tile goes on as its mirror image.
        margins = ((0, -height % TILE_MULTIPLE), (0, -width % TILE_MULTIPLE), (0, 0))
        pixels = normalise(torch.from_numpy(np.pad(shown, margins, mode="symmetric"))[None].to(self.device))
        logits = network(pixels)[:, :, :height, :width].float().cpu()
        return F.interpolate(logits, image.shape[:2], mode="bilinear", align_corners=False)[0, 0].numpy()


def _around(known: Tensor) -> Tensor:
    """…×H×W bool: the painted pixels and those at most `BESIDE` rows and columns from one."""
    return F.max_pool2d(known.float(), 2 * BESIDE + 1, 1, BESIDE) > 0


def _mask_and_sure(logits: np.ndarray) -> np.ndarray:
    return np.stack([logits >= 0, np.abs(logits) > logit(1 - SURE)])


def _windows(known: np.ndarray, tile: int) -> list[Window]:
    """Windows of at most `tile` pixels a side that part the image evenly, those that hold annotated pixels."""
    edges = [np.linspace(0, side, -(-side // tile) + 1).round().astype(int) for side in known.shape]
    rows, columns = (list(map(slice, cuts[:-1], cuts[1:])) for cuts in edges)
    return [window for window in product(rows, columns) if known[window].any()]
