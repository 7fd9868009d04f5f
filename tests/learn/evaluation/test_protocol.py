import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rootpainter_rootfm.cli.main import main
from rootpainter_rootfm.errors import Cancelled, DataError
from rootpainter_rootfm.learn.data import Dataset, load, read_datasets
from rootpainter_rootfm.learn.evaluation import few_shot, protocol, protocol_report
from rootpainter_rootfm.learn.evaluation.baselines import BASELINES
from rootpainter_rootfm.learn.evaluation.few_shot import few_patches
from rootpainter_rootfm.learn.evaluation.protocol import FINE_TUNED, RESULT, STAGES, ZERO_SHOT, Setup, run
from rootpainter_rootfm.learn.training.loop import Rhythm
from rootpainter_rootfm.learn.training.plan import CONTINUED, TrainPlan
from rootpainter_rootfm.learn.training.state import TrainState, chosen_weights
from rootpainter_rootfm.progress import CancelToken
from tests.learn.helpers import write_data

pytestmark = pytest.mark.usefixtures("quick_training")

TINY = dict(steps=1, tile_sizes=(32,), batch=1)
SETUP = Setup(TrainPlan(**TINY), replace(CONTINUED, **TINY), rhythm=Rhythm(workers=0))


class Spy:
    """Notes what every training and measurement was given."""

    def __init__(self, patch):
        self.trainings, self.measurements = [], []
        real_train, real_evaluate = protocol.train, protocol.evaluate

        def train(data, plan, folder, device, rhythm, progress, cancel, start):
            self.trainings.append((folder, data, start))
            return real_train(data, plan, folder, device, rhythm, progress, cancel, start)

        def evaluate(method, data, folder, *rest, **named):
            self.measurements.append((folder, data))
            return real_evaluate(method, data, folder, *rest, **named)

        patch.setattr(protocol, "train", train)
        patch.setattr(protocol, "evaluate", evaluate)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_data(folder, names=("sand", "clay"), per_split=1)
    return folder


@pytest.fixture(scope="module")
def sets(data):
    return read_datasets(data)


@pytest.fixture(scope="module")
def done(sets, quick_training, tmp_path_factory):
    """The fold of `sand`, stopped in its fine-tuning and gone on with."""
    folder = tmp_path_factory.mktemp("protocol")
    token, told = CancelToken(), []
    with pytest.MonkeyPatch.context() as patch:
        # Checkpoints to resume from are tested in test_loop.py; here they would only fill the disk.
        patch.setattr(TrainState, "save", lambda *_: None)
        with patch.context() as inner:
            before = Spy(inner)
            with pytest.raises(Cancelled):
                run(sets, folder, SETUP, ["sand"], lambda *said: FINE_TUNED in said[2] and token.cancel(), token)
        after = Spy(patch)
        setup = replace(SETUP, tell=lambda results: told.append(len(results["sand"])))
        results = run(sets, folder, setup, ["sand"])
    return folder, before, after, results, told


def items(data):
    return {item.image.name for dataset in data for item in dataset.items}


def test_every_stage_and_baseline_is_measured_on_the_test_rows_of_the_held_out_dataset(done):
    _, _, _, results, told = done
    assert set(results) == {"sand"} and set(results["sand"]) == {*STAGES, *BASELINES}
    for result in results["sand"].values():
        assert result["test"]["images"] == 1 and 0 <= result["test"]["dice"] <= 1
    assert told == [3, 3, 3, 4, 5, 6]  # what the stopped run had done is there from the beginning


def test_a_stopped_protocol_goes_on_with_the_stage_it_was_stopped_in(done):
    folder, before, after, _, _ = done
    names = [
        [path.relative_to(folder / "sand").parts[0].rpartition(" ")[0] or path.name for path, *_ in spy.trainings]
        for spy in (before, after)
    ]
    assert names[0] == [ZERO_SHOT, FINE_TUNED]
    assert names[1][0] == FINE_TUNED and names[1][1:] == ["3 patches", "10 patches"]


