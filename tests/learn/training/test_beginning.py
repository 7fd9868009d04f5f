"""Whether a training may go on, by its plan and record alone."""

import json
import shutil

import pytest

from rootpainter_rootfm.errors import DataError
from rootpainter_rootfm.learn.data import read_datasets
from rootpainter_rootfm.learn.training import beginning, record
from rootpainter_rootfm.learn.training.plan import TrainPlan
from tests.learn.helpers import write_data, write_manifest

PLAN = TrainPlan(steps=4)


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def rows(data):
    """Of six images in the folder session1."""
    rows = write_data(data, names=("sand",))
    return [moved(data, row, "session1", row["split"]) for row in rows]


def moved(data, row, session, split):
    """The row of a copy of the image in the folder of a session."""
    image = f"sand/{session}/{row['stem']}.png"
    (data / image).parent.mkdir(exist_ok=True)
    shutil.copy(data / row["image"], data / image)
    return row | {"image": image, "split": split, "split_group": image}


def begun(data, rows, folder):
    write_manifest(data, rows)
    beginning.note(read_datasets(data), PLAN, folder, None, 0, "cpu")


def go_on(data, rows, folder):
    write_manifest(data, rows)
    beginning.check(read_datasets(data), PLAN, folder, None, 2, 50)


def test_a_learnt_image_is_known_when_images_of_another_folder_come_to_it(data, rows, tmp_path):
    begun(data, rows, tmp_path)
    others = [moved(data, row, "session2", "train") for row in rows]
    go_on(data, [*rows, *others], tmp_path)
    with pytest.raises(
        DataError, match=r"has used sand/session1/sand0\.png of sand as a train row, but now .* test row"
    ):
        go_on(data, [rows[0] | {"split": "test"}, *rows[1:], *others], tmp_path)


def test_a_learnt_image_is_known_by_the_short_name_of_an_old_record(data, rows, tmp_path):
    begun(data, rows, tmp_path)
    note = record.read_record(tmp_path)
    note["images"] = {"sand": {"train": ["sand0.png", "sand3.png"], "val": ["sand1.png", "sand4.png"]}}
    (tmp_path / record.RECORD).write_text(json.dumps(note), encoding="utf-8")
    go_on(data, rows, tmp_path)
    unseen = [moved(data, row, "session2", "test") for row in rows]
    go_on(data, [*rows, *unseen], tmp_path)  # images of the same names that were not there
    for number, split in ((0, "train"), (1, "val")):
        changed = [row | {"split": "test"} if row is rows[number] else row for row in rows]
        with pytest.raises(DataError, match=rf"has used sand{number}\.png of sand as a {split} row"):
            go_on(data, [*changed, unseen[5]], tmp_path)


def test_a_history_tells_the_plans_and_not_the_interruptions(tmp_path):
    plans = [PLAN, PLAN, TrainPlan(steps=6), TrainPlan(steps=8, variety=0.5)]
    for step, plan in zip([0, 2, 4, 4], plans, strict=True):  # killed before its next checkpoint
        beginning.note([], plan, tmp_path, None, step, "cpu")
    told = record.history(record.read_record(tmp_path))
    assert [(one["step"], one["plan"]["steps"], one["plan"]["variety"]) for one in told] == [(0, 4, 1.0), (4, 8, 0.5)]
    assert record.history({"starts": [{"step": 0}, {"step": 4, "plan": {}}]}) is None
