"""The receiver: the items of a stream as the records of a new store, each checked before it is taken.

A node that came is *open* until all is there that it names; then its record is made, so that records come out children
before parents, under growing numbers. The open nodes are the way from the top to where the stream stands: few, as a rule;
but a stream may be made so that they are as many as it has items, and one item may then make all of them whole. So all but
the last of them are put aside into the store, what is whole goes there before it is too much, and what is in memory is
bounded by a chunk, whatever comes.

What an open node still wants is a row of slots as they stand in a branch's form: a count and a digest for each child;
for a long value a count of 0.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from actors.cells import DIGEST_BYTES, Blob
from actors.errors import CodecError, StoreDamaged
from actors.limits import INLINE_BYTES_MAX, VALUE_BYTES_MAX
from actors.nodes import (
    BRANCH,
    BRANCH_WITH_VALUE,
    BUCKET,
    COUNT_BYTES,
    LINK_BYTES,
    SLOT_BYTES,
    SLOTS_AT,
    read_branch,
)
from actors.records import NUMBER_MAX, number_of, read_bucket
from actors.values import decode, encode
from actors.wire import Cursor
from runtime.transfer.stream import SEEN, VALUE

if TYPE_CHECKING:
    from runtime.store.base import Store
    from runtime.transfer.stream import Chunk

#: Under what names a store remembers how far an import is: this one, and behind it the numbers of pieces put aside.
NAME: Final = "import"

_NO_COUNT: Final = bytes(COUNT_BYTES)
_LONG: Final = b"\0\0"
#: Open nodes are put aside in pieces of at least so many bytes, until at most twice as many are left.
_ASIDE_BYTES: Final = 65_536
#: Records of so many bytes, each counted as somewhat larger than it is, are enough for a commit.
_COMMIT_BYTES: Final = 1 << 20
_RECORD_BYTES: Final = 128
#: Of so many that were named again it is known what they are: a large one is not to be read for every three bytes.
_KNOWN_MAX: Final = 4_096


class _Open:
    """A node that came, and of which something is still to come."""

    __slots__ = ("head", "numbers", "own", "wanted")

    def __init__(self, head: bytes, wanted: bytes, own: bytes, numbers: bytes = b"") -> None:
        #: Its record as far as it is known: a branch's form; of a bucket all before the long values.
        self.head = head
        #: A slot for each thing that it names, in the order in which they come.
        self.wanted = wanted
        #: What stands at the end of a branch's record: the own value, but for what is long in it.
        self.own = own
        #: The numbers of those that have come.
        self.numbers = numbers

    def size(self) -> int:
        return len(self.head) + len(self.wanted) + len(self.own) + len(self.numbers)

    def next(self) -> tuple[int, bytes]:
        """Return the count and the digest of what comes next."""
        at = len(self.numbers) // LINK_BYTES * SLOT_BYTES
        digest = self.wanted[at + COUNT_BYTES : at + SLOT_BYTES]
        return int.from_bytes(self.wanted[at : at + COUNT_BYTES], "big"), digest

    def whole(self) -> bool:
        return len(self.numbers) * SLOT_BYTES == len(self.wanted) * LINK_BYTES

    def record(self) -> bytes:
        links = self.numbers
        if self.head[0] == BUCKET:
            parts = [self.head]
            for at in range(len(links) // LINK_BYTES):
                parts.append(links[LINK_BYTES * at : LINK_BYTES * (at + 1)])
                parts.append(self.wanted[SLOT_BYTES * at + COUNT_BYTES : SLOT_BYTES * (at + 1)])
            return b"".join(parts)
        if self.own != _LONG:
            return b"".join((self.head, links, self.own))
        # The own value came first.
        return b"".join((self.head, links[LINK_BYTES:], _LONG, links[:LINK_BYTES], self.wanted[COUNT_BYTES:SLOT_BYTES]))


class Receiver:
    """Takes items. It is a source of the nodes that came, those too that are not in the store yet.

    Args:
        store: the store in which the records are to stand; nobody else writes into it.
        count: how many entries the state has.
        digest: the digest of its top node; b"" where it has none.
    """

    def __init__(self, store: Store, count: int, digest: bytes) -> None:
        self.place = store.place
        self._store = store
        self._wanted = (count, digest)
        self._open: list[_Open] = []
        #: In how many pieces open nodes are put aside, and in how many they ever were.
        self._aside = 0
        self._aside_most = 0
        self._free = store.next_number()
        self._new: dict[int, bytes] = {}
        self._new_bytes = 0
        self._known: dict[int, tuple[int, bytes]] = {}
        #: The number of what is whole and was not handed to the open node that wants it; 0: there is none.
        self._whole = 0
        #: The top node's number, once the whole state is there; 0 from the beginning on where that is empty.
        self.top: int | None = None if count else 0
        self.items = 0
        self.entries = 0

    # --- items ---

    def take(self, chunk: Chunk) -> None:
        """Take the next item of a chunk. `settle` must be called behind it.

        Raises:
            StreamRefused: it is not the one that has to come.
        """
        assert not self._whole
        if self.top is not None:
            raise chunk.refuse("the state is whole, and there is more of it")
        count, digest = self._open[-1].next() if self._open else self._wanted
        begin = chunk.position
        tag = chunk.byte()
        self.items += 1
        if tag == SEEN:
            self._seen(chunk, count, digest)
        elif (tag == VALUE) != (count == 0) or tag not in (VALUE, BUCKET, BRANCH, BRANCH_WITH_VALUE):
            raise chunk.refuse(f"{tag:#04x} begins no item that may stand here, just before")
        elif tag == VALUE:
            data = chunk.take(chunk.varint(VALUE_BYTES_MAX))
            if len(data) <= INLINE_BYTES_MAX:
                raise chunk.refuse("a short value stands outside its node, just before")
            if sha256(data).digest() != digest:
                raise chunk.refuse("a value does not have the digest that its node holds, just before")
            self._whole = self._add(data, odd=True)
        elif tag == BUCKET:
            found, got, head, long = _read_bucket(chunk, begin, 0)
            _check(chunk, count, digest, found, got)
            self.entries += count
            if long:
                self._open.append(_Open(head, b"".join([_NO_COUNT + one for one in long]), b""))
            else:
                self._whole = self._add(head, odd=True)
        else:
            self._branch(chunk, tag, begin, count, digest)

    def _branch(self, chunk: Chunk, tag: int, begin: int, count: int, digest: bytes) -> None:
        node = read_branch(chunk, tag)
        form = chunk.data[begin : chunk.position]
        _check(chunk, count, digest, node.count, sha256(form).digest())
        own, wanted = b"", form[SLOTS_AT : SLOTS_AT + SLOT_BYTES * int.from_bytes(form[1:3], "big").bit_count()]
        if node.value is not None:
            self.entries += 1
            own = chunk.take(2)
            size = int.from_bytes(own, "big")
            if size > INLINE_BYTES_MAX:
                raise chunk.refuse("a long value stands inside its node, just before")
            if size == 0:
                wanted = _NO_COUNT + node.value + wanted
            else:
                cell = chunk.take(size)
                if sha256(cell).digest() != node.value:
                    raise chunk.refuse("a value does not have the digest that its node holds, just before")
                own += cell
        self._open.append(_Open(form, wanted, own))

    def _seen(self, chunk: Chunk, count: int, digest: bytes) -> None:
        number = chunk.varint(NUMBER_MAX)
        if self._known.get(number) != (count, digest):
            record = self._new.get(number)
            if record is None and number < self._free and self._store.numbers(number, 1) == [number]:
                record = self._store.read_node(number)
            if record is None:
                raise chunk.refuse(f"nothing has come under number {number}, just before")
            if not (_is_node(record, number, count, digest) if count else _is_value(record, number, digest)):
                raise chunk.refuse(f"what came under number {number} is not what has to stand here, just before")
            if len(self._known) == _KNOWN_MAX:
                self._known.clear()
            self._known[number] = (count, digest)
        self.entries += count
        self._whole = number

    def _add(self, record: bytes, *, odd: bool) -> int:
        number = number_of(self._free, leaf=odd)
        self._free = number + 1
        self._new[number] = record
        self._new_bytes += len(record) + _RECORD_BYTES
        return number

    def settle(self) -> bool:
        """Hand what is whole to the open node that wants it, and so on while that makes one whole.

        Returns:
            Whether that is done. If not, commit what is new, and call it again.
        """
        while self._whole:
            if not self._open:
                self.top, self._whole = self._whole, 0
                break
            if self._new_bytes >= _COMMIT_BYTES:
                return False
            node = self._open[-1]
            node.numbers += self._whole.to_bytes(LINK_BYTES, "big")
            self._whole = 0
            if node.whole():
                self._open.pop()
                self._whole = self._add(node.record(), odd=False)
                if not self._open and self._aside:
                    self._fetch()
        return True

    # --- records ---

    def read_node(self, number: int) -> bytes:
        """Return the record of a node that came."""
        record = self._new.get(number)
        return self._store.read_node(number) if record is None else record

    def records(self) -> list[tuple[int, bytes]]:
        """Return the records that are not in the store yet."""
        return list(self._new.items())

    def committed(self) -> None:
        """Note that they are."""
        self._new = {}
        self._new_bytes = 0

    # --- where it stands ---

    def save(self) -> tuple[bytes, dict[str, bytes]]:
        """Return where it stands, and what else is to be remembered: both with the records that are new."""
        meta: dict[str, bytes] = {}
        sizes = [node.size() for node in self._open]
        left, begin, end, held = sum(sizes), 0, 0, 0
        while left > 2 * _ASIDE_BYTES and end < len(sizes) - 1:
            held += sizes[end]
            end += 1
            if held >= _ASIDE_BYTES:
                meta[_name(self._aside)] = _pack(self._open[begin:end])
                self._aside += 1
                left, begin, held = left - held, end, 0
        del self._open[:begin]
        self._aside_most = max(self._aside_most, self._aside)
        numbers = (self.items, self.entries, self._whole, self._aside, self._aside_most)
        return encode((*numbers, _pack(self._open))), meta

    def restore(self, saved: bytes) -> None:
        """Stand where another one stood.

        Raises:
            CodecError: that is not what `save` gave.
        """
        try:
            self.items, self.entries, self._whole, self._aside, self._aside_most, nodes = decode(saved)
        except (ValueError, TypeError) as error:
            raise CodecError(f"how far an import is: {error}") from error
        self._open = _unpack(nodes)

    def names(self) -> list[str]:
        """Return the names of all that was to be remembered until everything is there."""
        return [NAME, *map(_name, range(self._aside_most))]

    def _fetch(self) -> None:
        self._aside -= 1
        try:
            self._open = _unpack(self._store.meta(_name(self._aside)) or b"")
        except CodecError as error:
            raise StoreDamaged(f"{self.place} is damaged: how far an import is: {error}") from error


def _name(piece: int) -> str:
    return f"{NAME} {piece}"


def _pack(nodes: list[_Open]) -> bytes:
    data = encode(tuple([(node.head, node.wanted, node.own, node.numbers) for node in nodes]))
    return sha256(data).digest() + data


def _unpack(data: bytes) -> list[_Open]:
    if sha256(data[DIGEST_BYTES:]).digest() != data[:DIGEST_BYTES]:
        raise CodecError("the open nodes do not have their digest")
    nodes: Any = decode(data[DIGEST_BYTES:])
    return [_Open(*node) for node in nodes]


def _check(chunk: Chunk, count: int, digest: bytes, found: int, got: bytes) -> None:
    if got != digest:
        raise chunk.refuse("a node does not have the digest that stands above it, just before")
    if found != count:
        raise chunk.refuse(f"a node has {found} entries where {count} stands above it, just before")


def _read_bucket(cursor: Cursor, begin: int, link_bytes: int) -> tuple[int, bytes, bytes, list[bytes]]:
    """Read a bucket behind its tag.

    Returns:
        How many entries it has; its digest; what stands before its long values; their digests.
    """

    def blob() -> Blob:
        cursor.take(link_bytes)
        return Blob.stored(cursor.take(DIGEST_BYTES), None, None)

    node = read_bucket(cursor, blob)
    assert node.digest is not None
    long = [one[:DIGEST_BYTES] for one in node.blobs.values()]
    head = cursor.data[begin : cursor.position - len(long) * (link_bytes + DIGEST_BYTES)]
    return node.count, node.digest, head, long


def _is_value(record: bytes, number: int, digest: bytes) -> bool:
    """Tell whether a record that came is that of a long value."""
    # What is under an odd number names nothing, so that a bucket may well pass for a value of the same bytes.
    return number & 1 == 1 and len(record) > INLINE_BYTES_MAX and sha256(record).digest() == digest


def _is_node(record: bytes, number: int, count: int, digest: bytes) -> bool:
    """Tell whether a record that came is that of a node."""
    cursor = Cursor(record, "record")
    try:
        tag = cursor.byte()
        if tag != BUCKET:
            # The digest is of the form alone. Behind it stand numbers, which are right in a node's record; but under an odd
            # number stands what came as a value, whose bytes may be any.
            node = read_branch(cursor, tag)
            return number & 1 == 0 and node.count == count and sha256(record[: cursor.position]).digest() == digest
        found, got, _, long = _read_bucket(cursor, 0, LINK_BYTES)
        cursor.end()
    except CodecError:
        return False
    return (found, got) == (count, digest) and (number & 1 == 0) == bool(long)
