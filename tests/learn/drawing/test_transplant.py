import numpy as np
import pytest

from rootpainter_rootfm.learn.data import Patch
from rootpainter_rootfm.learn.drawing import transplant as module
from rootpainter_rootfm.learn.drawing.transplant import transplant

SIZE = 64


def patch(ground, root=None, columns=slice(0, 0), known=True):
    """A patch of one grey, with a vertical root of another."""
    image = np.full((SIZE, SIZE, 3), ground, np.uint8)
    share = np.zeros((SIZE, SIZE), np.float32)
    share[:, columns] = 1
    if root is not None:
        image[:, columns] = root
    return Patch(image, share, np.full((SIZE, SIZE), known))


def planted(donor, host, seeds=12):
    return [transplant(np.random.default_rng(seed), donor, host) for seed in range(seeds)]


def test_roots_go_where_they_were_and_those_of_the_host_stay():
    host = patch(120, 220, slice(10, 16))
    for found in planted(patch(60, 200, slice(40, 48)), host):
        roots = np.flatnonzero(found.root[0])
        assert set(roots) == {*range(10, 16), *range(40, 48)}
        np.testing.assert_array_equal(found.image[:, :30], host.image[:, :30])
        assert (np.abs(found.image[:, 40:48].astype(int) - 120) > 40).all()


def test_roots_keep_their_colour_or_their_contrast_which_may_be_turned_round(monkeypatch):
    donor, host = patch(60, 110, slice(30, 40)), patch(150)
    middles = {int(found.image[32, 35, 0]) for found in planted(donor, host, 40)}
    assert 110 in middles, "none kept its colour"
    assert any(middle > 170 for middle in middles) and any(middle < 135 for middle in middles)
    monkeypatch.setattr(module, "KEEPS_COLOUR", 1.0)
    assert {int(found.image[32, 35, 0]) for found in planted(donor, host)} == {110}


def test_roots_that_could_not_be_seen_are_not_planted(monkeypatch):
    monkeypatch.setattr(module, "KEEPS_COLOUR", 1.0)
    host = patch(200)
    assert all(found is host for found in planted(patch(60, 200, slice(30, 40)), host))
    alike, faint = patch(60), patch(60, 63, slice(30, 40))
    assert all(found is alike for found in planted(faint, alike)), "three grey levels are no root"


def test_what_is_not_known_of_the_donor_stays_behind_and_what_is_not_known_of_the_host_stays_unknown():
    host = patch(120, known=False)
    assert all(found is host for found in planted(patch(60, 200, slice(30, 40), known=False), host))
    assert all(not found.known.any() for found in planted(patch(60, 200, slice(30, 40)), host))


@pytest.mark.parametrize("ground", [0, 255])
def test_a_picture_full_of_root_can_be_a_donor(ground):
    donor = patch(ground, ground, slice(0, SIZE))
    for found in planted(donor, patch(128)):
        assert found.image.dtype == np.uint8 and found.root.dtype == np.float32
