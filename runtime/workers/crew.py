"""The crew: activations that are out, the slots where they run, and what becomes of them.

    offered by the kernel ──▶ waiting ──▶ in flight: a batch in a slot ──▶ landed ──▶ collected by the driver
                 │               ▲               │
                 └─ memo: known  └── the worker died, or lacks something

An activation follows from where it begins alone, so it may be run anywhere, again, or never. Hence the rules here, none
of which shows in a result:

- What travels together, when and to which slot, is decided where it waits (runtime.workers.waiting).
- A worker that dies takes with it what was in flight in its slot, and that is sent again. The batch that it was at work
  on is suspect, unless it had not begun yet: those in it are sent one by one. Who has a worker to himself when it dies `DEATHS_MAX` times, or is stuck
  `STUCK_MAX` times, traps with a host fault.
- What was dropped gives its worker free: if it does not end by itself at once, the worker is replaced. What a revert left
  behind is let run, and remembered, for as long as nothing else wants the slot.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio

from actors.errors import KernelBug
from actors.keys import path_text
from actors.trap import TrapKind
from actors.values import encode
from runtime.events import Ended
from runtime.programs import find, main_name
from runtime.workers import job
from runtime.workers.frames import form, look, pieces_of
from runtime.workers.memo import Memo
from runtime.workers.packer import Packer
from runtime.workers.parcel import Taken
from runtime.workers.placement import Costs
from runtime.workers.programs import Unsendable
from runtime.workers.slot import ProcessSlot, SharedSlot, context
from runtime.workers.tasks import ALL, STATE, Flight, Place
from runtime.workers.tracks import InFlight, Tracks
from runtime.workers.waiting import Waiting

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from runtime.kernel import Kernel
    from runtime.record import Record
    from runtime.store.base import Store
    from runtime.trace import Trace
    from runtime.workers.frames import Form, Piece
    from runtime.workers.memo import Start
    from runtime.workers.tasks import Task

_log = logging.getLogger("lockstep.workers")

#: How often a worker may die under an activation that it runs alone, and how often it may be stuck with it.
DEATHS_MAX: Final = 8
STUCK_MAX: Final = 2
#: How many workers may die in a slot, one after the other, before they have begun, and nobody be suspected of it.
STILLBORN_MAX: Final = 8
#: How long a worker may take to begin, where there is a watchdog.
_START_S_MAX: Final = 60.0
#: How long what was dropped may take to end by itself.
_GRACE_S: Final = 0.02


class Crew:
    """Runs activations on workers.

    Args:
        store: where the nodes of heaps are.
        workers: how many slots.
        executor: where they are; None: processes of our own.
        watchdog_s: how long an activation may take, in seconds of the clock, before its worker is replaced.
        trace: what is told of all this.
    """

    def __init__(
        self,
        store: Store,
        workers: int,
        executor: Executor | None,
        watchdog_s: float | None,
        worker_memory: int | None = None,
        trace: Trace | None = None,
    ) -> None:
        self._store = store
        self._token = os.urandom(16)
        self._watchdog_s = watchdog_s
        how = context()
        self._places = [
            Place(
                number,
                ProcessSlot(how, partial(self._begun, number), worker_memory)
                if executor is None
                else SharedSlot(executor),
            )
            for number in range(workers)
        ]
        self._loop = asyncio.get_running_loop()
        self._kernel: Kernel | None = None
        #: All tasks that are waiting or in flight, by their start.
        self._out: dict[Start, Task] = {}
        self._arrived: list[tuple[Record, Ended]] = []
        self._errors: list[Exception] = []
        self._arrival = anyio.Event()
        self._packer = Packer(store)
        self._costs = Costs()
        self._waiting = Waiting(self._places, self._costs)
        self._memo = Memo()
        self._losses = 0
        self._resting = False
        self._tracks = None if trace is None else Tracks(trace, workers)

    # --- between it and the driver ---

    def serve(self, kernel: Kernel) -> None:
        """Take activations of a kernel from now on."""
        self._kernel, self._losses = kernel, kernel.losses
        kernel.elsewhere = self._offered
        if kernel.turns is None:
            kernel.turns = {}

    @property
    def busy(self) -> bool:
        """Whether something is out that may still arrive, or has arrived."""
        return bool(self._arrived or self._errors) or any(task.record is not None for task in self._out.values())

    async def arrival(self) -> None:
        """Wait until something has arrived."""
        while not (self._arrived or self._errors):
            await self._arrival.wait()

    def collect(self) -> list[tuple[Record, Ended]]:
        """Return what has arrived since.

        Raises:
            StoreError, KernelBug, ReplayDiverged: what broke an activation.
        """
        if self._errors:
            raise self._errors.pop()
        arrived, self._arrived = self._arrived, []
        if self._tracks is not None:
            self._tracks.waits.end([record for record, _ in arrived])
        return arrived

    def in_flight(self) -> list[InFlight]:
        """Return what was sent to workers and is not back, for people."""
        return [
            InFlight(task.path, place.number, flight.since)
            for place in self._places
            for flight in place.flights
            for task in flight.tasks
        ]

    def rest(self) -> None:
        """Send nothing more for now: a commit is being made, and what nodes refer to is not in the store yet."""
        self._resting = True

    def go_on(self) -> None:
        """Send again."""
        self._resting = False
        self.send()

    def forget(self) -> None:
        """Let go of the kernel: its processes are to be no more. What is in flight may land, and is remembered."""
        self._kernel = None
        if self._tracks is not None:
            self._tracks.waits.end()
        self._arrived.clear()
        self._errors.clear()
        self._waiting.clear()
        flying = {task.start: task for place in self._places for flight in place.flights for task in flight.tasks}
        self._out = flying
        for task in flying.values():
            task.record = None
        self._resting = False

    def forget_outcomes(self) -> None:
        """Forget what ran: the store is being swept of what no kept block reaches."""
        self._memo.clear()

    def close(self) -> None:
        """End all workers."""
        self.forget()
        for place in self._places:
            if self._tracks is not None and place.flights:
                self._tracks.lost(place.number, place.flights[0], "ended with the run")
            self._clear(place)

    # --- offered ---

    def _offered(self, record: Record) -> bool:
        kernel = self._kernel
        assert kernel is not None
        if not self._costs.on_worker(record, len(kernel.agenda)):
            record.lodging = None
            return False
        assert record.program is not None
        try:
            number = self._packer.programs.number(record.program, record.fill is not None)
        except Unsendable as error:
            self._give_up(record, "ProgramNotSent", str(error))
            return True
        self._take(self._packer.task(record, number))
        return True

    def _take(self, task: Task) -> None:
        known = self._memo.get(task.start)
        if known is not None:
            if self._tracks is not None:
                self._tracks.known(task.path)
            self._land(task, known, None)
            return
        same = self._out.get(task.start)
        if same is not None:
            # Whoever had that path is no more, and left this behind.
            same.record, same.dropped = task.record, False
            return
        self._out[task.start] = task
        if self._waiting.add(task) and not all(place.flights for place in self._places):
            self.send()

    # --- sent ---

    def send(self) -> None:
        """Send what waits to the slots that have room."""
        kernel = self._kernel
        if self._resting or kernel is None:
            return
        if self._tracks is not None:
            self._tracks.waits.look(self._out.values())
        if kernel.losses != self._losses:
            self._losses = kernel.losses
            self._let_go(kernel)
        waiting = self._waiting
        sent = bool(waiting)
        while sent:
            sent = False
            for place in sorted(self._places, key=_flights):
                if len(place.flights) < waiting.depth(place) and (tasks := waiting.take(place, self._wanted)):
                    self._submit(place, tasks)
                    sent = True
        for place in self._places:
            if place.flights:
                self._doom(place, place.flights[0])

    def _wanted(self, task: Task) -> bool:
        """Tell whether somebody still waits for a task; forget it, if not."""
        assert self._kernel is not None
        if task.record is not None and self._kernel.alive(task.record):
            return True
        self._out.pop(task.start, None)
        return False

    def _let_go(self, kernel: Kernel) -> None:
        """Note which processes in flight are no more."""
        for place in self._places:
            for flight in place.flights:
                for task in flight.tasks:
                    if task.record is not None and not kernel.alive(task.record):
                        task.record, task.dropped = None, True
                        flight.dropped = True

    def _doom(self, place: Place, flight: Flight) -> None:
        """Let a worker be replaced soon that is at work on what nobody waits for, if that was dropped or is in the way."""
        tasks = flight.tasks
        if flight.doomed is None and (
            (flight.dropped and any(task.dropped for task in tasks))
            or (self._waiting.anywhere and all(task.record is None for task in tasks))
        ):
            flight.doomed = self._loop.call_later(_GRACE_S, self._replace, place, flight)

    def _submit(self, place: Place, tasks: list[Task]) -> None:
        slot = place.slot
        begin = 0 if self._tracks is None else self._tracks.now()
        needed: set[int] = set()
        jobs: list[Form] = []
        sent = []
        for task in tasks:
            try:
                made = self._packer.form(task, place)
            except Exception as error:
                self._fail(task, error)
                continue
            jobs += (job.keeping(None if task.lodging is None else task.lodging.number), made)
            sent.append(task)
            needed |= {task.program, *task.others}
        if not sent:
            return
        if slot.remembers:
            needed -= slot.programs
            slot.programs |= needed
        common = encode((self._token, main_name(), self._packer.shared, len(needed)))
        programs = [self._packer.programs.frame(number) for number in sorted(needed)]
        flight = Flight(sent, slot.generation)
        place.flights.append(flight)
        if len(place.flights) == 1:
            self._watch(place)
        batch = form((common, *programs, *jobs))
        flight.size = sum(map(len, pieces_of(batch)))
        landed = partial(self._landed, place, flight)
        try:
            slot.submit(batch, landed)
        except (RuntimeError, OSError, EOFError) as error:
            # Its worker died while it had nothing to do, or cannot be started, or its executor is broken.
            flight.since = None
            self._loop.call_soon(landed, error)
            return
        if self._tracks is not None:
            self._tracks.sent(place.number, flight, begin)

    # --- landed ---

    def _landed(self, place: Place, flight: Flight, answer: Piece | Exception) -> None:
        if flight.generation != place.slot.generation or flight not in place.flights:
            return
        try:
            if isinstance(answer, Exception):
                raise answer
            outcomes = look(answer)
        except Exception as error:
            _log.warning("a worker died: %s: %s", type(error).__name__, error)
            self._died(place, stuck=False)
        else:
            place.flights.remove(flight)
            if flight.doomed is not None:
                flight.doomed.cancel()
            self._watch(place)
            begin = 0 if self._tracks is None else self._tracks.now()
            for task, outcome in zip(flight.tasks, outcomes, strict=True):
                try:
                    self._land(task, outcome, place)
                except Exception as error:
                    self._fail(task, error)
            if self._tracks is not None:
                self._tracks.landed(place.number, flight, outcomes, begin)
        self.send()
        self._ring()

    def _ring(self) -> None:
        if self._arrived or self._errors:
            self._arrival.set()
            self._arrival = anyio.Event()

    def _land(self, task: Task, outcome: Piece, place: Place | None) -> None:
        """Take an outcome; from the memo, where there is no place."""
        read = job.read_frame(outcome)
        kind = read.head[0]
        if kind == job.LACKING:
            self._send_more(task, read.head[1])
            return
        if kind == job.BROKEN:
            self._broken(task, read)
            return
        if place is not None:
            self._memo.put(task.start, outcome)
            self._out.pop(task.start, None)
        record = task.record
        if record is None:
            return
        lodging = task.lodging
        kept = task.form is None or kind == job.TREE or type(task.form) is list
        if place is not None and kept and lodging is not None and lodging.there():
            lodging.calls = []
            record.lodging = lodging
        self._arrived.append((record, self._ended(task, read)))

    def _ended(self, task: Task, outcome: job.Frame) -> Ended:
        kind, past = outcome.head[0], job.past_of(outcome.head)
        self._costs.saw(task.cls, (past.end_ns - past.begin_ns) / 1e9)
        programs = frozenset([find(name) for name in past.ran]) if past.ran else _NONE
        below = dict(past.turns)
        if kind == job.WRITES:
            writes = job.read_writes(outcome)
            return Ended(TrapKind.RETURNED, None, None, past.used, programs, writes, None, below)
        if kind == job.TREE:
            state = Taken(outcome.records, self._store).tree(outcome.head[-1])
            return Ended(TrapKind.RETURNED, None, None, past.used, programs, {}, state, below)
        trap, error = job.trap_of(outcome.head)
        failure = job.Elsewhere(outcome.data[0].decode())
        return Ended(trap, error, failure, past.used, programs, {}, None, below)

    def _send_more(self, task: Task, program: str | None) -> None:
        """Send a task again, with what its worker lacked."""
        if task.record is None:
            self._out.pop(task.start, None)
            return
        try:
            if program is not None:
                number = self._packer.programs.number(find(program))
                if number in task.others:
                    raise KernelBug(f"a worker has no program {program}, though it was sent")
                task.others.add(number)
            elif task.brings == ALL:
                raise KernelBug(f"a worker lacks what {path_text(task.path)} needs, though it was sent all of it")
            else:
                task.brings += 1
        except Exception as error:
            self._fail(task, error)
            return
        task.lodging = None
        self._waiting.add_first(task)

    def _fail(self, task: Task, error: Exception) -> None:
        self._out.pop(task.start, None)
        if task.record is not None:
            self._errors.append(error)

    def _broken(self, task: Task, outcome: job.Frame) -> None:
        what, told = outcome.head[1], outcome.data[0].decode()
        if what == job.EXHAUSTED:
            self._suspect(task, stuck=False, error="OutOfMemory")
            return
        self._out.pop(task.start, None)
        if task.record is None:
            return
        error = job.machine_error(what, told)
        if error is not None:
            self._errors.append(error)
        else:
            name = task.cls.__qualname__
            self._give_up(task.record, "ProgramNotLoaded", f"{name} cannot be loaded in a worker: {told}")

    # --- faults ---

    def _watch(self, place: Place) -> None:
        """Watch the batch that is at work in a slot."""
        first = place.flights[0] if place.flights else None
        if first is not None and first.since is not None:
            return  # It is watched already.
        if place.watch is not None:
            place.watch.cancel()
            place.watch = None
        if first is None:
            return
        if place.slot.ready:
            first.since = time.monotonic_ns()
        if self._watchdog_s is not None:
            seconds = self._watchdog_s * len(first.tasks) if place.slot.ready else _START_S_MAX
            place.watch = self._loop.call_later(seconds, self._stuck, place, first)

    def _begun(self, number: int) -> None:
        """Watch what a worker is at work on that has just begun: its own start does not count."""
        place = self._places[number]
        place.stillborn = 0
        self._watch(place)

    def _stuck(self, place: Place, flight: Flight) -> None:
        if place.flights and place.flights[0] is flight:
            _log.warning("a worker is stuck with %s", ", ".join(path_text(task.path) for task in flight.tasks[:3]))
            self._died(place, stuck=True)
            self.send()
            self._ring()

    def _replace(self, place: Place, flight: Flight) -> None:
        """Replace a worker that is at work on what nobody waits for any more."""
        if flight in place.flights and any(task.record is None for task in flight.tasks):
            if self._tracks is not None:
                self._tracks.lost(place.number, flight, "replaced: what it did is not wanted any more")
            for task in self._clear(place):
                self._again(task)
            self.send()

    def _clear(self, place: Place) -> list[Task]:
        """Replace a worker; return what was in flight there."""
        tasks = [task for flight in place.flights for task in flight.tasks]
        for flight in place.flights:
            if flight.doomed is not None:
                flight.doomed.cancel()
        place.flights.clear()
        self._watch(place)
        place.slot.replace()
        self._waiting.let_go(place)
        return tasks

    def _died(self, place: Place, *, stuck: bool) -> None:
        """Send again what was in flight in a slot; the batch that its worker was at work on, if it was, is suspect."""
        at_work = place.flights[0]
        suspects = at_work.tasks
        if at_work.since is None and not stuck and place.stillborn < STILLBORN_MAX:
            place.stillborn += 1
            suspects = []
        if self._tracks is not None:
            self._tracks.lost(place.number, at_work, "replaced: it was stuck" if stuck else "died")
        for task in reversed(self._clear(place)):
            if task not in suspects:
                self._again(task)
        for task in reversed(suspects):
            if len(suspects) > 1:
                task.alone = True
                self._again(task)
            else:
                task.alone, task.avoids = True, place
                self._suspect(task, stuck=stuck, error="WorkerStuck" if stuck else "WorkerDied")

    def _suspect(self, task: Task, *, stuck: bool, error: str) -> None:
        """Note that a worker died under a task, and whether it was alone; give up, or send it again."""
        if task.alone:
            task.deaths += 1
            task.stuck += stuck
        task.alone = True
        if task.deaths < DEATHS_MAX and task.stuck < STUCK_MAX:
            self._again(task)
            return
        self._out.pop(task.start, None)
        if task.record is not None:
            times = task.stuck if stuck else task.deaths
            self._give_up(task.record, error, f"{path_text(task.path)}: {error}, {times} times")

    def _again(self, task: Task) -> None:
        if task.record is None:
            self._out.pop(task.start, None)
            return
        task.lodging = None
        task.brings = max(task.brings, STATE)
        self._waiting.add_first(task)

    def _give_up(self, record: Record, error: str, told: str) -> None:
        """Let a process trap with a host fault."""
        _log.error("host fault: %s", told)
        if self._tracks is not None:
            self._tracks.given_up(record.path, error)
        failure = job.Elsewhere(told)
        self._arrived.append((record, Ended(TrapKind.HOST_FAULT, error, failure, 0, _NONE, {}, None, {})))


def _flights(place: Place) -> int:
    return len(place.flights)


_NONE: Final[frozenset[Any]] = frozenset()
