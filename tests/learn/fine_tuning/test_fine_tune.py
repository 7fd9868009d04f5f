"""The recipe: it learns what was painted, keeps what it knew, and measures itself honestly."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from rootpainter_rootfm import masks
from rootpainter_rootfm.errors import RootFMError
from rootpainter_rootfm.learn.data import Patch
from rootpainter_rootfm.learn.fine_tuning.fine_tune import FineTuner, out_of_memory
from rootpainter_rootfm.learn.fine_tuning.settings import FineTuneSettings
from rootpainter_rootfm.learn.metrics import Confusion
from rootpainter_rootfm.learn.training.batches import Batch
from rootpainter_rootfm.model.library import load_model
from tests.learn.corrected import draw_image, finish, opened

TINY = FineTuneSettings(patch=64, tile=64, batch=4, at_once=2, epoch=8, rate=3e-3, warmup=1)
CPU = torch.device("cpu")


@pytest.fixture
def tuner(fresh_network):
    return FineTuner(deepcopy(fresh_network), CPU, TINY)


def test_what_was_painted_is_learnt_and_better_on_the_validation_annotations(project):
    """Roots hardly brighter than their ground, of which the bundled model misses a quarter."""
    for stem, part, seed in (("a", "train", 0), ("b", "val", 1)):
        masks.write_annotation(*draw_image(project, stem, seed, bright=90), project / part / f"{stem}.png")
    settings = FineTuneSettings(patch=64, tile=64, epoch=16, rate=5e-4, warmup=1, average=0.9, seed=1)
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


def test_how_far_it_is_on_the_way_to_its_first_check(project, fresh_network):
    tuner = FineTuner(deepcopy(fresh_network), CPU, FineTuneSettings(patch=32, batch=1, at_once=1, epoch=2, ripe=4))
    corrections = opened(project)
    assert tuner.ripeness == 0
    ripeness = [finish(tuner.epoch(corrections)) and tuner.ripeness for _ in range(3)]
    assert ripeness == [0.5, 1, 1]


def test_all_layers_learn(project, tuner):
    finish(tuner.epoch(opened(project)))
    without_part = ("head", "mask_downscaling", "point", "iou_prediction", "mlps.1", "mlps.2", "mlps.3")
    for (name, weights), first in zip(tuner.network.named_parameters(), tuner._first, strict=True):
        if not any(part in name for part in without_part):
            assert not torch.equal(weights, first), name


def test_pixels_of_which_nothing_is_known_have_no_influence(tuner):
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


@pytest.mark.parametrize(("images", "way"), [(2, 1 / 2), (8, 2 / 3)])
def test_few_images_move_a_model_part_of_the_way(project, tuner, images, way):
    for number in range(2, images):
        masks.write_annotation(*draw_image(project, f"more{number}", number), project / "train" / f"more{number}.png")
    corrections = opened(project)
    assert len(corrections.training) == images
    first = [weights.detach().clone() for weights in tuner.network.parameters()]
    finish(tuner.epoch(corrections))
    learnt = list(tuner.learnt(corrections).parameters())
    average = list(tuner._average.network.parameters())
    assert any(not torch.equal(a, b) for a, b in zip(first, learnt, strict=True))
    for before, mine, whole in zip(first, learnt, average, strict=True):
        assert torch.allclose(mine, before + way * (whole - before), atol=1e-6)


@pytest.mark.usefixtures("undivided")
def test_it_yields_after_every_few_patches_so_that_a_stop_is_soon_seen(project, tuner):
    corrections = opened(project)
    _, yields = finish(tuner.epoch(corrections))
    assert yields == TINY.epoch + TINY.epoch // TINY.at_once, "every patch that is cut, and every few that are learnt"
    _, yields = finish(tuner.validate(tuner.start, corrections))
    assert yields == 1 + 4, "an annotation and its tiles"


@pytest.mark.usefixtures("undivided")
@pytest.mark.parametrize("zoom", [0.5, 2.0])
def test_images_are_seen_as_large_as_they_are_when_segmented(project, fresh_network, zoom):
    settings = FineTuneSettings(tile=64, patch=32, zoom=zoom, batch=2, epoch=2)
    tuner = FineTuner(deepcopy(fresh_network), CPU, settings)
    corrections = opened(project)
    measured, _ = finish(tuner.validate(tuner.start, corrections))
    assert measured.counts.defined == corrections.contents.truth(corrections.validation[0]).known.sum()
    finish(tuner.epoch(corrections))
    assert tuner._scale == (0.4 * zoom, 2.5 * zoom)


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
    learnt, _ = finish(tuner.epoch(corrections))
    assert learnt.counts.defined > 0
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
    with pytest.raises(RootFMError, match="memory of this machine does not suffice.*Close other programs"):
        finish(tuner.epoch(opened(project)))
    assert "memory of cuda:0 does not suffice" in str(out_of_memory("cuda:0"))
    assert "choose the device cpu" in str(out_of_memory("cuda:0"))


@pytest.mark.usefixtures("undivided")
def test_a_corrected_image_is_learnt_from_with_its_whole_mask(project, tuner):
    shown = project / "shown"
    shown.mkdir()
    masks.write(np.ones((96, 128), bool), shown / "a.png", note="ours")
    corrections = opened(project, shown)
    drawn = [tuner._draw(corrections) for _ in range(20)]
    assert all(patch.known.all() for patch in drawn)
    assert any(0.3 < patch.root.mean() < 0.95 for patch in drawn), "soil was painted over a mask of roots alone"


def test_without_the_mask_that_was_shown_the_model_is_believed_where_it_is_sure(project, tuner, monkeypatch):
    corrections = opened(project)
    for logit, sure, root in ((6.0, True, True), (0.5, False, None), (-1.0, False, None), (-6.0, True, False)):
        monkeypatch.setattr(tuner, "start", lambda x, logit=logit: torch.full((1, 1, *x.shape[2:]), logit))
        strokes = Patch(np.zeros((32, 32, 3), np.uint8), np.zeros((32, 32), np.float32), np.zeros((32, 32), bool))
        strokes.known[:4], strokes.root[:2] = True, 1
        patch = tuner._believed(strokes)
        assert (patch.known[4:] == sure).all() and patch.known[:4].all()
        assert (patch.root[:2] == 1).all() and (patch.root[2:4] == 0).all()
        assert root is None or (patch.root[4:] == root).all()
        monkeypatch.undo()
    learnt, _ = finish(tuner.epoch(corrections))
    assert np.isfinite(learnt.loss) and learnt.counts.defined > 0
