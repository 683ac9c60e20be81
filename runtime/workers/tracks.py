"""What the crew tells a trace (runtime.trace): batches and activations by worker, waits, deaths, what was known already.

A batch lies on its worker's track from its first activation's begin to its last one's end, by the worker's clock: the
host's monotonic one, which is the same for all its processes. Its way there and back is told in numbers, since two batches
of one worker are under way at once. Batches that overlap all the same (in an executor that somebody handed in, several
are at work at once) lie side by side.

A wait is seen between two turns of the loop: one that begins and ends within a turn is none. To see them, all that is out
is looked at; where that is much, not after every turn, and what began since the last look begins with the next.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from actors.keys import path_text
from runtime.programs import identity
from runtime.trace import LOCKSTEP, WORKERS
from runtime.workers import job

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from actors.keys import Path
    from actors.process import Process
    from runtime.record import Record
    from runtime.trace import Trace, Track
    from runtime.workers.frames import Piece

#: How many paths of what was lost are named.
_NAMED_MAX: Final = 8
#: So many may be out and be looked at after every turn; where they are more, looking has this share of the time.
_OUT_MAX: Final = 1_000
#: So many waits at one time are told; no viewer shows tens of thousands of tracks.
_WAITS_MAX: Final = 256
_LOOKING: Final = 0.1


class InFlight(NamedTuple):
    """An activation that was sent to a worker, and is not back."""

    path: Path
    slot: int
    #: When the worker turned to its batch, by `time.monotonic_ns`; None: it is at another one.
    since: int | None


class Task(Protocol):
    """What is told of an activation."""

    path: Path
    cls: type[Process]
    record: Record | None


class Flight(Protocol):
    """What is told of a batch."""

    size: int
    sent: int
    since: int | None

    @property
    def tasks(self) -> Sequence[Task]:
        """The activations in it."""
        ...


class Lanes:
    """The tracks of a slot: one, and more where batches overlap.

    Args:
        trace: where.
        name: what they are.
    """

    def __init__(self, trace: Trace, name: str) -> None:
        self._trace = trace
        self._name = name
        #: The track that there always is.
        self.first = trace.track(WORKERS, name)
        self._lanes = [(self.first, 0)]

    def take(self, begin: int, end: int) -> Track:
        """Return a track on which nothing lies behind `begin`; it is taken up to `end`."""
        for at, (track, taken) in enumerate(self._lanes):
            if taken <= begin:
                self._lanes[at] = (track, end)
                return track
        track = self._trace.track(WORKERS, f"{self._name}, beside {len(self._lanes)}")
        self._lanes.append((track, end))
        return track

    @property
    def taken(self) -> int:
        """Up to when the first track is taken."""
        return self._lanes[0][1]


class Waits:
    """The tracks of waits: as many as there are waits at one time, and `_WAITS_MAX` at most.

    Args:
        trace: where.
    """

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._tracks = [trace.track(LOCKSTEP, "waits")]
        self._free = [0]
        #: The processes for which their parents wait: since when, and on which track, where there was one.
        self._since: dict[Record, tuple[int, int | None]] = {}
        self._next_look = 0
        #: Whether there were more at one time than are told.
        self._too_many = False

    def look(self, tasks: Collection[Task]) -> None:
        """Note for which of the processes that are out their parents wait, and for which nobody does any more."""
        begin = self._trace.now()
        if len(tasks) > _OUT_MAX and begin < self._next_look:
            return
        self.end([record for record in self._since if not record.alive()])
        now = self._trace.now()
        for task in tasks:
            record = task.record
            if record is not None and record.awaited and record not in self._since:
                self._since[record] = (now, heappop(self._free) if self._free else self._new())
        end = self._trace.now()
        self._next_look = end + round((end - begin) / _LOOKING)

    def _new(self) -> int | None:
        number = len(self._tracks)
        if number == _WAITS_MAX:
            if not self._too_many:
                self._trace.instant(self._trace.loop, "more wait than are told", told=_WAITS_MAX)
            self._too_many = True
            return None
        self._tracks.append(self._trace.track(LOCKSTEP, f"waits, beside {number}"))
        return number

    def end(self, records: Collection[Record] | None = None) -> None:
        """Tell of waits that are over: for these processes, if they were waited for; for all, if none are given."""
        for record in list(self._since) if records is None else records:
            begin, number = self._since.pop(record, (0, None))
            if number is not None:
                name = f"{path_text(record.path[:-1])} waits for {path_text(record.path)}"
                self._trace.span(self._tracks[number], name, begin, self._trace.now())
                heappush(self._free, number)


class Tracks:
    """The tracks of a crew.

    Args:
        trace: where.
        slots: how many slots there are.
    """

    def __init__(self, trace: Trace, slots: int) -> None:
        self._trace = trace
        self._slots = [Lanes(trace, f"worker {number}") for number in range(slots)]
        self.waits = Waits(trace)

    def now(self) -> int:
        """Return the time."""
        return self._trace.now()

    def sent(self, slot: int, flight: Flight, begin: int) -> None:
        """Tell that a batch was made, from `begin` on, and sent."""
        trace = self._trace
        trace.span(trace.loop, f"send to {slot}", begin, trace.now(), jobs=len(flight.tasks), bytes=flight.size)

    def landed(self, slot: int, flight: Flight, outcomes: Sequence[Piece], begin: int) -> None:
        """Tell that a batch was back at `begin`, and has landed; and what ran in it."""
        trace = self._trace
        size = sum(map(len, outcomes))
        trace.span(trace.loop, f"landed from {slot}", begin, trace.now(), jobs=len(outcomes), bytes=size)
        heads = [job.read_head(outcome) for outcome in outcomes]
        ran = [
            (task, head)
            for task, head in zip(flight.tasks, heads, strict=True)
            if head[0] in (job.WRITES, job.TREE, job.TRAPPED)
        ]
        told = {
            "jobs": len(outcomes),
            "sent_again": len(outcomes) - len(ran),
            "bytes_there": flight.size,
            "bytes_back": size,
        }
        if not ran:
            trace.instant(self._slots[slot].first, "a batch of which nothing could be done", **told)
            return
        pasts = [job.past_of(head) for _, head in ran]
        began, ended = pasts[0].begin_ns, pasts[-1].end_ns
        track = self._slots[slot].take(began, ended)
        way = {"us_there": (began - flight.sent) / 1_000, "us_back": (begin - ended) / 1_000}
        trace.span(track, "batch", began, ended, **told, **way)
        for (task, head), past in zip(ran, pasts, strict=True):
            args: dict[str, Any] = {"program": identity(task.cls), "trap": _trap(head), "gas_used": past.used}
            if task.record is None:
                args["for_nobody"] = True
            trace.span(track, path_text(task.path), past.begin_ns, past.end_ns, **args)

    def lost(self, slot: int, flight: Flight, why: str) -> None:
        """Tell that the batch at work was lost with its worker."""
        trace = self._trace
        lanes = self._slots[slot]
        end = trace.now()
        begin = max(flight.sent if flight.since is None else flight.since, lanes.taken)
        told = [path_text(task.path) for task in flight.tasks[:_NAMED_MAX]]
        trace.span(lanes.take(begin, end), "batch, lost", begin, end, jobs=len(flight.tasks), paths=told, why=why)
        trace.instant(lanes.first, why)

    def given_up(self, path: Path, error: str) -> None:
        """Tell that a process traps with a host fault."""
        self._trace.instant(self._trace.loop, f"host fault: {error}", path=path_text(path))

    def known(self, path: Path) -> None:
        """Tell that what becomes of an activation was known already."""
        self._trace.instant(self._trace.loop, "known already", path=path_text(path))


def _trap(head: tuple[Any, ...]) -> str:
    if head[0] != job.TRAPPED:
        return "returned"
    trap, error = job.trap_of(head)
    return f"{trap.name.lower().replace('_', ' ')}: {error}"
