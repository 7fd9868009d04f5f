import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from rootpainter_rootfm import light
from rootpainter_rootfm.errors import Cancelled, ImageError, RootFMError
from rootpainter_rootfm.model import library
from rootpainter_rootfm.progress import CancelToken
from rootpainter_rootfm.segment import backend, engine
from rootpainter_rootfm.segment.engine import Segmenter
from rootpainter_rootfm.segment.settings import SegmentSettings
from tests.segment.helpers import Brightness, Constant, brightness_probability, card, photograph, segmenter

sizes = st.integers(1, 300)
STEP = 5e-4  # of float16 below 1


def cpu(edges=False, balance=False, glance=False, second_look=False, **values):
    return SegmentSettings(device="cpu", edges=edges, balance=balance, glance=glance, second_look=second_look, **values)


@hypothesis_settings(max_examples=60)
@given(
    sizes,
    sizes,
    st.one_of(st.none(), st.integers(1, 5).map(lambda n: 32 * n)),
    st.sampled_from([0, 0.0625, 0.125, 0.3, 0.5]),
    st.floats(-9, 9),
    st.sampled_from([0.5, 1.0, 2.0]),
)
def test_a_constant_logit_stays_constant(height, width, tile, overlap, logit, scale):
    settings = cpu(tile=tile, overlap=overlap, scale=scale)
    found = segmenter(Constant(logit), settings=settings).segment(np.zeros((height, width, 3), np.uint8))
    expected = 1 / (1 + np.exp(-logit))
    assert found.probability.shape == (height, width)
    np.testing.assert_allclose(found.probability, expected, atol=STEP)


@hypothesis_settings(max_examples=60)
@given(
    sizes,
    sizes,
    st.one_of(st.none(), st.integers(1, 5).map(lambda n: 32 * n)),
    st.sampled_from([0, 0.125, 0.5]),
    st.sampled_from(["reflect", "black", "mean"]),
    st.booleans(),
    st.one_of(st.none(), st.integers(1, 5)),
)
def test_no_seam_wherever_the_tiles_lie(height, width, tile, overlap, padding, flips, batch):
    image = photograph(height, width)
    settings = cpu(tile=tile, overlap=overlap, padding=padding, flips=flips, batch=batch)
    found = segmenter(settings=settings).segment(image)
    np.testing.assert_allclose(found.probability, brightness_probability(image), atol=STEP)


def test_probability_and_mask_agree_and_are_what_they_say():
    found = segmenter(settings=cpu(threshold=0.3)).segment(photograph(90, 150))
    assert found.probability.dtype == np.float32 and found.mask.dtype == bool
    assert found.probability.min() >= 0 and found.probability.max() <= 1
    np.testing.assert_array_equal(found.mask, found.probability >= np.float32(0.3))
    assert 0 < found.mask.mean() < 1


def test_the_card_speaks_where_the_settings_are_silent():
    quiet = segmenter(Constant(0.0), cards=[card(threshold=0.7, padding="mean", tile_sizes=(64,))])
    assert quiet.threshold == 0.7 and quiet.signature["padding"] == "mean" and quiet.signature["tile"] == "up to 64"
    loud = segmenter(settings=cpu(threshold=0.2, padding="black", tile=96), cards=[card(threshold=0.7)])
    assert loud.threshold == 0.2 and loud.signature["padding"] == "black" and loud.signature["tile"] == 96


def test_several_models_give_the_mean_of_their_probabilities():
    image = photograph(70, 80)
    found = segmenter(Brightness(2.0), Constant(4.0), Brightness(-1.0)).segment(image)
    expected = (brightness_probability(image, 2.0) + 1 / (1 + np.exp(-4)) + brightness_probability(image, -1.0)) / 3
    np.testing.assert_allclose(found.probability, expected, atol=STEP)


def test_an_ensemble_takes_mean_threshold_first_padding_smallest_tiles():
    both = segmenter(
        Constant(0.0),
        Constant(0.0),
        cards=[card("a", threshold=0.4, padding="mean", tile_sizes=(512,)), card("b", threshold=0.6, padding="black")],
    )
    assert both.threshold == pytest.approx(0.5)
    assert both.signature["padding"] == "mean" and both.signature["tile"] == "up to 128"
    assert [model["name"] for model in both.models] == ["a", "b"]


