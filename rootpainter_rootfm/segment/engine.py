"""The `Segmenter`: an image becomes root probability and mask, on any device, within bounded memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import light
from ..errors import ImageError
from ..model.card import ModelCard
from ..model.network import IMAGENET_STD, normalise
from ..progress import CancelToken, Progress, silent
from . import device as devices
from . import glance, second_look
from .blend import Blender, NotFiniteError
from .edges import follow_edges
from .settings import SegmentSettings
from .tiles import Plan, plan

_log = logging.getLogger(__name__)

METHOD: Final = 8
"""Raised whenever the same weights and settings would give another mask than before."""
_CONTRAST: Final = sum(IMAGENET_STD) / 3
"""Of the network's input, to have black and white 1 apart."""
_MIRRORS: Final = ((), (2,), (3,), (2, 3))


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What the network says about one image."""

    probability16: np.ndarray
    """H×W float16 in [0, 1], the root probability as it is kept: half the memory of float32, and its steps of at most
    0.0005 are far below what any network knows. Take `probability` to calculate with: sums of float16 overflow."""
    mask: np.ndarray
    """H×W bool, True for root: `probability >= threshold`, without the areas below `min_root_pixels`."""
    remark: str = ""
    """What should be known of it, such as that memory did not suffice for a second look; mostly empty."""

    @property
    def probability(self) -> np.ndarray:
        """H×W float32 in [0, 1], made anew at every call."""
        return self.probability16.astype(np.float32)


class Segmenter:
    """One or several models, ready to segment; several give the mean of their probabilities.

    It is used by one thread at a time. Where the memory of the device does not suffice it makes smaller batches, then
    blends on the CPU, then works on the CPU; it says so once and keeps to it for the images that follow.
    """

    def __init__(
        self, networks: Sequence[nn.Module], cards: Sequence[ModelCard], settings: SegmentSettings = SegmentSettings()
    ) -> None:
        """Takes networks that are in memory already.

        Args:
            networks: each maps B×3×H×W normalised tiles to B×1×H×W logits; they are moved to the device.
            cards: one for each network. Tiles are bounded by the smallest, the padding is the first's, and the
                threshold the mean, unless the settings say otherwise.
            settings: how to segment.

        Raises:
            SettingsError: the device or precision is not to be had on this machine now.
        """
        self.settings = settings
        self.cards = tuple(cards)
        self.threshold = settings.threshold or float(np.mean([card.threshold for card in cards]))
        self._padding = settings.padding or cards[0].padding
        self._largest_tile = min(max(card.tile_sizes) for card in cards)
        self._footing = devices.first_footing(settings.device)
        self._precision = devices.choose_precision(settings.precision, self._footing.device)
        self._halved = self._precision != "fp32"
        self._networks = [network.eval() for network in networks]
        self._move()

    @classmethod
    def load(
        cls,
        model: str | Path,
        *more: str | Path,
        settings: SegmentSettings = SegmentSettings(),
        progress: Progress = silent,
    ) -> Segmenter:
        """Loads models by library name, sha256 or file; several make an ensemble.

        `progress` is called while a model is downloaded, in bytes.

        Raises:
            ModelError: a name is unknown; the message lists the known ones.
            WeightsError: a file is not a Root Foundation Model.
            SettingsError: the device or precision is not to be had on this machine.
        """
        from ..model.folding import fold_batchnorm
        from ..model.library import load_model
        from .backend import accelerated

        networks, cards = zip(*(load_model(name, progress) for name in (model, *more)), strict=True)
        return cls([accelerated(fold_batchnorm(network)) for network in networks], cards, settings)

    @property
    def models(self) -> list[dict[str, Any]]:
        """Name, title, sha256, licence and whether it was trained, for every model."""
        names = ("name", "title", "sha256", "licence", "trained")
        return [{name: getattr(card, name) for name in names} for card in self.cards]

    @property
    def device(self) -> str:
        """Where the network runs now, such as `cuda:0`; `cpu` once a GPU's memory did not suffice."""
        return str(self._footing.device)

    @property
    def signature(self) -> dict[str, Any]:
        """What decides the mask of an image, as JSON types: equal signatures give equal masks, up to rounding."""
        settings = self.settings
        return {
            "method": METHOD,
            "models": [card.sha256 for card in self.cards],
            "precision": settings.precision,
            "tile": settings.tile or f"up to {self._largest_tile}",
            "overlap": settings.overlap,
            "threshold": self.threshold,
            "min_root_pixels": settings.min_root_pixels if settings.min_root_pixels > 1 else 0,
            "flips": settings.flips,
            "edges": settings.edges,
            "balance": settings.balance,
            "glance": settings.glance,
            "second_look": settings.second_look,
            "scale": settings.scale,
            "padding": self._padding,
        }

    def segment(
        self, image: np.ndarray, cancel: CancelToken | None = None, progress: Progress = silent
    ) -> Segmentation:
        """The root probability and mask of one image.

        Args:
            image: H×W×3 uint8, as `images.read` gives it.
            cancel: looked at between batches of tiles.
            progress: told of every batch; counts tiles.

        Raises:
            ImageError: the array is not such an image.
            Cancelled: `cancel` was used.
            OutOfMemoryError: the memory does not suffice even for one tile on the CPU. For a second look it need not.
            NotFiniteError: the network gives no numbers.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise ImageError(f"An image must be H×W×3 uint8, not {'×'.join(map(str, image.shape))} {image.dtype}.")
        cancel = cancel or CancelToken()
        views = [image, *(glance.reduced(image) if self.settings.glance else ())]
        # What makes fine roots larger makes wide ones no better: reduced photographs are seen as they are.
        plans = [self._plan(image), *(self._plan(view, scale=1.0, tile=None) for view in views[1:])]
        done, total = 0, sum(map(len, plans))

        def look(view: np.ndarray, tiles: Plan, before: Blender | None = None) -> Blender:
            nonlocal done, total
            start, total = done, max(total, done + len(tiles))
            done += len(tiles)
            return self._look(view, tiles, cancel, lambda count: progress(start + count, total, "tiles"), before)

        def look_in_size(scale: float, before: Blender | None) -> Blender:
            return look(image, self._plan(image, scale=scale), before)

        found, *glances = map(look, views, plans)
        wide = [
            glance.add_wide(found.probability, found.mask, seen.probability, glance.FACTOR**level, self.threshold)
            for level, seen in enumerate(glances, 1)
        ]
        remark = ""
        # Fine things beside wide roots are their hairs.
        if self.settings.second_look and self.settings.scale == 1 and not any(wide):
            try:
                second_look.look_again(image, found, look_in_size, self.threshold)
            except MemoryError as error:
                _log.warning("A second look did not fit into the memory (%s).", error)
                remark = second_look.NO_MEMORY
        if self.settings.min_root_pixels > 1:
            from .cleaning import drop_small

            drop_small(found.mask, self.settings.min_root_pixels)
        return Segmentation(found.probability, found.mask, remark)

    def _plan(self, view: np.ndarray, **changed: Any) -> Plan:
        return plan(*view.shape[:2], replace(self.settings, **changed), self._largest_tile)

    def _look(
        self, view: np.ndarray, tiles: Plan, cancel: CancelToken, done: Callable[[int], None], before: Blender | None
    ) -> Blender:
        while True:
            try:
                return self._blend(view, tiles, cancel, done, before)
            except NotFiniteError:
                if self.settings.precision != "auto" or not self._halved:
                    raise
                _log.warning("Values of this model are too large for %s. From here on: fp32.", self._precision)
                self._halved = False
                continue
            except (RuntimeError, MemoryError) as error:
                if not devices.is_out_of_memory(error) or devices.is_of_host(error, self._footing.device):
                    raise
                said = str(error).split("\n")[0] or type(error).__name__
            # Outside of the handler, whose traceback keeps the tensors that did not fit.
            self._step_down(tiles, said)

    @torch.inference_mode()
    def _blend(
        self, image: np.ndarray, tiles: Plan, cancel: CancelToken, done: Callable[[int], None], before: Blender | None
    ) -> Blender:
        """Looks at all tiles, or, with an earlier look, at those where it saw a trace of a root."""
        blender = Blender(tiles, self.threshold, self._footing.blend_on, before)
        looked_at = second_look.traces(before.probability, tiles, self.threshold) if before else [True] * len(tiles)
        balance = light.balancing(image) if self.settings.balance else light.unchanged
        added = 0
        for places in tiles.batches(looked_at, self._batch(tiles)):
            cancel.check()
            cut = [tiles.cut(image, *place, self._padding, balance) for place, looked in places if looked]
            probabilities = iter(self._probability(np.stack(cut), tiles) if cut else ())
            for place, looked in places:
                if looked:
                    blender.add(*place, next(probabilities))
                else:
                    blender.keep(*place)
            added += len(places)
            done(added)
        blender.finish()
        return blender

    def _probability(self, cut: np.ndarray, tiles: Plan) -> Tensor:
        """B×span×span float32 in [0, 1] for B×span×span×3 uint8, the mean over models and mirror images."""
        device = self._footing.device
        pixels = torch.from_numpy(cut)
        if device.type == "cuda":
            pixels = pixels.pin_memory()  # so that the copy runs beside the computing
        inputs = _resized(pixels.to(device, non_blocking=True), (tiles.rows.side, tiles.columns.side))
        mirrors = _MIRRORS if self.settings.flips else _MIRRORS[:1]
        total: Tensor | None = None
        for network in self._networks:
            for mirror in mirrors:
                with torch.autocast(device.type, devices.dtype(self._precision), enabled=self._halved):
                    logits = network(inputs.flip(mirror) if mirror else inputs)
                probability = logits.float().sigmoid()
                probability = probability.flip(mirror) if mirror else probability
                total = probability if total is None else total + probability
        mean = total / (len(self._networks) * len(mirrors))
        if self.settings.edges:
            mean = follow_edges(mean, inputs.mean(1, keepdim=True) * _CONTRAST)
        span = (tiles.rows.span, tiles.columns.span)
        return _interpolated(mean, span)[:, 0]

    def _batch(self, tiles: Plan) -> int:
        return self._footing.batch(self.settings.batch, tiles.rows.side * tiles.columns.side)

    def _step_down(self, tiles: Plan, said: str) -> None:
        lowered = self._footing.lowered(self._batch(tiles), tiles.rows.side * tiles.columns.side)
        if lowered is None:
            rows, columns = tiles.rows, tiles.columns
            raise devices.OutOfMemoryError(
                f"Not enough memory for an image of {rows.length}×{columns.length} pixels in tiles of "
                f"{rows.side}×{columns.side} ({said}). Close other programs, or choose a smaller tile."
            )
        before = self._footing.device
        self._footing, now = lowered
        self._halved &= self._footing.device.type == "cuda"
        _log.warning("Not enough memory on %s (%s). From here on: %s.", before, said, now)
        self._move()
        if before.type == "cuda":
            torch.cuda.empty_cache()

    def _move(self) -> None:
        for network in self._networks:
            network.to(self._footing.device, memory_format=torch.channels_last)


def _resized(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """B×H×W×3 uint8 to the network's input, B×3×`size`."""
    if tuple(pixels.shape[1:3]) == size:
        return normalise(pixels)
    return normalise(_interpolated(pixels.permute(0, 3, 1, 2).float(), size).permute(0, 2, 3, 1))


def _interpolated(values: Tensor, size: tuple[int, int]) -> Tensor:
    """B×C×H×W to B×C×`size`; what is made smaller is averaged over the pixels that fall together."""
    if tuple(values.shape[2:]) == size:
        return values
    smaller = size[0] < values.shape[2] or size[1] < values.shape[3]
    return F.interpolate(values, size, mode="bilinear", align_corners=False, antialias=smaller)
