"""Steps: when metered code runs, on which meter, and what holds meanwhile.

A metered coroutine is resumed between `enter(meter)` and `leave()`. What instrumented code pulls ticks from stands in
two places, which are filled anew at each step:

    for copies      the functions of programs. Outside a step they are *dry*: a tick raises `Exhausted`. So what is run
                    of a process when its step is over, by a garbage collector or by `close`, ends at its first tick.
    for the shared  methods of value classes, which the machine calls as well (a codec, a comparison). Outside a step
                    their ticks are endless.

During a step no automatic garbage collection takes place: a finaliser of another process's garbage would tick on this
meter. It is caught up on behind the step. And the stack that a step has is counted from where it begins, so that it is
as deep on a worker as on the event loop.

One lock is held during a step, since these places are the process's: steps in several threads take turns. (So they would
anyway: this is Python code under one interpreter lock.) Where activations run in several threads of one process, shared
code that another thread calls meanwhile must not tick on this meter: `several_threads` makes its ticks ask whose they are.
"""

from __future__ import annotations

import builtins
import gc
import sys
from contextlib import contextmanager
from itertools import repeat
from operator import itemgetter
from threading import RLock, current_thread, get_ident, main_thread
from typing import TYPE_CHECKING, Any, Final, NoReturn

from actors import codecs
from actors.meter import GAS_MAX, Exhausted, Meter
from runtime.interpreter import DEPTH_MAX, depth, frames_below
from runtime.metering.rules import NEXT, TICKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: How deep the building of a metered variant may go, which happens at any depth.
_BUILD_DEPTH: Final = 20_000


class _Dry:
    """Ticks where there are none."""

    __slots__ = ()

    def __iter__(self) -> _Dry:
        return self

    def __next__(self) -> NoReturn:
        raise Exhausted


class _Own:
    """Ticks for one thread; endless for the others."""

    __slots__ = ("thread", "ticks")

    def __init__(self, ticks: Iterator[bool], thread: int) -> None:
        self.ticks = ticks
        self.thread = thread

    def __iter__(self) -> _Own:
        return self

    def __next__(self) -> bool:
        return next(self.ticks) if get_ident() == self.thread else True


DRY: Final[Iterator[bool]] = _Dry()
ENDLESS: Final[Iterator[bool]] = repeat(True)

#: The builtins of copies; `runtime.metering.names` fills in the rest.
copied: Final[dict[str, Any]] = {TICKS: DRY, NEXT: next}
#: The builtins of shared code: the interpreter's own.
shared: Final[dict[str, Any]] = vars(builtins)
shared[TICKS] = ENDLESS
shared[NEXT] = next

#: The ticks of now, for iterators in C; endless outside steps.
_now: Final[list[Iterator[bool]]] = [ENDLESS]
_relay: Final = map(next, map(itemgetter(0), repeat(_now)))
_first: Final = itemgetter(0)

_lock: Final = RLock()
_STEPS_BETWEEN: Final = 63
# At hand: a step of a small process takes little longer than to look these up.
_acquire, _release = _lock.acquire, _lock.release
_getframe, _getrecursionlimit, _setrecursionlimit = sys._getframe, sys.getrecursionlimit, sys.setrecursionlimit
_isenabled, _disable, _enable = gc.isenabled, gc.disable, gc.enable


class _State:
    """What a step begins with and is to leave behind."""

    __slots__ = ("collects", "frames", "limit", "meter", "steps", "thread", "top")

    def __init__(self) -> None:
        self.meter: Meter | None = None
        #: Whether automatic garbage collection was on.
        self.collects = True
        self.limit = sys.getrecursionlimit()
        #: How many Python frames there were when the depth was last measured, and the limit that follows from that depth.
        self.frames = 0
        self.top = 0
        self.steps = 0
        #: The thread that is in a step, where there may be others; 0 where there are none, None outside of steps.
        self.thread: int | None = 0


_state: Final = _State()


