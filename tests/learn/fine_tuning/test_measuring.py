"""What decides which model is better counts what was painted, what stayed and what changed."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import binary_dilation

from rootpainter_rootfm import masks
from rootpainter_rootfm.learn.fine_tuning.corrected import read
from rootpainter_rootfm.learn.fine_tuning.measuring import BESIDE, Measured, Measurer, windows
from rootpainter_rootfm.learn.fine_tuning.settings import FineTuneSettings
from rootpainter_rootfm.learn.metrics import Confusion
from rootpainter_rootfm.model.folding import fold_batchnorm
from tests.learn.corrected import draw_image, finish, opened

pytestmark = pytest.mark.usefixtures("undivided")
CPU = torch.device("cpu")
TILES = FineTuneSettings(tile=64)


@pytest.fixture
def network(fresh_network):
    return deepcopy(fresh_network).eval()


def test_measuring_changes_nothing_and_counts_annotated_pixels_once(project, network):
    corrections = opened(project)
    before = deepcopy(network.state_dict())
    measurer = Measurer(network, CPU, TILES)
    first, tiles = finish(measurer.measure(network, corrections, corrections.validation))
    second, again = finish(measurer.measure(network, corrections, corrections.validation))
    assert (tiles, again) == (1 + 4, 4), "an annotation, whose tiles are known from then on, and these four"
    assert first.counts == second.counts
    assert first.counts.defined == corrections.contents.truth(corrections.validation[0]).known.sum()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("zoom", [0.5, 1.0, 2.0])
def test_a_model_is_measured_by_its_own_mask(project, network, zoom):
    """Also where the tiles had been seen by the model begun with, and where that one is folded and this one is not."""
    settings = FineTuneSettings(tile=64, zoom=zoom)
    corrections = opened(project)
    learnt = deepcopy(network)
    for weights in learnt.mask_decoder.parameters():
        weights.data.add_(0.05 * torch.randn(weights.shape, generator=torch.Generator().manual_seed(0)))
    shared, own = Measurer(fold_batchnorm(network), CPU, settings), Measurer(learnt, CPU, settings)
    finish(shared.measure(network, corrections, corrections.validation))
    found, _ = finish(shared.measure(learnt, corrections, corrections.validation))
    expected, _ = finish(own.measure(learnt, corrections, corrections.validation))
    assert found.loss == pytest.approx(expected.loss, rel=1e-3)
    assert found.loss != pytest.approx(finish(own.measure(network, corrections, corrections.validation))[0].loss)


def test_the_number_of_tiles_is_bounded(project, network):
    few = Measurer(network, CPU, FineTuneSettings(tile=32, tiles=3))
    corrections = opened(project)
    assert len(finish(few.tiles(corrections, corrections.validation))[0]) == 3


def test_an_image_one_pixel_high_can_be_measured_at_a_small_scale(project, network):
    strokes = np.ones((1, 128), bool)
    masks.write_annotation(strokes, ~strokes, project / "val" / "b.png")
    Image.fromarray(np.zeros((1, 128, 3), np.uint8)).save(project / "images" / "b.png")
    corrections = opened(project)
    small = Measurer(network, CPU, FineTuneSettings(tile=64, zoom=0.4))
    measured, _ = finish(small.measure(network, corrections, corrections.validation))
    assert measured.counts.defined > 0


def test_what_is_to_be_measured_is_found_one_annotation_at_a_time_and_without_a_photograph(
    project, network, monkeypatch
):
    for stem in ("c", "d"):
        masks.write_annotation(*draw_image(project, stem, 2), project / "val" / f"{stem}.png")
    corrections = opened(project)
    monkeypatch.setattr(corrections.contents, "_image", None)
    measurer = Measurer(network, CPU, TILES)
    tiles, yields = finish(measurer.tiles(corrections, corrections.validation))
    assert len(tiles) == 3 * 4 and yields == 3
    assert finish(measurer.tiles(corrections, corrections.validation)) == (tiles, 0)


@pytest.mark.parametrize("shape", [(30, 500), (64, 64), (65, 129), (200, 31)])
def test_windows_part_an_image_without_gap_or_overlap(shape):
    known = np.ones(shape, bool)
    seen = np.zeros(shape, int)
    for window in windows(known, 64):
        seen[window] += 1
        assert seen[window].shape[0] <= 64 and seen[window].shape[1] <= 64
    assert (seen == 1).all()
    known[:] = False
    known[3, 4] = True
    assert len(windows(known, 64)) == 1


@pytest.fixture
def measured(project, network, monkeypatch):
    """Measures a network that gives a logit everywhere, begun with one that gave another."""
    start, says = fold_batchnorm(network), {}
    monkeypatch.setattr(Measurer, "_logits", lambda _, of, shallow, shape: np.full(shape, says[of], np.float32))

    def measure(before, now, shown=None, part="validation"):
        says.update({start: before, network: now})
        corrections = opened(project, shown)
        return finish(Measurer(start, CPU, TILES).measure(network, corrections, getattr(corrections, part)))[0]

    return measure


def away_from(painted, tiles):
    """How many pixels of those tiles lie away from all strokes."""
    square = np.ones((2 * BESIDE + 1, 2 * BESIDE + 1))
    return sum(np.count_nonzero(~binary_dilation(painted[tile], square)) for tile in tiles)


@pytest.fixture
def away(project):
    """The same of the validation image."""
    known = read(project / "val" / "b.png")[1]
    return away_from(known, windows(known, TILES.tile))


def test_what_changed_and_what_stayed_away_from_the_strokes_is_counted(measured, away):
    assert away > 0
    for before, now, kept, changed in [
        (-6, -6, 0, 0),
        (-6, 6, 0, away),
        (-2, 6, 0, 0),  # a root that it half saw, and nobody painted, may be one
        (6, 6, away, 0),
        (2, -6, 0, away),
        (0.5, -6, 0, 0),
    ]:
        found = measured(before, now)
        assert (found.kept, found.changed) == (kept, changed)


@pytest.mark.parametrize("part", ["training", "validation"])
def test_what_was_painted_in_the_other_part_of_an_image_counts_neither_as_kept_nor_as_changed(project, measured, part):
    (project / "train" / "a.png").unlink()
    corrections = opened(project)
    (divided,) = getattr(corrections, part)
    known, painted = corrections.contents.known(divided), read(project / "val" / "b.png")[1]
    assert known.sum() < painted.sum()
    expected = away_from(painted, windows(known, TILES.tile))
    assert measured(-6, 6, part=part).changed == expected < away_from(known, windows(known, TILES.tile))


def test_only_what_the_user_was_shown_stays_or_changes(project, measured, away):
    """That mask may come from several sizes of the image; nobody paints over what only one of them shows."""
    shown = project / "shown"
    shown.mkdir()
    for stem, root in (("a", False), ("b", True)):
        masks.write(np.full((96, 128), root), shown / f"{stem}.png", note="ours")
    for before, now, kept, changed in [
        (-6, -6, 0, 0),
        (-6, 6, 0, 0),
        (6, 6, away, 0),
        (6, -6, 0, away),
        (0.5, -6, 0, 0),
    ]:
        found = measured(before, now, shown)
        assert (found.kept, found.changed) == (kept, changed)


def test_the_score_tells_better_from_worse_also_where_no_root_was_painted():
    def score(**counts):
        return Measured(Confusion(**counts), 0.0, 0.0).score

    assert score(tp=50, fp=10, fn=10, tn=930) > score(tp=40, fp=20, fn=20, tn=920)
    assert 1 == score(tn=1000) > score(fp=10, tn=990) > score(fp=500, tn=500) > 0
    assert 0 <= score() <= 1


def test_the_better_of_two_models_is_the_one_that_finds_more_without_covering_the_soil():
    """Of 5 000 root pixels that were missed, 300 were painted red; hardly any soil was painted."""

    def score(found, soil_covered, kept):
        strokes = Confusion(tp=round(300 * found), fn=round(300 * (1 - found)), tn=50)
        return Measured(strokes, 0.0, 0.0, kept, changed=round(5000 * found) + soil_covered).score

    assert score(0, 0, 0) < score(0.3, 0, 0) < score(0.6, 100, 0) < score(0.9, 100, 0)
    assert score(0.95, 50_000, 0) < score(0.3, 0, 0)
    assert score(0.1, 3000, 9000) < score(0, 0, 9000), "a few strokes are not worth a good mask"


def test_losing_roots_that_nobody_complained_about_counts_as_growing_soil_does():
    strokes = Confusion(tp=90, fn=10)
    assert Measured(strokes, 0.0, 0.0, kept=900, changed=100).score < Measured(strokes, 0.0, 0.0, kept=1000).score
