"""`segment` from the file in `instructions` to the mask, its progress and its failures."""

import errno
import json
import sys
import time
import unicodedata

import numpy as np
import pytest
from PIL import Image

from rootpainter_rootfm import masks
from rootpainter_rootfm.errors import MaskError, ModelError
from rootpainter_rootfm.segment import engine, making
from rootpainter_rootfm.segment.report import Status
from rootpainter_rootfm.trainer import instructions, jobs, segmenting, server
from tests.trainer.sync_world import tree

FOLDER = {"dataset_dir": "datasets/d", "seg_dir": "out"}


def folder(names, path, **own):
    return FOLDER | {"model_paths": [path], "file_names": names, "rootfm": {"job": "j1"} | own}


@pytest.fixture
def saved(monkeypatch):
    """The photographs of the masks in the order in which they were made; `then` is called after each."""
    seen = Saved()
    real = making.Making._save

    def save(self, index, *rest):
        result = real(self, index, *rest)
        seen.append(self.job.images[index].name)
        seen.then()
        return result

    monkeypatch.setattr(making.Making, "_save", save)
    return seen


class Saved(list):
    def then(self):
        """A test puts something else here."""


@pytest.fixture
def at_work(world, model):
    world.images(["a.png", "b.jpg", "c.png"])
    world.project(model=model)
    return world.start()


def test_a_projects_image_gets_its_mask_from_the_newest_model(at_work):
    file = at_work.ask_image("b.jpg")
    assert at_work.settle(file) == "executed"
    mask = np.asarray(Image.open(at_work.root / "projects/p/segmentations/b.png"))
    assert mask.shape == (64, 96, 4) and mask.dtype == np.uint8
    assert {tuple(colour) for colour in mask.reshape(-1, 4)} <= {(0, 0, 0, 0), (0, 255, 255, 178)}
    assert at_work.messages() == ["Network not training"]
    assert tree(at_work.root / "projects/p/models") == ["000001_1.pth"]


def test_a_mask_that_is_there_is_kept_unless_it_is_asked_for_again(at_work):
    path = at_work.root / "projects/p/segmentations/a.png"
    masks.write(np.ones((64, 96), bool), path)
    before = path.read_bytes()
    at_work.settle(at_work.ask_image("a.png"))
    assert path.read_bytes() == before
    at_work.settle(at_work.ask_image("a.png", rootfm={"again": True, "confidence": True}))
    assert path.read_bytes() != before
    described = json.loads((path.parent / ".rootfm" / "a.json").read_text())
    assert {"model", "threshold", "coverage", "mean_confidence", "uncertain"} <= set(described)
    assert np.asarray(Image.open(path.parent / ".rootfm" / "a.png")).shape == (64, 96)


@pytest.mark.skipif(sys.platform == "darwin", reason="on macOS both names are of one file")
@pytest.mark.parametrize("own", [{}, {"batch": "b", "again": True}, {"job": "j1", "again": True}, None])
def test_a_mac_finds_photographs_with_umlauts_on_a_share_and_gets_masks_of_its_names(at_work, own):
    here, there = (unicodedata.normalize(form, "Würzel.png") for form in ("NFC", "NFD"))
    at_work.images([here])
    names = [there, "a.png"]
    if own is None or "job" in own:
        content = folder(names, "projects/p/models/000001_1.pth") | {"rootfm": own or {}}
        out = at_work.root / "out"
    else:
        content = at_work.image_content(names) | {"rootfm": own | {"confidence": True}}
        out = at_work.root / "projects/p/segmentations"
    assert at_work.settle(at_work.send("segment", content)) == "executed"
    made = tree(out)
    assert {there, "a.png"} <= set(made) and here not in made
    if own is not None and "job" in own:
        assert (at_work.job()["done"], at_work.job()["failed"]) == (2, [])
    elif own is not None:
        assert f".rootfm/{there}" in made


