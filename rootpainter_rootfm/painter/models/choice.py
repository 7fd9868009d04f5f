"""Which model makes the masks: a library model, or in an open project its newest or an older checkpoint."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PyQt5 import QtWidgets

from ...errors import ModelError
from ...model.card import ModelCard
from ...segment.settings import SegmentSettings
from .. import exchange
from ..preferences import NEWEST
from ..session import Session

_SHOWN = 8
_UNET = ".pkl"
_MODELS = (".pth", ".safetensors", _UNET)
"""How the file of a project's model ends, in letters of either size: as the trainer takes it."""
_DAY = 86_400
"""Seconds by which the clock of another machine may be ahead."""
_LIBRARY, _CHECKPOINT = "library:", "checkpoint:"
_DATED = re.compile(r"((?:.+_)?\d{6})_(\d{10})")
"""A name as RootPainter gives it, which ends with a number and a time in seconds; other digits are the user's own."""


@dataclass(frozen=True)
class JobModel:
    """What a job segments with: a library model, or a checkpoint file of a project.

    Attributes:
        title: its name for the user.
        card: the library model, None for a checkpoint.
        file: the checkpoint, None for a library model.
        threshold: that of the library model of which the checkpoint is a copy, which has no card of its own.
    """

    title: str
    card: ModelCard | None = None
    file: Path | None = None
    threshold: float | None = None

    def used_with(self, settings: SegmentSettings) -> SegmentSettings:
        """The user's settings, and what the model advises where the trainer cannot know that."""
        unsaid = settings.threshold is None and self.threshold is not None
        return replace(settings, threshold=self.threshold) if unsaid else settings

    @property
    def name(self) -> str:
        """What files and folders are called by it."""
        return self.card.name if self.card is not None else self.file.stem


def checkpoints(model_folder: Path) -> list[Path]:
    """A project's checkpoints, the newest first; none where the folder is not there.

    The newest is the last by name, as for RootPainter itself.
    """
    try:
        found = [path for path in model_folder.iterdir() if path.suffix.lower() in _MODELS and path.name[0] != "."]
    except OSError:
        return []
    return sorted(found, reverse=True)


def checkpoint_title(path: Path) -> str:
    """A checkpoint as a user knows it: its number, and when it was made where its name ends with that."""
    title = path.stem
    found = _DATED.fullmatch(title)
    if found and int(found[2]) < time.time() + _DAY:
        title = found[1] + time.strftime(", %d %b %Y %H:%M", time.localtime(int(found[2])))
    return f"{title} (U-Net)" if is_unet(path) else title


def is_unet(checkpoint: Path) -> bool:
    """Whether it is one of RootPainter's own U-Nets."""
    return checkpoint.suffix.lower() == _UNET


def project_folder(window: QtWidgets.QMainWindow) -> Path | None:
    """The folder of the open project."""
    place = getattr(window, "proj_location", None)
    return None if place is None else Path(place)


def project_choice(session: Session, window: QtWidgets.QMainWindow) -> str:
    """What was chosen for the open project."""
    project = project_folder(window)
    return session.preferences.project_model(project) if project else NEWEST


def project_library_name(session: Session, window: QtWidgets.QMainWindow) -> str | None:
    """The name of the library model that was chosen for the open project; None where it works with its own."""
    return library_name(project_choice(session, window))


def library_name(choice: str) -> str | None:
    """The name of the library model that a choice means; None where it means a checkpoint."""
    return choice.removeprefix(_LIBRARY) if choice.startswith(_LIBRARY) else None


def library_choice(name: str) -> str:
    """The choice of a library model, as it is kept for a project."""
    return _LIBRARY + name


def checkpoint_choice(path: Path) -> str:
    """The choice of one checkpoint, as it is kept for a project."""
    return _CHECKPOINT + path.name


def model_choices(session: Session, window: QtWidgets.QMainWindow) -> list[tuple[str, JobModel]]:
    """What a folder can be segmented with: titles and models, the project's own first."""
    own = [own_model(window, path) for path in window_checkpoints(window)[:_SHOWN]]
    return [(model.title, model) for model in (*own, *(JobModel(card.title, card=card) for card in session.cards))]


def chosen_model(session: Session, window: QtWidgets.QMainWindow) -> JobModel | None:
    """The model that is chosen in the menu, None while the library is being read or when it is gone."""
    name = project_library_name(session, window)
    checkpoint = chosen_checkpoint(session, window) if name is None else None
    return _library_model(session, name) if checkpoint is None else own_model(window, checkpoint)


def instead_of_newest(session: Session, window: QtWidgets.QMainWindow) -> str | None:
    """The title of what was chosen to make the masks of the open project; None where its newest checkpoint does."""
    name = project_library_name(session, window)
    if name is not None:
        return next((card.title for card in session.cards if card.name == name), name)
    chosen, newest = chosen_checkpoint(session, window), window_checkpoints(window)[:1]
    return None if chosen in (None, *newest) else checkpoint_title(chosen)


def uses_foundation_model(session: Session, window: QtWidgets.QMainWindow) -> bool:
    """Whether a foundation model makes the masks of the open project, rather than RootPainter's U-Net."""
    if project_library_name(session, window) is not None:
        return True
    checkpoint = chosen_checkpoint(session, window)
    return begun_with(window) is not None if checkpoint is None else not is_unet(checkpoint)


def begun_with(window: QtWidgets.QMainWindow) -> dict[str, Any] | None:
    """Name, sha256 and threshold of the library model that the open project was begun with, if it was."""
    begun = exchange.read_json(Path(window.proj_file_path)).get("rootfm")
    model = begun.get("model") if isinstance(begun, dict) else None
    return model if isinstance(model, dict) else None


def is_first(path: Path) -> bool:
    """Whether a checkpoint is the one that its project began with."""
    return path.name.startswith(exchange.FIRST)


def card_begun_with(session: Session, window: QtWidgets.QMainWindow, path: Path) -> ModelCard | None:
    """The card of a checkpoint that is the copy of a library model; None for others, or where the model is gone."""
    sha256 = (begun_with(window) or {}).get("sha256") if is_first(path) else None
    return next((card for card in session.cards if card.sha256 == sha256), None)


def window_checkpoints(window: QtWidgets.QMainWindow) -> list[Path]:
    """The checkpoints of the open project."""
    folder = getattr(window, "model_dir", None)
    return checkpoints(Path(folder)) if folder is not None else []


def chosen_checkpoint(session: Session, window: QtWidgets.QMainWindow) -> Path | None:
    """The checkpoint that was chosen for the open project, else its newest; None where it has none."""
    found = window_checkpoints(window)
    choice = project_choice(session, window)
    named = [path for path in found if checkpoint_choice(path) == choice]
    return next(iter(named or found), None)


def own_model(window: QtWidgets.QMainWindow, path: Path) -> JobModel:
    """A checkpoint of the open project as what a job segments with."""
    begun = begun_with(window) if is_first(path) else None
    threshold = (begun or {}).get("threshold")  # projects of earlier versions do not know it
    return JobModel(f"This project, {checkpoint_title(path)}", file=path, threshold=threshold)


def _library_model(session: Session, name: str | None) -> JobModel | None:
    try:
        card = session.card(name)
    except ModelError:
        return None
    return JobModel(card.title, card=card)
