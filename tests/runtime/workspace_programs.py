"""Programs for the tests of workspaces: at module level, so that workers and reopened stores find them.

`Member` and `Teams` interpret instructions, which `team_model` runs once more, sequentially, on plain dicts. The others are
the cases of the paper (Determinator, OSDI 2010), each as a user would write it.
"""

from __future__ import annotations

from typing import Any

from actors import ABSENT, ChildFailed, MergeConflict, Process, Region, Root, add, append, minimum, union

REDUCTIONS = {"sum": add, Region("low"): minimum, "set": union, "list": append}


class Interpreter(Process):
    """Does what it is told: instructions are tuples, an operation and its operands."""

    reductions = REDUCTIONS

    async def do(self, code: Any) -> None:
        heap = self.heap
        for operation, *operands in code:
            if operation == "set":
                heap[operands[0]] = operands[1]
            elif operation == "copy":
                heap[operands[0]] = heap.get(operands[1], "none")
            elif operation == "delete":
                heap.pop(operands[0], None)
            elif operation == "add":
                heap["sum"] = heap.get("sum", 0) + operands[0]
            elif operation == "low":
                heap["low", operands[0]] = min(heap.get(("low", operands[0]), 100), operands[1])
            elif operation == "include":
                heap["set"] = {*heap.get("set", ()), operands[0]}
            elif operation == "append":
                heap["list"] = (*heap.get("list", ()), operands[0])
            elif operation == "fail":
                raise ValueError
            elif operation == "barrier":
                await self.barrier()
            else:
                await self.lead(*operands)

    async def lead(self, members: Any, own: Any) -> None:
        log = ("log", *self.path)
        try:
            async with self.team() as team:
                for code in members:
                    await team.fork(Member, {"code": code})
                await self.do(own)
        except MergeConflict as conflict:
            paths = [tuple([writer.path for writer in pair]) for pair in conflict.writers]
            told = tuple([(key, pair) for (key, *_), pair in zip(conflict.conflicts, paths, strict=True)])
            self.heap[log] = (*self.heap.get(log, ()), ("conflict", told))
        except ChildFailed as failure:
            self.heap[log] = (*self.heap.get(log, ()), ("failed", failure.path))


class Member(Interpreter):
    async def run(self) -> None:
        await self.do(self.heap["code"])


class Teams(Root, Interpreter):
    async def run(self) -> Any:
        await self.do(self.heap["block", "code"])
        self.heap.clear("block")
        return tuple(self.heap.items())


def writers_of(conflict: MergeConflict) -> Any:
    """Return the writers as a value."""
    return [[tuple(writer) for writer in pair] for pair in conflict.writers]


# --- small ones ---


class Copy(Process):
    """to = from"""

    async def run(self) -> None:
        self.heap[self.heap["to"]] = self.heap[self.heap["from"]]


class Write(Process):
    async def run(self) -> None:
        for key, value in self.heap["writes"]:
            self.heap[key] = value


class WriteTwice(Process):
    async def run(self) -> None:
        self.heap["x"] = "first"
        self.heap["y"] = "other"
        self.heap.update({"x": "last", "z": 1})  # the line that a conflict names


class WriteDeep(Process):
    async def run(self) -> None:
        await self.fork("deep", Write, {"writes": (("x", "deep"),)})
        await self.join("deep")  # the line that a conflict names


class WriteBehindBarrier(Process):
    async def run(self) -> None:
        self.heap["x", self.heap["me"]] = "before"
        await self.barrier()
        self.heap["count"] = len(list(self.heap.keys("x")))  # the line that a conflict names


class Fail(Process):
    async def run(self) -> None:
        self.heap["x"] = "half written"
        raise RuntimeError("on purpose")


class Loop(Process):
    """Runs out of any gas."""

    async def run(self) -> None:
        self.heap["x"] = "half written"
        while True:
            self.charge(10)


class Exit(Process):
    """Writes its status, and returns."""

    async def run(self) -> None:
        self.heap["status"] = self.heap["code"]


# --- the paper's cases ---


class AdjacentWrites(Root):
    """Writers of neighbouring entries are merged entry by entry."""

    async def run(self) -> Any:
        self.heap.update({("cell", i): 0 for i in range(64)})
        async with self.team() as team:
            for i in range(64):
                await team.fork(Write, {"writes": ((("cell", i), i + 1),)})
        return tuple(self.heap.values("cell"))


class Swap(Root):
    async def run(self) -> Any:
        self.heap.update({"x": 1, "y": 2})
        async with self.team() as team:
            await team.fork(Copy, {"to": "x", "from": "y"})
            await team.fork(Copy, {"to": "y", "from": "x"})
        return self.heap["x"], self.heap["y"]