@pytest.mark.parametrize("form", list(masks.MaskFormat))
def test_every_format_of_rootpainter(at_work, form):
    file = at_work.ask_image("a.png", format=form.value)
    assert at_work.settle(file) == "executed"
    assert masks.read(at_work.root / f"projects/p/segmentations/a{form.suffix}").shape == (64, 96)


def test_a_folder_with_its_progress_failures_and_sheet(at_work):
    (at_work.root / "datasets/d/broken.png").write_bytes(b"no image")
    names = ["a.png", "b.jpg", "broken.png", "gone.png"]
    file = at_work.send("segment", folder(names, "projects/p/models/000001_1.pth", confidence=True, preview=True))
    assert at_work.settle(file) == "executed"
    job = at_work.job()
    assert (job["job"], job["state"], job["done"], job["total"]) == ("j1", "done", 4, 4)
    assert [failed["file"] for failed in job["failed"]] == ["broken.png", "gone.png"]
    assert all(failed["cause"] for failed in job["failed"])
    assert (at_work.root / "out" / job["preview"]).is_file()
    visible = [path for path in tree(at_work.root / "out") if not path.startswith(".")]
    assert visible == ["a.png", "b.png"], "RootPainter counts what it sees here"


def test_a_folder_of_an_unmodified_window_skips_what_is_there(at_work):
    old = at_work.root / "out" / "a.png"
    old.parent.mkdir()
    masks.write(np.zeros((64, 96), bool), old)
    before = old.read_bytes()
    content = FOLDER | {"model_paths": ["projects/p/models/000001_1.pth"], "file_names": ["a.png", "c.png"]}
    assert at_work.settle(at_work.send("segment", content)) == "executed"
    assert old.read_bytes() == before and (at_work.root / "out/c.png").exists()


def test_the_image_on_screen_status_and_cancel_are_answered_during_a_folder(at_work):
    at_work.images([f"{number}.png" for number in range(30)])
    names = [f"{number}.png" for number in range(30)]
    file = at_work.send("segment", folder(names, "projects/p/models/000001_1.pth"))
    at_work.server.worker.start()
    deadline = time.monotonic() + 600

    def wait_for(condition):
        while not condition():
            assert time.monotonic() < deadline
            at_work.server.tick()
            time.sleep(0.02)

    wait_for(lambda: (at_work.root / "out" / "0.png").exists())
    image = at_work.ask_image("a.png")
    wait_for(lambda: (at_work.sync.executed / image).exists())
    assert (at_work.root / "projects/p/segmentations/a.png").exists()
    assert at_work.heart()["state"] == "segmenting" and at_work.heart()["job"] == {"id": "j1", "folder": "out"}
    status = at_work.send("trainer_status", {"rootfm": {"cancel": "j1"}})
    wait_for(lambda: (at_work.sync.executed / status).exists() and (at_work.sync.executed / file).exists())
    assert at_work.job()["state"] == "cancelled"
    assert 1 <= len([path for path in tree(at_work.root / "out") if path.endswith(".png")]) < 30
    wait_for(lambda: at_work.heart()["state"] == "idle")


def test_a_queued_job_says_so_and_can_be_cancelled_before_it_begins(at_work):
    file = at_work.send("segment", folder(["a.png"], "projects/p/models/000001_1.pth"))
    at_work.server.tick()
    assert at_work.job()["state"] == "queued"
    at_work.send("trainer_status", {"rootfm": {"cancel": "j1"}})
    assert at_work.settle(file) == "executed"
    assert at_work.job()["state"] == "cancelled"
    assert tree(at_work.root / "out") == [".rootfm_job.json"]


