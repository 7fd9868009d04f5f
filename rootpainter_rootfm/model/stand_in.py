"""The untrained stand-in for the bundled model, made from a seed wherever it is first used, the same everywhere."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path

import numpy as np

from .card import ModelCard

CARD = ModelCard(
    name="rootfm",
    title="Root Foundation Model (untrained stand-in)",
    file="rootfm-untrained.safetensors",
    sha256="1a6bb5d7da3a5e89d05ab42e58ccc6064691597206801b902e5f7ac30885492a",
    licence="CC0-1.0",
    training_data=(),
    tile_sizes=(256, 512, 1024),
    padding="reflect",
    threshold=0.5,
    trained=False,
    weaknesses="It has never seen a root: its masks mean nothing. It is here so that everything else can be tried.",
    notes="Random weights, drawn from a fixed seed on this computer.",
    url=None,
    size_bytes=20_332_608,
)
_SEED = 7


def write(path: Path) -> None:
    """Writes the stand-in's weights as safetensors to `path`, byte for byte the same on every computer.

    By hand and with NumPy alone: neither torch's random numbers nor a library's file layout stay the same for ever.
    """
    from .checkpoint import expected_shapes

    numbers = np.random.Generator(np.random.PCG64(_SEED))
    arrays = {name: _draw(name, shape, numbers) for name, shape in sorted(expected_shapes().items())}
    header, end = {}, 0
    for name, array in arrays.items():
        kind = "F16" if array.dtype == np.float16 else "I64"
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [end, end + array.nbytes]}
        end += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in arrays.values():
            file.write(array.tobytes())


def _draw(name: str, shape: tuple[int, ...], numbers: np.random.Generator) -> np.ndarray:
    """One tensor: norms as fresh ones are, all others uniform with the variance that keeps signals alive."""
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, "<i8")
    if len(shape) < 2:
        return np.full(shape, 1 if name.endswith(("weight", "running_var")) else 0, "<f2")
    # Embeddings and position codes have no inputs to share the variance among.
    inputs = 1 if "embed" in name.rpartition(".")[0].rpartition(".")[2] else math.prod(shape[1:])
    return ((numbers.random(shape, np.float32) * 2 - 1) * np.float32(math.sqrt(3 / inputs))).astype("<f2")
