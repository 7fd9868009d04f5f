"""What images are called, and which names may be of one image."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .data import Dataset, Item


def same_everywhere(name: str) -> str:
    """An umlaut is one character or two, as the system that wrote the name has it."""
    return unicodedata.normalize("NFC", name)


def named_items(dataset: Dataset) -> Iterator[tuple[str, Item]]:
    """Every item with its name in the dataset, that of its file with the folders in which the images differ.

    Where images of other folders are added, the same image has more folders in its name: `may_be_one` knows it again.
    """
    folders = {item.image.parent for item in dataset.items}
    # Several folders may each have a 001.jpg; on two drives there is none that holds them all.
    within = os.path.commonpath(folders) if len({folder.anchor for folder in folders}) == 1 else ""
    for item in dataset.items:
        yield item.image.relative_to(within).as_posix() if within else _with_drive(item), item


def _with_drive(item: Item) -> str:
    """The whole path, yet never an absolute one: pictures of an evaluation lie under the names of the images."""
    return item.image.as_posix().replace(":", "").lstrip("/")


def may_be_one(one: str, other: str) -> bool:
    """Whether two names may be of one image: the longer one ends with the shorter one, in whole folders."""
    shorter, longer = sorted((one, other), key=len)
    return f"/{longer}".endswith(f"/{shorter}")
