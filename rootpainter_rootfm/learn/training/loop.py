"""The training loop, from random weights or given ones: resumable at any step, on CPU, one GPU or several."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset
from torch.utils.data import Dataset as TorchDataset

from ...errors import DataError, RootFMError
from ...files import replacing
from ...model.card import ModelCard
from ...model.checkpoint import save
from ...model.network import MobileSAM, normalise
from ...progress import CancelToken, Progress, silent
from ..data import Dataset
from . import beginning, distributed, memory
from .batches import Batch, Batches
from .curves import TrainLog
from .distributed import Group
from .losses import dice_bce
from .plan import TrainPlan
from .precision import autocast
from .state import BEST, LAST, TrainState, WeightAverage, chosen_weights, last_state, make_optimizer
from .validation import ValidationPatches

logger = logging.getLogger(__name__)

SAMPLES = "samples.png"


@dataclass(frozen=True)
class Rhythm:
    """How often a training writes things down, in steps; how many processes cut patches beside it."""

    checkpoint: int = 50
    validation: int = 500
    workers: int = 1


@dataclass(frozen=True)
class Start:
    """The model that a training begins with.

    Attributes:
        weights: its state dict.
        card: where it comes from, for the card of the model that will be made; None when that is nobody's concern.
    """

    weights: Mapping[str, Tensor]
    card: ModelCard | None = None


def train(
    datasets: Sequence[Dataset],
    plan: TrainPlan,
    folder: Path,
    device: str | torch.device = "cpu",
    rhythm: Rhythm = Rhythm(),
    progress: Progress = silent,
    cancel: CancelToken | None = None,
    start: Start | None = None,
) -> TrainState:
    """Trains a network, or goes on with the training that `folder` holds.

    The folder receives `last.pt` (to go on from), `best.pt` (the averaged weights that did best on the validation
    patches), `log.csv`, `curves.png`, `samples.png`, `plan.json` and `record.json` (the names of the datasets, the card
    of the model begun with, and with which command, version and machine the training was begun and gone on with).

    Args:
        datasets: learnt from are their train items, validated on their val items.
        plan: what to do; length and rate may be others than in the folder's plan, and the patches where its training
            is finished and now prolonged.
        folder: made if absent.
        device: a torch device; under torchrun every process takes the GPU of its own rank.
        rhythm: how often to save and to validate.
        progress: told of every step.
        cancel: checked between steps; a checkpoint is written before the loop ends.
        start: the model to begin with, itself a candidate for `best.pt`; None is random weights. A training that is
            gone on with has its own weights.

    Raises:
        DataError: no images to train on, a missing one, the folder holds a training of other data, under another plan
            or of another model, or the disk takes no more.
        ImageError, MaskError: a file cannot be read.
        RootFMError: memory ran out.
        Cancelled: `cancel` was called.
    """
    group = distributed.join()
    device = group.device or device
    with memory.said_in_words(device):
        state = _begin(datasets, plan, folder, group, device, rhythm, start)
        batches = Batches([dataset.split("train") for dataset in datasets], plan, group.rank)
        validation = ValidationPatches([dataset.split("val") for dataset in datasets]) if group.leads else None
        log = TrainLog(folder)
        model: nn.Module = group.wrap(state.network)
        try:
            if validation:
                _look_first(state, plan, folder, log, validation, start)
            for batch in _loader(batches, state.step, rhythm.workers):
                loss = _step(model, state, plan, batch, group)
                progress(state.step, plan.steps, f"loss {loss:.3f}")
                if group.leads:
                    log.step(loss)
                    _write_down(state, plan, folder, rhythm, log, validation)
                # Ctrl-C comes to the processes at different steps: who went on alone would wait for others for ever.
                if cancel is not None and not group.everywhere(not cancel.cancelled):
                    cancel.cancel()
                    break
            # Not after an exception: it may have come in the middle of a step.
            if group.leads:
                state.save(folder / LAST)
        finally:
            group.leave()
    if cancel is not None:
        cancel.check()
    return state


def _begin(
    datasets: Sequence[Dataset],
    plan: TrainPlan,
    folder: Path,
    group: Group,
    device: str | torch.device,
    rhythm: Rhythm,
    start: Start | None,
) -> TrainState:
    saved, card = last_state(folder), start and start.card
    beginning.check(datasets, plan, folder, card, saved and saved["step"], rhythm.checkpoint)
    torch.manual_seed(plan.seed)
    network = MobileSAM().to(device, memory_format=torch.channels_last).train(not plan.frozen_statistics)
    if start is not None:
        network.load_state_dict(start.weights)
    average = WeightAverage(network, plan.average)
    state = TrainState(network, average, make_optimizer(network, plan.rate, plan.decay))
    if saved is not None:
        state.restore(saved)
    if group.leads:
        if saved is None:
            beginning.begin_anew(folder)
        beginning.note(datasets, plan, folder, card, state.step, device)
    return state


class _Sent(TorchDataset[Batch | RootFMError]):
    """Batches as another process sends them: a bad file as its one sentence, not as that process's traceback."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches

    def __getitem__(self, step: int) -> Batch | RootFMError:
        try:
            return self._batches[step]
        except RootFMError as error:
            return error


