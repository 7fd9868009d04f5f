"""The dialog that starts a folder job: what it found is only good for the folders it looked at."""

from __future__ import annotations

import threading

import pytest
from PyQt5 import QtCore

from rootpainter_rootfm.painter import segment_dialog
from rootpainter_rootfm.painter.exchange import Heartbeat
from rootpainter_rootfm.painter.job_window import JobWindow
from rootpainter_rootfm.painter.preflight import Finding, Level
from rootpainter_rootfm.painter.segment_dialog import SegmentDialog
from rootpainter_rootfm.painter.trainer_life import Life
from tests.painter.drawn import click, dialogs, photographs, pick, ready


@pytest.fixture
def session(launcher, plugin, library):
    launcher.open()
    session = plugin.session
    session.trainer._poll.stop()
    session.trainer.life = Life.ALIVE
    session.trainer.heartbeat = Heartbeat(1, "lab", 1, "idle", "cpu")
    yield session
    for job in session.jobs:
        job._poll.stop()


@pytest.fixture
def dialog(session, launcher, sync, qtbot):
    """The dialog, ready to segment a folder of three images."""
    window = ready(qtbot, launcher.window)
    qtbot.waitUntil(lambda: bool(session.cards), timeout=10_000)
    return opened(qtbot, window, sync)


def opened(qtbot, window, sync):
    pick(qtbot, window, "Models", "Segment folder")
    (dialog,) = dialogs(SegmentDialog)
    photographs(sync / "datasets" / "plots")
    dialog.input.setText(str(sync / "datasets" / "plots"))
    qtbot.waitUntil(dialog.segment_button.isEnabled, timeout=10_000)
    return dialog


def test_another_folder_cannot_be_started_on_the_report_of_the_first(dialog, session, sync, qtbot):
    dialog.input.setText(str(sync / "datasets"))
    assert not dialog.segment_button.isEnabled()
    qtbot.keyClick(dialog, QtCore.Qt.Key_Return)
    assert not session.jobs


def test_report_that_comes_late_is_not_believed(dialog, sync, monkeypatch, qtbot):
    gate, report = threading.Event(), dialog._report
    monkeypatch.setattr(segment_dialog, "check", lambda *what: (gate.wait(10), report)[1])
    dialog._look()
    dialog.input.setText(str(sync / "datasets"))
    dialog._timer.stop()
    gate.set()
    qtbot.wait(200)
    assert not dialog.segment_button.isEnabled() and dialog._report is None


def test_look_that_fails_says_why(dialog, monkeypatch, qtbot):
    def fail(*what):
        raise RuntimeError("the drive is gone")

    monkeypatch.setattr(segment_dialog, "check", fail)
    dialog._look_soon()
    qtbot.waitUntil(lambda: "the drive is gone" in dialog.findings.text(), timeout=10_000)
    assert not dialog.segment_button.isEnabled()


def test_second_start_into_one_folder_shows_its_job(dialog, launcher, session, sync, monkeypatch, qtbot):
    monkeypatch.setattr(session, "prepare", lambda *what: None)
    click(qtbot, dialog.segment_button)
    (first,) = session.jobs
    for view in dialogs(JobWindow):
        view.close()
    again = opened(qtbot, launcher.window, sync)
    click(qtbot, again.segment_button)
    assert session.jobs == [first]
    assert dialogs(JobWindow)[-1].job is first


@pytest.mark.parametrize(
    ("state", "turn"),
    [
        ("training", "Your folder is done first; training goes on after it."),
        ("segmenting", "Your folder waits for its turn."),
    ],
)
def test_when_the_folder_has_its_turn(dialog, session, qtbot, state, turn):
    session.trainer.heartbeat = Heartbeat(1, "lab", 1, state, "cpu", project="oats")
    dialog._look_soon()
    qtbot.waitUntil(lambda: turn in dialog.findings.text(), timeout=10_000)


def test_field_that_is_empty_is_named(dialog, qtbot):
    dialog.output.clear()
    qtbot.waitUntil(lambda: "Choose a folder for the masks." in dialog.findings.text(), timeout=10_000)
    dialog.input.clear()
    qtbot.waitUntil(lambda: "Choose the folder with the images." in dialog.findings.text(), timeout=10_000)


def test_dialog_grows_until_the_last_finding_is_seen(dialog, qtbot):
    dialog._show_findings([Finding(Level.NOTE, "A long finding. " * 15)] * 4)
    qtbot.waitUntil(lambda: dialog.findings.height() >= dialog.findings.heightForWidth(dialog.findings.width()))
