"""What was used last, up to so many bytes of it: for caches that are bounded by the size of what is in them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """A mapping from which the longest unused go where it would be too large. Several threads may use it.

    Args:
        bytes_max: the size of all that is in it, at most. What is larger by itself is not kept.
    """

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._bytes = 0
        self._mutex = threading.Lock()

    def get(self, key: K) -> V | None:
        """Return a value, if it is still there."""
        with self._mutex:
            entry = self._entries.get(key)
            if entry is None:
                return None
            self._entries.move_to_end(key)
            return entry[0]

    def put(self, key: K, value: V, size: int) -> None:
        """Keep a value of so many bytes, in place of any that is there."""
        with self._mutex:
            _, before = self._entries.pop(key, (None, 0))
            self._bytes -= before
            if size > self.bytes_max:
                return
            self._entries[key] = value, size
            self._bytes += size
            while self._bytes > self.bytes_max:
                _, (_, dropped) = self._entries.popitem(last=False)
                self._bytes -= dropped

    def clear(self) -> None:
        """Forget all of it."""
        with self._mutex:
            self._entries.clear()
            self._bytes = 0
