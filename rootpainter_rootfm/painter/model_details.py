"""What a user should know about a model before trusting it: origin, licence, size, training data, weaknesses."""

from __future__ import annotations

from html import escape

from PyQt5 import QtCore, QtWidgets

from ..model.card import ModelCard


class ModelDetails(QtWidgets.QDialog):
    """One library model, read from its card."""

    def __init__(self, card: ModelCard, parent: QtWidgets.QWidget | None) -> None:
        super().__init__(parent)
        self.setWindowTitle(card.title)
        self.setCursor(QtCore.Qt.ArrowCursor)
        self.setAttribute(QtCore.Qt.WA_DeleteOnClose)
        self.text = QtWidgets.QTextBrowser()
        self.text.setOpenExternalLinks(True)
        self.text.setHtml(describe(card))
        buttons = QtWidgets.QDialogButtonBox(QtWidgets.QDialogButtonBox.Close)
        buttons.rejected.connect(self.close)
        layout = QtWidgets.QVBoxLayout(self)
        layout.addWidget(self.text)
        layout.addWidget(buttons)
        self.resize(600, 480)


def describe(card: ModelCard) -> str:
    """A model card as HTML."""
    rows = [
        ("Name", escape(card.name)),
        ("Licence", escape(card.licence)),
        ("Size", f"{card.size_bytes / 1e6:.1f} MB"),
        ("Trained on", _training_data(card)),
        ("Where it is weak", escape(card.weaknesses) or "Not described."),
        ("Notes", escape(card.notes).replace("\n", "<br>")),
        ("Looks at tiles of", ", ".join(f"{size} pixels" for size in card.tile_sizes)),
        ("Root from probability", f"{card.threshold:.2f}"),
        ("File", escape(str(card.file))),
        ("Checksum (SHA-256)", f"<span style='font-size:small'>{escape(card.sha256)}</span>"),
    ]
    if card.url:
        rows.append(("Source", f"<a href='{escape(card.url)}'>{escape(card.url)}</a>"))
    cells = "".join(
        f"<tr><td style='padding:3px 14px 3px 0'><b>{name}</b></td><td style='padding:3px 0'>{value}</td></tr>"
        for name, value in rows
        if value
    )
    warning = "" if card.trained else "<p><b>This model has not been trained: its masks mean nothing.</b></p>"
    return f"<h2>{escape(card.title)}</h2>{warning}<table>{cells}</table>"


def _training_data(card: ModelCard) -> str:
    if not card.training_data:
        return "Not described."
    return "<br>".join(f"{escape(name)} ({escape(licence)})" for name, licence in card.training_data)
