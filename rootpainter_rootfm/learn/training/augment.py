"""Changes of light, colour and sharpness that a root photograph may show; what is root stays the same."""

from __future__ import annotations

import io
import math

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageFilter

ONE_CAMERA = 0.25
"""The `variety` of `photograph` where a model goes on with the photographs of one system. With all changes the colour
that its camera gives to roots cannot be learnt: four corrected images of segroot, never seen before, brought 0.280 to
0.352 instead of 0.377."""
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def _smooth_field(rng: Generator, height: int, width: int, cells: int) -> np.ndarray:
    """H×W float32, about -1 to 1, that changes slowly: noise on a `cells`×`cells` grid, interpolated."""
    noise = rng.uniform(-1, 1, (cells, cells)).astype(np.float32)
    return np.asarray(Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC))


def _contrast(rng: Generator, x: np.ndarray) -> np.ndarray:
    x = x ** math.exp(rng.normal(0, 0.3))  # a number of Python's leaves x as float32
    mean = x.mean()
    return (x - mean) * rng.uniform(0.5, 1.5) + mean + rng.normal(0, 0.1)


def _colour_cast(rng: Generator, x: np.ndarray) -> np.ndarray:
    return x * rng.uniform(0.75, 1.3, 3).astype(np.float32) + rng.normal(0, 0.05, 3).astype(np.float32)


def _dye(rng: Generator, x: np.ndarray) -> np.ndarray:
    """A range of its own for every channel: white roots on blue paper, a scene in green light."""
    darkest = np.where(rng.random(3) < 0.5, rng.uniform(0, 0.25, 3), rng.uniform(0.5, 0.88, 3)).astype(np.float32)
    brightest = darkest + rng.uniform(0.2, 1, 3).astype(np.float32) * (1 - darkest)
    return darkest + x * (brightest - darkest)


def _saturation(rng: Generator, x: np.ndarray) -> np.ndarray:
    grey = (x @ LUMA)[..., None]
    return grey + (x - grey) * rng.uniform(0, 1.8)


def _channels(rng: Generator, x: np.ndarray) -> np.ndarray:
    return x[..., rng.permutation(3)]


def _grey(rng: Generator, x: np.ndarray) -> np.ndarray:
    weights = rng.dirichlet((2, 2, 2)).astype(np.float32)
    return np.repeat((x @ weights)[..., None], 3, axis=2)


def _invert(rng: Generator, x: np.ndarray) -> np.ndarray:
    return 1 - x


def _shadow(rng: Generator, x: np.ndarray) -> np.ndarray:
    field = _smooth_field(rng, *x.shape[:2], cells=int(rng.integers(2, 6)))
    return x * (1 + rng.uniform(0.1, 0.5) * field)[..., None]


def _noise(rng: Generator, x: np.ndarray) -> np.ndarray:
    channels = 3 if rng.random() < 0.5 else 1
    grain = rng.standard_normal((*x.shape[:2], channels), dtype=np.float32)
    return x + grain * np.float32(rng.uniform(0.01, 0.05))


# (probability, change): each is drawn on its own, in this order.
_LIGHT = (
    (0.6, _contrast),
    (0.4, _colour_cast),
    (0.2, _dye),
    (0.3, _saturation),
    (0.15, _channels),
    (0.2, _grey),
    (0.25, _invert),
    (0.3, _shadow),
)


def _soften(rng: Generator, picture: Image.Image) -> Image.Image:
    """Blur, or the loss of detail of a picture that was once smaller."""
    if rng.random() < 0.5:
        return picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 1.2)))
    factor = rng.uniform(0.5, 0.9)
    small = picture.resize([max(8, int(side * factor)) for side in picture.size], Image.Resampling.BILINEAR)
    return small.resize(picture.size, Image.Resampling.BILINEAR)


def _compress(rng: Generator, picture: Image.Image) -> Image.Image:
    stored = io.BytesIO()
    picture.save(stored, "JPEG", quality=int(rng.integers(35, 90)))
    return Image.open(stored).convert("RGB")


def photograph(rng: Generator, image: np.ndarray, variety: float = 1.0) -> np.ndarray:
    """The same scene as another camera, lamp or scanner might have shown it.

    Args:
        rng: source of chance.
        image: H×W×3 uint8.
        variety: 0..1, how often each change is made, as a share of how often it is for all the cameras there are. What
            one camera's photographs have in common, such as the colour of roots, can be learnt only where it stays.

    Returns:
        H×W×3 uint8.
    """
    x = image.astype(np.float32) / 255
    for probability, change in _LIGHT:
        if rng.random() < variety * probability:
            x = np.clip(change(rng, x), 0, 1)
    picture = Image.fromarray(np.uint8(x * 255))
    if rng.random() < variety * 0.25:
        picture = _soften(rng, picture)
    x = np.asarray(picture)
    if rng.random() < variety * 0.3:
        x = np.uint8(np.clip(_noise(rng, x.astype(np.float32) / 255), 0, 1) * 255)
    if rng.random() < variety * 0.2:
        x = np.asarray(_compress(rng, Image.fromarray(x)))
    return x
