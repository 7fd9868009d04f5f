"""Which photograph an annotation belongs to."""

from __future__ import annotations

from pathlib import Path

from ... import images
from ...errors import DataError
from ..names import same_everywhere


class Photographs:
    """The images of a project, by their names without ending. Listing a large folder on a share takes long.

    Args:
        folder: Where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._found: dict[str, Path] = {}
        self._listed: dict[str, Path] | None = None

    def find(self, stem: str) -> Path:
        """The image of that name; raises DataError where there is none."""
        if stem not in self._found:
            likely = (self._folder / f"{stem}{ending}" for ending in images.EXTENSIONS)
            found = next((path for path in likely if path.is_file()), None)
            found = found or self._by_stem().get(same_everywhere(stem))
            if found is None:
                raise DataError(f"{stem} has no image in {self._folder}.")
            self._found[stem] = found
        return self._found[stem]

    def forget(self, image: Path) -> None:
        """It is looked for anew next time."""
        self._found = {stem: path for stem, path in self._found.items() if path != image}

    def forget_listing(self) -> None:
        """The folder is listed anew, should it be necessary."""
        self._listed = None

    def reach(self) -> None:
        """Raises OSError where the folder is gone: its drive is away, mostly, and comes back."""
        if not self._folder.is_dir():
            raise OSError(f"The folder of images {self._folder} cannot be reached.")

    def _by_stem(self) -> dict[str, Path]:
        """All photographs, the first of each name."""
        if self._listed is None:
            listed = images.list_images(self._folder) if self._folder.is_dir() else []
            self._listed = {same_everywhere(path.stem): path for path in reversed(listed)}
        return self._listed
