"""What training makes small."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

ROOT_PIXELS = 20.0  # a patch with less root than this has no Dice of its own worth following
SURE = 0.25  # a model is believed where its probability is this near to 0 or 1


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


def corrected_dice_bce(
    logits: Tensor, root: Tensor, known: Tensor, before: Tensor, free: Tensor, painted: float
) -> Tensor:
    """The same for corrections: what was painted becomes so, what the model was sure of beside it stays so.

    All is weighed together, for a painted pixel must not be worth hundreds of others: a model that is only held where
    it was right, on an average of its own, covers the soil to please a few strokes.

    Args:
        logits: B×1×H×W.
        root: B×1×H×W in [0, 1], believed where `known`.
        known: B×1×H×W bool, True where somebody painted.
        before: B×1×H×W in [0, 1], the probability by the model as it was.
        free: B×1×H×W bool, where `before` is neither right nor wrong.
        painted: weight of a painted pixel; one that the model was sure of has at most 1.
    """
    logits = logits.float()
    sure = ((before - 0.5).abs() > 0.5 - SURE) & ~free & ~known
    paint = painted * known.float()
    entropy = _entropy(logits, torch.where(known, root, before), paint + sure.float())
    # Dice of probabilities is at its best when all of them are 0 or 1: it would make doubtful borders wider.
    mask = torch.where(known, root, (before >= 0.5).float())
    return entropy + _dice(logits, mask, paint + sure * (2 * before - 1).abs()) * (known | sure).any()


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
