"""What a result must name so that somebody can get it again: command, version, commit and machine."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
import time
from pathlib import Path

import torch

from .. import __version__


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
    source = Path(__file__).parents[2]
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
