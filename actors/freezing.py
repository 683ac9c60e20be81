"""Freezing: a whole value is checked, and lists, dicts and sets in it are made persistent, before it enters a heap."""

from __future__ import annotations

from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pyrsistent import pmap, pset, pvector

from actors import codecs
from actors.codecs import by_class, exact_of, no_inverse, object_head
from actors.decoding import ValueCursor, read
from actors.errors import LimitExceeded, ProgramError, ValueRefused
from actors.limits import VALUE_BYTES_MAX, VALUE_DEPTH_MAX, VALUE_INT_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from actors.codecs import Codec

T = TypeVar("T")

PVECTOR: Final[type] = type(pvector())
PMAP: Final[type] = type(pmap())
PSET: Final[type] = type(pset())
_THE_NAN: Final = float("nan")
_INT_BITS_MAX: Final = VALUE_INT_BYTES_MAX * 8 - 1
_MEND: Final = (
    "a value is None, bool, int, float, str, bytes, or a tuple, list, dict or set of values; "
    "register other classes with actors.codec"
)


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
    return freeze_at(value, "", 0)


def freeze_at(value: Any, at: str, depth: int) -> Any:
    """Freeze a part of a value.

    Args:
        value: the part.
        at: where it stands, for errors: "[3]['k']".
        depth: in how many values it stands.
    """
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
        return tuple([freeze_at(item, f"{at}[{i}]", depth + 1) for i, item in enumerate(value)])
    if kind is list or kind is PVECTOR:
        items = [freeze_at(item, f"{at}[{i}]", depth + 1) for i, item in enumerate(value)]
        return value if kind is PVECTOR and all(map(_is, items, value)) else pvector(items)
    if kind is dict or kind is PMAP:
        return _freeze_map(value, at, depth)
    if kind is set or kind is frozenset or kind is PSET:
        members = pset(_each(value, lambda item: freeze_at(item, f"{at}{{{brief(item)}}}", depth + 1)))
        if len(members) != len(value):
            raise alike("members of a set")
        return members
    entry = by_class.get(kind)
    if entry is not None:
        return _freeze_object(entry, value, at, depth)
    exact = exact_of(kind)
    if exact is not None:
        return read(ValueCursor(object_head(exact.name) + b"".join(exact.write(value, depth))), 0)
    raise ValueRefused(
        f"{brief(value)} of type {kind.__module__}.{kind.__qualname__}{_where(at)} cannot be a value; {mend_of(kind)}"
    )


def mend_of(kind: type) -> str:
    """Return how an object of a type that is no value is made one, for errors."""
    if kind is CoroutineType:
        return "was `await` forgotten? A call that is not awaited is not made, and gives a coroutine"
    if any(one.__name__ == "ndarray" for one in kind.__mro__):
        return "make a plain array of it with numpy.array(…)"
    return "take the number out of it with .item()" if kind.__module__.partition(".")[0] == "numpy" else _MEND


def _freeze_object(entry: Codec, value: Any, at: str, depth: int) -> Any:
    """Return the object that the codec makes of what it made of this one: nothing in it is shared with the outside."""
    try:
        made = codecs.call_codec(
            entry.decode, freeze_at(codecs.call_codec(entry.encode, value), f"{at}.<{entry.name}>", depth + 1)
        )
    except ProgramError:
        raise
    except Exception as error:
        raise no_inverse(entry.name, type(error).__name__) from error
    if type(made) is not type(value):
        raise no_inverse(entry.name, f"it makes a {type(made).__qualname__}")
    return made


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
        return freeze_at(key, f"{at}{{{brief(key)}}}", depth + 1), freeze_at(item, f"{at}[{brief(key)}]", depth + 1)

    pairs = dict(_each(value.items(), pair))
    if len(pairs) != len(value):
        raise alike("keys of a map")
    return pmap(pairs)


def _is(one: object, other: object) -> bool:
    return one is other


def _where(at: str) -> str:
    return f" at {at}" if at else ""


def brief(thing: object) -> str:
    """Return a short text for a thing, one that cannot depend on its address, its hash or the Python version."""
    if isinstance(thing, int) and thing.bit_length() > 128:
        return f"an int of {thing.bit_length()} bits"
    if isinstance(thing, (str, int, float, bytes, bool, type(None))) and len(text := ascii(thing)) <= 40:
        return text
    name = type(thing).__qualname__
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


def alike(what: str) -> ValueRefused:
    """Return the error for members of a set, or keys of a map, that cannot be told apart."""
    return ValueRefused(f"two {what} have the same encoding (two NaNs, say): which one is meant cannot be told")
