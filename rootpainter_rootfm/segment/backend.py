"""OpenVINO instead of torch for the image encoder on a CPU: optional, and only where it pays.

On one thread it takes a third less processor time than torch for tiles of 448 pixels, a tenth less for those of 1024.
To be made ready for a shape of tile and compared with torch costs about as much as it then saves on a dozen tiles
(docs/performance.md). So that is done when some have come: a folder gains, and a checkpoint that lives for a few images
loses nothing. What was made ready is kept on disk under the digest of the weights.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from typing import Final

import torch
from torch import Tensor, nn

from ..model.network import MobileSAM
from . import backend_cache as cache

PATIENCE: Final = 4
"""Batches of a shape that torch computes before OpenVINO does."""
SHAPES: Final = 3
"""Shapes that one network has ready at once at most; each holds the memory of its activations."""
IDLE: Final = 64
"""Batches of other shapes after which one that is ready makes room for another."""
TOLERANCE: Final = 1e-3
"""Of the embedding's largest value; what rounding makes is a thousand times smaller."""
GRAPH: Final = 2
"""Raised whenever the same weights would give another graph than before."""

_log = logging.getLogger(__name__)

Encode = Callable[[Tensor], Tensor]
"""B×3×H×W normalised tiles to their B×256×H/16×W/16 embedding."""


def accelerated(network: MobileSAM) -> MobileSAM:
    """The network that `fold_batchnorm` made, with a faster encoder for the CPU where OpenVINO is installed."""
    if find_spec("openvino") is not None:
        network.image_encoder = FastEncoder(network.image_encoder)
    return network


class FastEncoder(nn.Module):
    """torch's encoder, and OpenVINO's for the shapes of tiles that come often; where that fails, torch's for good."""

    def __init__(self, encoder: nn.Module) -> None:
        """Takes the encoder of a network that `fold_batchnorm` made."""
        super().__init__()
        self.encoder = encoder
        self._ready: dict[tuple[int, ...], Encode] = {}
        self._seen: Counter[tuple[int, ...]] = Counter()
        self._last: dict[tuple[int, ...], int] = {}
        self._batches = 0
        self._digest: str | None = None
        self._failed = False

    def forward(self, x: Tensor) -> Tensor:
        """B×3×H×W normalised tiles in, their B×256×H/16×W/16 embedding out."""
        if x.device.type == "cpu" and x.dtype == torch.float32 and not self._failed:
            try:
                shape = tuple(x.shape)
                self._batches += 1
                self._last[shape] = self._batches
                encode = self._ready.get(shape) or self._made_ready(x)
                if encode is not None:
                    return encode(x)
            # torch does all that is asked for here, so nothing that goes wrong with OpenVINO concerns the user.
            except Exception as error:
                self._failed = True
                self._ready.clear()
                _log.warning("OpenVINO is left aside from here on, torch does its work: %s", str(error).split("\n")[0])
        return self.encoder(x)

    def _made_ready(self, x: Tensor) -> Encode | None:
        """OpenVINO's encoder for tiles of this shape, unless it is torch's turn."""
        shape = tuple(x.shape)
        self._seen[shape] += 1
        if self._seen[shape] <= PATIENCE or not self._has_room():
            return None
        self._ready[shape] = self._kept(shape) or self._built(x)
        return self._ready[shape]

    def _has_room(self) -> bool:
        """Whether another shape may be made ready; one that comes no more is given up for it."""
        if len(self._ready) < SHAPES:
            return True
        oldest = min(self._ready, key=self._last.__getitem__)
        if self._batches - self._last[oldest] < IDLE:
            return False
        del self._ready[oldest], self._seen[oldest]
        return True

    def _kept(self, shape: tuple[int, ...]) -> Encode | None:
        blob = cache.kept(self._name(shape))
        if blob is None:
            return None
        from .backend_openvino import Encoder

        return Encoder.restored(blob)

    def _built(self, x: Tensor) -> Encode:
        from .backend_openvino import Encoder

        encode = Encoder.built(self.encoder, tuple(x.shape))
        expected = self.encoder(x)
        off = float((encode(x) - expected).abs().max() / expected.abs().max())
        if not off <= TOLERANCE:
            raise RuntimeError(f"its embedding of a tile of {x.shape[2]}×{x.shape[3]} pixels is off by {off:.1%}")
        cache.keep(self._name(tuple(x.shape)), encode.blob())
        return encode

    def _name(self, shape: tuple[int, ...]) -> str:
        """Everything that decides whether a kept encoder is the right one, in digests."""
        if self._digest is None:
            weights = hashlib.sha256()
            for name, tensor in self.encoder.state_dict().items():
                weights.update(name.encode())
                weights.update(tensor.contiguous().numpy())
            self._digest = weights.hexdigest()
        maker = f"{version('openvino')} {GRAPH} {torch.backends.cpu.get_cpu_capability()}"
        batch, _, height, width = shape
        return f"{self._digest[:32]}-{hashlib.sha256(maker.encode()).hexdigest()[:8]}-{batch}x{height}x{width}"
