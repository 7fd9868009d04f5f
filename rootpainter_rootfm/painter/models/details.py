"""What a user should know about a model before trusting it: origin, licence, size, training data, weaknesses."""

from __future__ import annotations

from html import escape

from PyQt5 import QtCore, QtGui, QtWidgets

from ...model.card import ModelCard


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
        if card.notes:
            _append_notes(self.text.document(), card.notes)
        buttons = QtWidgets.QDialogButtonBox(QtWidgets.QDialogButtonBox.Close)
        buttons.rejected.connect(self.close)
        layout = QtWidgets.QVBoxLayout(self)
        layout.addWidget(self.text)
        layout.addWidget(buttons)
        self.resize(660, 520)


def describe(card: ModelCard) -> str:
    """A model card without its notes as HTML, first what a user should know before trusting a mask."""
    rows = [
        ("Where it is weak", _weaknesses(card)),
        ("Trained on", _training_data(card)),
        ("Licence", escape(card.licence)),
        ("Name", escape(card.name)),
        ("Size", f"{card.size_bytes / 1e6:.1f} MB"),
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


def _append_notes(document: QtGui.QTextDocument, notes: str) -> None:
    """How the model was made, for the few who want to know: commands and tables, longer than all the rest."""
    made = QtGui.QTextDocument()
    dialect = QtGui.QTextDocument.MarkdownDialectGitHub | QtGui.QTextDocument.MarkdownNoHTML
    made.setMarkdown(f"## Notes: how it was made\n\n{notes}", QtGui.QTextDocument.MarkdownFeatures(dialect))
    end = QtGui.QTextCursor(document)
    end.movePosition(QtGui.QTextCursor.End)
    end.insertFragment(QtGui.QTextDocumentFragment(made))


def _weaknesses(card: ModelCard) -> str:
    # A card speaks to the command line too; here the same thing is a box in the settings.
    here = "--scale 2, in this window <i>Fine roots ×2</i>"
    return escape(card.weaknesses).replace("--scale 2", here) or "Not described."


def _training_data(card: ModelCard) -> str:
    if not card.training_data:
        return "Not described."
    return "<br>".join(f"{escape(name)} ({escape(licence)})" for name, licence in card.training_data)
