"""A Root Foundation Model for RootPainter: ``Segmenter.load("rootfm").segment(image)``."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"
__all__ = ["Segmenter", "SegmentSettings", "load_model", "__version__"]

_HOMES = {
    "Segmenter": ".segment.engine",
    "SegmentSettings": ".segment.settings",
    "load_model": ".model.library",
}


def __getattr__(name: str) -> Any:
    # Loaded on first use: importing the package itself must bring in neither torch nor Qt.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name], __name__), name)
