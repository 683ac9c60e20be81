"""The small print of workspaces: what a child is told, whose names are whose, what a team does where one meddles with it."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ways import make_data

import runtime
from actors import (
    BlockFailed,
    CallRefused,
    ChildFailed,
    Ladder,
    MergeConflict,
    NoSuchChild,
    Process,
    Region,
    Root,
    Transaction,
)

LINES = Path(__file__).read_text().splitlines()


async def failure_of(root: type[Root], workers: int = 0) -> str:
    """Return all that is told of a block that fails."""
    with pytest.raises(BlockFailed) as caught:
        await make_data(root, workers=workers)
    return "".join(traceback.format_exception(caught.value))


class Fails(Process):
    async def run(self) -> None:
        raise ValueError("the reason: 42")


class Leads(Process):
    async def run(self) -> None:
        async with self.team() as team:
            await team.fork(Fails)


class OnWorker(Leads):
    placement = "worker"


class LeadsLeaders(Root):
    async def run(self) -> None:
        async with self.team() as team:
            await team.fork(Leads)


class LeadsWorkers(Root):
    async def run(self) -> None:
        async with self.team() as team:
            await team.fork(OnWorker)


@pytest.mark.parametrize(("root", "workers"), [(LeadsLeaders, 0), (LeadsWorkers, 1)])
async def test_why_a_member_failed_is_told_though_it_was_dropped_at_once(root: type[Root], workers: int) -> None:
    told = await failure_of(root, workers)
    assert "the reason: 42" in told
    assert "in run\n    raise ValueError" in told
    assert "all of whose members were dropped" in told


async def test_what_a_member_is_told_is_what_it_was_at_the_fork() -> None:
    class Member(Process):
        async def run(self) -> None:
            name = self.path[-1]
            self.heap["before", name] = (self.heap["items"], int(self.heap["array"].sum()))
            await self.barrier()
            self.heap["behind", name] = (self.heap["items"], int(self.heap["array"].sum()))

    class Lead(Root):
        async def run(self) -> Any:
            items, array = [1], np.ones(3, int)
            async with self.team() as team:
                for item in (2, 3):
                    await team.fork(Member, {"items": items, "array": array})
                    items.append(item)
                    array[0] = item
            return tuple(self.heap.values("before")), tuple(self.heap.values("behind"))

    ((before, behind),) = await make_data(Lead, workers=0)
    assert [list(items) for items, _ in before] == [[1], [1, 2]]
    assert [total for _, total in before] == [3, 4]
    assert before == behind


class Guest(Process):
    """Uses up what it is told, and tidies up."""

    async def run(self) -> None:
        while self.heap["n"] > 0:
            self.heap["n"] -= self.heap["step"]
        del self.heap["step"]
        self.heap.clear("tools")
        self.heap["done", self.path[-1]] = True


async def test_what_it_was_told_and_changed_is_merged_as_what_the_parent_had() -> None:
    class Host(Root):
        async def run(self) -> Any:
            self.heap["step"] = 5  # which the guest is told otherwise, and deletes
            self.heap["box", "saw"] = 1
            await self.fork("guest", Guest, {"n": 4, "step": 1, "tools": self.heap.region("box")})
            changes = await self.join("guest")
            return [str(change.key) for change in changes], dict(self.heap.items())

    class Heavy(Host):
        """The same, with so much beside it that both heaps are folded."""

        async def run(self) -> Any:
            for number in range(500):
                self.heap["bulk", number] = number
            self.heap.region("bulk").digest()
            return await super().run()

    for host in (Host, Heavy):
        ((changes, heap),) = await make_data(host, workers=0)
        assert list(changes) == ["('done', 'guest')", "n", "step"]
        kept = {key: value for key, value in heap.items() if key[0] != "bulk"}
        assert kept == {"n": 0, ("done", "guest"): True, ("box", "saw"): 1}


async def test_who_was_told_and_wrote_is_in_conflict_only_with_another_writer() -> None:
    class Host(Root):
        async def run(self) -> Any:
            self.heap["n"] = 7
            await self.fork("guest", Guest, {"n": 2, "step": 1})
            self.heap["n"] = 2  # just what the guest was told
            try:
                await self.join("guest")
            except MergeConflict as conflict:
                return conflict.conflicts, str(conflict.writers[0][0])

    assert await make_data(Host, workers=0) == [((("n", 7, 2, 0),), "/")]


class Touch(Process):
    async def run(self) -> None:
        self.heap[self.path[-1]] = 1


async def test_a_fork_destroys_no_child_that_is_there() -> None:
    class Work(Process):
        async def run(self) -> None:
            self.heap["done", self.heap["job"]] = True

    class Master(Root):
        async def run(self) -> Any:
            number = self.heap["block", "n"]
            try:
                await self.fork("w", Work, {"job": number})
            except CallRefused as refused:
                await self.join("w")
                return tuple(self.heap.keys("done")), str(refused)

    first, (done, refused) = await make_data(Master, {"n": 1}, {"n": 2}, workers=0)
    assert first is None
    assert done == (1,)
    assert refused == "/w is there already; join or drop it first, or take another name"


async def test_put_may_insist_on_a_new_child() -> None:
    class Master(Root):
        async def run(self) -> Any:
            await self.put("a", {"x": 1}, program=Touch, new=True)
            with pytest.raises(CallRefused, match="/a is there already"):
                await self.put("a", {"x": 2}, new=True)
            return await self.get("a", "x")

    assert await make_data(Master, workers=0) == [1]


async def test_a_conflict_is_told_without_lines_where_a_child_has_the_name_that_its_writers_get() -> None:
    class Both(Process):
        async def run(self) -> None:
            self.heap["x"] = self.path[-1]

    class Master(Root):
        async def run(self) -> Any:
            await self.put("writer, again", {"mine": 1}, program=Touch, start=True)
            try:
                async with self.team() as team:
                    await team.fork(Both)
                    await team.fork(Both)
            except MergeConflict as conflict:
                writers = tuple(str(writer) for pair in conflict.writers for writer in pair)
                return writers, await self.get("writer, again", "mine")

    assert await make_data(Master, workers=0) == [(("/team 1.0", "/team 1.1"), 1)]


class Set(Transaction):
    def apply(self, heap: Any, transaction: Any) -> None:
        heap["x"] = transaction


async def test_a_conflict_names_the_line_of_transact() -> None:
    class Transacts(Process):
        async def run(self) -> None:
            self.heap["books", "x"] = 1
            await self.transact(Set, [2], region="books")  # the writer
            self.heap["other", self.path[-1]] = 1

    class Writes(Process):
        async def run(self) -> None:
            self.heap["books", "x"] = 9

    class Master(Root):
        async def run(self) -> Any:
            self.heap["books", "x"] = 0
            try:
                async with self.team() as team:
                    await team.fork(Transacts)
                    await team.fork(Writes)
            except MergeConflict as conflict:
                return conflict.writers[0][0].line

    expected = next(number for number, line in enumerate(LINES, 1) if line.endswith("# the writer"))
    assert await make_data(Master, workers=0) == [f"test_workspace_terms.py:{expected}"]


async def test_a_team_whose_member_was_dropped_or_joined_by_hand_drops_the_others_and_says_so() -> None:
    class Master(Root):
        async def run(self) -> Any:
            told = []
            for meddle in (self.drop, self.join):
                with pytest.raises(CallRefused) as caught:
                    async with self.team() as team:
                        members = [await team.fork(Touch) for _ in range(3)]
                        await meddle(members[1])
                told.append(str(caught.value))
                with pytest.raises(NoSuchChild):
                    await self.status(members[2])
            with pytest.raises(ValueError, match="the real error"):
                async with self.team() as team:
                    await self.drop(await team.fork(Touch))
                    await team.fork(Touch)
                    raise ValueError("the real error")
            return tuple(told)

    ((dropped, joined),) = await make_data(Master, workers=0)
    assert dropped == "team: its member 'team 1.1' was joined or dropped; leave both to the team"
    assert joined == dropped.replace("team 1.1", "team 2.1")


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
async def test_a_team_leaves_nobody_behind_whatever_is_raised_in_it(error: type[BaseException]) -> None:
    class Master(Root):
        async def run(self) -> None:
            try:
                async with self.team() as team:
                    await team.fork(Touch)
                    raise error
            except error:
                pass

    async with runtime.Runtime(Master, workers=0) as rt:
        await rt.advance()
        assert list(rt.state().children) == []


async def test_a_join_does_not_end_what_stands_in_the_middle() -> None:
    class Halfway(Process):
        async def run(self) -> None:
            self.heap["a"] = 1
            await self.barrier()
            self.heap["b"] = 1

    class Master(Root):
        async def run(self) -> Any:
            await self.fork("w", Halfway)
            with pytest.raises(CallRefused, match=r"'w' stands in the middle of its run, at ret\(\) or barrier\(\)"):
                await self.join("w")
            await self.merge("w")
            await self.put("w", start=True)
            await self.join("w")
            return dict(self.heap.items())

    assert await make_data(Master, workers=0) == [{"a": 1, "b": 1}]


async def test_a_team_begins_with_async_with() -> None:
    class Master(Root):
        async def run(self) -> str:
            with pytest.raises(CallRefused) as caught:
                await self.team().fork(Touch)
            return str(caught.value)

    assert await make_data(Master, workers=0) == [
        "team: it has not begun; begin it with `async with self.team() as team`"
    ]


async def test_what_is_no_program_or_no_mapping_is_named() -> None:
    class Master(Root):
        async def run(self) -> Any:
            with pytest.raises(CallRefused, match="fork: values is a list; it is a mapping of keys to values"):
                await self.fork("c", Touch, ["n"])  # type: ignore[arg-type]
            async with self.team() as team:
                with pytest.raises(Exception, match=r"'name' is no program; .* as in fork\(P, name=…\)"):
                    await team.fork("name", Touch)  # type: ignore[arg-type]
            with pytest.raises(Exception, match=r"under the key 'k': .* of type builtins\.object cannot be a value"):
                await self.fork("c", Touch, {"k": object()})

    await make_data(Master, workers=0)


async def test_a_resolver_that_fails_names_the_key() -> None:
    class Member(Process):
        async def run(self) -> None:
            self.heap["n"] = self.heap["to"]

    def two(base: Any, ours: Any, theirs: Any) -> Any:
        return object()

    async def told(resolve: Any) -> str:
        class Master(Root):
            async def run(self) -> None:
                async with self.team(resolve={"n": resolve}) as team:
                    await team.fork(Member, {"to": 1})
                    await team.fork(Member, {"to": "x"})

        return await failure_of(Master)

    def add(base: Any, ours: Any, theirs: Any) -> Any:
        return ours + theirs

    where = "merge into /, where 'n' was changed on both sides"
    assert f"{where}: absent there before, here 1, in the child 'x'" in (await told(add)).replace("ABSENT", "absent")
    assert f"ValueRefused: {where}: an object of type builtins.object cannot be a value" in await told(two)


async def test_who_supervises_in_a_workspace_begins_anew() -> None:
    class Square(Process):
        async def run(self) -> None:
            self.heap["result"] = self.heap["item"] ** 2

    class Member(Process):
        async def run(self) -> None:
            await self.put("c", {"item": 3}, program=Square, start=True, gas=1)
            found = await self.supervise("c", Ladder(gas=(1_000_000,), then="give up"))
            self.heap["found", self.path[-1]] = (found.state, found.tries)

    class Master(Root):
        async def run(self) -> Any:
            await self.put("c", {"item": "x"}, program=Square, start=True)
            await self.supervise("c", Ladder(gas=(1_000,), then="give up"))
            async with self.team() as team:
                await team.fork(Member)
                await team.fork(Member)
            return tuple(self.heap.values("found"))

    assert await make_data(Master, workers=0) == [(("done", 1), ("done", 1))]


async def test_a_failed_get_of_a_region_is_told_as_well() -> None:
    class Master(Root):
        async def run(self) -> None:
            await self.put("c", program=Fails, start=True)
            try:
                await self.get("c", Region("x"))
            except ChildFailed:
                await self.drop("c")
                raise

    assert "the reason: 42" in await failure_of(Master)