def test_a_job_that_waits_for_its_model_can_be_cancelled(at_work, model):
    sha256 = "ab" * 32
    own = {"model": {"name": "theirs", "sha256": sha256}}
    file = at_work.send("segment", folder(["a.png"], f"models_rootfm/{sha256}.pth", **own))
    at_work.until(lambda: at_work.heart()["last_error"] is not None)
    at_work.send("trainer_status", {"rootfm": {"cancel": "j1"}})
    assert at_work.settle(file) == "executed"
    assert at_work.job()["state"] == "cancelled"
    (at_work.root / "models_rootfm").mkdir()
    (at_work.root / f"models_rootfm/{sha256}.pth").write_bytes(model.read_bytes())
    time.sleep(instructions.SECONDS_BETWEEN_TRIES)
    at_work.turn()
    assert at_work.job()["state"] == "cancelled" and not (at_work.root / "out/a.png").exists()


def test_a_projects_batch_can_be_stopped_and_the_image_on_screen_still_comes(at_work):
    names = [f"{number}.png" for number in range(30)]
    at_work.images(names)
    content = at_work.image_content(names) | {"rootfm": {"batch": "b1"}}
    queued = at_work.send("segment", at_work.image_content(names) | {"rootfm": {"batch": "b2"}})
    batch = at_work.send("segment", content)
    shown = at_work.ask_image("a.png")
    made = at_work.root / "projects/p/segmentations"
    at_work.server.tick()
    while not tree(made):
        at_work.server.worker.do_next()
    status = at_work.send("trainer_status", {"rootfm": {"cancel": "b1"}})
    at_work.send("trainer_status", {"rootfm": {"cancel": "b2"}})
    for file in (status, batch, queued, shown):
        assert at_work.settle(file) == "executed"
    assert (made / "a.png").exists() and len(list(made.glob("*.png"))) < 5
    assert at_work.heart()["last_error"] is None


def test_a_batch_leaves_masks_of_images_that_were_annotated_meanwhile_and_what_it_has_made(at_work):
    names = [f"{number}.png" for number in range(8)]
    at_work.images(names)
    made = at_work.root / "projects/p/segmentations"
    for name in names:
        masks.write(np.zeros((64, 96), bool), made / name)
    old = (made / "7.png").read_bytes()
    own = {"rootfm": {"batch": "b1", "again": True, "confidence": True}}
    batch = at_work.send("segment", at_work.image_content(names) | own)
    at_work.server.tick()
    while not (made / ".rootfm/1.json").exists():
        at_work.server.worker.do_next()
    at_work.annotate("7.png")
    stamp = (made / "0.png").stat().st_mtime_ns
    at_work.end()  # and a new trainer goes on
    at_work.start()
    assert at_work.settle(batch) == "executed"
    assert (made / "7.png").read_bytes() == old and (made / ".rootfm/6.json").exists()
    assert (made / "0.png").stat().st_mtime_ns == stamp


@pytest.mark.parametrize("seen", ["while it runs", "once it has failed"])
def test_a_cancelled_job_that_fails_is_not_tried_again(at_work, monkeypatch, seen):
    def segmenter(self, request):
        at_work.send("trainer_status", {"rootfm": {"cancel": "j1"}})
        if seen == "while it runs":
            at_work.server.tick()
        raise ModelError("The model is not there.")

    monkeypatch.setattr(segmenting.Models, "segmenter", segmenter)
    file = at_work.send("segment", folder(["a.png"], "projects/p/models/000001_1.pth"))
    assert at_work.settle(file) == "executed"
    assert at_work.job()["state"] == "cancelled"


class Death(BaseException):
    """The process ends in this moment."""


def test_a_job_that_brings_the_trainer_down_is_given_up_and_those_behind_it_are_done(at_work, monkeypatch):
    deadly = at_work.send("segment", folder(["a.png"], "projects/p/models/000001_1.pth"))
    behind = folder(["a.png"], "projects/p/models/000001_1.pth", job="j2") | {"seg_dir": "out2"}
    behind = at_work.send("segment", behind)
    real = segmenting.FolderSegmenting.run

    def run(self, between):
        if self.request.job == "j1":
            raise Death
        return real(self, between)

    monkeypatch.setattr(segmenting.FolderSegmenting, "run", run)
    for _ in range(instructions.STARTS):
        with pytest.raises(Death):
            at_work.turn()
        at_work.server._heartbeat.stop()  # only so that the next one need not wait
        at_work.start()
    assert at_work.settle(deadly) == "failed" and "ended unexpectedly" in at_work.reason(deadly)
    assert at_work.job()["state"] == "failed" and "ended unexpectedly" in at_work.job()["message"]
    assert at_work.settle(behind) == "executed" and at_work.job("out2")["state"] == "done"


