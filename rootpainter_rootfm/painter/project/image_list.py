"""The images of a project, those first in which the model is least sure: that is where a correction helps most."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PyQt5 import QtCore, QtGui, QtWidgets

from ..exchange import batches_owed
from ..models.choice import uses_foundation_model
from ..session import Session
from ..workers import Poll
from .image_rows import ImageRows, Row

_LOOK_EVERY = 3.0
_NAME = QtCore.Qt.UserRole
_MOVED_SINGLY = 200
"""More changed rows than that, and the list is filled anew."""


class ImageList(QtWidgets.QDockWidget):
    """The list at the side of the window; a click goes to the image."""

    rest_asked = QtCore.pyqtSignal(list)
    """The names of the images that have no mask."""
    again_asked = QtCore.pyqtSignal(list)
    """The names of the images that need a new mask."""
    stop_asked = QtCore.pyqtSignal()
    """No further masks of those are wanted."""

    def __init__(self, session: Session, window: Any) -> None:
        super().__init__("Images by uncertainty", window)
        self.setObjectName("rootfm_images")
        self.setCursor(QtCore.Qt.ArrowCursor)
        self._session = session
        self._window = window
        folders = (Path(window.train_annot_dir), Path(window.val_annot_dir))
        self._masks = Path(window.seg_dir)
        self._images = ImageRows(self._masks, folders)
        self._rows: list[Row] = []
        self._being_made = False
        self._current: QtWidgets.QTreeWidgetItem | None = None
        self.list = QtWidgets.QTreeWidget()
        self.list.setHeaderLabels(["Image", "Unsure", ""])
        self.list.setRootIsDecorated(False)
        self.list.setUniformRowHeights(True)
        self.list.setFocusPolicy(QtCore.Qt.NoFocus)
        self.list.header().setStretchLastSection(False)
        self.list.header().setResizeContentsPrecision(0)  # what is seen is measured, not a thousand rows
        self.list.header().setSectionResizeMode(0, QtWidgets.QHeaderView.Stretch)
        self.list.header().setSectionResizeMode(1, QtWidgets.QHeaderView.ResizeToContents)
        self.list.header().setSectionResizeMode(2, QtWidgets.QHeaderView.ResizeToContents)
        self.list.itemClicked.connect(self._go)
        self.note = QtWidgets.QLabel()
        self.note.setWordWrap(True)
        self.rest_button = self._button("Segment the rest", lambda: self.rest_asked.emit(self._without_mask()))
        self.again_button = self._button("Make these anew", lambda: self.again_asked.emit(self._unmeasured()))
        self.stop_button = self._button("Stop", self.stop_asked.emit)
        inner = QtWidgets.QWidget()
        layout = QtWidgets.QVBoxLayout(inner)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addWidget(self.list)
        layout.addWidget(self.note)
        layout.addWidget(self.rest_button)
        layout.addWidget(self.again_button)
        layout.addWidget(self.stop_button)
        self.setWidget(inner)
        self.setMinimumWidth(250)
        self._poll = Poll(self._look, _LOOK_EVERY, self)
        self._poll.seen.connect(self._show)
        self.visibilityChanged.connect(lambda seen: self._poll.start() if seen else self._poll.stop())

    def _button(self, text: str, act: Callable[[], None]) -> QtWidgets.QPushButton:
        button = QtWidgets.QPushButton(text)
        button.setFocusPolicy(QtCore.Qt.NoFocus)
        button.clicked.connect(lambda: (act(), self._poll.now()))
        button.hide()  # until it is known which images it is for
        return button

    def _look(self) -> tuple[list[Row], bool]:
        """In a thread: the images, and whether masks of many of them are asked for and not made yet."""
        rows = self._images.look(list(self._window.image_fnames))
        try:
            return rows, bool(batches_owed(self._session.folder, self._masks))
        except OSError:
            return rows, self._being_made

    def _without_mask(self) -> list[str]:
        return [row.name for row in self._rows if not row.masked]

    def _unmeasured(self) -> list[str]:
        return [row.name for row in self._rows if row.unmeasured]

    def _show(self, found: tuple[list[Row], bool]) -> None:
        rows, being_made = found
        if rows != self._rows or being_made != self._being_made:
            self._show_rows(rows)
            self._rows, self._being_made = rows, being_made
            self._show_missing()
        self._mark()

    def _show_missing(self) -> None:
        """Says what is not in the order, and offers to make up for it, or to stop that."""
        waiting, unmeasured = len(self._without_mask()), len(self._unmeasured())
        note = _note(waiting, unmeasured, len(self._rows))
        doing = "Masks wait for a trainer." if self._session.trainer.unanswered else "Masks are being made."
        self.note.setText(f"{doing} {note}" if self._being_made else note)
        idle = not self._being_made
        self.stop_button.setVisible(self._being_made)
        self.rest_button.setVisible(idle and waiting > 0)
        # A U-Net does not tell how sure it is, however often it is asked.
        self.again_button.setVisible(idle and unmeasured > 0 and uses_foundation_model(self._session, self._window))

    def _show_rows(self, found: list[Row]) -> None:
        """Takes out the rows that have changed and puts them where they belong now; the others stay in their order."""
        before = set(self._rows)
        changed = [place for place, row in enumerate(found) if row not in before]
        if len(changed) > _MOVED_SINGLY or len(found) != len(self._rows):
            self._current = None
            self.list.clear()
            self.list.addTopLevelItems([_item(row) for row in found])
            return
        after = set(found)
        for place in reversed(range(len(self._rows))):
            if self._rows[place] not in after:
                self.list.takeTopLevelItem(place)
        for place in changed:
            self.list.insertTopLevelItem(place, _item(found[place]))

    def _mark(self) -> None:
        """The image on the screen is bold."""
        name = os.path.basename(self._window.image_path)
        place = next((place for place, row in enumerate(self._rows) if row.name == name), -1)
        item = self.list.topLevelItem(place)
        if item is self._current:
            return
        for changed, bold in ((self._current, False), (item, True)):
            if changed is not None:
                font = self.list.font()
                font.setBold(bold)
                changed.setFont(0, font)
        self._current = item

    def _go(self, item: QtWidgets.QTreeWidgetItem) -> None:
        window = self._window
        path = os.path.join(window.dataset_dir, item.data(0, _NAME))
        if os.path.abspath(path) == os.path.abspath(window.image_path):
            return
        # As RootPainter's own metrics plot does; the annotation of the image that is left is saved on the way.
        window.nav.image_path = path
        window.update_file(path)
        window.nav.update_nav_label()
        self._poll.now()


def _note(waiting: int, unmeasured: int, total: int) -> str:
    sentences = []
    if waiting:
        sentences.append(f"{waiting} of {total} images have no mask yet and are not ordered.")
    if unmeasured:
        made = "One mask was" if unmeasured == 1 else f"{unmeasured} masks were"
        sentences.append(f"{made} made without a measure of uncertainty and cannot be ordered.")
    return " ".join(sentences) or "Correct from the top: there the model learns most."


def _item(row: Row) -> QtWidgets.QTreeWidgetItem:
    share = "" if row.uncertain is None else f"{row.uncertain:.1%}"
    item = QtWidgets.QTreeWidgetItem([row.name, share, "✓" if row.annotated else ""])
    item.setData(0, _NAME, row.name)
    item.setToolTip(0, row.name)
    item.setToolTip(1, "Share of the image in which the model is unsure")
    item.setToolTip(2, "annotated" if row.annotated else "")
    item.setTextAlignment(1, QtCore.Qt.AlignRight)
    if row.uncertain is None:
        item.setForeground(0, QtGui.QBrush(QtGui.QColor("gray")))
    return item
