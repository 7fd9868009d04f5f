"""A quick look at how a training is doing: Dice on fixed patches of the validation images."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from PIL import Image

from ...model.network import MobileSAM, normalise
from ..data import Dataset, load_shown
from ..metrics import Confusion, counting, inverted, pooled
from . import patches
from .batches import Batch

PATCHES = 6  # of every dataset at least
IN_ALL = 24  # patches at least, so that a single dataset is judged by more of them
SIDE = 448
SHOWN = 4  # patches of every dataset on the sample sheet


@dataclass(frozen=True)
class Report:
    """How well a network did.

    Attributes:
        dice: of each dataset's patches by its name.
        sheet: patch, truth and prediction side by side.
        counting: names of the datasets that count in the mean.
    """

    dice: dict[str, float]
    sheet: Image.Image
    counting: tuple[str, ...]

    @property
    def mean(self) -> float:
        """Mean Dice over the datasets that count."""
        return float(np.mean([self.dice[name] for name in self.counting]))


class ValidationPatches:
    """Patches cut once, the same in every look.

    They have the scale and light of their images, but lie at any angle, and beyond an image's borders is its mirror
    image or black, as in the patches that are learnt from. More images make other patches.

    Attributes:
        counting: names of the datasets of which `metrics.counting` says so.
        warnings: what may be wrong with the masks, in sentences.
    """

    def __init__(self, datasets: Sequence[Dataset]) -> None:
        self._batches: dict[str, Batch] = {}
        datasets = [dataset for dataset in datasets if dataset.items]
        count = max(PATCHES, IN_ALL // max(1, len(datasets)))
        for dataset in datasets:
            rng = np.random.default_rng(0)
            items = [dataset.items[i] for i in rng.permutation(len(dataset.items))]
            cuts = [patches.cut(rng, load_shown(items[i % len(items)]), SIDE, (1, 1)) for i in range(count)]
            self._batches[dataset.name] = Batch.of(cuts)
        root = {name: int(((batch.root >= 0.5) & batch.known).sum()) for name, batch in self._batches.items()}
        self.counting = counting(root)
        whole = [one.name for one in datasets if all(item.mask for item in one.items)]  # annotations show what matters
        known = {name: int(batch.known.sum()) for name, batch in self._batches.items()}
        self.warnings = inverted({name: root[name] for name in whole}, known)

    def __bool__(self) -> bool:
        return bool(self._batches)

    @cached_property
    def digest(self) -> str:
        """64 hex digits that are equal for equal patches of the datasets that count."""
        digest = hashlib.sha256()
        for name in self.counting:
            batch = self._batches[name]
            digest.update(name.encode())
            for layer in (batch.images, batch.root, batch.known):
                digest.update(layer.numpy().tobytes())
        return digest.hexdigest()

    @torch.inference_mode()
    def measure(self, network: MobileSAM) -> Report:
        """Runs the network in evaluation mode on every patch and leaves it in the mode it was in."""
        was_training = network.training
        network.eval()
        device = next(network.parameters()).device
        dice, rows = {}, []
        for name, batch in self._batches.items():
            masks = [network(normalise(image[None].to(device)))[0, 0].cpu() >= 0 for image in batch.images]
            truth = [root[0] >= 0.5 for root in batch.root]
            known = [where[0] for where in batch.known]
            triples = zip(masks, truth, known, strict=True)
            dice[name] = pooled(Confusion.of(*(layer.numpy() for layer in triple)) for triple in triples).dice
            rows.append(_row(batch, truth, masks))
        network.train(was_training)
        return Report(dice, Image.fromarray(np.concatenate(rows)), self.counting)


def _row(batch: Batch, truth: list[torch.Tensor], masks: list[torch.Tensor]) -> np.ndarray:
    """Half-size pictures in one row: for each shown patch the image, the truth and the prediction."""
    cells = []
    for image, root, mask in list(zip(batch.images, truth, masks, strict=True))[:SHOWN]:
        layers = [image.numpy(), *(np.repeat(np.uint8(m.numpy())[..., None] * 255, 3, 2) for m in (root, mask))]
        cells += [layer[::2, ::2] for layer in layers]
    return np.concatenate(cells, axis=1)
