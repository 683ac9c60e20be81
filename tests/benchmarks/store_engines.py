"""Which engine should hold the trie nodes: SQLite, LMDB or RocksDB?

Stored are immutable nodes keyed by a growing number (100-1500 bytes), a row per block and a head; a block
changes all three in one durable commit. One process writes, others read; pruning deletes nodes. Theory says:

- The floor of a commit is one `fdatasync` of its bytes (the `floor` row). SQLite in WAL mode syncs once a
  commit and twice a checkpoint, when it writes the pages again. LMDB writes each changed page and its path to
  the root, syncs, then writes the meta page synchronously: two waits, no second copy. RocksDB syncs its log
  once and compacts in its own threads, partly in the next engine's turn here.
- Growing numbers make every engine append; with a hash as the key each node would touch another leaf.
- Deletion is what costs. Deleting block by block touches about a page per node, which LMDB copies; a batch in
  order finds many stale nodes in a page, so the period of the sweep (`--every`) should matter more than the
  engine. `--slice` cuts a batch into commits. RocksDB appends tombstones, paid for at compaction.
- Freed pages are used again; no file shrinks. LMDB merges a page that falls below a quarter full, SQLite one
  below a third, and SQLite repacks its neighbours: the few nodes that live on keep LMDB's pages thin.
- LMDB reads from its map without a system call. SQLite takes locks in shared memory for a snapshot and steps
  through a statement per node. RocksDB admits one process; a `secondary` must ask to catch up.

Each block replaces as many nodes as it writes. Of its nodes the share `hot` is replaced within 100 blocks, at
uniformly random times; the rest live on, and initial nodes are replaced instead. A node replaced in block s
is deleted once s is `keep` or more blocks old. Marking is left out: it costs the same for all.

Engines run in turns of ten blocks; a ratio is taken turn by turn against the first engine named. Figures are
medians (p10-p90). An engine is `name:option=value,...`: sqlite has page (bytes), cache and mmap (MiB),
checkpoint (pages), secure (0, 1); lmdb has keys (native, big) and lib (0, 1); rocksdb has buffer (MiB).
Nothing is asserted. Run: python tests/benchmarks/store_engines.py [--blocks N] [--engines NAME ...]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from statistics import mean, median
from typing import Any, Protocol

Nodes = Sequence[tuple[int, bytes]]
Sweeps = dict[int, list[list[int]]]  # slices of numbers to delete, by height
TURN = 10  # blocks an engine commits before the next has its turn
RECORD = bytes(300)  # a block's row
WRITTEN = 300  # nodes a block writes
LIFE = 100  # blocks within which a node that goes stale does so


class Store(Protocol):
    """One engine's store of nodes, blocks and head, in a directory of its own."""

    def commit(self, height: int, nodes: Nodes, block: bytes) -> None:
        """Write nodes (numbers growing), the block and the head; return when durable."""

    def drop(self, numbers: Sequence[int]) -> None:
        """Delete nodes (numbers sorted) in one durable commit."""

    def read(self, numbers: Iterable[int]) -> int:
        """Read nodes in one snapshot; the bytes found."""

    def close(self) -> None: ...


