"""The crew: activations that are out, the slots where they run, and what becomes of them.

    offered by the kernel ──▶ waiting ──▶ in flight: a batch in a slot ──▶ landed ──▶ collected by the driver
                 │               ▲               │
                 └─ memo: known  └── the worker died, or lacks something

An activation follows from where it begins alone, so it may be run anywhere, again, or never. Hence the rules here, none
of which shows in a result:

- What begins together for one slot travels together, in batches of about `_BATCH_S`: to send one costs as much as to run
  a small activation. Two batches are under way in a slot while more are waiting than there are slots, so that it is never
  idle; one towards the end, so that no slot has the last two while another has none; and one where activations are so
  long that the way back and there does not count, for what stands behind a long one cannot be done elsewhere.
- A process whose state is large, or which stands in the middle of `run`, goes to the slot that has it in memory.
- A worker that dies takes with it what was in flight in its slot, and that is sent again. The batch that it was at work
  on is suspect: those in it are sent one by one. Who has a worker to himself when it dies `DEATHS_MAX` times, or is stuck
  `STUCK_MAX` times, traps with a host fault.
- What was dropped gives its worker free: if it does not end by itself at once, the worker is replaced. What a revert left
  behind is let run, and remembered, for as long as nothing else wants the slot.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from concurrent.futures import CancelledError
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import anyio

from actors.errors import KernelBug, StoreError
from actors.keys import path_text
from actors.trap import TrapKind
from actors.values import encode
from runtime.kernel import Ended
from runtime.programs import find, main_name
from runtime.record import AT_TOP
from runtime.state import freeze
from runtime.store import SqliteStore
from runtime.workers import job
from runtime.workers.frames import join, split
from runtime.workers.memo import Memo
from runtime.workers.parcel import Held, Parcel, Taken
from runtime.workers.placement import Costs
from runtime.workers.programs import Programs, Unsendable
from runtime.workers.slot import ProcessSlot, SharedSlot, context

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

    from actors.calls import Put
    from actors.tree import Tree
    from runtime.kernel import Kernel
    from runtime.record import Record
    from runtime.store.base import Store
    from runtime.workers.slot import Slot

_log = logging.getLogger("lockstep.workers")

#: How often a worker may die under an activation that it runs alone, and how often it may be stuck with it.
DEATHS_MAX: Final = 8
STUCK_MAX: Final = 2
#: About how long a batch is to take.
_BATCH_S: Final = 0.005
_BATCH_JOBS_MAX: Final = 256
#: What takes longer than this is never sent ahead of its time.
_LONG_S: Final = 0.02
#: How long what was dropped may take to end by itself.
_GRACE_S: Final = 0.02
#: A worker that has so much waiting for it gives some to one that has nothing.
_BACKLOG_S: Final = 0.02
#: How much of what it needs a job brings along: what was put since; its state, but for the store; all of it.
_SINCE, _STATE, _ALL = range(3)


class _Lodging:
    """Where a process is in a worker's memory, and what was put into it since."""

    def __init__(self, place: _Place, number: int) -> None:
        self.place = place
        self.generation = place.slot.generation
        self.number = number
        self.calls: list[Put] = []

    def there(self) -> bool:
        return self.generation == self.place.slot.generation


class _Task:
    """An activation that is out."""

    def __init__(self, record: Record, program: int, start: bytes) -> None:
        #: The process; None: nobody waits for it any more.
        self.record: Record | None = record
        self.path = record.path
        self.program = program
        assert record.program is not None
        self.cls = record.program
        #: What the outcome follows from, as a digest.
        self.start = start
        #: The whole job, where it is small; else the state in which it begins.
        self.form: bytes | None = None
        self.state: Tree | None = None
        self.lodging: _Lodging | None = None
        self.brings = _STATE
        #: Programs that it needs beside its own.
        self.others: set[int] = set()
        #: Whether it is to travel alone, and what its workers died of when it did.
        self.alone = False
        self.deaths = self.stuck = 0


class _Flight:
    """A batch that is under way."""

    def __init__(self, tasks: list[_Task], generation: int) -> None:
        self.tasks = tasks
        self.generation = generation
        #: Whether the worker is to be replaced where this does not land in time.
        self.doomed: asyncio.TimerHandle | None = None


class _Place:
    """A slot with what is under way and waits there."""

    def __init__(self, slot: Slot) -> None:
        self.slot = slot
        self.flights: deque[_Flight] = deque()
        self.waiting: deque[_Task] = deque()
        #: Rings when the batch at work takes too long.
        self.watch: asyncio.TimerHandle | None = None


