"""What an open project has beyond RootPainter's own: entries in its menus, and the parts behind them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PyQt5 import QtCore, QtWidgets

from ..images import is_image_name
from .choice import checkpoint_title, uses_foundation_model, window_checkpoints
from .exchange import CONFIDENCE
from .fine_tune import FineTunePanel
from .image_list import ImageList
from .models_menu import find_menu
from .project_view import ProjectView
from .requests import ask_again
from .session import Session
from .trainer_life import Life
from .waiting import MaskWait
from .workers import Task

_DOCK_WIDTH = 300
_ROOMY = QtCore.QSize(1000, 720)


class Project(QtCore.QObject):
    """The parts of one project window.

    Attributes:
        view: mask, opacity and uncertainty.
        images: the list of images by uncertainty.
        training: the panel of training.
    """

    def __init__(self, session: Session, window: Any, fallback: QtWidgets.QMenu) -> None:
        super().__init__(window)
        self._session = session
        self._window = window
        self._make_room(window)
        self.view = ProjectView(session, window)
        self.images = self._dock(ImageList(session, window))
        self.images.rest_asked.connect(self._segment_rest)
        self.images.again_asked.connect(lambda names: self._renew(names, _images(len(names))))
        self.training = self._dock(FineTunePanel(session, window))
        window.tabifyDockWidget(self.images, self.training)  # one above the other, neither has the height it needs
        self._wait = MaskWait(session, window)
        self.training.better_model.connect(self._better)
        self.training.segment_again.connect(self.segment_all_again)
        session.training_asked.connect(self._training_asked)
        self._fill_network(find_menu(window, "Network") or fallback)
        self._fill_view(find_menu(window, "View") or fallback)
        if uses_foundation_model(session, window) and not window.seg_visible:
            window.show_hide_seg()  # RootPainter begins without it, and the first mask is what the user waits for

    @staticmethod
    def _make_room(window: Any) -> None:
        """RootPainter opens a project as small as its buttons allow, and wider with every long message."""
        screen = QtWidgets.QApplication.desktop().availableGeometry(window).size()
        window.resize(window.size().expandedTo(_ROOMY.boundedTo(screen * 0.9)))
        label = getattr(window, "messages_label", None)
        if label is not None:
            label.setWordWrap(True)
            label.setAlignment(QtCore.Qt.AlignCenter)
            label.parentWidget().layout().setAlignment(QtCore.Qt.Alignment())  # all the room there is

    def segment_again(self) -> None:
        """A new mask for the image on the screen."""
        self._renew([self._shown()], "this image")

    def segment_all_again(self) -> None:
        """New masks for every image that the user has not annotated; the annotated ones keep theirs."""
        window = self._window
        names, folders = list(window.image_fnames), (window.train_annot_dir, window.val_annot_dir)
        task = Task(lambda cancel, progress: without_annotation(names, tuple(map(Path, folders))))
        task.done.connect(lambda found: self._renew(found, _images(len(found))))
        task.start()

    def _training_asked(self, window: Any) -> None:
        # RootPainter's U-Net tells its progress by messages alone.
        newest = window_checkpoints(window)[:1]
        if window is self._window and newest and newest[0].suffix != ".pkl":
            self.training.show()
            self.training.raise_()

    def _dock(self, dock: QtWidgets.QDockWidget) -> Any:
        window = self._window
        window.addDockWidget(QtCore.Qt.RightDockWidgetArea, dock)
        dock.hide()

        def fit(visible: bool) -> None:
            # Narrow, and the image as large as the rest allows: Qt would share the window in halves.
            if visible:
                window.resizeDocks([dock], [_DOCK_WIDTH], QtCore.Qt.Horizontal)
                QtCore.QTimer.singleShot(0, dock.raise_)  # once Qt knows it among its tabs
            QtCore.QTimer.singleShot(0, window.graphics_view.fit_to_view)

        dock.toggleViewAction().toggled.connect(fit)
        return dock

    def _fill_network(self, menu: QtWidgets.QMenu) -> None:
        menu.addSeparator()
        self._add(menu, "Segment this image again", self.segment_again, "R", "A new mask for this image")
        text = "Segment images without annotation again"
        self._add(menu, text, self.segment_all_again, "", "New masks from the newest model")
        panel = self.training.toggleViewAction()
        panel.setText("Training progress")
        menu.addAction(panel)

    def _fill_view(self, menu: QtWidgets.QMenu) -> None:
        menu.addSeparator()
        self._add(menu, "Toggle uncertainty", self.view.uncertainty.click, "V", "Orange where the model is unsure")
        menu.addAction(self.images.toggleViewAction())

    def _add(self, menu: QtWidgets.QMenu, text: str, act: Callable[[], Any], key: str, tip: str) -> None:
        action = QtWidgets.QAction(text, self._window)
        if key:
            action.setShortcut(key)
        action.setStatusTip(tip)
        action.triggered.connect(lambda: act())
        menu.addAction(action)

    def _shown(self) -> str:
        """The name of the image on the screen."""
        return os.path.basename(self._window.image_path)

    def _say(self, words: str, milliseconds: int = 6000) -> None:
        self._window.statusBar().showMessage(words, milliseconds)

    def _say_asked(self, what: str) -> None:
        wait = " No trainer answers; start one: Models → Trainer…." if self._silent else ""
        self._say(f"Asked for {what}.{wait}")

    @property
    def _silent(self) -> bool:
        trainer = self._session.trainer
        return trainer.life is Life.SILENT and not trainer.starting

    def _segment_rest(self, names: list[str]) -> None:
        self._window.segment_image(names)
        self._say_asked(f"masks of {_images(len(names))}")

    def _renew(self, names: list[str], what: str) -> None:
        if not names:
            self._say("Every image of this project is annotated; their masks stay.")
        elif self._silent and not self._session.trainer.awaited:
            self._ask_unmodified_trainer(names)
            self._say(f"Asked for a new mask of {what}.")
        else:
            ask_again(self._session, self._window, names)
            self._say_asked(f"a new mask of {what}")

    def _ask_unmodified_trainer(self, names: list[str]) -> None:
        """RootPainter's own trainer skips images that have a mask, so the old ones must go first.

        For windows that were told to start no trainer, where none of ours has served, or it took its leave. Ours makes
        a mask anew in its place and learns from the corrected one until then, so for one that is merely away the masks
        must stay.
        """
        folder = Path(self._window.seg_dir)
        task = Task(lambda cancel, progress: remove_masks(folder, names))

        def asked() -> None:
            self._window.update_seg()
            self._window.segment_image(names)

        task.done.connect(lambda _: asked())
        task.start()

    def _better(self, name: str) -> None:
        # Only a trainer of ours tells of its models, so there is one that understands "again".
        ask_again(self._session, self._window, [self._shown()])
        title = checkpoint_title(Path(name))
        self._say(f"A better model was saved ({title}). Asked for a new mask of this image.", 10_000)


def without_annotation(names: list[str], folders: tuple[Path, ...]) -> list[str]:
    """Those of the images that have no annotation in any of the folders."""
    annotated = set()
    for folder in folders:
        if folder.is_dir():
            annotated |= {Path(file).stem for file in os.listdir(folder) if is_image_name(file)}
    return [name for name in names if Path(name).stem not in annotated]


def remove_masks(folder: Path, names: list[str]) -> None:
    """Removes the masks of these images and what is known of the model's confidence in them."""
    for name in names:
        stem = Path(name).stem
        for path in (folder / f"{stem}.png", folder / CONFIDENCE / f"{stem}.png", folder / CONFIDENCE / f"{stem}.json"):
            path.unlink(missing_ok=True)


def _images(count: int) -> str:
    return "one image" if count == 1 else f"{count} images"
