"""fork and join of a heap of 100,000 entries of which ten change, on the loop; and beside it what the parts cost.

    python tests/benchmarks/workspaces.py [--rounds N]

What is measured is `fork` to the end of `join`, again and again, with the child's ten writes between and the folds of the
parent's heap that they lead to: the loop's share of the block, not its commit. It is the time of the thread, which what
else runs on the machine does not lengthen. The ten are side by side, as a child's part of the work mostly is, or anywhere
in the heap. The bar is 150 µs. Beside it, in turns: the same on a heap of 1,000 entries; the same by bare system calls; a
child that changes nothing; a team of eight; and what a fork by copying costs, with a dict.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import time
from typing import Any

from turns import in_turns, ratio, report

import runtime
from actors import Process, Root

CHANGES = 10
FORKS = 50
LARGE, SMALL = 100_000, 1_000


class SideBySide(Process):
    async def run(self) -> None:
        first = self.heap["first"]
        for key in range(first, first + CHANGES):
            self.heap["key", key] = first


class Anywhere(Process):
    async def run(self) -> None:
        first, size = self.heap["first"], self.heap["size"]
        for change in range(CHANGES):
            self.heap["key", (first + change * 104_729) % size] = first


class Nothing(Process):
    async def run(self) -> None:
        pass


PROGRAMS = {"side by side": SideBySide, "anywhere": Anywhere, "nothing": Nothing}


class Top(Root):
    lifted = ("clock",)

    async def run(self) -> Any:
        how, program = self.heap["block", "how"], PROGRAMS[self.heap["block", "program"]]
        turn, size = self.heap["block", "turn"], self.heap["size"]
        begin = time.thread_time()
        for fork in range(turn * FORKS, (turn + 1) * FORKS):
            values = {"first": fork * 7_919 % (size - CHANGES)}
            if how == "fork":
                await self.fork("child", program, values)
                await self.join("child")
            elif how == "calls":
                await self.put("child", {(): self.heap.region(), **values}, program=program, start=True)
                await self.merge("child")
                await self.drop("child")
            else:
                async with self.team() as team:
                    for member in range(8):
                        await team.fork(program, {"first": (fork * 8 + member) * 1_009 % (size - CHANGES)})
        self.heap["took"] = time.thread_time() - begin


async def build(size: int) -> runtime.Runtime:
    genesis = {("key", i): f"value {i}" for i in range(size)} | {"size": size}
    rt = runtime.Runtime(Top, genesis=genesis, workers=0)
    await rt.__aenter__()
    return rt


def copied() -> float:
    heap = {("key", i): f"value {i}" for i in range(LARGE)}
    begin = time.thread_time()
    child = heap.copy()
    child.update({("key", change): "changed" for change in range(CHANGES)})
    heap.update({key: value for key, value in child.items() if heap[key] is not value})
    return time.thread_time() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    rounds = parser.parse_args().rounds
    gc.set_threshold(50_000, 20, 100)  # as runtime.run does
    with asyncio.Runner() as runner:
        machines = {size: runner.run(build(size)) for size in (SMALL, LARGE)}

        def contestant(size: int, how: str, program: str) -> Any:
            def measure() -> float:
                rt = machines[size]
                runner.run(rt.advance({"turn": rt.head.number, "how": how, "program": program}))
                return float(rt.state(rt.head).heap["took"]) / FORKS

            return measure

        figures = in_turns(
            {
                "ten side by side": contestant(LARGE, "fork", "side by side"),
                "ten anywhere": contestant(LARGE, "fork", "anywhere"),
                "ten side by side, of 1,000": contestant(SMALL, "fork", "side by side"),
                "by bare calls": contestant(LARGE, "calls", "side by side"),
                "none": contestant(LARGE, "fork", "nothing"),
                "a team of eight, each ten": contestant(LARGE, "team", "side by side"),
                "a dict copied": copied,
            },
            rounds,
        )
        report(figures, "µs", 1e6)
        ratio(figures, "ten side by side", "ten side by side, of 1,000", "near 1")
        ratio(figures, "ten side by side", "by bare calls", "near 1")
        ratio(figures, "a dict copied", "ten side by side", "as large as it may be")
        for rt in machines.values():
            runner.run(rt.__aexit__(None, None, None))


if __name__ == "__main__":
    main()
