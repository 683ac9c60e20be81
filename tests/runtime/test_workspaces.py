"""Workspaces: fork, join, teams, barriers, reductions, conflicts; every case made in every way that blocks are made.

The first tests are the behavioural cases of the paper (Aviram and others, OSDI 2010), by their names there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import workspace_programs as programs
from pyrsistent import thaw
from ways import every_way, make

import runtime
from actors import (
    BlockFailed,
    CallRefused,
    ChildFailed,
    MergeConflict,
    OutOfGas,
    Process,
    ProgramError,
    Region,
    Root,
    add,
)
from actors.errors import LimitExceeded
from actors.workspaces import Team

PROGRAMS = Path(programs.__file__)


def line_of(marked: str, which: int = 0) -> str:
    """Return "file:line" of the line in the programs that has this in it."""
    found = [number for number, line in enumerate(PROGRAMS.read_text().splitlines(), 1) if marked in line]
    return f"{PROGRAMS.name}:{found[which]}"


LAST_OF_TWICE = line_of("# the line that a conflict names", 0)
JOIN_OF_DEEP = line_of("# the line that a conflict names", 1)
BEHIND_BARRIER = line_of("# the line that a conflict names", 2)
WRITE = line_of("self.heap[key] = value")


async def test_merge_of_adjacent_writes() -> None:
    assert await every_way(programs.AdjacentWrites, [{}], programs.Write) == [tuple(range(1, 65))]


async def test_swap() -> None:
    assert await every_way(programs.Swap, [{}, {}], programs.Copy) == [(2, 1), (2, 1)]


async def test_conflict_names_the_key_both_writers_and_their_lines_and_leaves_the_parent_as_it_was() -> None:
    (told,) = await every_way(programs.Conflict, [{}], programs.WriteTwice)
    (text, writers, unchanged), *others = told
    assert text.splitlines() == [
        "merge into /: 1 key(s) changed on both sides since the snapshot",
        "  'x': was 0, here 'last', in the child 5",
        f"    written here by /team 1.0 ({LAST_OF_TWICE}), in the child by /team 1.1 ({WRITE})",
        "pass resolve= to say how such keys are settled; nothing was merged",
    ]
    assert thaw(writers) == [[("/team 1.0", LAST_OF_TWICE), ("/team 1.1", WRITE)]]
    assert unchanged and all(one[2] for one in others)
    assert [thaw(pairs) for _, pairs, _ in others] == [
        [[("/team 2.0", WRITE), ("/team 2.1", LAST_OF_TWICE)]],
        [[("/team 3.0", JOIN_OF_DEEP), ("/team 3.1", LAST_OF_TWICE)]],
    ]


async def test_the_parent_is_a_writer_too_and_a_join_that_was_in_conflict_may_be_settled() -> None:
    ((text, writers, x, y, z),) = await every_way(programs.OwnConflict, [{}], programs.Write)
    assert "'x': was 0, here \"the parent's\", in the child 'last'" in text
    assert thaw(writers) == [
        [("/", None), ("/child", LAST_OF_TWICE)],
        [("/other", WRITE), ("/child", line_of('self.heap["y"] = "other"'))],
    ]
    assert (x, y, z) == (("the parent's", "last"), ("mine", "other"), 1)


async def test_barrier() -> None:
    size, cells = 24, list(range(24))
    turns = []
    for _ in range(4):
        cells = [cells[(i - 1) % size] + cells[(i + 1) % size] for i in range(size)]
        turns.append(tuple(cells))
    assert await every_way(programs.Barrier, [{}], programs.Stencil) == [(turns[0], turns[3])]


async def test_conflict_behind_a_barrier() -> None:
    ((text, before, counted),) = await every_way(programs.BarrierConflict, [{}], programs.WriteBehindBarrier)
    assert f"written here by /team 1.0 ({BEHIND_BARRIER}), in the child by /team 1.1 ({BEHIND_BARRIER})" in text
    assert before == ((0, "before"), (1, "before"), (2, "before")) and not counted


async def test_recursive_parallel_quicksort() -> None:
    cells = [(i * 7919 + 13) % 101 for i in range(90)]
    assert await every_way(programs.Quicksort, [{"cells": cells}], programs.Sort) == [tuple(sorted(cells))]


async def test_matrix_multiply_by_64_children() -> None:
    a, columns = [[[(i * factor + j * 7) % 10 for j in range(64)] for i in range(64)] for factor in (31, 17)]
    product = tuple(tuple(sum(x * y for x, y in zip(row, column, strict=True)) for column in columns) for row in a)
    assert await every_way(programs.Matrices, [{}], programs.Row) == [product]


async def test_fork_and_wait_statuses() -> None:
    (told,) = await every_way(programs.Statuses, [{}], programs.Exit)
    assert list(told) == [
        ("good", "RETURNED", 0),
        ("bad", "FAILED", "failed", "RuntimeError", "as it was"),
        ("endless", "OUT_OF_GAS", "out of gas", "OutOfGas", "as it was"),
        ("other", "RETURNED", 3),
    ]


async def test_forgetting_a_join_gives_the_same_wrong_answer_every_time() -> None:
    assert await every_way(programs.Forgetful, [{}, {}], programs.Member) == [(0, 5), (5, 5)]


async def test_a_counter_that_all_children_raise_is_no_conflict() -> None:
    expected = (45, (2, 1), (0, 1, 2, 3), tuple(range(10)), True)
    (found,) = await every_way(programs.Counted, [{}], programs.Member)
    assert found == expected


WAYS = ("deleted", "popped", "cleared", "a default", "a function", "the last of many", "a merge", "an inner team")


async def test_a_conflict_names_the_line_of_every_kind_of_write() -> None:
    told = await every_way(programs.Ways, [{"way": way} for way in WAYS], programs.EveryKindOfWrite)
    assert [one for one, *_ in told] == [("x", line_of(f"# by {way}")) for way in WAYS]
    # Where a call has many lines, it is one of them.
    mounted, updated = await make(programs.Ways, [{"way": "mounted"}, {"way": "updated"}])
    assert tuple(mounted.data) == (("x", line_of("# by mounted")), (("x", 1), line_of("# by mounted")))
    ((_, line),) = updated.data
    begin = int(line_of("            heap.update(", -1).rpartition(":")[2])
    assert begin <= int(line.rpartition(":")[2]) <= begin + 3


async def test_a_fork_that_is_joined_in_a_later_block_has_no_lines_and_a_team_that_lasts_over_one_has() -> None:
    steps = ["fork", "join", "team", 5, "fork", "join"]
    told = await every_way(programs.AcrossBlocks, [{"step": step} for step in steps], programs.WriteTwice)
    for writers, x in (told[1], told[5]):
        assert thaw(writers) == [[("/", None), ("/child", None)]] and x == "last"
    assert told[2] == "in the middle"
    assert thaw(told[3][0]) == [[("/team 1.0", LAST_OF_TWICE), ("/team 1.1", WRITE)]] and told[3][1] == 0


async def test_a_child_that_was_started_again_in_another_way_has_no_line() -> None:
    assert await every_way(programs.StartedInAnotherWay, [{}], programs.WriteOrFail) == [(WRITE, None)]


# --- what is refused, and what is left ---


class Left(Root):
    """Runs one of its methods, and tells which children are left, by their statuses."""

    heap_names = ("child", "team 1.0", "team 1.1", "team 2.0", "writer, again")

    async def run(self) -> Any:
        told = await getattr(self, self.heap["block", "do"])()
        left = []
        for name in self.heap_names:
            try:
                left.append((name, (await self.status(name)).kind.name))
            except LookupError:
                continue
        return told, left, tuple(self.heap.items(high="block"))

    async def fails_in_its_body(self) -> Any:
        try:
            async with self.team() as team:
                await team.fork(programs.Write, {"writes": (("a", 1),)})
                await team.fork(programs.Loop, gas=1_000)
                raise KeyError("on purpose")
        except KeyError:
            return "caught"

    async def has_a_member_that_fails(self) -> Any:
        self.heap["a"] = 0
        try:
            async with self.team() as team:
                await team.fork(programs.Write, {"writes": (("a", 1),)})
                await team.fork(programs.Fail)
        except ChildFailed as failure:
            return failure.path, failure.error

    async def has_a_member_out_of_gas(self) -> Any:
        try:
            async with self.team() as team:
                await team.fork(programs.Loop, gas=100)
        except OutOfGas as failure:
            return failure.path, failure.gas

    async def conflicts(self) -> Any:
        try:
            async with self.team() as team:
                for value in (1, 2):
                    await team.fork(programs.Write, {"writes": (("a", value), ("a0", value))})
        except MergeConflict as conflict:
            return [key for key, *_ in conflict.conflicts]

    async def uses_a_team_that_is_over(self) -> Any:
        async with self.team() as team:
            pass
        told = []
        for use in (lambda: team.fork(programs.Write), team.barrier):
            with pytest.raises(CallRefused, match="team: it is over") as caught:
                await use()
            told.append(str(caught.value))
        return told[0] == told[1]

    async def forks_twice(self) -> Any:
        await self.fork("child", programs.Exit, {"code": 1})
        with pytest.raises(CallRefused, match="/child is there already; join or drop it first"):
            await self.fork("child", programs.Exit, {"code": 2})
        await self.drop("child")
        await self.fork("child", programs.Exit, {"code": 3})
        await self.join("child")
        return self.heap.pop("status")

    async def has_a_team_in_a_team(self) -> Any:
        async with self.team() as outer:
            first = await outer.fork(programs.Write, {"writes": (("a", 1),)})
            async with self.team() as inner:
                second = await inner.fork(programs.Write, {"writes": (("b", 2),)})
            seen = self.heap.get("a"), self.heap["b"]
        return first, second, seen

    async def joins_what_is_not_there(self) -> Any:
        with pytest.raises(LookupError, match="no child 'child'"):
            await self.join("child")
        with pytest.raises(CallRefused, match="join: resolve is a int"):
            await self.join("child", resolve=3)  # type: ignore[arg-type]
        with pytest.raises(CallRefused, match="team: resolve is a int"):
            self.team(resolve=3)  # type: ignore[arg-type]

    async def retries_what_trapped(self) -> Any:
        await self.fork("child", programs.Loop, {"fuel": 1}, gas=100)
        with pytest.raises(OutOfGas):
            await self.join("child")
        await self.put("child", {"code": 4}, program=programs.Exit, start=True)
        await self.join("child")
        return self.heap.pop("status")

    async def has_named_members(self) -> Any:
        async with self.team() as team:
            name = await team.fork(programs.Exit, {"code": 5}, name="child")
            with pytest.raises(CallRefused, match="/child is there already"):
                await team.fork(programs.Exit, name="child")
            other = await team.fork(programs.Write, {"writes": (("a", 1),)})
        return name, other, self.heap.pop("status")


@pytest.mark.parametrize(
    ("do", "told", "left", "heap"),
    [
        ("fails_in_its_body", "caught", [], ()),
        ("has_a_member_that_fails", ("/team 1.1", "RuntimeError"), [], (("a", 0),)),
        ("has_a_member_out_of_gas", ("/team 1.0", 100), [], ()),
        ("conflicts", ("a", "a0"), [], ()),
        ("uses_a_team_that_is_over", True, [], ()),
        ("forks_twice", 3, [], ()),
        ("has_a_team_in_a_team", ("team 1.0", "team 2.0", (None, 2)), [], (("a", 1), ("b", 2))),
        ("joins_what_is_not_there", None, [], ()),
        ("retries_what_trapped", 4, [], ()),
        ("has_named_members", ("child", "team 1.1", 5), [], (("a", 1),)),
    ],
)
async def test_what_goes_wrong_merges_nothing_and_leaves_nobody_behind(
    do: str, told: Any, left: Any, heap: Any
) -> None:
    ((found_told, found_left, found_heap),) = await every_way(Left, [{"do": do}])
    assert found_told == told or tuple(found_told) == told
    assert (tuple(found_left), found_heap) == (tuple(left), heap)


async def test_gas_of_a_metered_parent_pays_for_its_team() -> None:
    """Where a metered process's members are in conflict, it is charged for running them again, the same every way."""

    (gas,) = await every_way(Metered, [{"gas": 10**6}], Clash)
    kind, used, text = gas
    assert kind == "RETURNED" and f"({line_of_here('conflict line')})" in text
    # What the members were lent is out until they are waited for, so that a little more is needed than is used.
    enough, less = await every_way(Metered, [{"gas": used + 1_000}, {"gas": used - 1}], Clash)
    assert enough == gas and less[:2] == ("OUT_OF_GAS", used - 1)


