import signal
import sys
from importlib.util import find_spec

import pytest
from hypothesis import settings

# A busy machine must not fail a test that is right.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

# What is started in the background ignores Ctrl-C and hands that on to every program it starts; the tests of Ctrl-C
# need it heard.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Minutes on two cores: whole stories with real training, and a trainer killed twenty times. `pytest -m slow`.
SLOW = ("test_kill", "test_story_project", "test_unet_projects", "test_whole_loop")

LARGE = 10_000_000
"""Bytes from which on a file that a test has written is not kept after it."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.stem in SLOW:
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def rootpainter_trainer():
    """Makes the flat modules of RootPainter's own trainer importable, ahead of others of the same names.

    Afterwards they are forgotten: among them is a `mobile_sam` that is not the one that other tests compare with.
    """
    spec = find_spec("root_painter_trainer")
    if spec is None:
        pytest.skip("root-painter-trainer is not installed")
    folder = spec.submodule_search_locations[0]
    before = set(sys.modules)
    sys.path.insert(0, folder)
    yield folder
    sys.path.remove(folder)
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(folder):
            del sys.modules[name]


@pytest.fixture(autouse=True)
def no_models_left_behind(tmp_path):
    """Hundreds of tests write models of 20 to 40 MB: 7 GB, which a small disk has not. The folders stay."""
    yield
    for path in tmp_path.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.stat().st_size > LARGE:
            path.unlink()
