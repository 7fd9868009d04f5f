"""The trainer that the window starts: one, and no longer than the window."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from PyQt5 import QtCore

from rootpainter_rootfm.painter.exchange import read_heartbeat
from tests.painter.drawn import ready, said

LONG = 300_000


@pytest.fixture
def trainer(launcher, plugin, library, qtbot):
    plugin.starts_trainer = True
    window = launcher.open()
    trainer = plugin.session.trainer
    assert "starting" in window.rootfm_status.text() or "looking" in window.rootfm_status.text()
    qtbot.waitUntil(lambda: trainer.alive, timeout=LONG)
    assert "ready" in window.rootfm_status.text()
    ready(qtbot, window)
    return trainer


def test_one_is_started_and_ends_in_good_order_with_the_program(trainer, plugin):
    trainer.start()
    (process,) = trainer.findChildren(QtCore.QProcess)
    plugin.shut_down()
    assert process.state() == QtCore.QProcess.NotRunning
    assert read_heartbeat(trainer.folder).stopped


def test_killed_one_is_reported_and_can_be_started_again(trainer, plugin, qtbot):
    trainer._process.kill()
    qtbot.waitUntil(said("The trainer has ended"), timeout=20_000)
    assert said("Start it again from Models")()
    qtbot.waitUntil(lambda: not trainer.alive, timeout=20_000)
    trainer.start()
    assert trainer.running


@pytest.mark.skipif(os.name == "nt", reason="a process is killed in another way there")
def test_it_ends_when_the_window_was_killed(tmp_path, sync, library, qtbot):
    program = f"""
import sys, time
from pathlib import Path
from PyQt5 import QtCore, QtWidgets
app = QtWidgets.QApplication([])
from rootpainter_rootfm.painter.trainer_control import TrainerControl
control = TrainerControl(Path({str(sync)!r}), True)
app.exec_()
"""
    window = subprocess.Popen([sys.executable, "-c", program])
    qtbot.waitUntil(lambda: read_heartbeat(sync) is not None, timeout=LONG)
    window.kill()
    window.wait()
    qtbot.waitUntil(lambda: read_heartbeat(sync).stopped, timeout=30_000)


def test_trainer_elsewhere_is_used_and_none_started(serving, host, loaded, plugin, library_home, qtbot):
    from rootpainter_rootfm.painter.trainer_control import TrainerControl

    qtbot.waitUntil(lambda: read_heartbeat(serving) is not None, timeout=LONG)
    control = TrainerControl(serving, wanted=True)
    qtbot.waitUntil(lambda: control.alive, timeout=LONG)
    qtbot.wait(2500)
    assert not control.running
    control.shut_down()
