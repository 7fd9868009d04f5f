"""A page of help in the window itself, for people on a field station without a network."""

from __future__ import annotations

from PyQt5 import QtCore, QtWidgets

from .. import __version__

TEXT = f"""
<h2>The Root Foundation Model in RootPainter</h2>
<p>A model that has seen roots of many species finds yours without training. Where it is wrong, correct it as you
always do in RootPainter, and let it learn from your corrections.</p>

<h3>A folder of images becomes masks</h3>
<p><b>Models → Segment folder with this model…</b> Choose the folder, look at what the check says, press
<i>Segment</i>. Images that cannot be read are listed with the cause; the others are done.</p>

<h3>A project: look, correct, train</h3>
<ol>
<li><b>Project → Create project</b>, and there <i>Root Foundation Model</i>. The first mask appears after some
seconds; <b>S</b> hides it and shows it again.</li>
<li>Paint what is missing in red (<b>Q</b>) and what is no root in green (<b>W</b>). A few strokes where the model is
wrong are worth more than a whole painted image.</li>
<li><b>V</b> shows in orange where the model is unsure, <b>View → Images by uncertainty</b> lists the images in which
it is least sure.</li>
<li><b>Network → Start training.</b> One annotated image is enough to begin. As long as there are few, a part of your
strokes on each is kept for checking; later whole images are. The plot shows how well the model does there. Training
ends by itself when nothing more is gained.</li>
<li><b>Network → Segment images without annotation again</b> makes the old masks anew with the better model.</li>
</ol>

<h3>When nothing happens</h3>
<p>At the lower edge stands whether a trainer answers; click there to start one and to read what it wrote. A trainer
on another computer needs no more than the same sync folder.</p>
<p style='color:gray'>rootpainter-rootfm {__version__}, GPL-3.0-or-later</p>
"""


def show_help(parent: QtWidgets.QWidget) -> QtWidgets.QDialog:
    """Opens the page."""
    window = QtWidgets.QDialog(parent)
    window.setWindowTitle("Help")
    window.setCursor(QtCore.Qt.ArrowCursor)
    window.setAttribute(QtCore.Qt.WA_DeleteOnClose)
    text = QtWidgets.QTextBrowser()
    text.setHtml(TEXT)
    buttons = QtWidgets.QDialogButtonBox(QtWidgets.QDialogButtonBox.Close)
    buttons.rejected.connect(window.close)
    layout = QtWidgets.QVBoxLayout(window)
    layout.addWidget(text)
    layout.addWidget(buttons)
    window.resize(620, 560)
    window.show()
    return window
