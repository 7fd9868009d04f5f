"""A project from its first mask to a better one: create, look, correct, train, look again; with a real trainer."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PyQt5 import QtCore
from scipy.ndimage import binary_dilation

from rootpainter_rootfm import masks
from tests.painter.drawn import click, dialogs, photographs, pick, ready, type_into

LONG = 600_000
GOOD = 0.6
"""Dice on the validation annotations, which a model without any training is far from."""


@pytest.fixture
def sync(serving):
    """The folder of the trainer that serves all tests of this file."""
    return serving


@pytest.fixture
def window(launcher, plugin, qtbot):
    window = launcher.open()
    qtbot.waitUntil(lambda: plugin.session.trainer.alive, timeout=LONG)
    return ready(qtbot, window)


def create(qtbot, window, sync):
    """Creates a project by the form, as a user does; the chooser of folders alone is the system's."""
    truth = photographs(sync / "datasets" / "plots")
    pick(qtbot, window, "Project", "Create project")
    form = window.create_project_widget
    type_into(qtbot, form.name_edit_widget.name_edit, "story")
    form.selected_dir = str(sync / "datasets" / "plots")
    form.validate()
    click(qtbot, form.foundation_radio)
    assert form.foundation.isVisible()
    qtbot.waitUntil(lambda: form.foundation.card is not None, timeout=LONG)
    click(qtbot, form.create_project_btn)
    qtbot.waitUntil(lambda: hasattr(window, "rootfm_project"), timeout=LONG)
    ready(qtbot, window)
    return truth


def dice(mask, truth):
    return 2 * (mask & truth).sum() / max(1, mask.sum() + truth.sum())


def stroke(qtbot, window, row, column):
    place = window.graphics_view.mapFromScene(QtCore.QPointF(column, row))
    qtbot.mouseClick(window.graphics_view.viewport(), QtCore.Qt.LeftButton, pos=place)


def paint(qtbot, window, truth):
    """Clicks with a small brush on roots and on soil; an untrained model is wrong about both."""
    window.scene.brush_size = 3
    order = np.random.default_rng(0)
    for place, key in ((truth, "Q"), (~binary_dilation(truth, iterations=3), "W")):
        qtbot.keyClick(window, key)
        spots = np.argwhere(place)
        for row, column in spots[order.permutation(len(spots))[:80]]:
            stroke(qtbot, window, int(row), int(column))


def test_from_a_new_project_to_a_better_mask(window, sync, library, qtbot):
    truth = create(qtbot, window, sync)
    project = sync / "projects" / "story"
    described = json.loads((project / "story.seg_proj").read_text())
    assert described["original_model_file"] == library.default.title
    assert described["rootfm"]["model"]["sha256"] == library.default.sha256
    first = [path.name for path in (project / "models").iterdir()]
    assert len(first) == 1 and first[0].startswith("000001_") and first[0].endswith(".pth")

    qtbot.waitUntil(lambda: bool(window.seg_mtime), timeout=LONG)  # the first mask is on the screen
    before = {}
    for _ in range(2):
        name = window.png_fname
        before[name] = dice(masks.read(window.seg_path), truth[name])
        paint(qtbot, window, truth[name])
        click(qtbot, window.nav.next_image_button)
        qtbot.waitUntil(lambda: bool(window.seg_mtime), timeout=LONG)
    for path in (project / "annotations" / "train", project / "annotations" / "val"):
        (annotation,) = path.iterdir()
        root, soil = masks.read_annotation(annotation)
        assert root.any() and soil.any()

    pick(qtbot, window, "Network", "Start training")
    panel = window.rootfm_project.training
    qtbot.waitUntil(lambda: panel.saved.text().isdigit() and float(panel.best.text()) > GOOD, timeout=LONG)
    assert panel.isVisible() and list((project / "models").glob("000002_*.pth"))
    click(qtbot, panel.stop_button)
    qtbot.waitUntil(lambda: not panel.stop_button.isEnabled(), timeout=20_000)

    click(qtbot, window.nav.prev_image_button)
    name, file = window.png_fname, project / "segmentations" / window.png_fname
    old = file.stat().st_mtime_ns
    qtbot.keyClick(window, "R")
    qtbot.waitUntil(lambda: file.stat().st_mtime_ns != old, timeout=LONG)
    assert dice(masks.read(file), truth[name]) > before[name]
    # and what is on the screen is the better mask
    qtbot.waitUntil(lambda: window.seg_mtime == file.stat().st_mtime, timeout=10_000)


