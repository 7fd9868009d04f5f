"""Layers that take their GELU and their residual along, in one pass over the memory, where oneDNN is at hand.

Written plainly, a layer writes its result, the GELU reads it and writes it again, the sum does so once more: on a CPU
that costs as much as the arithmetic. oneDNN, a part of torch, does all three at once. torch's own compiler calls it by
operators without a public name; so they are tried once on small numbers, and where they are missing or wrong the plain
functions do the work. They know no gradients and are used for inference only.
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def linear(x: Tensor, layer: nn.Linear, gelu: bool = False, plus: Tensor | None = None) -> Tensor:
    """`layer(x)`, then its GELU or the sum with `plus`, which has the result's shape; …×C in, …×C' out."""
    if _fusible(x):
        return _linear(x, layer.weight, layer.bias, gelu, plus)
    return finished(F.linear(x, layer.weight, layer.bias), gelu, plus)


def conv(x: Tensor, layer: nn.Conv2d, gelu: bool = False, plus: Tensor | None = None) -> Tensor:
    """`layer(x)`, then its GELU or the sum with `plus`; B×C×H×W in, B×C'×H'×W' out, fastest in channels-last memory."""
    if not _fusible(x):
        return finished(layer(x), gelu, plus)
    if layer.kernel_size == (1, 1) and layer.stride == (1, 1) and x.is_contiguous(memory_format=torch.channels_last):
        plus = None if plus is None else plus.permute(0, 2, 3, 1)
        return _linear(x.permute(0, 2, 3, 1), layer.weight.flatten(1), layer.bias, gelu, plus).permute(0, 3, 1, 2)
    arguments = (layer.weight, layer.bias, layer.padding, layer.stride, layer.dilation, layer.groups)
    result = torch.ops.mkldnn._convolution_pointwise(x, *arguments, "gelu" if gelu else "none", [], "none")
    return finished(result, False, plus)


def finished(x: Tensor, gelu: bool, plus: Tensor | None) -> Tensor:
    """The GELU of a layer's result, and the sum with `plus`, where they are asked for."""
    if gelu:
        x = F.gelu(x)
    return x if plus is None else x + plus


def _linear(x: Tensor, weight: Tensor, bias: Tensor, gelu: bool, plus: Tensor | None) -> Tensor:
    if plus is not None and not gelu:
        return torch.ops.mkldnn._linear_pointwise.binary(x, plus, weight, bias, "add")
    result = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "gelu" if gelu else "none", [], "none")
    return finished(result, False, plus)


def _fusible(x: Tensor) -> bool:
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and _is_at_hand()
    )


@cache
def _is_at_hand() -> bool:
    """Whether the operators are there and right, found out on a few numbers."""
    if not torch.backends.mkldnn.is_available():
        return False
    tokens = torch.linspace(-2, 2, 24).view(3, 8)
    weight, bias = torch.linspace(-1, 1, 32).view(4, 8).sin(), torch.linspace(0, 1, 4)
    try:
        with torch.inference_mode():
            dense = torch.nn.functional.linear(tokens, weight, bias)
            image = tokens.view(1, 3, 2, 4).contiguous(memory_format=torch.channels_last)
            kernel = weight[:3].reshape(3, 1, 2, 4)
            swept = F.conv2d(image, kernel, bias[:3], groups=3)
            pairs = [
                (_linear(tokens, weight, bias, True, None), F.gelu(dense)),
                (_linear(tokens, weight, bias, False, dense), dense + dense),
                (
                    torch.ops.mkldnn._convolution_pointwise(
                        image, kernel, bias[:3], (0, 0), (1, 1), (1, 1), 3, "gelu", [], "none"
                    ),
                    F.gelu(swept),
                ),
            ]
        return all(torch.allclose(found, expected, atol=1e-5) for found, expected in pairs)
    # What a build of torch without these operators raises has changed between versions.
    except (AttributeError, RuntimeError, NotImplementedError, TypeError):
        return False
