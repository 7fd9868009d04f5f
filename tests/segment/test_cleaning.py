import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.measure import label

from rootpainter_rootfm.segment.cleaning import drop_small


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 12), st.floats(0.05, 0.9), st.integers(1, 200))
def test_the_same_areas_go_whatever_the_strips(height, width, smallest, density, strip_pixels):
    mask = np.random.default_rng(height * 41 + width).random((height, width)) < density
    areas = label(mask, connectivity=2)
    expected = mask & (np.bincount(areas.ravel())[areas] >= smallest)
    drop_small(mask, smallest, strip_pixels)
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize("strip_pixels", [8, 1 << 24])
def test_a_root_that_runs_through_many_strips_is_weighed_as_one(strip_pixels):
    mask = np.eye(30, 8, dtype=bool)[::-1] | np.eye(30, 8, dtype=bool)
    mask[20, 0] = True
    drop_small(mask, 8, strip_pixels)
    assert mask.sum() == 16 and not mask[20, 0]
