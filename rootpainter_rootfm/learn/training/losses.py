"""What training makes small."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

ROOT_PIXELS = 20.0  # a patch with less root than this has no Dice of its own worth following
SURELY_ROOT = 0.75  # from this probability on a model is believed about root
SURELY_SOIL = 0.05  # and below this one about soil: most of the roots that models miss have more


def dice_bce(logits: Tensor, root: Tensor, known: Tensor) -> Tensor:
    """Soft Dice plus binary cross-entropy over the known pixels; unknown pixels have no influence at all.

    Args:
        logits: B×1×H×W.
        root: B×1×H×W in [0, 1], the share of a pixel that is root.
        known: B×1×H×W bool.

    Returns:
        A scalar; 0 (with a gradient of 0) when nothing is known.
    """
    logits, weight = logits.float(), known.float()
    return _entropy(logits, root, weight) + _dice(logits, root, weight) * known.any()


def believed(probability: Tensor) -> Tensor:
    """Where a model is sure enough to be believed; bool, for probabilities in [0, 1] of any shape."""
    return (probability > SURELY_ROOT) | (probability < SURELY_SOIL)


def _entropy(logits: Tensor, root: Tensor, weight: Tensor) -> Tensor:
    entropy = F.binary_cross_entropy_with_logits(logits, root, weight=weight, reduction="sum")
    return entropy / weight.sum().clamp(min=1)


def _dice(logits: Tensor, root: Tensor, weight: Tensor) -> Tensor:
    """1 less the mean of two: Dice over the whole batch, which also counts false roots in root-free patches, and the
    mean of each patch that has roots, so that a patch of thin roots weighs as much as one of thick ones."""
    probability, truth = logits.sigmoid(), root * weight
    overlap, total = (x.sum((1, 2, 3)) for x in (probability * truth, probability * weight + truth))
    whole = 1 - (2 * overlap.sum() + 1) / (total.sum() + 1)
    rooted = truth.sum((1, 2, 3)) > ROOT_PIXELS
    each = 1 - (2 * overlap + 1) / (total + 1)
    return (whole + each[rooted].mean()) / 2 if rooted.any() else whole
