"""What is known of a model beside its weights: where it comes from, and how it wants to be used."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .. import files
from ..errors import ModelError
from ..opening import Unreadable, opened

PADDINGS = ("reflect", "black", "mean")
TILE_MULTIPLE = 32
"""The sides of the network's tiles are multiples of this; it stands here, where no torch is needed."""

# What Windows, macOS and Linux all take as a file name, and what a shell leaves as it is.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}(?<!\.)")
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}(?<!\.)")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class ModelCard:
    """One model of the library.

    Attributes:
        name: What the user types: letters, digits, dots, underscores and hyphens.
        title: What a menu shows.
        file: The weights' file name, without a folder.
        sha256: Of that file, 64 lower-case hex digits.
        licence: Of the weights.
        training_data: The datasets, each with its licence; empty when unknown or none.
        tile_sizes: The square tiles that it was trained at, in pixels, multiples of 32.
        padding: What surrounds an image smaller than a tile: "reflect", "black" or "mean" (ImageNet's mean colour).
        threshold: The probability from which a pixel is root, above 0 and below 1.
        trained: False for weights that never saw a root, whose masks mean nothing.
        weaknesses: What it is bad at, in a sentence or two.
        notes: How it was made.
        url: Where the file can be downloaded, if it can.
        size_bytes: Of the file.
    """

    name: str
    title: str
    file: str
    sha256: str
    licence: str
    training_data: tuple[tuple[str, str], ...]
    tile_sizes: tuple[int, ...]
    padding: str
    threshold: float
    trained: bool
    weaknesses: str
    notes: str
    url: str | None
    size_bytes: int

    def to_json(self) -> str:
        """The card as indented JSON, as it stands beside the weights."""
        values = dataclasses.asdict(self)
        values["training_data"] = [{"name": name, "licence": licence} for name, licence in self.training_data]
        return json.dumps(values, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> ModelCard:
        """The card in `text`; raises ModelError, naming the entry, when it is incomplete or out of range."""
        try:
            return _parse(text)
        except Unreadable as error:
            raise ModelError(f"This is no model card: {error}.") from error

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> ModelCard:
        """The card in a file; raises ModelError with the file and the cause."""
        with opened(path, ModelError) as file:
            return _parse(file.read().decode("utf-8"))


def is_model_name(name: str) -> bool:
    """Whether a model may be called so: a plain file name on every system, at most 64 characters."""
    return bool(_NAME.fullmatch(name)) and not _DEVICES.fullmatch(name)


def card_beside(path: Path) -> ModelCard | None:
    """The card in the JSON file of the same name beside a weights file, or None when there is no such file.

    Raises ModelError when it is no card or describes other weights.
    """
    beside = path.with_suffix(".json")
    if not beside.is_file():
        return None
    try:
        card = ModelCard.read(beside)
    except ModelError as error:
        raise ModelError(f"{error} It was taken for the card of {path.name}; move it away if it is none.") from error
    if card.sha256 != digest_of(path):
        raise ModelError(f"{beside} describes other weights than {path}: correct its sha256 or move it away.")
    return card


def card_of_file(path: Path, parent: ModelCard) -> ModelCard:
    """A card for weights that came without one; tile sizes and padding are those of `parent`, the threshold 0.5."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-._")[:60].rstrip(".")
    digest = digest_of(path)
    return replace(
        parent,
        name=stem if is_model_name(stem) else f"model-{digest[:8]}",
        title=path.name,
        file=path.name,
        sha256=digest,
        licence="not stated",
        training_data=(),
        threshold=0.5,
        trained=True,
        weaknesses="",
        notes=f"From {path.name} (sha256 {digest}). Tile sizes and padding are taken over from {parent.name}.",
        url=None,
        size_bytes=path.stat().st_size,
    )


def digest_of(path: Path) -> str:
    """The file's sha256; raises ModelError when it cannot be read."""
    try:
        return files.sha256(path)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}.") from error


def _parse(text: str) -> ModelCard:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"it is not JSON ({error})") from error
    if not isinstance(values, dict):
        raise Unreadable("it is not a JSON object")
    names = [field.name for field in dataclasses.fields(ModelCard)]
    if missing := [name for name in names if name not in values]:
        raise Unreadable(f"it lacks {', '.join(missing)}")
    if unknown := sorted(set(values) - set(names)):
        raise Unreadable(f"it has the unknown entry {', '.join(unknown)}")
    for name, wanted in _RULES.items():
        if not wanted(values[name]):
            raise Unreadable(f"its {name} cannot be {values[name]!r:.80}")
    values["training_data"] = tuple((data["name"], data["licence"]) for data in values["training_data"])
    values["tile_sizes"] = tuple(values["tile_sizes"])
    values["threshold"] = float(values["threshold"])
    return ModelCard(**values)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_dataset(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"name", "licence"} and all(map(_is_text, value.values()))


_RULES = {
    "name": lambda value: _is_text(value) and is_model_name(value),
    "title": _is_text,
    "file": lambda value: _is_text(value) and bool(_FILE.fullmatch(value)) and not _DEVICES.fullmatch(value),
    "sha256": lambda value: _is_text(value) and bool(_SHA256.fullmatch(value)),
    "licence": _is_text,
    "training_data": lambda value: isinstance(value, list) and all(map(_is_dataset, value)),
    "tile_sizes": lambda value: (
        isinstance(value, list) and value and all(_is_count(size) and size % TILE_MULTIPLE == 0 for size in value)
    ),
    "padding": lambda value: value in PADDINGS,
    "threshold": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1,
    "trained": lambda value: isinstance(value, bool),
    "weaknesses": _is_text,
    "notes": _is_text,
    "url": lambda value: value is None or (_is_text(value) and value.startswith(("https://", "http://"))),
    "size_bytes": _is_count,
}
