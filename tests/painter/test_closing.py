"""Before a window is closed, work that would end with it is named; work of before it was opened too."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from rootpainter_rootfm.painter import exchange
from rootpainter_rootfm.painter.exchange import Heartbeat
from rootpainter_rootfm.painter.trainer_life import Life
from tests.painter.drawn import click, dialogs, entry, pick, ready


@pytest.fixture
def window(launcher, library, qtbot):
    return ready(qtbot, launcher.open())


def test_folder_that_goes_on_from_an_earlier_window_is_listed_and_named(window, plugin, sync, monkeypatch, qtbot):
    (sync / "masks").mkdir()
    (sync / "masks" / exchange.JOB).write_text(json.dumps({"job": "abc", "state": "running", "done": 3, "total": 9}))
    trainer = plugin.session.trainer
    trainer._poll.stop()
    monkeypatch.setattr(type(trainer), "running", True)
    assert window.rootfm_closing._work() == ""
    trainer.life = Life.ALIVE
    trainer.heartbeat = Heartbeat(2, "lab", 1, "segmenting", "cpu", job={"id": "abc", "folder": "masks"})
    trainer.changed.emit()
    expected = "The folder masks is being segmented, 3 of 9 done."
    qtbot.waitUntil(lambda: window.rootfm_closing._work() == expected, timeout=10_000)
    window.rootfm_menu._build()
    trainer.heartbeat = replace(trainer.heartbeat, training="oats")
    assert window.rootfm_closing._work() == f"{expected}\nThe project oats is being trained."
    jobs = next(action.menu() for action in window.rootfm_menu.menu.actions() if action.menu())
    assert jobs.isEnabled() and entry(jobs.actions(), "masks: running, 3 of 9")


def test_work_goes_on_unless_its_end_is_chosen(window, qtbot):
    window.rootfm_closing._ask("The project oats is being trained.")
    (box,) = dialogs()
    assert box.defaultButton().text() == "Keep working"
    box.close()
    assert window.isVisible()


@pytest.fixture
def project_window(launcher, library, project, qtbot):
    return ready(qtbot, launcher.open(project))


def annotations(project):
    return [path.name for path in (project.parent / "annotations").rglob("*.png")]


def test_strokes_on_the_screen_are_saved_when_the_window_is_closed(project_window, project):
    project_window.scene.annot_pixmap.fill(project_window.scene.foreground_color)
    project_window.close()
    assert annotations(project) == ["one.png"]


def test_strokes_on_the_screen_are_saved_when_the_project_is_closed(project_window, project, qtbot):
    project_window.scene.annot_pixmap.fill(project_window.scene.foreground_color)
    pick(qtbot, project_window, "Project", "Close project")
    qtbot.waitUntil(lambda: not project_window.isVisible(), timeout=10_000)
    assert annotations(project) == ["one.png"]


def test_window_whose_strokes_cannot_be_saved_stays_open_until_its_user_gives_them_up(
    project_window, project, monkeypatch, qtbot
):
    def fail():
        raise OSError(112, "Host is down")

    monkeypatch.setattr(project_window, "save_annotation", fail)
    project_window.close()
    (box,) = dialogs()
    assert project_window.isVisible() and "cannot be saved: Host is down" in box.text()
    assert box.defaultButton().text() == "Keep the window"
    box.reject()
    assert project_window.isVisible()
    project_window.close()
    drop = next(button for button in dialogs()[-1].buttons() if button.text() == "Close without saving")
    click(qtbot, drop)
    qtbot.waitUntil(lambda: not project_window.isVisible(), timeout=10_000)


def test_closed_window_takes_no_messages_of_the_next_one(project_window, project, qtbot):
    (project.parent / "messages" / "before").touch()
    qtbot.waitUntil(lambda: not list((project.parent / "messages").iterdir()), timeout=10_000)
    project_window.close()
    (project.parent / "messages" / "Training failed").touch()
    qtbot.wait(1500)
    assert [path.name for path in (project.parent / "messages").iterdir()] == ["Training failed"]


def test_project_whose_strokes_cannot_be_saved_is_closed_when_its_user_gives_them_up(
    project_window, launcher, plugin, monkeypatch, qtbot
):
    def fail():
        raise OSError(112, "Host is down")

    monkeypatch.setattr(project_window, "save_annotation", fail)
    pick(qtbot, project_window, "Project", "Close project")
    (box,) = dialogs()
    assert launcher.window is project_window and plugin.session.project == "barley"
    click(qtbot, next(button for button in box.buttons() if button.text() == "Close without saving"))
    qtbot.waitUntil(lambda: not project_window.isVisible(), timeout=10_000)
    assert launcher.window is not project_window and launcher.window.isVisible() and plugin.session.project == ""


def test_closed_project_leaves_the_memory(project_window, qtbot):
    assert project_window.np_im is not None and project_window.scene.history
    pick(qtbot, project_window, "Project", "Close project")
    qtbot.waitUntil(lambda: project_window.np_im is None, timeout=10_000)
    assert not project_window.scene.history and project_window.image_pixmap_holder.pixmap().isNull()


def test_nothing_is_saved_where_nothing_was_painted(project_window, project):
    project_window.close()
    assert not project_window.isVisible() and annotations(project) == []


def test_window_that_was_closed_before_saves_no_more(project_window, project):
    project_window.scene.annot_pixmap.fill(project_window.scene.foreground_color)
    project_window.close()
    (saved,) = (project.parent / "annotations").rglob("*.png")
    saved.write_bytes(b"of a newer window")
    project_window.close()
    assert saved.read_bytes() == b"of a newer window"
