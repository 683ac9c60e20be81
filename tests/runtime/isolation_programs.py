"""Programs that look at what the interpreter has around them, and change it. Workers import them by the module's name."""

from __future__ import annotations

import decimal
from contextvars import ContextVar
from decimal import Decimal, getcontext
from typing import Any

from actors import Actor, PostOffice, Process, Root

SEEN: ContextVar[str] = ContextVar("SEEN", default="nothing")


def third() -> str:
    return str(Decimal(1) / 3)


def reached() -> int:
    """Return how deep a recursion may go from here."""
    count = 0

    def down() -> None:
        nonlocal count
        count += 1
        down()

    try:
        down()
    except RecursionError:
        return count
    raise AssertionError


class Looks(Process):
    async def run(self) -> None:
        self.heap["seen"] = third(), SEEN.get(), getcontext().rounding


class Divides(Process):
    async def run(self) -> None:
        self.heap["seen"] = third()


class Sets(Process):
    """Sets some, and finds them again whenever it goes on."""

    async def run(self) -> None:
        getcontext().prec = 5
        token = SEEN.set("its own")
        self.heap["seen"] = third(), SEEN.get()
        await self.ret()
        self.heap["seen"] = third(), SEEN.get()
        with decimal.localcontext() as local:
            local.prec = 3
            await self.ret()
            self.heap["seen"] = third(), SEEN.get()
        SEEN.reset(token)
        await self.ret()
        self.heap["seen"] = third(), SEEN.get()


class Deep(Process):
    """Tells how deep it may go: at its first step, and at the next ones; with context variables, where it is told to."""

    async def run(self) -> None:
        if self.heap["sets"]:
            SEEN.set("its own")
        self.heap["seen"] = (reached(),)
        for _ in range(2):
            await self.ret()
            self.heap["seen"] = (*self.heap["seen"], reached())


class Top(Root):
    """Runs a process, goes on with it so many times, and tells what it has said each time, with siblings beside it."""

    async def run(self) -> Any:
        programs = {"Divides": Divides, "Sets": Sets, "Deep": Deep}
        name, placement, gas, times, values = self.heap["block", "what"]
        first = self.heap.get("first", True)
        self.heap["first"] = False
        if first:
            await self.put("c", values, program=programs[name], placement=placement)
        told = []
        for _ in range(times):
            await self.put("c", start=True, gas=gas)
            await self.put("beside", program=Looks, start=True, placement=placement)
            told.append((await self.get("c", "seen"), await self.get("beside", "seen")))
        return told, third(), SEEN.get()


class Precise(Actor):
    """Sets its precision, asks another actor, and divides; the other one divides."""

    async def receive(self, message: Any, sender: Any) -> Any:
        if message == "divide":
            return third()
        getcontext().prec = 5
        other = await self.ask(message, "divide")
        self.heap["seen"] = other, third()
        return None


class Office(PostOffice, Root):
    """One of two is asked to ask the other: for one round a block."""

    async def run(self) -> Any:
        if self.heap["block", "n"] == 0:
            one, other = self.spawn(Precise, "one", seen=None), self.spawn(Precise, "other", seen=None)
            self.post(one, other)
        await self.deliver(rounds=1)
        return await self.look((*self.path, "one"), "seen"), third()


class Hosting(Office):
    hosts = (Precise,)


class Housing(Office):
    actors = (Precise,)
