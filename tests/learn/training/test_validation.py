from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from rootpainter_rootfm.learn.training.validation import ValidationPatches
from tests.learn.helpers import datasets

pytestmark = pytest.mark.usefixtures("quick_training")


def filled(dataset, folder, level):
    """The dataset with masks of one level."""
    file = folder / f"{level}.png"
    Image.fromarray(np.full((80, 96), level, np.uint8)).save(file)
    return replace(dataset, items=tuple(replace(item, mask=file) for item in dataset.items))


def test_a_dataset_without_root_is_left_out_of_the_mean_unless_there_is_no_other(tmp_path, fresh_network):
    sand, clay = datasets(tmp_path)
    bare = filled(clay, tmp_path, 0)
    patches = ValidationPatches([sand, bare])
    report = patches.measure(fresh_network)
    assert set(report.dice) == {"sand", "clay"} and report.mean == report.dice["sand"]
    # A training that had counted it compares its best weights anew; all others have the digest that they had.
    assert patches.digest == ValidationPatches([sand]).digest
    alone = ValidationPatches([bare])
    assert alone.counting == ("clay",) and alone.digest != patches.digest


def test_masks_that_are_root_for_the_most_part_are_said_to_be_inverted(tmp_path):
    sand, clay = datasets(tmp_path)
    white = filled(clay, tmp_path, 255)
    (warning,) = ValidationPatches([sand, white]).warnings
    assert warning.startswith("More than half of clay is root: its masks may be inverted")
