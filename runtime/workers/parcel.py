"""Trees on their way between the driver and a worker: what is in a store that both read stays there.

A tree travels as its top (label, count, digest, number) and the records of what the other side cannot read. Numbers
from `LOCAL` on are given out by the sender and mean something in one parcel alone; the others are those of the store. A
record of the parcel is

    00 data                      a blob
    01 u48 u32 record            a node: the stored record that the next one may be a patch of, or 0; in which entries
                                 or children it will differ from that; its whole record (actors.records)

children before parents. Where the receiver cannot read the store (it is in memory, or on another machine), the stored
records that it does not hold yet travel as they are, under their numbers.

The worker reads what it is sent as it reads a store: lazily, each node against the digest that its parent has. What
comes back to the driver is taken in at once, as nodes that are in no store yet: the next commit writes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from actors.cells import DIGEST_BYTES, Blob, cell_digest
from actors.errors import CodecError
from actors.nodes import LATER, LINK_BYTES, Node
from actors.records import decode_whole, load, references, whole_record
from actors.tree import EMPTY, Tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from actors.cells import ManySource, NodeSource

#: Numbers from here on are a parcel's; no store comes so far.
LOCAL: Final = 1 << 47
_BLOB: Final = b"\0"
_NODE: Final = b"\1"
_PATCHED_BYTES: Final = 4
#: Where the record of a node begins.
_RECORD_AT: Final = 1 + LINK_BYTES + _PATCHED_BYTES

#: A tree in transit: label, count, digest and number of its top node; () for an empty one.
Top: TypeAlias = "tuple[Any, ...]"


class Held:
    """What a receiver that cannot read the store holds of it.

    Invariant: with a number it holds all that the record refers to.
    """

    def __init__(self) -> None:
        self.numbers: set[int] = set()
        #: Those of which it has the record alone, because another one is a patch of that.
        self.bases: set[int] = set()


class Parcel:
    """Trees to be sent.

    Args:
        store: the store in which the nodes with numbers are.
        held: what the receiver holds of that; None where it reads the store itself.
    """

    def __init__(self, store: NodeSource | None = None, held: Held | None = None) -> None:
        #: What travels, by number.
        self.records: dict[int, bytes] = {}
        self._store = store
        self._held = held
        self._numbers: dict[int, int] = {}
        #: What is numbered here, so that no other object gets its `id`.
        self._kept: list[Node | Blob] = []

    def add(self, tree: Tree) -> Top:
        """Put a tree in."""
        if tree.node is None:
            return ()
        digest = tree.digest()
        node = tree.node
        assert node.digest is not None and digest
        stack = [node]
        while stack:
            top = stack[-1]
            if self._number(top) is not None:
                stack.pop()
                continue
            waiting = [kid for kid in _children(load(top)) if self._number(kid) is None]
            if waiting:
                stack += waiting
                continue
            self._write(stack.pop())
        return tree.label, node.count, node.digest, self._number(node)

    def _number(self, thing: Node | Blob) -> int | None:
        """Return the number under which the receiver finds something; None: it has none yet."""
        number = thing.number
        if number is None or number >= LOCAL:
            return self._numbers.get(id(thing))
        if self._held is not None and number not in self._held.numbers:
            self._send_stored(number, self._held)
        return number

    def _send_stored(self, number: int, held: Held) -> None:
        assert self._store is not None
        stack = [number]
        while stack:
            number = stack.pop()
            if number in held.numbers:
                continue
            held.numbers.add(number)
            if number not in held.bases:
                self.records[number] = self._store.read_node(number)
            if number & 1:
                continue  # it refers to nothing
            found, base = references(number, self._store)
            stack += found
            if base and base not in held.numbers and base not in held.bases:
                held.bases.add(base)
                self.records[base] = self._store.read_node(base)

    def _new(self, thing: Node | Blob, record: bytes) -> int:
        number = LOCAL + len(self._numbers)
        self._numbers[id(thing)] = number
        self._kept.append(thing)
        self.records[number] = record
        return number

    def _blob(self, blob: Blob) -> int:
        number = self._number(blob)
        return self._new(blob, _BLOB + blob.load()) if number is None else number

    def _write(self, node: Node) -> None:
        links = b""
        if node.kids is not None:
            kept = node.links or b""
            numbers = [None if kid is LATER else self._number(kid) for kid in node.kids if kid is not None]
            links = b"".join(
                [
                    kept[LINK_BYTES * i : LINK_BYTES * (i + 1)]
                    if number is None
                    else number.to_bytes(LINK_BYTES, "big")
                    for i, number in enumerate(numbers)
                ]
            )
        base, patched = (node.base, node.patched) if 0 < node.base < LOCAL else (0, 0)
        head = _NODE + base.to_bytes(LINK_BYTES, "big") + patched.to_bytes(_PATCHED_BYTES, "big")
        self._new(node, head + whole_record(node, links, self._blob))


def _children(node: Node) -> Iterator[Node]:
    """Yield the children of a node that the receiver may not have: all but those that are only in the store."""
    for i, number in _links(node):
        kid = node.kids[i]  # type: ignore[index]
        assert kid is not None
        if kid is not LATER:
            yield kid
        elif number >= LOCAL:
            yield node.fetch(i)


def _links(node: Node) -> Iterator[tuple[int, int]]:
    """Return the nibbles of a sealed branch's children, with their numbers."""
    return zip([i for i, kid in enumerate(node.kids or ()) if kid is not None], node.link_numbers(), strict=True)


