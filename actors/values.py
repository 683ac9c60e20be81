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

import dataclasses
import enum
import math
import struct
from importlib import import_module
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, overload

from pyrsistent import PMap, PSet, PVector, pmap, pset, pvector

from actors.errors import CodecError, LimitExceeded, ProgramError, ValueRefused
from actors.limits import VALUE_BYTES_MAX, VALUE_DEPTH_MAX, VALUE_INT_BYTES_MAX
from actors.wire import Cursor, varint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_PVECTOR: Final[type] = type(pvector())
_PMAP: Final[type] = type(pmap())
_PSET: Final[type] = type(pset())
_THE_NAN: Final = float("nan")
_NAN: Final = bytes.fromhex("7ff8000000000000")
_DOUBLE: Final = struct.Struct(">d")
#: At hand, because to get it from its class takes as long as the rest of an item.
_from_bytes: Final = int.from_bytes
_SMALL: Final = tuple(bytes((0x80 + n,)) for n in range(128))
_INT_BITS_MAX: Final = VALUE_INT_BYTES_MAX * 8 - 1
_MEND: Final = (
    "a value is None, bool, int, float, str, bytes, or a tuple, list, dict or set of values; "
    "register other classes with actors.codec"
)


class Absent(enum.Enum):
    """The type of `ABSENT`: what stands for a key that is not there, where None would be a value."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent.ABSENT


# --- codecs --------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class _Codec:
    name: str
    cls: type
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


class _ExactCodec(NamedTuple):
    """A codec that is known to read what it writes, to the byte, and nothing else: nothing is done twice to find out."""

    name: str
    cls: type
    #: Makes the pieces of the encoding behind the name, of (an object, how deep it stands).
    write: Callable[[Any, int], list[Any]]
    #: Makes the object of (a cursor there, how deep it stands).
    read: Callable[[Cursor, int], Any]
    #: Returns the encoding over which an object stands just as it was read, and another such object to be kept.
    again: Callable[[Any], tuple[bytes, Any] | None]


def _call(function: Callable[[Any], Any], thing: Any) -> Any:
    return function(thing)


#: Calls a codec's function. Whether a value is in memory or must be decoded depends on the machine, so that what a codec
#: does is nobody's gas: what meters programs puts a function in this place that sees to it.
call_codec: Callable[[Callable[[Any], Any], Any], Any] = _call

_by_class: dict[type, _Codec] = {}
_by_name: dict[str, _Codec] = {}
_exact_by_class: Final[dict[type, _ExactCodec]] = {}
_exact_by_name: Final[dict[str, _ExactCodec]] = {}
#: The module of each codec that comes with this package, by its name, which is its class's. It is loaded when the first
#: object of the class is met, or the first encoding: what is a value does not follow from who has imported what.
_COMING: Final = {"numpy.ndarray": "actors.arrays"}
#: What makes an object that may be handed out of one that is kept, by class: of objects of which something can be changed.
handed: Final[dict[type, Callable[[Any], Any]]] = {}

T = TypeVar("T")


@overload
def codec(cls: type[T], /) -> type[T]: ...
@overload
def codec(
    *, name: str | None = None, encode: Callable[[Any], Any] | None = None, decode: Callable[[Any], Any] | None = None
) -> Callable[[type[T]], type[T]]: ...
def codec(
    cls: type[T] | None = None,
    /,
    *,
    name: str | None = None,
    encode: Callable[[Any], Any] | None = None,
    decode: Callable[[Any], Any] | None = None,
) -> Any:
    """Let objects of a class be values. A decorator for frozen dataclasses and enums; others bring two functions.

    Args:
        cls: the class.
        name: the name that stands for it in every heap from now on; its qualified name, unless given. Choose one that
            will survive the class's renaming.
        encode: makes a value of an object. A dataclass is encoded as a map of its fields, an enum as its member's name, flags as
            their number.
        decode: makes the object again.

    Raises:
        ValueRefused: the class cannot take part, or the name is another class's.
    """

    def register(cls: type[T]) -> type[T]:
        entry = _entry(cls, name, encode, decode)
        known = _by_name.get(entry.name)
        if known is not None and (known.cls.__module__, known.cls.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ValueRefused(
                f"the codec name {entry.name!r} is that of {known.cls.__module__}.{known.cls.__qualname__}; "
                f"give {cls.__qualname__} another with codec(name=…)"
            )
        _by_name[entry.name] = _by_class[cls] = entry
        return cls

    return register if cls is None else register(cls)


def codecs_of(module: str) -> list[tuple[str, type, Any, Any]]:
    """Return (name, class, encode, decode) of the classes of a module that were registered, for another process."""
    return [(one.name, one.cls, one.encode, one.decode) for one in _by_name.values() if one.cls.__module__ == module]


def adopt_codec(name: str, cls: type, encode: Callable[[Any], Any], decode: Callable[[Any], Any]) -> None:
    """Register a class as another process did."""
    _by_name[name] = _by_class[cls] = _Codec(name, cls, encode, decode)


def exact_codec(
    name: str,
    cls: type,
    write: Callable[[Any, int], list[Any]],
    read: Callable[[Cursor, int], Any],
    hand: Callable[[Any], Any],
    again: Callable[[Any], tuple[bytes, Any] | None],
) -> None:
    """Register a class that comes with this package.

    Args:
        name: that of the class with its module, which is in the table of those that are coming.
        cls: the class.
        write: makes the pieces of an object's encoding behind the name: those of a value, as buffers. It raises what a
            program is to be told.
        read: makes the object of the bytes at a cursor, and raises where `write` does not make these of it.
        hand: makes another object of it, for a program that may set its attributes.
        again: returns the whole encoding that an object still stands over as it was read, with an object over it that no
            program has; None where it does not, or is a part of a value.
    """
    assert name in _COMING
    _exact_by_name[name] = _exact_by_class[cls] = _ExactCodec(name, cls, write, read, again)
    handed[cls] = hand


def exact_of(cls: type) -> _ExactCodec | None:
    """Return the codec of a class that comes with this package."""
    found = _exact_by_class.get(cls)
    if found is None and (name := f"{cls.__module__}.{cls.__qualname__}") in _COMING:
        _load(name)
        found = _exact_by_class.get(cls)
    return found


def _load(name: str) -> None:
    call_codec(import_module, _COMING[name])


def _entry(
    cls: type, name: str | None, encode: Callable[[Any], Any] | None, decode: Callable[[Any], Any] | None
) -> _Codec:
    name = cls.__qualname__ if name is None else name
    if encode is not None and decode is not None:
        return _Codec(name, cls, encode, decode)
    if issubclass(cls, enum.Flag):
        return _Codec(name, cls, lambda flags: flags.value, cls)
    if issubclass(cls, enum.Enum):
        return _Codec(name, cls, lambda member: member.name, lambda word: cls[word])
    if dataclasses.is_dataclass(cls):
        if not cls.__dataclass_params__.frozen:  # type: ignore[attr-defined]
            raise ValueRefused(
                f"{cls.__qualname__} can be changed behind the heap's back; make it dataclass(frozen=True)"
            )
        fields = tuple(field.name for field in dataclasses.fields(cls) if field.init)
        return _Codec(
            name,
            cls,
            lambda thing: pmap({field: getattr(thing, field) for field in fields}),
            lambda made: cls(**made),
        )
    raise ValueRefused(f"{cls.__qualname__} is neither a frozen dataclass nor an enum; pass encode= and decode=")


# --- freezing ------------------------------------------------------------------------------------------------------


def freeze(value: Any) -> Any:
    """Return `value` as it stands in a heap: checked whole, lists, dicts and sets made persistent.

    Raises:
        ValueRefused: something in it is not a value; the message has its type and the path to it.
        LimitExceeded: it is nested deeper than `limits.VALUE_DEPTH_MAX`, or too large.
    """
    kind = type(value)
    if kind is int:
        if -(2**62) < value < 2**62:
            return value
    elif kind is str:
        if value.isascii() and len(value) < VALUE_BYTES_MAX:
            return value
    elif kind is bool or value is None:
        return value
    return _freeze(value, "", 0)


def _freeze(value: Any, at: str, depth: int) -> Any:
    kind = type(value)
    if kind is bool or value is None:
        return value
    if kind is float:
        return value if value == value else _THE_NAN
    if kind is int:
        bits = (value if value >= 0 else ~value).bit_length()
        if bits > _INT_BITS_MAX:
            raise LimitExceeded(
                f"the int{_where(at)} has {bits} bits, over the limit of {_INT_BITS_MAX}; keep it as bytes"
            )
        return value
    if kind is str or kind is bytes:
        return _freeze_text(value, at)
    if depth >= VALUE_DEPTH_MAX:
        raise LimitExceeded(
            f"the value is nested deeper than {VALUE_DEPTH_MAX}{_where(at)}; keep parts under keys of their own"
        )
    if kind is tuple:
        return tuple([_freeze(item, f"{at}[{i}]", depth + 1) for i, item in enumerate(value)])
    if kind is list or kind is _PVECTOR:
        items = [_freeze(item, f"{at}[{i}]", depth + 1) for i, item in enumerate(value)]
        return value if kind is _PVECTOR and all(map(_is, items, value)) else pvector(items)
    if kind is dict or kind is _PMAP:
        return _freeze_map(value, at, depth)
    if kind is set or kind is frozenset or kind is _PSET:
        members = pset(_each(value, lambda item: _freeze(item, f"{at}{{{_brief(item)}}}", depth + 1)))
        if len(members) != len(value):
            raise _alike("members of a set")
        return members
    entry = _by_class.get(kind)
    if entry is not None:
        return _freeze_object(entry, value, at, depth)
    exact = exact_of(kind)
    if exact is not None:
        return decode(_object_head(exact.name) + b"".join(exact.write(value, depth)))
    mend = "take the number out of it with .item()" if kind.__module__ == "numpy" else _MEND
    raise ValueRefused(
        f"{_brief(value)} of type {kind.__module__}.{kind.__qualname__}{_where(at)} cannot be a value; {mend}"
    )


def _freeze_object(entry: _Codec, value: Any, at: str, depth: int) -> Any:
    """Return the object that the codec makes of what it made of this one: nothing in it is shared with the outside."""
    try:
        made = call_codec(entry.decode, _freeze(call_codec(entry.encode, value), f"{at}.<{entry.name}>", depth + 1))
    except ProgramError:
        raise
    except Exception as error:
        raise _no_inverse(entry.name, type(error).__name__) from error
    if type(made) is not type(value):
        raise _no_inverse(entry.name, f"it makes a {type(made).__qualname__}")
    return made


def _no_inverse(name: str, why: str) -> ValueRefused:
    return ValueRefused(
        f"the codec {name!r} cannot make an object again from what it made of it ({why}); "
        "give codec() encode= and decode= that are each other's inverse"
    )


def _each(items: Iterable[Any], freezing: Callable[[Any], T]) -> list[T]:
    """Freeze items that come in the order of their hashes; of several refusals the first by its text is raised."""
    frozen, refused = [], []
    for item in items:
        try:
            frozen.append(freezing(item))
        except ProgramError as error:
            refused.append(error)
    if refused:
        raise min(refused, key=str)
    return frozen


def _freeze_text(value: Any, at: str) -> Any:
    if len(value) > VALUE_BYTES_MAX:
        raise LimitExceeded(
            f"{len(value)} bytes or characters{_where(at)} are over the limit of {VALUE_BYTES_MAX}; split it over keys"
        )
    if type(value) is str and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise ValueRefused(
                f"the str{_where(at)} has a lone surrogate at character {error.start}, which no UTF-8 can hold; keep it as bytes"
            ) from None
    return value


def _freeze_map(value: Any, at: str, depth: int) -> Any:
    def pair(one: tuple[Any, Any]) -> tuple[Any, Any]:
        key, item = one
        return _freeze(key, f"{at}{{{_brief(key)}}}", depth + 1), _freeze(item, f"{at}[{_brief(key)}]", depth + 1)

    pairs = dict(_each(value.items(), pair))
    if len(pairs) != len(value):
        raise _alike("keys of a map")
    return pmap(pairs)


def _is(one: object, other: object) -> bool:
    return one is other


def _where(at: str) -> str:
    return f" at {at}" if at else ""


def _brief(thing: object) -> str:
    """Return a short text for a thing, one that cannot depend on its address, its hash or the Python version."""
    if isinstance(thing, int) and thing.bit_length() > 128:
        return f"an int of {thing.bit_length()} bits"
    if isinstance(thing, (str, int, float, bytes, bool, type(None))) and len(text := ascii(thing)) <= 40:
        return text
    return f"a {type(thing).__qualname__}"


def show(value: Any, width: int = 200) -> str:
    """Return a value for people, in ASCII, cut to a width: the same text on every machine, maps and sets in order."""
    text = _show(value)
    return text if len(text) <= width else text[: width - 1] + "…"


def _show(value: Any) -> str:
    kind = type(value)
    if kind is _PMAP:
        pairs = sorted(value.items(), key=lambda pair: encode(pair[0]))
        return "{" + ", ".join(f"{_show(key)}: {_show(item)}" for key, item in pairs) + "}"
    if kind is _PSET:
        return "{" + ", ".join(map(_show, sorted(value, key=encode))) + "}" if len(value) else "set()"
    if kind is _PVECTOR:
        return "[" + ", ".join(map(_show, value)) + "]"
    if kind is tuple:
        return "(" + ", ".join(map(_show, value)) + (",)" if len(value) == 1 else ")")
    if kind is int and value.bit_length() > 4096:
        return f"<an int of {value.bit_length()} bits>"
    entry = _by_class.get(kind)
    if entry is not None:
        return f"{entry.name}({_show(freeze(call_codec(entry.encode, value)))})"
    exact = exact_of(kind)
    if exact is not None:
        return f"{exact.name}{_show(decode(b''.join(exact.write(value, 0))))}"
    return ascii(value)


# --- encoding ------------------------------------------------------------------------------------------------------


def encode(value: Any) -> bytes:
    """Return the canonical bytes of a frozen value.

    Raises:
        ValueRefused: it is not a value, or two members of a set or keys of a map have the same bytes.
        LimitExceeded: its bytes are more than `limits.VALUE_BYTES_MAX`, or it is too deep.
    """
    kind = type(value)
    if kind is int:
        if 0 <= value < 128:
            return _SMALL[int(value)]
    elif kind is str:
        body: bytes = value.encode()
        if len(body) < 128:
            return bytes((5, len(body))) + body
    parts = _Parts()
    _encode(value, parts, 0)
    data = b"".join(parts)
    if len(data) > VALUE_BYTES_MAX:
        raise LimitExceeded(
            f"the value takes {len(data)} bytes, over the limit of {VALUE_BYTES_MAX}; split it over keys"
        )
    if parts.codec is not None:
        try:
            decode(data)
        except CodecError as error:
            raise _no_inverse(parts.codec, str(error)) from error
    return data


def encode_plain(items: tuple[Any, ...] | list[Any], *, lists: bool = False, depth: int = 0) -> bytes | None:
    """Return the canonical bytes of a tuple of scalars and such tuples, of ordinary sizes; None of any other.

    Records and sequences of records are such: this is `encode(freeze(items))` in one go. What is None here is for
    `freeze` to look into.

    Args:
        items: the tuple; it is as frozen as it can be, unless there are lists in it.
        lists: whether lists are taken as well.
        depth: in how many tuples it stands.
    """
    if len(items) >= _ORDINARY or depth >= _PLAIN_DEPTH_MAX:
        return None
    parts = [(_TUPLE_HEADS if type(items) is tuple else _VECTOR_HEADS)[len(items)]]
    for item in items:
        kind = type(item)
        if kind is int:
            if 0 <= item < 128:
                parts.append(_SMALL[item])
                continue
            size = (item if item >= 0 else ~item).bit_length() // 8 + 1
            if size >= _ORDINARY:
                return None
            parts += (_INT_HEADS[size], item.to_bytes(size, "big", signed=True))
        elif kind is bytes:
            if len(item) >= _ORDINARY:
                return None
            parts += (_BYTES_HEADS[len(item)], item)
        elif kind is str and item.isascii() and len(item) < _ORDINARY:
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


#: How deep plain tuples stand in one another, so that the largest is far below any limit.
_PLAIN_DEPTH_MAX: Final = 4
#: Counts and sizes below this take one byte on the wire.
_ORDINARY: Final = 128
_INT_HEADS: Final = tuple(bytes((0x03, size)) for size in range(_ORDINARY))
_STR_HEADS: Final = tuple(bytes((0x05, size)) for size in range(_ORDINARY))
_BYTES_HEADS: Final = tuple(bytes((0x06, size)) for size in range(_ORDINARY))
_TUPLE_HEADS: Final = tuple(bytes((0x07, size)) for size in range(_ORDINARY))
_VECTOR_HEADS: Final = tuple(bytes((0x08, size)) for size in range(_ORDINARY))


class _Parts(list[bytes]):
    """The pieces of an encoding, and the last codec that had a part in it."""

    codec: str | None = None


def _encode(value: Any, parts: _Parts, depth: int) -> None:
    kind = type(value)
    if kind is int:
        if 0 <= value < 128:
            parts.append(_SMALL[value])
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
        parts += (b"\x04", _NAN if math.isnan(value) else _DOUBLE.pack(value))
    elif depth >= VALUE_DEPTH_MAX:
        raise LimitExceeded(f"the value is nested deeper than {VALUE_DEPTH_MAX}; keep parts under keys of their own")
    elif kind is tuple or kind is _PVECTOR:
        parts += (b"\x07" if kind is tuple else b"\x08", varint(len(value)))
        for item in value:
            _encode(item, parts, depth + 1)
    elif kind is _PMAP:
        pairs = sorted([(_alone(key, parts, depth), item) for key, item in value.items()], key=_first)
        parts += (b"\x09", varint(len(pairs)))
        _each_once([key for key, _ in pairs], "keys of a map")
        for key, item in pairs:
            parts.append(key)
            _encode(item, parts, depth + 1)
    elif kind is _PSET:
        members = sorted([_alone(item, parts, depth) for item in value])
        parts += (b"\x0a", varint(len(members)))
        _each_once(members, "members of a set")
        parts += members
    else:
        _encode_object(value, parts, depth)


def _encode_object(value: Any, parts: _Parts, depth: int) -> None:
    entry = _by_class.get(type(value))
    if entry is None:
        exact = exact_of(type(value))
        if exact is None:
            raise ValueRefused(f"{_brief(value)} of type {type(value).__qualname__} cannot be a value; {_MEND}")
        parts += (_object_head(exact.name), *exact.write(value, depth))
        return
    parts.codec = entry.name
    parts.append(_object_head(entry.name))
    _encode(_freeze(call_codec(entry.encode, value), "", depth + 1), parts, depth + 1)


def _object_head(name: str) -> bytes:
    data = name.encode()
    return b"".join((b"\x0b", varint(len(data)), data))


def _alone(value: Any, whole: _Parts, depth: int) -> bytes:
    parts = _Parts()
    _encode(value, parts, depth + 1)
    whole.codec = parts.codec or whole.codec
    return b"".join(parts)


def _first(pair: tuple[bytes, Any]) -> bytes:
    return pair[0]


def _each_once(ordered: list[bytes], what: str) -> None:
    for one, other in pairwise(ordered):
        if one == other:
            raise _alike(what)


def _alike(what: str) -> ValueRefused:
    return ValueRefused(f"two {what} have the same encoding (two NaNs, say): which one is meant cannot be told")


def same(one: object, other: object) -> bool:
    """Tell whether two frozen values are one value: the same bytes. Unlike `==`, this keeps 1, 1.0 and True apart."""
    if one is other:
        return True
    if type(one) is not type(other) or one is ABSENT or other is ABSENT:
        return False
    return encode(one) == encode(other)


# --- decoding ------------------------------------------------------------------------------------------------------


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
        if _plain_items(data, 0, items, 0) == len(data):
            return tuple(items) if tag == 0x07 else pvector(items)
    if len(data) > VALUE_BYTES_MAX:
        raise CodecError(f"value: {len(data)} bytes are over the limit of {VALUE_BYTES_MAX}")
    cursor = _ValueCursor(data)
    value = _decode(cursor, 0)
    cursor.end()
    if cursor.codec is not None:
        # What a codec made must have these very bytes again.
        parts = _Parts()
        try:
            _encode(value, parts, 0)
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
        if not data or data[0] != 0x07 or _plain_items(data, 0, items, 0) != len(data):
            return chain(made, map(decode, cells[len(made) :]))
        made.append(tuple(items))
    return iter(made)


def _plain_items(data: bytes, at: int, items: list[Any], depth: int) -> int:
    """Read the items of the tuple or vector that `encode_plain` made of the bytes at `at`.

    Returns:
        Where it ends, which may be behind the bytes' end: it has then been cut off; -1 where `encode_plain` made it not.
    """
    end = at + 2
    try:
        count = data[at + 1]
        if count >= _ORDINARY:
            return -1
        for _ in range(count):
            tag = data[end]
            if tag == 0x06:
                size = data[end + 1]
                if size >= _ORDINARY:
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
                if size >= _ORDINARY:
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
            elif (tag == 0x07 or tag == 0x08) and depth + 1 < _PLAIN_DEPTH_MAX:
                inner: list[Any] = []
                end = _plain_items(data, end, inner, depth + 1)
                if end < 0:
                    return -1
                items.append(tuple(inner) if tag == 0x07 else pvector(inner))
            else:
                return -1
    except (IndexError, UnicodeDecodeError):
        return -1
    return end


#: Which ints have a shorter form than one of so many bytes: from the one up to the other.
_SHORTER_LOW: Final = (0, 0, *[-(1 << 8 * size - 9) for size in range(2, _ORDINARY)])
_SHORTER_HIGH: Final = (1, 128, *[1 << 8 * size - 9 for size in range(2, _ORDINARY)])
_FLAT: Final = (None, False, True)


class _ValueCursor(Cursor):
    """A cursor that remembers the last codec which it met."""

    __slots__ = ("codec",)

    def __init__(self, data: bytes) -> None:
        super().__init__(data, "value")
        self.codec: str | None = None


def _decode(cursor: _ValueCursor, depth: int) -> Any:
    tag = cursor.byte()
    if tag >= 0x80:
        return tag - 0x80
    reader = _READERS.get(tag)
    if reader is None:
        raise cursor.refuse(f"{tag:#04x} begins no value, just before")
    if tag >= 0x07 and depth >= VALUE_DEPTH_MAX:
        raise cursor.refuse(f"it is nested deeper than {VALUE_DEPTH_MAX}")
    return reader(cursor, depth)


def _read_int(cursor: _ValueCursor, depth: int) -> int:
    size = cursor.varint(VALUE_INT_BYTES_MAX)
    number = int.from_bytes(cursor.take(size), "big", signed=True)
    if 0 <= number < 128 or (number if number >= 0 else ~number).bit_length() // 8 + 1 != size:
        raise cursor.refuse("an int is not in its shortest form, just before")
    return number


def _read_float(cursor: _ValueCursor, depth: int) -> float:
    body = cursor.take(8)
    number: float = _DOUBLE.unpack(body)[0]
    if math.isnan(number) and body != _NAN:
        raise cursor.refuse("a NaN is not the canonical one, just before")
    return number


def _read_str(cursor: _ValueCursor, depth: int) -> str:
    body = cursor.take(cursor.varint(VALUE_BYTES_MAX))
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise cursor.refuse("a str is not UTF-8, just before") from None


def _read_bytes(cursor: _ValueCursor, depth: int) -> bytes:
    return cursor.take(cursor.varint(VALUE_BYTES_MAX))


def _count(cursor: _ValueCursor) -> int:
    # Every item takes a byte at least, so no announced number makes us do more work than the bytes are long.
    return cursor.varint(len(cursor.data) - cursor.position)


def _read_tuple(cursor: _ValueCursor, depth: int) -> tuple[Any, ...]:
    return tuple([_decode(cursor, depth + 1) for _ in range(_count(cursor))])


def _read_vector(cursor: _ValueCursor, depth: int) -> PVector[Any]:
    return pvector([_decode(cursor, depth + 1) for _ in range(_count(cursor))])


def _ascending(cursor: _ValueCursor, depth: int, before: bytes) -> tuple[Any, bytes]:
    begin = cursor.position
    value = _decode(cursor, depth + 1)
    form = cursor.data[begin : cursor.position]
    if form <= before:
        raise cursor.refuse("keys or members are not ascending, just before")
    return value, form


def _hashable(cursor: _ValueCursor, thing: Any) -> None:
    try:
        hash(thing)
    except TypeError:
        raise cursor.refuse(f"a {type(thing).__qualname__} cannot be a key or a member, just before") from None


def _hashable_size(made: int, announced: int, cursor: _ValueCursor) -> None:
    if made != announced:
        raise cursor.refuse("two keys or members are equal in Python though their bytes differ")


def _read_map(cursor: _ValueCursor, depth: int) -> PMap[Any, Any]:
    made: dict[Any, Any] = {}
    before = b""
    count = _count(cursor)
    for _ in range(count):
        key, before = _ascending(cursor, depth, before)
        _hashable(cursor, key)
        made[key] = _decode(cursor, depth + 1)
    _hashable_size(len(made), count, cursor)
    return pmap(made)


def _read_set(cursor: _ValueCursor, depth: int) -> PSet[Any]:
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


def _read_object(cursor: _ValueCursor, depth: int) -> Any:
    name = _read_str(cursor, depth)
    if name in _COMING:
        return _read_exact(name, cursor, depth)
    entry = _by_name.get(name)
    if entry is None:
        raise CodecError(
            f"value: an object of the registered class {name!r}, which this program has not registered; "
            "import the module that calls actors.codec for it"
        )
    inner = _decode(cursor, depth + 1)
    cursor.codec = name
    try:
        made = call_codec(entry.decode, inner)
    except Exception as error:
        raise CodecError(f"value: the codec {name!r} refuses what stands there: {error}") from error
    if type(made) is not entry.cls:
        raise CodecError(f"value: the codec {name!r} makes a {type(made).__qualname__} of what stands there")
    return made


def _read_exact(name: str, cursor: _ValueCursor, depth: int) -> Any:
    if name not in _exact_by_name:
        try:
            _load(name)
        except ImportError as error:
            raise CodecError(f"value: an object of the class {name}: {error}") from error
    try:
        return _exact_by_name[name].read(cursor, depth)
    except CodecError:
        raise
    except Exception as error:
        raise cursor.refuse(f"what stands for a {name} is none ({error}), just before") from error


def decode_next(cursor: Cursor, depth: int) -> Any:
    """Return the value at a cursor that an exact codec was handed."""
    assert isinstance(cursor, _ValueCursor)
    return _decode(cursor, depth)


_READERS: Final[dict[int, Callable[[_ValueCursor, int], Any]]] = {
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
