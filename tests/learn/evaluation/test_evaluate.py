import csv
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rootpainter_rootfm import masks
from rootpainter_rootfm.errors import Cancelled, DataError
from rootpainter_rootfm.learn.data import Dataset, Item, Truth, read_datasets
from rootpainter_rootfm.learn.evaluation import sheets
from rootpainter_rootfm.learn.evaluation.evaluate import Method, Summary, by_dataset, evaluate, probabilities
from rootpainter_rootfm.learn.evaluation.report import check_report, warnings, write_evaluation
from rootpainter_rootfm.progress import CancelToken
from tests.learn.helpers import datasets, photograph, write_data, write_manifest
from tests.segment.helpers import segmenter


class Bright:
    """Takes what is bright for root; the roots of these tests are brighter than 200, their ground darker than 95."""

    def __init__(self, level=150, **signature):
        self.level = level
        self.seen = 0
        self.method = Method({"level": level, **signature}, self.predict)

    def predict(self, image):
        self.seen += 1
        return image[..., 0] > self.level, (image[..., 0] / 255).astype(np.float16)


@pytest.fixture
def sets(tmp_path):
    return [one.split("test") for one in datasets(tmp_path / "data")]


def test_a_method_that_is_right_has_full_marks(sets, tmp_path):
    rows = evaluate(Bright().method, sets, tmp_path / "out")
    assert [(row.dataset, row.image, row.split) for row in rows] == [
        ("sand", "sand2.png", "test"),
        ("sand", "sand5.png", "test"),
        ("clay", "clay2.png", "test"),
        ("clay", "clay5.png", "test"),
    ]
    summary = Summary.of(rows)
    assert summary.images == 4 and summary.dice == summary.mean_dice == summary.precision == summary.recall == 1
    assert summary.line_precision == summary.line_recall == 1 and 0 < summary.calibration_error < 0.5


def test_pooled_dice_weighs_pixels_and_the_mean_weighs_images(tmp_path):
    items = []
    for name, root in (("many", slice(0, 40)), ("none", slice(0, 0))):
        mask = np.zeros((50, 50), bool)
        mask[root] = True
        Image.fromarray(np.where(mask[..., None], 220, 40).astype(np.uint8).repeat(3, 2)).save(tmp_path / f"{name}.png")
        Image.fromarray(mask).save(tmp_path / f"{name}_mask.png")
        items.append(Item(tmp_path / f"{name}.png", tmp_path / f"{name}_mask.png", split="test"))
    dataset = Dataset("d", tuple(items))
    everything = Method({}, lambda image: (np.ones(image.shape[:2], bool), None))
    summary = Summary.of(evaluate(everything, [dataset], tmp_path / "all"))
    first = 2 * 2000 / (2 * 2000 + 500)
    assert summary.mean_dice == pytest.approx((first + 0) / 2)
    assert summary.dice == pytest.approx(2 * 2000 / (2 * 2000 + 500 + 2500))
    assert summary.calibration_error is None
    assert Summary.of(evaluate(Bright().method, [dataset], tmp_path / "bright")).mean_dice == 1


def test_what_was_measured_is_kept_and_what_changed_is_measured_again(sets, tmp_path):
    first = Bright()
    before = evaluate(first.method, sets, tmp_path / "out")
    again = Bright()
    after = evaluate(again.method, sets, tmp_path / "out")
    assert (first.seen, again.seen) == (4, 0)
    assert [row.to_json() for row in after] == [row.to_json() for row in before]
    corrected = sets[0].items[0].mask
    Image.fromarray(np.zeros((80, 96), np.uint8)).save(corrected)
    os.utime(corrected, ns=(1, 1))
    assert evaluate(again.method, sets, tmp_path / "out")[0].counts.dice == 0
    assert again.seen == 1
    assert evaluate(again.method, sets, tmp_path / "out")[0].counts.dice == 0 and again.seen == 1


