"""What training does, for the person who waits for it: how good, better than before, how much longer, stop."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyqtgraph
from PyQt5 import QtCore, QtWidgets

from .. import exchange
from ..exchange import TrainingState
from ..models.choice import checkpoint_title, instead_of_newest, is_first, is_unet, window_checkpoints
from ..session import Session
from ..workers import Poll

_LOOK_EVERY = 1.0
_LINE, _BEST = "#2f7fd0", "#2e9e4f"
_UNANSWERED = (
    "Nothing is learnt until one does; training then goes on from the newest model that was saved. Start one: "
    "Models → Trainer…."
)
_UNET_TRAINS = (
    "RootPainter's own trainer trains this project's U-Net as soon as two images are annotated. How it goes is said "
    "below the image. Stop ends it, and the models that were saved are kept."
)
_UNET_RESTS = (
    "This project has one of RootPainter's own U-Nets. Annotate two images or more, then start: how training goes is "
    "said below the image."
)


class FineTunePanel(QtWidgets.QDockWidget):
    """A dock beside the image that reads the state of training of this project."""

    better_model = QtCore.pyqtSignal(str)
    """The name of a checkpoint that was just saved."""
    segment_again = QtCore.pyqtSignal()

    def __init__(self, session: Session, window: Any) -> None:
        super().__init__("Training", window)
        self.setObjectName("rootfm_training")
        self.setCursor(QtCore.Qt.ArrowCursor)
        self._session = session
        self._window = window
        self._state: TrainingState | None = None
        self._newest: Path | None = None
        self._seen = False
        self.headline = _label("<b>Not trained yet</b>")
        self.sentence = _label("Correct a few images, then start: the model learns from what you paint.")
        self.best = QtWidgets.QLabel("–")
        self.last = QtWidgets.QLabel("–")
        self.saved = _label("–")
        self.patience = QtWidgets.QProgressBar()
        self.patience.setTextVisible(True)
        self.patience.setFormat("–")
        self._make_plot()
        self._make_buttons(window)
        self._lay_out()
        self._poll = Poll(self._look, _LOOK_EVERY, self)
        self._poll.seen.connect(self._see)
        self._poll.start()
        for changed in (session.trainer_changed, session.choice_changed):
            changed.connect(self._show)

    def _make_plot(self) -> None:
        self.plot = pyqtgraph.PlotWidget(background=None)
        self.plot.setMinimumHeight(150)
        self.plot.setMouseEnabled(False, False)
        self.plot.setMenuEnabled(False)
        self.plot.hideButtons()
        self.plot.setFocusPolicy(QtCore.Qt.NoFocus)
        self.plot.showGrid(y=True, alpha=0.25)
        ink = self.palette().color(self.foregroundRole())
        for side, text in (("left", "Dice"), ("bottom", "minutes")):
            axis = self.plot.getAxis(side)
            axis.setPen(ink)
            axis.setTextPen(ink)
            axis.setLabel(text)
            axis.enableAutoSIPrefix(False)
        self.plot.setYRange(0, 1)
        dots = {"symbol": "o", "symbolSize": 5, "symbolBrush": _LINE, "symbolPen": None}
        self._dice = self.plot.plot(pen=pyqtgraph.mkPen(_LINE, width=1), **dots)
        self._best = self.plot.plot(pen=pyqtgraph.mkPen(_BEST, width=2))
        self.plot.setToolTip(
            "Agreement with the corrections that are kept for checking, 1 is perfect: most of all with your strokes, "
            "and a little with the mask where you painted nothing, so it begins low. Green is the best so far."
        )

    def _make_buttons(self, window: Any) -> None:
        self.start_button = QtWidgets.QPushButton("Start training")
        self.start_button.clicked.connect(lambda: window.start_training())
        self.stop_button = QtWidgets.QPushButton("Stop")
        self.stop_button.clicked.connect(lambda: window.stop_training())
        self.again_button = QtWidgets.QPushButton("Segment images again")
        self.again_button.setToolTip("New masks by the model chosen in Models, for all images without annotation")
        self.again_button.clicked.connect(self.segment_again)
        for button in (self.start_button, self.stop_button, self.again_button):
            button.setFocusPolicy(QtCore.Qt.NoFocus)

    def _lay_out(self) -> None:
        facts = QtWidgets.QFormLayout()
        facts.setLabelAlignment(QtCore.Qt.AlignLeft)
        facts.addRow("Best so far:", self.best)
        facts.addRow("Last check:", self.last)
        facts.addRow("Newest model:", self.saved)
        facts.addRow(self.patience)  # over both columns: its words are longer than one
        row = QtWidgets.QHBoxLayout()
        row.addWidget(self.start_button)
        row.addWidget(self.stop_button)
        inner = QtWidgets.QWidget()
        layout = QtWidgets.QVBoxLayout(inner)
        layout.addWidget(self.headline)
        layout.addWidget(self.sentence)
        layout.addWidget(self.plot, stretch=1)
        layout.addLayout(facts)
        layout.addLayout(row)
        layout.addWidget(self.again_button)
        self.setWidget(inner)
        self.setMinimumWidth(290)
        self._show()

    def _look(self) -> tuple[TrainingState | None, Path | None]:
        """In a thread: how training goes, and the newest model of the project."""
        return exchange.read_training(Path(self._window.log_dir)), next(iter(window_checkpoints(self._window)), None)

    def _see(self, found: tuple[TrainingState | None, Path | None]) -> None:
        if found == (self._state, self._newest) and self._seen:
            return
        state, self._newest = found
        before, self._state = self._state, state
        if self._seen and state is not None and state.saved and state.saved != (before.saved if before else None):
            self.better_model.emit(state.saved)
        self._seen = True
        self._show()

    def _show(self) -> None:
        """What is known; what it means changes with the trainer and with the choice of the model, too."""
        state, newest = self._state, self._newest
        # Of any training: masks that the newest model has made already are not made once more.
        self.again_button.setEnabled(newest is not None and not is_first(newest))
        self.saved.setText("as it began" if newest is None or is_first(newest) else checkpoint_title(newest))
        if newest is not None and is_unet(newest):
            self._show_unet()
            return
        running = state is not None and state.state in ("running", "waiting")
        unanswered = running and self._session.trainer.unanswered
        self.start_button.setEnabled(not running or unanswered)
        self.stop_button.setEnabled(running)
        if state is None:
            return
        self.headline.setText(f"<b>{'No trainer answers' if unanswered else headline(state)}</b>")
        chosen = instead_of_newest(self._session, self._window)
        self.sentence.setText(_UNANSWERED if unanswered else sentence(state, chosen))
        self.best.setText(_dice(state.best_dice))
        self.last.setText(_dice(state.history[-1].get("dice")) if state.history else "–")
        self._show_patience(state, running and not unanswered)
        self._draw(state)

    def _show_unet(self) -> None:
        """RootPainter's U-Net tells its progress by messages alone; whether it is trained stands in the heartbeat."""
        trainer = self._session.trainer
        beat = trainer.heartbeat if trainer.alive else None
        running = beat is not None and beat.training == Path(self._window.proj_location).name
        self.start_button.setEnabled(not running)
        self.stop_button.setEnabled(running or beat is None)  # a trainer that is not of ours says nothing of that
        self.headline.setText(f"<b>{'Training of a U-Net' if running else 'A project of a U-Net'}</b>")
        self.sentence.setText(_UNET_TRAINS if running else _UNET_RESTS)
        for label in (self.best, self.last):
            label.setText("–")
        nothing = TrainingState("")  # what was plotted was of another model
        self._show_patience(nothing, False)
        self._draw(nothing)

    def _show_patience(self, state: TrainingState, running: bool) -> None:
        if state.ripeness < 1:
            value, most = round(100 * state.ripeness), 100
            said = f"First check: {value}%"
        else:
            value, most = max(0, state.patience - state.without_progress), state.patience
            said = f"Patience: {value} more {'check' if value == 1 else 'checks'}"
        self.patience.setMaximum(max(1, most))
        self.patience.setValue(value if running else 0)
        self.patience.setFormat(said if running else "–")

    def _draw(self, state: TrainingState) -> None:
        times = [_minutes(step.get("time"), state.started) for step in state.history]
        dice = [_value(step.get("dice")) for step in state.history]
        best = [_value(step.get("best")) for step in state.history]
        self._dice.setData(times, dice)
        self._best.setData(times, best)
        known = [value for value in dice + best if value == value]
        if known:
            self.plot.setYRange(max(0.0, min(known) - 0.05), min(1.0, max(known) + 0.05))
            self.plot.setXRange(0, max([0.1, *filter(math.isfinite, times)]))