def line_of_here(marked: str) -> str:
    found = [i for i, line in enumerate(Path(__file__).read_text().splitlines(), 1) if f"# {marked}" in line]
    return f"{Path(__file__).name}:{found[0]}"


class Clash(Process):
    async def run(self) -> None:
        self.heap["x"] = self.path[-1]  # conflict line


class Clashing(Process):
    async def run(self) -> None:
        try:
            async with self.team() as team:
                await team.fork(Clash, gas=500)
                await team.fork(Clash, gas=500)
        except MergeConflict as conflict:
            self.heap["told"] = str(conflict)


class Metered(Root):
    async def run(self) -> Any:
        await self.put("c", program=Clashing, start=True, gas=self.heap["block", "gas"])
        trap = await self.status("c")
        told = "" if trap.failed else await self.get("c", "told")
        await self.drop("c")
        return trap.kind.name, trap.gas, told


async def test_a_conflict_that_nobody_catches_fails_the_block_with_its_text() -> None:
    class Uncaught(Root):
        async def run(self) -> None:
            async with self.team() as team:
                await team.fork(programs.Write, {"writes": (("x", 1),)})
                await team.fork(programs.WriteTwice)

    async with runtime.Runtime(Uncaught, workers=0) as rt:
        with pytest.raises(BlockFailed, match=r"written here by /team 1\.0") as failed:
            await rt.advance({})
        assert isinstance(failed.value.__cause__, MergeConflict)
        assert rt.head.number == 0


