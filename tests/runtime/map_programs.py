"""Programs for the tests of map, map_reduce and pipeline: at module level, so that workers and reopened stores find them."""

from __future__ import annotations

from typing import Any

from actors import ABSENT, ChildFailed, Process, Root


class Square(Process):
    async def run(self) -> None:
        assert list(self.heap) == ["item"], "an item has a heap of its own"
        n = self.heap["item"]
        if n == 13:
            raise ValueError(n)
        self.heap["left behind"] = n
        self.heap["result"] = n * n


class Mapper(Root):
    async def run(self) -> Any:
        count, window = self.heap["block", "count"], self.heap["block", "window"]
        results = self.map(Square, range(count), window=window, return_exceptions=True)
        return [result.error if isinstance(result, ChildFailed) else result async for result in results]


class Nested(Root):
    """A map over the results of another, and one after it."""

    async def run(self) -> Any:
        inner = [result async for result in self.map(Square, range(5), window=2)]
        async with self.map(Square, inner, window=2) as outer:
            return [(result, await self.summed(1, 2, 3)) async for result in outer]

    async def summed(self, *items: int) -> int:
        return await self.map_reduce(Square, items, lambda total, one: total + one, 0)


class Parse(Process):
    async def run(self) -> None:
        if self.heap["item"].strip():
            self.heap["result"] = int(self.heap["item"])


class Total(Process):
    """A stage that knows what came before."""

    async def run(self) -> None:
        self.heap["total"] = self.heap.get("total", 0) + self.heap["item"]
        self.heap["result"] = (self.heap["item"], self.heap["total"])


class Show(Process):
    async def run(self) -> None:
        item, total = self.heap["item"]
        self.heap["result"] = f"{item} makes {total}"


class Piped(Root):
    async def run(self) -> Any:
        lines = self.heap["block", "lines"]
        stages = (Parse, Total, Show)[: self.heap["block", "stages"]]
        return [out async for out in self.pipeline(stages, lines)]


class OnePiece(Process):
    """Keeps no journal."""

    journal = False

    async def run(self) -> None:
        refused = []
        for call in (self.ret,):
            try:
                await call()
            except Exception as error:
                refused.append((type(error).__name__, str(error)))
        count = self.heap["count"]
        self.heap["sum"] = await self.map_reduce(
            Square, range(14, 14 + count), lambda total, one: total + one, 0, window=3
        )
        self.heap["refused"] = tuple(refused)


class Journalist(Root):
    """Starts a process without a journal, gives it a program with one, and back."""

    async def run(self) -> Any:
        seen = []
        for turn in range(2):
            await self.put("c", {"count": 10}, program=OnePiece, start=True)
            seen.append(await self.get("c", "sum", "refused"))
            await self.put("c", program=Resting, start=True)
            trap = await self.status("c")
            await self.put("c", {"fed": turn}, start=True)
            seen.append((trap.middle, await self.get("c", "fed", "seen")))
        return seen


class Resting(Process):
    async def run(self) -> None:
        changes = await self.ret()
        self.heap["seen"] = tuple((change.key, change.new) for change in changes if change.new is not ABSENT)
