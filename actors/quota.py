"""Quotas: how much a limited heap holds, exactly, so that what is over is refused where it is written.

The totals are counted along with every write. Where something else changes the heap as a whole (a mount, a way back to
the snapshot), they are not known any more, and are counted anew when they are next asked for; the walk that counts what
is to be mounted ends where it is over the limit, so that none costs more than what the process may have. A heap that is
over already, since the limits came later, may shrink.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.cells import from_cell
from actors.errors import LimitExceeded
from actors.values import ABSENT, encode

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from actors.envelope import Limits
    from actors.memory import Memory, Slot
    from actors.tree import Tree


class Quota:
    """What a heap may hold, and what it does.

    Args:
        limits: of the process whose heap it is.
    """

    __slots__ = ("bytes", "entries", "limits")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        #: The totals; no entries are known where they are to be counted.
        self.entries: int | None = None
        self.bytes = 0

    def copy(self) -> Quota:
        """Return another one that goes on from the same totals."""
        quota = Quota(self.limits)
        quota.entries, quota.bytes = self.entries, self.bytes
        return quota

    def forget(self) -> None:
        """Let the totals be counted anew: the heap was changed as a whole."""
        self.entries, self.bytes = None, 0

    def admit(self, memory: Memory, slots: Mapping[bytes, Slot]) -> None:
        """Count slots that are about to be written.

        Raises:
            LimitExceeded: they are too many or too large; nothing was counted.
        """
        if self.entries is None:
            tree = memory.fold()
            self.entries, self.bytes = len(tree), self._bytes_of(tree, None)
        entries, size = self.entries, self.bytes
        for key, slot in slots.items():
            old = memory.read(key)
            if old is not ABSENT:
                entries -= 1
                size -= len(key) + _size(old)
            if slot is not ABSENT:
                entries += 1
                length = _size(slot)
                size += len(key) + length
                self._check_value(length)
        self._check(entries, size)
        self.entries, self.bytes = entries, size

    def take(self, tree: Tree) -> None:
        """Count a heap that is about to take the place of what there is.

        Raises:
            LimitExceeded: it is over the limits; nothing was counted.
        """
        size = self._bytes_of(tree, self.limits.heap_bytes)
        self._check(len(tree), size)
        self.entries, self.bytes = len(tree), size

    def _bytes_of(self, tree: Tree, enough: int | None) -> int:
        """Return how many bytes a heap has, where a limit needs that; a number over `enough` where it has more."""
        size = 0
        if self.limits.heap_bytes is not None or self.limits.value_bytes is not None:
            for key, cell in tree.entries():
                length = len(from_cell(cell))
                size += len(key) + length
                if enough is not None:
                    self._check_value(length)
                    if size > enough:
                        break
        return size

    def _check_value(self, length: int) -> None:
        limit = self.limits.value_bytes
        if limit is not None and length > limit:
            raise LimitExceeded(f"a value has {length} bytes, over this process's limit of {limit}")

    def _check(self, entries: int, size: int) -> None:
        limits = self.limits
        if limits.entries is not None and entries > max(limits.entries, self.entries or 0):
            raise LimitExceeded(f"the heap would have {entries} entries, over this process's limit of {limits.entries}")
        if limits.heap_bytes is not None and size > max(limits.heap_bytes, self.bytes):
            raise LimitExceeded(f"the heap would have more than {limits.heap_bytes} bytes, this process's limit")


def _size(slot: Any) -> int:
    data = getattr(slot, "data", None)
    return len(encode(slot)) if data is None else len(data)
