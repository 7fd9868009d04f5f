"""The verb `rootfm info`: what a bug report should say about this computer."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

_PACKAGES = (
    *("rootpainter-rootfm", "torch", "numpy", "scipy", "scikit-image", "pillow", "tifffile", "imagecodecs"),
    *("safetensors", "PyQt5", "root-painter-painter", "root-painter-trainer", "openvino"),
)


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `rootfm info` and its options."""
    text = "versions, devices and paths, for bug reports"
    parser = verbs.add_parser("info", help=text, description=text[0].upper() + text[1:] + ".")
    parser.add_argument("--json", action="store_true", help="as JSON, for programs")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints what `describe` finds; returns 0."""
    found = describe()
    if options.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return 0
    for section, entries in found.items():
        print(section)
        width = max(len(name) for name in entries)
        for name, value in entries.items():
            print(f"  {name:<{width}}  {value}")
    return 0


def describe() -> dict[str, dict[str, Any]]:
    """Versions, devices, models and paths; what cannot be found out is said in its place, never raised."""
    from .. import versions

    found = {name: known or "not installed" for name, known in versions.describe(_PACKAGES).items()}
    return {"versions": found, "devices": _devices(), "models": _models(), "paths": _paths()}


def _devices() -> dict[str, Any]:
    cores = {"cpu": platform.processor() or platform.machine(), "cpu cores": os.cpu_count()}
    try:
        import torch
    # A torch that lacks a system library fails with OSError: exactly then this report is needed.
    except (ImportError, OSError) as error:
        return {**cores, "torch": f"cannot be imported: {error}"}
    devices = {**cores, "cpu threads": torch.get_num_threads(), "cuda": torch.version.cuda or "not in this torch"}
    for index in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(index)
        devices[f"cuda:{index}"] = (
            f"{card.name}, {card.total_memory / 2**30:.0f} GiB, capability {card.major}.{card.minor}"
        )
    return {**devices, "mps": "available" if torch.backends.mps.is_available() else "not available"}


def _models() -> dict[str, str]:
    from ..errors import ModelError
    from ..model.library import Library

    try:
        library = Library()
        found = {
            card.name: f"{library.origin(card)}, {'' if card.trained else 'un'}trained, sha256 {card.sha256[:12]}"
            for card in library.cards()
        }
        damaged = {f"damaged {number}": text for number, text in enumerate(library.damaged(), 1)}
        return (found or {"library": "no models"}) | damaged
    except ModelError as error:
        return {"library": str(error)}


def _paths() -> dict[str, str]:
    from ..model.library import Library, bundle_folder

    return {
        "python": sys.executable,
        "package": str(Path(__file__).parents[1]),
        "bundled weights": str(bundle_folder()),
        "library": str(Library().home),
        "ROOTFM_HOME": os.environ.get("ROOTFM_HOME", "not set"),
        "ROOTPAINTER_TRAINER": os.environ.get("ROOTPAINTER_TRAINER", "not set"),
        "working folder": os.getcwd(),
    }
