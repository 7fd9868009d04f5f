"""A new project gets its first model, whoever looks at the file just then, and has images."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace

import pytest
from PIL import Image

from rootpainter_rootfm.painter.project.new_project import FoundationChoice, _Creation
from tests.painter.drawn import dialogs, make_project, ready


def test_model_that_a_virus_scanner_holds_is_moved_a_moment_later(sync, tmp_path, monkeypatch):
    file = make_project(sync, "oats")
    creation = _Creation(SimpleNamespace(folder=sync), None, None, file=tmp_path / "mine.pth")
    creation._ready.parent.mkdir()
    creation._ready.write_bytes(b"a model")
    replace, refusals = os.replace, [PermissionError(13, "held by a scanner")]

    def held_at_first(source, target):
        if refusals:
            raise refusals.pop()
        replace(source, target)

    monkeypatch.setattr(os, "replace", held_at_first)
    creation._complete(file.parent, file)
    (model,) = (file.parent / "models").iterdir()
    assert model.read_bytes() == b"a model" and not refusals
    assert json.loads(file.read_text())["original_model_file"] == str(tmp_path / "mine.pth")


def test_chosen_model_stays_when_the_library_is_read_again(launcher, plugin, library, qtbot):
    launcher.open()
    session = plugin.session
    qtbot.waitUntil(lambda: bool(session.cards), timeout=10_000)
    choice = FoundationChoice(session)
    qtbot.addWidget(choice)
    assert choice.card.name == library.default.name
    choice.models.setCurrentIndex(session.cards.index(library.other))
    choice.models.activated.emit(choice.models.currentIndex())
    session.cards_changed.emit()
    assert choice.card == library.other


@pytest.mark.parametrize("content", ["folder", "bitmap"])
def test_folder_without_images_becomes_no_project(launcher, library, sync, qtbot, content):
    plot = sync / "datasets" / "plot"
    (plot / "sub").mkdir(parents=True)
    if content == "bitmap":
        Image.new("RGB", (50, 50)).save(plot / "a.bmp")
    window = ready(qtbot, launcher.open())
    window.show_create_project_widget()
    form = window.create_project_widget
    form.name_edit_widget.name_edit.setText("meadow")
    form.selected_dir = str(plot)
    form.validate()
    form.create_project_btn.click()
    (box,) = [box for box in dialogs() if "holds no images" in box.text()]
    assert str(plot) in box.informativeText() and form.isVisible()
    assert not list((sync / "projects").iterdir())
