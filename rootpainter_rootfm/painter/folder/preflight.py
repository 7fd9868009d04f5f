"""What is looked at before a folder is segmented, so that a night's job does not fail in its first minute; no Qt."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from ... import images
from ...errors import ImageError, MaskError
from ...files import is_there, way
from ...masks import MaskFormat
from ...progress import CancelToken
from ...segment.provenance import is_of_another
from .. import exchange

_MASK_BYTES = 300_000
"""A generous mask: most PNG masks of a 12-megapixel photograph are smaller."""
_LEAST_FREE = 50_000_000
_NAMED = 4
_LOOKED_INTO = 100
"""Masks of a folder whose notes are read: masks of other photographs come in whole folders, and shares are slow."""
_WITHOUT_AGAIN = (
    "Those that were made with another model or other settings are made anew, the others are kept. A mask that was "
    "corrected, or made by another program, is kept too, and its image is listed as failed."
)


class Level(IntEnum):
    """How a finding bears on the start."""

    GOOD = 0
    NOTE = 1
    STOP = 2


@dataclass(frozen=True)
class Finding:
    """One line of the check, with what to do where something is wrong."""

    level: Level
    text: str
    needs_trainer: bool = False
    """A trainer that is started would mend it."""


@dataclass(frozen=True)
class Order:
    """What the user wants: the images of one folder as masks in another.

    Attributes:
        images: the folder of the images.
        output: the folder for the masks; may not exist yet.
        mask_format: the format of the masks.
        again: make masks anew that exist already.
    """

    images: Path
    output: Path
    mask_format: MaskFormat
    again: bool = False


@dataclass(frozen=True)
class Report:
    """What the check found.

    Attributes:
        order: what was looked at.
        names: the images that will be asked for.
        findings: what to show, in the order of the dialog.
    """

    order: Order
    names: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def may_start(self) -> bool:
        """Whether nothing stands against the start."""
        return bool(self.names) and all(finding.level is not Level.STOP for finding in self.findings)


def typed_path(text: str) -> Path:
    """The folder that a user typed or pasted: quoted by *Copy as path* of Windows, or from ``~`` on."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1].strip()
    return Path(os.path.expanduser(text))


def suggest_output(folder: Path, chosen: Path, model: str) -> Path:
    """A folder for the masks of `chosen`: in the sync folder's ``segmentations``, or beside images from elsewhere.

    In ``segmentations`` its name holds the whole way from ``datasets`` on, for many a plot has a folder ``images``.
    """
    inside = exchange.inside(folder, chosen)
    if inside is None:
        return chosen.parent / f"{chosen.name}_{model}"
    parts = Path(inside).parts or (chosen.name,)
    if parts[0] == "datasets":
        parts = parts[1:] or parts
    return folder / "segmentations" / "_".join((*parts, model))


def check(order: Order, folder: Path, local: bool, cancel: CancelToken) -> Report:
    """Looks at both folders; takes a thread for thousands of images.

    Args:
        order: what the user wants.
        folder: the sync folder.
        local: whether the trainer may reach folders outside the sync folder.
        cancel: stops the look.
    """
    if short := [path for path in (order.images, order.output) if not path.is_absolute()]:
        return Report(order, (), (_incomplete(short[0]),))
    findings = list(_check_places(order, folder, local))
    try:
        listed = images.list_images(order.images)
        others = images.left_alone(order.images, listed, order.output)
    except ImageError as error:
        return Report(order, (), (*findings, Finding(Level.STOP, str(error))))
    found = [path.name for path in listed]
    findings += _check_images(order.images, found, cancel)
    if others:
        findings.append(Finding(Level.NOTE, others))
    findings += _check_clashes(found)
    try:
        findings += _check_output(order, found, cancel)
    except OSError as error:
        why = error.strerror or error
        findings.append(Finding(Level.STOP, f"The folder {order.output} cannot be used ({why}). Choose another one."))
    return Report(order, tuple(found), tuple(findings))


def _incomplete(path: Path) -> Finding:
    whole = Path.home() / path.name
    return Finding(Level.STOP, f"{path} is only a part of a path. Write the whole of it, such as {whole}.")


