import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from rootpainter_rootfm.cli.main import main
from rootpainter_rootfm.errors import DataError, ModelError
from rootpainter_rootfm.files import sha256
from rootpainter_rootfm.learn.evaluation.calibration import THRESHOLDS
from rootpainter_rootfm.learn.shipping import bundle as shipping
from rootpainter_rootfm.learn.shipping.bundle import Words, bundle, licence
from rootpainter_rootfm.learn.training.plan import TrainPlan
from rootpainter_rootfm.learn.training.state import BEST, LAST
from rootpainter_rootfm.learn.training.trained import fingerprint, rounded
from rootpainter_rootfm.model import checkpoint
from rootpainter_rootfm.model.card import ModelCard
from rootpainter_rootfm.segment.settings import SegmentSettings
from tests.learn.helpers import write_data, write_manifest

pytestmark = pytest.mark.usefixtures("quick_training")

WORDS = Words("tiny", "A tiny model", "MIT", "everything")
CPU = SegmentSettings(device="cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_data(folder, names=("sand", "clay", "peat"), per_split=1)
    (folder / "clay" / "SOURCE.md").unlink()
    return folder


def times(factor, network):
    """The state dict with all that is learnt multiplied."""
    weights = network.state_dict()
    return {name: factor * tensor if tensor.is_floating_point() else tensor for name, tensor in weights.items()}


@pytest.fixture(scope="module")
def training(fresh_network, tmp_path_factory):
    """The folder of a training on two of the datasets, as `loop.train` leaves it."""
    folder = tmp_path_factory.mktemp("run")
    torch.save(fresh_network.state_dict(), folder / BEST)
    torch.save({"average": times(2, fresh_network), "step": 95}, folder / LAST)
    (folder / "best_step.json").write_text('{"step": 90, "dice": 0.625}', encoding="utf-8")
    (folder / "plan.json").write_text(TrainPlan(steps=100, tile_sizes=(32, 64)).to_json(), encoding="utf-8")
    start = {"step": 0, "command": "rootfm train data run", "version": "1", "commit": "abc", "hardware": "one"}
    record = {"datasets": ["clay", "sand"], "starts": [start, start | {"step": 50, "commit": "def"}]}
    (folder / "record.json").write_text(json.dumps(record), encoding="utf-8")
    return folder


def test_a_training_becomes_a_model_with_a_card_that_says_where_it_comes_from(training, data, tmp_path):
    protocol = tmp_path / "protocol"
    protocol.mkdir()
    test = {"dice": 0.5, "mean_dice": 0.5}
    marks = dict.fromkeys(["zero_shot", "share", "10_patches_share", "3_patches_lowest"], 0.5)
    marks |= {"folds": 1, "folds_above_90_percent": 0, "below_a_baseline": []}
    measured = {"folds": {"sand": {"zero-shot": {"test": test}}}, "marks": marks}
    (protocol / "protocol.json").write_text(json.dumps(measured), encoding="utf-8")
    seen = []
    progress = lambda done, total, current: seen.append(current)  # noqa: E731
    card = bundle(training, data, tmp_path / "out", WORDS, protocol=protocol, settings=CPU, progress=progress)
    file = tmp_path / "out" / "tiny.safetensors"
    assert ModelCard.read(tmp_path / "out" / "tiny.json") == card
    assert card.sha256 == sha256(file) and card.size_bytes == file.stat().st_size <= 21_000_000
    assert card.training_data == (("sand", "licence of sand"), ("clay", "not stated"))
    assert card.tile_sizes == (32, 64) and card.threshold in THRESHOLDS and card.trained
    assert (card.title, card.licence, card.weaknesses) == ("A tiny model", "MIT", "everything")
    for words in ("`rootfm train data run`", "commit abc", "commit def", "step 90, Dice 0.625", "| sand | 0.500 |"):
        assert words in card.notes
    assert "95 steps, seed 0" in card.notes  # of the 100 that were planned
    # Chosen on validation rows of what was learnt from, and on nothing else.
    assert seen[:2] == ["sand: sand1.png", "clay: clay1.png"] and not any("peat" in text for text in seen)


def test_the_card_names_what_the_model_begun_with_has_learnt_from_too(training, data, tmp_path):
    before = bundle(training, data, tmp_path / "before", WORDS, settings=CPU)
    run = tmp_path / "run"
    shutil.copytree(training, run)
    record = json.loads((run / "record.json").read_text(encoding="utf-8"))
    record |= {"datasets": ["peat", "sand"], "model": json.loads(before.to_json())}
    (run / "record.json").write_text(json.dumps(record), encoding="utf-8")
    card = bundle(run, data, tmp_path / "after", WORDS, settings=CPU)
    assert [name for name, _ in card.training_data] == ["sand", "clay", "peat"]
    assert before.sha256 in card.notes and before.notes in card.notes


def test_a_licence_that_an_older_card_knows_stays_when_it_is_not_stated_any_more(training, data, tmp_path):
    before = bundle(training, data, tmp_path / "before", WORDS, settings=CPU)
    before = replace(before, training_data=(("sand", "an older one"), ("clay", "licence of clay")))
    run = tmp_path / "run"
    shutil.copytree(training, run)
    record = json.loads((run / "record.json").read_text(encoding="utf-8"))
    (run / "record.json").write_text(json.dumps(record | {"model": json.loads(before.to_json())}), encoding="utf-8")
    card = bundle(run, data, tmp_path / "after", WORDS, settings=CPU)
    assert dict(card.training_data) == {"sand": "licence of sand", "clay": "licence of clay"}


def test_the_mean_of_several_trainings_and_models_is_one_model(training, data, tmp_path, fresh_network):
    first = bundle(training, data, tmp_path / "first", WORDS, settings=CPU)
    run = tmp_path / "run"
    shutil.copytree(training, run)
    torch.save({"average": times(3, fresh_network), "step": 95}, run / LAST)
    record = json.loads((run / "record.json").read_text(encoding="utf-8"))
    (run / "record.json").write_text(json.dumps(record | {"datasets": ["peat"]}), encoding="utf-8")
    others = [run, tmp_path / "first" / "tiny.safetensors"]
    card = bundle(training, data, tmp_path / "mean", WORDS, settings=CPU, averaged=others)
    found, once = (checkpoint.read_state(tmp_path / place / "tiny.safetensors") for place in ("mean", "first"))
    for name in ("mask_decoder.iou_token.weight", "image_encoder.neck.1.weight"):
        torch.testing.assert_close(found[name], once[name] * 2, rtol=2e-3, atol=1e-4)
    assert {name for name, _ in card.training_data} == {"sand", "clay", "peat"}
    assert "The mean, element by element, of 3 sets" in card.notes and card.notes.count(first.sha256) == 2
    assert card.notes.count("rootfm train data run") == 6 and card.notes.count("The average of the last steps.") == 2


def test_a_threshold_that_is_given_stands_on_the_card_beside_the_best(training, data, tmp_path):
    best = bundle(training, data, tmp_path / "best", WORDS, settings=CPU).threshold
    card = bundle(training, data, tmp_path / "given", WORDS, settings=replace(CPU, threshold=0.975))
    assert card.threshold == 0.975
    assert "Threshold 0.975: " in card.notes and f"It was set by hand; {best} has " in card.notes


def test_the_file_holds_the_weights_that_the_threshold_was_measured_with(training, data, tmp_path, fresh_network):
    bundle(training, data, tmp_path, WORDS, settings=CPU)
    shipped = checkpoint.read_state(tmp_path / "tiny.safetensors")
    assert fingerprint(shipped) == fingerprint(rounded(fresh_network.state_dict()))
    assert fingerprint(shipped) != fingerprint(fresh_network.state_dict())


def test_a_training_that_does_not_say_what_it_learnt_from_is_refused(training, data, tmp_path):
    torch.save({}, tmp_path / "best.pt")
    with pytest.raises(DataError, match="does not say what was learnt from"):
        bundle(tmp_path, data, tmp_path / "out", WORDS, settings=CPU)
    with pytest.raises(ModelError, match="cannot be a model's name"):
        bundle(training, data, tmp_path / "out", Words("a/b", "", "", ""), settings=CPU)
    with pytest.raises(DataError, match=r"There is no folder .*typo; name that of a `rootfm train`"):
        bundle(tmp_path / "typo", data, tmp_path / "out", WORDS, settings=CPU)
    assert not (tmp_path / "out").exists()


def test_what_is_wrong_is_said_before_anything_is_measured_or_written(training, data, tmp_path, monkeypatch):
    monkeypatch.setattr(shipping, "evaluate", None)
    with pytest.raises(DataError, match=r"protocol\.json cannot be read .*name the folder of a `rootfm protocol`"):
        bundle(training, data, tmp_path / "out", WORDS, protocol=tmp_path, settings=CPU)
    assert not (tmp_path / "out").exists()
    file = tmp_path / "tiny.safetensors"
    for content in (b"something else", safetensors.torch.save({"a": torch.ones(1)})):
        file.write_bytes(content)
        with pytest.raises(ModelError, match=r"tiny\.safetensors is there already, with other weights; choose another"):
            bundle(training, data, tmp_path, WORDS, settings=CPU)
        assert file.read_bytes() == content


def test_a_model_is_bundled_again_where_its_weights_are_the_same(training, data, tmp_path):
    first = bundle(training, data, tmp_path, WORDS, settings=CPU)
    again = bundle(training, data, tmp_path, replace(WORDS, title="Another"), settings=CPU)
    assert again == replace(first, title="Another") and ModelCard.read(tmp_path / "tiny.json") == again


def test_without_validation_images_a_threshold_has_to_be_given(training, tmp_path):
    data = tmp_path / "data"
    rows = write_data(data, names=("sand", "clay"), per_split=1)
    write_manifest(data, [row for row in rows if row["split"] != "val"])
    with pytest.raises(DataError, match="Without val rows in sand and clay no threshold can be chosen: give one"):
        bundle(training, data, tmp_path / "out", WORDS, settings=CPU)
    card = bundle(training, data, tmp_path / "out", WORDS, settings=replace(CPU, threshold=0.4))
    assert card.threshold == 0.4 and "Threshold 0.4 was set by hand; there were no validation images" in card.notes


def test_a_training_whose_best_weights_are_gone_says_that_it_gives_the_last(training, data, tmp_path):
    run = Path(shutil.copytree(training, tmp_path / "run"))
    (run / BEST).unlink()
    notes = bundle(run, data, tmp_path / "out", WORDS, settings=CPU).notes
    assert "The average of the last steps." in notes and "Weights of step" not in notes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# x\n\n- Licence: GPL-3.0 (LICENSE file)\n- Notes: none", "GPL-3.0 (LICENSE file)"),
        ("License: MIT", "MIT"),
        ("nothing of the kind", "not stated"),
    ],
)
def test_the_licence_is_what_the_source_says(tmp_path, text, expected):
    (tmp_path / "sand").mkdir()
    (tmp_path / "sand" / "SOURCE.md").write_text(text, encoding="utf-8")
    assert licence(tmp_path, "sand") == expected and licence(tmp_path, "loam") == "not stated"


