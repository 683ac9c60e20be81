"""Programs for the tests of gas, limits and time: at module level, so that workers and reopened stores find them."""

from __future__ import annotations

from typing import Any

from actors import ChildFailed, LimitExceeded, Limits, OutOfGas, Process, Root


class Leaf(Process):
    async def run(self) -> None:
        self.charge(self.heap.get("cost", 10))
        self.heap["done"] = self.heap.get("done", 0) + 1


class Busy(Process):
    """Does a bit of everything, and stops in the middle."""

    async def run(self) -> None:
        self.heap["log"] = ("begun",)
        for name in ("a", "b"):
            await self.put(name, {"cost": 25, "name": name}, program=Leaf, start=True)
        self.heap["log"] += (await self.get("a", "done"), await self.get("b", "name"))
        changes = await self.ret()
        self.heap["log"] += tuple(change.key for change in changes)
        await self.merge("a")
        await self.put("b", {"cost": 40}, start=True, gas=300)
        self.heap["log"] += ((await self.status("b")).gas, *self.heap.keys())
        self.heap["region"] = self.heap.region(low="d")
        await self.drop("a")


class Patient(Root):
    """Runs Busy with one gas more until it is enough, and shows what it took; twice, for it stops in the middle."""

    async def run(self) -> Any:
        await self.put("busy", {"n": 1}, program=Busy)
        took = []
        for more in ({}, {"fed": True}):
            await self.put("busy", more)
            gas = 0
            while True:
                await self.put("busy", start=True, gas=gas)
                trap = await self.status("busy")
                if not trap.failed:
                    took.append((gas, trap.gas, trap.middle))
                    break
                assert (trap.kind.name, trap.error, trap.gas) == ("OUT_OF_GAS", "OutOfGas", gas), trap
                assert not await self.get_changes()
                gas += self.heap["block", "step"]
        return took, tuple(await self.get("busy", "log"))

    async def get_changes(self) -> Any:
        """Nothing is left of an activation that ran out."""
        try:
            await self.get("busy")
        except OutOfGas as error:
            self.heap["said"] = str(error)
        return ()


class Rich(Root):
    """Runs Busy once each, with plenty."""

    async def run(self) -> Any:
        took = []
        await self.put("busy", {"n": 1}, program=Busy)
        for more in ({}, {"fed": True}):
            await self.put("busy", more, start=True, gas=10**12)
            trap = await self.status("busy")
            took.append((trap.gas, trap.middle))
        return took, tuple(await self.get("busy", "log"))


class Sharing(Process):
    """Starts children with gas of their own or not, as its heap says: (name, cost, gas)."""

    async def run(self) -> None:
        for name, cost, gas in self.heap["children"]:
            await self.put(name, {"cost": cost}, program=Leaf, start=True, gas=gas)
        used = []
        for name in self.heap.get("waits", tuple(name for name, _, _ in self.heap["children"])):
            trap = await self.status(name)
            used.append((trap.kind.name, trap.gas))
        for name in self.heap.get("drops", ()):
            await self.drop(name)
        self.heap["used"] = tuple(used)


class Household(Root):
    """Runs one Sharing: the block's input is its heap, and its gas."""

    async def run(self) -> Any:
        values = {key: self.heap["block", key] for key in self.heap.keys("block") if key != "gas"}
        await self.put("s", values, program=Sharing, start=True, gas=self.heap["block", "gas"])
        trap = await self.status("s")
        used = None if trap.failed else await self.get("s", "used")
        return trap.kind.name, trap.gas, used


class Late(Root):
    """Starts a process that leaves children behind, and looks at them blocks later."""

    async def run(self) -> Any:
        what = self.heap["block", "do"]
        if what == "start":
            await self.put(
                "s",
                {"children": (("x", 30, None), ("y", 30, 500)), "waits": ()},
                program=Sharing,
                start=True,
                gas=self.heap["block", "gas"],
            )
        elif what == "again":
            await self.put("s", {"children": (), "waits": ("x", "y")}, start=True, gas=self.heap["block", "gas"])
            return (await self.status("s")).gas, await self.get("s", "used")
        return None


