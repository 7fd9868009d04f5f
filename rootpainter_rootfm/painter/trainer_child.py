"""The trainer as a child of the window: it ends when the window does, even when that was killed.

Started as ``python -m rootpainter_rootfm.painter.trainer_child`` with the options of ``rootfm-trainer`` and a pipe as
standard input. The pipe closes when the window closes it or is no more; that works on every operating system, where a
signal does not.
"""

from __future__ import annotations

import signal
import sys
import threading

from ..trainer.main import main


def end_with_the_window() -> None:
    """Waits until standard input ends, then asks this process to end in good order."""
    sys.stdin.buffer.read()
    signal.raise_signal(signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=end_with_the_window, daemon=True).start()
    sys.exit(main())
