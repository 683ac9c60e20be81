"""Activations on workers, beside bare processes and a bare ProcessPoolExecutor with the same tasks.

    python tests/benchmarks/workers.py [--quick] [--only PART …]

    efficiency  activations of 1, 10 and 100 ms with little state. The ceiling is what two bare processes reach then, each
                with half of the work and nothing to say: sequential time / (2 × their time). What counts is the share of it.
    small       10,000 activations of 0.1 ms: how much longer each takes than its half of the work does.
    dependent   one child after the other, each waited for: "auto" against the loop
    state       a process with 100,000 entries (and 1,000,000) of which each activation changes 100, against the same dict
                sent to a pool, pickled, and back
    fresh       the first result of a pool that was just made
    killed      blocks while a worker is killed in every fifth of them, against the same blocks in peace

All of it on two workers, in turns, on a store on disk.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import random
import signal
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import uvloop
from turns import in_turns, ratio, report, spread

import runtime
from actors import Process, Root

if TYPE_CHECKING:
    from collections.abc import Callable

WORKERS: Final = 2
#: What programs measure of themselves, in seconds: a clock's figures must not go into the state.
aside: list[float] = []
TOUCHED: Final = 100
#: The entries that are touched again and again.
WORKING_SET: Final = 5_000


def spin(rounds: int) -> int:
    """Compute; about a millisecond for `ROUNDS` rounds."""
    x = 0
    for i in range(rounds):
        x = (x + i * i) & 0xFFFF
    return x


def rounds_per_ms() -> int:
    best = 0.0
    for _ in range(5):
        begin = time.perf_counter()
        spin(100_000)
        best = max(best, 100_000 / (1e3 * (time.perf_counter() - begin)))
    return int(best)


class Spin(Process):
    async def run(self) -> None:
        self.heap["y"] = spin(self.heap["rounds"])


class Touch(Process):
    placement = "worker"

    async def run(self) -> None:
        for key in self.heap["touched"]:
            nonce, *rest = self.heap["entries", key]
            self.heap["entries", key] = (nonce + 1, *rest)


class Top(Root):
    lifted = ("clock",)

    async def run(self) -> Any:
        return await getattr(self, self.heap["block", "do"])()

    async def spin(self) -> int:
        count, rounds = self.heap["block", "count"], self.heap["block", "rounds"]
        placement = self.heap["block", "placement"]
        # No two are alike, and no two blocks: nothing is remembered.
        first = self.heap.get("first", 0)
        self.heap["first"] = first + 1
        for i in range(count):
            values = {"rounds": rounds, "first": first}
            await self.put(i, values, program=Spin, start=True, placement=placement)
        found = sum([await self.get(i, "y") for i in range(count)])
        for i in range(count):
            await self.drop(i)
        return found

    async def chain(self) -> None:
        for _ in range(self.heap["block", "count"]):
            first = self.heap.get("first", 0)
            self.heap["first"] = first + 1
            values = {"rounds": self.heap["block", "rounds"], "first": first}
            await self.put("one", values, program=Spin, start=True, placement=self.heap["block", "placement"])
            await self.get("one", "y")

    async def fill(self) -> None:
        for key in range(self.heap["block", "entries"]):
            self.heap["entries", key] = account(key)
        await self.put("large", {"entries": self.heap.region("entries")}, program=Touch)

    async def touch(self) -> None:
        begin = time.perf_counter()
        for keys in self.heap["block", "keys"]:
            await self.put("large", {"touched": keys}, start=True)
            await self.get("large", "touched")
        aside.append((time.perf_counter() - begin) / len(self.heap["block", "keys"]))


class Machine:
    """A runtime that is open, and the loop on which it runs."""

    def __init__(self, path: Path, **how: Any) -> None:
        self.runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self.rt = runtime.Runtime(Top, store=path, workers=WORKERS, **how)
        self.runner.run(self.rt.__aenter__())

    def advance(self, **inputs: Any) -> float:
        async def timed() -> float:
            begin = time.perf_counter()
            await self.rt.advance(inputs)
            return time.perf_counter() - begin

        return self.runner.run(timed())

    def close(self) -> None:
        self.runner.run(self.rt.__aexit__(None, None, None))
        self.runner.close()


def pool() -> ProcessPoolExecutor:
    executor = ProcessPoolExecutor(WORKERS, mp_context=get_context("forkserver"))
    list(executor.map(spin, [1] * 20))
    return executor


def spin_often(count: int, rounds: int) -> None:
    for _ in range(count):
        spin(rounds)


def both(executor: ProcessPoolExecutor, count: int, rounds: int) -> None:
    """Do half of the work in each of two processes, in one piece."""
    halves = [executor.submit(spin_often, count // WORKERS, rounds) for _ in range(WORKERS)]
    for half in halves:
        half.result()


def timed(call: Callable[[], object]) -> Callable[[], float]:
    def measure() -> float:
        begin = time.perf_counter()
        call()
        return time.perf_counter() - begin

    return measure


def show(name: str, values: list[float], bar: str) -> None:
    low, middle, high = spread(values)
    print(f"  {name}: {middle:.3f}  ({low:.3f} – {high:.3f})   bar: {bar}")


# --- the parts ---


def efficiency(place: Path, quick: bool) -> None:
    """Activations of 1, 10 and 100 ms."""
    machine, executor = Machine(place / "efficiency.db"), pool()
    per_ms = rounds_per_ms()
    for ms, count, share in ((1, 1_000, 0.85), (10, 100, 0.95), (100, 10, 0.98)):
        rounds = per_ms * ms
        sequential = timed(lambda: spin_often(count, rounds))  # noqa: B023
        figures = in_turns(
            {
                "sequential": sequential,
                "two bare processes": timed(lambda: both(executor, count, rounds)),  # noqa: B023
                "ProcessPoolExecutor": timed(lambda: list(executor.map(spin, [rounds] * count))),  # noqa: B023
                "workers": lambda: machine.advance(do="spin", count=count, rounds=rounds, placement="worker"),  # noqa: B023
                "auto": lambda: machine.advance(do="spin", count=count, rounds=rounds, placement="auto"),  # noqa: B023
            },
            3 if quick else 12,
        )
        print(f"  {count:,} activations of {ms} ms:")
        report(figures, "s")
        share_of = [a / b for a, b in zip(figures["two bare processes"], figures["workers"], strict=True)]
        show("share of the ceiling", share_of, f"at least {share}")
        ratio(figures, "ProcessPoolExecutor", "workers", "at least 1")
        ratio(figures, "ProcessPoolExecutor", "auto", "none")
    machine.close()
    executor.shutdown()


def small(place: Path, quick: bool) -> None:
    """10,000 activations of 0.1 ms."""
    machine, executor = Machine(place / "small.db"), pool()
    count = 2_000 if quick else 10_000
    rounds = rounds_per_ms() // 10
    figures = in_turns(
        {
            "two bare processes": timed(lambda: both(executor, count, rounds)),
            "ProcessPoolExecutor.map": timed(lambda: list(executor.map(spin, [rounds] * count))),
            "workers": lambda: machine.advance(do="spin", count=count, rounds=rounds, placement="worker"),
            "loop": lambda: machine.advance(do="spin", count=count, rounds=rounds, placement="loop"),
        },
        3 if quick else 7,
    )
    report(figures, "µs each", 1e6 / count)
    over = [1e6 * (a - b) / count for a, b in zip(figures["workers"], figures["two bare processes"], strict=True)]
    show("overhead of each, µs", over, "at most 40")
    ratio(figures, "ProcessPoolExecutor.map", "workers", "over 1")
    ratio(figures, "workers", "loop", "none")
    machine.close()
    executor.shutdown()


def dependent(place: Path, quick: bool) -> None:
    """One child after the other, each waited for before the next begins."""
    machine = Machine(place / "dependent.db")
    per_ms = rounds_per_ms()
    for ms in (0.02, 0.5, 5.0):
        count, rounds = int(200 / max(ms, 0.2)), int(per_ms * ms)
        figures = in_turns(
            {
                placement: lambda p=placement: machine.advance(do="chain", count=count, rounds=rounds, placement=p)  # type: ignore[misc]  # noqa: B023
                for placement in ("loop", "auto")
            },
            3 if quick else 10,
        )
        print(f"  {count:,} activations of {ms} ms:")
        ratio(figures, "auto", "loop", "at most 1.1")
    machine.close()


def account(key: int) -> Any:
    """Return an account's record, of about 100 bytes."""
    draw = random.Random(key)
    return key, draw.getrandbits(120), draw.randbytes(32), draw.randbytes(32)


