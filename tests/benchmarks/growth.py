"""How a store's file grows: 10,000 blocks of 100 changes each, of which the last 100 are kept.

    python tests/benchmarks/growth.py [--entries N] [--blocks N] [--keep N] [--every N]

The entries are the accounts of `heap.py`: values of about 100 bytes under keys of 20. Beside the file stands the live
data: the size of a fresh store that holds the head's state and nothing else. The log beside the file goes when the
store is closed, and is as long as the largest commit was, here the genesis. What pruning costs is printed as its share
of the time, per block.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

from heap import BLOCK, Accounts, accounts, drawing, keys_of

import runtime

SHOWN = 1_000  # blocks between two lines


def megabytes(path: Path | str) -> float:
    return os.path.getsize(path) / 1e6


async def live_size(rt: runtime.Runtime, place: Path) -> float:
    """Return the size of a fresh store that holds the state of the head only, in megabytes."""
    path = place / "live.db"
    async with runtime.Runtime(Accounts, store=path, genesis=rt.state().heap.items):
        pass
    size = megabytes(path)
    path.unlink()
    return size


async def grow(place: Path, entries: int, blocks: int, keep: int, every: int) -> None:
    path = place / "growing.db"
    draw = drawing(keys_of(entries), min(BLOCK, entries), 0)
    making = pruning = 0.0
    async with runtime.Runtime(
        Accounts, store=path, genesis=lambda: ((("accounts", key), record) for key, record in accounts(entries))
    ) as rt:
        for number in range(1, blocks + 1):
            begin = time.perf_counter()
            await rt.advance({"changes": draw()})
            made = time.perf_counter()
            if number % every == 0:
                await rt.prune(keep=keep)
            making += made - begin
            pruning += time.perf_counter() - made
            if number % min(SHOWN, blocks) == 0:
                size, log, live = megabytes(path), megabytes(f"{path}-wal"), await live_size(rt, place)
                print(
                    f"  block {number:,}: {size:.1f} MB, live {live:.1f} MB: {size / live:.2f} times"
                    f"   bar: at most 3   (log {log:.1f} MB; a block "
                    f"{making / number * 1e3:.2f} ms, its share of pruning {pruning / number * 1e3:.2f} ms)"
                )
    print(f"  closed: {megabytes(path):.1f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--blocks", type=int, default=10_000)
    parser.add_argument("--keep", type=int, default=100, help="how many blocks stay")
    parser.add_argument("--every", type=int, default=50, help="how many blocks there are between two prunings")
    given = parser.parse_args()
    print(f"{given.entries:,} entries, {BLOCK} changes a block, the last {given.keep} blocks kept")
    with tempfile.TemporaryDirectory() as place:
        runtime.run(lambda: grow(Path(place), given.entries, given.blocks, given.keep, given.every))


if __name__ == "__main__":
    main()
