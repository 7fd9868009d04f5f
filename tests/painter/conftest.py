"""The real window, offscreen, with settings of its own, a library of its own and a sync folder of its own."""

from __future__ import annotations

import os

os.environ["QT_QPA_PLATFORM"] = os.environ.get("ROOTFM_TEST_PLATFORM", "offscreen")

import faulthandler
import gc
import subprocess
import sys
import threading
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from PyQt5 import QtCore, QtWidgets

from rootpainter_rootfm.painter import plugins, sync_folder
from rootpainter_rootfm.painter.host import Host, find_host
from rootpainter_rootfm.painter.main import Launcher
from rootpainter_rootfm.painter.plugins import Plugins
from tests.painter.drawn import make_project

LONGEST_TEST = 1800
"""Seconds after which a test that hangs is ended with the stack of every thread."""

PROBE = Path(os.environ.get("ROOTFM_PROBE", Path(__file__).parents[3] / "shared" / "weights" / "probe.pth"))
"""Weights that are no part of the package; what needs them is skipped without."""


@pytest.fixture(autouse=True)
def end_what_hangs():
    faulthandler.dump_traceback_later(LONGEST_TEST, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture(scope="session")
def host() -> Host:
    checkout = os.environ.get("ROOTFM_TEST_CHECKOUT")
    return find_host(Path(checkout) if checkout else None)


@pytest.fixture(scope="session")
def loaded(host, qapp) -> Plugins:
    """Ours, a second one, one with a fault and one that cannot be loaded, installed once as in a real program."""
    ours = "rootpainter_rootfm.painter.plugin:RootFMPlugin"
    found = [
        EntryPoint("rootfm", ours, plugins.GROUP),
        EntryPoint("second", "tests.painter.other_plugins:Listener", plugins.GROUP),
        EntryPoint("faulty", "tests.painter.other_plugins:Faulty", plugins.GROUP),
        EntryPoint("absent", "no_such_package:Plugin", plugins.GROUP),
    ]
    return Plugins(host, found)


@pytest.fixture
def plugin(loaded):
    """Our plugin, with no window open yet and no trainer started unless a test asks for it."""
    ours = next(plugin for plugin in loaded.loaded if plugin.name == "Root Foundation Model")
    ours.starts_trainer = False
    yield ours
    ours.shut_down()
    loaded.faults.clear()
    loaded._told.clear()


class LibraryOfTests:
    """A library with a default model, another one, and a model file outside of it.

    Attributes:
        default: card of the model that is chosen at first.
        other: card of another one.
        loose_file: weights that the library does not have.
    """

    def __init__(self, folder: Path) -> None:
        from rootpainter_rootfm.model.library import DEFAULT_MODEL, Library

        self.library = Library()
        self.loose_file = random_weights(folder / "loose.pth", seed=3)
        if self.library.find(DEFAULT_MODEL) is None:
            self.library.add(random_weights(folder / "default.pth", seed=1), name=DEFAULT_MODEL)
        self.default = self.library.get(DEFAULT_MODEL)
        self.other = self.library.add(random_weights(folder / "meadow.pth", seed=2), name="meadow")

    def file(self, card):
        return self.library.path(card)


def random_weights(path: Path, seed: int) -> Path:
    """A readable model that has learnt nothing."""
    import torch

    from rootpainter_rootfm.model.checkpoint import write_pth
    from rootpainter_rootfm.model.network import MobileSAM

    torch.manual_seed(seed)
    write_pth(MobileSAM().state_dict(), path)
    return path


@pytest.fixture(scope="session")
def library_home(tmp_path_factory):
    """One home for all tests; the weights are too large to be written for each."""
    home = tmp_path_factory.mktemp("library")
    before = os.environ.get("ROOTFM_HOME")
    os.environ["ROOTFM_HOME"] = str(home)
    yield home
    if before is None:
        del os.environ["ROOTFM_HOME"]
    else:
        os.environ["ROOTFM_HOME"] = before


@pytest.fixture(scope="session")
def library(library_home, tmp_path_factory):
    return LibraryOfTests(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="session")
def teachable(library):
    """A model with some idea of roots: the bundled one once it is trained, else the rough one to look with."""
    if library.default.trained:
        return library.default
    if not PROBE.is_file():
        pytest.skip("no model here has learnt what a root is: the bundled one is the stand-in")
    return library.library.add(PROBE, name="probe")


@pytest.fixture(autouse=True)
def own_settings(tmp_path, monkeypatch):
    """Neither settings nor home of whoever runs the tests."""
    QtCore.QSettings.setPath(QtCore.QSettings.IniFormat, QtCore.QSettings.UserScope, str(tmp_path / "settings"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))


@pytest.fixture(autouse=True)
def own_hooks():
    """RootPainter puts its own hooks for errors; pytest's come back after each test."""
    before = sys.excepthook, threading.excepthook
    yield
    sys.excepthook, threading.excepthook = before


@pytest.fixture
def sync(tmp_path) -> Path:
    folder = tmp_path / "sync"
    sync_folder.make_complete(folder)
    return folder


@pytest.fixture
def launcher(host, loaded, plugin, sync, library_home, qtbot):
    """Opens windows; everything that a test has opened is closed after it.

    As in the program, Python throws no window away while Qt is at work.
    """
    gc.disable()
    launcher = Launcher(host, loaded, sync)
    yield launcher
    for widget in QtWidgets.QApplication.topLevelWidgets():
        widget.close()
    qtbot.wait(10)
    gc.enable()
    gc.collect()


@pytest.fixture(scope="module")
def serving(tmp_path_factory, library) -> Path:
    """A sync folder with a real trainer, in a process of its own, and the default model put there already."""
    folder = tmp_path_factory.mktemp("serving")
    sync_folder.make_complete(folder)
    shared = folder / "models_rootfm"
    shared.mkdir()
    library.library.export(library.default.name, shared / f"{library.default.sha256}.pth")
    command = [sys.executable, "-m", "tests.painter.quick_trainer", "--syncdir", str(folder), "--allow-local-paths"]
    root = Path(__file__).parents[2]
    trainer = subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    yield folder
    trainer.terminate()
    trainer.wait(30)


@pytest.fixture
def project(sync) -> Path:
    """A project whose masks are there already, so that a window on it needs no trainer."""
    return make_project(sync, "barley", masks=True)
