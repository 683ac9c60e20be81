"""Modules as metered code sees them: which ones it may use, and what of them.

Of the standard library, only modules that compute, and do it alike everywhere. What a program gets is a *facade*: a module object
with the public names of the real one, without the modules that it happens to have imported (`sys` is in most of them),
without what keeps state between activations, and with guards in place of functions that make much of little. Iterators
without an end take a tick for each item, from whatever pulls them.

A module is trusted by its name, never by where it lies, so that gas is the same on every machine: the standard library,
Lockstep, pyrsistent, and those that a program names in `allowed_modules`. Everything else is the user's, and metered.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import math
import operator
import random
import sys
from types import CellType, CodeType, FrameType, FunctionType, ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Final, NoReturn

from actors.errors import ProgramError
from runtime.metering import guards
from runtime.metering.guards import PER_BYTES, PER_ITEMS, method, named_attribute, power, shift, times
from runtime.metering.rules import METHODS
from runtime.metering.sorting import largest, smallest
from runtime.metering.step import charge, counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

#: Modules of the standard library that metered code may use.
DETERMINISTIC: Final = frozenset(
    [
        "__future__",
        "abc",
        "base64",
        "binascii",
        "bisect",
        "cmath",
        "collections",
        "collections.abc",
        "contextlib",
        "copy",
        "dataclasses",
        "decimal",
        "enum",
        "fractions",
        "functools",
        "graphlib",
        "hashlib",
        "heapq",
        "hmac",
        "itertools",
        "json",
        "math",
        "numbers",
        "operator",
        "random",
        "re",
        "statistics",
        "string",
        "struct",
        "textwrap",
        "typing",
    ]
)

#: What is not in the facade of a module, and why.
_STATE: Final = "what it changes is seen by other processes; make an object of your own in run"
_CACHE: Final = (
    "its hits depend on what ran before, on this machine; keep results in self.heap, or in a dict that is made in run"
)
_LONG: Final = "no gas sees how long it takes"
_OUTSIDE: Final = "it reaches outside of the process"
_HIDDEN: Final[dict[str, dict[str, str]]] = {
    "contextlib": dict.fromkeys(("redirect_stdout", "redirect_stderr", "chdir"), _OUTSIDE),
    "decimal": dict.fromkeys(("getcontext", "setcontext", "DefaultContext", "BasicContext", "ExtendedContext"), _STATE),
    "functools": {
        **dict.fromkeys(("lru_cache", "cache"), _CACHE),
        **dict.fromkeys(("singledispatch", "singledispatchmethod"), "it evaluates annotations; use `match`"),
    },
    "hashlib": {**dict.fromkeys(("pbkdf2_hmac", "scrypt"), _LONG), "file_digest": _OUTSIDE},
    "random": {},
    "string": {"Formatter": "it looks up attributes by name; use str.format"},
    "typing": dict.fromkeys(("get_type_hints", "ForwardRef"), "it evaluates text as code"),
    "re": {"purge": _STATE},
}


class Refused:
    """Stands for something that metered code may name and not use."""

    __slots__ = ("_mend", "_what")

    def __init__(self, what: str, mend: str) -> None:
        self._what = what
        self._mend = mend

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise ProgramError(f"metered code uses {self._what}: {self._mend}")

    __call__ = __getitem__ = __iter__ = __next__ = __len__ = __enter__ = __aenter__ = __instancecheck__ = (
        __mro_entries__
    ) = _refuse
    __lt__ = __add__ = __sub__ = __contains__ = _refuse

    def __getattr__(self, name: str) -> NoReturn:
        self._refuse()

    def __set_name__(self, owner: object, name: str) -> None:
        pass


def root_of(module: str) -> str:
    """Return the name of the package at the top of a module's."""
    return module.partition(".")[0]


def is_standard(module: str) -> bool:
    """Tell whether a module belongs to the standard library."""
    root = root_of(module)
    return (root in sys.stdlib_module_names and root != "__main__") or root == "builtins"


def is_ours(module: str) -> bool:
    """Tell whether a module belongs to Lockstep, or is pyrsistent."""
    return root_of(module) in ("actors", "runtime", "pyrsistent", "pvectorc")


def refused_module(name: str) -> Refused:
    """Return what stands for a module that metered code may not use."""
    mend = "it is none of the modules that compute alike on every machine; do without it, name it in allowed_modules, or run the program without gas"
    return Refused(f"the module {name}", mend)


# --- substitutes ---


