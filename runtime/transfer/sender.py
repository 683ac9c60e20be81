"""The sender: a state as the items of a stream.

It walks down from the top, reads each node from the store when it comes to it and forgets it then: what it has in memory
are the nodes on the way to where it is, and where these are many, all but the last of them packed. What was sent already is
looked up by digest, in a table that SQLite keeps in a temporary file once it is larger than a few MiB: about 50 bytes a node.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from struct import Struct
from typing import TYPE_CHECKING, Final, Self, TypeAlias

from actors.cells import DIGEST_BYTES, Blob
from actors.errors import StoreError
from actors.nodes import LATER, NIBBLES, Node
from actors.records import load, number_of
from actors.wire import varint
from runtime.transfer.stream import SEEN, VALUE

if TYPE_CHECKING:
    from types import TracebackType

    from actors.cells import NodeSource
    from actors.tree import Tree

#: Takes an item; tells whether that ended a chunk.
Put: TypeAlias = Callable[[bytes], bool]
#: Is told, once a chunk is whole, how many entries there were so far. What it raises ends it all.
Progress: TypeAlias = Callable[[int], None]

#: Where the nodes on the way take more than this, all but the last are packed.
_LEVELS_BYTES: Final = 1 << 20
#: A packed level: the node's count, its digest, its number, and the child that comes next.
_LEVEL: Final = Struct(f">Q{DIGEST_BYTES}sQB")
_TABLE_KIB: Final = 8_192


class _Level:
    """A branch whose children are being sent."""

    __slots__ = ("next", "node")

    def __init__(self, node: Node, next_: int) -> None:
        self.node = node
        #: The nibble from which on children are still to be sent.
        self.next = next_


class Sender:
    """Sends a state. A context manager; use it once.

    Args:
        source: the store that the state is in.
        put: takes the items.
        progress: is told how far it is.
    """

    def __init__(self, source: NodeSource, put: Put, progress: Progress | None = None) -> None:
        self._source = source
        self._put_item = put
        self._progress = progress
        self._free = 1
        self._sent = _Sent()
        self._levels: list[_Level] = []
        self._levels_bytes = 0
        self._packed = bytearray()
        #: How many entries were sent.
        self.entries = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._sent.close()

    def send(self, state: Tree) -> None:
        """Send it all.

        Raises:
            StoreDamaged: a node is not there, or not what it should be.
        """
        if state.node is None:
            return
        assert state.node.digest is not None and state.node.number is not None
        # Another stub for the same node: what is read is not to be kept in the caller's tree.
        self._node(self._stub(state.node.count, state.node.digest, state.node.number))
        while self._levels:
            level = self._levels[-1]
            kids, i = level.node.kids, level.next
            assert kids is not None
            while i < NIBBLES and kids[i] is None:
                i += 1
            if i == NIBBLES:
                self._levels.pop()
                self._levels_bytes -= _size(level.node)
                self._sent.add(_digest(level.node), self._number(odd=False))
                if not self._levels and self._packed:
                    self._unpack()
                continue
            level.next = i + 1
            kid = level.node.fetch(i)
            kids[i] = LATER  # lest all that is below be kept
            self._node(kid)

    def _stub(self, count: int, digest: bytes, number: int) -> Node:
        return Node.stub(count, digest, number, self._source)

    def _number(self, *, odd: bool) -> int:
        number = number_of(self._free, leaf=odd)
        self._free = number + 1
        return number

    def _put(self, item: bytes) -> None:
        if self._put_item(item) and self._progress is not None:
            self._progress(self.entries)

    def _node(self, node: Node) -> None:
        """Send a node; of a branch, all but its children."""
        seen = self._sent.get(_digest(node))
        if seen is not None:
            self.entries += node.count
            self._put(bytes((SEEN,)) + varint(seen))
            return
        form = load(node).form
        assert form is not None
        if node.kids is None:
            self.entries += node.count
            blobs = [node.blobs[path] for path in sorted(node.blobs)] if node.blobs else []
            head = form[: -DIGEST_BYTES * node.count]
            self._put(b"".join([head, node.ends, node.cells, *[blob[:DIGEST_BYTES] for blob in blobs]]))
            for blob in blobs:
                self._value(blob)
            self._sent.add(_digest(node), self._number(odd=not blobs))
            return
        own = node.value
        if own is None:
            self._put(form)
        else:
            self.entries += 1
            if type(own) is Blob:
                self._put(form + b"\0\0")
                self._value(own)
            else:
                self._put(form + len(own).to_bytes(2, "big") + own)
        self._push(_Level(node, 0))
        if self._levels_bytes > _LEVELS_BYTES:
            self._pack()

    def _value(self, blob: Blob) -> None:
        digest = blob[:DIGEST_BYTES] + bytes((VALUE,))
        seen = self._sent.get(digest)
        if seen is not None:
            self._put(bytes((SEEN,)) + varint(seen))
            return
        data = blob.load()
        self._put(b"".join((bytes((VALUE,)), varint(len(data)), data)))
        self._sent.add(digest, self._number(odd=True))

    # --- levels ---

    def _push(self, level: _Level) -> None:
        self._levels.append(level)
        self._levels_bytes += _size(level.node)

    def _pack(self) -> None:
        last = self._levels.pop()
        for level in self._levels:
            node = level.node
            self._packed += _LEVEL.pack(node.count, _digest(node), node.number, level.next)
        self._levels, self._levels_bytes = [], 0
        self._push(last)

    def _unpack(self) -> None:
        count, digest, number, next_ = _LEVEL.unpack(self._packed[-_LEVEL.size :])
        del self._packed[-_LEVEL.size :]
        self._push(_Level(load(self._stub(count, digest, number)), next_))


def _size(node: Node) -> int:
    assert node.form is not None
    return len(node.form)


def _digest(node: Node) -> bytes:
    assert node.digest is not None
    return node.digest


class _Sent:
    """Which number each thing has that was sent, by its digest."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)  # a temporary file, which nobody else sees
        self._db.execute("PRAGMA journal_mode=OFF")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute(f"PRAGMA cache_size=-{_TABLE_KIB}")
        self._db.execute("CREATE TABLE sent (digest BLOB PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID")
        self._db.execute("BEGIN")

    def get(self, digest: bytes) -> int | None:
        row = self._run("SELECT number FROM sent WHERE digest = ?", digest)
        return None if row is None else row[0]

    def add(self, digest: bytes, number: int) -> None:
        self._run("INSERT INTO sent VALUES (?, ?)", digest, number)

    def _run(self, statement: str, *values: bytes | int) -> tuple[int] | None:
        try:
            row: tuple[int] | None = self._db.execute(statement, values).fetchone()
        except sqlite3.Error as error:
            raise StoreError(
                f"an export's table of what was sent: {error}; make room where temporary files are, or set TMPDIR"
            ) from error
        return row

    def close(self) -> None:
        self._db.close()
