"""Instructions are read once complete, never lost, and never in each other's way."""

import errno
import json
import os
from contextlib import suppress

import pytest

from rootpainter_rootfm.trainer import begun, instructions
from rootpainter_rootfm.trainer.instructions import InstructionBox
from rootpainter_rootfm.trainer.paths import SyncFolder


class Reports(list):
    def __call__(self, sentence, instruction, details):
        self.append((sentence, instruction.file if instruction else None))


@pytest.fixture
def sync(tmp_path):
    folder = SyncFolder(tmp_path / "sync")
    folder.prepare()
    return folder


@pytest.fixture
def reports():
    return Reports()


@pytest.fixture
def at_once(monkeypatch):
    """No waiting between two tries."""
    monkeypatch.setattr(instructions, "SECONDS_BETWEEN_TRIES", 0.0)


def put(sync, file, content, age=0):
    path = sync.instructions / file
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    if age:
        stamp = path.stat().st_mtime - age
        os.utime(path, (stamp, stamp))
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_instructions_are_taken_in_the_order_they_were_sent(sync, reports):
    put(sync, "segment_-9", {"n": 2}, age=10)
    put(sync, "stop_training_5", {"n": 3}, age=5)
    put(sync, "segment_1", {"n": 1}, age=20)
    taken = InstructionBox(sync, reports).take()
    assert [(item.name, item.content["n"]) for item in taken] == [("segment", 1), ("segment", 2), ("stop_training", 3)]
    assert names(sync.instructions) == []


def test_a_finished_instruction_goes_to_executed_and_a_failed_one_to_failed_with_its_reason(sync, reports):
    put(sync, "segment_1", {})
    put(sync, "segment_2", {})
    box = InstructionBox(sync, reports)
    first, second = box.take()
    box.finish(first)
    box.fail(second, "No disk.", "traceback")
    assert names(sync.executed) == ["segment_1"]
    assert names(sync.failed) == ["segment_2", "segment_2_exception.txt"]
    assert (sync.failed / "segment_2_exception.txt").read_text() == "No disk.\ntraceback"
    assert reports == [("No disk.", "segment_2")]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("segment_1", ""),
        ("segment_1", '{"dataset_dir": "da'),
        ("segment_1", "[1, 2]"),
        ("segment_1", "[" * 100_000),
        ("start_everything_1", "{}"),
        ("segment", "{}"),
        ("notes.txt", "buy milk"),
    ],
)
def test_what_cannot_be_read_ends_in_failed_after_its_tries_and_blocks_nothing(sync, reports, at_once, file, content):
    put(sync, file, content, age=60)
    put(sync, "trainer_status_7", {})
    box = InstructionBox(sync, reports)
    assert [item.file for item in box.take()] == ["trainer_status_7"]
    for _ in range(instructions.TRIES - 2):
        assert box.take() == []
    assert names(sync.failed) == [] and reports == []
    assert box.take() == []
    assert names(sync.failed) == [file, f"{file}_exception.txt"]
    assert file in reports[0][0]
    assert names(sync.instructions) == []


def test_a_file_that_is_still_being_written_is_given_time_and_then_taken(sync, reports, at_once):
    put(sync, "segment_1", '{"dataset_dir": ')
    box = InstructionBox(sync, reports)
    for _ in range(instructions.TRIES - 1):
        assert box.take() == []
    put(sync, "segment_1", '{"dataset_dir": "datas')
    for _ in range(instructions.TRIES - 1):
        assert box.take() == [], "a change starts the count anew"
    put(sync, "segment_1", {"dataset_dir": "datasets/a"})
    assert [item.content for item in box.take()] == [{"dataset_dir": "datasets/a"}]
    assert reports == []


def test_tries_are_a_second_apart_however_often_the_folder_is_looked_at(sync, reports):
    put(sync, "segment_1", "")
    box = InstructionBox(sync, reports)
    for _ in range(instructions.TRIES * 2):
        box.take()
    assert names(sync.instructions) == ["segment_1"]


