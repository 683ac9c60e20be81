"""Export and import: the store that is made of a stream is, from that block on, the one that the stream was made of.

What is refused, is in test_transfer_refused.py; imports that are stopped, in test_transfer_crash.py.
"""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import subprocess
import tempfile
import threading
import tracemalloc
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import portable
import pytest
from crash_writer import GENESIS, Ledger, undisturbed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pythons import pythons
from streams import (
    Counter,
    Stop,
    chunks_in,
    chunks_of,
    entries_of,
    export,
    export_of,
    header_of,
    imported,
    items_of,
    keep,
    rows_of,
    state_of,
    stop_at,
    stream_with,
    unsynced,
)
from typer.testing import CliRunner

import runtime
from actors import BlockUnknown, InputError, StoreBusy, StoreDamaged, StoreFormat, StoreMismatch
from actors.goals import CONTROL, HEAP
from actors.keys import encode_key
from actors.nodes import Node, branch, bucket
from actors.records import references
from actors.region import View
from actors.tree import EMPTY, Tree
from runtime import MemoryStore, Runtime, SqliteStore, export_block, import_block
from runtime.cli import app
from runtime.history import History
from runtime.store import Commit
from runtime.transfer.stream import CHUNK_BYTES, SEEN, VALUE

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(runtime.__file__).parent.parent


@pytest.fixture(scope="module", autouse=True)
def quickly() -> Iterator[None]:
    with unsynced():
        yield


# --- round trips -----------------------------------------------------------------------------------------------------

KEYS = st.one_of(
    st.integers(-300, 300),
    st.text("ab\0é", max_size=5),
    st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 200)),
    st.tuples(st.just("deep"), st.binary(max_size=40)),
)
VALUES = st.one_of(
    st.integers(-5, 5),
    st.text(max_size=10),
    st.sampled_from([b"x" * 300, b"y" * 300, b"z" * 5000, "é" * 200]),
    st.binary(min_size=250, max_size=700),
)


def regions(entries: dict[Any, Any]) -> View:
    """A heap of these entries."""
    return View(state_of(entries).extract(HEAP), "a heap")


def check_store(path: Path) -> None:
    """Every record can be reached from the block, is odd where it refers to none, and stands behind those it refers to."""
    with closing(SqliteStore(path, writer=False)) as store:
        top = History(store).head_state.node
        assert top is not None
        assert top.number is not None
        stack, reached = [top.number], set()
        while stack:
            number = stack.pop()
            if number in reached:
                continue
            reached.add(number)
            if number & 1:
                continue
            found, base = references(number, store)
            assert found
            assert not base
            assert max(found) < number
            stack += found
        assert reached == set(store.numbers(0, 1_000_000))
        assert store.next_number() == top.number + 1
        assert store.meta("import") is None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(KEYS, VALUES, max_size=120),
    st.lists(
        st.tuples(st.sampled_from(["m", "n", ("m", 1), "o"]), st.dictionaries(KEYS, VALUES, max_size=60)), max_size=3
    ),
    st.booleans(),
    st.sampled_from([1, 64, 700, 5000, CHUNK_BYTES]),
)
def test_any_state_comes_back_and_gives_the_same_stream(
    entries: dict[Any, Any], mounts: list[tuple[Any, dict[Any, Any]]], fork: bool, size: int
) -> None:
    genesis: list[tuple[Any, Any]] = list(entries.items())
    genesis += [(key, regions(below)) for key, below in mounts]
    if fork:
        genesis += [("fork", regions(entries)), (("fork", "again"), regions({**entries, "more": 1}))]
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as place:
        chunks_of(patch, size)
        path = Path(place) / "copy.db"
        store = MemoryStore()
        state = state_of(genesis)
        block = keep(store, state)
        stream = export(store)
        done = imported(stream, path)
        assert (done.block, done.entries, done.size, done.chunks) == (
            block,
            len(state),
            len(stream),
            len(chunks_in(stream)),
        )
        assert export_of(path) == stream
        assert entries_of(path) == {key: state.get(key) for key, _ in state.entries()}
        assert sorted(os.listdir(place)) == ["copy.db"]
        check_store(path)


