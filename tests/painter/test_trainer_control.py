"""When a trainer is started, with no trainer at all: what the heartbeat says is given, and the clock too."""

from __future__ import annotations

import platform
from dataclasses import replace
from types import SimpleNamespace

import pytest
from PyQt5 import QtCore

from rootpainter_rootfm.painter import trainer_control
from rootpainter_rootfm.painter.exchange import Heartbeat
from rootpainter_rootfm.painter.trainer_control import TrainerControl
from rootpainter_rootfm.painter.trainer_life import SILENT_AFTER, Life
from rootpainter_rootfm.trainer.main import EXIT_REFUSED, EXIT_SERVED

BEAT = Heartbeat(
    beat=1, host=platform.node(), pid=7, state="segmenting", device="cpu", job={"id": "abc", "folder": "masks"}
)


@pytest.fixture
def launched(monkeypatch):
    """The controls that have started a process."""
    launched = []
    monkeypatch.setattr(TrainerControl, "_launch", lambda control: launched.append(control))
    return launched


@pytest.fixture
def see(monkeypatch):
    """Gives a control one look at the heartbeat, at a second of its clock."""

    def see(control, beat, second):
        monkeypatch.setattr(trainer_control, "time", SimpleNamespace(monotonic=lambda: second))
        control._see(beat)

    return see


def control(sync, wanted):
    control = TrainerControl(sync, wanted)
    control._poll.stop()
    return control


def test_heartbeat_that_cannot_be_read_once_starts_no_second_trainer(sync, launched, see, qapp):
    trainer = control(sync, wanted=True)
    for number in range(3):
        see(trainer, replace(BEAT, beat=number), 2 * number)
    see(trainer, None, 5)
    assert trainer.alive and not launched
    assert trainer.heartbeat.job == BEAT.job  # and the lamp, the jobs and the question when closing still know of it


def test_trainer_is_started_when_the_heartbeat_stays_away(sync, launched, see, qapp):
    trainer = control(sync, wanted=True)
    see(trainer, BEAT, 0)
    see(trainer, None, SILENT_AFTER + 1)
    assert launched == [trainer] and trainer.heartbeat is None


def test_trainer_elsewhere_is_awaited_until_it_takes_its_leave(sync, launched, see, qapp):
    trainer = control(sync, wanted=False)
    see(trainer, None, 0)
    assert not trainer.awaited
    see(trainer, BEAT, 1)
    see(trainer, BEAT, 2 + SILENT_AFTER)
    assert trainer.life is Life.SILENT and trainer.awaited
    see(trainer, replace(BEAT, stopped=True), 3 + SILENT_AFTER)
    assert not trainer.awaited and not launched


def test_trainer_that_the_user_starts_is_meant_to_run_from_then_on(sync, launched, see, qapp):
    trainer = control(sync, wanted=False)
    see(trainer, None, 0)
    assert trainer.life is Life.SILENT and not trainer.expected and not launched
    trainer.start()
    assert trainer.expected and launched == [trainer]


def test_trainer_elsewhere_whose_beats_come_late_is_awaited_by_ours_and_nobody_is_alarmed(sync, launched, see, qapp):
    trainer, alarms = control(sync, wanted=True), []
    trainer.trouble.connect(lambda title, text: alarms.append(title))
    elsewhere = replace(BEAT, host="lab")
    see(trainer, elsewhere, 0)
    see(trainer, elsewhere, 1 + SILENT_AFTER)
    assert launched == [trainer] and not trainer.unanswered
    # Ours has seen a beat change, and ends before this window has looked.
    trainer._ended(EXIT_SERVED, QtCore.QProcess.NormalExit)
    assert not alarms
    trainer._ended(EXIT_REFUSED, QtCore.QProcess.NormalExit)
    assert alarms == ["The trainer has ended"]


def test_its_process_takes_no_module_from_the_folder_where_the_user_is(sync, monkeypatch, qapp):
    monkeypatch.setattr(QtCore.QProcess, "start", lambda process: None)
    trainer = control(sync, wanted=True)
    trainer._launch()
    assert trainer._process.arguments()[0] == "-P"
