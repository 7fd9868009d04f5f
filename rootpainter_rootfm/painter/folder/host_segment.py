"""RootPainter's own Segment folder: library models as a choice, and a bar that ends even when images fail."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

from PyQt5 import QtCore, QtWidgets

from ...files import is_there
from .. import exchange
from ..host import Host, Seam, lacking, wrap
from ..models.box import ModelBox
from ..session import Session, show_failure
from ..workers import Poll

PART = "the foundation model in RootPainter's Segment folder"
SEAMS = (
    Seam(PART, "segment_folder", "SegmentFolderWidget", "initUI"),
    Seam(PART, "segment_folder", "SegmentFolderWidget", "segment_folder"),
    Seam(PART, "segment_folder", "SegmentFolderWidget", "select_model"),
    Seam(PART, "segment_folder", "SegmentFolderWidget", "validate"),
)
_ATTRIBUTES = ("selected_models", "model_label", "submit_btn", "info_label", "input_dir", "output_dir")
_LOOK_EVERY = 1.0
_PATIENCE = 3
"""Looks without a sign of the instruction before a bar is ended: a synchronised file may be late."""


def install(host: Host, session: Callable[[], Session | None]) -> None:
    """Wraps RootPainter's Segment folder; `session` gives the shared state once a window is open."""
    owner = host.owner(SEAMS[0])
    module = host.module("segment_folder")
    wrap(owner, "initUI", lambda original: _with_models(host, session, original))
    wrap(owner, "select_model", _with_pth)
    wrap(owner, "segment_folder", lambda original: _with_end(module, session, original))


def _with_models(
    host: Host, session: Callable[[], Session | None], original: Callable[..., Any]
) -> Callable[..., None]:
    def init_ui(widget: Any) -> None:
        original(widget)
        shared = session()
        if shared is None:
            return
        fault = lacking(widget, _ATTRIBUTES)
        if fault:
            show_failure(widget, PART, host.explain(PART, f"{fault} is missing"))
            return
        widget.rootfm_model = None
        widget.rootfm_models = _ModelBox(shared, widget)
        layout = widget.layout()
        layout.insertWidget(layout.indexOf(widget.model_label), widget.rootfm_models)

    return init_ui


class _ModelBox(ModelBox):
    """Library models, or a file as before."""

    def __init__(self, session: Session, widget: Any) -> None:
        super().__init__()
        self._session = session
        self._widget = widget
        session.cards_changed.connect(self._fill)
        self.activated.connect(self._take)
        self._fill()

    def choose_file(self) -> None:
        """A file is chosen elsewhere, and stays chosen."""
        self.setCurrentIndex(0)
        self._choose()

    def _fill(self) -> None:
        before, first = self.currentData(), not self.count()
        cards, name = self._session.cards, self._session.preferences.model
        wanted = next((card for card in cards if card.name == name), None)
        self.offer([("Model: choose a file…", None), *((f"Model: {card.title}", card) for card in cards)], wanted)
        if first or self.currentData() != before:
            self._take()

    def _take(self) -> None:
        widget, card = self._widget, self.currentData()
        widget.rootfm_model = card
        if card is None:
            widget.selected_models = []
            widget.model_label.setText("Model file: Not yet specified")
            widget.validate()
            return
        widget.selected_models = []
        widget.model_label.setText("Preparing the model…")
        widget.validate()

        def ready(path: Path) -> None:
            if self.currentData() == card:
                widget.selected_models = [str(path)]
                widget.model_label.setText(f"Model file: {path.name[:12]}… ({card.title})")
                widget.validate()

        def failed(error: Exception) -> None:
            show_failure(widget, "This model cannot be used", str(error))
            self.setCurrentIndex(0)
            self._take()

        self._session.prepare(card, ready, failed)


def _with_pth(original: Callable[..., Any]) -> Callable[..., None]:
    def select_model(widget: Any) -> None:
        paths, _ = QtWidgets.QFileDialog.getOpenFileNames(widget, "Specify model file", "", "Model files (*.pkl *.pth)")
        if not paths:
            return
        widget.selected_models = [os.path.abspath(path) for path in paths]
        one = len(paths) == 1
        text = f"Model file: {widget.selected_models[0]}" if one else f"{len(paths)} model files selected"
        widget.model_label.setText(text)
        widget.rootfm_model = None
        if hasattr(widget, "rootfm_models"):
            widget.rootfm_models.choose_file()
        widget.validate()

    return select_model


