"""Takes the pictures of the tutorial from the running program, on drawn photographs.

Needs a display of its own, on Linux for example:

    xvfb-run -s "-screen 0 1600x1000x24" python docs/screenshots.py

With a window manager (openbox) started on that display the windows have their frames. It takes some minutes: the model
in it really learns.
"""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from PyQt5 import QtCore, QtGui, QtTest, QtWidgets
from scipy.ndimage import binary_dilation
from skimage.graph import route_through_array
from skimage.measure import label, regionprops
from skimage.morphology import skeletonize

from rootpainter_rootfm import masks
from rootpainter_rootfm.learn.drawing.synthetic import draw_photograph
from rootpainter_rootfm.painter import sync_folder
from rootpainter_rootfm.painter.folder.job_window import JobWindow
from rootpainter_rootfm.painter.folder.segment_dialog import SegmentDialog
from rootpainter_rootfm.painter.host import find_host
from rootpainter_rootfm.painter.main import Launcher
from rootpainter_rootfm.painter.models.details import ModelDetails
from rootpainter_rootfm.painter.plugin import RootFMPlugin
from rootpainter_rootfm.painter.plugins import Plugins
from rootpainter_rootfm.painter.settings_dialog import SettingsDialog
from rootpainter_rootfm.painter.trainer_status import TrainerWindow

IMAGES = Path(__file__).parent / "images"
HEIGHT, WIDTH = 480, 640
SEEDS = (1, 13, 4, 3, 2, 28)
CHECKS = 4
"""Checks of the model after which training is stopped, once a better one was saved."""
COLOURS = 256
"""In a picture: few enough for a small file, enough for a photograph."""


def main() -> None:
    """Runs the three stories and leaves a picture of each step in ``docs/images``."""
    IMAGES.mkdir(exist_ok=True)
    app = QtWidgets.QApplication(["RootPainter"])
    random.seed(1)  # RootPainter shuffles the images of a new project
    # The path is in the pictures; nothing but a run that was broken off can have left it.
    folder = Path(tempfile.gettempdir()) / "rootpainter-tutorial"
    shutil.rmtree(folder, ignore_errors=True)
    place = folder / "root_painter_sync"
    QtCore.QSettings.setPath(QtCore.QSettings.IniFormat, QtCore.QSettings.UserScope, str(folder))
    sync_folder.make_complete(place)
    truth = draw(place / "datasets" / "meadow")
    plugins = Plugins(find_host())
    ours = next(plugin for plugin in plugins.loaded if isinstance(plugin, RootFMPlugin))
    launcher = Launcher(plugins.host, plugins, place)
    try:
        launcher.open()
        wait(lambda: bool(ours.session.cards) and ours.session.trainer.alive)
        choose_model(launcher.window)
        segment_folder(launcher.window, place)
        correct_and_train(launcher.window, place, truth)
    finally:
        plugins.tell("shut_down")
        app.closeAllWindows()
        shutil.rmtree(folder, ignore_errors=True)


def draw(folder: Path) -> dict[str, np.ndarray]:
    """Photographs of roots that nobody ever grew; returns where the roots are."""
    folder.mkdir(parents=True)
    truth = {}
    for number, seed in enumerate(SEEDS):
        picture, roots = draw_photograph(np.random.default_rng(seed), HEIGHT, WIDTH)
        name = f"plot_{number + 1}.png"
        Image.fromarray(picture).save(folder / name)
        truth[name] = roots
    return truth


def choose_model(window: QtWidgets.QMainWindow) -> None:
    """Story one: the menu Models, what is known of the model, the settings."""
    shoot(window, "start_window")
    menu = window.rootfm_menu.menu
    menu.popup(window.mapToGlobal(menu_place(window, "Models")))
    shoot_with(window, menu, "models_menu")
    menu.close()
    act(window, "Models", "Details of this model")
    shoot(opened(ModelDetails), "model_details", close=True)
    act(window, "Models", "Settings")
    shoot(opened(SettingsDialog), "settings", close=True)
    act(window, "Models", "Trainer")
    shoot(opened(TrainerWindow), "trainer", close=True)


