"""The menu Models: what can be chosen, what is known about it, and that the choice lasts."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from PyQt5 import QtWidgets

from rootpainter_rootfm.painter.exchange import Heartbeat, JobState
from rootpainter_rootfm.painter.help_window import TEXT
from rootpainter_rootfm.painter.models.choice import checkpoint_title
from rootpainter_rootfm.painter.models.details import ModelDetails
from rootpainter_rootfm.painter.models_menu import _how_far
from rootpainter_rootfm.painter.preferences import NEWEST, Preferences
from rootpainter_rootfm.painter.settings_dialog import SettingsDialog
from rootpainter_rootfm.painter.trainer_status import _facts
from tests.painter.drawn import dialogs, entry, pick, ready, said


@pytest.fixture
def window(launcher, plugin, library, qtbot):
    window = launcher.open()
    qtbot.waitUntil(lambda: len(plugin.session.cards) >= 2, timeout=10_000)
    return ready(qtbot, window)


def radio(window, text):
    return entry(window.rootfm_menu.menu.actions(), text)


def test_default_model_is_chosen_at_first(window, library):
    assert radio(window, library.default.title).isChecked()
    assert not radio(window, library.other.title).isChecked()


def test_choice_with_the_mouse_survives_a_restart(window, launcher, library, qtbot):
    pick(qtbot, window, "Models", library.other.title)
    window.close()
    again = launcher.open()
    qtbot.waitUntil(lambda: radio(again, library.other.title).isChecked(), timeout=10_000)
    assert not radio(again, library.default.title).isChecked()


def test_details_tell_licence_training_data_and_weakness(window, library, qtbot):
    pick(qtbot, window, "Models", "Details of this model")
    qtbot.waitUntil(lambda: bool(dialogs(ModelDetails)))
    text = dialogs(ModelDetails)[0].text.toPlainText()
    for part in (library.default.title, library.default.licence, "Where it is weak", "Trained on", "MB"):
        assert part in text


def test_details_begin_with_the_weaknesses_and_end_with_how_it_was_made(library, qtbot):
    notes = "Made by:\n\n- `rootfm train data`\n\n| plot | Dice |\n|---|---|\n| oats | 0.7 |\n\n<b>not HTML</b>"
    card = replace(library.default, weaknesses="Thin roots: try --scale 2.", notes=notes)
    details = ModelDetails(card, None)
    qtbot.addWidget(details)
    text = details.text.toPlainText()
    places = [text.index(part) for part in ("Where it is weak", "Trained on", "Licence", "how it was made", "Made by")]
    assert places == sorted(places) and "Fine roots ×2" in text
    assert "rootfm train data" in text and "`" not in text and "|" not in text and "<b>not HTML</b>" in text


def test_settings_are_kept(window, qtbot):
    pick(qtbot, window, "Models", "Settings")
    (dialog,) = dialogs(SettingsDialog)
    dialog.threshold.setValue(0.35)
    dialog.smallest.setValue(40)
    dialog.fine.click()
    dialog.flips.click()
    dialog.overlap.setValue(25)
    dialog.accept()
    kept = Preferences().settings
    assert (kept.threshold, kept.min_root_pixels, kept.scale, kept.flips, kept.overlap) == (0.35, 40, 2.0, True, 0.25)
    assert SettingsDialog(kept, (), None).settings == kept


def test_settings_that_were_cancelled_are_not_kept(window, qtbot):
    before = Preferences().settings
    pick(qtbot, window, "Models", "Settings")
    (dialog,) = dialogs(SettingsDialog)
    dialog.fine.click()
    dialog.reject()
    assert Preferences().settings == before


def test_help_opens(window, qtbot):
    pick(qtbot, window, "Models", "Help")
    assert any(box.windowTitle() == "Help" for box in dialogs(QtWidgets.QDialog))
    assert "Start training" in TEXT and "One annotated image is enough to begin" in TEXT
    assert "the first is kept" not in TEXT and "later whole images are" in TEXT


def test_damaged_file_is_refused_with_its_cause(window, tmp_path, monkeypatch, qtbot):
    path = tmp_path / "broken.pth"
    path.write_bytes(b"no weights")
    monkeypatch.setattr(QtWidgets.QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
    pick(qtbot, window, "Models", "Import model file")
    qtbot.waitUntil(said("This model cannot be used"), timeout=60_000)
    assert said("broken.pth")()


def test_import_brings_a_model_into_the_menu(window, plugin, library, monkeypatch, qtbot):
    path = library.loose_file
    monkeypatch.setattr(QtWidgets.QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
    before = len(plugin.session.cards)
    pick(qtbot, window, "Models", "Import model file")
    qtbot.waitUntil(lambda: len(plugin.session.cards) == before + 1, timeout=60_000)
    assert radio(window, path.stem)
    assert window.statusBar().currentMessage() == f"It is in the library as {path.name}. Choose it in the menu Models."
    library.library.remove(path.stem)


def test_import_of_known_weights_names_their_entry(window, library, monkeypatch, qtbot):
    path = library.file(library.other)
    monkeypatch.setattr(QtWidgets.QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
    pick(qtbot, window, "Models", "Import model file")
    title = library.other.title
    qtbot.waitUntil(lambda: f"in the library as {title}." in window.statusBar().currentMessage(), timeout=60_000)


def test_verify_finds_a_damaged_file(window, library, qtbot):
    pick(qtbot, window, "Models", library.other.title)
    file = library.file(library.other)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 255
    file.write_bytes(data)
    try:
        pick(qtbot, window, "Models", "Verify this model")
        qtbot.waitUntil(said("This model cannot be used"), timeout=60_000)
    finally:
        data[len(data) // 2] ^= 255
        file.write_bytes(data)


def test_verify_says_that_a_good_file_is_good(window, qtbot):
    pick(qtbot, window, "Models", "Verify this model")
    qtbot.waitUntil(lambda: "complete and unchanged" in window.statusBar().currentMessage(), timeout=60_000)


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("000002_1700000500.pth", r"000002, 1\d Nov 2023 \d\d:\d\d"),
        ("roots_lab_000001_1700000500.pkl", r"roots_lab_000001, 1\d Nov 2023 \d\d:\d\d \(U-Net\)"),
        ("roots_lab.pth", "roots_lab"),
        ("fold_3.pth", "fold_3"),
        ("roots_2024111512.pth", "roots_2024111512"),
        ("000003_2024111512.pth", "000003_2024111512"),
    ],
)
def test_checkpoints_can_be_told_apart_whatever_they_are_called(name, title):
    assert re.fullmatch(title, checkpoint_title(Path(name)))


def test_project_offers_its_checkpoints_and_its_choice_is_its_own(launcher, plugin, library, project, qtbot):
    for name in ("000001_1700000000.pth", "000002_1700000500.pth"):
        (project.parent / "models" / name).write_bytes(b"x")
    window = launcher.open(project)
    qtbot.waitUntil(lambda: len(plugin.session.cards) >= 2, timeout=10_000)
    assert radio(window, "Newest of this project (000002").isChecked()
    pick(qtbot, window, "Models", "000001")
    kept = Preferences()
    assert kept.project_model(project.parent) == "checkpoint:000001_1700000000.pth"
    assert kept.model == library.default.name
    assert kept.project_model(project.parent.parent / "another") == NEWEST
    said = window.statusBar().currentMessage()
    assert said.startswith("000001, 1") and said.endswith("from now on; press R to see it on this image.")


def test_new_settings_say_how_to_see_them_in_a_project(launcher, plugin, library, project, qtbot):
    window = ready(qtbot, launcher.open(project))
    pick(qtbot, window, "Models", "Settings")
    (dialog,) = dialogs(SettingsDialog)
    dialog.accept()
    assert "press R to see them on this image" in window.statusBar().currentMessage()


def test_checkpoint_is_named_in_full(launcher, plugin, library, project, qtbot):
    (project.parent / "models" / "roots_lab_000001_1700000500.pth").write_bytes(b"x")
    window = ready(qtbot, launcher.open(project))
    pick(qtbot, window, "Models", "Details of this model")
    qtbot.waitUntil(said("Checkpoint roots_lab_000001, 1"), timeout=10_000)
    assert dialogs()[0].windowTitle().startswith("Checkpoint roots_lab_000001, 1")


def test_checkpoint_that_the_project_began_with_is_no_better_one(launcher, plugin, library, project, qtbot):
    begun = {"rootfm": {"model": {"name": library.other.name, "sha256": library.other.sha256}}}
    project.write_text(json.dumps(json.loads(project.read_text()) | begun))
    models = project.parent / "models"
    (models / "000001_1700000000.pth").write_bytes(b"x")
    window = ready(qtbot, launcher.open(project))
    qtbot.waitUntil(lambda: len(plugin.session.cards) >= 2, timeout=10_000)
    pick(qtbot, window, "Models", "Details of this model")
    qtbot.waitUntil(lambda: bool(dialogs(ModelDetails)), timeout=10_000)
    assert dialogs(ModelDetails)[0].windowTitle() == library.other.title and not dialogs()
    dialogs(ModelDetails)[0].close()
    (models / "000002_1700000500.pth").write_bytes(b"x")
    pick(qtbot, ready(qtbot, window), "Models", "Details of this model")
    qtbot.waitUntil(said("did better on this project's validation annotations"), timeout=10_000)


def test_first_checkpoint_without_a_card_is_what_the_project_began_with(launcher, plugin, library, project, qtbot):
    (project.parent / "models" / "000001_1700000000.pth").write_bytes(b"x")
    window = ready(qtbot, launcher.open(project))
    pick(qtbot, window, "Models", "Details of this model")
    qtbot.waitUntil(said("It is what the project began with."), timeout=10_000)
    assert not said("did better")()


@pytest.mark.parametrize("entry_text", ["Details of this model", "Verify this model"])
def test_project_whose_library_model_was_removed_is_told_so(launcher, plugin, library, project, qtbot, entry_text):
    window = ready(qtbot, launcher.open(project))
    qtbot.waitUntil(lambda: bool(plugin.session.cards), timeout=10_000)
    Preferences().set_project_model(project.parent, "library:removed")
    pick(qtbot, window, "Models", entry_text)
    qtbot.waitUntil(said("The model 'removed' is not in the library"), timeout=10_000)


def test_what_a_u_net_needs_is_said_so_that_it_works():
    beat = Heartbeat(1, "lab", 1, "idle", "cpu")
    trainer = SimpleNamespace(folder="sync", heartbeat=beat, alive=True, running=False)
    assert any("pip install '.[unet]'" in fact for fact in _facts(trainer))


def test_jobs_menu_tells_failed_images_from_made_masks():
    failed = tuple((f"{number}.png", "broken") for number in range(3))
    assert _how_far(JobState("1", "done", 5, 5, failed=failed)) == "done, 2 of 5, 3 failed"
    assert _how_far(JobState("1", "running", 2, 5)) == "running, 2 of 5"
