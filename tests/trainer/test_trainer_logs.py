"""What the trainer leaves for people to read."""

import csv
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rootpainter_rootfm.learn.metrics import Confusion
from rootpainter_rootfm.trainer.logs import CSV_HEADER, MESSAGE_BYTES, Journal, message_name, write_metrics


@settings(max_examples=40)
@given(st.text(min_size=1, max_size=300))
def test_every_message_is_a_legal_file_name_on_every_system(text):
    name = message_name(text)
    assert not set(name) & set('<>:"/\\|?*') and not any(ord(sign) < 32 for sign in name)
    assert len(name.encode()) <= MESSAGE_BYTES
    assert name == name.strip(" .")


def test_a_message_keeps_its_words():
    assert (
        message_name("Training 3 of max 20 epochs without progress") == "Training 3 of max 20 epochs without progress"
    )
    assert message_name('Cannot read "a/b.png": why?') == "Cannot read 'a-b.png' why"
    assert message_name("/lab/sync/models/000002_1.pth cannot be read: it is empty.") == (
        "000002_1.pth cannot be read it is empty"
    )
    assert message_name("Left out C:\\lab\\d\\a.png, and '/lab/d/b.png'.") == "Left out a.png, and 'b.png'"


def test_a_message_is_shown_and_logged(tmp_path):
    messages = tmp_path / "messages"
    messages.mkdir()
    journal = Journal(tmp_path)
    journal.tell("Training started", messages)
    journal.fail("The disk is full", messages, "details")
    assert sorted(path.name for path in messages.iterdir()) == ["The disk is full", "Training started"]
    log = (tmp_path / "server_log.txt").read_text().splitlines()
    assert [line.split("|")[2] for line in log] == ["Training started", "The disk is full", "details"]
    assert journal.last_error["message"] == "The disk is full"


def test_neither_a_missing_message_folder_nor_an_unwritable_log_is_a_fault(tmp_path):
    journal = Journal(tmp_path / "gone")
    journal.fail("x", tmp_path / "gone" / "messages")
    assert journal.last_error["message"] == "x"


def test_a_failure_names_the_project_that_it_concerns(tmp_path):
    journal = Journal(tmp_path)
    journal.fail("The disk is full", tmp_path / "projects" / "oats" / "messages")
    assert journal.last_error["project"] == "oats"
    journal.fail("The disk is full", None)
    assert journal.last_error["project"] is None


@pytest.mark.parametrize("sign", ["\udcfc", "\ud800"])
def test_a_file_name_that_is_no_text_can_be_told_of(tmp_path, sign):
    Journal(tmp_path).fail(f"Wurzel_{sign}.jpg cannot be read", tmp_path, f"at Wurzel_{sign}.jpg")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Wurzel_.jpg cannot be read", "server_log.txt"]
    log = (tmp_path / "server_log.txt").read_text(encoding="utf-8")
    assert log.count(f"Wurzel_\\u{ord(sign):x}.jpg") == 2


def test_tables_have_rootpainters_columns_and_whole_rows(tmp_path):
    write_metrics(tmp_path, "cur_val", Confusion(tp=10, fp=5, tn=80, fn=5), 1.23456, 0.5)
    write_metrics(tmp_path, "cur_val", Confusion(tn=7), 2, float("inf"))
    path = tmp_path / f"{datetime.now():%Y-%m-%d}_cur_val.csv"
    rows = list(csv.DictReader(path.open()))
    assert ",".join(rows[0]) == CSV_HEADER
    assert (rows[0]["true_positives"], rows[0]["f1"], rows[0]["defined"]) == ("10", "0.6667", "100")
    assert rows[1]["f1"] == "1.0", "never NaN, also where there is no root at all"
    datetime.strptime(rows[0]["date_time"], "%Y-%m-%d-%H:%M:%S")


@pytest.mark.parametrize("counts", [Confusion(), Confusion(fn=3), Confusion(fp=3), Confusion(tn=3)])
def test_the_f1_of_any_counts_is_a_number(tmp_path, counts):
    write_metrics(tmp_path, "train", counts, 0, 0)
    (row,) = csv.DictReader(next(tmp_path.iterdir()).open())
    assert 0 <= float(row["f1"]) <= 1


def test_the_last_word_on_a_state_is_written_when_the_drive_is_back(tmp_path):
    journal, path = Journal(tmp_path), tmp_path / "out" / ".rootfm_job.json"
    for text in ("running", "done"):
        with pytest.raises(OSError, match="out"):
            journal.write(path, text)
    journal.catch_up()
    assert not path.parent.exists()
    path.parent.mkdir()
    journal.catch_up()
    assert path.read_text() == "done"
    journal.write(path, "of another job")
    journal.catch_up()
    assert path.read_text() == "of another job"
