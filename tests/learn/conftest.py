from copy import deepcopy

import pytest
import torch

from rootpainter_rootfm.learn import loop, trained, validation
from rootpainter_rootfm.model.network import MobileSAM


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
