from copy import deepcopy

import pytest
import torch

from rootpainter_rootfm import masks
from rootpainter_rootfm.learn.fine_tuning import corrections
from rootpainter_rootfm.learn.training import loop, trained, validation
from rootpainter_rootfm.model.network import MobileSAM
from tests.learn.corrected import draw_image


@pytest.fixture(scope="session")
def fresh_network():
    """A network with random weights, made once: filling ten million weights takes seconds."""
    torch.manual_seed(0)
    return MobileSAM()


@pytest.fixture(scope="module")
def quick_training(fresh_network):
    """Trainings begin from `fresh_network` and validate on one tiny patch of every dataset."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (loop, trained):
            patch.setattr(module, "MobileSAM", lambda: deepcopy(fresh_network))
        patch.setattr(validation, "SIDE", 32)
        patch.setattr(validation, "IN_ALL", 1)
        patch.setattr(validation, "PATCHES", 1)
        yield


@pytest.fixture
def undivided(monkeypatch):
    """One image to validate on is enough to divide none, as otherwise three are."""
    monkeypatch.setattr(corrections, "WHOLE", 1)


@pytest.fixture
def project(tmp_path):
    """Folders of images and annotations, one image to learn from and one to validate on."""
    for name in ("images", "train", "val"):
        (tmp_path / name).mkdir()
    for stem, part, seed in (("a", "train", 0), ("b", "val", 1)):
        masks.write_annotation(*draw_image(tmp_path, stem, seed), tmp_path / part / f"{stem}.png")
    return tmp_path
