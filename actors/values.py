r"""Values: what a heap holds, and the one canonical encoding that each of them has.

A value is None, bool, int, float, str, bytes, a tuple, a pyrsistent vector, map or set of values, or an object of a
class that was registered with `codec`. `freeze` checks a whole value and turns lists, dicts and sets into vectors,
maps and sets; only frozen values enter a heap.

The encoding, format 1 (`n` is an unsigned LEB128 number in its shortest form, see `actors.wire`):

    00                  None
    01, 02              False, True
    03 n body           int, n bytes of big-endian two's complement, the fewest that hold it
    04 8 bytes          float, IEEE 754 big-endian; every NaN is 7FF8000000000000; -0.0 is not 0.0
    05 n body           str, n bytes of UTF-8
    06 n body           bytes
    07 n items          tuple
    08 n items          vector
    09 n (key value)…   map, by the bytes of the encoded keys, ascending, each once
    0A n items          set, by the bytes of the encoded members, ascending, each once
    0B name value       an object of a registered class: the codec's name (as n body), what its codec made of it
    80+i                int i, 0 <= i < 128, which has no other form

Types are kept apart: True is not 1, 1 is not 1.0, a tuple is not a vector. Same value, same bytes, on every machine,
Python version and hash seed. The decoder accepts these bytes and no others, is bounded in depth and size, and never
runs any code but the codecs that the program itself registered, and the one of numpy's arrays (actors.arrays), which is
loaded when the first is met.
"""

from __future__ import annotations

import enum
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from pyrsistent import pvector

from actors import codecs
from actors.codecs import by_class, exact_of, no_inverse
from actors.decoding import ValueCursor, plain_items, read
from actors.encoding import SMALL, Parts, write
from actors.errors import CodecError, LimitExceeded
from actors.freezing import PMAP, PSET, PVECTOR, freeze
from actors.limits import VALUE_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator


class Absent(enum.Enum):
    """The type of `ABSENT`: what stands for a key that is not there, where None would be a value."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent.ABSENT


def encode(value: Any) -> bytes:
    """Return the canonical bytes of a frozen value.

    Raises:
        ValueRefused: it is not a value, or two members of a set or keys of a map have the same bytes.
        LimitExceeded: its bytes are more than `limits.VALUE_BYTES_MAX`, or it is too deep.
    """
    kind = type(value)
    if kind is int:
        if 0 <= value < 128:
            return SMALL[int(value)]
    elif kind is str:
        body: bytes = value.encode()
        if len(body) < 128:
            return bytes((5, len(body))) + body
    parts = Parts()
    write(value, parts, 0)
    data = b"".join(parts)
    if len(data) > VALUE_BYTES_MAX:
        raise LimitExceeded(
            f"the value takes {len(data)} bytes, over the limit of {VALUE_BYTES_MAX}; split it over keys"
        )
    if parts.codec is not None:
        try:
            decode(data)
        except CodecError as error:
            raise no_inverse(parts.codec, str(error)) from error
    return data


def decode(data: bytes) -> Any:
    """Return the value whose canonical bytes these are.

    Raises:
        CodecError: they are not the canonical bytes of any value, or of an object whose codec is not registered.
    """
    tag = data[0] if data else 0
    if tag >= 0x80 and len(data) == 1:
        return tag - 0x80
    if tag == 0x07 or tag == 0x08:
        items: list[Any] = []
        if plain_items(data, 0, items, 0) == len(data):
            return tuple(items) if tag == 0x07 else pvector(items)
    if len(data) > VALUE_BYTES_MAX:
        raise CodecError(f"value: {len(data)} bytes are over the limit of {VALUE_BYTES_MAX}")
    cursor = ValueCursor(data)
    value = read(cursor, 0)
    cursor.end()
    if cursor.codec is not None:
        # What a codec made must have these very bytes again.
        parts = Parts()
        try:
            write(value, parts, 0)
        except Exception as error:
            raise CodecError(f"value: the codec {cursor.codec!r} refuses what stands there: {error}") from error
        if b"".join(parts) != data:
            raise CodecError(f"value: the codec {cursor.codec!r} does not make the same bytes again")
    return value


def decode_each(cells: list[bytes]) -> Iterator[Any]:
    """Yield the values whose canonical bytes these are: what `decode` makes of each.

    Raises:
        CodecError: as `decode`, where it is that one's turn.
    """
    # Records alone are decoded before they are asked for: a codec's code, and what is refused, has to wait for its turn.
    made: list[Any] = []
    for data in cells:
        items: list[Any] = []
        if not data or data[0] != 0x07 or plain_items(data, 0, items, 0) != len(data):
            return chain(made, map(decode, cells[len(made) :]))
        made.append(tuple(items))
    return iter(made)


def same(one: object, other: object) -> bool:
    """Tell whether two frozen values are one value: the same bytes. Unlike `==`, this keeps 1, 1.0 and True apart."""
    if one is other:
        return True
    if type(one) is not type(other) or one is ABSENT or other is ABSENT:
        return False
    return encode(one) == encode(other)


def show(value: Any, width: int = 200) -> str:
    """Return a value for people, in ASCII, cut to a width: the same text on every machine, maps and sets in order."""
    text = _show(value)
    return text if len(text) <= width else text[: width - 1] + "…"


def _show(value: Any) -> str:
    kind = type(value)
    if kind is PMAP:
        pairs = sorted(value.items(), key=lambda pair: encode(pair[0]))
        return "{" + ", ".join(f"{_show(key)}: {_show(item)}" for key, item in pairs) + "}"
    if kind is PSET:
        return "{" + ", ".join(map(_show, sorted(value, key=encode))) + "}" if len(value) else "set()"
    if kind is PVECTOR:
        return "[" + ", ".join(map(_show, value)) + "]"
    if kind is tuple:
        return "(" + ", ".join(map(_show, value)) + (",)" if len(value) == 1 else ")")
    if kind is int and value.bit_length() > 4096:
        return f"<an int of {value.bit_length()} bits>"
    entry = by_class.get(kind)
    if entry is not None:
        return f"{entry.name}({_show(freeze(codecs.call_codec(entry.encode, value)))})"
    exact = exact_of(kind)
    if exact is not None:
        return f"{exact.name}{_show(decode(b''.join(exact.write(value, 0))))}"
    return ascii(value)
