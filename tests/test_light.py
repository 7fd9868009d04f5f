import numpy as np
import pytest

from rootpainter_rootfm.learn.drawing.synthetic import draw_photograph
from rootpainter_rootfm.light import MOST, NATURAL, balanced, gains

BLUE = (0.35, 0.45, 1)


def photograph(colour=(1, 1, 1)):
    drawn, _ = draw_photograph(np.random.default_rng(2), 120, 160)
    grey = drawn.mean(2, keepdims=True)
    return np.uint8(np.rint(grey * colour))


@pytest.mark.parametrize("colour", [(1, 1, 1), (1, 0.85, 0.7)])
def test_grey_images_and_the_browns_of_soil_stay_as_they_are(colour):
    image = photograph(colour)
    np.testing.assert_array_equal(gains(image), np.ones(3, np.float32))
    np.testing.assert_array_equal(balanced(image), image)


@pytest.mark.parametrize("colour", [BLUE, (0.9, 0.4, 0.9), (0.5, 1, 0.5)])
def test_of_an_uncommon_colour_a_tinge_is_left(colour):
    image = photograph(colour)
    before, found = image.mean((0, 1)), balanced(image).mean((0, 1))
    beyond = np.log(before / before.mean())
    left = np.clip(beyond, -np.log(NATURAL), np.log(NATURAL))
    np.testing.assert_allclose(np.log(found / before.mean()), left, atol=0.03)
    assert np.abs(beyond).max() > np.abs(left).max() + 0.1


def test_dark_stays_dark_and_bright_bright():
    image = photograph(BLUE)
    before, found = image.mean(2).ravel(), balanced(image).mean(2).ravel()
    assert np.corrcoef(before, found)[0, 1] > 0.99
    assert np.abs(found - before).max() <= 0.2 * before.max()


def test_an_image_in_one_colour_alone_changes_within_bounds():
    assert gains(photograph((0.01, 1, 0.01))).tolist() == pytest.approx([MOST, NATURAL / 3, MOST], abs=0.1)
    np.testing.assert_array_equal(balanced(photograph((0, 1, 0))), photograph((0, 1, 0)))


def test_a_large_image_is_judged_by_some_of_its_pixels():
    image = np.tile(photograph(BLUE), (20, 20, 1))
    np.testing.assert_allclose(gains(image), gains(photograph(BLUE)), rtol=0.01)


def test_a_black_image_stays_black():
    assert not balanced(np.zeros((3, 5, 3), np.uint8)).any()
