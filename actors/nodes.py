"""The nodes of the heap's tree: what one holds, its hashed form, and its digest. (Their records: `actors.records`.)

The tree is a Patricia trie of radix 16 over the nibbles of the key bytes. A subtree of at most `BUCKET_ENTRIES_MAX`
entries is one bucket node; a larger one is a branch at the longest prefix that all its keys share. So the shape
follows from the entries alone, in whatever order they came. What stands between a branch and its child (the child's
*label*) is kept on the branch's side: a node knows nothing of where it stands, and one node can stand in many places.

A *path* is a key as nibbles, one byte each (0 … 15): indexing and slicing are then single operations of the interpreter.

Hashed form, format 2 (`n` is a LEB128 number; `u16`, `u48` are big-endian; `nibbles` are packed two a byte, first high,
a last odd one padded by 0; a digest is a SHA-256):

    bucket   00 n         number of entries, 1 … BUCKET_ENTRIES_MAX, by ascending path
             n …          the length of each one's path below this node, in nibbles
             nibbles      these paths, joined
             digest …     of each one's encoded value
    branch   01           without a value of its own; 02 with one: that of the key that ends here
             u16          which children there are, bit i for nibble i
             u16          which of them have a label
             slot …       each child: u48 the number of entries below it, its digest
             n nibbles …  each label: its length, its nibbles
             digest       of the own value, where there is one
    root     03 n         a whole heap, n entries in it
             n nibbles    the label of the top node
             digest       of the top node; absent, with the label, where n is 0

A node's digest is that of its hashed form, a heap's digest that of its root form.

Why so: values are hashed one by one, so that a proof need not tell those beside it and a bucket of many is hashed after
a change of one at the cost of its digests. All that stands in a row in a form is of one width there, so that a change
is one splice of bytes: nodes keep their forms, a bucket's entries are never unpacked for one of them, and a child that
nobody asked for is nothing but its slot. Every object less is a cache line less to wait for, which at a million entries
is what costs.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import lru_cache
from hashlib import sha256
from io import BytesIO
from operator import ge, sub
from struct import Struct
from typing import TYPE_CHECKING, Final, TypeAlias

from actors.cells import DIGEST_BYTES, Blob, cell_digest
from actors.errors import CodecError, LimitExceeded
from actors.limits import BUCKET_ENTRIES_MAX, KEY_BYTES_MAX, PROCESS_DEPTH_MAX
from actors.wire import Cursor, varint

if TYPE_CHECKING:
    from collections.abc import Iterable

    from actors.cells import NodeSource

FORMAT: Final = 2
NIBBLES: Final = 16

BUCKET: Final = 0
BRANCH: Final = 1
BRANCH_WITH_VALUE: Final = 2
ROOT: Final = 3
COUNT_BYTES: Final = 6
_COUNT_MAX: Final = 2 ** (8 * COUNT_BYTES) - 1
SLOT_BYTES: Final = COUNT_BYTES + DIGEST_BYTES
#: Where a branch's slots begin: behind its tag and the two sets of nibbles.
SLOTS_AT: Final = 5
LINK_BYTES: Final = 6
_NO_LINK: Final = bytes(LINK_BYTES)
#: The longest label of a child, or path in a bucket: room for the longest key below the deepest process.
PATH_NIBBLES_MAX: Final = 2 * KEY_BYTES_MAX * (PROCESS_DEPTH_MAX + 2)

_TO_NIBBLES: Final = bytes.maketrans(b"0123456789abcdef", bytes(range(16)))
#: What stands for a space there is no nibble.
_TO_HEX: Final = bytes.maketrans(bytes(range(17)), b"0123456789abcdef ")
_SPACE: Final = bytes((16,))
#: Reads the counts of so many slots, two numbers each: its upper two bytes, its lower four.
_COUNTS: Final = tuple(Struct(">" + "HI32x" * size) for size in range(NIBBLES + 1))
#: Reads and writes where the cells of so many entries end.
ENDS: Final = tuple(Struct(f">{size}H") for size in range(BUCKET_ENTRIES_MAX + 1))
#: A 1 in each of so many of them, as one number.
_ONES: Final = tuple([sum([1 << 16 * i for i in range(size)]) for size in range(BUCKET_ENTRIES_MAX + 1)])


def to_path(key: bytes) -> bytes:
    """Return the path of a key: its nibbles, one byte each."""
    return key.hex().encode().translate(_TO_NIBBLES)


def to_key(path: bytes) -> bytes:
    """Return the key of a path of whole bytes."""
    return bytes.fromhex(path.translate(_TO_HEX).decode())


def to_keys(prefix: bytes, paths: list[bytes]) -> list[bytes]:
    """Return the keys of the paths that begin with `prefix` and go on with one of these, of which there is one at least.

    What `to_key` makes of each, in one pass over all.
    """
    joined = prefix + (_SPACE + prefix).join(paths)
    return list(map(bytes.fromhex, joined.translate(_TO_HEX).decode().split(" ")))


def pack(path: bytes) -> bytes:
    """Return nibbles packed two a byte."""
    return to_key(path + b"\0" if len(path) & 1 else path)


def unpack(cursor: Cursor, length: int, what: str = "a path") -> bytes:
    """Read so many packed nibbles, which are said to be `what` where they are refused."""
    path = to_path(cursor.take((length + 1) // 2))
    if length & 1:
        if path[-1]:
            raise cursor.refuse(f"the padding of {what} is not 0, just before")
        return path[:-1]
    return path


def cut_up(joined: bytes, sizes: Iterable[int]) -> list[bytes]:
    """Return what was joined, by the size of each piece."""
    # No other way takes fewer steps of the interpreter: none for a piece.
    return list(map(BytesIO(joined).read, sizes))


def span(ends: bytes, i: int) -> tuple[int, int]:
    """Return where entry `i` of a bucket begins and ends among its cells."""
    return (ends[2 * i - 2] << 8 | ends[2 * i - 1] if i else 0), ends[2 * i] << 8 | ends[2 * i + 1]


def rank(bits: int, nibble: int) -> int:
    """Return which of a branch's children, 0 for the first, the one at a nibble is."""
    return (bits & ((1 << nibble) - 1)).bit_count()


