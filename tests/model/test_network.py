"""The network is the published one: same tensors, same logits, at more tile sizes."""

import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from rootpainter_rootfm.model.folding import fold_batchnorm
from rootpainter_rootfm.model.network import MobileSAM, normalise

UPSTREAM = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy, torch
import MobileSAMInference
assert MobileSAMInference.build_sam_vit_t.__module__.startswith("mobile_sam") and sys.argv[1] in \
    sys.modules["mobile_sam"].__file__
model = MobileSAMInference._load_model(sys.argv[2], torch.device("cpu"))
with torch.no_grad():
    logits = MobileSAMInference._forward(model, torch.from_numpy(numpy.load(sys.argv[3])))
numpy.save(sys.argv[4], logits.numpy())
"""


def shake(network: torch.nn.Module) -> None:
    """Random values also where a fresh network has zeros and ones, so that no tensor can be forgotten."""
    generator = torch.Generator().manual_seed(1)
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var") or name.endswith("bn.weight"):
            tensor.uniform_(0.5, 1.5, generator=generator)
        elif name.endswith(("bn.bias", "running_mean", "attention_biases")):
            tensor.normal_(0, 0.3, generator=generator)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = MobileSAM().eval()
    shake(network)
    return network


@pytest.fixture(scope="module")
def tile():
    pixels = np.random.default_rng(0).integers(0, 256, (1, 1024, 1024, 3), dtype=np.uint8)
    return normalise(torch.from_numpy(pixels))


@pytest.fixture(scope="module")
def logits(network, tile):
    with torch.inference_mode():
        return network(tile)


def test_logits_equal_those_of_mobile_sam(network, tile, logits):
    mobile_sam = pytest.importorskip("mobile_sam")
    reference = mobile_sam.sam_model_registry["vit_t"](checkpoint=None).eval()
    assert len(network.state_dict()) == 439
    reference.load_state_dict(network.state_dict(), strict=True)
    reference.train(False)  # renews the attention biases that the reference keeps beside its parameters
    with torch.inference_mode():
        sparse, dense = reference.prompt_encoder(points=None, boxes=None, masks=None)
        masks, _ = reference.mask_decoder(
            image_embeddings=reference.image_encoder(tile.contiguous()),
            image_pe=reference.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )
        expected = torch.nn.functional.interpolate(masks, size=(1024, 1024), mode="bilinear", align_corners=False)
    assert logits.std() > 1e-2
    assert (logits - expected).abs().max() < 1e-4


def test_logits_equal_those_of_rootpainters_own_trainer(network, tile, logits, tmp_path):
    spec = find_spec("root_painter_trainer")
    if spec is None:
        pytest.skip("root-painter-trainer is not installed")
    torch.save(network.state_dict(), tmp_path / "m.pth")
    np.save(tmp_path / "tile.npy", tile.contiguous().numpy())
    paths = [spec.submodule_search_locations[0], *(str(tmp_path / name) for name in ("m.pth", "tile.npy", "out.npy"))]
    subprocess.run([sys.executable, "-c", UPSTREAM, *paths], check=True, timeout=300)
    assert np.abs(logits.numpy() - np.load(tmp_path / "out.npy")).max() < 1e-4


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 224), (448, 96)])
def test_any_tile_of_multiples_of_32_in_a_batch(network, height, width):
    images = torch.randint(0, 256, (3, height, width, 3), dtype=torch.uint8)
    with torch.inference_mode():
        together = network(normalise(images))
        alone = torch.cat([network(normalise(image[None])) for image in images])
    assert together.shape == (3, 1, height, width)
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


def test_other_sides_are_refused(network):
    with pytest.raises(ValueError, match="100×64.*multiples of 32"):
        network(torch.zeros(1, 3, 100, 64))


def test_folding_keeps_the_logits_and_leaves_the_network_alone(network):
    images = torch.randint(0, 256, (2, 96, 64, 3), dtype=torch.uint8)
    folded = fold_batchnorm(network)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    assert sum(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules()) == 27
    with torch.inference_mode():
        torch.testing.assert_close(folded(normalise(images)), network(normalise(images)), atol=1e-4, rtol=1e-4)


def test_every_weight_that_learns_gets_a_gradient():
    network = MobileSAM().train()
    shake(network)
    network(normalise(torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8))).sum().backward()
    without = [name for name, p in network.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []


def test_normalise_is_imagenets():
    grey = torch.full((1, 2, 2, 3), 124, dtype=torch.uint8)
    expected = (124 / 255 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(normalise(grey)[0, :, 0, 0], expected)


def test_attention_is_never_cudnns_which_prepares_itself_for_every_size_of_image():
    assert not torch.backends.cuda.cudnn_sdp_enabled()
