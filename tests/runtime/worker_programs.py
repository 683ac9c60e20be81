"""Programs for the tests of workers. They are imported in workers by the module's name."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from pathlib import Path
from typing import Any

from actors import ChildFailed, HostFault, Process, Region, Root, add, codec

GUARD = threading.Lock()


@codec
@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: int


class Odd(Exception):
    """Cannot be pickled."""

    def __init__(self, one: Any, other: Any) -> None:
        super().__init__(one)
        self.lock = threading.Lock()
        self.other = other


class Worker(Process):
    placement = "worker"


class Where(Worker):
    """Tells what no program may tell: where it ran. It is dropped before a block is closed."""

    lifted = ("environment",)

    async def run(self) -> None:
        self.heap["pid"] = os.getpid()
        self.heap["seed"] = hash("a word")
        self.heap["threads"] = os.environ.get("OMP_NUM_THREADS", "")


class Square(Worker):
    async def run(self) -> None:
        self.heap["y"] = self.heap["x"] ** 2


class Slow(Square):
    lifted = ("clock",)

    async def run(self) -> None:
        time.sleep(0.02)  # noqa: ASYNC251
        await super().run()


class Counting(Worker):
    """Goes on in the middle, again and again."""

    async def run(self) -> None:
        total, turns = 0, 0
        while True:
            total, turns = total + self.heap["x"], turns + 1
            self.heap["total"], self.heap["turns"] = total, turns
            self.heap["big"] = ("a" * 1_000) + str(total)
            await self.ret()


class Touching(Worker):
    """Touches some of many entries, and deletes one."""

    async def run(self) -> None:
        for key in self.heap["touched"]:
            self.heap["accounts", key] = self.heap.get(("accounts", key), 0) + 1
        self.heap.pop(("accounts", self.heap["touched"][0]))
        self.heap["copy"] = self.heap.region("accounts", high=10)


class Tree(Worker):
    """Has children of its own."""

    async def run(self) -> None:
        for i in range(3):
            await self.put(i, {"x": i}, program=Square, start=True, placement="worker")
        await self.put("left", {"x": 9}, program=Square, start=True)
        self.heap["sum"] = sum([await self.get(i, "y") for i in range(3)])
        try:
            await self.put("bad", program=Failing, start=True)
            await self.get("bad")
        except ChildFailed as failure:
            self.heap["failure"] = failure.error
        await self.drop(1)


class Failing(Worker):
    async def run(self) -> None:
        self.heap["lost"] = 1
        raise Odd(1, GUARD)


class Returning(Worker):
    async def run(self) -> Any:
        return GUARD


class Dying(Worker):
    """Takes its worker with it, so often as the file in its heap is not there yet; then it is well."""

    lifted = ("files", "interpreter")

    async def run(self) -> None:
        if self.heap.get("always", False):
            os._exit(3)
        if self.heap.get("deaths") is not None:
            place = self.heap["deaths"]
            died = len(os.listdir(place))
            if died < self.heap["times"]:
                Path(place, str(died)).touch()  # noqa: ASYNC240
                os._exit(3)
        self.heap["well"] = True


class Stuck(Worker):
    lifted = ("clock",)

    async def run(self) -> None:
        time.sleep(1_000)  # noqa: ASYNC251


class Spinning(Worker):
    async def run(self) -> None:
        while True:
            pass


class Hungry(Worker):
    async def run(self) -> None:
        raise MemoryError


def _locking(guard: threading.Lock) -> type[Process]:
    class Locking(Worker):
        async def run(self) -> None:
            with guard:
                self.heap["x"] = 1

    return Locking


LOCKING = _locking(GUARD)


class Pointed(Worker):
    async def run(self) -> None:
        point = self.heap["point"]
        self.heap["point"] = Point(point.y, point.x)


class Auto(Process):
    placement = "auto"

    async def run(self) -> None:
        self.heap["y"] = self.heap["x"] + 1


class Everything(Root):
    """Does what its input says."""

    async def run(self) -> Any:
        return await getattr(self, f"do_{self.heap['block', 'do']}")()

    def input(self, name: str) -> Any:
        return self.heap["block", name]

    async def attempt(self, child: Any, program: type[Process], key: str, **values: Any) -> Any:
        await self.put(child, values, program=program, start=True)
        try:
            return await self.get(child, key)
        except HostFault as fault:
            return "host fault", fault.path, fault.error
        except ChildFailed as failure:
            return "failed", failure.path, failure.error

    async def do_where(self) -> Any:
        for i in range(8):
            await self.put(i, program=Where, start=True)
        found = [await self.get(i, "pid", "seed", "threads") for i in range(8)]
        for i in range(8):
            await self.drop(i)
        return found

    async def do_squares(self) -> Any:
        for x in self.input("xs"):
            await self.put(x, {"x": x}, program=Square, start=True)
        return sum([await self.get(x, "y") for x in self.input("xs")])

    async def do_count(self) -> Any:
        new = "counting" not in self.heap
        self.heap["counting"] = True
        await self.put("c", {"x": self.input("x")}, program=Counting if new else None, start=True)
        return await self.get("c", "total", "turns")

    async def do_fill(self) -> Any:
        for i in range(self.input("count")):
            self.heap["accounts", i] = i
        await self.put("t", {"accounts": self.heap.region("accounts")}, program=Touching)
        return len(self.heap)

    async def do_touch(self) -> Any:
        await self.put("t", {"touched": self.input("keys")}, start=True)
        changes = await self.get("t")
        return len(changes), len(await self.get("t", Region("accounts")))

    async def do_merge(self) -> Any:
        for i in range(3):
            given = {"accounts": self.heap.region("accounts"), "touched": (i, 20, 30 + i)}
            await self.put(("m0", "m1", "m2")[i], given, program=Touching, start=True)
        for name in ("m0", "m1", "m2"):
            await self.merge(name, region="accounts", resolve=lambda _key, base, ours, theirs: add(base, ours, theirs))
        return self.heap["accounts", 20]

    async def do_tree(self) -> Any:
        return await self.attempt("tree", Tree, "sum")

    async def do_fail(self) -> Any:
        return await self.attempt("f", Failing, "x")

    async def do_fail_the_block(self) -> Any:
        await self.put("f", program=Failing, start=True)
        await self.get("f", "x")

    async def do_return_a_lock(self) -> Any:
        return await self.attempt("r", Returning, "x")

    async def do_die(self) -> Any:
        await self.put("innocent", {"x": 3}, program=Square, start=True)
        died = await self.attempt("d", Dying, "well", **dict(self.heap.items("block")))
        return died, await self.get("innocent", "y")

    async def do_die_and_retry(self) -> Any:
        first = await self.attempt("d", Dying, "well", always=True)
        await self.put("d", {"always": False}, start=True)
        return first, await self.get("d", "well")

    async def do_stick(self) -> Any:
        return await self.attempt("s", Stuck, "x")

    async def do_hunger(self) -> Any:
        return await self.attempt("h", Hungry, "x")

    async def do_lock(self) -> Any:
        return await self.attempt("l", LOCKING, "x"), await self.attempt("q", Square, "y", x=2)

    async def do_point(self) -> Any:
        return await self.attempt("p", Pointed, "point", point=Point(1, 2))

    async def do_drop(self) -> Any:
        for name in ("a", "b"):
            await self.put(name, program=Spinning, start=True)
        for name in ("a", "b"):
            await self.drop(name)
        return await self.attempt("q", Square, "y", x=5)

    async def do_begin_again(self) -> Any:
        for _ in range(3):
            await self.put("x", {"x": 4}, program=Slow, start=True)
            await self.put("y", {"x": 5}, program=Square, start=True)
            await self.get("y", "y")
            await self.drop("x")
        return await self.attempt("x", Slow, "y", x=4)

    async def do_spin(self) -> Any:
        await self.put("spin", program=Spinning, start=True)
        await self.get("spin")

    async def do_begin(self) -> Any:
        for name in self.input("names"):
            await self.put(name, {"x": self.input("x")}, program=Square, start=True)

    async def do_end(self) -> Any:
        return [await self.get(name, "y") for name in self.input("names")]

    async def do_auto(self) -> Any:
        for i in range(self.input("count")):
            await self.put(i, {"x": i}, program=Auto, start=True)
        return sum([await self.get(i, "y") for i in range(self.input("count"))])
