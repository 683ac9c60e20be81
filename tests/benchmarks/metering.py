"""Metered Python against plain Python, for one program of each kind; and what a step costs.

    python tests/benchmarks/metering.py [--rounds N]

Both run in turns, each as the coroutine of a process that is stepped by hand; measured is the time of the processor, for
nothing here waits. The last lines are the geometric mean of
the programs' ratios, round by round, and the time of `enter` and `leave`.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from turns import in_turns, ratio, report, spread

from actors.meter import GAS_MAX, Meter
from runtime.metering import enter, leave, metered

sys.path.insert(0, str(Path(__file__).parent.parent / "runtime"))

import metered_programs
from metered_programs import PROGRAMS, prepared

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors import Process

STEPS = 50_000


def untouched() -> dict[str, tuple[type[Process], int]]:
    """Load the programs a second time: metering changes the classes that they share."""
    spec = importlib.util.spec_from_file_location("plain_programs", metered_programs.__file__)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.PROGRAMS


def plain(program: type[Process], n: int) -> Callable[[], float]:
    def once() -> float:
        coroutine, _ = prepared(program, n)
        begin = time.thread_time()
        run(coroutine)
        return time.thread_time() - begin

    return once


def with_gas(program: type[Process], n: int) -> Callable[[], float]:
    variant = metered(program)

    def once() -> float:
        coroutine, _ = prepared(variant, n)
        meter = Meter(GAS_MAX)
        begin = time.thread_time()
        enter(meter)
        try:
            run(coroutine)
        finally:
            leave()
        return time.thread_time() - begin

    return once


def run(coroutine: object) -> None:
    try:
        coroutine.send(None)  # type: ignore[attr-defined]
    except StopIteration:
        return
    raise AssertionError("it made a system call")


def steps() -> float:
    meter = Meter(GAS_MAX)
    begin = time.thread_time()
    for _ in range(STEPS):
        enter(meter)
        leave()
    return (time.thread_time() - begin) / STEPS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    contestants: dict[str, Callable[[], float]] = {}
    plain_programs = untouched()
    for name, (program, n) in PROGRAMS.items():
        contestants[f"{name}, plain"] = plain(plain_programs[name][0], n)
        contestants[f"{name}, metered"] = with_gas(program, n)
    contestants["enter and leave"] = steps
    figures = in_turns(contestants, rounds)
    step = {"enter and leave": figures.pop("enter and leave")}
    print("metered against plain Python")
    report(figures, "ms", 1e3)
    for name in PROGRAMS:
        ratio(figures, f"{name}, metered", f"{name}, plain", "at most 3")
    means = [
        prod(figures[f"{name}, metered"][turn] / figures[f"{name}, plain"][turn] for name in PROGRAMS)
        ** (1 / len(PROGRAMS))
        for turn in range(rounds)
    ]
    low, middle, high = spread(means)
    print(f"  geometric mean: {middle:.3f}  ({low:.3f} – {high:.3f})   bar: at most 1.7")
    report(step, "µs", 1e6)


if __name__ == "__main__":
    main()
