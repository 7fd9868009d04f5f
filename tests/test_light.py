import numpy as np
import pytest

from rootpainter_rootfm.learn.synthetic import draw_photograph
from rootpainter_rootfm.light import MOST, gains, whitened


def photograph(colour=(1, 1, 1)):
    drawn, _ = draw_photograph(np.random.default_rng(2), 120, 160)
    grey = drawn.mean(2, keepdims=True)
    return np.uint8(np.rint(grey * colour))


def test_a_grey_image_stays_as_it_is():
    image = photograph()
    np.testing.assert_array_equal(gains(image), np.ones(3, np.float32))
    np.testing.assert_array_equal(whitened(image), image)


@pytest.mark.parametrize("colour", [(0.6, 0.7, 1), (1, 0.8, 0.55), (0.9, 1, 0.8)])
def test_what_coloured_light_made_of_a_grey_image_becomes_grey_again(colour):
    image = photograph(colour)
    found = whitened(image).astype(int)
    assert np.ptp(found, axis=2).max() <= 3, "half a step of 256 is lost in each channel and then made larger"
    # Of the brightness nothing is lost: dark stays dark, and the roots stand out as much.
    brightness = image.mean(2)
    assert np.abs(found.mean(2) - brightness).max() <= 0.12 * brightness.max()


def test_an_image_in_one_colour_alone_keeps_its_brightness_within_bounds():
    green = photograph((0.01, 1, 0.01))
    assert gains(green).tolist() == pytest.approx([MOST, 1 / MOST, MOST])
    np.testing.assert_array_equal(whitened(photograph((0, 1, 0))), photograph((0, 1, 0)))


def test_a_large_image_is_judged_by_some_of_its_pixels():
    image = np.tile(photograph((0.6, 0.7, 1)), (20, 20, 1))
    np.testing.assert_allclose(gains(image), gains(photograph((0.6, 0.7, 1))), rtol=0.01)


def test_a_black_image_stays_black():
    assert not whitened(np.zeros((3, 5, 3), np.uint8)).any()
