"""Savina on mail between deterministic actors, beside Pykka; and what two workers make of its CPU-bound benchmarks.

    python tests/benchmarks/savina.py [--rounds N] [--scale F] [NAME…]

Both sides do the same benchmark with the same parameters, in turns, in one process; Pykka's time leaves out the start and
end of its threads, ours has everything in it, the block's commit (in memory) included.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
from functools import partial
from typing import Any

import savina_pykka
from turns import in_turns, ratio, report

import runtime
from examples.savina.suite import SUITE, run

#: Beside Pykka: at which share of the published work, and what the ratio of messages a second is to be.
BESIDE = {
    "ping-pong": (0.5, "at least 5"),
    "thread-ring": (0.5, "at least 5"),
    "counting": (0.1, "at least 1.5"),
    "fork-join-throughput": (0.2, "at least 1.5"),
    "fork-join-create": (0.02, "none"),
    "chameneos": (0.01, "none"),
    "big": (0.01, "none"),
}
#: On workers: at which share of the published work.
ON_WORKERS = {"n-queens": 1.0, "sieve": 1.0}


def ours(name: str, scale: float) -> float:
    _, _, seconds = asyncio.run(run(name, scale))
    return float(seconds)


def pykkas(name: str, scale: float) -> float:
    parameters = SUITE[name][0].parameters(scale)
    return float(getattr(savina_pykka, name.replace("-", "_"))(**parameters))


async def on_workers(names: list[str], scale: float, rounds: int) -> None:
    """Compare one worker and two, on pools that are up."""
    for name in names:
        module, office = SUITE[name]
        parameters = module.parameters(min(1.0, ON_WORKERS[name] * scale))
        figures: dict[str, list[float]] = {"1 worker": [], "2 workers": []}
        for turn in range(rounds + 1):
            for workers, kept in zip((1, 2), figures.values(), strict=True):
                seconds = await one_run(office, parameters, workers)
                if turn:
                    kept.append(seconds)
        print(f"{name}, {parameters}")
        report(figures, "s", 1.0)
        ratio(figures, "1 worker", "2 workers", "at least 1.6")


async def one_run(office: Any, parameters: Any, workers: int) -> float:
    loop = asyncio.get_running_loop()
    async with runtime.Runtime(office, workers=workers) as rt:
        # The first block of a fresh pool has its start in it: a small one takes that.
        await rt.advance({**parameters, **SMALL[office.__name__]})
        await rt.revert(0)
        begin = loop.time()
        await rt.advance(parameters)
        return loop.time() - begin


#: What makes a benchmark small.
SMALL = {"NQueens": {"size": 6}, "Sieve": {"numbers": 20_000}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", default=[*BESIDE, *ON_WORKERS])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--scale", type=float, default=1.0, help="a share of the usual share")
    asked = parser.parse_args()
    gc.set_threshold(50_000, 20, 100)
    for name in asked.names:
        if name in BESIDE:
            share, bar = BESIDE[name]
            share *= asked.scale
            sides = {"lockstep": partial(ours, name, share), "Pykka": partial(pykkas, name, share)}
            figures = in_turns(sides, asked.rounds)
            print(f"{name}, {SUITE[name][0].parameters(share)}")
            report(figures, "ms", 1e3)
            ratio(figures, "Pykka", "lockstep", bar)
    asyncio.run(
        on_workers([name for name in asked.names if name in ON_WORKERS], asked.scale, max(1, asked.rounds // 2))
    )


if __name__ == "__main__":
    main()
