"""Weights go out and come in unchanged, whatever is wrong with a file is said, and nothing in it is ever run."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from rootpainter_rootfm.errors import WeightsError
from rootpainter_rootfm.model import checkpoint
from rootpainter_rootfm.model.network import MobileSAM, normalise

CONV = "image_encoder.patch_embed.seq.0.c.weight"


@pytest.fixture(scope="module")
def state():
    torch.manual_seed(0)
    return {name: tensor.clone() for name, tensor in MobileSAM().state_dict().items()}


@pytest.fixture(scope="module")
def half_state(state):
    return {name: tensor.half().float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}


def assert_same(found, expected):
    assert list(found) == list(expected) or set(found) == set(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype and torch.equal(found[name], tensor), name


# ---- what comes back


@pytest.mark.parametrize("prefix", ["", "model._orig_mod."])
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("kind", ["pth", "safetensors", "old pth"])
def test_every_published_form_reads_as_single_precision(tmp_path, state, half_state, prefix, half, kind):
    expected = half_state if half else state
    stored = {
        prefix + name: tensor.half() if half and tensor.is_floating_point() else tensor
        for name, tensor in expected.items()
    }
    path = tmp_path / "m.pth"  # the content counts, not the extension
    if kind == "safetensors":
        safetensors.torch.save_file(stored, path)
    else:
        torch.save(stored, path, _use_new_zipfile_serialization=kind == "pth")
    assert_same(checkpoint.read_state(path), expected)


def test_other_precisions_and_half_counters_read_too(tmp_path, state, half_state):
    torch.save({name: tensor.double() for name, tensor in half_state.items()}, tmp_path / "double.pth")
    torch.save({name: tensor.half() for name, tensor in half_state.items()}, tmp_path / "half.pth")
    assert_same(checkpoint.read_state(tmp_path / "double.pth"), half_state)
    assert_same(checkpoint.read_state(tmp_path / "half.pth"), half_state)


def test_the_loaded_network_has_the_weights_and_can_be_trained_further(tmp_path, half_state):
    checkpoint.write_safetensors(half_state, tmp_path / "m.safetensors")
    network = checkpoint.load_network(tmp_path / "m.safetensors")
    assert_same(network.state_dict(), half_state)
    fresh = {name: parameter.requires_grad for name, parameter in MobileSAM().named_parameters()}
    assert not network.training and any(fresh.values())
    assert {name: parameter.requires_grad for name, parameter in network.named_parameters()} == fresh
    with torch.inference_mode():
        logits = network(normalise(torch.zeros(1, 32, 64, 3, dtype=torch.uint8)))
    assert logits.shape == (1, 1, 32, 64) and torch.isfinite(logits).all()


def test_single_precision_is_kept_when_asked(tmp_path, state):
    checkpoint.write_safetensors(state, tmp_path / "m.safetensors", half=False)
    assert_same(checkpoint.read_state(tmp_path / "m.safetensors"), state)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
@pytest.mark.parametrize("write", [checkpoint.write_safetensors, checkpoint.write_pth])
def test_others_may_read_what_the_user_lets_them_read(tmp_path, half_state, write):
    usual = tmp_path / "usual"
    usual.touch()
    write(half_state, tmp_path / "m")
    assert (tmp_path / "m").stat().st_mode == usual.stat().st_mode


def test_a_value_too_large_for_half_precision_is_not_lost(tmp_path, half_state):
    large = dict(half_state)
    large[CONV] = half_state[CONV] + 70_000.0
    checkpoint.write_safetensors(large, tmp_path / "m.safetensors")
    assert_same(checkpoint.read_state(tmp_path / "m.safetensors"), large)


def test_a_pth_is_half_the_size_only_when_no_value_changes(tmp_path, state, half_state):
    checkpoint.write_pth(state, tmp_path / "single.pth")
    checkpoint.write_pth(half_state, tmp_path / "half.pth")
    assert_same(checkpoint.read_state(tmp_path / "single.pth"), state)
    assert_same(checkpoint.read_state(tmp_path / "half.pth"), half_state)
    assert (tmp_path / "half.pth").stat().st_size < 21e6 < 40e6 < (tmp_path / "single.pth").stat().st_size


UPSTREAM = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy, torch
torch.set_num_threads(1)
import im_utils, MobileSAMInference
mask = MobileSAMInference.mobilesam_segment_image(sys.argv[2], im_utils.load_image(sys.argv[3]))
numpy.save(sys.argv[4], mask)
"""