def test_what_is_shared_is_sent_once_and_stays_shared(tmp_path: Path) -> None:
    streams = []
    for keys in (["a"], ["a", "b", ("c", "c")]):
        store = MemoryStore()
        heap = regions({("k", i): bytes((i,)) * 400 for i in range(200)})
        keep(store, state_of([(key, heap) for key in keys]))
        streams.append(export(store))
    assert len(streams[1]) < len(streams[0]) + 1000
    imported(streams[1], tmp_path / "copy.db")
    check_store(tmp_path / "copy.db")


def test_equal_things_that_a_store_has_twice_are_sent_once(tmp_path: Path) -> None:
    """So that the stream follows from the state alone, and not from how it came to be."""
    entries = {("k", i): bytes((i,)) * 400 for i in range(200)}
    heap = regions(entries)
    shared, made_twice = MemoryStore(), MemoryStore()
    keep(shared, state_of([("a", heap), ("b", heap)]))
    keep(made_twice, state_of([("a", regions(entries)), ("b", regions(entries))]))
    assert len(made_twice.numbers(0, 10_000)) > 1.9 * len(shared.numbers(0, 10_000))
    assert export(shared) == export(made_twice)


def test_a_state_that_holds_itself_over_and_over_takes_few_items(tmp_path: Path) -> None:
    tree = state_of({("k", i): i for i in range(50)}).extract(HEAP)
    for _ in range(40):
        tree = EMPTY.graft(encode_key("a"), tree).graft(encode_key("b"), tree)
    state = Tree.assemble({CONTROL: state_of({}).get(CONTROL) or b""}, {HEAP: tree})
    store = MemoryStore()
    keep(store, state)
    assert len(state) == 50 * 2**40 + 1
    stream = export(store)
    assert len(stream) < 20_000
    assert imported(stream, tmp_path / "copy.db").entries == 50 * 2**40 + 1
    assert export_of(tmp_path / "copy.db") == stream
    check_store(tmp_path / "copy.db")


