"""The mask on the screen, its opacity, the model's uncertainty and the list of images, with no trainer at all."""

from __future__ import annotations

import numpy as np
import pytest
from PyQt5 import QtCore

from rootpainter_rootfm import masks
from rootpainter_rootfm.painter import exchange
from rootpainter_rootfm.painter.preferences import Preferences
from rootpainter_rootfm.painter.project import without_annotation
from rootpainter_rootfm.painter.project_view import uncertainty_colours, uncertainty_image
from tests.painter.drawn import NAMES, add_confidence, click, pick, ready


@pytest.fixture
def window(launcher, library, project, qtbot):
    for number, name in enumerate(NAMES):
        probability = np.full((96, 128), 0.02)
        probability[40:60, 50:70] = 0.5
        add_confidence(project.parent / "segmentations", name, probability, 0.1 * (number + 1))
    window = launcher.open(project)
    return ready(qtbot, window)


def shown_mask(window):
    image = window.seg_pixmap_holder.pixmap().toImage()
    return sum(image.pixelColor(x, y).alpha() > 0 for x in range(0, 128, 2) for y in range(0, 96, 2))


def test_mask_on_the_screen_follows_its_file(window, qtbot):
    qtbot.keyClick(window, "S")
    before = shown_mask(window)
    masks.write(np.ones((96, 128), bool), window.seg_path)
    qtbot.waitUntil(lambda: shown_mask(window) == 64 * 48, timeout=10_000)
    assert before < 64 * 48


def test_opacity_is_set_by_the_slider_and_kept(window):
    window.rootfm_project.view.opacity.setValue(40)
    assert window.seg_pixmap_holder.opacity() == pytest.approx(0.4)
    assert Preferences().opacity == 40


def test_uncertainty_is_shown_by_its_key_under_the_annotation(window, qtbot):
    view = window.rootfm_project.view
    qtbot.waitUntil(view.uncertainty.isEnabled, timeout=10_000)
    qtbot.keyClick(window, "V")
    assert view.uncertainty.isChecked()
    item = next(
        item
        for item in window.scene.items(QtCore.Qt.AscendingOrder)
        if item not in (window.image_pixmap_holder, window.seg_pixmap_holder, window.annot_pixmap_holder)
    )
    qtbot.waitUntil(item.isVisible, timeout=10_000)
    image = item.pixmap().toImage()
    assert image.pixelColor(60, 50).alpha() > 150 and image.pixelColor(5, 5).alpha() < 20
    order = window.scene.items(QtCore.Qt.AscendingOrder)
    assert order.index(window.seg_pixmap_holder) < order.index(item) < order.index(window.annot_pixmap_holder)
    click(qtbot, view.uncertainty)
    assert not item.isVisible()


def test_colours_are_clear_where_the_model_is_sure():
    for threshold in (0.2, 0.5, 0.9):
        alpha = [colour >> 24 & 255 for colour in uncertainty_colours(threshold)]
        assert alpha[0] == alpha[255] == 0
        assert int(np.argmax(alpha)) == pytest.approx(threshold * 255, abs=1)


def test_unreadable_confidence_is_no_picture(tmp_path):
    assert uncertainty_image(tmp_path / "none.png").isNull()


def test_list_is_ordered_by_uncertainty_and_a_click_goes_there(window, qtbot):
    pick(qtbot, window, "View", "Images by uncertainty")
    panel = window.rootfm_project.images
    qtbot.waitUntil(lambda: panel.list.topLevelItemCount() == 3, timeout=10_000)
    assert [panel.list.topLevelItem(row).text(0) for row in range(3)] == list(reversed(NAMES))
    place = panel.list.visualItemRect(panel.list.topLevelItem(0)).center()
    qtbot.mouseClick(panel.list.viewport(), QtCore.Qt.LeftButton, pos=place)
    assert window.image_path.endswith(NAMES[2])
    assert NAMES[2] in window.windowTitle()


def test_images_without_confidence_come_last_and_can_be_asked_for(window, project, qtbot):
    (project.parent / "segmentations" / exchange.CONFIDENCE / "three.json").unlink()
    pick(qtbot, window, "View", "Images by uncertainty")
    panel = window.rootfm_project.images
    qtbot.waitUntil(lambda: panel.list.topLevelItemCount() == 3, timeout=10_000)
    assert panel.list.topLevelItem(2).text(0) == "three.png"
    for path in (project.parents[2] / "instructions").iterdir():
        path.unlink()
    click(qtbot, panel.rest_button)
    (sent,) = (project.parents[2] / "instructions").iterdir()
    assert exchange.read_json(sent)["file_names"] == ["three.png"]


def test_annotated_images_are_left_out(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "two.png").write_bytes(b"")
    found = without_annotation(["one.jpg", "two.jpg"], (tmp_path / "train", tmp_path / "gone"))
    assert found == ["one.jpg"]
