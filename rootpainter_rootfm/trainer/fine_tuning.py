"""`start_training` for foundation models: learns from corrections as they come in, saves what became better."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from .. import files
from ..errors import RootFMError
from .instructions import Instruction
from .logs import Journal, write_metrics
from .models import Models, NewestModel, is_unet, newest, numbered
from .paths import Refused
from .requests import TrainingRequest
from .training_file import TrainingFile
from .worker import MAY_PASS, Further

if TYPE_CHECKING:
    from ..learn.fine_tuning.corrections import Corrections
    from ..learn.fine_tuning.fine_tune import FineTuner
    from ..learn.fine_tuning.judge import Judge, Verdict
    from ..learn.fine_tuning.measuring import Measured
    from ..model.network import MobileSAM

logger = logging.getLogger(__name__)

MODEL = ".rootfm_model.pth"
PATIENCE = 20
"""Epochs without a better model after which training ends; ten minutes and more on a CPU."""
SECONDS_BETWEEN_LOOKS = 1.0
"""How often the folders are looked at while there is nothing to learn from."""


class FineTuning:
    """One training, from Start to its end."""

    def __init__(self, request: TrainingRequest, models: Models, journal: Journal, further: Further) -> None:
        self.request = request
        self._models, self._journal, self._further = models, journal, further
        self._stop = Event()
        self._device = "cpu"
        self._file = TrainingFile(request.logs, PATIENCE, journal)
        self._told: set[str] = set()
        self._suspected: set[str] = set()

    @property
    def instruction(self) -> Instruction:
        """Where it came from."""
        return self.request.instruction

    def stop(self) -> None:
        """Asks it to end before its next step. Safe from any thread."""
        self._stop.set()

    @property
    def stopping(self) -> bool:
        """Whether it was asked to."""
        return self._stop.is_set()

    def wait(self) -> None:
        """Other work goes first; the window hears so."""
        self._announce("waiting", "Training begins when the masks asked for are made")

    def steps(self) -> Iterator[None]:
        """Trains until it is stopped or nothing becomes better any more; yields at least once a second.

        Raises:
            DataError: a folder of the project is gone.
            WeightsError, ModelError: the model to begin with cannot be read.
            OSError: a file of the project cannot be read or written.
            RootFMError: the memory does not suffice.
        """
        try:
            for _ in self._train_in_memory():
                yield
                if self._stop.is_set():
                    self.drop()
                    return
        except Exception as error:
            if self._stop.is_set() and isinstance(error, MAY_PASS):
                self.drop()  # Else it would be tried again in a second.
                return
            self.abandon(f"Training failed. {str(error) or type(error).__name__}")
            raise

    def drop(self) -> None:
        """It is stopped, perhaps before its next try or in the middle of a step; the window hears so."""
        self._announce("stopped", "Training stopped")

    def abandon(self, message: str) -> None:
        """It is given up; the window hears why."""
        self._show("failed", message)

    def _train_in_memory(self) -> Iterator[None]:
        """As `_train`; where memory runs out for good, the error helps."""
        try:
            yield from self._train()
        except (RuntimeError, MemoryError) as error:
            from ..learn.fine_tuning.fine_tune import out_of_memory
            from ..segment.device import is_out_of_memory

            if is_out_of_memory(error):
                raise out_of_memory(self._device) from error
            raise

    def _train(self) -> Iterator[None]:
        from ..learn.fine_tuning.corrections import Corrections

        request = self.request
        self._show("running", "Preparing training")
        for left in (request.logs / MODEL, *files.unfinished(request.logs, Path(MODEL).suffix)):
            left.unlink(missing_ok=True)  # What an earlier run was writing when it was killed.
        yield
        corrections = Corrections(
            request.images, request.train, request.val, request.masks, balance=request.settings.balance
        )
        yield from self._look(corrections)
        latest = self._newest()
        tuner, judge = self._begin(latest.path)
        yield from self._wait_for(corrections)
        self._announce("running", "Training started")
        while self._file.without_progress < PATIENCE:
            learnt = yield from tuner.epoch(corrections)
            self._log("train", learnt)
            before = corrections.training, corrections.validation
            yield from self._look(corrections)
            if not corrections.training:
                yield from self._wait_for(corrections)
                self._show("running", "Training goes on")
                continue
            if self._replaced(latest):
                latest = self._newest()
                tuner, judge = self._begin(latest.path)
                self._file.without_progress = 0
            self._file.ripeness = tuner.ripeness
            if tuner.ripeness < 1:
                self._announce("running", f"Training learns before its first check, {tuner.ripeness:.0%}")
                continue
            verdict = yield from judge.compare(tuner.learnt(corrections), corrections)
            saved = verdict.better and self._save(verdict.current.network, latest)
            if saved:
                judge.accept(verdict.current)
            self._note(verdict, saved)
            if before != (corrections.training, corrections.validation):
                self._file.without_progress = 0
            so_far = f"Training {self._file.without_progress} of max {PATIENCE} epochs without progress"
            self._announce("running", so_far)
        self._announce("finished", f"Training finished as {PATIENCE} epochs without progress")

    def _newest(self) -> NewestModel:
        path = newest(self.request.models)
        if path is not None and is_unet(path):
            raise Refused(f"{path.name} is a U-Net: stop and start training to go on with it.")
        return NewestModel.of(path)

    def _begin(self, path: Path | None) -> tuple[FineTuner, Judge]:
        """Loads a model of the project, or, where it has none, the foundation model that it was begun with."""
        from ..learn.fine_tuning.fine_tune import FineTuner
        from ..learn.fine_tuning.judge import Judge
        from ..learn.fine_tuning.settings import FineTuneSettings
        from ..segment.device import first_footing

        settings = FineTuneSettings(zoom=self.request.settings.scale)
        device = first_footing(self.request.settings.device).device
        self._device = str(device)
        if device.type != "cpu":
            settings = settings.on_gpu()
        tuner = FineTuner(self._load(path), device, settings)
        return tuner, Judge(tuner, tuner.start)

    def _load(self, path: Path | None) -> MobileSAM:
        from ..model.library import load_model

        return load_model(path if path is not None else self._models.library_model(self.request.model))[0]

    def _wait_for(self, corrections: Corrections) -> Iterator[None]:
        """Looks at the folders, which were looked at just before, until there is something to learn from."""
        told = False
        looked = time.monotonic()
        while not corrections.training:
            if time.monotonic() - looked >= SECONDS_BETWEEN_LOOKS:
                looked = time.monotonic()
                yield from self._look(corrections)
            elif not told:
                told = True
                self._announce("waiting", "Training waits for annotations")
            else:
                time.sleep(0.1)
            yield

    def _look(self, corrections: Corrections) -> Iterator[None]:
        """Takes in new and changed annotations, and tells once of each that cannot be used."""
        yield from corrections.refresh()
        for name, cause in corrections.problems.items():
            # At first sight a file may only be half-written.
            if cause in self._suspected:
                self._tell_once(f"Training leaves out {name}. {cause}")
            self._suspected.add(cause)

    def _replaced(self, known: NewestModel) -> bool:
        """Whether somebody else put another model into the project, or took it away, since the last look."""
        latest = newest(self.request.models)
        if known.is_still(latest):
            return False
        if latest is None:
            self._tell_once("The project's models were removed. Training goes on with what it has learnt.")
            return False
        self._journal.tell(
            f"Training goes on from {latest.name}, which was put into the project", self.request.messages
        )
        return True

    def _save(self, network: MobileSAM, latest: NewestModel) -> bool:
        """Saves a network as the project's next model; on failure tells why, and training goes on."""
        from ..model.checkpoint import write_pth

        path = numbered(self.request.models, latest.path)
        # Whatever lies in the folder of models may be taken for one: the file is made elsewhere in the project.
        made = self.request.logs / MODEL
        try:
            write_pth(network.state_dict(), made)
            digest = files.sha256(made)
            files.move(made, path)
        except (OSError, RootFMError) as error:
            self._journal.fail(f"A better model could not be saved. {error} Training goes on.", self.request.messages)
            return False
        latest.now_is(path, digest)
        self._further(self.instruction, True)
        self._file.saved = path.name
        self._journal.log(f"Saved {path}")
        return True

    def _note(self, verdict: Verdict, saved: bool) -> None:
        current, before = verdict.current.validated, verdict.best.validated
        self._log("cur_val", current)
        self._log("prev_val", before)
        self._file.add(before, current, verdict.better, saved)

    def _tell_once(self, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            self._journal.fail(message, self.request.messages)

    def _announce(self, state: str, message: str) -> None:
        self._show(state, message)
        self._journal.tell(message, self.request.messages)

    def _log(self, table: str, measured: Measured) -> None:
        try:
            write_metrics(self.request.logs, table, measured.counts, measured.seconds, measured.loss)
        except OSError as error:
            self._tell_once(f"The tables of training cannot be written. {error}")

    def _show(self, state: str, message: str) -> None:
        """Shows in the window how it goes."""
        try:
            self._file.show(state, message)
        except OSError as error:
            self._tell_once(f"The state of training cannot be shown. {error}")
