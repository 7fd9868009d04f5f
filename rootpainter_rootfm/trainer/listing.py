"""Photographs by the names that a window asks for: on a Mac an umlaut is two characters, on the disk it may be one."""

from __future__ import annotations

from pathlib import Path

from .. import images
from ..learn.names import same_everywhere


class Listing:
    """The photographs of a folder; it is listed once, and only for names that may be written in two ways.

    Args:
        folder: Where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._listed: dict[str, Path] | None = None

    def find(self, name: str) -> Path:
        """Where the photograph of that name is, or would be; raises ImageError when the folder cannot be listed."""
        path = self._folder / name
        if name.isascii() or path.is_file():
            return path
        if self._listed is None:
            self._listed = {same_everywhere(one.name): one for one in images.list_images(self._folder)}
        return self._listed.get(same_everywhere(name), path)

    def forget(self) -> None:
        """The folder is listed anew, should it be necessary: what was missing may have come."""
        self._listed = None
