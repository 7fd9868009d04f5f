"""Work off the window's thread."""

from __future__ import annotations

import threading

import pytest
from PyQt5 import QtCore

from rootpainter_rootfm.painter.workers import Poll, Task


def test_task_runs_elsewhere_and_answers_here(qtbot):
    threads = []
    task = Task(lambda cancel, progress: threading.get_ident())
    task.done.connect(lambda ident: threads.append((ident, threading.get_ident())))
    with qtbot.waitSignal(task.done, timeout=5000):
        task.start()
    ((worker, here),) = threads
    assert worker != here == threading.get_ident()


def test_task_delivers_errors_and_progress(qtbot):
    steps = []

    def work(cancel, progress):
        progress(1, 2, "one")
        raise ValueError("no")

    task = Task(work)
    task.progress.connect(lambda *step: steps.append(step))
    with qtbot.waitSignal(task.failed, timeout=5000) as failed:
        task.start()
    assert str(failed.args[0]) == "no" and steps == [(1, 2, "one")]


def test_cancelled_task_says_so_and_nothing_else(qtbot):
    begun = threading.Event()

    def work(cancel, progress):
        begun.set()
        while True:
            cancel.check()

    task = Task(work)
    task.done.connect(lambda result: pytest.fail("it was cancelled"))
    task.start()
    begun.wait(5)
    with qtbot.waitSignal(task.cancelled, timeout=5000):
        task.cancel()


def test_poll_looks_again_until_stopped(qtbot):
    looks = []
    owner = QtCore.QObject()
    poll = Poll(lambda: len(looks), 0.02, owner)
    poll.seen.connect(looks.append)
    poll.start()
    qtbot.waitUntil(lambda: len(looks) >= 3, timeout=5000)
    poll.stop()
    seen = len(looks)
    qtbot.wait(100)
    assert len(looks) == seen


def test_poll_looks_on_where_a_drive_is_away_for_a_moment(qtbot):
    answers = [OSError(112, "Host is down"), OSError(112, "Host is down"), "back"]

    def look():
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, OSError):
            raise answer
        return answer

    seen = []
    owner = QtCore.QObject()
    poll = Poll(look, 0.02, owner)
    poll.seen.connect(seen.append)
    poll.start()
    qtbot.waitUntil(lambda: bool(seen), timeout=5000)
    assert seen[0] == "back"
    poll.stop()


def test_poll_never_has_two_looks_at_once(qtbot):
    free = threading.Event()
    entered = []
    owner = QtCore.QObject()
    poll = Poll(lambda: (entered.append(1), free.wait(5)), 0.01, owner)
    poll.start()
    qtbot.wait(150)
    assert len(entered) == 1
    free.set()
    qtbot.waitUntil(lambda: len(entered) > 1, timeout=5000)
    poll.stop()
