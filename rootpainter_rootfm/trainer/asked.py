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

    def stem(self, image: Path) -> str:
        """The asked name, without ending."""
        return Path(self.names[image]).stem
