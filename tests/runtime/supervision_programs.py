"""Programs for the tests of calls, retry ladders and supervision."""

from __future__ import annotations

from typing import Any

from actors import ChildFailed, Ladder, Process, Root

STEPS = Ladder(gas=(200, 2_000, 20_000), backoff=(0, 1, 2), then="give up")
STUBBORN = Ladder(gas=(100,), tries=2)


class Work(Process):
    """Costs what it is told, and fails while it is told to."""

    async def run(self) -> None:
        self.heap["half"] = True
        self.charge(self.heap.get("cost", 10))
        if self.heap.get("broken"):
            raise ValueError("broken")
        self.heap["result"] = self.heap.get("item", 0) * 2
        del self.heap["half"]


class Supervisor(Root):
    """Starts a child once, and supervises it in every block."""

    async def run(self) -> Any:
        block = {name: self.heap.get(("block", name)) for name in ("start", "mend", "values")}
        if block["start"] is not None:
            await self.put("work", block["start"], program=Work, start=True, gas=100)
        if block["mend"] is not None:
            await self.put("work", block["mend"])
        found = await self.supervise("work", STEPS, block["values"])
        left = self.heap.get(("supervision", "work"))
        return found.state, found.trap.kind.name, found.trap.gas, found.tries, left


class Retrier(Root):
    async def run(self) -> Any:
        cost, broken, first = self.heap["block", "cost"], self.heap["block", "broken"], self.heap["block", "first"]
        values = {"cost": cost, "broken": broken, "item": 21}
        await self.put("work", values, program=Work, start=True, gas=first)
        try:
            trap = await self.retry("work", gas=(150, 1_500, 15_000))
        except ChildFailed as failure:
            return failure.kind, failure.error, failure.gas
        return trap.kind.name, await self.get("work", "result")


class Caller(Root):
    async def run(self) -> Any:
        told: list[Any] = [await self.call("work", Work, item=n, gas=1_000) for n in range(3)]
        told.append(await self.call("work", item=10))
        for values in ({"cost": 5_000}, {"cost": 1, "broken": True}):
            try:
                await self.call("work", gas=1_000, **values)
            except ChildFailed as failure:
                told.append((failure.kind, failure.error))
        return told


class Middle(Process):
    """A supervisor that is supervised: what it escalates fails it, and it begins anew."""

    async def run(self) -> None:
        await self.put("work", {"cost": self.heap["cost"]}, program=Work, start=True, gas=10)
        await self.supervise("work", STUBBORN)
        self.heap["result"] = "got over it"


class Escalating(Root):
    async def run(self) -> Any:
        await self.put("middle", {"cost": self.heap["block", "cost"]}, program=Middle, start=True)
        found = await self.supervise("middle", Ladder(tries=1, then="give up"), key="how far")
        told = found.state, found.trap.error, self.heap.get("how far")
        await self.put("middle", {"cost": 1}, start=True)
        again = await self.supervise("middle", Ladder(tries=1, then="give up"), key="how far")
        return (*told, again.state, again.tries, "how far" in self.heap)
