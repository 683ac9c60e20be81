"""What is kept in a store, opened for reading: no program, no lock, and no harm to a run that has it open.

A block is named as git names a commit: a number or the first digits of a hash, or `head`; and `~n` behind any of these
for its n-th parent.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from actors.errors import BlockUnknown, CodecError, InputError, StoreError
from runtime.cli.program_file import load
from runtime.history import History
from runtime.store import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from runtime.chain import Block

_NAMED: Final = re.compile(r"(?P<base>[^~]+)(?:~(?P<back>[0-9]*))?")


@contextmanager
def reading(path: Path, files: Sequence[str] | None = ()) -> Iterator[History]:
    """Open a store for reading, and close it at the end.

    Args:
        path: where it is.
        files: what to import first, for the classes that are registered there.

    Raises:
        StoreError: there is none, or it has no block yet.
    """
    for file in files or ():
        load(file)
    store = SqliteStore(path, writer=False)
    try:
        if store.head() is None:
            raise StoreError(f"{path} has no block yet, not even the genesis; look again when the run has begun")
        yield History(store)
    except CodecError as error:
        if "registered" in str(error):
            error.add_note("here: --load FILE imports it")
        raise
    finally:
        store.close()


def block_of(history: History, named: str) -> Block:
    """Return the block that an argument names.

    Raises:
        InputError: it names none.
        BlockUnknown: no such block is kept.
    """
    match = _NAMED.fullmatch(named)
    if match is None:
        raise _names_none(named)
    base, back = match["base"], match["back"]
    try:
        block = history.head if base.lower() == "head" else history.find(base)
    except InputError:
        raise _names_none(named) from None
    steps = 0 if back is None else int(back or "1")
    if steps > block.number:
        raise BlockUnknown(f"{named} is before the genesis: {base} is block {block.number}")
    if steps and history.store.hash_at(block.number) == block.hash:
        return history.find(block.number - steps)
    for _ in range(steps):
        if block.number <= history.first:
            raise BlockUnknown(
                f"{named}: block {block.number - 1} was pruned: blocks are kept from number {history.first} on"
            )
        block = history.find(block.parent)
    return block


def _names_none(named: str) -> InputError:
    return InputError(
        f"{named!r} names no block; say a number, the first digits of a hash (at least 4), head, or head~2"
    )
