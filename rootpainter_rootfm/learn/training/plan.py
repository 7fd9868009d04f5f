"""How a training runs: one frozen description, kept beside its checkpoints."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

from ...errors import DataError
from ...model.card import TILE_MULTIPLE
from .augment import ONE_CAMERA


@dataclass(frozen=True)
class TrainPlan:
    """Everything that decides what a training does, apart from its data and the weights it starts from.

    Attributes:
        steps: optimiser steps in all.
        tile_sizes: sides of the patches in pixels; each step takes one of them for its whole batch. Multiples of
            224 fit the encoder's windows without padding.
        batch: patches of the smallest size in a step; larger patches come in smaller numbers, for equal work.
        scale: smallest and largest zoom of a real image.
        drawn: share of patches with drawn roots.
        transplanted: share of the other patches that show real roots in ground that is not their own.
        variety: how often light, colour and sharpness of a patch are changed, as a share of how often they are for a
            model that is to know every camera (see `augment.photograph`).
        rate: learning rate of AdamW on the plateau between warm-up and cool-down.
        warmup: steps over which the rate rises to the plateau.
        cooldown: share of the steps, at the end, over which the rate falls to zero. A finished training can be
            prolonged: its rate rises to the plateau again.
        decay: weight decay of AdamW, for weights of two or more dimensions.
        clip: largest norm of the gradient.
        average: share of the moving average of the weights that stays at each step.
        seed: of everything random.
        frozen_statistics: keeps the statistics of the normalisations as the starting weights have them; a few
            images of one system would spoil them.
    """

    steps: int = 20_000
    tile_sizes: tuple[int, ...] = (224, 320, 448)
    batch: int = 8
    scale: tuple[float, float] = (0.4, 2.5)
    drawn: float = 0.35
    transplanted: float = 0.0
    variety: float = 1.0
    rate: float = 1e-3
    warmup: int = 300
    cooldown: float = 0.2
    decay: float = 0.05
    clip: float = 1.0
    average: float = 0.999
    seed: int = 0
    frozen_statistics: bool = False

    def __post_init__(self) -> None:
        if not self.tile_sizes or any(size < TILE_MULTIPLE or size % TILE_MULTIPLE for size in self.tile_sizes):
            raise DataError(f"Tile sizes must be multiples of {TILE_MULTIPLE}, not {self.tile_sizes}.")
        if self.steps < 1 or self.batch < 1:
            raise DataError("A training needs at least one step and one patch a step.")
        if not 0 < self.scale[0] <= self.scale[1] < math.inf:
            raise DataError(f"The zoom must go from a smaller to a larger positive number, not {self.scale}.")
        self._check_numbers()

    def _check_numbers(self) -> None:
        for name in ("drawn", "transplanted", "variety", "cooldown", "average"):
            if not 0 <= getattr(self, name) <= 1:
                raise DataError(f"{name} is a share from 0 to 1, not {getattr(self, name)}.")
        for name in ("rate", "clip"):
            if not 0 < getattr(self, name) < math.inf:
                raise DataError(f"{name} must be a number above 0, not {getattr(self, name)}.")
        for name in ("warmup", "decay"):
            if not 0 <= getattr(self, name) < math.inf:
                raise DataError(f"{name} cannot be below 0, as {getattr(self, name)} is.")
        if not 0 <= self.seed < 2**31:  # it and a step's number have to fit into 64 bits
            raise DataError(f"seed must be a number from 0 to {2**31 - 1}, not {self.seed}.")

    @property
    def cooldown_start(self) -> int:
        """The step at which the rate begins to fall."""
        return round(self.steps * (1 - self.cooldown))

    def rate_at(self, step: int) -> float:
        """The learning rate of step 0, 1, …"""
        if step < self.warmup:
            return self.rate * (step + 1) / self.warmup
        falling = (self.steps - step) / max(1, self.steps - self.cooldown_start)
        return self.rate * min(1.0, max(0.0, falling))

    def to_json(self) -> str:
        """Readable by `from_json` and by people."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> TrainPlan:
        """The plan that `to_json` wrote."""
        values: dict[str, Any] = json.loads(text)
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


CONTINUED = TrainPlan(
    steps=400,
    scale=(0.7, 1.4),
    drawn=0.0,
    variety=ONE_CAMERA,
    rate=1e-4,
    warmup=20,
    cooldown=0.5,
    decay=0.01,
    frozen_statistics=True,
)
"""A training that begins with a model: short, gentle, and on what is there, mostly as it is there."""
