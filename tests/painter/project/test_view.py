"""The mask on the screen, its opacity, the model's uncertainty and the list of images, with no trainer at all."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PyQt5 import QtCore

from rootpainter_rootfm import masks
from rootpainter_rootfm.painter import exchange
from rootpainter_rootfm.painter.preferences import Preferences
from rootpainter_rootfm.painter.project.renewal import remove_masks, without_annotation
from rootpainter_rootfm.painter.project.view import uncertainty_colours, uncertainty_image
from rootpainter_rootfm.painter.trainer_life import Life
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


@pytest.mark.parametrize(("model", "shown"), [("000001_1.pth", True), ("000001_1.pkl", False)])
def test_mask_of_a_foundation_model_is_shown_from_the_start(launcher, library, project, qtbot, model, shown):
    (project.parent / "models" / model).write_bytes(b"x")
    window = ready(qtbot, launcher.open(project))
    assert window.vis_widget.seg_checkbox.isChecked() is shown is (shown_mask(window) > 0)


def test_project_that_has_yet_to_get_its_foundation_model_shows_the_mask_too(launcher, library, project, qtbot):
    described = json.loads(project.read_text())
    project.write_text(json.dumps(described | {"rootfm": {"model": {"name": "meadow", "sha256": "0"}}}))
    assert launcher.open(project).seg_visible


def test_mask_that_the_user_has_hidden_stays_hidden(launcher, library, project, qtbot):
    (project.parent / "models" / "000001_1.pth").write_bytes(b"x")
    window = ready(qtbot, launcher.open(project))
    qtbot.keyClick(window, "S")
    before = window.seg_mtime
    masks.write(np.ones((96, 128), bool), window.seg_path)
    qtbot.waitUntil(lambda: window.seg_mtime != before, timeout=10_000)
    assert shown_mask(window) == 0
    click(qtbot, window.nav.next_image_button)
    qtbot.wait(700)
    assert not window.seg_visible and shown_mask(window) == 0


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


@pytest.fixture
def panel(window, qtbot):
    pick(qtbot, window, "View", "Images by uncertainty")
    panel = window.rootfm_project.images
    qtbot.waitUntil(lambda: panel.list.topLevelItemCount() == 3, timeout=10_000)
    return panel


def asked(sync):
    """The names and the own part of the only instruction."""
    (sent,) = (sync / "instructions").iterdir()
    content = exchange.read_json(sent)
    return content["file_names"], content["rootfm"]


def forget_instructions(sync):
    for path in (sync / "instructions").iterdir():
        path.unlink()


def test_images_without_a_mask_come_last_and_can_be_asked_for(panel, window, project, sync, qtbot):
    remove_masks(project.parent / "segmentations", ["three.png"])
    panel._poll.now()
    qtbot.waitUntil(panel.rest_button.isVisible, timeout=10_000)
    assert panel.list.topLevelItem(2).text(0) == "three.png" and not panel.again_button.isVisible()
    forget_instructions(sync)
    click(qtbot, panel.rest_button)
    names, own = asked(sync)
    assert names == ["three.png"] and "again" not in own
    assert window.statusBar().currentMessage().startswith("Asked for masks of one image.")


def test_what_was_asked_for_at_once_can_be_stopped(panel, window, project, sync, qtbot):
    remove_masks(project.parent / "segmentations", ["two.png", "three.png"])
    panel._poll.now()
    qtbot.waitUntil(panel.rest_button.isVisible, timeout=10_000)
    forget_instructions(sync)
    click(qtbot, panel.rest_button)
    qtbot.waitUntil(panel.stop_button.isVisible, timeout=10_000)
    assert not panel.rest_button.isVisible()
    assert panel.note.text().startswith(
        ("Masks are being made. 2 of 3 images", "Masks wait for a trainer. 2 of 3 images")
    )
    click(qtbot, panel.stop_button)
    qtbot.waitUntil(panel.rest_button.isVisible, timeout=10_000)
    assert not list((sync / "instructions").glob("segment_*")) and not panel.stop_button.isVisible()
    assert window.statusBar().currentMessage() == "No further masks are made. Those that are made stay."
    pick(qtbot, window, "Network", "Stop segmenting images")
    qtbot.waitUntil(lambda: window.statusBar().currentMessage() == "No masks are being made.", timeout=10_000)


def test_masks_without_a_measure_are_told_and_can_be_made_anew(panel, window, project, sync, plugin, qtbot):
    (project.parent / "models" / "000001_1.pth").write_bytes(b"x")
    for name in NAMES:
        (project.parent / "segmentations" / exchange.CONFIDENCE / name).with_suffix(".json").unlink()
    (project.parent / "annotations" / "train" / "two.png").write_bytes(b"")
    panel._poll.now()
    qtbot.waitUntil(panel.again_button.isVisible, timeout=10_000)
    assert "2 masks were made without a measure" in panel.note.text() and not panel.rest_button.isVisible()
    forget_instructions(sync)
    plugin.session.trainer._poll.stop()
    plugin.session.trainer.life = Life.ALIVE
    click(qtbot, panel.again_button)
    names, own = asked(sync)
    assert names == ["one.png", "three.png"] and own["again"] is True and own["batch"]


def test_masks_of_a_u_net_are_not_offered_to_be_made_anew(panel, project, qtbot):
    (project.parent / "segmentations" / exchange.CONFIDENCE / "one.json").unlink()
    panel._poll.now()
    qtbot.waitUntil(lambda: "One mask was made without a measure" in panel.note.text(), timeout=10_000)
    assert not panel.again_button.isVisible() and not panel.rest_button.isVisible()


def test_one_new_measure_moves_one_row_and_the_bold_one_stays(panel, window, project, qtbot):
    kept = {panel.list.topLevelItem(row).text(0): panel.list.topLevelItem(row) for row in range(3)}
    current = Path(window.image_path).name
    add_confidence(project.parent / "segmentations", "two.png", np.full((96, 128), 0.5), 0.95)
    panel._poll.now()
    qtbot.waitUntil(lambda: panel.list.topLevelItem(0).text(0) == "two.png", timeout=10_000)
    items = [panel.list.topLevelItem(row) for row in range(3)]
    assert [item.text(0) for item in items] == ["two.png", "three.png", "one.png"]
    assert items[1] is kept["three.png"] and items[2] is kept["one.png"]
    assert [item.text(0) for item in items if is_bold(item)] == [current]


def is_bold(item):
    return item.font(0).bold()


def test_bold_row_goes_with_the_image_on_the_screen(panel, window, qtbot):
    for row in (0, 2, 1):
        item = panel.list.topLevelItem(row)
        panel.list.itemClicked.emit(item, 0)
        qtbot.waitUntil(partial(is_bold, item), timeout=10_000)
        assert sum(is_bold(panel.list.topLevelItem(row)) for row in range(3)) == 1


def test_click_in_the_list_counts_the_annotation_that_it_saves(panel, window):
    window.scene.annot_pixmap.fill(window.scene.foreground_color)
    panel.list.itemClicked.emit(panel.list.topLevelItem(0), 0)
    assert "(1 Annotated)" in window.nav.nav_label.text()


def test_annotated_images_are_left_out(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "two.png").write_bytes(b"")
    (tmp_path / "val").mkdir()
    found = without_annotation(["one.jpg", "two.jpg"], (tmp_path / "train", tmp_path / "val"))
    assert found == ["one.jpg"]
