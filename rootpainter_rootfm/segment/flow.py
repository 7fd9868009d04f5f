"""Reads ahead of the computing and writes behind it, in threads, within a bounded amount of memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Final, Generic, TypeVar

AHEAD: Final = 4  # items read before they are needed
BEHIND: Final = 4  # items that wait to be written before the computing waits for them
BUDGET: Final = 512 * 1024**2  # bytes of all items from reading to written; a larger one passes alone
_THREADS: Final = min(4, os.cpu_count() or 1)

Read = TypeVar("Read")
Result = TypeVar("Result")


class Flow(Generic[Read, Result]):
    """Items 0 to `count` - 1 in order: `take` each, work on it, then `put` its writing or `finish` it without.

    Used by one thread, as a context manager. On leaving, also by an exception, what is being written is completed,
    what was only read ahead is dropped, and no thread is left behind.
    """

    def __init__(
        self,
        count: int,
        read: Callable[[int], Read],
        cost: Callable[[int], int],
        settled: Callable[[int, Result], None],
    ) -> None:
        """Starts with nothing read.

        Args:
            count: items in all.
            read: gets an item; runs in a thread.
            cost: bytes that an item takes from reading to written, as estimated before it is read; runs in a thread,
                an item ahead.
            settled: told of every item that is finished, on the caller's thread.
        """
        self._count, self._read, self._estimate, self._settled = count, read, cost, settled
        self._estimators = ThreadPoolExecutor(1, "rootfm-estimate")
        self._readers = ThreadPoolExecutor(_THREADS, "rootfm-read")
        self._writers = ThreadPoolExecutor(_THREADS, "rootfm-write")
        self._costs: dict[int, Future[int]] = {}
        self._reads: dict[int, Future[Read]] = {}
        self._writes: dict[int, Future[Result]] = {}
        self._bytes: dict[int, int] = {}
        self._next = 0

    def __enter__(self) -> Flow[Read, Result]:
        return self

    def take(self, index: int) -> Read:
        """Item `index`, read ahead where memory allowed it; raises what `read` raised."""
        while self._next < min(self._count, index + 1 + AHEAD) and self._has_room(needed=self._next == index):
            self._bytes[self._next] = self._cost(self._next)
            self._reads[self._next] = self._readers.submit(self._read, self._next)
            self._next += 1
        return self._reads.pop(index).result()

    def _cost(self, index: int) -> int:
        for near in range(index, min(self._count, index + 2)):
            if near not in self._costs:
                self._costs[near] = self._estimators.submit(self._estimate, near)
        return self._costs[index].result()

    def _has_room(self, needed: bool) -> bool:
        full = sum(self._bytes.values()) + self._cost(self._next) > BUDGET
        if full and needed:
            self._settle(waiting=0)
        return needed or not full

    def put(self, index: int, write: Callable[[], Result]) -> None:
        """Has item `index` written in a thread; waits when the disk is far behind."""
        self._writes[index] = self._writers.submit(write)
        self._settle(waiting=BEHIND)

    def finish(self, index: int, result: Result) -> None:
        """Ends item `index`, for which there is nothing to write."""
        self._bytes.pop(index)
        self._settled(index, result)

    def _settle(self, waiting: int) -> None:
        """Reports what is written, and waits until at most `waiting` items are not."""
        for index in list(self._writes):
            if len(self._writes) > waiting or self._writes[index].done():
                self.finish(index, self._writes.pop(index).result())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._estimators.shutdown(cancel_futures=True)
        self._readers.shutdown(cancel_futures=True)
        self._writers.shutdown()
        self._settle(waiting=0)
