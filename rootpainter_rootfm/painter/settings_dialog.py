"""The settings of segmentation in the words of a user."""

from __future__ import annotations

from dataclasses import replace

from PyQt5 import QtCore, QtWidgets

from ..segment.settings import SegmentSettings
from .session import Session
from .trainer_status import device_name

_AS_MODEL = 0.0


class SettingsDialog(QtWidgets.QDialog):
    """Edits one `SegmentSettings`; `settings` holds the result after it was accepted.

    Args:
        settings: what to begin with.
        devices: what the trainer can compute on, e.g. ``("cpu", "cuda:0")``.
        parent: the window that it belongs to.
    """

    def __init__(self, settings: SegmentSettings, devices: tuple[str, ...], parent: QtWidgets.QWidget | None) -> None:
        super().__init__(parent)
        self._base = settings
        self.setWindowTitle("Segmentation settings")
        self.setCursor(QtCore.Qt.ArrowCursor)
        self._make_fields(devices)
        form = QtWidgets.QFormLayout()
        form.setLabelAlignment(QtCore.Qt.AlignRight | QtCore.Qt.AlignVCenter)
        form.addRow("Compute on:", self.device)
        form.addRow("Root from probability:", self.threshold)
        form.addRow("Smallest root kept:", self.smallest)
        form.addRow("Overlap of tiles:", self.overlap)
        form.addRow("", self.fine)
        form.addRow("", self.flips)
        kinds = QtWidgets.QDialogButtonBox
        buttons = kinds(kinds.Ok | kinds.Cancel | kinds.RestoreDefaults)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        buttons.button(kinds.RestoreDefaults).clicked.connect(lambda: self._show(SegmentSettings()))
        layout = QtWidgets.QVBoxLayout(self)
        layout.addLayout(form)
        layout.addSpacing(8)
        layout.addWidget(buttons)
        self._show(settings)

    @property
    def settings(self) -> SegmentSettings:
        """What the fields say now."""
        threshold = self.threshold.value()
        return replace(
            self._base,
            device=self.device.currentData(),
            threshold=None if threshold == _AS_MODEL else round(threshold, 2),
            min_root_pixels=self.smallest.value(),
            overlap=self.overlap.value() / 100,
            scale=2.0 if self.fine.isChecked() else 1.0,
            flips=self.flips.isChecked(),
        )

    def _make_fields(self, devices: tuple[str, ...]) -> None:
        self.device = QtWidgets.QComboBox()
        self.device.addItem("the fastest device", "auto")
        for device in devices:
            self.device.addItem(device_name(device), device)
        self.threshold = QtWidgets.QDoubleSpinBox(minimum=_AS_MODEL, maximum=0.95, singleStep=0.05, decimals=2)
        self.threshold.setSpecialValueText("as the model advises")
        self.threshold.setToolTip("Lower finds more and fainter roots, higher only what is certain.")
        self.smallest = QtWidgets.QSpinBox(minimum=0, maximum=100_000, singleStep=10, suffix=" pixels")
        self.smallest.setSpecialValueText("everything")
        self.smallest.setToolTip("Specks with fewer pixels than this are removed from the mask.")
        self.overlap = QtWidgets.QDoubleSpinBox(minimum=0, maximum=50, singleStep=2.5, decimals=1, suffix=" %")
        self.overlap.setToolTip("How far the pieces overlap in which a large image is looked at. More is smoother.")
        self.fine = QtWidgets.QCheckBox("Fine roots ×2: look at images enlarged (four times slower)")
        self.flips = QtWidgets.QCheckBox("Look at mirrored copies as well (steadier, four times slower)")

    def _show(self, settings: SegmentSettings) -> None:
        self._base = settings
        index = self.device.findData(settings.device)
        if index < 0:
            self.device.addItem(f"{device_name(settings.device)} (not there now)", settings.device)
            index = self.device.count() - 1
        self.device.setCurrentIndex(index)
        self.threshold.setValue(_AS_MODEL if settings.threshold is None else settings.threshold)
        self.smallest.setValue(settings.min_root_pixels)
        self.overlap.setValue(settings.overlap * 100)
        self.fine.setChecked(settings.scale > 1)
        self.flips.setChecked(settings.flips)


def edit_settings(session: Session, parent: QtWidgets.QWidget) -> SettingsDialog:
    """Opens the settings; what the user accepts is kept for the next session too."""
    beat = session.trainer.heartbeat
    dialog = SettingsDialog(session.preferences.settings, beat.devices if beat else (), parent)
    dialog.setAttribute(QtCore.Qt.WA_DeleteOnClose)

    def keep() -> None:
        session.preferences.settings = dialog.settings

    dialog.accepted.connect(keep)
    dialog.open()
    return dialog
