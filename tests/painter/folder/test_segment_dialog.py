"""The dialog that starts a folder job: what it found is only good for the folders it looked at."""

from __future__ import annotations

import dataclasses
import threading

import pytest
from PyQt5 import QtCore

from rootpainter_rootfm.painter.exchange import Heartbeat
from rootpainter_rootfm.painter.folder import segment_dialog
from rootpainter_rootfm.painter.folder.job_window import JobWindow
from rootpainter_rootfm.painter.folder.preflight import Finding, Level
from rootpainter_rootfm.painter.folder.segment_dialog import SegmentDialog
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


def test_state_of_the_trainer_is_shown_without_another_look(dialog, session, monkeypatch, qtbot):
    looks = []
    monkeypatch.setattr(segment_dialog, "check", lambda *what: looks.append(what))
    session.trainer.heartbeat = Heartbeat(2, "lab", 1, "segmenting", "cpu")
    session.trainer.changed.emit()
    assert "waits for its turn" in dialog.findings.text() and dialog.segment_button.isEnabled()
    session.trainer.life = Life.SILENT
    session.trainer.changed.emit()
    assert "No trainer" in dialog.findings.text() and not dialog.segment_button.isEnabled()
    qtbot.wait(500)
    assert not looks


def test_trainer_that_reaches_other_folders_is_another_look(dialog, session, monkeypatch, qtbot):
    assert not dialog._reach[1]
    monkeypatch.setattr(dialog, "_local", lambda: True)
    session.trainer.changed.emit()
    assert not dialog.segment_button.isEnabled()
    qtbot.waitUntil(lambda: dialog.segment_button.isEnabled() and dialog._reach[1], timeout=10_000)


def test_look_goes_on_while_the_trainer_changes_its_state(dialog, session, sync, monkeypatch, qtbot):
    gate, check = threading.Event(), segment_dialog.check
    monkeypatch.setattr(segment_dialog, "check", lambda *what: (gate.wait(10), check(*what))[1])
    dialog.again.setChecked(True)
    qtbot.waitUntil(lambda: dialog._task is not None, timeout=10_000)
    for beat in range(4):
        session.trainer.heartbeat = Heartbeat(beat, "lab", 1, ("idle", "segmenting")[beat % 2], "cpu")
        session.trainer.changed.emit()
    gate.set()
    qtbot.waitUntil(dialog.segment_button.isEnabled, timeout=10_000)


def test_output_is_suggested_off_the_windows_thread(dialog, sync, monkeypatch, qtbot):
    threads, suggest = [], segment_dialog.suggest_output

    def noted(*what):
        threads.append(threading.current_thread())
        return suggest(*what)

    monkeypatch.setattr(segment_dialog, "suggest_output", noted)
    photographs(sync / "datasets" / "field" / "images")
    dialog.input.setText(f'"{sync / "datasets" / "field" / "images"}"')
    qtbot.waitUntil(dialog.segment_button.isEnabled, timeout=10_000)
    assert dialog.output.text() == str(sync / "segmentations" / "field_images_rootfm")
    assert threads and threading.main_thread() not in threads


def test_output_that_the_user_chose_stays(dialog, sync, qtbot):
    dialog.output.setText(str(sync / "my masks"))
    photographs(sync / "datasets" / "field")
    dialog.input.setText(str(sync / "datasets" / "field"))
    qtbot.waitUntil(dialog.segment_button.isEnabled, timeout=10_000)
    assert dialog.output.text() == str(sync / "my masks") and dialog._report.order.output == sync / "my masks"


def test_chosen_model_stays_when_the_library_is_read_again(dialog, session, library, qtbot):
    names = [dialog.model.itemData(index).name for index in range(dialog.model.count())]
    assert dialog.model.currentData().name == library.default.name
    dialog.model.setFocus()
    for _ in range(names.index(library.other.name) - names.index(library.default.name)):
        qtbot.keyClick(dialog.model, QtCore.Qt.Key_Down)
    for _ in range(names.index(library.default.name) - names.index(library.other.name)):
        qtbot.keyClick(dialog.model, QtCore.Qt.Key_Up)
    assert dialog.model.currentData().name == library.other.name
    session.cards_changed.emit()
    assert dialog.model.currentData().name == library.other.name


def test_models_of_one_title_are_two(dialog, session, library):
    twin = dataclasses.replace(library.default, name="twin")
    session.cards = [library.default, twin]
    session.preferences.model = "twin"
    session.cards_changed.emit()
    assert dialog.model.currentData().card is twin
    texts = [dialog.model.itemText(index) for index in range(dialog.model.count())]
    assert texts == [f"{twin.title} ({library.default.name})", f"{twin.title} (twin)"]


def test_names_of_folders_are_no_html(dialog, qtbot):
    dialog._show_findings([Finding(Level.NOTE, "There are no images in roots<2mm & more.")])
    assert "roots&lt;2mm &amp; more" in dialog.findings.text()


def test_field_that_is_empty_is_named(dialog, qtbot):
    dialog.output.clear()
    qtbot.waitUntil(lambda: "Choose a folder for the masks." in dialog.findings.text(), timeout=10_000)
    dialog.input.clear()
    qtbot.waitUntil(lambda: "Choose the folder with the images." in dialog.findings.text(), timeout=10_000)


def test_dialog_grows_until_the_last_finding_is_seen(dialog, qtbot):
    dialog._show_findings([Finding(Level.NOTE, "A long finding. " * 15)] * 4)
    qtbot.waitUntil(lambda: dialog.findings.height() >= dialog.findings.heightForWidth(dialog.findings.width()))
