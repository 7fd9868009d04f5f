import numpy as np
import pytest
from PIL import Image

from rootpainter_rootfm.learn.drawing import clutter

GROUND = (90, 80, 60)


def things():
    return dict.fromkeys(clutter._THINGS)


@pytest.mark.parametrize("thing", things(), ids=lambda thing: thing.__name__)
def test_every_thing_shows_in_most_pictures_and_covers_few_of_them_whole(thing):
    shown, bare = [], []
    for seed in range(30):
        layer = Image.new("RGB", (120, 80), GROUND)
        thing(np.random.default_rng(seed), layer)
        changed = (np.asarray(layer) != GROUND).any(axis=2)
        shown.append(changed.any())
        bare.append(1 - changed.mean())
    assert np.mean(shown) > 0.4
    assert np.mean(bare) > 0.4


def test_strewing_keeps_the_picture_given_and_depends_on_chance_alone():
    picture = np.full((48, 64, 3), 100, np.uint8)
    one, same, other = (clutter.strew(np.random.default_rng(seed), picture) for seed in (3, 3, 4))
    assert one.shape == picture.shape and one.dtype == np.uint8
    assert (picture == 100).all()
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