def _with_end(
    module: ModuleType, session: Callable[[], Session | None], original: Callable[..., Any]
) -> Callable[..., None]:
    def segment_folder(widget: Any) -> None:
        shared = session()
        if shared is None:
            original(widget)
            return
        refusal = _refusal(shared, widget)
        if refusal:
            show_failure(widget, "This folder cannot be segmented", refusal)
            return
        with _sending(module, shared, widget) as sent:
            original(widget)
        progress = getattr(widget, "progress_widget", None)
        if sent and progress is not None and lacking(progress, ("watch_thread.total_images", "done")) is None:
            progress.rootfm_end = _BarEnd(shared, progress, sent)

    return segment_folder


def _refusal(session: Session, widget: Any) -> str | None:
    folder = os.path.abspath(session.folder)
    for path in (widget.input_dir, widget.output_dir, *widget.selected_models):
        # RootPainter itself makes a path relative by taking the letters of the sync folder from it.
        if exchange.inside(session.folder, Path(path)) is None or folder not in os.path.abspath(path):
            return (
                f"{path} is outside the sync folder {session.folder}, where a trainer cannot reach it. Move it there, "
                "or use Models → Segment folder with this model…, which a trainer on this computer can do anywhere."
            )
    return None


@contextmanager
def _sending(module: ModuleType, session: Session, widget: Any) -> Iterator[list[tuple[str, dict[str, Any], Path]]]:
    """While RootPainter sends, every instruction gets our part; yields what was sent: job, content, file."""
    send = module.send_instruction
    sent: list[tuple[str, dict[str, Any], Path]] = []

    def with_ours(name: str, content: dict[str, Any], *places: Any) -> Any:
        own: dict[str, Any] = {"job": uuid4().hex, "settings": session.preferences.settings.to_dict()}
        if getattr(widget, "rootfm_model", None) is not None:
            own["model"] = {"name": widget.rootfm_model.name, "sha256": widget.rootfm_model.sha256}
        folder = session.folder / "instructions"
        before = set(os.listdir(folder))
        answer = send(name, content | {"rootfm": own}, *places)
        new = sorted(set(os.listdir(folder)) - before)
        sent.append((own["job"], content, folder / (new[0] if new else name)))
        return answer

    module.send_instruction = with_ours
    try:
        yield sent
    finally:
        module.send_instruction = send


class _BarEnd(QtCore.QObject):
    """Ends RootPainter's bar when the trainer is through, with a list of what has no mask and why.

    RootPainter itself waits until there are as many masks as images, for ever where one image cannot be read.
    """

    def __init__(self, session: Session, progress: Any, sent: list[tuple[str, dict[str, Any], Path]]) -> None:
        super().__init__(progress)
        self._session = session
        self._progress = progress
        self._sent = sent
        self._gone = 0
        self._poll = Poll(self._look, _LOOK_EVERY, self)
        self._poll.seen.connect(self._see)
        self._poll.start()
        progress.watch_thread.done.connect(self._poll.stop)

    def _look(self) -> tuple[bool, bool, list[str]]:
        """In a thread: whether our trainer says it is through, whether the files are taken, and what has no mask."""
        states = [exchange.read_job(Path(content["seg_dir"])) for _, content, _ in self._sent]
        ours = [state for state, (job, _, _) in zip(states, self._sent, strict=True) if state and state.job == job]
        taken = not any(is_there(file) for _, _, file in self._sent)
        ended = len(ours) == len(self._sent) and all(state.ended for state in ours)
        causes = {name: cause for state in ours for name, cause in state.failed}
        missing = [fault for _, content, _ in self._sent for fault in _without_mask(content, causes)]
        return ended, taken and not ours, missing

    def _see(self, found: tuple[bool, bool, list[str]]) -> None:
        ended, taken, missing = found
        # An unmodified trainer keeps the instruction until it is through with it, and writes no state.
        self._gone = self._gone + 1 if taken and not self._session.trainer.alive else 0
        if not ended and self._gone < _PATIENCE:
            return
        self._poll.stop()
        thread = self._progress.watch_thread
        if missing and thread.isRunning():
            thread.done.disconnect()
            thread.total_images = 0  # its loop ends at the next look
            self._progress.done(missing)


def _without_mask(content: dict[str, Any], causes: dict[str, str]) -> list[str]:
    folder = Path(content["seg_dir"])
    made = {Path(name).stem for name in (os.listdir(folder) if is_there(folder) else ())}
    names = [name for name in content["file_names"] if Path(name).stem not in made]
    return [f"{name}: {causes.get(name, 'no mask was made; the image may not be readable')}" for name in names]
