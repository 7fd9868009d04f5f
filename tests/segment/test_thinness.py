import numpy as np
import pytest

from rootpainter_rootfm import bands
from rootpainter_rootfm.segment.thinness import thin_share


def lines(*widths, length=120, apart=30):
    mask = np.zeros((apart * (len(widths) + 1), length + 40), bool)
    for number, width in enumerate(widths, 1):
        mask[apart * number : apart * number + width, 20 : 20 + length] = True
    return mask


@pytest.mark.parametrize(("widths", "share"), [((1,), 1), ((3,), 1), ((4,), 0), ((12,), 0), ((2, 9), 0.5), ((), 0)])
def test_roots_narrower_than_four_pixels_are_thin(widths, share):
    for mask in (lines(*widths), lines(*widths).T):
        assert thin_share(mask) == pytest.approx(share, abs=0.04)


def test_a_thick_rim_does_not_hide_thin_roots():
    mask = lines(2, 2, 2, 2)
    mask[:, -20:] = True
    assert mask[:, -20:].sum() > 2 * mask[:, :-20].sum()
    assert thin_share(mask) > 0.7


def test_bands_give_what_the_whole_gives(monkeypatch):
    mask = np.random.default_rng(0).random((97, 53)) < 0.9
    whole = thin_share(mask)
    monkeypatch.setattr(bands, "_VALUES_AT_A_TIME", 53 * 10)
    assert thin_share(mask) == pytest.approx(whole, abs=1e-12) and 0 < whole < 1


@pytest.mark.parametrize("shape", [(1, 1), (2, 50), (50, 3)])
def test_masks_smaller_than_a_step(shape):
    assert thin_share(np.ones(shape, bool)) == 0  # no outline inside the image
