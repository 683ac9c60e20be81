"""Guards: what metered code calls in place of builtins that make much out of little, or that take long.

A guard gets what the program would have called, and calls it. Before it does, it charges what the work will come to,
by the sizes of what it works on:

    one gas for PER_ITEMS items gone through, PER_BYTES bytes made or looked at, PER_DIGITS² steps of long arithmetic.

Sizes below one such unit cost nothing, so that small things are as cheap as they look. Sources without an end (`count`,
`repeat`, `iter(f, end)`) take a tick for each item, whoever pulls them: see `runtime.metering.modules`.

Not guarded, because it would slow down all that is harmless: `a + b`, `x in items`, comparisons, repr of nested things,
regular expressions, indexing and slices, and what works in linear time on what is there already. One such call is bounded
by the memory that a worker may have, many of them by its watchdog.
"""

from __future__ import annotations

import re
import sys
from functools import partial
from types import (
    BuiltinMethodType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodWrapperType,
    WrapperDescriptorType,
)
from typing import TYPE_CHECKING, Any, Final, NoReturn

from actors.errors import ProgramError
from runtime.metering import rules
from runtime.metering.rules import is_closed
from runtime.metering.sorting import sort_all, sort_in_place
from runtime.metering.step import charge, copied, counted, exhaust, shared

if TYPE_CHECKING:
    from collections.abc import Callable

PER_ITEMS: Final = 16
PER_BYTES: Final = 256
#: The bits of a number that count as one digit.
_BITS: Final = 64
_STEPS: Final = 16

_SIZED: Final = frozenset(
    {
        list,
        tuple,
        dict,
        set,
        frozenset,
        str,
        bytes,
        bytearray,
        range,
        type({}.keys()),
        type({}.values()),
        type({}.items()),
    }
)
_TEXTS: Final = frozenset({str, bytes, bytearray})
_SEQUENCES: Final = frozenset({str, bytes, bytearray, list, tuple})
_NUMBER: Final = re.compile(r"\d+")
_BUILTIN_METHODS: Final = frozenset({BuiltinMethodType, MethodWrapperType, WrapperDescriptorType, type(str.join)})
_SHORT: Final = 2**60
_RESULT_BITS_MIN: Final = 1024


def pay(count: int) -> None:
    """Pay for a long block."""
    charge(count)


def caught(count: int) -> None:
    """Begin a handler, a `finally`, or what follows on an exception in a `with`: pay, and let through what nobody catches.

    A stack that is too deep uses the meter up: how deep it can be differs between Python versions, where calls go through
    C code, so that a program that could go on from there would use another amount of gas on another machine.
    """
    charge(count)
    kind = sys.exc_info()[0]
    if kind is None:
        return
    if issubclass(kind, RecursionError):
        exhaust()
    if issubclass(kind, (MemoryError, KeyboardInterrupt)):
        raise


def refuse(thing: object, name: str) -> NoReturn:
    """Refuse what is not for metered code."""
    raise ProgramError(f"metered code uses {name}: {_MENDS.get(name, _CLOSED_MEND)}")


_CLOSED_MEND: Final = "it leads out of the process; do without it, or run the program without gas"
_MENDS: Final = {
    "global": "what is written there outlives the activation, on this machine only; keep it in self.heap, or in an object made in run",
    "__del__": "when it runs is the interpreter's choice; clean up in a `finally`, or with a context manager",
}


# --- arithmetic ---


def _power_bits(base: Any, exponent: Any) -> int:
    """Return how many bits an int power has, at most; 0 where it is of no matter."""
    if type(base) is not int or type(exponent) is not int or -2 < base < 2:
        return 0
    return base.bit_length() * abs(exponent)


