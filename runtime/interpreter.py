"""The interpreter that a process finds: the same on the loop, in a worker, in a replay, whatever the host made of it.

Three things of it are looked after whenever processes are stepped:

    context variables   Each activation has a context of its own, which is empty when it begins: what the host has set in
                        the one that it runs in does not come in, and what a process sets does not get out. decimal keeps
                        its precision and rounding there, numpy how it treats errors and prints.
    decimal's defaults  What an empty context begins with is copied from `decimal.DefaultContext`, which the host may have
                        changed: while processes are stepped, it has the values that Python gives it.
    the stack           How deep a recursion may go is counted by the interpreter from the bottom of a thread, where the
                        host's own frames are. The limit is set so that it is as good as counted from a process's `run`.

The recursion limit is one for all threads, so it is set in the main thread alone: an executor of threads has the host's.
"""

from __future__ import annotations

import decimal
import re
import sys
from contextlib import contextmanager
from threading import Lock, get_ident, main_thread
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

#: How many calls deep a program may be, counted from its `run`.
DEPTH_MAX: Final = 1000

#: How many calls a manager's entry is away from whoever enters it.
_MANAGED: Final = 2
#: Itself, and not what guards it.
_setrecursionlimit: Final = sys.setrecursionlimit
_DEPTH: Final = re.compile(r"depth (\d+)")


def depth() -> int:
    """Return how deep the stack is where this is called, as the interpreter counts it."""
    limit = sys.getrecursionlimit()
    try:
        # The one way to learn what the interpreter counts, calls of C functions included: its refusal tells.
        _setrecursionlimit(1)
    except RecursionError as error:
        found = _DEPTH.search(str(error))
        if found is not None:
            return int(found[1]) - 1
    else:
        _setrecursionlimit(limit)
    return frames_below(sys._getframe(1))


def frames_below(frame: FrameType) -> int:
    """Return how many frames of Python lie below one."""
    frames = 0
    below = frame.f_back
    while below is not None:
        below = below.f_back
        frames += 1
    return frames


def deepen(further: int = 0) -> int:
    """Let coroutines that the caller resumes be as deep as everywhere.

    Args:
        further: how many calls lie between the caller and the one that resumes them.

    Returns:
        The recursion limit, to be set again; 0: it is not this thread's to set.
    """
    if get_ident() != main_thread().ident:
        return 0
    before = sys.getrecursionlimit()
    # This function is as deep as a coroutine that its caller resumes.
    _setrecursionlimit(depth() + further + DEPTH_MAX)
    return before


@contextmanager
def as_deep(further: int) -> Iterator[None]:
    """Let coroutines that are resumed so many calls below the caller be as deep as everywhere, until the block ends."""
    before = deepen(further - _MANAGED)
    try:
        yield
    finally:
        if before:
            _setrecursionlimit(before)


# --- decimal -------------------------------------------------------------------------------------------------------


#: Python's own defaults, as a context reduces to them.
_DEFAULTS: Final[Any] = decimal.Context(
    prec=28,
    rounding=decimal.ROUND_HALF_EVEN,
    Emin=-999999,
    Emax=999999,
    capitals=1,
    clamp=0,
    flags=[],
    traps=[decimal.InvalidOperation, decimal.DivisionByZero, decimal.Overflow],
).__reduce__()


class _DecimalDefaults:
    """Holds `decimal.DefaultContext` at Python's own values for as long as any thread steps processes."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._stepping = 0
        self._before: Any = _DEFAULTS

    def __enter__(self) -> None:
        with self._lock:
            if not self._stepping:
                self._before = _held(decimal.DefaultContext)
                _make(decimal.DefaultContext, _DEFAULTS)
            self._stepping += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._stepping -= 1
            if not self._stepping:
                _make(decimal.DefaultContext, self._before)


def _held(context: decimal.Context) -> Any:
    return context.__reduce__()


def _make(context: decimal.Context, values: Any) -> None:
    """Give a context the values that another one reduced to, if it has others."""
    if _held(context) == values:
        return
    _, (prec, rounding, e_min, e_max, capitals, clamp, flags, traps) = values
    context.prec, context.rounding, context.Emin, context.Emax = prec, rounding, e_min, e_max
    context.capitals, context.clamp = capitals, clamp
    context.flags = {signal: signal in flags for signal in context.flags}
    context.traps = {signal: signal in traps for signal in context.traps}


decimal_defaults: Final = _DecimalDefaults()
