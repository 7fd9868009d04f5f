"""The files by which window and trainer know each other, seen from the window; no Qt in here.

Every reader answers None for a file that is absent, half-written or not ours, because such files are normal on
synchronised folders.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from .. import files
from ..errors import HostError

HEARTBEAT = "rootfm_trainer.json"
JOB = ".rootfm_job.json"
TRAINING = ".rootfm_training.json"
CONFIDENCE = ".rootfm"
MODELS = "models_rootfm"
FIRST = "000001_"
"""How the checkpoint that a project begins with is called at first; every other has a higher number."""
TAKEN = ".rootfm_taken"
"""Where a trainer of ours keeps the instructions that it has not finished, inside the folder of instructions."""


@dataclass(frozen=True)
class Heartbeat:
    """What a trainer of ours says about itself."""

    beat: int
    host: str
    pid: int
    state: str
    device: str
    devices: tuple[str, ...] = ()
    unet: bool = False
    local_paths: bool = False
    job: Mapping[str, Any] | None = None
    project: str | None = None
    training: str = ""
    """The project that is being trained, also while masks go first; empty where there is none."""
    last_error: Mapping[str, Any] | None = None
    stopped: bool = False

    @property
    def identity(self) -> tuple[str, int]:
        """Which process it is: host and process number."""
        return self.host, self.pid

    @property
    def failure(self) -> tuple[str, str]:
        """The last failure: the project that it concerns, or nothing, and what happened in words."""
        error = self.last_error if isinstance(self.last_error, Mapping) else {}
        return str(error.get("project") or ""), str(error.get("message") or "")


@dataclass(frozen=True)
class JobState:
    """How far a folder job has come; `done` counts the failed images too."""

    job: str
    state: str
    done: int = 0
    total: int = 0
    current: str = ""
    failed: tuple[tuple[str, str], ...] = ()
    seconds_left: float | None = None
    message: str = ""
    preview: str | None = None

    @property
    def made(self) -> int:
        """How many images have a mask."""
        return self.done - len(self.failed)

    @property
    def ended(self) -> bool:
        """Whether nothing more will come, or no more of it is looked at."""
        return self.state in ("done", "cancelled", "failed", "left")


@dataclass(frozen=True)
class TrainingState:
    """What training has done so far; Dice values, and how far it is on the way to its first check, are in [0, 1]."""

    state: str
    message: str = ""
    epoch: int = 0
    without_progress: int = 0
    patience: int = 0
    ripeness: float = 1.0
    best_dice: float | None = None
    saved: str | None = None
    started: float | None = None
    history: tuple[Mapping[str, Any], ...] = field(default=())


def read_heartbeat(folder: Path) -> Heartbeat | None:
    """The heartbeat in a sync folder."""
    found = read_json(folder / HEARTBEAT)
    try:
        return Heartbeat(
            beat=int(found["beat"]),
            host=str(found["host"]),
            pid=int(found["pid"]),
            state=str(found["state"]),
            device=str(found.get("device", "")),
            devices=tuple(map(str, found.get("devices") or ())),
            unet=bool(found.get("unet")),
            local_paths=bool(found.get("local_paths")),
            job=found.get("job"),
            project=found.get("project"),
            training=str(found.get("training") or ""),
            last_error=found.get("last_error"),
            stopped=bool(found.get("stopped")),
        )
    except (KeyError, TypeError, ValueError):
        return None


def read_job(output: Path) -> JobState | None:
    """The state of the job that writes, or last wrote, into an output folder."""
    found = read_json(output / JOB)
    try:
        return JobState(
            job=str(found["job"]),
            state=str(found["state"]),
            done=int(found.get("done") or 0),
            total=int(found.get("total") or 0),
            current=str(found.get("current") or ""),
            failed=tuple((str(item["file"]), str(item["cause"])) for item in found.get("failed") or ()),
            seconds_left=_number(found.get("seconds_left")),
            message=str(found.get("message") or ""),
            preview=found.get("preview"),
        )
    except (KeyError, TypeError, ValueError):
        return None


def read_training(log_folder: Path) -> TrainingState | None:
    """The state of the last training of a project."""
    found = read_json(log_folder / TRAINING)
    try:
        return TrainingState(
            state=str(found["state"]),
            message=str(found.get("message") or ""),
            epoch=int(found.get("epoch") or 0),
            without_progress=int(found.get("epochs_without_progress") or 0),
            patience=int(found.get("patience") or 0),
            ripeness=float(found.get("ripeness", 1.0)),
            best_dice=_number(found.get("best_dice")),
            saved=found.get("saved"),
            started=_number(found.get("started")),
            history=tuple(found.get("history") or ()),
        )
    except (KeyError, TypeError, ValueError):
        return None


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file, or an empty one."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def inside(folder: Path, path: Path) -> str | None:
    """`path` as the trainer must be told it, relative to the sync folder and with forward slashes; None if outside.

    Links are followed, as the trainer does: a folder that is only linked into the sync folder lies outside.
    """
    try:
        relative = Path(os.path.realpath(path)).relative_to(os.path.realpath(folder))
    except ValueError:
        return None
    return relative.as_posix()


def send(folder: Path, name: str, content: Mapping[str, Any]) -> Path:
    """Writes an instruction in one step; returns its path, which vanishes when the trainer has taken it.

    Args:
        folder: the sync folder.
        name: an instruction that every trainer knows: segment, start_training, stop_training, trainer_status.
        content: paths relative to the sync folder; what is ours stands in the one dict ``"rootfm"``.

    Raises:
        HostError: the instruction cannot be written.
    """
    target = folder / "instructions" / f"{name}_{uuid4().int % 10**18}"
    try:
        files.write_text(target, json.dumps(content, indent=4))
    except OSError as error:
        raise HostError(
            f"The trainer cannot be told: {target.parent} cannot be written ({error.strerror or error}). "
            "Check that the sync folder is there and that the disk is not full."
        ) from error
    return target


def take_back(instruction: Path) -> bool:
    """Removes an instruction that `send` wrote; False where a trainer has taken it already, or holds it."""
    try:
        instruction.unlink()
    except OSError:
        return False
    return True


def mask_owed(folder: Path, mask: Path) -> bool:
    """Whether a request for this mask waits in a sync folder, or a trainer of ours took it and has not finished it.

    Raises:
        OSError: the folder cannot be read.
    """
    return any(
        any(Path(str(name)).stem == mask.stem for name in content["file_names"])
        for _, content in _owed(folder, mask.parent)
    )


def batches_owed(folder: Path, masks: Path) -> dict[str, Path]:
    """The batches of masks for the folder `masks` that are asked for and not finished: the file of each by its name.

    Raises:
        OSError: the folder cannot be read.
    """
    found = {}
    for path, content in _owed(folder, masks):
        own = content.get("rootfm")
        if isinstance(own, dict) and own.get("batch"):
            found[str(own["batch"])] = path
    return found


def stop_batches(folder: Path, masks: Path) -> int:
    """Ends what `batches_owed` finds, and returns how many that were; masks that are made stay.

    Raises:
        OSError: the folder cannot be read.
        HostError: the trainer cannot be told.
    """
    batches = batches_owed(folder, masks)
    for name, path in batches.items():
        if path.parent.name != TAKEN:
            take_back(path)
        # In any case: on a synchronised drive a trainer may have taken it before it vanished here.
        send(folder, "trainer_status", {"rootfm": {"cancel": name}})
    return len(batches)


def _owed(folder: Path, masks: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The requests for masks in a folder that wait, or that a trainer of ours works on: files and what they hold."""
    requests = list((folder / "instructions").iterdir())
    if folder / "instructions" / TAKEN in requests:
        requests += (folder / "instructions" / TAKEN).iterdir()
    for path in requests:
        content = read_json(path) if path.name.startswith("segment_") else {}
        output, names = content.get("seg_dir"), content.get("file_names")
        if isinstance(names, list) and isinstance(output, str) and _same(folder / output, masks):
            yield path, content


def _same(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def refusal(instruction: Path) -> str | None:
    """Why a trainer put an instruction aside, in its own words; None where it has not."""
    put_aside = instruction.parents[1] / "failed_instructions" / f"{instruction.name}_exception.txt"
    try:
        return put_aside.read_text(encoding="utf-8").partition("\n")[0]
    except (OSError, ValueError):
        return None


def segment_instruction(
    images: str, output: str, names: Sequence[str], mask_format: str, rootfm: Mapping[str, Any], models: Sequence[str]
) -> dict[str, Any]:
    """The content of a `segment` for a whole folder, as RootPainter's own dialog would send it, and our dict."""
    return {
        "model_paths": list(models),
        "dataset_dir": images,
        "seg_dir": output,
        "file_names": list(names),
        "format": mask_format,
        "rootfm": dict(rootfm),
    }


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
