"""A folder of images becomes masks, from the window, with a real trainer in a process of its own."""

from __future__ import annotations

import numpy as np
import pytest

from rootpainter_rootfm import masks
from rootpainter_rootfm.painter.folder.job_window import JobWindow
from rootpainter_rootfm.painter.folder.segment_dialog import SegmentDialog
from tests.painter.drawn import click, dialogs, entry, photographs, pick, ready, said, type_into

LONG = 300_000


@pytest.fixture
def sync(serving):
    """The folder of the trainer that serves all tests of this file."""
    return serving


@pytest.fixture
def window(launcher, plugin, qtbot):
    window = launcher.open()
    qtbot.waitUntil(lambda: plugin.session.trainer.alive, timeout=LONG)
    return ready(qtbot, window)


@pytest.fixture
def images(sync, request):
    folder = sync / "datasets" / request.node.name
    photographs(folder)
    (folder / "broken.png").write_bytes(b"this is no image")
    return folder


def start(qtbot, window, images, output=None):
    """Fills in the dialog by keyboard and mouse and starts the job; gives its window."""
    pick(qtbot, window, "Models", "Segment folder")
    (dialog,) = dialogs(SegmentDialog)
    type_into(qtbot, dialog.input, str(images))
    if output:
        type_into(qtbot, dialog.output, str(output))
    qtbot.waitUntil(dialog.segment_button.isEnabled, timeout=LONG)
    click(qtbot, dialog.segment_button)
    qtbot.waitUntil(lambda: bool(dialogs(JobWindow)))
    return dialogs(JobWindow)[-1]


def test_folder_is_segmented_and_the_broken_image_is_named(window, images, sync, library, qtbot):
    view = start(qtbot, window, images)
    qtbot.waitUntil(lambda: view.job.state.ended, timeout=LONG)
    output = sync / "segmentations" / f"{images.name}_{library.default.name}"
    for name in ("one.png", "two.png", "three.png"):
        assert masks.read(output / name).shape == (96, 128)
    assert not (output / "broken.png").exists()
    assert "3 of 4 images have a mask, 1 failed" in view.headline.text()
    assert view.bar.value() == view.bar.maximum() == 4
    assert view.failures.rowCount() == 1 and view.failures.item(0, 0).text() == "broken.png"
    cause = view.failures.item(0, 1).text()
    assert "broken.png" in cause and str(images) not in cause, "the cause is told without the folder"
    assert view.open_button.isEnabled() and not view.cancel_button.isEnabled()
    qtbot.waitUntil(view.sheet_button.isEnabled, timeout=10_000)


def test_closed_job_goes_on_and_comes_back_from_the_menu(window, images, qtbot):
    view = start(qtbot, window, images)
    job = view.job
    click(qtbot, view.close_button)
    qtbot.waitUntil(lambda: job.state.ended, timeout=LONG)
    assert job.state.state == "done"
    jobs = next(action.menu() for action in window.rootfm_menu.menu.actions() if action.menu())
    entry(jobs.actions(), f"{images.name}: done, 3 of 4, 1 failed").trigger()
    qtbot.waitUntil(lambda: any(view.job is job for view in dialogs(JobWindow)))


def test_cancelled_job_keeps_what_is_done(window, sync, qtbot):
    folder = sync / "datasets" / "many"
    photographs(folder, [f"{number:03}.png" for number in range(60)])
    view = start(qtbot, window, folder)
    qtbot.waitUntil(lambda: view.job.state.done >= 2, timeout=LONG)
    click(qtbot, view.cancel_button)
    qtbot.waitUntil(lambda: view.job.state.state == "cancelled", timeout=LONG)
    made = list((view.job.output).glob("*.png"))
    assert 2 <= len(made) < 60 and "Cancelled" in view.headline.text()
    for path in made:
        masks.read(path)


def test_folder_anywhere_on_this_computer(window, tmp_path, qtbot):
    photographs(tmp_path / "camera")
    view = start(qtbot, window, tmp_path / "camera", tmp_path / "camera masks")
    qtbot.waitUntil(lambda: view.job.state.ended, timeout=LONG)
    assert view.job.state.state == "done"
    assert len(list((tmp_path / "camera masks").glob("*.png"))) == 3


def test_rhizovision_format(window, images, sync, qtbot):
    pick(qtbot, window, "Models", "Segment folder")
    (dialog,) = dialogs(SegmentDialog)
    dialog.format.setCurrentIndex(1)
    type_into(qtbot, dialog.input, str(images))
    qtbot.waitUntil(dialog.segment_button.isEnabled, timeout=LONG)
    click(qtbot, dialog.segment_button)
    qtbot.waitUntil(lambda: bool(dialogs(JobWindow)))
    view = dialogs(JobWindow)[-1]
    qtbot.waitUntil(lambda: view.job.state.ended, timeout=LONG)
    from PIL import Image

    picture = Image.open(view.job.output / "one.png")
    assert picture.mode == "L" and set(np.unique(picture)) <= {0, 255}


def test_rootpainters_own_dialog_has_the_model_and_its_bar_ends(window, images, sync, library, qtbot):
    pick(qtbot, window, "Network", "Segment folder")
    widget = window.segment_folder_widget
    qtbot.waitUntil(lambda: bool(widget.selected_models), timeout=LONG)
    assert library.default.title in widget.rootfm_models.currentText()
    output = sync / "own dialog"
    output.mkdir()
    widget.input_dir, widget.output_dir = str(images), str(output)
    widget.validate()
    click(qtbot, widget.submit_btn)
    progress = widget.progress_widget
    qtbot.waitUntil(lambda: hasattr(progress, "done_window"), timeout=LONG)
    assert "broken.png" in progress.done_window.text_area.toPlainText()
    assert len(list(output.glob("*.png"))) == 3
    qtbot.waitUntil(lambda: not progress.watch_thread.isRunning(), timeout=10_000)


def test_rootpainters_own_dialog_refuses_a_folder_outside(window, sync, tmp_path, qtbot):
    pick(qtbot, window, "Network", "Segment folder")
    widget = window.segment_folder_widget
    qtbot.waitUntil(lambda: bool(widget.selected_models), timeout=LONG)
    widget.input_dir, widget.output_dir = str(tmp_path / "camera"), str(sync / "out")
    widget.validate()
    click(qtbot, widget.submit_btn)
    qtbot.waitUntil(said("outside the sync folder"))
    assert not [path for path in (sync / "instructions").iterdir() if path.name.startswith("segment")]