def test_the_zero_shot_fold_never_sees_anything_of_the_held_out_dataset_before_its_test(done):
    folder, before, _, _, _ = done
    zero_shot = folder / "sand" / ZERO_SHOT
    learnt = [data for path, data, _ in before.trainings if path == zero_shot]
    assert [one.name for data in learnt for one in data] == ["clay"]
    chosen, measured = [data for path, data in before.measurements if path.parent == zero_shot]
    assert items(chosen) == {"clay1.png"} and items(measured) == {"sand2.png"}


def test_the_other_stages_continue_from_the_fold_on_train_rows_and_choose_on_val_rows(done):
    folder, _, after, _, _ = done
    weights = chosen_weights(folder / "sand" / ZERO_SHOT)
    for place, data, start in after.trainings:
        assert all(torch.equal(start.weights[name], weights[name]) for name in weights)
        assert [one.name for one in data] == ["sand"]
        assert items(one.split("val") for one in data) == {"sand1.png"}
        chosen, measured = [data for path, data in after.measurements if path.parent == place]
        assert items(chosen) == {"sand1.png"} and items(measured) == {"sand2.png"}
    few = {place.name.split()[0]: items(one.split("train") for one in data) for place, data, _ in after.trainings}
    assert len(few["3"]) == 3 and len(few["10"]) == 10 and few["3"] < few["10"]
    assert items([*after.trainings[0][1]]) == {"sand0.png", "sand1.png", "sand2.png"}


def test_a_finished_protocol_trains_and_measures_nothing_again(done, sets, monkeypatch):
    folder, _, _, results, _ = done
    spy = Spy(monkeypatch)
    monkeypatch.setattr(protocol, "few_patches", None)
    again = run(sets, folder, SETUP, ["sand"])
    assert not spy.trainings and json.dumps(again) == json.dumps(results)


def copied(folder, place):
    """The protocol without its checkpoints, but for the weights of the fold, which the later stages ask for."""
    leave = lambda where, names: {name for name in names if name == "best.pt" and ZERO_SHOT not in where}  # noqa: E731
    return Path(shutil.copytree(folder, place, ignore=leave))


def test_folds_that_are_done_stay_in_the_report_when_others_are_held_out(done, sets, tmp_path, monkeypatch):
    folder, _, _, results, _ = done
    told = []
    monkeypatch.setattr(protocol._Fold, "stage", lambda fold, name, *_: made(0.5))
    monkeypatch.setattr(protocol, "chosen_weights", lambda folder: {})
    setup = replace(SETUP, tell=lambda results: told.append(list(results)))
    both = run(sets, copied(folder, tmp_path / "copy"), setup, ["clay"])
    assert json.dumps(both["sand"]) == json.dumps(results["sand"]) and set(both["clay"]) == {*STAGES, *BASELINES}
    assert told[0] == ["sand", "clay"]


def test_stages_under_another_plan_or_of_other_images_do_not_count_as_done(done, sets, tmp_path):
    folder = copied(done[0], tmp_path / "copy")
    peat = replace(sets[1], name="peat")
    fold = lambda others, setup=SETUP: protocol._Fold(sets[0], others, folder, setup, lambda *_: None, None)  # noqa: E731
    assert set(fold([sets[1]]).kept()) == {*STAGES, *BASELINES}
    assert not fold([sets[1], peat]).kept()
    assert not fold([sets[1]], replace(SETUP, foundation=TrainPlan(**TINY | {"steps": 2}))).kept()
    continued = replace(SETUP, continued=replace(SETUP.continued, rate=1.0))
    assert set(fold([sets[1]], continued).kept()) == {ZERO_SHOT, *BASELINES}


def test_a_stage_that_was_done_with_other_images_is_refused_and_an_old_one_that_does_not_say_so_is_kept(
    done, sets, tmp_path
):
    folder = copied(done[0], tmp_path / "copy")
    more = [sets[0], replace(sets[1], items=(*sets[1].items, replace(sets[1].items[-1], split="train")))]
    with pytest.raises(DataError, match="zero-shot was trained and measured on other images"):
        run(more, folder, SETUP, ["sand"])
    for path in folder.rglob(RESULT):
        result = json.loads(path.read_text(encoding="utf-8"))
        old = {name: value for name, value in result.items() if name not in ("datasets", "images", "contents")}
        path.write_text(json.dumps(old), encoding="utf-8")
    assert set(run(more, folder, SETUP, ["sand"])["sand"]) == {*STAGES, *BASELINES}


