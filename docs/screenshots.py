"""Takes the pictures of the tutorial from the running program, on drawn photographs.

Needs a display of its own, on Linux for example:

    xvfb-run -s "-screen 0 1600x1000x24" python docs/screenshots.py

With a window manager (openbox) on that display the windows have their frames.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from PyQt5 import QtCore, QtGui, QtTest, QtWidgets

from rootpainter_rootfm import masks
from rootpainter_rootfm.learn.synthetic import draw_photograph
from rootpainter_rootfm.painter import sync_folder
from rootpainter_rootfm.painter.host import find_host
from rootpainter_rootfm.painter.job_window import JobWindow
from rootpainter_rootfm.painter.main import Launcher
from rootpainter_rootfm.painter.model_details import ModelDetails
from rootpainter_rootfm.painter.plugin import RootFMPlugin
from rootpainter_rootfm.painter.plugins import Plugins
from rootpainter_rootfm.painter.segment_dialog import SegmentDialog
from rootpainter_rootfm.painter.settings_dialog import SettingsDialog
from rootpainter_rootfm.painter.trainer_status import TrainerWindow

IMAGES = Path(__file__).parent / "images"
HEIGHT, WIDTH = 480, 640
SEEDS = (3, 8, 11, 21, 34, 55)
BRUSH = 7


def main() -> None:
    """Runs the three stories and leaves a picture of each step in ``docs/images``."""
    IMAGES.mkdir(exist_ok=True)
    app = QtWidgets.QApplication(["RootPainter"])
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "root_painter_sync"
        QtCore.QSettings.setPath(QtCore.QSettings.IniFormat, QtCore.QSettings.UserScope, folder)
        sync_folder.make_complete(place)
        truth = draw(place / "datasets" / "meadow")
        plugins = Plugins(find_host())
        ours = next(plugin for plugin in plugins.loaded if isinstance(plugin, RootFMPlugin))
        launcher = Launcher(plugins.host, plugins, place)
        try:
            launcher.open()
            wait(lambda: bool(ours.session.cards) and ours.session.trainer.alive)
            choose_model(launcher.window)
            segment_folder(launcher.window, place, ours)
            correct_and_train(launcher, place, truth, ours)
        finally:
            plugins.tell("shut_down")
            app.closeAllWindows()


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


def segment_folder(window: QtWidgets.QMainWindow, place: Path, ours: RootFMPlugin) -> None:
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


def correct_and_train(launcher: Launcher, place: Path, truth: dict[str, np.ndarray], ours: RootFMPlugin) -> None:
    """Story three: a project, its first mask, corrections, training, the better mask."""
    window = launcher.window
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
    window.resize(1180, 800)
    wait(lambda: bool(window.seg_mtime))
    window.show_hide_seg()
    window.graphics_view.fit_to_view()
    shoot(window, "first_mask")
    view = window.rootfm_project.view
    wait(view.uncertainty.isEnabled)
    act(window, "View", "Images by uncertainty")
    window.rootfm_project.images.rest_button.click()
    wait(lambda: window.rootfm_project.images.rest_button.isHidden())
    view.uncertainty.click()
    shoot(window, "uncertainty")
    view.uncertainty.click()
    for image in range(3):
        wait(lambda: bool(window.seg_mtime))
        paint_corrections(window, truth)
        if image == 0:
            shoot(window, "corrections")
        window.nav.next_image_button.click()
    act(window, "Network", "Start training")
    panel = window.rootfm_project.training
    wait(lambda: panel._state is not None and len(panel._state.history) >= 4, seconds=900)
    shoot(window, "training")
    panel.stop_button.click()
    wait(lambda: panel.start_button.isEnabled())
    shoot(window, "better_mask")


def paint_corrections(window: QtWidgets.QMainWindow, truth: dict[str, np.ndarray]) -> None:
    """A few strokes where mask and truth differ, by the mouse, as a user paints them."""
    name = Path(window.image_path).name
    mask = masks.read(window.seg_path)
    rng = np.random.default_rng(1)
    window.scene.brush_size = BRUSH
    for wrong, colour in (
        (truth[name] & ~mask, window.set_foreground_color),
        (mask & ~truth[name], window.set_background_color),
    ):
        colour(None)
        spots = np.argwhere(wrong)
        for row, column in spots[rng.permutation(len(spots))[:40]]:
            place = window.graphics_view.mapFromScene(QtCore.QPointF(float(column), float(row)))
            QtTest.QTest.mouseClick(window.graphics_view.viewport(), QtCore.Qt.LeftButton, pos=place)


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
    save(window.frameGeometry(), name)
    if close:
        window.close()


def shoot_with(window: QtWidgets.QWidget, popup: QtWidgets.QWidget, name: str) -> None:
    """A picture of a window and what hangs out of it."""
    QtTest.QTest.qWait(500)
    save(window.frameGeometry().united(popup.frameGeometry()), name)


def save(place: QtCore.QRect, name: str) -> None:
    """Writes a part of the screen."""
    screen = QtGui.QGuiApplication.primaryScreen()
    picture = screen.grabWindow(0, place.x(), place.y(), place.width(), place.height())
    if not picture.save(str(IMAGES / f"{name}.png")):
        sys.exit(f"{name}.png could not be written.")


if __name__ == "__main__":
    main()
