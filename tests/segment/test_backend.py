"""OpenVINO computes what torch computes, is made ready only where that pays, and never stands in the way."""

import logging
import os
import subprocess
import sys
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from rootpainter_rootfm.model.folding import fold_batchnorm
from rootpainter_rootfm.model.network import MobileSAM
from rootpainter_rootfm.segment import backend, backend_cache
from rootpainter_rootfm.segment.backend import PATIENCE, FastEncoder
from rootpainter_rootfm.segment.engine import Segmenter
from rootpainter_rootfm.segment.settings import SegmentSettings
from tests.model.test_network import shake
from tests.segment.helpers import photograph

if find_spec("openvino") is None:
    pytest.skip("the extra [fast] is not installed", allow_module_level=True)

SIZE = 64


@pytest.fixture(scope="module")
def folded():
    torch.manual_seed(0)
    network = MobileSAM().eval()
    shake(network)
    return fold_batchnorm(network).to(memory_format=torch.channels_last)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("ROOTFM_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def encoder(folded):
    return FastEncoder(deepcopy(folded.image_encoder))


def tile(height=SIZE, width=SIZE, batch=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((batch, height, width, 3), generator=generator).permute(0, 3, 1, 2)


def show(encoder, x, times):
    with torch.inference_mode():
        return [encoder(x) for _ in range(times)][-1]


def prepared(home: Path):
    return sorted(home.glob("cache/*.encoder"))


@pytest.mark.parametrize("height, width, batch", [(64, 64, 1), (224, 96, 1), (96, 160, 2)])
def test_its_embedding_is_that_of_torch(folded, height, width, batch):
    from rootpainter_rootfm.segment.backend_openvino import Encoder

    x = tile(height, width, batch)
    with torch.inference_mode():
        expected = folded.image_encoder(x)
        made = Encoder.built(folded.image_encoder, tuple(x.shape))
        torch.testing.assert_close(made(x), expected, atol=2e-5, rtol=1e-4)
        torch.testing.assert_close(Encoder.restored(made.blob())(x), expected, atol=2e-5, rtol=1e-4)
    assert expected.std() > 0.1


def test_two_embeddings_do_not_share_their_memory(folded):
    from rootpainter_rootfm.segment.backend_openvino import Encoder

    made = Encoder.built(folded.image_encoder, (1, 3, SIZE, SIZE))
    first = made(tile())
    kept = first.clone()
    made(tile(seed=1))
    assert torch.equal(first, kept)


def test_it_is_made_ready_after_a_few_tiles_and_then_found_on_disk(folded, encoder, home, monkeypatch):
    show(encoder, tile(), PATIENCE)
    assert not encoder._ready and not prepared(home)
    found = show(encoder, tile(), 1)
    assert encoder._ready and len(prepared(home)) == 1
    torch.testing.assert_close(found, show(encoder.encoder, tile(), 1), atol=2e-5, rtol=1e-4)

    monkeypatch.setattr(FastEncoder, "_built", lambda *unused: pytest.fail("it was on disk"))
    again = FastEncoder(deepcopy(folded.image_encoder))
    torch.testing.assert_close(show(again, tile(), PATIENCE + 1), found, atol=2e-5, rtol=1e-4)
    assert again._ready


def test_other_weights_and_other_shapes_have_encoders_of_their_own(folded, encoder, home, monkeypatch):
    monkeypatch.setattr(backend, "PATIENCE", 0)
    show(encoder, tile(), 1)
    show(encoder, tile(96, 64), 1)
    changed = deepcopy(folded.image_encoder)
    with torch.no_grad():
        changed.neck[0].weight[0, 0] += 0.01
    other = FastEncoder(changed)
    torch.testing.assert_close(show(other, tile(), 2), show(changed, tile(), 1), atol=2e-5, rtol=1e-4)
    assert len(prepared(home)) == 3


def test_ctrl_c_is_no_crash_after_encoders_were_made_and_thrown_away(home):
    program = """
import signal, torch
from rootpainter_rootfm.model.folding import fold_batchnorm
from rootpainter_rootfm.model.network import MobileSAM
from rootpainter_rootfm.segment.backend_openvino import Encoder
encoder = fold_batchnorm(MobileSAM().eval()).image_encoder
made = [Encoder.built(encoder, (1, 3, size, 64)) for size in (64, 96)]
while made:
    del made[0]
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("stopped in good order")
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout.strip()) == (0, "stopped in good order"), ran.stderr


def test_no_more_than_a_few_shapes_are_ready_at_once(encoder, monkeypatch):
    monkeypatch.setattr(backend, "PATIENCE", 0)
    monkeypatch.setattr(backend, "SHAPES", 1)
    show(encoder, tile(), 1)
    show(encoder, tile(96, 64), 2)
    assert list(encoder._ready) == [(1, 3, SIZE, SIZE)]


def test_a_shape_that_comes_no_more_makes_room_for_another(encoder, monkeypatch):
    monkeypatch.setattr(backend, "PATIENCE", 1)
    monkeypatch.setattr(backend, "SHAPES", 1)
    monkeypatch.setattr(backend, "IDLE", 4)
    show(encoder, tile(), 2)
    show(encoder, tile(96, 64), 3)
    assert list(encoder._ready) == [(1, 3, SIZE, SIZE)]
    show(encoder, tile(96, 64), 1)
    assert list(encoder._ready) == [(1, 3, 96, 64)]
    show(encoder, tile(), 1)
    assert list(encoder._ready) == [(1, 3, 96, 64)]


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b[:-1] + bytes([b[-1] ^ 1]), lambda b: b""])
def test_what_is_damaged_on_disk_is_made_anew(folded, encoder, home, damage, monkeypatch):
    monkeypatch.setattr(backend, "PATIENCE", 0)
    show(encoder, tile(), 1)
    (path,) = prepared(home)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    again = FastEncoder(deepcopy(folded.image_encoder))
    found = show(again, tile(), 1)
    assert again._ready and path.stat().st_size == len(whole)
    torch.testing.assert_close(found, show(folded.image_encoder, tile(), 1), atol=2e-5, rtol=1e-4)


def test_when_it_disagrees_torch_does_the_work_and_one_sentence_says_so(encoder, home, monkeypatch, caplog):
    from rootpainter_rootfm.segment.backend_openvino import Encoder

    right = Encoder.__call__
    monkeypatch.setattr(Encoder, "__call__", lambda self, x: right(self, x) * 1.01)
    monkeypatch.setattr(backend, "PATIENCE", 1)
    with caplog.at_level(logging.WARNING):
        found = show(encoder, tile(), 4)
    assert torch.equal(found, show(encoder.encoder, tile(), 1))
    assert not prepared(home)
    (record,) = caplog.records
    assert "torch does its work" in record.message and "64×64" in record.message


@pytest.mark.parametrize("error", [RuntimeError("no such instruction"), ImportError("libopenvino"), OSError("no")])
def test_whatever_fails_torch_does_the_work(encoder, error, monkeypatch, caplog):
    from rootpainter_rootfm.segment.backend_openvino import Encoder

    def broken(*unused):
        raise error

    monkeypatch.setattr(Encoder, "built", broken)
    monkeypatch.setattr(backend, "PATIENCE", 0)
    assert torch.equal(show(encoder, tile(), 3), show(encoder.encoder, tile(), 1))
    assert [str(error) in record.message for record in caplog.records] == [True]


def test_a_disk_without_room_only_means_that_nothing_is_kept(encoder, home, monkeypatch, caplog):
    (home / "cache").write_text("a file where the folder should be")
    monkeypatch.setattr(backend, "PATIENCE", 0)
    show(encoder, tile(), 1)
    assert encoder._ready and not caplog.records


def test_the_disk_never_holds_too_much(home, monkeypatch):
    monkeypatch.setattr(backend_cache, "KEPT_BYTES", 400)
    for name in "abcd":
        backend_cache.keep(name, name.encode() * 100)
        stamp = 1000 + ord(name)
        os.utime(home / "cache" / f"{name}.encoder", (stamp, stamp))
    assert [path.stem for path in prepared(home)] == ["b", "c", "d"]
    assert backend_cache.kept("b") == b"b" * 100
    backend_cache.keep("e", b"e" * 100)
    assert [path.stem for path in prepared(home)] == ["b", "d", "e"]
    assert backend_cache.kept("a") is None


def test_what_a_colleague_has_kept_serves_everybody(home, monkeypatch):
    def not_mine(path):
        raise PermissionError("Operation not permitted")

    backend_cache.keep("a", b"a")
    monkeypatch.setattr(os, "utime", not_mine)
    assert backend_cache.kept("a") == b"a"


def test_every_loaded_model_gets_it_and_its_masks_stay_the_same(folded, tmp_path, monkeypatch):
    from rootpainter_rootfm.model.checkpoint import write_pth

    torch.manual_seed(0)
    network = MobileSAM().eval()
    shake(network)
    write_pth(network.state_dict(), tmp_path / "fine-tuned.pth")
    settings = SegmentSettings(device="cpu", tile=SIZE, batch=1, edges=False)
    image = photograph(150, 130)
    segmenter = Segmenter.load(tmp_path / "fine-tuned.pth", settings=settings)
    monkeypatch.setattr(backend, "PATIENCE", 2)
    found = segmenter.segment(image)
    assert segmenter._networks[0].image_encoder._ready
    monkeypatch.setattr("rootpainter_rootfm.segment.backend.find_spec", lambda name: None)
    plain = Segmenter.load(tmp_path / "fine-tuned.pth", settings=settings).segment(image)
    assert abs(found.probability - plain.probability).max() < 2e-3
    assert (found.mask != plain.mask).mean() < 1e-3 and 0 < plain.mask.mean() < 1


def test_openvino_tells_nobody_that_it_is_used():
    from rootpainter_rootfm.segment import backend_openvino

    assert backend_openvino.ov
    from openvino.tools import ovc

    assert type(ovc.telemetry).__module__ == "openvino.tools.ovc.telemetry_stub"