def deep_state(levels: int) -> Tree:
    """A state whose tree is as deep as that: at each level a bucket with one entry beside the rest."""
    node: Node = bucket({bytes((0, i % 16, i // 16)): b"\x85" for i in range(25 - 1)})
    for level in range(levels):
        beside = bucket({bytes((0, level & 15)): b"\x86"})
        kids: list[Node | None] = [None] * 16
        kids[3], kids[level % 3] = node, beside
        node = branch(node.count + 1, kids, {}, None)
    return Tree.assemble({CONTROL: state_of({}).get(CONTROL) or b""}, {HEAP: Tree(b"", node)})


@pytest.mark.parametrize("levels", [3, 40, 10_000])
def test_a_deep_state_takes_neither_recursion_nor_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, levels: int
) -> None:
    chunks_of(monkeypatch, 50_000)
    if levels < 100:
        chunks_of(monkeypatch, 100)
        monkeypatch.setattr("runtime.transfer.sender._LEVELS_BYTES", 300)
        monkeypatch.setattr("runtime.transfer.receiver._ASIDE_BYTES", 200)
        monkeypatch.setattr("runtime.transfer.receiver._COMMIT_BYTES", 500)
    store = SqliteStore(tmp_path / "state.db")
    keep(store, deep_state(levels))
    tracemalloc.start()
    try:
        stream = export(store)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        imported(stream, tmp_path / "copy.db")
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    # The open nodes alone, or the records that the last item makes whole, would take more than twice that.
    assert peak < 3_000_000
    assert export_of(tmp_path / "copy.db") == stream
    assert not [name for name, _ in rows_of(tmp_path / "copy.db")["meta"] if name.startswith("import")]
    store.close()


@pytest.mark.long
def test_memory_does_not_grow_with_the_state(tmp_path: Path) -> None:
    chance = random.Random(1)
    with closing(SqliteStore(tmp_path / "state.db")) as store:
        keep(store, state_of({("k", i): chance.randbytes(200 + i % 100) for i in range(50_000)}))
    size = os.path.getsize(tmp_path / "state.db")
    assert size > 14_000_000
    tracemalloc.start()
    try:
        export_block(tmp_path / "state.db", 0, tmp_path / "out")
        exporting = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        import_block(tmp_path / "out", tmp_path / "copy.db")
        importing = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert exporting < 5_000_000, exporting
    assert importing < 5_000_000, importing
    assert export_of(tmp_path / "copy.db") == (tmp_path / "out").read_bytes()


def test_large_values_take_chunks_of_their_own(tmp_path: Path) -> None:
    store = MemoryStore()
    keep(store, state_of({"a": bytes(3 << 20), "b": b"b" * (1 << 20), "c": b"c", "d": bytes(16 << 20)}))
    stream = export(store)
    assert [len(body) >> 20 for _, body in chunks_in(stream)] == [0, 3, 1, 16, 0]
    imported(stream, tmp_path / "copy.db")
    assert export_of(tmp_path / "copy.db") == stream


# --- it goes on ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of 13 blocks of a program with a bit of everything."""
    path = tmp_path_factory.mktemp("ledger") / "state.db"

    async def main() -> None:
        async with Runtime(Ledger, path, genesis=GENESIS) as rt:
            for number in range(1, 13):
                await rt.advance({"number": number})

    runtime.run(main)
    return path


@pytest.mark.parametrize("number", range(10))
async def test_the_store_goes_on_to_the_same_blocks(ledger: Path, tmp_path: Path, number: int) -> None:
    """From every block: with children pending, processes in the middle of `run`, journals, snapshots, failures."""
    expected = await undisturbed(13)
    path = tmp_path / "copy.db"
    with pytest.MonkeyPatch.context() as patch:
        chunks_of(patch, 3000)
        export_block(ledger, number, tmp_path / "out")
        assert import_block(tmp_path / "out", path).block.number == number
    async with Runtime(Ledger, path, genesis=GENESIS) as rt:
        assert (rt.head.hash.hex(), rt.head.state_root.hex()) == expected[number]
        for next_ in range(number + 1, number + 4):
            block = await rt.advance({"number": next_})
            assert (block.hash.hex(), block.state_root.hex()) == expected[next_]
        assert await rt.verify() == 3
        assert [block.number for block in rt.blocks()] == list(range(number, number + 4))
        await rt.revert(number)
        await rt.advance({"number": number + 1})
        assert rt.head.hash.hex() == expected[number + 1][0]
        if number:
            for call in (rt.block, rt.state):
                with pytest.raises(BlockUnknown, match="pruned"):
                    call(number - 1)
            with pytest.raises(BlockUnknown, match="pruned"):
                await rt.revert(number - 1)
            with pytest.raises(BlockUnknown):
                await rt.verify(number)
        await rt.prune(1)
        await rt.advance({"number": number + 2})
        assert rt.head.hash.hex() == expected[number + 2][0]
    assert export_of(path) == export(ledger, number + 2)


async def test_what_was_imported_knows_its_program_and_its_genesis(ledger: Path, tmp_path: Path) -> None:
    export_block(ledger, 5, tmp_path / "out")
    import_block(tmp_path / "out", tmp_path / "copy.db")
    with pytest.raises(StoreMismatch, match="root program crash_writer:Ledger"):
        async with Runtime(Counter, tmp_path / "copy.db"):
            pass
    with pytest.raises(StoreMismatch, match="another genesis"):
        async with Runtime(Ledger, tmp_path / "copy.db", genesis={"seed": "other"}):
            pass


# --- the same stream -------------------------------------------------------------------------------------------------


async def test_the_stream_follows_from_the_block_whatever_the_store(ledger: Path, tmp_path: Path) -> None:
    expected = export(ledger, 7)
    for store in (None, tmp_path / "forgetful.db"):
        async with Runtime(Ledger, store, genesis=GENESIS, forget=store is not None) as rt:
            for number in (1, 2, 3, 4, 5):
                await rt.advance({"number": number})
            await rt.revert(2)
            await rt.advance({"number": 30})
            await rt.revert(2)
            for number in range(3, 10):
                await rt.advance({"number": number})
            out = io.BytesIO()
            await rt.export(out, 7)
            assert out.getvalue() == expected
            await rt.prune(3)
            await rt.export(tmp_path / f"out{store is None}", 7)
            assert (tmp_path / f"out{store is None}").read_bytes() == expected
            with pytest.raises(BlockUnknown, match="pruned"):
                await rt.export(tmp_path / "none", 6)
            assert not (tmp_path / "none").exists()


def test_the_stream_is_the_same_under_every_python_and_hash_seed(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    runtime.run(portable.main(str(path), 4))
    expected = [export(path, number) for number in range(5)]
    for number, stream in enumerate(expected):
        (tmp_path / f"{number}.export").write_bytes(stream)
    script = f"""
import sys
sys.path[:0] = [{str(ROOT)!r}, {str(Path(portable.__file__).parent)!r}]
import io, portable, runtime
from hashlib import sha256
from pathlib import Path
place = Path(sys.argv[1])
for number in range(5):
    out = io.BytesIO()
    runtime.export_block(place / "state.db", number, out)
    print(sha256(out.getvalue()).hexdigest())
    copy = place / f"{{sys.version_info[1]}} {{sys.flags.hash_randomization}} {{number}}.db"
    runtime.import_block(place / f"{{number}}.export", copy)
    out = io.BytesIO()
    runtime.export_block(copy, number, out)
    print(sha256(out.getvalue()).hexdigest())
"""
    digests = [sha256(stream).hexdigest() for stream in expected for _ in range(2)]
    for python in pythons().values():
        for seed in ("0", "1"):
            done = subprocess.run(
                [python, "-c", script, str(tmp_path)],
                env={**os.environ, "PYTHONHASHSEED": seed},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.stdout.split() == digests, done.stderr


# --- beside a writer -------------------------------------------------------------------------------------------------


class Slow:
    """A store that lets something happen before a read."""

    def __init__(self, store: Any, at: int, happen: Any) -> None:
        self.store = store
        self.left = at
        self.happen = happen

    def read_node(self, number: int) -> bytes:
        self.left -= 1
        if self.left == 0:
            self.happen()
        return self.store.read_node(number)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


async def test_an_export_goes_on_beside_blocks_that_are_made(ledger: Path, tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    shutil.copy(ledger, path)
    expected = export(ledger, 12)
    async with Runtime(Ledger, path) as rt:
        head = rt.head
        streams: list[Any] = []

        async def one() -> None:
            out = io.BytesIO()
            await rt.export(out, head)
            streams.append(out.getvalue())

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(one)
            for number in range(13, 20):
                await rt.advance({"number": number})
        assert streams == [expected] * 3


async def test_a_block_that_is_pruned_meanwhile_is_told_and_leaves_no_file(ledger: Path, tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    shutil.copy(ledger, path)
    async with Runtime(Ledger, path) as rt:
        reader = SqliteStore(path, writer=False)

        def prune() -> None:
            thread = threading.Thread(target=lambda: anyio.run(rt.prune, 1))
            thread.start()
            thread.join()

        with pytest.raises(BlockUnknown, match="block 5 was pruned while it was exported"):
            export_block(Slow(reader, 10, prune), 5, tmp_path / "out")
        reader.close()
        assert not [name for name in os.listdir(tmp_path) if name.startswith("out")]
        await rt.advance({"number": 13})


async def test_an_export_that_is_cancelled_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chunks_of(monkeypatch, 1000)
    gone = threading.Event()

    def exporting(*arguments: Any, **more: Any) -> None:
        try:
            export_block(*arguments, **more)
        finally:
            gone.set()

    monkeypatch.setattr("runtime.machine.export_block", exporting)
    async with Runtime(Counter, tmp_path / "state.db", genesis={("k", i): bytes(200) for i in range(2000)}) as rt:
        with anyio.CancelScope() as scope:
            await rt.export(tmp_path / "out", progress=lambda *_: anyio.from_thread.run_sync(scope.cancel))
        assert scope.cancelled_caught
        await anyio.to_thread.run_sync(gone.wait)
        assert not [name for name in os.listdir(tmp_path) if name.startswith("out")]
        await rt.advance()


# --- files -----------------------------------------------------------------------------------------------------------


def test_files_that_are_there_are_never_replaced(ledger: Path, tmp_path: Path) -> None:
    out, copy = tmp_path / "out", tmp_path / "copy.db"
    out.write_text("mine")
    with pytest.raises(InputError, match="out is there already"):
        export_block(ledger, 1, out)
    assert out.read_text() == "mine"
    out.unlink()
    out.symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match="out is there already"):
        export_block(ledger, 1, out)
    out.unlink()
    export_block(ledger, 1, out)
    copy.write_text("mine")
    with pytest.raises(InputError, match=r"copy\.db is there already"):
        import_block(out, copy)
    assert copy.read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == ["copy.db", "out"]


def test_what_came_to_be_there_meanwhile_is_not_replaced_either(ledger: Path, tmp_path: Path) -> None:
    out, copy = tmp_path / "out", tmp_path / "copy.db"
    with pytest.raises(InputError, match="out is there already"):
        export_block(ledger, 1, out, progress=lambda *_: out.write_text("mine"))
    assert out.read_text() == "mine"
    assert os.listdir(tmp_path) == ["out"]
    out.unlink()
    export_block(ledger, 1, out)
    with pytest.raises(InputError, match=r"copy\.db is there already"):
        import_block(out, copy, progress=lambda *_: copy.write_text("mine"))
    assert copy.read_text() == "mine"


def test_a_file_system_without_links_does_as_well(
    ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: Any) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", link)
    export_block(ledger, 1, tmp_path / "out")
    import_block(tmp_path / "out", tmp_path / "copy.db")
    assert sorted(os.listdir(tmp_path)) == ["copy.db", "out"]
    assert export_of(tmp_path / "copy.db") == (tmp_path / "out").read_bytes() == export(ledger, 1)


def test_where_nothing_can_be_written_is_told(ledger: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere/out cannot be written: no such file or directory"):
        export_block(ledger, 1, tmp_path / "nowhere" / "out")
    with pytest.raises(InputError, match="cannot be read: no such file"):
        import_block(tmp_path / "out", tmp_path / "copy.db")
    with pytest.raises(InputError, match="cannot be read: is a directory"):
        import_block(tmp_path, tmp_path / "copy.db")
    assert os.listdir(tmp_path) == []


def test_what_a_killed_export_left_is_replaced(ledger: Path, tmp_path: Path) -> None:
    (tmp_path / "out.partial").write_text("half of it")
    export_block(ledger, 1, tmp_path / "out")
    assert os.listdir(tmp_path) == ["out"]
    assert (tmp_path / "out").read_bytes() == export(ledger, 1)


def test_an_export_that_another_one_writes_over_is_told(ledger: Path, tmp_path: Path) -> None:
    def other(*_: Any) -> None:
        (tmp_path / "out.partial").unlink()
        (tmp_path / "out.partial").write_text("another's")

    with pytest.raises(InputError, match="another export"):
        export_block(ledger, 1, tmp_path / "out", progress=other)
    assert os.listdir(tmp_path) == ["out.partial"]


def test_a_stream_is_read_and_written_as_it_stands_in_a_pipe(ledger: Path, tmp_path: Path) -> None:
    """In small pieces, from and to what cannot be sought in."""
    inside, outside = os.pipe()

    def write() -> None:
        with os.fdopen(outside, "wb", buffering=0) as file:
            export_block(ledger, 9, file)

    thread = threading.Thread(target=write)
    thread.start()
    with os.fdopen(inside, "rb", buffering=0) as file:
        done = import_block(file, tmp_path / "copy.db")
    thread.join()
    assert done.size == len(export(ledger, 9))
    assert export_of(tmp_path / "copy.db") == export(ledger, 9)


# --- stopped, and gone on with ---------------------------------------------------------------------------------------


@pytest.fixture
def stream(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[bytes]:
    """A stream of many chunks, with little room for open nodes."""
    chunks_of(monkeypatch, 300)
    monkeypatch.setattr("runtime.transfer.receiver._ASIDE_BYTES", 300)
    monkeypatch.setattr("runtime.transfer.receiver._COMMIT_BYTES", 1000)
    made = export(ledger, 11)
    assert len(chunks_in(made)) > 25
    return made


def test_an_import_that_is_stopped_in_any_chunk_goes_on_to_the_same_store(stream: bytes, tmp_path: Path) -> None:
    imported(stream, tmp_path / "whole.db")
    for chunk in range(1, len(chunks_in(stream))):
        path = tmp_path / f"{chunk}.db"
        with pytest.raises(Stop):
            imported(stream, path, progress=stop_at(chunk))
        assert not path.exists()
        imported(stream, path)
        assert rows_of(path) == rows_of(tmp_path / "whole.db")
    path = tmp_path / "again.db"
    for _ in range(1, len(chunks_in(stream)) - 1):
        with pytest.raises(Stop):
            imported(stream, path, progress=stop_at(2))
    imported(stream, path)
    assert rows_of(path) == rows_of(tmp_path / "whole.db")
    assert not [name for name in os.listdir(tmp_path) if "partial" in name]


def test_an_import_goes_on_behind_what_was_good_once_the_rest_is_there(stream: bytes, tmp_path: Path) -> None:
    path = tmp_path / "copy.db"
    for end in (len(stream) // 3, len(stream) // 2, len(stream) - 1):
        with pytest.raises(runtime.StreamRefused, match="it ends here"):
            imported(stream[:end], path, partial=True)
        assert not path.exists()
    damaged = bytearray(stream)
    damaged[-50] ^= 1
    with pytest.raises(runtime.StreamRefused, match="its digest is another"):
        imported(bytes(damaged), path, partial=True)
    seen: list[int] = []
    imported(stream, path, progress=lambda entries, _: seen.append(entries))
    assert len(seen) == 1
    assert export_of(path) == stream


def test_an_import_that_another_one_was_left_by_is_refused_or_begins_anew(
    stream: bytes, ledger: Path, tmp_path: Path
) -> None:
    path = tmp_path / "copy.db"
    with pytest.raises(Stop):
        imported(stream, path, progress=stop_at(9))
    other = export(ledger, 10)
    with pytest.raises(InputError, match=r"copy\.db\.partial was left by an import of something else: .*--restart"):
        imported(other, path)
    short = MemoryStore()
    keep(short, state_of({}))
    with pytest.raises(InputError, match="something else"):
        imported(export(short), path)
    imported(other, path, restart=True)
    assert export_of(path) == other
    assert os.listdir(tmp_path) == ["copy.db"]
    imported(stream, tmp_path / "anew.db", restart=True)


def test_a_store_that_no_import_left_is_not_taken_for_one(stream: bytes, tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "copy.db.partial")) as store:
        keep(store, state_of({}))
    with pytest.raises(InputError, match="something else"):
        imported(stream, tmp_path / "copy.db")
    other = tmp_path / "other.db.partial"
    other.write_text("a letter to a friend, of some length: " * 100)
    with pytest.raises(StoreFormat, match="no Lockstep store"):
        imported(stream, tmp_path / "other.db")
    with pytest.raises(InputError, match="was not left by an import"):
        imported(stream, tmp_path / "other.db", restart=True)
    assert other.read_text().startswith("a letter")


def test_a_store_of_blocks_is_not_given_up(stream: bytes, ledger: Path, tmp_path: Path) -> None:
    shutil.copy(ledger, tmp_path / "copy.db.partial")
    with pytest.raises(InputError, match="was not left by an import"):
        imported(stream, tmp_path / "copy.db", restart=True)
    assert export_of(tmp_path / "copy.db.partial") == export(ledger, 12)


def test_a_file_that_is_no_store_any_more_is_given_up(stream: bytes, tmp_path: Path) -> None:
    left = tmp_path / "copy.db.partial"
    with pytest.raises(Stop):
        imported(stream, tmp_path / "copy.db", progress=stop_at(9))
    left.write_bytes(left.read_bytes()[:4096] + bytes(range(256)) * 60)
    with pytest.raises(StoreDamaged, match=r"copy\.db\.partial, which an import left, is damaged; --restart"):
        imported(stream, tmp_path / "copy.db")
    imported(stream, tmp_path / "copy.db", restart=True)
    assert export_of(tmp_path / "copy.db") == stream


def test_what_an_import_left_and_was_damaged_is_told_and_given_up(stream: bytes, tmp_path: Path) -> None:
    path, left = tmp_path / "copy.db", tmp_path / "copy.db.partial"
    with pytest.raises(Stop):
        imported(stream, path, progress=stop_at(9))
    with closing(SqliteStore(left)) as store:
        position = bytearray(store.meta("import") or b"")
        position[60] ^= 1
        store.commit(Commit(meta={"import": bytes(position)}))
    with pytest.raises(StoreDamaged, match="which an import left, is damaged; --restart"):
        imported(stream, path)
    imported(stream, path, restart=True)
    assert export_of(path) == stream
    assert os.listdir(tmp_path) == ["copy.db"]


def test_two_imports_into_one_store_are_one_too_many(stream: bytes, tmp_path: Path) -> None:
    told = []

    def other(*_: int) -> None:
        for restart in (False, True):
            with pytest.raises(StoreBusy, match=r"copy\.db\.partial is open") as caught:
                imported(stream, tmp_path / "copy.db", restart=restart)
            told.append(caught)

    imported(stream, tmp_path / "copy.db", progress=other)
    assert told
    assert export_of(tmp_path / "copy.db") == stream


def test_what_an_import_left_takes_no_part_in_the_next_one_of_another_name(stream: bytes, tmp_path: Path) -> None:
    with pytest.raises(Stop):
        imported(stream, tmp_path / "one.db", progress=stop_at(9))
    imported(stream, tmp_path / "two.db")
    assert rows_of(tmp_path / "two.db")["meta"]
    imported(stream, tmp_path / "one.db")
    assert rows_of(tmp_path / "two.db") == rows_of(tmp_path / "one.db")


def test_the_expected_block_is_taken_and_another_one_is_not(ledger: Path, tmp_path: Path) -> None:
    stream = export(ledger, 3)
    with closing(SqliteStore(ledger, writer=False)) as store:
        right, other = History(store).find(3).hash, History(store).find(4).hash
    with pytest.raises(runtime.StreamRefused, match=f"block 3 with the hash {right.hex()}, not {other.hex()}"):
        imported(stream, tmp_path / "copy.db", expect=other)
    assert os.listdir(tmp_path) == []
    imported(stream, tmp_path / "copy.db", expect=right)


def test_items_have_their_kinds_where_the_format_says() -> None:
    """A branch with an own long value, a bucket with a long and a short value, and both once more."""
    store = MemoryStore()
    heap = regions({"": b"o" * 300, **{("", i): b"v" * 300 if i % 2 else i for i in range(40)}})
    state = state_of([("a", heap), ("b", heap)])
    block = keep(store, state)
    items = items_of(store, state)
    assert export(store) == stream_with(header_of(block, state), items)
    tags = [item[0] for item in items]
    assert tags.count(VALUE) == 2
    assert tags.count(SEEN) >= 1


# --- the command line ------------------------------------------------------------------------------------------------


def give(*arguments: Any, code: int = 0, fed: bytes | None = None) -> Any:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=fed)
    assert result.exit_code == code, f"{result.exit_code}: {result.output}\n{result.exception!r}"
    return result


def test_the_commands_carry_a_state_over(ledger: Path, tmp_path: Path) -> None:
    out, copy = tmp_path / "out", tmp_path / "copy.db"
    said = give("export", "head~2", out, "--store", ledger)
    assert said.stdout.startswith("block 10 (")
    assert f"is in {out}: " in said.stdout
    digest = said.stderr.split()[-1]
    told = json.loads(give("import", out, "--store", copy, "--json", "--expect", digest).stdout)
    assert (told["number"], told["hash"], told["bytes"]) == (10, digest, out.stat().st_size)
    assert give("log", "--store", copy).stdout.startswith("   10  ")
    assert "is there already" in give("import", out, "--store", copy, code=2).stderr
    assert "is there already" in give("export", "10", out, "--store", ledger, code=2).stderr
    assert "no block's hash" in give("import", out, "--store", tmp_path / "b.db", "--expect", "abc", code=2).stderr
    piped = give("export", "10", "-", "--store", ledger)
    assert piped.stdout_bytes == out.read_bytes()
    told = give("import", "-", "--store", tmp_path / "b.db", fed=out.read_bytes()).stdout
    assert told.startswith(f"block 10 ({digest[:10]}) is the head of {tmp_path / 'b.db'}: ")


def test_a_command_refuses_a_damaged_file_on_one_line(ledger: Path, tmp_path: Path) -> None:
    damaged = bytearray(export(ledger, 9))
    damaged[-100] ^= 4
    (tmp_path / "out").write_bytes(damaged)
    told = give("import", tmp_path / "out", "--store", tmp_path / "copy.db", code=1).stderr
    assert told.startswith(f"error: {tmp_path / 'out'} is refused: chunk 1, byte ")
    assert told.rstrip().count("\n") == 0
    (tmp_path / "out").write_bytes(damaged[:2000])
    told = give("import", tmp_path / "out", "--store", tmp_path / "copy.db", code=1).stderr
    assert "it ends here" in told
    assert os.listdir(tmp_path) == ["out"]
    give("import", tmp_path / "out", "--store", tmp_path / "copy.db", "--partial", code=1)
    assert (tmp_path / "copy.db.partial").exists()
    (tmp_path / "out").write_bytes(export(ledger, 9))
    give("import", tmp_path / "out", "--store", tmp_path / "copy.db")
    assert sorted(os.listdir(tmp_path)) == ["copy.db", "out"]


def test_interrupted_commands_say_what_there_is(ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    export_block(ledger, 9, tmp_path / "out")
    monkeypatch.setattr("runtime.cli.screen.Bar.step", interrupt)
    assert "goes on from there" in give("import", tmp_path / "out", "--store", tmp_path / "copy.db", code=130).stderr
    assert (
        f"there is no {tmp_path / 'two'}" in give("export", "9", tmp_path / "two", "--store", ledger, code=130).stderr
    )
    assert not (tmp_path / "two").exists()
    monkeypatch.undo()
    give("import", tmp_path / "out", "--store", tmp_path / "copy.db")


def test_the_commands_teach_with_examples() -> None:
    for command in ("export", "import"):
        assert f"    lockstep {command} " in give(command, "--help").stdout
