"""Images of thin roots are looked at once more, enlarged, and those that the network is not sure of, reduced."""

import numpy as np
import pytest
import torch
from torch import nn

from rootpainter_rootfm.segment import glance, second_look
from rootpainter_rootfm.segment.blend import Blender
from rootpainter_rootfm.segment.settings import SegmentSettings
from rootpainter_rootfm.segment.tiles import plan
from tests.segment.helpers import Brightness, brightness_probability, card, segmenter

THRESHOLD = 0.5
ENOUGH = second_look.ENOUGH


@pytest.fixture(autouse=True)
def little_is_enough(monkeypatch):
    """So that small pictures do."""
    monkeypatch.setattr(second_look, "ENOUGH", 1)


@pytest.mark.parametrize(("length", "again"), [(ENOUGH // 2 - 1, False), (ENOUGH // 2, True)])
def test_few_thin_specks_say_nothing(monkeypatch, length, again):
    monkeypatch.setattr(second_look, "ENOUGH", ENOUGH)
    mask = np.zeros((20, 2000), bool)
    mask[5:7, 10 : 10 + length] = True
    assert second_look.thin(mask) == again


def photograph(width, shape=(300, 300), at=(20,)):
    image = np.zeros((*shape, 3), np.uint8)
    for row in at:
        image[row : row + width] = 255
    return image


def made(network, tile=128, **settings):
    settings = SegmentSettings(**dict(device="cpu", edges=False, balance=False, glance=False) | settings)
    return segmenter(network, settings=settings, cards=[card(tile_sizes=(tile,))])


def pixels(network):
    return sum(batch * height * width for batch, _, height, width in network.batches)


@pytest.mark.parametrize(("width", "again"), [(2, True), (3, True), (4, False), (20, False)])
def test_only_thin_roots_are_looked_at_once_more(width, again):
    network, without = Brightness(), Brightness()
    made(network, tile=512).segment(photograph(width))
    made(without, tile=512, second_look=False).segment(photograph(width))
    assert network.batches[: len(without.batches)] == without.batches
    enlarged = network.batches[len(without.batches) :]
    assert bool(enlarged) == again
    assert all(shape[2] == 480 for shape in enlarged), "300 pixels enlarged by a half are 450"


def test_wide_roots_for_the_most_part_are_wide_enough():
    network = Brightness()
    image = photograph(10, at=(20, 60, 100))
    image[200:202] = 255
    made(network, tile=512).segment(image)
    assert {shape[2] for shape in network.batches} == {320}


@pytest.mark.parametrize("settings", [{"second_look": False}, {"scale": 2.0}, {"scale": 0.5}])
def test_a_scale_that_was_asked_for_is_kept_to(settings):
    network = Brightness()
    made(network, tile=1024, **settings).segment(photograph(3))
    assert len({shape[2:] for shape in network.batches}) == 1


def test_the_enlarged_image_decides():
    image = np.random.default_rng(0).integers(0, 60, (300, 300, 3), np.uint8)
    image[100:102] = 255
    network = Brightness()
    found = made(network).segment(image)
    scaled = made(Brightness(), scale=second_look.ENLARGED, second_look=False).segment(image)
    assert pixels(network) > 300 * 300 * (1 + second_look.ENLARGED**2) * 0.3
    rows = slice(90, 112)
    np.testing.assert_allclose(found.probability[rows], scaled.probability[rows], atol=0.002)
    assert (found.mask == (found.probability16.astype(np.float32) >= THRESHOLD)).all()


def test_where_there_is_no_trace_of_a_root_the_first_look_stays():
    image = np.random.default_rng(0).integers(0, 40, (1000, 1000, 3), np.uint8)
    image[20:22] = 255
    network, everywhere = Brightness(), Brightness()
    found = made(network).segment(image)
    made(everywhere, scale=second_look.ENLARGED).segment(image)
    first = made(Brightness(), second_look=False).segment(image)
    assert found.mask[20:22].all()
    # A tile covers 85 rows, and a row of tiles shows the root.
    np.testing.assert_allclose(found.probability[100:], first.probability[100:], atol=0.001)
    assert pixels(network) - 1000 * 1000 < 0.4 * pixels(everywhere)


def test_a_trace_is_half_the_threshold():
    tiles = plan(200, 100, SegmentSettings(scale=second_look.ENLARGED), 96)
    probability = np.zeros((200, 100), np.float16)
    probability[5, 5], probability[195, 95] = 0.26, 0.24
    seen = second_look.traces(probability, tiles, THRESHOLD)
    assert len(seen) == len(tiles) and seen[0] and sum(seen) == 1


@pytest.mark.parametrize("shape", [(300, 300), (40, 700), (700, 40), (129, 64)])
@pytest.mark.parametrize("overlap", [0, 0.05, 0.3])
def test_any_size_of_image_and_any_overlap(shape, overlap):
    image = np.random.default_rng(0).integers(0, 90, (*shape, 3), np.uint8)
    image[shape[0] // 2 : shape[0] // 2 + 2] = 255
    found = made(Brightness(), overlap=overlap).segment(image)
    expected = brightness_probability(image)
    assert found.mask[shape[0] // 2 :][:2].all()
    # Enlarging smooths the noise; away from it nothing is lost and nothing counts twice.
    assert abs(found.probability.mean() - expected.mean()) < 0.01


def test_progress_grows_by_the_second_look():
    told = []
    made(Brightness()).segment(photograph(3), progress=lambda *now: told.append(now))
    done = [now for now, _, _ in told]
    assert done == sorted(set(done)) and told[-1][0] == told[-1][1]
    assert len({total for _, total, _ in told}) == 2


def test_probability_and_mask_are_renewed_in_place(monkeypatch):
    """A very large image needs no second probability and mask in memory."""
    shapes, empty = [], np.empty
    monkeypatch.setattr(np, "empty", lambda shape, *rest, **more: shapes.append(shape) or empty(shape, *rest, **more))
    made(Brightness()).segment(photograph(3))
    assert shapes.count((300, 300)) == 2, "one probability and one mask"


def test_hairs_beside_a_wide_root_are_not_enlarged(monkeypatch):
    network = Brightness()
    monkeypatch.setattr(glance, "add_wide", lambda *args: True)
    made(network, tile=1216, glance=True).segment(photograph(3, (1100, 200)))
    assert {shape[2] for shape in network.batches} == {1120, 192}


class Sizes(nn.Module):
    """Takes what is bright for root, with a logit that depends on how large it is shown."""

    def __init__(self, whole, smaller, half):
        super().__init__()
        self.logits = {320: whole, 224: smaller, 160: half}
        self.shown = []

    def forward(self, x):
        self.shown.append(x.shape[2])
        return torch.where(x.mean(1, keepdim=True) > 0, self.logits[x.shape[2]], -6.0)


WIDE = photograph(40)


def sureness(logit):
    """Of what `Sizes` makes of the wide root: 40 of 300 rows."""
    root, soil, some = 40 * 300 / (1 + np.exp(-logit)), 260 * 300 / (1 + np.exp(6.0)), second_look.NOTHING
    if logit < 0:
        return some / (root + soil + some)
    return (2 * root + some) / (40 * 300 + root + soil + some)


@pytest.mark.parametrize("logits", [(0.3, 3.0, 3.0), (0.3, 0.1, 4.0), (-1.0, 2.0, 3.0), (0.3, -1.0, -1.0)])
def test_where_the_network_is_not_sure_its_surer_looks_weigh_more(logits):
    network = Sizes(*logits)
    found = made(network, tile=512).segment(WIDE)
    assert network.shown == [320, 224, 160]
    weights = np.array([sureness(logit) ** second_look.TRUST for logit in logits])
    expected = np.average([1 / (1 + np.exp(-logit)) for logit in logits], weights=weights)
    assert found.probability[40, 150] == pytest.approx(expected, abs=0.01)
    assert (found.mask == (found.probability >= THRESHOLD)).all()


def test_where_the_network_is_sure_one_look_is_enough():
    network = Sizes(3.0, 4.0, 4.0)
    made(network, tile=512).segment(WIDE)
    assert network.shown == [320]


def test_a_root_in_one_look_alone_is_none_where_the_others_are_sure_that_there_is_nothing():
    network = Sizes(-9.0, 0.3, -9.0)
    found = made(network, tile=512).segment(WIDE)
    assert network.shown == [320, 224, 160] and not found.mask.any()


@pytest.mark.parametrize("settings", [{"second_look": False}, {"scale": 1.05}])
def test_it_is_not_reduced_against_the_users_will(settings):
    network = Sizes(0.3, 3.0, 3.0)
    made(network, tile=512, **settings).segment(WIDE)
    assert not {224, 160} & set(network.shown)


@pytest.mark.parametrize(("length", "sure", "looks"), [(999, 0.79, 3), (999, 0.8, 1), (1200, 0.64, 2), (1200, 0.65, 1)])
def test_of_a_large_image_the_network_need_not_be_so_sure(monkeypatch, length, sure, looks):
    network = Brightness(gain=0.3)
    monkeypatch.setattr(second_look, "sureness", lambda *args: sure)
    made(network, tile=2048).segment(photograph(10, (60, length)))
    assert len({shape[3] for shape in network.batches}) == looks


@pytest.mark.parametrize(("length", "sides"), [(1023, {1024, 736, 512}), (1024, {1024, 1536})])
def test_a_large_image_is_enlarged_instead(length, sides):
    network = Brightness(gain=0.3)
    made(network, tile=2048).segment(photograph(10, (60, length)))
    assert {shape[3] for shape in network.batches} == sides


def test_of_a_large_image_both_looks_count():
    image = np.random.default_rng(0).integers(40, 110, (1100, 200, 3), np.uint8)
    image[:, 50:60] = 255
    found = made(Brightness(gain=0.5)).segment(image)
    first, second = (
        made(Brightness(gain=0.5), second_look=False, scale=scale).segment(image) for scale in (1, second_look.ENLARGED)
    )
    weights = [second_look.sureness(look.probability16, look.mask) ** second_look.TRUST for look in (first, second)]
    # Noise is smoothed in an enlarged image, so that the looks differ everywhere.
    assert np.abs(first.probability - second.probability).mean() > 0.002
    expected = np.average([first.probability, second.probability], axis=0, weights=weights)
    np.testing.assert_allclose(found.probability, expected, atol=0.002)
    assert (found.mask == (found.probability >= THRESHOLD)).all()


def test_sureness_is_the_dice_that_the_probabilities_allow():
    rng = np.random.default_rng(0)
    probability = rng.beta(0.2, 1, (900, 900)).astype(np.float16)
    mask = probability >= THRESHOLD
    truth = rng.random(mask.shape) < probability
    dice = 2 * (mask & truth).sum() / (mask.sum() + truth.sum())
    assert second_look.sureness(probability, mask) == pytest.approx(dice, abs=0.005)
    # Sums of float16 end at 65504.
    assert second_look.sureness(np.ones((900, 900), np.float16), np.ones((900, 900), bool)) == 1


@pytest.mark.parametrize(("trace", "sure"), [(0.0, 1.0), (0.001, 0.86), (0.1, 0.06)])
def test_who_finds_nothing_and_hardly_a_trace_is_sure_of_it(trace, sure):
    probability = np.full((288, 288), trace, np.float16)
    assert second_look.sureness(probability, np.zeros((288, 288), bool)) == pytest.approx(sure, abs=0.01)


class Bounded(Brightness):
    """Has no memory for anything but the first look."""

    def forward(self, x):
        if self.batches and x.shape[2:] != self.batches[0][2:]:
            raise MemoryError
        return super().forward(x)


@pytest.mark.parametrize("image", [photograph(3), photograph(10, at=range(20, 280, 30))], ids=["enlarged", "reduced"])
def test_what_memory_does_not_suffice_for_costs_no_first_look(image):
    first = made(Brightness(0.3), tile=512, second_look=False).segment(image)
    found = made(Bounded(0.3), tile=512).segment(image)
    np.testing.assert_array_equal(found.probability16, first.probability16)
    np.testing.assert_array_equal(found.mask, first.mask)
    assert "not enough memory for a second look" in found.remark and not first.remark


def test_a_large_image_of_which_no_copy_fits_keeps_its_first_look(monkeypatch):
    def refuse(self):
        raise MemoryError

    monkeypatch.setattr(Blender, "copied", refuse)
    found = made(Brightness(0.3)).segment(photograph(10, (60, 1200)))
    assert found.mask[20:30].all() and "not enough memory" in found.remark
