"""The whole loop with the real window and the real trainer: mask, correction, training, a better mask."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

pytest.importorskip("root_painter", reason="RootPainter's window (root-painter-painter) is not installed")
pytest.importorskip("pytestqt", reason="pytest-qt is not installed")

from PyQt5 import QtCore, QtGui, QtWidgets

from rootpainter_rootfm import Segmenter, images, masks
from rootpainter_rootfm.learn.drawing.synthetic import draw_photograph
from rootpainter_rootfm.model.library import DEFAULT_MODEL, Library
from tests.correcting import spots_on

PATIENCE = 1_200_000  # milliseconds; a busy machine must not fail a test that is right
SIZE = 160, 192
HARD = 18
BRUSH = 5
NAMES = ["first.png", "second.png", "third.png"]


def photograph(name):
    """A drawn photograph and where its roots are, of which the bundled model misses a part."""
    return draw_photograph(np.random.default_rng(HARD + NAMES.index(name)), *SIZE)


@pytest.fixture
def bundled(tmp_path):
    """The model that the package brings; one that has learnt nothing would take an hour."""
    library = Library()
    if not library.get(DEFAULT_MODEL).trained:
        pytest.skip("no model here has learnt what a root is")
    path = tmp_path / "bundled.pth"
    library.export(DEFAULT_MODEL, path)
    return path


@pytest.fixture
def project(world, bundled):
    """A project as RootPainter makes it, but with a foundation model for its first one."""
    (world.root / "datasets/d").mkdir()
    for name in NAMES:
        Image.fromarray(photograph(name)[0]).save(world.root / "datasets/d" / name)
    folder = world.project(model=bundled)
    described = {
        "name": "p",
        "dataset": "d",
        "original_model_file": "model.pth",
        "location": "projects/p",
        "file_names": NAMES,
    }
    path = folder / "p.seg_proj"
    path.write_text(json.dumps(described))
    return path


@pytest.fixture
def trainer(world):
    """`rootfm-trainer`, as RootPainter starts it."""
    command = "import sys; from rootpainter_rootfm.trainer.main import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", command, "--syncdir", str(world.root)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    yield process
    if process.poll() is None:
        process.kill()
    print(process.communicate()[0])


@pytest.fixture
def window(world, project, trainer, qtbot, monkeypatch):
    """RootPainter's own window, unmodified, with the project open."""
    from root_painter.root_painter import RootPainter

    hooks = sys.excepthook
    monkeypatch.setattr(sys, "argv", ["root_painter", str(project)])
    made = RootPainter(world.root)
    qtbot.addWidget(made)
    made.show()
    yield made
    sys.excepthook = hooks


def entry(window, menu, name):
    """A menu's entry by its text."""
    (found,) = [action.menu() for action in window.menuBar().actions() if action.text() == menu]
    return next(action for action in found.actions() if action.text() == name)


def stroke(window, qtbot, brush, points):
    """Paints with the mouse along `points` (x, y in image pixels)."""
    entry(window, "Brushes", brush).trigger()
    view = window.graphics_view
    where = [view.mapFromScene(QtCore.QPointF(x, y)) for x, y in points]
    port = view.viewport()
    qtbot.mousePress(port, QtCore.Qt.LeftButton, pos=where[0])
    for point in where[1:]:
        QtWidgets.QApplication.sendEvent(port, dragged(point, port.mapToGlobal(point)))
    qtbot.mouseRelease(port, QtCore.Qt.LeftButton, pos=where[-1])


def dragged(point, on_screen):
    """The mouse moved with its left button down; qtbot's own move forgets the button."""
    places = QtCore.QPointF(point), QtCore.QPointF(on_screen)
    buttons = QtCore.Qt.NoButton, QtCore.Qt.LeftButton, QtCore.Qt.NoModifier
    return QtGui.QMouseEvent(QtCore.QEvent.MouseMove, *places, *buttons)


def test_a_correction_makes_the_next_mask_come_from_a_better_model(world, window, trainer, qtbot):
    project = world.root / "projects/p"
    shown = window.messages_label

    def mask_is_there():
        return window.nav.next_image_button.isEnabled()

    qtbot.waitUntil(mask_is_there, timeout=PATIENCE)
    first = masks.read(project / "segmentations/first.png")
    assert (window.seg_pixmap.height(), window.seg_pixmap.width()) == SIZE

    # The user paints where the mask is wrong, with the window's own brushes.
    _, root = photograph("first.png")
    window.scene.brush_size = BRUSH
    for brush, wrong in (("Foreground", root & ~first), ("Background", first & ~root)):
        for row, column in spots_on(wrong, BRUSH, most=60):
            stroke(window, qtbot, brush, [(column, row), (column + 1, row)])
    qtbot.mouseClick(window.nav.next_image_button, QtCore.Qt.LeftButton)
    assert (project / "annotations/val/first.png").exists(), "the window saves the first correction for validation"
    root, soil = masks.read_annotation(project / "annotations/val/first.png")
    assert root.any() or soil.any()
    qtbot.waitUntil(mask_is_there, timeout=PATIENCE)

    entry(window, "Network", "Start training").trigger()
    assert shown.text() == "Starting training..."
    qtbot.waitUntil(lambda: shown.text().startswith("Training"), timeout=PATIENCE)
    qtbot.waitUntil(lambda: len(list((project / "models").iterdir())) > 1, timeout=PATIENCE)
    entry(window, "Network", "Stop training").trigger()
    qtbot.waitUntil(lambda: shown.text() == "Training stopped", timeout=PATIENCE)

    saved = max((project / "models").iterdir(), key=lambda path: path.name)
    state = json.loads((project / "logs/.rootfm_training.json").read_text())
    assert saved.name == state["saved"] and saved.suffix == ".pth"
    assert state["best_dice"] > 0 and state["state"] == "stopped"

    qtbot.mouseClick(window.nav.next_image_button, QtCore.Qt.LeftButton)
    qtbot.waitUntil(mask_is_there, timeout=PATIENCE)
    third = masks.read(project / "segmentations/third.png")
    photo = images.read(world.root / "datasets/d/third.png")
    assert np.array_equal(third, Segmenter.load(saved).segment(photo).mask)
    older = Segmenter.load(project / "models/000001_1.pth").segment(photo).mask
    assert not np.array_equal(third, older), "the better model says something else"

    if sys.platform != "win32":
        trainer.send_signal(signal.SIGTERM)
        assert trainer.wait(30) == 0
        assert world.heart()["stopped"] is True
