"""Whatever goes wrong beside RootPainter's own trainer, ours goes on. Its process is only played here."""

from pathlib import Path

import pytest

from rootpainter_rootfm.trainer import unet, unet_process
from rootpainter_rootfm.trainer.server import Server
from rootpainter_rootfm.trainer.unet_process import READY, Answer, UNetProcess
from tests.trainer.sync_world import tree

FOLDER = {"model_paths": ["m.pkl"], "dataset_dir": "datasets/d", "file_names": ["a.png", "b.png"]}


class Prompt:
    """In place of RootPainter's own trainer: has done at once whatever it is given."""

    exit_code = None
    thinks = False

    def __init__(self, options):
        self.folder = Path(options[0])
        self.given, self.fault = [], None

    def give(self, name, content):
        self.given.append(f"{name}_{len(self.given)}")
        if name == "segment" and (Path(content["dataset_dir"]) / content["file_names"][0]).exists():
            (Path(content["seg_dir"]) / content["file_names"][0]).write_bytes(b"a mask")
        return self.given[-1]

    def answers(self):
        if self.fault:
            raise self.fault
        return [] if self.thinks else [Answer(file) for file in self.given]

    def training(self):
        """As RootPainter's own trainer says before it has read Start."""
        return not self.thinks

    def end(self):
        """It ends."""


@pytest.fixture
def prompt(world, tmp_path, monkeypatch):
    """A trainer whose process for U-Nets is a `Prompt`."""
    monkeypatch.setattr(unet, "find_spec", lambda name: name)
    monkeypatch.setattr(unet, "UNetProcess", Prompt)
    world.images(["a.png", "b.png"])
    world.server = Server(world.sync, (str(tmp_path / "private"),))
    world.server.begin()
    return world


def test_a_folder_that_cannot_be_written_to_fails_image_by_image_and_ends_nothing(prompt):
    (prompt.root / "plain").write_bytes(b"a file")
    bad = prompt.send("segment", FOLDER | {"seg_dir": "plain/out"})
    good = prompt.send("segment", FOLDER | {"seg_dir": "out"})
    assert prompt.settle(bad, 10) == prompt.settle(good, 10) == "executed"
    assert "Segmented 0 of 2 images." in prompt.heart()["last_error"]["message"]
    assert tree(prompt.root / "out") == [".rootfm_job.json", "a.png", "b.png"]


@pytest.fixture
def unplugged(prompt, monkeypatch):
    """A folder whose two images are given away, when the drive of the images goes; the instruction's file."""
    monkeypatch.setattr(Prompt, "thinks", True)
    file = prompt.send("segment", FOLDER | {"seg_dir": "out"})
    prompt.server.tick()
    for name in ("a.png", "b.png"):
        (prompt.root / "out" / name).unlink()
    (prompt.root / "datasets").rename(prompt.root / "unplugged")
    monkeypatch.setattr(Prompt, "thinks", False)
    for _ in range(3):
        prompt.server.tick()
    return file


def test_a_drive_that_is_away_for_a_while_costs_no_image(prompt, unplugged):
    assert prompt.job()["state"] == "running" and prompt.job()["failed"] == []
    (prompt.root / "unplugged").rename(prompt.root / "datasets")
    assert prompt.settle(unplugged, 10) == "executed"
    assert prompt.job()["message"] == "Segmented 2 of 2 images."


def test_images_of_a_folder_that_stays_away_are_listed_as_failed(prompt, unplugged, monkeypatch):
    monkeypatch.setattr(unet, "SECONDS_AWAY", 0)
    assert prompt.settle(unplugged, 10) == "executed"
    assert prompt.job()["message"].startswith("Segmented 0 of 2 images. 2 failed")


