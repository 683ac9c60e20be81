"""The event loop on which a program is run that has none yet.

Who is imported runs nothing: the command line imports the file of a root to find it, and a worker the module of a program.
There `run` would run a main program that nobody asked for, in each worker again, so that it is refused.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import sys
from typing import TYPE_CHECKING, Any, Final, TypeVar

from actors.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import FrameType

T = TypeVar("T")
_MACHINE: Final = __name__.partition(".")[0]


def run(main: Callable[[], Coroutine[Any, Any, T]] | Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on uvloop where there is one, on asyncio's own loop elsewhere.

    It also sets the garbage collector's thresholds to (50,000, 20, 100): heaps are many small objects without cycles,
    which the defaults walk again and again.

    Args:
        main: a coroutine function without parameters, or a coroutine.

    Raises:
        InputError: it is called at the top of a module that the command line, or a worker, imports.
    """
    imported = _imported_here()
    if imported is not None:
        if inspect.iscoroutine(main):
            main.close()
        raise InputError(
            f"{imported} calls runtime.run(…) while it is imported, and not run; "
            "put it under `if __name__ == '__main__':`"
        )
    gc.set_threshold(50_000, 20, 100)
    coroutine = main if inspect.iscoroutine(main) else main()  # type: ignore[operator]
    try:
        import uvloop
    except ImportError:
        factory = None
    else:
        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        result: T = runner.run(coroutine)
        return result


def _imported_here() -> str | None:
    """Return the name of the module at whose top `run` is called, where it is the machine that imports it."""
    frame: FrameType | None = sys._getframe(2)
    module = None
    while frame is not None:
        name: str = frame.f_globals.get("__name__", "")
        if frame.f_code.co_name == "<module>" and name != "__main__":
            module = name
        elif module is not None and name.partition(".")[0] == _MACHINE:
            return module
        frame = frame.f_back
    return None
