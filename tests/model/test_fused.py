"""What makes the network fast on a CPU changes none of its numbers."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rootpainter_rootfm.model import fused, layers
from rootpainter_rootfm.model.folding import fold_batchnorm
from rootpainter_rootfm.model.network import MobileSAM


@pytest.fixture(params=["oneDNN", "plain"])
def way(request, monkeypatch):
    if request.param == "plain":
        monkeypatch.setattr(fused, "_is_at_hand", lambda: False)
    elif not fused._is_at_hand():
        pytest.skip("this build of torch has no oneDNN")


def channels_last(*shape):
    return torch.randn(shape).contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("bias", [True, False])
def test_linear_layers_take_gelu_and_residual_along(way, bias):
    layer, x, plus = nn.Linear(24, 40, bias=bias), torch.randn(2, 5, 24), torch.randn(2, 5, 40)
    expected = layer(x)
    with torch.inference_mode():
        torch.testing.assert_close(fused.linear(x, layer), expected)
        torch.testing.assert_close(fused.linear(x, layer, gelu=True), F.gelu(expected))
        torch.testing.assert_close(fused.linear(x, layer, plus=plus), expected + plus)
        torch.testing.assert_close(fused.linear(x, layer, gelu=True, plus=plus), F.gelu(expected) + plus)


@pytest.mark.parametrize("memory", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("kernel, stride, groups", [(1, 1, 1), (3, 1, 1), (3, 2, 8), (1, 2, 1)])
def test_convolutions_take_gelu_and_residual_along(way, kernel, stride, groups, memory):
    layer = nn.Conv2d(8, 16, kernel, stride, kernel // 2, groups=groups).to(memory_format=memory)
    x = channels_last(2, 8, 12, 20).contiguous(memory_format=memory)
    expected = layer(x)
    plus = torch.randn_like(expected)
    with torch.inference_mode():
        torch.testing.assert_close(fused.conv(x, layer), expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(fused.conv(x, layer, gelu=True), F.gelu(expected), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(fused.conv(x, layer, plus=plus), expected + plus, atol=1e-5, rtol=1e-5)


def test_gradients_flow_where_they_are_wanted(way):
    layer, x = layers.Linear(8, 8), torch.randn(3, 8)
    layer(x, gelu=True, plus=x).sum().backward()
    assert layer.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("change", ["missing", "wrong"])
def test_without_the_operators_the_plain_functions_do_the_work(change, monkeypatch):
    def broken(*arguments):
        if change == "missing":
            raise AttributeError("no such operator")
        return torch.zeros(3, 4)

    monkeypatch.setattr(fused, "_linear", broken)
    fused._is_at_hand.cache_clear()
    try:
        assert not fused._is_at_hand()
        layer, x = nn.Linear(8, 4), torch.randn(3, 8)
        with torch.inference_mode():
            torch.testing.assert_close(fused.linear(x, layer), layer(x))
    finally:
        fused._is_at_hand.cache_clear()


@pytest.mark.parametrize("height, width, batch", [(256, 96, 1), (224, 160, 2)])
def test_bands_change_nothing(height, width, batch, monkeypatch):
    torch.manual_seed(0)
    network = fold_batchnorm(MobileSAM().eval()).to(memory_format=torch.channels_last)
    x = channels_last(batch, 3, height, width)
    calls = []

    def counted(x, *arguments):
        calls.append(x.shape)
        return whole(x, *arguments)

    whole = fused.conv
    with torch.inference_mode():
        monkeypatch.setattr(layers, "BAND", 2**40)
        monkeypatch.setattr(fused, "conv", counted)
        expected = network(x)
        few = len(calls)
        monkeypatch.setattr(layers, "BAND", 2**14)
        torch.testing.assert_close(network(x), expected, atol=1e-5, rtol=1e-5)
    assert len(calls) - few > 3 * few
