"""Datasets to learn from and to measure on: images with masks listed in a manifest, or RootPainter projects."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from .. import images, light, masks
from ..errors import DataError, MaskError
from ..files import file_name
from ..opening import Unreadable
from ..white import is_root
from .manifest import MANIFEST, read_rows
from .names import same_everywhere

SPLITS = ("train", "val", "test")
JPEG, JPEG_NOISE = (".jpg", ".jpeg"), 10  # levels up to which a mask saved with loss may not be quite black


@dataclass(frozen=True)
class Item:
    """One image with what is known about it: a full mask, or a RootPainter annotation of some of its pixels."""

    image: Path
    mask: Path | None = None
    annotation: Path | None = None
    split: str = "train"
    listed: str = ""
    """The image's path as its manifest has it; empty where there is no manifest."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The image and what is known of it."""
        return tuple(path for path in (self.image, self.mask, self.annotation) if path is not None)

    @property
    def name(self) -> str:
        """What records call the image, whatever other images there are."""
        return self.listed or self.image.name

    @property
    def stem(self) -> str:
        """The image's name without its ending."""
        return self.image.stem


@dataclass(frozen=True)
class Dataset:
    """The images of one imaging system."""

    name: str
    items: tuple[Item, ...]

    def split(self, *names: str) -> Dataset:
        """The same dataset with the items of these splits alone."""
        return Dataset(self.name, tuple(item for item in self.items if item.split in names))

    def counts(self) -> Counter[str]:
        """How many items each split has."""
        return Counter(item.split for item in self.items)


@dataclass(frozen=True)
class Truth:
    """What is known of an image.

    Attributes:
        image: H×W×3 uint8.
        root: H×W bool, root True.
        known: H×W bool, True where `root` may be believed; None when it is known everywhere.
    """

    image: np.ndarray
    root: np.ndarray
    known: np.ndarray | None = None

    @property
    def nbytes(self) -> int:
        """Memory held, in bytes."""
        return self.image.nbytes + self.root.nbytes + (0 if self.known is None else self.known.nbytes)

    @cached_property
    def root_width(self) -> float:
        """Mean width of the roots in pixels, 0 without roots: twice the area by the length of the outline.

        A line of any direction crosses the borders between pixels 4/π times as often as it is long (Cauchy-Crofton).
        """
        crossings = sum(np.count_nonzero(np.diff(self.root, axis=axis)) for axis in (0, 1))
        return 8 / np.pi * np.count_nonzero(self.root) / crossings if crossings else 0.0

    @cached_property
    def root_per_row(self) -> np.ndarray:
        """H int, pixels of root."""
        return np.count_nonzero(self.root, axis=1)

    @cached_property
    def known_per_row(self) -> np.ndarray | None:
        """H int, pixels where `root` may be believed; None when it is known everywhere."""
        return None if self.known is None else np.count_nonzero(self.known, axis=1)


@dataclass(frozen=True)
class Patch:
    """A square cut.

    Attributes:
        image: S×S×3 uint8.
        root: S×S float32 in [0, 1]: the share of a pixel that is root.
        known: S×S bool: where `root` may be believed.
    """

    image: np.ndarray
    root: np.ndarray
    known: np.ndarray


def load(item: Item) -> Truth:
    """Reads an item's image and mask or annotation.

    Raises:
        ImageError, MaskError: a file cannot be read.
        DataError: image and mask differ in size.
    """
    image = images.read(item.image)
    if item.mask is not None:
        truth = Truth(image, read_truth(item.mask))
    elif item.annotation is not None:
        root, soil = masks.read_annotation(item.annotation)
        truth = Truth(image, root, root | soil)
    else:
        raise DataError(f"{item.image} has neither a mask nor an annotation.")
    height, width = truth.root.shape
    if (height, width) != image.shape[:2]:
        lying = " Perhaps an EXIF note turns the photograph upright: then turn its mask as well."
        raise DataError(
            f"{item.mask or item.annotation} has {width}×{height} pixels, its image {image.shape[1]}×{image.shape[0]}: "
            f"they must be equal.{lying if (width, height) == image.shape[:2] else ''}"
        )
    return truth


def check_files(item: Item) -> None:
    """Finds out, from headers alone where they agree, that an item's files are there and of one size.

    Raises:
        DataError: a file is missing, or they differ in size.
        ImageError, MaskError: a file is no image.
    """
    for path in item.files:
        if not path.is_file():
            raise DataError(f"{path} is missing. Put it back, or take its row out of the data.")
    if len({images.size_in_header(path) for path in item.files}) > 1:
        load(item)  # a header does not tell everything


def load_shown(item: Item) -> Truth:
    """The same, as a segmenter shows it to the network: without an uncommon colour. Raises what `load` raises."""
    truth = load(item)
    return replace(truth, image=light.balanced(truth.image))