def test_refused_creation_leaves_the_form_usable(window, sync, tmp_path, qtbot):
    photographs(tmp_path / "outside")
    pick(qtbot, window, "Project", "Create project")
    form = window.create_project_widget
    type_into(qtbot, form.name_edit_widget.name_edit, "refused")
    form.selected_dir = str(tmp_path / "outside")
    form.validate()
    click(qtbot, form.foundation_radio)
    qtbot.waitUntil(lambda: form.foundation.card is not None, timeout=LONG)
    QtCore.QTimer.singleShot(500, lambda: close_when_there(qtbot))
    click(qtbot, form.create_project_btn)
    qtbot.waitUntil(form.create_project_btn.isEnabled, timeout=LONG)
    assert not (sync / "projects" / "refused").exists() and not list((sync / "models_rootfm").glob(".*.pth"))


def close_when_there(qtbot):
    """RootPainter refuses by a dialog that holds up the program until it is closed."""
    boxes = [box for box in dialogs() if "datasets" in box.text()]
    if boxes:
        boxes[0].close()
    else:
        QtCore.QTimer.singleShot(200, lambda: close_when_there(qtbot))


def test_specified_pth_file_becomes_the_first_model(window, sync, library, monkeypatch, qtbot):
    from PyQt5 import QtWidgets

    photographs(sync / "datasets" / "plots")
    pick(qtbot, window, "Project", "Create project")
    form = window.create_project_widget
    type_into(qtbot, form.name_edit_widget.name_edit, "mine")
    form.selected_dir = str(sync / "datasets" / "plots")
    monkeypatch.setattr(QtWidgets.QFileDialog, "getOpenFileName", lambda *_, **__: (str(library.loose_file), ""))
    specify = next(radio for radio in form.findChildren(QtWidgets.QRadioButton) if radio.name == "specify")
    click(qtbot, specify)
    click(qtbot, form.specify_model_btn)
    click(qtbot, form.create_project_btn)
    qtbot.waitUntil(lambda: hasattr(window, "rootfm_project"), timeout=LONG)
    (model,) = (sync / "projects" / "mine" / "models").iterdir()
    assert model.name.startswith("000001_") and model.suffix == ".pth"
    assert json.loads((sync / "projects" / "mine" / "mine.seg_proj").read_text())["original_model_file"] == str(
        library.loose_file
    )


def test_damaged_pth_file_begins_no_project(window, sync, tmp_path, monkeypatch, qtbot):
    from PyQt5 import QtWidgets

    from tests.painter.drawn import said

    (tmp_path / "bad.pth").write_bytes(b"nothing")
    photographs(sync / "datasets" / "plots")
    pick(qtbot, window, "Project", "Create project")
    form = window.create_project_widget
    type_into(qtbot, form.name_edit_widget.name_edit, "damaged")
    form.selected_dir = str(sync / "datasets" / "plots")
    form.selected_model = str(tmp_path / "bad.pth")
    specify = next(radio for radio in form.findChildren(QtWidgets.QRadioButton) if radio.name == "specify")
    click(qtbot, specify)
    click(qtbot, form.create_project_btn)
    qtbot.waitUntil(said("The project cannot begin with this model"), timeout=LONG)
    assert not (sync / "projects" / "damaged").exists() and form.create_project_btn.isEnabled()
