"""Where models and prepared encoders are kept on this computer."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def data_folder() -> Path:
    """For models: the folder that the variable ROOTFM_HOME names, else the system's for application data."""
    return _named() or Path(platformdirs.user_data_dir("rootfm", appauthor=False))


def cache_folder() -> Path:
    """For what can be made anew: one in the folder that ROOTFM_HOME names, else the system's for caches."""
    home = _named()
    return home / "cache" if home else Path(platformdirs.user_cache_dir("rootfm", appauthor=False))


def _named() -> Path | None:
    home = os.environ.get("ROOTFM_HOME")
    return Path(home).expanduser().absolute() if home else None