def enter(meter: Meter) -> None:
    """Begin a step of metered code on a meter. Waits while another thread is in one."""
    _acquire()
    state = _state
    state.meter = meter
    try:
        known = _getframe(state.frames).f_back is None
    except ValueError:
        known = False
    if not known:
        _measure()
    state.limit = _getrecursionlimit()
    _setrecursionlimit(state.top)
    state.collects = _isenabled()
    _disable()
    ticks = meter.ticks
    copied[TICKS] = ticks
    if state.thread != 0:
        state.thread = get_ident()
        ticks = _Own(ticks, state.thread)
    shared[TICKS] = _now[0] = ticks


def leave() -> None:
    """End a step, from the thread that began it: code of copies is dry again."""
    copied[TICKS] = DRY
    shared[TICKS] = _now[0] = ENDLESS
    state = _state
    state.meter = None
    _setrecursionlimit(state.limit)
    if state.collects:
        _enable()
        state.steps += 1
        if state.steps & _STEPS_BETWEEN == 0 and gc.get_count()[0] > (gc.get_threshold()[0] or sys.maxsize):
            # As a rule it takes place between steps by itself, when something is made there.
            gc.collect(0)
    _release()


def several_threads() -> None:
    """Say that activations run in several threads of this process, from now on."""
    with _lock:
        if _state.thread == 0:
            _state.thread = None


def _elsewhere() -> bool:
    """Tell whether this is not the thread that is in a step."""
    thread = _state.thread
    return thread != 0 and thread != get_ident()


def _measure() -> None:
    """Measure how deep the stack is where `enter` was called."""
    if current_thread() is not main_thread():
        several_threads()
    _state.frames = frames_below(sys._getframe(1))
    # `enter` is one call above, and as deep as the coroutine will be.
    _state.top = depth() - 1 + DEPTH_MAX


@contextmanager
def replaying(meter: Meter) -> Iterator[None]:
    """Let metered code do again what was charged when it did it first: as much as it likes of a meter that is full again then."""
    gas = meter.filled
    meter.fill(GAS_MAX)
    enter(meter)
    try:
        yield
    finally:
        leave()
        meter.fill(gas)


@contextmanager
def closing() -> Iterator[None]:
    """Let metered code come to an end, on an empty meter: around `coroutine.close()`."""
    enter(Meter(0))
    try:
        yield
    finally:
        leave()


@contextmanager
def building() -> Iterator[None]:
    """Make variants, in a step or outside of one: what runs of metered code meanwhile costs nothing."""
    with _lock:
        before = copied[TICKS], shared[TICKS], _now[0], _state.meter, sys.getrecursionlimit()
        copied[TICKS] = shared[TICKS] = _now[0] = ENDLESS
        _state.meter = None
        sys.setrecursionlimit(max(_BUILD_DEPTH, before[4]))
        try:
            yield
        finally:
            copied[TICKS], shared[TICKS], _now[0], _state.meter = before[:4]
            sys.setrecursionlimit(before[4])


def aside(function: Callable[[Any], Any], thing: Any) -> Any:
    """Call a function of the user's that is not the program's doing: in a step, its ticks are nobody's."""
    state = _state
    meter = state.meter
    if meter is None or _elsewhere():
        return function(thing)
    before = copied[TICKS], shared[TICKS], _now[0]
    copied[TICKS] = shared[TICKS] = _now[0] = ENDLESS
    state.meter = None
    try:
        return function(thing)
    finally:
        copied[TICKS], shared[TICKS], _now[0] = before
        state.meter = meter


codecs.call_codec = aside


def charge(gas: int) -> None:
    """Charge the meter of the step under way; outside steps, nobody.

    Raises:
        Exhausted: there is not that much.
    """
    meter = _state.meter
    if meter is not None and not _elsewhere():
        meter.charge(gas)


def use_up(meter: Meter) -> None:
    """Take all gas out of a meter, as when a stack was too deep: how deep it can be differs between Python versions."""
    meter.owed = meter.filled + 1


def exhaust() -> NoReturn:
    """Use up the meter of the step under way."""
    meter = _state.meter
    if meter is not None and not _elsewhere():
        use_up(meter)
        copied[TICKS] = shared[TICKS] = _now[0] = DRY
    raise Exhausted


def counted(items: Iterator[Any]) -> Iterator[Any]:
    """Return an iterator in C that takes a tick for each item, of whatever step it is pulled in."""
    return map(_first, zip(items, _relay, strict=False))
