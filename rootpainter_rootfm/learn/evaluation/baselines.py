"""What anyone gets without learning: classical segmentation, to be compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image
from skimage.filters import sato, threshold_otsu

from ...progress import CancelToken, Progress, silent
from ..data import Dataset, Item, load
from ..metrics import Confusion
from .evaluate import Method

LONG_SIDE = 1400  # pixels; the filter's widths are meant for images of at most this size
WIDTHS = (2, 4)  # sigmas of the ridge filter in pixels
FIRST = 8  # images of each dataset in the table of `first_images`

Baseline = Callable[[np.ndarray], np.ndarray]
"""H×W float grey in [0, 1] to an H×W bool mask."""


def otsu(grey: np.ndarray) -> np.ndarray:
    """What is brighter than Otsu's threshold. H×W float grey in [0, 1] to H×W bool."""
    return grey > threshold_otsu(grey)


def ridges(grey: np.ndarray) -> np.ndarray:
    """Sato's filter for bright ridges, then Otsu's threshold. H×W float grey in [0, 1] to H×W bool."""
    found = sato(grey, sigmas=WIDTHS, black_ridges=False)
    return found > threshold_otsu(found)


BASELINES: dict[str, Baseline] = {"Otsu on grey": otsu, "Sato ridges + Otsu": ridges}


def method(name: str) -> Method:
    """One of the `BASELINES` as it is measured: on images of at most `LONG_SIDE`, its mask enlarged to the image."""

    def predict(image: np.ndarray) -> tuple[np.ndarray, None]:
        picture = Image.fromarray(image)
        mask = np.uint8(BASELINES[name](_grey(picture)))
        enlarged = Image.fromarray(mask).resize(image.shape[1::-1], Image.Resampling.NEAREST)
        return np.asarray(enlarged) > 0, None

    return Method({"baseline": name, "long_side": LONG_SIDE}, predict)


def first_images(
    datasets: Sequence[Dataset], progress: Progress = silent, cancel: CancelToken | None = None
) -> dict[str, dict[str, float]]:
    """Mean per-image Dice on the first eight images of each dataset, compared at no more than `LONG_SIDE` pixels.

    Args:
        datasets: with all their items, in the order of their manifest.
        progress: counts images.
        cancel: looked at between images.

    Returns:
        For every baseline by name, the Dice of every dataset by name.
    """
    chosen = [(dataset.name, item) for dataset in datasets for item in dataset.items[:FIRST]]
    dice: dict[str, dict[str, list[float]]] = {name: {} for name in BASELINES}
    for done, (dataset, item) in enumerate(chosen):
        if cancel is not None:
            cancel.check()
        progress(done, len(chosen), f"first images: {item.image.name}")
        for name, value in _compare(item).items():
            dice[name].setdefault(dataset, []).append(value)
    progress(len(chosen), len(chosen), "")
    return {
        name: {dataset: float(np.mean(values)) for dataset, values in found.items()} for name, found in dice.items()
    }


def _compare(item: Item) -> dict[str, float]:
    truth = load(item)
    grey = _grey(Image.fromarray(truth.image))
    size = grey.shape[::-1]
    root, known = (_resized(layer, size) for layer in (truth.root, truth.known))
    return {name: Confusion.of(baseline(grey), root, known).dice for name, baseline in BASELINES.items()}


def _resized(layer: np.ndarray | None, size: tuple[int, int]) -> np.ndarray | None:
    if layer is None:
        return None
    return np.asarray(Image.fromarray(np.uint8(layer)).resize(size, Image.Resampling.NEAREST)) > 0


def _grey(picture: Image.Image) -> np.ndarray:
    """H×W float32 in [0, 1] of at most `LONG_SIDE` pixels."""
    picture.thumbnail((LONG_SIDE, LONG_SIDE))
    return np.asarray(picture.convert("L"), np.float32) / 255
