"""What the window asks for in an open project, with our part in RootPainter's own instructions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from ...errors import ModelError
from ..host import Host, Seam, wrap
from ..models import choice
from ..session import Session, show_failure
from .annotation import saved

PART = "the foundation model's masks in a project"
SEAMS = (
    Seam(PART, "root_painter", "RootPainter", "segment_image", ("image_fnames",)),
    Seam(PART, "root_painter", "RootPainter", "start_training"),
    Seam(PART, "root_painter", "RootPainter", "save_annotation"),
    Seam(PART, "nav", "NavWidget", "update_nav_label"),
)


def install(host: Host, session: Callable[[], Session | None]) -> None:
    """Wraps the two methods by which the window asks the trainer; `session` gives the shared state."""
    owner = host.owner(SEAMS[0])
    wrap(owner, "segment_image", lambda original: _with_choice(session, original))
    wrap(owner, "start_training", lambda original: _with_settings(session, original))


def ask_again(window: Any, names: list[str]) -> None:
    """Masks of these images anew; the old ones stay on the disk until the new ones are there."""
    _ask(window, names, {"again": True})


def ask_batch(window: Any, names: list[str], again: bool = False) -> None:
    """Masks of so many images that the user may want to stop it, by a name that `exchange.batches_owed` finds."""
    _ask(window, names, {"batch": uuid4().hex} | ({"again": True} if again else {}))


def _ask(window: Any, names: list[str], own: dict[str, Any]) -> None:
    window.rootfm_asked = own
    try:
        window.segment_image(names)
    finally:
        window.rootfm_asked = {}


def _with_choice(session: Callable[[], Session | None], original: Callable[..., Any]) -> Callable[..., None]:
    def segment_image(window: Any, image_fnames: list[str]) -> None:
        shared = session()
        if shared is None:
            original(window, image_fnames)
            return
        settings = shared.preferences.settings
        own: dict[str, Any] = {"settings": settings.to_dict(), "confidence": True} | getattr(window, "rootfm_asked", {})
        model = choice.project_library_name(shared, window)
        if model is not None:
            _ask_library(shared, window, original, image_fnames, own, model)
            return
        extra: dict[str, Any] = {"rootfm": own}
        checkpoint = choice.chosen_checkpoint(shared, window)
        if checkpoint is None:
            own |= _begun_with(window)
        else:
            own["settings"] = choice.own_model(window, checkpoint).used_with(settings).to_dict()
            if choice.checkpoint_choice(checkpoint) == choice.project_choice(shared, window):
                extra["model_paths"] = [str(checkpoint)]
        with _adding(window, extra):
            original(window, image_fnames)

    return segment_image


def _ask_library(
    session: Session, window: Any, original: Callable[..., Any], names: list[str], own: dict[str, Any], model: str
) -> None:
    """A library model in a project: its copy must lie in the sync folder before the trainer is asked."""
    try:
        card = session.card(model)
    except ModelError as error:
        if session.cards:
            show_failure(window, "The chosen model is gone", str(error))
        else:
            ask = partial(_ask_library, session, window, original, names, own, model)
            session.cards_changed.connect(_once(session, ask))
        return
    own["model"] = {"name": card.name, "sha256": card.sha256}

    def send(path: Path) -> None:
        with _adding(window, {"rootfm": own, "model_paths": [str(path)]}):
            original(window, names)

    session.prepare(card, send, lambda error: show_failure(window, "This model cannot be used", str(error)))


def _begun_with(window: Any) -> dict[str, Any]:
    """A project that was begun with a foundation model and has lost its models gets that one, not a random U-Net."""
    model = choice.begun_with(window)
    return {} if model is None else {"model": model}


def _with_settings(session: Callable[[], Session | None], original: Callable[..., Any]) -> Callable[..., None]:
    def start_training(window: Any) -> None:
        shared = session()
        if shared is None:
            original(window)
            return
        # What was painted last is saved when the user leaves the image; training needs it now.
        if not saved(window):
            return
        window.nav.update_nav_label()
        refusal = _cannot_train(shared, window)
        if refusal:
            show_failure(window, "Training cannot start yet", refusal)
            return
        own: dict[str, Any] = {"settings": shared.preferences.settings.to_dict()}
        if not choice.window_checkpoints(window):
            own |= _begun_with(window)
        with _adding(window, {"rootfm": own}):
            original(window)
        shared.training_asked.emit(window)

    return start_training


def _cannot_train(session: Session, window: Any) -> str | None:
    """Why training would not begin, in words that lead on; None where it can."""
    annotated = sum(len(list(Path(folder).glob("*.png"))) for folder in (window.train_annot_dir, window.val_annot_dir))
    if not annotated:
        return (
            "No image of this project is annotated. Paint what is root (Q) and what is not (W) where the mask is "
            "wrong, then start again."
        )
    beat = session.trainer.heartbeat
    busy = beat.training if session.trainer.alive and beat is not None else ""
    if busy and busy != Path(window.proj_location).name:
        return f"The trainer is training the project '{busy}'. Open it and choose Network → Stop training first."
    if session.trainer.expected and session.trainer.unanswered:
        return "No trainer answers for this sync folder. Start one: Models → Trainer…."
    return None


@contextmanager
def _adding(window: Any, extra: dict[str, Any]) -> Iterator[None]:
    send = window.send_instruction
    window.send_instruction = lambda name, content: send(name, content | extra)
    try:
        yield
    finally:
        window.send_instruction = send


def _once(session: Session, act: Callable[[], None]) -> Callable[[], None]:
    def call() -> None:
        session.cards_changed.disconnect(call)
        act()

    return call
