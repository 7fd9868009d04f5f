"""Segment a folder with the chosen model: two folders, a format, a check of everything, and off it goes."""

from __future__ import annotations

import os
from pathlib import Path

from PyQt5 import QtCore, QtWidgets

from ..masks import MaskFormat
from .choice import chosen_model, model_choices
from .job_window import JobWindow
from .jobs import Job
from .new_job import JobModel, NewJob
from .preflight import Finding, Level, Order, Report, check, suggest_output
from .session import Session
from .settings_dialog import edit_settings
from .trainer_status import show_trainer, summary
from .workers import Task

_FORMATS = (
    ("RootPainter (colour PNG)", MaskFormat.ROOTPAINTER),
    ("RhizoVision Explorer (black roots on white)", MaskFormat.RHIZOVISION),
    ("NumPy array (npz)", MaskFormat.NPZ),
)
_SIGNS = {Level.GOOD: ("✓", "#2e7d46"), Level.NOTE: ("!", "#a37500"), Level.STOP: ("✗", "#b3352d")}
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
        self._suggested = ""
        self.setWindowTitle("Segment folder with a foundation model")
        self.setCursor(QtCore.Qt.ArrowCursor)
        self.setAttribute(QtCore.Qt.WA_DeleteOnClose)
        self._timer = QtCore.QTimer(self, singleShot=True, interval=_PAUSE_MS)
        self._timer.timeout.connect(self._look)
        self._make_fields()
        self._lay_out()
        session.trainer_changed.connect(self._look_soon)
        session.cards_changed.connect(self._show_models)
        self._show_models()
        self._look()

    def _make_fields(self) -> None:
        self.model = QtWidgets.QComboBox()
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
        self.findings = QtWidgets.QLabel()
        self.findings.setWordWrap(True)
        self.findings.setTextFormat(QtCore.Qt.RichText)
        self.findings.setAlignment(QtCore.Qt.AlignTop)
        self.findings.setMinimumHeight(110)
        self.findings.setFrameShape(QtWidgets.QFrame.StyledPanel)
        self.findings.setMargin(6)
        self.findings.linkActivated.connect(lambda _: show_trainer(self._session, self))
        self.segment_button = QtWidgets.QPushButton("Segment")
        self.segment_button.setDefault(True)
        self.segment_button.clicked.connect(self._start)
        self.input.textChanged.connect(self._input_changed)
        for changed in (self.output.textChanged, self.format.currentIndexChanged, self.again.toggled):
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
        self.model.clear()
        for title, model in model_choices(self._session, self._window):
            self.model.addItem(title, model)
        wanted = chosen_model(self._session, self._window)
        titles = [self.model.itemText(index) for index in range(self.model.count())]
        if wanted is not None and wanted.title in titles:
            self.model.setCurrentIndex(titles.index(wanted.title))
        self._look_soon()

    def _choose(self, field: QtWidgets.QLineEdit, title: str) -> None:
        start = field.text() or str(self._session.folder / "datasets")
        path = QtWidgets.QFileDialog.getExistingDirectory(self, title, start)
        if path:
            field.setText(path)

    def _input_changed(self) -> None:
        self._suggest()
        self._look_soon()

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

    def _suggest(self) -> None:
        # Only over our own suggestion: a folder that the user chose stays.
        chosen, model = self.input.text().strip(), self.model.currentData()
        if self.output.text() not in ("", self._suggested) or not chosen or model is None:
            return
        name = model.card.name if model.card else model.file.stem
        self._suggested = str(suggest_output(self._session.folder, Path(chosen), name))
        self.output.setText(self._suggested)

    def _order(self) -> Order:
        return Order(
            Path(self.input.text().strip()),
            Path(self.output.text().strip()),
            MaskFormat(self.format.currentData()),
            self.again.isChecked(),
        )

    def _missing(self) -> str | None:
        if not self.input.text().strip():
            return "Choose the folder with the images."
        return None if self.output.text().strip() else "Choose a folder for the masks."

    def _look(self) -> None:
        self._forget_report()
        if missing := self._missing():
            self._show_findings([Finding(Level.NOTE, missing)])
            return
        order, folder, local = self._order(), self._session.folder, self._local()
        self._show_findings([Finding(Level.NOTE, "Looking at the folders…")])
        self._task = Task(lambda cancel, progress: check(order, folder, local, cancel))
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
        trainer = self._session.trainer
        line, _ = summary(trainer)
        level = Level.GOOD if trainer.alive else Level.NOTE if trainer.starting else Level.STOP
        if trainer.alive and trainer.heartbeat and trainer.heartbeat.state != "idle":
            first = trainer.heartbeat.state == "training"  # it pauses for a folder
            turn = "is done first; training goes on after it" if first else "waits for its turn"
            level, line = Level.NOTE, f"{line}. Your folder {turn}."
        if level is Level.STOP:
            line = f"{line}. <a href='trainer'>Start one…</a>"
            if not trainer.expected:
                line += " RootPainter's own trainer does it from Network → Segment folder."
        findings = [Finding(level, line), *report.findings]
        model: JobModel | None = self.model.currentData()
        if model is not None and model.card is not None and not model.card.trained:
            findings.insert(0, Finding(Level.NOTE, f"{model.title} has not been trained: its masks mean nothing."))
        self._show_findings(findings)
        ready = report.may_start and level is not Level.STOP and model is not None
        self.segment_button.setEnabled(ready)

    def _show_findings(self, findings: list[Finding]) -> None:
        lines = []
        for finding in findings:
            sign, colour = _SIGNS[finding.level]
            lines.append(
                f"<tr><td style='color:{colour};padding-right:8px'><b>{sign}</b></td><td>{finding.text}</td></tr>"
            )
        self.findings.setText(f"<table cellspacing='3'>{''.join(lines)}</table>")
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
        order = self._order()
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
