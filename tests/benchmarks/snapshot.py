"""A block that changes ten keys, in a tree of 10,000 processes with heaps of 1,000 keys and in one of 10.

    python tests/benchmarks/snapshot.py [--rounds N]

Cost must follow the changes, not the size. Every heap is a fork of one of 1,000 keys, made different by a key of its
own, so that the large tree has ten million entries. What is measured is the whole of `advance`: the PUTs, the state's
tree, its hashes, its nodes' records, the commit to a store in memory.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import Any

from turns import in_turns, ratio, report

import runtime
from actors import Root

KEYS = 1_000
CHANGES = 10


class Tree(Root):
    async def run(self) -> Any:
        size = self.heap.get(("block", "size"))
        if size is not None:
            for i in range(size):
                await self.put(i, self.heap.region("form"))
                await self.put(i, {"own": i})
            return
        size, turn = self.heap["size"], self.heap["block", "turn"]
        for change in range(CHANGES):
            child = (turn * 7919 + change * 104_729) % size
            await self.put(child, {(turn * 31 + change) % KEYS: turn})


async def build(size: int) -> runtime.Runtime:
    genesis = {("form", i): f"value {i}" for i in range(KEYS)} | {"size": size}
    rt = runtime.Runtime(Tree, genesis=genesis)
    await rt.__aenter__()
    await rt.advance({"size": size})
    return rt


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    with asyncio.Runner() as runner:
        trees = {size: runner.run(build(size)) for size in (10, 10_000)}

        def contestant(size: int) -> Any:
            def measure() -> float:
                rt = trees[size]
                begin = time.perf_counter()
                runner.run(rt.advance({"turn": rt.head.number}))
                return time.perf_counter() - begin

            return measure

        figures = in_turns({f"{size:,} processes": contestant(size) for size in trees}, rounds)
        report(figures, "ms", 1e3)
        ratio(figures, "10,000 processes", "10 processes", "under 3")
        for rt in trees.values():
            runner.run(rt.__aexit__(None, None, None))


if __name__ == "__main__":
    main()
