"""A folder job as the user sees it: a bar, the time left, the image being looked at, what failed and why."""

from __future__ import annotations

import math
from pathlib import Path

from PyQt5 import QtCore, QtGui, QtWidgets

from ..session import Session
from ..trainer_status import show_trainer
from ..workers import Task
from .jobs import Job

_SHEET_WIDTH = 900
_FITTED = 100
"""Rows that are made as high as their text; more would be measured, all of them, with every new one."""


class JobWindow(QtWidgets.QDialog):
    """Follows one job; closing it leaves the job alone, the menu Models opens it again."""

    def __init__(self, session: Session, job: Job, parent: QtWidgets.QWidget) -> None:
        super().__init__(parent)
        self._session = session
        self.job = job
        self.setWindowTitle(f"Segmenting {job.name}")
        self.setCursor(QtCore.Qt.ArrowCursor)
        self.setAttribute(QtCore.Qt.WA_DeleteOnClose)
        self.headline = QtWidgets.QLabel()
        self.headline.setWordWrap(True)
        self.bar = QtWidgets.QProgressBar()
        self.current = QtWidgets.QLabel()
        self.current.setWordWrap(True)
        self.current.linkActivated.connect(lambda _: show_trainer(session, self))
        self._make_failures()
        self._make_buttons()
        self._lay_out()
        job.changed.connect(self._show)
        session.trainer_changed.connect(self._show)
        self._show()

    def _make_failures(self) -> None:
        self.failures = QtWidgets.QTableWidget(0, 2)
        self.failures.setHorizontalHeaderLabels(["Failed image", "Cause"])
        self.failures.horizontalHeader().setSectionResizeMode(0, QtWidgets.QHeaderView.ResizeToContents)
        self.failures.horizontalHeader().setResizeContentsPrecision(0)
        self.failures.horizontalHeader().setStretchLastSection(True)
        self.failures.horizontalHeader().setDefaultAlignment(QtCore.Qt.AlignLeft)
        self.failures.verticalHeader().setSectionResizeMode(QtWidgets.QHeaderView.ResizeToContents)
        self.failures.verticalHeader().hide()
        self.failures.setShowGrid(False)
        self.failures.setEditTriggers(QtWidgets.QTableWidget.NoEditTriggers)
        self.failures.setSelectionBehavior(QtWidgets.QTableWidget.SelectRows)
        self.failures.setVisible(False)

    def _make_buttons(self) -> None:
        self.cancel_button = QtWidgets.QPushButton("Cancel")
        self.cancel_button.clicked.connect(self.job.cancel)
        self.open_button = QtWidgets.QPushButton("Open folder")
        self.open_button.clicked.connect(lambda: open_folder(self.job.output))
        self.sheet_button = QtWidgets.QPushButton("Look at the masks")
        self.sheet_button.clicked.connect(self._show_sheet)
        self.close_button = QtWidgets.QPushButton("Close")
        self.close_button.setDefault(True)
        self.close_button.clicked.connect(self.close)

    def _lay_out(self) -> None:
        row = QtWidgets.QHBoxLayout()
        row.addWidget(self.open_button)
        row.addWidget(self.sheet_button)
        row.addStretch()
        row.addWidget(self.cancel_button)
        row.addWidget(self.close_button)
        layout = QtWidgets.QVBoxLayout(self)
        layout.addWidget(self.headline)
        layout.addWidget(self.bar)
        layout.addWidget(self.current)
        layout.addWidget(self.failures, stretch=1)
        layout.addStretch()
        layout.addLayout(row)
        self.resize(560, 190)

    def _show(self) -> None:
        state = self.job.state
        self.headline.setText(f"<b>{headline(self.job)}</b>")
        self.bar.setMaximum(max(1, state.total))
        self.bar.setValue(state.done)
        if state.state == "queued" and state.done == 0:
            self.bar.setMaximum(0)  # a moving bar: something is going on, how long it takes is not known
        self.current.setText(self._second_line())
        self._show_failures()
        self.cancel_button.setEnabled(not (state.ended or self.job.stopping))
        self.open_button.setEnabled(state.done > 0 or state.ended)
        self.sheet_button.setEnabled(bool(state.preview))

    def _second_line(self) -> str:
        state = self.job.state
        if not state.ended and self._session.trainer.unanswered:
            return "No trainer answers, so nothing happens. <a href='trainer'>Start one…</a>"
        if self.job.stopping and not state.ended:
            return "Stopping after the image that is being looked at…"
        if state.state == "running" and state.current:
            return f"Just now: {state.current}"
        if state.state == "running" and state.done < state.total:
            return "Reading the model and the first image…"
        if state.state == "done" or (state.ended and not state.message):
            return f"The masks are in {self.job.output}"
        return state.message

    def _show_failures(self) -> None:
        failed, shown = self.job.state.failed, self.failures.rowCount()
        if len(failed) > _FITTED:
            self.failures.verticalHeader().setSectionResizeMode(QtWidgets.QHeaderView.Fixed)
        if shown and (shown > len(failed) or self.failures.item(shown - 1, 0).text() != failed[shown - 1][0]):
            shown = 0  # one came in between: an image is read before the one ahead of it is finished
        self.failures.setRowCount(len(failed))
        for row in range(shown, len(failed)):
            for column, text in enumerate(failed[row]):
                item = QtWidgets.QTableWidgetItem(text)
                item.setToolTip(text)
                item.setTextAlignment(QtCore.Qt.AlignLeft | QtCore.Qt.AlignTop)
                self.failures.setItem(row, column, item)
        if failed and not self.failures.isVisibleTo(self):
            self.failures.setVisible(True)
            self.resize(self.width(), max(self.height(), 340))

    def _show_sheet(self) -> None:
        preview = self.job.state.preview
        if preview:
            show_sheet(self.job.output / preview, f"Masks of {self.job.name}", self)


