"""Batches of patches. Step k sees the same patches whenever it is done, so a resumed training misses nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from ..cache import ArrayCache
from ..data import Dataset, Patch, load_shown
from ..drawing import clutter, ground, synthetic
from ..drawing.transplant import transplant
from . import augment, patches
from .plan import TrainPlan

ON_REAL_GROUND = 0.4  # share of the drawn roots that lie over root-free parts of real images
ON_DRAWN_GROUND = 0.5  # share of the transplanted roots whose new ground is drawn; the others go into real patches
WIDENED = 2.0  # times the plan's largest zoom, for transplanted roots: few of the real ones are wide
STREWN = 0.15  # share of the real patches that show, behind their roots, things that are none


@dataclass(frozen=True)
class Batch:
    """What one step learns from.

    Attributes:
        images: B×S×S×3 uint8.
        root: B×1×S×S float32 in [0, 1].
        known: B×1×S×S bool.
    """

    images: Tensor
    root: Tensor
    known: Tensor

    @classmethod
    def of(cls, drawn: Sequence[Patch]) -> Batch:
        """Stacks patches of one size."""
        root = np.stack([patch.root for patch in drawn])[:, None]
        known = np.stack([patch.known for patch in drawn])[:, None]
        images = np.stack([patch.image for patch in drawn])
        return cls(torch.from_numpy(images), torch.from_numpy(root), torch.from_numpy(known))


class Batches(TorchDataset[Batch]):
    """The batch of every step of a plan.

    Args:
        datasets: each is drawn from equally often, however many images it has.
        plan: sizes, scales and shares.
        worker: rank of this process among several that train together; each sees other patches.
        cache_bytes: decoded images kept in memory.
    """

    def __init__(
        self, datasets: Sequence[Dataset], plan: TrainPlan, worker: int = 0, cache_bytes: int = 4 << 30
    ) -> None:
        self._datasets = [dataset for dataset in datasets if dataset.items]
        self._plan = plan
        self._worker = worker
        self._cache = ArrayCache(cache_bytes)

    def __len__(self) -> int:
        return self._plan.steps

    def __getitem__(self, step: int) -> Batch:
        plan = self._plan
        rng = np.random.default_rng((plan.seed, self._worker, step))
        size = int(rng.choice(plan.tile_sizes))
        count = max(1, round(plan.batch * (min(plan.tile_sizes) / size) ** 2))
        return Batch.of([self._patch(rng, size) for _ in range(count)])

    def _patch(self, rng: Generator, size: int) -> Patch:
        if not self._datasets or rng.random() < self._plan.drawn:
            behind = self._root_free(rng, size) if rng.random() < ON_REAL_GROUND else None
            patch = synthetic.draw(rng, size, behind)
        else:
            transplanted = rng.random() < self._plan.transplanted
            patch = self._transplanted(rng, size) if transplanted else self._cut(rng, size)
            if rng.random() < STREWN:
                patch = strewn(rng, patch)
        return replace(patch, image=augment.photograph(rng, patch.image, self._plan.variety))

    def _cut(self, rng: Generator, size: int, widened: float = 1.0) -> Patch:
        dataset = self._datasets[rng.integers(len(self._datasets))]
        item = dataset.items[rng.integers(len(dataset.items))]
        smallest, largest = self._plan.scale
        truth = self._cache.get(item, lambda: load_shown(item))
        return patches.cut(rng, truth, size, (smallest, widened * largest))

    def _transplanted(self, rng: Generator, size: int) -> Patch:
        """Roots of one real image in another real image, or on drawn ground."""
        donor = self._cut(rng, size, WIDENED)
        if rng.random() >= ON_DRAWN_GROUND:
            return transplant(rng, donor, self._cut(rng, size))
        bare = np.uint8(ground.draw(rng, size, size))
        host = Patch(bare, np.zeros((size, size), np.float32), np.ones((size, size), bool))
        return transplant(rng, donor, host)

    def _root_free(self, rng: Generator, size: int) -> np.ndarray | None:
        """A part of a real image without roots, S×S×3 uint8; None when a few tries found none."""
        if not self._datasets:
            return None
        for _ in range(4):
            patch = self._cut(rng, size)
            if patch.known.all() and patch.root.max() < 0.1:
                return patch.image
        return None


def strewn(rng: Generator, patch: Patch) -> Patch:
    """A patch that shows, behind its roots, what may be taken for roots and is none."""
    image = np.where(patch.root[..., None] > 0, patch.image, clutter.strew(rng, patch.image))
    return replace(patch, image=image)