@pytest.mark.parametrize("file", ["images/clay0.png", "masks/clay1.png"])
def test_a_stage_that_was_done_with_other_pixels_is_refused_unless_it_is_an_old_one(done, data, tmp_path, file):
    folder = copied(done[0], tmp_path / "copy")
    sets = read_datasets(shutil.copytree(data, tmp_path / "data"))
    changed = tmp_path / "data" / "clay" / file
    os.utime(changed, ns=(1, 1))  # the same in another file
    assert set(run(sets, folder, SETUP, ["sand"])["sand"]) == {*STAGES, *BASELINES}
    Image.fromarray(255 - np.asarray(Image.open(changed).convert("L"))).save(changed)
    with pytest.raises(DataError, match="zero-shot was trained and measured on other images or masks"):
        run(sets, folder, SETUP, ["sand"])
    for path in folder.rglob(RESULT):
        result = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps({name: result[name] for name in result if name != "contents"}), encoding="utf-8")
    assert set(run(sets, folder, SETUP, ["sand"])["sand"]) == {*STAGES, *BASELINES}


def test_a_file_is_read_once_for_all_stages(done, sets, monkeypatch):
    seen = []
    protocol._contents.cache_clear()
    monkeypatch.setattr(protocol, "sha256", lambda path: str(seen.append(path)))
    for fold in (protocol._Fold(one, [], done[0], SETUP, None, None) for one in sets):
        for stage in STAGES:
            fold._images(stage)
    protocol._contents.cache_clear()
    assert len(seen) == len(set(seen)) == 2 * 6


def test_every_result_says_how_it_was_made_and_shows_pictures(done):
    folder, _, _, results, _ = done
    for stage in STAGES:
        result = results["sand"][stage]
        assert 0 < result["threshold"] < 1 and 0 <= result["val_dice"] <= 1
        assert result["made"]["hardware"] and result["plan"]["steps"] == 1
        assert [(one["step"], one["plan"]["steps"]) for one in result["history"]] == [(0, 1)]
        assert result["datasets"] == (["clay"] if stage == ZERO_SHOT else ["sand"]) and len(result["images"]) == 64
        assert (folder / result["evaluation"] / "sheets" / "sand.jpg").is_file()


def test_the_held_out_datasets_need_names_splits_and_company(sets, tmp_path):
    with pytest.raises(DataError, match="at least two"):
        run(sets[:1], tmp_path)
    with pytest.raises(DataError, match="no dataset loam"):
        run(sets, tmp_path, held_out=["loam"])
    with pytest.raises(DataError, match="clay has no rows for val and test"):
        run([sets[0], sets[1].split("train")], tmp_path)


def made(dice, **fields):
    return {
        "test": {
            "dice": dice,
            "mean_dice": dice,
            "images": 2,
            **dict.fromkeys(("precision", "recall", "line_precision", "line_recall", "calibration_error"), None),
        },
        **fields,
    }


def fold(zero_shot, fine_tuned, three, ten, otsu):
    names = [*STAGES, *BASELINES]
    return dict(zip(names, map(made, (zero_shot, fine_tuned, three, ten, otsu, 0.1)), strict=True))


def test_the_marks_are_those_of_the_folds():
    results = {"a": fold(0.8, 0.8, 0.5, 0.76, 0.1), "b": fold(0.4, 0.5, 0.3, 0.5, 0.45)}
    marks = protocol_report.marks(results)
    assert marks["zero_shot"] == pytest.approx(0.6) and marks["fine_tuned"] == pytest.approx(0.65)
    assert marks["share"] == pytest.approx(0.9) and marks["folds_above_90_percent"] == 1
    assert marks["10_patches_share"] == pytest.approx((0.95 + 1) / 2) and marks["3_patches_lowest"] == 0.3
    assert marks["below_a_baseline"] == ["b"] and marks["folds"] == 2
    lines = protocol_report.fold_table(results)
    assert lines[2] == "| a | 0.800 | 0.800 | 100% | 0.500 | 0.760 | 0.100 | 0.100 |"
    assert lines[4].startswith("| mean | 0.600 | 0.650 | 90% |")


