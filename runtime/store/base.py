"""What the runtime asks of a store: nodes by number, blocks by hash, one head; changed in whole commits alone.

Architecture invariants, which every implementation keeps and the conformance suite checks:
- A commit is there whole or not at all, whenever the process, the machine or the disk stops.
- After `commit` returns, the commit survives all of these.
- A commit that raises has changed nothing.
- Node numbers grow, so that a commit's nodes lie side by side; a number is used once.
- What was read is checked by the reader: a node against the digest that its parent holds, a block against its hash.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

#: The version of everything in a store: nodes, values, headers, tables. Another one is refused, with its number.
FORMAT: Final = 2


@dataclasses.dataclass(frozen=True)
class Commit:
    """One atomic change of a store.

    Attributes:
        head: the hash of the block that is the head from now on; None: it stays.
        nodes: new nodes: (number, record), the numbers growing from `next_number` on.
        blocks: new blocks: (number, hash, record).
        chain: for these block numbers, the hash of the block on the chain of the head; None: there is none any more.
        meta: what else is to be remembered, by name.
        dropped_blocks: the hashes of blocks that are there no more. One that is unknown is passed over.
        dropped_nodes: the numbers of nodes that are there no more; likewise.
        dropped_meta: the names of what is not to be remembered any more; likewise.
    """

    head: bytes | None = None
    nodes: Sequence[tuple[int, bytes]] = ()
    blocks: Sequence[tuple[int, bytes, bytes]] = ()
    chain: Sequence[tuple[int, bytes | None]] = ()
    meta: Mapping[str, bytes] = dataclasses.field(default_factory=dict)
    dropped_blocks: Sequence[bytes] = ()
    dropped_nodes: Sequence[int] = ()
    dropped_meta: Sequence[str] = ()


class Store(Protocol):
    """A store, open. All methods raise StoreError or a kind of it."""

    #: Where it is, for people.
    place: str

    def read_node(self, number: int) -> bytes:
        """Return a node's record. Raises StoreDamaged where there is none."""
        ...

    def next_number(self) -> int:
        """Return the first number that no node has had."""
        ...

    def numbers(self, first: int, count: int) -> list[int]:
        """Return the numbers of the nodes that there are from `first` on, ascending, at most `count`."""
        ...

    def head(self) -> bytes | None:
        """Return the hash of the head, or None in a new store."""
        ...

    def block(self, digest: bytes) -> bytes | None:
        """Return the record of the block with this hash, or None."""
        ...

    def hash_at(self, number: int) -> bytes | None:
        """Return the hash of the block of that number on the head's chain, or None."""
        ...

    def hashes(self) -> Iterator[tuple[int, bytes]]:
        """Yield (number, hash) of every block that is kept, on all branches, by number and then by age."""
        ...

    def meta(self, name: str) -> bytes | None:
        """Return what is remembered under a name, or None."""
        ...

    def commit(self, commit: Commit) -> None:
        """Make a commit, durably."""
        ...

    def close(self) -> None:
        """Let go of the store. It may be called twice."""
        ...