class Conflict(Root):
    """What a conflict says of writers of every kind, and that the heap is as it was."""

    async def run(self) -> Any:
        self.heap.update({"x": 0, "y": 0})
        before = self.heap.digest()
        told = []
        for first, second in ((WriteTwice, Write), (Write, WriteTwice), (WriteDeep, WriteTwice)):
            try:
                async with self.team() as team:
                    for program in (first, second):
                        await team.fork(program, {"writes": (("x", 5), ("w", 6))})
            except MergeConflict as conflict:
                told.append((str(conflict), writers_of(conflict), self.heap.digest() == before))
        return tuple(told)


class OwnConflict(Root):
    """The parent is a writer as well; a join says so, leaves the child, and may be settled."""

    async def run(self) -> Any:
        self.heap["x"] = 0
        await self.fork("child", WriteTwice)
        await self.fork("other", Write, {"writes": (("y", "mine"),)})
        self.heap["x"] = "the parent's"
        await self.join("other")
        try:
            await self.join("child")
        except MergeConflict as conflict:
            told = str(conflict), writers_of(conflict)
        await self.join("child", resolve=lambda key, base, ours, theirs: (ours, theirs))
        return (*told, self.heap["x"], self.heap["y"], self.heap["z"])


class BarrierConflict(Root):
    """A conflict behind a barrier: the writers are run again through it; what was merged before it stays."""

    async def run(self) -> Any:
        try:
            async with self.team() as team:
                for me in range(3):
                    await team.fork(WriteBehindBarrier, {"me": me})
        except MergeConflict as conflict:
            return str(conflict), tuple(self.heap.items("x")), "count" in self.heap


class Stencil(Process):
    """Each of its cells becomes the sum of its neighbours, again and again: without barriers, it would be a race."""

    async def run(self) -> None:
        heap = self.heap
        low, high, size = heap["low"], heap["high"], heap["size"]
        for turn in range(heap["turns"]):
            if turn:
                await self.barrier()
            heap.update(
                {("cell", i): heap["cell", (i - 1) % size] + heap["cell", (i + 1) % size] for i in range(low, high)}
            )


