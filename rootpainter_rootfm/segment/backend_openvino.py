"""The image encoder as an OpenVINO graph, built from its weights layer by layer.

Written by hand rather than converted: tracing the torch module takes a minute and depends on torch's version, and the
graph that comes out moves its data about so much that it is no faster than torch. Two things make this one faster:
tokens are B×N×C wherever channels are normalised or mixed, in which OpenVINO keeps one memory layout, and the scales
of the layer normalisations and of the attention lie in the weights of the linear layers behind them.
"""

from __future__ import annotations

import io
import sys
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..model.encoder import PatchMerging, TinyViT, TinyViTBlock
from ..model.folding import FoldedConv

# OpenVINO tells its maker of every program that imports it, by a forked process that may hang and outlive this one.
# Nobody was asked; without this package it tells nothing.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
import openvino as ov  # noqa: E402
from openvino import opset13 as op  # noqa: E402

Node = Any  # openvino.Node, whose name has moved between its versions


class Encoder:
    """The encoder of one network, ready for tiles of one shape."""

    def __init__(self, model: ov.CompiledModel) -> None:
        self._model = model
        self._request = model.create_infer_request()

    @classmethod
    def built(cls, encoder: TinyViT, shape: tuple[int, int, int, int]) -> Encoder:
        """From the encoder of a network that `fold_batchnorm` made, for tiles of `shape`, B×3×H×W."""
        batch, _, height, width = shape
        return cls(_core().compile_model(encoder_graph(encoder, batch, height, width), "CPU", _settings()))

    @classmethod
    def restored(cls, blob: bytes) -> Encoder:
        """From what `blob` gave."""
        return cls(_core().import_model(blob, "CPU", _settings()))

    def blob(self) -> bytes:
        """Weights and graph as bytes, for this version of OpenVINO on this kind of CPU."""
        stream = io.BytesIO()
        self._model.export_model(stream)
        return stream.getvalue()

    def __call__(self, x: Tensor) -> Tensor:
        """B×3×H×W normalised tiles to their B×256×H/16×W/16 embedding, channels last in memory."""
        self._request.infer([x.permute(0, 2, 3, 1).contiguous().numpy()])
        # Copied: the next tile is written to the same place.
        return torch.from_numpy(self._request.get_output_tensor(0).data.copy()).permute(0, 3, 1, 2)


@cache
def _core() -> ov.Core:
    """One for the life of the process. Each gives the thread a stack for signals and takes the one before back when it
    goes; of two, the one that goes last brings back a stack that is gone, and the next Ctrl-C ends in a crash."""
    return ov.Core()


def _settings() -> dict[str, Any]:
    return {
        "INFERENCE_PRECISION_HINT": "f32",  # or a CPU with units for bf16 would round to it
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,  # or two programs would share one core and leave another idle
    }


def encoder_graph(encoder: TinyViT, batch: int, height: int, width: int) -> ov.Model:
    """The encoder of a network that `fold_batchnorm` made, for tiles of one shape.

    Returns:
        A model with one input, batch×height×width×3 float32 (normalised), and one output, the embedding,
        batch×height/16×width/16×256 float32.
    """
    tile = op.parameter([batch, height, width, 3], ov.Type.f32)
    first, second = encoder.patch_embed.seq["0"], encoder.patch_embed.seq["2"]
    x = _conv(_conv(_transposed(tile, 0, 3, 1, 2), first, gelu=True), second)
    for block in encoder.layers[0].blocks:
        wide = _conv(_conv(x, block.conv1, gelu=True), block.conv2, gelu=True)
        x = _gelu(op.add(_conv(wide, block.conv3), x))
    x = _merged(x, encoder.layers[0].downsample)
    for stage in list(encoder.layers)[1:]:
        x = _transposed(x, 0, 2, 3, 1)
        for block in stage.blocks:
            x = _block(x, block)
        x = _transposed(x, 0, 3, 1, 2)
        if stage.downsample is not None:
            x = _merged(x, stage.downsample)
    for conv, norm in zip(encoder.neck[::2], encoder.neck[1::2], strict=True):
        x = _transposed(_conv(x, conv), 0, 2, 3, 1)
        tokens = op.multiply(_normed(_tokens(x), norm), _constant(_array(norm.weight)))
        tokens = op.add(tokens, _constant(_array(norm.bias)))
        x = _transposed(_reshaped(tokens, *x.get_output_shape(0)), 0, 3, 1, 2)
    return ov.Model([_transposed(x, 0, 2, 3, 1)], [tile], "encoder")


def _block(x: Node, block: TinyViTBlock) -> Node:
    """A `TinyViTBlock`, B×H×W×C in and out."""
    shape = list(x.get_output_shape(0))
    x = op.add(x, _attended(x, block))
    x = _transposed(_conv(_transposed(x, 0, 3, 1, 2), block.local_conv), 0, 2, 3, 1)
    tokens, mlp = _tokens(x), block.mlp
    wide = _gelu(_linear(_normed(tokens, mlp.norm), *_behind(mlp.norm, mlp.fc1)))
    return _reshaped(op.add(tokens, _linear(wide, _array(mlp.fc2.weight), _array(mlp.fc2.bias))), *shape)


