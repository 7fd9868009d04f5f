"""Writes 8-bit PNG files band by band: a mask of 20 000×20 000 pixels never stands in memory as RGBA."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .bands import bands

_COLOUR_TYPES = {1: 0, 3: 2, 4: 6}
_FILTER_UP = 2


def write(
    path: Path, height: int, width: int, channels: int, band: Callable[[slice], np.ndarray], text: bytes = b""
) -> None:
    """Writes grey (1 channel), RGB (3) or RGBA (4) pixels to `path`, which is not replaced in one step.

    `band(rows)` gives rows `rows.start` to `rows.stop` as H×W or H×W×channels uint8; it is asked from the top down.
    `text` is the content of a tEXt chunk, its keyword and a zero byte first; without it there is none.
    """
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        _chunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[channels], 0, 0, 0))
        if text:
            _chunk(file, b"tEXt", text)
        squeeze = zlib.compressobj(6)
        above = np.zeros((1, width * channels), np.uint8)
        for place in bands(height, width * channels):
            rows = band(place).reshape(-1, width * channels)
            # Masks are tall runs of the same value: the difference to the row above is nearly all zero.
            filtered = np.empty((len(rows), 1 + width * channels), np.uint8)
            filtered[:, 0] = _FILTER_UP
            filtered[:, 1:] = rows
            filtered[:, 1:] -= np.concatenate([above, rows[:-1]])
            above = rows[-1:].copy()
            _chunk(file, b"IDAT", squeeze.compress(filtered))
        _chunk(file, b"IDAT", squeeze.flush())
        _chunk(file, b"IEND", b"")


def _chunk(file: BinaryIO, kind: bytes, content: bytes) -> None:
    file.write(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(kind)))
    )
