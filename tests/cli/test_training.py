"""What the verbs that train have in common."""

import argparse
import signal

import pytest

from rootpainter_rootfm.cli.training import add_plan_options, plan_of, progress_bar, stopped_by_ctrl_c
from rootpainter_rootfm.learn.training.plan import TrainPlan


def test_the_first_ctrl_c_stops_in_good_order_and_the_second_at_once():
    before = signal.getsignal(signal.SIGINT)
    with stopped_by_ctrl_c() as token:
        assert not token.cancelled
        signal.raise_signal(signal.SIGINT)
        assert token.cancelled
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_options_change_the_plan_and_what_is_left_out_stays():
    parser = argparse.ArgumentParser()
    add_plan_options(parser)
    base = TrainPlan(steps=7, drawn=0.1)
    assert plan_of(parser.parse_args([]), base) == base
    given = plan_of(
        parser.parse_args(["--steps", "9", "--tile-sizes", "64", "96", "--drawn", "0", "--transplanted", "0.3"]), base
    )
    assert given == TrainPlan(steps=9, tile_sizes=(64, 96), drawn=0.0, transplanted=0.3)


def test_the_bar_begins_anew_with_each_part_of_the_work(capsys):
    with progress_bar("step") as progress:
        for done, total, current in ((1, 4, "train"), (4, 4, "train"), (0, 2, "measure"), (2, 2, "measure")):
            progress(done, total, current)
    assert "2/2" in capsys.readouterr().err.replace("\r", "\n").splitlines()[-1]
