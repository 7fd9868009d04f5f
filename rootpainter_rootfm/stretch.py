"""Deeper pixels become 8-bit ones: what lies between two percentiles of an image fills 0 to 255, all channels alike."""

from __future__ import annotations

from math import ceil, sqrt
from typing import Final

import numpy as np

from .bands import bands

PERCENTILES: Final = (0.1, 99.9)
"""Outside of them lie dead pixels and reflections."""
NO_LIGHT: Final = 1e37
"""Floats from here on up, and down from its negative: where nothing was seen, programs for maps write the largest."""
_SAMPLE_SIZE: Final = 1 << 22


def stretched(pixels: np.ndarray, missing: float | None = None) -> np.ndarray:
    """Any real H×W or H×W×3 as uint8, its percentiles at 0 and 255; a constant image is black.

    NaN, what is `NO_LIGHT`, and the value `missing`, by which a file says that nothing is known of a pixel, count for
    nothing and become 0.
    """
    low, high = _limits(pixels, missing)
    result = np.zeros(pixels.shape, np.uint8)
    if not high > low:
        return result
    table = None
    if pixels.dtype.kind in "ui" and pixels.dtype.itemsize <= 2:  # a look into a table is five times as fast
        unsigned = np.dtype(f"u{pixels.dtype.itemsize}")
        every = np.arange(256**unsigned.itemsize).astype(unsigned).view(pixels.dtype)
        table = _levels(every, low, high, missing)
    for rows in bands(len(pixels), pixels[0].size):
        part = pixels[rows]
        result[rows] = _levels(part, low, high, missing) if table is None else table[part.view(unsigned)]
    return result


def _levels(values: np.ndarray, low: float, high: float, missing: float | None) -> np.ndarray:
    """Values of any shape as uint8, `low` at 0 and `high` at 255."""
    # Half the difference, since the whole of it may overflow.
    half = high / 2 - low / 2
    with np.errstate(all="ignore"):
        share = (values.astype(np.float64) / 2 - low / 2) / half
        share[_absent(values, missing)] = 0
        return (share.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def _limits(pixels: np.ndarray, missing: float | None) -> tuple[float, float]:
    """What becomes 0 and what 255: percentiles of an even sample, or the extremes where those coincide."""
    step = ceil(sqrt(pixels.size / _SAMPLE_SIZE))
    for values, percentiles in ((pixels[::step, ::step], PERCENTILES), (pixels, (0, 100))):
        seen = values[np.isfinite(values) & ~_absent(values, missing)]
        if seen.size:
            low, high = np.percentile(seen, percentiles, method="nearest")
            if low < high:
                return float(low), float(high)
    return 0.0, 0.0


def _absent(values: np.ndarray, missing: float | None) -> np.ndarray:
    """Where nothing was seen. Infinity is something: what was too bright for a camera."""
    absent = np.isnan(values)
    with np.errstate(all="ignore"):  # half precision knows no such number
        if values.dtype.kind == "f":
            absent |= np.isfinite(values) & (np.abs(values) >= NO_LIGHT)
        if missing is not None:
            absent |= values == missing
    return absent