@pytest.mark.parametrize("own", [{"job": "j1"}, {"job": "j1", "again": True}])
def test_a_folder_that_comes_further_in_each_life_of_the_trainer_is_never_given_up(at_work, own, monkeypatch):
    monkeypatch.setattr(jobs, "SECONDS_BETWEEN_WRITES", 0)
    names = [f"{number}.png" for number in range(8)]
    at_work.images(names)
    real = segmenting.FolderSegmenting._show

    def show(self, job, done, current):
        real(self, job, done, current)
        if len(job.report.having(Status.MADE)) == 2:
            raise Death

    monkeypatch.setattr(segmenting.FolderSegmenting, "_show", show)
    file = at_work.send("segment", folder(names, "projects/p/models/000001_1.pth") | {"rootfm": own})
    for _ in range(instructions.STARTS):
        with pytest.raises(Death):
            at_work.turn()
        at_work.server._heartbeat.stop()  # only so that the next one need not wait
        at_work.start()
    monkeypatch.setattr(segmenting.FolderSegmenting, "_show", real)
    assert at_work.settle(file) == "executed" and at_work.job()["state"] == "done"


def test_an_end_that_was_asked_for_is_no_crash_however_long_the_work_at_hand_still_takes(at_work, monkeypatch):
    file = at_work.send("segment", folder(["a.png"], "projects/p/models/000001_1.pth"))
    with monkeypatch.context() as patch:
        patch.setattr(server.Worker, "end", lambda self, seconds: False)
        patch.setattr(segmenting.FolderSegmenting, "run", lambda *_: (_ for _ in ()).throw(Death))
        for _ in range(instructions.STARTS):
            with pytest.raises(Death):
                at_work.turn()
            assert at_work.server.wind_up() is False
            at_work.start()
    assert at_work.settle(file) == "executed"


def test_masks_that_were_made_again_are_not_made_once_more_for_an_image_that_cannot_be_read(
    at_work, saved, monkeypatch
):
    monkeypatch.setattr(instructions, "TRIES", 5)
    monkeypatch.setattr(instructions, "SECONDS_BETWEEN_TRIES", 0)
    (at_work.root / "datasets/d/broken.png").write_bytes(b"no image")
    content = at_work.image_content(["a.png", "broken.png", "b.jpg", "c.png"])
    file = at_work.send("segment", content | {"rootfm": {"again": True}})
    assert at_work.settle(file) == "failed"
    assert "broken.png" in at_work.reason(file)
    assert sorted(saved) == ["a.png", "b.jpg", "c.png"]


def test_no_image_is_passed_over_when_the_model_comes_late(at_work, monkeypatch):
    monkeypatch.setattr(instructions, "SECONDS_BETWEEN_TRIES", 0)
    real, calls = segmenting.Models.segmenter, []

    def late(self, request):
        calls.append(request)
        if len(calls) == 2:
            raise ModelError("The model is not there.")
        return real(self, request)

    monkeypatch.setattr(segmenting.Models, "segmenter", late)
    assert at_work.settle(at_work.send("segment", at_work.image_content(["a.png", "b.jpg", "c.png"]))) == "executed"
    made = [path for path in tree(at_work.root / "projects/p/segmentations") if not path.startswith(".")]
    assert made == ["a.png", "b.png", "c.png"]


