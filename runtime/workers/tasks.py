"""What the crew keeps of an activation that is out, of a batch under way, and of a slot."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from actors.calls import Put
    from actors.tree import Tree
    from runtime.record import Record
    from runtime.workers.frames import Form
    from runtime.workers.memo import Start
    from runtime.workers.slot import Slot

#: How much of what it needs a job brings along: what was put since; its state, but for the store; all of it.
SINCE, STATE, ALL = range(3)


class Lodging:
    """Where a process is in a worker's memory, and what was put into it since."""

    def __init__(self, place: Place, number: int) -> None:
        self.place = place
        self.generation = place.slot.generation
        self.number = number
        self.calls: list[Put] = []

    def there(self) -> bool:
        return self.generation == self.place.slot.generation


class Task:
    """An activation that is out."""

    def __init__(self, record: Record, program: int, start: Start) -> None:
        #: The process; None: nobody waits for it any more.
        self.record: Record | None = record
        self.path = record.path
        self.program = program
        assert record.program is not None
        self.cls = record.program
        self.gas = record.fill
        self.time = record.time
        #: What the outcome follows from.
        self.start = start
        #: The whole job, where it is small; else the state in which it begins.
        self.form: Form | None = None
        self.state: Tree | None = None
        self.lodging: Lodging | None = None
        self.brings = STATE
        #: Programs that it needs beside its own.
        self.others: set[int] = set()
        #: Whether its process was dropped, so that its worker is to be freed.
        self.dropped = False
        #: Whether it is to travel alone, and what its workers died of when it did.
        self.alone = False
        self.deaths = self.stuck = 0
        #: Where that was last: it goes elsewhere, if there is room.
        self.avoids: Place | None = None


class Flight:
    """A batch that is under way."""

    def __init__(self, tasks: list[Task], generation: int) -> None:
        self.tasks = tasks
        self.generation = generation
        #: Whether the worker is to be replaced where this does not land in time.
        self.doomed: asyncio.TimerHandle | None = None
        #: Whether something in it was dropped since it was sent.
        self.dropped = False
        #: How many bytes were sent and when, and since when the worker is at it (`time.monotonic_ns`).
        self.size = 0
        self.sent = time.monotonic_ns()
        self.since: int | None = None


class Place:
    """A slot with what is under way and waits there."""

    def __init__(self, number: int, slot: Slot) -> None:
        self.number = number
        self.slot = slot
        self.flights: deque[Flight] = deque()
        self.waiting: deque[Task] = deque()
        #: How many workers died here before they had begun, since the last one that did.
        self.stillborn = 0
        #: Rings when the batch at work takes too long.
        self.watch: asyncio.TimerHandle | None = None
