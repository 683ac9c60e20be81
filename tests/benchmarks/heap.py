"""A heap of a million accounts: what it costs to change, commit, open, read, walk, fork and merge it.

    python tests/benchmarks/heap.py [--entries N] [--quick] [--only PART …]

The entries are the same everywhere: tuples (nonce, balance, storage root, code hash) whose encoding takes about 100
bytes, under random keys of 20 bytes. In the stores they stand in the root's heap, under ("accounts", key). Peers are
given the same keys and values, and the same changes, drawn from the same seed:

    fold      py-trie's HexaryTrie over a dict, which makes an authenticated root too, at 100,000 entries. Keys are not
              hashed first (they are random as they are), and it is asked key by key: its `squash_changes` does the same
              work and counts references besides, so that it takes half as long again.
    commit    ZODB's OOBTree in a FileStorage, which makes no root: once with its default cache of 400 objects, once
              with one that never lets go of any, as our tree does not. And a dict, pickled whole and synced. Changed
              keys are drawn from all entries (upper nodes are at hand, most others come from the file), and then from
              a working set that was changed before.
    read      pyrsistent's pmap of the same size.
    iterate   the same pmap; ZODB from the file.

What is measured in a process of its own (cold, memory) is compared with one that imports the same and opens nothing.
`pip install -e '.[bench]'` brings the peers; those that are not there are left out.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib.util
import inspect
import json
import os
import pickle
import random
import shutil
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections import defaultdict
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

import anyio
import pyrsistent
import uvloop
from turns import in_turns, ratio, report, spread

import runtime
from actors import Process, Root
from actors.heap import Heap
from actors.keys import encode_key
from actors.memory import Memory
from actors.tree import EMPTY
from actors.values import encode
from runtime import machine
from runtime.history import History
from runtime.kernel import Kernel
from runtime.persist import number_nodes
from runtime.store import Commit, MemoryStore, SqliteStore
from runtime.view import ProcessView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Account: TypeAlias = tuple[int, int, bytes, bytes]
Changes: TypeAlias = list[tuple[bytes, Account]]
Measure: TypeAlias = "Callable[[], float]"

BLOCK: Final = 100  # changes of a block
PEER_ENTRIES: Final = 100_000  # of a HexaryTrie
FORKS: Final = 200  # in a block
#: What programs measure of themselves, in seconds: a clock's figures must not go into the state.
aside: defaultdict[str, list[float]] = defaultdict(list)


# --- the entries ---


def account(draw: random.Random) -> Account:
    return draw.getrandbits(32), draw.getrandbits(128), draw.randbytes(32), draw.randbytes(32)


def keys_of(entries: int) -> list[bytes]:
    draw = random.Random(entries)
    return [draw.randbytes(20) for _ in range(entries)]


def accounts(entries: int) -> Iterator[tuple[bytes, Account]]:
    draw = random.Random(f"the values of {entries}")
    return ((key, account(draw)) for key in keys_of(entries))


def drawing(keys: list[bytes], count: int, seed: int) -> Callable[[], Changes]:
    """Return a function that draws the next changes; those of one seed are the same for all contestants."""
    draw = random.Random(seed)
    return lambda: [(key, account(draw)) for key in draw.sample(keys, count)]


# --- the programs ---


class Idle(Process):
    async def run(self) -> None:
        pass


class Editor(Process):
    lifted = ("clock",)

    async def run(self) -> None:
        changes, folded = self.heap["changes"], self.heap["folded"]
        begin = time.perf_counter()
        for key, record in changes:
            self.heap["accounts", key] = record
        # What the fold costs is a part of the changes' cost; but as a rule nothing folds a child before the merge.
        (self.heap.machine_memory if folded else self.heap.machine_memory.copy()).fold()
        aside["making"].append(time.perf_counter() - begin)


class Accounts(Root):
    lifted = ("clock",)

    async def run(self) -> None:
        if "fork" in self.heap.region("block"):
            await self.fork(self.heap["block", "fork"])
        elif "merge" in self.heap.region("block"):
            await self.fold_in(self.heap["block", "merge"], self.heap["block", "folded"])
        else:
            for key, record in self.heap["block", "changes"]:
                self.heap["accounts", key] = record

    async def fork(self, count: int) -> None:
        begin = time.perf_counter()
        for child in range(count):
            await self.put(child, {"accounts": self.heap.region("accounts")}, program=Idle)
        forked = time.perf_counter()
        for child in range(count):
            await self.put(child, start=True)
        aside["snapshot"].append((time.perf_counter() - forked) / count)
        aside["fork"].append((forked - begin) / count)
        for child in range(count):
            await self.drop(child)

    async def fold_in(self, changes: Changes, folded: bool) -> None:
        given = {"accounts": self.heap.region("accounts"), "changes": changes, "folded": folded}
        await self.put("editor", given, program=Editor, start=True)
        await self.status("editor")
        begin = time.perf_counter()
        merged = await self.merge("editor")
        aside["merge"].append(time.perf_counter() - begin)
        self.heap.machine_memory.fold()
        aside["merge and fold"].append(time.perf_counter() - begin)
        begin = time.perf_counter()
        assert len(merged) == len(changes)
        aside["its changes listed"].append(time.perf_counter() - begin)


class Measured(SqliteStore):
    """A store that notes the node bytes and the time of each commit."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        self.node_bytes: list[float] = []

    def commit(self, commit: Commit) -> None:
        self.node_bytes.append(sum(len(record) for _, record in commit.nodes))
        begin = time.perf_counter()
        super().commit(commit)
        aside["commit to the store"].append(time.perf_counter() - begin)

    def keep_log(self) -> None:
        """Never move the log into the file, so that its size says what was written."""
        self._db.execute("PRAGMA wal_autocheckpoint=0")