def test_files_of_the_system_are_left_alone(sync, reports, at_once):
    for file in ("desktop.ini", "Thumbs.db", ".DS_Store", "._segment_1"):
        put(sync, file, "x")
    (sync.instructions / "segment_folder").mkdir()
    box = InstructionBox(sync, reports)
    for _ in range(instructions.TRIES + 1):
        assert box.take() == []
    assert (sync.instructions / "desktop.ini").exists()
    assert names(sync.failed) == []


def test_a_cause_that_passes_is_tried_again_and_the_user_hears_of_it_once(sync, reports, at_once):
    put(sync, "segment_1", {})
    box = InstructionBox(sync, reports)
    (instruction,) = box.take()
    assert box.retry(instruction, "The model is not there.")
    assert box.take() == [instruction]
    assert box.retry(instruction, "The model is not there.")
    assert reports == [("The model is not there. Trying again for a minute.", "segment_1")]
    assert box.take() == [instruction]
    box.finish(instruction)
    assert names(sync.executed) == ["segment_1"]


def test_a_cause_that_stays_is_given_up_after_the_tries(sync, reports, at_once):
    put(sync, "segment_1", {})
    box = InstructionBox(sync, reports)
    (instruction,) = box.take()
    tries = 1
    while box.retry(instruction, "The model is not there."):
        tries += 1
        assert box.take() == [instruction]
    assert tries == instructions.TRIES
    assert names(sync.failed) == ["segment_1", "segment_1_exception.txt"]
    assert reports[-1] == ("The model is not there.", "segment_1")
    assert box.take() == []


@pytest.mark.parametrize("lasting", [True, False])
def test_tries_are_counted_anew_when_work_came_further(sync, reports, at_once, lasting):
    put(sync, "segment_1", {})
    box = InstructionBox(sync, reports)
    (instruction,) = box.take()
    for number in range(3 * instructions.TRIES):
        if number % 9 == 0:
            box.further(instruction, lasting)
        assert box.retry(instruction, "Host is down.")
        assert box.take() == [instruction]
    assert len(reports) == 1


def test_what_was_taken_and_not_finished_is_there_again_after_a_restart(sync, reports):
    put(sync, "segment_1", {"n": 1})
    put(sync, "start_training_2", {"n": 2})
    box = InstructionBox(sync, reports)
    for instruction in box.take():
        box.begin(instruction)
    resumed = InstructionBox(sync, reports).resume()
    assert [item.content["n"] for item in resumed] == [1, 2]
    assert reports == []


def test_an_instruction_that_brings_the_trainer_down_at_every_start_is_known_as_deadly(sync, reports):
    put(sync, "segment_1", {})
    box = InstructionBox(sync, reports)
    (todo,) = box.take()
    for _ in range(instructions.STARTS):
        assert not box.deadly(todo)
        for _ in range(instructions.STARTS):
            box.begin(todo)  # each image of it
        box = InstructionBox(sync, reports)
        (todo,) = box.resume()
    assert box.deadly(todo)
    box.fail(todo, "Given up.")
    assert not box.deadly(todo)


def test_work_that_comes_further_in_each_life_of_the_trainer_is_never_known_as_deadly(sync, reports, monkeypatch):
    put(sync, "segment_1", {})
    box = InstructionBox(sync, reports)
    (todo,) = box.take()
    for _ in range(instructions.STARTS + 1):
        box.begin(todo)
        box.further(todo, True)
        box = InstructionBox(sync, reports)
        (todo,) = box.resume()
    assert not box.deadly(todo)
    for _ in range(instructions.STARTS):
        box.begin(todo)
        box = InstructionBox(sync, reports)
    assert box.deadly(todo), "from here on it brings the trainer down"


def test_that_work_comes_further_is_noted_once_and_not_with_every_image(sync, reports, monkeypatch):
    put(sync, "segment_1", {})
    box = InstructionBox(sync, reports)
    (todo,) = box.take()
    written = []
    monkeypatch.setattr(begun.files, "write_text", lambda path, text: written.append(text))
    for _ in range(9):
        box.begin(todo)
        box.further(todo, True)
    assert len(written) == 2


