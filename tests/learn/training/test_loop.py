import csv
import json
import os
import shutil
import signal
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rootpainter_rootfm.errors import Cancelled, DataError, MaskError, RootFMError
from rootpainter_rootfm.learn.data import Dataset
from rootpainter_rootfm.learn.training import distributed, loop, record, state, validation
from rootpainter_rootfm.learn.training.distributed import Group
from rootpainter_rootfm.learn.training.loop import Rhythm, Start, train
from rootpainter_rootfm.learn.training.plan import TrainPlan
from rootpainter_rootfm.learn.training.trained import card_of
from rootpainter_rootfm.model.library import load_model
from rootpainter_rootfm.progress import CancelToken
from tests.learn.helpers import datasets

PLAN = TrainPlan(steps=4, tile_sizes=(32,), batch=2, warmup=1, cooldown=0.25, average=0.5)
RHYTHM = Rhythm(checkpoint=2, validation=2, workers=0)


pytestmark = pytest.mark.usefixtures("quick_training")


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    return datasets(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def whole(sets, quick_training, tmp_path_factory):
    """An uninterrupted training: its folder and its state."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, train(sets, PLAN, folder, rhythm=RHYTHM)


def weights(trained):
    return trained.network.state_dict()


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def stop_after(steps):
    """A cancel token and the progress that uses it."""
    token = CancelToken()
    return token, lambda done, total, current: token.cancel() if done == steps else None


def test_a_resumed_training_ends_with_the_weights_of_an_uninterrupted_one(sets, whole, tmp_path):
    token, progress = stop_after(2)
    with pytest.raises(Cancelled):
        train(sets, PLAN, tmp_path, rhythm=RHYTHM, progress=progress, cancel=token)
    resumed = train(sets, PLAN, tmp_path, rhythm=RHYTHM)
    _, expected = whole
    assert resumed.step == 4
    assert_same(weights(resumed), weights(expected))
    assert_same(resumed.average.network.state_dict(), expected.average.network.state_dict())


def fail_in_fourth_step(monkeypatch, error):
    """Once; what goes on from there is as ever."""
    real, calls = loop.dice_bce, []

    def failing(*tensors):
        calls.append(1)
        if len(calls) == 4:
            raise error
        return real(*tensors)

    monkeypatch.setattr(loop, "dice_bce", failing)


def test_a_training_killed_in_the_middle_of_a_step_goes_on_from_its_last_checkpoint(sets, whole, tmp_path, monkeypatch):
    fail_in_fourth_step(monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        train(sets, PLAN, tmp_path, rhythm=RHYTHM)
    assert_same(weights(train(sets, PLAN, tmp_path, rhythm=RHYTHM)), weights(whole[1]))


def test_a_training_killed_in_its_last_validation_validates_when_it_goes_on(sets, whole, tmp_path, monkeypatch):
    real = validation.ValidationPatches.measure
    calls = []

    def killed(self, network):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, network)

    monkeypatch.setattr(validation.ValidationPatches, "measure", killed)
    with pytest.raises(KeyboardInterrupt):
        train(sets, PLAN, tmp_path, rhythm=RHYTHM)
    train(sets, PLAN, tmp_path, rhythm=RHYTHM)
    with open(tmp_path / "log.csv", encoding="utf-8") as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["2", "4"]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_mask_that_cannot_be_read_is_named_in_one_sentence(tmp_path, workers):
    sets = datasets(tmp_path)
    broken = sets[0].items[0].mask
    broken.write_bytes(broken.read_bytes()[:60])  # all of its header is there
    with pytest.raises(MaskError) as error:
        train(sets[:1], replace(PLAN, steps=200, drawn=0.0), tmp_path / "run", rhythm=replace(RHYTHM, workers=workers))
    assert str(broken) in str(error.value) and "Traceback" not in str(error.value)


class KilledBatches(loop.Batches):
    """Known to the other process by its name: of what is patched in this one, only a fork of it would know."""

    def __getitem__(self, step):
        os.kill(os.getpid(), signal.SIGKILL)


class BatchesWithoutMemory(loop.Batches):
    def __getitem__(self, step):
        return np.empty(1 << 55)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_process_that_cuts_patches_and_is_killed_is_one_sentence(sets, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "Batches", KilledBatches)
    with pytest.raises(
        RootFMError, match="most likely because memory ran out. Run the same again with fewer --workers"
    ):
        train(sets, PLAN, tmp_path, rhythm=replace(RHYTHM, workers=1))


def test_a_process_that_cuts_patches_and_has_no_memory_is_one_sentence(sets, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "Batches", BatchesWithoutMemory)
    with pytest.raises(RootFMError, match="Run the same again with fewer --workers"):
        train(sets, PLAN, tmp_path, rhythm=replace(RHYTHM, workers=1))


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory."), MemoryError()])
def test_memory_that_runs_out_is_one_sentence_and_the_last_checkpoint_stays(sets, tmp_path, monkeypatch, error):
    fail_in_fourth_step(monkeypatch, error)
    with pytest.raises(
        RootFMError, match="memory of this machine does not suffice.* smaller --batch or smaller --tile-"
    ):
        train(sets, PLAN, tmp_path, rhythm=RHYTHM)
    assert state.last_state(tmp_path)["step"] == 2
    assert train(sets, PLAN, tmp_path, rhythm=RHYTHM).step == 4


def test_another_error_of_torch_is_not_said_to_be_of_memory(sets, tmp_path, monkeypatch):
    def wrong(*tensors):
        raise RuntimeError("The size of tensor a must match")

    monkeypatch.setattr(loop, "dice_bce", wrong)
    with pytest.raises(RuntimeError, match="must match"):
        train(sets, PLAN, tmp_path, rhythm=RHYTHM)


def test_a_missing_file_is_named_before_anything_is_learnt(tmp_path):
    sets = datasets(tmp_path)
    sets[1].split("val").items[-1].mask.unlink()
    with pytest.raises(DataError, match=r"is missing\. Put it back"):
        train(sets, PLAN, tmp_path / "run", rhythm=RHYTHM)
    assert not (tmp_path / "run").exists()


def test_a_mask_of_another_size_is_named_before_anything_is_learnt_unless_its_image_is_not_used(tmp_path):
    sets = datasets(tmp_path)
    Image.new("1", (96, 79)).save(sets[0].split("test").items[0].mask)
    train(sets, replace(PLAN, steps=1), tmp_path / "run", rhythm=RHYTHM)
    Image.new("1", (96, 79)).save(sets[0].split("train").items[-1].mask)
    with pytest.raises(DataError, match=r"sand3\.png has 96×79 pixels, its image 96×80"):
        train(sets, PLAN, tmp_path / "other", rhythm=RHYTHM)
    assert not (tmp_path / "other").exists()


def test_images_that_come_to_be_validated_on_later_have_no_dice_before(tmp_path):
    sand, clay = datasets(tmp_path)
    begun = [sand, Dataset("clay", clay.split("train").items)]
    train(begun, PLAN, tmp_path / "run", rhythm=RHYTHM)
    train([sand, clay], replace(PLAN, steps=6), tmp_path / "run", rhythm=RHYTHM)
    with open(tmp_path / "run" / "log.csv", encoding="utf-8") as file:
        assert [bool(row["clay"]) for row in csv.DictReader(file)] == [False, False, True]


def test_a_finished_training_is_prolonged_from_its_last_step_at_the_full_rate(sets, whole, tmp_path):
    folder = tmp_path / "prolonged"
    shutil.copytree(whole[0], folder)
    seen = []
    longer = replace(PLAN, steps=10)
    prolonged = train(sets, longer, folder, rhythm=RHYTHM, progress=lambda done, *_: seen.append(done))
    assert seen == list(range(PLAN.steps + 1, 11))
    assert longer.rate_at(PLAN.steps) == PLAN.rate and prolonged.step == 10


def test_a_finished_training_may_be_prolonged_with_other_patches_and_a_killed_one_may_not(sets, whole, tmp_path):
    folder = tmp_path / "prolonged"
    shutil.copytree(whole[0], folder)
    with pytest.raises(DataError, match=r"is finished under another plan .*; give more --steps"):
        train(sets, replace(PLAN, variety=0.5), folder, rhythm=RHYTHM)
    longer, cancel = replace(PLAN, steps=8, variety=0.5, scale=(0.5, 2.0)), CancelToken()
    with pytest.raises(Cancelled):
        train(sets, longer, folder, rhythm=RHYTHM, progress=lambda *_: cancel.cancel(), cancel=cancel)
    with pytest.raises(DataError, match="under another plan .*--variety where a finished training is prolonged"):
        train(sets, replace(longer, variety=1.0), folder, rhythm=RHYTHM)
    assert train(sets, longer, folder, rhythm=RHYTHM).step == 8


def test_a_finished_training_stays_as_it_is(sets, whole, tmp_path):
    folder = tmp_path / "again"
    shutil.copytree(whole[0], folder)
    again = train(sets, PLAN, folder, rhythm=RHYTHM)
    assert_same(weights(again), weights(whole[1]))
    assert [start["step"] for start in record.read_record(folder)["starts"]] == [0]


def test_a_shorter_schedule_than_what_was_done_is_refused(sets, whole, tmp_path):
    folder = tmp_path / "shorter"
    shutil.copytree(whole[0], folder)
    before = (folder / "last.pt").read_bytes()
    with pytest.raises(DataError, match="already"):
        train(sets, replace(PLAN, steps=2), folder, rhythm=RHYTHM)
    assert (folder / "last.pt").read_bytes() == before


def test_another_plan_or_other_data_in_the_folder_is_refused(sets, whole):
    folder, _ = whole
    with pytest.raises(DataError, match="another plan"):
        train(sets, replace(PLAN, decay=1.0), folder, rhythm=RHYTHM)
    with pytest.raises(DataError, match="on clay, sand, not on sand"):
        train(sets[:1], PLAN, folder, rhythm=RHYTHM)


def test_nothing_to_learn_from_is_refused(sets, tmp_path):
    with pytest.raises(DataError, match="train row.*There are rows of test, val"):
        train([one.split("val", "test") for one in sets], PLAN, tmp_path, rhythm=RHYTHM)


def test_a_dataset_with_the_name_of_a_column_of_the_log_is_refused(sets, tmp_path):
    with pytest.raises(DataError, match=r"cannot be named loss, as a column of log\.csv is"):
        train([replace(sets[0], name="loss")], PLAN, tmp_path, rhythm=RHYTHM)


def moved(dataset, **splits):
    """The dataset with rows of other splits."""
    return replace(
        dataset, items=tuple(replace(item, split=splits.get(item.split, item.split)) for item in dataset.items)
    )


@pytest.mark.parametrize(
    ("splits", "said"),
    [
        (
            {"train": "test", "test": "train"},
            r"has used sand/images/sand0\.png of sand as a train row, but now it is a test row",
        ),
        ({"val": "test"}, r"has used sand/images/sand1\.png of sand as a val row, but now it is a test row"),
        (
            {"train": "val", "val": "train"},
            r"has used sand/images/sand0\.png of sand as a train row, but now it is a val row",
        ),
    ],
)
def test_an_image_that_was_learnt_from_is_never_measured_on(sets, whole, tmp_path, splits, said):
    folder = tmp_path / "moved"
    shutil.copytree(whole[0], folder)
    longer = replace(PLAN, steps=5)
    with pytest.raises(DataError, match=said):
        train([moved(sets[0], **splits), sets[1]], longer, folder, rhythm=RHYTHM)
    note = record.read_record(folder)
    assert note["images"]["sand"] == {
        split: [f"sand/images/sand{number}.png" for number in numbers]
        for split, numbers in (("train", (0, 3)), ("val", (1, 4)))
    }
    del note["images"]  # as in old records
    (folder / "record.json").write_text(json.dumps(note), encoding="utf-8")
    train([moved(sets[0], **splits), sets[1]], longer, folder, rhythm=RHYTHM)
    assert "images" in record.read_record(folder)


def test_an_image_that_was_learnt_from_once_is_remembered(sets, whole, tmp_path):
    folder = tmp_path / "remembered"
    shutil.copytree(whole[0], folder)
    fewer = replace(sets[0], items=sets[0].items[1:])
    train([fewer, sets[1]], replace(PLAN, steps=5), folder, rhythm=RHYTHM)
    assert record.read_record(folder)["images"]["sand"]["train"] == [
        "sand/images/sand0.png",
        "sand/images/sand3.png",
    ]


def test_a_training_that_is_finished_at_another_rate_stays_as_it_is(sets, whole, tmp_path):
    folder = tmp_path / "rate"
    shutil.copytree(whole[0], folder)
    before = (folder / "plan.json").read_bytes()
    for other in ({"rate": 0.5}, {"cooldown": 1.0}):
        with pytest.raises(
            DataError, match=r"is finished under another plan \(rate 0\.001, cool-down 0\.25; plan\.json\); give more"
        ):
            train(sets, replace(PLAN, **other), folder, rhythm=RHYTHM)
    assert (folder / "plan.json").read_bytes() == before
    assert train(sets, replace(PLAN, steps=5, rate=0.5), folder, rhythm=RHYTHM).step == 5


def test_a_loss_that_is_no_number_leaves_weights_and_statistics_alone(sets, fresh_network, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "dice_bce", lambda logits, *_: logits.sum() * float("nan"))
    trained = train(sets, replace(PLAN, steps=2), tmp_path, rhythm=Rhythm(100, 100, 0))
    assert trained.step == 2
    assert_same(weights(trained), fresh_network.state_dict())


@dataclass(frozen=True)
class Shared(Group):
    """This process among several, of which another says no to its questions of these numbers."""

    denied: tuple[int, ...] = ()
    asked: list = field(default_factory=list)

    def everywhere(self, so):
        self.asked.append(so)
        return so and len(self.asked) not in self.denied


def test_a_loss_that_is_no_number_in_another_process_is_not_learnt_from_in_this_one(
    sets, fresh_network, tmp_path, monkeypatch
):
    monkeypatch.setattr(distributed, "join", lambda: Shared(denied=(1, 2)))
    trained = train(sets, replace(PLAN, steps=2), tmp_path, rhythm=Rhythm(100, 100, 0))
    assert_same(weights(trained), fresh_network.state_dict())


def test_a_training_that_is_stopped_in_another_process_stops_in_this_one(sets, tmp_path, monkeypatch):
    group = Shared(denied=(4,))  # each step asks about its loss and about stopping
    monkeypatch.setattr(distributed, "join", lambda: group)
    with pytest.raises(Cancelled):
        train(sets, PLAN, tmp_path, rhythm=RHYTHM, cancel=CancelToken())
    assert group.asked == [True] * 4 and state.last_state(tmp_path)["step"] == 2


def test_a_full_disk_is_one_sentence_with_the_file(sets, tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DataError, match=r"best\.pt cannot be written: No space left on device\."):
        train(sets, PLAN, tmp_path / "best", rhythm=RHYTHM)
    with pytest.raises(DataError, match=r"last\.pt cannot be written: No space left on device\."):
        train([one.split("train") for one in sets], PLAN, tmp_path / "last", rhythm=RHYTHM)


def test_what_a_training_writes_down(sets, whole):
    folder, trained = whole
    with open(folder / "log.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["2", "4"]
    assert {"loss", "dice", "sand", "clay"} <= set(rows[0])
    note = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    assert note["datasets"] == ["clay", "sand"]
    assert note["starts"][0]["step"] == 0 and note["starts"][0]["hardware"]
    assert TrainPlan.from_json(json.dumps(note["starts"][0]["plan"])) == PLAN
    assert TrainPlan.from_json((folder / "plan.json").read_text(encoding="utf-8")) == PLAN
    assert (folder / "curves.png").stat().st_size and (folder / "samples.png").stat().st_size


def test_the_best_weights_can_be_used_where_they_lie(whole):
    """No file beside them may pass for their card."""
    network, card = load_model(whole[0] / "best.pt")
    assert_same(network.state_dict(), torch.load(whole[0] / "best.pt", weights_only=True))
    assert card.name == "best"


def test_the_best_weights_are_looked_for_anew_where_they_are_gone(sets, whole, tmp_path):
    folder = tmp_path / "gone"
    shutil.copytree(whole[0], folder)
    (folder / "best_step.json").write_text('{"step": 4, "dice": 0.99}', encoding="utf-8")
    (folder / "best.pt").unlink()
    train(sets, replace(PLAN, steps=5), folder, rhythm=Rhythm(100, 1, 0))
    assert (folder / "best.pt").is_file()
    assert json.loads((folder / "best_step.json").read_text(encoding="utf-8"))["step"] == 5


def test_the_best_weights_stay_when_a_prolonged_training_is_worse_on_its_way(sets, whole, tmp_path, monkeypatch):
    folder = tmp_path / "worse"
    shutil.copytree(whole[0], folder)
    (folder / "best_step.json").write_text('{"step": 4, "dice": 0.99}', encoding="utf-8")
    best = (folder / "best.pt").read_bytes()
    train(sets, replace(PLAN, steps=5), folder, rhythm=Rhythm(100, 1, 0))
    assert (folder / "best.pt").read_bytes() == best


@pytest.mark.parametrize("noted", [True, False])
def test_the_best_weights_are_measured_again_when_there_are_other_images_to_validate_on(
    whole, tmp_path, monkeypatch, noted
):
    """Unless they are those of an old training, which does not say on what they were the best."""
    sets = datasets(tmp_path / "data")
    looks = iter([0.6, 0.6, 0.3, 0.4] if noted else [0.6, 0.6, 0.4])
    real = validation.ValidationPatches.measure

    def measure(self, network):
        return replace(real(self, network), dice=dict.fromkeys(["sand", "clay"], next(looks)))

    monkeypatch.setattr(validation.ValidationPatches, "measure", measure)
    run = tmp_path / "run"
    train(sets, PLAN, run, rhythm=RHYTHM)
    best = json.loads((run / "best_step.json").read_text(encoding="utf-8"))
    if not noted:
        (run / "best_step.json").write_text(json.dumps({"step": best["step"], "dice": best["dice"]}), encoding="utf-8")
    others = moved(sets[0], val="train", test="val")
    train([others, sets[1]], replace(PLAN, steps=5), run, rhythm=RHYTHM)
    kept = json.loads((run / "best_step.json").read_text(encoding="utf-8"))
    assert best["step"] == 2 and next(looks, None) is None
    assert (kept["step"], kept["dice"]) == ((5, 0.4) if noted else (2, 0.6))


def test_a_training_that_goes_on_with_the_same_images_measures_nothing_again(sets, whole, tmp_path, monkeypatch):
    folder = tmp_path / "same"
    shutil.copytree(whole[0], folder)
    monkeypatch.setattr(validation.ValidationPatches, "measure", None)
    train(sets, PLAN, folder, rhythm=RHYTHM)


def test_a_dataset_to_be_measured_on_alone_is_not_among_those_learnt_from(tmp_path):
    sand, clay = datasets(tmp_path / "data")
    measured = clay.split("test")
    train([sand, measured], replace(PLAN, steps=2), tmp_path / "run", rhythm=RHYTHM)
    assert record.read_record(tmp_path / "run")["datasets"] == ["sand"]
    train([sand], replace(PLAN, steps=2), tmp_path / "run", rhythm=RHYTHM)
    with pytest.raises(DataError, match="on sand, not on clay, sand"):
        train([sand, clay], PLAN, tmp_path / "run", rhythm=RHYTHM)


def test_an_old_record_that_names_a_dataset_to_be_measured_on_is_accepted(sets, whole, tmp_path):
    folder = tmp_path / "old"
    shutil.copytree(whole[0], folder)
    train([sets[0], sets[1].split("test")], PLAN, folder, rhythm=RHYTHM)
    assert record.read_record(folder)["datasets"] == ["clay", "sand"]


def test_given_weights_are_where_a_training_begins_and_a_candidate_for_the_best(sets, whole, tmp_path, monkeypatch):
    start = state.chosen_weights(whole[0])
    looks = iter([0.8, 0.1, 0.1])
    real = validation.ValidationPatches.measure
    monkeypatch.setattr(
        validation.ValidationPatches,
        "measure",
        lambda self, network: replace(real(self, network), dice=dict.fromkeys(["sand", "clay"], next(looks))),
    )
    plan = replace(PLAN, steps=2, frozen_statistics=True, rate=1e-2)
    trained = train(sets, plan, tmp_path, rhythm=Rhythm(100, 1, 0), start=Start(start))
    assert_same(state.chosen_weights(tmp_path), start)
    moved = [name for name in start if not torch.equal(start[name], weights(trained)[name])]
    assert moved and not any("running" in name or "num_batches" in name for name in moved)


@pytest.fixture(scope="module")
def models(fresh_network):
    """Two starting models."""
    weights = fresh_network.state_dict()
    other = {name: 2 * tensor if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    return [Start(one, card_of(one, name, (32,))) for name, one in (("first", weights), ("other", other))]


def test_a_training_is_gone_on_with_only_from_the_model_that_it_began_with(sets, whole, models, tmp_path):
    first, other = models
    with pytest.raises(DataError, match=r"begun from random weights, not with first \(sha256 .*Leave --start out"):
        train(sets, PLAN, whole[0], rhythm=RHYTHM, start=first)
    plan = replace(PLAN, steps=1)
    train(sets, plan, tmp_path, rhythm=RHYTHM, start=first)
    with pytest.raises(DataError, match=r"begun with first \(sha256 .*, not with other \(sha256 "):
        train(sets, replace(PLAN, steps=2), tmp_path, rhythm=RHYTHM, start=other)
    for start in (first, None):
        train(sets, plan, tmp_path, rhythm=RHYTHM, start=start)
    assert record.read_record(tmp_path)["model"]["name"] == "first"


def test_a_training_that_ended_before_its_first_checkpoint_is_begun_anew(sets, models, tmp_path, monkeypatch):
    first, other = models

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "_step", killed)
        with pytest.raises(KeyboardInterrupt):
            train(sets[:1], replace(PLAN, decay=0.5), tmp_path, rhythm=RHYTHM, start=first)
    assert_same(state.chosen_weights(tmp_path), first.weights)
    train(sets, replace(PLAN, steps=1), tmp_path, rhythm=Rhythm(100, 100, 0), start=other)
    kept, note = state.chosen_weights(tmp_path), record.read_record(tmp_path)
    assert any(not torch.equal(kept[name], first.weights[name]) for name in kept)
    assert note["model"]["name"] == "other" and note["datasets"] == ["clay", "sand"] and len(note["starts"]) == 1
    with open(tmp_path / "log.csv", encoding="utf-8") as file:
        assert {"sand", "clay"} <= set(next(csv.DictReader(file)))


def test_the_best_weights_of_a_training_whose_checkpoint_is_lost_are_kept(sets, whole, tmp_path):
    folder = tmp_path / "lost"
    shutil.copytree(whole[0], folder)
    (folder / "last.pt").unlink()
    (folder / "best_step.json").write_text('{"step": 3, "dice": 0.5}', encoding="utf-8")
    with pytest.raises(DataError, match=r"holds best\.pt of an earlier training, but no last\.pt"):
        train(sets, PLAN, folder, rhythm=RHYTHM)
    assert (folder / "best.pt").is_file() and (folder / "record.json").is_file()
    (folder / "best.pt").rename(folder / "kept.pt")
    assert train(sets, replace(PLAN, steps=1), folder, rhythm=RHYTHM).step == 1
