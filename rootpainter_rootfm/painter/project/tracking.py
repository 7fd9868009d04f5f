"""What the trainer sends to an open project: its messages, and the mask of the image on the screen.

RootPainter looks for both in the window's thread, stops for good when a drive is away for one look, and loads a mask
once. Its look also keeps every closed window, with photograph and strokes, in memory until the program ends.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PyQt5 import QtCore, QtGui

from ..host import Host, Seam, lacking, wrap
from ..workers import Poll

PART = "masks and messages as they come"
SEAMS = (Seam(PART, "root_painter", "RootPainter", "track_changes"),)
_NEEDS = (
    "message_dir",
    "messages_label",
    "seg_path",
    "seg_mtime",
    "seg_pixmap",
    "seg_pixmap_holder",
    "seg_visible",
    "vis_widget.seg_checkbox",
    "nav.next_image_button",
)
_LOOK_EVERY = 0.5


def install(host: Host) -> None:
    """Looks in the place of RootPainter, in windows that are as expected."""
    wrap(host.owner(SEAMS[0]), "track_changes", _with_ours)


def _with_ours(original: Callable[..., Any]) -> Callable[..., None]:
    def track_changes(window: Any) -> None:
        if lacking(window, _NEEDS):
            original(window)
        elif not window.tracking:
            window.tracking = True
            window.rootfm_tracking = Tracking(window)

    return track_changes


@dataclass(frozen=True)
class _Found:
    """What one look saw.

    Attributes:
        messages: names of the files that are messages.
        mask: path of the mask that was looked for.
        written: when it was written, in seconds; None where it is not there.
        image: the mask where it is another one than the window shows, else null.
    """

    messages: list[str]
    mask: str
    written: float | None
    image: QtGui.QImage


class Tracking(QtCore.QObject):
    """Looks until its project window is closed."""

    def __init__(self, window: Any) -> None:
        super().__init__(window)
        self._window = window
        self._told: set[str] = set()
        self._poll = Poll(self._look, _LOOK_EVERY, self)
        self._poll.seen.connect(self._see)
        self._poll.start()

    def _look(self) -> _Found:
        """In a thread."""
        mask = str(self._window.seg_path)
        written = _written(mask)
        image = QtGui.QImage() if written in (None, self._window.seg_mtime) else QtGui.QImage(mask)
        return _Found(self._messages(), mask, written, image)

    def _messages(self) -> list[str]:
        """Those that are new; those that were shown are removed."""
        folder = Path(self._window.message_dir)
        try:
            names = os.listdir(folder)
        except OSError:
            return []  # the drive will be back
        new = sorted(name for name in names if name not in self._told and not name.startswith("."))
        for name in self._told.intersection(names):
            # Another program may hold it, and the listing of a synchronised drive may be behind.
            with suppress(OSError):
                os.remove(folder / name)
                self._told.discard(name)
        return new

    def _see(self, found: _Found) -> None:
        for name in found.messages:
            self._window.messages_label.setText(name)
        self._told.update(found.messages)
        # The user may have gone on while we looked; a mask that is only half there is tried again.
        if found.mask == str(self._window.seg_path) and not found.image.isNull():
            self._show(QtGui.QPixmap.fromImage(found.image), found.written)

    def _show(self, mask: QtGui.QPixmap, written: float | None) -> None:
        window = self._window
        window.seg_pixmap, window.seg_mtime = mask, written
        let_go_on(window)
        if window.seg_visible:
            window.seg_pixmap_holder.setPixmap(mask)
        window.vis_widget.seg_checkbox.setText("Segmentation (S)")


def let_go_on(window: Any) -> None:
    """RootPainter waits for the mask before it lets its user go on."""
    button = window.nav.next_image_button
    button.setText("Save && Next >")
    button.setEnabled(True)


def _written(path: str) -> float | None:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return None
