"""TinyViT-5M as MobileSAM uses it: image to embedding at stride 16, for any height and width that are multiples of 32.

Architecture: Wu et al., TinyViT, ECCV 2022; Zhang et al., Faster Segment Anything, 2023. Activations stay B×C×H×W;
in channels-last memory the change to tokens and back costs nothing.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import ChannelNorm, ConvNorm, Linear, in_bands

WIDTHS = (64, 128, 160, 320)
DEPTHS = (2, 2, 6, 2)
HEADS = (2, 4, 5, 10)
WINDOWS = (7, 7, 14, 7)
STRIDES = (2, 2, 1)  # of the merging layers after stages 0 to 2: embeddings lie at stride 16, not 32
EMBEDDING = 256


class PatchEmbed(nn.Module):
    """Two strided convolutions: the image at stride 4."""

    def __init__(self) -> None:
        super().__init__()
        half = WIDTHS[0] // 2
        # Published checkpoints count the GELU between the two.
        self.seq = nn.ModuleDict({"0": ConvNorm(3, half, 3, stride=2), "2": ConvNorm(half, WIDTHS[0], 3, stride=2)})

    def forward(self, x: Tensor) -> Tensor:
        """B×3×H×W in, B×64×H/4×W/4 out."""
        return in_bands(self._whole, x, WIDTHS[0] // 8, halo=4, stride=4)

    def _whole(self, x: Tensor) -> Tensor:
        return self.seq["2"](self.seq["0"](x, gelu=True))


class MBConv(nn.Module):
    """Inverted residual block: widen ×4, depthwise 3×3, narrow."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(channels, 4 * channels)
        self.conv2 = ConvNorm(4 * channels, 4 * channels, 3, groups=4 * channels)
        self.conv3 = ConvNorm(4 * channels, channels, gain=0.0)

    def forward(self, x: Tensor) -> Tensor:
        """B×C×H×W in, the same shape out."""
        return in_bands(self._whole, x, 4 * x.shape[1], halo=1)

    def _whole(self, x: Tensor) -> Tensor:
        wide = self.conv2(self.conv1(x, gelu=True), gelu=True)
        return F.gelu(self.conv3(wide, plus=x))


class PatchMerging(nn.Module):
    """Changes the width and, with stride 2, halves height and width."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.widest, self.stride = outputs, stride
        self.conv1 = ConvNorm(inputs, outputs)
        self.conv2 = ConvNorm(outputs, outputs, 3, stride=stride, groups=outputs)
        self.conv3 = ConvNorm(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """B×C×H×W in, B×C'×H/stride×W/stride out."""
        return in_bands(self._whole, x, self.widest, halo=self.stride, stride=self.stride)

    def _whole(self, x: Tensor) -> Tensor:
        return self.conv3(self.conv2(self.conv1(x, gelu=True), gelu=True))


def _offset_index(window: int) -> Tensor:
    """N×N indices into a head's biases: token pairs with the same |dy|, |dx| share one. N = window²."""
    rows, columns = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
    places = torch.stack([rows.flatten(), columns.flatten()], 1)
    offsets = (places[:, None] - places[None]).abs()
    # Published checkpoints number the offsets in the order in which token 0 meets them: row by row.
    return offsets[..., 0] * window + offsets[..., 1]


class WindowAttention(nn.Module):
    """Self-attention among the tokens of one window, with a learnt bias for each relative offset."""

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(channels)
        self.qkv = Linear(channels, 3 * channels)
        self.proj = Linear(channels, channels)
        self.attention_biases = nn.Parameter(torch.zeros(heads, window * window))
        self.register_buffer("offset_index", _offset_index(window), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """B×N×C windows in, the same shape out."""
        qkv = self.qkv(self.norm(x)).unflatten(2, (self.heads, -1)).transpose(1, 2)
        q, k, v = qkv.chunk(3, dim=-1)
        bias = self.attention_biases[:, self.offset_index].to(q.dtype)
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None])
        return self.proj(x.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Normalisation and a two-layer perceptron beside the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.fc1 = Linear(channels, 4 * channels)
        self.fc2 = Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """…×C in, the same shape out."""
        return self.fc2(self.fc1(self.norm(x), gelu=True), plus=x)


class TinyViTBlock(nn.Module):
    """Window attention, a depthwise convolution across windows, and a perceptron."""

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.attn = WindowAttention(channels, heads, window)
        self.local_conv = ConvNorm(channels, channels, 3, groups=channels)
        self.mlp = Mlp(channels)

    def _attend(self, x: Tensor) -> Tensor:
        """B×H×W×C in and out; a side that is no multiple of the window is padded with zeros and cut again."""
        _, height, width, channels = x.shape
        size = self.window
        down, right = -height % size, -width % size
        if down or right:
            x = F.pad(x, (0, 0, 0, right, 0, down))
        rows, columns = (height + down) // size, (width + right) // size
        x = x.unflatten(2, (columns, size)).unflatten(1, (rows, size)).transpose(2, 3)
        x = self.attn(x.reshape(-1, size * size, channels))
        x = x.view(-1, rows, columns, size, size, channels).transpose(2, 3).flatten(3, 4).flatten(1, 2)
        return x[:, :height, :width]

    def forward(self, x: Tensor) -> Tensor:
        """B×C×H×W in, the same shape out."""
        x = x + self._attend(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return in_bands(self._perceive, self.local_conv(x), 4 * x.shape[1])

    def _perceive(self, x: Tensor) -> Tensor:
        return self.mlp(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Stage(nn.Module):
    """The blocks of one resolution and the merging layer to the next."""

    def __init__(self, index: int) -> None:
        super().__init__()
        width = WIDTHS[index]
        self.blocks = nn.ModuleList(
            MBConv(width) if index == 0 else TinyViTBlock(width, HEADS[index], WINDOWS[index])
            for _ in range(DEPTHS[index])
        )
        self.downsample: PatchMerging | None = None
        if index < len(STRIDES):
            self.downsample = PatchMerging(width, WIDTHS[index + 1], STRIDES[index])

    def forward(self, x: Tensor) -> Tensor:
        """B×C×H×W in, the next stage's input out."""
        for block in self.blocks:
            x = block(x)
        return x if self.downsample is None else self.downsample(x)


class TinyViT(nn.Module):
    """The image encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed()
        self.layers = nn.ModuleList(Stage(index) for index in range(len(WIDTHS)))
        # The classifier's head takes no part in segmentation; the published checkpoints carry it.
        self.norm_head = nn.LayerNorm(WIDTHS[-1]).requires_grad_(False)
        self.head = nn.Linear(WIDTHS[-1], 1000).requires_grad_(False)
        self.neck = nn.Sequential(
            nn.Conv2d(WIDTHS[-1], EMBEDDING, 1, bias=False),
            ChannelNorm(EMBEDDING),
            nn.Conv2d(EMBEDDING, EMBEDDING, 3, padding=1, bias=False),
            ChannelNorm(EMBEDDING),
        )

    def forward(self, x: Tensor) -> Tensor:
        """B×3×H×W normalised image in, B×256×H/16×W/16 embedding out."""
        x = self.patch_embed(x)
        for stage in self.layers:
            x = stage(x)
        return self.neck(x)
