"""The commands that run programs: `run`, `verify`.

`run` makes block i of the i-th line of its input that is not blank. Where the store has that block already, the line is
compared with what the block was made of, and skipped; so whatever ended a run, the same command goes on with it, and
an input file that was edited behind its back is told, not mixed in.
"""

import asyncio
import dataclasses
import signal
import threading
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from hashlib import sha256
from types import FrameType
from typing import Annotated, Any, Final

import typer

from actors.errors import BlockFailed, InputError, KeyRefused, LimitExceeded, ValueRefused
from actors.keys import path_text
from actors.values import decode, encode
from runtime.chain import Block
from runtime.cli.block_text import BlockList
from runtime.cli.failing import INTERRUPTED
from runtime.cli.input_lines import InputLine, InputLines
from runtime.cli.kept import reading
from runtime.cli.parameters import AsJson, Debug, Kept, Program, TraceFile, Watchdog, WorkerMemory, Workers
from runtime.cli.program_file import load_root
from runtime.cli.screen import Bar, Screen, counted, one_line
from runtime.json_form import to_json
from runtime.loop import run as run_to_end
from runtime.machine import Runtime
from runtime.store import SqliteStore
from runtime.workers import InFlight

#: How much of a line an error shows.
_BRIEF: Final = 60
#: How often the progress bar learns what runs on workers.
_LOOK_S: Final = 0.25


@dataclasses.dataclass
class Tally:
    """How far a run has come."""

    #: The head's number, None before the store is open.
    head: int | None = None
    #: How many lines were blocks already, and how many of these blocks were pruned.
    known: int = 0
    pruned: int = 0
    #: The number of the first block that was made, and how many were.
    first: int = 0
    made: int = 0

    def add(self, block: Block) -> None:
        """Count a block that was made."""
        self.head = block.number
        self.first = self.first or block.number
        self.made += 1

    def __str__(self) -> str:
        told = []
        if self.known:
            told.append(f"{_blocks(1, self.known)} {_were(self.known)} there already")
        if self.pruned:
            told.append(f"{_blocks(1, self.pruned)} {_were(self.pruned)} pruned, so not compared")
        if self.made:
            told.append(f"{_blocks(self.first, self.first + self.made - 1)} made")
        return ", ".join(told) or "no block made"


def _blocks(first: int, last: int) -> str:
    return f"block {first:,}" if first == last else f"blocks {first:,} to {last:,}"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


# --- run -----------------------------------------------------------------------------------------------------------


