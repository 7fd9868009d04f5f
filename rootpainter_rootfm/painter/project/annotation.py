"""What is painted is saved whole, together with what somebody else painted meanwhile, or its user hears that it is not.

RootPainter itself writes an annotation in place, over whatever lies there, and does not look whether that succeeded.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PyQt5 import QtCore, QtGui

from ... import files
from ..host import Host, Seam, lacking, wrap
from ..session import show_failure
from .tracking import let_go_on

PART = "saving what is painted"
SEAMS = (
    Seam(PART, "root_painter", "RootPainter", "save_annotation"),
    Seam(PART, "root_painter", "RootPainter", "update_annot"),
    Seam(PART, "root_painter", "RootPainter", "update_file", ("fpath",)),
)
NEEDS = (
    "scene.history",
    "annot_path",
    "png_fname",
    "train_annot_dir",
    "val_annot_dir",
    "image_path",
    "metrics_plot",
    "log",
    "nav",
)
"""What of an open window this part holds on to."""
_FORMAT = QtGui.QImage.Format_ARGB32_Premultiplied
"""In which RootPainter paints, so that pixels that nobody touched stay what they were."""


class UnsavedError(OSError):
    """What was painted could not be saved; it is still on the screen."""


def install(host: Host) -> None:
    """Wraps the methods by which the window loads, saves and leaves an annotation."""
    owner = host.owner(SEAMS[0])
    wrap(owner, "save_annotation", lambda original: _with_care(host, original))
    wrap(owner, "update_annot", _with_memory)
    wrap(owner, "update_file", _with_word)


def _with_memory(original: Callable[..., Any]) -> Callable[..., None]:
    def update_annot(window: Any) -> None:
        original(window)
        window.rootfm_shown = window.scene.history[-1]  # a copy that is never painted on

    return update_annot


def _with_care(host: Host, original: Callable[..., Any]) -> Callable[..., None]:
    def save_annotation(window: Any) -> None:
        if not window.scene.annot_pixmap or lacking(window, NEEDS) is not None:
            original(window)
            return
        window.log(f"save_annotation,fname:{window.png_fname}")
        try:
            _save(window, host.module("file_utils"))
        except OSError as error:
            raise UnsavedError(error.errno, error.strerror or str(error)) from error
        window.metrics_plot.add_file_metrics(os.path.basename(window.image_path))

    return save_annotation


def _with_word(original: Callable[..., Any]) -> Callable[..., None]:
    def update_file(window: Any, fpath: str) -> None:
        try:
            original(window, fpath)
        except UnsavedError as error:
            window.nav.image_path = window.image_path
            let_go_on(window)
            _say_unsaved(window, error)

    return update_file


def saved(window: Any) -> bool:
    """Saves what is painted before something that needs it; False where that was refused, which its user hears."""
    try:
        window.save_annotation()
    except UnsavedError as error:
        _say_unsaved(window, error)
        return False
    return True


def _say_unsaved(window: Any, error: UnsavedError) -> None:
    """A dialog with the cause and what to do."""
    more = "It is still on the screen. Is the drive connected, and has its disk room? Then try again."
    show_failure(window, "What was painted last cannot be saved", f"{error.strerror}.\n\n{more}")


def _save(window: Any, host_files: Any) -> None:
    """Saves the annotation on the screen if anything was painted since it was loaded or saved.

    What it differs in from that is put over what the file holds now, so that nobody's strokes are lost.
    """
    shown = getattr(window, "rootfm_shown", None)
    now = window.scene.annot_pixmap.toImage()
    if shown is not None and now == shown.toImage():
        return
    painted, before = _pixels(now), None if shown is None else _pixels(shown.toImage())
    folders = (window.train_annot_dir, window.val_annot_dir)
    path = host_files.get_annot_path(window.png_fname, *folders)
    there = _pixels(QtGui.QImage(path)) if path else None
    if path is None:
        if not painted.any():
            return
        path = os.path.join(host_files.get_new_annot_target_dir(*folders), window.png_fname)
    together = painted
    if before is not None and there is not None and there.shape == before.shape:
        together = np.where(painted != before, painted, there)
    if there is None or not np.array_equal(together, there):
        _write(together, Path(path))
    window.annot_path, window.rootfm_shown = path, window.scene.annot_pixmap.copy()
    if together is not painted and not np.array_equal(together, painted):
        window.statusBar().showMessage("Somebody else painted on this image meanwhile; both are kept.", 10_000)


def _pixels(image: QtGui.QImage) -> np.ndarray:
    """H×W uint32, a colour each; 0×0 for an image that could not be read."""
    image = image.convertToFormat(_FORMAT)
    if image.isNull():
        return np.zeros((0, 0), np.uint32)
    bits = image.constBits()
    bits.setsize(image.sizeInBytes())
    return np.frombuffer(bits, np.uint32).reshape(image.height(), -1)[:, : image.width()].copy()


def _write(pixels: np.ndarray, path: Path) -> None:
    height, width = pixels.shape
    buffer = QtCore.QBuffer()
    buffer.open(QtCore.QIODevice.WriteOnly)
    QtGui.QImage(np.ascontiguousarray(pixels).tobytes(), width, height, 4 * width, _FORMAT).save(buffer, "PNG")
    with files.replacing(path) as beside:
        beside.write_bytes(bytes(buffer.data()))
