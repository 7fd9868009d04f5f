"""RootPainter's own Segment folder, as far as it needs no trainer: which model is chosen, and that it stays so."""

from pathlib import Path

import pytest
from PyQt5 import QtWidgets

from tests.painter.drawn import pick, ready


@pytest.fixture
def dialog(launcher, plugin, library, qtbot, monkeypatch):
    """The dialog with the library's models, whose copies are there at once."""
    window, session = ready(qtbot, launcher.open()), plugin.session
    qtbot.waitUntil(lambda: bool(session.cards), timeout=10_000)
    monkeypatch.setattr(session, "prepare", lambda card, done, failed: done(Path("/models") / card.name))
    pick(qtbot, window, "Network", "Segment folder")
    return window.segment_folder_widget


def choose(box, title):
    number = box.findText(title)
    box.setCurrentIndex(number)
    box.activated.emit(number)


def test_the_chosen_model_stays_when_the_library_is_read_again(dialog, plugin, library):
    box = dialog.rootfm_models
    assert box.currentData() == library.default
    choose(box, f"Model: {library.other.title}")
    plugin.session.cards_changed.emit()
    assert box.currentData() == library.other and dialog.selected_models == [f"/models/{library.other.name}"]


def test_so_does_a_file(dialog, plugin, monkeypatch):
    monkeypatch.setattr(QtWidgets.QFileDialog, "getOpenFileNames", lambda *_: (["/models/mine.pkl"], ""))
    dialog.select_model()
    plugin.session.cards_changed.emit()
    assert dialog.rootfm_models.currentIndex() == 0 and dialog.selected_models == ["/models/mine.pkl"]