def test_an_end_in_good_order_does_not_count_as_an_unexpected_one(sync, reports):
    put(sync, "segment_1", {})
    box = InstructionBox(sync, reports)
    (todo,) = box.take()
    for _ in range(instructions.STARTS + 1):
        box.begin(todo)
        box.release()
        box.begin(todo)  # what computes may hear of the end a little later
        box = InstructionBox(sync, reports)
        (todo,) = box.resume()
    assert not box.deadly(todo)


def test_what_was_asked_for_while_no_trainer_ran_is_taken_but_no_old_training_is_begun(sync, reports):
    put(sync, "segment_1", {}, age=4)
    put(sync, "start_training_2", {}, age=3)
    put(sync, "stop_training_3", {}, age=2)
    put(sync, "trainer_status_4", {"rootfm": {"cancel": "j"}}, age=1)
    box = InstructionBox(sync, reports)
    assert box.resume() == []
    assert [item.file for item in box.take()] == ["segment_1", "stop_training_3", "trainer_status_4"]
    assert names(sync.failed) == ["start_training_2", "start_training_2_exception.txt"]
    assert "Start it again" in reports[0][0]


def test_an_old_start_that_is_put_aside_leaves_the_training_of_the_same_name_alone(sync, reports):
    put(sync, "start_training_1", {})
    box = InstructionBox(sync, reports)
    box.begin(box.take()[0])
    put(sync, "start_training_1", {})
    assert [item.file for item in InstructionBox(sync, reports).resume()] == ["start_training_1"]
    assert names(sync.failed) == ["start_training_1", "start_training_1_exception.txt"]
    assert names(sync.instructions) == []


def test_what_is_asked_for_twice_is_two_instructions_although_rootpainter_gives_them_one_name(sync, reports, at_once):
    put(sync, "start_training_777", {})
    box = InstructionBox(sync, reports)
    (first,) = box.take()
    put(sync, "start_training_777", {})
    (second,) = box.take()
    assert first.file != second.file and first.name == second.name == "start_training"
    assert {item.name for item in InstructionBox(sync, reports).resume()} == {"start_training"}
    assert box.retry(first, "The model is not there.")
    box.finish(second)
    assert names(sync.executed) == [second.file]
    assert box.take() == [first]


def test_what_is_asked_for_again_while_the_first_waits_for_its_next_try_is_taken_beside_it(sync, reports, monkeypatch):
    put(sync, "segment_1", {})
    box = InstructionBox(sync, reports)
    (first,) = box.take()
    assert box.retry(first, "The model is not there.")
    put(sync, "segment_1", {})
    assert [item.content for item in box.take()] == [{}]
    monkeypatch.setattr(instructions, "SECONDS_BETWEEN_TRIES", 0.0)
    assert box.take() == [first]


def test_a_training_asked_for_while_the_trainer_starts_is_begun(sync, reports):
    box = InstructionBox(sync, reports)
    put(sync, "start_training_1", {"n": 1})
    assert box.resume() == []
    assert [item.content["n"] for item in box.take()] == [1] and reports == []


def test_an_instruction_that_the_window_took_back_is_no_fault(sync, reports, at_once):
    path = put(sync, "segment_1", "")
    box = InstructionBox(sync, reports)
    box.take()
    path.unlink()
    assert box.take() == [] and reports == []


def test_one_that_somebody_took_away_while_it_waited_is_not_tried_again_and_no_fault(sync, reports, at_once):
    put(sync, "segment_1", {})
    box = InstructionBox(sync, reports)
    (instruction,) = box.take()
    (sync.instructions / ".rootfm_taken" / "segment_1").unlink()
    assert not box.retry(instruction, "The model is not there.")
    assert box.take() == [] and reports == [] and names(sync.failed) == []


def test_a_vanished_folder_of_instructions_is_made_again(sync, reports):
    sync.instructions.rmdir()
    box = InstructionBox(sync, reports)
    assert box.take() == []
    put(sync, "segment_1", {})
    assert len(box.take()) == 1


