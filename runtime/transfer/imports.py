"""Imports: a stream into a new store, which goes on from its block as the one did that it comes from.

The store grows under another name, PATH.partial, a commit for every chunk: its records, and how far the import is. So it
can be stopped at any moment, and the next import of the same stream goes on there. The last commit brings the block and
makes it the head; then the store is closed, and PATH is its name. A stream that is refused leaves nothing at all.

Nothing of a stream reaches the store before it was checked (runtime.transfer.receiver). What is checked is that the state
is that of the block, and the block that of its hash; whether the hash is the right one, only he knows who asked for it.
"""

from __future__ import annotations

import os
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from actors.cells import DIGEST_BYTES
from actors.errors import CodecError, InputError, StoreDamaged, StoreError, StoreFormat
from actors.values import decode, encode
from runtime.history import ROOT_PROGRAM, History
from runtime.state import control_of
from runtime.store import Commit, SqliteStore
from runtime.transfer.files import appear, check_absent, partial_of
from runtime.transfer.receiver import NAME, Receiver
from runtime.transfer.stream import (
    CHUNK_BYTES,
    LAST,
    Chunk,
    ChunkReader,
    Header,
    StreamRefused,
    Transferred,
    read_header,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_ITEMS_MAX: Final = 2**48
_MEND: Final = "--restart (restart=True) begins anew with this one"


def import_block(
    file: str | os.PathLike[str] | BinaryIO,
    path: str | os.PathLike[str],
    *,
    expect: bytes | None = None,
    partial: bool = False,
    restart: bool = False,
    progress: Callable[[int, int], object] | None = None,
) -> Transferred:
    """Make a store of an export.

    Args:
        file: the path of the export, or a binary file that is open for reading.
        path: the store, which is not there yet.
        expect: the block's hash, from somebody whom you trust: an export of any other is refused at once.
        partial: where the export is refused in its middle, keep what came before that, to go on once it is mended.
        restart: do not go on with what another import left; begin anew.
        progress: told, now and then, how many of the entries are through, and how many there are. What it raises ends it;
            the next import goes on there.

    Raises:
        StreamRefused: the export is damaged, cut off or forged, or not of the block that was expected; nothing is left of
            the store.
        InputError: `path` is there already, `file` cannot be read, or another import began with something else.
        StoreError: the store cannot be written; once it can, the next import goes on where this one was.
    """
    whole = Path(os.path.realpath(path))
    growing = partial_of(whole)
    check_absent(whole)
    with _opened(file) as (opened, place):
        chunks = ChunkReader(opened, place)
        header = _read_header(chunks, expect)
        if restart:
            _give_up(growing)
        try:
            with closing(SqliteStore(growing)) as store:
                _Import(store, chunks, header, progress).run()
        except StreamRefused:
            if not partial:
                _discard(growing)
            raise
        except StoreDamaged as error:
            told = f"{growing}, which an import left, is damaged"
            raise StoreDamaged(f"{told}; --restart (restart=True) gives it up and begins anew") from error
    if Path(f"{growing}-wal").exists():
        raise StoreError(f"{growing} is open in another process; close that, then give the import again: all has come")
    try:
        _discard(growing, ("-shm", "-lock"))
        appear(whole)
    except OSError as error:
        told = f"{growing} is whole and cannot have the name {whole.name}: {error.strerror or error}"
        raise StoreError(f"{told}; see to that, then give the import again") from error
    return Transferred(header.block, header.entries, chunks.chunks, chunks.size)


def _read_header(chunks: ChunkReader, expect: bytes | None) -> Header:
    chunk = chunks.next()
    header = read_header(chunk)
    block = header.block
    if expect is not None and expect != block.hash:
        told = f"it is of block {block.number} with the hash {block.hash.hex()}, not {expect.hex()}"
        raise StreamRefused(chunks.place, 0, chunk.offset, told, "name an export of the block that you want")
    return header


@contextmanager
def _opened(file: str | os.PathLike[str] | BinaryIO) -> Iterator[tuple[BinaryIO, str]]:
    if not isinstance(file, (str, os.PathLike)):
        yield file, "standard input" if getattr(file, "name", None) == "<stdin>" else "the export"
        return
    try:
        opened = Path(file).open("rb")  # noqa: SIM115 - closed below; an error of the body is not one of opening it
    except OSError as error:
        raise InputError(f"{file} cannot be read: {(error.strerror or str(error)).lower()}") from None
    with opened:
        yield opened, str(file)


class _Import:
    """One import into one store that nobody else has open."""

    def __init__(
        self,
        store: SqliteStore,
        chunks: ChunkReader,
        header: Header,
        progress: Callable[[int, int], object] | None,
    ) -> None:
        self._store = store
        self._chunks = chunks
        self._header = header
        self._progress = progress
        self._begun_with = chunks.chain
        #: Where in the next chunk to go on.
        self._at = 0
        self._receiver = Receiver(store, header.entries, header.digest)

    def run(self) -> None:
        """Take all that is not in the store yet."""
        head, saved = self._store.head(), self._store.meta(NAME)
        if head is not None:
            if saved is not None or head != self._header.block.hash:
                raise self._another()
            return  # all had come but the name
        if saved is not None:
            self._go_on(saved)
        elif self._store.next_number() != 1:
            raise self._another()
        while True:
            before = (self._chunks.chunks, self._chunks.chain)
            chunk = self._chunks.next()
            self._take(chunk, before)
            if self._progress is not None:
                self._progress(self._receiver.entries, self._header.entries)
            if chunk.kind == LAST:
                break
            self._commit(self._chunks.chunks, self._chunks.chain, 0)
        self._chunks.end()
        self._finish(chunk)

    def _another(self) -> InputError:
        return InputError(f"{self._store.place} was left by an import of something else: give that again, or {_MEND}")

    def _go_on(self, saved: bytes) -> None:
        """Pass over what has come already, and stand behind it."""
        try:
            if sha256(saved[DIGEST_BYTES:]).digest() != saved[:DIGEST_BYTES]:
                raise CodecError("it does not have its digest")
            begun_with, count, chain, self._at, receiver = decode(saved[DIGEST_BYTES:])
            self._receiver.restore(receiver)
        except (ValueError, TypeError) as error:
            raise StoreDamaged(
                f"{self._store.place} is damaged: how far the import is cannot be read: {error}"
            ) from error
        if begun_with != self._begun_with:
            raise self._another()
        while self._chunks.chunks < count:
            self._chunks.next()
        if self._chunks.chain != chain:
            raise self._another()

    def _take(self, chunk: Chunk, before: tuple[int, bytes]) -> None:
        items = chunk.varint(_ITEMS_MAX) if chunk.kind == LAST else None
        begin, end = chunk.position, len(chunk.data)
        chunk.position = max(begin, self._at)
        self._at = 0
        # The first time round, what was left unsettled in this chunk when another import was stopped.
        self._settle(chunk, before)
        if items is None and end < CHUNK_BYTES:
            raise chunk.refuse(f"it has {end} bytes, too few for one that others follow")
        while chunk.position < end:
            if chunk.position - begin >= CHUNK_BYTES:
                raise chunk.refuse("it should have ended here")
            self._receiver.take(chunk)
            self._settle(chunk, before)
        if items is None:
            return
        if end - begin >= CHUNK_BYTES:
            raise chunk.refuse("it is too long to be the last")
        if self._receiver.top is None:
            raise chunk.refuse("the state is not whole")
        if items != self._receiver.items:
            raise chunk.refuse(f"it says that there were {items} items, and there were {self._receiver.items}")

    def _settle(self, chunk: Chunk, before: tuple[int, bytes]) -> None:
        while not self._receiver.settle():
            self._commit(*before, chunk.position)

    def _commit(self, chunks: int, chain: bytes, at: int) -> None:
        """Make what is new durable, and that so many chunks are through, and of the next one what is before `at`."""
        receiver, meta = self._receiver.save()
        place = encode((self._begun_with, chunks, chain, at, receiver))
        meta[NAME] = sha256(place).digest() + place
        self._store.commit(Commit(nodes=self._receiver.records(), meta=meta))
        self._receiver.committed()

    def _finish(self, chunk: Chunk) -> None:
        """Make the block the head."""
        assert self._receiver.top is not None
        header = self._header
        state = header.state(self._receiver.top, self._receiver)
        try:
            program = control_of(state, "/").program
        except StoreDamaged as error:
            raise chunk.refuse(str(error)) from error
        if not isinstance(program, str):
            raise chunk.refuse("its root process has no program")
        self._store.commit(
            History.begin_of(
                header.block,
                state,
                self._receiver.records(),
                {ROOT_PROGRAM: program.encode()},
                header.genesis,
                self._receiver.names(),
            )
        )


# --- what is left --------------------------------------------------------------------------------------------------


def _give_up(growing: Path) -> None:
    """Take away what another import left. Not while that goes on, and nothing that no import made."""
    if not growing.exists():
        return
    try:
        with closing(SqliteStore(growing)) as store:
            imported = len(list(store.hashes())) < 2
    except StoreDamaged:
        imported = True
    except StoreFormat:
        imported = False
    if not imported:
        raise InputError(f"{growing} was not left by an import; choose another path, or remove it yourself")
    _discard(growing)


def _discard(growing: Path, which: Iterable[str] = ("-wal", "-shm", "", "-lock")) -> None:
    """Remove a store that is closed. Its log first: a store that comes into being beside one would take it for its own."""
    for suffix in which:
        Path(f"{growing}{suffix}").unlink(missing_ok=True)
