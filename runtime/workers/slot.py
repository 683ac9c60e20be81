"""Slots: places at which batches of jobs are done, each one worker wide.

A `ProcessSlot` is an OS process of its own, at the end of a line (runtime.workers.line): what it remembers of earlier
batches is there for the next, and where it dies, what was under way there dies alone. A `ProcessPoolExecutor` would do the
same with two threads of this process between it and the worker, which take the interpreter from the loop, and wait for it,
for every batch. A `SharedSlot` is a place in an executor that somebody handed in: nobody knows which worker of it gets a
batch, so nothing is remembered there.

Workers are started by a fork server (spawned, where there is none): this process has threads, which a plain fork would
copy in the middle of what they do; and theirs is another hash seed. The user's main script is not run again in them:
programs travel with what they need of it.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, Protocol

import actors
from runtime.workers.frames import pieces_of
from runtime.workers.line import Line
from runtime.workers.parcel import Held
from runtime.workers.worker import live, work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor, Future
    from multiprocessing.context import BaseContext

    from runtime.workers.frames import Form
    from runtime.workers.line import Landed

_PRELOADED: Final = "runtime.workers.preloaded"
_PACKAGES: Final = {"actors": Path(actors.__file__).parent, "runtime": Path(__file__).parents[1]}


class Slot(Protocol):
    """Where batches are done, one after the other."""

    #: Whether one and the same worker does all of them, so that what was sent once is there.
    remembers: bool
    #: Grows whenever the worker is another one.
    generation: int
    #: The programs that it has been sent, and what of the store, by its worker.
    programs: set[int]
    held: Held
    #: Whether its worker has begun; where nobody can tell, it has.
    ready: bool

    def submit(self, batch: Form, landed: Landed) -> None:
        """Send a batch; `landed` is called on the loop with the answer, or with why there will be none.

        Raises:
            OSError, RuntimeError, EOFError: it could not be sent; nobody is called.
        """
        ...

    def replace(self) -> None:
        """End the worker at once, whatever it does, and wait until it is gone; the next batch gets a new one."""
        ...


def context() -> BaseContext:
    """Return how workers are started."""
    methods = multiprocessing.get_all_start_methods()
    if "forkserver" not in methods:
        return multiprocessing.get_context("spawn")
    chosen = multiprocessing.get_context("forkserver")
    # The fork server is what imports first, for all workers; but it looks in the working directory before all else.
    at = Path.cwd()
    if not any(_is_another(at / path, place) for name, place in _PACKAGES.items() for path in (name, f"{name}.py")):
        chosen.set_forkserver_preload([_PRELOADED])
    return chosen


def _is_another(path: Path, place: Path) -> bool:
    """Tell whether there is a module at a path that goes by the name of the package at `place`, and is not that."""
    return path.exists() and path.resolve() != place.resolve()


@contextmanager
def _without_main() -> Iterator[None]:
    """Let no process that is started meanwhile run the user's main script again."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


class ProcessSlot:
    """A worker process of our own.

    Args:
        how: how it is started, at the first batch.
        begun: called when it has begun.
        memory: how many bytes of memory of its own it may have; None: as much as there is.
    """

    remembers = True

    def __init__(self, how: BaseContext, begun: Callable[[], None], memory: int | None = None) -> None:
        self._how = how
        self._memory = memory
        self.begun = begun
        self._process: Any = None
        self._line: Line | None = None
        self.generation = 0
        self.programs: set[int] = set()
        self.held = Held()
        self.ready = False

    @property
    def pid(self) -> int | None:
        """The worker's process, if there is one."""
        return None if self._process is None else self._process.pid

    def submit(self, batch: Form, landed: Landed) -> None:
        """Send a batch; the first one starts the worker."""
        line = self._line or self._start()
        line.send(batch, landed)

    def _start(self) -> Line:
        ours, theirs = socket.socketpair()
        with theirs, _without_main():
            # A daemon: where nobody ends it, this process's end does.
            process = self._how.Process(target=live, args=(theirs, self._memory), name="lockstep-worker", daemon=True)  # type: ignore[attr-defined]
            try:
                process.start()
            except BaseException:
                ours.close()
                raise
        self._process = process
        self._line = Line(ours, self._has_begun)
        return self._line

    def _has_begun(self) -> None:
        self.ready = True
        self.begun()

    def replace(self) -> None:
        """Kill the worker."""
        process, self._process = self._process, None
        line, self._line = self._line, None
        self.generation += 1
        self.programs = set()
        self.held = Held()
        self.ready = False
        if line is not None:
            line.close()
        if process is not None:
            process.kill()
            process.join()
            process.close()


class SharedSlot:
    """A place in an executor that is not ours."""

    remembers = False
    ready = True

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._loop = asyncio.get_running_loop()
        self.generation = 0
        self.programs: set[int] = set()
        self.held = Held()

    def submit(self, batch: Form, landed: Landed) -> None:
        """Send a batch."""

        def done(future: Future[bytes]) -> None:
            with suppress(RuntimeError):  # An executor may end it when the loop is closed already.
                self._loop.call_soon_threadsafe(landed, _answer(future))

        self._executor.submit(work, b"".join(pieces_of(batch))).add_done_callback(done)

    def replace(self) -> None:
        """Forget what is under way; its worker cannot be ended from here, and the executor is whoever's handed it in."""
        self.generation += 1


def _answer(future: Future[bytes]) -> bytes | Exception:
    """Return what became of a batch that is done."""
    if future.cancelled():
        return RuntimeError("its executor cancelled it")
    error = future.exception()
    if error is None:
        return future.result()
    return error if isinstance(error, Exception) else RuntimeError(f"its worker raised {type(error).__name__}")
