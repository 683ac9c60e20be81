"""The nodes of the heap's tree: what one holds, its bytes, its digest, and how it comes from a store when it is needed.

The tree is a Patricia trie of radix 16 over the nibbles of the key bytes. A subtree of at most `BUCKET_ENTRIES_MAX`
entries is one bucket node; a larger one is a branch at the longest prefix that all its keys share. So the shape
follows from the entries alone, in whatever order they came. What stands between a branch and its child (the child's
*label*) is kept on the branch's side: a node knows nothing of where it stands, and one node can stand in many places.

A *path* is a key as nibbles, one byte each (0 … 15): indexing and slicing are then single operations of the
interpreter. A *cell* is an encoded value as it stands in a node: framed by its length where it is short, by its length
and digest where it has a node of its own (a *blob*).

Hashed form, format 1 (`n` is a LEB128 number; `nibbles` are packed two a byte, first high, a last odd one padded by 0):

    cell     n            n = 2 * size,     then size bytes of the encoded value    (size <= INLINE_BYTES_MAX)
             n            n = 2 * size + 1, then the SHA-256 of the encoded value   (size >  INLINE_BYTES_MAX)
    bucket   00 n         number of entries, 1 … BUCKET_ENTRIES_MAX, by ascending path
             n …          the length of each one's path below this node, in nibbles
             nibbles      these paths, joined
             cell …       the values
    branch   01           without a value of its own; 02 with one: the key that ends here
             cell         the own value, where there is one
             2 bytes      which children there are, bit i for nibble i
             2 bytes      which of them have a label
             n nibbles …  each of those labels: its length, its nibbles
             n digest …   each child: the number of entries below it, its SHA-256
    root     03 n         a whole heap, n entries in it
             n nibbles    the label of the top node
             digest       of the top node; absent, with the label, where n is 0

A node's digest is the SHA-256 of its hashed form, a heap's digest that of its root form. Its stored record is the
hashed form and behind it one LEB128 number for each child (branch) or blob (own value, bucket), in order: where that
node is in the store. Those numbers depend on history, so they are not hashed.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from actors.errors import CodecError, StoreDamaged, StoreError
from actors.limits import (
    BUCKET_ENTRIES_MAX,
    INLINE_BYTES_MAX,
    KEY_BYTES_MAX,
    NODE_BYTES_MAX,
    PROCESS_DEPTH_MAX,
    VALUE_BYTES_MAX,
)
from actors.wire import Cursor, varint

if TYPE_CHECKING:
    from collections.abc import Iterable

FORMAT: Final = 1
NIBBLES: Final = 16

_BUCKET: Final = b"\x00"
_BRANCH: Final = b"\x01"
_BRANCH_WITH_VALUE: Final = b"\x02"
_ROOT: Final = b"\x03"
_DIGEST_BYTES: Final = 32
#: The longest label of a child, or path in a bucket: room for the longest key below the deepest process.
PATH_NIBBLES_MAX: Final = 2 * KEY_BYTES_MAX * (PROCESS_DEPTH_MAX + 2)
_COUNT_MAX: Final = 2**62
_NUMBER_MAX: Final = 2**62

_TO_NIBBLES: Final = bytes.maketrans(b"0123456789abcdef", bytes(range(16)))
_TO_HEX: Final = bytes.maketrans(bytes(range(16)), b"0123456789abcdef")
_LENGTHS: Final = tuple(bytes((n,)) for n in range(128))


def to_path(key: bytes) -> bytes:
    """Return the path of a key: its nibbles, one byte each."""
    return key.hex().encode().translate(_TO_NIBBLES)


def to_key(path: bytes) -> bytes:
    """Return the key of a path of whole bytes."""
    return bytes.fromhex(path.translate(_TO_HEX).decode())


def _pack(path: bytes) -> bytes:
    return to_key(path + b"\0" if len(path) & 1 else path)


def _unpack(cursor: Cursor, length: int) -> bytes:
    path = to_path(cursor.take((length + 1) // 2))
    if length & 1:
        if path[-1]:
            raise cursor.refuse("the padding of a path is not 0, just before")
        return path[:-1]
    return path


class NodeSource(Protocol):
    """Where stored nodes come from."""

    def read_node(self, number: int) -> bytes:
        """Return the record of node `number`. Raises StoreDamaged when there is none."""
        ...


#: Damage that was come upon. A program may catch what a read of its heap raises, but must not go on from there: whoever
#: steps programs looks here behind every step, and clears it.
damage: Final[list[StoreError]] = []


def _read(source: NodeSource, number: int) -> bytes:
    try:
        return source.read_node(number)
    except StoreError as error:
        damage.append(error)
        raise


def _damaged(source: NodeSource, number: int, what: str) -> StoreDamaged:
    place = getattr(source, "place", "the store")
    error = StoreDamaged(f"{place} is damaged: node {number}: {what}; restore it from a backup")
    damage.append(error)
    return error


class Blob(bytes):
    """The cell of a value that stands in a node of its own. As bytes it is the cell's frame: size and digest."""

    #: The encoded value, or None while it is only in the store.
    data: bytes | None
    #: Where it is in the store; None until it was written.
    number: int | None
    source: NodeSource | None

    @staticmethod
    def of(data: bytes) -> Blob:
        """Return the cell for an encoded value that is too large to stand inline."""
        blob = Blob(varint(2 * len(data) + 1) + sha256(data).digest())
        blob.data = data
        blob.number = None
        blob.source = None
        return blob

    def load(self) -> bytes:
        """Return the encoded value, from the store if need be, checked against the digest. It is not kept."""
        if self.data is not None:
            return self.data
        assert self.source is not None and self.number is not None
        data = _read(self.source, self.number)
        if sha256(data).digest() != self[-_DIGEST_BYTES:]:
            raise _damaged(self.source, self.number, "a value's bytes do not have its digest")
        return data


