"""Batches of patches. Step k sees the same patches whenever it is done, so a resumed training misses nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from . import augment, clutter, patches, synthetic
from .cache import ArrayCache
from .data import Dataset, load_shown
from .patches import Patch
from .plan import TrainPlan

ON_REAL_GROUND = 0.4  # share of the drawn roots that lie over root-free parts of real images
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
            patch = self._cut(rng, size)
            if rng.random() < STREWN:
                patch = strewn(rng, patch)
        return replace(patch, image=augment.photograph(rng, patch.image))

    def _cut(self, rng: Generator, size: int) -> Patch:
        dataset = self._datasets[rng.integers(len(self._datasets))]
        item = dataset.items[rng.integers(len(dataset.items))]
        return patches.cut(rng, self._cache.get(item, lambda: load_shown(item)), size, self._plan.scale)

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
