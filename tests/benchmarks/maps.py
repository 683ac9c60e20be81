"""map over very many trivial items on the loop: how long an item takes, and what memory it needs.

    python tests/benchmarks/maps.py [--rounds N] [--items N] [--whole N]

Each item is a process of its own with a heap of its own, whose result is in the order of the items. The bar is 10 µs an item
(100,000 a second), and memory that follows the window and not the items. Beside it, in turns: the same by tasks of asyncio,
as many under way at a time, without a heap, and without anything that is kept. Last, a million items at once, and by how
much the process has grown over a tenth of them.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import resource
import time
from collections import deque
from itertools import islice
from typing import Any

import uvloop
from turns import in_turns, ratio, report

import runtime
from actors import Process, Root

WINDOW = 256


class Square(Process):
    async def run(self) -> None:
        self.heap["result"] = self.heap["item"] ** 2


class Top(Root):
    journal = False

    async def run(self) -> int:
        total = 0
        async for result in self.map(Square, range(self.heap["block", "items"]), window=WINDOW):
            total += result
        return total


async def square(item: int) -> int:
    return item**2


async def by_tasks(count: int) -> int:
    """The same by tasks, as many at a time."""
    items = iter(range(count))
    under_way = deque(asyncio.ensure_future(square(item)) for item in islice(items, WINDOW))
    total = 0
    while under_way:
        total += await under_way.popleft()
        for item in islice(items, 1):
            under_way.append(asyncio.ensure_future(square(item)))
    return total


async def mapped(count: int) -> int:
    async with runtime.Runtime(Top, workers=0) as rt:
        data: int = (await rt.advance({"items": count})).data
        return data


def grown_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--items", type=int, default=20_000, help="in a turn")
    parser.add_argument("--whole", type=int, default=1_000_000, help="at once, at the end; 0: not at all")
    given = parser.parse_args()
    gc.set_threshold(50_000, 20, 100)  # as runtime.run does, with its loop
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:

        def timed(act: Any) -> Any:
            def measure() -> float:
                begin = time.perf_counter()
                assert runner.run(act(given.items)) == sum(item**2 for item in range(given.items))
                return (time.perf_counter() - begin) / given.items

            return measure

        print(f"{given.items} items, {WINDOW} at a time")
        figures = in_turns({"map": timed(mapped), "asyncio tasks": timed(by_tasks)}, given.rounds)
        report(figures, "µs an item", 1e6)
        ratio(figures, "asyncio tasks", "map", "none; 10 µs an item")
        if given.whole:
            runner.run(mapped(given.whole // 10))
            before, begin = grown_kib(), time.perf_counter()
            runner.run(mapped(given.whole))
            taken = time.perf_counter() - begin
            print(
                f"{given.whole} items: {taken / given.whole * 1e6:.2f} µs an item, {grown_kib() - before} KiB more memory"
            )


if __name__ == "__main__":
    main()