async def test_lines_need_room_for_one_child_more_and_a_conflict_is_told_without_them() -> None:
    class Narrow(Process):
        async def run(self) -> None:
            try:
                async with self.team() as team:
                    for value in (1, 2):
                        await team.fork(programs.Write, {"writes": (("x", value),)})
            except MergeConflict as conflict:
                self.heap["told"] = tuple(tuple(writer) for pair in conflict.writers for writer in pair)

    class Top(Root):
        async def run(self) -> Any:
            from actors import Limits

            await self.put("narrow", program=Narrow, start=True, limits=Limits(children=2))
            return await self.get("narrow", "told")

    # The first is dropped only when all are merged, so that a third child is one too many.
    (block,) = await make(Top, [{}])
    assert block.data == (("/narrow/team 1.0", None), ("/narrow/team 1.1", None))


async def test_a_program_with_hooks_and_a_metaclass_of_its_own_is_run_again_and_seen_by_no_hook() -> None:
    made: list[str] = []

    class Meta(type):
        pass

    class Hooked(Process, metaclass=Meta):
        def __init_subclass__(cls, *, label: str) -> None:
            super().__init_subclass__()
            made.append(label)

    class Writing(Hooked, label="writing"):
        async def run(self) -> None:
            self.heap["x"] = self.path[-1]  # hooked line

    class Top(Root):
        async def run(self) -> Any:
            try:
                async with self.team() as team:
                    await team.fork(Writing)
                    await team.fork(Writing)
            except MergeConflict as conflict:
                return str(conflict)

    (block,) = await make(Top, [{}])
    assert f"/team 1.0 ({line_of_here('hooked line')})" in block.data
    assert made == ["writing"]


