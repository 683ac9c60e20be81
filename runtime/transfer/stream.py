r"""The stream of an export: its bytes, its chunks, and what is said of one that is refused.

`n` is a LEB128 number in its shortest form (actors.wire), `u…` is big-endian, a digest is a SHA-256:

    stream   title        "\x89Lockstep export" 01: what it is, and the version of all this
             chunk …      the header, items …, the last items; nothing behind them
    chunk    u8           what it is: 1 the header, 2 items, 3 the last items
             u32          its number, from 0 on
             u32 body     its length, and what is in it
             digest       of the digest of the chunk before (for chunk 0: that of the title) and of all this
    header   n bytes …    the node format, as one byte
                          the state root of the genesis
                          the block's header (runtime.chain), its encoded inputs, its encoded data
                          the root form of its state (actors.nodes)
    items    item …       until there are CHUNK_BYTES; an item is in one chunk as a whole
    last     n item …     how many items there were in all, and those that are left: fewer than CHUNK_BYTES
    item     bucket       its form (actors.nodes) up to the digests
                          u16 … bytes digest …: where each inline value ends; these, joined; of each value that is longer
             branch       its form; and where it has an own value, that: u16 its size, and itself, or 0000 if it is longer
             04 n bytes   a longer value, encoded
             05 n         what was here before under that number

Items come in the order in which a walk from the top meets them: a node; behind it the longer values that it names; then
its children, each with all that is below. So what an item has to be is known before it comes: its digest stands in one
that came before, and the first one's in the header. Nothing that does not belong there is ever taken.

An item has its number once all is there that it names: values and buckets without longer values the next odd one, the
rest the next even one, from 1 on. These are the numbers of the records in the store that is made of it (actors.records).
What is equal is sent once, and named by its number from then on: states are full of forks and snapshots.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

from actors.cells import DIGEST_BYTES
from actors.errors import CodecError, InputError
from actors.limits import BUCKET_ENTRIES_MAX, NODE_BYTES_MAX, VALUE_BYTES_MAX
from actors.nodes import COUNT_BYTES, FORMAT, PATH_NIBBLES_MAX, ROOT, Node, root_form, to_path
from actors.tree import EMPTY, Tree
from actors.wire import Cursor, varint
from runtime.chain import Block

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.cells import NodeSource

VERSION: Final = 1
TITLE: Final = b"\x89Lockstep export"
HEADER: Final = 1
ITEMS: Final = 2
LAST: Final = 3
#: The tags of items, beside those of the nodes' forms.
VALUE: Final = 4
SEEN: Final = 5

#: A chunk is full once its items take so many bytes. Part of the format.
CHUNK_BYTES = 1 << 20
#: The largest item: a node's record has all that is in it.
ITEM_BYTES_MAX: Final = NODE_BYTES_MAX
#: The largest header: inputs and data are in one record (runtime.chain), the label of the top node is much shorter.
HEADER_BYTES_MAX: Final = 2 * VALUE_BYTES_MAX

_HEAD_BYTES: Final = 9
_NUMBER_MAX: Final = 2**32 - 1
_ITEMS_MAX: Final = 2**48
_BLOCK_NUMBER_MAX: Final = 2**62
_READ_BYTES: Final = 1 << 20


class Transferred(NamedTuple):
    """What an export or an import brought over.

    Attributes:
        block: the block.
        entries: how many entries its state has.
        chunks: of how many chunks the stream is.
        size: of how many bytes.
    """

    block: Block
    entries: int
    chunks: int
    size: int


class StreamRefused(CodecError):
    """A stream that is damaged, cut off, forged, of another version or of another block than was asked for.

    Args:
        place: the file, for people.
        chunk: the number of the chunk in which it went wrong.
        offset: the byte, counted from the stream's beginning.
        why: what is wrong.
        mend: what to do.
        cut_off: whether it just ends too early.
    """

    code = "stream-refused"

    def __init__(self, place: str, chunk: int, offset: int, why: str, mend: str = "", cut_off: bool = False) -> None:
        super().__init__(place, chunk, offset, why, mend, cut_off)
        self.place = place
        self.chunk = chunk
        self.offset = offset
        self.why = why
        self.mend = mend or "copy it again, or export the block again"
        self.cut_off = cut_off

    def __str__(self) -> str:
        return f"{self.place} is refused: chunk {self.chunk}, byte {self.offset}: {self.why}; {self.mend}"


# --- chunks --------------------------------------------------------------------------------------------------------


class ChunkWriter:
    """Writes a stream.

    Args:
        write: takes its bytes.
    """

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._chain = _begin()
        self._items: list[bytes] = []
        self._filled = 0
        self.items = 0
        self.chunks = 0
        self.size = len(TITLE) + 1
        write(_title())

    def header(self, body: bytes) -> None:
        """Write the first chunk."""
        self._chunk(HEADER, [body])

    def item(self, item: bytes) -> bool:
        """Add an item. Tells whether that filled a chunk, which was written."""
        self._items.append(item)
        self._filled += len(item)
        self.items += 1
        if self._filled < CHUNK_BYTES:
            return False
        self._chunk(ITEMS, self._items)
        self._items = []
        self._filled = 0
        return True

    def end(self) -> None:
        """Write the last chunk."""
        self._chunk(LAST, [varint(self.items), *self._items])

    def _chunk(self, kind: int, parts: list[bytes]) -> None:
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        head = _head(kind, self.chunks, len(body))
        self._chain = _chained(self._chain, head, body)
        for piece in (head, body, self._chain):
            self._write(piece)
        self.chunks += 1
        self.size += _HEAD_BYTES + len(body) + DIGEST_BYTES


class Chunk(Cursor):
    """A chunk that was read, and a cursor in what is in it; what it refuses, it refuses with the place in the stream."""

    __slots__ = ("kind", "number", "offset", "place")

    def __init__(self, place: str, kind: int, number: int, offset: int, body: bytes) -> None:
        super().__init__(body, "stream")
        self.place = place
        self.kind = kind
        self.number = number
        #: Where in the stream the body begins.
        self.offset = offset

    def refuse(self, why: str) -> StreamRefused:
        """Return the error for bytes that are refused here."""
        return StreamRefused(self.place, self.number, self.offset + self.position, why)


class ChunkReader:
    """Reads a stream, chunk by chunk; each has its digest before anything in it is looked at.

    Args:
        file: the stream, at its beginning.
        place: what it is, for people.

    Raises:
        StreamRefused: that is no stream of this version.
    """

    def __init__(self, file: BinaryIO, place: str) -> None:
        self._file = file
        self.place = place
        self.chain = _begin()
        #: How many chunks were read, and how many bytes with them.
        self.chunks = 0
        self.size = 0
        self._read_title()

    def _read_title(self) -> None:
        title = self._some(len(TITLE) + 1)
        if not TITLE.startswith(title[: len(TITLE)]):
            raise self.refuse("that is no export of a state", 0, "name a file that `lockstep export` made")
        if len(title) <= len(TITLE):
            raise self._cut_off(len(title))
        if title[-1] != VERSION:
            told = f"it is of version {title[-1]}, and this Lockstep reads version {VERSION}"
            raise self.refuse(told, len(TITLE), "import it with the Lockstep that made it, or export the block again")
        self.size = len(title)

    def refuse(self, why: str, offset: int, mend: str = "") -> StreamRefused:
        """Return the error for the chunk that is being read."""
        return StreamRefused(self.place, self.chunks, offset, why, mend)

    def _cut_off(self, offset: int, of: str = "") -> StreamRefused:
        told = f"it ends here, before this chunk{of} does"
        mend = "fetch the rest of it, or export the block again"
        return StreamRefused(self.place, self.chunks, offset, told, mend, cut_off=True)

    def _some(self, size: int) -> bytes:
        """Return the next bytes: so many, or all that there are."""
        parts, left = [], size
        while left:
            try:
                part = self._file.read(min(left, _READ_BYTES))
            except OSError as error:
                raise InputError(
                    f"{self.place} cannot be read: {error.strerror or error}; see to that, then go on"
                ) from error
            if not part:
                break
            parts.append(part)
            left -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _take(self, size: int, begin: int, of: str = "") -> bytes:
        data = self._some(size)
        if len(data) < size:
            raise self._cut_off(begin + len(data), of)
        return data

    def next(self) -> Chunk:
        """Return the next chunk.

        Raises:
            StreamRefused: there is none, or it is not the one that comes next.
        """
        begin = self.size
        head = self._take(_HEAD_BYTES, begin)
        kind, number, length = head[0], int.from_bytes(head[1:5], "big"), int.from_bytes(head[5:], "big")
        limit = HEADER_BYTES_MAX if self.chunks == 0 else CHUNK_BYTES + ITEM_BYTES_MAX
        if kind != HEADER if self.chunks == 0 else kind not in (ITEMS, LAST):
            raise self.refuse(f"{kind:#04x} begins no chunk that may stand here", begin)
        if number != self.chunks:
            raise self.refuse(f"here stands chunk {number}", begin + 1)
        if length > limit:
            raise self.refuse(f"{length} bytes are announced, over the limit of {limit}", begin + 5)
        body = self._take(length, begin + _HEAD_BYTES, f", of {length} bytes by what it says,")
        digest = self._take(DIGEST_BYTES, begin + _HEAD_BYTES + length)
        if _chained(self.chain, head, body) != digest:
            raise self.refuse("it was damaged, or does not belong behind the one before: its digest is another", begin)
        self.chain = digest
        self.chunks += 1
        self.size = begin + _HEAD_BYTES + length + DIGEST_BYTES
        return Chunk(self.place, kind, number, begin + _HEAD_BYTES, body)

    def end(self) -> None:
        """Check that nothing is left."""
        if self._some(1):
            raise StreamRefused(self.place, self.chunks, self.size, "there are bytes behind the last chunk")


def _title() -> bytes:
    return TITLE + bytes((VERSION,))


def _begin() -> bytes:
    return sha256(_title()).digest()


def _chained(before: bytes, head: bytes, body: bytes) -> bytes:
    chain = sha256(before)
    chain.update(head)
    chain.update(body)
    return chain.digest()


def _head(kind: int, number: int, length: int) -> bytes:
    if number > _NUMBER_MAX:
        raise InputError(f"the state takes more than {_NUMBER_MAX} chunks, which no stream can have")
    return bytes((kind,)) + number.to_bytes(4, "big") + length.to_bytes(4, "big")


# --- the header ----------------------------------------------------------------------------------------------------


class Header(NamedTuple):
    """What a stream's header says.

    Attributes:
        block: the block.
        genesis: the state root of the genesis.
        label: that of the top node of the state.
        entries: how many there are in the state.
        digest: the top node's; b"" where there is none.
    """

    block: Block
    genesis: bytes
    label: bytes
    entries: int
    digest: bytes

    def state(self, number: int, source: NodeSource) -> Tree:
        """Return the state, its top node under a number."""
        return Tree(self.label, Node.stub(self.entries, self.digest, number, source)) if self.entries else EMPTY


def write_header(block: Block, genesis: bytes, state: Tree) -> bytes:
    """Return a header."""
    root = root_form(state.label, state.node)
    parts = (bytes((FORMAT,)), genesis, block.header, block.inputs_form, block.data_form, root)
    return b"".join([piece for part in parts for piece in (varint(len(part)), part)])


def read_header(chunk: Chunk) -> Header:
    """Return what the first chunk says.

    Raises:
        StreamRefused: that is no header, or the block in it is not whole.
    """
    form = _part(chunk)
    if form != bytes((FORMAT,)):
        told = f"its nodes are of format {form.hex()}, and this Lockstep reads format {FORMAT:02x}"
        mend = "import it with the Lockstep that made it, or export the block again"
        raise StreamRefused(chunk.place, 0, chunk.offset, told, mend)
    genesis, header, inputs, data, root = [_part(chunk) for _ in range(5)]
    chunk.end()
    try:
        block = Block.of(header, inputs, data)
    except (ValueError, TypeError) as error:
        raise chunk.refuse(f"the block's header is none: {error}") from None
    _check_fields(block, genesis, chunk)
    if sha256(root).digest() != block.state_root:
        raise chunk.refuse("the block's state root is not that of its state")
    return Header(block, genesis, *_read_root(Cursor(root, "root"), chunk))


def _part(chunk: Chunk) -> bytes:
    return chunk.take(chunk.varint(HEADER_BYTES_MAX))


def _check_fields(block: Block, genesis: bytes, chunk: Chunk) -> None:
    if type(block.number) is not int or not 0 <= block.number <= _BLOCK_NUMBER_MAX:
        raise chunk.refuse(f"{block.number!r} is no block's number")
    if type(block.gas_used) is not int or block.gas_used < 0:
        raise chunk.refuse("the gas used is no number")
    digests = [block.state_root, block.code, genesis] + ([block.parent] if block.number else [])
    if not all(type(digest) is bytes and len(digest) == DIGEST_BYTES for digest in digests):
        raise chunk.refuse("a digest is none")
    if block.number == 0 and (block.parent != b"" or genesis != block.state_root):
        raise chunk.refuse("it is of block 0, and that is not its genesis")


def _read_root(cursor: Cursor, chunk: Chunk) -> tuple[bytes, int, bytes]:
    """Return the label, the count and the digest that a root form says."""
    try:
        if cursor.byte() != ROOT:
            raise cursor.refuse("that is no root")
        count = cursor.varint(2 ** (8 * COUNT_BYTES) - 1)
        if count == 0:
            cursor.end()
            return b"", 0, b""
        length = cursor.varint(PATH_NIBBLES_MAX)
        path = to_path(cursor.take((length + 1) // 2))
        digest = cursor.take(DIGEST_BYTES)
        cursor.end()
        if any(path[length:]) or (length and count <= BUCKET_ENTRIES_MAX):
            raise cursor.refuse("the label is none")
    except CodecError as error:
        raise chunk.refuse(f"the root form of the state is none: {error}") from None
    return path[:length], count, digest
