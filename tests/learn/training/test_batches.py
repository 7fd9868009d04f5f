from dataclasses import replace

import numpy as np
import pytest
import torch

from rootpainter_rootfm.learn.data import Dataset, load
from rootpainter_rootfm.learn.drawing import synthetic
from rootpainter_rootfm.learn.training import batches as module
from rootpainter_rootfm.learn.training import patches
from rootpainter_rootfm.learn.training.batches import Batches
from rootpainter_rootfm.learn.training.plan import TrainPlan
from tests.learn.helpers import datasets

PLAN = TrainPlan(steps=50, tile_sizes=(32, 64), batch=4)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    return datasets(tmp_path_factory.mktemp("data"))


def same(one, other):
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in ("images", "root", "known"))


def test_a_step_sees_the_same_patches_whenever_and_in_whatever_order_it_is_done(sets):
    forwards = Batches(sets, PLAN)
    early = {step: forwards[step] for step in (3, 4, 5)}
    resumed = Batches(sets, PLAN)
    assert all(same(early[step], resumed[step]) for step in (5, 4))
    assert not same(early[3], early[4]) if early[3].images.shape == early[4].images.shape else True


def test_other_seeds_and_other_workers_see_other_patches(sets):
    one = Batches(sets, PLAN)[0]
    for other in (Batches(sets, TrainPlan(**vars(PLAN) | {"seed": 1}))[0], Batches(sets, PLAN, worker=1)[0]):
        assert one.images.shape != other.images.shape or not same(one, other)


def test_a_batch_has_one_size_and_about_equal_work_at_every_size(sets):
    found = Batches(sets, PLAN)
    shapes = {tuple(found[step].images.shape) for step in range(16)}
    assert shapes == {(4, 32, 32, 3), (1, 64, 64, 3)}
    batch = found[0]
    assert batch.images.dtype == torch.uint8 and batch.root.dtype == torch.float32 and batch.known.dtype == torch.bool
    assert batch.root.shape == batch.known.shape == (len(batch.images), 1, *batch.images.shape[1:3])
    assert 0 <= batch.root.min() and batch.root.max() <= 1
    assert len(found) == 50


def test_datasets_are_drawn_from_equally_however_many_images_they_have(sets, monkeypatch):
    sand, clay = sets
    small = Dataset("clay", clay.items[:1])
    asked = []
    monkeypatch.setattr(module.ArrayCache, "get", lambda self, item, make: asked.append(item) or make())
    found = Batches([sand, small, Dataset("empty", ())], TrainPlan(tile_sizes=(32,), batch=8, drawn=0))
    for step in range(25):
        found[step]
    share = np.mean([item == small.items[0] for item in asked])
    assert 0.4 < share < 0.6


@pytest.mark.parametrize(("drawn", "expected"), [(0.0, 0), (1.0, 32)])
def test_the_share_of_drawn_roots_is_as_planned(sets, monkeypatch, drawn, expected):
    calls = []
    real = synthetic.draw
    monkeypatch.setattr(synthetic, "draw", lambda *given: calls.append(1) or real(*given))
    found = Batches(sets, TrainPlan(tile_sizes=(32,), batch=8, drawn=drawn))
    for step in range(4):
        found[step]
    assert len(calls) == expected


@pytest.mark.parametrize(("transplanted", "expected"), [(0.0, 0), (1.0, 32)])
def test_the_share_of_transplanted_roots_is_as_planned(sets, monkeypatch, transplanted, expected):
    calls = []
    real = module.transplant
    monkeypatch.setattr(module, "transplant", lambda *given: calls.append(1) or real(*given))
    found = Batches(sets, TrainPlan(tile_sizes=(32,), batch=8, drawn=0, transplanted=transplanted))
    for step in range(4):
        found[step]
    assert len(calls) == expected


def test_drawn_roots_alone_need_no_data():
    batch = Batches([], TrainPlan(tile_sizes=(32,), batch=2, drawn=1))[0]
    assert batch.images.shape == (2, 32, 32, 3)


def test_real_ground_behind_drawn_roots_is_free_of_roots(sets, monkeypatch):
    behind = []
    real = synthetic.draw
    monkeypatch.setattr(synthetic, "draw", lambda rng, size, ground: behind.append(ground) or real(rng, size, ground))
    monkeypatch.setattr(module, "ON_REAL_GROUND", 1.0)
    found = Batches(sets, TrainPlan(tile_sizes=(32,), batch=8, drawn=1))
    for step in range(4):
        found[step]
    grounds = [ground for ground in behind if ground is not None]
    # Roots in the pictures of these tests are brighter than 200, their ground darker than 95.
    assert grounds and max(ground.max() for ground in grounds) < 160


def test_what_is_strewn_lies_behind_the_roots_and_changes_no_mask(sets):
    rng = np.random.default_rng(0)
    truth = load(sets[0].items[0])
    whole = patches.cut(rng, truth, 64)
    changed = []
    for seed in range(12):
        found = module.strewn(np.random.default_rng(seed), whole)
        rooted = whole.root > 0
        np.testing.assert_array_equal(found.image[rooted], whole.image[rooted])
        changed.append((found.image[~rooted] != whole.image[~rooted]).any())
        assert found.root is whole.root and found.known is whole.known
    assert rooted.any() and np.mean(changed) > 0.5


def test_light_and_colour_are_changed_as_often_as_planned(sets, monkeypatch):
    seen = []
    monkeypatch.setattr(module.augment, "photograph", lambda rng, image, variety: seen.append(variety) or image)
    Batches(sets, replace(PLAN, variety=0.25))[0]
    assert set(seen) == {0.25}
