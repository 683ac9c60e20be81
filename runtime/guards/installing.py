"""Installing the guards: once in an OS process; for modules that are loaded later, when they are."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, Final

from runtime.guards.importlib_bootstrap import guard_imports
from runtime.guards.table import (
    CHOSEN,
    CHOSEN_DIRECT,
    DIRECT,
    FUNCTIONS,
    GENERATORS,
    IDENTIFYING,
    LOOP,
    METHODS,
    SEEDING,
)
from runtime.guards.types import replace_in_datetime
from runtime.guards.wrapping import asks, asks_loop, replace, sweep

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import TypeAlias

    from runtime.guards.wrapping import Ask

    #: Puts a guard of one module in place.
    Step: TypeAlias = Callable[[ModuleType], None]

_identity: Final = id
_urandom: Final = os.urandom
_lock: Final = threading.RLock()
#: By module: what is still to be put in place once that is loaded.
_pending: Final[dict[str, list[Step]]] = {}
_installed: Final[list[bool]] = []


def install() -> None:
    """Put all guards in place, if they are not yet. Outside a fence, nothing that anybody calls does anything else."""
    if _installed:
        return
    with _lock:
        if _installed:
            return
        for name, step in _steps():
            _pending.setdefault(name, []).append(step)
        _finish(set(_pending))
        replace_in_datetime()
        sweep()
        kept = {**dict.fromkeys(IDENTIFYING, _keep_identity), **dict.fromkeys(SEEDING, _keep_entropy)}
        _pending.update({name: [step] for name, step in kept.items()})
        _finish(set(kept))
        guard_imports(_loaded)
        _installed.append(True)


def _loaded() -> None:
    # Of two views, the shorter one is gone through.
    if not _pending.keys().isdisjoint(sys.modules.keys()):
        with _lock:
            _finish(_pending.keys() & sys.modules.keys())


def _finish(names: set[str]) -> None:
    for name in sorted(names):
        module = sys.modules.get(name)
        if module is None or getattr(getattr(module, "__spec__", None), "_initializing", False):
            continue
        for step in _pending.pop(name):
            step(module)


def _steps() -> list[tuple[str, Step]]:
    steps: list[tuple[str, Step]] = []
    for table, direct in ((FUNCTIONS, False), (DIRECT, True)):
        for guard, functions in table.items():
            steps += [
                _function(one, asks(guard, f"{one.removeprefix('builtins.')}()", direct=direct)) for one in functions
            ]
    steps += [_function(one, asks(choose, f"{one}()")) for one, choose in CHOSEN.items()]
    steps += [_function(one, asks(choose, f"{one}()", direct=True)) for one, choose in CHOSEN_DIRECT.items()]
    steps += [_loop_function(one) for one in LOOP]
    for cls, methods in METHODS.items():
        for name, (guard_or_choose, call) in methods.items():
            steps.append(_method(cls, name, asks(guard_or_choose, call)))
    steps += [_generator(module, name) for module, name in GENERATORS.items()]
    return steps


def _keep_identity(module: ModuleType) -> None:
    vars(module)["id"] = _identity


def _keep_entropy(module: ModuleType) -> None:
    vars(module)["randbits"] = _random_bits


def _random_bits(count: int) -> int:
    return int.from_bytes(_urandom((count + 7) // 8), "big") >> (-count % 8)


def _function(dotted: str, ask: Ask) -> tuple[str, Step]:
    module, _, name = dotted.rpartition(".")
    return module, lambda loaded: replace(loaded, name, ask)


def _method(dotted: str, method: str, ask: Ask) -> tuple[str, Step]:
    module, _, cls = dotted.rpartition(".")
    return module, lambda loaded: replace(getattr(loaded, cls), method, ask)


def _loop_function(dotted: str) -> tuple[str, Step]:
    """A function of a module of asyncio, which `asyncio` has under the same name."""
    module, _, name = dotted.rpartition(".")

    def step(loaded: ModuleType) -> None:
        original = vars(loaded).get(name)
        if original is None:
            return
        replace(loaded, name, asks_loop(f"asyncio.{name}()"))
        package = sys.modules["asyncio"]
        if vars(package).get(name) is original:
            setattr(package, name, vars(loaded)[name])

    return module, step


def _generator(module: str, name: str) -> tuple[str, Step]:
    """The functions of a module that are methods of one generator."""

    def step(loaded: ModuleType) -> None:
        generator = getattr(loaded.mtrand, name)
        for one, value in list(vars(loaded).items()):
            if getattr(value, "__self__", None) is generator:
                replace(loaded, one, asks("random", f"{module}.{one}()"))

    return module, step
