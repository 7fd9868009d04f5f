import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rootpainter_rootfm.learn.evaluation.calibration import (
    THRESHOLDS,
    ProbabilityCounts,
    choose_threshold,
    mean_dice,
)
from rootpainter_rootfm.learn.metrics import Confusion, pooled

maps = arrays(np.float16, (5, 6), elements=st.floats(0, 1, width=16))
layers = arrays(bool, (5, 6))


@settings(deadline=None, max_examples=25)
@given(maps, layers, layers)
def test_dice_at_every_threshold_is_that_of_the_mask(probability, root, known):
    counts = ProbabilityCounts.of(probability, root, known)
    for threshold, dice in zip(THRESHOLDS, counts.dice, strict=True):
        mask = probability.astype(np.float32) >= np.float32(threshold)
        assert dice == pytest.approx(Confusion.of(mask, root, known).dice)


def test_unknown_pixels_do_not_count():
    probability = np.array([[0.2, 0.9]], np.float16)
    root, known = np.array([[True, True]]), np.array([[True, False]])
    counts = ProbabilityCounts.of(probability, root, known)
    assert counts.root.sum() == 1 and counts.soil.sum() == 0 and counts.total.sum() == pytest.approx(0.2, abs=1e-3)


@settings(deadline=None, max_examples=25)
@given(maps, layers, maps, layers)
def test_counts_add_up_over_images_and_survive_their_file(one, root, other, other_root):
    added = ProbabilityCounts.of(one, root) + ProbabilityCounts.of(other, other_root)
    whole = ProbabilityCounts.of(np.hstack([one, other]), np.hstack([root, other_root]))
    read = ProbabilityCounts.from_json(added.to_json())
    for counts in (added, read, pooled([added], ProbabilityCounts.none())):
        np.testing.assert_array_equal(counts.root, whole.root)
        np.testing.assert_array_equal(counts.soil, whole.soil)
        np.testing.assert_allclose(counts.total, whole.total, atol=1e-3)


def said(probability, share, pixels=1000):
    """Pixels that were all given one probability, of which a share is root."""
    return ProbabilityCounts.of(np.full((1, pixels), probability, np.float16), np.arange(pixels)[None] < share * pixels)


def test_the_error_is_the_distance_of_probability_from_truth():
    assert said(0.5, 0.5).error == pytest.approx(0)
    assert said(0.75, 0.25).error == pytest.approx(0.5)
    assert (said(0.75, 0.25) + said(0.25, 0.25)).error == pytest.approx(0.25)
    assert ProbabilityCounts.none().error == 0


def test_the_reliability_of_what_was_said():
    (low, high) = (said(0.25, 0.1, 100) + said(0.75, 0.9, 300)).reliability()
    assert low == {"probability": pytest.approx(0.25), "root": pytest.approx(0.1), "pixels": 100}
    assert high == {"probability": pytest.approx(0.75), "root": pytest.approx(0.9), "pixels": 300}


def separated(at):
    """Roots have a probability just above `at`, soil just below."""
    return said(at + 0.02, 1.0, 50) + said(at - 0.02, 0.0, 5000)


def test_the_threshold_is_where_the_mean_dice_of_the_datasets_is_best():
    assert choose_threshold({"a": separated(0.3)}) == pytest.approx(0.3, abs=0.021)
    assert choose_threshold({"a": separated(0.8)}) == pytest.approx(0.8, abs=0.021)


def test_of_equal_thresholds_the_nearest_to_one_half_is_chosen():
    assert choose_threshold({"a": said(0.9, 1.0) + said(0.1, 0.0)}) == 0.5
    assert choose_threshold({"a": said(0.9, 1.0) + said(0.7, 0.0)}) == pytest.approx(0.71, abs=0.011)


def test_every_dataset_counts_alike_however_many_pixels_it_has():
    small = said(0.35, 1.0, 100) + said(0.25, 0.0, 100)
    large = said(0.65, 1.0, 10_000) + said(0.55, 0.0, 10_000)
    # At 0.3 the small one is perfect, at 0.6 the large one; at 0.6 the small one has nothing left.
    assert choose_threshold({"small": small, "large": large}) == pytest.approx(0.3, abs=0.051)
    assert choose_threshold({"both": small + large}) == pytest.approx(0.6, abs=0.051)


def test_a_dataset_without_root_decides_nothing_unless_there_is_no_other():
    bare = said(0.9, 0.0, 10)
    assert choose_threshold({"a": separated(0.3), "bare": bare}) == choose_threshold({"a": separated(0.3)})
    np.testing.assert_array_equal(mean_dice({"a": separated(0.3), "bare": bare}), separated(0.3).dice)
    assert choose_threshold({"bare": bare}) == pytest.approx(0.91, abs=0.011)
