"""A store in memory: for tests, experiments, and runs that nobody wants to go on with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.errors import StoreDamaged, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.store.base import Commit


class MemoryStore:
    """A store that lives as long as the object."""

    place = "memory"

    def __init__(self) -> None:
        self._nodes: dict[int, bytes] = {}
        self._blocks: dict[bytes, tuple[int, bytes]] = {}
        self._chain: dict[int, bytes] = {}
        self._meta: dict[str, bytes] = {}
        self._head: bytes | None = None
        self._next = 1
        self._closed = False

    def read_node(self, number: int) -> bytes:
        """Return a node's record."""
        record = self._nodes.get(number)
        if record is None:
            raise StoreDamaged(f"{self.place}: there is no node {number}")
        return record

    def next_number(self) -> int:
        """Return the first number that no node has had."""
        return self._next

    def head(self) -> bytes | None:
        """Return the hash of the head."""
        return self._head

    def block(self, digest: bytes) -> bytes | None:
        """Return a block's record."""
        entry = self._blocks.get(digest)
        return None if entry is None else entry[1]

    def hash_at(self, number: int) -> bytes | None:
        """Return the hash of a block on the head's chain."""
        return self._chain.get(number)

    def hashes(self) -> Iterator[tuple[int, bytes]]:
        """Yield (number, hash) of every block."""
        yield from sorted(((number, digest) for digest, (number, _) in self._blocks.items()), key=lambda pair: pair[0])

    def meta(self, name: str) -> bytes | None:
        """Return what is remembered under a name."""
        return self._meta.get(name)

    def commit(self, commit: Commit) -> None:
        """Make a commit."""
        if self._closed:
            raise StoreError(f"{self.place}: the store is closed")
        self._nodes.update(commit.nodes)
        self._next += len(commit.nodes)
        self._blocks.update({digest: (number, record) for number, digest, record in commit.blocks})
        for number, digest in commit.chain:
            if digest is None:
                self._chain.pop(number, None)
            else:
                self._chain[number] = digest
        self._meta.update(commit.meta)
        self._head = commit.head

    def close(self) -> None:
        """Let go of the store."""
        self._closed = True