def bump(entries: dict[int, Any], keys: list[int]) -> dict[int, Any]:
    for key in keys:
        nonce, *rest = entries[key]
        entries[key] = (nonce + 1, *rest)
    return entries


def state(place: Path, quick: bool) -> None:
    """A large heap of which each activation changes 100 entries."""
    executor = pool()
    sizes = (20_000, 100_000) if quick else (100_000, 1_000_000)
    turns = 20
    whole: list[float] = []
    machines = {}
    for size in sizes:
        machines[size] = Machine(place / f"{size}.db")
        machines[size].advance(do="fill", entries=size)
    draw = random.Random(1)

    def touching(size: int) -> Callable[[], float]:
        def measure() -> float:
            keys = [draw.sample(range(min(size, WORKING_SET)), TOUCHED) for _ in range(turns)]
            whole.append(machines[size].advance(do="touch", keys=keys) / turns)
            return aside[-1]

        return measure

    entries = {key: account(key) for key in range(sizes[0])}

    def shipping() -> float:
        begin = time.perf_counter()
        executor.submit(bump, entries, draw.sample(range(sizes[0]), TOUCHED)).result()
        return time.perf_counter() - begin

    small_name, large_name = f"{sizes[0]:,} entries", f"{sizes[1]:,} entries"
    figures = in_turns(
        {small_name: touching(sizes[0]), large_name: touching(sizes[1]), "pickled, there and back": shipping},
        5 if quick else 15,
    )
    report(figures, "ms each", 1e3)
    show("with the block's fold and commit, ms, both sizes", [1e3 * one for one in whole], "none")
    show(f"{small_name}, ms", [1e3 * one for one in figures[small_name]], "at most 2")
    ratio(figures, "pickled, there and back", small_name, "at least 50")
    ratio(figures, large_name, small_name, "at most 1.5")
    for machine in machines.values():
        machine.close()
    executor.shutdown()