def test_a_report_of_what_is_not_finished_has_dashes(tmp_path):
    results = {"a": {ZERO_SHOT: made(0.5)}}
    text = protocol_report.write_protocol(tmp_path, results, {"seed": 0}, {"Otsu on grey": {"a": 0.25}})
    assert "| a | 0.500 | – | – | – | – | – | – |" in text and "| Otsu on grey | 0.250 |" in text
    assert "on the first 8 images of each set, at most 1400 pixels a side" in text
    assert json.loads((tmp_path / "protocol.json").read_text(encoding="utf-8"))["marks"]["fine_tuned"] is None


def recipe(*phases, steps):
    """The zero-shot result of a training with (step, variety) phases."""
    plan = lambda variety: {"steps": steps, "scale": [0.4, 2.5], "variety": variety, "seed": 0}  # noqa: E731
    history = [{"step": step, "plan": plan(variety)} for step, variety in phases]
    done = dict.fromkeys(("commit", "hardware", "time"), "x")
    return made(0.5, plan=plan(phases[-1][1]), history=history, made=done, best=None)


def test_the_report_says_how_each_training_was_made_and_where_the_first_stages_differ(tmp_path):
    alike = {name: {ZERO_SHOT: recipe((0, 1.0), (1500, 0.5), steps=2500)} for name in ("a", "b")}
    text = protocol_report.write_protocol(tmp_path, alike, {}, {})
    assert "| a | zero-shot | 1500 with variety 1, then 1000 with variety 0.5 | – | 0 |" in text
    assert "not made alike" not in text
    old = recipe((0, 0.5), steps=2500)
    del old["history"]
    other = {"c": {ZERO_SHOT: recipe((0, 0.5), steps=2500)}, "old": {ZERO_SHOT: old}}
    text = protocol_report.write_protocol(tmp_path, alike | other, {}, {})
    assert "| old | zero-shot | 2500 | – | 0 |" in text
    (warning,) = (line for line in text.splitlines() if "not made alike" in line)
    assert warning.endswith("Steps: a, b 1500 with variety 1, then 1000 with variety 0.5; c 2500.")
    assert protocol_report.how_made(recipe((0, 1.0), (1500, 1.0), steps=2500)) == "1500, then 1000"


def test_few_patches_show_roots_and_lie_inside_their_image(sets, tmp_path, monkeypatch):
    monkeypatch.setattr(few_shot, "SIDE", 32)
    three, ten = (few_patches(sets[0], count, 0, tmp_path / str(count)) for count in (3, 10))
    assert len(three.split("train").items) == 3 and len(ten.split("train").items) == 10
    for item, larger in zip(three.split("train").items, ten.split("train").items, strict=False):
        truth = load(item)
        assert truth.image.shape == (32, 32, 3) and truth.root.any()
        assert (truth.image[truth.root] > 150).all()
        np.testing.assert_array_equal(truth.image, load(larger).image)
    assert items([three.split("val")]) == {"sand1.png"}


def test_few_patches_of_images_without_roots_are_refused(sets, tmp_path):
    empty = tmp_path / "empty.png"
    Image.new("L", (96, 80)).save(empty)
    rootless = Dataset("bare", tuple(replace(item, mask=empty) for item in sets[0].items))
    with pytest.raises(DataError, match="bare has no train row that shows a root"):
        few_patches(rootless, 3, 0, tmp_path / "few")


def test_the_command_goes_on_with_what_is_there_and_prints_its_report(done, data, capsys):
    folder = done[0]
    words = ["protocol", str(data), str(folder), "--hold-out", "sand", "--steps", "1", "--continued-steps", "1"]
    words += ["--batch", "1", "--tile-sizes", "32", "--device", "cpu", "--workers", "0"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "| held out | zero-shot | fine-tuned |" in printed and "| sand | 0." in printed
    assert (folder / "protocol.md").read_text(encoding="utf-8").strip() == printed.strip()
