"""Files of the protocol: complete ones are understood, all others are none."""

from __future__ import annotations

import json

import pytest

from rootpainter_rootfm.errors import HostError
from rootpainter_rootfm.painter import exchange

HEARTBEAT = {"protocol": 1, "host": "lab", "pid": 3, "beat": 9, "state": "training", "device": "cuda:0", "project": "p"}


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"beat": "x"}', '{"beat": 1, "host": "a", "pid": null}'])
def test_half_written_or_foreign_heartbeat_is_none(tmp_path, text):
    (tmp_path / exchange.HEARTBEAT).write_text(text)
    assert exchange.read_heartbeat(tmp_path) is None


def test_heartbeat_keeps_what_the_window_shows(tmp_path):
    (tmp_path / exchange.HEARTBEAT).write_text(json.dumps(HEARTBEAT | {"devices": ["cpu", "cuda:0"], "unet": True}))
    beat = exchange.read_heartbeat(tmp_path)
    assert (beat.identity, beat.state, beat.project, beat.devices) == (("lab", 3), "training", "p", ("cpu", "cuda:0"))
    assert beat.unet and not beat.local_paths and not beat.stopped


def test_job_counts_failures_and_knows_when_it_ended(tmp_path):
    state = {"job": "a", "state": "running", "done": 2, "total": 3, "failed": [{"file": "b.png", "cause": "broken"}]}
    (tmp_path / exchange.JOB).write_text(json.dumps(state))
    job = exchange.read_job(tmp_path)
    assert job.failed == (("b.png", "broken"),) and not job.ended and job.seconds_left is None
    (tmp_path / exchange.JOB).write_text(json.dumps(state | {"state": "cancelled"}))
    assert exchange.read_job(tmp_path).ended


def test_inside_gives_the_path_that_the_trainer_understands(tmp_path):
    assert exchange.inside(tmp_path, tmp_path / "datasets" / "a b") == "datasets/a b"
    assert exchange.inside(tmp_path, tmp_path / "datasets" / ".." / ".." / "elsewhere") is None
    assert exchange.inside(tmp_path / "sync", tmp_path / "sync_old" / "x") is None


def test_links_are_followed_as_the_trainer_does(tmp_path):
    sync, disk = tmp_path / "sync", tmp_path / "disk"
    (sync / "datasets").mkdir(parents=True)
    disk.mkdir()
    (sync / "datasets" / "scans").symlink_to(disk)
    (tmp_path / "also_sync").symlink_to(sync)
    assert exchange.inside(sync, sync / "datasets" / "scans" / "new") is None
    assert exchange.inside(tmp_path / "also_sync", sync / "datasets" / "new") == "datasets/new"


@pytest.mark.parametrize(
    ("names", "output", "owed"),
    [
        (["two.jpg", "one.jpg"], "projects/oats/segmentations", True),
        (["two.jpg"], "projects/oats/segmentations", False),
        (["one.jpg"], "segmentations/other", False),
        (None, "projects/oats/segmentations", False),
    ],
)
@pytest.mark.parametrize("taken", [False, True])
def test_mask_is_owed_by_a_request_for_this_image_in_this_folder(tmp_path, names, output, owed, taken):
    folder = tmp_path / "instructions" / (exchange.TAKEN if taken else "")
    folder.mkdir(parents=True)
    (folder / "segment_7").write_text(json.dumps({"file_names": names, "seg_dir": output}))
    (folder / "segment_8").write_text("{")
    assert exchange.mask_owed(tmp_path, tmp_path / "projects" / "oats" / "segmentations" / "one.png") is owed


def test_batches_that_wait_are_taken_back_and_the_trainer_hears_of_those_that_it_took(tmp_path):
    masks = tmp_path / "projects" / "oats" / "segmentations"
    taken = tmp_path / "instructions" / exchange.TAKEN
    taken.mkdir(parents=True)
    request = {"file_names": ["one.jpg"], "seg_dir": "projects/oats/segmentations"}
    waiting = exchange.send(tmp_path, "segment", request | {"rootfm": {"batch": "b1"}})
    begun = exchange.send(tmp_path, "segment", request | {"rootfm": {"batch": "b2"}})
    begun = begun.rename(taken / begun.name)
    shown = exchange.send(tmp_path, "segment", request | {"rootfm": {"confidence": True}})
    other = exchange.send(tmp_path, "segment", request | {"seg_dir": "elsewhere", "rootfm": {"batch": "b3"}})
    assert exchange.batches_owed(tmp_path, masks) == {"b1": waiting, "b2": begun}
    assert exchange.stop_batches(tmp_path, masks) == 2
    assert not waiting.exists() and begun.exists() and shown.exists() and other.exists()
    told = [exchange.read_json(path)["rootfm"] for path in (tmp_path / "instructions").glob("trainer_status_*")]
    assert sorted(own["cancel"] for own in told) == ["b1", "b2"]


def test_instruction_is_taken_back_once(tmp_path):
    (tmp_path / "instructions").mkdir()
    path = exchange.send(tmp_path, "segment", {})
    assert exchange.take_back(path) and not path.exists()
    assert not exchange.take_back(path)


def test_instruction_is_complete_json_under_a_name_that_rootpainter_knows(tmp_path):
    (tmp_path / "instructions").mkdir()
    path = exchange.send(tmp_path, "segment", {"file_names": ["a.png"]})
    assert path.name.rpartition("_")[0] == "segment"
    assert json.loads(path.read_text()) == {"file_names": ["a.png"]}


def test_instruction_that_cannot_be_written_says_what_to_check(tmp_path):
    with pytest.raises(HostError, match="disk is not full"):
        exchange.send(tmp_path / "gone", "segment", {})
