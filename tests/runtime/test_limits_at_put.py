"""Limits that a PUT gives: each is refused where it would be broken, before any effect, the same every way."""

from __future__ import annotations

from typing import Any

import pytest
from gas_programs import Greedy, Warden
from ways import every_way, make

from actors import CallRefused, LimitExceeded, Limits, Process, Root


async def refused(limits: dict[str, int], todo: tuple[Any, ...], **more: Any) -> dict[int, str]:
    (data,) = await every_way(Warden, [{"limits": limits, "todo": todo, "more": more}], Greedy)
    return dict(data)


async def test_entries() -> None:
    todo = (
        ("write", "a", 1),
        ("write", "b", 1),
        ("write", "c", 1),
        ("write", "d", 1),  # the fifth beside "todo"; "refused" has to have room
        ("write", "e", 1),
        ("write", "a", 2),
        ("delete", "a"),
        ("update", {"e": 1, "f": 1}),
        ("mount", "m", ()),
        ("mount", "m", "b"),
        ("delete", "b"),
    )
    assert await refused({"entries": 5}, todo) == {
        4: "/g: the heap would have 6 entries, over this process's limit of 5",
        7: "/g: the heap would have 6 entries, over this process's limit of 5",
        8: "/g: under the key 'm': the heap would have 8 entries, over this process's limit of 5",
    }


async def test_bytes_of_the_heap() -> None:
    todo = (("fill", "a", 300), ("fill", "b", 1000), ("fill", "a", 0), ("fill", "b", 1000), ("mount", "m", "b"))
    said = await refused({"heap_bytes": 1_300}, todo)
    assert said == {
        1: "/g: the heap would have more than 1300 bytes, this process's limit",
        4: "/g: under the key 'm': the heap would have more than 1300 bytes, this process's limit",
    }


async def test_bytes_of_a_value() -> None:
    todo = (("fill", "a", 300), ("fill", "b", 500), ("update", {"c": 1}), ("delete", "a"), ("fill", "c", 400))
    said = await refused({"value_bytes": 403}, todo)
    assert said == {1: "/g: a value has 503 bytes, over this process's limit of 403"}


async def test_children_are_counted_while_they_are_there() -> None:
    todo = (("child", "a"), ("child", "b"), ("child", "c"), ("child", "a"), ("drop", "a"), ("child", "c"))
    assert await refused({"children": 2}, todo) == {
        2: "/g has 2 children, which is its limit; drop one, or use one again"
    }


async def test_depth_is_inherited_level_by_level() -> None:
    grandchild = (("child", "x", (("child", "y"),)),)
    told = "may have no children: it is at its limit of depth"
    assert await refused({"depth": 0}, (("child", "a"),)) == {0: f"/g {told}"}
    assert await refused({"depth": 2}, (("child", "a", grandchild),)) == {0: ((0, ((0, f"/g/a/x {told}"),)),)}


async def test_calls() -> None:
    said = await refused({"calls": 4}, (("child", "x"), ("calls", 2), ("calls", 1), ("ret",)))
    assert said == {
        2: "/g made 4 system calls in one activation, which is the limit; "
        "return, keep what is to be known in the heap, and go on at the next start",
        3: said[2],
    }


async def test_what_a_child_is_given_is_never_more_than_its_parent_has() -> None:
    todo = (*(("write", name, 1) for name in "bcdef"), ("delete", "b"))
    told = ((4, "/g/a: the heap would have 6 entries, over this process's limit of 5"),)
    assert await refused({"entries": 5}, (("child", "a", todo, {"entries": 100}),)) == {0: told}
    assert await refused({"entries": 100}, (("child", "a", todo, {"entries": 5}),)) == {0: told}


async def test_a_put_that_is_over_the_childs_limits_is_refused_to_the_parent_and_changes_nothing() -> None:
    blocks = await every_way(
        Warden,
        [
            {"limits": {"entries": 3}, "todo": (), "more": {}},
            {"limits": {"entries": 3}, "todo": (), "more": {"a": 1, "b": 2}},
            {"limits": {"entries": 3}, "todo": (("write", "c", 1), ("write", "d", 1)), "more": {}},
        ],
        Greedy,
    )
    assert blocks[1] == ("LimitExceeded", "/g: the heap would have 4 entries, over this process's limit of 3")
    assert blocks[2] == ((1, "/g: the heap would have 4 entries, over this process's limit of 3"),)


async def test_a_limit_that_is_not_caught_is_a_trap() -> None:
    class Heavy(Process):
        async def run(self) -> None:
            self.heap["x"] = b"x" * 1000

    class Top(Root):
        async def run(self) -> Any:
            await self.put("c", program=Heavy, start=True, limits=Limits(heap_bytes=100))
            trap = await self.status("c")
            return trap.kind.name, trap.error

    (block,) = await make(Top, [{}])
    assert block.data == ("FAILED", "LimitExceeded")


async def test_a_heap_that_is_over_already_may_shrink() -> None:
    class Shrinking(Process):
        async def run(self) -> None:
            with pytest.raises(LimitExceeded):
                self.heap["e"] = 1
            self.heap["a"] = 2
            del self.heap["a"]
            self.heap.clear("b")
            self.heap["fits"] = True

    class Top(Root):
        async def run(self) -> Any:
            await self.put("c", dict.fromkeys("abcd", 1), program=Shrinking)
            await self.put("c", limits=Limits(entries=3), start=True)
            return await self.get("c", "fits")

    (block,) = await make(Top, [{}])
    assert block.data is True


@pytest.mark.parametrize("wrong", [{"entries": -1}, {"depth": 1.5}, {"calls": True}, {"children": 2**62}])
async def test_what_is_no_limit_is_refused(wrong: Any) -> None:
    class Top(Root):
        async def run(self) -> Any:
            with pytest.raises(CallRefused, match=f"put: limits: {next(iter(wrong))} is"):
                await self.put("c", limits=Limits(**wrong))
            with pytest.raises(CallRefused, match=r"limits is of type dict; it is actors\.Limits"):
                await self.put("c", limits=wrong)

    await make(Top, [{}])
