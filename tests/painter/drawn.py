"""Drawn photographs and projects made of them, small enough for a processor."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image
from PyQt5 import QtCore, QtWidgets

from rootpainter_rootfm import masks
from rootpainter_rootfm.learn.drawing.synthetic import draw_photograph

SIZE = (96, 128)
NAMES = ("one.png", "two.png", "three.png")


def photographs(folder: Path, names=NAMES, size=SIZE, seed=5) -> dict[str, np.ndarray]:
    """Writes a drawn photograph under each name; returns where its roots are, H×W bool."""
    folder.mkdir(parents=True, exist_ok=True)
    truth = {}
    for number, name in enumerate(names):
        picture, roots = draw_photograph(np.random.default_rng(seed + number), *size)
        Image.fromarray(picture).save(folder / name)
        truth[name] = roots
    return truth


def make_project(sync: Path, name: str, masks_there: bool = False, **more) -> Path:
    """A project as RootPainter makes it; returns its file."""
    masks_there = more.get("masks", masks_there)
    truth = photographs(sync / "datasets" / name)
    folder = sync / "projects" / name
    for part in ("annotations/train", "annotations/val", "segmentations", "models", "messages", "logs"):
        (folder / part).mkdir(parents=True)
    if masks_there:
        for image, roots in truth.items():
            masks.write(roots, folder / "segmentations" / image)
    described = {
        "name": name,
        "dataset": name,
        "original_model_file": "random weights",
        "location": f"projects/{name}",
        "file_names": list(NAMES),
    }
    file = folder / f"{name}.seg_proj"
    file.write_text(json.dumps(described))
    return file


def add_confidence(folder: Path, name: str, probability: np.ndarray, uncertain: float) -> None:
    """What our trainer leaves beside a mask: the probability as a picture, and a few numbers."""
    place = folder / ".rootfm"
    place.mkdir(exist_ok=True)
    masks.write_probability_preview(probability.astype(np.float32), place / name)
    numbers = {"model": "0" * 64, "threshold": 0.5, "coverage": 0.1, "mean_confidence": 0.9, "uncertain": uncertain}
    (place / name).with_suffix(".json").write_text(json.dumps(numbers))


def ready(qtbot, window):
    """The window with the keyboard's attention and without the dialogs of its start."""
    for box in dialogs():
        box.close()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow, timeout=10_000)
    return window


def pick(qtbot, window, *path: str) -> None:
    """Chooses an entry of the menu bar with the mouse, as a user does: menu, perhaps a menu in it, entry."""
    bar = window.menuBar()
    action = entry(bar.actions(), path[0])
    qtbot.mouseClick(bar, QtCore.Qt.LeftButton, pos=bar.actionGeometry(action).center())
    menu = action.menu()
    for text in path[1:]:
        qtbot.waitUntil(menu.isVisible)
        action = entry(menu.actions(), text)
        inner = action.menu()
        qtbot.mouseClick(menu, QtCore.Qt.LeftButton, pos=menu.actionGeometry(action).center())
        menu = inner or menu


def entry(actions, text: str):
    """The action that begins with this text."""
    for action in actions:
        if action.text().replace("&", "").startswith(text):
            return action
    raise AssertionError(f"There is no '{text}' among {[action.text() for action in actions]}")


def click(qtbot, widget) -> None:
    """A press of the left button in the middle of a widget, or on the mark of a box."""
    place = widget.rect().center()
    if isinstance(widget, QtWidgets.QCheckBox | QtWidgets.QRadioButton):
        place = QtCore.QPoint(8, widget.height() // 2)
    qtbot.mouseClick(widget, QtCore.Qt.LeftButton, pos=place)


def type_into(qtbot, field, text: str) -> None:
    """Types a text over what stands in a field."""
    field.setFocus()
    field.selectAll()
    qtbot.keyClicks(field, text)


def dialogs(kind=QtWidgets.QMessageBox):
    """The open dialogs of a kind."""
    return [
        widget for widget in QtWidgets.QApplication.topLevelWidgets() if isinstance(widget, kind) and widget.isVisible()
    ]


def said(fragment: str):
    """A check for `qtbot.waitUntil`: some open dialog says this, in its text or below it."""
    return lambda: any(fragment in f"{box.text()} {box.informativeText()}" for box in dialogs())
