"""The mask on the screen: as opaque as wanted, with the uncertainty over it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PyQt5 import QtCore, QtGui, QtWidgets

from ...files import Stamp, stamp
from .. import exchange
from ..session import Session
from ..workers import Poll, Task

NEEDS = (
    "seg_dir",
    "seg_path",
    "seg_visible",
    "show_hide_seg",
    "image_path",
    "scene.history",
    "seg_pixmap_holder",
    "annot_pixmap_holder",
    "graphics_view.fit_to_view",
    "image_fnames",
    "train_annot_dir",
    "val_annot_dir",
    "log_dir",
    "model_dir",
    "vis_widget.seg_checkbox",
    "nav.update_nav_label",
)
"""What of an open window this part holds on to."""
UNSURE_RGB = (255, 140, 0)
_LOOK_EVERY = 0.5
_MOST_OPAQUE = 200
_SURE = 0.9
"""How far from the threshold, of the way to 0 or 1, a probability counts as sure."""


class ProjectView(QtCore.QObject):
    """Lives as long as the project window.

    Attributes:
        opacity: the slider of the mask.
        uncertainty: the box that shows where the model is unsure.
    """

    def __init__(self, session: Session, window: Any) -> None:
        super().__init__(window)
        self._session = session
        self._window = window
        self._item: QtWidgets.QGraphicsPixmapItem | None = None
        self._uncertainty_of: tuple[str, Stamp] | None = None
        self._add_controls(window.vis_widget)
        self._set_opacity(self.opacity.value())
        self._poll = Poll(self._look, _LOOK_EVERY, self)
        self._poll.seen.connect(self._see)
        self._poll.start()

    def _add_controls(self, box: QtWidgets.QWidget) -> None:
        self.opacity = QtWidgets.QSlider(QtCore.Qt.Horizontal)
        self.opacity.setRange(10, 100)
        self.opacity.setValue(self._session.preferences.opacity)
        self.opacity.setToolTip("How strongly the mask covers the image")
        self.opacity.setFocusPolicy(QtCore.Qt.NoFocus)
        self.opacity.setFixedWidth(92)
        self.opacity.valueChanged.connect(self._set_opacity)
        self.uncertainty = QtWidgets.QCheckBox("Uncertainty (V)")
        self.uncertainty.setToolTip("Orange where the model is unsure: correct there")
        self.uncertainty.toggled.connect(lambda on: self._show_uncertainty())
        layout = box.layout()
        place = layout.indexOf(box.seg_checkbox)
        row = QtWidgets.QHBoxLayout()
        row.setContentsMargins(22, 0, 0, 0)
        row.addWidget(QtWidgets.QLabel("Opacity"))
        row.addWidget(self.opacity)
        row.addStretch()
        layout.insertLayout(place + 1, row)
        layout.insertWidget(place + 2, self.uncertainty)

    def _set_opacity(self, percent: int) -> None:
        self._session.preferences.opacity = percent
        self._window.seg_pixmap_holder.setOpacity(percent / 100)

    def _look(self) -> tuple[str, Stamp | None]:
        """In a thread: the mask's path and the stamp of its confidence."""
        return str(self._window.seg_path), stamp(self.confidence_file())

    def confidence_file(self) -> Path:
        """Where the trainer puts the probability of the image on the screen."""
        mask = Path(self._window.seg_path)
        return mask.parent / exchange.CONFIDENCE / (mask.stem + ".png")

    def _see(self, found: tuple[str, Stamp | None]) -> None:
        path, confidence = found
        if path != str(self._window.seg_path):
            return  # the user went on while we looked
        shown = None if confidence is None else (path, confidence)
        self.uncertainty.setEnabled(confidence is not None or self.uncertainty.isChecked())
        if shown != self._uncertainty_of:
            self._uncertainty_of = shown
            self._show_uncertainty()

    def _show_uncertainty(self) -> None:
        item = self._uncertainty_item()
        item.setVisible(False)
        if not self.uncertainty.isChecked() or self._uncertainty_of is None:
            return
        wanted, file = self._uncertainty_of, self.confidence_file()
        task = Task(lambda cancel, progress: uncertainty_image(file))

        def have(image: QtGui.QImage) -> None:
            if wanted == self._uncertainty_of and self.uncertainty.isChecked() and not image.isNull():
                item.setPixmap(QtGui.QPixmap.fromImage(image))
                item.setVisible(True)

        task.done.connect(have)
        task.start()

    def _uncertainty_item(self) -> QtWidgets.QGraphicsPixmapItem:
        if self._item is None:
            self._item = self._window.scene.addPixmap(QtGui.QPixmap())
            # Over the mask, under what the user paints.
            self._item.stackBefore(self._window.annot_pixmap_holder)
        return self._item


def uncertainty_image(file: Path) -> QtGui.QImage:
    """The probability image of the trainer as orange where the model is unsure; null when it cannot be read."""
    image = QtGui.QImage(str(file)).convertToFormat(QtGui.QImage.Format_Grayscale8)
    if image.isNull():
        return image
    threshold = exchange.read_json(file.with_suffix(".json")).get("threshold", 0.5)
    image.reinterpretAsFormat(QtGui.QImage.Format_Indexed8)
    image.setColorTable(uncertainty_colours(float(threshold)))
    return image.convertToFormat(QtGui.QImage.Format_ARGB32_Premultiplied)


def uncertainty_colours(threshold: float) -> list[int]:
    """A colour for each probability 0..255: clear where it is far from the threshold, orange close to it."""
    cut = min(max(threshold, 0.02), 0.98)
    colours = []
    for value in range(256):
        probability = value / 255
        room = cut if probability < cut else 1 - cut
        certain = abs(probability - cut) / room
        colours.append(QtGui.qRgba(*UNSURE_RGB, round(_MOST_OPAQUE * max(0.0, 1 - certain / _SURE))))
    return colours