def _loader(batches: Batches, first: int, workers: int) -> Iterator[Batch]:
    remaining = Subset(_Sent(batches), range(first, len(batches)))
    prefetch = 4 if workers else None
    for sent in DataLoader(
        remaining, batch_size=None, num_workers=workers, prefetch_factor=prefetch, worker_init_fn=_leave_interrupts
    ):
        if isinstance(sent, RootFMError):
            raise sent
        yield sent


def _leave_interrupts(worker: int) -> None:
    """Ctrl-C reaches every process of a terminal; it is for the one that trains to end the others in good order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _step(model: nn.Module, state: TrainState, plan: TrainPlan, batch: Batch, group: Group) -> float:
    """One optimiser step; returns its loss. One that is not finite in any process leaves the weights as they were."""
    device = next(model.parameters()).device
    # While it trains, the network takes chances of its own; they too must be the same whenever a step is done.
    torch.manual_seed((plan.seed << 32) + state.step)
    for parameters in state.optimizer.param_groups:
        parameters["lr"] = plan.rate_at(state.step)
    images, root, known = (tensor.to(device, non_blocking=True) for tensor in (batch.images, batch.root, batch.known))
    # Each forward pass moves the statistics of the normalisations, one that ends in NaN just as well.
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    with autocast(device):
        logits: Tensor = model(normalise(images))
    loss = dice_bce(logits, root, known)
    state.step += 1
    learnt = False
    if group.everywhere(bool(torch.isfinite(loss))):
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), plan.clip)
        if torch.isfinite(norm):
            state.optimizer.step()
            state.average.update(state.network)
            learnt = True
    if not learnt:
        for buffer, before in buffers:
            buffer.copy_(before)
    state.optimizer.zero_grad(set_to_none=True)
    return float(loss.detach())


def _write_down(
    state: TrainState,
    plan: TrainPlan,
    folder: Path,
    rhythm: Rhythm,
    log: TrainLog,
    validation: ValidationPatches | None,
) -> None:
    """What the leading process keeps after a step."""
    # Validated first: a training that is killed meanwhile goes on from before it, and validates then.
    if validation and (state.step % rhythm.validation == 0 or state.step == plan.steps):
        _validate(state, plan, folder, log, validation)
    if state.step % rhythm.checkpoint == 0:
        state.save(folder / LAST)


def _look_first(
    state: TrainState, plan: TrainPlan, folder: Path, log: TrainLog, validation: ValidationPatches, start: Start | None
) -> None:
    """What is to be known before anything is learnt."""
    for sentence in validation.warnings:
        logger.warning(sentence)
    _compare_anew(state, folder, log, validation)
    if start is not None and state.step == 0:
        _validate(state, plan, folder, log, validation)


def _compare_anew(state: TrainState, folder: Path, log: TrainLog, validation: ValidationPatches) -> None:
    """Measures the best weights again when other patches than those that they did best on are what counts now."""
    if log.best.get("patches", validation.digest) != validation.digest:
        network = deepcopy(state.average.network)
        network.load_state_dict(chosen_weights(folder))
        log.keep_best(log.best["step"], validation.measure(network).mean, validation.digest)


def _validate(state: TrainState, plan: TrainPlan, folder: Path, log: TrainLog, validation: ValidationPatches) -> None:
    started = time.monotonic()
    report = validation.measure(state.average.network)
    if report.mean > log.best_dice:
        save(state.average.network.state_dict(), folder / BEST, DataError)
        log.keep_best(state.step, report.mean, validation.digest)
    with replacing(folder / SAMPLES) as beside:
        report.sheet.save(beside)
    log.validation(state.step, plan.rate_at(max(0, state.step - 1)), report, time.monotonic() - started)
