"""A few patches of a dataset: as little as somebody would annotate to make a model fit a new imaging system."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.random import Generator
from PIL import Image

from ...errors import DataError
from ...files import replacing
from ..data import Dataset, Item, Truth, load

SIDE = 1024  # pixels of a patch at most, as in the papers; smaller images count as a whole


def few_patches(dataset: Dataset, count: int, seed: int, folder: Path) -> Dataset:
    """`count` patches with roots out of the train rows, each from another image while there are enough.

    The first patches of a larger count are those of a smaller one with the same seed.

    Args:
        dataset: with masks of whole images.
        count: number of patches.
        seed: decides images and places.
        folder: receives the patches and their masks as PNG files; made if absent.

    Returns:
        The patches as train items, with the val items of `dataset` beside them.

    Raises:
        DataError: no train row has a root.
    """
    folder = folder.absolute()  # as the other images lie
    folder.mkdir(parents=True, exist_ok=True)
    patches = []
    for number, (item, truth) in zip(range(count), _rooted(dataset, seed), strict=False):
        window = _window(np.random.default_rng((seed, number)), truth)
        paths = [folder / f"{number + 1:02}_{item.stem}{ending}.png" for ending in ("", "_mask")]
        for path, layer in zip(paths, (truth.image, np.uint8(truth.root) * np.uint8(255)), strict=True):
            with replacing(path) as beside:
                Image.fromarray(np.ascontiguousarray(layer[window])).save(beside)
        patches.append(Item(*paths, split="train"))
    return Dataset(dataset.name, (*patches, *dataset.split("val").items))


def _rooted(dataset: Dataset, seed: int) -> Iterator[tuple[Item, Truth]]:
    """The train items that show roots, in random order, over and over again."""
    items = dataset.split("train").items
    order = [items[i] for i in np.random.default_rng(seed).permutation(len(items))]
    found = True
    while found:
        found = False
        for item in order:
            truth = load(item)
            if truth.root.any():
                found = True
                yield item, truth
    raise DataError(f"{dataset.name} has no train row that shows a root.")


def _window(rng: Generator, truth: Truth) -> tuple[slice, slice]:
    """Rows and columns of a patch inside the image, around a random pixel of a root."""
    centre = rng.choice(np.argwhere(truth.root))
    return tuple(_range(int(middle), length) for middle, length in zip(centre, truth.root.shape, strict=True))


def _range(middle: int, length: int) -> slice:
    side = min(SIDE, length)
    first = min(max(0, middle - side // 2), length - side)
    return slice(first, first + side)
