"""What the instructions ask for, checked: paths of this machine, known formats, valid settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import images
from ..errors import ImageError
from ..files import is_there
from ..masks import MaskFormat
from ..segment.settings import SegmentSettings
from .instructions import Instruction
from .paths import Refused, SyncFolder, plain_name


@dataclass(frozen=True)
class SegmentRequest:
    """A `segment` instruction.

    Attributes:
        instruction: Where it came from.
        images: Folder of the photographs.
        output: Folder for the masks.
        names: File names in `images`.
        model_paths: Models named by path; several are an ensemble.
        model_dir: Folder of a project's models, of which the newest is meant when no path is given.
        model: Name and sha256 of a library model, or empty.
        mask_format: How to write masks.
        settings: How to segment.
        again: Make masks anew that are there already.
        batch: The window's name for masks of many images of a project, or empty.
        confidence, preview: Write these too.
        job: The window's name for this work, or empty.
        messages: The project's folder for messages.
    """

    instruction: Instruction
    images: Path
    output: Path
    names: tuple[str, ...]
    model_paths: tuple[Path, ...]
    model_dir: Path | None
    model: Mapping[str, str]
    mask_format: MaskFormat
    settings: SegmentSettings
    again: bool
    batch: str
    confidence: bool
    preview: bool
    job: str
    messages: Path | None

    @property
    def of_project(self) -> bool:
        """Whether a project's window asks for the masks of images that a person is about to look at."""
        return self.model_dir is not None and not self.job

    @property
    def project(self) -> str | None:
        """Name of the project that asks."""
        return self.model_dir.parent.name if self.model_dir is not None else None

    @property
    def names_library_model(self) -> bool:
        """Whether the library model is meant, whatever models a project has; a path is that of the window's copy."""
        return bool(self.model) and len(self.model_paths) <= 1 and (bool(self.model_paths) or self.model_dir is None)

    def target(self, name: str) -> Path:
        """Where the mask of an image belongs."""
        return self.output / (Path(name).stem + self.mask_format.suffix)

    def wanted(self, name: str) -> bool:
        """Whether the image still needs a mask; like RootPainter's trainer, one that is there is kept unless asked.

        Of many that are to be made anew, one is kept whose image has been annotated meanwhile: training takes it, where
        nothing is painted, for seen and right.
        """
        if not is_there(self.target(name)):
            return True
        return self.again and not (self.batch and self._annotated(name))

    def _annotated(self, name: str) -> bool:
        if self.model_dir is None:
            return False
        folder = self.model_dir.parent / "annotations"
        return any(is_there(folder / part / f"{Path(name).stem}.png") for part in ("train", "val"))

    @classmethod
    def parse(cls, instruction: Instruction, sync: SyncFolder) -> SegmentRequest:
        """Reads the instruction.

        Raises:
            Refused: something is missing, unknown, or outside the sync folder without permission.
            SettingsError: a setting is unknown or outside its range.
            ImageError: the folder of images cannot be reached; a drive that is away may come back.
        """
        content, own = instruction.content, instruction.own
        local = own.get("local_paths") is True
        if local:
            content = content | {key: own[key] for key in ("dataset_dir", "seg_dir") if key in own}
        folder, output = (_path(content, key, sync, local) for key in ("dataset_dir", "seg_dir"))
        if not folder.is_dir():
            raise ImageError(f"The folder of images {folder} cannot be reached.")
        paths = content.get("model_paths") or []
        model = own.get("model") or {}
        if not isinstance(paths, list) or not isinstance(model, dict):
            raise Refused(f"{instruction.file} names its model in a way that this trainer does not know.")
        if not (paths or model or "model_dir" in content):
            raise Refused(f"{instruction.file} names no model: model_paths or model_dir is missing.")
        return cls(
            instruction=instruction,
            images=folder,
            output=output,
            names=_names(content, folder),
            model_paths=tuple(sync.path(path, local) for path in paths),
            model_dir=_optional(content, "model_dir", sync),
            model={key: str(model[key]) for key in ("name", "sha256") if key in model},
            mask_format=_format(content),
            settings=SegmentSettings.from_dict(own.get("settings") or {}),
            again=own.get("again") is True,
            batch=str(own.get("batch") or ""),
            confidence=own.get("confidence") is True,
            preview=own.get("preview") is True,
            job=str(own.get("job") or ""),
            messages=find_messages(content, sync),
        )


