"""The builtins of metered code: what Python's own offer, less what reaches outside, guarded where size matters.

Types stay what they are, so that `isinstance`, patterns, `except` and subclasses mean what they always do; calls of some are
guarded where they stand (`runtime.metering.instrument`). Functions that are here under their old names do what they
did, for less.
"""

from __future__ import annotations

import builtins
import types
from typing import Any, Final, NoReturn

from actors.errors import ProgramError
from runtime.metering.guards import PER_BYTES, bound, made_class, named_attribute, refuse
from runtime.metering.rules import BLOATING, UNSET
from runtime.metering.sorting import sort_all
from runtime.metering.step import charge, copied

#: Not for metered code, and what to do instead.
_REFUSED: Final = {
    "breakpoint": "a process has no terminal; run the program on the loop, without gas",
    "compile": "code that is made while a program runs is not metered; write it as functions",
    "eval": "code that is made while a program runs is not metered; parse what comes in, with json, say",
    "exec": "code that is made while a program runs is not metered; write it as functions",
    "globals": "what is written there outlives the activation, on this machine only; keep it in self.heap",
    "help": "a process has no terminal",
    "id": "it is another one on every machine; give things names or numbers of their own",
    "input": "inputs come through the heap; let the caller pass them to advance()",
    "open": "files are not part of the state; let the caller pass what is in it to advance(), or keep it in self.heap",
    "memoryview": "it shares memory between objects; take bytes, or a bytearray",
}

#: Of the interpreter's session, not of the language.
_ABSENT: Final = frozenset({"copyright", "credits", "exit", "license", "quit", "_"})


def _refusal(name: str, mend: str) -> Any:
    def refused(*_: object, **__: object) -> NoReturn:
        raise ProgramError(f"metered code calls {name}(): {mend}")

    refused.__name__ = refused.__qualname__ = name
    return refused


def _getattr(thing: Any, name: str, /, *default: Any) -> Any:
    named_attribute(name)
    found = getattr(thing, name, *default)
    return bound(found) if name in BLOATING else found


def _setattr(thing: Any, name: str, value: Any, /) -> None:
    named_attribute(name)
    if name in UNSET:
        refuse(thing, name)
    setattr(thing, name, value)


def _delattr(thing: Any, name: str, /) -> None:
    named_attribute(name)
    delattr(thing, name)


def _hasattr(thing: Any, name: str, /) -> bool:
    named_attribute(name)
    return hasattr(thing, name)


def _vars(*thing: Any) -> Any:
    if not thing:
        raise ProgramError("metered code calls vars() with nothing: call locals()")
    if isinstance(thing[0], types.ModuleType):
        raise ProgramError("metered code calls vars() of a module: name what you want of it")
    return vars(*thing)


def _hash(thing: Any, /) -> int:
    if isinstance(thing, (int, float, complex)):
        return hash(thing)
    raise ProgramError(
        f"metered code calls hash() of a {type(thing).__qualname__}: it is another number in every process; "
        "take hashlib for a digest; in a method __hash__ it is allowed"
    )


def _print(
    *things: Any, sep: str | None = None, end: str | None = None, file: None = None, flush: bool = False
) -> None:
    if file is not None:
        raise ProgramError("metered code calls print(file=…): files are not part of the state; print to the screen")
    text = (" " if sep is None else sep).join([str(thing) for thing in things])
    charge(1 + len(text) // PER_BYTES)
    print(text, end=end, flush=flush)


def _build_class(body: Any, name: str, /, *bases: Any, metaclass: Any = None, **more: Any) -> Any:
    made_by = metaclass if metaclass is not None else type(bases[0]) if bases else type
    prepare = getattr(made_by, "__prepare__", None)
    if getattr(prepare, "__globals__", {}).get("__builtins__") is copied:
        raise ProgramError(
            f"the class {name} has a metaclass with a __prepare__ of its own, in which its body would look up all "
            "names; do what it does in __new__ or __init_subclass__"
        )
    if metaclass is not None:
        more["metaclass"] = metaclass
    made = builtins.__build_class__(body, name, *bases, **more)
    made_class(made)
    return made


def _curated() -> dict[str, Any]:
    kept = {name: thing for name, thing in vars(builtins).items() if name not in _ABSENT and not name.startswith("<")}
    return {
        **kept,
        **{name: _refusal(name, mend) for name, mend in _REFUSED.items()},
        "__build_class__": _build_class,
        "delattr": _delattr,
        "getattr": _getattr,
        "hasattr": _hasattr,
        "hash": _hash,
        "print": _print,
        "setattr": _setattr,
        "sorted": sort_all,
        "vars": _vars,
    }


copied.update(_curated())
