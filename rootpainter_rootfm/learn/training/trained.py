"""The network that a training ended with, ready to be measured."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from ...model.card import ModelCard
from ...model.folding import fold_batchnorm
from ...model.network import MobileSAM
from ...segment.engine import Segmenter
from ...segment.settings import SegmentSettings

State = Mapping[str, Tensor]


def fingerprint(state: State) -> str:
    """64 hex digits that are equal for equal weights, whatever file they came from."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def rounded(state: State) -> dict[str, Tensor]:
    """The weights as half precision keeps them, in single precision: what ships is what should be measured."""
    return {name: tensor.half().float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}


def card_of(state: State, name: str, tile_sizes: tuple[int, ...]) -> ModelCard:
    """A card for weights that are in memory only: padding by reflection, threshold 0.5."""
    return ModelCard(
        name=name,
        title=name,
        file="",
        sha256=fingerprint(state),
        licence="",
        training_data=(),
        tile_sizes=tile_sizes,
        padding="reflect",
        threshold=0.5,
        trained=True,
        weaknesses="",
        notes="",
        url=None,
        size_bytes=0,
    )


def segmenter_of(state: State, card: ModelCard, settings: SegmentSettings, threshold: float | None = None) -> Segmenter:
    """A segmenter with these weights; `threshold` takes the place of the settings'."""
    network = MobileSAM()
    network.load_state_dict(state)
    if threshold is not None:
        settings = replace(settings, threshold=threshold)
    return Segmenter([fold_batchnorm(network)], [card], settings)
