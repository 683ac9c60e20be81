"""What the tests of export and import share: states without a run, and streams that are put together by hand."""

from __future__ import annotations

import io
import sqlite3
from contextlib import closing, contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from actors import Root
from actors.cells import from_cell
from actors.keys import encode_key
from actors.memory import slot_at
from actors.region import View
from actors.values import encode
from runtime import SqliteStore
from runtime.chain import Block
from runtime.history import ROOT_PROGRAM, History
from runtime.kernel import Kernel
from runtime.programs import identity
from runtime.transfer import export_block, import_block
from runtime.transfer.sender import Sender
from runtime.transfer.stream import HEADER, LAST, TITLE, VERSION, write_header

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from actors.tree import Tree
    from runtime.store import Store


class Counter(Root):
    async def run(self) -> int:
        self.heap["count"] = self.heap.get("count", 0) + 1
        return self.heap["count"]


@contextmanager
def unsynced() -> Iterator[None]:
    """Let stores not wait for the disk: none outlives its test, and there are thousands."""
    original = SqliteStore._prepare

    def prepare(store: Any, db: Any, new: bool) -> None:
        original(store, db, new)
        db.execute("PRAGMA synchronous=OFF")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SqliteStore, "_prepare", prepare)
        yield


def chunks_of(patch: pytest.MonkeyPatch, size: int) -> None:
    """Let a chunk be full at this size."""
    patch.setattr("runtime.transfer.stream.CHUNK_BYTES", size)
    patch.setattr("runtime.transfer.imports.CHUNK_BYTES", size)


def state_of(entries: Any) -> Tree:
    """Return the state of a machine that has these entries in its root's heap and has not run; regions by reference."""
    pairs = entries.items() if isinstance(entries, dict) else entries
    slots = [(encode_key(key), value if type(value) is View else slot_at(key, value)) for key, value in pairs]
    return Kernel.genesis(Counter, slots).state()


def keep(store: Store, state: Tree) -> Block:
    """Write a state into an empty store, as that of a genesis."""
    nothing = encode(None)
    block = Block(0, b"", 0, state.digest(), sha256(b"code").digest(), nothing, nothing)
    return History.begin(store, block, state, {ROOT_PROGRAM: identity(Counter).encode()}).head


def export(store: Store | Path, which: Any = 0) -> bytes:
    """Return the stream of a block."""
    file = io.BytesIO()
    export_block(store, which, file)
    return file.getvalue()


def imported(stream: bytes, path: Path, **more: Any) -> Any:
    return import_block(io.BytesIO(stream), path, **more)


def export_of(path: Path) -> bytes:
    """Return the stream of the head of a store."""
    with closing(SqliteStore(path, writer=False)) as store:
        return export(store, History(store).head)


def entries_of(path: Path, which: Any = None) -> dict[bytes, bytes]:
    """Return all entries of a state, read from the file, each node checked against its parent's digest."""
    with closing(SqliteStore(path, writer=False)) as store:
        history = History(store)
        state = history.state(history.head if which is None else which)
        return {key: from_cell(cell) for key, cell in state.entries()}


def rows_of(path: Path) -> dict[str, list[Any]]:
    """Return all rows of a store's tables."""
    with closing(sqlite3.connect(path)) as db:
        return {
            table: sorted(db.execute(f"SELECT * FROM {table}"), key=repr)
            for table in ("nodes", "blocks", "chain", "meta")
        }


class Stop(Exception):
    pass


def stop_at(chunk: int) -> Any:
    """Return a `progress` that ends an import in its chunk of that number."""
    seen = 0

    def progress(*_: int) -> None:
        nonlocal seen
        seen += 1
        if seen == chunk:
            raise Stop

    return progress


# --- streams by hand -------------------------------------------------------------------------------------------------


def chunk(kind: int, number: int, body: bytes, before: bytes) -> tuple[bytes, bytes]:
    """Return a chunk's bytes, and the digest that stands at its end."""
    data = bytes((kind,)) + number.to_bytes(4, "big") + len(body).to_bytes(4, "big") + body
    chain = sha256(before + data).digest()
    return data + chain, chain


def stream_of(bodies: Iterable[tuple[int, bytes]]) -> bytes:
    """Return a stream of these chunks, whose digests are right."""
    title = TITLE + bytes((VERSION,))
    data, chain = [title], sha256(title).digest()
    for number, (kind, body) in enumerate(bodies):
        whole, chain = chunk(kind, number, body, chain)
        data.append(whole)
    return b"".join(data)


def chunks_in(stream: bytes) -> list[tuple[int, bytes]]:
    """Return the kinds and bodies of a stream's chunks."""
    found, at = [], len(TITLE) + 1
    while at < len(stream):
        length = int.from_bytes(stream[at + 5 : at + 9], "big")
        found.append((stream[at], stream[at + 9 : at + 9 + length]))
        at += 9 + length + 32
    return found


def items_of(store: Store, state: Tree) -> list[bytes]:
    """Return a state's items."""
    items: list[bytes] = []
    with Sender(store, items.append) as sender:  # type: ignore[arg-type]
        sender.send(state)
    return items


def varint(number: int) -> bytes:
    data = b""
    while number >= 128:
        data += bytes((number & 127 | 128,))
        number >>= 7
    return data + bytes((number,))


def stream_with(header: bytes, items: list[bytes], count: int | None = None) -> bytes:
    """Return a stream that has all its items in the last chunk."""
    told = varint(len(items) if count is None else count)
    return stream_of([(HEADER, header), (LAST, told + b"".join(items))])


def header_of(block: Block, state: Tree) -> bytes:
    return write_header(block, block.state_root, state)