class Sided(torch.nn.Module):
    """Answers by where in the tile a pixel lies, as no good network would."""

    def forward(self, x):
        height, width = x.shape[2:]
        ramp = torch.linspace(-2, 2, width) + torch.linspace(-1, 1, height)[:, None]
        return ramp.expand(len(x), 1, -1, -1)


def test_flips_average_all_four_mirror_images():
    image = photograph(64, 64)
    plain = segmenter(Sided()).segment(image).probability
    flipped = segmenter(Sided(), settings=cpu(flips=True)).segment(image).probability
    expected = (plain + plain[::-1] + plain[:, ::-1] + plain[::-1, ::-1]) / 4
    np.testing.assert_allclose(flipped, expected, atol=STEP)
    assert np.abs(plain - expected).max() > 0.1


def test_overlapping_tiles_blend_smoothly_and_without_overlap_cut_hard():
    image = photograph(64, 200)
    smooth = segmenter(Sided(), settings=cpu(tile=64, overlap=0.5)).segment(image).probability
    hard = segmenter(Sided(), settings=cpu(tile=64, overlap=0)).segment(image).probability
    assert np.abs(np.diff(smooth, axis=1)).max() < 0.1
    assert np.abs(np.diff(hard, axis=1)).max() > 0.5


def test_scale_shows_the_network_a_larger_image():
    network = Brightness()
    image = np.repeat(np.repeat(photograph(20, 30), 4, 0), 4, 1)
    found = segmenter(network, settings=cpu(scale=2.0), cards=[card(tile_sizes=(512,))]).segment(image)
    assert network.batches == [(1, 3, 160, 256)]
    assert found.probability.shape == (80, 120)
    inner = found.probability.reshape(20, 4, 30, 4)[:, 1:3, :, 1:3]
    expected = brightness_probability(image).reshape(20, 4, 30, 4)[:, 1:3, :, 1:3]
    assert np.abs(inner - expected).mean() < 0.05


def test_small_areas_are_left_out_of_the_mask_only():
    image = np.zeros((60, 60, 3), np.uint8)
    image[5, 5:8] = 255
    image[30, 10:50] = 255
    kept = segmenter(settings=cpu(min_root_pixels=10)).segment(image)
    assert kept.mask.sum() == 40 and kept.probability[5, 6] > 0.9


def test_tiles_come_in_batches_and_are_counted():
    network, seen = Brightness(), []
    segmenter(network, settings=cpu(tile=64, overlap=0, batch=4)).segment(
        photograph(192, 128), progress=lambda *report: seen.append(report)
    )
    assert [shape[0] for shape in network.batches] == [4, 2]
    assert seen == [(4, 6, "tiles"), (6, 6, "tiles")]


def test_cancel_is_looked_at_between_batches():
    token, network = CancelToken(), Brightness()
    with pytest.raises(Cancelled):
        segmenter(network, settings=cpu(tile=32, overlap=0, batch=1)).segment(
            photograph(64, 64), token, lambda done, total, current: token.cancel() if done == 2 else None
        )
    assert len(network.batches) == 2


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), "u1")]
)
def test_what_is_no_image_is_refused(image):
    with pytest.raises(ImageError, match="H×W×3 uint8"):
        segmenter().segment(image)


def test_a_network_that_gives_no_numbers_gives_no_mask():
    with pytest.raises(RootFMError, match="not a number"):
        segmenter(Constant(float("nan"))).segment(photograph(40, 40))


class Loud(Brightness):
    """Gives no numbers as long as it is run in half precision."""

    def forward(self, x):
        result = super().forward(x)
        return result * float("nan") if torch.is_autocast_enabled("cpu") else result


@pytest.fixture
def halved_cpu(monkeypatch):
    """The CPU passes for a device with half precision."""
    monkeypatch.setattr(engine.devices, "choose_precision", lambda name, device: "bf16")


def test_a_model_too_large_for_half_precision_is_computed_in_full_and_said_once(halved_cpu, caplog):
    network, image = Loud(), photograph(40, 40)
    automatic = segmenter(network)
    before = automatic.signature
    np.testing.assert_allclose(automatic.segment(image).probability, brightness_probability(image), atol=STEP)
    automatic.segment(image)
    assert len(network.batches) == 3, "the second image is not tried in half precision again"
    assert [record.message.count("too large for bf16") for record in caplog.records] == [1]
    assert automatic.signature == before, "or a second run would make every mask anew"


