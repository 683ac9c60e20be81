"""What a worker does: takes a batch of jobs, runs their activations, answers with the outcomes.

A worker has a kernel of its own for each process that it runs; at the top of it stands a root that does nothing but wait
for that process, in its real parent's place. So what happens below is what happens in the driver: the same kernel,
the same stepper, the process's own children and theirs.

What a worker remembers is a cache: programs, which are sent once; the store, which it only reads; and the processes
whose state is worth keeping, with their coroutines, for the next activation. A job that builds on something which is not
there any more is answered with `lacking`, and comes again with more.
"""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
import weakref
from collections import OrderedDict
from multiprocessing import parent_process
from typing import TYPE_CHECKING, Any, Final

from actors.calls import Put, Status
from actors.cells import recent
from actors.envelope import Limits
from actors.errors import KernelBug, StoreDamaged, StoreError
from actors.failures import traceback_of
from actors.keys import encode_key
from actors.memory import Formed, Memory
from actors.process import Root
from actors.tree import EMPTY
from actors.values import decode
from runtime.guards import install
from runtime.kernel import RAISED, Kernel, perform
from runtime.metering import several_threads
from runtime.programs import ProgramUnknown, identity, work_for
from runtime.record import RUNNING, Record
from runtime.state import freeze, freeze_children
from runtime.stepper import Stepper
from runtime.store import SqliteStore
from runtime.workers import job
from runtime.workers.frames import LONG_BYTES, form, look, pieces_of, split
from runtime.workers.line import serve
from runtime.workers.parcel import LOCAL, Parcel, Received
from runtime.workers.programs import load

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Sequence

    from actors.process import Process
    from runtime.workers.frames import Form, Piece
    from runtime.workers.job import Frame

#: The least memory that a worker can be limited to, in bytes: that of the interpreter with room to work.
WORKER_MEMORY_MIN: Final = 64 << 20
#: How many processes a worker keeps in memory, and how many bytes of those that came fresh.
KEPT_MAX: Final = 256
KEPT_BYTES_MAX: Final = 1 << 28
#: How many written entries of a process that is kept may lie above its tree.
_LAYER_MAX: Final = 1 << 14
#: So many effects are performed between two looks at whether the activation is over: it is then, or never.
_STEPS: Final = 1 << 62


class Lacking(Exception):
    """The worker does not have what a job builds on."""


class Unloadable(Exception):
    """A program could not be loaded here."""


class Parent(Root):
    """Stands where the real parent is: it waits for the child, and closes."""


class _Waiting:
    """The parent's activation: what is left of it when the child has stopped, which is nothing."""

    def send(self, _: Any) -> None:
        raise StopIteration

    def throw(self, error: BaseException) -> None:
        raise error

    def close(self) -> None:
        pass


_WAITING: Final[Any] = _Waiting()


