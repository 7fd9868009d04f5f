"""Which Python, system and packages compute here: for the record of a run and for a bug report."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version


def describe(packages: Iterable[str]) -> dict[str, str | None]:
    """The versions by name; None for a package that is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version(), "system": platform.platform()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found
