"""The images of a project, those first in which the model is least sure: that is where a correction helps most."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PyQt5 import QtCore, QtGui, QtWidgets

from . import exchange
from .session import Session
from .workers import Poll

_LOOK_EVERY = 3.0
_NAME = QtCore.Qt.UserRole


@dataclass(frozen=True)
class Row:
    """One image of the project.

    Attributes:
        name: its file name.
        uncertain: the share of its pixels in which the model is unsure, 0..1; None before it was segmented.
        annotated: whether the user has painted on it.
    """

    name: str
    uncertain: float | None
    annotated: bool


def rows(names: list[str], mask_folder: Path, annotation_folders: tuple[Path, ...]) -> list[Row]:
    """All images, the least sure first, those without a mask last; for a thread, it reads one small file an image."""
    annotated = {Path(file).stem for folder in annotation_folders for file in _listing(folder)}
    known = {Path(file).stem for file in _listing(mask_folder / exchange.CONFIDENCE) if file.endswith(".json")}
    found = []
    for name in names:
        stem = Path(name).stem
        described = exchange.read_json(mask_folder / exchange.CONFIDENCE / f"{stem}.json") if stem in known else {}
        share = described.get("uncertain")
        found.append(Row(name, float(share) if isinstance(share, int | float) else None, stem in annotated))
    return sorted(found, key=lambda row: (row.uncertain is None, -(row.uncertain or 0), row.name))


class ImageList(QtWidgets.QDockWidget):
    """The list at the side of the window; a click goes to the image."""

    def __init__(self, session: Session, window: Any) -> None:
        super().__init__("Images by uncertainty", window)
        self.setObjectName("rootfm_images")
        self.setCursor(QtCore.Qt.ArrowCursor)
        self._window = window
        self._rows: list[Row] = []
        self.list = QtWidgets.QTreeWidget()
        self.list.setHeaderLabels(["Image", "Unsure", ""])
        self.list.setRootIsDecorated(False)
        self.list.setUniformRowHeights(True)
        self.list.setFocusPolicy(QtCore.Qt.NoFocus)
        self.list.header().setStretchLastSection(False)
        self.list.header().setSectionResizeMode(0, QtWidgets.QHeaderView.Stretch)
        self.list.header().setSectionResizeMode(1, QtWidgets.QHeaderView.ResizeToContents)
        self.list.header().setSectionResizeMode(2, QtWidgets.QHeaderView.ResizeToContents)
        self.list.itemClicked.connect(self._go)
        self.note = QtWidgets.QLabel()
        self.note.setWordWrap(True)
        self.rest_button = QtWidgets.QPushButton("Segment the rest")
        self.rest_button.setFocusPolicy(QtCore.Qt.NoFocus)
        self.rest_button.clicked.connect(lambda: window.segment_image(self._without_mask()))
        self.rest_button.hide()  # until it is known which these are
        inner = QtWidgets.QWidget()
        layout = QtWidgets.QVBoxLayout(inner)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addWidget(self.list)
        layout.addWidget(self.note)
        layout.addWidget(self.rest_button)
        self.setWidget(inner)
        self.setMinimumWidth(250)
        self._poll = Poll(self._look, _LOOK_EVERY, self)
        self._poll.seen.connect(self._show)
        self.visibilityChanged.connect(lambda seen: self._poll.start() if seen else self._poll.stop())

    def _look(self) -> list[Row]:
        window = self._window
        folders = (Path(window.train_annot_dir), Path(window.val_annot_dir))
        return rows(list(window.image_fnames), Path(window.seg_dir), folders)

    def _without_mask(self) -> list[str]:
        return [row.name for row in self._rows if row.uncertain is None]

    def _show(self, found: list[Row]) -> None:
        current = os.path.basename(self._window.image_path)
        if found != self._rows or self.list.topLevelItemCount() != len(found):
            self._rows = found
            self.list.clear()
            self.list.addTopLevelItems([_item(row) for row in found])
        for index, row in enumerate(found):
            font = self.list.font()
            font.setBold(row.name == current)
            self.list.topLevelItem(index).setFont(0, font)
        waiting = len(self._without_mask())
        self.note.setText(
            f"{waiting} of {len(found)} images have no mask yet and are not ordered."
            if waiting
            else "Correct from the top: there the model learns most."
        )
        self.rest_button.setVisible(waiting > 0)

    def _go(self, item: QtWidgets.QTreeWidgetItem) -> None:
        window = self._window
        path = os.path.join(window.dataset_dir, item.data(0, _NAME))
        if os.path.abspath(path) == os.path.abspath(window.image_path):
            return
        # As RootPainter's own metrics plot does; the annotation of the image that is left is saved on the way.
        window.nav.image_path = path
        window.nav.update_nav_label()
        window.update_file(path)
        self._poll.now()


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


def _listing(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
