import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rootpainter_rootfm.segment.settings import MAX_OVERLAP, SegmentSettings
from rootpainter_rootfm.segment.tiles import STRETCH, plan

lengths = st.integers(1, 700)
tile_choices = st.one_of(st.none(), st.integers(1, 6).map(lambda n: 32 * n))
any_settings = st.builds(
    SegmentSettings,
    tile=tile_choices,
    overlap=st.floats(0, MAX_OVERLAP),
    scale=st.sampled_from([0.25, 0.5, 0.77, 1.0, 1.5, 2.0, 4.0]),
    padding=st.sampled_from(["reflect", "black", "mean"]),
)


@given(lengths, lengths, any_settings)
def test_the_weights_over_every_pixel_sum_to_one(height, width, settings):
    tiles = plan(height, width, settings, 128)
    for axis in (tiles.rows, tiles.columns):
        total = np.zeros(axis.length)
        for index, weights in enumerate(axis.weights):
            in_image, in_tile = axis.inside(index)
            assert weights.shape == (axis.span,)
            assert (weights[in_tile] >= 0).all()
            total[in_image] += weights[in_tile]
        np.testing.assert_allclose(total, 1, atol=1e-6)


@given(lengths, lengths, any_settings)
def test_tiles_are_multiples_of_32_and_never_outside_without_need(height, width, settings):
    tiles = plan(height, width, settings, 128)
    for axis in (tiles.rows, tiles.columns):
        assert axis.side % 32 == 0
        assert list(axis.starts) == sorted(set(axis.starts))
        if len(axis.starts) == 1:
            assert axis.starts[0] <= 0 and axis.starts[0] + axis.span >= axis.length
        else:
            assert axis.starts[0] == 0 and axis.starts[-1] + axis.span == axis.length


@given(st.integers(129, 3000), st.floats(0.01, MAX_OVERLAP), st.sampled_from([32, 64, 128]))
def test_neighbours_overlap_by_the_setting_and_lie_evenly(length, overlap, tile):
    axis = plan(length, 32, SegmentSettings(tile=tile, overlap=overlap), 128).rows
    gaps = np.diff(axis.starts)
    assert (axis.span - gaps >= np.floor(axis.span * overlap)).all()
    assert gaps.max() - gaps.min() <= 1


@given(lengths, lengths, any_settings)
def test_cutting_gives_the_image_where_there_is_one(height, width, settings):
    rng = np.random.default_rng(height * 1000 + width)
    image = rng.integers(1, 255, (height, width, 3), dtype=np.uint8)
    tiles = plan(height, width, settings, 128)
    row, column = list(tiles)[-1]
    tile = tiles.cut(image, row, column, settings.padding)
    assert tile.shape == (tiles.rows.span, tiles.columns.span, 3) and tile.dtype == np.uint8
    (ys, in_y), (xs, in_x) = tiles.rows.inside(row), tiles.columns.inside(column)
    np.testing.assert_array_equal(tile[in_y, in_x], image[ys, xs])


def test_a_small_image_is_one_tile_of_its_own_size():
    tiles = plan(480, 640, SegmentSettings(), 1024)
    assert (tiles.rows.side, tiles.columns.side, len(tiles)) == (480, 640, 1)
    tiles = plan(552, 736, SegmentSettings(), 1024)
    assert (tiles.rows.side, tiles.columns.side, len(tiles)) == (576, 736, 1)


def test_a_slightly_larger_image_is_still_one_tile():
    tiles = plan(1100, 1100, SegmentSettings(), 1024)
    assert (tiles.rows.side, len(tiles)) == (1120, 1)


@given(st.integers(1, 30000), st.sampled_from([0.0, 0.0625, 0.125, 0.25, 0.5]))
def test_fitted_tiles_are_the_fewest_of_their_size_and_no_larger_than_allowed(length, overlap):
    axis = plan(length, 1, SegmentSettings(overlap=overlap), 1024).rows
    stretched = int(1024 * STRETCH) // 32 * 32
    assert axis.side <= stretched
    count = len(axis.starts)

    def reach(limit, tiles):
        return limit * (tiles - (tiles - 1) * overlap)

    if count > 1:
        limits = [limit for limit in (1024, stretched) if axis.side <= limit]
        assert any(reach(limit, count - 1) < length <= reach(limit, count) + 1e-6 for limit in limits)
        assert reach(axis.side - 32, count) < length


def test_a_tile_is_stretched_only_where_that_is_less_work():
    sides = {length: plan(length, 1, SegmentSettings(), 448).rows.side for length in (450, 500, 3000, 4000, 12000)}
    assert sides == {450: 480, 500: 288, 3000: 448, 4000: 448, 12000: 448}


@pytest.mark.parametrize(
    ("length", "starts"),
    [(640, (-192,)), (641, (-191,)), (1024, (0,)), (1100, (0, 76)), (2048, (0, 1024)), (2100, (0, 1024, 1076))],
)
def test_rootpainters_own_grid_can_be_had(length, starts):
    axis = plan(length, 1024, SegmentSettings(tile=1024, overlap=0, padding="black"), 512).rows
    assert axis.starts == starts
    owner = np.zeros(length, int)
    for index, start in enumerate(starts):
        owner[max(start, 0) : start + 1024] = index  # upstream pastes one tile over the other
    for index, weights in enumerate(axis.weights):
        in_image, in_tile = axis.inside(index)
        np.testing.assert_array_equal(weights[in_tile], owner[in_image] == index)


def test_padding_is_what_the_setting_says():
    image = np.full((10, 12, 3), 200, np.uint8)
    image[0, 0] = 90
    tiles = plan(10, 12, SegmentSettings(tile=32), 64)
    assert (tiles.cut(image, 0, 0, "black")[0, 0] == 0).all()
    assert tuple(tiles.cut(image, 0, 0, "mean")[0, 0]) == (124, 116, 104)
    reflected = tiles.cut(image, 0, 0, "reflect")
    assert set(np.unique(reflected)) == {90, 200}
    np.testing.assert_array_equal(reflected[12:21], reflected[10:1:-1])  # around the first row, which is row 11
