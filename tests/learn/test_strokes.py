"""Patches around strokes: the right pixels, none of a thin stroke lost, root and soil alike."""

import numpy as np
import pytest

from rootpainter_rootfm.learn.data import Truth
from rootpainter_rootfm.learn.strokes import Strokes


def annotated(root=(), soil=(), size=(200, 300)):
    """An image whose red is 200 on root and 50 on soil strokes, 120 elsewhere."""
    layers = np.zeros((2, *size), bool)
    for layer, places in zip(layers, (root, soil), strict=True):
        for place in places:
            layer[place] = True
    image = np.full((*size, 3), 120, np.uint8)
    image[layers[0]], image[layers[1]] = 200, 50
    return Truth(image, layers[0], layers[0] | layers[1])


THIN_ROOT = (slice(100, 102), slice(10, 290))
WIDE_SOIL = (slice(20, 60), slice(10, 290))


def test_labels_lie_where_the_image_shows_them_at_any_angle_scale_and_mirror_image():
    strokes = Strokes.of(annotated([(slice(90, 120), slice(10, 290))], [WIDE_SOIL]))
    rng = np.random.default_rng(0)
    for _ in range(40):
        patch = strokes.draw(rng, 64, (0.5, 2.0))
        assert patch.image.shape == (64, 64, 3) and patch.root.shape == patch.known.shape == (64, 64)
        on_root = patch.image[..., 0][patch.known & (patch.root > 0)].astype(int)
        on_soil = patch.image[..., 0][patch.known & (patch.root == 0)].astype(int)
        # Only pixels on the very edge of a stroke mix with what lies beside it.
        assert np.median(on_root) > 180 if on_root.size > 100 else True
        assert np.median(on_soil) < 70 if on_soil.size > 100 else True


def test_no_thin_stroke_is_lost():
    strokes = Strokes.of(annotated([THIN_ROOT]))
    rng = np.random.default_rng(1)
    lengths = [strokes.draw(rng, 64, (0.99, 1.01)).known.sum() / 2 for _ in range(60)]
    assert min(lengths) > 0
    # A line through a 64-pixel patch is about as long as the patch is wide.
    assert 40 < np.mean(lengths) < 90


def test_root_and_soil_are_shown_equally_often_however_much_was_painted_of_each():
    strokes = Strokes.of(annotated([(slice(180, 183), slice(280, 283))], [WIDE_SOIL]))
    rng = np.random.default_rng(2)
    rooted = [bool(strokes.draw(rng, 32, (1, 1.001)).root.any()) for _ in range(200)]
    assert 0.35 < np.mean(rooted) < 0.65


@pytest.mark.parametrize("layers", [{"root": [THIN_ROOT]}, {"soil": [WIDE_SOIL]}])
def test_one_class_alone_will_do(layers):
    strokes = Strokes.of(annotated(**layers))
    patch = strokes.draw(np.random.default_rng(3), 64, (0.8, 1.25))
    assert patch.known.any() and patch.root[patch.known].all() == ("root" in layers)


def test_nothing_is_known_beyond_the_borders():
    strokes = Strokes.of(annotated([(slice(0, 3), slice(0, 3))], size=(20, 30)))
    rng = np.random.default_rng(4)
    for _ in range(20):
        patch = strokes.draw(rng, 64, (0.8, 1.25))
        assert not patch.known[patch.image.sum(-1) == 0].any()


def test_patches_differ():
    strokes = Strokes.of(annotated([THIN_ROOT], [WIDE_SOIL]))
    rng = np.random.default_rng(5)
    assert not np.array_equal(strokes.draw(rng, 64, (0.8, 1.2)).known, strokes.draw(rng, 64, (0.8, 1.2)).known)