def headline(state: TrainingState) -> str:
    """The state of training in a few words."""
    return {
        "running": "Training",
        "waiting": "Training waits",
        "stopped": "Training stopped",
        "finished": "Training finished",
        "failed": "Training could not go on",
    }.get(state.state, state.state)


def sentence(state: TrainingState, chosen: str | None = None) -> str:
    """What the state means, for somebody who has never trained a network.

    Args:
        state: what training has done.
        chosen: the title of the model that makes the masks, where that is not the newest of the project.
    """
    if state.state == "failed":
        return state.message or "The cause was not named. Look into the trainer's window: Models → Trainer…."
    if state.state == "waiting" and state.message and "annotations" not in state.message:
        return f"{state.message}."
    if state.state == "waiting":
        return "It waits for annotations: paint what the mask got wrong, then go to the next image to save it."
    if state.state == "running":
        if state.ripeness < 1:
            return (
                "It learns from your corrections. The first check comes after minutes, on a graphics card after "
                "seconds: only then can it be better than it was."
            )
        if state.without_progress == 0:
            return _gain(state.history)
        return (
            f"No gain in the last {_count(state.without_progress)}. It ends by itself after "
            f"{_count(state.patience)} without a gain; new annotations help more than waiting."
        )
    return _outcome(state, chosen)


