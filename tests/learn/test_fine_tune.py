"""The recipe: it learns what was painted, keeps what it knew, and measures itself honestly."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import binary_dilation

from rootpainter_rootfm import masks
from rootpainter_rootfm.errors import RootFMError
from rootpainter_rootfm.learn.batches import Batch
from rootpainter_rootfm.learn.cache import ArrayCache
from rootpainter_rootfm.learn.corrections import Corrections
from rootpainter_rootfm.learn.fine_tune import BESIDE, FineTuner, Measured, _windows
from rootpainter_rootfm.learn.fine_tune_settings import FineTuneSettings
from rootpainter_rootfm.learn.metrics import Confusion
from rootpainter_rootfm.model.library import load_model

TINY = FineTuneSettings(patch=64, tile=64, batch=4, at_once=2, epoch=8, rate=3e-3, warmup=1, elsewhere=0)
CPU = torch.device("cpu")


def draw_image(folder, stem, seed, size=(96, 128), bright=200):
    """Bright roots on dark ground, all of them annotated, with a band of soil beside."""
    rng = np.random.default_rng(seed)
    root = np.zeros(size, bool)
    for row in (20, 70):
        root[row : row + 8, 4:-4] = True
    soil = np.zeros(size, bool)
    soil[38:58, 4:-4] = True
    image = np.where(root[..., None], bright, 60) + rng.integers(-15, 15, (*size, 3))
    Image.fromarray(image.astype(np.uint8)).save(folder / "images" / f"{stem}.png")
    return root, soil


@pytest.fixture
def project(tmp_path):
    for name in ("images", "train", "val"):
        (tmp_path / name).mkdir()
    for stem, part, seed in (("a", "train", 0), ("b", "val", 1)):
        masks.write_annotation(*draw_image(tmp_path, stem, seed), tmp_path / part / f"{stem}.png")
    return tmp_path


def opened(project):
    corrections = Corrections(project / "images", project / "train", project / "val")
    list(corrections.refresh())
    return corrections


def finish(steps):
    """Runs a generator to its end; returns its value and how often it yielded."""
    yields = 0
    while True:
        try:
            next(steps)
            yields += 1
        except StopIteration as end:
            return end.value, yields


@pytest.fixture
def tuner(fresh_network):
    return FineTuner(deepcopy(fresh_network), CPU, TINY)


def test_what_was_painted_is_learnt_and_better_on_the_validation_annotations(project):
    """Roots hardly brighter than their ground, of which the bundled model misses a quarter."""
    for stem, part, seed in (("a", "train", 0), ("b", "val", 1)):
        masks.write_annotation(*draw_image(project, stem, seed, bright=90), project / part / f"{stem}.png")
    settings = FineTuneSettings(patch=64, tile=64, epoch=16, rate=5e-4, warmup=1, average=0.9)
    tuner = FineTuner(load_model("rootfm")[0], CPU, settings)
    corrections = opened(project)
    before, _ = finish(tuner.validate(tuner.start, corrections))
    for _ in range(3):
        learnt, _ = finish(tuner.epoch(corrections))
    after, _ = finish(tuner.validate(tuner.learnt(corrections), corrections))
    assert after.loss < before.loss
    assert after.score > before.score
    assert learnt.counts.defined > 0 and np.isfinite(learnt.loss)


def test_statistics_of_the_normalisation_stay_as_they_were(project, tuner):
    before = {name: value.clone() for name, value in tuner.network.named_buffers()}
    finish(tuner.epoch(opened(project)))
    assert all(torch.equal(value, before[name]) for name, value in tuner.network.named_buffers())
    before = dict(tuner.start.named_parameters())
    learning = [(name, weights) for name, weights in tuner.network.image_encoder.named_parameters() if "neck" in name]
    assert not any(torch.equal(weights, before[f"image_encoder.{name}"]) for name, weights in learning)


def test_pixels_that_nobody_painted_have_no_influence(tuner):
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 255, (2, 64, 64, 3), np.uint8))
    known = torch.zeros((2, 1, 64, 64), dtype=torch.bool)
    known[:, :, 10:20, 10:50] = True
    root = torch.zeros((2, 1, 64, 64))
    gradients = []
    for fill in (0.0, 1.0):
        target = root.clone()
        target[~known] = fill
        tuner.network.zero_grad()
        tuner._learn(Batch(images, target, known), 1.0)
        gradients.append([p.grad.clone() for p in tuner.network.parameters() if p.grad is not None])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize(("images", "share"), [(1, 1 / 2), (3, 3 / 4)])
def test_few_images_move_a_model_part_of_the_way(project, tuner, images, share):
    for number in range(1, images):
        masks.write_annotation(*draw_image(project, f"more{number}", number), project / "train" / f"more{number}.png")
    corrections = opened(project)
    first = [weights.detach().clone() for weights in tuner.network.parameters()]
    finish(tuner.epoch(corrections))
    learnt = list(tuner.learnt(corrections).parameters())
    average = list(tuner._average.network.parameters())
    assert any(not torch.equal(a, b) for a, b in zip(first, learnt, strict=True))
    for before, mine, whole in zip(first, learnt, average, strict=True):
        assert torch.allclose(mine, before + share * (whole - before), atol=1e-6)


def test_it_yields_after_every_few_patches_so_that_a_stop_is_soon_seen(project, tuner):
    corrections = opened(project)
    _, yields = finish(tuner.epoch(corrections))
    assert yields == TINY.epoch // TINY.at_once
    _, yields = finish(tuner.validate(tuner.start, corrections))
    assert yields == len(tuner._tiles(corrections, corrections.validation)) == 4


def test_validation_changes_nothing_and_counts_annotated_pixels_once(project, tuner):
    corrections = opened(project)
    before = deepcopy(tuner.network.state_dict())
    first, _ = finish(tuner.validate(tuner.network, corrections))
    second, _ = finish(tuner.validate(tuner.network, corrections))
    assert first.counts == second.counts
    assert first.counts.defined == corrections.truth(corrections.validation[0]).known.sum()
    assert all(torch.equal(value, before[name]) for name, value in tuner.network.state_dict().items())


def test_the_number_of_tiles_is_bounded(project, fresh_network):
    few = FineTuner(deepcopy(fresh_network), CPU, FineTuneSettings(tile=32, tiles=3))
    corrections = opened(project)
    assert len(few._tiles(corrections, corrections.validation)) == 3


@pytest.mark.parametrize("zoom", [0.5, 2.0])
def test_images_are_seen_as_large_as_they_are_when_segmented(project, fresh_network, zoom):
    settings = FineTuneSettings(tile=64, patch=32, zoom=zoom, batch=2, epoch=2)
    tuner = FineTuner(deepcopy(fresh_network), CPU, settings)
    corrections = opened(project)
    measured, _ = finish(tuner.validate(tuner.start, corrections))
    assert measured.counts.defined == corrections.truth(corrections.validation[0]).known.sum()
    finish(tuner.epoch(corrections))
    assert tuner._scale == (0.8 * zoom, 1.25 * zoom)


@pytest.mark.parametrize("only", ["root", "soil"])
def test_one_class_alone_can_be_learnt_from(project, fresh_network, only):
    root, soil = draw_image(project, "a", 0)
    nothing = np.zeros_like(root)
    masks.write_annotation(*((root, nothing) if only == "root" else (nothing, soil)), project / "train" / "a.png")
    tuner = FineTuner(deepcopy(fresh_network), CPU, FineTuneSettings(patch=64, tile=64, epoch=4))
    corrections = opened(project)
    learnt, _ = finish(tuner.epoch(corrections))
    assert np.isfinite(learnt.loss) and learnt.counts.defined > 0
    assert all(torch.isfinite(p).all() for p in tuner.learnt(corrections).parameters())


def test_an_image_deleted_during_training_is_left_out_and_named(project, tuner):
    masks.write_annotation(*draw_image(project, "c", 2), project / "train" / "c.png")
    corrections = opened(project)
    (project / "images" / "c.png").unlink()
    _, yields = finish(tuner.epoch(corrections))
    assert yields == TINY.epoch // TINY.at_once
    assert "c.png" in corrections.problems
    corrections = opened(project)
    for image in (project / "images").iterdir():
        image.unlink()
    measured, yields = finish(tuner.epoch(corrections))
    assert yields == 0 and measured.counts == Confusion()


def test_memory_that_runs_out_makes_the_parts_smaller_and_then_an_error_that_helps(project, tuner, monkeypatch):
    sizes = []
    learn = tuner._learn

    def tight(batch, share):
        sizes.append(len(batch.images))
        if sizes[-1] > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return learn(batch, share)

    monkeypatch.setattr(tuner, "_learn", tight)
    finish(tuner.epoch(opened(project)))
    assert sizes == [2] + [1] * TINY.epoch
    monkeypatch.setattr(tuner, "_learn", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory")))
    with pytest.raises(RootFMError, match="choose the device cpu"):
        finish(tuner.epoch(opened(project)))


def test_the_score_tells_better_from_worse_also_where_no_root_was_painted():
    def score(**counts):
        return Measured(Confusion(**counts), 0.0, 0.0).score

    assert score(tp=50, fp=10, fn=10, tn=930) > score(tp=40, fp=20, fn=20, tn=920)
    assert 1 == score(tn=1000) > score(fp=10, tn=990) > score(fp=500, tn=500) > 0
    assert 0 <= score() <= 1


@pytest.mark.parametrize("shape", [(30, 500), (64, 64), (65, 129), (200, 31)])
def test_windows_part_an_image_without_gap_or_overlap(shape):
    known = np.ones(shape, bool)
    seen = np.zeros(shape, int)
    for window in _windows(known, 64):
        seen[window] += 1
        assert seen[window].shape[0] <= 64 and seen[window].shape[1] <= 64
    assert (seen == 1).all()
    known[:] = False
    known[3, 4] = True
    assert len(_windows(known, 64)) == 1


def test_what_changed_and_what_stayed_away_from_the_strokes_is_counted(project, tuner, monkeypatch):
    corrections = opened(project)
    truth = corrections.truth(corrections.validation[0])
    says = {tuner.start: -6, tuner.network: 6}
    monkeypatch.setattr(tuner, "_logits", lambda network, image: np.full(image.shape[:2], says[network], np.float32))
    before, _ = finish(tuner.validate(tuner.start, corrections))
    flooded, _ = finish(tuner.validate(tuner.network, corrections))
    square = np.ones((2 * BESIDE + 1, 2 * BESIDE + 1))
    away = [~binary_dilation(truth.known[window], square) for window in _windows(truth.known, TINY.tile)]
    assert before.changed == before.kept == flooded.kept == 0
    assert flooded.changed == sum(map(np.count_nonzero, away)) > 0
    says[tuner.start] = 6
    tuner._before = ArrayCache(1 << 20)
    same, _ = finish(tuner.validate(tuner.network, corrections))
    assert same.changed == 0 and same.kept == flooded.changed
    says[tuner.start] = -0.5
    tuner._before = ArrayCache(1 << 20)
    doubtful, _ = finish(tuner.validate(tuner.network, corrections))
    assert doubtful.changed == 0 and doubtful.kept == 0


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


def test_half_of_the_patches_lie_anywhere_in_the_project_to_be_kept_as_they_were(project, tuner):
    draw_image(project, "never_annotated", 5)
    (project / "images" / "broken.png").write_bytes(b"no image")
    corrections = opened(project)
    tuner.settings = replace(TINY, elsewhere=0.5)
    drawn = [tuner._draw(corrections) for _ in range(60)]
    unknown = [patch for patch in drawn if not patch.known.any()]
    assert 15 < len(unknown) < 45 and not any(patch.root.any() for patch in unknown)
    learnt, _ = finish(tuner.epoch(corrections))
    assert np.isfinite(learnt.loss) and not corrections.problems


def test_the_other_patches_lie_around_a_stroke(project, tuner):
    corrections = opened(project)
    assert all(tuner._draw(corrections).known.any() for _ in range(20))
