"""The network as it runs when it no longer learns."""

from __future__ import annotations

from copy import deepcopy

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from . import fused
from .layers import ConvNorm
from .network import MobileSAM


class FoldedConv(nn.Module):
    """A `ConvNorm` whose normalisation went into the convolution."""

    def __init__(self, layer: ConvNorm) -> None:
        super().__init__()
        self.c = fuse_conv_bn_eval(layer.c, layer.bn)

    def forward(self, x: Tensor, gelu: bool = False, plus: Tensor | None = None) -> Tensor:
        """As `ConvNorm.forward`."""
        return fused.conv(x, self.c, gelu, plus)


def fold_batchnorm(network: MobileSAM) -> MobileSAM:
    """A copy for inference whose 27 batch normalisations are folded into the convolutions before them.

    The logits stay the same up to rounding; the copy's state dict is no longer that of a checkpoint.
    """
    folded = deepcopy(network).eval()
    for parent in list(folded.modules()):
        for name, child in parent.named_children():
            if isinstance(child, ConvNorm):
                setattr(parent, name, FoldedConv(child))
    return folded.requires_grad_(False)
