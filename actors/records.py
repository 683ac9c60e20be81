"""Records: what a store keeps of a node, and how a node comes back from it.

A record stands under a number. Numbers follow from history, so nothing that is hashed has them; they grow, so that what
was written together lies together. A number is odd where its record refers to no other one: whoever looks for what is
still in use need not read those.

    bucket   its form (see `actors.nodes`) up to the digests, which follow from the values
             u16 …        where each inline value ends; a blob takes no bytes
             bytes        the inline values, joined
             u48 digest … each blob: the number of its record, and its digest
    branch   its form
             u48 …        the number of each child's record
             value        the own value, where there is one
    patch    81           a branch, or 82: a bucket, that differs from a stored one in a few children or values alone
             u48          the number of that one's record, which is no patch itself
             u32          in which ones: bit i for the child at nibble i, or for the entry i
             81: slot u48 … each such child: its slot in the form, and its number
             82: value …  each such value; none is a blob, nor any that stays: a bucket with one is no patch
    value    u16 bytes    its size, 1 … INLINE_BYTES_MAX, and itself
             0000 u48 digest    a blob
    blob     the encoded value

A block that changes a few entries of many changes a few slots in each node on the way to them. Patches keep what it
writes in proportion to that; one record more is read for one, however many blocks there were: what differs stands in one.
"""

from __future__ import annotations

from hashlib import sha256
from itertools import accumulate
from operator import sub
from typing import TYPE_CHECKING, Final

from actors.cells import DIGEST_BYTES, Blob, ManySource, NodeSource, cell_digest, damaged, read, read_many
from actors.errors import CodecError
from actors.limits import INLINE_BYTES_MAX, NODE_BYTES_MAX
from actors.nodes import (
    BRANCH,
    BRANCH_WITH_VALUE,
    BUCKET,
    ENDS,
    LATER,
    LINK_BYTES,
    NIBBLES,
    SLOT_BYTES,
    Node,
    cut_up,
    places,
    read_branch,
    read_bucket_head,
    span,
)
from actors.wire import Cursor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_BRANCH_PATCH: Final = 0x81
_BUCKET_PATCH: Final = 0x82
_PATCH_TAGS: Final = (bytes((_BRANCH_PATCH,)), bytes((_BUCKET_PATCH,)))
_MASK_BYTES: Final = 4
#: How records begin that are no patches.
_WHOLE_TAGS: Final = tuple([bytes((tag,)) for tag in (BUCKET, BRANCH, BRANCH_WITH_VALUE)])
_NONE: Final[dict[int, bytes]] = {}
#: The largest number of a record.
NUMBER_MAX: Final = 2 ** (8 * LINK_BYTES) - 1
#: A patch is of at most one child or entry in so many.
_PATCH_SHARE: Final = 3


# --- writing ---


def is_leaf(node: Node) -> bool:
    """Tell whether the record of a node that has none yet will refer to no other."""
    return node.kids is None and not node.blobs and not _is_patch_of_bucket(node)


def _is_patch_of_bucket(node: Node) -> bool:
    return node.base > 0 and _PATCH_SHARE * node.patched.bit_count() <= node.count and not node.blobs


def number_of(free: int, *, leaf: bool) -> int:
    """Return the first number from `free` on for a record that refers to no other (`leaf`), or for one that does."""
    return free | 1 if leaf else free + (free & 1)


def record(node: Node, number: int, source: NodeSource) -> bytes:
    """Return the record of a sealed node that is to stand under `number`. Its children and blobs must have numbers."""
    node.number, node.source = number, source
    return _bucket_record(node, number) if node.kids is None else _branch_record(node, number)


def _patch_head(tag: int, node: Node) -> bytes:
    return bytes((tag,)) + node.base.to_bytes(LINK_BYTES, "big") + node.patched.to_bytes(_MASK_BYTES, "big")


def _link(number: int | None) -> bytes:
    assert number is not None
    return number.to_bytes(LINK_BYTES, "big")


def _own_number(blob: Blob) -> int | None:
    return blob.number


def whole_record(node: Node, links: bytes, number_of: Callable[[Blob], int | None] = _own_number) -> bytes:
    """Return the record of a sealed node that is no patch.

    Args:
        node: the node.
        links: the numbers of a branch's children.
        number_of: gives the number of a blob.
    """

    def link(blob: Blob) -> bytes:
        return _link(number_of(blob)) + blob[:DIGEST_BYTES]

    form = node.form
    assert form is not None
    if node.kids is None:
        parts = [form[: -DIGEST_BYTES * node.count], node.ends, node.cells]
        return b"".join(parts + [link(node.blobs[path]) for path in sorted(node.blobs)])
    cell = node.value
    if cell is None:
        return form + links
    return form + links + (b"\0\0" + link(cell) if type(cell) is Blob else len(cell).to_bytes(2, "big") + cell)


def _bucket_record(node: Node, number: int) -> bytes:
    if _is_patch_of_bucket(node):
        parts = [_patch_head(_BUCKET_PATCH, node)]
        patched = node.patched
        while patched:
            begin, end = span(node.ends, (patched & -patched).bit_length() - 1)
            parts += ((end - begin).to_bytes(2, "big"), node.cells[begin:end])
            patched &= patched - 1
        return b"".join(parts)
    node.base, node.patched = number, 0
    return whole_record(node, b"")


