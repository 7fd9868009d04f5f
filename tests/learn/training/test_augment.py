import numpy as np
import pytest

from rootpainter_rootfm.learn.drawing import ground
from rootpainter_rootfm.learn.training import augment


def changed(image, variety, count=200):
    """How many of `count` pictures differ from the image."""
    seen = (augment.photograph(np.random.default_rng(seed), image, variety) for seed in range(count))
    return sum(not np.array_equal(one, image) for one in seen)


@pytest.mark.parametrize("seed", range(12))
def test_changes_of_light_keep_a_picture_a_picture(seed):
    rng = np.random.default_rng(seed)
    image = np.uint8(ground.draw(rng, 40, 56))
    changed = augment.photograph(rng, image)
    assert changed.shape == image.shape and changed.dtype == np.uint8


def test_the_less_variety_the_more_pictures_stay_as_they_are():
    image = np.uint8(ground.draw(np.random.default_rng(0), 40, 56))
    assert changed(image, 0) == 0
    assert 60 < changed(image, 0.25) < 160
    assert changed(image, 1) > 180


def test_changes_of_light_invert_and_grey_some_pictures():
    image = np.zeros((16, 16, 3), np.uint8)
    image[..., 0], image[4:12, 4:12] = 40, (220, 200, 60)
    seen = [augment.photograph(np.random.default_rng(seed), image) for seed in range(120)]
    inverted = np.mean([one[6:10, 6:10].mean() < one[:3].mean() for one in seen])
    grey = np.mean([np.ptp(one.astype(int), axis=2).mean() < 3 for one in seen])
    assert 0.1 < inverted < 0.4 and 0.1 < grey < 0.45


def test_changes_of_light_dye_some_pictures_and_keep_what_is_bright():
    image = np.full((16, 16, 3), 60, np.uint8)
    image[4:12, 4:12] = 220
    for seed in range(40):
        dyed = augment._dye(np.random.default_rng(seed), image.astype(np.float32) / 255)
        assert 0 <= dyed.min() and dyed.max() <= 1 and dyed.shape == image.shape
        assert (dyed[8, 8] > dyed[0, 0]).all()
    seen = [augment.photograph(np.random.default_rng(seed), image)[:3].mean((0, 1)) for seed in range(200)]
    coloured = np.mean([np.ptp(ground) > 90 for ground in seen])  # by more than a cast of light makes of grey
    assert 0.02 < coloured < 0.3