class Sqlite:
    def __init__(self, path: Path, options: dict[str, str], writer: bool) -> None:
        sqlite3: Any = import_module("sqlite3")
        self.db = sqlite3.connect(path / "store.sqlite", isolation_level=None)
        mmap, cache = int(options.get("mmap", "0")) << 20, int(options.get("cache", "16")) << 10
        pragmas = [f"mmap_size={mmap}", f"cache_size={-cache}"]
        if writer:
            pragmas += [f"page_size={options.get('page', '4096')}", "journal_mode=WAL", "synchronous=FULL"]
            pragmas += [f"wal_autocheckpoint={options.get('checkpoint', '1000')}"]
            pragmas += [f"journal_size_limit={64 << 20}", f"secure_delete={options.get('secure', '0')}"]
        for pragma in pragmas:
            self.db.execute(f"PRAGMA {pragma}")
        columns = "(number INTEGER PRIMARY KEY, data BLOB NOT NULL)"
        for table in ("node", "block", "head") if writer else ():
            self.db.execute(f"CREATE TABLE IF NOT EXISTS {table} {columns}")

    def commit(self, height: int, nodes: Nodes, block: bytes) -> None:
        self.db.execute("BEGIN IMMEDIATE")
        self.db.executemany("INSERT INTO node VALUES (?, ?)", nodes)
        self.db.execute("INSERT OR REPLACE INTO block VALUES (?, ?)", (height, block))
        self.db.execute("INSERT OR REPLACE INTO head VALUES (1, ?)", (height.to_bytes(8, "big"),))
        self.db.execute("COMMIT")

    def drop(self, numbers: Sequence[int]) -> None:
        self.db.execute("BEGIN IMMEDIATE")
        self.db.executemany("DELETE FROM node WHERE number = ?", ((number,) for number in numbers))
        self.db.execute("COMMIT")

    def read(self, numbers: Iterable[int]) -> int:
        self.db.execute("BEGIN")
        rows = (self.db.execute("SELECT data FROM node WHERE number = ?", (n,)).fetchone() for n in numbers)
        total = sum(len(data) for (data,) in rows)
        self.db.execute("COMMIT")
        return total

    def close(self) -> None:
        self.db.close()


class Lmdb:
    def __init__(self, path: Path, options: dict[str, str], writer: bool) -> None:
        lmdb: Any = import_module("lmdb")
        lib: dict[str, Any] = {"lib_version": int(options["lib"])} if "lib" in options else {}
        self.env = lmdb.open(str(path), map_size=64 << 30, max_dbs=3, readonly=not writer, **lib)
        self.order: Any = sys.byteorder if options.get("keys", "native") == "native" else "big"
        native = self.order == sys.byteorder
        self.node = self.env.open_db(b"node", integerkey=native, create=writer)
        self.block = self.env.open_db(b"block", integerkey=native, create=writer)
        self.head = self.env.open_db(b"head", create=writer)

    def commit(self, height: int, nodes: Nodes, block: bytes) -> None:
        order = self.order
        with self.env.begin(write=True) as txn:
            items = [(number.to_bytes(8, order), data) for number, data in nodes]
            txn.cursor(self.node).putmulti(items, append=True)
            txn.put(height.to_bytes(8, order), block, db=self.block)
            txn.put(b"head", height.to_bytes(8, "big"), db=self.head)

    def drop(self, numbers: Sequence[int]) -> None:
        with self.env.begin(write=True) as txn:
            for number in numbers:
                txn.delete(number.to_bytes(8, self.order), db=self.node)

    def read(self, numbers: Iterable[int]) -> int:
        order = self.order
        with self.env.begin(db=self.node) as txn:
            return sum(len(txn.get(number.to_bytes(8, order))) for number in numbers)

    def close(self) -> None:
        self.env.close()


class Rocksdb:
    def __init__(self, path: Path, options: dict[str, str], writer: bool) -> None:
        self.rocks: Any = import_module("rocksdict")
        settings = self.rocks.Options(raw_mode=True)
        settings.set_compression_type(self.rocks.DBCompressionType.none())
        settings.set_write_buffer_size(int(options.get("buffer", "64")) << 20)
        secondary = self.rocks.AccessType.secondary(f"{path}-follower")
        access = self.rocks.AccessType.read_write() if writer else secondary
        self.db = self.rocks.Rdict(str(path), settings, access_type=access)
        self.writer = writer
        self.durable = self.rocks.WriteOptions()
        self.durable.sync = True

    def commit(self, height: int, nodes: Nodes, block: bytes) -> None:
        batch = self.rocks.WriteBatch(raw_mode=True)
        for number, data in nodes:
            batch.put(b"n" + number.to_bytes(8, "big"), data)
        batch.put(b"b" + height.to_bytes(8, "big"), block)
        batch.put(b"h", height.to_bytes(8, "big"))
        self.db.write(batch, self.durable)

    def drop(self, numbers: Sequence[int]) -> None:
        batch = self.rocks.WriteBatch(raw_mode=True)
        for number in numbers:
            batch.delete(b"n" + number.to_bytes(8, "big"))
        self.db.write(batch, self.durable)

    def read(self, numbers: Iterable[int]) -> int:
        if not self.writer:
            self.db.try_catch_up_with_primary()
        return sum(len(self.db.get(b"n" + number.to_bytes(8, "big"))) for number in numbers)

    def close(self) -> None:
        self.db.close()


