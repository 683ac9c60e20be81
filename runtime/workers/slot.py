"""Slots: places at which batches of jobs are done, each one worker wide.

A `ProcessSlot` is an OS process of its own, behind a `ProcessPoolExecutor` of one worker: what it remembers of earlier
batches is there for the next, and where it dies, what was under way there dies alone. A `SharedSlot` is a place in an
executor that somebody handed in: nobody knows which worker of it gets a batch, so nothing is remembered there.

Workers are started by a fork server (spawned, where there is none): this process has threads, which a plain fork would
copy in the middle of what they do; and theirs is another hash seed. The user's main script is not run again in them:
programs travel with what they need of it.
"""

from __future__ import annotations

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, Protocol

import actors
from runtime.workers.parcel import Held
from runtime.workers.worker import begin, work

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor, Future
    from multiprocessing.context import BaseContext

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

    def submit(self, batch: bytes) -> Future[bytes]:
        """Send a batch."""
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
    """A worker process of our own."""

    remembers = True

    def __init__(self, how: BaseContext) -> None:
        self._how = how
        self._pool: ProcessPoolExecutor | None = None
        self.generation = 0
        self.programs: set[int] = set()
        self.held = Held()

    def submit(self, batch: bytes) -> Future[bytes]:
        """Send a batch; the first one starts the worker."""
        if self._pool is not None:
            return self._pool.submit(work, batch)
        self._pool = ProcessPoolExecutor(1, mp_context=self._how, initializer=begin)
        with _without_main():
            return self._pool.submit(work, batch)

    def replace(self) -> None:
        """Kill the worker."""
        pool, self._pool = self._pool, None
        self.generation += 1
        self.programs = set()
        self.held = Held()
        if pool is not None:
            # The executor has no call for this before Python 3.14.
            processes: list[Any] = list((pool._processes or {}).values())
            for process in processes:
                process.kill()
            pool.shutdown(wait=True, cancel_futures=True)
            for process in processes:
                process.join()


class SharedSlot:
    """A place in an executor that is not ours."""

    remembers = False

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self.generation = 0
        self.programs: set[int] = set()
        self.held = Held()

    def submit(self, batch: bytes) -> Future[bytes]:
        """Send a batch."""
        return self._executor.submit(work, batch)

    def replace(self) -> None:
        """Forget what is under way; its worker cannot be ended from here, and the executor is whoever's handed it in."""
        self.generation += 1
