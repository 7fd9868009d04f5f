import numpy as np
import pytest
import torch
import torch.nn.functional as F

from rootpainter_rootfm.segment.edges import follow_edges


def image_of_a_line(width, contrast=0.3, size=96):
    """1×1×H×W truth and brightness of a vertical root `width` pixels wide, on ground with some grain."""
    root = torch.zeros(1, 1, size, size)
    root[..., size // 2 : size // 2 + width] = 1
    grain = torch.from_numpy(np.random.default_rng(0).normal(0, 0.01, root.shape).astype(np.float32))
    return root, 0.4 + contrast * root + grain


def seen_coarsely(root):
    """A probability as a network with steps of four pixels has it at best."""
    return F.interpolate(F.avg_pool2d(root, 4), scale_factor=4, mode="bilinear", align_corners=False)


def dice(a, b):
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


@pytest.mark.parametrize("contrast", [0.3, -0.3])
@pytest.mark.parametrize("width", [2, 3, 6, 17])
def test_borders_move_to_those_of_the_photograph(width, contrast):
    root, brightness = image_of_a_line(width, contrast)
    coarse = seen_coarsely(root)
    followed = follow_edges(coarse, brightness)
    truth = root > 0
    before = max(dice(coarse >= threshold, truth) for threshold in (0.2, 0.3, 0.4, 0.5))
    after = dice(followed >= 0.3, truth)
    assert after > 0.97 and after >= before
    assert followed.shape == coarse.shape and 0 <= followed.min() and followed.max() <= 1


def test_where_the_photograph_is_flat_the_probability_stays():
    corners = torch.rand(1, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    coarse = F.interpolate(corners, size=(96, 96), mode="bicubic").clamp(0, 1)
    followed = follow_edges(coarse, torch.full_like(coarse, 0.7))
    assert float((followed - coarse).abs().mean()) < 0.09


def test_it_matters_not_where_the_zero_of_brightness_lies():
    root, brightness = image_of_a_line(5)
    coarse = seen_coarsely(root)
    shifted = follow_edges(coarse, brightness - 0.5)
    assert torch.allclose(follow_edges(coarse, brightness), shifted, atol=1e-3)


@pytest.mark.parametrize("size", [(32, 32), (32, 96), (224, 64)])
def test_tiles_of_any_size(size):
    probability = torch.rand(2, 1, *size)
    assert follow_edges(probability, torch.rand(2, 1, *size)).shape == probability.shape


def test_a_thin_root_is_not_lost_between_brighter_things():
    root, things = torch.zeros(2, 1, 1, 128, 128)
    root[..., 64:67] = 1
    things[..., 50:56] = things[..., 75:81] = 1
    followed = follow_edges(0.8 * seen_coarsely(root), 0.4 + 0.1 * root + 0.3 * things)
    inside, beside = (followed[layer > 0].mean() for layer in (root, things))
    assert inside > 0.2 and beside < 0.05
