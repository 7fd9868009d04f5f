import pytest

from tests.trainer.sync_world import World


@pytest.fixture(scope="session")
def library_folder(tmp_path_factory):
    """One library for all tests: the weights of its model are too large to be made for each."""
    return tmp_path_factory.mktemp("library")


@pytest.fixture(scope="module", autouse=True)
def library_home(library_folder):
    """No test sees the models of the person who runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROOTFM_HOME", str(library_folder))
        yield library_folder


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A foundation model with random weights, as a `.pth`."""
    import torch

    from rootpainter_rootfm.model.checkpoint import write_pth
    from rootpainter_rootfm.model.network import MobileSAM

    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("model") / "model.pth"
    write_pth(MobileSAM().state_dict(), path)
    return path


@pytest.fixture
def world(tmp_path):
    """A sync folder without a trainer yet."""
    made = World(tmp_path / "sync")
    yield made
    made.end()
