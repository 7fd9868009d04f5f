"""What the user chose, kept between sessions: model, settings, opacity, format of the masks."""

from __future__ import annotations

import json
from pathlib import Path

from PyQt5 import QtCore

from ..errors import SettingsError
from ..model.library import DEFAULT_MODEL
from ..segment.settings import SegmentSettings

NEWEST = "newest"
"""The choice of a project that always works with its newest checkpoint."""


class Preferences:
    """Typed access to the stored choices; a damaged value counts as none."""

    def __init__(self) -> None:
        self._store = QtCore.QSettings(
            QtCore.QSettings.IniFormat, QtCore.QSettings.UserScope, "RootPainter", "root_foundation_model"
        )

    @property
    def model(self) -> str:
        """The library model for folders and new projects."""
        return self._text("model", DEFAULT_MODEL)

    @model.setter
    def model(self, name: str) -> None:
        self._store.setValue("model", name)

    def project_model(self, project: Path) -> str:
        """What makes the masks of a project: `NEWEST`, ``library:NAME`` or ``checkpoint:FILE``."""
        return self._text(f"projects/{_key(project)}", NEWEST)

    def set_project_model(self, project: Path, choice: str) -> None:
        """Keeps the choice for one project."""
        self._store.setValue(f"projects/{_key(project)}", choice)

    @property
    def settings(self) -> SegmentSettings:
        """How images are segmented."""
        try:
            return SegmentSettings.from_dict(json.loads(self._text("settings", "{}")))
        except (SettingsError, ValueError, TypeError):
            return SegmentSettings()

    @settings.setter
    def settings(self, settings: SegmentSettings) -> None:
        self._store.setValue("settings", json.dumps(settings.to_dict()))

    @property
    def opacity(self) -> int:
        """How opaque the mask lies over the image, in percent."""
        return max(10, min(100, self._number("opacity", 100)))

    @opacity.setter
    def opacity(self, percent: int) -> None:
        self._store.setValue("opacity", percent)

    @property
    def mask_format(self) -> str:
        """The format of the last folder job, by its RootPainter name; empty before the first."""
        return self._text("format", "")

    @mask_format.setter
    def mask_format(self, name: str) -> None:
        self._store.setValue("format", name)

    def _text(self, key: str, default: str) -> str:
        value = self._store.value(key, default)
        return value if isinstance(value, str) else default

    def _number(self, key: str, default: int) -> int:
        try:
            return int(self._store.value(key, default))
        except (TypeError, ValueError):
            return default


def _key(project: Path) -> str:
    # A slash would make groups of the path, and % is how Qt escapes.
    return str(project).replace("/", "|").replace("\\", "|")