def _factorial(number: int, /) -> int:
    if type(number) is int and number > _SMALL:
        charge(number * number.bit_length() // PER_BYTES)
    return math.factorial(number)


_SMALL: Final = 64


def _choose(choose: Callable[[int, int], int]) -> Any:
    def chosen(number: int, of: Any = None, /) -> int:
        if of is None:
            return _factorial(number)
        if type(of) is int and type(number) is int and min(of, abs(number - of)) > _SMALL:
            charge(min(of, number) * number.bit_length() // PER_BYTES)
        return choose(number, of)

    chosen.__name__ = choose.__name__
    return chosen


def _ticking(make: Callable[..., Iterator[Any]]) -> Any:
    """Return a function that makes an iterator which takes a tick for each item."""

    @functools.wraps(make, updated=())
    def made(*arguments: Any, **more: Any) -> Iterator[Any]:
        return counted(make(*arguments, **more))

    return made


def _prod(items: Iterable[Any], /, *, start: Any = 1) -> Any:
    for item in items:
        charge(1)
        start = times(start, item)
    return start


def _methodcaller(name: str, /, *arguments: Any, **more: Any) -> Any:
    named_attribute(name)
    if name not in METHODS:
        return operator.methodcaller(name, *arguments, **more)
    return lambda thing: method(getattr(thing, name), *arguments, **more)


def _attrgetter(*names: str) -> Any:
    for name in names:
        for part in str(name).split("."):
            named_attribute(part)
    return operator.attrgetter(*names)


def _update_wrapper(
    wrapper: Any,
    wrapped: Any,
    assigned: Iterable[str] = functools.WRAPPER_ASSIGNMENTS,
    updated: Iterable[str] = functools.WRAPPER_UPDATES,
) -> Any:
    assigned, updated = tuple(assigned), tuple(updated)
    for name in (*assigned, *updated):
        named_attribute(name)
    return functools.update_wrapper(wrapper, wrapped, assigned, updated)


def _wraps(wrapped: Any, *more: Any, **named: Any) -> Any:
    return lambda wrapper: _update_wrapper(wrapper, wrapped, *more, **named)


def _in_place(kind: str, operation: Callable[[Any, Any], Any]) -> Any:
    def done(one: Any, other: Any, /) -> Any:
        return operation(one, guards.grown(kind, one, other))

    return done


class _Random(random.Random):
    """A generator that was given a seed; without one it would take it from the machine."""

    def __init__(self, seed: Any = None) -> None:
        if seed is None:
            raise ProgramError("metered code uses random.Random() without a seed: pass one, or take self.random")
        super().__init__(seed)

    def seed(self, a: Any = None, version: int = 2) -> None:
        if a is None:
            raise ProgramError("metered code seeds a generator with nothing: pass a number")
        super().seed(a, version)


_Random.__name__ = _Random.__qualname__ = "Random"


def _concatenated(one: Any, other: Any, /) -> Any:
    if hasattr(one, "__len__") and hasattr(other, "__len__"):
        charge((len(one) + len(other)) // PER_ITEMS)
    return operator.concat(one, other)


_SUBSTITUTES: Final[dict[str, dict[str, Any]]] = {
    "math": {"factorial": _factorial, "comb": _choose(math.comb), "perm": _choose(math.perm), "prod": _prod},
    "itertools": {
        name: _ticking(getattr(itertools, name))
        for name in (
            "count",
            "cycle",
            "repeat",
            "product",
            "permutations",
            "combinations",
            "combinations_with_replacement",
        )
    },
    "operator": {
        "pow": power,
        "lshift": shift,
        "mul": times,
        "mod": guards.modulo,
        "concat": _concatenated,
        "ipow": _in_place("Pow", operator.ipow),
        "ilshift": _in_place("LShift", operator.ilshift),
        "imul": _in_place("Mult", operator.imul),
        "imod": _in_place("Mod", operator.imod),
        "methodcaller": _methodcaller,
        "attrgetter": _attrgetter,
    },
    "random": {"Random": _Random},
    "functools": {"update_wrapper": _update_wrapper, "wraps": _wraps},
    "heapq": {"nsmallest": smallest, "nlargest": largest},
}

#: The same by the identity of what they stand for, for names that a module has imported.
_by_identity: Final[dict[int, Any]] = {
    id(getattr(importlib.import_module(module), name)): thing
    for module, names in _SUBSTITUTES.items()
    for name, thing in names.items()
}


#: Types that are parts of the interpreter.
_INTERPRETER: Final = (CellType, CodeType, FrameType, FunctionType, ModuleType, TracebackType)


def substitute(thing: Any) -> Any:
    """Return what stands for a function or class of an allowed module; itself, where nothing does."""
    return _by_identity.get(id(thing), thing)


def hidden(thing: Any) -> Refused | None:
    """Return what stands for a function or class that is not in its module's facade; None, where it is."""
    if any(thing is one for one in _INTERPRETER):
        return Refused(
            f"types.{thing.__name__}", "code that is made while a program runs is not metered; write it as functions"
        )
    for module, names in _HIDDEN.items():
        for name, mend in names.items():
            if thing is getattr(sys.modules.get(module), name, None):
                return Refused(f"{module}.{name}", mend)
    return None


_facades: Final[dict[str, ModuleType]] = {}


def facade(module: ModuleType) -> ModuleType:
    """Return the facade of an allowed module of the standard library, or of Lockstep."""
    name = module.__name__
    made = _facades.get(name)
    if made is not None:
        return made
    made = _facades[name] = ModuleType(name, module.__doc__)
    public = getattr(module, "__all__", None) or [one for one in dir(module) if not one.startswith("_")]
    substitutes, refused = _SUBSTITUTES.get(name, {}), _HIDDEN.get(name, {})
    for one in public:
        thing = getattr(module, one, None)
        if one in refused:
            thing = Refused(f"{name}.{one}", refused[one])
        elif one in substitutes:
            thing = substitutes[one]
        elif name == "random":
            thing = Refused(
                f"random.{one}", "it is another one in every process; take self.random, or random.Random(seed)"
            )
        elif isinstance(thing, ModuleType):
            if thing.__name__ not in DETERMINISTIC and not is_ours(thing.__name__):
                continue
            thing = facade(thing)
        setattr(made, one, thing)
    if name == "collections":
        made.abc = facade(sys.modules["collections.abc"])  # type: ignore[attr-defined]
    return made