class _Desk:
    """A process in a worker: a kernel with the process below a parent's place."""

    def __init__(self, path: tuple[Any, ...]) -> None:
        root = Record(None, "", Memory())
        root.path, self.name = path[:-1], path[-1]
        root.program = Parent
        self.kernel = Kernel(root)
        self.stepper = Stepper(self.kernel)
        self.path = path
        #: Whether it is no more than its job and its outcome say, and these are short, so that it is not worth keeping.
        self.fresh = False
        #: How many bytes its job has, if it came fresh.
        self.size = 0

    @property
    def child(self) -> Record:
        return self.kernel.root.children[self.name]

    def fill(self, state: Any, gas: int | None) -> None:
        """Put the process there from its state: it is pending in it."""
        self.kernel.root.retained = state
        self.kernel.fetch(self.kernel.root, self.name)
        self._let_begin(gas)

    def put(self, calls: Iterable[Put], gas: int | None, time: Any) -> None:
        """Perform PUTs, the last of which starts it."""
        self.kernel.root.time = time
        for call in calls:
            self._put(call)
        self._let_begin(gas)

    def _let_begin(self, gas: int | None) -> None:
        child = self.child
        child.fill = gas
        if child.held:
            self.kernel.let_begin(child)

    def _put(self, call: Put) -> None:
        root = self.kernel.root
        child = root.children.get(self.name) or root.adopt(Record(root, self.name, Memory()))
        if call.limits is not None:
            child.limit(call.limits)
        perform(self.kernel, child, call)

    def run(self) -> None:
        """Run the activation that begins."""
        kernel, root = self.kernel, self.kernel.root
        kernel.turns = {}
        kernel.closed = kernel.failed = None
        root.journal = []
        root.activation, root.stage = _WAITING, RUNNING
        effect = kernel.handle(root, Status(self.name))
        if effect is not None:
            kernel.agenda.appendleft(effect)
        self.stepper.run(_STEPS)
        if kernel.failed is not None:
            raise KernelBug(f"a worker lost the process that it ran: {kernel.failed}")

    def outcome(self, begin_ns: int) -> Form:
        """Return what became of the activation."""
        kernel, child = self.kernel, self.child
        assert kernel.turns is not None
        turns = tuple((path, count) for path, count in kernel.turns.items() if path != self.path)
        ran = tuple(sorted(identity(program) for program in child.ran or ()))
        past = job.Past(child.used, ran, turns, begin_ns, time.monotonic_ns())
        if child.trap in RAISED:
            failure = kernel.failures.get(child)
            told = ""
            if failure is not None:
                kernel.explain(failure)
                told = traceback_of(failure)
            return job.trapped(past, child.trap.value, child.error or "", told)
        memory = child.memory
        if not child.middle and memory.tree is memory.snap and not len(freeze_children(child)):
            return job.wrote(past, memory.writes)
        self.fresh = False
        parcel = Parcel()
        return job.became(past, parcel.add(freeze(child)), parcel)


