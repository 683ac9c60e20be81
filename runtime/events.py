"""What the kernel is told, and what it says: events come in, effects go out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from actors.calls import Call
from runtime.record import Record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.keys import Path
    from actors.memory import Slot
    from actors.process import Process
    from actors.trap import TrapKind
    from actors.tree import Tree


class Returned(NamedTuple):
    """Event: `run` returned."""

    value: Any


class Failed(NamedTuple):
    """Event: an exception left `run`."""

    error: BaseException


class ChildStopped(NamedTuple):
    """Event: the child that a process waits for has stopped."""


class Ended(NamedTuple):
    """Event: an activation that ran elsewhere, with all below it, is over."""

    trap: TrapKind
    #: What ended it, where that was no return: the name for everybody, and the exception for people.
    error: str | None
    failure: BaseException | None
    used: int
    ran: frozenset[type[Process]]
    #: What it wrote, by encoded key, where that is all that became of it; else the state that it is in now.
    writes: Mapping[bytes, Slot]
    state: Tree | None
    #: How often the processes below it were waited for.
    turns: Mapping[Path, int]


class Input(NamedTuple):
    """Event, for the root alone: the next block's input."""

    #: What the program gets, and what goes into the input region: keys behind it, and slots.
    value: Slot
    entries: list[tuple[bytes, Slot]]


class Closed(NamedTuple):
    """What the kernel says of a block that the root closed."""

    data: Slot
    used: int
    programs: frozenset[type[Process]]
    faults: tuple[Fault, ...]


#: A host fault: the path of the process, how often it had been waited for in the block before, what it was.
Fault: TypeAlias = "tuple[Path, int, str]"

Event: TypeAlias = Call | Returned | Failed | ChildStopped | Ended | Input

#: Effect: resume a process with an answer (begin it where there is no activation), or throw it the error.
Effect: TypeAlias = tuple[Record, Any, "BaseException | None"]
