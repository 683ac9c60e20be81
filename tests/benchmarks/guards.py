"""What the guards cost: the same programs with the fence and without, in turns.

    python tests/benchmarks/guards.py [--rounds N]

Guards cannot be taken out of an interpreter again, so each side is one of its own: in the unguarded one nothing is
installed, and the stepper has no line that sets the fence. Programs: exchanges of a parent and a child, which are little
but steps; computing, which is none; and deep copies and logging, in which Python's own library makes guarded calls.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import copy
import gc
import inspect
import json
import logging
import subprocess
import sys
import textwrap
import time
from collections import Counter
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from turns import in_turns, ratio, report

import runtime
from actors import Process, Root
from runtime import stepper

if TYPE_CHECKING:
    from collections.abc import Callable

EXCHANGES = 3_000
LINES = 300
_log = logging.getLogger("guarded")


class Echo(Process):
    async def run(self) -> None:
        self.heap["y"] = self.heap["x"] + 1


class Exchanging(Root):
    async def run(self) -> None:
        await self.put("echo", program=Echo)
        for i in range(EXCHANGES):
            await self.put("echo", {"x": i}, start=True)
            await self.get("echo", "y")


class Computing(Root):
    async def run(self) -> None:
        words = Counter(str(n * n % 977) for n in range(20_000))
        total = sum((Decimal(n) / 7 for n in range(5_000)), Decimal())
        told = json.dumps({"words": sorted(words.items()), "total": str(total)})
        self.heap["x"] = len(json.loads(told)["words"])


class Copying(Root):
    async def run(self) -> None:
        thing = [{"a": [n, str(n)], "b": {"c": (n, [n])}} for n in range(200)]
        for _ in range(10):
            copy.deepcopy(thing)


class Logging(Root):
    async def run(self) -> None:
        for n in range(LINES):
            _log.warning("line %d", n)


PROGRAMS: dict[str, type[Root]] = {one.__name__.lower(): one for one in (Exchanging, Computing, Copying, Logging)}


async def one_block(program: type[Root]) -> float:
    async with runtime.Runtime(program, workers=0) as rt:
        begin = time.perf_counter()
        await rt.advance()
        return time.perf_counter() - begin


def without_fence() -> None:
    """Let this interpreter have no guards."""
    source = textwrap.dedent(inspect.getsource(stepper.Stepper.run))
    lines = [line for line in source.splitlines() if "fence" not in line]
    assert len(lines) == len(source.splitlines()) - 3
    text = "\n".join(lines).replace("finally:\n", "finally:\n                    pass\n")
    space: dict[str, Any] = {}
    exec(text, vars(stepper), space)
    stepper.Stepper.run = space["run"]
    stepper.install = lambda: None


def serve(side: str) -> None:
    """Measure what is asked for, line by line."""
    gc.set_threshold(50_000, 20, 100)
    logging.getLogger("guarded").addHandler(logging.StreamHandler(open("/dev/null", "w")))  # noqa: SIM115
    logging.getLogger("guarded").propagate = False
    if side == "unguarded":
        without_fence()
    for line in sys.stdin:
        print(asyncio.run(one_block(PROGRAMS[line.strip()])), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--serve")
    given = parser.parse_args()
    if given.serve:
        serve(given.serve)
        return
    with contextlib.ExitStack() as stack:
        contestants: dict[str, Callable[[], float]] = {}
        sides = {}
        for side in ("guarded", "unguarded"):
            command = [sys.executable, __file__, "--serve", side]
            sides[side] = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            stack.enter_context(sides[side])
        for name in PROGRAMS:
            for side, child in sides.items():
                contestants[f"{name}, {side}"] = partial(ask, child, name)
        figures = in_turns(contestants, given.rounds)
        for child in sides.values():
            assert child.stdin is not None
            child.stdin.close()
    report(figures, "ms", 1e3)
    for name in PROGRAMS:
        ratio(figures, f"{name}, guarded", f"{name}, unguarded", "at most 1.1")


def ask(child: subprocess.Popen[str], name: str) -> float:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(name + "\n")
    child.stdin.flush()
    return float(child.stdout.readline())


if __name__ == "__main__":
    main()