class Received:
    """The worker's side: the records of a parcel and, behind them, the store."""

    place = "what the driver sent"

    def __init__(self, records: Mapping[int, bytes], store: ManySource) -> None:
        self._records = records
        self._store = store

    def read_nodes(self, numbers: Sequence[int]) -> dict[int, bytes]:
        """Return many records, by number, of those that there are."""
        found = self._store.read_nodes([number for number in numbers if number < LOCAL])
        found.update({number: self.read_node(number) for number in numbers if number in self._records})
        return found

    def read_node(self, number: int) -> bytes:
        """Return a record."""
        if number < LOCAL:
            return self._store.read_node(number)
        record = self._records[number]
        return record[1:] if record[:1] == _BLOB else record[_RECORD_AT:]

    def tree(self, top: Top) -> Tree:
        """Return a tree of the parcel; what is needed of it is decoded when it is needed."""
        return Tree(top[0], Node.stub(top[1], top[2], top[3], self)) if top else EMPTY


class Taken:
    """The driver's side: takes in all that a worker sent, as nodes that are in no store yet.

    Args:
        records: those of the parcel, children before parents.
        store: where nodes with other numbers are.

    Raises:
        CodecError: they are no nodes, or do not fit together.
    """

    def __init__(self, records: Mapping[int, bytes], store: NodeSource) -> None:
        self._store = store
        self._records = records
        self._nodes: dict[int, Node] = {}
        for number, record in records.items():
            if record[:1] == _NODE:
                self._nodes[number] = self._node(number, record)

    def tree(self, top: Top) -> Tree:
        """Return a tree of the parcel."""
        if not top:
            return EMPTY
        label, count, digest, number = top
        if number < LOCAL:
            return Tree(label, Node.stub(count, digest, number, self._store))
        return Tree(label, self._found(number, count, digest))

    def _found(self, number: int, count: int, digest: bytes) -> Node:
        node = self._nodes.get(number)
        if node is None or node.digest != digest or node.count != count:
            raise CodecError(f"parcel: node {number - LOCAL} is not what it is said to be")
        return node

    def _node(self, number: int, record: bytes) -> Node:
        node = decode_whole(record[_RECORD_AT:], self._store)
        node.number, node.source = None, self._store
        node.base = int.from_bytes(record[1 : 1 + LINK_BYTES], "big")
        node.patched = int.from_bytes(record[1 + LINK_BYTES : _RECORD_AT], "big")
        for cell in (*node.blobs.values(), node.value):
            if type(cell) is Blob and cell.number is not None and cell.number >= LOCAL:
                self._take_blob(cell)
        if node.kids is not None:
            node.unsealed = node.unsaved = 0
            for i, link in _links(node):
                if link >= LOCAL:
                    stub = node.stub_of(i)
                    assert stub.digest is not None
                    node.kids[i] = self._found(link, stub.count, stub.digest)
                    node.unsaved |= 1 << i
        return node

    def _take_blob(self, blob: Blob) -> None:
        record = self._records.get(blob.number or 0, b"")
        if record[:1] != _BLOB or cell_digest(Blob.of(record[1:])) != blob[:DIGEST_BYTES]:
            raise CodecError("parcel: a long value is not what it is said to be")
        blob.data, blob.number, blob.source = record[1:], None, None
