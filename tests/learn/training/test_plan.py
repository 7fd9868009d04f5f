import math
from dataclasses import replace

import pytest

from rootpainter_rootfm.errors import DataError
from rootpainter_rootfm.learn.training.plan import TrainPlan


def test_the_rate_rises_stays_and_falls_to_nothing():
    plan = TrainPlan(steps=100, warmup=10, cooldown=0.2, rate=1.0)
    rates = [plan.rate_at(step) for step in range(101)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == 1
    assert set(rates[10:81]) == {1.0} and plan.cooldown_start == 80
    assert all(later < earlier for earlier, later in zip(rates[80:], rates[81:], strict=False))
    assert rates[99] == pytest.approx(0.05) and rates[100] == 0


def test_a_longer_plan_has_the_same_rates_until_the_shorter_ones_fall():
    short, long = TrainPlan(steps=100), TrainPlan(steps=1000)
    assert all(short.rate_at(step) == long.rate_at(step) for step in range(short.cooldown_start + 1))


def test_a_plan_survives_its_file_and_old_files_lack_newer_entries():
    plan = TrainPlan(steps=7, tile_sizes=(64, 96), frozen_statistics=True)
    assert TrainPlan.from_json(plan.to_json()) == plan
    assert TrainPlan.from_json('{"steps": 7, "tile_sizes": [64]}') == TrainPlan(steps=7, tile_sizes=(64,))


@pytest.mark.parametrize(
    "wrong",
    [
        *({"tile_sizes": (100,)}, {"tile_sizes": ()}, {"tile_sizes": (0,)}, {"steps": 0}, {"batch": 0}),
        *({"scale": (2, 1)}, {"scale": (1, math.inf)}, {"drawn": 1.1}, {"drawn": -0.1}, {"transplanted": 2}),
        *({"variety": 1.5}, {"variety": -0.1}),
        *({"cooldown": math.nan}, {"average": 1.5}, {"rate": 0}, {"rate": math.inf}, {"clip": 0}),
        *({"warmup": -1}, {"decay": -1}, {"seed": -1}, {"seed": 2**31}),
    ],
)
def test_what_cannot_be_planned_is_refused(wrong):
    with pytest.raises(DataError):
        replace(TrainPlan(), **wrong)