def headline(job: Job) -> str:
    """How far a job is, in one line."""
    state = job.state
    failed = f", {len(state.failed)} failed" if state.failed else ""
    if state.state == "queued":
        return f"{state.total} {'image' if state.total == 1 else 'images'} to segment"
    if state.state == "running":
        left = f" · {time_left(state.seconds_left)} left" if state.seconds_left is not None else ""
        return f"{state.done} of {state.total} images{failed}{left}"
    if state.state == "done":
        return f"Done: {state.made} of {state.total} images have a mask{failed}"
    if state.state == "cancelled":
        return f"Cancelled after {state.done} of {state.total} images; their masks are kept"
    if state.state == "left":
        return f"No longer followed; {state.done} of {state.total} images when last looked at"
    return f"Stopped after {state.done} of {state.total} images"


def time_left(seconds: float) -> str:
    """A rough duration, as rough as the estimate is."""
    if seconds < 60:
        return f"{max(1, math.ceil(seconds / 5)) * 5} seconds"
    minutes = math.ceil(seconds / 60)
    if minutes < 60:
        return f"{minutes} {'minute' if minutes == 1 else 'minutes'}"
    return f"{minutes // 60} h {minutes % 60} min"


def open_folder(folder: Path) -> None:
    """Shows a folder in the file manager."""
    QtGui.QDesktopServices.openUrl(QtCore.QUrl.fromLocalFile(str(folder)))


def show_sheet(path: Path, title: str, parent: QtWidgets.QWidget) -> QtWidgets.QDialog:
    """A picture in a window that scrolls; it is read in a thread."""
    window = QtWidgets.QDialog(parent)
    window.setWindowTitle(title)
    window.setCursor(QtCore.Qt.ArrowCursor)
    window.setAttribute(QtCore.Qt.WA_DeleteOnClose)
    picture = QtWidgets.QLabel("Reading the picture…")
    picture.setAlignment(QtCore.Qt.AlignCenter)
    area = QtWidgets.QScrollArea()
    area.setWidget(picture)
    area.setWidgetResizable(True)
    layout = QtWidgets.QVBoxLayout(window)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.addWidget(area)
    window.resize(_SHEET_WIDTH + 40, 640)
    window.show()

    def have(image: QtGui.QImage) -> None:
        if image.isNull():
            picture.setText(f"{path} cannot be read.")
            return
        picture.setPixmap(QtGui.QPixmap.fromImage(image))
        window.resize(window.width(), min(window.height(), image.height() + 20))

    task = Task(lambda cancel, progress: _scaled(path))
    task.done.connect(have)
    window.destroyed.connect(lambda: task.done.disconnect())
    task.start()
    return window


def _scaled(path: Path) -> QtGui.QImage:
    image = QtGui.QImage(str(path))
    if image.width() > _SHEET_WIDTH:
        image = image.scaledToWidth(_SHEET_WIDTH, QtCore.Qt.SmoothTransformation)
    return image
