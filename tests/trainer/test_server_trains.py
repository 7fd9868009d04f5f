"""`start_training` of a foundation model: what is learnt, shown and saved, and every fault on the way."""

import csv
import json
import os
import shutil
import time

import numpy as np
import pytest
import torch

from rootpainter_rootfm import files, masks
from rootpainter_rootfm.learn.fine_tuning import fine_tune, judge
from rootpainter_rootfm.learn.fine_tuning import settings as fine_tune_settings
from rootpainter_rootfm.segment import device as devices
from rootpainter_rootfm.trainer import fine_tuning, instructions, server
from tests.trainer.sync_world import tree

SECONDS = 600


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Epochs of one step on tiny patches, and little patience."""
    plain = fine_tune_settings.FineTuneSettings

    def tiny(**given):
        small = {"patch": 32, "tile": 64, "batch": 2, "at_once": 2, "epoch": 2, "ripe": 0}
        return plain(**{**small, "rate": 1e-3, **given})

    monkeypatch.setattr(fine_tune_settings, "FineTuneSettings", tiny)
    monkeypatch.setattr(fine_tuning, "PATIENCE", 3)
    monkeypatch.setattr(fine_tuning, "SECONDS_BETWEEN_LOOKS", 0.05)


@pytest.fixture
def scores(monkeypatch):
    """Lets a test say how good each validated model is: the first value is the model that the project has."""
    said = []
    real = fine_tune.FineTuner.validate

    def validate(self, network, corrections):
        measured = yield from real(self, network, corrections)
        dice = said.pop(0) if said else 0.0
        tp = round(1000 * dice)
        return fine_tune.Measured(fine_tune.Confusion(tp=tp, fn=2000 - 2 * tp, tn=0), measured.loss, 0.1)

    monkeypatch.setattr(fine_tune.FineTuner, "validate", validate)
    return said


@pytest.fixture
def at_work(world, model):
    world.images(["a.png", "b.png", "c.png"])
    world.project(model=model)
    return world.start()


def models(world):
    return tree(world.root / "projects/p/models")


def start(world):
    return world.send("start_training", world.training_content())


def stop(world):
    return world.send("stop_training", {"message_dir": "projects/p/messages"})


def rows(world, table):
    (path,) = (world.root / "projects/p/logs").glob(f"*_{table}.csv")
    return list(csv.DictReader(path.open()))


def test_a_better_model_is_saved_and_nothing_else_ever_lies_among_the_models(at_work, scores):
    at_work.annotate("a.png")
    at_work.annotate("b.png", "val")
    scores[:] = [0.5, 0.4, 0.6, 0.55, 0.54, 0.5]
    file = start(at_work)
    assert at_work.settle(file, SECONDS) == "executed"
    assert models(at_work)[0] == "000001_1.pth" and len(models(at_work)) == 2
    assert models(at_work)[1].startswith("000002_") and models(at_work)[1].endswith(".pth")
    shown = at_work.training()
    assert shown["state"] == "finished" and shown["saved"] == models(at_work)[1]
    assert [round(epoch["dice"], 1) for epoch in shown["history"]][:3] == [0.5, 0.4, 0.6]
    assert [round(epoch["best"], 1) for epoch in shown["history"]][:3] == [0.5, 0.5, 0.6]
    assert shown["history"][0]["time"] == shown["started"], "the model that it began with"
    best = fine_tune.Measured(fine_tune.Confusion(tp=600, fn=800), 0.0, 0.0)  # a Dice of 0.6 on the strokes
    assert shown["best_dice"] == pytest.approx(best.score)
    texts = at_work.messages()
    assert "Training started" in texts and "Training finished as 3 epochs without progress" in texts
    assert "Training 0 of max 3 epochs without progress" in texts
    for table in ("train", "cur_val", "prev_val"):
        assert len(rows(at_work, table)) == shown["epoch"] == len(shown["history"]) - 1
        assert all(0 <= float(row["f1"]) <= 1 for row in rows(at_work, table))
    assert tree(at_work.root / "projects/p/logs")[0] == ".rootfm_training.json"
    assert not any("model" in name for name in tree(at_work.root / "projects/p/logs"))


def test_the_next_mask_comes_from_the_saved_model(at_work, scores):
    at_work.annotate("a.png")
    scores[:] = [0.5, 0.9]
    start(at_work)
    at_work.until(lambda: len(models(at_work)) == 2, SECONDS)
    at_work.settle(at_work.ask_image("c.png", rootfm={"confidence": True}))
    from rootpainter_rootfm import Segmenter, images

    newest = at_work.root / "projects/p/models" / models(at_work)[1]
    expected = Segmenter.load(newest).segment(images.read(at_work.root / "datasets/d/c.png")).mask
    assert np.array_equal(masks.read(at_work.root / "projects/p/segmentations/c.png"), expected)


def test_stop_ends_it_at_the_next_step_and_says_so(at_work):
    at_work.annotate("a.png")
    file = start(at_work)
    at_work.until(lambda: "Training started" in at_work.messages(), SECONDS)
    assert at_work.heart()["state"] == "training" and at_work.heart()["project"] == "p"
    stop(at_work)
    assert at_work.settle(file) == "executed"
    assert "Training stopped" in at_work.messages()
    assert at_work.training()["state"] == "stopped"
    assert at_work.heart()["state"] == "idle"


def test_stop_takes_no_step_more(at_work, monkeypatch):
    steps = []

    def train(self):
        while True:
            steps.append("step")
            yield

    monkeypatch.setattr(fine_tuning.FineTuning, "_train", train)
    file = start(at_work)
    at_work.until(lambda: len(steps) == 2, SECONDS)
    stop(at_work)
    assert at_work.settle(file) == "executed"
    assert len(steps) == 2 and at_work.training()["state"] == "stopped"


def test_a_training_that_the_end_of_the_trainer_stopped_does_not_begin_again_by_itself(at_work, monkeypatch):
    at_work.annotate("a.png")
    file = start(at_work)
    at_work.until(lambda: "Training started" in at_work.messages(), SECONDS)
    monkeypatch.setattr(server.Worker, "end", lambda self, seconds: False)  # its step takes longer than anybody waits
    assert at_work.server.wind_up() is False
    assert at_work.training()["state"] == "stopped"
    at_work.start()
    assert at_work.settle(file) == "executed" and at_work.heart()["state"] == "idle"


def test_who_starts_training_while_masks_are_made_hears_that_it_begins_later(at_work):
    image = at_work.ask_image("a.png")
    at_work.server.tick()
    start(at_work)
    at_work.server.tick()
    assert "Training begins when the masks asked for are made" in at_work.messages()
    assert at_work.training()["state"] == "waiting"
    assert at_work.settle(image) == "executed"
    at_work.until(lambda: at_work.training()["message"] == "Preparing training", SECONDS)


def test_a_stop_while_no_trainer_ran_ends_the_training_that_a_crash_left(at_work):
    at_work.annotate("a.png")
    file = start(at_work)
    at_work.until(lambda: "Training started" in at_work.messages(), SECONDS)
    at_work.server._heartbeat.stop()  # Only so that the next one need not wait; everything else is as after a crash.
    stop(at_work)
    at_work.start()
    assert at_work.settle(file) == "executed"
    assert at_work.training()["state"] == "stopped" and "Training stopped" in at_work.messages()
    assert at_work.heart()["state"] == "idle"


def test_stop_also_ends_a_training_that_waits_for_its_next_try(at_work):
    damaged = at_work.root / "projects/p/models/000002_1.pth"
    damaged.write_bytes(b"PK\x03\x04 not synchronised yet")
    at_work.annotate("a.png")
    file = start(at_work)
    at_work.until(lambda: any("Trying again" in text for text in at_work.messages()), SECONDS)
    stop(at_work)
    assert at_work.settle(file) == "executed"
    assert at_work.training()["state"] == "stopped" and "Training stopped" in at_work.messages()
    damaged.unlink()
    time.sleep(instructions.SECONDS_BETWEEN_TRIES)
    at_work.turn()
    assert at_work.heart()["state"] == "idle" and "Training started" not in at_work.messages()


def test_what_fails_after_stop_is_not_tried_again(at_work, monkeypatch):
    def begin(self, path):
        self.stop()
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(fine_tuning.FineTuning, "_begin", begin)
    at_work.annotate("a.png")
    assert at_work.settle(start(at_work), SECONDS) == "executed"
    assert at_work.training()["state"] == "stopped" and "Training stopped" in at_work.messages()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), "The memory of this machine does not suffice for training"),
        (MemoryError(), "Close other programs"),
        (ZeroDivisionError("a fault of ours"), "a fault of ours"),
    ],
)
def test_any_fault_ends_in_a_training_that_is_shown_as_failed(at_work, monkeypatch, fault, said):
    def compare(self, network, corrections):
        yield
        raise fault

    monkeypatch.setattr(judge.Judge, "compare", compare)
    at_work.annotate("a.png")
    file = start(at_work)
    assert at_work.settle(file, SECONDS) == "failed"
    assert said in at_work.reason(file)
    assert at_work.training()["state"] == "failed" and said in at_work.training()["message"]


def test_the_device_whose_memory_ran_out_is_named(at_work, monkeypatch):
    """With `auto`, the CPU where other programs have filled the GPU."""

    def compare(self, network, corrections):
        yield
        raise MemoryError

    monkeypatch.setattr(judge.Judge, "compare", compare)
    monkeypatch.setattr(devices, "choose_device", lambda name: torch.device("cuda:0"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (9, 80 << 30))
    at_work.annotate("a.png")
    file = start(at_work)
    assert at_work.settle(file, SECONDS) == "failed"
    assert "The memory of this machine does not suffice" in at_work.reason(file)


def test_a_training_that_brings_the_trainer_down_is_shown_as_failed(at_work, monkeypatch):
    class Death(BaseException):
        """The process ends in this moment."""

    def train(self):
        self._show("running", "Preparing training")
        raise Death
        yield

    monkeypatch.setattr(fine_tuning.FineTuning, "_train", train)
    file = start(at_work)
    for _ in range(instructions.STARTS):
        with pytest.raises(Death):
            at_work.turn()
        assert at_work.training()["state"] == "running"
        at_work.server._heartbeat.stop()  # only so that the next one need not wait
        at_work.start()
    assert at_work.settle(file) == "failed"
    assert at_work.training()["state"] == "failed" and "ended unexpectedly" in at_work.training()["message"]


def test_a_better_model_is_the_newest_also_after_one_that_was_put_in_by_hand(at_work, scores):
    folder = at_work.root / "projects/p/models"
    (folder / "000001_1.pth").rename(folder / "roots_lab.pth")
    at_work.annotate("a.png")
    scores[:] = [0.5, 0.6, 0.55, 0.7]
    assert at_work.settle(start(at_work), SECONDS) == "executed"
    first, second, third = models(at_work)
    assert first == "roots_lab.pth" and second.startswith("roots_lab_000001_") and third.startswith("roots_lab_000002_")
    assert fine_tuning.newest(folder).name == third == at_work.training()["saved"]
    assert not any("goes on from" in text for text in at_work.messages())


def test_status_tells_which_project_is_trained(at_work):
    at_work.annotate("a.png")
    start(at_work)
    at_work.until(lambda: "Training started" in at_work.messages(), SECONDS)
    at_work.settle(at_work.send("trainer_status", {}))
    status = json.loads((at_work.root / "trainer_status.json").read_text())
    assert status["training"] is True and status["project"] == "p" and status["timestamp"] > 0
    assert "rootfm" in status["plugins"]


def test_a_second_start_is_answered_and_disturbs_nothing(at_work, model):
    at_work.annotate("a.png")
    at_work.project("q", model)
    running = start(at_work)
    at_work.until(lambda: "Training started" in at_work.messages(), SECONDS)
    again = at_work.sync.instructions / running
    again.write_text(json.dumps(at_work.training_content()))  # RootPainter gives it the same name.
    at_work.until(lambda: "Training of p is running already" in at_work.messages())
    taken = at_work.sync.instructions / ".rootfm_taken"
    assert not again.exists() and (taken / running).exists(), "a crash would lose the training"
    assert at_work.settle(at_work.send("start_training", at_work.training_content("q"))) == "executed"
    (said,) = at_work.messages("q")
    assert "the project p is being trained" in said
    assert at_work.heart()["project"] == "p"


def test_without_annotations_it_waits_and_begins_when_there_are_some(at_work):
    start(at_work)
    at_work.until(lambda: "Training waits for annotations" in at_work.messages(), SECONDS)
    assert at_work.heart()["state"] == "training" and at_work.training()["state"] == "waiting"
    at_work.annotate("a.png", "val")
    at_work.until(lambda: at_work.training()["epoch"] >= 1, SECONDS)
    assert at_work.training()["state"] == "running"
    assert "Training started" in at_work.messages()


@pytest.mark.parametrize("only", ["root", "soil"])
def test_one_image_with_one_class_is_enough(at_work, only):
    painted = np.zeros((2, 64, 96), bool)
    painted[0 if only == "root" else 1, 20:40, 10:80] = True
    masks.write_annotation(*painted, at_work.root / "projects/p/annotations/val/a.png")
    start(at_work)
    at_work.until(lambda: at_work.training()["epoch"] >= 2, SECONDS)
    assert all(0 <= epoch["dice"] <= 1 for epoch in at_work.training()["history"])


def test_new_annotations_reset_the_patience_and_are_learnt_from(at_work, scores, monkeypatch):
    at_work.annotate("a.png")
    at_work.annotate("b.png", "val")
    start(at_work)
    at_work.until(lambda: at_work.training()["epochs_without_progress"] == 2, SECONDS)
    at_work.annotate("c.png")
    at_work.until(lambda: at_work.training()["epochs_without_progress"] == 0, SECONDS)
    assert at_work.training()["state"] == "running"


def test_a_second_image_joins_the_training_that_runs(at_work, scores, monkeypatch):
    loaded, load = [], fine_tuning.FineTuning._load
    monkeypatch.setattr(
        fine_tuning.FineTuning, "_load", lambda self, path: loaded.append(path.name) or load(self, path)
    )
    monkeypatch.setattr(fine_tuning, "PATIENCE", 1000)
    # Models that tie in validation tie here in what was learnt, too: none is better than the one that is saved.
    monkeypatch.setattr(fine_tune.FineTuner, "fit", fine_tune.FineTuner.validate)
    at_work.annotate("a.png", "val")
    scores[:] = [0.5, 0.9]
    start(at_work)
    at_work.until(lambda: len(models(at_work)) == 2, SECONDS)
    at_work.annotate("b.png")
    epoch = at_work.training()["epoch"]
    at_work.until(lambda: at_work.training()["epoch"] > epoch + 3, SECONDS)
    assert loaded == ["000001_1.pth"] and len(models(at_work)) == 2


def test_before_the_first_check_it_is_shown_how_far_it_is_and_nothing_is_saved(at_work, scores, monkeypatch):
    tiny = fine_tune_settings.FineTuneSettings
    monkeypatch.setattr(fine_tune_settings, "FineTuneSettings", lambda **given: tiny(**{**given, "ripe": 6}))
    at_work.annotate("a.png")
    scores[:] = [0.5, 0.9]
    assert at_work.settle(start(at_work), SECONDS) == "executed"
    learning = [text for text in at_work.messages() if text.startswith("Training learns before its first check")]
    assert learning == [f"Training learns before its first check, {done}%" for done in (17, 33, 50, 67, 83)]
    shown = at_work.training()
    assert len(models(at_work)) == 2 and shown["ripeness"] == 1 and shown["epoch"] == 4
    assert len(rows(at_work, "train")) == 5 + 4 and len(rows(at_work, "cur_val")) == 4


def test_a_deleted_image_is_left_out_and_named(at_work):
    for name in ("a.png", "b.png", "c.png"):
        at_work.annotate(name)
    start(at_work)
    (at_work.root / "datasets/d/b.png").unlink()
    at_work.until(lambda: any("b.png" in text for text in at_work.messages()), SECONDS)
    epoch = at_work.training()["epoch"]
    at_work.until(lambda: at_work.training()["epoch"] > epoch, SECONDS)


def test_a_deleted_annotation_is_forgotten(at_work):
    for name in ("a.png", "b.png"):
        at_work.annotate(name)
    start(at_work)
    at_work.until(lambda: at_work.training()["epoch"] >= 1, SECONDS)
    (at_work.root / "projects/p/annotations/train/a.png").unlink()
    epoch = at_work.training()["epoch"]
    at_work.until(lambda: at_work.training()["epoch"] > epoch + 1, SECONDS)
    (at_work.root / "projects/p/annotations/train/b.png").unlink()
    at_work.until(lambda: "Training waits for annotations" in at_work.messages(), SECONDS)


def test_training_goes_on_when_the_drive_comes_back(at_work, monkeypatch):
    monkeypatch.setattr(instructions, "SECONDS_BETWEEN_TRIES", 0)
    at_work.annotate("a.png")
    file = start(at_work)
    at_work.until(lambda: at_work.training()["epoch"] >= 1, SECONDS)
    away = at_work.root.rename(at_work.root.with_name("away"))
    end = time.monotonic() + SECONDS
    while at_work.server.worker.training is not None:
        assert time.monotonic() < end
        at_work.turn()
    for _ in range(instructions.TRIES + 1):
        at_work.turn()
    assert not at_work.root.exists(), "nothing may be made in the place of the drive"
    away.rename(at_work.root)
    at_work.until(lambda: at_work.training()["state"] == "running" and at_work.training()["epoch"] >= 1, SECONDS)
    stop(at_work)
    assert at_work.settle(file) == "executed" and at_work.training()["state"] == "stopped"


def test_a_training_that_ended_while_the_drive_was_away_is_shown_as_ended_later(at_work):
    at_work.annotate("a.png")
    file = start(at_work)
    at_work.until(lambda: "Training started" in at_work.messages(), SECONDS)
    away = at_work.root.rename(at_work.root.with_name("away"))
    at_work.server.worker.training.stop()
    at_work.turn()
    assert at_work.server.worker.training is None
    away.rename(at_work.root)
    at_work.turn()
    assert at_work.training()["state"] == "stopped" and (at_work.sync.executed / file).exists()


@pytest.mark.parametrize("folder", ["annotations/val", "models"])
def test_a_vanished_folder_ends_in_a_message_and_a_running_trainer(at_work, folder, monkeypatch):
    monkeypatch.setattr(instructions, "TRIES", 2)
    monkeypatch.setattr(instructions, "SECONDS_BETWEEN_TRIES", 0)
    at_work.annotate("a.png")
    file = start(at_work)
    at_work.until(lambda: at_work.training()["epoch"] >= 1, SECONDS)
    shutil.rmtree(at_work.root / "projects/p" / folder)
    assert at_work.settle(file, SECONDS) == "failed"
    assert at_work.training()["state"] == "failed"
    name = folder.rpartition("/")[2]
    assert any(name in text for text in at_work.messages())
    assert at_work.heart()["last_error"] and at_work.heart()["state"] == "idle"
    assert at_work.settle(at_work.send("trainer_status", {})) == "executed"


def test_a_model_that_cannot_be_saved_is_said_and_training_goes_on(at_work, scores, monkeypatch):
    real = os.replace

    def full(source, target):
        if "models" in str(target):
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(files.os, "replace", full)
    at_work.annotate("a.png")
    scores[:] = [0.5, 0.6, 0.6]
    start(at_work)
    at_work.until(lambda: any("No space left" in text for text in at_work.messages()), SECONDS)
    assert models(at_work) == ["000001_1.pth"]
    monkeypatch.setattr(files.os, "replace", real)
    at_work.until(lambda: len(models(at_work)) == 2, SECONDS)


def test_a_better_model_is_not_lost_to_who_reads_it_first(at_work, scores, monkeypatch):
    """On Windows a virus scanner looks at a file that was just written, and it cannot be moved meanwhile."""
    real, held = os.replace, []

    def scanned(source, target):
        if "models" in str(target) and len(held) < 2:
            held.append(target)
            raise PermissionError(13, "in use by another process")
        real(source, target)

    monkeypatch.setattr(files.os, "replace", scanned)
    at_work.annotate("a.png")
    scores[:] = [0.5, 0.6]
    assert at_work.settle(start(at_work), SECONDS) == "executed"
    assert len(held) == 2 and len(models(at_work)) == 2
    assert not any("could not be saved" in text for text in at_work.messages())


def test_logs_that_cannot_be_written_are_said_once_and_do_not_end_the_training(at_work, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fine_tuning, "write_metrics", full)
    at_work.annotate("a.png")
    start(at_work)
    at_work.until(lambda: at_work.training()["epoch"] >= 2, SECONDS)
    assert len([text for text in at_work.messages() if "tables" in text]) == 1


def test_a_model_put_into_the_project_meanwhile_is_what_training_goes_on_from(at_work, model):
    at_work.annotate("a.png")
    start(at_work)
    at_work.until(lambda: at_work.training()["epoch"] >= 1, SECONDS)
    shutil.copy(model, at_work.root / "projects/p/models/000005_9.pth")
    at_work.until(lambda: any("goes on from 000005_9.pth" in text for text in at_work.messages()), SECONDS)
    epoch = at_work.training()["epoch"]
    at_work.until(lambda: at_work.training()["epoch"] > epoch, SECONDS)


def test_a_damaged_model_is_said_and_nothing_is_trained(at_work, monkeypatch):
    monkeypatch.setattr(instructions, "TRIES", 2)
    monkeypatch.setattr(instructions, "SECONDS_BETWEEN_TRIES", 0)
    (at_work.root / "projects/p/models/000002_1.pth").write_bytes(b"PK\x03\x04 no weights")
    at_work.annotate("a.png")
    file = start(at_work)
    assert at_work.settle(file, SECONDS) == "failed"
    assert "000002_1.pth" in at_work.reason(file)
    assert any("000002_1.pth" in text for text in at_work.messages())
    assert at_work.training()["state"] == "failed"


def test_a_project_of_the_foundation_model_without_a_model_of_its_own_can_be_trained(world, scores):
    world.images(["a.png"])
    world.project()
    world.annotate("a.png")
    world.start()
    named = world.heart()["models"][0]
    scores[:] = [0.5, 0.7]
    world.send("start_training", world.training_content() | {"rootfm": {"model": {"sha256": named["sha256"]}}})
    world.until(lambda: len(models(world)) == 1, SECONDS)
    assert models(world)[0].startswith("000001_")


def test_training_goes_on_after_a_crash_from_what_was_saved(at_work, scores):
    at_work.annotate("a.png")
    scores[:] = [0.5, 0.9]
    file = start(at_work)
    at_work.until(lambda: len(models(at_work)) == 2, SECONDS)
    at_work.server._heartbeat.stop()  # Only so that the next one need not wait; everything else is as after a crash.
    at_work.start()
    at_work.until(lambda: at_work.training()["epoch"] >= 1, SECONDS)
    assert at_work.heart()["state"] == "training"
    stop(at_work)
    assert at_work.settle(file) == "executed"