def to_cell(data: bytes) -> bytes:
    """Return the cell of an encoded value."""
    size = len(data)
    if size < 64:
        return _LENGTHS[2 * size] + data
    if size <= INLINE_BYTES_MAX:
        return varint(2 * size) + data
    return Blob.of(data)


def from_cell(cell: bytes) -> bytes:
    """Return the encoded value of a cell."""
    if cell[0] < 128 and not cell[0] & 1:
        return cell[1:]
    if type(cell) is Blob:
        return cell.load()
    return cell[2:]


def _read_cell(cursor: Cursor) -> bytes:
    begin = cursor.position
    number = cursor.varint(2 * VALUE_BYTES_MAX + 1)
    size = number >> 1
    if number & 1:
        if size <= INLINE_BYTES_MAX:
            raise cursor.refuse("a short value stands outside its node, just before")
        cursor.take(_DIGEST_BYTES)
        blob = Blob(cursor.data[begin : cursor.position])
        blob.data = blob.number = blob.source = None
        return blob
    if size > INLINE_BYTES_MAX:
        raise cursor.refuse("a long value stands inside its node, just before")
    if size == 0:
        raise cursor.refuse("a value has no bytes, just before")
    cursor.take(size)
    return cursor.data[begin : cursor.position]


class Node:
    """A bucket, a branch, or a stub of either whose content is still in the store. Never changed but by loading.

    #: Invariant: a bucket has `entries` alone, a branch `kids` and `labels`, a stub neither; `check` holds all of them.
    """

    __slots__ = ("count", "digest", "entries", "kids", "labels", "number", "ref", "source", "value")

    #: How many entries are below, the own value included.
    count: int
    #: A bucket's cells by path below it; None in a branch or a stub.
    entries: dict[bytes, bytes] | None
    #: A branch's children by nibble; None in a bucket or a stub.
    kids: list[Node | None] | None
    #: A branch's children's labels by nibble, the empty ones left out.
    labels: dict[int, bytes]
    #: A branch's own cell: that of the key which ends here.
    value: bytes | None
    #: None until it is asked for.
    digest: bytes | None
    #: What the parent's hashed form has of this node; None until the digest is known.
    ref: bytes | None
    #: Where it is in the store; None until it was written.
    number: int | None
    source: NodeSource | None

    def __init__(
        self,
        count: int,
        entries: dict[bytes, bytes] | None,
        kids: list[Node | None] | None,
        labels: dict[int, bytes],
        value: bytes | None,
    ) -> None:
        self.count = count
        self.entries = entries
        self.kids = kids
        self.labels = labels
        self.value = value
        self.digest = None
        self.ref = None
        self.number = None
        self.source = None

    @staticmethod
    def stub(count: int, digest: bytes, number: int, source: NodeSource) -> Node:
        """Return a node of which only this is known; its content is read when it is first needed."""
        node = Node(count, None, None, _NO_LABELS, None)
        node.digest = digest
        node.ref = varint(count) + digest
        node.number = number
        node.source = source
        return node

    def load(self) -> None:
        """Bring in the content of a stub.

        Raises:
            StoreDamaged: it is not there, or not what the parent's digest says.
        """
        assert self.source is not None and self.number is not None
        record = _read(self.source, self.number)
        try:
            self._decode(record, self.source)
        except CodecError as error:
            raise _damaged(self.source, self.number, str(error)) from error

    # --- bytes ---

    def form(self) -> bytes:
        """Return the hashed form. The children's digests must be known."""
        entries = self.entries
        if entries is not None:
            order = sorted(entries)
            lengths = list(map(len, order))
            return b"".join(
                (
                    _BUCKET,
                    _LENGTHS[len(order)],
                    bytes(lengths) if max(lengths) < 128 else b"".join(map(varint, lengths)),
                    _pack(b"".join(order)),
                    *[entries[path] for path in order],
                )
            )
        kids = self.kids
        assert kids is not None
        bits = 0xFFFF if None not in kids else sum([1 << i for i, kid in enumerate(kids) if kid is not None])
        labels = self.labels
        parts = [_BRANCH] if self.value is None else [_BRANCH_WITH_VALUE, self.value]
        parts.append(bits.to_bytes(2, "big"))
        if labels:
            parts.append(sum([1 << i for i in labels]).to_bytes(2, "big"))
            for i in sorted(labels):
                parts += (varint(len(labels[i])), _pack(labels[i]))
        else:
            parts.append(b"\0\0")
        parts += [kid.ref for kid in kids if kid is not None]  # type: ignore[misc]
        return b"".join(parts)

    def links(self) -> bytes:
        """Return what follows the hashed form in the stored record. Children and blobs must be numbered."""
        cells: Iterable[bytes]
        if self.entries is not None:
            cells = [self.entries[path] for path in sorted(self.entries)]
            return b"".join([varint(cell.number) for cell in cells if type(cell) is Blob])  # type: ignore[arg-type]
        assert self.kids is not None
        own = varint(self.value.number) if type(self.value) is Blob else b""  # type: ignore[arg-type]
        return own + b"".join([varint(kid.number) for kid in self.kids if kid is not None])  # type: ignore[arg-type]

    def seal(self) -> bytes:
        """Compute the digest from the hashed form, and return that."""
        form = self.form()
        self.digest = digest = sha256(form).digest()
        self.ref = (_LENGTHS[self.count] if self.count < 128 else varint(self.count)) + digest
        return form

    def _decode(self, record: bytes, source: NodeSource) -> None:
        if len(record) > NODE_BYTES_MAX:
            raise CodecError(f"node: {len(record)} bytes are over the limit of {NODE_BYTES_MAX}")
        cursor = Cursor(record, "node")
        tag = cursor.byte()
        if tag == _BUCKET[0]:
            content = _read_bucket(cursor)
        elif tag in (_BRANCH[0], _BRANCH_WITH_VALUE[0]):
            content = _read_branch(cursor, tag == _BRANCH_WITH_VALUE[0])
        else:
            raise CodecError(f"node: {tag:#04x} begins no node")
        if sha256(record[: cursor.position]).digest() != self.digest:
            raise CodecError("node: its bytes do not have the digest that its parent holds")
        if content.count != self.count:
            raise CodecError(f"node: it has {content.count} entries where its parent says {self.count}")
        _read_links(cursor, content, source)
        cursor.end()
        self.labels, self.value = content.labels, content.value
        # Last, because they are what tells a loaded node from a stub.
        self.entries, self.kids = content.entries, content.kids

    def check(self) -> None:
        """Check this node's invariants, for tests and after every load in them."""
        if self.entries is not None:
            assert self.kids is None and self.value is None and not self.labels
            assert 1 <= self.count == len(self.entries) <= BUCKET_ENTRIES_MAX
        elif self.kids is not None:
            present = [i for i, kid in enumerate(self.kids) if kid is not None]
            assert len(self.kids) == NIBBLES and self.count > BUCKET_ENTRIES_MAX
            assert len(present) + (self.value is not None) >= 2
            below = sum(kid.count for kid in self.kids if kid is not None)
            assert self.count == below + (self.value is not None)
            for i, label in self.labels.items():
                kid = self.kids[i]
                assert label and kid is not None and kid.count > BUCKET_ENTRIES_MAX


