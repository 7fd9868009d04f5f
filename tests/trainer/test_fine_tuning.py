"""The course of one training, without a network: what counts as another model, and when patience begins anew."""

import os
from types import SimpleNamespace

import pytest

from rootpainter_rootfm.learn.fine_tuning.measuring import Measured
from rootpainter_rootfm.learn.metrics import Confusion
from rootpainter_rootfm.trainer.fine_tuning import PATIENCE, FineTuning
from rootpainter_rootfm.trainer.instructions import Instruction
from rootpainter_rootfm.trainer.logs import Journal
from rootpainter_rootfm.trainer.models import Models
from rootpainter_rootfm.trainer.requests import TrainingRequest

NOTHING = Measured(Confusion(1, 1, 1, 1), 0.0, 0.0)


class Tuner:
    """Learns nothing."""

    ripeness = 1

    def epoch(self, corrections):
        yield
        return NOTHING

    def learnt(self, corrections):
        return None


class Judge:
    """Finds nothing better."""

    def compare(self, network, corrections):
        yield
        standing = SimpleNamespace(validated=NOTHING, network=network)
        return SimpleNamespace(current=standing, best=standing, better=False)


@pytest.fixture
def training(world, model, monkeypatch):
    """A training of a project with one corrected image."""
    world.images(["a.png"])
    world.project(model=model)
    world.annotate("a.png")
    monkeypatch.setattr(FineTuning, "_begin", lambda self, path: (Tuner(), Judge()))
    request = TrainingRequest.parse(
        Instruction("start_training_1", "start_training", world.training_content()), world.sync
    )
    return FineTuning(request, Models(world.sync), Journal(world.root), lambda instruction: None)


def test_a_model_that_is_put_in_has_all_the_patience(training):
    put_in = training.request.models / "000005_1.pth"
    epochs = 0
    for _ in training.steps():
        if training._file.without_progress == PATIENCE - 2 and not put_in.exists():
            put_in.write_bytes(b"another model")
            epochs = training._file.epoch
    assert training._file.epoch - epochs >= PATIENCE


def test_a_share_that_rounds_the_time_of_a_model_does_not_make_it_another_one(training):
    latest = training._newest()
    assert not training._replaced(latest)
    os.utime(latest.path, (1, 1))
    assert not training._replaced(latest)
    latest.path.write_bytes(b"another model")
    assert training._replaced(latest)
