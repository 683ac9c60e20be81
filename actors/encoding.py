"""Encoding: the canonical bytes of frozen values are written, piece by piece. The format is told in actors.values."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, Final

from actors import codecs
from actors.codecs import by_class, exact_of, object_head
from actors.decoding import DOUBLE, NAN, PLAIN_DEPTH_MAX
from actors.errors import LimitExceeded, ValueRefused
from actors.freezing import PMAP, PSET, PVECTOR, alike, brief, freeze_at, mend_of
from actors.limits import VALUE_DEPTH_MAX
from actors.wire import ORDINARY, varint

#: The ints that take one byte.
SMALL: Final = tuple(bytes((0x80 + n,)) for n in range(128))


def encode_plain(items: tuple[Any, ...] | list[Any], *, lists: bool = False, depth: int = 0) -> bytes | None:
    """Return the canonical bytes of a tuple of scalars and such tuples, of ordinary sizes; None of any other.

    Records and sequences of records are such: this is `encode(freeze(items))` in one go. What is None here is for
    `freeze` to look into.

    Args:
        items: the tuple; it is as frozen as it can be, unless there are lists in it.
        lists: whether lists are taken as well.
        depth: in how many tuples it stands.
    """
    if len(items) >= ORDINARY or depth >= PLAIN_DEPTH_MAX:
        return None
    parts = [(_TUPLE_HEADS if type(items) is tuple else _VECTOR_HEADS)[len(items)]]
    for item in items:
        kind = type(item)
        if kind is int:
            if 0 <= item < 128:
                parts.append(SMALL[item])
                continue
            size = (item if item >= 0 else ~item).bit_length() // 8 + 1
            if size >= ORDINARY:
                return None
            parts += (_INT_HEADS[size], item.to_bytes(size, "big", signed=True))
        elif kind is bytes:
            if len(item) >= ORDINARY:
                return None
            parts += (_BYTES_HEADS[len(item)], item)
        elif kind is str and item.isascii() and len(item) < ORDINARY:
            parts += (_STR_HEADS[len(item)], item.encode())
        elif item is None:
            parts.append(b"\x00")
        elif kind is bool:
            parts.append(b"\x02" if item else b"\x01")
        elif kind is tuple and not item:
            parts.append(_TUPLE_HEADS[0])
        elif kind is tuple or (lists and kind is list):
            inner = encode_plain(item, lists=lists, depth=depth + 1)
            if inner is None:
                return None
            parts.append(inner)
        else:
            return None
    return b"".join(parts)


_INT_HEADS: Final = tuple(bytes((0x03, size)) for size in range(ORDINARY))
_STR_HEADS: Final = tuple(bytes((0x05, size)) for size in range(ORDINARY))
_BYTES_HEADS: Final = tuple(bytes((0x06, size)) for size in range(ORDINARY))
_TUPLE_HEADS: Final = tuple(bytes((0x07, size)) for size in range(ORDINARY))
_VECTOR_HEADS: Final = tuple(bytes((0x08, size)) for size in range(ORDINARY))


class Parts(list[bytes]):
    """The pieces of an encoding, and the last codec that had a part in it."""

    codec: str | None = None


def write(value: Any, parts: Parts, depth: int) -> None:
    """Add the encoding of a value that stands so deep in others. Raises ValueRefused, LimitExceeded."""
    kind = type(value)
    if kind is int:
        if 0 <= value < 128:
            parts.append(SMALL[value])
        else:
            size = (value if value >= 0 else ~value).bit_length() // 8 + 1
            parts += (b"\x03", varint(size), value.to_bytes(size, "big", signed=True))
    elif kind is str:
        body = value.encode()
        parts += (b"\x05", varint(len(body)), body)
    elif kind is bytes:
        parts += (b"\x06", varint(len(value)), value)
    elif value is None:
        parts.append(b"\x00")
    elif kind is bool:
        parts.append(b"\x02" if value else b"\x01")
    elif kind is float:
        parts += (b"\x04", NAN if math.isnan(value) else DOUBLE.pack(value))
    elif depth >= VALUE_DEPTH_MAX:
        raise LimitExceeded(f"the value is nested deeper than {VALUE_DEPTH_MAX}; keep parts under keys of their own")
    elif kind is tuple or kind is PVECTOR:
        parts += (b"\x07" if kind is tuple else b"\x08", varint(len(value)))
        for item in value:
            write(item, parts, depth + 1)
    elif kind is PMAP:
        pairs = sorted([(_alone(key, parts, depth), item) for key, item in value.items()], key=_first)
        parts += (b"\x09", varint(len(pairs)))
        _each_once([key for key, _ in pairs], "keys of a map")
        for key, item in pairs:
            parts.append(key)
            write(item, parts, depth + 1)
    elif kind is PSET:
        members = sorted([_alone(item, parts, depth) for item in value])
        parts += (b"\x0a", varint(len(members)))
        _each_once(members, "members of a set")
        parts += members
    else:
        _encode_object(value, parts, depth)


def _encode_object(value: Any, parts: Parts, depth: int) -> None:
    entry = by_class.get(type(value))
    if entry is None:
        exact = exact_of(type(value))
        if exact is None:
            kind = type(value)
            raise ValueRefused(f"{brief(value)} of type {kind.__qualname__} cannot be a value; {mend_of(kind)}")
        parts += (object_head(exact.name), *exact.write(value, depth))
        return
    parts.codec = entry.name
    parts.append(object_head(entry.name))
    write(freeze_at(codecs.call_codec(entry.encode, value), "", depth + 1), parts, depth + 1)


def _alone(value: Any, whole: Parts, depth: int) -> bytes:
    parts = Parts()
    write(value, parts, depth + 1)
    whole.codec = parts.codec or whole.codec
    return b"".join(parts)


def _first(pair: tuple[bytes, Any]) -> bytes:
    return pair[0]


def _each_once(ordered: list[bytes], what: str) -> None:
    for one, other in pairwise(ordered):
        if one == other:
            raise alike(what)
