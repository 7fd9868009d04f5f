"""What training makes small."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

ROOT_PIXELS = 20.0  # a patch with less root than this has no Dice of its own worth following


def dice_bce(logits: Tensor, root: Tensor, known: Tensor) -> Tensor:
    """Soft Dice plus binary cross-entropy over the known pixels; unknown pixels have no influence at all.

    The Dice part is the mean of two: over the whole batch, which also counts false roots in root-free patches, and
    of each patch that has roots, so that a patch of thin roots weighs as much as one of thick ones.

    Args:
        logits: B×1×H×W.
        root: B×1×H×W in [0, 1], the share of a pixel that is root.
        known: B×1×H×W bool.

    Returns:
        A scalar; 0 (with a gradient of 0) when nothing is known.
    """
    logits = logits.float()
    weight = known.to(logits.dtype)
    entropy = F.binary_cross_entropy_with_logits(logits, root, weight=weight, reduction="sum")
    entropy = entropy / weight.sum().clamp(min=1)
    probability = logits.sigmoid() * weight
    truth = root * weight
    overlap, total = (x.sum((1, 2, 3)) for x in (probability * truth, probability + truth))
    whole = 1 - (2 * overlap.sum() + 1) / (total.sum() + 1)
    rooted = truth.sum((1, 2, 3)) > ROOT_PIXELS
    each = 1 - (2 * overlap + 1) / (total + 1)
    dice = (whole + each[rooted].mean()) / 2 if rooted.any() else whole
    return entropy + dice * known.any()
