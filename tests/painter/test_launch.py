"""From the command to a usable window."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PyQt5 import QtCore, QtWidgets

from rootpainter_rootfm.errors import HostError
from rootpainter_rootfm.painter import main, sync_folder
from tests.painter.drawn import dialogs


def press(text):
    """Presses the button of the dialog that will be open in a moment."""

    def now():
        box = QtWidgets.QApplication.activeModalWidget()
        next(button for button in box.buttons() if text in button.text()).click()

    QtCore.QTimer.singleShot(100, now)


def test_first_start_offers_a_folder_and_makes_it_complete(qapp, tmp_path):
    press("Use this folder")
    folder = sync_folder.settle(None)
    assert folder == tmp_path / "root_painter_sync"
    assert all((folder / name).is_dir() for name in sync_folder.SUBFOLDERS)
    assert json.loads(sync_folder.settings_file().read_text())["sync_dir"] == str(folder)
    assert sync_folder.settle(None) == folder  # and the second start asks nothing


def test_first_start_with_another_folder(qapp, tmp_path, monkeypatch):
    chosen = tmp_path / "shared"
    monkeypatch.setattr(QtWidgets.QFileDialog, "getExistingDirectory", lambda *_: str(chosen))
    press("another folder")
    assert sync_folder.settle(None) == chosen and (chosen / "instructions").is_dir()


def test_cancelled_first_start_makes_nothing(qapp, tmp_path):
    press("Cancel")
    assert sync_folder.settle(None) is None
    assert not sync_folder.settings_file().exists() and not (tmp_path / "root_painter_sync").exists()


def test_lost_sync_folder_is_not_made_anew_without_asking(qapp, tmp_path):
    sync_folder.save_folder(tmp_path / "unplugged")
    press("Cancel")
    assert sync_folder.settle(None) is None and not (tmp_path / "unplugged").exists()


def test_damaged_settings_count_as_a_first_start(qapp):
    sync_folder.settings_file().write_text("{")
    assert sync_folder.saved_folder() is None


def test_given_folder_is_used_and_not_remembered(qapp, tmp_path):
    (tmp_path / "given").mkdir()
    assert sync_folder.settle(tmp_path / "given") == tmp_path / "given"
    assert not sync_folder.settings_file().exists()


def test_given_folder_may_lie_beside(qapp, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "sync").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert sync_folder.settle(Path("..", "sync")) == tmp_path / "sync"


def test_given_folder_that_is_not_there_is_not_made(qapp, tmp_path):
    with pytest.raises(HostError, match=r"There is no folder .*given"):
        sync_folder.settle(tmp_path / "given")
    assert not (tmp_path / "given").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be opened: No such file"),
        ("{", "is damaged"),
        ("[]", "is damaged"),
        ('{"dataset": "d", "location": "projects/p", "file_names": []}', "is damaged"),
        ('{"dataset": 7, "location": "projects/p", "file_names": ["a.png"]}', "is damaged"),
    ],
)
def test_project_that_cannot_be_opened_is_one_sentence(qapp, tmp_path, sync, monkeypatch, content, said):
    file, boxes = tmp_path / "oats.seg_proj", []
    if content is not None:
        file.write_text(content)
    monkeypatch.setattr(QtWidgets.QMessageBox, "critical", lambda *what: boxes.append(what[-1]))
    assert main.main([str(file), "--no-trainer", "--sync-dir", str(sync)]) == 2
    assert boxes and boxes[0].startswith(f"The project {file} {said}")


def test_folder_that_cannot_be_made_says_so(qapp, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError, match="cannot be used"):
        sync_folder.settle(tmp_path / "file")


def test_window_works_in_the_given_folder_and_opens_a_project(launcher, project, sync):
    before = sys.argv[:]
    window = launcher.open(project)
    assert window.sync_dir == sync and "barley" in window.windowTitle()
    assert sys.argv == before


def test_closed_project_comes_back_as_start_window_with_the_menu(launcher, project, qtbot):
    first = launcher.open(project)
    first.close_project_window()
    assert launcher.window is not first and launcher.window.isVisible() and not first.isVisible()
    titles = [action.text() for action in launcher.window.menuBar().actions()]
    assert "Models" in titles and "Brushes" not in titles


def test_another_sync_folder_is_followed(launcher, plugin, tmp_path):
    window = launcher.open()
    window.assign_sync_directory(tmp_path / "second")
    assert plugin.session.folder == tmp_path / "second" == plugin.session.trainer.folder


def test_error_of_ours_is_shown(launcher, qtbot):
    launcher.open()
    try:
        sync_folder.make_complete(main.Path(__file__))
    except HostError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    qtbot.waitUntil(
        lambda: any(
            isinstance(widget, QtWidgets.QMessageBox) and "cannot be used" in widget.text()
            for widget in QtWidgets.QApplication.topLevelWidgets()
        )
    )


def test_error_of_ours_is_shown_where_the_drive_that_it_would_be_written_to_is_away(launcher, sync, qtbot):
    launcher.open()
    sync.rename(sync.with_name("away"))
    try:
        sync_folder.make_complete(main.Path(__file__))
    except HostError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    qtbot.waitUntil(lambda: any("cannot be used" in box.text() for box in dialogs()))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_in_the_terminal_closes_the_window(sync):
    program = f"""
import os, signal
from PyQt5 import QtCore, QtWidgets
from rootpainter_rootfm.cli.main import build_parser
options = build_parser().parse_args(["painter", "--no-trainer", "--sync-dir", {str(sync)!r}])
app = QtWidgets.QApplication([])
QtCore.QTimer.singleShot(1500, lambda: os.kill(os.getpid(), signal.SIGINT))
raise SystemExit(options.run(options))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr


def test_window_and_library_need_no_torch(tmp_path, sync):
    program = f"""
import sys
from pathlib import Path
from pathlib import Path
from PyQt5 import QtCore, QtWidgets
from rootpainter_rootfm.cli.main import build_parser
from rootpainter_rootfm.painter import main
options = build_parser().parse_args(["painter", "--no-trainer", "--sync-dir", {str(sync)!r}])
app = QtWidgets.QApplication([])
def look():
    menus = [a.text() for w in app.topLevelWidgets() if hasattr(w, "rootfm_menu") for a in w.rootfm_menu.menu.actions()]
    print("ROOTFM", "torch" in sys.modules, "Reading the library…" in menus, len(menus) > 5)
    app.quit()
QtCore.QTimer.singleShot(3000, look)
sys.exit(options.run(options))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=90,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "ROOTFM False False True" in done.stdout


def test_program_ends_with_its_last_window_although_a_drive_does_not_answer(sync):
    program = f"""
import time
from PyQt5 import QtCore, QtWidgets
from rootpainter_rootfm.cli.main import build_parser
from rootpainter_rootfm.painter import main
from rootpainter_rootfm.painter.workers import Task
main._SECONDS_TO_SETTLE = 0.3
options = build_parser().parse_args(["painter", "--no-trainer", "--sync-dir", {str(sync)!r}])
app = QtWidgets.QApplication([])
task = Task(lambda cancel, progress: time.sleep(600))
def close():
    task.start()
    app.activeWindow().close()
QtCore.QTimer.singleShot(1500, close)
raise SystemExit(options.run(options))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
