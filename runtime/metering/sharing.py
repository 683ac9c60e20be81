"""Sharing: classes that metered code and the machine both use, and what their methods call, metered in place.

The identity of such a class counts: codecs, `isinstance` and `except` go by it. So it is not copied; each function in it, and
each that these name, gets code with ticks in it, which are endless outside steps of metered code. What a class shares
costs unmetered code its ticks too, from then on.
"""

from __future__ import annotations

import functools
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, Final

from actors.errors import ProgramError
from actors.process import Process
from runtime.metering.sources import is_generated, is_metered, metered_code
from runtime.metering.step import copied

if TYPE_CHECKING:
    from collections.abc import Callable

_done: Final[set[int]] = set()
#: What was gone through, so that no identity comes again.
_kept: Final[list[Any]] = []


def share(thing: Any, is_users: Callable[[str], bool]) -> None:
    """Meter, in place, the functions of the user's that a class or an object has, and those that they name.

    Args:
        thing: a class, an object or a function.
        is_users: whether a module, by name, is the user's.

    Raises:
        ProgramError: one of them cannot be metered; then none was, and the same is refused again.
    """
    begun = len(_kept)
    planned: dict[FunctionType, CodeType] = {}
    try:
        _share_all([thing], is_users, planned)
        for function, code in planned.items():
            function.__code__ = code
    except ProgramError:
        # What is half done is refused again.
        for one in _kept[begun:]:
            _done.discard(id(one))
        raise


def _share_all(waiting: list[Any], is_users: Callable[[str], bool], planned: dict[FunctionType, CodeType]) -> None:
    while waiting:
        one = waiting.pop()
        if isinstance(one, FunctionType):
            waiting.extend(_function(one, is_users, planned))
        elif isinstance(one, type):
            waiting.extend(_class(one, is_users))
        elif isinstance(one, (staticmethod, classmethod, MethodType)):
            waiting.append(one.__func__)
        elif isinstance(one, property):
            waiting.extend([one.fget, one.fset, one.fdel])
        elif isinstance(one, (functools.cached_property, functools.partial, functools.partialmethod)):
            waiting.append(one.func)
        elif isinstance(one, functools._lru_cache_wrapper):
            raise ProgramError(
                f"{one.__module__}.{one.__qualname__} is reached by metered code and caches: its hits depend on what ran "
                "before, on this machine; keep results in self.heap, or in a dict that is made in run"
            )
        elif not isinstance(one, ModuleType):
            waiting.extend(_object(one, is_users))


def _function(
    function: FunctionType, is_users: Callable[[str], bool], planned: dict[FunctionType, CodeType]
) -> list[Any]:
    around = function.__globals__
    if function in planned or is_metered(function.__code__) or around.get("__builtins__") is copied:
        return []
    if not is_users(around.get("__name__") or ""):
        return [cell.cell_contents for cell in function.__closure__ or () if _reachable(_content(cell))]
    if is_generated(function):
        return []
    code = metered_code(function)
    if code.co_freevars != function.__code__.co_freevars:
        raise ProgramError(f"{function.__module__}.{function.__qualname__} cannot be metered: its closure differs")
    names = {name for name in (*function.__code__.co_names, *_nested_names(function)) if name in around}
    planned[function] = code
    found = [around[name] for name in sorted(names)]
    found += [_content(cell) for cell in function.__closure__ or ()]
    for module in [one for one in found if isinstance(one, ModuleType) and is_users(one.__name__)]:
        found += [getattr(module, name) for name in code.co_names if hasattr(module, name)]
    return [one for one in found if _reachable(one)]


def _nested_names(function: FunctionType) -> list[str]:
    found: list[str] = []
    waiting = [function.__code__]
    while waiting:
        code = waiting.pop()
        found.extend(code.co_names)
        waiting.extend([one for one in code.co_consts if isinstance(one, type(code))])
    return found


def _reachable(thing: Any) -> bool:
    return isinstance(thing, (FunctionType, type, MethodType, functools.partial, functools._lru_cache_wrapper))


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _class(cls: type, is_users: Callable[[str], bool]) -> list[Any]:
    if id(cls) in _done or not is_users(cls.__module__) or issubclass(cls, Process):
        return []
    _done.add(id(cls))
    _kept.append(cls)
    if "__del__" in vars(cls):
        raise ProgramError(
            f"{cls.__module__}.{cls.__qualname__} is reached by metered code and has a __del__: when it runs is the "
            "interpreter's choice; clean up in a `finally`, or with a context manager"
        )
    inside = [
        one for name, one in vars(cls).items() if not isinstance(one, type) or name not in ("__class__", "__base__")
    ]
    return [*inside, *cls.__mro__[1:], type(cls)]


def _object(thing: Any, is_users: Callable[[str], bool]) -> list[Any]:
    if type(thing) in _FLAT or id(thing) in _done:
        return []
    if isinstance(thing, (list, tuple, set, frozenset, dict)):
        _done.add(id(thing))
        _kept.append(thing)
        held = [*thing.values(), getattr(thing, "default_factory", None)] if isinstance(thing, dict) else list(thing)
        return [one for one in held if type(one) not in _FLAT]
    inside = list(getattr(thing, "__dict__", {}).values())
    if not is_users(type(thing).__module__):
        return [one for one in inside if isinstance(one, FunctionType)]
    _done.add(id(thing))
    _kept.append(thing)
    return [type(thing), *inside]


_FLAT: Final = frozenset({type(None), bool, int, float, complex, str, bytes, bytearray, range})
