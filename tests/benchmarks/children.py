"""100,000 children of one parent: created, started, got, and in the snapshot that closes the block.

    python tests/benchmarks/children.py [--children N]

Memory is the resident set's growth from before the block to behind it, at a store on disk; the time has the durable
commit in it. Beside it stands what an asyncio task each would take, which waits on a future of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import runtime
from actors import Process, Root


class Child(Process):
    async def run(self) -> None:
        self.heap["y"] = self.heap["x"] + 1


class Parent(Root):
    async def run(self) -> Any:
        count = self.heap["block", "count"]
        for i in range(count):
            await self.put(i, {"x": i}, program=Child, start=True)
        total = 0
        for i in range(count):
            total += await self.get(i, "y")
        return total


def resident() -> int:
    """Return the resident set in bytes."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def children(count: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        await measured(count, f"{place}/children.db")


async def measured(count: int, path: str) -> None:
    async with runtime.Runtime(Parent, store=path) as rt:
        await rt.advance({"count": 10})
        before, begin = resident(), time.perf_counter()
        block = await rt.advance({"count": count})
        taken = time.perf_counter() - begin
        assert block.data == count * (count + 1) // 2
        kept = resident() - before
        print(
            f"  lockstep      {taken / count * 1e6:6.1f} µs and {kept / count / 1024:5.2f} KiB a process   bars: 40 µs, 3 KiB"
        )


async def tasks(count: int) -> None:
    async def child(x: int, start: asyncio.Future[None]) -> int:
        await start
        return x + 1

    loop = asyncio.get_running_loop()
    before, begin = resident(), time.perf_counter()
    futures = [loop.create_future() for _ in range(count)]
    started = [asyncio.create_task(child(i, future)) for i, future in enumerate(futures)]
    await asyncio.sleep(0)
    waiting = resident() - before
    for future in futures:
        future.set_result(None)
    total = 0
    for task in started:
        total += await task
    taken = time.perf_counter() - begin
    assert total == count * (count + 1) // 2
    print(
        f"  asyncio task  {taken / count * 1e6:6.1f} µs and {waiting / count / 1024:5.2f} KiB, without any state kept"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--children", type=int, default=100_000)
    count = parser.parse_args().children
    runtime.run(lambda: children(count))
    runtime.run(lambda: tasks(count))


if __name__ == "__main__":
    main()