def segment_folder(window: QtWidgets.QMainWindow, place: Path) -> None:
    """Story two: a folder becomes masks; one file in it is no image."""
    (place / "datasets" / "meadow" / "plot_7.png").write_bytes(b"a file that a camera did not finish")
    act(window, "Models", "Segment folder")
    dialog = opened(SegmentDialog)
    dialog.input.setText(str(place / "datasets" / "meadow"))
    wait(dialog.segment_button.isEnabled)
    shoot(dialog, "segment_folder")
    dialog.segment_button.click()
    progress = opened(JobWindow)
    wait(lambda: progress.job.state.done >= 2)
    shoot(progress, "segment_progress")
    wait(lambda: progress.job.state.ended)
    shoot(progress, "segment_done")
    progress.sheet_button.click()
    wait(lambda: QtWidgets.QApplication.activeWindow() is not progress)
    QtTest.QTest.qWait(1500)
    sheet = next(window for window in progress.findChildren(QtWidgets.QDialog) if window.isVisible())
    shoot(sheet, "segment_sheet", close=True)
    progress.close()
    (place / "datasets" / "meadow" / "plot_7.png").unlink()


def correct_and_train(window: QtWidgets.QMainWindow, place: Path, truth: dict[str, np.ndarray]) -> None:
    """Story three: a project, its first mask, corrections, training, the better mask."""
    create_project(window, place)
    wait(lambda: bool(window.seg_mtime))
    wait(lambda: not window.statusBar().currentMessage())
    shoot(window, "first_mask")
    show_uncertainty(window)
    for image in range(3):
        wait(lambda: bool(window.seg_mtime))
        correct(window, truth[Path(window.image_path).name])
        if image == 0:
            shoot(window, "corrections")
        window.nav.next_image_button.click()
    act(window, "Network", "Start training")
    panel = window.rootfm_project.training
    wait(lambda: panel._state is not None and panel._state.saved and len(panel._state.history) >= CHECKS, seconds=3600)
    shoot(window, "training")
    panel.stop_button.click()
    wait(panel.start_button.isEnabled)
    for _ in range(3):
        window.nav.prev_image_button.click()
    window.vis_widget.annot_checkbox.click()
    wait(lambda: bool(window.seg_mtime))
    before = window.seg_mtime
    act(window, "Network", "Segment this image again")
    wait(lambda: window.seg_mtime not in (None, before) and not window.statusBar().currentMessage())
    shoot(window, "better_mask")


def create_project(window: QtWidgets.QMainWindow, place: Path) -> None:
    """Fills in RootPainter's form; the chooser of folders is the system's, so its answer is put there."""
    window.show_create_project_widget()
    form = window.create_project_widget
    form.name_edit_widget.name_edit.setText("meadow")
    form.selected_dir = str(place / "datasets" / "meadow")
    form.directory_label.setText(f"Image directory: {form.selected_dir}")
    form.foundation_radio.click()
    form.validate()
    shoot(form, "create_project")
    form.create_project_btn.click()
    wait(lambda: hasattr(window, "rootfm_project"))


def show_uncertainty(window: QtWidgets.QMainWindow) -> None:
    """Orange where the model is unsure, and the images in their order."""
    view, images = window.rootfm_project.view, window.rootfm_project.images
    wait(view.uncertainty.isEnabled)
    act(window, "View", "Images by uncertainty")
    wait(images.rest_button.isVisible)
    images.rest_button.click()
    wait(images.stop_button.isVisible)
    wait(lambda: images.rest_button.isHidden() and images.stop_button.isHidden())
    view.uncertainty.click()
    shoot(window, "uncertainty")
    view.uncertainty.click()
    images.close()


def correct(window: QtWidgets.QMainWindow, truth: np.ndarray) -> None:
    """Some strokes where the mask is wrong, by the mouse, as a user paints them."""
    mask = masks.read(window.seg_path)
    near = 4  # pixels: what is off by less is no error worth a stroke
    for wrong, colour, brush in (
        (truth & ~binary_dilation(mask, iterations=near), window.set_foreground_color, 3),
        (mask & ~binary_dilation(truth, iterations=near), window.set_background_color, 11),
        # Soil beside roots, right as the mask may be there: from red alone a model learns that everything is root.
        (binary_dilation(truth, iterations=15) & ~binary_dilation(truth, iterations=9), window.set_background_color, 5),
    ):
        colour(None)
        window.scene.brush_size = brush
        for path in strokes(wrong):
            drag(window.graphics_view, path)


