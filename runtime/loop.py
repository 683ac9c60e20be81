"""The event loop on which a program is run that has none yet."""

from __future__ import annotations

import asyncio
import gc
import inspect
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


def run(main: Callable[[], Coroutine[Any, Any, T]] | Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on uvloop where there is one, on asyncio's own loop elsewhere.

    It also sets the garbage collector's thresholds to (50,000, 20, 100): heaps are many small objects without cycles,
    which the defaults walk again and again.

    Args:
        main: a coroutine function without parameters, or a coroutine.
    """
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
