"""The life sign, and one trainer for one sync folder."""

import errno
import json
import logging
import threading
import time

import pytest

from rootpainter_rootfm.errors import HostError
from rootpainter_rootfm.trainer import heartbeat, main
from rootpainter_rootfm.trainer.heartbeat import FILE, Heartbeat, SecondTrainer


@pytest.fixture
def state():
    return {"state": "idle"}


@pytest.fixture
def heart(tmp_path, state):
    return Heartbeat(tmp_path, lambda: dict(state))


@pytest.fixture
def always_due(monkeypatch):
    """No waiting between two beats."""
    monkeypatch.setattr(heartbeat, "SECONDS_BETWEEN_BEATS", 0.0)


def shown(folder):
    return json.loads((folder / FILE).read_text())


def test_it_tells_who_lives_here_and_what_is_done(tmp_path, heart, state):
    heart.claim(wait=0.1)
    first = shown(tmp_path)
    assert first["protocol"] == 1 and first["state"] == "idle" and first["pid"] and first["host"] and first["plugin"]
    state["state"] = "training"
    heart.beat()
    assert shown(tmp_path)["state"] == "training"
    assert shown(tmp_path)["beat"] > first["beat"]


def test_it_beats_when_it_is_due_or_something_changed_and_not_more_often(tmp_path, heart, monkeypatch):
    heart.claim(wait=0.1)
    before = shown(tmp_path)["beat"]
    for _ in range(5):
        heart.beat()
    assert shown(tmp_path)["beat"] == before
    monkeypatch.setattr(heartbeat, "SECONDS_BETWEEN_BEATS", 0.0)
    heart.beat()
    assert shown(tmp_path)["beat"] == before + 1


def test_a_second_trainer_refuses_and_names_the_first(tmp_path, heart, state, always_due):
    heart.claim(wait=0.1)
    named = shown(tmp_path)
    done = threading.Event()

    def live():
        while not done.wait(0.05):
            heart.beat()

    thread = threading.Thread(target=live)
    thread.start()
    try:
        with pytest.raises(SecondTrainer, match=f"process {named['pid']} on {named['host']}"):
            Heartbeat(tmp_path, lambda: dict(state)).claim(wait=5)
    finally:
        done.set()
        thread.join()


def test_the_place_of_a_dead_trainer_is_taken_over_once_its_beat_did_not_change(tmp_path, heart, state):
    heart.claim(wait=0.1)
    started = time.monotonic()
    second = Heartbeat(tmp_path, lambda: dict(state))
    second.claim(wait=0.5)
    assert time.monotonic() - started >= 0.5
    assert shown(tmp_path)["beat"] == 1


def test_clocks_do_not_matter(tmp_path, state):
    (tmp_path / FILE).write_text(json.dumps({"beat": 4, "started": time.time() + 9e6, "host": "h", "pid": 1}))
    Heartbeat(tmp_path, lambda: dict(state)).claim(wait=0.3)
    assert shown(tmp_path)["host"] != "h"


def test_after_an_end_in_good_order_the_next_one_need_not_wait(tmp_path, heart, state):
    heart.claim(wait=0.1)
    heart.stop()
    assert shown(tmp_path)["stopped"] is True
    started = time.monotonic()
    Heartbeat(tmp_path, lambda: dict(state)).claim(wait=30)
    assert time.monotonic() - started < 5
    assert "stopped" not in shown(tmp_path)


def test_who_was_taken_over_ends_and_leaves_the_new_ones_heartbeat_alone(tmp_path, heart, state, always_due):
    heart.claim(wait=0.1)
    Heartbeat(tmp_path, lambda: dict(state)).claim(wait=0.2)
    with pytest.raises(SecondTrainer, match="has taken over"):
        heart.beat()
    heart.stop()
    assert "stopped" not in shown(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[1]", "null"])
def test_a_damaged_heartbeat_is_no_obstacle(tmp_path, heart, text):
    (tmp_path / FILE).write_text(text)
    heart.claim(wait=0.2)
    assert shown(tmp_path)["beat"] == 1


def test_a_heartbeat_that_cannot_be_written_does_not_end_the_trainer(tmp_path, heart, state, always_due):
    heart.claim(wait=0.1)
    away = tmp_path.rename(tmp_path.with_name("away"))
    heart.beat()
    away.rename(tmp_path)
    heart.beat()
    assert shown(tmp_path)["beat"] == 3


def test_a_folder_that_lets_itself_be_read_only_is_refused_in_words(tmp_path, heart, monkeypatch):
    def refuse(path, text):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(heartbeat.files, "write_text", refuse)
    with pytest.raises(HostError, match="cannot be written to: Permission denied.*choose another folder"):
        heart.claim(wait=0.1)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """The heartbeat of a trainer on another machine, which this one waits for longer."""
    monkeypatch.setattr(heartbeat, "SECONDS_TO_PROVE_LIFE", 0.2)
    monkeypatch.setattr(heartbeat, "SECONDS_FROM_ELSEWHERE", 3.0)
    beats = {"beat": 4, "host": "server", "pid": 7, "token": "t"}
    (tmp_path / FILE).write_text(json.dumps(beats))
    return beats


def test_a_beat_from_another_machine_may_come_late(tmp_path, heart, elsewhere, caplog):
    late = threading.Timer(1.0, lambda: (tmp_path / FILE).write_text(json.dumps(elsewhere | {"beat": 19})))
    late.start()
    with caplog.at_level(logging.INFO), pytest.raises(SecondTrainer, match="process 7 on server"):
        heart.claim()
    late.join()
    assert "The trainer on server (process 7)" in caplog.text and "waits for 3 seconds" in caplog.text


def test_one_on_another_machine_that_stays_silent_is_followed_and_one_here_sooner(tmp_path, heart, elsewhere, state):
    started = time.monotonic()
    assert heart.claim()
    assert time.monotonic() - started >= 3
    started = time.monotonic()
    assert Heartbeat(tmp_path, lambda: dict(state)).claim()
    assert time.monotonic() - started < 3


def test_who_is_ended_while_it_waits_leaves_the_folder_to_the_first(tmp_path, heart, elsewhere):
    ended = threading.Event()
    threading.Timer(0.3, ended.set).start()
    assert not heart.claim(ended=ended)
    assert shown(tmp_path) == elsewhere


def test_who_refuses_because_another_one_serves_says_so_by_its_exit_code(tmp_path, monkeypatch):
    def refuse(heart, ended):
        raise SecondTrainer("A trainer already serves it.")

    monkeypatch.setattr(Heartbeat, "claim", refuse)
    monkeypatch.setattr(main.signal, "signal", lambda *_: None)
    assert main.main(["--syncdir", str(tmp_path)]) == main.EXIT_SERVED
    assert main.main(["--syncdir", str(tmp_path / "no" / "drive")]) == main.EXIT_REFUSED
