"""The driver: the only place that awaits anything.

It lets the stepper work in slices, gives the event loop a turn between them, and waits for the disk in a thread, so
that neither a long block nor a slow disk stops the rest of the program. A cancelled block leaves nothing behind: a
commit that has begun is waited for, whatever happens, and is then there whole.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import anyio
import anyio.lowlevel

if TYPE_CHECKING:
    from runtime.stepper import Stepper
    from runtime.store.base import Commit, Store
    from runtime.workers import Crew

#: How many steps are made between two turns of the event loop.
STEPS_PER_TURN: Final = 2_000


async def drive(stepper: Stepper, crew: Crew | None = None) -> None:
    """Step until the block is over; what begins on workers is sent there, and what comes from there is taken in.

    Args:
        stepper: performs what is performed here.
        crew: the workers; None: there are none.
    """
    if crew is None:
        while stepper.run(STEPS_PER_TURN):
            await anyio.lowlevel.checkpoint()
        return
    kernel = stepper.kernel
    while True:
        for record, ended in crew.collect():
            if kernel.alive(record):
                kernel.take(record, ended)
        more = stepper.run(STEPS_PER_TURN)
        over = kernel.closed is not None or kernel.failed is not None
        if kernel.closed is not None:
            # What nobody has waited for goes on while the root waits for its next block.
            kernel.hand_out()
        crew.send()
        if over or not (more or crew.busy):
            return
        if more:
            await anyio.lowlevel.checkpoint()
        else:
            await crew.arrival()


class Writer:
    """Makes commits in a thread of its own, one after the other."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="lockstep-commit")

    async def commit(self, commit: Commit) -> BaseException | None:
        """Make a commit and wait until it is durable, through any cancellation.

        Returns:
            The cancellation that came meanwhile, for the caller to raise once it has noted that the commit is there.

        Raises:
            StoreError: the commit was not made.
        """
        future = self._thread.submit(self._store.commit, commit)
        # Not by anyio's own threads: their number is limited, and all of them may be waiting for this block.
        loop = asyncio.get_running_loop()
        done = anyio.Event()
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(done.set))
        cancelled: BaseException | None = None
        while not done.is_set():
            try:
                with anyio.CancelScope(shield=True):
                    await done.wait()
            except anyio.get_cancelled_exc_class() as error:
                cancelled = error
        future.result()
        return cancelled

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()
