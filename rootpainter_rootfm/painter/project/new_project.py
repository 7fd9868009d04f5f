"""Create project: the Root Foundation Model beside Random Weights and Specify Model, and `.pth` files as well."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from PyQt5 import QtWidgets

from ... import files
from ...model.card import ModelCard
from ..exchange import FIRST, MODELS
from ..host import Host, Seam, lacking, wrap
from ..models.box import ModelBox
from ..models.library_process import LibraryProcess
from ..session import Session, show_failure

PART = "the foundation model in Create project"
SEAMS = (
    Seam(PART, "create_project", "CreateProjectWidget", "add_radio_widget"),
    Seam(PART, "create_project", "CreateProjectWidget", "on_radio_clicked"),
    Seam(PART, "create_project", "CreateProjectWidget", "create_project"),
    Seam(PART, "create_project", "CreateProjectWidget", "select_model"),
    Seam(PART, "create_project", "CreateProjectWidget", "validate"),
    Seam(PART, "create_project", "CreateProjectWidget", "created", None),
)
_ATTRIBUTES = ("layout", "model_label", "create_project_btn", "info_label", "use_random_weights", "selected_model")
_NAME = "foundation"


def install(host: Host, session: Callable[[], Session | None]) -> None:
    """Wraps RootPainter's Create project; `session` gives the shared state once a window is open."""
    owner = host.owner(SEAMS[0])
    wrap(owner, "add_radio_widget", lambda original: _with_radio(host, session, original))
    wrap(owner, "select_model", lambda original: _select_model)
    wrap(owner, "create_project", lambda original: _with_model(host, session, original))