def _branch_record(node: Node, number: int) -> bytes:
    form, kids, links, unsaved = node.form, node.kids, node.links, node.unsaved
    assert form is not None and kids is not None and links is not None
    bits = int.from_bytes(form[1:3], "big")
    if unsaved is None:
        unsaved = sum([1 << i for i, kid in enumerate(kids) if kid is not None and kid is not LATER])
    end = 0
    numbers: list[bytes] = []
    for i, _, at in places(bits, unsaved):
        numbers += (links[end:at], kids[i].number.to_bytes(LINK_BYTES, "big"))  # type: ignore[union-attr]
        end = at + LINK_BYTES
    numbers.append(links[end:])
    patched = node.patched | unsaved
    node.links = links = b"".join(numbers)
    node.unsaved = 0
    if node.base and _PATCH_SHARE * patched.bit_count() <= bits.bit_count():
        node.patched = patched
        parts = [_patch_head(_BRANCH_PATCH, node)]
        for _, slot, link in places(bits, patched):
            parts += (form[slot : slot + SLOT_BYTES], links[link : link + LINK_BYTES])
        return b"".join(parts)
    node.base, node.patched = number, 0
    return whole_record(node, links)


# --- reading ---


def load(node: Node, ahead: Mapping[int, bytes] = _NONE) -> Node:
    """Bring in the content of a node if it is a stub, and return it.

    Args:
        node: the node.
        ahead: records by number that were read ahead.

    Raises:
        StoreDamaged: it is not there, or not what the parent's digest says.
    """
    if node.kids is None and node.paths is None:
        source, number = node.source, node.number
        assert source is not None and number is not None
        data = ahead.get(number) or read(source, number)
        try:
            _take(node, _decode(data, number, source, ahead))
        except CodecError as error:
            raise damaged(source, number, str(error)) from error
    return node


def _take(node: Node, content: Node) -> None:
    if content.digest != node.digest:
        raise CodecError("node: its bytes do not have the digest that its parent holds")
    if content.count != node.count:
        raise CodecError(f"node: it has {content.count} entries where its parent says {node.count}")
    node.form, node.base, node.patched = content.form, content.base, content.patched
    if content.kids is None:
        node.lengths, node.cells, node.ends = content.lengths, content.cells, content.ends
        node.blobs = content.blobs
    else:
        node.labels, node.value, node.links = content.labels, content.value, content.links
        node.unsealed = node.unsaved = 0
    # Last, because they are what tells a loaded node from a stub.
    node.paths, node.kids = content.paths, content.kids


def read_ahead(stubs: list[Node]) -> Mapping[int, bytes]:
    """Return the records of stubs that are to be loaded next, and those that they are patches of, in two reads at most.

    One that is not there is left for `load` to miss. So are all where the first one's source gives one by one.
    """
    source = stubs[0].source
    if not isinstance(source, ManySource):
        return _NONE
    found = read_many(source, [stub.number for stub in stubs if stub.number is not None and stub.source is source])
    bases = [int.from_bytes(data[1 : 1 + LINK_BYTES], "big") for data in found.values() if data[:1] in _PATCH_TAGS]
    return {**found, **read_many(source, bases)} if bases else found


def _decode(data: bytes, number: int, source: NodeSource, ahead: Mapping[int, bytes] = _NONE) -> Node:
    """Return the node of a record, with its form and digest.

    Raises:
        CodecError: that is no record.
    """
    if len(data) > NODE_BYTES_MAX:
        raise CodecError(f"node: {len(data)} bytes are over the limit of {NODE_BYTES_MAX}")
    tag = data[0] if data else -1
    if tag not in (_BRANCH_PATCH, _BUCKET_PATCH):
        node = decode_whole(data, source)
        node.base = number
        return node
    patch = Cursor(data, "node", 1)
    base = int.from_bytes(patch.take(LINK_BYTES), "big")
    patched = int.from_bytes(patch.take(_MASK_BYTES), "big")
    if base >= number:
        raise patch.refuse(f"it is a patch of node {base}, which comes behind it,")
    data = ahead.get(base) or read(source, base)
    if data[:1] in _WHOLE_TAGS and (data[0] == BUCKET) != (tag == _BUCKET_PATCH):
        raise patch.refuse(f"it is a patch of node {base}, which is of another kind,")
    # What differs goes in before anything is checked or hashed, so that both are done once, on what comes of it.
    if tag == _BUCKET_PATCH:
        values = {i: _read_value(patch, source) for i in range(patched.bit_length()) if patched >> i & 1}
        node = decode_whole(data, source, values)
    elif data[:1] in _WHOLE_TAGS:
        node = _decode_patched_branch(data, patched, patch, source)
    else:
        node = decode_whole(data, source)
    patch.end()
    node.base, node.patched = base, patched
    return node


