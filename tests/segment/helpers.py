"""Networks whose result is known beforehand, so that tests of the engine measure the engine."""

import numpy as np
import torch
from torch import nn

from rootpainter_rootfm.model.card import ModelCard
from rootpainter_rootfm.segment.engine import Segmenter
from rootpainter_rootfm.segment.settings import SegmentSettings


class Brightness(nn.Module):
    """A pixel's logit depends on that pixel alone: wherever tiles lie, there is only one right answer."""

    def __init__(self, gain=3.0):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain), requires_grad=False)
        self.batches = []

    def forward(self, x):
        self.batches.append(tuple(x.shape))
        return x.mean(1, keepdim=True) * self.gain


class Constant(nn.Module):
    def __init__(self, logit):
        super().__init__()
        self.logit = logit

    def forward(self, x):
        return torch.full_like(x[:, :1], self.logit)


def card(name="bright", **changes):
    values = dict(
        name=name,
        title=name.title(),
        file=f"{name}.safetensors",
        sha256=(name * 64).encode().hex()[:64],
        licence="CC0-1.0",
        training_data=(),
        tile_sizes=(64, 128),
        padding="reflect",
        threshold=0.5,
        trained=True,
        weaknesses="",
        notes="",
        url=None,
        size_bytes=1,
    )
    return ModelCard(**values | changes)


def segmenter(*networks, settings=None, cards=None):
    networks = networks or (Brightness(),)
    return Segmenter(
        networks,
        cards or [card() for _ in networks],
        settings or SegmentSettings(device="cpu", edges=False, balance=False, glance=False, second_look=False),
    )


def photograph(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def brightness_probability(image, gain=3.0):
    """What `Brightness` means for an H×W×3 uint8 image, as float64 H×W."""
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    return 1 / (1 + np.exp(-gain * ((image / 255 - mean) / std).mean(2)))
