"""PUT with new="replace": what comes of it is what a drop and a PUT make, whatever the child was."""

from __future__ import annotations

from typing import Any

import pytest

import runtime
from actors import CallRefused, Limits, Process, Root
from actors.region import WHOLE


class Leaf(Process):
    async def run(self) -> None:
        self.heap["n"] = self.heap.get("n", 0) + 1


class Wide(Process):
    async def run(self) -> None:
        await self.put("leaf", program=Leaf, start=True)
        await self.get("leaf")
        self.heap["wide"] = True


class Halfway(Process):
    async def run(self) -> None:
        self.heap["half"] = await self.put("leaf", program=Leaf)
        await self.ret()


class Fails(Process):
    async def run(self) -> None:
        self.heap["x"] = 1
        raise ValueError


PROGRAMS = {program.__name__: program for program in (Leaf, Wide, Halfway, Fails)}
LIMITS = Limits(entries=7)


class Both(Root):
    """Makes two children alike, and then both anew, one in either way."""

    async def run(self) -> Any:
        before, waits, again = self.heap["block", "do"]
        for child in ("a", "b"):
            for how in before:
                await self.put(child, {"x": 1, "n": 5}, **_arguments(how))
            if waits:
                await self.status(child)
        await self.drop("a")
        await self.put("a", {"x": 2}, delete=WHOLE, **_arguments(again))
        await self.put("b", {"x": 2}, delete=WHOLE, new="replace", **_arguments(again))
        if self.heap["block", "end"]:
            return [(await self.status(child)).kind.name for child in ("a", "b")]
        return None


def _arguments(how: Any) -> dict[str, Any]:
    program, start, limits, placement = how
    return {
        "program": PROGRAMS.get(program),
        "start": start,
        "limits": LIMITS if limits else None,
        "placement": placement,
    }


async def made(do: Any, end: bool, workers: int) -> Any:
    async with runtime.Runtime(Both, workers=workers) as rt:
        block = await rt.advance({"do": do, "end": end})
        await rt.verify()
        children = rt.state().children
        shown = []
        for name in ("a", "b"):
            child = children[name]
            inside = {key: tuple(view.heap.items()) for key, view in child.children.items()}
            shown.append((tuple(child.heap.items()), child.trap, inside, child.digest()))
        return block.data, shown


BEFORE: list[list[Any]] = [
    [("Leaf", False, False, None)],
    [("Leaf", True, False, None)],
    [("Leaf", True, True, None)],
    [("Leaf", True, False, "worker")],
    [("Wide", True, False, None)],
    [("Halfway", True, False, None)],
    [("Fails", True, False, None)],
    [("Wide", True, True, "worker"), ("Leaf", True, False, None)],
]
AGAIN: list[Any] = [
    ("Leaf", True, False, None),
    ("Leaf", True, True, None),
    ("Wide", True, False, None),
    ("Halfway", False, False, None),
]


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("waits", [True, False])
@pytest.mark.parametrize("end", [True, False])
async def test_a_child_that_is_replaced_is_as_a_new_one(waits: bool, end: bool, workers: int) -> None:
    for before in BEFORE:
        for again in AGAIN:
            data, (dropped, replaced) = await made((before, waits, again), end, workers)
            assert dropped == replaced, (before, again)
            assert data is None or data[0] == data[1]


async def test_replace_is_checked() -> None:
    class Wrong(Root):
        async def run(self) -> Any:
            with pytest.raises(CallRefused, match="put: new is 'anew'; it is True, or \"replace\""):
                await self.put("a", program=Leaf, new="anew")  # type: ignore[arg-type]
            await self.put("a", program=Leaf, new="replace")
            with pytest.raises(Exception, match="/a has no program to start"):
                await self.put("a", start=True, new="replace")
            return (await self.status("a")).kind.name

    async with runtime.Runtime(Wrong, workers=0) as rt:
        assert (await rt.advance()).data == "NEW"
