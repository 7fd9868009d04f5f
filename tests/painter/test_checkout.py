"""The same tests on a source checkout of RootPainter, which cannot share a process with the pip package."""

from __future__ import annotations

import faulthandler
import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = os.environ.get("ROOTPAINTER_CHECKOUT")


@pytest.mark.skipif(not CHECKOUT, reason="ROOTPAINTER_CHECKOUT does not name a RootPainter source checkout")
@pytest.mark.skipif("ROOTFM_TEST_CHECKOUT" in os.environ, reason="this is the run on the checkout already")
def test_everything_on_the_checkout():
    faulthandler.cancel_dump_traceback_later()  # the run has a limit of its own
    command = [sys.executable, "-m", "pytest", str(Path(__file__).parent), "-q", "-x", "-p", "no:cacheprovider"]
    environment = {**os.environ, "ROOTFM_TEST_CHECKOUT": CHECKOUT}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=1200)
    assert done.returncode == 0, done.stdout[-8000:]
