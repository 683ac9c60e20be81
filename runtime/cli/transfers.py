"""The commands that carry a state from one store to another: `export`, `import`."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from actors.errors import InputError
from runtime.cli.block_text import block_json, prefix
from runtime.cli.failing import INTERRUPTED
from runtime.cli.kept import block_of, reading
from runtime.cli.parameters import AsJson, Debug, Kept, WhichBlock
from runtime.cli.screen import Bar, Screen, counted
from runtime.json_form import Json
from runtime.transfer import Transferred, export_block, import_block

_HASH_DIGITS = 64


def _told(bar: Bar) -> Callable[[int, int], None]:
    def told(entries: int, whole: int) -> None:
        bar.step(f"{entries:,} of {whole:,} entries", entries / whole if whole else 1)

    return told


def _json(done: Transferred) -> Json:
    return {**block_json(done.block), "entries": done.entries, "chunks": done.chunks, "bytes": done.size}


# --- export --------------------------------------------------------------------------------------------------------


def export(
    block: WhichBlock,
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="Where to write it: a file that there is not yet; - is standard output."),
    ],
    store: Kept,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Write a block with its whole state into one file, from which lockstep import makes a store.

    The same block gives the same bytes, whatever the store. It takes memory for a chunk of 1 MiB, however large the state
    is, and does not disturb a run that has the store open. FILE is there once it is whole.

      lockstep export head state.export --store run.db
      lockstep export 9f0c21ab - --store run.db | ssh there lockstep import - --store run.db
    """
    screen = Screen(as_json)
    where: Any = file
    if file == "-":
        where = sys.stdout.buffer
        if screen.terminal:
            raise InputError(
                "- would write an export, which is not for people, on the terminal; name a file, or a pipe"
            )
    with reading(store) as history:
        found = block_of(history, block)
        try:
            with screen.bar(1) as bar:
                done = export_block(history.store, found, where, progress=_told(bar))
                if file == "-":
                    sys.stdout.buffer.flush()
        except KeyboardInterrupt:
            screen.remark(f"interrupted: {'the export is not whole' if file == '-' else f'there is no {file}'}")
            raise typer.Exit(INTERRUPTED) from None
    if file == "-":
        screen.remark(f"{_which(done)}: {_size(done)}")
    elif as_json:
        screen.json(_json(done))
    else:
        screen.line(f"{_which(done)} is in {file}: {_size(done)}", cut=False)
        screen.remark(f"whoever imports it can make sure of it: --expect {done.block.hash.hex()}")


def _which(done: Transferred) -> str:
    return f"block {done.block.number} ({prefix(done.block.hash)})"


def _size(done: Transferred) -> str:
    return f"{_entries(done)}, {done.size:,} bytes"


def _entries(done: Transferred) -> str:
    return counted(done.entries, "entry", "entries")


# --- import --------------------------------------------------------------------------------------------------------


def import_(
    file: Annotated[str, typer.Argument(metavar="FILE", help="What lockstep export wrote; - is standard input.")],
    store: Annotated[
        Path, typer.Option("--store", metavar="PATH", help="The store to be made, one file.", show_default=False)
    ],
    expect: Annotated[
        str | None,
        typer.Option(
            "--expect", metavar="HASH", help="The block's hash; an export of any other is refused.", show_default=False
        ),
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="If FILE is refused in its middle, keep what came before, to go on later.")
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Give up what another import left; begin anew with this one.")
    ] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Make a store of an export; it goes on from that block to the same blocks as the one that it comes from.

    Everything is checked when it comes: the state is that of the block, and the block that of its hash. Whether that is the
    block that you want, --expect says: take the hash from somebody whom you trust (lockstep show prints it).

    The store grows as PATH.partial. Was it interrupted, or killed, the same command goes on there. A FILE that is damaged,
    cut off or forged is refused, with the place, and nothing is left; with --partial the same command goes on behind what
    was good, once FILE is mended, or whole.

      lockstep import state.export --store copy.db
      lockstep import state.export --store copy.db --expect $HASH --partial
    """
    screen = Screen(as_json)
    where: Any = sys.stdin.buffer if file == "-" else file
    try:
        with screen.bar(1) as bar:
            done = import_block(
                where,
                store,
                expect=None if expect is None else _hash(expect),
                partial=partial,
                restart=restart,
                progress=_told(bar),
            )
    except KeyboardInterrupt:
        screen.remark("interrupted: the same command goes on from there")
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        screen.json(_json(done))
        return
    screen.line(f"{_which(done)} is the head of {store}: {_entries(done)}", cut=False)


def _hash(text: str) -> bytes:
    digits = text.lower().removeprefix("0x")
    if len(digits) != _HASH_DIGITS or digits.strip("0123456789abcdef"):
        raise InputError(
            f"{text!r} is no block's hash: it takes all {_HASH_DIGITS} hex digits, as lockstep show prints them"
        )
    return bytes.fromhex(digits)