@lru_cache(maxsize=8192)
def nibbles_of(some: int) -> tuple[int, ...]:
    """Return the nibbles of a set of them, bit i for nibble i."""
    return tuple([i for i in range(NIBBLES) if some >> i & 1])


@lru_cache(maxsize=8192)
def places(bits: int, some: int) -> tuple[tuple[int, int, int], ...]:
    """Return (nibble, where its slot begins in the form, where its number begins in the links) of some children."""
    return tuple([(i, SLOTS_AT + SLOT_BYTES * rank(bits, i), LINK_BYTES * rank(bits, i)) for i in nibbles_of(some)])


class Node:
    """A bucket, a branch, or a stub of either whose content is still in the store. Never changed but by loading.

    Invariant: a bucket has `paths`, a branch `kids`, a stub neither; `check` holds all of it. A child that is `LATER`
    stands in `form` and `links`, which are true of it even where they are not of its siblings.
    """

    __slots__ = (
        "base",
        "blobs",
        "cells",
        "count",
        "digest",
        "ends",
        "form",
        "kids",
        "labels",
        "lengths",
        "links",
        "number",
        "patched",
        "paths",
        "source",
        "unsaved",
        "unsealed",
        "value",
    )

    #: How many entries are below, the own value included.
    count: int
    #: None until it is asked for.
    digest: bytes | None
    #: The hashed form: of a branch true but for the children in `unsealed`; None where it was never made.
    form: bytes | None
    #: Where it is in the store; None until it was written.
    number: int | None
    source: NodeSource | None
    #: The record that the next one may be a patch of, or 0; and the entries or children in which it will differ from it.
    base: int
    patched: int

    #: A bucket's paths, ascending and joined, with their lengths. None in a branch or a stub.
    paths: bytes | None
    lengths: tuple[int, ...]
    #: A bucket's cells, joined, with the end of each, u16. A blob takes no bytes there, it is in `blobs` by its path.
    cells: bytes
    ends: bytes
    blobs: dict[bytes, Blob]

    #: A branch's children by nibble; None in a bucket or a stub.
    kids: list[Node | None] | None
    #: A branch's children's labels by nibble, the empty ones left out.
    labels: dict[int, bytes]
    #: A branch's own cell: that of the key which ends here.
    value: bytes | None
    #: Those children whose slots in `form` are out of date, bit i for nibble i; None: more than slots is. 0 where `digest`
    #: is known.
    unsealed: int | None
    #: The numbers of a branch's children as its record has them, true but for the children in `unsaved`.
    links: bytes | None
    #: Those children whose `links` are out of date; None: all that are at hand, as wherever `unsealed` is None, and then
    #: there is no `base`. 0 where `number` is known.
    unsaved: int | None

    def __init__(self, count: int) -> None:
        self.count = count
        self.digest = self.form = self.number = self.source = self.paths = self.kids = self.value = None
        self.unsealed = self.links = self.unsaved = None
        self.base = self.patched = 0
        self.labels = _NO_LABELS
        self.blobs = _NO_BLOBS

    @staticmethod
    def stub(count: int, digest: bytes, number: int, source: NodeSource) -> Node:
        """Return a node of which only this is known; its content is read when it is first needed."""
        node = Node(count)
        node.digest = digest
        node.number = number
        node.source = source
        return node

    # --- buckets ---

    def _index(self, path: bytes) -> int:
        """Return which entry has a path, or -1."""
        paths, lengths, width = self.paths, self.lengths, len(path)
        assert paths is not None
        if width == 0:
            return 0 if lengths[0] == 0 else -1
        if lengths.count(width) == len(lengths):
            at = paths.find(path)
            while at >= 0 and at % width:
                at = paths.find(path, at + 1)
            return at // width
        at = 0
        for i, length in enumerate(lengths):
            if length == width and paths.startswith(path, at):
                return i
            at += length
        return -1

    def find(self, path: bytes) -> bytes | None:
        """Return the cell of one of a bucket's entries, or None."""
        i = self._index(path)
        if i < 0:
            return None
        begin, end = span(self.ends, i)
        return self.cells[begin:end] if begin < end else self.blobs[path]

    def entries(self) -> dict[bytes, bytes]:
        """Return a bucket's cells by path, ascending."""
        return dict(zip(self.path_list(), self.cell_list(), strict=True))

    def cell_list(self) -> list[bytes]:
        """Return a bucket's cells, by ascending path."""
        ends = ENDS[self.count].unpack(self.ends)
        cells = cut_up(self.cells, map(sub, ends, (0, *ends)))
        if self.blobs:
            blobs = self.blobs
            return [cell or blobs[path] for path, cell in zip(self.path_list(), cells, strict=True)]
        return cells

    def path_list(self) -> list[bytes]:
        """Return a bucket's paths, ascending."""
        assert self.paths is not None
        return cut_up(self.paths, self.lengths)

    def edited(self, path: bytes, cell: bytes | None) -> Node | None:
        """Return the bucket with one entry set, or deleted; itself where that changes nothing; None where it cannot be.

        It cannot where it would have no entries, or too many.
        """
        i = self._index(path)
        if i >= 0:
            return self._dropped(i, path) if cell is None else self._replaced(i, path, cell)
        if cell is None:
            return self
        return None if self.count == BUCKET_ENTRIES_MAX else self._inserted(path, cell)

    def _replaced(self, i: int, path: bytes, cell: bytes) -> Node:
        cells, ends, blobs, count, form = self.cells, self.ends, self.blobs, self.count, self.form
        begin, end = span(ends, i)
        if cell == (cells[begin:end] if begin < end else blobs[path]):
            return self
        inline = b"" if type(cell) is Blob else cell
        if inline is not cell or begin == end:
            blobs = {at: blob for at, blob in blobs.items() if at != path}
            if inline is not cell:
                blobs[path] = cell  # type: ignore[assignment]
        node = Node(count)
        node.paths, node.lengths, node.blobs = self.paths, self.lengths, blobs
        node.cells = cells[:begin] + inline + cells[end:]
        longer = len(inline) - end + begin
        node.ends = _moved_ends(ends, i, longer) if longer else ends
        if form is not None:
            at = len(form) - DIGEST_BYTES * (count - i)
            node.form = form[:at] + cell_digest(cell) + form[at + DIGEST_BYTES :]
        node.base, node.patched = self.base, self.patched | 1 << i
        return node

    def _inserted(self, path: bytes, cell: bytes) -> Node:
        order = self.path_list()
        i = bisect_left(order, path)
        order.insert(i, path)
        ends = self.ends
        begin = span(ends, i - 1)[1] if i else 0
        node = Node(self.count + 1)
        node.paths, node.lengths = b"".join(order), _lengths(order)
        blobs, inline = self.blobs, cell
        if type(cell) is Blob:
            blobs, inline = {**blobs, path: cell}, b""
        node.blobs = blobs
        node.cells = self.cells[:begin] + inline + self.cells[begin:]
        node.ends = _moved_ends(ends[: 2 * i] + begin.to_bytes(2, "big") + ends[2 * i :], i, len(inline))
        if self.form is not None:
            digests = self.form[-DIGEST_BYTES * self.count :]
            at = DIGEST_BYTES * i
            node.form = node._head() + digests[:at] + cell_digest(cell) + digests[at:]
        return node

    def _dropped(self, i: int, path: bytes) -> Node | None:
        if self.count == 1:
            return None
        order = self.path_list()
        del order[i]
        ends = self.ends
        begin, end = span(ends, i)
        node = Node(self.count - 1)
        node.paths, node.lengths = b"".join(order), _lengths(order)
        node.cells = self.cells[:begin] + self.cells[end:]
        node.ends = _moved_ends(ends[: 2 * i] + ends[2 * i + 2 :], i, begin - end)
        if begin == end:
            node.blobs = {at: blob for at, blob in self.blobs.items() if at != path}
        else:
            node.blobs = self.blobs
        if self.form is not None:
            digests = self.form[-DIGEST_BYTES * self.count :]
            node.form = node._head() + digests[: DIGEST_BYTES * i] + digests[DIGEST_BYTES * (i + 1) :]
        return node

    def _head(self) -> bytes:
        """Return the beginning of a bucket's form: all but the digests."""
        lengths = self.lengths
        assert self.paths is not None
        coded = bytes(lengths) if max(lengths) < 128 else b"".join(map(varint, lengths))
        return bytes((BUCKET, self.count)) + coded + pack(self.paths)

    # --- branches ---

    def fetch(self, nibble: int) -> Node:
        """Return the child which is `LATER` so far, as a stub, and keep it."""
        assert self.kids is not None
        stub = self.kids[nibble] = self.stub_of(nibble)
        return stub

    def stub_of(self, nibble: int) -> Node:
        """Return a stub of the child which is `LATER` so far; it is not kept."""
        form, links = self.form, self.links
        assert form is not None and links is not None and self.source is not None
        i = rank(int.from_bytes(form[1:3], "big"), nibble)
        at = SLOTS_AT + SLOT_BYTES * i
        return Node.stub(
            int.from_bytes(form[at : at + COUNT_BYTES], "big"),
            form[at + COUNT_BYTES : at + SLOT_BYTES],
            int.from_bytes(links[LINK_BYTES * i : LINK_BYTES * (i + 1)], "big"),
            self.source,
        )

    def link_numbers(self) -> list[int]:
        """Return the numbers of a branch's children as its record has them, by nibble; none of a bucket."""
        links = self.links or b""
        return [int.from_bytes(links[at : at + LINK_BYTES], "big") for at in range(0, len(links), LINK_BYTES)]

    def kid_digest(self, nibble: int) -> bytes | None:
        """Return a child's digest where it is known; nothing is fetched for it."""
        assert self.kids is not None
        kid = self.kids[nibble]
        if kid is not LATER:
            return None if kid is None else kid.digest
        assert self.form is not None
        at = SLOTS_AT + SLOT_BYTES * rank(int.from_bytes(self.form[1:3], "big"), nibble)
        return self.form[at + COUNT_BYTES : at + SLOT_BYTES]

    def evolve(
        self,
        count: int,
        kids: list[Node | None],
        labels: dict[int, bytes],
        value: bytes | None,
        touched: int | None,
    ) -> Node:
        """Return what this branch becomes by a change of some children, bit i for nibble i; None: of more than slots."""
        node = branch(count, kids, labels, value)
        node.form, node.links, node.source = self.form, self.links, self.source
        if touched is not None:
            unsealed, unsaved = self.unsealed, self.unsaved
            # Where it was to be sealed or saved as a whole, it still is.
            node.unsealed = None if unsealed is None else unsealed | touched
            node.unsaved = None if unsaved is None else unsaved | touched
            node.base, node.patched = self.base, self.patched
        return node

    # --- sealing ---

    def seal(self) -> None:
        """Compute the digest. Those of the children must be known."""
        kids, unsealed = self.kids, self.unsealed
        if kids is None:
            if self.form is None:
                self.form = self._head() + b"".join(map(cell_digest, self.entries().values()))
        elif unsealed is None:
            self._form_anew()
        elif unsealed:
            form = self.form
            assert form is not None
            end = 0
            parts: list[bytes] = []
            for i, at, _ in places(form[1] << 8 | form[2], unsealed):
                kid = kids[i]
                parts += (form[end:at], kid.count.to_bytes(COUNT_BYTES, "big"), kid.digest)  # type: ignore[union-attr, arg-type]
                end = at + SLOT_BYTES
            parts.append(form[end:])
            self.form = b"".join(parts)
        assert self.form is not None
        self.digest = sha256(self.form).digest()
        self.unsealed = 0

    def _form_anew(self) -> None:
        """Make a branch's form, and bring the links in line with it."""
        kids, labels, old, links = self.kids, self.labels, self.form, self.links
        assert kids is not None
        slots, numbers = [], []
        bits = 0
        for i, kid in enumerate(kids):
            if kid is None:
                continue
            if kid is LATER:
                assert old is not None and links is not None
                at = rank(int.from_bytes(old[1:3], "big"), i)
                slots.append(old[SLOTS_AT + SLOT_BYTES * at : SLOTS_AT + SLOT_BYTES * (at + 1)])
                numbers.append(links[LINK_BYTES * at : LINK_BYTES * (at + 1)])
            else:
                assert kid.digest is not None
                slots.append(kid.count.to_bytes(COUNT_BYTES, "big") + kid.digest)
                numbers.append(_NO_LINK)
            bits |= 1 << i
        head = [bytes((BRANCH if self.value is None else BRANCH_WITH_VALUE,)), bits.to_bytes(2, "big")]
        head.append(sum([1 << i for i in labels]).to_bytes(2, "big") if labels else b"\0\0")
        tail = [varint(len(labels[i])) + pack(labels[i]) for i in sorted(labels)] if labels else []
        if self.value is not None:
            tail.append(cell_digest(self.value))
        self.form = b"".join(head + slots + tail)
        self.links = b"".join(numbers)

    def check(self) -> None:
        """Check a loaded node's invariants, for tests."""
        if self.paths is not None:
            entries = self.entries()
            assert self.kids is None and self.value is None and not self.labels
            assert 1 <= self.count == len(entries) <= BUCKET_ENTRIES_MAX
            assert list(entries) == sorted(entries) and b"".join(entries) == self.paths
            assert {path for path, cell in entries.items() if type(cell) is Blob} == self.blobs.keys()
            remade = bucket(entries)
            assert (remade.cells, remade.ends, remade.lengths) == (self.cells, self.ends, self.lengths)
        else:
            assert self.kids is not None
            kids = {i: self.fetch(i) if kid is LATER else kid for i, kid in enumerate(self.kids) if kid is not None}
            assert len(self.kids) == NIBBLES and self.count > BUCKET_ENTRIES_MAX
            assert len(kids) + (self.value is not None) >= 2
            assert self.count == sum(kid.count for kid in kids.values()) + (self.value is not None)
            for i, label in self.labels.items():
                assert label and kids[i].count > BUCKET_ENTRIES_MAX
            remade = branch(self.count, list(self.kids), self.labels, self.value)
            if self.number is not None:
                assert self.links == b"".join([kids[i].number.to_bytes(LINK_BYTES, "big") for i in sorted(kids)])  # type: ignore[union-attr]
        if self.digest is not None:
            remade.seal()
            assert (remade.form, remade.digest) == (self.form, self.digest)


