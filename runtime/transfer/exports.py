"""Exports: the stream of a block into a file.

The file is written beside its name, as FILE.partial, and has its name once it is whole and on the disk. Nothing is locked:
the store may be written meanwhile. If the block is pruned meanwhile, the export ends by an error that says so.
"""

from __future__ import annotations

import os
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from actors.errors import BlockUnknown, InputError, StoreError
from runtime.history import History
from runtime.store import SqliteStore
from runtime.transfer.files import appear, check_absent, partial_of
from runtime.transfer.sender import Sender
from runtime.transfer.stream import ChunkWriter, Transferred, write_header

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runtime.chain import Block
    from runtime.history import Which
    from runtime.store.base import Store


def export_block(
    store: str | os.PathLike[str] | Store,
    which: Which,
    file: str | os.PathLike[str] | BinaryIO,
    *,
    progress: Callable[[int, int], object] | None = None,
) -> Transferred:
    """Write a block with its whole state.

    Args:
        store: the store that has it: its path, or itself, open.
        which: the block.
        file: the path of a file that there is not yet, or a binary file that is open for writing.
        progress: told, now and then, how many of the entries are through, and how many there are. What it raises ends it.

    Raises:
        BlockUnknown: it is not kept, or was pruned meanwhile.
        StoreDamaged: the store is; nothing is left of the file.
        InputError: the file is there already, or cannot be written.
    """
    if isinstance(store, (str, os.PathLike)):
        with closing(SqliteStore(store, writer=False)) as opened_store:
            return export_block(opened_store, which, file, progress=progress)
    history = History(store)
    block = history.find(which)
    if isinstance(file, (str, os.PathLike)):
        with _written(Path(file)) as opened:
            return _export(history, block, opened, str(file), progress)
    return _export(history, block, file, "the export", progress)


def _export(
    history: History, block: Block, file: BinaryIO, place: str, progress: Callable[[int, int], object] | None
) -> Transferred:
    state = history.state(block)

    def write(data: bytes) -> None:
        try:
            file.write(data)
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise  # whoever reads has enough
            raise _unwritten(place, error) from error

    def told(entries: int) -> None:
        if progress is not None:
            progress(entries, len(state))

    chunks = ChunkWriter(write)
    chunks.header(write_header(block, history.genesis_root(), state))
    try:
        with Sender(_Source(history.store), chunks.item, told) as sender:
            sender.send(state)
    except _Unread as unread:
        if history.store.block(block.hash) is None:
            raise BlockUnknown(
                f"block {block.number} was pruned while it was exported; export one that is kept"
            ) from unread.error
        raise unread.error from None
    chunks.end()
    told(sender.entries)
    return Transferred(block, len(state), chunks.chunks, chunks.size)


class _Unread(Exception):
    """A node could not be read. No error of the store's: those count as damage (actors.cells) before it is known why."""

    def __init__(self, error: StoreError) -> None:
        super().__init__(error)
        self.error = error


class _Source:
    def __init__(self, store: Store) -> None:
        self._store = store
        self.place = store.place

    def read_node(self, number: int) -> bytes:
        try:
            return self._store.read_node(number)
        except StoreError as error:
            raise _Unread(error) from error


def _unwritten(place: str, error: OSError) -> InputError:
    told = (error.strerror or str(error)).lower()
    return InputError(f"{place} cannot be written: {told}; see to that, or choose another path")


@contextmanager
def _written(file: Path) -> Iterator[BinaryIO]:
    """Open a file that is to be there whole or not at all."""
    partial = partial_of(file)
    check_absent(file)
    try:
        partial.unlink(missing_ok=True)  # of an export that was killed
        opened = partial.open("xb")
    except OSError as error:
        raise _unwritten(str(file), error) from error
    mine = os.fstat(opened.fileno())
    try:
        with opened:
            yield opened
            opened.flush()
            os.fsync(opened.fileno())
        if not os.path.samestat(mine, partial.stat()):
            raise InputError(f"{partial} was written by another export meanwhile; let one at a time write {file}")
        appear(file)
    except BaseException as error:
        with suppress(OSError):
            if os.path.samestat(mine, partial.stat()):
                partial.unlink()
        if isinstance(error, OSError):
            raise _unwritten(str(file), error) from error
        raise