def test_masks_that_were_made_again_are_not_made_once_more_after_an_end_in_good_order(at_work, saved):
    names = [f"{number}.png" for number in range(6)]
    at_work.images(names)
    saved.then = lambda: at_work.server.worker.end(0) if len(saved) == 3 else None
    file = at_work.send("segment", folder(names, "projects/p/models/000001_1.pth") | {"rootfm": {"again": True}})
    at_work.turn()
    at_work.server.wind_up()
    assert at_work.job()["state"] == "queued" and 3 <= len(saved) < 6
    at_work.start()
    at_work.server.tick()
    assert at_work.job()["state"] == "queued"
    assert at_work.settle(file) == "executed"
    assert sorted(saved) == names
    job = at_work.job()
    assert (job["state"], job["done"], job["total"], job["made"]) == ("done", 6, 6, [])


def test_masks_that_were_made_again_are_not_made_once_more_after_a_crash(at_work, saved, monkeypatch):
    monkeypatch.setattr(jobs, "SECONDS_BETWEEN_WRITES", 0)
    monkeypatch.setattr(jobs.JobFile, "put_off", lambda self: None)
    names = [f"{number}.png" for number in range(6)]
    at_work.images(names)
    saved.then = lambda: at_work.server.worker.end(0) if len(saved) == 4 else None
    file = at_work.send("segment", folder(names, "projects/p/models/000001_1.pth") | {"rootfm": {"again": True}})
    at_work.turn()
    made, before = at_work.job()["made"], len(saved)
    assert at_work.job()["state"] == "running" and made
    at_work.server.wind_up()
    at_work.start()
    assert at_work.settle(file) == "executed"
    assert sorted(saved[before:]) == sorted(set(names) - set(made))


@pytest.mark.parametrize("own", [{"job": "j1"}, {"job": "j1", "again": True}])
@pytest.mark.parametrize("number", [2, 8])
def test_a_folder_is_gone_on_with_when_the_drive_comes_back(at_work, saved, own, number, monkeypatch):
    monkeypatch.setattr(instructions, "SECONDS_BETWEEN_TRIES", 0)
    names = [f"{number}.png" for number in range(8)]
    at_work.images(names)
    away = at_work.root.with_name("away")
    saved.then = lambda: at_work.root.rename(away) if len(saved) == number and not away.exists() else None
    file = at_work.send("segment", folder(names, "projects/p/models/000001_1.pth") | {"rootfm": own})
    at_work.turn()
    for _ in range(instructions.TRIES + 1):
        at_work.turn()
    assert not at_work.root.exists(), "nothing may be made in the place of the drive"
    saved.then = lambda: None
    away.rename(at_work.root)
    assert at_work.settle(file) == "executed"
    job = at_work.job()
    assert (job["state"], job["done"], job["failed"]) == ("done", 8, [])
    assert [path for path in tree(at_work.root / "out") if not path.startswith(".")] == names


@pytest.mark.parametrize("own", [{}, {"again": True}, {"batch": "b", "again": True}, {"job": "j1", "again": True}])
def test_a_share_that_fails_before_every_image_ends_nothing_as_long_as_masks_are_made(at_work, saved, own, monkeypatch):
    monkeypatch.setattr(instructions, "TRIES", 3)
    monkeypatch.setattr(instructions, "SECONDS_BETWEEN_TRIES", 0)
    monkeypatch.setattr(segmenting, "SECONDS_OF_PAUSE", 0)
    names = [f"{number}.png" for number in range(6)]
    at_work.images(names)
    failed = []

    def reach(*folders):
        if failed.count(len(saved)) < 2:
            failed.append(len(saved))
            raise OSError("Host is down.")

    monkeypatch.setattr(segmenting, "_reach", reach)
    file = at_work.send("segment", at_work.image_content(names) | {"rootfm": own})
    assert at_work.settle(file) == "executed" and sorted(saved) == names and len(failed) > 2 * instructions.TRIES