class Barrier(Root):
    async def run(self) -> Any:
        size, turns, parts = 24, 4, 3
        self.heap.update({("cell", i): i for i in range(size)} | {"size": size, "turns": turns})
        async with self.team() as team:
            for part in range(parts):
                bounds = {"low": part * size // parts, "high": (part + 1) * size // parts}
                await team.fork(Stencil, bounds)
            await team.barrier()
            after_one = tuple(self.heap.values("cell"))
        return after_one, tuple(self.heap.values("cell"))


class Sort(Process):
    """Recursive parallel quicksort, in place: partition, then a team of two on the two halves."""

    async def run(self) -> None:
        low, high = self.heap["low"], self.heap["high"]
        cells = list(self.heap.values("cell", low, high))
        if high - low <= 8:
            self.heap.update({("cell", low + i): value for i, value in enumerate(sorted(cells))})
            return
        pivot = sorted((cells[0], cells[len(cells) // 2], cells[-1]))[1]
        parts = [[c for c in cells if c < pivot], [c for c in cells if c == pivot], [c for c in cells if c > pivot]]
        self.heap.update({("cell", low + i): value for i, value in enumerate([*parts[0], *parts[1], *parts[2]])})
        async with self.team() as team:
            await team.fork(Sort, {"low": low, "high": low + len(parts[0])})
            await team.fork(Sort, {"low": high - len(parts[2]), "high": high})


class Quicksort(Root):
    async def run(self) -> Any:
        cells = self.heap["block", "cells"]
        self.heap.clear("cell")
        self.heap.update({("cell", i): value for i, value in enumerate(cells)})
        async with self.team() as team:
            await team.fork(Sort, {"low": 0, "high": len(cells)})
        return tuple(self.heap.values("cell"))


class Row(Process):
    async def run(self) -> None:
        row = self.heap["row"]
        mine = self.heap["a", row]
        self.heap["c", row] = tuple(
            [sum(x * y for x, y in zip(mine, column, strict=True)) for column in self.heap.values("columns of b")]
        )


class Matrices(Root):
    """64 children, one for each row of the product."""

    async def run(self) -> Any:
        size = 64
        for name, factor in (("a", 31), ("columns of b", 17)):
            self.heap.update({(name, i): tuple([(i * factor + j * 7) % 10 for j in range(size)]) for i in range(size)})
        async with self.team() as team:
            for row in range(size):
                await team.fork(Row, {"row": row})
        return tuple(self.heap.values("c"))


class Forgetful(Root):
    """Reads before it joins: the answer is wrong, and the same one every time."""

    async def run(self) -> Any:
        self.heap["total"] = self.heap.get("total", 0)
        await self.fork("adder", Member, {"code": (("add", 5), ("set", "total", 5))})
        total = self.heap["total"]
        await self.join("adder")
        return total, self.heap["total"]


class Statuses(Root):
    """fork, and wait for statuses of every kind, as a shell does."""

    async def run(self) -> Any:
        started = {"good": (Exit, None), "bad": (Fail, None), "endless": (Loop, 500), "other": (Exit, 10_000)}
        for code, (name, (program, gas)) in enumerate(started.items()):
            await self.fork(name, program, {"code": code}, gas=gas)
        told: list[Any] = []
        for name in started:
            trap = await self.status(name)
            try:
                await self.join(name)
                told.append((name, trap.kind.name, self.heap["status"]))
                self.heap.pop("status")
            except ChildFailed as failure:
                told.append((name, trap.kind.name, failure.kind, failure.error, self.heap.get("x", "as it was")))
                await self.drop(name)
        return tuple(told)


class Counted(Root):
    """A counter that all children raise is no conflict, nor are the other reductions."""

    reductions = REDUCTIONS

    async def run(self) -> Any:
        async with self.team() as team:
            for i in range(10):
                code = (("add", i), ("low", i % 2, 10 - i), ("include", i % 4), ("append", i))
                await team.fork(Member, {"code": code})
        heap = self.heap
        return (
            heap["sum"],
            tuple(heap.values("low")),
            tuple(sorted(heap["set"])),
            heap["list"],
            heap.get("x", ABSENT) is ABSENT,
        )


class AcrossBlocks(Root):
    """A fork that is joined in a later block; and a team with a block's end inside."""

    async def run(self) -> Any:
        step = self.heap["block", "step"]
        if step == "fork":
            self.heap["x"] = 0
            await self.fork("child", WriteTwice)
        elif step == "join":
            self.heap["x"] = 1
            try:
                await self.join("child")
            except MergeConflict as conflict:
                await self.join("child", resolve=lambda key, base, ours, theirs: theirs)
                return writers_of(conflict), self.heap["x"]
        elif step == "team":
            self.heap["x"] = 0
            try:
                async with self.team() as team:
                    await team.fork(WriteTwice)
                    given = await self.snapshot("in the middle")
                    await team.fork(Write, {"writes": (("x", given["step"]),)})
            except MergeConflict as conflict:
                return writers_of(conflict), self.heap["x"]
        return step


def set_for(process: Process, key: str) -> None:
    process.heap[key] = 1  # by a function


class EveryKindOfWrite(Process):
    """Changes "x" in a way of its own; each line is marked with the way."""

    async def run(self) -> None:
        heap, way = self.heap, self.heap["way"]
        if way == "deleted":
            del heap["x"]  # by deleted
            heap["y"] = 1
        elif way == "popped":
            heap.pop("x")  # by popped
        elif way == "cleared":
            heap.clear("x")  # by cleared
        elif way == "mounted":
            heap["x"] = heap.region("m")  # by mounted
        elif way == "updated":
            heap.update(
                x=1,
                y=2,
            )
        elif way == "a default":
            heap.pop("x")
            heap.setdefault("x", 5)  # by a default
        elif way == "a function":
            set_for(self, "x")
        elif way == "the last of many":
            for i in range(3):
                heap["x"] = i + 1  # by the last of many
            heap["x"] = 3
            heap["y"] = 1
        elif way == "a merge":
            await self.put("child", {"x": 0, "code": (("set", "x", 9),)}, program=Member, start=True)
            await self.merge("child")  # by a merge
        elif way == "an inner team":
            async with self.team() as team:  # by an inner team
                await team.fork(Write, {"writes": (("x", 3),)})


class Ways(Root):
    async def run(self) -> Any:
        self.heap.update({"x": 0, ("m", 1): 1})
        try:
            async with self.team() as team:
                await team.fork(EveryKindOfWrite, {"way": self.heap["block", "way"]})
                self.heap["x"] = "mine"
                self.heap["x", 1] = "mine"
        except MergeConflict as conflict:
            return [
                (key, writers[1].line) for (key, *_), writers in zip(conflict.conflicts, conflict.writers, strict=True)
            ]


class StartedInAnotherWay(Root):
    """A child that trapped and was started again on other values: what it did then is not what it was forked for."""

    async def run(self) -> Any:
        self.heap["x"] = 0
        told = []
        for way in ({"writes": (("x", 7),)}, {"writes": (("x", 9),)}):
            await self.fork("child", WriteOrFail, {"writes": (("x", 7),), "fails": way["writes"][0][1] == 9})
            self.heap["x"] += 1
            if (await self.status("child")).failed:
                await self.put("child", {**way, "fails": False}, start=True)
            try:
                await self.join("child")
            except MergeConflict as conflict:
                told.append(conflict.writers[0][1].line)
            await self.drop("child")
        return tuple(told)


class WriteOrFail(Write):
    async def run(self) -> None:
        await super().run()
        if self.heap["fails"]:
            raise ValueError
