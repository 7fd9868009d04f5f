import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from rootpainter_rootfm.learn.metrics import CENTRE_LINE_TOLERANCE, CentreLines, Confusion, pooled

layers = arrays(bool, (6, 7))


@given(layers, layers, layers)
def test_counts_are_those_of_the_known_pixels(mask, root, known):
    counts = Confusion.of(mask, root, known)
    assert counts.tp == (mask & root & known).sum() and counts.fp == (mask & ~root & known).sum()
    assert counts.fn == (~mask & root & known).sum() and counts.tn == (~mask & ~root & known).sum()
    assert counts.defined == known.sum()
    assert 0 <= counts.dice <= 1 and 0 <= counts.precision <= 1 and 0 <= counts.recall <= 1


@given(layers, layers, layers, layers)
def test_pooled_counts_are_those_of_all_images_side_by_side(mask, root, mask2, root2):
    parts = [Confusion.of(mask, root), Confusion.of(mask2, root2)]
    assert pooled(parts) == Confusion.of(np.hstack([mask, mask2]), np.hstack([root, root2]))


def test_the_figures_of_a_small_example():
    counts = Confusion(tp=6, fp=2, tn=90, fn=4)
    assert counts.dice == pytest.approx(12 / 18)
    assert (counts.precision, counts.recall) == (6 / 8, 6 / 10)


def test_no_root_and_no_mask_is_right_and_never_nan():
    assert Confusion(tn=9).dice == Confusion(tn=9).precision == Confusion(tn=9).recall == 1
    assert Confusion(fp=1).dice == 0 and Confusion(fn=1).dice == 0
    assert pooled([]) == Confusion()


def bar(top, height=60, width=60, thick=5):
    layer = np.zeros((height, width), bool)
    layer[top : top + thick, 5:-5] = True
    return layer


@pytest.mark.parametrize(("shift", "near"), [(0, True), (3, True), (4, False)])
def test_centre_lines_agree_up_to_three_pixels(shift, near):
    lines = CentreLines.of(bar(20 + shift), bar(20))
    assert CENTRE_LINE_TOLERANCE == 3
    assert lines.precision == lines.recall == (1.0 if near else 0.0)


def test_a_mask_of_another_width_has_the_same_centre_lines():
    lines = CentreLines.of(bar(18, thick=9), bar(20))
    assert lines.precision == 1 and lines.recall > 0.9


def test_centre_lines_of_what_is_missed_and_of_what_is_not_there():
    root = bar(10) | bar(40)
    missed = CentreLines.of(bar(10), root)
    assert missed.precision == 1 and missed.recall == pytest.approx(0.5, abs=0.02)
    false = CentreLines.of(root, bar(10))
    assert false.recall == 1 and false.precision == pytest.approx(0.5, abs=0.02)
    assert (missed + false).recall == pytest.approx(2 / 3, abs=0.02)


def test_empty_masks_and_truths_have_no_centre_lines():
    empty = np.zeros((60, 60), bool)
    assert CentreLines.of(empty, empty) == CentreLines()
    assert CentreLines.of(empty, bar(9)).precision == 1 and CentreLines.of(empty, bar(9)).recall == 0
    assert CentreLines.of(bar(9), empty).precision == 0 and CentreLines.of(bar(9), empty).recall == 1
