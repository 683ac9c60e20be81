"""`Runtime`: a root program, a store, and the blocks that are made of them.

The data's way through a block:

    advance(inputs) → frozen, encoded → the kernel's Input event → the stepper steps processes until the root closes
    the block → the state is folded into one tree, hashed, numbered → one durable commit → Block → the caller

Nothing leaves before the commit. A block that fails, is cancelled, or cannot be committed leaves the head where it was:
the processes in memory are then forgotten, and come back from the head's state when they are needed.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Self

import anyio
import anyio.lowlevel
import anyio.to_thread

from actors.errors import BlockFailed, InputError
from actors.failures import name_of, text_of
from actors.memory import form_of
from actors.process import Root, check_program
from actors.prove import prove
from runtime.chain import Block
from runtime.difference import ProcessDifference, difference
from runtime.driver import Writer, drive
from runtime.events import Input
from runtime.history import History, Which, check_keep
from runtime.inputs import Genesis, block_input
from runtime.keeping import Keeping
from runtime.kernel import Kernel
from runtime.metering import COSTS_VERSION
from runtime.opening import Where, open_chain
from runtime.programs import code_digest, lifted_by
from runtime.settings import check_store, watchdog_of, worker_memory_of, workers_of
from runtime.stepper import Stepper
from runtime.trace import Trace
from runtime.transfer import Transferred, export_block
from runtime.verify import verify_chain
from runtime.view import ProcessView
from runtime.workers import Crew, InFlight

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping
    from concurrent.futures import Executor
    from types import TracebackType

    from actors.keys import Key, Path
    from actors.proof import Proof
    from runtime.prune import Pruned
    from runtime.stepper import Order

_log = logging.getLogger("lockstep")
_NO_INPUTS: Final[Mapping[str, Any]] = {}


class Runtime:
    """Runs a root program block by block. Use it with `async with`.

    Args:
        root: the `Root` subclass at the top.
        store: a path, an open `Store`, or None to keep everything in memory.
        genesis: the entries of the root's first heap: a mapping, (key, value) pairs, or a function that makes them,
            which is called only where the store is new. Where it is not, entries that differ are refused.
        workers: on how many workers activations run that are placed there: as many processes, started when they are
            first needed. As many as there are processors, unless given; 0: everything runs on the loop.
        executor: where batches of activations are run instead of in processes of our own, `workers` of them at a time: any
            `concurrent.futures` executor. It is not shut down.
        watchdog_s: how many seconds of the clock an activation may take on a worker before that is taken to be stuck,
            and is replaced. None: as long as it takes. With workers alone.
        worker_memory: how many bytes of memory of its own a worker may have (RLIMIT_DATA); an activation that needs more
            ends as a host fault, after some tries. None: as much as there is. With workers alone, and not for an `executor`.
        trace: the path of a file that is written meanwhile: what ran, where and when, for Perfetto or chrome://tracing
            (see runtime.trace). A file that is there and is no trace is refused.
        keep: keep about so many of the last blocks, at least as many: older ones, and what only they held, are dropped
            bit by bit as blocks are made, so that the store stops growing. None: all are kept. See `prune`.
        order: in which order effects of different processes are performed; for tests. It never changes a result.
        forget: restore every process from its journal whenever it goes on in the middle; for tests.

    Raises:
        ProgramError: `root` is no root program.
        InputError: what was given for one of these is none of them; the trace cannot be written, when it is entered.
        StoreError: of one kind or another, when it is entered.
    """

    def __init__(
        self,
        root: type[Root],
        store: Where = None,
        genesis: Genesis | None = None,
        *,
        workers: int | None = None,
        executor: Executor | None = None,
        watchdog_s: float | None = None,
        worker_memory: int | None = None,
        trace: str | os.PathLike[str] | None = None,
        keep: int | None = None,
        order: Order | None = None,
        forget: bool = False,
    ) -> None:
        check_program(root, root=True)
        check_store(store)
        self._root = root
        self._where = store
        self._genesis = genesis
        if keep is not None:
            check_keep(keep)
        self._keep = keep
        self._workers = workers_of(workers, executor)
        self._executor = executor
        self._watchdog_s = watchdog_of(watchdog_s, self._workers)
        self._worker_memory = worker_memory_of(worker_memory, executor, self._workers)
        self._trace_at = trace
        self._trace: Trace | None = None
        self._crew: Crew | None = None
        self._order = order
        self._forget = forget
        self._history: History | None = None
        self._writer: Writer | None = None
        self._stepper: Stepper | None = None
        self._turn: anyio.Lock | None = None
        self._keeping: Keeping | None = None

    # --- opening and closing ---

    async def __aenter__(self) -> Self:
        """Open the store; write the genesis into a new one."""
        if self._history is not None:
            raise InputError("this Runtime is open already; make another one for another store")
        if self._trace_at is not None:
            self._trace = Trace(self._trace_at)
        try:
            self._open()
        except BaseException:
            self._end_trace()
            raise
        return self

    def _open(self) -> None:
        self._history = history = open_chain(self._root, self._where, self._genesis)
        store = history.store
        self._writer = Writer(store, self._trace)
        self._keeping = Keeping(self._keep, self._opened, self._writer, self._forget_what_ran)
        if self._workers:
            self._crew = Crew(store, self._workers, self._executor, self._watchdog_s, self._worker_memory, self._trace)
        self._turn = anyio.Lock()

    def _end_trace(self) -> None:
        trace, self._trace = self._trace, None
        if trace is not None:
            trace.close()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the store. What was committed stays; nothing else was anywhere."""
        assert self._turn is not None
        with anyio.CancelScope(shield=True):
            async with self._turn:  # A block that is being made is made first; those that wait are told.
                self._forget_processes()
                if self._crew is not None:
                    self._crew.close()
                if self._writer is not None:
                    self._writer.close()
                if self._history is not None:
                    self._history.store.close()
                self._history = self._writer = self._keeping = self._crew = None
                self._end_trace()

    def _opened(self) -> History:
        if self._history is None:
            raise InputError("the Runtime is not open; use it with `async with Runtime(…) as rt:`")
        return self._history

    # --- blocks ---

    async def advance(self, inputs: object = _NO_INPUTS) -> Block:
        """Make the next block.

        Args:
            inputs: what the root receives: a mapping becomes the entries of its input region, any other value stands
                under the region's own key.

        Returns:
            The block, once it is durable.

        Raises:
            BlockFailed: the root failed; nothing of the block was kept, the head stays.
            ValueRefused, KeyRefused, LimitExceeded: the inputs cannot stand in a heap; or they and what the root returned are
                more than a block keeps; the head stays.
            ReplayDiverged: a process could not be restored; the head stays.
            StoreError: the block could not be committed; the head stays.
            MemoryError: a process on the event loop asked for more memory than there is; the head stays.
            CancelledError: it was cancelled. Where that was during the commit, the block may be there all the same: look at
                `head` before another try.
        """
        self._opened()
        assert self._turn is not None
        form, value, entries = block_input(inputs)
        async with self._turn:
            history = self._opened()
            try:
                making = self._make(history, form, Input(value, entries))
                return await (making if self._trace is None else self._trace.block(history.head.number + 1, making))
            except BaseException:
                # Whatever the processes did since the head's state is not to be: they come back from there.
                self._forget_processes()
                raise

    async def _make(self, history: History, inputs: bytes, event: Input) -> Block:
        writer, keeping = self._writer, self._keeping
        assert writer is not None and keeping is not None
        await keeping.tidy()
        parent = history.head
        stepper = self._stepper
        if stepper is None:
            kernel = Kernel.load(history.head_state)
            stepper = self._stepper = Stepper(kernel, self._order, forget=self._forget)
            if self._crew is not None:
                self._crew.serve(kernel)
        kernel = stepper.kernel
        kernel.handle(kernel.root, event)
        await drive(stepper, self._crew, self._trace)
        if kernel.failed is not None:
            raise _block_failed(parent.number + 1, kernel)
        closed = kernel.closed
        assert closed is not None, "the agenda is empty, and the root has closed no block"
        folding = None if self._trace is None else self._trace.now()
        state = kernel.state()
        data = form_of(closed.data)
        assert data is not None
        code = code_digest(closed.programs)
        if self._crew is not None:
            self._crew.rest()
        nodes = history.nodes_of(state)
        block = Block(
            parent.number + 1,
            parent.hash,
            closed.used,
            state.digest(),
            code,
            inputs,
            data,
            closed.faults,
            COSTS_VERSION if closed.used else None,
            lifted_by(closed.programs),
        )
        if history.store.block(block.hash) is not None:
            # Made before, on a branch that was left: it has nodes of its own, and nobody may hold others in memory.
            state, nodes = history.state(block), []
            self._forget_processes()
            commit = history.revert_of(block)
        else:
            commit = history.commit_of(block, state, nodes)
        if self._trace is not None and folding is not None:
            self._trace.span(self._trace.loop, "state", folding, self._trace.now(), nodes=len(nodes))
        cancelled = await writer.commit(keeping.with_block(commit))
        if self._crew is not None:
            self._crew.go_on()
        keeping.made(len(nodes))
        history.head, history.head_state = block, state
        _log.debug("block %d closed, state root %s", block.number, block.state_root.hex())
        if cancelled is not None:
            raise cancelled
        return block

    def _forget_processes(self) -> None:
        if self._stepper is not None:
            self._stepper.kernel.end()
            self._stepper = None
            if self._crew is not None:
                self._crew.forget()

    def _forget_what_ran(self) -> None:
        """Forget all that may have nodes which no kept block reaches: the head's state has what is needed anew."""
        self._forget_processes()
        if self._crew is not None:
            self._crew.forget_outcomes()

    def in_flight(self) -> list[InFlight]:
        """Return which activations were sent to workers and are not back: by path, slot, and since when; for people."""
        return [] if self._crew is None else self._crew.in_flight()

    @property
    def head(self) -> Block:
        """The block that the next one will have for its parent."""
        return self._opened().head

    def block(self, which: Which) -> Block:
        """Return a block by its number on the chain, or by its hash (bytes, or hex digits) on any branch.

        Raises:
            BlockUnknown: it is not kept, or the chain does not go that far.
        """
        return self._opened().find(which)

    def blocks(self, *, branches: bool = False) -> Iterator[Block]:
        """Yield the blocks from the first that is kept to the head; with `branches`, those of all branches, by number."""
        return self._opened().blocks(branches=branches)

    async def revert(self, block: Which) -> Block:
        """Make a kept block the head again. Later blocks stay readable by their hashes; `advance` makes another branch.

        Raises:
            BlockUnknown: there is no such block.
        """
        self._opened()
        assert self._turn is not None
        async with self._turn:
            history = self._opened()
            assert self._writer is not None
            target = history.find(block)
            state = history.state(target)
            cancelled = await self._writer.commit(history.revert_of(target))
            history.head, history.head_state = target, state
            self._forget_processes()
            if cancelled is not None:
                raise cancelled
        return target

    async def prune(self, keep: int) -> Pruned:
        """Drop all blocks but those of the last `keep` numbers, on all branches, and what only they held.

        What the kept ones share stays, and the room is used again: the file does not shrink, it stops growing. It goes
        on beside `advance`, one pruning after the other; where it is cut off, at any point, nothing is lost, and the
        next one does the rest. Views of dropped blocks cannot be read any more.

        Args:
            keep: how many blocks of the chain are kept, the head among them: at least 1.

        Raises:
            InputError: `keep` is not at least 1.
            StoreError: a step could not be made.
        """
        check_keep(keep)
        self._opened()
        assert self._turn is not None and self._keeping is not None
        return await self._keeping.prune(keep, self._turn)

    def changes(self, old: Which, new: Which) -> Iterator[ProcessDifference]:
        """Tell in what the states behind two blocks differ, be they on one branch or on two.

        It reads what differs, however large the rest is, and lazily: nothing before the first is asked for.

        Args:
            old: a block.
            new: another one, before it or after it.

        Returns:
            An iterator of the processes that differ, parents first: in which keys of their heaps, and in what else.

        Raises:
            BlockUnknown: one of them is not kept. (What is pruned later cannot be read any more.)
        """
        history = self._opened()
        return difference(history.state(old), history.state(new))

    def state(self, block: Which | None = None) -> ProcessView:
        """Return a read-only view of the root process behind a block (the head, if not given), and so of all below it."""
        history = self._opened()
        return ProcessView(history.state(history.head if block is None else block), ())

    def prove(self, block: Which, path: str | Path, *keys: Key) -> Proof:
        """Return a proof that keys of a process's heap have their values, or are absent, in the state behind a block.

        `Proof.verify` checks it against the block's state root, anywhere, with `actors` alone. Keys of one proof share
        the nodes on their ways. A proof has the values themselves, so that of a large value is large.

        Args:
            block: the block.
            path: the process: `"/shards/3"`, or `("shards", 3)`. Of a pending one, its heap is what it was started on.
            keys: the keys, one at least; a tuple is one key.

        Raises:
            NoSuchChild: there is no such process.
            InputError: no key is given.
            KeyRefused, LimitExceeded: one is no key; they are too many for one proof, or their values too large.
            BlockUnknown: there is no such block.
        """
        state = self._opened().state(block)
        return prove(state, ProcessView(state, ()).at(path).path, keys)

    async def verify(
        self, first: int | None = None, last: int | None = None, *, progress: Callable[[Block], None] | None = None
    ) -> int:
        """Execute blocks of the chain again, from the store and in another order of completion, and compare everything.

        Args:
            first: the first block's number; that of the first whose parent is kept, if not given.
            last: the last one's; the head's, if not given.
            progress: called with each block that was verified.

        Returns:
            How many blocks were verified.

        Raises:
            VerifyFailed: at the first difference, with the block, the process, the key, expected and got.
            BlockUnknown: the chain does not have them all, or not the state before the first.
        """
        return await verify_chain(self._opened(), first, last, progress)

    async def export(
        self,
        file: str | os.PathLike[str] | BinaryIO,
        block: Which | None = None,
        *,
        progress: Callable[[int, int], object] | None = None,
    ) -> Transferred:
        """Write a block with its whole state as one stream, of which `import_block` makes a store. Beside `advance`.

        Args:
            file: the path of a file that there is not yet, or a binary file that is open for writing.
            block: the block; the head, if not given.
            progress: told, in another thread, how many entries are through, and how many there are.

        Raises:
            BlockUnknown: the block is not kept, or was pruned meanwhile.
            InputError: the file is there already, or cannot be written.
        """
        history = self._opened()
        found = history.find(history.head if block is None else block)
        cancelled = threading.Event()

        def told(entries: int, whole: int) -> None:
            if cancelled.is_set():
                raise InputError("the export was cancelled")
            if progress is not None:
                progress(entries, whole)

        try:
            return await anyio.to_thread.run_sync(
                lambda: export_block(history.store, found, file, progress=told), abandon_on_cancel=True
            )
        except anyio.get_cancelled_exc_class():
            cancelled.set()
            raise


def _block_failed(number: int, kernel: Kernel) -> BlockFailed:
    """Return the error for a root that failed, with the children's own exceptions behind it, for people."""
    error = kernel.failed
    assert error is not None
    kernel.explain(error)
    failed = BlockFailed(number, name_of(error), text_of(error))
    failed.__cause__ = error
    return failed
