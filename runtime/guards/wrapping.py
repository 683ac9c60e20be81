"""What stands in place of guarded functions and methods: it asks the fence, and then calls the original.

A method of a class written in Python is replaced in the class, so it does not matter how the program came by it. A function
is replaced in its module; whoever took it from there before the guards were installed (`from time import time`, a default
argument, an attribute of a class) holds the original, and is given the replacement by `sweep`. Later on, there is nothing
but the replacement to take.

In place of a function written in C stands an object, since a Python function that is kept as a class's attribute would be
handed the instance. Both are pickled by their names, as the originals are.
"""

from __future__ import annotations

import functools
import sys
from types import BuiltinMethodType, CellType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, Final

from runtime.guards.callers import refuse, refuse_loop
from runtime.guards.fence import here

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    from runtime.guards.table import Choose

    #: Is called with the arguments of a call within a fence, and raises what refuses it.
    Ask: TypeAlias = Callable[[tuple[Any, ...], dict[str, Any]], None]

#: Not swept: the machine, and what the import machinery works with.
_UNSWEPT: Final = frozenset({"actors", "runtime", "builtins", "posix", "nt", "importlib", "zipimport"})
#: Python's own modules written in C, of which the others make what programs use.
_INNER: Final = frozenset(name for name in sys.stdlib_module_names if name.startswith("_"))

#: The function itself; its name will soon be its replacement's.
_identity: Final = id
#: The replacement of each original, by the original's id; the original is kept so that no other gets that.
_replaced: Final[dict[int, tuple[object, Any]]] = {}
#: The class methods of types, by the type and the method's name.
_replaced_in_types: Final[set[tuple[type, str]]] = set()


class Guarded:
    """Stands in place of a function written in C.

    Args:
        original: the function.
        ask: asks the fence.
        module: where the function is found, by people and by pickles.
        name: under which name.
    """

    def __init__(self, original: Callable[..., Any], ask: Ask, module: str, name: str) -> None:
        self._original = original
        self._ask = ask
        self.__wrapped__ = original
        self.__doc__ = original.__doc__
        self.__module__ = module
        self.__name__ = self.__qualname__ = name

    def __call__(self, /, *args: Any, **named: Any) -> Any:
        if here.cell.program is not None:
            self._ask(args, named)
        return self._original(*args, **named)

    def __reduce__(self) -> str:
        return self.__name__

    def __repr__(self) -> str:
        return f"<guarded {self._original!r}>"


def asks(guard: str | Choose, call: str, *, direct: bool = False) -> Ask:
    """Return what asks the fence about a call."""

    def always(_: tuple[Any, ...], __: dict[str, Any]) -> None:
        assert isinstance(guard, str)
        refuse(guard, call, direct=direct)

    def chosen(args: tuple[Any, ...], named: dict[str, Any]) -> None:
        assert callable(guard)
        one = guard(args, named)
        if one is not None:
            refuse(one, call, direct=direct)

    return always if isinstance(guard, str) else chosen


def asks_loop(call: str) -> Ask:
    """Return what asks the fence about a call that reaches for the event loop."""

    def ask(_: tuple[Any, ...], __: dict[str, Any]) -> None:
        refuse_loop(call)

    return ask


def replace(owner: ModuleType | type, name: str, ask: Ask) -> None:
    """Put what asks the fence in place of a function of a module, or of a method of a class, where there is one."""
    original = vars(owner).get(name)
    if original is None or _identity(original) in _replaced:
        return
    if type(original) is FunctionType:
        guarded: Any = _function(original, ask)
    else:
        guarded = Guarded(original, ask, owner.__name__, name)
    _replaced[_identity(original)] = (original, guarded)
    setattr(owner, name, guarded)


def _function(original: FunctionType, ask: Ask) -> Any:
    @functools.wraps(original)
    def guarded(*args: Any, **named: Any) -> Any:
        if here.cell.program is not None:
            ask(args, named)
        return original(*args, **named)

    return guarded


def note_class_method(cls: type, name: str) -> None:
    """Note that a class method of a type was replaced in it, for whoever took it from there before."""
    _replaced_in_types.add((cls, name))


# --- whoever took the originals before -----------------------------------------------------------------------------


def sweep() -> None:
    """Give the replacements to all modules that hold originals: Python's own by name alone, others wherever they do."""
    for name, module in list(sys.modules.items()):
        top = name.partition(".")[0]
        if isinstance(module, ModuleType) and (top == "__main__" or not (top in _UNSWEPT or top in _INNER)):
            _sweep_module(module, deep=top not in sys.stdlib_module_names or top == "__main__")


def _sweep_module(module: ModuleType, *, deep: bool) -> None:
    space = vars(module)
    for name, value in list(space.items()):
        new = _instead(value)
        if new is not None:
            space[name] = new
        elif not deep:
            continue
        elif type(value) is FunctionType:
            _sweep_function(value)
        elif issubclass(type(value), type) and _members(value).get("__module__") == module.__name__:
            _sweep_class(value)


def _members(cls: type) -> Mapping[str, Any]:
    # Not by the class's own ways to look things up: some make something when they are asked.
    members: Mapping[str, Any] = type.__getattribute__(cls, "__dict__")
    return members


def _sweep_class(cls: type) -> None:
    for name, value in list(_members(cls).items()):
        kind = type(value)
        function = value.__func__ if kind in (classmethod, staticmethod) else value
        new = _instead(function)
        if new is not None:
            type.__setattr__(cls, name, new if function is value else kind(new))
        elif type(function) is FunctionType:
            _sweep_function(function)


def _sweep_function(function: FunctionType) -> None:
    if function.__globals__ is globals():
        # A replacement in a library's own module: it is the one that is to hold the original.
        return
    if function.__defaults__ is not None:
        new = tuple([_or_instead(value) for value in function.__defaults__])
        if any(one is not other for one, other in zip(new, function.__defaults__, strict=True)):
            function.__defaults__ = new
    if function.__kwdefaults__ is not None:
        for name, value in function.__kwdefaults__.items():
            function.__kwdefaults__[name] = _or_instead(value)
    for cell in function.__closure__ or ():
        _sweep_cell(cell)


def _sweep_cell(cell: CellType) -> None:
    try:
        value = cell.cell_contents
    except ValueError:  # nothing in it yet
        return
    new = _instead(value)
    if new is not None:
        cell.cell_contents = new


def _or_instead(value: Any) -> Any:
    new = _instead(value)
    return value if new is None else new


def _instead(value: Any) -> Any:
    """Return what is to take the place of a value; None: it may stay."""
    known = _replaced.get(_identity(value))
    if known is not None:
        return known[1]
    if type(value) is MethodType:
        known = _replaced.get(_identity(value.__func__))
        return None if known is None else MethodType(known[1], value.__self__)
    if type(value) is BuiltinMethodType and type(value.__self__) is type:
        there = (value.__self__, value.__name__) in _replaced_in_types
        return getattr(value.__self__, value.__name__) if there else None
    return None
