"""Codecs: classes of which objects may be values, and the names that stand for them in every heap.

A codec makes a value of an object, and the object of the value again. The programs register those of their own classes; the
one of numpy's arrays comes with this package, and is loaded when the first array is met, or the first encoding of one.
"""

from __future__ import annotations

import dataclasses
import enum
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, overload

from pyrsistent import pmap

from actors.errors import ValueRefused
from actors.wire import Cursor, varint

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class Codec:
    """How objects of a class become values, and are made again."""

    name: str
    cls: type
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


class ExactCodec(NamedTuple):
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

#: The codecs of the program's own classes.
by_class: Final[dict[type, Codec]] = {}
by_name: Final[dict[str, Codec]] = {}
_exact_by_class: Final[dict[type, ExactCodec]] = {}
_exact_by_name: Final[dict[str, ExactCodec]] = {}
#: The module of each codec that comes with this package, by its name, which is its class's. It is loaded when the first
#: object of the class is met, or the first encoding: what is a value does not follow from who has imported what.
_COMING: Final = {"numpy.ndarray": "actors.arrays"}
#: What makes an object that may be handed out of one that is kept, by class: of objects of which something can be changed.
handed: Final[dict[type, Callable[[Any], Any]]] = {}


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
        known = by_name.get(entry.name)
        if known is not None and (known.cls.__module__, known.cls.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ValueRefused(
                f"the codec name {entry.name!r} is that of {known.cls.__module__}.{known.cls.__qualname__}; "
                f"give {cls.__qualname__} another with codec(name=…)"
            )
        by_name[entry.name] = by_class[cls] = entry
        return cls

    return register if cls is None else register(cls)


def codecs_of(module: str) -> list[tuple[str, type, Any, Any]]:
    """Return (name, class, encode, decode) of the classes of a module that were registered, for another process."""
    return [(one.name, one.cls, one.encode, one.decode) for one in by_name.values() if one.cls.__module__ == module]


def adopt_codec(name: str, cls: type, encode: Callable[[Any], Any], decode: Callable[[Any], Any]) -> None:
    """Register a class as another process did."""
    by_name[name] = by_class[cls] = Codec(name, cls, encode, decode)


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
    _exact_by_name[name] = _exact_by_class[cls] = ExactCodec(name, cls, write, read, again)
    handed[cls] = hand


def exact_of(cls: type) -> ExactCodec | None:
    """Return the codec of a class that comes with this package."""
    found = _exact_by_class.get(cls)
    if found is None and (name := f"{cls.__module__}.{cls.__qualname__}") in _COMING:
        _load(name)
        found = _exact_by_class.get(cls)
    return found


def exact_named(name: str) -> ExactCodec | None:
    """Return the codec that comes with this package under a name. Raises ImportError: what its class is of is not there."""
    if name in _COMING and name not in _exact_by_name:
        _load(name)
    return _exact_by_name.get(name)


def _load(name: str) -> None:
    call_codec(import_module, _COMING[name])


def _entry(
    cls: type, name: str | None, encode: Callable[[Any], Any] | None, decode: Callable[[Any], Any] | None
) -> Codec:
    name = cls.__qualname__ if name is None else name
    if encode is not None and decode is not None:
        return Codec(name, cls, encode, decode)
    if issubclass(cls, enum.Flag):
        return Codec(name, cls, lambda flags: flags.value, cls)
    if issubclass(cls, enum.Enum):
        return Codec(name, cls, lambda member: member.name, lambda word: cls[word])
    if dataclasses.is_dataclass(cls):
        if not cls.__dataclass_params__.frozen:  # type: ignore[attr-defined]
            raise ValueRefused(
                f"{cls.__qualname__} can be changed behind the heap's back; make it dataclass(frozen=True)"
            )
        fields = tuple(field.name for field in dataclasses.fields(cls) if field.init)
        return Codec(
            name,
            cls,
            lambda thing: pmap({field: getattr(thing, field) for field in fields}),
            lambda made: cls(**made),
        )
    raise ValueRefused(f"{cls.__qualname__} is neither a frozen dataclass nor an enum; pass encode= and decode=")


def object_head(name: str) -> bytes:
    """Return how the encoding of an object begins: its tag, and the codec's name."""
    data = name.encode()
    return b"".join((b"\x0b", varint(len(data)), data))


def no_inverse(name: str, why: str) -> ValueRefused:
    """Return the error for a codec whose two functions are not each other's inverse."""
    return ValueRefused(
        f"the codec {name!r} cannot make an object again from what it made of it ({why}); "
        "give codec() encode= and decode= that are each other's inverse"
    )
