"""Imports inside `run`: what is decided follows from names alone.

Whether a module is loaded already differs between the event loop and a worker, and between the first run and a replay; so it
does not count. All of Python's own library may be imported: what reaches outside in it is guarded by itself. So may what is
in the program's own package, and what the program names in `allowed_modules`. What Python and libraries import when they
are called is theirs to know. While a module is loaded, nothing is refused (runtime.guards.callers).

The name of this file has `importlib` and `_bootstrap` in it, for by these `warnings` knows the frames that are not to be
counted between a module and whoever imports it.
"""

from __future__ import annotations

import builtins
import importlib
import sys
from typing import TYPE_CHECKING, Any, Final

from runtime.guards.callers import calling, refuse
from runtime.guards.fence import here
from runtime.guards.wrapping import replace

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.process import Process

_ALLOWED: Final = sys.stdlib_module_names | {"actors", "runtime", "pyrsistent"}


def guard_imports(loaded: Callable[[], None]) -> None:
    """Put a guard before `import`.

    Args:
        loaded: is called behind every import.
    """
    original = builtins.__import__

    def guarded(
        name: str,
        globals: Any = None,  # noqa: A002
        locals: Any = None,  # noqa: A002
        fromlist: Any = (),
        level: int = 0,
    ) -> Any:
        program = here.cell.program
        if program is not None and not level:
            _ask(program, name)
        module = original(name, globals, locals, fromlist, level)
        loaded()
        return module

    builtins.__import__ = guarded

    def ask(args: tuple[Any, ...], named: dict[str, Any]) -> None:
        program = here.cell.program
        name = args[0] if args else named.get("name")
        if program is not None and isinstance(name, str) and not name.startswith("."):
            _ask(program, name)

    replace(importlib, "import_module", ask)


def _ask(program: type[Process], name: str) -> None:
    top, *below = name.split(".")
    # What is inner to a library, the library imports: where it does so in C, there is no frame of its own.
    if top in _ALLOWED or any(part.startswith("_") for part in below) or _is_allowed(program, name):
        return
    caller = calling(program, direct=True)
    if caller is None:
        return
    package, dot, _ = str(caller.frame.f_globals.get("__name__", "")).partition(".")
    if not dot or top != package:
        refuse("imports", f"import {name}", direct=True)


def _is_allowed(program: type[Process], name: str) -> bool:
    return any(
        name == one or name.startswith(f"{one}.") or one.startswith(f"{name}.") for one in program.allowed_modules
    )