def test_the_commands_bundle_a_training_and_measure_the_model(training, data, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROOTFM_HOME", str(tmp_path / "home"))
    words = ["bundle", str(training), str(data), "out", "--weaknesses", "all", "--device", "cpu"]
    assert main(words) == 0 and f"{training.name}.safetensors: 20." in capsys.readouterr().out
    card = ModelCard.read(tmp_path / "out" / f"{training.name}.json")
    assert (card.name, card.title, card.licence) == (training.name, training.name, "not stated")
    assert main([*words, "--name", "tiny"]) == 0
    assert "tiny.safetensors: 20." in capsys.readouterr().out
    words = ["evaluate", "out/tiny.safetensors", str(data), "--baselines", "--device", "cpu"]
    assert main([*words, "--without", "clay"]) == 0
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert "Otsu on grey, pooled Dice" in table[0] and len(table) == 5
    assert table[2].startswith("| sand | 1 |") and table[2].endswith("| other images of it |")
    assert table[3].startswith("| peat | 1 |") and table[3].endswith("| no |")
    assert (tmp_path / "evaluation_tiny" / "sheets" / "peat.jpg").is_file()
    assert main(["evaluate", str(training / BEST), str(data), "--without", "clay", "--device", "cpu"]) == 0
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert table[2].endswith("| other images of it |") and table[3].endswith("| no |")


def test_measuring_without_rows_says_which_there_are(training, data, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("ROOTFM_HOME", str(tmp_path / "home"))
    assert main(["evaluate", "rootfm", str(data), "--split", "HoldOut", "--out", str(tmp_path / "out")]) == 2
    assert "Looked for rows of holdout; there are test, train, val." in capsys.readouterr().err
    words = ["evaluate", "rootfm", str(data), "--only", "sand", "--split", "probe", "--out", str(tmp_path / "out")]
    assert main(words) == 2
    assert "sand has no row of probe: choose another --split (there are test, train, val)" in capsys.readouterr().err


def test_the_command_trains_and_continues_from_a_model(training, data, tmp_path, capsys, fresh_network, monkeypatch):
    monkeypatch.setenv("ROOTFM_HOME", str(tmp_path / "home"))
    checkpoint.write_pth(fresh_network.state_dict(), tmp_path / "start.pth")
    words = ["train", str(data), str(tmp_path / "run"), "--only", "sand", "--start", str(tmp_path / "start.pth")]
    words += ["--steps", "1", "--tile-sizes", "32", "--batch", "1", "--device", "cpu", "--workers", "1"]
    assert main(words) == 0
    plan = TrainPlan.from_json((tmp_path / "run" / "plan.json").read_text(encoding="utf-8"))
    begun_with = json.loads((tmp_path / "run" / "record.json").read_text(encoding="utf-8"))["model"]
    assert begun_with["sha256"] == sha256(tmp_path / "start.pth")
    said = capsys.readouterr()
    assert "sand: 1 train and 1 val images are used; left alone: 1 test." in said.err and "clay" not in said.err
    assert re.fullmatch(r"Step 1, best Dice 0\.\d+ on the validation patches: .*best\.pt\n", said.out)
    # It goes on without the name of the model, and finds itself finished.
    del words[words.index("--start") : words.index("--steps")]
    assert main(words) == 0 and capsys.readouterr().out == said.out
    assert plan.rate == 1e-4 and plan.drawn == 0 and plan.frozen_statistics and plan.steps == 1
    assert (tmp_path / "run" / "best.pt").is_file()
    # Nobody says what the model learnt from that it began with.
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert main(["evaluate", "run/best.pt", str(data), "--only", "sand", "peat", "--device", "cpu"]) == 0
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert table[2].endswith("| other images of it |") and table[3].endswith("| unknown |")


def test_the_command_says_which_rows_it_leaves_alone(training, tmp_path, capsys):
    data = tmp_path / "data"
    rows = write_data(data, names=("sand", "clay"), per_split=1)
    misspelt = {"sand": {"val": "validation"}, "clay": {"train": "training", "val": "", "test": "probe"}}
    write_manifest(data, [row | {"split": misspelt[row["dataset"]].get(row["split"], row["split"])} for row in rows])
    words = ["train", str(data), str(tmp_path / "run"), "--steps", "1", "--tile-sizes", "32", "--batch", "1"]
    assert main([*words, "--device", "cpu", "--workers", "0"]) == 0
    said = capsys.readouterr()
    assert "sand: 1 train and 0 val images are used; left alone: 1 test, 1 validation." in said.err
    assert "clay: 0 train and 0 val images are used; left alone: 1 without a split, 1 probe, 1 training." in said.err
    assert "No dataset has a val row" in said.err and said.out.startswith("Step 1, validated on nothing: ")
