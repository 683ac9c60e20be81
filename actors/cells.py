"""Cells: encoded values as they stand in the heap's tree; and where those come from that are only in a store so far.

A short value's cell is its bytes. A longer one is a *blob*: it stands in a record of its own, and in the tree there is
its digest. Which of the two a cell is does not show in any root.

To check a long value against its digest costs more than to fetch it. So those that were lately written or read are at hand
by their digests, up to a limit, whichever store they are in.
"""

from __future__ import annotations

import threading
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from actors.errors import StoreDamaged, StoreError
from actors.limits import INLINE_BYTES_MAX
from actors.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Sequence

DIGEST_BYTES: Final = 32
#: How many bytes of long values are at hand at most.
RECENT_BYTES_MAX: Final = 1 << 27
_PADDING: Final = bytes(INLINE_BYTES_MAX + 1 - DIGEST_BYTES)


class NodeSource(Protocol):
    """Where stored nodes come from."""

    def read_node(self, number: int) -> bytes:
        """Return the record of node `number`. Raises StoreDamaged when there is none."""
        ...


class _Damage(threading.local):
    def __init__(self) -> None:
        self.found: list[StoreError] = []


#: Damage that this thread came upon. A program may catch what a read of its heap raises, but must not go on from there:
#: whoever steps programs looks here behind every step, and clears it.
damage: Final = _Damage()


@runtime_checkable
class ManySource(NodeSource, Protocol):
    """A source from which many nodes come for little more than one."""

    def read_nodes(self, numbers: Sequence[int]) -> dict[int, bytes]:
        """Return the records by number of those of these nodes that there are."""
        ...


def read(source: NodeSource, number: int) -> bytes:
    """Return a record. What it raises is noted as damage."""
    try:
        return source.read_node(number)
    except StoreError as error:
        damage.found.append(error)
        raise


def read_many(source: ManySource, numbers: Sequence[int]) -> dict[int, bytes]:
    """Return what there is of many records, by number. What it raises is noted as damage."""
    try:
        return source.read_nodes(numbers)
    except StoreError as error:
        damage.found.append(error)
        raise


def damaged(source: NodeSource, number: int, what: str) -> StoreDamaged:
    """Return the error for a record that is not what it should be, and note it."""
    place = getattr(source, "place", "the store")
    error = StoreDamaged(f"{place} is damaged: node {number}: {what}; restore it from a backup")
    damage.found.append(error)
    return error


#: Long values of this process that were lately written or read, by their digests.
recent: Final[Recent[bytes, bytes]] = Recent(RECENT_BYTES_MAX)


class Blob(bytes):
    """The cell of a long value. As bytes it is the value's digest, padded to be longer than any short cell.

    So two cells are equal as bytes where their values are, and nowhere else.
    """

    #: The encoded value, or None while it is only in the store.
    data: bytes | None
    #: Where it is in the store; None until it was written.
    number: int | None
    source: NodeSource | None

    @staticmethod
    def of(data: bytes) -> Blob:
        """Return the cell for an encoded value that is too long to stand inline."""
        blob = Blob(sha256(data).digest() + _PADDING)
        blob.data = data
        blob.number = blob.source = None
        return blob

    @staticmethod
    def stored(digest: bytes, number: int | None, source: NodeSource | None) -> Blob:
        """Return the cell for a long value that is in a store."""
        blob = Blob(digest + _PADDING)
        blob.data = None
        blob.number = number
        blob.source = source
        return blob

    def load(self) -> bytes:
        """Return the encoded value, from the store if need be, checked against the digest."""
        if self.data is not None:
            return self.data
        assert self.source is not None and self.number is not None
        digest = self[:DIGEST_BYTES]
        data = recent.get(digest)
        if data is None:
            data = read(self.source, self.number)
            if sha256(data).digest() != digest:
                raise damaged(self.source, self.number, "a value's bytes do not have its digest")
            recent.put(digest, data, len(data))
        return data

    def stored_at(self, number: int, source: NodeSource) -> bytes:
        """Note that the value is being stored, and return it: from now on it is kept there, and not here."""
        assert self.data is not None
        data, self.data = self.data, None
        self.number, self.source = number, source
        recent.put(self[:DIGEST_BYTES], data, len(data))
        return data


def to_cell(data: bytes) -> bytes:
    """Return the cell of an encoded value."""
    return data if len(data) <= INLINE_BYTES_MAX else Blob.of(data)


def from_cell(cell: bytes) -> bytes:
    """Return the encoded value of a cell."""
    return cell.load() if type(cell) is Blob else cell


def cell_digest(cell: bytes) -> bytes:
    """Return the digest of a cell's value."""
    return cell[:DIGEST_BYTES] if type(cell) is Blob else sha256(cell).digest()
