"""The trainer's state in the status bar, and a window with its details."""

from __future__ import annotations

from PyQt5 import QtCore, QtGui, QtWidgets

from ..versions import UNET
from .session import Session
from .trainer_control import TrainerControl
from .trainer_life import Life

READY, BUSY, WAITING, GONE = "#2e9e4f", "#2f7fd0", "#c9a227", "#c43c35"
_NOTICE_MS = 3000


def summary(trainer: TrainerControl) -> tuple[str, str]:
    """One line about the trainer and the colour that goes with it."""
    beat = trainer.heartbeat
    if trainer.alive and beat is not None:
        place = f" on {beat.host}" if trainer.remote else ""
        if beat.state == "training":
            return f"Trainer{place}: training {beat.project or ''}".rstrip(), BUSY
        if beat.state == "segmenting":
            folder = str((beat.job or {}).get("folder") or "").rstrip("/").rpartition("/")[2]
            return f"Trainer{place}: segmenting {folder}".rstrip(), BUSY
        return f"Trainer{place}: ready ({device_name(beat.device)})", READY
    if trainer.starting:
        return "Trainer: starting…", WAITING
    if trainer.life is Life.UNKNOWN:
        return "Trainer: looking for one…", WAITING
    return "No trainer: nothing is segmented", GONE


def device_name(device: str) -> str:
    """A device as a user calls it."""
    kind, _, number = device.partition(":")
    names = {"cpu": "processor", "cuda": "graphics card", "mps": "Apple graphics"}
    return f"{names.get(kind, kind)} {number}".strip()


def dot(colour: str) -> QtGui.QIcon:
    """A round lamp of that colour."""
    image = QtGui.QPixmap(24, 24)
    image.fill(QtCore.Qt.transparent)
    painter = QtGui.QPainter(image)
    painter.setRenderHint(QtGui.QPainter.Antialiasing)
    painter.setPen(QtCore.Qt.NoPen)
    painter.setBrush(QtGui.QColor(colour))
    painter.drawEllipse(5, 5, 14, 14)
    painter.end()
    return QtGui.QIcon(image)


class TrainerStatus(QtWidgets.QToolButton):
    """The lamp and line in the status bar; a click opens the details."""

    def __init__(self, session: Session, window: QtWidgets.QMainWindow) -> None:
        super().__init__(window)
        self._session = session
        self.setAutoRaise(True)
        self.setToolButtonStyle(QtCore.Qt.ToolButtonTextBesideIcon)
        self.setFocusPolicy(QtCore.Qt.NoFocus)
        self.setToolTip("The program that segments and learns. Click for details.")
        # RootPainter sets the brush as cursor of the whole window.
        self.setCursor(QtCore.Qt.ArrowCursor)
        self.clicked.connect(lambda: show_trainer(session, window))
        self._bar = window.statusBar()
        session.trainer_changed.connect(self._show_state)
        session.notice.connect(self._show_notice)
        self._show_state()

    def _show_notice(self, words: str) -> None:
        self._bar.showMessage(words, _NOTICE_MS)

    def _show_state(self) -> None:
        line, colour = summary(self._session.trainer)
        self.setText(line)
        self.setIcon(dot(colour))


class TrainerWindow(QtWidgets.QDialog):
    """What the trainer is, where it runs, what it wrote last; start and stop for the one that is ours."""

    def __init__(self, session: Session, parent: QtWidgets.QWidget) -> None:
        super().__init__(parent)
        self._session = session
        self.setWindowTitle("Trainer")
        self.setCursor(QtCore.Qt.ArrowCursor)
        self.setAttribute(QtCore.Qt.WA_DeleteOnClose)
        self.resize(560, 420)
        self._state = QtWidgets.QLabel()
        self._facts = QtWidgets.QLabel()
        self._facts.setWordWrap(True)
        self._facts.setTextInteractionFlags(QtCore.Qt.TextSelectableByMouse)
        self._log = QtWidgets.QPlainTextEdit()
        self._log.setReadOnly(True)
        self._log.setPlaceholderText("What a trainer writes that was started from this window appears here.")
        self.start_button = QtWidgets.QPushButton("Start trainer")
        self.start_button.clicked.connect(lambda: session.trainer.start())
        self.stop_button = QtWidgets.QPushButton("Stop trainer")
        self.stop_button.clicked.connect(lambda: session.trainer.stop())
        buttons = QtWidgets.QDialogButtonBox(QtWidgets.QDialogButtonBox.Close)
        buttons.rejected.connect(self.close)
        row = QtWidgets.QHBoxLayout()
        row.addWidget(self.start_button)
        row.addWidget(self.stop_button)
        row.addStretch()
        row.addWidget(buttons)
        layout = QtWidgets.QVBoxLayout(self)
        layout.addWidget(self._state)
        layout.addWidget(self._facts)
        layout.addWidget(self._log)
        layout.addLayout(row)
        session.trainer_changed.connect(self._show)
        self._timer = QtCore.QTimer(self, interval=1000)
        self._timer.timeout.connect(self._show)
        self._timer.start()
        self._show()

    def _show(self) -> None:
        trainer = self._session.trainer
        line, colour = summary(trainer)
        self._state.setText(f"<b style='color:{colour}'>●</b>&nbsp; <b>{line}</b>")
        self._facts.setText("\n".join(_facts(trainer)))
        text = "\n".join(trainer.lines)
        if text != self._log.toPlainText():
            self._log.setPlainText(text)
            self._log.moveCursor(QtGui.QTextCursor.End)
        self.start_button.setEnabled(trainer.may_start)
        self.stop_button.setEnabled(trainer.running)


def show_trainer(session: Session, parent: QtWidgets.QWidget) -> TrainerWindow:
    """Opens the details of the trainer."""
    window = TrainerWindow(session, parent)
    window.show()
    return window


def _facts(trainer: TrainerControl) -> list[str]:
    facts = [f"Sync folder: {trainer.folder}"]
    beat = trainer.heartbeat
    if trainer.alive and beat is not None:
        owner = "started by this window" if trainer.running else "started elsewhere"
        facts.append(f"Runs on {beat.host}, process {beat.pid}, {owner}")
        facts.append("Devices: " + ", ".join(device_name(device) for device in beat.devices or (beat.device,)))
        facts.append("Folders outside the sync folder: " + ("allowed" if beat.local_paths else "not allowed"))
        unet = "can be trained" if beat.unet else f"need a run of  {UNET}"
        facts.append(f"Projects with random weights (U-Net): {unet}")
    elif trainer.unanswered:
        facts.append("Start one here, or start it on the machine that shares this folder: rootfm trainer --syncdir …")
    return facts