def read_truth(path: Path) -> np.ndarray:
    """A ground-truth mask as H×W bool, upright: RootPainter's own (RGBA), or a picture in which root is white, or 1.

    Grey RhizoVision masks, in which root is black, look just like the latter and must be inverted before; those that
    this program made say so themselves.

    Raises:
        MaskError, ImageError: it cannot be read, or it shows something that is neither root nor black.
    """
    ending = path.suffix.lower()
    if ending == ".png":
        return masks.read(path, light_root=not masks.read_note(path))
    picture = images.read_values(path)
    try:
        return is_root(picture, JPEG_NOISE if ending in JPEG else 0)
    except Unreadable as error:
        raise MaskError(f"{path} cannot be read: {error}.") from error


def read_datasets(
    folder: str | Path, only: Sequence[str] = (), without: Sequence[str] = (), splits: Sequence[str] = SPLITS
) -> list[Dataset]:
    """The datasets in `folder`, with all their items.

    Args:
        folder: one of three. A folder with manifest.csv (columns dataset, stem, image, mask, split_group, split;
            paths from the folder). A RootPainter project (with a `.seg_proj` file), whose train and val annotations
            count. A folder with `images` and `masks` of the same names, all of them in the split `test`.
        only: names of datasets to take; empty takes those with rows of any of the `splits`.
        without: names of datasets to leave out.
        splits: see `only`.

    Raises:
        DataError: nothing to use, a name that the folder lacks, and what `known_datasets` raises.
    """
    datasets = known_datasets(folder)
    known = {dataset.name: dataset for dataset in datasets}
    missing = sorted((set(only) | set(without)) - set(known))
    if missing:
        raise DataError(f"{folder} has no dataset {', '.join(missing)}; it has {', '.join(sorted(known))}.")
    chosen = [
        dataset
        for dataset in datasets
        if dataset.name not in without and (dataset.name in only if only else dataset.split(*splits).items)
    ]
    if not chosen:
        raise DataError(
            f"{folder}: no dataset is left to use. Looked for rows of {', '.join(splits)}; there are "
            f"{splits_of(datasets) or 'none at all'}."
        )
    return chosen


def splits_of(datasets: Sequence[Dataset]) -> str:
    """The names of all splits that there are, to be read by people."""
    return ", ".join(sorted({item.split or "(none)" for dataset in datasets for item in dataset.items}))


def known_datasets(folder: str | Path) -> list[Dataset]:
    """All datasets in `folder`, also those of which no row is meant to be used.

    Raises:
        DataError: it holds none, two names differ too little, or something is wrong with a row of the manifest.
    """
    folder = Path(folder).absolute()
    projects = sorted(folder.glob("[!.]*.seg_proj"))
    if (folder / MANIFEST).is_file():
        datasets = _read_manifest(folder)
    elif projects:
        datasets = [_read_project(projects[0])]
    elif (folder / "images").is_dir() and (folder / "masks").is_dir():
        datasets = [_read_pairs(folder)]
    else:
        raise DataError(
            f"{folder} holds neither a {MANIFEST}, nor a RootPainter project (.seg_proj), nor folders images and masks."
        )
    _check_names(folder, datasets)
    return datasets


def _check_names(folder: Path, datasets: Sequence[Dataset]) -> None:
    """Every dataset has folders of its own wherever something is written down about it."""
    taken: dict[str, str] = {}
    for dataset in datasets:
        place = file_name(dataset.name)
        other = taken.setdefault(place.casefold(), dataset.name)
        if other != dataset.name:
            raise DataError(
                f'{folder}: the datasets "{other}" and "{dataset.name}" would be written to one folder, {place}. '
                f"Give one of them another name in {MANIFEST}."
            )


def _read_manifest(folder: Path) -> list[Dataset]:
    items: dict[str, list[Item]] = {}
    for row in read_rows(folder):
        listed = Path(row["image"]).as_posix()
        item = Item(folder / row["image"], folder / row["mask"], split=row["split"], listed=listed)
        items.setdefault(row["dataset"], []).append(item)
    return [Dataset(name, tuple(found)) for name, found in items.items()]


def _read_project(project: Path) -> Dataset:
    """A RootPainter project: its train and val annotations, each with its image in the sync folder's datasets/."""
    try:
        described = json.loads(project.read_text(encoding="utf-8"))
        # A project that was made on Windows has slashes of its kind.
        name, below = described["name"], described["dataset"].replace("\\", "/")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{project} is not a RootPainter project ({error!r}).") from error
    pictures = project.parents[2] / "datasets" / below
    photographs = {same_everywhere(path.stem): path for path in images.list_images(pictures)}
    items = []
    for split in ("train", "val"):
        for annotation in sorted((project.parent / "annotations" / split).glob("[!.]*.png")):
            image = photographs.get(same_everywhere(annotation.stem))
            if image is None:
                raise DataError(f"{annotation} has no image in {pictures}.")
            items.append(Item(image, annotation=annotation, split=split))
    return Dataset(name, tuple(items))


def _read_pairs(folder: Path) -> Dataset:
    """The folders `images` and `masks`: every image with the mask of its name, whatever their endings."""
    found = {path.stem: path for path in images.list_images(folder / "masks")}
    items = []
    for image in images.list_images(folder / "images"):
        if image.stem not in found:
            raise DataError(f"{image} has no mask in {folder / 'masks'}.")
        items.append(Item(image, found[image.stem], split="test"))
    return Dataset(folder.resolve().name, tuple(items))