def decode_whole(data: bytes, source: NodeSource, values: dict[int, bytes] | None = None) -> Node:
    """Return the node of a record which is no patch.

    Args:
        data: the record.
        source: where it comes from.
        values: the cells that a patch puts in, by entry.
    """
    cursor = Cursor(data, "node")
    tag = cursor.byte()
    if tag == BUCKET:
        node = read_bucket(cursor, lambda: _read_blob(cursor, source), values)
    else:
        node = read_branch(cursor, tag)
        node.form = data[: cursor.position]
        node.links = cursor.take(LINK_BYTES * (NIBBLES - node.kids.count(None)))  # type: ignore[union-attr]
        if node.value is not None:
            cell = _read_value(cursor, source)
            if cell_digest(cell) != node.value:
                raise cursor.refuse("the own value does not have its digest, just before")
            node.value = cell
        node.digest = sha256(node.form).digest()
    cursor.end()
    return node


def _decode_patched_branch(data: bytes, patched: int, patch: Cursor, source: NodeSource) -> Node:
    """Return the node of a branch's record with the slots and numbers of a patch in the place of its own."""
    bits = int.from_bytes(data[1:3], "big")
    if patched & ~bits:
        raise patch.refuse("a patch is of no child, just before")
    spliced = bytearray(data)
    numbers = []
    for _, slot, link in places(bits, patched):
        spliced[slot : slot + SLOT_BYTES] = patch.take(SLOT_BYTES)
        numbers.append((link, patch.take(LINK_BYTES)))
    node = decode_whole(bytes(spliced), source)
    links = bytearray(node.links or b"")
    for link, number in numbers:
        links[link : link + LINK_BYTES] = number
    node.links = bytes(links)
    return node


def read_bucket(cursor: Cursor, read_blob: Callable[[], Blob], values: dict[int, bytes] | None = None) -> Node:
    """Return a bucket with its form and digest from its record, the tag left out, or from what differs in its blobs.

    Args:
        cursor: behind the tag.
        read_blob: reads what stands there for the next blob.
        values: the cells that a patch puts in, by entry; None: there is no patch.
    """
    begin = cursor.position - 1
    node = read_bucket_head(cursor)
    head = cursor.data[begin : cursor.position]
    code = ENDS[node.count]
    node.ends = cursor.take(code.size)
    ends = code.unpack(node.ends)
    node.cells = cursor.take(ends[-1])
    sizes = tuple(map(sub, ends, (0, *ends)))
    if min(sizes) < 0 or max(sizes) > INLINE_BYTES_MAX:
        raise cursor.refuse("the sizes of a bucket's values are not right, before")
    cells = cut_up(node.cells, sizes)
    if 0 in sizes:
        node.blobs = {path: read_blob() for path, size in zip(node.path_list(), sizes, strict=True) if size == 0}
    if values is not None:
        _put_in(node, cells, values, cursor)
    digests = [sha256(cell).digest() for cell in cells]
    if node.blobs:
        for i, path in enumerate(node.path_list()):
            if path in node.blobs:
                digests[i] = node.blobs[path][:DIGEST_BYTES]
    node.form = head + b"".join(digests)
    node.digest = sha256(node.form).digest()
    return node


def _put_in(node: Node, cells: list[bytes], values: dict[int, bytes], cursor: Cursor) -> None:
    """Put the values of a patch into a bucket and the list of its cells."""
    if values and max(values) >= node.count:
        raise cursor.refuse("a patch is of no entry, just before")
    for i, cell in values.items():
        cells[i] = cell
    if b"" in cells or any(type(cell) is Blob for cell in values.values()):
        # None is written, and `references` looks for none.
        raise cursor.refuse("a patch makes a bucket with a blob, just before")
    node.cells, node.ends = b"".join(cells), ENDS[node.count].pack(*accumulate(map(len, cells)))
    node.blobs = {}


def _read_blob(cursor: Cursor, source: NodeSource) -> Blob:
    number = int.from_bytes(cursor.take(LINK_BYTES), "big")
    return Blob.stored(cursor.take(DIGEST_BYTES), number, source)


def _read_value(cursor: Cursor, source: NodeSource) -> bytes:
    size = int.from_bytes(cursor.take(2), "big")
    if size > INLINE_BYTES_MAX:
        raise cursor.refuse("a long value stands inside its node, just before")
    return cursor.take(size) if size else _read_blob(cursor, source)


def references(number: int, source: NodeSource) -> tuple[list[int], int]:
    """Return the numbers of what the node of an even number refers to, and of the record that it is a patch of, or 0.

    Raises:
        StoreDamaged: it is no node's record.
    """
    data = source.read_node(number)
    if data[:1] == bytes((_BUCKET_PATCH,)):
        # No bucket with a blob is kept as a patch.
        return [], int.from_bytes(data[1 : 1 + LINK_BYTES], "big")
    try:
        node = _decode(data, number, source)
    except CodecError as error:
        raise damaged(source, number, str(error)) from error
    found = node.link_numbers()
    found += [cell.number for cell in (*node.blobs.values(), node.value) if isinstance(cell, Blob) and cell.number]
    return found, node.base if node.base != number else 0
