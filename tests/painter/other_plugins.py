"""Plugins of other packages, as far as these tests need them."""

from __future__ import annotations

from rootpainter_rootfm.painter.plugins import Plugin


class Listener(Plugin):
    """A second plugin, as another package would bring it."""

    name = "Listener"

    def __init__(self) -> None:
        self.heard: list[str] = []

    def menu_built(self, window, in_project):
        self.heard.append(f"menu {'project' if in_project else 'start'}")
        window.menuBar().addMenu("Second plugin")

    def project_opened(self, window):
        self.heard.append("project")


class Faulty(Plugin):
    """A plugin with a fault."""

    name = "Faulty"

    def menu_built(self, window, in_project):
        raise RuntimeError("a fault on purpose")
