"""MobileSAM without prompts: one root logit for every pixel of a tile of any size."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .card import TILE_MULTIPLE
from .decoder import MaskDecoder, PromptEncoder
from .encoder import TinyViT

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# On GPUs since Hopper torch prefers cuDNN's attention, which makes a plan for every new shape, in about half a second:
# for the three windows of the encoder that is 1.5 s at the first image of each size, whose tiles take milliseconds.
torch.backends.cuda.enable_cudnn_sdp(False)


def normalise(images: Tensor) -> Tensor:
    """B×H×W×3 uint8 (or float in [0, 255]) to B×3×H×W float32 as the network expects it, channels last in memory."""
    mean = torch.tensor(IMAGENET_MEAN, device=images.device)
    std = torch.tensor(IMAGENET_STD, device=images.device)
    return ((images.float() / 255 - mean) / std).permute(0, 3, 1, 2)


class MobileSAM(nn.Module):
    """The network, with exactly the 439 tensors of the published MobileSAM checkpoints."""

    def __init__(self) -> None:
        super().__init__()
        self.image_encoder = TinyViT()
        self.prompt_encoder = PromptEncoder()
        self.mask_decoder = MaskDecoder()
        self.image_encoder.apply(_initialise_linear)

    def forward(self, x: Tensor) -> Tensor:
        """Root logits of a batch of tiles.

        Args:
            x: B×3×H×W, normalised by `normalise`; H and W are multiples of 32.

        Returns:
            B×1×H×W logits: the decoder's logits at stride 4, interpolated bilinearly to the tile's size.

        Raises:
            ValueError: H or W is not a multiple of 32.
        """
        height, width = x.shape[2:]
        if height % TILE_MULTIPLE or width % TILE_MULTIPLE:
            raise ValueError(f"a tile of {height}×{width} pixels: both sides must be multiples of {TILE_MULTIPLE}")
        logits = self.mask_decoder(*self.prompt_encoder(self.image_encoder(x)))
        return F.interpolate(logits, scale_factor=4, mode="bilinear", align_corners=False)


def _initialise_linear(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
