import numpy as np
import pytest

from rootpainter_rootfm.learn.data import Dataset
from rootpainter_rootfm.learn.evaluation import baselines
from rootpainter_rootfm.learn.evaluation.baselines import BASELINES, first_images, method
from tests.learn.helpers import datasets, photograph


@pytest.mark.parametrize("name", BASELINES)
def test_bright_roots_on_dark_ground_are_found(name):
    image, root = photograph(1, 120, 160)
    mask, probability = method(name).predict(image)
    assert mask.shape == root.shape and mask.dtype == bool and probability is None
    assert 2 * (mask & root).sum() / (mask.sum() + root.sum()) > 0.7


@pytest.mark.parametrize("name", BASELINES)
def test_large_images_are_reduced_and_their_masks_enlarged(name, monkeypatch):
    seen = []
    monkeypatch.setitem(BASELINES, name, lambda grey: seen.append(grey) or grey > 0.5)
    monkeypatch.setattr(baselines, "LONG_SIDE", 40)
    image, root = photograph(1, 80, 60)
    mask, _ = method(name).predict(image)
    assert seen[0].shape == (40, 30) and seen[0].max() <= 1
    assert mask.shape == (80, 60) and (mask == root).mean() > 0.8


@pytest.mark.parametrize("name", BASELINES)
def test_an_image_of_one_colour_has_no_roots(name):
    mask, _ = method(name).predict(np.full((50, 60, 3), 90, np.uint8))
    assert not mask.any()


def test_the_first_images_of_each_dataset_are_compared(tmp_path, monkeypatch):
    sand, clay = datasets(tmp_path, per_split=1)
    monkeypatch.setattr(baselines, "FIRST", 2)
    seen = []
    found = first_images([sand, clay], lambda done, total, current: seen.append(current))
    assert set(found) == set(BASELINES) and all(set(row) == {"sand", "clay"} for row in found.values())
    assert [text.rpartition(" ")[2] for text in seen if text] == ["sand0.png", "sand1.png", "clay0.png", "clay1.png"]
    alone = [first_images([Dataset("sand", (item,))])["Otsu on grey"]["sand"] for item in sand.items[:2]]
    assert found["Otsu on grey"]["sand"] == pytest.approx(np.mean(alone))