class Crew:
    """Runs activations on workers.

    Args:
        store: where the nodes of heaps are.
        workers: how many slots.
        executor: where they are; None: processes of our own.
        watchdog_s: how long an activation may take, in seconds of the clock, before its worker is replaced.
    """

    def __init__(self, store: Store, workers: int, executor: Executor | None, watchdog_s: float | None) -> None:
        self._store = store
        self._shared = str(store.path) if isinstance(store, SqliteStore) else None
        self._token = os.urandom(16)
        self._watchdog_s = watchdog_s
        how = None if executor is not None else context()
        self._places = [
            _Place(SharedSlot(executor) if executor is not None else ProcessSlot(how))  # type: ignore[arg-type]
            for _ in range(workers)
        ]
        self._loop = asyncio.get_running_loop()
        self._kernel: Kernel | None = None
        self._waiting: deque[_Task] = deque()
        #: All tasks that are waiting or in flight, by their start.
        self._out: dict[bytes, _Task] = {}
        self._arrived: list[tuple[Record, Ended]] = []
        self._errors: list[Exception] = []
        self._arrival = anyio.Event()
        self._programs = Programs()
        self._costs = Costs()
        self._memo = Memo()
        self._lodgings = 0
        self._resting = False

    # --- between it and the driver ---

    def serve(self, kernel: Kernel) -> None:
        """Take activations of a kernel from now on."""
        self._kernel = kernel
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
        return arrived

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
        self._arrived.clear()
        self._errors.clear()
        self._waiting.clear()
        for place in self._places:
            place.waiting.clear()
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
            self._clear(place)
            place.slot.close()

    # --- offered ---

    def _offered(self, record: Record) -> bool:
        kernel = self._kernel
        assert kernel is not None
        if not self._costs.on_worker(record, len(kernel.agenda)):
            record.lodging = None
            return False
        assert record.program is not None
        try:
            number = self._programs.number(record.program)
        except Unsendable as error:
            self._give_up(record, "ProgramNotSent", str(error))
            return True
        self._take(self._task(record, number))
        return True

    def _task(self, record: Record, number: int) -> _Task:
        lodging, record.lodging = record.lodging, None
        few = record.memory.few() if record.start is AT_TOP and not record.middle else None
        if few is not None:
            form = job.fresh(record.path, number, record.gas, [(key, data) for key, data, _ in few if data is not None])
            task = _Task(record, number, sha256(form).digest())
            task.form = form
            return task
        state = freeze(record)
        start = sha256(encode((record.path, number, state.digest()))).digest()
        task = _Task(record, number, start)
        task.state = state
        if isinstance(lodging, _Lodging) and lodging.there():
            task.lodging, task.brings = lodging, _SINCE
        return task

    def _take(self, task: _Task) -> None:
        known = self._memo.get(task.start)
        if known is not None:
            self._land(task, known, None)
            return
        flying = self._out.get(task.start)
        if flying is not None and flying.record is None:
            flying.record = task.record
            return
        self._out[task.start] = task
        self._wait(task)

    def _wait(self, task: _Task) -> None:
        lodging = task.lodging
        (self._waiting if lodging is None or not lodging.there() else lodging.place.waiting).append(task)

    # --- sent ---

    def send(self) -> None:
        """Send what waits to the slots that have room."""
        kernel = self._kernel
        if self._resting or kernel is None:
            return
        if kernel.orphans:
            self._let_go(kernel)
        for place in self._places:
            while len(place.flights) < self._depth(place):
                tasks = self._next(place)
                if not tasks:
                    break
                self._submit(place, tasks)
        if self._waiting:
            for place in self._places:
                if place.flights and all(task.record is None for task in place.flights[0].tasks):
                    self._doom(place, place.flights[0])

    def _depth(self, place: _Place) -> int:
        queue = place.waiting or self._waiting
        if not queue or (self._costs.seconds(queue[0].cls) or 0.0) > _LONG_S:
            return 1
        return 2 if len(self._waiting) + len(place.waiting) > len(self._places) else 1

    def _let_go(self, kernel: Kernel) -> None:
        """Note which processes are no more, and free the workers that run them."""
        for task in self._out.values():
            if task.record is not None and not kernel.alive(task.record):
                task.record = None
        for place in self._places:
            if place.flights and any(task.record is None for task in place.flights[0].tasks):
                self._doom(place, place.flights[0])

    def _doom(self, place: _Place, flight: _Flight) -> None:
        if flight.doomed is None:
            flight.doomed = self._loop.call_later(_GRACE_S, self._replace, place, flight)

    def _next(self, place: _Place) -> list[_Task]:
        """Return what travels to a slot together, next."""
        tasks: list[_Task] = []
        seconds = 0.0
        share = -(-len(self._waiting) // (2 * len(self._places)))
        while len(tasks) < _BATCH_JOBS_MAX and seconds < _BATCH_S:
            queue = place.waiting or (self._waiting if len(tasks) < share else None) or self._backlog(place, tasks)
            if not queue:
                break
            task = queue[0]
            if task.alone and tasks:
                break
            queue.popleft()
            if task.record is None:
                self._out.pop(task.start, None)
                continue
            tasks.append(task)
            if task.alone:
                break
            known = self._costs.seconds(task.cls)
            seconds += _BATCH_S if known is None else known
        return tasks

    def _backlog(self, place: _Place, tasks: list[_Task]) -> deque[_Task] | None:
        """Return the queue of a slot that has more than it can do soon, for one that has nothing at all."""
        if tasks or place.flights:
            return None
        for other in self._places:
            known = [self._costs.seconds(task.cls) or _BATCH_S for task in other.waiting]
            if len(known) > 1 and sum(known) > _BACKLOG_S:
                return other.waiting
        return None

    def _submit(self, place: _Place, tasks: list[_Task]) -> None:
        slot = place.slot
        needed: set[int] = set()
        jobs = []
        sent = []
        for task in tasks:
            try:
                jobs.append(self._form(task, place))
            except StoreError as error:
                self._fail(task, error)
                continue
            sent.append(task)
            needed |= {task.program, *task.others}
        if not sent:
            return
        if slot.remembers:
            needed -= slot.programs
            slot.programs |= needed
        common = encode((self._token, main_name(), self._shared, len(needed)))
        programs = [self._programs.frame(number) for number in sorted(needed)]
        flight = _Flight(sent, slot.generation)
        place.flights.append(flight)
        if len(place.flights) == 1:
            self._watch(place)
        try:
            future = slot.submit(join((common, *programs, *jobs)))
        except (RuntimeError, OSError) as error:
            # The worker died while nothing was under way there.
            _log.info("a worker took no batch: %s", error)
            self._loop.call_soon(self._landed, place, flight, None)
            return
        future.add_done_callback(lambda done: self._loop.call_soon_threadsafe(self._landed, place, flight, done))

    def _form(self, task: _Task, place: _Place) -> bytes:
        """Return a job as it travels to a slot."""
        if task.form is not None:
            return task.form
        assert task.state is not None
        slot = place.slot
        all_of_it = self._shared is None or task.brings == _ALL
        held = (slot.held if slot.remembers and task.brings != _ALL else Held()) if all_of_it else None
        parcel = Parcel(self._store, held)
        lodging = task.lodging
        if task.brings == _SINCE and lodging is not None and lodging.place is place and lodging.there():
            return job.calls(lodging.number, lodging.calls, self._number(task), parcel)
        if not slot.remembers:
            task.lodging = None
            return job.state(task.path, None, task.program, parcel.add(task.state), parcel)
        self._lodgings += 1
        task.lodging = _Lodging(place, self._lodgings)
        return job.state(task.path, self._lodgings, task.program, parcel.add(task.state), parcel)

    def _number(self, task: _Task) -> Any:
        def number(program: type[Any]) -> int:
            found = self._programs.number(program)
            task.others.add(found)
            return found

        return number

    # --- landed ---

    def _landed(self, place: _Place, flight: _Flight, done: Future[bytes] | None) -> None:
        if flight.generation != place.slot.generation or flight not in place.flights:
            return
        try:
            if done is None:
                raise CancelledError
            outcomes = split(done.result())
        except BaseException as error:
            _log.warning("a worker died: %s: %s", type(error).__name__, error)
            self._died(place, flight, stuck=False)
        else:
            place.flights.remove(flight)
            if flight.doomed is not None:
                flight.doomed.cancel()
            self._watch(place)
            for task, outcome in zip(flight.tasks, outcomes, strict=True):
                self._land(task, outcome, place)
        self.send()
        self._ring()

    def _ring(self) -> None:
        if self._arrived or self._errors:
            self._arrival.set()
            self._arrival = anyio.Event()

    def _land(self, task: _Task, outcome: bytes, place: _Place | None) -> None:
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
        if place is not None and lodging is not None and lodging.there():
            lodging.calls = []
            record.lodging = lodging
        try:
            ended = self._ended(task, read)
        except Exception as error:
            self._fail(task, error)
        else:
            self._arrived.append((record, ended))

    def _ended(self, task: _Task, outcome: job.Frame) -> Ended:
        kind, past, *rest = outcome.head
        used, ran, turns, begin_ns, end_ns = past
        self._costs.saw(task.cls, (end_ns - begin_ns) / 1e9)
        programs = frozenset([find(name) for name in ran]) if ran else _NONE
        below = dict(turns)
        if kind == job.WRITES:
            writes = job.read_writes(outcome)
            return Ended(TrapKind.RETURNED, None, None, used, programs, writes, None, below)
        if kind == job.TREE:
            state = Taken(outcome.records, self._store).tree(rest[0])
            return Ended(TrapKind.RETURNED, None, None, used, programs, {}, state, below)
        failure = job.Elsewhere(outcome.data[0].decode())
        return Ended(TrapKind(rest[0]), rest[1], failure, used, programs, {}, None, below)

    def _send_more(self, task: _Task, program: str | None) -> None:
        """Send a task again, with what its worker lacked."""
        if task.record is None:
            self._out.pop(task.start, None)
            return
        try:
            if program is not None:
                number = self._programs.number(find(program))
                if number in task.others:
                    raise KernelBug(f"a worker has no program {program}, though it was sent")
                task.others.add(number)
            elif task.brings == _ALL:
                raise KernelBug(f"a worker lacks what {path_text(task.path)} needs, though it was sent all of it")
            else:
                task.brings += 1
        except Exception as error:
            self._fail(task, error)
            return
        task.lodging = None
        self._waiting.appendleft(task)

    def _fail(self, task: _Task, error: Exception) -> None:
        self._out.pop(task.start, None)
        if task.record is not None:
            self._errors.append(error)

    def _broken(self, task: _Task, outcome: job.Frame) -> None:
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

    def _watch(self, place: _Place) -> None:
        """Watch the batch that is at work in a slot."""
        if place.watch is not None:
            place.watch.cancel()
            place.watch = None
        if place.flights and self._watchdog_s is not None:
            flight = place.flights[0]
            seconds = self._watchdog_s * len(flight.tasks)
            place.watch = self._loop.call_later(seconds, self._stuck, place, flight)

    def _stuck(self, place: _Place, flight: _Flight) -> None:
        if place.flights and place.flights[0] is flight:
            _log.warning("a worker is stuck with %s", ", ".join(path_text(task.path) for task in flight.tasks[:3]))
            self._died(place, flight, stuck=True)
            self.send()
            self._ring()

    def _replace(self, place: _Place, flight: _Flight) -> None:
        """Replace a worker that is at work on what nobody waits for any more."""
        if flight in place.flights and any(task.record is None for task in flight.tasks):
            for task in self._clear(place):
                self._again(task)
            self.send()

    def _clear(self, place: _Place) -> list[_Task]:
        """Replace a worker; return what was in flight there."""
        tasks = [task for flight in place.flights for task in flight.tasks]
        for flight in place.flights:
            if flight.doomed is not None:
                flight.doomed.cancel()
        place.flights.clear()
        self._watch(place)
        place.slot.replace()
        self._waiting.extendleft(reversed(place.waiting))
        place.waiting.clear()
        return tasks

    def _died(self, place: _Place, flight: _Flight, *, stuck: bool) -> None:
        suspects = place.flights[0].tasks if place.flights else []
        for task in reversed(self._clear(place)):
            if task not in suspects:
                self._again(task)
        for task in reversed(suspects):
            if len(suspects) > 1:
                task.alone = True
                self._again(task)
            else:
                self._suspect(task, stuck=stuck, error="WorkerStuck" if stuck else "WorkerDied")

    def _suspect(self, task: _Task, *, stuck: bool, error: str) -> None:
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

    def _again(self, task: _Task) -> None:
        if task.record is None:
            self._out.pop(task.start, None)
            return
        task.lodging = None
        task.brings = max(task.brings, _STATE)
        self._waiting.appendleft(task)

    def _give_up(self, record: Record, error: str, told: str) -> None:
        """Let a process trap with a host fault."""
        _log.error("host fault: %s", told)
        failure = job.Elsewhere(told)
        self._arrived.append((record, Ended(TrapKind.HOST_FAULT, error, failure, 0, _NONE, {}, None, {})))


_NONE: Final[frozenset[Any]] = frozenset()