class Machine:
    """A runtime that is open, and the loop on which it runs."""

    def __init__(self, path: Path, genesis: Any = None) -> None:
        self.runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self.store = Measured(path)
        self.rt = runtime.Runtime(Accounts, store=self.store, genesis=genesis)
        self.runner.run(self.rt.__aenter__())

    def advance(self, inputs: dict[str, Any]) -> float:
        async def timed() -> float:
            begin = time.perf_counter()
            await self.rt.advance(inputs)
            return time.perf_counter() - begin

        return self.runner.run(timed())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.runner.run(self.rt.__aexit__(None, None, None))
        self.runner.close()


@contextmanager
def stored(path: Path) -> Iterator[Heap]:
    """Give the heap that a child has whose heap is the accounts, with nothing of it loaded yet."""
    store = SqliteStore(path, writer=False)
    try:
        yield Heap(Memory(ProcessView(History(store).head_state, ()).heap.region("accounts").machine_tree))
    finally:
        store.close()


class Ground:
    """Where the measurements stand: the size, the store that was built once, how many rounds."""

    def __init__(self, place: Path, entries: int, quick: bool) -> None:
        self.place = place
        self.entries = entries
        self.quick = quick
        self.keys = keys_of(entries)
        self._pmap: Any = None
        self._zodb: Path | None = None

    def rounds(self, count: int) -> int:
        return max(2, count // 5) if self.quick else count

    def store(self, entries: int | None = None) -> Path:
        """Return the path of a store with so many entries and two blocks; to be read, or to be copied."""
        entries = entries or self.entries
        path = self.place / f"{entries}.db"
        if not path.exists():
            begin = time.perf_counter()
            with Machine(path, lambda: ((("accounts", key), record) for key, record in accounts(entries))) as opened:
                draw = drawing(keys_of(entries), min(BLOCK, entries), 0)
                for _ in range(2):
                    opened.advance({"changes": draw()})
            size = path.stat().st_size / entries
            print(f"  (a store of {entries:,}: made in {time.perf_counter() - begin:.1f} s, {size:.0f} bytes an entry)")
        return path

    def copy(self, name: str) -> Path:
        path = self.place / name
        shutil.copyfile(self.store(), path)
        return path

    def pmap(self) -> Any:
        if self._pmap is None:
            self._pmap = pyrsistent.pmap(dict(accounts(self.entries)))
        return self._pmap

    def zodb(self) -> Path:
        """Return the path of a FileStorage with the entries; to be read, or to be copied."""
        if self._zodb is None:
            self._zodb = self.place / "zodb.fs"
            database = Zodb(self._zodb, 2 * self.entries)
            tree = import_module("BTrees.OOBTree").OOBTree()
            for key, record in accounts(self.entries):
                tree[key] = record
            database.connection.root()["accounts"] = tree
            database.transactions.commit()
            database.close()
        return self._zodb


class Zodb:
    """A FileStorage with the accounts in an OOBTree, open; `cache` is in objects."""

    def __init__(self, path: Path, cache: int) -> None:
        self.path = path
        self.transactions = import_module("transaction").TransactionManager()
        storage = import_module("ZODB.FileStorage").FileStorage(str(path))
        self.database = import_module("ZODB").DB(storage, cache_size=cache)
        self.connection = self.database.open(transaction_manager=self.transactions)

    def change(self, changes: Changes) -> float:
        begin = time.perf_counter()
        tree = self.connection.root()["accounts"]
        for key, record in changes:
            tree[key] = record
        self.transactions.commit()
        return time.perf_counter() - begin

    def close(self) -> None:
        self.connection.close()
        self.database.close()


def there(module: str, distribution: str) -> bool:
    if importlib.util.find_spec(module) is not None:
        return True
    print(f"  {module}: not installed, left out (pip install {distribution})")
    return False


def show(name: str, values: list[float], unit: str, bar: str = "") -> None:
    low, middle, high = spread(values)
    print(f"  {name}: {middle:,.2f} {unit}  ({low:,.2f} – {high:,.2f})" + (f"   bar: {bar}" if bar else ""))


# --- the parts ---


def fold(ground: Ground) -> None:
    """Fold changed keys into the root, in memory."""
    small = min(ground.entries, PEER_ENTRIES)
    trees = {size: Folding(size) for size in (small, ground.entries)}
    peer = Hexary(small) if there("trie", "trie") else None
    for count, rounds, bar in ((1, 200, 40), (100, 50, 20), (10_000, 5, 10)):
        many = f"{count:,} of {ground.entries:,}"
        few = f"{count:,} of {small:,}"
        contestants = {f"{count:,} of {size:,}": tree.changing(count) for size, tree in trees.items()}
        if peer is not None:
            contestants[f"HexaryTrie, {few}"] = peer.changing(count)
        trees[ground.entries].node_bytes.clear()
        figures = in_turns(contestants, ground.rounds(rounds))
        report(figures, "µs a key", 1e6)
        show(f"{many}, update and digest", [1e6 * one for one in figures[many]], "µs a key", f"at most {bar}")
        if peer is not None:
            ratio(figures, f"HexaryTrie, {few}", few, "at least 20")
        show(f"{many}, node records", trees[ground.entries].node_bytes, "bytes a key")


class Folding:
    """A tree in memory, hashed and numbered as one that was committed."""

    def __init__(self, entries: int) -> None:
        self.keys = keys_of(entries)
        self.store = MemoryStore()
        self.tree = EMPTY.update((encode_key(key), encode(record)) for key, record in accounts(entries))
        self.node_bytes: list[float] = []
        self._number(1)

    def _number(self, count: int) -> None:
        records = number_nodes(self.tree, self.store.next_number(), self.store)
        self.store.commit(Commit(head=self.tree.digest(), nodes=records))
        self.node_bytes.append(sum(len(record) for _, record in records) / count)

    def changing(self, count: int) -> Measure:
        draw = drawing(self.keys, min(count, len(self.keys)), count)

        def measure() -> float:
            changes = [(encode_key(key), encode(record)) for key, record in draw()]
            begin = time.perf_counter()
            self.tree = self.tree.update(changes)
            self.tree.digest()
            taken = time.perf_counter() - begin
            self._number(len(changes))
            return taken / len(changes)

        return measure


class Hexary:
    """A HexaryTrie over a dict."""

    def __init__(self, entries: int) -> None:
        self.keys = keys_of(entries)
        self.trie = import_module("trie").HexaryTrie({})
        with self.trie.squash_changes() as memory:
            for key, record in accounts(entries):
                memory[key] = encode(record)

    def changing(self, count: int) -> Measure:
        draw = drawing(self.keys, min(count, len(self.keys)), count)

        def measure() -> float:
            changes = [(key, encode(record)) for key, record in draw()]
            begin = time.perf_counter()
            for key, record in changes:
                self.trie[key] = record
            return (time.perf_counter() - begin) / len(changes)

        return measure


def commit(ground: Ground) -> None:
    """Commit blocks of 100 changed keys durably, and count what that writes."""
    with_zodb = there("ZODB", "ZODB")
    copies = {}
    if with_zodb:
        for name, cache in (("ZODB, its default cache", 400), ("ZODB, all cached", 2 * ground.entries)):
            path = ground.place / f"{cache}.fs"
            shutil.copyfile(ground.zodb(), path)
            copies[name] = Zodb(path, cache)
    path = ground.copy("commit.db")
    with Machine(path) as opened:
        for drawn, keys in (("all", ground.keys), ("a working set", ground.keys[:5_000])):
            if drawn != "all":
                warm = drawing(keys, len(keys), 2)()
                for turn in (opened.advance({"changes": warm}), *[copy.change(warm) for copy in copies.values()]):
                    assert turn > 0
            contestants: dict[str, Measure] = {"lockstep": advancing(opened, keys, 1)}
            for name, copy in copies.items():
                contestants[name] = committing(copy, keys, 1)
            in_turns(contestants, 5)  # to bring the upper nodes in
            with splitting():
                figures = in_turns(contestants, ground.rounds(100))
                parts = {name: values[1:] for name, values in aside.items()}
            print(f"  durable commit of {BLOCK} changed keys, drawn from {drawn}:")
            report(figures, "ms", 1e3)
            for name in copies:
                ratio(figures, name, "lockstep", "at least 1.5, going for 2")
            parts["the rest"] = [
                max(0.0, all_of - sum(each)) for all_of, *each in zip(figures["lockstep"], *parts.values(), strict=True)
            ]
            print("  ours in parts:")
            report(parts, "ms", 1e3)
        # The median of ten blocks a turn: one of them may find the disk still busy with so large a file.
        contestants = {"lockstep": advancing(opened, ground.keys, 3, blocks=10), "pickle": pickling(ground)}
        figures = in_turns(contestants, ground.rounds(5))
        report(figures, "ms", 1e3)
        ratio(figures, "pickle", "lockstep", "at least 150")
    written(ground, path)
    for name, copy in copies.items():
        size = copy.path.stat().st_size
        blocks = 20
        measure = committing(copy, ground.keys, 4)
        for _ in range(blocks):
            measure()
        print(f"  written by {name}: {(copy.path.stat().st_size - size) / blocks / 1024:.1f} KiB a commit")
        copy.close()


def advancing(opened: Machine, keys: list[bytes], seed: int, blocks: int = 1) -> Measure:
    draw = drawing(keys, BLOCK, seed)
    return lambda: median([opened.advance({"changes": draw()}) for _ in range(blocks)])


def committing(copy: Zodb, keys: list[bytes], seed: int) -> Measure:
    draw = drawing(keys, BLOCK, seed)
    return lambda: copy.change(draw())


def pickling(ground: Ground) -> Measure:
    whole = dict(accounts(ground.entries))

    def measure() -> float:
        begin = time.perf_counter()
        with (ground.place / "whole.pickle").open("wb") as file:
            pickle.dump(whole, file, pickle.HIGHEST_PROTOCOL)
            file.flush()
            os.fsync(file.fileno())
        return time.perf_counter() - begin

    return measure


def written(ground: Ground, path: Path) -> None:
    """Print how many bytes a commit writes: in nodes, into the log, and in all with the log's move into the file."""
    bar = "at most 150 KiB"
    with Machine(path) as opened:
        opened.store.keep_log()
        log = Path(f"{path}-wal")
        measure = advancing(opened, ground.keys, 4)
        grown = []
        for _ in range(ground.rounds(50)):
            before = log.stat().st_size
            measure()
            grown.append((log.stat().st_size - before) / 1024)
        show("written, records of nodes", [size / 1024 for size in opened.store.node_bytes], "KiB", bar)
        show("written, into the log", grown, "KiB", bar)
    with Machine(path) as opened:
        measure = advancing(opened, ground.keys, 5)
        blocks = ground.rounds(500)
        begin = written_chars()
        for _ in range(blocks):
            measure()
    print(
        f"  written, with the log's move into the file: {(written_chars() - begin) / blocks / 1024:,.1f} KiB on average"
    )


def written_chars() -> int:
    for line in Path("/proc/self/io").read_text().splitlines():
        if line.startswith("wchar:"):
            return int(line.split()[1])
    return 0


@contextmanager
def splitting() -> Iterator[None]:
    """Note how long the parts of `advance` take, in `aside`."""
    parts: list[tuple[Any, str, str]] = [
        (machine, "block_input", "inputs"),
        (machine, "drive", "stepping"),
        (Kernel, "state", "fold"),
        (History, "nodes_of", "hash, encode, number"),
    ]
    before = [getattr(owner, name) for owner, name, _ in parts]
    aside.clear()
    for (owner, name, part), function in zip(parts, before, strict=True):
        setattr(owner, name, timing(function, aside[part]))
    try:
        yield
    finally:
        for (owner, name, _), function in zip(parts, before, strict=True):
            setattr(owner, name, function)
        aside.clear()


def timing(function: Any, times: list[float]) -> Any:
    def timed(*given: Any) -> Any:
        begin = time.perf_counter()
        made = function(*given)
        times.append(time.perf_counter() - begin)
        return made

    async def awaited(*given: Any) -> Any:
        begin = time.perf_counter()
        made = await function(*given)
        times.append(time.perf_counter() - begin)
        return made

    return awaited if inspect.iscoroutinefunction(function) else timed


def cold(ground: Ground) -> None:
    """Open a store and read ten keys, in a process of its own that has imported all there is to import."""
    short = ground.store()
    more = ground.rounds(1_000)
    long = ground.copy("long.db")
    with Machine(long) as opened:
        measure = advancing(opened, ground.keys, 6)
        for _ in range(more):
            measure()
    told: dict[Path, list[float]] = {short: [], long: []}
    importing: list[float] = []

    def opening(path: Path) -> Measure:
        def whole() -> float:
            begin = time.perf_counter()
            seconds = apart("--open", path, ground.entries)
            told[path].append(seconds["seconds"])
            importing.append(1e3 * seconds["importing"])
            return time.perf_counter() - begin

        return whole

    def bare() -> float:
        begin = time.perf_counter()
        apart("--open", "", ground.entries)
        return time.perf_counter() - begin

    names = {short: "2 blocks", long: f"{more + 2:,} blocks"}
    figures = in_turns({"bare": bare, **{name: opening(path) for path, name in names.items()}}, ground.rounds(20))
    inside = {name: told[path][1:] for path, name in names.items()}
    bar = "at most 5 ms"
    for name, values in inside.items():
        show(f"open and read ten, {name}, by its own clock", [1e3 * one for one in values], "ms", bar)
        over = [1e3 * (a - b) for a, b in zip(figures[name], figures["bare"], strict=True)]
        show(f"open and read ten, {name}, whole process over a bare one", over, "ms", bar)
    show("not counted above: what anyio imports when it is first used", importing, "ms")
    ratio(inside, names[long], names[short], "1: no dependence on the number of blocks")


def read(ground: Ground) -> None:
    """Read keys of the working set, and keys that are not loaded yet."""
    pmap = ground.pmap()
    draw = random.Random(3)
    with stored(ground.store()) as heap:
        warm = draw.sample(ground.keys, 1_000)

        def reading(get: Callable[[bytes], Any]) -> Measure:
            def measure() -> float:
                begin = time.perf_counter()
                for key in warm:
                    get(key)
                return (time.perf_counter() - begin) / len(warm)

            return measure

        figures = in_turns({"heap.get": reading(heap.get), "pmap.get": reading(pmap.get)}, ground.rounds(100))
        print("  in the working set:")
        report(figures, "µs", 1e6)
        ratio(figures, "heap.get", "pmap.get", "at most 4")
    with stored(ground.store()) as heap:
        taken = []
        for key in draw.sample(ground.keys, min(ground.entries, ground.rounds(20_000))):
            begin = time.perf_counter()
            heap.get(key)
            taken.append(1e6 * (time.perf_counter() - begin))
        show("not loaded yet", taken, "µs", "at most 60")
        tenth = len(taken) // 10
        show("of these the first tenth", taken[:tenth], "µs")
        show("of these the last tenth", taken[-tenth:], "µs")


def iterate(ground: Ground) -> None:
    """Walk all entries, keys and values decoded."""
    pmap = ground.pmap()

    def walking(items: Callable[[], Any]) -> float:
        begin = time.perf_counter()
        count = sum(1 for _ in items())
        assert count == ground.entries
        return (time.perf_counter() - begin) / count

    def from_store() -> float:
        with stored(ground.store()) as heap:
            return walking(heap.items)

    def from_zodb() -> float:
        database = Zodb(ground.zodb(), 400)
        try:
            return walking(lambda: database.connection.root()["accounts"].items())
        finally:
            database.close()

    with stored(ground.store()) as heap:
        contestants: dict[str, Measure] = {
            "heap, loaded": lambda: walking(heap.items),
            "heap, from the store": from_store,
            "pmap": lambda: walking(pmap.items),
        }
        if there("ZODB", "ZODB"):
            contestants["ZODB, from the file"] = from_zodb
        figures = in_turns(contestants, ground.rounds(5))
    report(figures, "µs an entry", 1e6)
    for name in ("heap, loaded", "heap, from the store"):
        show(name, [1e-3 / one for one in figures[name]], "thousand entries a second", "at least 300")
    ratio(figures, "heap, loaded", "pmap", "none")


def memory(ground: Ground) -> None:
    """Open a heap, touch nothing, and see what that takes, in a process of its own."""
    for entries in (1_000, ground.entries):
        path = ground.store(entries)
        for kind in ("resident", "traced"):
            sizes = [apart("--weigh", path, kind)["bytes"] / 1024 for _ in range(ground.rounds(10))]
            show(f"opened, untouched, {entries:,} entries, {kind}", sizes, "KiB", "under 1,024")


def fork(ground: Ground) -> None:
    """PUT a region to a child, and start that: its snapshot."""
    small = 1_000
    large = f"{ground.entries:,}"
    with Machine(ground.store(small)) as few, Machine(ground.copy("fork.db")) as many:

        def forking(opened: Machine, what: str) -> Measure:
            def measure() -> float:
                opened.advance({"fork": FORKS})
                return aside[what][-1]

            return measure

        contestants = {
            f"{what} of {size}": forking(opened, what)
            for what in ("fork", "snapshot")
            for size, opened in ((large, many), (f"{small:,}", few))
        }
        figures = in_turns(contestants, ground.rounds(50))
    for what in ("fork", "snapshot"):
        show(f"{what} of {large}", [1e6 * one for one in figures[f"{what} of {large}"]], "µs", "under 20")
        ratio(figures, f"{what} of {large}", f"{what} of {small:,}", "1: O(1)")


def merge(ground: Ground) -> None:
    """Merge a child that changed 100 keys."""
    with Machine(ground.copy("merge.db")) as opened:
        keys = ground.keys[:5_000]
        opened.advance({"changes": drawing(keys, len(keys), 4)()})
        draw = drawing(keys, BLOCK, 5)
        for folded in (False, True):
            aside.clear()
            for _ in range(ground.rounds(100)):
                opened.advance({"merge": draw(), "folded": folded})
            figures = {name: values[1:] for name, values in aside.items() if name != "commit to the store"}
            print(f"  a child with {BLOCK} changed keys{', which folded them itself' if folded else ''}:")
            report(figures, "µs a key", 1e6 / BLOCK)
            ratio(figures, "merge", "making", "at most 2")
            ratio(figures, "merge and fold", "making", "none")


PARTS: Final[dict[str, Callable[[Ground], None]]] = {
    part.__name__: part for part in (fold, commit, cold, read, iterate, memory, fork, merge)
}


# --- in a process of its own ---


def apart(*given: object) -> Any:
    """Run this script in another process, and return what it prints."""
    command = [sys.executable, __file__, *map(str, given)]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


async def open_and_read(path: str, entries: int) -> None:
    keys = ten_keys(entries)
    begin = time.perf_counter()
    anyio.Lock()  # With its first object anyio imports most of itself, whatever the store.
    told = {"importing": time.perf_counter() - begin}
    if path:
        begin = time.perf_counter()
        async with runtime.Runtime(Accounts, store=path) as rt:
            heap = rt.state().heap
            for key in keys:
                assert heap["accounts", key]
            told["seconds"] = time.perf_counter() - begin
    print(json.dumps(told))


def ten_keys(entries: int) -> list[bytes]:
    """Return ten of the keys without drawing all of them: the first."""
    draw = random.Random(entries)
    return [draw.randbytes(20) for _ in range(10)]


async def weigh(path: str, kind: str) -> None:
    def weight() -> int:
        gc.collect()
        if kind == "traced":
            return tracemalloc.get_traced_memory()[0]
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    async with runtime.Runtime(Accounts):
        pass  # What is imported when it is first needed is not the heap's.
    if kind == "traced":
        tracemalloc.start()
    before = weight()
    async with runtime.Runtime(Accounts, store=path) as rt:
        heap = rt.state().heap
        print(json.dumps({"bytes": weight() - before}))
        assert heap is not None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, help="1,000,000 unless given; with --quick 100,000")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="which parts")
    parser.add_argument("--open", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--weigh", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.open:
        uvloop.run(open_and_read(given.open[0], int(given.open[1])))
        return
    if given.weigh:
        uvloop.run(weigh(*given.weigh))
        return
    gc.set_threshold(50_000, 20, 100)  # as runtime.run does
    entries = given.entries or (100_000 if given.quick else 1_000_000)
    draw = random.Random(0)
    size = sum(len(encode(account(draw))) for _ in range(1_000)) / 1_000
    print(f"{entries:,} entries, keys of 20 bytes, values of {size:.0f} bytes encoded")
    with tempfile.TemporaryDirectory() as place:
        ground = Ground(Path(place), entries, given.quick)
        for name in given.only:
            print(f"{name}: {PARTS[name].__doc__}")
            PARTS[name](ground)
            aside.clear()
            gc.collect()


if __name__ == "__main__":
    main()
