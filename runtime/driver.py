"""The driver: the only place that awaits anything.

It lets the stepper work in slices, gives the event loop a turn between them, and waits for the disk in a thread, so
that neither a long block nor a slow disk stops the rest of the program. A cancelled block leaves nothing behind: a
commit that has begun is waited for, whatever happens, and is then there whole.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.lowlevel

from actors.keys import path_text
from runtime.store import MemoryStore

if TYPE_CHECKING:
    from runtime.events import Ended
    from runtime.kernel import Kernel
    from runtime.record import Record
    from runtime.stepper import Stepper
    from runtime.store.base import Commit, Store
    from runtime.trace import Trace
    from runtime.workers import Crew

#: How many steps are made between two turns of the event loop.
STEPS_PER_TURN: Final = 2_000
#: The same where there are workers: between two turns they get nothing new, and nobody looks at what they are done with.
STEPS_BESIDE_WORKERS: Final = 500
#: Seconds that a commit may take before the loop stands still for it, and for how long it then does.
_PATIENCE: Final = 0.002
_GIVEN: Final = 0.000_2


async def drive(stepper: Stepper, crew: Crew | None = None, trace: Trace | None = None) -> None:
    """Step until the block is over; what begins on workers is sent there, and what comes from there is taken in.

    Args:
        stepper: performs what is performed here.
        crew: the workers; None: there are none.
        trace: what is told of it.
    """
    if crew is None:
        while _step(stepper, trace):
            await anyio.lowlevel.checkpoint()
        return
    kernel = stepper.kernel
    while True:
        for record, ended in crew.collect():
            if kernel.alive(record):
                _take(kernel, record, ended, trace)
        more = _step(stepper, trace, STEPS_BESIDE_WORKERS)
        over = kernel.closed is not None or kernel.failed is not None
        if kernel.closed is not None:
            # What nobody has waited for goes on while the root waits for its next block.
            kernel.hand_out()
        crew.send()
        if over or not (more or crew.busy):
            return
        if more:
            await anyio.lowlevel.checkpoint()
        elif trace is None:
            await crew.arrival()
        else:
            with trace.during("waits for workers"):
                await crew.arrival()


def _step(stepper: Stepper, trace: Trace | None, steps: int = STEPS_PER_TURN) -> bool:
    if trace is None:
        return stepper.run(steps)
    with trace.during("step"):
        return stepper.run(steps)


def _take(kernel: Kernel, record: Record, ended: Ended, trace: Trace | None) -> None:
    if trace is None:
        kernel.take(record, ended)
        return
    with trace.during("take in", path=path_text(record.path)):
        kernel.take(record, ended)


class Writer:
    """Makes commits in a thread of its own, one after the other."""

    def __init__(self, store: Store, trace: Trace | None = None) -> None:
        self._store = store
        self._trace = trace
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="lockstep-commit")

    async def commit(self, commit: Commit) -> BaseException | None:
        """Make a commit and wait until it is durable, through any cancellation.

        Returns:
            The cancellation that came meanwhile, for the caller to raise once it has noted that the commit is there.

        Raises:
            StoreError: the commit was not made.
        """
        if type(self._store) is MemoryStore:  # It is done before a thread would be awake.
            await anyio.lowlevel.checkpoint()
            self._tell(commit, *self._made(commit))
            return None
        future = self._thread.submit(self._made, commit)
        # Not by anyio's own threads: their number is limited, and all of them may be waiting for this block.
        loop = asyncio.get_running_loop()
        done = anyio.Event()
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(done.set))
        cancelled: BaseException | None = None
        while not done.is_set():
            try:
                with anyio.CancelScope(shield=True), anyio.move_on_after(_PATIENCE):
                    await done.wait()
            except anyio.get_cancelled_exc_class() as error:
                cancelled = error
            # A loop of short turns lets go of the interpreter's lock and has it again before the other thread is awake.
            concurrent.futures.wait([future], _GIVEN)
        self._tell(commit, *future.result())
        return cancelled

    def _tell(self, commit: Commit, begin: int, end: int) -> None:
        if self._trace is not None:
            self._trace.span(self._trace.commits, "commit", begin, end, **_told(commit))

    def _made(self, commit: Commit) -> tuple[int, int]:
        begin = time.monotonic_ns()
        self._store.commit(commit)
        return begin, time.monotonic_ns()

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()


def _told(commit: Commit) -> dict[str, Any]:
    """Return what a trace tells of a commit."""
    return {
        "blocks": [number for number, _, _ in commit.blocks],
        "nodes": len(commit.nodes),
        "bytes": sum(len(record) for _, record in commit.nodes),
        "dropped_nodes": len(commit.dropped_nodes),
        "dropped_blocks": len(commit.dropped_blocks),
    }