def _long(bits: int, other: int) -> None:
    """Charge for long multiplication."""
    steps = (bits // _BITS + 1) * (other // _BITS + 1)
    if steps >= _STEPS:
        charge(steps // _STEPS)


def power(base: Any, exponent: Any) -> Any:
    """`base ** exponent`, charged by the size of the result."""
    bits = _power_bits(base, exponent)
    if bits > _RESULT_BITS_MIN:
        _long(bits, bits)
    return base**exponent


def shift(number: Any, by: Any) -> Any:
    """`number << by`, charged by the size of the result."""
    if type(by) is int and by > _RESULT_BITS_MIN:
        charge(by // (8 * PER_BYTES))
    return number << by


def times(one: Any, other: Any, /) -> Any:
    """`one * other`, charged where it makes a sequence or a long number."""
    if type(one) is int and type(other) is int:
        # A short number makes a long one no more than a little longer. (Written out: this is what takes the time.)
        if not -1073741823 < one < 1073741823:
            _long(one.bit_length(), other.bit_length())
    elif type(other) in _SEQUENCES:
        if type(one) is int:
            _repeat(other, one)
    elif type(one) in _SEQUENCES and type(other) is int:
        _repeat(one, other)
    return one * other


def _repeat(items: Any, count: int) -> None:
    size = len(items) * count
    per = PER_BYTES if type(items) in _TEXTS else PER_ITEMS
    if size >= per:
        charge(size // per)


def modulo(one: Any, other: Any) -> Any:
    """`one % other`, charged by the widths that a text asks for."""
    if type(one) in _TEXTS:
        _widths(one if type(one) is str else bytes(one).decode("latin-1"), other)
    return one % other


def grown(kind: str, before: Any, other: Any) -> Any:
    """Charge for `before op= other`, and return `other`. `before` is None where to look at it has effects."""
    if kind == "Mult":
        if type(other) in _SEQUENCES or type(before) in _SEQUENCES:
            if type(before) is int:
                _repeat(other, before)
            elif type(other) is int:
                _repeat(before, other)
        elif type(before) is int and type(other) is int:
            _long(before.bit_length(), other.bit_length())
        elif type(other) is int and before is None:
            charge(abs(other) // PER_ITEMS)
    elif kind == "Pow":
        bits = _power_bits(_SHORT if before is None else before, other)
        if bits > _RESULT_BITS_MIN:
            _long(bits, bits)
    elif kind == "LShift":
        if type(other) is int and other > _RESULT_BITS_MIN:
            charge(other // (8 * PER_BYTES))
    elif type(before) in _TEXTS:
        _widths(before if type(before) is str else bytes(before).decode("latin-1"), other)
    return other


# --- text ---


def _widths(text: str, values: Any) -> None:
    """Charge for the widths that a format asks for: its numbers, and where it takes them from values, those."""
    asked = sum([int(number) if len(number) < _DIGITS_MAX else sys.maxsize for number in _NUMBER.findall(text)])
    if "*" in text or "{:{" in text or text.count("{") > text.count("}{") + 1:
        values = (
            values
            if isinstance(values, (tuple, list))
            else tuple(values.values())
            if isinstance(values, dict)
            else (values,)
        )
        asked += sum([abs(value) for value in values if type(value) is int])
    if asked >= PER_BYTES:
        charge(asked // PER_BYTES)


_DIGITS_MAX: Final = 18


def formatted(value: Any, conversion: int, spec: str) -> str:
    """What an f-string does with a value and a format that is not constant, or wide."""
    if conversion == ord("r"):
        value = repr(value)
    elif conversion == ord("s"):
        value = str(value)
    elif conversion == ord("a"):
        value = ascii(value)
    _widths(spec, ())
    return format(value, spec)


# --- calls ---


def consume(function: Callable[..., Any], items: Any, /, **more: Any) -> Any:
    """A call of a builtin that goes through its argument."""
    if function is sorted:
        return sort_all(items, **more)
    _went_through(function, items)
    return function(items, **more)


def _went_through(function: Callable[..., Any], items: Any) -> None:
    kind = type(items)
    if kind in _SIZED:
        size = len(items)
        if size >= PER_ITEMS:
            charge(_sum_size(items, size) if function is sum and kind in _NESTED else size // PER_ITEMS)
    elif kind is int and items > PER_BYTES:
        charge(items // PER_BYTES)


_NESTED: Final = frozenset({list, tuple})


def _sum_size(items: Any, size: int) -> int:
    """Return what a sum costs: of sequences, the square of how many there are."""
    if type(items[0]) in _SEQUENCES:
        return size * sum([len(one) for one in items if type(one) in _SEQUENCES]) // PER_ITEMS
    return size // PER_ITEMS


def span(function: Callable[..., Any], /, *arguments: Any, **more: Any) -> Any:
    """`range(…)` where no loop goes through it turn by turn: it may be gone through all at once."""
    made = function(*arguments, **more)
    if type(made) is range:
        low, high, step = made.start, made.stop, made.step
        size = max(0, (high - low + step - (1 if step > 0 else -1)) // step)
        if size >= PER_ITEMS:
            charge(size // PER_ITEMS)
    return made


def call(function: Callable[..., Any], /, *arguments: Any, **more: Any) -> Any:
    """A call of a builtin that is looked at where it has more than one argument."""
    if function is pow and len(arguments) == 2:
        return power(*arguments)
    if function is pow and len(arguments) == 3 and all(type(one) is int for one in arguments):
        size = arguments[2].bit_length()
        charge((size // _BITS + 1) ** 2 * arguments[1].bit_length() // (_STEPS * _BITS))
    elif function is sum and arguments:
        _went_through(sum, arguments[0])
    elif function is iter and len(arguments) == 2:
        return counted(iter(*arguments))
    elif function is round and type(arguments[-1]) is int:
        charge(abs(arguments[-1]) // PER_BYTES)
    elif function is format and type(arguments[-1]) is str:
        _widths(arguments[-1], ())
    made = function(*arguments, **more)
    if isinstance(made, type):
        made_class(made)
    return made


def method(bound: Callable[..., Any], /, *arguments: Any, **more: Any) -> Any:
    """A call of a method that has the name of one of a builtin type that can make much, or take long."""
    if type(bound) in _BUILTIN_METHODS:
        check = _CHECKS.get(bound.__name__)
        owner = getattr(bound, "__self__", None)
        if bound.__name__ == "sort" and isinstance(owner, list):
            return sort_in_place(owner, *arguments, **more)
        if bound is list.sort and arguments:
            return sort_in_place(*arguments, **more)
        if owner is None or isinstance(owner, type):
            if bound.__name__ == "fromkeys":
                _go_through(owner, arguments)
            elif arguments and check is not None:
                check(arguments[0], arguments[1:])
        elif check is not None:
            if bound.__name__ == "extend" and arguments and type(arguments[0]) not in _SIZED:
                return bound(counted(iter(arguments[0])))
            check(owner, (*arguments, *more.values()) if more else arguments)
    return bound(*arguments, **more)


def join(owner: Any, parts: Any, /) -> Any:
    """A call of `join` with one argument."""
    if type(owner) is str:
        _join(owner, (parts,))
    return owner.join(parts)


def replace(owner: Any, old: Any, new: Any, /) -> Any:
    """A call of `replace` with two arguments."""
    if type(owner) is str and type(new) is str and (len(owner) + 1) * (len(new) + 1) >= PER_BYTES:
        _replace(owner, (old, new))
    return owner.replace(old, new)


def bound(method_: Any) -> Any:
    """A method of such a name that is not called at once."""
    return partial(method, method_) if type(method_) in _BUILTIN_METHODS else method_


def _go_through(owner: Any, arguments: tuple[Any, ...]) -> None:
    if arguments and type(arguments[0]) in _SIZED and len(arguments[0]) >= PER_ITEMS:
        charge(len(arguments[0]) // PER_ITEMS)


def _width(owner: Any, arguments: tuple[Any, ...]) -> None:
    """Charge for a width: the first argument, times what it can be asked for once a tab."""
    asked = arguments[0] if arguments and type(arguments[0]) is int else 0
    if asked >= PER_BYTES:
        charge(asked // PER_BYTES)


def _tabs(owner: Any, arguments: tuple[Any, ...]) -> None:
    asked = arguments[0] if arguments and type(arguments[0]) is int else 8
    if type(owner) in _TEXTS:
        tabs = owner.count("\t" if type(owner) is str else b"\t")
        charge((len(owner) + max(0, asked) * tabs) // PER_BYTES)


def _join(owner: Any, arguments: tuple[Any, ...]) -> None:
    if type(owner) not in _TEXTS:
        return
    parts = arguments[0]
    if type(parts) in _SIZED and len(parts) >= PER_ITEMS:
        total = len(owner) * len(parts)
        if type(parts) is list or type(parts) is tuple:
            total += sum([len(part) for part in parts if type(part) in _TEXTS])
        charge(len(parts) // PER_ITEMS + total // PER_BYTES)
    elif type(parts) is list or type(parts) is tuple:
        total = sum([len(part) for part in parts if type(part) in _TEXTS])
        if total >= PER_BYTES:
            charge(total // PER_BYTES)


def _replace(owner: Any, arguments: tuple[Any, ...]) -> None:
    if type(owner) not in _TEXTS or len(arguments) < 2 or type(arguments[1]) not in _TEXTS:
        return
    size, new = len(owner), len(arguments[1])
    made = size + (size + 1) * new // (len(arguments[0]) or 1) if type(arguments[0]) in _TEXTS else size
    if made >= PER_BYTES:
        charge(made // PER_BYTES)


def _translate(owner: Any, arguments: tuple[Any, ...]) -> None:
    if type(owner) is str:
        table = arguments[0] if arguments else None
        longest = max((len(one) for one in table.values() if type(one) is str), default=1) if type(table) is dict else 1
        charge(len(owner) * max(1, longest) // PER_BYTES)


def _format(owner: Any, arguments: tuple[Any, ...]) -> None:
    if type(owner) is str:
        _widths(owner, arguments)


def _repeated(owner: Any, arguments: tuple[Any, ...]) -> None:
    if arguments:
        grown("Mult", owner, arguments[0])


def _raised(owner: Any, arguments: tuple[Any, ...]) -> None:
    if arguments:
        bits = max(_power_bits(owner, arguments[0]), _power_bits(arguments[0], owner))
        if bits > _RESULT_BITS_MIN:
            _long(bits, bits)


def _shifted(owner: Any, arguments: tuple[Any, ...]) -> None:
    for by in (owner, *arguments):
        grown("LShift", None, by)


def _rounded(owner: Any, arguments: tuple[Any, ...]) -> None:
    if arguments and type(arguments[0]) is int:
        charge(abs(arguments[0]) // PER_BYTES)


def _spelled(owner: Any, arguments: tuple[Any, ...]) -> None:
    for text in (owner, *arguments):
        if type(text) in _TEXTS:
            _widths(text if type(text) is str else bytes(text).decode("latin-1"), arguments)


def _named(owner: Any, arguments: tuple[Any, ...]) -> None:
    for name in arguments:
        named_attribute(name)


def _described(owner: Any, arguments: tuple[Any, ...]) -> None:
    if isinstance(owner, (MemberDescriptorType, GetSetDescriptorType)):
        named_attribute(owner.__name__)


def made_class(made: Any) -> None:
    """Check a class that metered code has made."""
    inside = getattr(made, "__dict__", {})
    if "__del__" in inside:
        refuse(None, "__del__")
    for name in inside.get("__match_args__", ()):
        named_attribute(name)


def named_attribute(name: object) -> None:
    """Check the name of an attribute that is looked up by name."""
    if isinstance(name, str) and is_closed(str(name)):
        refuse(None, str(name))


_CHECKS: Final[dict[str, Callable[[Any, tuple[Any, ...]], None]]] = {
    **dict.fromkeys(("center", "ljust", "rjust", "zfill", "to_bytes"), _width),
    **dict.fromkeys(("__mul__", "__rmul__", "__imul__"), _repeated),
    **dict.fromkeys(("__pow__", "__rpow__"), _raised),
    **dict.fromkeys(("__lshift__", "__rlshift__"), _shifted),
    **dict.fromkeys(("__mod__", "__rmod__", "__imod__", "__format__"), _spelled),
    **dict.fromkeys(("format", "format_map"), _format),
    "expandtabs": _tabs,
    "extend": _go_through,
    "__iadd__": _go_through,
    "join": _join,
    "replace": _replace,
    "translate": _translate,
    "__round__": _rounded,
    "__get__": _described,
    "__getattribute__": _named,
}


#: What instrumented code finds among its builtins.
GUARDS: Final[dict[str, Any]] = {
    rules.HASH: hash,
    rules.TYPE: type,
    rules.INT: int,
    rules.FLOAT: float,
    "<.join>": join,
    "<.replace>": replace,
    rules.PAY: pay,
    rules.CAUGHT: caught,
    rules.REFUSE: refuse,
    rules.POWER: power,
    rules.SHIFT: shift,
    rules.TIMES: times,
    rules.MODULO: modulo,
    rules.GROWN: grown,
    rules.FORMAT: formatted,
    rules.CONSUME: consume,
    rules.SPAN: span,
    rules.CALL: call,
    rules.METHOD: method,
    rules.BOUND: bound,
}
copied.update(GUARDS)
shared.update(GUARDS)
