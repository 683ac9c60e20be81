"""A store in memory: for tests, experiments, and runs that nobody wants to go on with."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from itertools import islice
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
        # Commits come from a thread of their own.
        self._mutex = threading.Lock()

    @contextmanager
    def _opened(self) -> Iterator[None]:
        with self._mutex:
            if self._closed:
                raise StoreError(f"{self.place}: the store is closed")
            yield

    def read_node(self, number: int) -> bytes:
        """Return a node's record."""
        with self._opened():
            record = self._nodes.get(number)
        if record is None:
            raise StoreDamaged(
                f"{self.place}: there is no node {number}; was its block pruned while somebody looked at it?"
            )
        return record

    def next_number(self) -> int:
        """Return the first number that no node has had."""
        with self._opened():
            return self._next

    def numbers(self, first: int, count: int) -> list[int]:
        """Return the numbers of the nodes that there are from `first` on."""
        with self._opened():
            return list(islice((number for number in range(first, self._next) if number in self._nodes), count))

    def head(self) -> bytes | None:
        """Return the hash of the head."""
        with self._opened():
            return self._head

    def block(self, digest: bytes) -> bytes | None:
        """Return a block's record."""
        with self._opened():
            entry = self._blocks.get(digest)
        return None if entry is None else entry[1]

    def hash_at(self, number: int) -> bytes | None:
        """Return the hash of a block on the head's chain."""
        with self._opened():
            return self._chain.get(number)

    def hashes(self) -> Iterator[tuple[int, bytes]]:
        """Yield (number, hash) of every block."""
        with self._opened():
            known = [(number, digest) for digest, (number, _) in self._blocks.items()]
        yield from sorted(known, key=lambda pair: pair[0])

    def meta(self, name: str) -> bytes | None:
        """Return what is remembered under a name."""
        with self._opened():
            return self._meta.get(name)

    def commit(self, commit: Commit) -> None:
        """Make a commit."""
        with self._opened():
            self._check(commit)
            self._nodes.update(commit.nodes)
            if commit.nodes:
                self._next = commit.nodes[-1][0] + 1
            self._blocks.update({digest: (number, record) for number, digest, record in commit.blocks})
            for number, digest in commit.chain:
                if digest is None:
                    self._chain.pop(number, None)
                else:
                    self._chain[number] = digest
            self._meta.update(commit.meta)
            if commit.head is not None:
                self._head = commit.head
            for digest in commit.dropped_blocks:
                self._blocks.pop(digest, None)
            for number in commit.dropped_nodes:
                self._nodes.pop(number, None)
            for name in commit.dropped_meta:
                self._meta.pop(name, None)

    def _check(self, commit: Commit) -> None:
        """Refuse what the tables of a store on disk refuse: numbers and hashes that are there, and what is no bytes."""
        numbers = [number for number, _ in commit.nodes]
        hashes = [digest for _, digest, _ in commit.blocks]
        for kind, new, known in (("node", numbers, self._nodes), ("block", hashes, self._blocks)):
            if len(set(new)) < len(new) or not known.keys().isdisjoint(new):
                raise StoreError(f"{self.place}: the commit has a {kind} that is there already")
        records = [record for _, record in commit.nodes] + [record for _, _, record in commit.blocks]
        if not all(type(one) is bytes for one in (*records, *hashes, *commit.meta.values(), commit.head or b"")):
            raise StoreError(f"{self.place}: the commit has something that is not bytes")

    def close(self) -> None:
        """Let go of the store."""
        with self._mutex:
            self._closed = True