#: A place in a tree: the label above a node, and the node; (b"", None) where there is nothing.
Edge: TypeAlias = tuple[bytes, Node | None]

_NO_LABELS: Final[dict[int, bytes]] = {}


def bucket(entries: dict[bytes, bytes]) -> Node:
    """Return a bucket of these entries, which it owns from now on."""
    return Node(len(entries), entries, None, _NO_LABELS, None)


def branch(count: int, kids: list[Node | None], labels: dict[int, bytes], value: bytes | None) -> Node:
    """Return a branch, which owns the list and the dict from now on."""
    return Node(count, None, kids, labels or _NO_LABELS, value)


def _read_bucket(cursor: Cursor) -> Node:
    count = cursor.varint(BUCKET_ENTRIES_MAX)
    if count == 0:
        raise cursor.refuse("a bucket is empty, just before")
    lengths = [cursor.varint(PATH_NIBBLES_MAX) for _ in range(count)]
    joined = _unpack(cursor, sum(lengths))
    entries: dict[bytes, bytes] = {}
    begin = 0
    before: bytes | None = None
    for length in lengths:
        path = joined[begin : begin + length]
        begin += length
        if before is not None and path <= before:
            raise cursor.refuse("the entries of a bucket are not ascending, just before")
        before = path
        entries[path] = b""
    for path in entries:
        entries[path] = _read_cell(cursor)
    return bucket(entries)


