"""With RootPainter's own settings, our masks are those of RootPainter's own trainer."""

import importlib
from functools import cache
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from rootpainter_rootfm.learn.drawing.synthetic import draw_photograph
from rootpainter_rootfm.model.library import DEFAULT_MODEL, Library
from rootpainter_rootfm.segment import backend
from rootpainter_rootfm.segment.engine import Segmenter
from rootpainter_rootfm.segment.settings import SegmentSettings
from tests.segment.helpers import card, photograph, segmenter

UPSTREAM = SegmentSettings(
    device="cpu",
    tile=1024,
    overlap=0,
    padding="black",
    threshold=0.5,
    precision="fp32",
    edges=False,
    balance=False,
    glance=False,
    second_look=False,
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
    assert dice(ours, theirs) >= 0.999


def dice(ours, theirs):
    return 2 * np.count_nonzero(ours & theirs) / (np.count_nonzero(ours) + np.count_nonzero(theirs))


@cache
def drawn():
    return draw_photograph(np.random.default_rng(2), 480, 640)[0]


@cache
def upstreams(folder):
    """The mask that RootPainter's trainer makes of the drawn photograph with our model."""
    Library().export(DEFAULT_MODEL, folder / "rootfm.pth")
    upstream = importlib.import_module("MobileSAMInference")
    return upstream.mobilesam_segment_image(str(folder / "rootfm.pth"), drawn()) > 0


@pytest.mark.parametrize("program", ["torch", "OpenVINO"])
def test_no_speed_up_changes_the_masks_of_the_real_network(
    program, rootpainter_trainer, tmp_path_factory, tmp_path, monkeypatch
):
    """Folded normalisations, fused layers, bands and OpenVINO, beside the network that RootPainter runs."""
    if program == "OpenVINO" and find_spec("openvino") is None:
        pytest.skip("the extra [fast] is not installed")
    monkeypatch.setenv("ROOTFM_HOME", str(tmp_path))
    monkeypatch.setattr(backend, "PATIENCE", 0)
    monkeypatch.setattr(backend, "SHAPES", 1 if program == "OpenVINO" else 0)
    ours = Segmenter.load(DEFAULT_MODEL, settings=UPSTREAM)
    mask, theirs = ours.segment(drawn()).mask, upstreams(tmp_path_factory.getbasetemp())
    encoder = ours._networks[0].image_encoder
    assert bool(getattr(encoder, "_ready", {})) == (program == "OpenVINO"), "it was the other program that computed"
    assert 0.01 < theirs.mean() < 0.9
    assert dice(mask, theirs) >= 0.999