def test_a_drive_that_is_away_for_a_while_is_said_once_and_ends_nothing(world, monkeypatch):
    monkeypatch.setattr(server, "SECONDS_BETWEEN_POLLS", 0)
    world.server = server.Server(world.sync)
    ticks, tick = [], world.server.tick

    def unreliable():
        ticks.append(1)
        if len(ticks) in (2, 3):
            raise OSError(errno.EHOSTDOWN, "Host is down")
        tick()
        if len(ticks) == 5:
            world.server.end()

    monkeypatch.setattr(world.server, "tick", unreliable)
    assert world.server.run()
    log = (world.root / "server_log.txt").read_text()
    assert log.count("Host is down") == log.count("can be used again") == 1


def test_an_image_whose_name_is_no_text_ends_nothing(at_work):
    file = at_work.send("segment", folder(["Wurzel_\udcfc.jpg", "a.png"], "projects/p/models/000001_1.pth"))
    assert at_work.settle(file) == "executed"
    assert [item["file"] for item in at_work.job()["failed"]] == ["Wurzel_\udcfc.jpg"]
    assert (at_work.root / "out/a.png").exists()
    at_work.ask_image("Wurzel_\udcfc.jpg")
    at_work.until(lambda: any("Wurzel_" in text for text in at_work.messages()))


def test_several_models_are_an_ensemble(at_work, model, tmp_path):
    import torch

    from rootpainter_rootfm import Segmenter, SegmentSettings, images
    from rootpainter_rootfm.model.checkpoint import read_state, write_pth

    state = read_state(model)
    other = {name: value + 0.01 * torch.randn_like(value) if value.ndim > 1 else value for name, value in state.items()}
    write_pth(other, at_work.root / "projects/p/models/000002_1.pth")
    paths = [f"projects/p/models/00000{number}_1.pth" for number in (1, 2)]
    assert (
        at_work.settle(at_work.send("segment", FOLDER | {"model_paths": paths, "file_names": ["a.png"]})) == "executed"
    )
    both = Segmenter.load(*(at_work.root / path for path in paths), settings=SegmentSettings())
    expected = both.segment(images.read(at_work.root / "datasets/d/a.png")).mask
    assert np.array_equal(masks.read(at_work.root / "out/a.png"), expected)


def test_a_library_model_is_taken_from_the_own_library_by_its_sha256(at_work):
    named = at_work.heart()["models"][0]
    own = {"model": {"name": named["name"], "sha256": named["sha256"]}}
    file = at_work.send("segment", folder(["a.png"], "models_rootfm/not_synchronised_yet.pth", **own))
    assert at_work.settle(file) == "executed"
    assert at_work.job()["state"] == "done" and not at_work.job()["failed"]


def test_a_model_that_only_the_windows_machine_has_is_taken_from_the_sync_folder_once_it_is_there(at_work, model):
    sha256 = "ab" * 32
    copy = at_work.root / "models_rootfm" / f"{sha256}.pth"
    own = {"model": {"name": "theirs", "sha256": sha256}}
    file = at_work.send("segment", folder(["a.png"], f"models_rootfm/{sha256}.pth", **own))
    at_work.until(lambda: at_work.heart()["last_error"] is not None)
    assert "Trying again" in at_work.heart()["last_error"]["message"]
    copy.parent.mkdir()
    copy.write_bytes(model.read_bytes()[:1000])
    for _ in range(3):
        at_work.turn()
    copy.write_bytes(model.read_bytes())
    assert at_work.settle(file) == "executed"
    assert at_work.job()["state"] == "done" and not at_work.job()["failed"]


