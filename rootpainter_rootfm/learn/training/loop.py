"""The training loop, from random weights or given ones: resumable at any step, on CPU, one GPU or several."""

from __future__ import annotations

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
from ...files import replacing, write_text
from ...model.card import ModelCard
from ...model.network import MobileSAM, normalise
from ...progress import CancelToken, Progress, silent
from ..data import Dataset
from . import distributed, record
from .batches import Batch, Batches
from .curves import TrainLog
from .losses import dice_bce
from .plan import TrainPlan
from .precision import autocast
from .state import BEST, LAST, TrainState, WeightAverage, chosen_weights, last_state, make_optimizer
from .validation import ValidationPatches

PLAN = "plan.json"
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
        plan: what to do; a training that was begun under another plan but for its length and rate is refused.
        folder: made if absent.
        device: a torch device; under torchrun every process takes the GPU of its own rank.
        rhythm: how often to save and to validate.
        progress: told of every step.
        cancel: checked between steps; a checkpoint is written before the loop ends.
        start: the model to begin with, itself a candidate for `best.pt`; None is random weights. A training that is
            gone on with has its own weights.

    Raises:
        DataError: no images to train on, a missing one, or the folder holds a training of other data or under another
            plan.
        Cancelled: `cancel` was called.
    """
    group = distributed.join()
    device = group.device or device
    _check(datasets, plan, folder)
    state = _begin(plan, folder, device, start)
    if group.leads:
        _note(datasets, plan, folder, start, state.step, device)
    batches = Batches([dataset.split("train") for dataset in datasets], plan, group.rank)
    validation = ValidationPatches([dataset.split("val") for dataset in datasets]) if group.leads else None
    log = TrainLog(folder)
    model: nn.Module = group.wrap(state.network)
    try:
        if validation:
            _compare_anew(state, folder, log, validation)
            if start is not None and state.step == 0:
                _validate(state, plan, folder, log, validation)
        for batch in _loader(batches, state.step, rhythm.workers):
            loss = _step(model, state, plan, batch)
            progress(state.step, plan.steps, f"loss {loss:.3f}")
            if group.leads:
                log.step(loss)
                _write_down(state, plan, folder, rhythm, log, validation)
            if cancel is not None and cancel.cancelled:
                break
        # Not after an exception: it may have come in the middle of a step.
        if group.leads:
            state.save(folder / LAST)
    finally:
        group.leave()
    if cancel is not None:
        cancel.check()
    return state


def _check(datasets: Sequence[Dataset], plan: TrainPlan, folder: Path) -> None:
    if not any(dataset.split("train").items for dataset in datasets) and plan.drawn < 1:
        raise DataError("None of the datasets has a train row: there is nothing to learn from.")
    for path in (path for dataset in datasets for item in dataset.items for path in item.files):
        if not path.is_file():
            raise DataError(f"{path} is missing. Put it back, or take its row out of the data.")
    if (folder / PLAN).is_file():
        before = TrainPlan.from_json((folder / PLAN).read_text(encoding="utf-8"))
        if _but_for_schedule(before) != _but_for_schedule(plan):
            raise DataError(
                f"{folder} holds a training under another plan ({PLAN}). "
                "Only --steps, --cooldown and --rate may change; choose another folder for a new training."
            )
    learnt, learning = record.read_record(folder).get("datasets"), record.learning(datasets)
    # Records of old trainings name those with test rows alone, too.
    if learnt is not None and not set(learning) <= set(learnt) <= {dataset.name for dataset in datasets}:
        raise DataError(
            f"{folder} holds a training on {', '.join(learnt)}, not on {', '.join(learning)}. "
            "Choose another folder for a new training."
        )


def _note(
    datasets: Sequence[Dataset],
    plan: TrainPlan,
    folder: Path,
    start: Start | None,
    step: int,
    device: str | torch.device,
) -> None:
    """Writes down what is about to be done."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / PLAN, plan.to_json())
    card = None if start is None else start.card
    now = {"step": step, **record.describe(device)}
    record.write_record(folder, datasets, card, now, finished=step == plan.steps)


def _but_for_schedule(plan: TrainPlan) -> tuple[object, ...]:
    return tuple(value for name, value in vars(plan).items() if name not in ("steps", "cooldown", "rate"))


def _begin(plan: TrainPlan, folder: Path, device: str | torch.device, start: Start | None) -> TrainState:
    torch.manual_seed(plan.seed)
    network = MobileSAM().to(device, memory_format=torch.channels_last).train(not plan.frozen_statistics)
    if start is not None:
        network.load_state_dict(start.weights)
    average = WeightAverage(network, plan.average)
    state = TrainState(network, average, make_optimizer(network, plan.rate, plan.decay))
    saved = last_state(folder)
    if saved is not None:
        state.restore(saved)
    if state.step > plan.steps:
        raise DataError(f"{folder} holds a training of {state.step} steps already: choose more than that.")
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


def _step(model: nn.Module, state: TrainState, plan: TrainPlan, batch: Batch) -> float:
    """One optimiser step; returns its loss. A loss that is not finite leaves the weights as they were."""
    device = next(model.parameters()).device
    # While it trains, the network takes chances of its own; they too must be the same whenever a step is done.
    torch.manual_seed((plan.seed << 32) + state.step)
    for group in state.optimizer.param_groups:
        group["lr"] = plan.rate_at(state.step)
    images, root, known = (tensor.to(device, non_blocking=True) for tensor in (batch.images, batch.root, batch.known))
    # Each forward pass moves the statistics of the normalisations, one that ends in NaN just as well.
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    with autocast(device):
        logits: Tensor = model(normalise(images))
    loss = dice_bce(logits, root, known)
    state.step += 1
    learnt = False
    if torch.isfinite(loss):
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
        with replacing(folder / BEST) as beside:
            torch.save(state.average.network.state_dict(), beside)
        log.keep_best(state.step, report.mean, validation.digest)
    with replacing(folder / SAMPLES) as beside:
        report.sheet.save(beside)
    log.validation(state.step, plan.rate_at(max(0, state.step - 1)), report.dice, time.monotonic() - started)
