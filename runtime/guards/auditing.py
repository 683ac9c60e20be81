"""The audit hook: what CPython audits, it asks about before it does it, and whoever raises then prevents it.

A hook cannot be taken away again, and is asked about every event of every thread; outside a fence it looks no further.
"""

from __future__ import annotations

import sys
from typing import Any, Final

from runtime.guards.callers import refuse
from runtime.guards.fence import here
from runtime.guards.table import DIRECT_EVENTS, EVENTS

_CALLS: Final = {
    "builtins.id": "id()",
    "builtins.input": "input()",
    "ctypes.dlopen": "ctypes.CDLL()",
    "socket.__new__": "socket.socket()",
}


def add_hook() -> None:
    """Install it."""
    sys.addaudithook(_hook)


def _hook(event: str, _: tuple[Any, ...]) -> None:
    if here.cell.program is None:
        return
    guard = EVENTS.get(event) or EVENTS.get(event.partition(".")[0])
    if guard is not None:
        refuse(guard, _CALLS.get(event) or f"{event}()", direct=event in DIRECT_EVENTS)