def fresh(place: Path, quick: bool) -> None:
    """The first result of a pool that was just made, its fork server started before and not."""
    times = []
    for turn in range(3 if quick else 8):
        begin = time.perf_counter()
        machine = Machine(place / f"fresh{turn}.db")
        machine.advance(do="spin", count=1, rounds=1, placement="worker")
        times.append(time.perf_counter() - begin)
        machine.close()
    print(f"  the first of all, with the fork server: {times[0]:.3f} s   bar: at most 0.3")
    show("the others, s", times[1:], "at most 0.3")


def killed(place: Path, quick: bool) -> None:
    """Blocks while workers are killed."""
    blocks = 40 if quick else 200
    rounds = rounds_per_ms() * 2

    def peaceful(name: str, share: float) -> Callable[[], float]:
        made = 0

        def measure() -> float:
            nonlocal made
            made += 1
            path = place / f"{name}{made}.db"
            draw = random.Random(made)
            machine = Machine(path)
            begin = time.perf_counter()
            for _ in range(blocks):
                for slot in machine.rt._crew._places:  # type: ignore[union-attr]
                    held = getattr(slot.slot, "_pool", None)
                    for pid in (held._processes or {}) if held is not None else ():
                        if draw.random() < share:
                            os.kill(pid, signal.SIGKILL)
                machine.advance(do="spin", count=20, rounds=rounds, placement="worker")
            seconds = time.perf_counter() - begin
            roots.append(machine.rt.head.hash)
            machine.close()
            return seconds

        return measure

    roots: list[bytes] = []
    figures = in_turns({"in peace": peaceful("peace", 0.0), "a fifth killed": peaceful("war", 0.2)}, 2 if quick else 3)
    report(figures, "s")
    ratio(figures, "a fifth killed", "in peace", "at most 2")
    print(f"  roots: {'all the same' if len(set(roots)) == 1 else 'THEY DIFFER'}   bar: the same")


PARTS: Final = {part.__name__: part for part in (efficiency, small, dependent, state, fresh, killed)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="which parts")
    given = parser.parse_args()
    gc.set_threshold(50_000, 20, 100)  # as runtime.run does
    with tempfile.TemporaryDirectory() as place:
        for name in given.only:
            print(f"{name}: {PARTS[name].__doc__}")
            PARTS[name](Path(place), given.quick)


if __name__ == "__main__":
    main()