def test_a_mask_that_cannot_be_moved_to_its_place_is_listed_as_failed(prompt):
    (prompt.root / "out/a.png").mkdir(parents=True)
    file = prompt.send("segment", FOLDER | {"seg_dir": "out", "rootfm": {"job": "u", "again": True}})
    assert prompt.settle(file, 10) == "executed"
    assert [item["file"] for item in prompt.job()["failed"]] == ["a.png"] and prompt.job()["state"] == "done"


def test_a_fault_beside_the_process_fails_its_work_and_the_next_goes_on(prompt):
    first = prompt.send("segment", FOLDER | {"seg_dir": "out"})
    prompt.server.tick()
    prompt.server._unet._process.fault = OSError(28, "No space left on device")
    second = prompt.send("segment", FOLDER | {"seg_dir": "out2"})
    assert prompt.settle(second, 10) == "failed" and "No space left" in prompt.reason(second)
    assert prompt.job("out2")["state"] == "failed"
    assert prompt.settle(first, 10) == "executed"
    assert prompt.settle(prompt.send("segment", FOLDER | {"seg_dir": "out2"}), 10) == "executed"


def test_it_is_not_asked_whether_it_trains_before_it_has_answered_to_start(prompt, monkeypatch):
    monkeypatch.setattr(unet, "SECONDS_BETWEEN_QUESTIONS", 0)
    prompt.project()
    monkeypatch.setattr(Prompt, "thinks", True)
    file = prompt.send("start_training", prompt.training_content())
    for _ in range(3):
        prompt.turn()
    process = prompt.server._unet._process
    assert process.given == ["start_training_0"]
    monkeypatch.setattr(Prompt, "thinks", False)
    assert prompt.settle(file, 10) == "executed"
    prompt.turn()
    assert process.given[1].startswith("trainer_status_")
    assert prompt.heart()["state"] == "training"


def test_who_stops_training_and_starts_it_again_at_once_gets_a_training(prompt, monkeypatch):
    prompt.project()
    assert prompt.settle(prompt.send("start_training", prompt.training_content()), 10) == "executed"
    monkeypatch.setattr(Prompt, "thinks", True)
    prompt.send("stop_training", {"message_dir": "projects/p/messages"})
    prompt.server.tick()
    second = prompt.send("start_training", prompt.training_content())
    prompt.server.tick()
    process = prompt.server._unet._process
    assert [file.rpartition("_")[0] for file in process.given] == ["start_training", "stop_training"]
    monkeypatch.setattr(Prompt, "thinks", False)
    assert prompt.settle(second, 10) == "executed"
    assert process.given[2].startswith("start_training_") and prompt.heart()["state"] == "training"


def test_the_process_takes_no_module_from_the_folder_where_the_user_is(monkeypatch):
    commands = []

    def popen(command, **_):
        commands.append(command)
        raise OSError("no process is needed")

    monkeypatch.setattr(unet_process.subprocess, "Popen", popen)
    with pytest.raises(OSError, match="no process"):
        UNetProcess(())
    assert commands[0][1:3] == ["-P", "-m"]


def test_start_and_stop_are_handed_over_one_after_the_other_and_images_wait_for_neither(monkeypatch):
    class Popen:
        pid = 1

        def __init__(self, *_, **__):
            """No process is needed."""

        def kill(self):
            """It ends."""

        def wait(self, seconds):
            """It has ended."""

    monkeypatch.setattr(unet_process.subprocess, "Popen", Popen)
    process = UNetProcess(())
    instructions, executed = process.folder / "instructions", process.folder / "executed_instructions"
    for folder in (instructions, executed):
        folder.mkdir()
    (process.folder / READY).touch()
    start, stop, image = (process.give(name, {}) for name in ("start_training", "stop_training", "segment"))
    for _ in range(2):
        assert process.answers() == []
        assert {path.name for path in instructions.iterdir()} == {start, image}
    (instructions / start).rename(executed / start)
    assert process.answers() == [Answer(start)]
    assert process.answers() == []
    assert {path.name for path in instructions.iterdir()} == {stop, image}
    process.end()
