"""Rows of an image, a few at a time: what is done band by band never needs the memory of a second whole image."""

from __future__ import annotations

from collections.abc import Iterator

_VALUES_AT_A_TIME = 1 << 22


def bands(height: int, values_per_row: int) -> Iterator[slice]:
    """Slices of rows from the top down, about four million values each, together exactly `height` rows."""
    step = max(1, _VALUES_AT_A_TIME // max(1, values_per_row))
    for top in range(0, height, step):
        yield slice(top, min(top + step, height))