ENGINES: dict[str, Callable[[Path, dict[str, str], bool], Store]]
ENGINES = {"sqlite": Sqlite, "lmdb": Lmdb, "rocksdb": Rocksdb}
PACKAGES = {"sqlite": "sqlite3", "lmdb": "lmdb", "rocksdb": "rocksdict"}


def open_store(spec: str, path: Path, writer: bool) -> Store:
    name, _, options = spec.partition(":")
    return ENGINES[name](path, dict(option.split("=") for option in options.split(",") if option), writer)


class Workload:
    """The same nodes for every engine, and which of them go stale when."""

    def __init__(self, initial: int, hot: float) -> None:
        self.random, self.hot = random.Random(1), hot
        self.sizes: dict[int, int] = {}
        self.stale: dict[int, list[int]] = defaultdict(list)
        self.next = 1
        self.initial = [self._node(1.5, 1.5) for _ in range(initial)]
        self.old = self.random.sample(range(1, self.next), initial)

    def _node(self, alpha: float, beta: float) -> tuple[int, bytes]:
        data = self.random.randbytes(100 + int(1400 * self.random.betavariate(alpha, beta)))
        number, self.next = self.next, self.next + 1
        self.sizes[number] = len(data)
        return number, data

    def block(self, height: int) -> Nodes:
        nodes = [self._node(1.2, 3.0) for _ in range(WRITTEN)]
        for number, _ in nodes:
            if self.random.random() < self.hot:
                self.stale[height + self.random.randint(1, LIFE)].append(number)
        replaced = self.stale[height]
        while len(replaced) < WRITTEN and self.old:
            replaced.append(self.old.pop())
        return nodes

    def sweep(self, height: int, keep: int, most: int) -> list[list[int]]:
        """The numbers to delete at this height, sorted, in slices; they leave the live set."""
        due = [s for s in self.stale if s <= height - keep]
        numbers = sorted(number for s in due for number in self.stale.pop(s))
        for number in numbers:
            del self.sizes[number]
        return [numbers[i : i + most] for i in range(0, len(numbers), most)]


def clocked(action: Callable[..., object], *args: object) -> float:
    start = time.perf_counter()
    action(*args)
    return time.perf_counter() - start


def spread(values: Sequence[float], scale: float = 1.0, digits: int = 2) -> str:
    ordered = sorted(values)
    low, high = ordered[len(ordered) // 10], ordered[len(ordered) * 9 // 10]
    return f"{median(ordered) * scale:.{digits}f} ({low * scale:.{digits}f}-{high * scale:.{digits}f})"


def child(mode: str, spec: str, path: Path, numbers: list[int]) -> float:
    """`open`: seconds to import, open, read; `read`: reads a second, in snapshots of ten, for two seconds."""
    start = time.perf_counter()
    store = open_store(spec, path, writer=False)
    if mode == "open":
        store.read(numbers)
        return time.perf_counter() - start
    start, count = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - start) < 2:
        store.read(numbers[count % len(numbers) :][:10])
        count += 10
    return count / elapsed


