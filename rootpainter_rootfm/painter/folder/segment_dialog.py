"""Segment a folder with the chosen model: two folders, a format, a check of everything, and off it goes."""

from __future__ import annotations

import os
from dataclasses import replace

from PyQt5 import QtCore, QtWidgets

from ...masks import MaskFormat
from ...progress import CancelToken, Progress
from ..models.box import ModelBox
from ..models.choice import JobModel, chosen_model, model_choices
from ..session import Session
from ..settings_dialog import edit_settings
from ..trainer_status import show_trainer
from ..workers import Task
from .findings import FindingsLabel, of_trainer
from .job_window import JobWindow
from .jobs import Job
from .new_job import NewJob
from .preflight import Finding, Level, Order, Report, check, suggest_output, typed_path

_FORMATS = (
    ("RootPainter (colour PNG)", MaskFormat.ROOTPAINTER),
    ("RhizoVision Explorer (black roots on white)", MaskFormat.RHIZOVISION),
    ("NumPy array (npz)", MaskFormat.NPZ),
)
_PAUSE_MS = 350


class SegmentDialog(QtWidgets.QDialog):
    """Asks for a folder of images and where the masks go, and shows what would go wrong before it does.

    Args:
        session: the shared state.
        window: the window that it belongs to; in an open project its checkpoints can be chosen too.
    """

    def __init__(self, session: Session, window: QtWidgets.QMainWindow) -> None:
        super().__init__(window)
        self._session = session
        self._window = window
        self._report: Report | None = None
        self._task: Task | None = None
        self._reach = (session.folder, False)
        self._suggested = ""
        self._suggesting = False
        self.setWindowTitle("Segment folder with a foundation model")
        self.setCursor(QtCore.Qt.ArrowCursor)
        self.setAttribute(QtCore.Qt.WA_DeleteOnClose)
        self._timer = QtCore.QTimer(self, singleShot=True, interval=_PAUSE_MS)
        self._timer.timeout.connect(self._look)
        self._make_fields()
        self._lay_out()
        session.trainer_changed.connect(self._trainer_changed)
        session.cards_changed.connect(self._show_models)
        self._show_models()
        self._look()

    def _make_fields(self) -> None:
        self.model = ModelBox()
        self.input = QtWidgets.QLineEdit()
        self.input.setPlaceholderText("folder with photographs or scans")
        self.output = QtWidgets.QLineEdit()
        self.output.setPlaceholderText("is made if it is not there")
        self.input_button = QtWidgets.QPushButton("Choose…")
        self.input_button.clicked.connect(lambda: self._choose(self.input, "Folder with images"))
        self.output_button = QtWidgets.QPushButton("Choose…")
        self.output_button.clicked.connect(lambda: self._choose(self.output, "Folder for masks"))
        self.format = QtWidgets.QComboBox()
        for text, value in _FORMATS:
            self.format.addItem(text, value.value)
        self.format.setCurrentIndex(max(0, self.format.findData(self._session.preferences.mask_format)))
        self.again = QtWidgets.QCheckBox("Make masks anew that are there already")
        self.settings_button = QtWidgets.QPushButton("Settings…")
        self.settings_button.clicked.connect(lambda: edit_settings(self._session, self))
        self.findings = FindingsLabel()
        self.findings.linkActivated.connect(lambda _: show_trainer(self._session, self))
        self.segment_button = QtWidgets.QPushButton("Segment")
        self.segment_button.setDefault(True)
        self.segment_button.clicked.connect(self._start)
        self.input.textChanged.connect(self._input_changed)
        self.output.textChanged.connect(self._output_changed)
        for changed in (self.format.currentIndexChanged, self.again.toggled):
            changed.connect(self._look_soon)
        self.model.activated.connect(self._input_changed)

    def _lay_out(self) -> None:
        form = QtWidgets.QFormLayout()
        form.setFieldGrowthPolicy(QtWidgets.QFormLayout.ExpandingFieldsGrow)
        form.setLabelAlignment(QtCore.Qt.AlignRight | QtCore.Qt.AlignVCenter)
        form.addRow("Model:", _row(self.model, self.settings_button))
        form.addRow("Images:", _row(self.input, self.input_button))
        form.addRow("Masks:", _row(self.output, self.output_button))
        form.addRow("Format:", self.format)
        form.addRow("", self.again)
        close = QtWidgets.QPushButton("Close")
        close.setAutoDefault(False)
        close.clicked.connect(self.close)
        buttons = QtWidgets.QHBoxLayout()
        buttons.addStretch()
        buttons.addWidget(close)
        buttons.addWidget(self.segment_button)
        layout = QtWidgets.QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.findings, stretch=1)
        layout.addLayout(buttons)
        self.resize(680, 400)

    def _show_models(self) -> None:
        models = model_choices(self._session, self._window)
        self.model.offer(models, chosen_model(self._session, self._window))
        self._input_changed()

    def _choose(self, field: QtWidgets.QLineEdit, title: str) -> None:
        start = field.text() or str(self._session.folder / "datasets")
        path = QtWidgets.QFileDialog.getExistingDirectory(self, title, start)
        if path:
            field.setText(path)

    def _input_changed(self) -> None:
        # Only over our own suggestion: a folder that the user chose stays.
        self._suggesting = self.output.text() in ("", self._suggested)
        self._look_soon()

    def _output_changed(self) -> None:
        self._suggesting = False
        self._look_soon()

    def _trainer_changed(self) -> None:
        if self._reach != (self._session.folder, self._local()):
            self._look_soon()
        elif self._report is not None:
            self._show_report(self._report)

    def _look_soon(self) -> None:
        # After a pause: a path is looked at when it is typed, not at each of its letters.
        self._forget_report()
        self._timer.start()

    def _forget_report(self) -> None:
        """Nothing can be started on what was found in other folders."""
        self.segment_button.setEnabled(False)
        self._report = None
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _order(self) -> Order:
        return Order(
            typed_path(self.input.text()),
            typed_path(self.output.text()),
            MaskFormat(self.format.currentData()),
            self.again.isChecked(),
        )

    def _suggests(self) -> bool:
        return self._suggesting and self.model.currentData() is not None

    def _missing(self) -> str | None:
        if not self.input.text().strip():
            return "Choose the folder with the images."
        return None if self._suggests() or self.output.text().strip() else "Choose a folder for the masks."

    def _look(self) -> None:
        self._forget_report()
        self._reach = (self._session.folder, self._local())
        if missing := self._missing():
            self._show_findings([Finding(Level.NOTE, missing)])
            return
        order, (folder, local) = self._order(), self._reach
        model: JobModel | None = self.model.currentData() if self._suggests() else None
        self._show_findings([Finding(Level.NOTE, "Looking at the folders…")])

        def work(cancel: CancelToken, progress: Progress) -> Report:
            if model is None:
                return check(order, folder, local, cancel)
            # Links are followed for it, which takes its time on a drive that is away.
            suggested = suggest_output(folder, order.images, model.name)
            return check(replace(order, output=suggested), folder, local, cancel)

        self._task = Task(work)
        self._task.done.connect(self._have_report)
        self._task.failed.connect(self._look_failed)
        self._task.start()

    def _look_failed(self, error: Exception) -> None:
        if self.sender() is self._task:
            self._task = None
            text = f"The folders cannot be looked at: {error}. Choose other ones."
            self._show_findings([Finding(Level.STOP, text)])

    def _have_report(self, report: Report) -> None:
        if self.sender() is not self._task:
            return  # what it looked at is no longer asked for
        self._task = None
        self._report = report
        if self._suggests():
            self._suggested = str(report.order.output)
            with QtCore.QSignalBlocker(self.output):
                self.output.setText(self._suggested)
        self._show_report(report)

    def _show_report(self, report: Report) -> None:
        trainer = of_trainer(self._session.trainer)
        findings = [trainer, *report.findings]
        model: JobModel | None = self.model.currentData()
        if model is not None and model.card is not None and not model.card.trained:
            findings.insert(0, Finding(Level.NOTE, f"{model.title} has not been trained: its masks mean nothing."))
        self._show_findings(findings)
        ready = report.may_start and trainer.level is not Level.STOP and model is not None
        self.segment_button.setEnabled(ready)

    def _show_findings(self, findings: list[Finding]) -> None:
        self.findings.show_all(findings)
        # Qt keeps no room for lines that break: the dialog grows until the last one is seen.
        self.resize(self.width(), max(self.height(), self.layout().totalHeightForWidth(self.width())))

    def _local(self) -> bool:
        trainer = self._session.trainer
        if trainer.alive and trainer.heartbeat is not None:
            return trainer.heartbeat.local_paths and not trainer.remote
        return trainer.starting

    def _start(self) -> None:
        if self._report is None or not self._report.may_start:
            return
        model: JobModel = self.model.currentData()
        order = self._report.order
        self._session.preferences.mask_format = order.mask_format.value
        job = self._same_output(order)
        if job is None:
            job = NewJob(self._session, order, model, self._report.names)
            job.start()
        else:
            self._session.notice.emit(f"{order.output.name} is being filled already; this is the job that does it.")
        show_job(self._session, job, self._window)
        self.close()

    def _same_output(self, order: Order) -> Job | None:
        """The job that still writes into this folder: a second one would go unnoticed by the first."""
        output = os.path.realpath(order.output)
        running = [job for job in self._session.jobs if not job.state.ended]
        return next((job for job in running if os.path.realpath(job.output) == output), None)


def show_job(session: Session, job: Job, window: QtWidgets.QWidget) -> JobWindow:
    """Opens, or opens again, the window of a job."""
    view = JobWindow(session, job, window)
    view.show()
    return view


def show_segment_dialog(session: Session, window: QtWidgets.QMainWindow) -> SegmentDialog:
    """Opens the dialog."""
    dialog = SegmentDialog(session, window)
    dialog.show()
    return dialog


def _row(field: QtWidgets.QWidget, button: QtWidgets.QPushButton) -> QtWidgets.QHBoxLayout:
    row = QtWidgets.QHBoxLayout()
    row.addWidget(field, stretch=1)
    row.addWidget(button)
    button.setAutoDefault(False)
    return row
