"""The command that makes room: `prune`."""

from typing import Annotated

import typer

from actors.errors import StoreBusy
from runtime.cli.failing import INTERRUPTED
from runtime.cli.kept import reading
from runtime.cli.parameters import AsJson, Debug, Kept
from runtime.cli.screen import Screen, counted
from runtime.history import History
from runtime.prune import Pruned
from runtime.prune import prune as steps_of
from runtime.store import SqliteStore


def prune(
    keep: Annotated[
        int,
        typer.Option(
            "--keep", metavar="N", min=1, help="How many blocks stay, the head among them.", show_default=False
        ),
    ],
    store: Kept,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Drop all blocks but the last N, on all branches, and sweep out what only they held.

    What the kept ones share stays. The file does not shrink: its room is used again by the blocks that come. Blocks that
    were dropped cannot be shown, verified or reverted to any more. Whatever ends it half-way, kept blocks lose nothing,
    and the same command does the rest.

    A run prunes as it goes with: lockstep run --keep N

      lockstep prune --keep 1000 --store run.db
      lockstep prune --keep 1 --store run.db --json
    """
    screen = Screen(as_json)
    with reading(store):
        pass  # to write would make a store where there is none
    try:
        writer = SqliteStore(store)
    except StoreBusy as error:
        error.add_note("a run can prune as it goes: lockstep run --keep N")
        raise
    done: Pruned | None = None
    try:
        history = History(writer)
        count = history.head.number - history.first + 1
        with screen.bar(None) as bar:
            for done in steps_of(history, keep):
                bar.step(f"{done.blocks:,} blocks dropped, {done.nodes:,} records swept out")
    except KeyboardInterrupt:
        told = "nothing was dropped" if done is None else _done(done)
        screen.remark(f"interrupted: {told}; kept blocks are whole, and the same command does the rest")
        raise typer.Exit(INTERRUPTED) from None
    finally:
        writer.close()
    assert done is not None
    if as_json:
        screen.json(done._asdict())
    elif done.blocks:
        screen.line(f"{_done(done)}; the chain is kept from block {done.first:,} on", cut=False)
    else:
        there = counted(count, "block", "blocks")
        screen.line(f"no block to drop: the chain has {there}, from {done.first:,} on; {_swept(done)}", cut=False)


def _done(done: Pruned) -> str:
    return f"{counted(done.blocks, 'block', 'blocks')} dropped, {_swept(done)}"


def _swept(done: Pruned) -> str:
    return f"{counted(done.nodes, 'record', 'records')} swept out"