def start_child(mode: str, spec: str, path: Path, numbers: Sequence[int]) -> subprocess.Popen[str]:
    argv = [sys.executable, __file__, "--child", mode, spec, str(path), json.dumps(numbers)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


def answer(process: subprocess.Popen[str]) -> float:
    return float(process.communicate()[0])


class Contender:
    """An engine with two stores, one that keeps all nodes and one that is pruned, and the figures of both."""

    def __init__(self, spec: str, place: Path, initial: Nodes) -> None:
        self.spec = spec
        self.paths = place / "kept", place / "pruned"
        self.load: list[float] = []
        stores = []
        for path in self.paths:
            path.mkdir(parents=True)
            stores.append(open_store(spec, path, writer=True))
            self.load.append(clocked(self._fill, stores[-1], initial))
        self.kept, self.pruned = stores
        self.turns: list[list[float]] = []
        self.pruned_turns: list[list[float]] = []
        self.sweeps: list[list[float]] = []  # of each, the seconds of its commits
        self.reads: list[float] = []
        self.beside: list[tuple[float, float]] = []
        self.opens: dict[int, list[float]] = {}
        self.sizes: dict[int, tuple[float, int]] = {}

    @staticmethod
    def _fill(store: Store, nodes: Nodes) -> None:
        for start in range(0, len(nodes), 10_000):
            store.commit(0, nodes[start : start + 10_000], b"")

    def turn(self, height: int, blocks: list[Nodes], sweeps: Sweeps, sample: list[int]) -> None:
        """Commit the blocks to both stores, sweep at the heights given, read the sample one by one."""
        self.turns.append([clocked(self.kept.commit, h, b, RECORD) for h, b in enumerate(blocks, height)])
        self.pruned_turns.append([])
        for at, nodes in enumerate(blocks, height):
            self.pruned_turns[-1].append(clocked(self.pruned.commit, at, nodes, RECORD))
            if slices := sweeps.get(at):
                self.sweeps.append([clocked(self.pruned.drop, part) for part in slices])
        self.reads.append(clocked(lambda: [self.pruned.read((n,)) for n in sample]) / len(sample))

    def open_cold(self, height: int, numbers: Sequence[int]) -> None:
        starts = (start_child("open", self.spec, self.paths[1], numbers) for _ in range(7))
        self.opens[height] = [answer(process) for process in starts]  # one after another

    def read_beside(self, height: int, blocks: Iterable[Nodes], sample: Sequence[int]) -> None:
        """Commit blocks to the kept store while another process reads it: (reads a second, median commit)."""
        process = start_child("read", self.spec, self.paths[0], sample)
        commits = []
        for at, nodes in enumerate(blocks, height):
            commits.append(clocked(self.kept.commit, at, nodes, b""))
            if process.poll() is not None:
                break
        self.beside.append((answer(process), median(commits)))

    def report(self, first: Contender, blocks: int, every: int) -> None:
        kept, pruned = ([s for turn in turns for s in turn] for turns in (self.turns, self.pruned_turns))
        print(f"\n{self.spec}")
        for name, times in (("no pruning", kept), ("pruned", pruned)):
            p99, top = (f"{sorted(times)[int((len(times) - 1) * share)] * 1e3:.2f}" for share in (0.99, 1))
            print(f"  commit, {name}: {spread(times, 1e3)} ms, p99 {p99}, worst {top}")
        ratio = [median(a) / median(b) for a, b in zip(self.turns, first.turns, strict=True)]
        print(f"    ratio to {first.spec}, no pruning: {spread(ratio)}")
        sweeps = [sum(sweep) for sweep in self.sweeps] or [0.0]
        longest = max((commit for sweep in self.sweeps for commit in sweep), default=0.0)
        print(f"  sweep every {every} blocks: {spread(sweeps, 1e3, 1)} ms", end=", ")
        print(f"worst {max(sweeps) * 1e3:.1f}, longest commit {longest * 1e3:.1f}")
        share, first_share = (sum(map(sum, c.pruned_turns + c.sweeps)) for c in (self, first))
        print(f"  a block and its share of the sweep: mean {share / blocks * 1e3:.2f} ms", end=", ")
        print(f"without pruning {mean(kept) * 1e3:.2f}; ratio {share / first_share:.2f}")
        ratio = [a / b for a, b in zip(self.reads, first.reads, strict=True)]
        print(f"  read one, warm: {spread(self.reads, 1e6)} us, ratio {spread(ratio)}")
        for height, times in self.opens.items():
            ratio = [a / median(first.opens[height]) for a in times]
            print(f"  open, read 10 after {height} blocks: {spread(times, 1e3)} ms, ratio {spread(ratio)}")
        rates, commits = zip(*self.beside, strict=True)
        print(f"  reads/s by a process beside the writer: {spread(rates, 1, 0)}", end=", ")
        ratio = [a / b for (a, _), (b, _) in zip(self.beside, first.beside, strict=True)]
        print(f"ratio {spread(ratio)}; commits then {spread(commits, 1e3)} ms")
        sizes = (f"{height}: {size:.2f} ({kib} KiB)" for height, (size, kib) in self.sizes.items())
        print("  file / bytes kept after blocks: " + ", ".join(sizes))
        print(f"  load: {spread(self.load)} s, ratio {mean(self.load) / mean(first.load):.2f}")


def measure(specs: Sequence[str], place: Path, args: argparse.Namespace) -> None:
    workload = Workload(args.initial, args.hot)
    contenders = [Contender(spec, place / str(i), workload.initial) for i, spec in enumerate(specs)]
    workload.initial, floor = [], list[float]()
    log = os.open(place / "floor", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    last = args.blocks // TURN * TURN
    opened = {TURN, min(1000, last)}
    weighed = opened | {last * quarter // 4 // TURN * TURN for quarter in (1, 2, 3, 4)}
    for height in range(1, last, TURN):
        turn = range(height, height + TURN)
        blocks = [workload.block(h) for h in turn]
        sweeps = {h: workload.sweep(h, args.keep, args.slice) for h in turn if h % args.every == 0}
        sample = workload.random.sample(list(workload.sizes), 200)
        for nodes in blocks:
            os.write(log, b"".join(data for _, data in nodes))
            floor.append(clocked(os.fdatasync, log))
        start = height // TURN % len(contenders)
        for contender in contenders[start:] + contenders[:start]:  # nobody is always first
            contender.turn(height, blocks, sweeps, sample)
        live = sum(workload.sizes.values()) + 8 * len(workload.sizes)
        for contender in contenders:
            if turn[-1] in weighed:
                size = 512 * sum(file.stat().st_blocks for file in contender.paths[1].iterdir())
                contender.sizes[turn[-1]] = size / live, size // 1024
            if turn[-1] in opened:
                contender.open_cold(turn[-1], sample[:10])
    sample, height = workload.random.sample(list(workload.sizes), 1000), last + 1
    for _ in range(3):
        blocks = [workload.block(height + i) for i in range(2000)]
        for contender in contenders:
            contender.read_beside(height, blocks, sample)
        height += len(blocks)
    print(f"floor, fdatasync after appending a block's bytes: {spread(floor, 1e3)} ms")
    for contender in contenders:
        contender.report(contenders[0], last, args.every)


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        mode, spec, path, numbers = sys.argv[2:]
        print(child(mode, spec, Path(path), json.loads(numbers)))
        return
    parser = argparse.ArgumentParser(description="Compare storage engines for trie nodes, in turns.")
    parser.add_argument("--engines", nargs="+", default=["sqlite", "lmdb", "rocksdb"], metavar="NAME")
    parser.add_argument("--blocks", type=int, default=2000)
    parser.add_argument("--initial", type=int, default=150_000, help="nodes loaded before the first block")
    parser.add_argument("--keep", type=int, default=100, help="blocks whose nodes stay readable")
    parser.add_argument("--every", type=int, default=50, help="blocks from one sweep to the next")
    parser.add_argument("--slice", type=int, default=15_000, help="nodes deleted in one commit, at most")
    parser.add_argument("--hot", type=float, default=0.95, help="share of new nodes stale in 100 blocks")
    parser.add_argument("--place", type=Path, help="a directory on the disk to measure")
    args = parser.parse_args()
    packages = {spec: PACKAGES[spec.partition(":")[0]] for spec in args.engines}
    specs = [spec for spec in packages if find_spec(packages[spec])]
    for spec in sorted(packages.keys() - specs):
        print(f"{spec}: skipped, not installed: pip install {packages[spec]}")
    with tempfile.TemporaryDirectory(dir=args.place) as place:
        measure(specs, Path(place), args)


if __name__ == "__main__":
    main()
