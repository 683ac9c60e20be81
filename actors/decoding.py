"""Decoding: canonical bytes are read, and no others. The format is told in actors.values."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any, Final

from pyrsistent import pmap, pset, pvector

from actors import codecs
from actors.codecs import by_name, exact_named
from actors.errors import CodecError
from actors.limits import VALUE_BYTES_MAX, VALUE_DEPTH_MAX, VALUE_INT_BYTES_MAX
from actors.wire import ORDINARY, Cursor

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyrsistent import PMap, PSet, PVector

#: The canonical NaN, and how other floats are packed.
NAN: Final = bytes.fromhex("7ff8000000000000")
DOUBLE: Final = struct.Struct(">d")
#: How deep plain tuples stand in one another, so that the largest is far below any limit.
PLAIN_DEPTH_MAX: Final = 4
#: At hand, because to get it from its class takes as long as the rest of an item.
_from_bytes: Final = int.from_bytes


def plain_items(data: bytes, at: int, items: list[Any], depth: int) -> int:
    """Read the items of the tuple or vector that `encode_plain` made of the bytes at `at`.

    Returns:
        Where it ends, which may be behind the bytes' end: it has then been cut off; -1 where `encode_plain` made it not.
    """
    end = at + 2
    try:
        count = data[at + 1]
        if count >= ORDINARY:
            return -1
        for _ in range(count):
            tag = data[end]
            if tag == 0x06:
                size = data[end + 1]
                if size >= ORDINARY:
                    return -1
                begin = end + 2
                end = begin + size
                items.append(data[begin:end])
            elif tag == 0x03:
                size = data[end + 1]
                begin = end + 2
                end = begin + size
                number = _from_bytes(data[begin:end], "big", signed=True)
                if _SHORTER_LOW[size] <= number < _SHORTER_HIGH[size]:
                    return -1
                items.append(number)
            elif tag >= 0x80:
                items.append(tag - 0x80)
                end += 1
            elif tag == 0x05:
                size = data[end + 1]
                if size >= ORDINARY:
                    return -1
                begin = end + 2
                end = begin + size
                items.append(data[begin:end].decode())
            elif tag < 0x03:
                items.append(_FLAT[tag])
                end += 1
            elif tag == 0x07 and data[end + 1] == 0:
                items.append(())
                end += 2
            elif (tag == 0x07 or tag == 0x08) and depth + 1 < PLAIN_DEPTH_MAX:
                inner: list[Any] = []
                end = plain_items(data, end, inner, depth + 1)
                if end < 0:
                    return -1
                items.append(tuple(inner) if tag == 0x07 else pvector(inner))
            else:
                return -1
    except (IndexError, UnicodeDecodeError):
        return -1
    return end


#: Which ints have a shorter form than one of so many bytes: from the one up to the other.
_SHORTER_LOW: Final = (0, 0, *[-(1 << 8 * size - 9) for size in range(2, ORDINARY)])
_SHORTER_HIGH: Final = (1, 128, *[1 << 8 * size - 9 for size in range(2, ORDINARY)])
_FLAT: Final = (None, False, True)


class ValueCursor(Cursor):
    """A cursor that remembers the last codec which it met."""

    __slots__ = ("codec",)

    def __init__(self, data: bytes) -> None:
        super().__init__(data, "value")
        self.codec: str | None = None


def read(cursor: ValueCursor, depth: int) -> Any:
    """Read a value that stands so deep in others. Raises CodecError."""
    tag = cursor.byte()
    if tag >= 0x80:
        return tag - 0x80
    reader = _READERS.get(tag)
    if reader is None:
        raise cursor.refuse(f"{tag:#04x} begins no value, just before")
    if tag >= 0x07 and depth >= VALUE_DEPTH_MAX:
        raise cursor.refuse(f"it is nested deeper than {VALUE_DEPTH_MAX}")
    return reader(cursor, depth)


def _read_int(cursor: ValueCursor, depth: int) -> int:
    size = cursor.varint(VALUE_INT_BYTES_MAX)
    number = int.from_bytes(cursor.take(size), "big", signed=True)
    if 0 <= number < 128 or (number if number >= 0 else ~number).bit_length() // 8 + 1 != size:
        raise cursor.refuse("an int is not in its shortest form, just before")
    return number


def _read_float(cursor: ValueCursor, depth: int) -> float:
    body = cursor.take(8)
    number: float = DOUBLE.unpack(body)[0]
    if math.isnan(number) and body != NAN:
        raise cursor.refuse("a NaN is not the canonical one, just before")
    return number


def _read_str(cursor: ValueCursor, depth: int) -> str:
    body = cursor.take(cursor.varint(VALUE_BYTES_MAX))
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise cursor.refuse("a str is not UTF-8, just before") from None


def _read_bytes(cursor: ValueCursor, depth: int) -> bytes:
    return cursor.take(cursor.varint(VALUE_BYTES_MAX))


def _count(cursor: ValueCursor) -> int:
    # Every item takes a byte at least, so no announced number makes us do more work than the bytes are long.
    return cursor.varint(len(cursor.data) - cursor.position)


def _read_tuple(cursor: ValueCursor, depth: int) -> tuple[Any, ...]:
    return tuple([read(cursor, depth + 1) for _ in range(_count(cursor))])


def _read_vector(cursor: ValueCursor, depth: int) -> PVector[Any]:
    return pvector([read(cursor, depth + 1) for _ in range(_count(cursor))])


def _ascending(cursor: ValueCursor, depth: int, before: bytes) -> tuple[Any, bytes]:
    begin = cursor.position
    value = read(cursor, depth + 1)
    form = cursor.data[begin : cursor.position]
    if form <= before:
        raise cursor.refuse("keys or members are not ascending, just before")
    return value, form


def _hashable(cursor: ValueCursor, thing: Any) -> None:
    try:
        hash(thing)
    except TypeError:
        raise cursor.refuse(f"a {type(thing).__qualname__} cannot be a key or a member, just before") from None


def _hashable_size(made: int, announced: int, cursor: ValueCursor) -> None:
    if made != announced:
        raise cursor.refuse("two keys or members are equal in Python though their bytes differ")


def _read_map(cursor: ValueCursor, depth: int) -> PMap[Any, Any]:
    made: dict[Any, Any] = {}
    before = b""
    count = _count(cursor)
    for _ in range(count):
        key, before = _ascending(cursor, depth, before)
        _hashable(cursor, key)
        made[key] = read(cursor, depth + 1)
    _hashable_size(len(made), count, cursor)
    return pmap(made)


def _read_set(cursor: ValueCursor, depth: int) -> PSet[Any]:
    members = []
    before = b""
    count = _count(cursor)
    for _ in range(count):
        member, before = _ascending(cursor, depth, before)
        _hashable(cursor, member)
        members.append(member)
    made = pset(members)
    _hashable_size(len(made), count, cursor)
    return made


def _read_object(cursor: ValueCursor, depth: int) -> Any:
    name = _read_str(cursor, depth)
    entry = by_name.get(name)
    if entry is None:
        return _read_exact(name, cursor, depth)
    inner = read(cursor, depth + 1)
    cursor.codec = name
    try:
        made = codecs.call_codec(entry.decode, inner)
    except Exception as error:
        raise CodecError(f"value: the codec {name!r} refuses what stands there: {error}") from error
    if type(made) is not entry.cls:
        raise CodecError(f"value: the codec {name!r} makes a {type(made).__qualname__} of what stands there")
    return made


def _read_exact(name: str, cursor: ValueCursor, depth: int) -> Any:
    try:
        found = exact_named(name)
    except ImportError as error:
        raise CodecError(f"value: an object of the class {name}: {error}") from error
    if found is None:
        raise CodecError(
            f"value: an object of the registered class {name!r}, which this program has not registered; "
            "import the module that calls actors.codec for it"
        )
    try:
        return found.read(cursor, depth)
    except CodecError:
        raise
    except Exception as error:
        raise cursor.refuse(f"what stands for a {name} is none ({error}), just before") from error


def decode_next(cursor: Cursor, depth: int) -> Any:
    """Return the value at a cursor that an exact codec was handed."""
    assert isinstance(cursor, ValueCursor)
    return read(cursor, depth)


_READERS: Final[dict[int, Callable[[ValueCursor, int], Any]]] = {
    0x00: lambda cursor, depth: None,
    0x01: lambda cursor, depth: False,
    0x02: lambda cursor, depth: True,
    0x03: _read_int,
    0x04: _read_float,
    0x05: _read_str,
    0x06: _read_bytes,
    0x07: _read_tuple,
    0x08: _read_vector,
    0x09: _read_map,
    0x0A: _read_set,
    0x0B: _read_object,
}