#: A place in a tree: the label above a node, and the node; (b"", None) where there is nothing.
Edge: TypeAlias = tuple[bytes, Node | None]

_NO_LABELS: Final[dict[int, bytes]] = {}
_NO_BLOBS: Final[dict[bytes, Blob]] = {}

#: Stands for a child that nobody asked for yet. It looks sealed and saved, and it has no content: `fetch` brings it.
LATER: Final = Node(0)
LATER.digest, LATER.number = b"", 0
_ALL_LATER: Final[list[Node | None]] = [LATER] * NIBBLES


def bucket(entries: dict[bytes, bytes]) -> Node:
    """Return a bucket of these cells by path."""
    node = Node(len(entries))
    order = sorted(entries)
    node.paths, node.lengths = b"".join(order), _lengths(order)
    end, ends, cells = 0, [], []
    for path in order:
        cell = entries[path]
        if type(cell) is Blob:
            if node.blobs is _NO_BLOBS:
                node.blobs = {}
            node.blobs[path] = cell
        else:
            cells.append(cell)
            end += len(cell)
        ends.append(end)
    node.cells = b"".join(cells)
    node.ends = ENDS[len(order)].pack(*ends)
    return node


def branch(count: int, kids: list[Node | None], labels: dict[int, bytes], value: bytes | None) -> Node:
    """Return a branch, which owns the list and the dict from now on.

    Raises:
        LimitExceeded: it would have more entries than a slot can tell.
    """
    if count > _COUNT_MAX:
        raise LimitExceeded(
            f"there would be {count} entries below one key, over the limit of {_COUNT_MAX}; "
            "mount a region fewer times, or give large regions to fewer children"
        )
    node = Node(count)
    node.kids = kids
    node.labels = labels or _NO_LABELS
    node.value = value
    return node


