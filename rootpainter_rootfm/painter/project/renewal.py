"""New masks for images of an open project: asked for by its user, or because a better model was saved."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PyQt5 import QtCore

from ...errors import HostError
from ...files import is_there
from ...images import is_image_name
from ..exchange import CONFIDENCE, stop_batches
from ..models.choice import checkpoint_title, instead_of_newest
from ..session import Session, ask, show_failure
from ..workers import Task
from .annotation import saved
from .requests import ask_again, ask_batch

_KEPT = "This image is annotated and keeps its mask; R makes a new one."
"""Training takes the mask of an annotated image, where nothing is painted, for seen and right."""
_STOPPED = "No further masks are made. Those that are made stay."


class MaskRenewal(QtCore.QObject):
    """Asks for the masks of one project window, and says what was asked for."""

    def __init__(self, session: Session, window: Any) -> None:
        super().__init__(window)
        self._session = session
        self._window = window

    def this(self) -> None:
        """A new mask for the image on the screen."""
        self._renew([self._shown()], "this image")

    def all_without_annotation(self) -> None:
        """New masks for every image that the user has not annotated; the annotated ones keep theirs."""
        if saved(self._window):  # the one on the screen may be among them
            self._without_annotation(list(self._window.image_fnames), self.these)

    def these(self, names: list[str]) -> None:
        """New masks for these images."""
        self._renew(names, _images(len(names)), batch=True)

    def rest(self, names: list[str]) -> None:
        """First masks for images that have none."""
        ask_batch(self._window, names)
        self._say_asked(f"masks of {_images(len(names))}")

    def stop(self) -> None:
        """Ends what `these` and `rest` asked for; masks that are made stay, and the one shown is still waited for."""
        folder, masks = self._session.folder, Path(self._window.seg_dir)
        task = Task(lambda cancel, progress: stop_batches(folder, masks))
        task.done.connect(lambda count: self._say(_STOPPED if count else "No masks are being made."))
        task.failed.connect(lambda error: show_failure(self._window, "This could not be stopped", str(error)))
        task.start()

    def better_model(self, name: str) -> None:
        """A checkpoint was saved: its mask of the image on the screen is asked for, unless that is annotated."""
        title = checkpoint_title(Path(name))
        chosen = instead_of_newest(self._session, self._window)
        if chosen is not None:
            self._say_better(title, f"Choose it in Models to use it: {chosen} makes the masks.")
        elif len(self._window.scene.history) > 1:  # strokes, which may not be saved yet
            self._say_better(title, _KEPT)
        else:
            self._without_annotation([self._shown()], lambda found: self._renew_by_better(title, found))

    def _renew_by_better(self, title: str, names: list[str]) -> None:
        if not names:
            self._say_better(title, _KEPT)
            return
        # Only a trainer of ours tells of its models, so there is one that understands "again".
        ask_again(self._window, names)
        self._say_better(title, "Asked for a new mask of this image.")

    def _renew(self, names: list[str], what: str, batch: bool = False) -> None:
        if not names:
            self._say("Every image of this project is annotated; their masks stay.")
        elif self._session.trainer.unanswered and not self._session.trainer.awaited:
            self._ask_unmodified_trainer(names, what)
        else:
            if batch:
                ask_batch(self._window, names, again=True)
            else:
                ask_again(self._window, names)
            self._say_asked(f"a new mask of {what}")

    def _ask_unmodified_trainer(self, names: list[str], what: str) -> None:
        """RootPainter's own trainer skips images that have a mask, so the old ones must go first.

        For windows that were told to start no trainer, where none of ours serves or is awaited. Ours makes a mask anew
        in its place and learns from the corrected one until then, so for one that is away the masks must stay.
        """
        folder = Path(self._window.seg_dir)
        task = Task(lambda cancel, progress: any(is_there(folder / f"{Path(name).stem}.png") for name in names))
        task.done.connect(lambda there: (self._offer_to_delete if there else self._ask_first)(names, what))
        task.start()

    def _offer_to_delete(self, names: list[str], what: str) -> None:
        text = f"To make a new mask of {what}, the old one has to be deleted first."
        more = (
            "No trainer of this program serves this sync folder, and RootPainter's own makes a mask only where "
            "there is none. If that one does not run either, no new mask comes."
        )
        ask(self._window, text, more, "Delete and make anew", "Keep the old", lambda: self._delete(names, what))

    def _delete(self, names: list[str], what: str) -> None:
        folder = Path(self._window.seg_dir)
        task = Task(lambda cancel, progress: remove_masks(folder, names))

        def failed(error: Exception) -> None:
            self._ask_first(names, what)  # masks that are gone already are wanted
            show_failure(self._window, "An old mask could not be deleted", str(error))

        task.done.connect(lambda _: self._ask_first(names, what))
        task.failed.connect(failed)
        task.start()

    def _ask_first(self, names: list[str], what: str) -> None:
        """For masks as if there had been none."""
        self._window.update_seg()
        self._window.segment_image(names)
        self._say(f"Asked for a new mask of {what}.")

    def _without_annotation(self, names: list[str], then: Callable[[list[str]], None]) -> None:
        folders = Path(self._window.train_annot_dir), Path(self._window.val_annot_dir)
        task = Task(lambda cancel, progress: without_annotation(names, folders))
        task.done.connect(then)
        task.failed.connect(lambda error: show_failure(self._window, "The annotations cannot be looked at", str(error)))
        task.start()

    def _shown(self) -> str:
        """The name of the image on the screen."""
        return os.path.basename(self._window.image_path)

    def _say(self, words: str, milliseconds: int = 6000) -> None:
        self._window.statusBar().showMessage(words, milliseconds)

    def _say_asked(self, what: str) -> None:
        wait = " No trainer answers; start one: Models → Trainer…." if self._session.trainer.unanswered else ""
        self._say(f"Asked for {what}.{wait}")

    def _say_better(self, title: str, then: str) -> None:
        self._say(f"A better model was saved ({title}). {then}", 10_000)


def without_annotation(names: list[str], folders: tuple[Path, ...]) -> list[str]:
    """Those of the images that have no annotation in any of the folders.

    Raises:
        OSError: a folder cannot be reached; nobody knows then which images are annotated.
    """
    annotated = set()
    for folder in folders:
        annotated |= {Path(file).stem for file in os.listdir(folder) if is_image_name(file)}
    return [name for name in names if Path(name).stem not in annotated]


def remove_masks(folder: Path, names: list[str]) -> None:
    """Removes the masks of these images and what is known of the model's confidence in them.

    Raises:
        HostError: one cannot be removed; those before it are gone.
    """
    for name in names:
        stem = Path(name).stem
        for path in (folder / f"{stem}.png", folder / CONFIDENCE / f"{stem}.png", folder / CONFIDENCE / f"{stem}.json"):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise HostError(
                    f"{path} cannot be deleted ({error.strerror or error}). Close the program that shows it, then ask "
                    "again for new masks."
                ) from error


def _images(count: int) -> str:
    return "one image" if count == 1 else f"{count} images"
