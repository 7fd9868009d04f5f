"""How a model learns from corrections: few patches, little time, and nothing forgotten of what it knew."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator
from copy import deepcopy
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from ...errors import RootFMError
from ...model.folding import fold_batchnorm
from ...model.network import MobileSAM, normalise
from ...segment.device import is_out_of_memory
from ..data import Patch
from ..metrics import Confusion
from ..training import augment, patches
from ..training.batches import Batch
from ..training.losses import believed, dice_bce
from ..training.precision import autocast
from ..training.state import WeightAverage, make_optimizer
from .corrected import UNUSABLE
from .corrections import Corrections
from .measuring import Measured, Measurer, Steps
from .settings import FineTuneSettings

logger = logging.getLogger(__name__)


def out_of_memory(device: str) -> RootFMError:
    """What to raise where the memory of `cpu`, `cuda:0` or another device does not suffice even for the least."""
    if device == "cpu":
        return RootFMError("The memory of this machine does not suffice for training. Close other programs.")
    return RootFMError(
        f"The memory of {device} does not suffice for training. Close other programs that use it, or "
        "choose the device cpu in the settings."
    )


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
        self._measurer = Measurer(self.start, device, settings)
        self._optimizer = make_optimizer(self.network, settings.rate, settings.decay)
        self._rng = np.random.default_rng(settings.seed)
        self._scale = (settings.scale[0] * settings.zoom, settings.scale[1] * settings.zoom)
        self._at_once = settings.at_once
        self._steps = 0

    @property
    def ripeness(self) -> float:
        """How far it is on the way to its first comparison with what it began as, 0 to 1."""
        return min(1.0, self._steps / max(1, self.settings.ripe))

    def epoch(self, corrections: Corrections) -> Steps:
        """Learns from `settings.epoch` patches of the training images.

        Raises:
            RootFMError: the memory does not suffice even for one patch.
        """
        started, counts, losses = time.monotonic(), Confusion(), []
        while len(losses) * self.settings.batch < self.settings.epoch:
            drawn = []
            while len(drawn) < self.settings.batch and (patch := self._draw(corrections)) is not None:
                drawn.append(patch)
                yield  # a large photograph takes seconds to be decoded
            if not drawn:
                break
            found, loss = yield from self._step(drawn)
            counts += found
            losses.append(loss)
        return Measured(counts, float(np.mean(losses)) if losses else 0.0, time.monotonic() - started)

    @torch.no_grad()
    def learnt(self, corrections: Corrections) -> MobileSAM:
        """What is to be validated and saved: a copy of the moving average, part of the way back to the start.

        Weights between two such models do better on other images than most of either end: half of the way for two
        images to learn from, and, as what is common to them stands out by the square root of their number, two thirds
        for eight and three quarters for eighteen.
        """
        network = deepcopy(self._average.network)
        back = 1 / (1 + (len(corrections.training) / 2) ** 0.5)
        for weights, first in zip(network.parameters(), self._first, strict=True):
            weights.lerp_(first, back)
        return network

    def validate(self, network: MobileSAM, corrections: Corrections) -> Steps:
        """Measures `network` on the validation annotations, in evaluation mode."""
        return self._measurer.measure(network, corrections, corrections.validation)

    def fit(self, network: MobileSAM, corrections: Corrections) -> Steps:
        """Measures `network` in the same way on the annotations that are learnt from."""
        return self._measurer.measure(network, corrections, corrections.training)

    def _draw(self, corrections: Corrections) -> Patch | None:
        """A patch of a corrected image; None when none is left."""
        while corrections.training:
            correction = corrections.training[self._rng.integers(len(corrections.training))]
            try:
                whole = corrections.contents.corrected(correction)
                truth = corrections.contents.truth(correction) if whole is None else whole
            except UNUSABLE as error:
                corrections.drop(correction, str(error))
                continue
            patch = patches.cut(self._rng, truth, self.settings.patch, self._scale)
            if whole is None:
                patch = self._believed(patch)
            return replace(patch, image=augment.photograph(self._rng, patch.image, self.settings.variety))
        return None

    @torch.inference_mode()
    def _believed(self, patch: Patch) -> Patch:
        """The same with what the starting model is sure of where nothing is known."""
        with autocast(self.device):
            logits = self.start(normalise(Batch.of([patch]).images.to(self.device)))
        before = logits.float().sigmoid()[0, 0].cpu()
        root = np.where(patch.known, patch.root, before.numpy() >= 0.5).astype(np.float32)
        return replace(patch, root=root, known=patch.known | believed(before).numpy())

    def _learn(self, batch: Batch, share: float) -> tuple[float, Confusion]:
        images, root, known = (x.to(self.device) for x in (batch.images, batch.root, batch.known))
        with autocast(self.device):
            logits = self.network(normalise(images))
        loss = dice_bce(logits, root, known)
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
            raise out_of_memory(str(self.device))
        self._at_once //= 2
        logger.warning("Memory ran out: from now on %d patches go through the network at once", self._at_once)
