"""A user of RootPainter, simulated: opens an image, sees its mask, paints over the errors, saves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.random import Generator
from PIL import Image
from scipy.ndimage import distance_transform_edt, label
from skimage.morphology import skeletonize

from rootpainter_rootfm import masks
from rootpainter_rootfm.learn.data import Truth, load, read_datasets
from rootpainter_rootfm.trainer.instructions import Instruction
from rootpainter_rootfm.trainer.paths import SyncFolder
from rootpainter_rootfm.trainer.requests import TrainingRequest

STROKES = 12
"""At most, of each class on one image: a person corrects what is clearly wrong and goes on."""
REACH = 100
"""Half the side in pixels of what one stroke covers."""
SMALLEST = 15
"""Pixels of an error that is worth a stroke."""
OVERSEEN = (2, 3)
"""Pixels by which a root may be drawn too narrow or too wide before anybody minds."""


def images_of(
    folder: Path, names: Sequence[str] | None, side: int, seed: int
) -> Iterator[tuple[str, dict[str, list[Truth]]]]:
    """For each dataset its train and test images with roots, each cut to `side` pixels around a random place."""
    for dataset in read_datasets(folder, only=names or ()):
        found = {}
        for split in ("train", "test"):
            rng = np.random.default_rng(seed)
            items = dataset.split(split).items
            rows = (_part(rng, load(items[i]), side) for i in rng.permutation(len(items)))
            found[split] = [truth for truth in rows if truth.root.any()]
        if found["test"]:
            yield dataset.name, found


def strokes_on(mask: np.ndarray, root: np.ndarray, rng: Generator) -> tuple[np.ndarray, np.ndarray]:
    """Root and soil strokes, H×W bool each, that a user would paint over the largest errors of `mask`."""
    missed, false = root & ~_grown(mask, OVERSEEN[0]), mask & ~_grown(root, OVERSEEN[1])
    red, green = np.zeros((2, *mask.shape), bool)
    for window, error in _errors(missed, rng):
        line = skeletonize(error)
        width = np.median(distance_transform_edt(root[window])[line]) if line.any() else 1
        red[window] |= _grown(line, max(1.0, 0.7 * width)) & root[window]
    for window, error in _errors(false, rng):
        green[window] |= _grown(error, 5) & ~_grown(root[window], 2)
    return red, green & ~red


class Project:
    """A RootPainter project with its dataset, and the user who goes through its images but for the `others`."""

    def __init__(self, root: Path, truths: Sequence[Truth], others: Sequence[Truth] = ()) -> None:
        self.root = root
        self.sync = SyncFolder(root)
        self.sync.prepare()
        home = self.sync.root / "projects/p"
        self.models, self.train, self.val = (home / name for name in ("models", "annotations/train", "annotations/val"))
        self.masks = home / "segmentations"
        self.images = self.sync.root / "datasets/d"
        for folder in (self.models, self.train, self.val, self.masks, self.images, home / "logs", home / "messages"):
            folder.mkdir(parents=True)
        self._truths = list(truths)
        self._opened = 0
        self.corrected = 0
        for number, truth in enumerate([*truths, *others]):
            Image.fromarray(truth.image).save(self.images / f"{number:03}.png")

    @property
    def request(self) -> TrainingRequest:
        """What the window asks for when Start training is pressed."""
        names = {"model_dir": "models", "train_annot_dir": "annotations/train", "val_annot_dir": "annotations/val"}
        names |= {"log_dir": "logs", "message_dir": "messages", "seg_dir": "segmentations"}
        content = {key: f"projects/p/{name}" for key, name in names.items()} | {"dataset_dir": "datasets/d"}
        return TrainingRequest.parse(Instruction("start_training_1", "start_training", content), self.sync)

    @property
    def annotated(self) -> bool:
        """Whether there is anything to learn from."""
        return any(path for folder in (self.train, self.val) for path in folder.iterdir())

    def next(self) -> Truth:
        """The image that the user opens next; the first one again when all were seen."""
        self._opened += 1
        return self._truths[(self._opened - 1) % len(self._truths)]

    def show(self, mask: np.ndarray) -> None:
        """Puts the mask of the image that was opened last where the trainer would."""
        masks.write(mask, self.masks / self._name, note="shown")

    def save(self, root: np.ndarray, soil: np.ndarray) -> None:
        """Saves a correction where RootPainter's window would; an image without a stroke counts as looked at."""
        self.corrected += 1
        if not (root | soil).any():
            return
        train, val = (sum(1 for _ in folder.iterdir()) for folder in (self.train, self.val))
        first_of_a_kind = self.train if not train and val else self.val if not val else None
        folder = first_of_a_kind or (self.val if train >= 5 * val else self.train)
        masks.write_annotation(root, soil, folder / self._name)

    @property
    def _name(self) -> str:
        """Of the files that belong to the image that was opened last."""
        return f"{(self._opened - 1) % len(self._truths):03}.png"


def _errors(wrong: np.ndarray, rng: Generator) -> Iterator[tuple[tuple[slice, slice], np.ndarray]]:
    """The largest errors, each as a window of the image and what of it is wrong there."""
    left = wrong.copy()
    for _ in range(STROKES):
        parts, count = label(left, np.ones((3, 3)))
        sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
        if not count or sizes.max() < SMALLEST:
            return
        inside = parts == sizes.argmax() + 1
        middle = rng.choice(np.argwhere(inside))
        window = tuple(slice(max(0, at - REACH), at + REACH) for at in middle)
        yield window, inside[window]
        left[window] &= ~_grown(inside[window], 3)


def _grown(layer: np.ndarray, by: float) -> np.ndarray:
    return distance_transform_edt(~layer) <= by if layer.any() else layer


def _part(rng: Generator, truth: Truth, side: int) -> Truth:
    """At most `side` pixels each way, around a random pixel of a root as long as there is one."""
    places = np.argwhere(truth.root)
    middle = rng.choice(places) if len(places) else np.array(truth.root.shape) // 2
    starts = [max(0, min(at - side // 2, length - side)) for at, length in zip(middle, truth.root.shape, strict=True)]
    window = tuple(slice(start, start + side) for start in starts)
    return Truth(np.ascontiguousarray(truth.image[window]), truth.root[window])
