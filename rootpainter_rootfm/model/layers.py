"""Layers that the encoder and the decoder share; attribute names follow the published checkpoints."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import fused

BAND = 2**21  # numbers in the widest tensor of a band: 8 MB


def in_bands(work: Callable[[Tensor], Tensor], x: Tensor, channels: int, halo: int = 0, stride: int = 1) -> Tensor:
    """`work(x)`, for inference on a CPU done band by band of rows, so that its widest tensor stays in the cache.

    Widened four times, the first stage of a 1024-pixel tile is 64 MB: written and read again from memory, which the
    system has to find and clear at every turn, it takes longer than the arithmetic.

    Args:
        work: B×C×H×W in, B×C'×(H/stride)×W' out; a row of it depends on few rows of its input.
        x: B×C×H×W, H a multiple of the stride.
        channels: of the widest tensor within `work`, for each pixel of `x`.
        halo: rows of `x` above and below a band that its result depends on, a multiple of the stride.
        stride: rows of `x` for one row of the result.
    """
    height = x.shape[2]
    rows = max(1, BAND // (x.shape[0] * x.shape[3] * channels * stride)) * stride
    if height <= rows or x.device.type != "cpu" or torch.is_grad_enabled():
        return work(x)
    parts = []
    for top in range(0, height, rows):
        first = max(0, top - halo)
        part = work(x[:, :, first : top + rows + halo])
        skip = (top - first) // stride
        parts.append(part[:, :, skip : skip + rows // stride] if top + rows < height else part[:, :, skip:])
    return torch.cat(parts, 2)


class ConvNorm(nn.Module):
    """Convolution without bias (`c`) followed by batch normalisation (`bn`), "same" padding.

    `gain` is where the normalisation's scale starts: 0 makes a residual branch start as the identity.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1, gain: float = 1.0
    ) -> None:
        super().__init__()
        self.c = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        nn.init.constant_(self.bn.weight, gain)

    def forward(self, x: Tensor, gelu: bool = False, plus: Tensor | None = None) -> Tensor:
        """B×C×H×W in, B×C'×(H/stride)×(W/stride) out; then its GELU or the sum with `plus`."""
        return fused.finished(self.bn(self.c(x)), gelu, plus)


class Linear(nn.Linear):
    """A linear layer that can take its GELU or a residual along."""

    def forward(self, x: Tensor, gelu: bool = False, plus: Tensor | None = None) -> Tensor:
        """…×C in, …×C' out; then its GELU or the sum with `plus`."""
        return fused.linear(x, self, gelu, plus)


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of a B×C×H×W tensor, at each pixel."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """B×C×H×W in, the same shape out."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Attention(nn.Module):
    """Multi-head attention of B×N×C queries to B×M×C keys and values, computed in `channels / shrink` channels."""

    def __init__(self, channels: int, heads: int, shrink: int = 1) -> None:
        super().__init__()
        inner = channels // shrink
        self.heads = heads
        self.q_proj = Linear(channels, inner)
        self.k_proj = Linear(channels, inner)
        self.v_proj = Linear(channels, inner)
        self.out_proj = Linear(inner, channels)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """B×N×C out."""
        heads = F.scaled_dot_product_attention(
            self._split(self.q_proj(q)), self._split(self.k_proj(k)), self._split(self.v_proj(v))
        )
        return self.out_proj(heads.transpose(1, 2).flatten(2))


class Perceptron(nn.Module):
    """Linear layers with ReLU between them."""

    def __init__(self, *widths: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:], strict=False))

    def forward(self, x: Tensor) -> Tensor:
        """…×widths[0] in, …×widths[-1] out."""
        for layer in self.layers[:-1]:
            x = torch.relu(layer(x))
        return self.layers[-1](x)