def test_images_of_one_name_in_several_folders_are_several_images(tmp_path):
    rows = write_data(tmp_path, names=("sand",), per_split=2)
    for row in rows:
        for kind in ("image", "mask"):
            apart = Path("sand", kind, row["stem"], "001.png")
            (tmp_path / apart).parent.mkdir(parents=True)
            (tmp_path / row[kind]).rename(tmp_path / apart)
            row[kind] = apart.as_posix()
    write_manifest(tmp_path, rows)
    test = [read_datasets(tmp_path)[0].split("test")]
    bright = Bright()
    for _ in range(2):
        found = evaluate(bright.method, test, tmp_path / "out")
    assert [row.image for row in found] == ["sand2/001.png", "sand5/001.png"] and bright.seen == 2
    assert all((tmp_path / "out" / row.picture).is_file() for row in found)
    write_evaluation(tmp_path / "out", found, {}, {}, {})
    assert Image.open(tmp_path / "out" / "sheets" / "sand.jpg").width


def test_what_was_measured_is_kept_when_images_of_another_folder_come_to_it(tmp_path):
    items = []
    for place in ("one", "two"):
        write_data(tmp_path / place, names=("sand",), per_split=1)
        items.append(read_datasets(tmp_path / place)[0].items[2])
    bright, names = Bright(), [f"{place}/sand/images/sand2.png" for place in ("one", "two")]
    for there, expected, measured in (
        (items[:1], ["sand2.png"], 1),
        (items, names, 2),
        (items[1:], ["sand2.png"], 2),
        (items, names, 2),
    ):
        rows = evaluate(bright.method, [Dataset("sand", tuple(there))], tmp_path / "out")
        assert [row.image for row in rows] == expected and bright.seen == measured
        assert all((tmp_path / "out" / row.picture).is_file() for row in rows)


def test_a_stopped_evaluation_goes_on_even_after_half_a_line(sets, tmp_path):
    token = CancelToken()
    stopped = Bright()
    with pytest.raises(Cancelled):
        evaluate(stopped.method, sets, tmp_path, lambda done, *_: token.cancel() if done == 2 else None, token)
    with open(tmp_path / "rows.jsonl", "a", encoding="utf-8") as file:
        file.write('{"dataset": "clay", "im')
    resumed = Bright()
    rows = evaluate(resumed.method, sets, tmp_path)
    assert stopped.seen + resumed.seen == 4 and Summary.of(rows).dice == 1
    again = Bright()
    assert len(evaluate(again.method, sets, tmp_path)) == 4 and again.seen == 0


def test_rows_of_another_model_or_other_settings_are_never_mixed_in(sets, tmp_path):
    evaluate(Bright().method, sets, tmp_path)
    with pytest.raises(DataError, match="another model or with other settings"):
        evaluate(Bright(level=80).method, sets, tmp_path)


def test_nothing_to_measure_is_refused(tmp_path):
    with pytest.raises(DataError, match="no images"):
        evaluate(Bright().method, [Dataset("d", ())], tmp_path)


def test_of_an_annotation_only_known_pixels_count_and_no_centre_lines(tmp_path):
    image, root = photograph(4)
    Image.fromarray(image).save(tmp_path / "a.png")
    known = np.zeros_like(root)
    known[:, :50] = True
    masks.write_annotation(root & known, ~root & known, tmp_path / "note.png")
    item = Item(tmp_path / "a.png", annotation=tmp_path / "note.png", split="val")
    half = Method({}, lambda image: ((image[..., 0] > 150) ^ ~known, np.full(known.shape, 0.5, np.float16)))
    (row,) = evaluate(half, [Dataset("beans", (item,))], tmp_path / "out")
    assert row.counts.dice == 1 and row.counts.defined == known.sum() and row.lines is None
    assert row.probability.root.sum() == (root & known).sum()
    summary = Summary.of([row])
    assert summary.line_precision is None and summary.calibration_error is not None