def test_a_copy_that_is_not_what_its_card_says_is_never_used(at_work, model, monkeypatch):
    from dataclasses import replace

    from rootpainter_rootfm.model.card import card_of_file
    from rootpainter_rootfm.model.library import Library

    monkeypatch.setattr(instructions, "TRIES", 2)
    monkeypatch.setattr(instructions, "SECONDS_BETWEEN_TRIES", 0)
    copy = at_work.root / "models_rootfm" / f"{'ab' * 32}.pth"
    copy.parent.mkdir()
    copy.write_bytes(model.read_bytes())
    card = replace(card_of_file(copy, Library().get("rootfm")), sha256="cd" * 32)
    copy.with_suffix(".json").write_text(card.to_json())
    own = {"model": {"name": "theirs", "sha256": copy.stem}}
    file = at_work.send("segment", folder(["a.png"], f"models_rootfm/{copy.name}", **own))
    assert at_work.settle(file) == "failed"
    assert "other weights" in at_work.reason(file)
    assert at_work.job()["state"] == "failed" and at_work.job()["message"]
    assert not (at_work.root / "out/a.png").exists()


def test_a_project_without_a_model_gets_the_foundation_model_when_it_says_so(world):
    world.images(["a.png"])
    project = world.project()
    world.start()
    named = world.heart()["models"][0]
    file = world.ask_image("a.png", rootfm={"model": {"name": named["name"], "sha256": named["sha256"]}})
    assert world.settle(file) == "executed"
    assert (project / "segmentations/a.png").exists()
    assert not any(name.endswith(".pkl") for name in tree(project / "models")), "never a random U-Net"


def test_a_model_that_is_replaced_is_loaded_anew(at_work, model):
    from rootpainter_rootfm.model.checkpoint import read_state, write_pth

    at_work.settle(at_work.ask_image("a.png"))
    first = masks.read(at_work.root / "projects/p/segmentations/a.png")
    # The last layer's sign is that of every logit.
    state = {
        name: -value if "hypernetworks_mlps.0.layers.2" in name else value for name, value in read_state(model).items()
    }
    write_pth(state, at_work.root / "projects/p/models/000001_1.pth")
    at_work.settle(at_work.ask_image("a.png", rootfm={"again": True}))
    assert not np.array_equal(first, masks.read(at_work.root / "projects/p/segmentations/a.png"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model_paths": ["a.pth", "b.pkl"]}, "one ensemble"),
        ({"dataset_dir": "../elsewhere"}, "outside the sync folder"),
        ({"format": "PDF"}, "format"),
        ({"rootfm": {"settings": {"threshold": 3}}}, "threshold"),
        ({"rootfm": {"settings": {"device": "cuda:77"}}}, "cuda:77"),
        ({"file_names": ["../../x.png"]}, "plain file name"),
    ],
)
def test_what_cannot_be_done_fails_at_once_with_a_message(at_work, change, said):
    file = at_work.ask_image("a.png", **change)
    assert at_work.settle(file) == "failed"
    assert said in at_work.reason(file)
    assert said in at_work.heart()["last_error"]["message"]
    shown = [text for text in at_work.messages() if text != "Network not training"]
    assert len(shown) == 1


def test_an_image_that_comes_late_is_waited_for(at_work):
    file = at_work.ask_image("late.png")
    at_work.until(lambda: any("late.png" in text for text in at_work.messages()))
    at_work.images(["late.png"])
    assert at_work.settle(file) == "executed"
    assert (at_work.root / "projects/p/segmentations/late.png").exists()


def test_a_full_disk_is_said_and_the_trainer_goes_on(at_work, monkeypatch):
    import os

    from rootpainter_rootfm import files

    real = os.replace

    def full(source, target):
        if str(target).endswith("segmentations/a.png".replace("/", os.sep)):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(source, target)

    monkeypatch.setattr(segmenting, "SECONDS_OF_PAUSE", 0)
    monkeypatch.setattr(files.os, "replace", full)
    file = at_work.ask_image("a.png")
    at_work.until(lambda: any("No space left" in text for text in at_work.messages()))
    assert not (at_work.root / "projects/p/segmentations/a.png").exists()
    monkeypatch.setattr(files.os, "replace", real)
    assert at_work.settle(file) == "executed"
    assert (at_work.root / "projects/p/segmentations/a.png").exists()


class Segmented(list):
    write = staticmethod(masks.write)


