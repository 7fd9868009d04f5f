"""Masks and messages as they come, also after a moment in which the drive was away."""

from __future__ import annotations

import os

import numpy as np
import pytest

from rootpainter_rootfm import masks
from tests.painter.drawn import make_project, ready

WAIT = 10_000


@pytest.fixture
def project(sync):
    return make_project(sync, "barley", masks=False)


@pytest.fixture
def window(launcher, library, project, qtbot):
    return ready(qtbot, launcher.open(project))


def put_mask(window):
    masks.write(np.ones((96, 128), bool), window.seg_path)
    return os.path.getmtime(window.seg_path)


def test_mask_that_comes_lets_its_user_go_on(window, qtbot):
    assert not window.nav.next_image_button.isEnabled()
    written = put_mask(window)
    qtbot.waitUntil(window.nav.next_image_button.isEnabled, timeout=WAIT)
    assert window.seg_mtime == written and window.seg_pixmap.width() == 128
    assert window.vis_widget.seg_checkbox.text() == "Segmentation (S)"


def test_drive_that_was_away_for_a_moment_brings_masks_and_messages_again(window, sync, project, qtbot):
    away = sync.with_name("away")
    sync.rename(away)
    qtbot.wait(1200)
    away.rename(sync)
    put_mask(window)
    (project.parent / "messages" / "Training started").touch()
    qtbot.waitUntil(window.nav.next_image_button.isEnabled, timeout=WAIT)
    qtbot.waitUntil(lambda: window.messages_label.text() == "Training started", timeout=WAIT)


def test_message_is_shown_each_time_it_comes_and_removed(window, project, qtbot):
    message = project.parent / "messages" / "Training stopped"
    for _ in range(2):
        window.messages_label.setText("")
        message.touch()
        qtbot.waitUntil(lambda: window.messages_label.text() == "Training stopped", timeout=WAIT)
        qtbot.waitUntil(lambda: not message.exists(), timeout=WAIT)


def test_half_a_mask_is_waited_for(window, qtbot):
    with open(window.seg_path, "wb") as file:
        file.write(b"\x89PNG")
    qtbot.wait(1200)
    assert not window.nav.next_image_button.isEnabled()
    put_mask(window)
    qtbot.waitUntil(window.nav.next_image_button.isEnabled, timeout=WAIT)
