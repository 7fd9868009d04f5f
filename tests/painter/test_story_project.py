"""A project from its first mask to a better one: create, look, correct, train, look again; with a real trainer."""

from __future__ import annotations

import json

import pytest
from PyQt5 import QtCore

from rootpainter_rootfm import masks
from tests.correcting import spots_on
from tests.painter.drawn import click, dialogs, photographs, pick, ready, type_into

LONG = 600_000
DABS = 150
"""Of each kind an image, at most."""
BRUSH = 4
HARD = 18
"""Seed of drawings of which the bundled model misses a part: it has something to learn."""


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
    truth = photographs(sync / "datasets" / "plots", size=(160, 192), seed=HARD)
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


def paint(qtbot, window, truth):
    """Corrects what the mask got wrong by dabs of a small brush; gives how good the mask was."""
    mask = masks.read(window.seg_path)
    window.scene.brush_size = BRUSH
    for wrong, key in ((truth & ~mask, "Q"), (~truth & mask, "W")):
        qtbot.keyClick(window, key)
        for row, column in spots_on(wrong, BRUSH, DABS):
            place = window.graphics_view.mapFromScene(QtCore.QPointF(column, row))
            qtbot.mouseClick(window.graphics_view.viewport(), QtCore.Qt.LeftButton, pos=place)
    return dice(mask, truth)


def test_from_a_new_project_to_a_better_mask(window, sync, teachable, plugin, qtbot):
    qtbot.waitUntil(lambda: teachable in plugin.session.cards, timeout=LONG)
    pick(qtbot, window, "Models", teachable.title)
    truth = create(qtbot, window, sync)
    project = sync / "projects" / "story"
    described = json.loads((project / "story.seg_proj").read_text())
    assert described["original_model_file"] == teachable.title
    begun = {"name": teachable.name, "sha256": teachable.sha256, "threshold": teachable.threshold}
    assert described["rootfm"]["model"] == begun
    (first,) = (project / "models").iterdir()
    assert first.name.startswith("000001_") and first.suffix == ".pth"

    qtbot.waitUntil(lambda: bool(window.seg_mtime), timeout=LONG)  # the first mask is on the screen
    before = {}
    for _ in range(2):
        before[window.png_fname] = paint(qtbot, window, truth[window.png_fname])
        click(qtbot, window.nav.next_image_button)
        qtbot.waitUntil(lambda: bool(window.seg_mtime), timeout=LONG)
    assert len(list((project / "annotations").rglob("*.png"))) == 2

    pick(qtbot, window, "Network", "Start training")
    panel = window.rootfm_project.training
    qtbot.waitUntil(lambda: panel.saved.text().startswith("000002, "), timeout=LONG)
    assert panel.isVisible() and 0 < float(panel.best.text()) <= 1
    qtbot.waitUntil(lambda: "finished" in panel.headline.text(), timeout=LONG)  # by itself

    after = {}
    for _ in before:
        click(qtbot, window.nav.prev_image_button)
        name, file = window.png_fname, project / "segmentations" / window.png_fname
        old = file.stat().st_mtime_ns
        ready(qtbot, window)
        qtbot.keyClick(window, "R")
        qtbot.waitUntil(lambda file=file, old=old: file.stat().st_mtime_ns != old, timeout=LONG)
        after[name] = dice(masks.read(file), truth[name])
        # and what is on the screen is the better mask
        qtbot.waitUntil(lambda file=file: window.seg_mtime == file.stat().st_mtime, timeout=10_000)
    # Of one alone it may be worse: RootPainter shuffles the images, so each run corrects others.
    assert after.keys() == before.keys() and sum(after.values()) > sum(before.values()), (before, after)


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
