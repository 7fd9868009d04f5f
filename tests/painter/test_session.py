"""What all windows share: models for the trainers, and the way to another sync folder."""

from __future__ import annotations

from rootpainter_rootfm.painter.session import Session
from tests.painter.drawn import entry, make_project, ready


def test_model_that_cannot_be_looked_for_is_a_failure_with_its_cause(sync, library, monkeypatch, qtbot):
    session = Session(sync, starts_trainer=False)
    # No file system takes such a name, whoever asks for it.
    (sync / "models_rootfm").mkdir()
    monkeypatch.setattr(session, "prepared", lambda card: sync / "models_rootfm" / f"{'a' * 300}.pth")
    made, failures = [], []
    session.prepare(library.default, made.append, failures.append)
    qtbot.waitUntil(lambda: bool(failures), timeout=60_000)
    assert not made and "File name too long" in str(failures[0]) and "the folder gone?" in str(failures[0])
    session.shut_down()


def extras(window):
    return entry(window.menuBar().actions(), "Extras").menu().actions()


def test_sync_folder_cannot_be_changed_under_an_open_project(launcher, library, sync, qtbot):
    window = ready(qtbot, launcher.open())
    assert entry(extras(window), "Specify sync directory").isEnabled()
    window = ready(qtbot, launcher.open(make_project(sync, "oats")))
    action = entry(extras(window), "Specify sync directory")
    assert not action.isEnabled() and "close the project first" in action.text()
