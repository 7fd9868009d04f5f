"""A user who waits for a mask is told why it does not come."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from rootpainter_rootfm import masks
from rootpainter_rootfm.painter import exchange
from rootpainter_rootfm.painter.exchange import Heartbeat
from rootpainter_rootfm.painter.project import waiting
from rootpainter_rootfm.painter.trainer_life import Life
from tests.painter.drawn import click, dialogs, make_project, ready, said


@pytest.fixture
def window(launcher, library, sync, monkeypatch, qtbot):
    monkeypatch.setattr(waiting, "_PATIENCE", 0.2)
    monkeypatch.setattr(waiting, "_LOOK_EVERY", 0.2)
    monkeypatch.setattr(waiting, "_OLD_TRAINER_PATIENCE", 0.5)
    window = launcher.open(make_project(sync, "oats"))
    return ready(qtbot, window)


@pytest.mark.parametrize(
    ("message", "named"),
    [("one.png cannot be read.", True), ("Failed: one.png", True), ("someone.png cannot be read.", False), ("", False)],
)
def test_failure_of_another_image_is_not_this_ones(message, named):
    assert waiting._names(message, "one.png") is named


@pytest.mark.parametrize(("project", "given_up"), [("oats", True), (None, True), ("barley", False)])
def test_failure_of_an_image_of_another_project_is_not_this_ones(window, plugin, project, given_up):
    trainer = plugin.session.trainer
    trainer._poll.stop()
    trainer.life = Life.ALIVE
    error = {"time": 1.0, "message": "one.png cannot be read.", "project": project}
    trainer.heartbeat = Heartbeat(1, "lab", 1, "idle", "cpu", last_error=error)
    assert window.rootfm_project._wait._given_up is given_up


def test_nobody_takes_the_request(window, qtbot):
    qtbot.waitUntil(said("No trainer answers"), timeout=10_000)
    assert said("rootfm trainer --syncdir")()
    (box,) = [box for box in dialogs() if box.text() == "No trainer answers"]
    box.close()
    qtbot.wait(700)
    assert not said("No trainer answers")()  # it is said once


def test_trainer_without_the_plugin_takes_it(window, sync, qtbot):
    for path in (sync / "instructions").iterdir():
        path.unlink()
    qtbot.waitUntil(said("A trainer without this plugin answers"), timeout=10_000)
    assert said("'pip install .' in this program's folder")()


def test_trainer_of_ours_that_was_stopped_is_not_taken_for_one_without_the_plugin(window, sync, qtbot):
    taken = sync / "instructions" / exchange.TAKEN
    taken.mkdir()
    for path in list((sync / "instructions").glob("segment_*")):
        path.rename(taken / path.name)
    qtbot.waitUntil(said("No trainer answers"), timeout=10_000)
    qtbot.wait(700)
    assert not said("A trainer without this plugin answers")()


def test_word_is_taken_back_when_the_mask_comes(window, sync, qtbot):
    qtbot.waitUntil(said("No trainer answers"), timeout=10_000)
    masks.write(np.ones((96, 128), bool), sync / "projects" / "oats" / "segmentations" / "one.png")
    qtbot.waitUntil(lambda: not said("No trainer answers")(), timeout=10_000)


def test_busy_trainer_is_named_at_the_lower_edge(window, plugin, sync, qtbot):
    trainer = plugin.session.trainer
    trainer._poll.stop()
    trainer.life = Life.ALIVE
    trainer.heartbeat = Heartbeat(1, "lab", 1, "training", "cpu", project="barley")
    shown = window.statusBar().currentMessage
    qtbot.waitUntil(lambda: "the trainer trains" in shown(), timeout=10_000)
    trainer.heartbeat = Heartbeat(2, "lab", 1, "segmenting", "cpu", job={"id": "1", "folder": "out"})
    qtbot.waitUntil(lambda: "the trainer segments a folder" in shown(), timeout=10_000)
    trainer.heartbeat = Heartbeat(3, "lab", 1, "segmenting", "cpu", project="oats")
    qtbot.waitUntil(lambda: "the trainer is at work on it" in shown(), timeout=10_000)
    masks.write(np.ones((96, 128), bool), sync / "projects" / "oats" / "segmentations" / "one.png")
    qtbot.waitUntil(lambda: "Waiting" not in shown(), timeout=10_000)


@pytest.mark.parametrize("other", [False, True], ids=["idle", "other folder"])
def test_image_without_a_mask_does_not_hold_its_user(window, plugin, sync, monkeypatch, qtbot, other):
    monkeypatch.setattr(waiting, "_LOOKS_WITHOUT_WORD", 2)
    trainer = plugin.session.trainer
    trainer._poll.stop()
    trainer.life = Life.ALIVE
    trainer.heartbeat = Heartbeat(1, "lab", 1, "idle", "cpu")
    qtbot.waitUntil(lambda: "has not sent it yet" in window.statusBar().currentMessage(), timeout=10_000)
    assert not window.nav.next_image_button.isEnabled()
    for path in (sync / "instructions").glob("segment_*"):
        path.unlink()  # as when a trainer has given it up
    if other:
        content = {"file_names": ["one.png"], "seg_dir": "segmentations/other"}
        (sync / "instructions" / "segment_7").write_text(json.dumps(content))
    qtbot.waitUntil(window.nav.next_image_button.isEnabled, timeout=10_000)
    assert "No mask could be made of one.png" in window.statusBar().currentMessage()
    click(qtbot, window.nav.next_image_button)
    assert window.image_path.endswith("two.png")


def test_trainer_that_comes_late_is_asked_again(window, plugin, sync, qtbot):
    for path in (sync / "instructions").iterdir():
        path.unlink()
    trainer = plugin.session.trainer
    trainer._poll.stop()
    trainer.life = Life.ALIVE
    trainer.changed.emit()
    assert [path for path in (sync / "instructions").iterdir() if path.name.startswith("segment_")]


@pytest.mark.parametrize(("project", "told"), [("oats", True), (None, True), ("barley", False)])
def test_what_the_trainer_could_not_do_is_shown_once_where_it_concerns(window, plugin, sync, qtbot, project, told):
    trainer, notices = plugin.session.trainer, []
    plugin.session.notice.connect(notices.append)
    beat = {"protocol": 1, "host": "lab", "pid": 1, "state": "idle", "device": "cpu"}

    def write(number, message="", project=None):
        error = {"time": float(number), "message": message, "project": project} if message else None
        content = beat | {"beat": number, "last_error": error}
        (sync / exchange.HEARTBEAT).write_text(json.dumps(content))

    write(1)
    qtbot.waitUntil(lambda: trainer.heartbeat is not None, timeout=10_000)
    write(2)
    qtbot.waitUntil(lambda: trainer.alive, timeout=10_000)
    write(3, "The disk is full. Free some space.", project)
    qtbot.waitUntil(lambda: trainer.heartbeat.beat == 3, timeout=10_000)
    assert said("The disk is full")() is told
    assert bool(notices) is not told
    count = len(dialogs())
    trainer._see(replace(trainer.heartbeat, beat=4))
    assert len(dialogs()) == count
