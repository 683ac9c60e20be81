"""How a coroutine is ended that is not at its end: closed, in its own context, inside the fence, and for good.

Closing throws GeneratorExit into it where it stands. What it then does is nobody's business any more: what it writes goes
nowhere, what it raises or awaits is dropped. One that catches even that, and goes on, cannot be ended; it is freed as it is.
"""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager, nullcontext
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from actors.failures import name_of
from actors.keys import path_text
from runtime.guards import here
from runtime.metering import closing
from runtime.programs import identity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actors.process import Process
    from runtime.record import Record

_log: Final = logging.getLogger("lockstep.kernel")

#: Programs that were told of.
_unending: Final[WeakSet[type[Process]]] = WeakSet()


def end(ending: list[Any], record: Record, context: Context | None, metered: bool) -> None:
    """End a coroutine.

    Args:
        ending: has the coroutine, and the last reference to it.
        record: the process.
        context: its context variables; None: it has set none.
        metered: whether it runs on a meter; it ends on an empty one.
    """
    with closing() if metered else nullcontext():
        (Context() if context is None else context).run(_close, ending, record)


def _close(ending: list[Any], record: Record) -> None:
    fence = here.cell
    fence.program = record.program
    try:
        ending[0].close()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        _log.debug("a process that was ended raised %s on its way out", name_of(error))
        if getattr(ending[0], "cr_frame", None) is not None:
            _tell_unending(record)
            # It is closed once more when it is freed, with the same success, of which Python would tell again.
            with _nothing_unraisable():
                ending.clear()
    finally:
        fence.program = None


def _tell_unending(record: Record) -> None:
    """Tell people, once for each program, that it does not end where it is ended."""
    program = record.program
    if program is None or program in _unending:
        return
    _unending.add(program)
    _log.warning(
        "%s (%s) was ended and went on: it catches GeneratorExit; let it catch Exception, or end the handler with raise",
        path_text(record.path),
        identity(program),
    )


@contextmanager
def _nothing_unraisable() -> Iterator[None]:
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        yield
    finally:
        sys.unraisablehook = hook