def test_no_folder_is_made_where_the_whole_sync_folder_is_away(sync, reports):
    box = InstructionBox(sync, reports)
    away = sync.root.rename(sync.root.with_name("away"))
    assert box.take() == []
    assert not sync.root.exists()
    away.rename(sync.root)
    put(sync, "segment_1", {})
    assert len(box.take()) == 1


def test_no_try_is_spent_while_the_whole_sync_folder_is_away(sync, reports, at_once):
    put(sync, "segment_1", {})
    box = InstructionBox(sync, reports)
    (first,) = box.take()
    assert box.retry(first, "The drive is away.")
    away = sync.root.rename(sync.root.with_name("away"))
    for _ in range(instructions.TRIES + 1):
        assert box.take() == []
    away.rename(sync.root)
    assert box.take() == [first]


@pytest.fixture
def away(sync, monkeypatch):
    """Lets the drive stop answering, and answer again."""
    real = {name: getattr(os, name) for name in ("stat", "replace", "mkdir", "scandir", "listdir")}

    def answer(works):
        for name, function in real.items():

            def reached(path=".", *args, function=function, **options):
                if str(path).startswith(str(sync.root)):
                    raise OSError(errno.EHOSTDOWN, "Host is down")
                return function(path, *args, **options)

            monkeypatch.setattr(os, name, function if works else reached)

    yield lambda: answer(False), lambda: answer(True)
    answer(True)


def test_nothing_is_lost_while_the_drive_does_not_answer(sync, reports, at_once, away):
    gone, back = away
    put(sync, "segment_1", {}, age=5)
    put(sync, "segment_2", {})
    box = InstructionBox(sync, reports)
    first, second = box.take()
    assert box.retry(first, "The model is not there.")
    gone()
    assert box.retry(second, "Host is down.")
    for _ in range(3):
        with suppress(OSError):
            assert box.take() == []
    back()
    assert box.take() == [first, second]


def test_what_was_done_while_the_drive_was_away_is_put_away_later_and_never_done_again(sync, reports, away):
    gone, back = away
    for number in range(3):
        put(sync, f"segment_{number}", {}, age=9 - number)
    box = InstructionBox(sync, reports)
    taken = box.take()
    gone()
    box.finish(taken[0])
    box.fail(taken[1], "No disk.")
    back()
    assert names(sync.executed) == names(sync.failed) == []
    assert box.take() == []
    assert names(sync.executed) == ["segment_0"] and names(sync.failed) == ["segment_1"]
    assert [item.file for item in InstructionBox(sync, reports).resume()] == ["segment_2"]


def test_an_instruction_that_cannot_be_put_aside_at_the_start_is_not_taken_instead(sync, reports, monkeypatch):
    put(sync, "start_training_1", {})
    box = InstructionBox(sync, reports)
    with monkeypatch.context() as patch:
        patch.setattr(instructions.os, "replace", lambda *_: (_ for _ in ()).throw(PermissionError(13, "in use")))
        box.resume()
        assert box.take() == []
    assert box.take() == []
    assert "start_training_1" in names(sync.failed) and names(sync.instructions) == []


def test_what_waits_for_its_next_try_can_be_withdrawn(sync, reports, at_once):
    put(sync, "segment_1", {"n": 1}, age=1)
    put(sync, "segment_2", {"n": 2})
    box = InstructionBox(sync, reports)
    first, second = box.take()
    for instruction in (first, second):
        assert box.retry(instruction, "The model is not there.")
    assert box.withdraw(lambda waiting: waiting.content["n"] == 1) == [first]
    assert box.take() == [second]
    assert names(sync.executed) == ["segment_1"]


def test_a_reason_may_name_a_file_whose_name_is_no_text(sync, reports):
    put(sync, "segment_1", {})
    box = InstructionBox(sync, reports)
    box.fail(box.take()[0], "Wurzel_\udcfc.jpg is no image.")
    assert (sync.failed / "segment_1_exception.txt").read_text(encoding="utf-8").startswith(r"Wurzel_\udcfc.jpg")
