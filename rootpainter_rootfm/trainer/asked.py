"""A folder job that goes by the names that a window asks for; importing it loads torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..segment.folder import FolderJob


@dataclass
class AskedJob(FolderJob):
    """Masks bear the names that were asked for, also where photographs have others: the window waits for those."""

    names: Mapping[Path, str] = field(default_factory=dict)
    """The asked name of every image."""

    def asked(self, image: Path) -> Path:
        """The image by its asked name."""
        return image.with_name(self.names[image])

    def target(self, image: Path) -> Path:
        """Where the mask of an image belongs."""
        return super().target(self.asked(image))

    def extras(self, image: Path) -> list[Path]:
        """What is written beside the mask of an image."""
        return super().extras(self.asked(image))

    def outdated(self, image: Path) -> list[Path]:
        """What an earlier run may have written beside it and this one does not."""
        return super().outdated(self.asked(image))
