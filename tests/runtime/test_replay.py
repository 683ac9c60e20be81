"""Restoring processes from their journals: what is checked, what is said, and what must not show.

"Each call is checked against the recorded one and the heap at the end against the recorded digest; a difference is
`ReplayDiverged`, which shows both sides and the line." (DESIGN.md, "Control state, without pickled frames")
"""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

import runtime
from actors import (
    BlockFailed,
    CallRefused,
    ChildFailed,
    ForeignAwait,
    MissingKey,
    NoSuchChild,
    Process,
    Region,
    ReplayDiverged,
    Root,
    StoreError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_log = logging.getLogger("a program's own")

#: What a program must not depend on.
the_global: list[Any] = [0]


@pytest.fixture(autouse=True)
def _global() -> None:
    the_global[:] = [0]


class Idle(Process):
    async def run(self) -> None:
        self.heap["y"] = self.heap.get("x", 0) + 1


async def reopened(top: type[Root], path: Path, *inputs: Any, between: Callable[[], None] = lambda: None) -> list[Any]:
    """Make blocks, the store closed and opened again between any two; return their data."""
    made = []
    for one in inputs:
        async with runtime.Runtime(top, path) as rt:
            made.append((await rt.advance(one)).data)
        between()
    return made


async def in_one_go(top: type[Root], *inputs: Any, **how: Any) -> list[Any]:
    async with runtime.Runtime(top, **how) as rt:
        made = [(await rt.advance(one)).data for one in inputs]
        await rt.verify()
        return made


async def same_in_every_way(top: type[Root], path: Path, *inputs: Any) -> list[Any]:
    """Make blocks in one go, restored at every turn and from the store; return their data, which must be the same."""
    made = await in_one_go(top, *inputs)
    assert await in_one_go(top, *inputs, forget=True) == made
    assert await reopened(top, path, *inputs) == made
    async with runtime.Runtime(top, path) as rt:
        await rt.verify()
    return made


async def diverged(top: type[Root], path: Path, change: Callable[[], None]) -> str:
    """Make a block, change something behind the program's back, and return what the next one's error says."""
    async with runtime.Runtime(top, path) as rt:
        await rt.advance(1)
    change()
    async with runtime.Runtime(top, path) as rt:
        head, state = rt.head, rt.state().digest()
        with pytest.raises(ReplayDiverged) as raised:
            await rt.advance(2)
        assert (rt.head, rt.state().digest()) == (head, state)
    return str(raised.value)


def line_of(text: str) -> str:
    """Return `file:line` of a line of this file."""
    with open(__file__, encoding="utf-8") as lines:
        at = next(number for number, line in enumerate(lines, 1) if line.strip() == text)
    return f"{__file__}:{at}"


# --- what diverges -------------------------------------------------------------------------------------------------


class AnotherCall(Root):
    async def run(self) -> None:
        await self.put("first", {"x": 1})
        await self.put("second", {"x": the_global[0]})  # depends on a global
        await self.snapshot()


async def test_a_call_that_differs_is_labelled_wrong_and_both_sides_and_the_line_are_shown(tmp_path: Path) -> None:
    """a difference is `ReplayDiverged`, which shows both sides and the line"""
    said = await diverged(AnotherCall, tmp_path / "a.db", lambda: the_global.__setitem__(0, 5))
    first, ok, wrong, got, mend = said.splitlines()
    place = line_of('await self.put("second", {"x": the_global[0]})  # depends on a global')
    assert first == f"/ did not repeat its journal at call 1 ({place} in run)"
    assert ok == "    ok     0: put('first', {'x': 1})"
    assert wrong == "    wrong  1: expected put('second', {'x': 0})"
    assert got == "              got      put('second', {'x': 5})"
    assert "a program may depend on its heap and its calls alone" in mend


class MissingCall(Root):
    async def run(self) -> None:
        if not the_global[0]:
            await self.put("first", {"x": 1})
            await self.snapshot()


class FailingCall(Root):
    async def run(self) -> None:
        await self.put("first", {"x": 1})
        if the_global[0]:
            raise LookupError("not the first time")
        await self.snapshot()


async def test_a_call_that_is_not_made_any_more_is_labelled_missing(tmp_path: Path) -> None:
    """Each call is checked against the recorded one"""
    said = await diverged(MissingCall, tmp_path / "a.db", lambda: the_global.__setitem__(0, 1))
    assert "    missing 0: expected put('first', {'x': 1})\n              got      run returned" in said
    the_global[0] = 0
    said = await diverged(FailingCall, tmp_path / "b.db", lambda: the_global.__setitem__(0, 1))
    assert "    missing 1: expected snapshot(None)\n" in said
    assert "got      run raised LookupError: not the first time" in said


class ExtraCall(Root):
    async def run(self) -> None:
        for _ in range(the_global[0]):
            await self.status("first")
        await self.snapshot()


async def test_a_call_too_many_is_shown_beside_the_one_expected(tmp_path: Path) -> None:
    said = await diverged(ExtraCall, tmp_path / "a.db", lambda: the_global.__setitem__(0, 1))
    assert "wrong  0: expected snapshot(None)\n              got      status('first')" in said


class ChangedHeap(Root):
    async def run(self) -> None:
        self.heap["a"] = 1
        self.heap["n"] = the_global[0]
        await self.snapshot()


class ChangedBetween(Root):
    async def run(self) -> None:
        await self.snapshot()
        self.heap["gone", 1] = 1
        if the_global[0]:
            del self.heap["gone", 1]
        await self.snapshot()
        await self.snapshot()


async def test_a_heap_that_differs_where_it_stopped_is_found_and_the_key_is_shown(tmp_path: Path) -> None:
    """… and the heap at the end against the recorded digest"""
    said = await diverged(ChangedHeap, tmp_path / "a.db", lambda: the_global.__setitem__(0, 5))
    assert "in the heap there 'n' = 5, recorded 0" in said
    assert line_of("await self.snapshot()").partition(":")[0] in said


async def test_a_heap_that_differs_at_an_earlier_stop_is_found_there(tmp_path: Path) -> None:
    async with runtime.Runtime(ChangedBetween, tmp_path / "a.db") as rt:
        for n in range(3):
            await rt.advance(n)
    the_global[0] = 1
    async with runtime.Runtime(ChangedBetween, tmp_path / "a.db") as rt:
        with pytest.raises(ReplayDiverged) as raised:
            await rt.advance(3)
    assert "at call 1 " in str(raised.value)
    assert "('gone', 1) = nothing, recorded 1" in str(raised.value)


class ByTheClock(Root):
    lifted = ("clock",)

    async def run(self) -> None:
        import time

        await self.put("c", {"now": time.time_ns()})
        await self.snapshot()


async def test_a_program_that_reads_the_clock_is_found_out_at_its_first_restart(tmp_path: Path) -> None:
    said = await diverged(ByTheClock, tmp_path / "a.db", lambda: None)
    assert "/ did not repeat its journal at call 0" in said
    assert "wrong  0: expected put('c', {'now': " in said


class ChangedProgram(Root):
    async def run(self) -> None:
        await self.snapshot("old code")


async def test_a_program_whose_code_changed_while_it_stood_in_the_middle_is_found_out(tmp_path: Path) -> None:
    """a process that is in the middle stays on the code that it began with, or the difference shows at replay"""

    async def new_code(self: Root) -> None:
        await self.snapshot("new code")

    old_code = ChangedProgram.run
    try:
        said = await diverged(ChangedProgram, tmp_path / "a.db", lambda: setattr(ChangedProgram, "run", new_code))
    finally:
        ChangedProgram.run = old_code  # type: ignore[method-assign]
    assert "expected snapshot('old code')\n              got      snapshot('new code')" in said
    async with runtime.Runtime(ChangedProgram, tmp_path / "a.db") as rt:
        await rt.advance(2)
        assert rt.head.number == 2


class ChangedAtTheTop(Root):
    async def run(self) -> str:
        return "old code"


async def test_code_may_be_exchanged_where_the_journal_is_empty(tmp_path: Path) -> None:
    """Code may be exchanged where the journal is empty"""

    async def new_code(self: Root) -> str:
        return "new code"

    old_code = ChangedAtTheTop.run
    try:
        made = await reopened(
            ChangedAtTheTop, tmp_path / "a.db", 1, 2, between=lambda: setattr(ChangedAtTheTop, "run", new_code)
        )
    finally:
        ChangedAtTheTop.run = old_code  # type: ignore[method-assign]
    assert made == ["old code", "new code"]


class DivergingChild(Process):
    async def run(self) -> None:
        self.heap["n"] = the_global[0]
        await self.ret()


class WithDivergingChild(Root):
    async def run(self) -> Any:
        if self.heap["block"] == 1:
            await self.put("c", program=DivergingChild, start=True)
            await self.status("c")
        elif self.heap["block"] == 2:
            await self.put("c", start=True)
            try:
                return (await self.status("c")).error
            except Exception as error:
                return type(error).__name__
        return "did without"


async def test_a_child_that_diverges_fails_no_process_but_the_block(tmp_path: Path) -> None:
    """no program may catch it: the machine itself cannot go on from this state"""
    said = await diverged(WithDivergingChild, tmp_path / "a.db", lambda: the_global.__setitem__(0, 5))
    assert said.startswith("/c did not repeat its journal at call 0 ")
    async with runtime.Runtime(WithDivergingChild, tmp_path / "a.db") as rt:
        assert (await rt.advance(3)).data == "did without", "a child that is not needed is not restored"


# --- what must not show --------------------------------------------------------------------------------------------


class Talking(Root):
    async def run(self) -> None:
        for n in range(3):
            _log.warning("block %d begins", n + 1)
            await self.put("c", {"x": n}, program=Idle, start=True)
            await self.get("c", "y")
            await self.snapshot(n)


async def test_what_a_program_logged_once_it_does_not_log_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """restore …: run the program from the top … and answer its system calls from the journal"""
    await reopened(Talking, tmp_path / "a.db", 1, 2, 3)
    said = [record.getMessage() for record in caplog.records if record.name == "a program's own"]
    assert said == ["block 1 begins", "block 2 begins", "block 3 begins"]
    caplog.clear()
    await in_one_go_forgetting(Talking, 1, 2, 3)
    said = [record.getMessage() for record in caplog.records if record.name == "a program's own"]
    assert said == ["block 1 begins", "block 2 begins", "block 3 begins"]
    _log.warning("and afterwards everybody logs on")
    assert caplog.records[-1].getMessage() == "and afterwards everybody logs on"


async def in_one_go_forgetting(top: type[Root], *inputs: Any) -> None:
    async with runtime.Runtime(top, forget=True) as rt:
        for one in inputs:
            await rt.advance(one)


_met: dict[str, threading.Event] = {}


class Meeting(Root):
    async def run(self) -> None:
        if the_global[0]:
            _met["replaying"].set()
            _met["logged"].wait(10)
        _log.warning("said by the program")
        await self.snapshot()


async def test_other_threads_log_on_while_a_process_is_restored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _met.update(replaying=threading.Event(), logged=threading.Event())

    def elsewhere() -> None:
        _met["replaying"].wait(10)
        _log.warning("said by another thread")
        _met["logged"].set()

    async with runtime.Runtime(Meeting, tmp_path / "a.db") as rt:
        await rt.advance()
    the_global[0] = 1
    thread = threading.Thread(target=elsewhere)
    thread.start()
    caplog.clear()
    async with runtime.Runtime(Meeting, tmp_path / "a.db") as rt:
        await rt.advance()
    thread.join()
    said = [record.getMessage() for record in caplog.records if record.name == "a program's own"]
    assert said == ["said by another thread"]


async def test_the_log_is_as_it_was_behind_a_replay_that_failed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await diverged(ChangedHeap, tmp_path / "a.db", lambda: the_global.__setitem__(0, 5))
    caplog.clear()
    _log.warning("still there")
    assert [record.getMessage() for record in caplog.records] == ["still there"]


# --- restoring -----------------------------------------------------------------------------------------------------


class Conversation(Root):
    """Stands in the middle for as long as it is asked to, and then returns."""

    async def run(self) -> Any:
        seen = [self.heap["block"]]
        for n in range(3):
            await self.put("c", {"x": n}, program=Idle, start=True)
            seen.append(await self.get("c", "y"))
            seen.append(await self.snapshot(tuple(seen), region=("in", n)))
            seen.append(self.heap["in", n])
        self.heap["runs"] = self.heap.get("runs", 0) + 1
        return tuple(seen)


async def test_a_root_in_the_middle_goes_on_behind_its_snapshot_over_restarts(tmp_path: Path) -> None:
    """`await self.snapshot(data, region=…)` in the middle is SNAPSHOT too; the next block goes on behind it."""
    made = await same_in_every_way(Conversation, tmp_path / "a.db", *range(10, 20))
    whole = (10, 1, 11, 11, 2, 12, 12, 3, 13, 13)
    assert made[:4] == [whole[:2], whole[:5], whole[:8], whole]
    assert made[7] == (14, 1, 15, 15, 2, 16, 16, 3, 17, 17)
    assert made[8] == (18, 1)


class Turns(Process):
    """Makes another number of calls in each of its runs, and stands in the middle of each."""

    async def run(self) -> None:
        runs = self.heap["runs"] = self.heap.get("runs", 0) + 1
        for n in range(3):
            await self.put("below", {"x": 10 * runs + n}, program=Idle, start=True)
            self.heap["sum"] = self.heap.get("sum", 0) + await self.get("below", "y")
            await self.ret()


class WithTurns(Root):
    async def run(self) -> Any:
        await self.put("c", program=Turns if self.heap["block"] == 1 else None, start=True)
        return await self.get("c", "runs", "sum")


async def test_a_second_run_through_the_middle_has_a_journal_of_its_own(tmp_path: Path) -> None:
    """When `run` returns, the journal is empty: nothing is ever replayed for it."""
    made = await same_in_every_way(WithTurns, tmp_path / "a.db", *range(1, 12))
    assert made[3] == (1, 11 + 12 + 13)
    assert made[7][0] == 2


class RunsOn(Root):
    """Leaves a child running from the middle of its run across blocks, and then has it run through another middle."""

    async def run(self) -> Any:
        step = self.heap["block"]
        if step == 1:
            await self.put("c", program=Turns, start=True)
            await self.put("c", start=True)
            await self.put("c", start=True)
            await self.put("c", start=True)  # its last, behind three RETs; nobody waits for it in this block
        elif step == 2:
            for _ in range(4):
                await self.put("c", start=True)
        return await self.get("c", "runs", "sum") if step > 2 else None


class EagerChildren:
    """Performs the effects of children before the root's."""

    def take(self, agenda: Any) -> Any:
        at = next((i for i, (record, *_) in enumerate(agenda) if record.parent is not None), 0)
        agenda.rotate(-at)
        return agenda.popleft()


async def test_a_run_that_ended_while_it_was_pending_leaves_nothing_to_the_next_ones_journal(tmp_path: Path) -> None:
    """The block then pins its start …; whether it has in fact been run makes no difference to any root."""
    made = await same_in_every_way(RunsOn, tmp_path / "a.db", 1, 2, 3, 4)
    assert made[2] == (2, 11 + 12 + 13 + 21 + 22 + 23)
    hashes = []
    for order in (None, EagerChildren()):
        async with runtime.Runtime(RunsOn, order=order) as rt:
            hashes.append([(await rt.advance(n)).hash for n in (1, 2, 3, 4)])
    async with runtime.Runtime(RunsOn, tmp_path / "a.db") as rt:
        assert hashes == [[block.hash for block in rt.blocks()][1:]] * 2


class FailsOnce(Process):
    async def run(self) -> None:
        self.heap["before"] = 1
        first = await self.ret()
        self.heap["first"] = tuple(change.key for change in first)
        second = await self.ret()
        self.heap["second"] = tuple((change.key, change.new) for change in second)
        if "fail" in self.heap:
            raise ValueError
        await self.ret()
        self.heap["ended"] = 1


class RetriesInTheMiddle(Root):
    async def run(self) -> Any:
        step = self.heap["block"]
        if step == 1:
            await self.put("c", program=FailsOnce, start=True)
            await self.put("c", {"a": 1}, start=True)
            return tuple((await self.get("c", Region())).items())
        if step == 2:
            await self.put("c", {"fail": True, "b": 2}, start=True)
            return (await self.status("c")).error
        if step == 3:
            with pytest.raises(ChildFailed):
                await self.get("c", "before")
            await self.put("c", {"b": 3}, start=True)
            return (await self.status("c")).error
        if step == 4:
            await self.put("c", delete=["fail"], start=True)
            return tuple((await self.get("c", Region())).items())
        await self.put("c", start=True)
        return (await self.status("c")).middle, await self.get("c", "ended")


async def test_a_child_that_fails_behind_a_ret_goes_back_to_that_ret_and_is_retried_from_there(tmp_path: Path) -> None:
    """goes back to its last snapshot (the one taken at its start) … The parent may retry, change the child's values"""
    made = await same_in_every_way(RetriesInTheMiddle, tmp_path / "a.db", 1, 2, 3, 4, 5)
    assert made[0] == (("a", 1), ("before", 1), ("first", ("a",)))
    assert made[1:3] == ["ValueError", "ValueError"]
    assert made[3] == (("a", 1), ("b", 3), ("before", 1), ("first", ("a",)), ("second", (("b", 3),)))
    assert made[4] == (False, 1)


class Everything(Process):
    """Gets every kind of answer and error that a call may have, tells what it saw, and stands in the middle."""

    async def run(self) -> None:
        seen: list[Any] = []
        await self.put("c", {"x": 1, ("r", 1): 1, ("r", 2): (2, "two"), "big": "x" * 1000}, program=Idle, start=True)
        seen.append(await self.get("c", "y"))
        seen.append(await self.get("c", "x", ("r", 2), "big"))
        view = await self.get("c", Region("r"))
        seen.append(tuple(view.items()))
        several = await self.get("c", Region("r", low=2), "y", Region("none"))
        seen.append((tuple(several[0].items()), several[1], len(several[2])))
        seen.append(tuple(change.key for change in await self.get("c")))
        seen.append(len(await self.merge("c")))
        trap = await self.status("c")
        seen.append((trap.kind.name, trap.error, trap.gas, trap.middle))
        for call in (
            lambda: self.get("c", "none"),
            lambda: self.get("none", "x"),
            lambda: self.drop("none"),
            lambda: self.put("none", start=True),
            lambda: self.snapshot(),
            lambda: asyncio.sleep(0),
        ):
            try:
                await call()
            except Exception as error:
                seen.append((type(error).__name__, *([] if isinstance(error, ForeignAwait) else [str(error)])))
        await self.put("bad", program=Breaks, start=True)
        try:
            await self.get("bad", "x")
        except ChildFailed as error:
            seen.append((error.path, error.kind, error.error, error.gas, str(error)))
        await self.drop("c")
        self.heap["seen"] = tuple(seen)
        seen.append(tuple((change.key, change.new) for change in await self.ret()))
        self.heap["again"] = tuple(seen)
        self.heap["view"] = view
        await self.ret()


class Breaks(Process):
    async def run(self) -> None:
        raise ZeroDivisionError


class WithEverything(Root):
    async def run(self) -> Any:
        if self.heap["block"] == 1:
            await self.put("c", program=Everything)
        await self.put("c", {"told": self.heap["block"]}, start=True)
        return await self.get("c", "seen" if self.heap["block"] == 1 else "again")


async def test_every_answer_and_every_error_is_the_same_from_the_journal(tmp_path: Path) -> None:
    """answer its system calls from the journal"""
    first, second, third = await same_in_every_way(WithEverything, tmp_path / "a.db", 1, 2, 3)
    assert second == third
    assert second[:-1] == first
    assert second[-1] == (("told", 2),)
    assert [one[0] for one in second[7:12]] == [
        MissingKey.__name__,
        NoSuchChild.__name__,
        NoSuchChild.__name__,
        "ProgramError",
        "CallRefused",
    ]


class AsksAView(Root):
    async def run(self) -> Any:
        await self.put("c", {("r", 1): 1})
        view = await self.get("c", Region("r"))
        try:
            view["none"]
        except MissingKey as error:
            self.heap["said"] = str(error)
        await self.snapshot()
        return self.heap["said"]


async def test_an_error_of_a_region_that_was_got_says_the_same_from_the_journal(tmp_path: Path) -> None:
    """What a process can see of an error is the same on every machine"""
    await same_in_every_way(AsksAView, tmp_path / "a.db", 1, 2)


class RefusedThenMiddle(Root):
    async def run(self) -> Any:
        try:
            await self.ret()
        except CallRefused as error:
            self.heap["said"] = str(error)
        await self.snapshot(1)
        return self.heap["said"]


async def test_a_refused_ret_is_refused_again_from_the_journal(tmp_path: Path) -> None:
    made = await same_in_every_way(RefusedThenMiddle, tmp_path / "a.db", 1, 2)
    assert made[1].startswith("ret: the root has no parent to return to")


class ManyRegions(Root):
    async def run(self) -> Any:
        await self.put("c", {(n, "k"): n for n in range(600)})
        views = await self.get("c", *[Region(n) for n in range(600)])
        await self.snapshot()
        return tuple(view["k"] for view in views)


async def test_any_number_of_regions_can_stand_in_a_journal(tmp_path: Path) -> None:
    made = await same_in_every_way(ManyRegions, tmp_path / "a.db", 1, 2)
    assert made[1] == tuple(range(600))


class OftenForeign(Root):
    async def run(self) -> Any:
        caught = 0
        for _ in range(3000):
            try:
                await asyncio.sleep(0)
            except ForeignAwait:
                caught += 1
        await self.snapshot()
        return caught


async def test_any_number_of_foreign_awaits_can_be_caught_before_a_replay(tmp_path: Path) -> None:
    """an error that names the rule and the line (and may be caught)"""
    try:
        made = await same_in_every_way(OftenForeign, tmp_path / "a.db", 1, 2)
    except Exception as error:
        pytest.fail(f"{type(error).__name__}: {error}", pytrace=False)  # of a traceback of 1,000 lines
    assert made == [None, 3000]


class SeesChanges(Root):
    """Gets the changes of a child that changed nothing, or was put to without a start, and stands in the middle."""

    async def run(self) -> Any:
        await self.put("same", {"a": 1}, program=Breaks, start=True)
        await self.put("put to", {"a": 1, "x": 1}, program=Idle, start=True)
        await self.put("rewritten", {"x": 1, "y": 2}, program=Idle, start=True)
        await self.put("same", program=Nothing, start=True)
        for name in ("same", "put to", "rewritten"):
            await self.status(name)
        await self.snapshot(1)
        await self.put("put to", {"a": 2})
        seen = [
            tuple((change.key, change.new) for change in await self.get(name))
            for name in ("same", "put to", "rewritten")
        ]
        await self.snapshot(tuple(seen))
        return tuple(seen)


class Nothing(Process):
    async def run(self) -> None:
        pass


async def test_changes_stand_in_the_journal_in_one_form_however_they_came_about(tmp_path: Path) -> None:
    """The state root covers … journals: in memory, from the store and in `verify` alike."""
    made = await same_in_every_way(SeesChanges, tmp_path / "a.db", 1, 2, 3)
    assert made[2] == ((), (("a", 2), ("y", 2)), ())
    async with runtime.Runtime(SeesChanges) as rt:
        roots = [(await rt.advance(n)).hash for n in (1, 2, 3)]
    async with runtime.Runtime(SeesChanges, tmp_path / "a.db") as rt:
        assert [block.hash for block in rt.blocks()][1:] == roots


class PutsManyTimes(Root):
    async def run(self) -> Any:
        if self.heap["block"] == 1:
            await self.put("c", program=Restarted, start=True)
            await self.put("c", {"n": 1}, start=True)  # waits while c runs to its first RET, and starts it from there
            await self.put("c", {"n": 2}, start=True)
            return None
        return await self.get("c", "seen")


class Restarted(Process):
    async def run(self) -> None:
        seen = [tuple((change.key, change.new) for change in await self.ret()) for _ in range(2)]
        self.heap["seen"] = tuple(seen)


async def test_forget_restores_a_process_also_where_its_parent_starts_it_again_at_once(tmp_path: Path) -> None:
    """`forget`: restore every process from its journal whenever it goes on in the middle"""
    made = await same_in_every_way(PutsManyTimes, tmp_path / "a.db", 1, 2)
    assert made[1] == ((("n", 1),), (("n", 2),))

    runs = []

    class Counted(Restarted):
        async def run(self) -> None:
            runs.append(1)
            await super().run()

    class CountedRoot(Root):
        async def run(self) -> None:
            await self.put("c", program=Counted, start=True)
            await self.put("c", start=True)
            await self.put("c", start=True)
            await self.status("c")

    await in_one_go_forgetting(CountedRoot, 1)
    assert len(runs) == 3, "begun once, restored twice"


class FailsInReplay(Root):
    async def run(self) -> Any:
        await self.snapshot(1)
        raise LookupError("as ever")


async def test_a_block_that_failed_in_the_middle_can_be_tried_again_for_ever(tmp_path: Path) -> None:
    """A root that fails fails the block: … the head stays."""
    async with runtime.Runtime(FailsInReplay, tmp_path / "a.db") as rt:
        await rt.advance(1)
        for _ in range(3):
            with pytest.raises(BlockFailed, match="LookupError: as ever"):
                await rt.advance(2)
            assert rt.head.number == 1
            await rt.revert(1)


class Brittle(runtime.MemoryStore):
    """A store whose next commit can be made to fail."""

    fails = False

    def commit(self, commit: Any) -> None:
        if self.fails:
            self.fails = False
            raise StoreError("the disk is full, say")
        super().commit(commit)


async def test_a_block_whose_commit_failed_is_made_again_from_the_journal() -> None:
    """nothing of it is committed, the caller gets the error, the head stays"""
    expected = await in_one_go(Conversation, *range(6))
    store = Brittle()
    made = []
    async with runtime.Runtime(Conversation, store) as rt:
        for n in range(6):
            store.fails = True
            with pytest.raises(StoreError, match="the disk is full"):
                await rt.advance(n)
            assert rt.head.number == n
            made.append((await rt.advance(n)).data)
        await rt.verify()
    assert made == expected