def _check_places(order: Order, folder: Path, local: bool) -> list[Finding]:
    if _one_folder(order):
        return [Finding(Level.STOP, "Images and masks cannot share one folder. Choose another one for the masks.")]
    outside = [path for path in (order.images, order.output) if exchange.inside(folder, path) is None]
    if not outside:
        return [Finding(Level.GOOD, "Both folders are in the sync folder.")]
    if local:
        return [Finding(Level.GOOD, "The trainer runs on this computer and reaches both folders.")]
    return [
        Finding(
            Level.STOP,
            f"{path} is outside the sync folder, where the trainer cannot reach it. "
            f"Copy it into {folder / 'datasets' if path == order.images else folder}.",
        )
        for path in outside
    ]


def _one_folder(order: Order) -> bool:
    return os.path.realpath(order.images) == os.path.realpath(order.output)


def _check_images(folder: Path, names: Sequence[str], cancel: CancelToken) -> list[Finding]:
    if not names:
        return [Finding(Level.STOP, f"There are no images (PNG, JPEG, TIFF, BMP) in {folder}.")]
    unreadable, several = [], []
    for name in names:
        cancel.check()
        try:
            if images.page_count(folder / name) > 1:
                several.append(name)
        except ImageError:
            unreadable.append(name)
    readable = len(names) - len(unreadable)
    if not readable:
        return [Finding(Level.STOP, f"None of the {len(names)} images can be read: {_some(unreadable)}.")]
    findings = [Finding(Level.GOOD, f"{readable} {'image looks' if readable == 1 else 'images look'} readable.")]
    if unreadable:
        findings.append(
            Finding(Level.NOTE, f"{len(unreadable)} cannot be read and will be listed as failed: {_some(unreadable)}.")
        )
    if several:
        hold = "image holds" if len(several) == 1 else "images hold"
        text = f"{len(several)} {hold} several pages; only the first is segmented: {_some(several)}."
        findings.append(Finding(Level.NOTE, text))
    return findings


def _check_clashes(names: Sequence[str]) -> list[Finding]:
    counts = Counter(Path(name).stem.casefold() for name in names)
    clashing = [name for name in names if counts[Path(name).stem.casefold()] > 1]
    if not clashing:
        return []
    return [
        Finding(
            Level.STOP,
            f"{_some(clashing)} would write the same mask. Rename them so that they differ before the dot.",
        )
    ]


def _check_output(order: Order, names: Sequence[str], cancel: CancelToken) -> list[Finding]:
    place = order.output
    if place.is_file():
        return [Finding(Level.STOP, f"{place} is a file. Choose a folder for the masks.")]
    findings = [] if _one_folder(order) else _check_masks(order, names, cancel)  # there they are the photographs
    while not is_there(place) and place != place.parent:
        place = place.parent
    if not os.access(place, os.W_OK):
        return [*findings, Finding(Level.STOP, f"You may not write to {place}. Choose another folder for the masks.")]
    free = shutil.disk_usage(place).free
    if free < _LEAST_FREE:
        findings.append(Finding(Level.STOP, f"The disk of {place} is full. Free some space and look again."))
    elif free < len(names) * _MASK_BYTES:
        findings.append(Finding(Level.NOTE, f"Only {free / 1e6:.0f} MB are free for {len(names)} masks."))
    return findings


def _check_masks(order: Order, names: Sequence[str], cancel: CancelToken) -> list[Finding]:
    """What becomes of the masks that are there."""
    existing = set(os.listdir(order.output)) if order.output.is_dir() else set()
    targets = {name: Path(name).stem + order.mask_format.suffix for name in names}
    old = [name for name in names if targets[name] in existing]
    if not old:
        return []
    fate = "All of them are made anew." if order.again else _WITHOUT_AGAIN
    findings = [Finding(Level.NOTE, f"{len(old)} of {len(names)} masks are there already. {fate}")]
    foreign = [targets[name] for name in _of_others(order, old, targets, cancel)]
    if foreign:
        text = f"Masks of other photographs with the same names are among them: {_some(foreign)}."
        level, fate = (Level.NOTE, "They are lost.") if order.again else (Level.STOP, "Choose another folder.")
        findings.append(Finding(level, f"{text} {fate}"))
    return findings


def _of_others(order: Order, names: Sequence[str], targets: Mapping[str, str], cancel: CancelToken) -> list[str]:
    """Those of some images, spread evenly, whose masks belong to other photographs."""
    folder, found = way(order.output, order.images), []
    for name in names[:: -(-len(names) // _LOOKED_INTO)]:
        cancel.check()
        try:
            if is_of_another(order.output / targets[name], order.images / name, folder):
                found.append(name)
        except (MaskError, OSError):
            continue  # The job itself looks at it, and lists it as failed.
    return found


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
