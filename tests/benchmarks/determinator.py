"""Determinator's benchmarks against the same on a bare ProcessPoolExecutor, and against a plain loop; and what arrays cost.

    python tests/benchmarks/determinator.py [NAME…] [--rounds N] [--size N]

Each at its coarse size, on two workers: the bar is 0.95 of the bare pool's speed. Then from its fine size on, twice as large
each time, until both are as fast as the plain loop: the *grain* at which each breaks even is what one of the pieces of work
takes in the plain loop there (between two sizes, on a line through their logarithms). The bar is the pool's. Last, an array
of 1 MB and one of 16 MB: into a heap and out of it, beside pickle; and there and back by a worker, beside the pool.

Every round has problems of its own: what was run before on the very same state would be remembered.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import math
import pickle
import time
from statistics import median
from typing import TYPE_CHECKING, Any

from examples.determinator.comparing import WORKLOADS, Machine, pool_of

# isort: split
import numpy as np
import uvloop
from turns import in_turns, ratio, report

import runtime
from actors import Heap, Process, Root
from actors.memory import Memory

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from examples.determinator.workload import Workload

WORKERS = 2
SIZES_MAX = 14


class Contest:
    """A workload's three forms, which solve the same problem once a round."""

    def __init__(self, runner: asyncio.Runner, workload: Workload, pool: Executor) -> None:
        self._runner = runner
        self._workload = workload
        self._pool = pool
        self._seed = 0

    def figures(self, size: int, rounds: int) -> dict[str, list[float]]:
        """Return the seconds that each form takes, round by round."""
        problem: dict[str, Any] = {}
        # One of its own each time: it keeps all problems and results, and the more memory a process has, the slower it is.
        machine = Machine(self._workload, WORKERS)

        def pose() -> float:
            nonlocal problem
            self._seed += 1
            problem = self._workload.problem(size, self._seed)
            self._runner.run(machine.tell(problem))
            return 0.0

        async def solve() -> None:
            # Returns nothing: a runner spends milliseconds on the repr of arrays that it returns.
            await machine.solve()

        def timed(act: Callable[[], Any]) -> Callable[[], float]:
            def measure() -> float:
                begin = time.perf_counter()
                act()
                return time.perf_counter() - begin

            return measure

        self._runner.run(machine.__aenter__())
        made = in_turns(
            {
                "posed": pose,
                "plain loop": timed(lambda: self._workload.sequential(problem)),
                "bare pool": timed(lambda: self._workload.pooled(self._pool, problem)),
                "ours": timed(lambda: self._runner.run(solve())),
            },
            rounds,
        )
        self._runner.run(machine.__aexit__(None, None, None))
        del made["posed"]
        return made


def speed_up(figures: dict[str, list[float]], form: str) -> float:
    return median([alone / other for alone, other in zip(figures["plain loop"], figures[form], strict=True)])


def break_even(contest: Contest, workload: Workload, rounds: int) -> None:
    """Print the grain from which on each form is as fast as the plain loop."""
    size = workload.fine
    before: dict[str, tuple[float, float]] = {}
    found: dict[str, float] = {}
    for _ in range(SIZES_MAX):
        figures = contest.figures(size, rounds)
        grain = median(figures["plain loop"]) / workload.tasks
        for form in ("bare pool", "ours"):
            gain = math.log(speed_up(figures, form))
            if gain >= 0 and form not in found:
                low, loss = before.get(form, (grain, 0.0))
                share = -loss / (gain - loss) if gain > loss else 0.0
                found[form] = low * (grain / low) ** share
            before[form] = (grain, gain)
        if len(found) == 2 or size >= workload.coarse:
            break
        size = workload.fit(2 * size)
    told = {form: f"{found[form] * 1e6:.0f} µs" if form in found else "none" for form in ("bare pool", "ours")}
    print(f"  breaks even at a grain of: bare pool {told['bare pool']}, ours {told['ours']}   bar: the pool's")


class Echo(Process):
    placement = "worker"

    async def run(self) -> None:
        self.heap["y"] = self.heap["x"] + 1


class Echoes(Root):
    async def run(self) -> None:
        x = self.heap["block", "x"]
        for child in range(4):
            await self.put(child, {"x": x + child}, program=Echo, start=True)
        for child in range(4):
            await self.get(child, "y")
            await self.drop(child)


def echo(x: Any) -> Any:
    return x + 1


def arrays(runner: asyncio.Runner, pool: Executor, rounds: int) -> None:
    rt = runtime.Runtime(Echoes, workers=WORKERS)
    runner.run(rt.__aenter__())
    for megabytes in (1, 15):
        array = np.random.default_rng(megabytes).random(megabytes << 17)
        heap = Heap(Memory())

        def timed(act: Callable[[], Any], array: Any = array) -> Callable[[], float]:
            def measure() -> float:
                array[0] += 1
                begin = time.perf_counter()
                act()
                return time.perf_counter() - begin

            return measure

        def write_and_read(array: Any = array, heap: Heap = heap) -> None:
            heap["a"] = array
            heap["a"]

        def pooled(array: Any = array) -> None:
            for part in [pool.submit(echo, array + child) for child in range(4)]:
                part.result()

        print(f"an array of {megabytes} MB; there and back: four of them, on {WORKERS} workers")
        figures = in_turns(
            {
                "into a heap and out": timed(write_and_read),
                "pickled and unpickled": timed(lambda array=array: pickle.loads(pickle.dumps(array, protocol=5))),
                "there and back": timed(lambda array=array: runner.run(rt.advance({"x": array}))),
                "there and back, bare pool": timed(pooled),
            },
            rounds,
        )
        report(figures, "ms", 1e3)
        ratio(figures, "into a heap and out", "pickled and unpickled", "at most 1")
        ratio(figures, "there and back", "there and back, bare pool", "at most 1")
    runner.run(rt.__aexit__(None, None, None))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(WORKLOADS)}, arrays; all unless given")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--size", type=int, help="in place of each one's coarse size; then no grain is sought")
    given = parser.parse_args()
    names = given.names or [*WORKLOADS, "arrays"]
    gc.set_threshold(50_000, 20, 100)  # as runtime.run does, with its loop
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, pool_of(WORKERS) as pool:
        for name in names:
            if name == "arrays":
                arrays(runner, pool, given.rounds)
                continue
            workload = WORKLOADS[name]
            contest = Contest(runner, workload, pool)
            size = workload.fit(given.size or workload.coarse)
            print(f"{name}, {size} {workload.unit}")
            figures = contest.figures(size, given.rounds)
            report(figures, "ms", 1e3)
            ratio(figures, "bare pool", "ours", "at least 0.95")
            ratio(figures, "plain loop", "ours", "")
            if not given.size:
                break_even(contest, workload, given.rounds)


if __name__ == "__main__":
    main()
