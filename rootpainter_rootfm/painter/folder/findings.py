"""What a check found, as a list to look at; and what there is to say of the trainer."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from PyQt5 import QtCore, QtWidgets

from ..trainer_control import TrainerControl
from ..trainer_status import summary
from .preflight import Finding, Level

_SIGNS = {Level.GOOD: ("✓", "#2e7d46"), Level.NOTE: ("!", "#a37500"), Level.STOP: ("✗", "#b3352d")}
_START = " <a href='trainer'>Start a trainer…</a>"


class FindingsLabel(QtWidgets.QLabel):
    """Findings with their signs; the link in them is there to start a trainer."""

    def __init__(self) -> None:
        super().__init__()
        self.setWordWrap(True)
        self.setTextFormat(QtCore.Qt.RichText)
        self.setAlignment(QtCore.Qt.AlignTop)
        self.setMinimumHeight(110)
        self.setFrameShape(QtWidgets.QFrame.StyledPanel)
        self.setMargin(6)

    def show_all(self, findings: Sequence[Finding]) -> None:
        """Shows these in the place of those before."""
        self.setText(f"<table cellspacing='3'>{''.join(map(_row, findings))}</table>")


def _row(finding: Finding) -> str:
    sign, colour = _SIGNS[finding.level]
    text = escape(finding.text) + (_START if finding.needs_trainer else "")
    return f"<tr><td style='color:{colour};padding-right:8px'><b>{sign}</b></td><td>{text}</td></tr>"


def of_trainer(trainer: TrainerControl) -> Finding:
    """Whether somebody is there to do the work, and when."""
    line, _ = summary(trainer)
    if trainer.alive:
        if trainer.heartbeat is None or trainer.heartbeat.state == "idle":
            return Finding(Level.GOOD, line)
        first = trainer.heartbeat.state == "training"  # it pauses for a folder
        turn = "is done first; training goes on after it" if first else "waits for its turn"
        return Finding(Level.NOTE, f"{line}. Your folder {turn}.")
    if trainer.starting:
        return Finding(Level.NOTE, line)
    elsewhere = "" if trainer.expected else " RootPainter's own trainer does it from Network → Segment folder."
    return Finding(Level.STOP, f"{line}.{elsewhere}", needs_trainer=True)