class Clerk(Process):
    async def run(self) -> None:
        self.heap["at"] = (await self.now(),)
        await self.ret()
        self.heap["at"] += (await self.now(), await self.now())


class Office(Root):
    """Children that are started in one block and waited for in another, beside the root's own time."""

    async def run(self) -> Any:
        what = self.heap["block", "do"]
        if what == "start":
            await self.put("c", program=Clerk, start=True)
        elif what == "go on":
            await self.put("c", start=True)
        elif what == "look":
            return await self.now(), await self.get("c", "at")
        return await self.now()


class Greedy(Process):
    """Does what its heap says, and writes down what was refused."""

    async def run(self) -> None:
        refused = []
        for number, (what, *rest) in enumerate(self.heap["todo"]):
            try:
                below = await getattr(self, f"do_{what}")(*rest)
                if below:
                    refused.append((number, below))
            except LimitExceeded as error:
                refused.append((number, str(error)))
        self.heap["refused"] = tuple(refused)

    async def do_write(self, key: Any, value: Any) -> None:
        self.heap[key] = value

    async def do_fill(self, key: Any, size: int) -> None:
        self.heap[key] = b"x" * size

    async def do_delete(self, key: Any) -> None:
        del self.heap[key]

    async def do_update(self, values: Any) -> None:
        self.heap.update(values)

    async def do_mount(self, key: Any, source: Any) -> None:
        self.heap[key] = self.heap.region(source)

    async def do_child(self, name: Any, todo: Any = (), limits: Any = None) -> Any:
        given = None if limits is None else Limits(**limits)
        await self.put(name, {"todo": todo}, program=Greedy, start=True, limits=given)
        return await self.get(name, "refused")

    async def do_drop(self, name: Any) -> None:
        await self.drop(name)

    async def do_calls(self, count: int) -> None:
        for _ in range(count):
            await self.status("x")

    async def do_ret(self) -> None:
        await self.ret()


class Warden(Root):
    """Starts one Greedy within limits; again in every block."""

    async def run(self) -> Any:
        limits = Limits(**self.heap["block", "limits"])
        try:
            await self.put(
                "g",
                {"todo": self.heap["block", "todo"], **dict(self.heap["block", "more"])},
                program=Greedy,
                limits=limits,
                start=True,
                gas=self.heap.get(("block", "gas")),
            )
            return await self.get("g", "refused")
        except (ChildFailed, LimitExceeded) as error:
            return type(error).__name__, str(error)


class Winding(Process):
    """Winds through every kind of tick, tries to swallow what stops it, has a child, and stops in the middle."""

    async def run(self) -> None:
        self.heap["log"] = ("begun",)
        total = 0
        for n in range(4):
            try:
                total += sum([m for m in range(n) if m % 2]) + (lambda x: x * x)(n)
                if n == 2:
                    raise ValueError
            except BaseException:
                self.heap["caught", n] = total
            finally:
                self.heap["n"] = n
        while total > 20:
            total -= 7
        await self.put("leaf", {"cost": 5}, program=Leaf, start=True)
        self.heap["log"] += (total, await self.get("leaf", "done"))
        await self.ret()
        self.heap.clear("caught")
        self.heap["log"] += tuple(self.heap.keys())
        await self.merge("leaf")


class Winder(Root):
    """Starts Winding with the block's gas; a block without gas puts something into it."""

    async def run(self) -> Any:
        if ("block", "gas") not in self.heap:
            await self.put(
                "w", {"fed": self.heap["block", "fed"]}, program=Winding if self.heap["block", "new"] else None
            )
            return None
        await self.put("w", start=True, gas=self.heap["block", "gas"])
        trap = await self.status("w")
        return trap.kind.name, trap.gas, trap.middle
