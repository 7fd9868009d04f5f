"""A trainer lives while its beat changes, whatever the clocks of two machines say."""

from __future__ import annotations

import platform
from dataclasses import replace

from rootpainter_rootfm.painter.exchange import Heartbeat
from rootpainter_rootfm.painter.trainer_life import SILENT_AFTER, SILENT_ELSEWHERE_AFTER, Judge, Life

BEAT = Heartbeat(beat=1, host=platform.node(), pid=7, state="idle", device="cpu")


def test_no_heartbeat_is_silence_at_once():
    assert Judge().see(None, 0) is Life.SILENT


def test_heartbeat_of_a_trainer_that_ended_in_good_order_is_silence_at_once():
    assert Judge().see(replace(BEAT, stopped=True), 0) is Life.SILENT


def test_first_look_is_no_proof_of_life():
    assert Judge().see(BEAT, 0) is Life.UNKNOWN


def test_changing_beat_is_life():
    judge = Judge()
    judge.see(BEAT, 0)
    assert judge.see(replace(BEAT, beat=2), 2) is Life.ALIVE
    assert judge.see(replace(BEAT, beat=2), 4) is Life.ALIVE


def test_same_beat_for_too_long_is_silence_before_and_after_life():
    judge = Judge()
    judge.see(BEAT, 0)
    assert judge.see(BEAT, SILENT_AFTER + 0.1) is Life.SILENT
    assert judge.see(replace(BEAT, beat=2), 8) is Life.ALIVE
    assert judge.see(replace(BEAT, beat=2), 8 + SILENT_AFTER + 0.1) is Life.SILENT


def test_beat_of_another_machine_may_come_late():
    judge, elsewhere = Judge(), replace(BEAT, host="lab")
    judge.see(elsewhere, 0)
    assert not judge.may_start
    assert judge.see(elsewhere, SILENT_AFTER + 0.1) is Life.UNKNOWN
    assert judge.may_start  # a trainer of ours waits itself for that one
    assert judge.see(replace(elsewhere, beat=9), 40) is Life.ALIVE
    assert judge.see(replace(elsewhere, beat=9), 80) is Life.ALIVE and not judge.may_start
    assert judge.see(replace(elsewhere, beat=9), 40 + SILENT_ELSEWHERE_AFTER + 0.1) is Life.SILENT


def test_trainer_elsewhere_that_never_lived_is_silent_in_the_end():
    judge, elsewhere = Judge(), replace(BEAT, host="lab")
    judge.see(elsewhere, 0)
    assert judge.see(elsewhere, SILENT_ELSEWHERE_AFTER + 0.1) is Life.SILENT and judge.may_start


def test_look_that_finds_nothing_is_no_end_before_its_time():
    judge = Judge()
    judge.see(BEAT, 0)
    assert judge.see(None, 1) is Life.UNKNOWN
    judge.see(replace(BEAT, beat=2), 2)
    assert judge.see(None, 3) is Life.ALIVE
    assert judge.see(replace(BEAT, beat=3), 4) is Life.ALIVE
    assert judge.see(None, 4 + SILENT_AFTER + 0.1) is Life.SILENT


def test_another_process_with_the_same_beat_counts_as_a_change():
    judge = Judge()
    judge.see(BEAT, 0)
    assert judge.see(replace(BEAT, pid=8), 1) is Life.ALIVE