def test_an_annotation_that_was_erased_adds_nothing_to_the_mean(tmp_path):
    image, root = photograph(4)
    Image.fromarray(image).save(tmp_path / "a.png")
    masks.write_annotation(root, ~root, tmp_path / "note.png")
    masks.write_annotation(root & False, root & False, tmp_path / "erased.png")
    items = [Item(tmp_path / "a.png", annotation=tmp_path / f"{name}.png", split="val") for name in ("note", "erased")]
    nothing = Method({}, lambda image: (np.zeros(image.shape[:2], bool), None))
    rows = [evaluate(nothing, [Dataset("beans", (item,))], tmp_path / item.annotation.stem)[0] for item in items]
    assert Summary.of(rows).mean_dice == 0
    assert Summary.of(rows[1:]).dice is Summary.of(rows[1:]).mean_dice is None


def test_a_segmenter_is_measured_with_its_own_threshold(sets, tmp_path):
    found = segmenter()
    rows = evaluate(Method.of(found), sets, tmp_path, pictures=False)
    assert not (tmp_path / "pictures").exists()
    for row in rows:
        assert row.counts.dice == pytest.approx(row.probability.dice[49])  # at 0.5
    counts = probabilities(rows)
    assert set(counts) == {"sand", "clay"}
    assert counts["sand"].root.sum() == sum(row.counts.tp + row.counts.fn for row in by_dataset(rows)["sand"])


def test_the_report_says_everything_in_tables_rows_and_pictures(sets, tmp_path):
    rows = evaluate(Bright().method, sets, tmp_path)
    classical = {"Otsu on grey": {name: Summary.of(found) for name, found in by_dataset(rows).items()}}
    text = write_evaluation(tmp_path, rows, {"model": "m (12345678)"}, {"sand": "other images of it"}, classical)
    assert "- model: m (12345678)" in text and text == (tmp_path / "evaluation.md").read_text(encoding="utf-8")
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert table[2].startswith("| sand | 2 | 1.000 | 1.000 |") and table[2].endswith("| 1.000 | other images of it |")
    assert table[3].endswith("| unknown |") and table[4].startswith("| mean of datasets | 4 |")
    record = json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))
    assert record["datasets"]["clay"]["dice"] == 1 and record["reliability"]
    assert record["datasets"]["sand"]["baselines"]["Otsu on grey"]["images"] == 2
    with open(tmp_path / "images.csv", newline="", encoding="utf-8") as file:
        images = list(csv.DictReader(file))
    assert len(images) == 4 and images[0]["dice"] == "1.0000"
    assert Image.open(tmp_path / "sheets" / "sand.jpg").width >= 3 * 96


