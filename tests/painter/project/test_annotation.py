"""What is painted is never lost: not on a full disk, nor where a colleague paints on the same image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PyQt5 import QtCore, QtGui

from rootpainter_rootfm import masks
from rootpainter_rootfm.painter.project import annotation
from tests.painter.drawn import click, dialogs, pick, ready, said

SIZE = (96, 128)


@pytest.fixture
def window(launcher, library, project, qtbot):
    return ready(qtbot, launcher.open(project))


@pytest.fixture
def saved(project):
    return project.parent / "annotations" / "train" / "one.png"


def paint(window, place, colour="foreground_color"):
    painter = QtGui.QPainter(window.scene.annot_pixmap)
    painter.setCompositionMode(QtGui.QPainter.CompositionMode_Source)
    painter.fillRect(place, getattr(window.scene, colour))
    painter.end()


def theirs(path):
    """What a colleague paints: soil at the lower edge."""
    soil = np.zeros(SIZE, bool)
    soil[90:, :] = True
    masks.write_annotation(np.zeros(SIZE, bool), soil, path)
    return soil


@pytest.fixture
def full_disk(monkeypatch):
    def refuse(pixels, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(annotation, "_write", refuse)
    return monkeypatch


def test_a_full_disk_keeps_image_strokes_and_what_was_saved(window, saved, full_disk, qtbot):
    theirs(saved)
    before = saved.read_bytes()
    paint(window, QtCore.QRect(5, 5, 20, 4))
    click(qtbot, window.nav.next_image_button)
    qtbot.waitUntil(said("No space left on device"), timeout=10_000)
    assert window.image_path.endswith("one.png") and window.nav.image_path == window.image_path
    assert saved.read_bytes() == before and window.nav.next_image_button.isEnabled()
    dialogs()[0].accept()
    full_disk.undo()
    click(qtbot, window.nav.next_image_button)
    assert window.image_path.endswith("two.png")
    assert masks.read_annotation(saved)[0].sum() == 80


def test_training_does_not_start_on_strokes_that_could_not_be_saved(window, full_disk, sync, qtbot):
    paint(window, QtCore.QRect(5, 5, 20, 4))
    pick(qtbot, window, "Network", "Start training")
    qtbot.waitUntil(said("No space left on device"), timeout=10_000)
    assert not list((sync / "instructions").glob("start_training*"))


def test_who_only_looked_changes_nothing_that_a_colleague_saved(window, saved, qtbot):
    theirs(saved)
    before = saved.read_bytes()
    click(qtbot, window.nav.next_image_button)
    assert window.image_path.endswith("two.png") and saved.read_bytes() == before


@pytest.mark.parametrize("there_before", [True, False])
def test_strokes_of_both_are_kept(launcher, library, project, saved, there_before, qtbot):
    if there_before:
        Image.new("RGBA", SIZE[::-1]).save(saved)
    window = ready(qtbot, launcher.open(project))
    if there_before:
        click(qtbot, window.nav.prev_image_button)  # RootPainter begins behind the last annotated one
    assert window.image_path.endswith("one.png")
    paint(window, QtCore.QRect(5, 5, 20, 4))
    soil = theirs(saved)
    window.save_annotation()
    paint(window, QtCore.QRect(5, 20, 10, 4))
    click(qtbot, window.nav.next_image_button)
    root, kept = masks.read_annotation(saved)
    assert root.sum() == 80 + 40 and np.array_equal(kept, soil)
    assert [path.name for path in (project.parent / "annotations").rglob("*.png")] == ["one.png"]


def test_what_is_erased_is_erased_in_the_file(window, project, qtbot):
    paint(window, QtCore.QRect(5, 5, 20, 4))
    window.save_annotation()
    (path,) = (project.parent / "annotations").rglob("*.png")
    paint(window, QtCore.QRect(5, 5, 20, 2), "eraser_color")
    window.save_annotation()
    assert masks.read_annotation(Path(path))[0].sum() == 40
