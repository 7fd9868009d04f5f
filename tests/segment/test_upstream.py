"""With RootPainter's own settings, our masks are those of RootPainter's own trainer."""

import importlib

import numpy as np
import pytest
import torch

from rootpainter_rootfm.segment.settings import SegmentSettings
from tests.segment.helpers import card, photograph, segmenter

UPSTREAM = SegmentSettings(
    device="cpu", tile=1024, overlap=0, padding="black", threshold=0.5, precision="fp32", edges=False
)


class Stripes(torch.nn.Module):
    """Its answer depends on the pixel, on its place in the tile and on the tile's mean: any other grid shows."""

    def forward(self, x):
        height, width = x.shape[2:]
        stripes = torch.sin(torch.arange(width) / 40) + torch.cos(torch.arange(height) / 30)[:, None]
        return x.mean(1, keepdim=True) + stripes + x.mean((1, 2, 3), keepdim=True)


@pytest.mark.parametrize("size", [(480, 640), (700, 1100), (1100, 1101), (1024, 2100)])
def test_masks_agree_with_the_trainer_s_tiles_and_padding(rootpainter_trainer, monkeypatch, size):
    upstream = importlib.import_module("MobileSAMInference")
    network = Stripes()
    monkeypatch.setattr(upstream, "_get_model", lambda path, device: network)
    monkeypatch.setattr(upstream, "_forward", lambda model, x: model(x.cpu()))
    monkeypatch.setattr(upstream, "get_device", lambda: "cpu")
    image = photograph(*size)
    theirs = upstream.mobilesam_segment_image("any.pth", image).astype(bool)
    ours = segmenter(network, settings=UPSTREAM, cards=[card(padding="reflect", threshold=0.3)]).segment(image).mask
    assert 0.1 < theirs.mean() < 0.9
    dice = 2 * np.count_nonzero(ours & theirs) / (np.count_nonzero(ours) + np.count_nonzero(theirs))
    assert dice >= 0.999
