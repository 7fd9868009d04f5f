"""A folder job from its start to its end, with no trainer but the files that one would take and write."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest
from PyQt5 import QtWidgets

from rootpainter_rootfm.masks import MaskFormat
from rootpainter_rootfm.painter import exchange, sync_folder
from rootpainter_rootfm.painter.exchange import Heartbeat, JobState
from rootpainter_rootfm.painter.folder import jobs
from rootpainter_rootfm.painter.folder.job_window import JobWindow, headline
from rootpainter_rootfm.painter.folder.jobs import adopt
from rootpainter_rootfm.painter.folder.new_job import NewJob
from rootpainter_rootfm.painter.folder.preflight import Order
from rootpainter_rootfm.painter.models.choice import JobModel
from rootpainter_rootfm.painter.session import Session
from rootpainter_rootfm.painter.trainer_life import Life

NAMES = ("a.png", "b.png")


@pytest.fixture
def session(sync, library_home, qtbot, monkeypatch):
    monkeypatch.setattr(jobs, "_LOOK_EVERY", 0.05)
    monkeypatch.setattr(jobs, "_UNNAMED_FOR", 0.3)
    session = Session(sync, starts_trainer=False)
    session.trainer._poll.stop()
    yield session
    for job in session.jobs:
        job._poll.stop()
    session.shut_down()


@pytest.fixture
def job(session, sync):
    order = Order(sync / "datasets", sync / "masks", MaskFormat.ROOTPAINTER)
    return NewJob(session, order, JobModel("checkpoint", file=sync / "models" / "000001_1.pth"), NAMES)


def trainer_says(session, job=None):
    """A trainer answers and works on that job."""
    session.trainer.life = Life.ALIVE
    session.trainer.heartbeat = Heartbeat(1, "lab", 1, "idle", "cpu", job=job and {"id": job, "folder": "masks"})
    session.trainer.changed.emit()


def sent(sync, name):
    return [path for path in (sync / "instructions").iterdir() if path.name.startswith(f"{name}_")]


def take(qtbot, sync):
    """Takes the instruction as a trainer does."""
    qtbot.waitUntil(lambda: bool(sent(sync, "segment")), timeout=10_000)
    qtbot.wait(50)  # the window knows that it was sent
    sent(sync, "segment")[0].unlink()


def write(job, state, identity=None):
    content = {"job": identity or job.id, "state": state, "done": 1, "total": 2}
    (job.output / exchange.JOB).write_text(json.dumps(content))


def shown(qtbot, session, job):
    view = JobWindow(session, job, None)
    qtbot.addWidget(view)
    return view


def cancels(sync):
    return [exchange.read_json(path)["rootfm"]["cancel"] for path in sent(sync, "trainer_status")]


def test_job_cancelled_while_its_model_is_prepared_is_not_sent(session, job, library, sync, monkeypatch, qtbot):
    ready = []
    monkeypatch.setattr(session, "prepare", lambda card, then, failed: ready.append(then))
    job.model = JobModel("default", card=library.default)
    trainer_says(session)
    job.start()
    job.cancel()
    assert job.state.state == "cancelled"
    ready[0](sync / "model.pth")
    qtbot.wait(200)
    assert not list((sync / "instructions").iterdir())


def test_job_cancelled_while_it_is_being_sent_is_taken_back(session, job, sync, monkeypatch, qtbot):
    gate, send = threading.Event(), exchange.send
    monkeypatch.setattr(exchange, "send", lambda *what: (gate.wait(10), send(*what))[1])
    job.start()
    job.cancel()
    gate.set()
    qtbot.waitUntil(lambda: job._sent is not None and not job._sent.exists(), timeout=10_000)
    assert job.state.state == "cancelled" and not sent(sync, "segment")


def test_job_that_nobody_has_taken_is_taken_back(session, job, sync, qtbot):
    job.start()
    qtbot.waitUntil(lambda: job._sent is not None, timeout=10_000)
    job.cancel()
    qtbot.waitUntil(lambda: job.state.state == "cancelled", timeout=10_000)
    assert not sent(sync, "segment")


def test_trainer_that_took_it_and_answers_later_is_told_then(session, job, sync, qtbot):
    job.start()
    take(qtbot, sync)
    job.cancel()
    qtbot.waitUntil(lambda: job.state.state == "cancelled", timeout=10_000)
    assert "as soon as it answers" in job.state.message and not cancels(sync)
    trainer_says(session, job.id)
    qtbot.waitUntil(lambda: cancels(sync) == [job.id], timeout=10_000)


def test_job_at_work_ends_when_the_trainer_says_so(session, job, sync, qtbot):
    job.start()
    take(qtbot, sync)
    write(job, "running")
    trainer_says(session, job.id)
    view = shown(qtbot, session, job)
    qtbot.waitUntil(lambda: job.state.state == "running", timeout=10_000)
    job.cancel()
    assert "Stopping" in view.current.text() and not view.cancel_button.isEnabled()
    qtbot.waitUntil(lambda: cancels(sync) == [job.id], timeout=10_000)
    qtbot.wait(500)
    assert job.state.state == "running", "an image may take minutes"
    write(job, "cancelled")
    qtbot.waitUntil(lambda: job.state.state == "cancelled", timeout=10_000)


def test_cancelled_job_of_which_the_trainer_knows_nothing_ends(session, job, sync, qtbot):
    job.start()
    trainer_says(session)
    take(qtbot, sync)
    job.cancel()
    qtbot.waitUntil(lambda: job.state.state == "cancelled", timeout=10_000)


def test_refused_job_ends_with_the_words_of_the_trainer(session, job, sync, qtbot):
    job.start()
    qtbot.waitUntil(lambda: job._sent is not None, timeout=10_000)
    (sync / "failed_instructions" / f"{job._sent.name}_exception.txt").write_text("It is outside.\nTraceback")
    job._sent.unlink()
    qtbot.waitUntil(lambda: job.state.ended, timeout=10_000)
    assert (job.state.state, job.state.message) == ("failed", "It is outside.")


def test_job_whose_folder_another_one_took_ends(session, job, sync, qtbot):
    job.start()
    take(qtbot, sync)
    trainer_says(session, job.id)
    write(job, "running")
    qtbot.waitUntil(lambda: job.state.state == "running", timeout=10_000)
    write(job, "queued", "another")
    qtbot.wait(500)
    assert job.state.state == "running", "the other one waits for its turn"
    write(job, "running", "another")
    trainer_says(session, "another")
    qtbot.waitUntil(lambda: job.state.ended, timeout=10_000)
    assert job.state.state == "failed" and "took over" in job.state.message and job.state.done == 1


def test_what_an_earlier_job_left_in_the_folder_is_no_sign(session, job, sync, qtbot):
    job.output.mkdir()
    write(job, "done", "earlier")
    job.start()
    qtbot.wait(600)
    assert not job.state.ended


def test_new_failures_are_added_to_the_ones_shown(session, job, qtbot):
    many = JobState(job.id, "running", 200, 200, failed=tuple((f"{n:03}.png", "broken") for n in range(200)))
    job.state = replace(many, failed=many.failed[:99])
    view = shown(qtbot, session, job)
    first, heights = view.failures.item(0, 0), view.failures.verticalHeader()
    assert heights.sectionResizeMode(0) == QtWidgets.QHeaderView.ResizeToContents
    job.state = many
    job.changed.emit()
    assert view.failures.item(0, 0) is first and view.failures.item(199, 0).text() == "199.png"
    assert heights.sectionResizeMode(0) == QtWidgets.QHeaderView.Fixed


def test_failure_that_comes_in_between_is_shown_in_its_place(session, job, qtbot):
    failed = tuple((name, "broken") for name in ("a.png", "b.png", "c.png"))
    job.state = JobState(job.id, "running", 3, 9, failed=(failed[0], failed[2]))
    view = shown(qtbot, session, job)
    job.state = replace(job.state, failed=failed)
    job.changed.emit()
    assert [view.failures.item(row, 0).text() for row in range(3)] == ["a.png", "b.png", "c.png"]


def write_adopted(sync, state, done=3, total=9):
    content = {"job": "abc", "state": state, "done": done, "total": total}
    (sync / "masks").mkdir(exist_ok=True)
    (sync / "masks" / exchange.JOB).write_text(json.dumps(content))


def test_job_of_an_earlier_window_is_followed_and_cancelled(session, sync, qtbot):
    write_adopted(sync, "running")
    trainer_says(session, "abc")
    adopt(session)
    adopt(session)
    (job,) = session.jobs
    qtbot.waitUntil(lambda: (job.state.done, job.state.total) == (3, 9), timeout=10_000)
    view = shown(qtbot, session, job)
    assert view.windowTitle() == "Segmenting masks" and "3 of 9 images" in view.headline.text()
    job.cancel()
    qtbot.waitUntil(lambda: cancels(sync) == ["abc"], timeout=10_000)
    write_adopted(sync, "cancelled")
    qtbot.waitUntil(lambda: job.state.state == "cancelled", timeout=10_000)


def test_job_of_an_earlier_window_waits_while_its_trainer_is_away(session, sync, qtbot):
    write_adopted(sync, "queued")
    trainer_says(session, "abc")
    adopt(session)
    (job,) = session.jobs
    qtbot.waitUntil(lambda: job.state.state == "queued", timeout=10_000)
    session.trainer.life = Life.SILENT
    qtbot.wait(600)
    assert not job.state.ended
    job.cancel()
    qtbot.waitUntil(lambda: job.state.state == "cancelled", timeout=10_000)
    assert "as soon as it answers" in job.state.message and not cancels(sync)
    trainer_says(session, "abc")
    adopt(session)
    assert session.jobs == [job]
    qtbot.waitUntil(lambda: cancels(sync) == ["abc"], timeout=10_000)


def test_job_whose_folder_this_computer_does_not_reach_ends_with_the_work(session, qtbot):
    trainer_says(session, "abc")
    adopt(session)
    (job,) = session.jobs
    qtbot.wait(600)
    assert job.state.state == "running"
    trainer_says(session)
    qtbot.waitUntil(lambda: job.state.ended, timeout=10_000)
    assert "cannot be reached from this computer" in job.state.message


def test_nothing_is_followed_where_the_trainer_does_no_folder(session):
    adopt(session)
    trainer_says(session)
    adopt(session)
    trainer_says(session, "")
    adopt(session)
    assert not session.jobs


def test_job_ends_with_a_word_when_the_sync_folder_is_changed(session, job, sync, tmp_path, qtbot):
    job.start()
    take(qtbot, sync)
    trainer_says(session, job.id)
    sync_folder.make_complete(tmp_path / "second")
    session.work_in(tmp_path / "second")
    session.trainer._poll.stop()
    assert job.state.state == "left" and f"A trainer that serves {sync} goes on" in job.state.message
    job.cancel()
    trainer_says(session)
    qtbot.wait(200)
    assert not cancels(sync) and not cancels(tmp_path / "second")
    session.work_in(sync)
    session.trainer._poll.stop()
    trainer_says(session, job.id)
    adopt(session)
    assert [(known.id, known.state.ended) for known in session.jobs] == [(job.id, False)]


def test_job_of_our_own_trainer_goes_on_in_its_sync_folder(session, job, sync, tmp_path, monkeypatch, qtbot):
    job.start()
    take(qtbot, sync)
    trainer_says(session, job.id)
    monkeypatch.setattr(type(session.trainer), "running", True)
    sync_folder.make_complete(tmp_path / "second")
    session.work_in(tmp_path / "second")
    assert f"goes on when RootPainter works in {sync} again" in job.state.message


def test_cancel_that_is_owed_waits_for_the_trainer_of_its_own_folder(session, job, sync, tmp_path, qtbot):
    job.start()
    take(qtbot, sync)
    job.cancel()
    qtbot.waitUntil(lambda: job.state.state == "cancelled", timeout=10_000)
    sync_folder.make_complete(tmp_path / "second")
    session.work_in(tmp_path / "second")
    session.trainer._poll.stop()
    trainer_says(session)
    qtbot.wait(200)
    assert not cancels(tmp_path / "second")
    session.work_in(sync)
    session.trainer._poll.stop()
    trainer_says(session, job.id)
    qtbot.waitUntil(lambda: cancels(sync) == [job.id], timeout=10_000)


def test_job_that_was_not_sent_when_the_sync_folder_was_changed_is_not_sent(
    session, job, library, sync, tmp_path, monkeypatch, qtbot
):
    ready = []
    monkeypatch.setattr(session, "prepare", lambda card, then, failed: ready.append(then))
    job.model = JobModel("default", card=library.default)
    job.start()
    sync_folder.make_complete(tmp_path / "second")
    session.work_in(tmp_path / "second")
    ready[0](sync / "model.pth")
    qtbot.wait(200)
    assert job.state.state == "cancelled" and "before this was sent" in job.state.message
    assert not sent(sync, "segment") and not sent(tmp_path / "second", "segment")


def test_done_job_says_where_its_masks_are_and_each_cause_once(session, job, qtbot):
    said = "Segmented 1 of 2 images. 1 failed, the first: a.png: It is cut off."
    job.state = JobState(job.id, "done", 2, 2, failed=(("a.png", "It is cut off."),), message=said)
    view = shown(qtbot, session, job)
    assert view.current.text() == f"The masks are in {job.output}"
    assert "1 of 2 images have a mask, 1 failed" in view.headline.text()


@pytest.mark.parametrize(("total", "words"), [(1, "1 image to segment"), (2, "2 images to segment")])
def test_folder_of_one_image_is_counted_as_one(job, total, words):
    job.state = JobState(job.id, "queued", 0, total)
    assert headline(job) == words


def test_what_goes_on_before_the_first_image_is_said(session, job, qtbot):
    trainer_says(session, job.id)
    job.state = JobState(job.id, "running", 0, 2)
    view = shown(qtbot, session, job)
    assert view.current.text() == "Reading the model and the first image…"
    job.state = replace(job.state, current="a.png")
    job.changed.emit()
    assert view.current.text() == "Just now: a.png"