@dataclass(frozen=True)
class TrainingRequest:
    """A `start_training` instruction.

    Attributes:
        instruction: Where it came from.
        models: Folder of the project's models.
        images: Folder of the photographs.
        train, val: Folders of the annotations to learn from and to validate on.
        logs: Folder of the tables.
        messages: Folder of the messages.
        masks: Folder of the masks that the user corrects, if the window names it.
        model: Name and sha256 of the library model to begin with when the project has none yet, or empty.
        settings: How the window segments; training takes device, scale and balance from it.
    """

    instruction: Instruction
    models: Path
    images: Path
    train: Path
    val: Path
    logs: Path
    messages: Path
    masks: Path | None
    model: Mapping[str, str]
    settings: SegmentSettings

    @property
    def project(self) -> str:
        """Name of the project."""
        return self.models.parent.name

    @classmethod
    def parse(cls, instruction: Instruction, sync: SyncFolder) -> TrainingRequest:
        """Reads the instruction; raises `Refused` or SettingsError as `SegmentRequest.parse` does."""
        own = instruction.own
        keys = ("model_dir", "dataset_dir", "train_annot_dir", "val_annot_dir", "log_dir", "message_dir")
        paths = [_path(instruction.content, key, sync) for key in keys]
        model = own.get("model") if isinstance(own.get("model"), dict) else {}
        named = {key: str(model[key]) for key in ("name", "sha256") if key in model}
        masks = _path(instruction.content, "seg_dir", sync) if "seg_dir" in instruction.content else None
        return cls(instruction, *paths, masks, named, SegmentSettings.from_dict(own.get("settings") or {}))


def absolute(content: Mapping[str, Any], sync: SyncFolder) -> dict[str, Any]:
    """The instruction for a trainer that serves another folder on this machine; raises `Refused` as `parse` does."""
    return {
        key: str(sync.path(value)) if isinstance(value, str) else value
        for key, value in content.items()
        if key != "rootfm"
    }


def find_messages(content: Mapping[str, Any], sync: SyncFolder) -> Path | None:
    """The folder whose messages the asking window shows: the one named, else that of the project of the masks."""
    try:
        named = _optional(content, "message_dir", sync)
        if named is None and "seg_dir" in content:
            named = sync.path(content["seg_dir"]).parent / "messages"
        return named if named is not None and named.is_dir() else None
    except (Refused, OSError):
        return None


def _path(content: Mapping[str, Any], key: str, sync: SyncFolder, local: bool = False) -> Path:
    if key not in content:
        raise Refused(f"The instruction lacks {key}.")
    return sync.path(content[key], local)


def _optional(content: Mapping[str, Any], key: str, sync: SyncFolder) -> Path | None:
    return sync.path(content[key]) if content.get(key) else None


def _names(content: Mapping[str, Any], folder: Path) -> tuple[str, ...]:
    names = content.get("file_names")
    if names is None:
        return tuple(path.name for path in images.list_images(folder))
    if not isinstance(names, list):
        raise Refused("file_names of the instruction is not a list of file names.")
    return tuple(dict.fromkeys(plain_name(name) for name in names))


def _format(content: Mapping[str, Any]) -> MaskFormat:
    try:
        return MaskFormat(content.get("format", MaskFormat.ROOTPAINTER.value))
    except ValueError as error:
        known = ", ".join(known.value for known in MaskFormat)
        raise Refused(f"The mask format {content.get('format')!r} is unknown; known are {known}.") from error
