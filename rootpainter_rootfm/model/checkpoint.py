"""Weights in and out of files: nothing that is read may run code, and what is wrong is said in one sentence."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from functools import lru_cache
from io import BytesIO
from pickle import UnpicklingError
from typing import Any, BinaryIO

import safetensors.torch
import torch
from torch import Tensor

from ..errors import RootFMError, WeightsError
from ..files import writing
from ..opening import Unreadable, opened
from .network import MobileSAM

State = Mapping[str, Tensor]
Shapes = Mapping[str, tuple[int, ...]]

# What torch.compile leaves before every name in the checkpoints of the paper's authors.
COMPILED_PREFIX = "model._orig_mod."
_UNET_STARTS = ("module.conv_in.", "conv_in.")
_NAMED = 3
# safetensors and torch wrap a full disk in errors of their own.
_WRAPPED = (RuntimeError, safetensors.SafetensorError)


def read_state(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The 439 tensors of a checkpoint: floats as float32, counters as int64, all on the CPU.

    Reads `.safetensors`, and `.pth` with bare names or all prefixed `model._orig_mod.`, in half or single
    precision; which of the two it is, the content says. A `.pth` is read without ever running what it holds.

    Raises:
        WeightsError: The file is missing, empty, cut short, holds code or another network, or a tensor is
            missing, has another shape, or has values that are not numbers.
    """
    return _read(path, expected_shapes())


def load_network(path: str | os.PathLike[str]) -> MobileSAM:
    """The network with the weights at `path`, in float32 on the CPU, ready for inference. Raises WeightsError."""
    # Built for real: on torch's meta device the same takes ten times as long, for what that imports.
    network = MobileSAM()
    state = _read(path, _shapes(network))
    network.load_state_dict(state, assign=True)
    return network.eval()


def write_safetensors(state: State, path: str | os.PathLike[str], half: bool = True) -> None:
    """Writes weights in half precision, or in single. Raises WeightsError when they are not those of the network.

    A tensor whose values half precision cannot hold stays in single precision.
    """
    tensors = _checked(state, path)
    if half:
        tensors = {name: _halved(tensor) for name, tensor in tensors.items()}
    with writing(path, WeightsError, *_WRAPPED) as beside:
        # Not save_file, whose files nobody but their owner may read: a library may lie on a shared drive.
        beside.write_bytes(safetensors.torch.save(tensors, metadata={"format": "pt"}))


def write_pth(state: State, path: str | os.PathLike[str]) -> None:
    """Writes weights as the bare dict of tensors that RootPainter's own trainer reads.

    In half precision where that changes no value, otherwise in single: the file travels through sync folders.
    Raises WeightsError when they are not those of the network.
    """
    tensors = _checked(state, path)
    if is_half_exact(tensors):
        tensors = {name: _halved(tensor) for name, tensor in tensors.items()}
    save(tensors, path, WeightsError)


def save(content: Mapping[str, Any], path: str | os.PathLike[str], failure: type[RootFMError]) -> None:
    """`torch.save` in one step, with a `failure` for what the disk refuses."""
    with writing(path, failure, *_WRAPPED) as beside:
        # By way of memory: on a full disk torch's own writing fails in words that nobody understands.
        buffer = BytesIO()
        torch.save(content, buffer)
        beside.write_bytes(buffer.getbuffer())


@lru_cache(maxsize=1)
def expected_shapes() -> Shapes:
    """The names of the network's 439 tensors and their shapes."""
    return _shapes(MobileSAM())


def is_half_exact(state: State) -> bool:
    """Whether every value survives half precision unchanged, as after reading a half-precision file."""
    floats = (tensor for tensor in state.values() if tensor.is_floating_point())
    return all(torch.equal(tensor.half().to(tensor.dtype), tensor) for tensor in floats)


def _shapes(network: MobileSAM) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def _read(path: str | os.PathLike[str], shapes: Shapes) -> dict[str, Tensor]:
    with opened(path, WeightsError) as file:
        found = _decode(file)
        state = _without_prefix(_tensors(found))
        _check(state, shapes)
        state = {name: _plain(name, tensor) for name, tensor in state.items()}
        _check_finite(state)
        return state


