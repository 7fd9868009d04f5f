"""The trainer as a child of the window: it ends when the window does, even when that was killed.

Started as ``python -m rootpainter_rootfm.painter.trainer_child`` with the options of ``rootfm-trainer`` and a pipe as
standard input.
"""

from __future__ import annotations

import signal
import sys
from functools import partial

from ..parent import when_gone
from ..trainer.main import main

if __name__ == "__main__":
    when_gone(partial(signal.raise_signal, signal.SIGTERM))  # asks this process to end in good order
    sys.exit(main())
