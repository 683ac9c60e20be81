"""Worlds: what metered code of one program finds by name, beside what it makes itself.

No module is executed a second time. A world is made of copies: a function is copied with its code replaced by code with
ticks in it, with the cells of its closure, and with globals in which the names that it uses stand for copies as well:
functions, programs and what they inherit from, partials, bound methods, containers of these, and modules. Only what the
code names is looked at.

    copied     functions, programs, their bases; tables of functions
    shared     other classes of the user's, since a codec, an `isinstance` or an `except` goes by their identity; the code of
               their methods, and of what these call, is replaced in place
    as it is   plain values; what is trusted by its module's name (see `runtime.metering.modules`)
    refused    everything else, when it is used

A program in another one's world is a copy of no more use than to be named in a PUT: each program that is run has a world
of its own, so that what holds in it never depends on who named it first.
"""

from __future__ import annotations

import functools
from collections import deque
from functools import partial
from types import (
    AsyncGeneratorType,
    BuiltinFunctionType,
    CellType,
    CodeType,
    CoroutineType,
    FunctionType,
    GeneratorType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from actors.errors import ProgramError
from actors.process import Process
from runtime.metering import sharing
from runtime.metering.classes import new_class
from runtime.metering.imports import Modules
from runtime.metering.modules import (
    DETERMINISTIC,
    Refused,
    hidden,
    is_ours,
    is_standard,
    refused_module,
    root_of,
    substitute,
)
from runtime.metering.reach import named, touch
from runtime.metering.sources import is_generated, metered_code
from runtime.metering.step import copied

if TYPE_CHECKING:
    from collections.abc import Callable

#: Under which name a world stands in its globals; no source can spell it.
WORLD: Final = "<world>"

_PLAIN: Final = frozenset({type(None), bool, int, float, complex, str, bytes, bytearray, range, type(...)})
_CONTAINERS: Final = frozenset({list, tuple, dict, set, frozenset})
#: What a class gets anew when it is made.
_OF_THE_CLASS: Final = frozenset(
    {
        "__dict__",
        "__weakref__",
        "_abc_impl",
        "__abstractmethods__",
        "_metered",
        "__static_attributes__",
        "__firstlineno__",
    }
)
_KEPT_NAMES: Final = ("__name__", "__package__")
#: Objects of these modules' types are as harmless as plain values.
_HARMLESS: Final = frozenset({"builtins", "types", "typing", "typing_extensions"})
_CACHE: Final = (
    "its hits depend on what ran before, on this machine; keep results in self.heap, or in a dict that is made in run"
)
_DISPATCH: Final = (
    "its table is filled while modules are imported, and caches; use `match`, or a dict of functions by type"
)


class World:
    """The world of one program.

    Args:
        allowed: modules that are trusted beside the standard ones.
    """

    def __init__(self, allowed: frozenset[str]) -> None:
        self._allowed = allowed
        #: By the identity of an original: the original, to keep it alive, and what stands for it.
        self._known: dict[int, tuple[Any, Any]] = {}
        self._globals: dict[int, tuple[dict[str, Any], dict[str, Any]]] = {}
        self.modules = Modules(self.whole, self._is_allowed)
        #: What is left to be done. Cells and globals are filled last, for they may lead back to what is being made.
        self._left: deque[Callable[[], None]] = deque()
        #: Files that copied code is from.
        self.files: set[str] = set()

    # --- what is whose ---

    def _is_users(self, module: str) -> bool:
        return not (is_standard(module) or is_ours(module) or self._is_allowed(module))

    def _is_allowed(self, module: str) -> bool:
        return module in self._allowed or root_of(module) in self._allowed

    def _users_class(self, cls: type) -> bool:
        return self._is_users(cls.__module__) and cls.__flags__ & _HEAP_TYPE != 0

    # --- values ---

    def whole(self, thing: Any) -> Any:
        """Return what stands for a thing in this world, with all that it leads to."""
        made = self.value(thing)
        while self._left:
            self._left.popleft()()
        return made

    def value(self, thing: Any) -> Any:
        """Return what stands for a thing in this world."""
        kind = type(thing)
        if kind in _PLAIN:
            return thing
        known = self._known.get(id(thing))
        if known is not None:
            return known[1]
        made = self._value(thing, kind)
        self._known.setdefault(id(thing), (thing, made))
        return self._known[id(thing)][1]

    def _value(self, thing: Any, kind: type) -> Any:
        if kind is FunctionType:
            return self._function(thing)
        if isinstance(thing, type):
            return self._class(thing)
        if isinstance(thing, ModuleType):
            return self.modules.value(thing)
        if kind in _CONTAINERS:
            return self._container(thing)
        copier = _COPIERS.get(kind)
        if copier is not None:
            return copier(self, thing)
        if kind is BuiltinFunctionType:
            return self._builtin(thing)
        behind = vars(thing).get("__wrapped__") if hasattr(thing, "__dict__") else None
        if type(behind) is BuiltinFunctionType:
            # A guard stands in its place.
            return self._builtin(behind)
        return self._object(thing, kind)

    def _builtin(self, thing: BuiltinFunctionType) -> Any:
        owner = thing.__self__
        if owner is not None and not isinstance(owner, ModuleType):
            return self._trusted(thing, type(owner).__module__) if owner.__class__ is not type else thing
        module = thing.__module__ or ""
        if module == "builtins":
            return copied.get(thing.__name__, thing)
        if self._is_users(module):
            return Refused(
                f"{module}.{thing.__qualname__}",
                "there is no Python source to meter; name its module in allowed_modules",
            )
        return self._trusted(thing, module)

    def _trusted(self, thing: Any, module: str) -> Any:
        """Return what stands for a thing of a trusted module."""
        closed = hidden(thing)
        if closed is not None:
            return closed
        if is_ours(module) or self._is_allowed(module) or module in _HARMLESS:
            return thing
        if _is_deterministic(module):
            return substitute(thing)
        name = getattr(thing, "__qualname__", type(thing).__qualname__)
        return Refused(f"{module}.{name}", refused_module(module)._mend)

    def _object(self, thing: Any, kind: type) -> Any:
        if isinstance(thing, functools._lru_cache_wrapper):
            return Refused(f"{thing.__module__}.{thing.__qualname__}, which caches", _CACHE)
        module = kind.__module__
        if self._users_class(kind):
            sharing.share(thing, self._is_users)
            return thing
        if isinstance(thing, _RUNNING) or kind.__module__ == "itertools":
            return Refused(
                f"the {kind.__name__} {getattr(thing, '__name__', '')}".rstrip(),
                "it was made outside of the process, and is used up by whoever comes first; make it in run",
            )
        if isinstance(thing, functools.singledispatchmethod):
            return Refused("functools.singledispatchmethod", _DISPATCH)
        sharing.share(thing, self._is_users)
        return self._trusted(thing, module)

    def _container(self, thing: Any) -> Any:
        if isinstance(thing, dict):
            if all(type(key) in _PLAIN and type(one) in _PLAIN for key, one in thing.items()):
                return thing
            table: dict[Any, Any] = {}
            self._known[id(thing)] = (thing, table)
            table.update({self.value(key): self.value(one) for key, one in thing.items()})
            return table
        if all(type(one) in _PLAIN for one in thing):
            return thing
        if isinstance(thing, list):
            items: list[Any] = []
            self._known[id(thing)] = (thing, items)
            items.extend([self.value(one) for one in thing])
            return items
        return type(thing)([self.value(one) for one in thing])

    # --- functions ---

    def _function(self, function: FunctionType) -> Any:
        module = function.__globals__.get("__name__") or ""
        if not self._is_users(module):
            return self._trusted_function(function, module)
        if function.__globals__.get("__builtins__") is copied or is_generated(function):
            return function
        code = metered_code(function)
        self.files.add(code.co_filename)
        around = self._globals_of(function.__globals__)
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        closure = tuple([self._cell(cells[name]) for name in code.co_freevars])
        made = FunctionType(code, around, function.__name__, None, closure)
        self._known[id(function)] = (function, made)
        self._dress(made, function)
        for name in code.co_freevars:
            self._left.append(partial(self._fill, self._cell(cells[name]), cells[name]))
        self._left.append(partial(self._reach, code, function.__globals__, around))
        return made

    def _dress(self, made: FunctionType, function: FunctionType) -> None:
        made.__qualname__ = function.__qualname__
        made.__module__ = function.__module__
        made.__doc__ = function.__doc__
        made.__defaults__ = self._all(function.__defaults__)
        if function.__kwdefaults__ is not None:
            made.__kwdefaults__ = {name: self.value(one) for name, one in function.__kwdefaults__.items()}
        made.__annotations__ = function.__annotations__
        for name, one in vars(function).items():
            setattr(made, name, self.value(one))

    def _all(self, things: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
        return None if things is None else tuple([self.value(one) for one in things])

    def _trusted_function(self, function: FunctionType, module: str) -> Any:
        if module == "functools" and hasattr(function, "dispatch"):
            return Refused(f"{function.__module__}.{function.__qualname__}, a functools.singledispatch", _DISPATCH)
        stands = self._trusted(function, module)
        if stands is not function or function.__closure__ is None:
            return stands
        # A wrapper of the standard library's around a function of the user's, such as a context manager's.
        closure = tuple([self._cell(cell) for cell in function.__closure__])
        made = FunctionType(function.__code__, function.__globals__, function.__name__, None, closure)
        self._known[id(function)] = (function, made)
        for cell, old in zip(closure, function.__closure__, strict=True):
            self._fill(cell, old)
        if all(_same(cell, old) for cell, old in zip(closure, function.__closure__, strict=True)):
            self._known[id(function)] = (function, function)
            return function
        self._dress(made, function)
        return made

    def _cell(self, cell: CellType) -> CellType:
        known = self._known.get(id(cell))
        if known is None:
            known = self._known[id(cell)] = (cell, CellType())
        made: CellType = known[1]
        return made

    def _fill(self, made: CellType, cell: CellType) -> None:
        try:
            content = cell.cell_contents
        except ValueError:
            return
        made.cell_contents = self.value(content)

    def _globals_of(self, real: dict[str, Any]) -> dict[str, Any]:
        known = self._globals.get(id(real))
        if known is None:
            around: dict[str, Any] = {"__builtins__": copied, WORLD: self}
            around.update({name: real[name] for name in _KEPT_NAMES if name in real})
            known = self._globals[id(real)] = (real, around)
        return known[1]

    def _reach(self, code: CodeType, real: dict[str, Any], around: dict[str, Any]) -> None:
        """Put into a world's globals what code names of the real ones, and import what it imports."""
        names, imports = named(code)
        for name in names:
            if name in real and name not in around:
                around[name] = self.value(real[name])
            if isinstance(around.get(name), ModuleType) and around[name] is not real.get(name):
                touch(around[name], code)
        package = real.get("__package__") or ""
        for name, level, wanted in imports:
            self.modules.import_ahead(name, level, wanted, package)

    # --- classes ---

    def _class(self, cls: type) -> Any:
        if not self._users_class(cls):
            if issubclass(cls, BaseException):
                return cls
            return self._trusted(cls, cls.__module__)
        if issubclass(cls, Process):
            return self.variant(cls)
        sharing.share(cls, self._is_users)
        return cls

    def variant(self, cls: type) -> type:
        """Return the copy of a program, or of a class that one inherits from."""
        known = self._known.get(id(cls))
        if known is not None and known[1] is not cls:
            made: type = known[1]
            return made
        if not self._users_class(cls):
            return cls
        if any(getattr(one, "__globals__", {}).get("__builtins__") is copied for one in vars(cls).values()):
            # Metered code has made it.
            return cls
        bases = tuple([self.variant(base) for base in cls.__bases__])
        own = {
            name: thing
            for name, thing in vars(cls).items()
            if name not in _OF_THE_CLASS and not isinstance(thing, (MemberDescriptorType, GetSetDescriptorType))
        }
        inside = {name: thing if isinstance(thing, type) else self.value(thing) for name, thing in own.items()}
        if "__del__" in inside:
            raise ProgramError(
                f"{cls.__module__}.{cls.__qualname__} has a __del__ and cannot be metered: when it runs is the interpreter's "
                f"choice ({_place(inside['__del__'])}); clean up in a `finally`, or with a context manager"
            )
        inside["__qualname__"] = cls.__qualname__
        inside["_original"] = cls
        made = new_class(cls, bases, inside)
        variants.add(made)
        self._known[id(cls)] = (cls, made)
        for name, thing in own.items():
            if isinstance(thing, type):
                self._left.append(partial(self._set, made, name, thing))
        return made

    def _set(self, made: type, name: str, thing: Any) -> None:
        type.__setattr__(made, name, self.value(thing))


_HEAP_TYPE: Final = 1 << 9
#: All programs that were made here; what a class says of itself does not count.
variants: Final[WeakSet[type]] = WeakSet()


def _import(name: str, around: dict[str, Any] | None = None, _: object = None, wanted: Any = (), level: int = 0) -> Any:
    """What an `import` in metered code calls."""
    world = None if around is None else around.get(WORLD)
    if not isinstance(world, World) or around is None:
        raise ProgramError(f"metered code calls __import__({name!r}): write an import statement")
    return world.modules.imported(name, wanted, level, around.get("__package__") or "")


copied["__import__"] = _import


def _same(one: CellType, other: CellType) -> bool:
    try:
        return one.cell_contents is other.cell_contents
    except ValueError:
        return True


#: Where some of the allowed modules have their C parts.
_PARTS: Final = frozenset(
    {"_blake2", "_collections_abc", "_md5", "_sha1", "_sha2", "_sha256", "_sha3", "_sha512", "_sre"}
)


def _is_deterministic(module: str) -> bool:
    return module in DETERMINISTIC or root_of(module.lstrip("_")) in DETERMINISTIC or module in _PARTS


#: Code that has begun, or goes through something.
_RUNNING: Final[tuple[type, ...]] = (
    GeneratorType,
    CoroutineType,
    AsyncGeneratorType,
    map,
    filter,
    zip,
    enumerate,
    reversed,
    type(iter([])),
    type(iter({})),
    type(iter(())),
    type(iter(range(0))),
    type(iter(int, 1)),
)


def _place(thing: Any) -> str:
    code = getattr(thing, "__code__", None)
    return "" if code is None else f"{code.co_filename}:{code.co_firstlineno}"


def _copy_partial(world: World, thing: functools.partial[Any]) -> Any:
    return functools.partial(
        world.value(thing.func),
        *[world.value(one) for one in thing.args],
        **{name: world.value(one) for name, one in thing.keywords.items()},
    )


def _copy_property(world: World, thing: property) -> Any:
    return property(world.value(thing.fget), world.value(thing.fset), world.value(thing.fdel), thing.__doc__)


_COPIERS: Final[dict[type, Callable[[World, Any], Any]]] = {
    functools.partial: _copy_partial,
    MappingProxyType: lambda world, thing: MappingProxyType(world.value(dict(thing))),
    property: _copy_property,
    MethodType: lambda world, thing: MethodType(world.value(thing.__func__), world.value(thing.__self__)),
    staticmethod: lambda world, thing: staticmethod(world.value(thing.__func__)),
    classmethod: lambda world, thing: classmethod(world.value(thing.__func__)),
    functools.cached_property: lambda world, thing: functools.cached_property(world.value(thing.func)),
    functools.partialmethod: lambda world, thing: functools.partialmethod(
        world.value(thing.func), *thing.args, **thing.keywords
    ),
}