def run(
    program: Program,
    source: Annotated[
        str, typer.Option("--input", metavar="FILE", help="The blocks' inputs, one JSON a line; - is standard input.")
    ],
    store: Annotated[
        str | None,
        typer.Option(
            "--store", metavar="PATH", help="Keep the blocks in this file; else in memory.", show_default=False
        ),
    ] = None,
    append: Annotated[
        bool, typer.Option("--append", help="All lines are new blocks behind the head; else line 1 is block 1.")
    ] = False,
    keep: Annotated[
        int | None,
        typer.Option(
            "--keep", metavar="N", min=1, help="Prune as it goes: keep about the last N blocks.", show_default=False
        ),
    ] = None,
    workers: Workers = None,
    watchdog: Watchdog = None,
    worker_memory: WorkerMemory = None,
    trace: TraceFile = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Run a program: each line of the input makes one block.

    A run that was ended, even by a power cut, goes on by the same command: lines whose blocks are in the store are
    checked against them and skipped (without a check where the blocks were pruned). A line is JSON; an object's entries stand in the region "block" of the root's heap.
    What JSON does not have is tagged: {"$tuple": [1, 2]}, {"$bytes": "00ff"}, {"$set": []}, {"$map": [[1, "one"]]}.

    Printed for each block: its number, the first digits of its hash and of its state root, the gas used, its data.

      lockstep run squares.py:Squares --input blocks.jsonl --store squares.db
      tail -f feed.jsonl | lockstep run squares.py --input - --append --store squares.db --json
      lockstep run squares.py:Squares --input blocks.jsonl --workers 4 --trace trace.json
    """
    screen = Screen(as_json)
    tally = Tally()
    with screen.only_ours():
        root = load_root(program)
        runtime = Runtime(
            root,
            store,
            workers=workers,
            watchdog_s=watchdog,
            worker_memory=None if worker_memory is None else worker_memory << 20,
            trace=trace,
            keep=keep,
        )
        with InputLines(source) as lines, screen.bar(lines.size, running=True) as bar:
            try:
                run_to_end(
                    _interrupted_aloud(screen, _advance(runtime, store, lines, screen, bar, tally, append=append))
                )
            except KeyboardInterrupt:
                interrupted = True
            else:
                interrupted = False
    if interrupted:
        screen.remark(_interrupted(store, tally, append))
        raise typer.Exit(INTERRUPTED)
    screen.remark(_done(store, tally))


def _done(store: str | None, tally: Tally) -> str:
    if store is None:
        return f"{tally}, in memory only; --store PATH keeps blocks"
    return f"{tally}; the head is block {tally.head:,}"


def _interrupted(store: str | None, tally: Tally, append: bool) -> str:
    if store is None:
        return f"interrupted: {tally}, in memory only"
    # With --append the same command would begin with the first line again.
    rest = f"{tally.made:,} lines are through" if append else "the same command goes on from there"
    return f"interrupted: {tally}; {rest}"


async def _interrupted_aloud(screen: Screen, work: Coroutine[Any, Any, None]) -> None:
    """Tell of the first interruption, which lets a step that is under way end first; the second one does not.

    The handler is set here, inside the loop, for the loop has set its own by then. It is called in the middle of a step,
    where the guards let nothing be printed: a thread of its own does that.
    """
    of_loop = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(of_loop):
        await work
        return
    interrupted, over = threading.Event(), threading.Event()

    def tell() -> None:
        interrupted.wait()
        if not over.is_set():
            screen.remark("interrupting after this step; once more to stop now")

    def note(number: int, frame: FrameType | None) -> None:
        interrupted.set()
        of_loop(number, frame)

    telling = threading.Thread(target=tell, name="lockstep-interrupted", daemon=True)
    telling.start()
    signal.signal(signal.SIGINT, note)
    try:
        await work
    finally:
        signal.signal(signal.SIGINT, of_loop)
        if not interrupted.is_set():
            over.set()
            interrupted.set()
        telling.join()


async def _advance(
    runtime: Runtime, store: str | None, lines: InputLines, screen: Screen, bar: Bar, tally: Tally, *, append: bool
) -> None:
    blocks = BlockList(screen)
    async with runtime, _shown(runtime, bar):
        known = 0 if append else runtime.head.number
        first = next(runtime.blocks()).number
        tally.head = runtime.head.number
        try:
            async for line in lines:
                if line.index <= known:
                    tally.known += 1
                    if line.index < first:
                        tally.pruned += 1
                    else:
                        _compare(line, runtime.block(line.index), store, first)
                    bar.block(line.index, line.end)
                    continue
                block = await _made(runtime, line, store)
                tally.add(block)
                blocks.add(block)
                bar.block(block.number, line.end)
        finally:
            # An interruption may come while a block is being committed: it is there all the same.
            if runtime.head.number > tally.head:
                tally.add(runtime.head)
                blocks.add(runtime.head)


@asynccontextmanager
async def _shown(runtime: Runtime, bar: Bar) -> AsyncIterator[None]:
    """Show meanwhile what runs on workers."""

    async def look() -> None:
        while True:
            bar.running(_running(runtime.in_flight()))
            await asyncio.sleep(_LOOK_S)

    looking = asyncio.create_task(look()) if bar.shown else None
    try:
        yield
    finally:
        if looking is not None:
            looking.cancel()


def _running(flying: list[InFlight]) -> str:
    at_work = [(one.since, one.path) for one in flying if one.since is not None]
    if not at_work:
        return ""
    since, path = min(at_work, key=lambda one: one[0])
    slots = counted(len({one.slot for one in flying}), "worker", "workers")
    # The path comes last, for it is what a narrow terminal cuts off.
    return f"{len(flying):,} on {slots}, {(time.monotonic_ns() - since) / 1e9:.1f} s at {path_text(path)}"


async def _made(runtime: Runtime, line: InputLine, store: str | None) -> Block:
    try:
        return await runtime.advance(line.value())
    except (ValueRefused, KeyRefused, LimitExceeded) as error:
        raise line.refuse(str(error)) from error
    except BlockFailed as error:
        kept = "" if store is None else "; mend the program or the line, and the same command goes on with it"
        error.add_note(f"its inputs are {line}{kept}")
        raise


def _compare(line: InputLine, block: Block, store: str | None, first: int) -> None:
    """Check that a line says what its block was made of."""
    value = line.value()
    try:
        form = encode(value)
    except (ValueRefused, LimitExceeded) as error:
        raise line.refuse(str(error)) from error
    if sha256(form).digest() == block.inputs_digest:
        return
    before = block.number - 1
    another = f"to make another block {block.number}, first: lockstep revert {before} --store {store}\n"
    if before < first:
        another = f"there can be no other block {block.number}: the one before it was pruned\n"
    raise line.refuse(
        f"block {block.number} of {store} was made of other inputs\n"
        f"  the line   {_brief(form)}\n"
        f"  the block  {_brief(block.inputs_form)}\n{another}"
        "to add all lines behind the head, whatever is there: --append"
    )


def _brief(form: bytes) -> str:
    text = one_line(to_json(decode(form)))
    return text if len(text) <= _BRIEF else text[: _BRIEF - 1] + "…"


# --- verify --------------------------------------------------------------------------------------------------------


def verify(
    program: Program,
    store: Kept,
    first: Annotated[
        int | None,
        typer.Option(
            "--first", metavar="N", min=1, help="The first block to verify; else all are.", show_default=False
        ),
    ] = None,
    last: Annotated[
        int | None,
        typer.Option("--last", metavar="N", min=1, help="The last one; the head if not given.", show_default=False),
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Execute blocks again, and compare with the store.

    It only reads, also while a run has the store open. At the first difference it names the block, the process and the
    key, and ends with exit code 1.

      lockstep verify squares.py:Squares --store squares.db
      lockstep verify squares.py:Squares --store squares.db --first 100 --last 200
    """
    screen = Screen(as_json)
    with reading(store) as history:
        head, kept = history.head.number, history.first
    if last is not None and last > head:
        raise InputError(f"--last is {last}, but the head is block {head}")
    if first is not None and first > head:
        raise InputError(f"--first is {first}, but the head is block {head}")
    if first is not None and last is not None and first > last:
        raise InputError(f"--first is {first} and --last is {last}; the first comes first")
    if first is None:
        first = kept + 1 if last is None else min(kept + 1, last)
    last = head if last is None else last
    verified = 0

    def count(block: Block) -> None:
        nonlocal verified
        verified += 1
        bar.block(block.number, verified)

    async def main() -> None:
        async with Runtime(root, store=SqliteStore(store, writer=False)) as runtime:
            await runtime.verify(first, last, progress=count)

    with screen.only_ours():
        root = load_root(program)
        with screen.bar(last - first + 1) as bar:
            try:
                run_to_end(main)
            except KeyboardInterrupt:
                interrupted = True
            else:
                interrupted = False
    if interrupted:
        screen.remark(f"interrupted: {verified:,} of {last - first + 1:,} blocks verified, all as kept")
        raise typer.Exit(INTERRUPTED)
    if as_json:
        screen.json({"verified": verified, "first": first, "last": last})
    elif verified:
        screen.line(f"{_blocks(first, last)} verified: state root, data and gas are what the store has")
    else:
        only = "the genesis, which nothing executed" if not head else f"block {head:,}, the state before it was pruned"
        screen.line(f"nothing to verify: there is only {only}")
