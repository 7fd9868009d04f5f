"""The menu Models: what can be chosen, what is known about it, and that the choice lasts."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from PyQt5 import QtWidgets

from rootpainter_rootfm.painter.choice import checkpoint_title
from rootpainter_rootfm.painter.exchange import Heartbeat
from rootpainter_rootfm.painter.help_window import TEXT
from rootpainter_rootfm.painter.model_details import ModelDetails
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
    library.library.remove(path.stem)


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


def test_checkpoint_is_named_in_full(launcher, plugin, library, project, qtbot):
    (project.parent / "models" / "roots_lab_000001_1700000500.pth").write_bytes(b"x")
    window = ready(qtbot, launcher.open(project))
    pick(qtbot, window, "Models", "Details of this model")
    qtbot.waitUntil(said("Checkpoint roots_lab_000001, 1"), timeout=10_000)
    assert dialogs()[0].windowTitle().startswith("Checkpoint roots_lab_000001, 1")


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