def _read_branch(cursor: Cursor, with_value: bool) -> Node:
    value = _read_cell(cursor) if with_value else None
    bits = int.from_bytes(cursor.take(2), "big")
    labelled = int.from_bytes(cursor.take(2), "big")
    if labelled & ~bits:
        raise cursor.refuse("a label is that of no child, just before")
    labels: dict[int, bytes] = {}
    for i in range(NIBBLES):
        if labelled >> i & 1:
            length = cursor.varint(PATH_NIBBLES_MAX)
            if length == 0:
                raise cursor.refuse("a label is empty, just before")
            labels[i] = _unpack(cursor, length)
    kids: list[Node | None] = [None] * NIBBLES
    below = 0
    for i in range(NIBBLES):
        if bits >> i & 1:
            begin = cursor.position
            count = cursor.varint(_COUNT_MAX)
            kid = Node(count, None, None, _NO_LABELS, None)
            kid.digest = cursor.take(_DIGEST_BYTES)
            kid.ref = cursor.data[begin : cursor.position]
            if count == 0 or (i in labels and count <= BUCKET_ENTRIES_MAX):
                raise cursor.refuse("a child cannot have that many entries there, just before")
            kids[i] = kid
            below += count
    own = value is not None
    if below + own <= BUCKET_ENTRIES_MAX or bits.bit_count() + own < 2:
        raise cursor.refuse("a branch has too little below it")
    return branch(below + own, kids, labels, value)


def _read_links(cursor: Cursor, content: Node, source: NodeSource) -> None:
    if content.entries is not None:
        for path in content.entries:
            _link_blob(cursor, content.entries[path], source)
        return
    assert content.kids is not None
    if content.value is not None:
        _link_blob(cursor, content.value, source)
    for kid in content.kids:
        if kid is not None:
            kid.number = cursor.varint(_NUMBER_MAX)
            kid.source = source


def _link_blob(cursor: Cursor, cell: bytes, source: NodeSource) -> None:
    if type(cell) is Blob:
        cell.number = cursor.varint(_NUMBER_MAX)
        cell.source = source


def root_form(label: bytes, node: Node | None) -> bytes:
    """Return the root form of a heap whose top node has its digest."""
    if node is None:
        return _ROOT + b"\0"
    assert node.digest is not None
    return b"".join((_ROOT, varint(node.count), varint(len(label)), _pack(label), node.digest))
