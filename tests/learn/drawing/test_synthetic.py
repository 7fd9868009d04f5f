import numpy as np
import pytest

from rootpainter_rootfm.learn.drawing import clutter, ground, synthetic
from rootpainter_rootfm.learn.drawing.synthetic import Habit, Looks, Root, draw, draw_photograph, grow, root_system

GROUND = 60.0


def solid(**changes):
    looks = dict(colour=np.array([230.0, 230, 230]), edge=1.0, opacity=(1, 1, 1), spread=0.0, grain=0.0, soiled=0.0)
    return Looks(**looks | changes)


def painted(roots, looks, size=160, seed=0):
    picture = np.full((size, size, 3), GROUND, np.float32)
    return synthetic._paint(np.random.default_rng(seed), picture, roots, looks)


@pytest.mark.parametrize("seed", range(6))
def test_the_mask_is_exactly_what_was_drawn(seed):
    rng = np.random.default_rng(seed)
    habit = Habit.random(rng)
    roots = root_system(rng, synthetic._crossing(rng, 160, habit), habit)
    picture, share = painted(roots, solid())
    seen = (picture[..., 0] - GROUND) / (230 - GROUND)
    assert share.min() >= 0 and share.max() <= 1 and share.any()
    disagreeing = (seen > 0.5) != (share > 0.5)
    # Only the rim may differ, by the blur of the lens.
    rim = (share > 0.05) & (share < 0.95)
    neighbours = rim | np.roll(rim, 1, 0) | np.roll(rim, -1, 0) | np.roll(rim, 1, 1) | np.roll(rim, -1, 1)
    assert not (disagreeing & ~neighbours).any()
    assert disagreeing.mean() < 0.02


def test_a_straight_root_has_its_radius_in_the_mask():
    line = np.stack([np.linspace(20, 140, 31), np.full(31, 80.0)], 1)
    _, share = painted([Root(line, np.full(31, 6.0), 0)], solid())
    assert share[:, 80].sum() == pytest.approx(12, abs=1)
    assert share[80, 20:140].all() and not share[:60].any() and not share[100:].any()


def test_soil_before_a_root_and_fainter_laterals_do_not_change_the_mask():
    line = np.stack([np.linspace(0, 160, 41), np.full(41, 80.0)], 1)
    roots = [Root(line, np.full(41, 5.0), 2)]
    clear, expected = painted(roots, solid())
    hidden, share = painted(roots, solid(soiled=0.3, opacity=(1, 0.7, 0.4)))
    np.testing.assert_array_equal(share, expected)
    assert np.abs(hidden - clear).max() > 30


def test_a_roots_skin_is_uneven_and_its_mask_is_not():
    line = np.stack([np.linspace(0, 160, 41), np.full(41, 80.0)], 1)
    roots = [Root(line, np.full(41, 25.0), 0)]
    plain, expected = painted(roots, solid())
    rough, share = painted(roots, solid(grain=0.2))
    np.testing.assert_array_equal(share, expected)
    inside = np.s_[65:95, 20:140, 0]
    assert plain[inside].std() < 1 and 10 < rough[inside].std() < 80


def test_one_patch_in_eight_has_no_root_and_the_others_do():
    found = [draw(np.random.default_rng(seed), 64).root.any() for seed in range(80)]
    assert 0.75 < np.mean(found) < 0.97


def test_fine_roots_sometimes_cover_a_patch_and_thick_ones_never():
    rng = np.random.default_rng(0)
    fine, thick = ([synthetic._count(rng, radius) for _ in range(400)] for radius in (1.5, 8.0))
    mats = [count for count in fine if count > 5]
    assert 0.2 < len(mats) / len(fine) < 0.4 and max(mats) > 20
    assert set(fine) - set(mats) == {1, 2, 3, 4} and set(thick) == {1, 2}


def test_a_drawn_patch_is_a_patch_and_depends_on_chance_alone():
    one, same, other = (draw(np.random.default_rng(seed), 64) for seed in (3, 3, 4))
    assert one.image.shape == (64, 64, 3) and one.image.dtype == np.uint8
    assert one.root.dtype == np.float32 and one.known.all()
    np.testing.assert_array_equal(one.image, same.image)
    assert (one.image != other.image).any()


def test_roots_over_real_ground_leave_it_as_it_is_elsewhere(monkeypatch):
    monkeypatch.setattr(clutter, "strew", lambda rng, picture: picture)
    behind = np.random.default_rng(0).integers(80, 120, (96, 96, 3), dtype=np.uint8)
    for seed in range(8):
        patch = draw(np.random.default_rng(seed), 96, behind)
        far = patch.root == 0
        for _ in range(60):  # hairs and blur reach beyond the roots themselves
            far &= np.roll(far, 1, 0) & np.roll(far, -1, 0) & np.roll(far, 1, 1) & np.roll(far, -1, 1)
        np.testing.assert_array_equal(patch.image[far], behind[far])


def test_roots_are_darker_as_well_as_brighter_than_their_ground():
    signs = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        behind = ground.draw(rng, 32, 32).mean((0, 1))
        signs.append(np.sign(Looks.random(rng, behind).colour.mean() - behind.mean()))
    assert 0.2 < np.mean(np.array(signs) > 0) < 0.8


def test_roots_can_be_told_from_the_mean_of_their_ground():
    for seed in range(60):
        rng = np.random.default_rng(seed)
        behind = rng.uniform(0, 255, 3)
        assert np.abs(Looks.random(rng, behind).colour - behind).mean() > 10


def test_roots_taper_and_laterals_are_thinner_than_their_parent():
    rng = np.random.default_rng(1)
    habit = Habit(radius=8, wander=0.05, spacing=20, gravity=0.01, orders=2)
    main = grow(rng, np.array([10.0, 10]), 0.7, 300, 8.0, habit)
    assert main.radius[-1] < main.radius[5] and main.line.shape == (len(main.radius), 2)
    steps = np.linalg.norm(np.diff(main.line, axis=0), axis=1)
    np.testing.assert_allclose(steps, synthetic.STEP)
    laterals = [root for root in root_system(rng, [main], habit) if root.order == 1]
    assert laterals and all(root.radius.max() < main.radius.max() for root in laterals)


def test_a_drawn_photograph_shows_roots_that_grow_from_the_top():
    image, mask = draw_photograph(np.random.default_rng(2), 160, 120)
    assert image.shape == (160, 120, 3) and image.dtype == np.uint8
    assert mask.shape == (160, 120) and mask.dtype == bool
    assert mask[:20].any() and 0.005 < mask.mean() < 0.6


@pytest.mark.parametrize("seed", range(12))
def test_grounds_are_pictures(seed):
    picture = ground.draw(np.random.default_rng(seed), 40, 56)
    assert picture.shape == (40, 56, 3) and picture.min() >= 0 and picture.max() <= 255
