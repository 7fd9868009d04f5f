"""What a training carries from step to step, and how it survives being killed."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from ...errors import DataError
from ...files import is_there
from ...model.checkpoint import save
from ...model.network import MobileSAM

LAST = "last.pt"
BEST = "best.pt"


class WeightAverage:
    """A moving average of a network's weights and normalisation statistics; usually better than the last weights."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = deepcopy(network).eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Takes in the weights after a step; the first ones count more, so that the start is soon forgotten."""
        self.updates += 1
        share = 1 - min(self.decay, self.updates / (self.updates + 10))
        for mine, theirs in zip(self._tensors(self.network), self._tensors(network), strict=True):
            if mine.is_floating_point():
                mine.lerp_(theirs, share)
            else:
                mine.copy_(theirs)

    @staticmethod
    def _tensors(network: nn.Module) -> list[Tensor]:
        return list(network.state_dict().values())


def make_optimizer(network: nn.Module, rate: float, decay: float) -> Optimizer:
    """AdamW over what learns; norms, biases and other one-dimensional weights are not decayed."""
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in learning if p.ndim >= 2], "weight_decay": decay},
        {"params": [p for p in learning if p.ndim < 2], "weight_decay": 0.0},
    ]
    return AdamW(groups, lr=rate)


@dataclass
class TrainState:
    """The network, its average, the optimiser, and how many steps were done."""

    network: MobileSAM
    average: WeightAverage
    optimizer: Optimizer
    step: int = 0

    def save(self, path: Path) -> None:
        """Writes everything needed to go on; raises DataError where the disk refuses it."""
        what = {
            "network": self.network.state_dict(),
            "average": self.average.network.state_dict(),
            "updates": self.average.updates,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
        }
        save(what, path, DataError)

    def restore(self, saved: dict[str, Any]) -> None:
        """Takes over what `save` wrote."""
        self.network.load_state_dict(saved["network"])
        self.average.network.load_state_dict(saved["average"])
        self.average.updates = saved["updates"]
        self.optimizer.load_state_dict(saved["optimizer"])
        self.step = saved["step"]


def last_state(folder: Path) -> dict[str, Any] | None:
    """What `TrainState.save` wrote last, or None.

    Raises:
        DataError: it is there and cannot be read.
    """
    return _read(folder / LAST)


def chosen_weights(folder: Path) -> dict[str, Tensor]:
    """The state dict that a training in `folder` ended with.

    It is the one that did best on the validation patches, or, where nothing was validated, the last moving average.

    Raises:
        DataError: the folder holds no training, or its files cannot be read.
    """
    best = _read(folder / BEST)
    return best if best is not None else last_average(folder)


def last_average(folder: Path) -> dict[str, Tensor]:
    """The state dict of the moving average after the last step of a training in `folder`.

    Raises:
        DataError: the folder holds no training, or its file cannot be read.
    """
    last = last_state(folder)
    if last is None:
        raise DataError(f"{folder} holds no training: {LAST} is not there.")
    return last["average"]


def _read(path: Path) -> dict[str, Any] | None:
    if not is_there(path):
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    # torch's own words advise to switch the protection against foreign code off.
    except (RuntimeError, EOFError, ValueError, OSError, UnpicklingError) as error:
        raise DataError(
            f"{path} cannot be read: it is damaged, or no checkpoint. Remove it to go on without it."
        ) from error
