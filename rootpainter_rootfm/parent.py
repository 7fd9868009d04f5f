"""For a process that shall end with the one that started it, by the pipe that it was given as standard input.

The pipe closes when the process that holds its other end closes it or is gone, however it ended; that works on every
operating system, where a signal does not.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

STDIN = 0


def when_gone(then: Callable[[], object]) -> None:
    """Calls `then`, in a thread of its own, once the pipe on standard input is closed.

    Standard input itself is empty from here on. On Windows libraries ask what it is when they are loaded, and while a
    thread waits for a pipe there, they wait as well, for ever (numpy issue 24290).
    """
    pipe = os.dup(STDIN)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, STDIN)
    os.close(nothing)
    threading.Thread(target=_wait, args=(pipe, then), daemon=True).start()


def _wait(pipe: int, then: Callable[[], object]) -> None:
    # Without sys.stdin, whose lock would be inherited by processes forked from this one, which wait for it for ever.
    while os.read(pipe, 1):
        pass
    then()
