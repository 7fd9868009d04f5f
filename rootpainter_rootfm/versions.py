"""Which Python, system and packages compute here: for the record of a run and for a bug report; and what is lacking."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

UNET = "pip install '.[unet]'  in the folder of this program, under Python 3.11 or 3.12"
"""How RootPainter's own trainer, which takes no other Python, is installed beside this one."""


def describe(packages: Iterable[str]) -> dict[str, str | None]:
    """The versions by name; None for a package that is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version(), "system": platform.platform()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found