def test_rootpainters_own_trainer_makes_the_same_mask_with_a_pth_of_ours(tmp_path, half_state, rootpainter_trainer):
    pixels = np.random.default_rng(0).integers(0, 256, (1024, 1024, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png", compress_level=1)
    checkpoint.write_pth(half_state, tmp_path / "m.pth")
    arguments = [rootpainter_trainer, tmp_path / "m.pth", tmp_path / "photo.png", tmp_path / "theirs.npy"]
    subprocess.run([sys.executable, "-c", UPSTREAM, *map(str, arguments)], check=True, capture_output=True)
    theirs = np.load(tmp_path / "theirs.npy")
    with torch.inference_mode():
        tile = normalise(torch.from_numpy(pixels)[None])
        logits = checkpoint.load_network(tmp_path / "m.pth")(tile)[0, 0].numpy()
    assert 0.01 < theirs.mean() < 0.99, "one class alone would say nothing"
    assert ((logits >= 0) == theirs)[np.abs(logits) > 1e-4].all()


# ---- what is refused


class _Runs:
    """Unpickled without protection, this makes a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def _code(path, state):
    torch.save({**state, "extra": _Runs(path.parent / "RAN")}, path)


def _old_code(path, state):
    torch.save({**state, "extra": _Runs(path.parent / "RAN")}, path, _use_new_zipfile_serialization=False)


def _bare_pickle(path, state):
    path.write_bytes(pickle.dumps(_Runs(path.parent / "RAN"), 4))


def _whole_module(path, state):
    torch.save(torch.nn.Conv2d(3, 3, 3), path)


def _unet(path, state):
    torch.save({"module.conv_in.0.weight": torch.zeros(64, 3, 3, 3)}, path)


def _cut(path, state):
    torch.save(state, path)
    os.truncate(path, path.stat().st_size // 2)


def _old_cut(path, state):
    torch.save(state, path, _use_new_zipfile_serialization=False)
    os.truncate(path, path.stat().st_size // 2)


def _cut_safetensors(path, state):
    safetensors.torch.save_file(state, path)
    os.truncate(path, path.stat().st_size // 2)


def _changed(path, state, **changes):
    torch.save({name: tensor for name, tensor in {**state, **changes}.items() if tensor is not None}, path)


def _with_value(path, state, value):
    tensor = state[CONV].clone()
    tensor[3, 1] = value
    _changed(path, state, **{CONV: tensor})


def _names(state, start):
    return [name for name in state if name.startswith(start)]


FAULTS = {
    "missing": (lambda path, state: None, "does not exist"),
    "a folder": (lambda path, state: path.mkdir(), "it is a folder"),
    "empty": (lambda path, state: path.write_bytes(b""), "empty"),
    "a text": (lambda path, state: path.write_text("weights, honestly"), "neither a safetensors nor a PyTorch"),
    "cut": (_cut, "damaged or cut short"),
    "cut, old form": (_old_cut, "damaged or cut short"),
    "cut safetensors": (_cut_safetensors, "damaged or cut short"),
    "code": (_code, "nothing of it was run"),
    "code, old form": (_old_code, "nothing of it was run"),
    "code in a bare pickle": (_bare_pickle, "nothing of it was run"),
    "a whole module": (_whole_module, "nothing of it was run"),
    "a U-Net": (_unet, "U-Net of RootPainter.*own trainer"),
    "a list": (lambda path, state: torch.save([torch.ones(2)], path), "list instead of named tensors"),
    "nothing": (lambda path, state: torch.save({}, path), "dict instead of named tensors"),
    "wrapped": (lambda path, state: torch.save({"state_dict": state, "epoch": 3}, path), "state_dict, epoch"),
    "another network": (
        lambda path, state: torch.save({"fc.weight": torch.ones(2)}, path),
        "another network.*fc.weight",
    ),
    "a missing tensor": (lambda path, state: _changed(path, state, **{CONV: None}), f"1 tensor.*missing in it: {CONV}"),
    "many missing": (
        lambda path, state: _changed(path, state, **dict.fromkeys(_names(state, "mask_decoder"))),
        "missing in it: mask_decoder[^,]*, mask_decoder[^,]*, mask_decoder[^,]* …",
    ),
    "one too many": (lambda path, state: _changed(path, state, pixel_mean=torch.ones(3)), "not have: pixel_mean"),
    "half prefixed": (
        lambda path, state: _changed(path, state, **{CONV: None, "model._orig_mod." + CONV: state[CONV]}),
        "missing in it",
    ),
    "wrong shape": (
        lambda path, state: _changed(path, state, **{CONV: torch.zeros(32, 4, 3, 3)}),
        r"seq.0.c.weight should be of shape \(32, 3, 3, 3\) and is \(32, 4, 3, 3\)",
    ),
    "sparse": (lambda path, state: _changed(path, state, **{CONV: state[CONV].to_sparse()}), "no plain array"),
    "complex": (lambda path, state: _changed(path, state, **{CONV: state[CONV] * 1j}), "no plain array"),
    "NaN": (lambda path, state: _with_value(path, state, float("nan")), f"{CONV} holds NaN"),
    "infinite": (lambda path, state: _with_value(path, state, float("-inf")), f"{CONV} holds infinite"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_each_fault_is_one_sentence_with_file_and_cause(tmp_path, half_state, fault):
    make, cause = FAULTS[fault]
    path = tmp_path / "lab model.pth"
    make(path, half_state)
    with pytest.raises(WeightsError, match=cause) as error:
        checkpoint.read_state(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value) and "weights_only" not in str(error.value)
    assert not (tmp_path / "RAN").exists()


def test_the_code_of_these_tests_would_run_without_protection(tmp_path):
    _code(tmp_path / "m.pth", {})
    torch.load(tmp_path / "m.pth", weights_only=False)
    assert (tmp_path / "RAN").exists()


@pytest.mark.parametrize("write", [checkpoint.write_pth, checkpoint.write_safetensors])
def test_a_state_that_is_no_model_is_not_written(tmp_path, half_state, write):
    for wrong in ({}, {**half_state, CONV: half_state[CONV] * float("nan")}, {**half_state, "epoch": torch.ones(1)}):
        with pytest.raises(WeightsError, match="not written"):
            write(wrong, tmp_path / "m")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("write", [checkpoint.write_pth, checkpoint.write_safetensors])
def test_a_failed_write_keeps_the_old_file(tmp_path, half_state, write, monkeypatch):
    write(half_state, tmp_path / "m.pth")
    before = (tmp_path / "m.pth").read_bytes()

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rootpainter_rootfm.files.os.replace", full_disk)
    with pytest.raises(WeightsError, match="No space left"):
        write(half_state, tmp_path / "m.pth")
    assert (tmp_path / "m.pth").read_bytes() == before and [path.name for path in tmp_path.iterdir()] == ["m.pth"]
    with pytest.raises(WeightsError, match="cannot be written"):
        write(half_state, tmp_path / "gone" / "m.pth")
