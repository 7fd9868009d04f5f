"""What a mask was made from and how, kept inside the mask's own file.

There it outlives an interrupted run, a deleted report and a moved folder. A mask that a person has corrected or
replaced no longer agrees with its note, so a second run neither takes it for finished nor overwrites it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__, files, masks
from ..bands import bands
from ..errors import MaskError
from ..files import way
from .report import Measures


@dataclass(frozen=True)
class Source:
    """An image file: known again by its content when it was copied elsewhere, by its place when it was edited."""

    name: str
    bytes: int
    modified: int
    """Nanoseconds, as the file system has it."""
    sha256: str
    folder: str = ""
    """Where it lies as seen from its mask, the same on every computer that shares both; empty in older notes."""

    @classmethod
    def of(cls, path: Path, target: Path, sha256: str | None = None) -> Source:
        """Of a file whose mask will be `target`; it is read whole where the digest of its bytes is not known."""
        about, digest = path.stat(), sha256 or files.sha256(path)
        return cls(path.name, about.st_size, about.st_mtime_ns, digest, way(target.parent, path.parent))

    def lies_at(self, name: str, folder: str) -> bool:
        """Whether this is the file of that name in that folder, as `way` gives it, whatever it holds now."""
        return self.name == name and self.folder in (folder, "")

    def is_still(self, path: Path, here: bool = True) -> bool:
        """Whether the file holds what it held; reads it only when its time has changed, or where it is not `here`.

        Elsewhere neither size nor time say much: bitmaps of a camera are equally large, and archives give equal times.
        """
        about = path.stat()
        if about.st_size != self.bytes:
            return False
        return (here and about.st_mtime_ns == self.modified) or files.sha256(path) == self.sha256


@dataclass(frozen=True)
class Provenance:
    """The note in a mask."""

    how: dict[str, Any]
    """The segmenter's signature and how image and mask were read and written, as JSON types."""
    source: Source
    extras: list[str]
    """The folders of what was written beside the mask in the same run, such as `rootfm_probability`."""
    measures: Measures
    mask: str
    """`digest` of the mask."""
    remark: str = ""
    """What should be known of it, such as that its image holds further pages."""

    def to_text(self) -> str:
        """The note as ASCII."""
        return json.dumps({"rootfm": __version__, **asdict(self)})

    @classmethod
    def from_text(cls, text: str) -> Provenance | None:
        """The note that `to_text` gave, or None for any other text."""
        try:
            values = json.loads(text)
            values.pop("rootfm")
            source, measures = Source(**values.pop("source")), Measures(**values.pop("measures"))
            return cls(source=source, measures=measures, **values)
        except (ValueError, TypeError, KeyError, AttributeError):
            return None

    @property
    def page(self) -> int:
        """The page of its image that was segmented."""
        return self.how.get("page", 0)


def digest(mask: np.ndarray) -> str:
    """SHA-256 of an H×W bool mask's size and pixels."""
    hashed = hashlib.sha256("×".join(map(str, mask.shape)).encode())
    for rows in bands(*mask.shape):
        hashed.update(np.packbits(mask[rows], axis=1))
    return hashed.hexdigest()


def finished(
    target: Path, source: Path, how: dict[str, Any], extras: Sequence[Path]
) -> tuple[np.ndarray, Provenance] | None:
    """The mask at `target` with its note when there is nothing left to do for it, else None.

    Args:
        target: where the mask of `source` belongs.
        source: the image.
        how: as in `Provenance`, for the mask that is wanted.
        extras: files that are wanted beside it; their folders' names stand in the note.

    Raises:
        MaskError: what is there was made or changed by somebody else, or is the mask of another image, so it must not
            be replaced unasked, or nobody can tell because it cannot be reached now.
    """
    if not files.is_there(target):
        return None
    try:
        mask, note = masks.read(target), Provenance.from_text(masks.read_note(target))
    except MaskError as error:
        if _is_out_of_reach(error):
            raise
        if not masks.is_remnant(target):
            raise not_ours(target) from None
        return None  # there is nothing to lose
    if note is None or note.mask != digest(mask):
        raise not_ours(target)
    if note.page != how.get("page", 0):
        raise _of_another(target, f"page {note.page} of", note)
    here = note.source.lies_at(source.name, way(target.parent, source.parent))
    unchanged = note.source.is_still(source, here)
    if not unchanged and not here:
        raise _of_another(target, "another photograph named", note)
    complete = {extra.parent.name for extra in extras} <= set(note.extras) and all(extra.exists() for extra in extras)
    return (mask, note) if complete and note.how == how and unchanged else None


def not_ours(target: Path) -> MaskError:
    """That somebody else's mask lies in this place."""
    return MaskError(
        f"The mask {target.name} was there already and was not made by rootfm, or was changed since. It was kept; "
        "move it away, or ask for overwriting, to have a new mask."
    )


def is_of_another(target: Path, image: Path, folder: str) -> bool:
    """Whether the file at `target` says that it is no mask of page 0 of `image`, which lies in `folder` (see `way`).

    Of the mask the note alone is read, the image only where it may be a copy. Raises MaskError where there is no such
    mask, OSError where the image is out of reach.
    """
    note = Provenance.from_text(masks.read_note(target))
    if note is None:
        return False
    if note.page != 0:
        return True
    return not note.source.lies_at(image.name, folder) and not note.source.is_still(image, here=False)


def _of_another(target: Path, whose: str, note: Provenance) -> MaskError:
    return MaskError(
        f"The mask {target.name} was there already and belongs to {whose} {note.source.name}. It was kept; choose "
        "another output folder, or ask for overwriting, to have a new mask."
    )


def _is_out_of_reach(error: MaskError) -> bool:
    """Whether a mask could not be looked at, and so may be whole: a share that is away, a colleague's own file."""
    cause = error.__cause__
    return isinstance(cause, MemoryError) or (isinstance(cause, OSError) and cause.errno is not None)