@pytest.fixture
def full(monkeypatch):
    """A disk on which there is room for no mask; how often an image was segmented in spite of that."""
    segmented, real = Segmented(), engine.Segmenter.segment

    def segment(self, *given):
        segmented.append(1)
        return real(self, *given)

    def write(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(engine.Segmenter, "segment", segment)
    monkeypatch.setattr(making.masks, "write", write)
    monkeypatch.setattr(instructions, "TRIES", 9)
    monkeypatch.setattr(instructions, "SECONDS_BETWEEN_TRIES", 0)
    return segmented


def test_an_image_is_not_segmented_at_every_try_while_the_disk_is_full(at_work, full):
    file = at_work.ask_image("a.png")
    assert at_work.settle(file) == "failed"
    assert "No space left on device" in at_work.reason(file) and "Free some space" in at_work.reason(file)
    assert len(full) == 1


def test_an_image_whose_own_mask_is_refused_is_not_segmented_at_every_try_either(at_work, full, monkeypatch):
    monkeypatch.setattr(making.masks, "write", lambda *_: (_ for _ in ()).throw(MaskError("a.png is in use.")))
    file = at_work.send("segment", at_work.image_content(["a.png", "b.jpg"]))
    assert at_work.settle(file) == "failed"
    assert "a.png is in use" in at_work.reason(file) and len(full) == 2


def test_a_folder_waits_for_room_on_its_disk_and_goes_on(at_work, full, monkeypatch):
    names = [f"{number}.png" for number in range(12)]
    at_work.images(names)
    with monkeypatch.context() as patch:
        patch.setattr(instructions, "TRIES", 10**6)
        file = at_work.send("segment", folder(names, "projects/p/models/000001_1.pth"))
        for _ in range(9):
            at_work.turn()
        assert at_work.job()["state"] == "queued" and len(full) < 12
        assert "No space left on device" in at_work.heart()["last_error"]["message"]
        patch.setattr(making.masks, "write", full.write)
        patch.setattr(segmenting, "SECONDS_OF_PAUSE", 0)
        assert at_work.settle(file) == "executed"
    assert (at_work.job()["state"], at_work.job()["failed"]) == ("done", [])


def test_a_folder_whose_disk_stays_full_has_failed_and_says_why(at_work, full):
    file = at_work.send("segment", folder(["a.png", "c.png"], "projects/p/models/000001_1.pth"))
    assert at_work.settle(file) == "failed"
    assert at_work.job()["state"] == "failed" and "No space left on device" in at_work.job()["message"]


def test_of_many_images_that_cannot_be_read_the_first_are_named_and_the_others_counted(at_work, monkeypatch):
    monkeypatch.setattr(instructions, "TRIES", 2)
    monkeypatch.setattr(instructions, "SECONDS_BETWEEN_TRIES", 0)
    names = [f"broken{number}.png" for number in range(7)]
    for name in names:
        (at_work.root / "datasets/d" / name).write_bytes(b"no image")
    file = at_work.send("segment", at_work.image_content(names))
    assert at_work.settle(file) == "failed"
    reason = at_work.reason(file)
    assert [name in reason for name in names] == [False] + [True] * 3 + [False] * 3, "the first was named at once"
    assert "broken0.png" in " ".join(at_work.messages())
    assert reason.strip().endswith("And 4 more could not be segmented.")


def test_a_job_that_is_given_up_is_never_shown_as_queued_before(at_work, monkeypatch):
    shown = []
    real = jobs.JobFile._write

    def write(self, state, *rest):
        shown.append(state)
        real(self, state, *rest)

    monkeypatch.setattr(jobs.JobFile, "_write", write)
    file = at_work.send("segment", folder(["a.png"], "projects/p/models/000001_1.pth"))
    (instruction,) = at_work.server._box.take()
    at_work.server._give_up(instruction)
    assert shown == ["failed"] and at_work.settle(file) == "failed"