class Workshop:
    """What a worker remembers between two batches of one runtime."""

    def __init__(self, store: str | None) -> None:
        self._programs: dict[int, type[Process] | str] = {}
        self._kept: OrderedDict[bytes, _Desk] = OrderedDict()
        self._path = store
        self._reader: SqliteStore | None = None
        #: Stored records that were sent, where this worker cannot read the store.
        self._sent: dict[int, bytes] = {}
        # Before programs come, which take what they need by name.
        install()
        if threading.current_thread() is not threading.main_thread():
            several_threads()

    @property
    def place(self) -> str:
        """Where nodes come from, for people."""
        return self._path or "memory"

    def _opened(self) -> SqliteStore | None:
        if self._reader is None and self._path is not None:
            self._reader = reader = SqliteStore(self._path, writer=False)
            weakref.finalize(self, reader.close)
        return self._reader

    def read_node(self, number: int) -> bytes:
        """Return a stored record."""
        record = self._sent.get(number)
        if record is not None:
            return record
        reader = self._opened()
        if reader is None:
            raise StoreDamaged(f"node {number} was not sent")
        return reader.read_node(number)

    def read_nodes(self, numbers: Sequence[int]) -> dict[int, bytes]:
        """Return many stored records, by number, of those that there are."""
        found = {number: self._sent[number] for number in numbers if number in self._sent}
        reader = self._opened()
        if reader is not None:
            found.update(reader.read_nodes([number for number in numbers if number not in found]))
        return found

    def learn(self, number: int, pickled: bytes) -> None:
        """Load a program."""
        try:
            program = load(pickled)
        except BaseException as error:
            self._programs[number] = f"{type(error).__name__}: {error}"
        else:
            self._programs[number] = program

    def program(self, number: int) -> type[Process]:
        """Return a program that was sent."""
        found = self._programs.get(number)
        if found is None:
            raise Lacking
        if isinstance(found, str):
            raise Unloadable(found)
        return found

    def do(self, keep: bytes, task: Piece) -> Form:
        """Do a job; return its outcome."""
        begin_ns = time.monotonic_ns()
        try:
            desk = self._desk(keep, job.read_frame(task))
            if desk.fresh and len(task) >= LONG_BYTES:
                desk.fresh, desk.size = False, len(task)
            desk.run()
            outcome = desk.outcome(begin_ns)
        except (Lacking, StoreError):
            outcome = job.lacking()
        except Unloadable as error:
            outcome = job.broken(job.UNLOADABLE, str(error))
        except ProgramUnknown as error:
            outcome = job.lacking(error.program)
        except MemoryError as error:
            outcome = job.broken(job.EXHAUSTED, str(error))
        except Exception as error:
            # Whatever a program raises is a trap: what comes up here is the machine's.
            outcome = job.broken_by(error)
        else:
            if keep and not desk.fresh:
                self._keep(keep, desk)
            return outcome
        self._kept.pop(keep, None)
        return outcome

    def _keep(self, keep: bytes, desk: _Desk) -> None:
        if len(desk.child.memory.kept) > _LAYER_MAX:
            desk.child.memory.fold()
        self._kept[keep] = desk
        self._kept.move_to_end(keep)
        while len(self._kept) > KEPT_MAX or sum([kept.size for kept in self._kept.values()]) > KEPT_BYTES_MAX:
            self._kept.popitem(last=False)[1].kernel.end()

    def _desk(self, keep: bytes, task: Frame) -> _Desk:
        """Return the process of a job, about to begin."""
        kind, *head = task.head
        self._sent.update((at, record) for at, record in task.records.items() if at < LOCAL)
        if kind == job.FRESH:
            path, number, gas, time, limits = head
            data = task.data
            entries = tuple([(data[i], Formed(data[i + 1])) for i in range(0, len(data), 2)])
            desk = _Desk(path)
            given = None if limits is None else Limits(*limits)
            desk.put([Put(desk.name, entries, self.program(number), (), True, None, None, given)], gas, time)
            desk.fresh = True
            return desk
        if kind == job.STATE:
            path, number, top, gas = head
            self.program(number)
            desk = _Desk(path)
            desk.fill(EMPTY.graft(encode_key(path[-1]), Received(task.records, self).tree(top)), gas)
            return desk
        kept = self._kept.get(keep)
        if kept is None:
            raise Lacking
        kept.put(job.read_calls(task, kept.name, self.program, self), *head[1:])
        return kept


#: The workshops of this process, by thread and runtime: a pool of threads runs several workers in one process.
_here = threading.local()


def work(batch: bytes) -> bytes:
    """Do a batch of jobs, one after the other; return their outcomes. This is all that an executor is asked to run."""
    return b"".join(pieces_of(_work(batch)))


def _work(batch: bytes) -> Form:
    common, *rest = look(batch)
    runtime, main, store, count = decode(bytes(common))
    work_for(main)
    workshop: Workshop | None = getattr(_here, "workshop", None)
    if workshop is None or _here.runtime != runtime:
        _here.workshop = workshop = Workshop(store)
        _here.runtime = runtime
    for program in rest[:count]:
        number, pickled = split(program)
        workshop.learn(int.from_bytes(number, "big"), pickled)
    jobs = rest[count:]
    return form([workshop.do(bytes(keep), task) for keep, task in zip(jobs[::2], jobs[1::2], strict=True)])


def live(line: socket.socket, memory: int | None = None) -> None:
    """Be a worker process: leave Ctrl-C to the driver, answer its batches, and do not outlive it.

    Args:
        line: where batches come from.
        memory: how many bytes of memory of its own it may have.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if memory is not None:
        import resource

        # What was reserved and is not written to, as by WebAssembly engines, does not count for this limit.
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
        recent.bytes_max = min(recent.bytes_max, memory // 16)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    gc.set_threshold(50_000, 20, 100)
    gc.freeze()
    driver = parent_process()
    if driver is not None:
        threading.Thread(target=_follow, args=(driver,), daemon=True, name="lockstep-driver").start()
    serve(line, _work)


def _follow(driver: Any) -> None:
    driver.join()
    os._exit(1)
