"""Opening a store and reading ten keys: 1,000 blocks over 100,000 keys beside 10 blocks over 1,000 keys.

    python tests/benchmarks/restart.py [--rounds N]

Each measurement is a process of its own. It prints the time from before the store is opened to behind the tenth key
(the interpreter's start and the imports are the same for both, and left out), and how many nodes it read.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from turns import in_turns, ratio, report

import runtime
from actors import Root
from runtime.store import SqliteStore

CHANGES = 100


class Keys(Root):
    async def run(self) -> Any:
        for key, value in self.heap["block", "changes"]:
            self.heap["keys", key] = value


async def build(path: Path, blocks: int, keys: int) -> None:
    genesis = {("keys", key): f"the value of {key}" for key in range(keys)}
    draw = random.Random(keys)
    async with runtime.Runtime(Keys, store=path, genesis=genesis) as rt:
        for _ in range(blocks):
            await rt.advance({"changes": [(draw.randrange(keys), draw.random()) for _ in range(CHANGES)]})


class Counting(SqliteStore):
    """A store that counts the nodes it reads."""

    reads = 0

    def read_node(self, number: int) -> bytes:
        self.reads += 1
        return super().read_node(number)


async def read(path: Path, keys: int) -> None:
    begin = time.perf_counter()
    store = Counting(path)
    async with runtime.Runtime(Keys, store=store) as rt:
        heap = rt.state().heap
        for i in range(10):
            assert heap["keys", i * keys // 10]
        taken = time.perf_counter() - begin
        print(json.dumps({"seconds": taken, "reads": store.reads}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--read", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read:
        asyncio.run(read(Path(given.read[0]), int(given.read[1])))
        return
    with tempfile.TemporaryDirectory() as place:
        cases = {"10 blocks, 1,000 keys": (10, 1_000), "1,000 blocks, 100,000 keys": (1_000, 100_000)}
        reads: dict[str, int] = {}
        contestants = {}
        for name, (blocks, keys) in cases.items():
            path = Path(place) / f"{keys}.db"
            runtime.run(lambda path=path, blocks=blocks, keys=keys: build(path, blocks, keys))

            def measure(name: str = name, path: Path = path, keys: int = keys) -> float:
                command = [sys.executable, __file__, "--read", str(path), str(keys)]
                told = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
                reads[name] = told["reads"]
                return float(told["seconds"])

            contestants[name] = measure
        figures = in_turns(contestants, given.rounds)
        report(figures, "ms", 1e3)
        print("  nodes read:", ", ".join(f"{name}: {count}" for name, count in reads.items()))
        large, small = "1,000 blocks, 100,000 keys", "10 blocks, 1,000 keys"
        ratio(figures, large, small, "at most 1.5, plus a few node reads")


if __name__ == "__main__":
    main()
