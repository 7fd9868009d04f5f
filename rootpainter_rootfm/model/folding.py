"""The network as it runs when it no longer learns."""

from __future__ import annotations

from copy import deepcopy

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .layers import ConvNorm
from .network import MobileSAM


def fold_batchnorm(network: MobileSAM) -> MobileSAM:
    """A copy for inference whose 27 batch normalisations are folded into the convolutions before them.

    The logits stay the same up to rounding; the copy's state dict is no longer that of a checkpoint.
    """
    folded = deepcopy(network).eval()
    for module in folded.modules():
        if isinstance(module, ConvNorm):
            module.c = fuse_conv_bn_eval(module.c, module.bn)
            module.bn = nn.Identity()
    return folded.requires_grad_(False)
