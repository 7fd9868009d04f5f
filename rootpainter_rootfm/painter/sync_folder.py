"""The sync folder: read from RootPainter's settings, offered on the first start, and made complete."""

from __future__ import annotations

import json
import os
from pathlib import Path

from PyQt5 import QtWidgets

from .. import files
from ..errors import HostError

SUBFOLDERS = ("projects", "datasets", "instructions", "executed_instructions", "failed_instructions")


def settings_file() -> Path:
    """RootPainter's own settings, which name the sync folder."""
    return Path.home() / "root_painter_settings.json"


def saved_folder() -> Path | None:
    """The sync folder of RootPainter's settings; None on a first start and where the settings are damaged."""
    try:
        return Path(json.loads(settings_file().read_text(encoding="utf-8"))["sync_dir"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def save_folder(folder: Path) -> None:
    """Writes the choice where RootPainter looks for it."""
    files.write_text(settings_file(), json.dumps({"sync_dir": str(folder.absolute())}, indent=4))


def make_complete(folder: Path) -> None:
    """Makes the folder and those inside it that RootPainter and its trainer expect; raises `HostError`."""
    for name in SUBFOLDERS:
        try:
            (folder / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise HostError(
                f"The sync folder {folder} cannot be used: {error.strerror or error}. "
                "Choose a folder on this computer that you may write to."
            ) from error


def settle(given: Path | None) -> Path | None:
    """The complete sync folder to work with: `given`, or the saved one, or what the user chooses; None to give up.

    Raises:
        HostError: `given` is not there, perhaps by a slip of the pen, or the folder cannot be made complete.
    """
    if given is not None and not given.exists():
        raise HostError(f"There is no folder {given}. Make it first if it shall be a new sync folder.")
    folder = given or saved_folder()
    if folder is not None and (given or folder.is_dir()):
        make_complete(folder)
        return Path(os.path.abspath(folder))  # RootPainter compares paths by their words, so no ".." may be in them
    chosen = _ask(folder)
    if chosen is None:
        return None
    make_complete(chosen)
    save_folder(chosen)
    return Path(os.path.abspath(chosen))


def _ask(lost: Path | None) -> Path | None:
    default = lost or Path.home() / "root_painter_sync"
    box = QtWidgets.QMessageBox()
    box.setIcon(QtWidgets.QMessageBox.Question)
    box.setWindowTitle("RootPainter")
    if lost is None:
        box.setText("Where shall RootPainter keep your projects?")
        box.setInformativeText(
            f"It needs one folder, the sync folder, for projects, image datasets and the exchange with its trainer.\n\n"
            f"{default}"
        )
        make = box.addButton("Use this folder", QtWidgets.QMessageBox.AcceptRole)
    else:
        box.setText("The sync folder was not found.")
        box.setInformativeText(f"{default}\n\nIf it lies on a network drive, connect the drive and start again.")
        make = box.addButton("Make it anew", QtWidgets.QMessageBox.AcceptRole)
    other = box.addButton("Choose another folder…", QtWidgets.QMessageBox.ActionRole)
    box.addButton(QtWidgets.QMessageBox.Cancel)
    box.setDefaultButton(make)
    box.exec_()
    if box.clickedButton() is make:
        return default
    if box.clickedButton() is other:
        path = QtWidgets.QFileDialog.getExistingDirectory(None, "Choose the sync folder", str(Path.home()))
        return Path(path) if path else None
    return None
