"""What the window asks of a trainer, read from the files that it writes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rootpainter_rootfm.painter import exchange
from rootpainter_rootfm.painter.preferences import Preferences
from rootpainter_rootfm.painter.trainer_life import Life
from tests.painter.drawn import NAMES, click, dialogs, pick, ready, said


@pytest.fixture
def window(launcher, library, project, qtbot):
    (project.parent / "models" / "000001_1700000000.pth").write_bytes(b"x")
    (project.parent / "models" / "000002_1700000500.pth").write_bytes(b"x")
    window = launcher.open(project)
    return ready(qtbot, window)


@pytest.fixture
def sent(sync, window):
    """Waits for the next instruction and gives its name and content."""
    folder = sync / "instructions"
    for path in folder.iterdir():
        path.unlink()

    def next_one(qtbot):
        qtbot.waitUntil(lambda: any(exchange.read_json(path) for path in folder.iterdir()), timeout=60_000)
        (path,) = folder.iterdir()
        return path.name.rpartition("_")[0], exchange.read_json(path)

    return next_one


def test_masks_come_with_settings_and_confidence(window, sent, qtbot):
    window.segment_image(["one.png"])
    name, content = sent(qtbot)
    assert name == "segment" and content["rootfm"]["confidence"] is True
    assert content["rootfm"]["settings"]["overlap"] == Preferences().settings.overlap
    assert "model_paths" not in content and content["model_dir"] == "projects/barley/models"


@pytest.mark.parametrize(
    ("chosen", "mine", "asked"),
    [("000001_1700000000.pth", None, 0.3), ("000001_1700000000.pth", 0.6, 0.6), ("000002_1700000500.pth", None, None)],
)
def test_the_copy_that_a_project_begins_with_is_cut_where_its_model_advises(
    window, sent, project, qtbot, chosen, mine, asked
):
    begun = {"rootfm": {"model": {"name": "roots", "sha256": "0" * 64, "threshold": 0.3}}}
    project.write_text(json.dumps(json.loads(project.read_text()) | begun))
    preferences = Preferences()
    preferences.settings = replace(preferences.settings, threshold=mine)
    preferences.set_project_model(project.parent, f"checkpoint:{chosen}")
    window.segment_image(["one.png"])
    assert sent(qtbot)[1]["rootfm"]["settings"].get("threshold") == asked


def test_chosen_checkpoint_is_named(window, sent, project, qtbot):
    Preferences().set_project_model(project.parent, "checkpoint:000001_1700000000.pth")
    window.segment_image(["one.png"])
    assert sent(qtbot)[1]["model_paths"] == ["projects/barley/models/000001_1700000000.pth"]


def test_chosen_library_model_is_put_into_the_sync_folder_first(window, sent, sync, library, project, plugin, qtbot):
    qtbot.waitUntil(lambda: bool(plugin.session.cards), timeout=10_000)
    Preferences().set_project_model(project.parent, f"library:{library.other.name}")
    window.segment_image(["one.png"])
    content = sent(qtbot)[1]
    copy = f"models_rootfm/{library.other.sha256}.pth"
    assert content["model_paths"] == [copy] and (sync / copy).is_file()
    assert content["rootfm"]["model"] == {"name": library.other.name, "sha256": library.other.sha256}


@pytest.fixture
def alive(window, plugin):
    """A trainer of ours answers."""
    plugin.session.trainer._poll.stop()
    plugin.session.trainer.life = Life.ALIVE


def test_again_is_asked_for_where_our_trainer_answers(window, sent, alive, qtbot):
    qtbot.keyClick(window, "R")
    content = sent(qtbot)[1]
    assert content["rootfm"]["again"] is True and content["file_names"] == ["one.png"]


def test_a_wish_from_before_the_library_was_read_is_kept_whole(window, sent, alive, library, project, plugin, qtbot):
    qtbot.waitUntil(lambda: bool(plugin.session.cards), timeout=10_000)
    Preferences().set_project_model(project.parent, f"library:{library.other.name}")
    cards, plugin.session.cards = plugin.session.cards, []
    qtbot.keyClick(window, "R")
    plugin.session.cards = cards
    plugin.session.cards_changed.emit()
    own = sent(qtbot)[1]["rootfm"]
    assert own["again"] is True and own["model"]["name"] == library.other.name


@pytest.mark.parametrize("life", [Life.SILENT, Life.UNKNOWN])
def test_without_any_trainer_the_masks_stay(window, sent, project, plugin, qtbot, life):
    trainer = plugin.session.trainer
    trainer._poll.stop()
    trainer.expected, trainer.life = life is Life.SILENT, life
    pick(qtbot, window, "Network", "Segment images without annotation again")
    content = sent(qtbot)[1]
    assert content["rootfm"]["again"] is True and sorted(content["file_names"]) == sorted(NAMES)
    qtbot.wait(300)
    masks = project.parent / "segmentations"
    assert all((masks / name).exists() for name in NAMES)
    message = window.statusBar().currentMessage()
    assert "new mask of 3 images" in message and ("No trainer answers" in message) is (life is Life.SILENT)


def test_masks_are_not_deleted_unasked_after_a_trainer_of_ours_took_its_leave(window, sent, project, plugin, qtbot):
    trainer = plugin.session.trainer
    trainer._poll.stop()
    trainer.life, trainer.heartbeat = Life.SILENT, exchange.Heartbeat(9, "gpu", 1, "idle", "cuda:0", stopped=True)
    pick(qtbot, window, "Network", "Segment images without annotation again")
    qtbot.waitUntil(said("the old one has to be deleted first"), timeout=10_000)
    dialogs()[0].reject()
    assert all((project.parent / "segmentations" / name).exists() for name in NAMES)


@pytest.fixture
def delete_button(window, sent, plugin, qtbot):
    """Of the question that R asks where no trainer of ours has ever been, and `sent` has nothing yet."""
    qtbot.waitUntil(lambda: plugin.session.trainer.life is Life.SILENT, timeout=10_000)
    qtbot.keyClick(window, "R")
    qtbot.waitUntil(said("the old one has to be deleted first"), timeout=10_000)
    (box,) = dialogs()
    assert box.defaultButton().text() == "Keep the old"
    return next(button for button in box.buttons() if button.text() == "Delete and make anew")


def test_rootpainters_own_trainer_needs_the_old_mask_gone(delete_button, sent, project, qtbot):
    masks = project.parent / "segmentations"
    assert (masks / "one.png").exists()
    click(qtbot, delete_button)
    content = sent(qtbot)[1]
    assert "again" not in content["rootfm"] and not (masks / "one.png").exists()
    assert (masks / "two.png").exists()


def test_mask_that_cannot_be_deleted_is_named(delete_button, sent, project, monkeypatch, qtbot):
    def held(path, missing_ok=False):
        raise PermissionError(13, "used by another process", str(path))

    monkeypatch.setattr(Path, "unlink", held)
    click(qtbot, delete_button)
    qtbot.waitUntil(said("one.png cannot be deleted (used by another process)"), timeout=10_000)
    assert (project.parent / "segmentations" / "one.png").exists()


def test_first_mask_is_asked_for_without_a_question(window, sent, project, plugin, qtbot):
    qtbot.waitUntil(lambda: plugin.session.trainer.life is Life.SILENT, timeout=10_000)
    (project.parent / "segmentations" / "one.png").unlink()
    qtbot.keyClick(window, "R")
    assert sent(qtbot)[1]["file_names"] == ["one.png"] and not said("deleted first")()


def test_all_without_annotation_leaves_the_annotated_out(window, sent, alive, project, qtbot):
    Image.fromarray(np.zeros((96, 128, 4), np.uint8)).save(project.parent / "annotations" / "train" / "two.png")
    pick(qtbot, window, "Network", "Segment images without annotation again")
    assert sorted(sent(qtbot)[1]["file_names"]) == ["one.png", "three.png"]


def test_training_without_an_annotation_says_what_to_do(window, sync, qtbot):
    for path in (sync / "instructions").iterdir():
        path.unlink()
    pick(qtbot, window, "Network", "Start training")
    qtbot.waitUntil(said("No image of this project is annotated"))
    assert not said("to save it")(), "Start training saves it"
    assert not list((sync / "instructions").iterdir())


def test_training_saves_what_was_painted_last(window, sent, project, qtbot):
    window.scene.annot_pixmap.fill(window.scene.foreground_color)
    pick(qtbot, window, "Network", "Start training")
    name, content = sent(qtbot)
    assert name == "start_training" and content["rootfm"]["settings"]["device"] == "auto"
    assert list((project.parent / "annotations").rglob("one.png"))
    assert "(1 Annotated)" in window.nav.nav_label.text()
    assert window.rootfm_project.training.isVisible()


def test_training_of_another_project_is_named(window, plugin, project, monkeypatch, qtbot):
    trainer = plugin.session.trainer
    monkeypatch.setattr(type(trainer), "alive", True)
    trainer.heartbeat = exchange.Heartbeat(1, "lab", 1, "segmenting", "cpu", project="oats", training="oats")
    window.scene.annot_pixmap.fill(window.scene.foreground_color)
    pick(qtbot, window, "Network", "Start training")
    qtbot.waitUntil(said("training the project 'oats'"))