@lru_cache(maxsize=4096)
def _uniform(width: int, count: int) -> tuple[int, ...]:
    return (width,) * count


def _lengths(order: list[bytes]) -> tuple[int, ...]:
    # Most buckets have paths of one length, and most of those the same one: they share a tuple.
    lengths = tuple(map(len, order))
    return _uniform(lengths[0], len(lengths)) if lengths.count(lengths[0]) == len(lengths) else lengths


def _moved_ends(ends: bytes, first: int, by: int) -> bytes:
    """Return the ends with those from `first` on moved."""
    # All in one number: none of them becomes negative or too large, so nothing is carried from one to another.
    return (int.from_bytes(ends, "big") + by * _ONES[len(ends) // 2 - first]).to_bytes(len(ends), "big")


# --- reading forms ---


def read_form(form: bytes) -> Node:
    """Return a node from its hashed form alone: no other bytes give the same one.

    A branch's children are then `LATER`, and its links unknown; a value's digest stands for the value.

    Raises:
        CodecError: that is no node's form.
    """
    cursor = Cursor(form, "node")
    tag = cursor.byte()
    if tag == BUCKET:
        node = read_bucket_head(cursor)
        cursor.take(DIGEST_BYTES * node.count)
    else:
        node = read_branch(cursor, tag)
    cursor.end()
    node.form, node.digest = form, sha256(form).digest()
    return node


def read_bucket_head(cursor: Cursor) -> Node:
    """Return a bucket from what stands before the digests in its form, the tag left out; it has no cells yet."""
    count = cursor.varint(BUCKET_ENTRIES_MAX)
    if count == 0:
        raise cursor.refuse("a bucket is empty, just before")
    lengths = tuple(cursor.data[cursor.position : cursor.position + count])
    if len(lengths) == count and max(lengths) < 128:
        cursor.position += count
    else:
        lengths = tuple([cursor.varint(PATH_NIBBLES_MAX) for _ in range(count)])
    node = Node(count)
    if lengths.count(lengths[0]) == count:
        lengths = _uniform(lengths[0], count)
    node.paths, node.lengths = unpack(cursor, sum(lengths)), lengths
    order = node.path_list()
    if any(map(ge, order, order[1:])):
        raise cursor.refuse("the entries of a bucket are not ascending, just before")
    return node


def read_branch(cursor: Cursor, tag: int) -> Node:
    """Return a branch from its form, the tag left out; its own value, where it has one, is its digest."""
    if tag not in (BRANCH, BRANCH_WITH_VALUE):
        raise CodecError(f"node: {tag:#04x} begins no node")
    own = tag == BRANCH_WITH_VALUE
    bits = int.from_bytes(cursor.take(2), "big")
    labelled = int.from_bytes(cursor.take(2), "big")
    if labelled & ~bits:
        raise cursor.refuse("a label is that of no child, just before")
    size = bits.bit_count()
    halves = _COUNTS[size].unpack(cursor.take(SLOT_BYTES * size))
    counts = halves[1::2]
    if any(halves[::2]):
        counts = tuple([(high << 32) + low for high, low in zip(halves[::2], counts, strict=True)])
    if 0 in counts:
        raise cursor.refuse("a child has no entries, just before")
    labels: dict[int, bytes] = {}
    if labelled:
        for i in range(NIBBLES):
            if labelled >> i & 1:
                length = cursor.varint(PATH_NIBBLES_MAX)
                if length == 0:
                    raise cursor.refuse("a label is empty, just before")
                if counts[rank(bits, i)] <= BUCKET_ENTRIES_MAX:
                    raise cursor.refuse("a label stands above a bucket, just before")
                labels[i] = unpack(cursor, length)
    count = sum(counts) + own
    if count <= BUCKET_ENTRIES_MAX or size + own < 2:
        raise cursor.refuse("a branch has too little below it")
    if count > _COUNT_MAX:
        raise cursor.refuse("a branch has more below it than can be")
    kids = _ALL_LATER.copy() if size == NIBBLES else [LATER if bits >> i & 1 else None for i in range(NIBBLES)]
    return branch(count, kids, labels, cursor.take(DIGEST_BYTES) if own else None)


def root_form(label: bytes, node: Node | None) -> bytes:
    """Return the root form of a heap whose top node has its digest."""
    if node is None:
        return bytes((ROOT, 0))
    assert node.digest is not None
    return b"".join((bytes((ROOT,)), varint(node.count), varint(len(label)), pack(label), node.digest))
