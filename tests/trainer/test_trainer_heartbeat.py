"""The life sign, and one trainer for one sync folder."""

import json
import threading
import time

import pytest

from rootpainter_rootfm.trainer import heartbeat
from rootpainter_rootfm.trainer.heartbeat import FILE, Heartbeat, SecondTrainer


@pytest.fixture
def state():
    return {"state": "idle"}


@pytest.fixture
def heart(tmp_path, state):
    return Heartbeat(tmp_path, lambda: dict(state))


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


def test_a_second_trainer_refuses_and_names_the_first(tmp_path, heart, state):
    heart.claim(wait=0.1)
    named = shown(tmp_path)
    done = threading.Event()

    def live():
        while not done.wait(0.05):
            heart.beat(force=True)

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


def test_who_was_taken_over_ends_and_leaves_the_new_ones_heartbeat_alone(tmp_path, heart, state):
    heart.claim(wait=0.1)
    Heartbeat(tmp_path, lambda: dict(state)).claim(wait=0.2)
    with pytest.raises(SecondTrainer, match="has taken over"):
        heart.beat(force=True)
    heart.stop()
    assert "stopped" not in shown(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[1]", "null"])
def test_a_damaged_heartbeat_is_no_obstacle(tmp_path, heart, text):
    (tmp_path / FILE).write_text(text)
    heart.claim(wait=0.2)
    assert shown(tmp_path)["beat"] == 1


def test_a_heartbeat_that_cannot_be_written_does_not_end_the_trainer(tmp_path, heart, state):
    heart.claim(wait=0.1)
    away = tmp_path.rename(tmp_path.with_name("away"))
    heart.beat(force=True)
    away.rename(tmp_path)
    heart.beat(force=True)
    assert shown(tmp_path)["beat"] == 3
