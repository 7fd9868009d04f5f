"""A box of models in which a choice stays when the models are read anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from PyQt5 import QtWidgets

_NOTHING = object()


class ModelBox(QtWidgets.QComboBox):
    """Models by their titles, and by their names too where titles repeat."""

    def __init__(self) -> None:
        super().__init__()
        self._chosen: Any = _NOTHING
        self.activated.connect(self._choose)

    def offer(self, models: Sequence[tuple[str, Any]], wanted: Any) -> None:
        """Shows titles and models, each with its `name`; selects what was chosen here before, or else `wanted`."""
        self.clear()
        times = Counter(title for title, _ in models)
        for title, model in models:
            self.addItem(f"{title} ({model.name})" if times[title] > 1 else title, model)
        offered = [model for _, model in models]
        selected = self._chosen if self._chosen in offered else wanted
        if selected in offered:
            self.setCurrentIndex(offered.index(selected))

    def _choose(self) -> None:
        self._chosen = self.currentData()