def _attended(x: Node, block: TinyViTBlock) -> Node:
    """`TinyViTBlock._attend`, B×H×W×C in and out; windows and heads are parted by a single transposition."""
    batch, height, width, channels = x.get_output_shape(0)
    attn, size = block.attn, block.window
    heads = attn.heads
    rows, columns = -(-height // size), -(-width // size)
    normed = _normed(_tokens(x), attn.norm)
    weight, bias = _behind(attn.norm, attn.qkv)
    # The rows of the published weights are ordered by head, and within a head by query, key and value.
    weight, bias = (values.reshape(heads, 3, -1, *values.shape[1:]) for values in (weight, bias))
    scale = (channels // heads) ** -0.5
    parts = []
    for index, factor in enumerate((scale, 1, 1)):
        part = op.matmul(normed, _constant(weight[:, index].reshape(channels, -1) * factor), False, True)
        part = _padded(_reshaped(part, batch, height, width, channels), rows * size - height, columns * size - width)
        part = op.add(part, _constant(bias[:, index].ravel() * factor))
        part = _reshaped(part, batch * rows, size, columns, size, heads, channels // heads)
        parts.append(_reshaped(_transposed(part, 0, 2, 4, 1, 3, 5), -1, heads, size**2, channels // heads))
    nearness = _constant(_array(attn.attention_biases)[None, :, attn.offset_index.numpy()])
    found = op.scaled_dot_product_attention(*parts, nearness, _constant(np.float32(1)))
    found = _reshaped(found, batch * rows, columns, heads, size, size, channels // heads)
    found = _reshaped(_transposed(found, 0, 3, 1, 4, 2, 5), batch, rows * size, columns * size, channels)
    if (rows * size, columns * size) != (height, width):
        found = op.slice(found, _whole(0, 0), _whole(height, width), _whole(1, 1), _whole(1, 2))
    found = _linear(_tokens(found), _array(attn.proj.weight), _array(attn.proj.bias))
    return _reshaped(found, batch, height, width, channels)


def _padded(x: Node, down: int, right: int) -> Node:
    """Zeros below and right of B×H×W×C; before a bias is added they stand for tokens of zeros, normalised."""
    if not (down or right):
        return x
    return op.pad(x, _whole(0, 0, 0, 0), _whole(0, down, right, 0), "constant", _constant(np.float32(0)))


def _merged(x: Node, layer: PatchMerging) -> Node:
    return _conv(_conv(_conv(x, layer.conv1, gelu=True), layer.conv2, gelu=True), layer.conv3)


def _conv(x: Node, layer: FoldedConv | nn.Conv2d, gelu: bool = False) -> Node:
    conv = layer.c if isinstance(layer, FoldedConv) else layer
    weight = _array(conv.weight)
    strides, padding = list(conv.stride), list(conv.padding)
    if conv.groups > 1:
        x = op.group_convolution(x, _constant(weight[:, None]), strides, padding, padding, [1, 1])
    else:
        x = op.convolution(x, _constant(weight), strides, padding, padding, [1, 1])
    if conv.bias is not None:
        x = op.add(x, _constant(_array(conv.bias).reshape(1, -1, 1, 1)))
    return _gelu(x) if gelu else x


def _linear(x: Node, weight: np.ndarray, bias: np.ndarray) -> Node:
    return op.add(op.matmul(x, _constant(weight), False, True), _constant(bias))


def _behind(norm: nn.LayerNorm, layer: nn.Linear) -> tuple[np.ndarray, np.ndarray]:
    """Weight and bias of a linear layer that take in the scale and shift of the normalisation before it."""
    weight = _array(layer.weight)
    return weight * _array(norm.weight), _array(layer.bias) + weight @ _array(norm.bias)


def _normed(x: Node, norm: nn.LayerNorm) -> Node:
    """Layer normalisation without its scale and shift."""
    return op.mvn(x, _whole(-1), True, norm.eps, "INSIDE_SQRT")


def _gelu(x: Node) -> Node:
    return op.gelu(x, "erf")


def _tokens(x: Node) -> Node:
    batch, _, _, channels = x.get_output_shape(0)
    return _reshaped(x, batch, -1, channels)


def _transposed(x: Node, *order: int) -> Node:
    return op.transpose(x, _whole(*order))


def _reshaped(x: Node, *shape: int) -> Node:
    return op.reshape(x, _whole(*shape), False)


def _whole(*numbers: int) -> Node:
    return op.constant(np.array(numbers, np.int64))


def _constant(values: np.ndarray) -> Node:
    return op.constant(np.array(values, np.float32, order="C"))


def _array(values: Any) -> np.ndarray:
    return values.detach().numpy()