class FoundationChoice(QtWidgets.QWidget):
    """The radio button's other half: which library model the project begins with."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.models = ModelBox()
        self._note = QtWidgets.QLabel()
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.models)
        layout.addWidget(self._note)
        session.cards_changed.connect(self._show)
        self.models.currentIndexChanged.connect(self._describe)
        self._show()

    @property
    def card(self) -> ModelCard | None:
        """The chosen model."""
        return self.models.currentData()

    def _show(self) -> None:
        cards, name = self._session.cards, self._session.preferences.model
        wanted = next((card for card in cards if card.name == name), None)
        self.models.offer([(card.title, card) for card in cards], wanted)

    def _describe(self) -> None:
        trained = self.card is None or self.card.trained
        good = "Masks from the first image on; it learns from your corrections."
        self._note.setText(good if trained else "This model has not been trained: its first masks mean nothing.")


def _with_radio(host: Host, session: Callable[[], Session | None], original: Callable[..., Any]) -> Callable[..., None]:
    def add_radio_widget(widget: Any) -> None:
        original(widget)
        shared = session()
        radios = widget.findChildren(QtWidgets.QRadioButton)
        if shared is None or not radios or lacking(widget, ("layout",)):
            return
        radio = QtWidgets.QRadioButton("Root Foundation Model")
        radio.name = _NAME
        radio.toggled.connect(widget.on_radio_clicked)
        radios[0].parentWidget().layout().addWidget(radio)
        widget.foundation = FoundationChoice(shared)
        widget.foundation.setVisible(False)
        widget.foundation_radio = radio
        widget.layout.addWidget(widget.foundation)
        radio.toggled.connect(lambda on: _toggled(host, widget, on))

    return add_radio_widget


def _toggled(host: Host, widget: Any, on: bool) -> None:
    widget.foundation.setVisible(on)
    fault = lacking(widget, _ATTRIBUTES)
    if on and fault:
        show_failure(widget, PART, host.explain(PART, f"{fault} is missing"))
        widget.foundation_radio.setEnabled(False)


def _select_model(widget: Any) -> None:
    # RootPainter's own offers U-Nets only.
    path, _ = QtWidgets.QFileDialog.getOpenFileName(widget, "Specify model file", "", "Model files (*.pkl *.pth)")
    if path:
        widget.selected_model = os.path.abspath(path)
        widget.model_label.setText("Model file: " + widget.selected_model)
        widget.validate()


def _with_model(host: Host, session: Callable[[], Session | None], original: Callable[..., Any]) -> Callable[..., None]:
    def create_project(widget: Any) -> None:
        fault = _without_images(host, widget)
        if fault:
            show_failure(widget, "This folder holds no images for a project", fault)
            return
        shared = session()
        chosen = getattr(widget, "foundation_radio", None)
        specified = None if widget.use_random_weights else str(widget.selected_model or "")
        if shared is not None and chosen is not None and chosen.isChecked():
            card = widget.foundation.card
            if card is None:
                show_failure(
                    widget, "There is no model", "The library is empty. Import a model file in the menu Models."
                )
            else:
                _Creation(shared, widget, original, card=card).begin()
        elif shared is not None and specified and specified.lower().endswith(".pth"):
            _Creation(shared, widget, original, file=Path(specified)).begin()
        else:
            original(widget)

    return create_project


def _without_images(host: Host, widget: Any) -> str:
    """Why there can be no project on the chosen folder; RootPainter would make one that it cannot open."""
    folder = getattr(widget, "selected_dir", None)
    if folder is None:
        return ""
    try:
        found = any(map(host.module("im_utils").is_image, os.listdir(folder)))
    except OSError as error:
        return f"{folder} cannot be listed: {error.strerror or error}."
    return "" if found else f"Choose the folder that holds the PNG, JPEG or TIFF files themselves, not {folder}."


class _Creation:
    """One press of the button: first the model file, then RootPainter's own work, then the word that it is done.

    RootPainter asks for the first mask the moment it hears that the project is there, and a trainer that finds no
    model in it would make a random one.
    """

    def __init__(
        self,
        session: Session,
        widget: Any,
        original: Callable[..., Any],
        card: ModelCard | None = None,
        file: Path | None = None,
    ) -> None:
        self._session = session
        self._widget = widget
        self._original = original
        self._card = card
        self._file = file
        self._ready = session.folder / MODELS / f".{uuid4().hex}.pth"
        self._made = False

    def begin(self) -> None:
        """Puts a copy of the model, checked and readable for every trainer, where it only needs to be renamed."""
        self._widget.create_project_btn.setEnabled(False)
        self._widget.info_label.setText("Preparing the model…")
        if self._card is not None:
            self._session.prepare(self._card, lambda path: self._run("copy", path), self._failed)
        else:
            self._run("convert", self._file)

    def _run(self, verb: str, source: Path) -> None:
        process = LibraryProcess(verb, str(source), str(self._ready))
        process.done.connect(lambda _: self._create())
        process.failed.connect(self._failed)
        process.start()

    def _create(self) -> None:
        widget = self._widget
        if not widget.isVisible():  # closed in the meantime: the user thought better of it
            self._ready.unlink(missing_ok=True)
            return
        project = Path(widget.sync_dir) / widget.project_location
        project_file = project / f"{widget.proj_name}.seg_proj"
        widget.info_label.setText("")
        try:
            self._let_rootpainter_create()
            if not project_file.is_file():
                # RootPainter refused, and has said why.
                self._ready.unlink(missing_ok=True)
                widget.create_project_btn.setEnabled(True)
                return
            self._complete(project, project_file)
        except OSError as error:
            if self._made:
                shutil.rmtree(project, ignore_errors=True)
            self._failed(error)
            return
        widget.created.emit(project_file)

    def _let_rootpainter_create(self) -> None:
        widget = self._widget
        random_before, widget.use_random_weights = widget.use_random_weights, True
        widget.blockSignals(True)
        try:
            self._original(widget)
            self._made = True
        finally:
            widget.blockSignals(False)
            widget.use_random_weights = random_before

    def _complete(self, project: Path, project_file: Path) -> None:
        files.move(self._ready, project / "models" / f"{FIRST}{round(time.time())}.pth")
        described = json.loads(project_file.read_text(encoding="utf-8"))
        if self._card is not None:
            described["original_model_file"] = self._card.title
            # The copy among the project's models has no card that would tell the threshold.
            begun = {"name": self._card.name, "sha256": self._card.sha256, "threshold": self._card.threshold}
            described["rootfm"] = {"model": begun}
        else:
            described["original_model_file"] = str(self._file)
        files.write_text(project_file, json.dumps(described, indent=4))

    def _failed(self, error: Exception) -> None:
        self._ready.unlink(missing_ok=True)
        self._widget.info_label.setText("")
        self._widget.create_project_btn.setEnabled(True)
        show_failure(self._widget, "The project cannot begin with this model", str(error))
