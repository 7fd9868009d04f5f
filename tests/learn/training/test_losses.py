import pytest
import torch
import torch.nn.functional as F

from rootpainter_rootfm.learn.training.losses import dice_bce


def made(seed=0, batch=3, side=16):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(batch, 1, side, side, generator=generator)
    root = (torch.rand(batch, 1, side, side, generator=generator) > 0.6).float()
    return logits.requires_grad_(), root, torch.ones(batch, 1, side, side, dtype=torch.bool)


def test_unknown_pixels_have_no_influence_on_the_loss_or_its_gradient():
    logits, root, known = made()
    known[:, :, :, 8:] = False
    known[2] = False
    losses, gradients = [], []
    for junk in (0.0, 30.0, -30.0):
        changed = logits.detach().masked_fill(~known, junk).requires_grad_()
        loss = dice_bce(changed, root.masked_fill(~known, 0.5 if junk else 1.0), known)
        loss.backward()
        losses.append(loss.item())
        gradients.append(changed.grad)
        assert (changed.grad[~known] == 0).all()
    assert losses[0] == losses[1] == losses[2]
    assert torch.equal(gradients[0], gradients[1]) and torch.equal(gradients[0], gradients[2])


def test_the_known_part_of_a_picture_counts_as_that_part_alone():
    logits, root, known = made(batch=2)
    known[..., 8:] = False
    part = dice_bce(logits[..., :8], root[..., :8], known[..., :8])
    assert dice_bce(logits, root, known).item() == pytest.approx(part.item(), rel=1e-5)


def test_nothing_known_gives_no_loss_and_no_gradient():
    logits, root, known = made()
    loss = dice_bce(logits, root, torch.zeros_like(known))
    loss.backward()
    assert loss.item() == 0 and (logits.grad == 0).all()


def test_it_is_entropy_plus_dice():
    logits, root, known = made(batch=1)
    probability = logits.sigmoid()
    dice = 1 - (2 * (probability * root).sum() + 1) / (probability.sum() + root.sum() + 1)
    expected = F.binary_cross_entropy_with_logits(logits, root) + dice
    assert dice_bce(logits, root, known).item() == pytest.approx(expected.item(), rel=1e-5)


def test_perfect_is_best_and_inverted_is_worst():
    _, root, known = made()
    right, half, wrong = (dice_bce((root * 2 - 1) * strength, root, known).item() for strength in (20, 0, -20))
    assert right < 0.01 < half < wrong


def test_false_roots_in_a_root_free_patch_cost_something():
    _, root, known = made()
    root[0] = 0
    clean = (root * 2 - 1) * 8
    false = clean.clone()
    false[0] = 8.0
    assert dice_bce(false, root, known) > dice_bce(clean, root, known) + 0.5


def test_a_patch_of_thin_roots_weighs_as_much_as_one_of_thick_roots():
    root = torch.zeros(2, 1, 64, 64)
    root[0, :, :, :40] = 1
    root[1, :, :, :1] = 1
    known = torch.ones_like(root, dtype=torch.bool)
    perfect = (root * 2 - 1) * 9
    missed = []
    for which in (0, 1):
        logits = perfect.clone()
        logits[which] = -9.0
        each = dice_bce(logits, root, known) - F.binary_cross_entropy_with_logits(logits, root)
        missed.append(each.item())
    # Of the two halves of the Dice part, that of each patch counts both alike.
    assert missed[1] > 0.25 and missed[0] - missed[1] < 0.5


def test_half_precision_logits_are_judged_in_single_precision():
    logits, root, known = made()
    loss = dice_bce(logits.detach().bfloat16(), root, known)
    assert loss.dtype == torch.float32 and torch.isfinite(loss)
