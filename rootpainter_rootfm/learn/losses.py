"""What training makes small."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

ROOT_PIXELS = 20.0  # a patch with less root than this has no Dice of its own worth following
SURELY_ROOT = 0.75  # from this probability on a model is believed about root
SURELY_SOIL = 0.05  # and below this one about soil: most of the roots that models miss have more
DOUBTED = 0.25  # what such a pixel weighs where somebody painted: of what a model misses, only a part gets painted
LEAST = 0.1  # of the weight of all that is held: what strokes of one class may weigh where the other has hardly any


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


def corrected_dice_bce(
    logits: Tensor, root: Tensor, known: Tensor, before: Tensor, free: Tensor, painted: float
) -> Tensor:
    """The same for corrections: what was painted becomes so, what the model was sure of beside it stays so.

    All is weighed together, for a painted pixel must not be worth hundreds of others: a model that is only held where
    it was right, on an average of its own, covers the soil to please a few strokes.

    Args:
        logits: B×1×H×W.
        root: B×1×H×W, 0 or 1, believed where `known`.
        known: B×1×H×W bool, True where somebody painted.
        before: B×1×H×W in [0, 1], the probability by the model as it was.
        free: B×1×H×W bool, where `before` is neither right nor wrong.
        painted: weight of a painted pixel at most; one that the model was sure of has at most 1, `DOUBTED` in a patch
            with strokes.
    """
    logits = logits.float()
    sure = believed(before) & ~free & ~known
    corrected = known.flatten(1).any(1)[:, None, None, None]
    held = torch.where(corrected, DOUBTED, 1.0) * sure
    strokes = _strokes(root, known, painted, held.sum())
    entropy = _entropy(logits, torch.where(known, root, before), strokes + held)
    # Dice of probabilities is at its best when all of them are 0 or 1: it would make doubtful borders wider.
    mask = torch.where(known, root, (before >= 0.5).float())
    return entropy + _dice(logits, mask, strokes + held * (2 * before - 1).abs()) * (known | sure).any()


def _strokes(root: Tensor, known: Tensor, painted: float, held: Tensor) -> Tensor:
    """The weights of the painted pixels: neither class outweighs the other, or `LEAST` of what is held.

    What is held resists only when it has moved already. Where thick roots were painted and hardly any soil, the first
    steps would make everything root before anything resists.
    """
    red, soil = (painted * (known & layer).float() for layer in (root >= 0.5, root < 0.5))
    least = LEAST * held
    return _no_heavier(red, soil.sum().clamp(min=least)) + _no_heavier(soil, red.sum().clamp(min=least))


def _no_heavier(weights: Tensor, most: Tensor) -> Tensor:
    return weights * (most / weights.sum().clamp(min=1)).clamp(max=1)


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