def strokes(wrong: np.ndarray, most: int = 8) -> list[list[tuple[int, int]]]:
    """Lines of (row, column) from end to end of the largest places, H×W bool."""
    regions = sorted(regionprops(label(wrong, connectivity=2)), key=lambda region: -region.area)
    lines = []
    for region in regions[:most]:
        top, left = region.bbox[:2]
        ends = np.argwhere(skeletonize(region.image))
        far = ends[np.abs(ends - ends.mean(0)).sum(1).argmax()]
        farthest = ends[np.abs(ends - far).sum(1).argmax()]
        line, _ = route_through_array(np.where(region.image, 1, 1000), far, farthest)
        lines.append([(top + row, left + column) for row, column in [*line[::3], line[-1]]])
    return lines


def drag(view: QtWidgets.QGraphicsView, path: list[tuple[int, int]]) -> None:
    """One stroke of the mouse over an image."""
    places = [view.mapFromScene(QtCore.QPointF(column, row)) for row, column in path]
    QtTest.QTest.mousePress(view.viewport(), QtCore.Qt.LeftButton, pos=places[0])
    for place in places[1:]:
        none, left = QtCore.Qt.NoButton, QtCore.Qt.LeftButton
        move = QtGui.QMouseEvent(QtCore.QEvent.MouseMove, place, none, left, QtCore.Qt.NoModifier)
        QtWidgets.QApplication.sendEvent(view.viewport(), move)
    QtTest.QTest.mouseRelease(view.viewport(), QtCore.Qt.LeftButton, pos=places[-1])


def act(window: QtWidgets.QMainWindow, menu: str, text: str) -> None:
    """Chooses an entry of a menu."""
    bar = window.menuBar()
    found = next(action for action in bar.actions() if action.text().replace("&", "") == menu)
    next(action for action in found.menu().actions() if action.text().startswith(text)).trigger()


def menu_place(window: QtWidgets.QMainWindow, title: str) -> QtCore.QPoint:
    """Where a menu drops down."""
    bar = window.menuBar()
    action = next(action for action in bar.actions() if action.text().replace("&", "") == title)
    return bar.mapTo(window, bar.actionGeometry(action).bottomLeft())


def opened(kind: type) -> QtWidgets.QWidget:
    """The window of that kind, once it is open."""

    def found() -> list[QtWidgets.QWidget]:
        widgets = QtWidgets.QApplication.topLevelWidgets()
        return [widget for widget in widgets if isinstance(widget, kind) and widget.isVisible()]

    wait(lambda: bool(found()))
    return found()[0]


def wait(ready: Callable[[], bool], seconds: float = 180) -> None:
    """Lets the program run until it is so far."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            sys.exit("The program did not get so far in time.")
        QtTest.QTest.qWait(100)


def shoot(window: QtWidgets.QWidget, name: str, close: bool = False) -> None:
    """A picture of one window with its frame."""
    window.raise_()
    QtTest.QTest.qWait(500)
    save(grab(window.frameGeometry()), name)
    if close:
        window.close()


def shoot_with(window: QtWidgets.QWidget, popup: QtWidgets.QWidget, name: str) -> None:
    """A picture of a window and what hangs out of it, on white."""
    QtTest.QTest.qWait(500)
    places = [window.frameGeometry(), popup.frameGeometry()]
    corner = places[0].united(places[1])
    sheet = Image.new("RGB", (corner.width(), corner.height()), "white")
    for place in places:
        sheet.paste(grab(place), (place.x() - corner.x(), place.y() - corner.y()))
    save(sheet, name)


def grab(place: QtCore.QRect) -> Image.Image:
    """A part of the screen."""
    screen = QtGui.QGuiApplication.primaryScreen()
    data = QtCore.QBuffer()
    screen.grabWindow(0, place.x(), place.y(), place.width(), place.height()).save(data, "PNG")
    return Image.open(BytesIO(data.data().data())).convert("RGB")


def save(picture: Image.Image, name: str) -> None:
    """Writes a small PNG."""
    few = picture.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(IMAGES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