def test_who_asks_for_half_precision_is_told_that_it_does_not_hold(halved_cpu):
    chosen = segmenter(Loud(), settings=cpu(precision="bf16"))
    with pytest.raises(RootFMError, match="try the precision fp32"):
        chosen.segment(photograph(40, 40))


def test_equal_signatures_mean_equal_weights_and_settings():
    assert segmenter().signature == segmenter(settings=cpu(batch=3)).signature
    # What a GPU chooses for itself makes no other masks: a folder begun there goes on here.
    assert segmenter().signature["precision"] == "auto"
    plain = segmenter().signature
    for changes in (
        {"threshold": 0.4},
        {"flips": True},
        {"edges": True},
        {"balance": True},
        {"glance": True},
        {"second_look": True},
        {"scale": 2.0},
        {"overlap": 0.25},
        {"tile": 64},
    ):
        assert segmenter(settings=cpu(**changes)).signature != plain, changes
    assert segmenter(cards=[card("other")]).signature != plain


class Hungry(Brightness):
    """Runs out of memory on more than `most` tiles at once."""

    def __init__(self, most, error):
        super().__init__()
        self.most, self.error = most, error

    def forward(self, x):
        result = super().forward(x)
        if len(x) > self.most:
            raise self.error
        return result


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
def test_short_of_memory_batches_shrink_once_and_stay_small(error, caplog):
    network, image = Hungry(2, error), photograph(128, 128)
    small = segmenter(network, settings=cpu(tile=32, overlap=0, batch=8))
    found = small.segment(image)
    np.testing.assert_allclose(found.probability, brightness_probability(image), atol=STEP)
    assert [shape[0] for shape in network.batches] == [8, 4, *[2] * 8]
    network.batches.clear()
    small.segment(image)
    assert [shape[0] for shape in network.batches] == [2] * 8
    assert [record.message.count("From here on") for record in caplog.records] == [1, 1]


def test_short_of_memory_for_a_single_tile_is_an_error_that_says_so():
    with pytest.raises(RootFMError, match="Not enough memory for an image of 50×60 pixels in tiles of 64×64"):
        segmenter(Hungry(0, torch.OutOfMemoryError("no")), settings=cpu(tile=64)).segment(photograph(50, 60))


def test_any_other_error_of_the_network_is_not_mistaken_for_memory():
    with pytest.raises(RuntimeError, match="shapes do not match"):
        segmenter(Hungry(0, RuntimeError("shapes do not match"))).segment(photograph(50, 60))


def test_a_download_is_told_of_for_every_model(monkeypatch):
    def load_model(name, progress):
        progress(1, 2, name)
        return Brightness(), card(name)

    monkeypatch.setattr(library, "load_model", load_model)
    monkeypatch.setattr(backend, "accelerated", lambda network: network)
    told = []
    Segmenter.load("lab", "field", settings=cpu(), progress=lambda *now: told.append(now))
    assert told == [(1, 2, "lab"), (1, 2, "field")]


def test_the_colour_of_the_light_is_taken_out_of_the_whole_image_at_once():
    image = photograph(70, 90)
    blue = np.uint8(image * [0.35, 0.5, 1])
    probability = {
        balance: segmenter(settings=cpu(tile=32, balance=balance)).segment(blue).probability
        for balance in (True, False)
    }
    shown = light.balanced(blue)
    np.testing.assert_allclose(probability[True], brightness_probability(shown), atol=STEP)
    assert np.abs(probability[True] - probability[False]).max() > 0.05


@pytest.mark.parametrize("padding", ["reflect", "black", "mean"])
def test_a_coloured_photograph_is_balanced_tile_by_tile_and_never_copied_whole(monkeypatch, padding):
    blue = np.uint8(photograph(150, 50) * [0.35, 0.5, 1])
    before = segmenter(settings=cpu(tile=64, padding=padding)).segment(light.balanced(blue))
    shapes, empty_like = [], np.empty_like
    monkeypatch.setattr(np, "empty_like", lambda array, *more: shapes.append(array.shape) or empty_like(array, *more))
    found = segmenter(settings=cpu(tile=64, padding=padding, balance=True)).segment(blue)
    np.testing.assert_array_equal(found.probability16, before.probability16)
    assert blue.shape not in shapes
