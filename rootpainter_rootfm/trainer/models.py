"""Which model an instruction means, and the loaded ones, kept for the next image."""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .. import files
from ..errors import ModelError
from .paths import SHARED_MODELS, Refused, SyncFolder, plain_name
from .requests import SegmentRequest

if TYPE_CHECKING:
    from ..segment.engine import Segmenter
    from ..segment.settings import SegmentSettings

FOUNDATION = (".pth", ".safetensors")
UNET = ".pkl"
KEPT = 2
"""Loaded segmenters kept in memory: the project's and the one of a folder beside it."""

_NUMBERED = re.compile(r"(.*_|)(?!999999)(\d{6})_")
"""The start of a name that has a next one: what stands before the number, and the number."""


@dataclass
class NewestModel:
    """A project's newest model file as it was last looked at.

    Attributes:
        path: The file, None where there is none.
    """

    path: Path | None
    _stamp: files.Stamp | None
    _digest: str

    @classmethod
    def of(cls, path: Path | None) -> NewestModel:
        """Reads the whole file."""
        return cls(path, files.stamp(path), files.sha256(path)) if path is not None else cls(None, None, "")

    def now_is(self, path: Path, digest: str) -> None:
        """A file was put there, with that sha256."""
        self.path, self._stamp, self._digest = path, files.stamp(path), digest

    def is_still(self, path: Path | None) -> bool:
        """Whether this is the same file; some shares round its time a while after it was written."""
        if path is None or path != self.path:
            return path == self.path
        stamp = files.stamp(path)
        if stamp != self._stamp and files.sha256(path) != self._digest:
            return False
        self._stamp = stamp
        return True


def newest(model_dir: Path) -> Path | None:
    """The newest model of a project: the last by name, as RootPainter counts; stray files are passed over."""
    try:
        names = [path for path in model_dir.iterdir() if _suffix(path) in (*FOUNDATION, UNET) and path.name[0] != "."]
    except FileNotFoundError as error:
        raise ModelError(f"The project's folder of models {model_dir} is gone.") from error
    return max(names, key=lambda path: path.name, default=None)


def numbered(model_dir: Path, previous: Path | None) -> Path:
    """The file for the model after `previous`, with a name that sorts after it: for RootPainter, that is the newest.

    Names are numbered as RootPainter numbers them, ``000002_<time>.pth``. After a model that somebody put in by hand
    under another name, such as ``roots_lab.pth``, this name goes first: ``roots_lab_000001_<time>.pth`` comes after it,
    for ``_`` sorts after ``.``, and where ``000001_`` would sort before it, training would have no effect.
    """
    stem = previous.stem if previous is not None else ""
    known = _NUMBERED.match(stem)
    before, number = (known[1], int(known[2])) if known else (f"{stem}_" if stem else "", 0)
    return model_dir / f"{before}{number + 1:06d}_{round(time.time())}.pth"


def is_unet(path: Path) -> bool:
    """Whether a file of a project's models is one of RootPainter's own U-Nets."""
    return _suffix(path) == UNET


def for_unet(request: SegmentRequest) -> bool:
    """Whether RootPainter's own trainer has to make these masks.

    Raises:
        Refused: the models are of two kinds, or of none that is known.
    """
    if request.names_library_model:
        return False
    if request.model_paths:
        return _kind(request.model_paths) == "unet"
    latest = newest(request.model_dir)
    return is_unet(latest) if latest is not None else not request.model


class Models:
    """The models of one trainer.

    Args:
        sync: Where the window leaves copies of library models.
    """

    def __init__(self, sync: SyncFolder) -> None:
        self._sync = sync
        self._loaded: OrderedDict[tuple[object, ...], Segmenter] = OrderedDict()

    def segmenter(self, request: SegmentRequest) -> Segmenter:
        """A segmenter with the request's models and settings, loaded now or before.

        Raises:
            ModelError, WeightsError: a model is missing or damaged.
            SettingsError: this machine lacks the device.
        """
        return self.load(self._paths(request), request.settings)

    def load(self, models: Sequence[str | Path], settings: SegmentSettings) -> Segmenter:
        """A segmenter with library models (sha256) or files; a file that has changed is loaded anew."""
        from ..segment.engine import Segmenter

        key = (*(model if isinstance(model, str) else _stamp(model) for model in models), settings)
        if key not in self._loaded:
            self._loaded[key] = Segmenter.load(*models, settings=settings)
            while len(self._loaded) > KEPT:
                self._loaded.popitem(last=False)
        self._loaded.move_to_end(key)
        return self._loaded[key]

    def library_model(self, model: Mapping[str, str]) -> str | Path:
        """Where a library model is to be had: its sha256 if it is in this machine's library, else the window's copy.

        The window writes a card beside its copy; reading a model checks the file against such a card.

        Raises:
            ModelError: it is in neither.
        """
        from ..model.library import Library

        sha256 = plain_name(model.get("sha256") or model.get("name"))
        card = Library().find(sha256)
        if card is not None:
            return card.sha256
        copy = self._sync.root / SHARED_MODELS / f"{sha256}.pth"
        if not copy.is_file():
            raise ModelError(
                f"The model {model.get('name', sha256)} is neither in this machine's library nor in {copy.parent}."
            )
        return copy

    def _paths(self, request: SegmentRequest) -> list[str | Path]:
        if request.names_library_model:
            return [self.library_model(request.model)]
        if request.model_paths:
            return list(request.model_paths)
        latest = newest(request.model_dir)
        return [latest if latest is not None else self.library_model(request.model)]


def _suffix(path: Path) -> str:
    """How a file name ends, in small letters: some programs and drives write it in capitals."""
    return path.suffix.lower()


def _kind(paths: Sequence[Path]) -> str:
    endings = {_suffix(path) for path in paths}
    if endings == {UNET}:
        return "unet"
    if endings <= set(FOUNDATION):
        return "foundation"
    if endings <= {UNET, *FOUNDATION}:
        raise Refused("U-Net (.pkl) and foundation models (.pth) cannot form one ensemble. Choose models of one kind.")
    raise Refused(f"{paths[0].name} is not a model: models end with .pkl, .pth or .safetensors.")


def _stamp(model: Path) -> tuple[str, int, int]:
    try:
        stat = model.stat()
    except OSError as error:
        raise ModelError(f"The model {model} cannot be read: {error.strerror or error}.") from error
    return str(model), stat.st_mtime_ns, stat.st_size