def _decode(file: BinaryIO) -> Any:
    start = file.read(9)
    file.seek(0)
    # A safetensors file begins with the length of its JSON header, and the header with a brace.
    if start[8:9] == b"{":
        return safetensors.torch.load(file.read())
    if not start.startswith((b"PK", b"\x80")):
        raise Unreadable("it is neither a safetensors nor a PyTorch file")
    try:
        with warnings.catch_warnings(action="ignore"):  # of kinds of files that are refused below
            return torch.load(file, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        # Said in our words: torch's own advise to switch the protection off.
        raise Unreadable(
            "it holds more than bare tensors; such a file can run code on this computer, so nothing of it was run or "
            "used; ask for a bare state dict or a safetensors file"
        ) from error


def _tensors(found: Any) -> dict[str, Tensor]:
    if isinstance(found, Mapping) and found and all(isinstance(name, str) for name in found):
        if all(isinstance(tensor, Tensor) for tensor in found.values()):
            return dict(found)
        others = [name for name, tensor in found.items() if not isinstance(tensor, Tensor)]
        raise Unreadable(f"it is not a bare state dict: besides tensors it holds {_some(others)}; save only those")
    raise Unreadable(f"it holds a {type(found).__name__} instead of named tensors")


def _without_prefix(state: dict[str, Tensor]) -> dict[str, Tensor]:
    if all(name.startswith(COMPILED_PREFIX) for name in state):
        return {name.removeprefix(COMPILED_PREFIX): tensor for name, tensor in state.items()}
    return state


def _check(state: State, shapes: Shapes) -> None:
    """Raises Unreadable unless `state` has the network's names and shapes in tensors that can be used."""
    if any(name.startswith(_UNET_STARTS) for name in state):
        raise Unreadable(
            "it is a U-Net of RootPainter, not a Root Foundation Model; RootPainter's own trainer segments with it"
        )
    missing = [name for name in shapes if name not in state]
    unexpected = [name for name in state if name not in shapes]
    if len(missing) == len(shapes):
        raise Unreadable(f"it is another network: of MobileSAM it has no tensor, but it has {_some(unexpected)}")
    if missing:
        raise Unreadable(f"{len(missing)} tensor(s) of MobileSAM are missing in it: {_some(missing)}")
    if unexpected:
        raise Unreadable(f"it has {len(unexpected)} tensor(s) that MobileSAM does not have: {_some(unexpected)}")
    for name, shape in shapes.items():
        tensor = state[name]
        if tuple(tensor.shape) != shape:
            raise Unreadable(f"its tensor {name} should be of shape {shape} and is {tuple(tensor.shape)}")
        if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized or tensor.is_complex():
            raise Unreadable(f"its tensor {name} is no plain array of numbers")


def _check_finite(state: State) -> None:
    for name, tensor in state.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            kind = "NaN" if torch.isnan(tensor).any() else "infinite values"
            raise Unreadable(f"its tensor {name} holds {kind}; the training that wrote it went wrong")


def _plain(name: str, tensor: Tensor) -> Tensor:
    """A contiguous copy on the CPU that shares no memory: counters as int64, all others as float32."""
    kind = torch.int64 if name.endswith("num_batches_tracked") else torch.float32
    return tensor.detach().to("cpu", kind, copy=True).contiguous()


def _halved(tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    half = tensor.half()
    return half if torch.isfinite(half).all() else tensor


def _checked(state: State, path: str | os.PathLike[str]) -> dict[str, Tensor]:
    try:
        _check(state, expected_shapes())
        tensors = {name: _plain(name, tensor) for name, tensor in state.items()}
        _check_finite(tensors)
    except Unreadable as error:
        raise WeightsError(f"{path} is not written, because the state is no Root Foundation Model: {error}.") from error
    return tensors


def _some(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (" …" if len(names) > _NAMED else "")
