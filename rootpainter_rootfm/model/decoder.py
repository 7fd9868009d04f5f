"""SAM's mask decoder and the parts of its prompt encoder that matter when no prompt is given.

Architecture: Kirillov et al., Segment Anything, ICCV 2023.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .encoder import EMBEDDING
from .layers import Attention, ChannelNorm, Perceptron

HEADS = 8
MASKS = 4
TRAINED_GRID = 64  # embedding cells along a side of the 1024-pixel tile of the published models


class TokenMlp(nn.Module):
    """The perceptron of a decoder block."""

    def __init__(self) -> None:
        super().__init__()
        self.lin1 = nn.Linear(EMBEDDING, 2048)
        self.lin2 = nn.Linear(2048, EMBEDDING)

    def forward(self, x: Tensor) -> Tensor:
        """B×N×256 in, the same shape out."""
        return self.lin2(torch.relu(self.lin1(x)))


class TwoWayBlock(nn.Module):
    """Tokens attend to themselves and to the image, then the image attends to the tokens."""

    def __init__(self, first: bool) -> None:
        super().__init__()
        self.first = first
        self.self_attn = Attention(EMBEDDING, HEADS)
        self.norm1 = nn.LayerNorm(EMBEDDING)
        self.cross_attn_token_to_image = Attention(EMBEDDING, HEADS, shrink=2)
        self.norm2 = nn.LayerNorm(EMBEDDING)
        self.mlp = TokenMlp()
        self.norm3 = nn.LayerNorm(EMBEDDING)
        self.norm4 = nn.LayerNorm(EMBEDDING)
        self.cross_attn_image_to_token = Attention(EMBEDDING, HEADS, shrink=2)

    def forward(self, tokens: Tensor, image: Tensor, token_place: Tensor, image_place: Tensor) -> tuple[Tensor, Tensor]:
        """B×T×256 tokens and B×N×256 image in, both in the same shapes out; `place` are positional embeddings."""
        if self.first:
            tokens = self.self_attn(tokens, tokens, tokens)
        else:
            placed = tokens + token_place
            tokens = tokens + self.self_attn(placed, placed, tokens)
        tokens = self.norm1(tokens)
        placed_image = image + image_place
        tokens = self.norm2(tokens + self.cross_attn_token_to_image(tokens + token_place, placed_image, image))
        tokens = self.norm3(tokens + self.mlp(tokens))
        image = self.norm4(image + self.cross_attn_image_to_token(placed_image, tokens + token_place, tokens))
        return tokens, image


class TwoWayTransformer(nn.Module):
    """Two blocks and a last look of the tokens at the image."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(TwoWayBlock(first=index == 0) for index in range(2))
        self.final_attn_token_to_image = Attention(EMBEDDING, HEADS, shrink=2)
        self.norm_final_attn = nn.LayerNorm(EMBEDDING)

    def forward(self, tokens: Tensor, image: Tensor, image_place: Tensor) -> tuple[Tensor, Tensor]:
        """B×T×256 tokens and B×N×256 image in, both in the same shapes out."""
        token_place = tokens
        for layer in self.layers:
            tokens, image = layer(tokens, image, token_place, image_place)
        attended = self.final_attn_token_to_image(tokens + token_place, image + image_place, image)
        return self.norm_final_attn(tokens + attended), image


class MaskDecoder(nn.Module):
    """Embedding to logits at stride 4. Of SAM's four masks only the first, the unambiguous one, is computed."""

    def __init__(self) -> None:
        super().__init__()
        self.transformer = TwoWayTransformer()
        self.iou_token = nn.Embedding(1, EMBEDDING)
        self.mask_tokens = nn.Embedding(MASKS, EMBEDDING)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(EMBEDDING, EMBEDDING // 4, 2, stride=2),
            ChannelNorm(EMBEDDING // 4),
            nn.GELU(),
            nn.ConvTranspose2d(EMBEDDING // 4, EMBEDDING // 8, 2, stride=2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(
            Perceptron(EMBEDDING, EMBEDDING, EMBEDDING, EMBEDDING // 8) for _ in range(MASKS)
        )
        self.iou_prediction_head = Perceptron(EMBEDDING, 256, 256, MASKS)
        # Carried along for the published format; no output of ours depends on them.
        self.output_hypernetworks_mlps[1:].requires_grad_(False)
        self.iou_prediction_head.requires_grad_(False)

    def forward(self, embedding: Tensor, place: Tensor) -> Tensor:
        """B×256×h×w embedding and 1×(h·w)×256 positional embedding in, B×1×4h×4w logits out."""
        batch, _, height, width = embedding.shape
        tokens = torch.cat([self.iou_token.weight, self.mask_tokens.weight]).expand(batch, -1, -1)
        tokens, image = self.transformer(tokens, embedding.flatten(2).transpose(1, 2), place)
        image = image.transpose(1, 2).unflatten(2, (height, width))
        pixels = self.output_upscaling(image)
        weights = self.output_hypernetworks_mlps[0](tokens[:, 1])
        return (weights[:, None] @ pixels.flatten(2)).unflatten(2, pixels.shape[2:])


class RandomPlaces(nn.Module):
    """Positional embedding by random spatial frequencies, which the checkpoint stores."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, EMBEDDING // 2))

    def forward(self, height: int, width: int) -> Tensor:
        """1×(height·width)×256.

        A tile of another size than 1024 pixels gets the places of the centre of a 1024-pixel tile, so that one cell
        is always the same distance from the next; SAM itself knows only the one size. While training, a smaller tile
        lies anywhere in that tile instead, so that all places are learnt from small patches.
        """
        frequencies = self.positional_encoding_gaussian_matrix
        ys, xs = (
            (torch.arange(side, device=frequencies.device, dtype=torch.float32) + 0.5 - side / 2 + self._shift(side))
            / (TRAINED_GRID / 2)
            for side in (height, width)
        )
        grid = torch.stack(torch.meshgrid(xs, ys, indexing="xy"), dim=-1).flatten(0, 1)
        angles = 2 * math.pi * (grid @ frequencies.float())
        return torch.cat([angles.sin(), angles.cos()], dim=-1)[None]

    def _shift(self, side: int) -> float:
        room = max(0, TRAINED_GRID - side) / 2
        return (2 * float(torch.rand(())) - 1) * room if self.training else 0.0


class PromptEncoder(nn.Module):
    """What SAM adds where no prompt is given: places, and one vector that says "no mask"."""

    def __init__(self) -> None:
        super().__init__()
        self.pe_layer = RandomPlaces()
        self.no_mask_embed = nn.Embedding(1, EMBEDDING)
        # The encoders of points, boxes and masks: in the published format, never used here.
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, EMBEDDING) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, EMBEDDING)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, 4, 2, stride=2),
            ChannelNorm(4),
            nn.GELU(),
            nn.Conv2d(4, 16, 2, stride=2),
            ChannelNorm(16),
            nn.GELU(),
            nn.Conv2d(16, EMBEDDING, 1),
        )
        for unused in (self.point_embeddings, self.not_a_point_embed, self.mask_downscaling):
            unused.requires_grad_(False)

    def forward(self, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """B×256×h×w in; the same with "no mask" added, and its 1×(h·w)×256 places, out."""
        place = self.pe_layer(*embedding.shape[2:]).to(embedding.dtype)
        return embedding + self.no_mask_embed.weight[:, :, None, None], place
