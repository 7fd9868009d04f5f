import pytest
import torch

from rootpainter_rootfm.files import sha256
from rootpainter_rootfm.model import library as library_module
from rootpainter_rootfm.model.checkpoint import read_state, write_pth, write_safetensors
from rootpainter_rootfm.model.library import DEFAULT_MODEL, Library
from rootpainter_rootfm.model.network import MobileSAM
from tests.segment import helpers


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """Half-precision weights as safetensors and as `.pth`, single-precision ones as `.pth`."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(3)
    state = MobileSAM().state_dict()
    write_pth(state, folder / "single.pth")
    write_safetensors(state, folder / "half.safetensors")
    write_pth(read_state(folder / "half.safetensors"), folder / "half.pth")
    return folder


@pytest.fixture
def library(tmp_path, monkeypatch):
    monkeypatch.setenv("ROOTFM_HOME", str(tmp_path / "home"))
    return Library()


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    """A folder in place of the package's weights."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    monkeypatch.setattr(library_module, "bundle_folder", lambda: folder)
    return folder


@pytest.fixture
def put_bundled(bundle):
    """Puts a file and its card into the package; with a `url`, the card alone."""

    def put(source, name=DEFAULT_MODEL, **changes):
        about = {"file": f"{name}{source.suffix}", "sha256": sha256(source), "size_bytes": source.stat().st_size}
        card = helpers.card(name, threshold=0.4, **about | changes)
        (bundle / f"{name}.json").write_text(card.to_json(), encoding="utf-8")
        if card.url is None:
            (bundle / card.file).write_bytes(source.read_bytes())
        return card

    return put
