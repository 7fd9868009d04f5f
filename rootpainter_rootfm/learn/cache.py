"""Decoded images kept in memory, within a limit."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, Protocol, TypeVar


class Sized(Protocol):
    """What knows how much memory it holds: an array, or something made of arrays."""

    @property
    def nbytes(self) -> int:
        """Memory held, in bytes."""


Value = TypeVar("Value", bound=Sized)


class ArrayCache:
    """Keeps values within `limit` bytes; what was unused for longest goes first, the newest always stays.

    Safe across threads. A copy in another process starts empty, with the same limit.

    Attributes:
        limit: in bytes.
        nbytes: held now.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.nbytes = 0
        self._held: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value of a key, kept from before or made now; raises what `make` raises."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
        value = make()
        with self._lock:
            if key not in self._held:
                self._held[key] = value
                self.nbytes += value.nbytes
            while self.nbytes > self.limit and len(self._held) > 1:
                _, dropped = self._held.popitem(last=False)
                self.nbytes -= dropped.nbytes
        return value

    def __getstate__(self) -> dict[str, int]:
        return {"limit": self.limit}

    def __setstate__(self, state: dict[str, int]) -> None:
        self.__init__(**state)
