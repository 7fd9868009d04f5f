"""Work off the window's thread: one call (`Task`), or the same look at a file again and again (`Poll`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PyQt5 import QtCore

from ..errors import Cancelled
from ..progress import CancelToken, Progress

Work = Callable[[CancelToken, Progress], Any]

# Several, because a look at a folder on a network drive may hang for minutes and must not hold up the others.
_THREADS = 12
_pool: QtCore.QThreadPool | None = None
_running: set[Task] = set()


class Task(QtCore.QObject):
    """One call in a thread; the signals arrive in the thread that made the task.

    Args:
        work: called as ``work(cancel, progress)``; what it returns or raises arrives as a signal.
    """

    done = QtCore.pyqtSignal(object)
    failed = QtCore.pyqtSignal(Exception)
    cancelled = QtCore.pyqtSignal()
    progress = QtCore.pyqtSignal(int, int, str)
    _ended = QtCore.pyqtSignal(object, object)

    def __init__(self, work: Work) -> None:
        super().__init__()
        self._work = work
        self._token = CancelToken()
        self._ended.connect(self._deliver)

    def start(self) -> Task:
        """Begins as soon as a thread is free; the task stays alive until its end."""
        _running.add(self)
        pool().start(_Runnable(self._run))
        return self

    def cancel(self) -> None:
        """Asks the work to stop; `cancelled` follows when it has."""
        self._token.cancel()

    def _run(self) -> None:
        try:
            self._ended.emit(self._work(self._token, self.progress.emit), None)
        except Exception as error:  # delivered to the window's thread, whatever it is
            self._ended.emit(None, error)

    def _deliver(self, result: object, error: Exception | None) -> None:
        _running.discard(self)
        if isinstance(error, Cancelled):
            self.cancelled.emit()
        elif error is not None:
            self.failed.emit(error)
        else:
            self.done.emit(result)


class Poll(QtCore.QObject):
    """Looks at something in a thread, every `seconds`, and tells what it saw.

    Args:
        look: called without arguments in a thread; returns what is to be shown. Where it raises an OSError, as on a
            drive that is away for a moment, nothing was seen.
        seconds: the pause between two looks.
        parent: the polling ends with it.
    """

    seen = QtCore.pyqtSignal(object)

    def __init__(self, look: Callable[[], Any], seconds: float, parent: QtCore.QObject) -> None:
        super().__init__(parent)
        self._look = look
        self._looking = False
        self._timer = QtCore.QTimer(self)
        self._timer.setInterval(round(seconds * 1000))
        self._timer.timeout.connect(self.now)

    def start(self) -> None:
        """Looks now and then again and again."""
        self._timer.start()
        self.now()

    def stop(self) -> None:
        """Looks no more."""
        self._timer.stop()

    def now(self) -> None:
        """Looks at once, unless the last look has not come back yet."""
        if self._looking:
            return
        self._looking = True
        task = Task(lambda cancel, progress: self._look())
        task.done.connect(self._saw)
        task.failed.connect(self._blind)
        task.start()

    def _saw(self, value: object) -> None:
        self._looking = False
        if self._timer.isActive():
            self.seen.emit(value)

    def _blind(self, error: Exception) -> None:
        self._looking = False
        if not isinstance(error, OSError):
            raise error


def pool() -> QtCore.QThreadPool:
    """The threads of all tasks."""
    global _pool
    if _pool is None:
        _pool = QtCore.QThreadPool()
        _pool.setMaxThreadCount(_THREADS)
    return _pool


def settle(seconds: float) -> bool:
    """Waits at most so long for what was begun, at the end of the program; False where something hangs."""
    return pool().waitForDone(round(seconds * 1000))


class _Runnable(QtCore.QRunnable):
    def __init__(self, run: Callable[[], None]) -> None:
        super().__init__()
        self._call = run

    def run(self) -> None:
        self._call()