def _gain(history: Sequence[Mapping[str, Any]]) -> str:
    """What the last check gave, where none without a gain is counted."""
    *earlier, last = history or ({},)
    if last.get("dice") != last.get("best"):
        return "New annotations came in and are learnt from. Checks without a gain are counted anew."
    if earlier and _value(last.get("best")) < _value(earlier[-1].get("best")):
        return (
            "The last model is the best so far. Its number is lower because more corrections are checked now, or "
            "because it does as well there as the one before and better on those that it learns from."
        )
    return "The last check was the best so far. Go on correcting: new annotations are used at once."


def _outcome(state: TrainingState, chosen: str | None) -> str:
    if state.saved and chosen:
        return f"A better model was saved. Choose it in the menu Models to use it: {chosen} makes the masks."
    if state.saved:
        return "A better model was saved and makes the masks from now on. Old masks stay until you make them again."
    if state.state == "stopped" and state.ripeness < 1:
        return "Stopped before the first check: what it had learnt is not kept. Start again whenever you like."
    if state.state == "stopped":
        return "No better model was saved yet. Start again whenever you like."
    return "No better model was found. Annotate more images where the mask is wrong, then start again."


def _count(checks: int) -> str:
    return "check" if checks == 1 else f"{checks} checks"


def _minutes(moment: Any, started: float | None) -> float:
    return max(0.0, (_value(moment) - (started or 0.0)) / 60)


def _value(number: Any) -> float:
    return float(number) if isinstance(number, int | float) else float("nan")


def _dice(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, int | float) and value == value else "–"


def _label(text: str) -> QtWidgets.QLabel:
    label = QtWidgets.QLabel(text)
    label.setWordWrap(True)
    return label