def test_what_cannot_be_said_is_a_dash_and_no_part_of_a_mean(sets, tmp_path):
    nothing = Method({}, lambda image: (np.zeros(image.shape[:2], bool), np.zeros(image.shape[:2], np.float16)))
    rows = evaluate(nothing, sets[:1], tmp_path) + evaluate(Bright().method, sets[1:], tmp_path / "clay")
    shutil.copytree(tmp_path / "clay" / "pictures", tmp_path / "pictures", dirs_exist_ok=True)
    table = [line for line in write_evaluation(tmp_path, rows, {}, {}, {}).splitlines() if line.startswith("|")]
    assert table[2].startswith("| sand | 2 | 0.000 | 0.000 | – | 0.000 | – | 0.000 |")
    assert table[4].startswith("| mean of datasets | 4 | 0.500 | 0.500 | 1.000 | 0.500 | 1.000 | 0.500 |")
    with open(tmp_path / "images.csv", newline="", encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    assert (row["dice"], row["precision"], row["recall"]) == ("0.0000", "", "0.0000")


def test_masks_that_are_root_for_the_most_part_are_said_to_be_inverted(sets, tmp_path):
    for item in sets[1].items:
        Image.fromarray(~np.asarray(Image.open(item.mask))).save(item.mask)
    rows = evaluate(Bright().method, sets, tmp_path)
    (sentence,) = warnings(rows)
    assert sentence.startswith("More than half of clay is root: its masks may be inverted")
    assert sentence in write_evaluation(tmp_path, rows, {}, {}, {}).splitlines()
    # Annotations show what matters, and that may be root for the most part.
    assert not warnings([replace(row, lines=None) for row in rows])


def test_a_report_is_not_replaced_by_one_of_other_images(sets, tmp_path):
    check_report(tmp_path, sets[:1], "test")
    write_evaluation(tmp_path, evaluate(Bright().method, sets, tmp_path), {"splits": "test"}, {}, {})
    check_report(tmp_path, [*sets, Dataset("loam", sets[0].items)], "test")
    with pytest.raises(DataError, match=r"report on other images \(clay; test\).*--out"):
        check_report(tmp_path, sets[:1], "test")
    with pytest.raises(DataError, match=r"report on other images \(sand, clay; test\).*--out"):
        check_report(tmp_path, sets, "val")
    write_evaluation(tmp_path, evaluate(Bright().method, sets, tmp_path), {"splits": "val, test"}, {}, {})
    check_report(tmp_path, sets, "test, val")


def test_a_report_is_not_replaced_by_one_of_another_dataset_of_the_same_name(tmp_path):
    """A folder gives its dataset its own last name, and its images may be numbered as those of another one are."""
    wheat, rice = (datasets(tmp_path / name / "test", names=("test",))[0] for name in ("wheat", "rice"))
    other = replace(
        rice, items=tuple(replace(item, image=item.image.with_stem(f"rice{n}")) for n, item in enumerate(rice.items))
    )
    out = tmp_path / "out"
    write_evaluation(out, evaluate(Bright().method, [wheat], out), {"splits": "test"}, {}, {})
    for dataset in (rice, other):
        with pytest.raises(DataError, match=r"report on other images \(test0\.png of test; test\).*--out"):
            check_report(out, [dataset], "test")
    with pytest.raises(DataError, match=r"other images \(test5\.png of test; test\)"):
        check_report(out, [replace(wheat, items=wheat.items[:-1])], "test")


def test_a_report_is_replaced_by_one_of_the_same_images_and_more(tmp_path):
    sand, clay = datasets(tmp_path / "data")
    out = tmp_path / "out"
    write_evaluation(out, evaluate(Bright().method, [sand], out), {"splits": "test"}, {}, {})
    more = replace(sand, items=(*sand.items, *clay.items))  # in another folder: all have longer names
    check_report(out, [more], "test")
    for item in sand.items:
        os.utime(item.mask, ns=(1, 1))
    os.utime(sand.items[0].image, ns=(1, 1))
    check_report(out, [more], "test")
    (out / "rows.jsonl").unlink()  # to have everything measured again
    check_report(out, [sand], "test")


def test_a_picture_colours_what_was_found_missed_and_marked_wrongly(monkeypatch):
    root = np.zeros((40, 50), bool)
    root[10, 5:20] = True
    mask = np.roll(root, 10, axis=1)
    picture = np.asarray(sheets.picture(Truth(np.zeros((40, 50, 3), np.uint8), root), mask))
    compared = picture[:, -50:]
    assert tuple(compared[10, 17]) == sheets.HIT
    assert tuple(compared[10, 7]) == sheets.MISSED and tuple(compared[10, 25]) == sheets.FALSE
    assert len(np.unique(compared[:10].reshape(-1, 3), axis=0)) == 1
    monkeypatch.setattr(sheets, "PANEL", (10, 10))
    small = np.asarray(sheets.picture(Truth(np.zeros((40, 50, 3), np.uint8), root), mask))
    assert small.shape[0] == 8  # a root of one pixel is still seen in a picture of a fifth of its size
    assert (small == sheets.HIT).all(2).any() and (small == sheets.MISSED).all(2).any()


def test_unknown_parts_of_a_picture_are_grey_and_not_compared():
    root, known = np.zeros((20, 20), bool), np.zeros((20, 20), bool)
    known[:10] = True
    picture = np.asarray(sheets.picture(Truth(np.zeros((20, 20, 3), np.uint8), root, known), np.ones((20, 20), bool)))
    assert (picture[15, 26 + 5] == 110).all() and (picture[5, 26 + 5] == 0).all()
    assert tuple(picture[5, -3]) == sheets.FALSE and tuple(picture[15, -3]) != sheets.FALSE
