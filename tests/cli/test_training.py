"""What the verbs that train have in common."""

import argparse
import os
import re
import signal

import numpy as np
import pytest
import torch

from rootpainter_rootfm.cli.main import build_parser, main
from rootpainter_rootfm.cli.training import add_plan_options, plan_of, progress_bar, stopped_by_ctrl_c, workers_of
from rootpainter_rootfm.learn.training.plan import CONTINUED, TrainPlan
from tests.learn.helpers import write_data


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


def numbers(help_text):
    """What stands in brackets at the end of a help text."""
    return [float(word) for word in help_text.rpartition("(")[2].strip(")").split()]


def test_the_help_names_the_numbers_of_the_plans():
    parser = argparse.ArgumentParser()
    add_plan_options(parser)
    helps = {action.dest: action.help for action in parser._actions if hasattr(TrainPlan, action.dest)}
    del helps["frozen_statistics"]
    for name, text in helps.items():
        assert numbers(text) == np.ravel(getattr(TrainPlan, name)).tolist()
    verbs = build_parser()._subparsers._group_actions[0].choices
    continued = {action.dest: action.help for action in verbs["protocol"]._actions if "continued" in action.dest}
    assert [numbers(text) for text in continued.values()] == [[CONTINUED.steps], [CONTINUED.rate]]
    (start,) = (action.help for action in verbs["train"]._actions if action.dest == "start")
    said = [float(number) for number in re.findall(r"[\d.]+", start)]
    plan = CONTINUED
    assert said == [plan.steps, plan.rate, plan.warmup, plan.cooldown, *plan.scale, plan.variety] and plan.drawn == 0


def test_the_protocol_says_which_options_reach_its_first_stage_only(capsys):
    with pytest.raises(SystemExit):
        main(["protocol", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "the first stage, zero-shot: The trainings that continue take --batch, --tile-sizes, --seed," in said
    assert "when --start is given" not in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--device", "gpu"], "The device gpu is unknown"),
        (["--seed", "20240101123"], "seed must be a number from 0 to"),
    ],
)
@pytest.mark.parametrize("verb", ["train", "protocol"])
def test_a_slip_of_the_pen_is_one_sentence(tmp_path, capsys, verb, words, said):
    write_data(tmp_path)
    assert main([verb, str(tmp_path), str(tmp_path / "run"), *words]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"rootfm: {said}")


def test_the_bar_begins_anew_with_each_part_of_the_work(capsys):
    with progress_bar("step") as progress:
        for done, total, current in ((1, 4, "train"), (4, 4, "train"), (0, 2, "measure"), (2, 2, "measure")):
            progress(done, total, current)
    assert "2/2" in capsys.readouterr().err.replace("\r", "\n").splitlines()[-1]


@pytest.mark.parametrize(
    ("asked", "device", "cores", "trainings", "workers"),
    [
        (None, "cpu", 16, 1, 1),
        (None, "cuda:0", 16, 1, 4),
        (None, "cuda:0", 3, 1, 2),
        (None, "cuda:1", 8, 4, 1),
        (None, "mps", 1, 1, 1),
        (0, "cuda:0", 16, 1, 0),
        (12, "cpu", 16, 1, 12),
    ],
)
def test_patches_are_cut_by_as_many_processes_as_the_device_has_use_for(
    monkeypatch, asked, device, cores, trainings, workers
):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(cores), raising=False)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(trainings))
    assert workers_of(argparse.Namespace(workers=asked), torch.device(device)) == workers
