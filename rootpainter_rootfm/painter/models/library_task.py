"""One piece of work on model files in a process of its own, because it needs torch and the window does without.

Started as ``python -m rootpainter_rootfm.painter.models.library_task VERB ARGUMENT…``; writes one JSON object a line:
``{"progress": [done, total, current]}``, at the end ``{"result": …}`` or ``{"error": sentence}``.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ... import files
from ...errors import RootFMError


def main(arguments: list[str]) -> int:
    """Does the work that the first argument names; returns 0 when it succeeded."""
    verb, *rest = arguments
    try:
        _say({"result": _VERBS[verb](*rest)})
    except RootFMError as error:
        _say({"error": str(error)})
        return 1
    except OSError as error:
        cause = f"{error.filename or 'A file'}: {error.strerror or error}."
        _say({"error": f"{cause} Is the disk full or the folder gone?"})
        return 1
    return 0


def prepare(name: str, destination: str) -> str:
    """Puts a library model as a `.pth` that every RootPainter trainer reads at `destination`, unless it is there."""
    from ...model.library import Library

    target = Path(destination)
    if not files.is_there(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        library = Library()
        library.path(library.get(name), _progress)
        library.export(name, target)
        # A trainer elsewhere learns from it how the model wants to be used, and whether the copy arrived whole.
        about = {"file": target.name, "sha256": files.sha256(target), "size_bytes": target.stat().st_size}
        card = replace(library.get(name), url=None, **about)
        files.write_text(target.with_suffix(".json"), card.to_json())
    return str(target)


def convert(source: str, destination: str) -> str:
    """Reads any weights file of ours, with all checks, and writes it as a `.pth` that every trainer reads."""
    from ...model.checkpoint import read_state, write_pth

    Path(destination).parent.mkdir(parents=True, exist_ok=True)
    write_pth(read_state(Path(source)), Path(destination))
    return destination


def copy(source: str, destination: str) -> str:
    """Copies a model file in one step."""
    with files.replacing(destination) as beside:
        shutil.copyfile(source, beside)
    return destination


def add(source: str) -> str:
    """Takes a model file into the library; returns its title there, the earlier one where the weights are known."""
    from ...model.library import Library

    return Library().add(Path(source)).title


def verify(name: str) -> str:
    """Compares a model file of the library with its checksum."""
    from ...model.library import Library

    Library().verify(name)
    return name


def _progress(done: int, total: int, current: str) -> None:
    _say({"progress": [done, total, current]})


def _say(thing: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(thing) + "\n")
    sys.stdout.flush()


_VERBS: dict[str, Callable[..., str]] = {
    "prepare": prepare,
    "convert": convert,
    "copy": copy,
    "add": add,
    "verify": verify,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
