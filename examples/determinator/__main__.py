"""Run Determinator's benchmarks: python -m examples.determinator [NAME…] [--size coarse|fine|N] [--workers N]

For each it prints how long the plain loop takes, the one on a bare ProcessPoolExecutor, and the one of processes, all on the
same problems; how many times as fast as the bare pool that last one is; and whether the results are equal: those of the
plain loop but for rounding, those of the others to the bit, on 0, 1, 2 and 3 workers.
"""

from __future__ import annotations

import argparse
import time
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any

import runtime
from examples.determinator.comparing import WORKLOADS, Machine, equal, near, pool_of

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from examples.determinator.workload import Workload

#: On how many workers the results are compared.
COMPARED = (0, 1, 2, 3)
#: How many problems the times are the median of.
ROUNDS = 3


async def results(workload: Workload, problem: dict[str, Any]) -> list[list[Any]]:
    """Return the results of a problem on each number of workers."""
    made = []
    for workers in COMPARED:
        async with Machine(workload, workers) as machine:
            await machine.tell(problem)
            made.append(await machine.solve())
    return made


async def compare(workload: Workload, size: int, workers: int, pool: Executor) -> str:
    """Solve a few problems in every form; return the line that tells of the median times."""
    seconds: list[tuple[float, ...]] = []
    right = True
    async with Machine(workload, workers) as machine:
        for seed in range(ROUNDS + 1):
            problem = workload.problem(size, seed)
            await machine.tell(problem)
            times = [time.perf_counter()]
            alone = workload.sequential(problem)
            times.append(time.perf_counter())
            pooled = workload.pooled(pool, problem)
            times.append(time.perf_counter())
            ours = await machine.solve()
            times.append(time.perf_counter())
            right = right and near(alone, ours) and equal(pooled, ours)
            if seed:  # In the first one workers start.
                seconds.append(tuple(after - before for before, after in pairwise(times)))
    right = right and all(equal(ours, other) for other in await results(workload, problem))
    told = "".join(f"{1e3 * median(form):11.1f} ms" for form in zip(*seconds, strict=True))
    speed = median([pooled / ours for _, pooled, ours in seconds])
    verdict = "equal" if right else "DIFFERENT"
    return f"{workload.name:<13}{size:>9} {workload.unit:<8}{told}{speed:9.2f}   {verdict}"


async def tell(names: list[str], size: str, workers: int) -> None:
    """Compare what was named, and print a line for each."""
    print(f"{'':<32}{'sequential':>13}{'bare pool':>14}{'ours':>14}{'speed':>9}   results")
    with pool_of(workers) as pool:
        for name in names or WORKLOADS:
            workload = WORKLOADS[name]
            count = int(size) if size.isdecimal() else workload.coarse if size == "coarse" else workload.fine
            print(await compare(workload, workload.fit(count), workers, pool), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(WORKLOADS)}; all unless given")
    parser.add_argument("--size", default="coarse", help="coarse, fine, or a number (see each module)")
    parser.add_argument("--workers", default=2, type=int, help="of the pool, and of ours (default: 2)")
    given = parser.parse_args()
    for name in given.names:
        if name not in WORKLOADS:
            parser.error(f"there is no benchmark {name!r}; there are {', '.join(WORKLOADS)}")
    if given.size not in ("coarse", "fine") and not (given.size.isdecimal() and int(given.size)):
        parser.error(f"--size is coarse, fine or a number, not {given.size!r}")
    if given.workers < 1:
        parser.error("--workers is at least 1, for the pool's sake")
    runtime.run(lambda: tell(given.names, given.size, given.workers))


if __name__ == "__main__":
    main()
