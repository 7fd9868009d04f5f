"""Roots wider than the network's view are found in the reduced photograph, and nothing else is taken from there."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rootpainter_rootfm import bands
from rootpainter_rootfm.segment import glance
from rootpainter_rootfm.segment.settings import SegmentSettings
from tests.segment.helpers import Brightness, card, segmenter

THRESHOLD = 0.5


class Narrow(nn.Module):
    """Takes what is bright for root, unless it is more than 60 pixels wide."""

    def __init__(self):
        super().__init__()
        self.shapes = []

    def forward(self, x):
        self.shapes.append(tuple(x.shape[2:]))
        bright = (x.mean(1, keepdim=True) > 0).float()
        inside = -F.max_pool2d(-bright, 61, 1, 30)
        return 8 * (bright - F.max_pool2d(inside, 101, 1, 50)) - 4


def found(photograph, network=None, **settings):
    settings = SegmentSettings(device="cpu", edges=False, second_look=False, **settings)
    return segmenter(network or Narrow(), settings=settings, cards=[card(tile_sizes=(1216,))]).segment(photograph)


def root(width, length=1104):
    photograph = np.zeros((length, 270, 3), np.uint8)
    photograph[:, 90 : 90 + width] = 255
    return photograph


def test_a_root_wider_than_the_view_is_found_in_a_large_photograph():
    photograph = root(100)
    assert not found(photograph, glance=False).mask[:, 100:180].any()
    seen = found(photograph)
    # Its borders lie where the reduced photograph has them.
    truth = photograph[..., 0] > 0
    assert 2 * (seen.mask & truth).sum() / (seen.mask.sum() + truth.sum()) > 0.97
    assert (seen.mask == (seen.probability >= THRESHOLD)).all()


@pytest.mark.parametrize(("length", "looks"), [(1023, 1), (1024, 2), (6150, 3)])
def test_only_a_large_photograph_is_reduced_and_as_often_as_it_is_large(length, looks):
    network = Narrow()
    told = []
    settings = SegmentSettings(device="cpu", edges=False, second_look=False)
    made = segmenter(network, settings=settings, cards=[card(tile_sizes=(1216,))])
    made.segment(root(100, length), progress=lambda *now: told.append(now))
    assert len({shape[0] for shape in network.shapes}) == looks
    assert [done for done, _, _ in told] == sorted({done for done, _, _ in told})
    assert {total for _, total, _ in told} == {told[-1][0]}


def test_what_is_not_wide_changes_nothing():
    photograph = root(30)
    np.testing.assert_array_equal(found(photograph).probability, found(photograph, glance=False).probability)


def test_enlarging_for_fine_roots_leaves_wide_ones_as_they_are():
    assert found(root(100), scale=2.0).mask[:, 100:180].all()


def test_a_network_without_a_blind_spot_finds_the_same():
    photograph = np.random.default_rng(0).integers(0, 256, (1100, 200, 3), np.uint8)
    photograph[300:500] = 255
    with_it, without = (found(photograph, Brightness(), glance=value).mask for value in (True, False))
    np.testing.assert_array_equal(with_it, without)


def added(coarse, mask=None, factor=6, threshold=THRESHOLD, shape=(305, 297)):
    mask = np.zeros(shape, bool) if mask is None else mask.copy()
    probability, before = np.where(mask, np.float16(0.9), np.float16(0.1)), mask.copy()
    said = glance.add_wide(probability, mask, coarse.astype(np.float16), factor, threshold)
    assert said == (mask != before).any()
    return probability, mask


def band(width, sure, at=20, shape=(51, 50)):
    coarse = np.full(shape, 0.05)
    coarse[:, at : at + width] = sure
    return coarse


@pytest.mark.parametrize(
    ("width", "sure", "threshold", "taken"),
    [(8, 0.75, 0.5, True), (7, 0.75, 0.5, False), (8, 0.65, 0.5, False), (8, 0.75, 0.8, False)],
)
def test_a_wide_root_is_wide_and_sure(width, sure, threshold, taken):
    probability, mask = added(band(width, sure), threshold=threshold)
    assert mask[:, 120 : 120 + 6 * width].all() == mask.any() == taken
    assert probability.max() == pytest.approx(sure if taken else 0.1, abs=0.001)


def test_it_reaches_as_far_as_it_is_likely_where_it_is_sure_somewhere():
    coarse = band(12, 0.6)
    coarse[20:32, 20:32] = 0.9
    _, mask = added(coarse)
    assert mask[:, 120:192].all() and mask.sum() == 305 * 72


@pytest.mark.parametrize(("length", "taken"), [(10, False), (30, False), (48, True)])
def test_a_wide_root_is_long_and_a_seed_is_not(length, taken):
    coarse = band(10, 0.9)
    coarse[length:] = 0.05
    _, mask = added(coarse)
    assert mask.any() == taken


@pytest.mark.parametrize(("share", "taken"), [(0.1, True), (0.3, False)])
def test_a_bundle_of_finer_roots_is_left_as_it_was_found(share, taken):
    fine = np.zeros((305, 297), bool)
    fine[:, 120:180][:, : round(60 * share)] = True
    probability, mask = added(band(10, 0.9), fine)
    assert mask[:, 120:180].all() == taken
    assert taken or (mask == fine).all() and probability.max() == np.float16(0.9)


def test_each_is_judged_by_itself():
    coarse = np.maximum(band(10, 0.8, at=5), band(10, 0.8, at=30))
    fine = np.zeros((305, 297), bool)
    fine[:, 30:90] = True
    _, mask = added(coarse, fine)
    assert mask[:, 180:240].all() and mask.sum() == 2 * 305 * 60


def test_probabilities_never_fall():
    fine = np.zeros((305, 297), bool)
    fine[:, 120:126] = True
    probability, _ = added(band(10, 0.8), fine)
    assert (probability[:, 120:126] == np.float16(0.9)).all()
    assert (probability[:, 126:180] == np.float16(0.8)).all()


def test_the_reduced_photograph_covers_all_of_it():
    sizes = [view.shape for view in glance.reduced(np.zeros((6151, 30, 3), np.uint8))]
    assert sizes == [(1026, 5, 3), (171, 1, 3)]


@pytest.mark.parametrize("shape", [(1030, 7), (577, 1100), (1200, 1201)])
def test_bands_leave_no_trace(shape, monkeypatch):
    photograph = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    (at_once,) = glance.reduced(photograph)
    monkeypatch.setattr(bands, "_VALUES_AT_A_TIME", 40_000)
    (in_bands,) = glance.reduced(photograph)
    np.testing.assert_array_equal(in_bands, at_once)


def test_it_takes_the_network_little_work():
    pixels = []

    class Counting(Brightness):
        def forward(self, x):
            pixels.append(x.shape[0] * x.shape[2] * x.shape[3])
            return super().forward(x)

    photograph = np.zeros((1100, 1100, 3), np.uint8)
    sums = []
    for glance_too in (False, True):
        pixels.clear()
        settings = SegmentSettings(device="cpu", glance=glance_too)
        with torch.inference_mode():
            segmenter(Counting(), settings=settings, cards=[card(tile_sizes=(448,))]).segment(photograph)
        sums.append(sum(pixels))
    assert 1 < sums[1] / sums[0] < 1.04