async def test_reductions_are_checked_when_the_class_is_made() -> None:
    with pytest.raises(ProgramError, match="Wrong: reductions is a list; it is a mapping"):

        class Wrong(Process):
            reductions = [1]  # type: ignore[assignment]

    with pytest.raises(ProgramError, match=r"Wrong2: reductions\['n'\] is a int"):

        class Wrong2(Process):
            reductions = {"n": 1}  # type: ignore[dict-item]


async def test_a_put_that_is_refused_leaves_no_workspace() -> None:
    class Top(Root):
        async def run(self) -> Any:
            with pytest.raises(ProgramError):
                await self.fork("child", int)  # type: ignore[type-var]
            with pytest.raises(LimitExceeded):
                await self.fork("child", programs.Write, {"writes": b"0" * 2**25})
            await self.fork("child", programs.Write, {"writes": (("a", 1),)})
            changes = await self.join("child")
            return [(change.key, change.new) for change in changes]

    (block,) = await make(Top, [{}])
    assert block.data == ("a", 1) or tuple(block.data[0]) == ("a", 1)


async def test_a_team_is_what_process_team_makes() -> None:
    class Top(Root):
        async def run(self) -> Any:
            return isinstance(self.team(), Team)

    (block,) = await make(Top, [{}])
    assert block.data is True


def largest(base: Any, ours: Any, theirs: Any) -> Any:
    return max(ours, theirs)


class Exact(Process):
    """Its members have as much gas as they need, and not a unit more; also where they are run again for their lines."""

    reductions = {"most": largest, Region("n"): add}

    async def run(self) -> None:
        needs = []
        for value in range(2):
            await self.fork("probe", Spending, {"value": value})
            needs.append((await self.status("probe")).gas)
            await self.drop("probe")
        try:
            async with self.team() as team:
                for value, gas in enumerate(needs):
                    await team.fork(Spending, {"value": value, "clashes": False}, gas=gas)
                    await team.fork(Spending, {"value": value, "clashes": False}, gas=gas + 30)
            self.heap["merged"] = self.heap["most"], self.heap["n", 1]
            async with self.team() as team:
                for value, gas in enumerate(needs):
                    await team.fork(Spending, {"value": value}, gas=gas)
        except MergeConflict as conflict:
            self.heap["told"] = [[tuple(writer) for writer in pair] for pair in conflict.writers]


class Spending(Process):
    async def run(self) -> None:
        for n in range(5):
            self.heap["most"] = max(self.heap.get("most", 0), n + self.heap["value"])
            self.heap["n", n] = self.heap.get(("n", n), 0) + 1
        if self.heap.get("clashes", True):
            self.heap.update({"x": self.heap["value"]})  # spending line


class Exacting(Root):
    async def run(self) -> Any:
        await self.put("exact", program=Exact, start=True, gas=self.heap["block", "gas"])
        await self.status("exact")
        return await self.get("exact", "merged", "told")


async def test_what_is_run_again_for_its_lines_costs_what_it_cost() -> None:
    line = line_of_here("spending line")
    ((merged, told),) = await every_way(Exacting, [{"gas": 10**6}], Spending)
    assert merged == (5, 4)
    assert thaw(told) == [[("/exact/team 2.0", line), ("/exact/team 2.1", line)]]
