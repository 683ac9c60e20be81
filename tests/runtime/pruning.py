"""What the tests of pruning share: stores that fail when they are told to, cycles of small steps, and bulk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from model import Heap, whole

import runtime
import runtime.keeping
import runtime.prune
from actors import StoreError
from runtime import MemoryStore, SqliteStore

if TYPE_CHECKING:
    from runtime.store import Commit


def in_small_steps(patch: Any, marks: int = 5, swept: int = 20) -> None:
    """Let a cycle be begun often, and take many blocks."""
    patch.setattr(runtime.keeping, "_SLACK_MIN", 1)
    patch.setattr(runtime.prune, "_DUE_MIN", 1)
    patch.setattr(runtime.prune, "_DUE_SHARE", 0.2)
    patch.setattr(runtime.prune, "_MARKS_PER_STEP", marks)
    patch.setattr(runtime.prune, "_SWEPT_PER_STEP", swept)
    patch.setattr(runtime.prune, "_SWEPT_SHARE", 1)


class Failing:
    """A store, mixed in, whose commits fail when they are told to."""

    #: How many commits are still made before one fails; None: all are.
    fails_in: int | None = None

    def commit(self, commit: Commit) -> None:
        if self.fails_in is not None:
            self.fails_in -= 1
            if self.fails_in < 0:
                self.fails_in = None
                raise StoreError("the disk is gone")
        super().commit(commit)  # type: ignore[misc]


class Open(Failing, MemoryStore):
    """A store in memory that a Runtime can be opened on again."""

    def copy(self) -> Open:
        """Return another store of the same content."""
        other = Open()
        for name in ("_nodes", "_blocks", "_chain", "_meta"):
            setattr(other, name, dict(getattr(self, name)))
        other._head, other._next = self._head, self._next
        return other

    def close(self) -> None:
        """Stay open."""


class Faulty(Failing, SqliteStore):
    """A store on disk."""


def filling(prefix: Any, count: int, step: int, seed: int) -> Heap:
    """Return many entries, some with long values, for a heap."""
    made: Heap = {}
    for i in range(count):
        made[(*whole(prefix), i * step)] = f"{seed}.{i} " * (150 if (i + seed) % 19 == 0 else 1)
    return made
