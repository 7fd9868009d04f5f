import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rootpainter_rootfm.learn.data import Truth
from rootpainter_rootfm.learn.training import patches
from rootpainter_rootfm.learn.training.patches import cut

seeds = st.integers(0, 10_000)
quick = settings(deadline=None, max_examples=60)


def painted(height, width, seed=0, known=None):
    """A truth whose image is 200 exactly where there is root and 50 elsewhere."""
    rng = np.random.default_rng(seed)
    root = np.zeros((height, width), bool)
    for _ in range(4):
        y, x = rng.integers(0, height), rng.integers(0, width)
        root[y : y + 6, x : x + 25] = True
    image = np.where(root[..., None], 200, 50).astype(np.uint8).repeat(3, 2)
    return Truth(image, root, known)


@quick
@given(seeds, st.sampled_from([(40, 40), (17, 90), (200, 120)]), st.sampled_from([(1, 1), (0.4, 2.5)]))
def test_image_and_mask_stay_aligned_through_scale_angle_mirror_and_borders(seed, size, scale):
    patch = cut(np.random.default_rng(seed), painted(*size), 64, scale)
    assert patch.image.shape == (64, 64, 3) and patch.root.shape == patch.known.shape == (64, 64)
    beyond = patch.image[..., 0] < 45  # black beyond the borders, mixed with the ground at their rim
    share = (patch.image[..., 0].astype(float) - 50) / 150
    # Image and mask are interpolated alike, so the image's value tells the share of root everywhere else.
    np.testing.assert_allclose(patch.root[~beyond], share[~beyond].clip(0), atol=0.3)
    assert np.abs(patch.root - share.clip(0)).mean() < 0.02


@quick
@given(seeds)
def test_black_beyond_the_borders_is_known_and_no_root(seed):
    root = np.ones((30, 30), bool)
    truth = Truth(np.full((30, 30, 3), 200, np.uint8), root)
    patch = cut(np.random.default_rng(seed), truth, 64, (1, 1))
    assert patch.known.all()
    black = patch.image[..., 0] == 0
    assert (patch.root[black] < 0.01).all()
    assert (patch.root[patch.image[..., 0] == 200] > 0.99).all()


@quick
@given(seeds)
def test_everything_is_known_where_the_whole_image_is(seed):
    assert cut(np.random.default_rng(seed), painted(150, 150), 64).known.all()


@quick
@given(seeds)
def test_only_pixels_that_come_from_known_ones_alone_are_known(seed):
    known = np.zeros((120, 120), bool)
    known[:, 60:] = True
    truth = painted(120, 120, known=known)
    # What is unknown is marked in the image, so that a trace of it would show.
    image = truth.image.copy()
    image[~known] = (255, 0, 255)
    patch = cut(np.random.default_rng(seed), Truth(image, truth.root & known, known), 64, (0.8, 1.25))
    green = patch.image[..., 1].astype(int)
    red = patch.image[..., 0].astype(int)
    assert np.abs(red - green)[patch.known].max(initial=0) <= 3


def test_most_patches_lie_on_a_root_but_not_all():
    root = np.zeros((1000, 1000), bool)
    root[500:504, 500:560] = True
    truth = Truth(np.zeros((1000, 1000, 3), np.uint8), root)
    rng = np.random.default_rng(0)
    hits = [cut(rng, truth, 64, (1, 1)).root.any() for _ in range(120)]
    assert 0.6 < np.mean(hits) < 0.9


@pytest.mark.parametrize("rooted", [True, False])
def test_patches_of_an_annotation_lie_where_it_says_something(rooted):
    known = np.zeros((1000, 1000), bool)
    known[700:720, 100:160] = True
    root = known & (np.arange(1000)[:, None] < 704) if rooted else np.zeros_like(known)
    truth = Truth(np.zeros((1000, 1000, 3), np.uint8), root, known)
    rng = np.random.default_rng(0)
    said = [cut(rng, truth, 64, (1, 1)).known.any() for _ in range(60)]
    assert np.mean(said) > 0.85


def test_the_same_chance_gives_the_same_patch_and_another_one_another():
    truth = painted(100, 100)
    one, same, other = (cut(np.random.default_rng(seed), truth, 32) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.image, same.image)
    np.testing.assert_array_equal(one.root, same.root)
    assert (one.image != other.image).any()


def test_a_zoom_of_two_shows_roots_twice_as_wide(monkeypatch):
    monkeypatch.setattr(patches, "DIAGONAL", 1)
    monkeypatch.setattr(patches, "BLACK_BEYOND", 0)
    root = np.zeros((400, 400), bool)
    root[:, 198:204] = True
    truth = Truth(np.zeros((400, 400, 3), np.uint8), root)

    def width(scale):
        rng = np.random.default_rng(5)
        straight = [cut(rng, truth, 64, (scale, scale)) for _ in range(60)]
        areas = [patch.root.sum() / 64 for patch in straight if patch.root.any(0).all() or patch.root.any(1).all()]
        return np.median(areas)

    assert width(2) == pytest.approx(2 * width(1), rel=0.1)


def lines(width, count=4):
    """A truth with straight diagonal and upright roots of one width in pixels."""
    y, x = np.mgrid[:300, :300].astype(float)
    root = np.zeros((300, 300), bool)
    for i in range(count):
        angle = i * np.pi / count
        across = (x - 150) * np.cos(angle) + (y - 150) * np.sin(angle)
        root |= np.abs(across) < width / 2
    return Truth(np.zeros((300, 300, 3), np.uint8), root)


@pytest.mark.parametrize("width", [3, 9])
def test_the_width_of_roots_is_measured_in_every_direction(width):
    assert lines(width, count=1).root_width == pytest.approx(width * 4 / np.pi, rel=0.05)  # an upright line
    assert lines(width, count=7).root_width == pytest.approx(width, rel=0.15)
    assert Truth(np.zeros((9, 9, 3), np.uint8), np.zeros((9, 9), bool)).root_width == 0


@quick
@given(seeds, st.sampled_from([(2, 1.0), (5, 0.8), (16, 0.4)]))
def test_no_image_is_shrunk_until_its_roots_are_lost(seed, case):
    width, smallest = case
    zooms = [patches._zoom(np.random.default_rng((seed, i)), width, (0.4, 2.5)) for i in range(50)]
    assert smallest <= min(zooms) and max(zooms) <= 2.5
    assert patches._zoom(np.random.default_rng(seed), width, (0.5, 0.5)) == pytest.approx(0.5)


def test_an_image_without_roots_is_shrunk_as_far_as_any():
    zooms = [patches._zoom(np.random.default_rng(i), 0, (0.4, 2.5)) for i in range(300)]
    assert min(zooms) < 0.45


@pytest.mark.parametrize("degrees", [0, 30, 200])
def test_the_middle_of_a_turned_square_is_that_of_the_whole_square_turned(degrees):
    soft = Image.fromarray(np.uint8(np.random.default_rng(0).uniform(0, 255, (9, 9)))).resize((100, 100))
    whole = np.asarray(soft.rotate(-degrees, Image.Resampling.BILINEAR).crop((20, 20, 80, 80)), int)
    middle = np.asarray(patches._middle(soft, np.radians(degrees), 60), int)
    assert np.abs(whole - middle).max() <= 1
