"""What a result must name so that somebody can get it again: data, command, version, commit and machine."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ... import __version__
from ...files import is_there, write_text
from ...model.card import ModelCard
from ..data import Dataset
from .plan import TrainPlan

RECORD = "record.json"


def read_record(folder: Path) -> dict[str, Any]:
    """What `record.json` of a training says: `datasets` (names), `images` (what `learning_images` gives, of all its
    starts), `starts`, and `model` (the card of the model that it began with) if there was one; empty where there is no
    record. Old records have no `images`, or names with fewer folders in them, and no `plan` in their starts."""
    path = folder / RECORD
    return json.loads(path.read_text(encoding="utf-8")) if is_there(path) else {}


def write_record(
    folder: Path, datasets: Sequence[Dataset], model: ModelCard | None, start: Mapping[str, Any], finished: bool
) -> None:
    """Writes `record.json`, or adds to it: what it says of datasets and model stays.

    Args:
        folder: of the training.
        datasets: all of them.
        model: with which the training was begun.
        start: the step from which it goes on, the plan, and what `describe` says.
        finished: there is nothing to go on with; such a start is noted only where there is no other.
    """
    before = read_record(folder)
    starts = before.get("starts", [])
    images = before.get("images", {})
    if not (finished and starts):
        starts = [*starts, start]
        images = _united(images, learning_images(datasets))
    kept = {"datasets": learning(datasets)} | before | {"images": images, "starts": starts}
    if model is not None:
        kept.setdefault("model", json.loads(model.to_json()))
    write_text(folder / RECORD, json.dumps(kept, indent=1))


def learning(datasets: Sequence[Dataset]) -> list[str]:
    """The names of those that a training learns from or chooses its weights on; the others stay unseen."""
    return sorted(dataset.name for dataset in datasets if dataset.split("train", "val").items)


def learning_images(datasets: Sequence[Dataset]) -> dict[str, dict[str, list[str]]]:
    """By dataset and split, the names of the images that a training learns from or validates on."""
    found: dict[str, dict[str, list[str]]] = {}
    for dataset in datasets:
        for item in dataset.split("train", "val").items:
            found.setdefault(dataset.name, {}).setdefault(item.split, []).append(item.name)
    return found


def _united(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, dict[str, list[str]]]:
    """The images of both, by dataset and split."""
    return {
        name: {
            split: sorted({*one.get(name, {}).get(split, ()), *other.get(name, {}).get(split, ())})
            for split in ("train", "val")
        }
        for name in sorted({*one, *other})
    }


def history(record: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """How a training was made: each `plan` in its order, with the `step` from which on it was followed.

    None for old trainings, which do not say so.
    """
    starts = record.get("starts", [])
    if not all("plan" in start for start in starts):
        return None
    # Of several starts at one step only the last can have gone further.
    plans = {start["step"]: TrainPlan.from_json(json.dumps(start["plan"])) for start in starts}
    followed: list[dict[str, Any]] = []
    for step, plan in plans.items():
        if not followed or followed[-1]["plan"] != asdict(plan):
            followed.append({"step": step, "plan": asdict(plan)})
    return followed


def learnt_before(record: Mapping[str, Any]) -> set[str]:
    """The names of the datasets that the model which a training began with has learnt from."""
    return {one["name"] for one in record.get("model", {}).get("training_data", [])}


def describe(device: str | torch.device = "cpu") -> dict[str, str | None]:
    """Command, version, commit (None outside a source checkout), hardware and time of what runs now."""
    return {
        "command": command(),
        "version": __version__,
        "commit": commit(),
        "hardware": hardware(device),
        "time": time.strftime("%Y-%m-%d %H:%M:%S"),
    }


def command() -> str:
    """The command line of this process; folders on this machine are shortened to their own names."""
    words = [Path(word).name if Path(word).is_absolute() else word for word in sys.argv]
    return shlex.join([Path(words[0]).stem, *words[1:]])


def commit() -> str | None:
    """The commit of the source this runs from, with `-dirty` when files differ from it; None without one."""
    source = Path(__file__).parents[3]
    if not (source / ".git").exists():
        return None  # An installed package may lie inside a checkout of something else.
    described = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        found = subprocess.run(described, cwd=source, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None


def hardware(device: str | torch.device) -> str:
    """The device and the machine around it, in words."""
    processor = f"{os.cpu_count()} × {_processor()}, {platform.system()}, torch {torch.__version__}"
    if torch.device(device).type == "cuda":
        return f"{torch.cuda.get_device_name(device)}; {processor}"
    return processor


def _processor() -> str:
    """The processor's name, which Python itself does not know on Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return named or platform.processor() or platform.machine()
