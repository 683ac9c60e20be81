"""The driver: one block at a time whoever asks, turns for the rest of the loop, and an end that lets go of the store."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING, Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from actors import InputError, Process, Root
from actors.errors import BlockFailed, LockstepError, StoreError
from runtime import MemoryStore, Runtime, SqliteStore
from runtime.driver import STEPS_PER_TURN

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.store import Commit


class Adder(Process):
    async def run(self) -> None:
        self.heap["sum"] = self.heap["one"] + self.heap["other"]


class Adds(Root):
    """Adds the input to the sum as often as it says, each time by a child; fails where it is told to."""

    async def run(self) -> Any:
        add, times = self.heap["block", "add"], self.heap.get(("block", "times"), 1)
        for _ in range(times):
            await self.put("adder", {"one": self.heap.get("sum", 0), "other": add}, program=Adder, start=True)
            self.heap["sum"] = await self.get("adder", "sum")
        if add == 13:
            raise ValueError("thirteen")
        self.heap["order"] = [*self.heap.get("order", ()), add]
        return self.heap["sum"]


class Slow:
    """A store whose commits each wait until they are let go, and that knows how many are at it."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.go = threading.Semaphore(0)
        self.begun = threading.Semaphore(0)
        self.at_once = 0
        self.at_once_max = 0
        self.slow = False
        #: How long a commit takes that nobody has to let go, in seconds.
        self.after: float | None = None

    def commit(self, commit: Commit) -> None:
        self.at_once += 1
        self.at_once_max = max(self.at_once_max, self.at_once)
        if self.slow:
            self.begun.release()
            self.go.acquire(timeout=self.after)
        self.store.commit(commit)
        self.at_once -= 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


async def long_block(rt: Runtime, turns: int) -> None:
    """A block that takes at least that many turns of the driver: every child is some steps."""
    await rt.advance({"add": 1, "times": turns * STEPS_PER_TURN})


# --- one after the other ---------------------------------------------------------------------------------------------


async def test_blocks_that_are_asked_for_at_the_same_time_are_made_one_after_the_other() -> None:
    async with Runtime(Adds) as rt:
        tasks = [asyncio.ensure_future(rt.advance({"add": add})) for add in range(1, 11)]
        blocks = await asyncio.gather(*tasks)
        assert [block.number for block in blocks] == list(range(1, 11))
        assert [block.data for block in blocks] == [sum(range(1, add + 1)) for add in range(1, 11)]
        assert [block.parent for block in blocks] == [rt.block(block.number - 1).hash for block in blocks]
        assert list(rt.state().heap["order"]) == list(range(1, 11))


async def test_a_block_begins_when_the_commit_before_it_is_made() -> None:
    store = Slow()
    async with Runtime(Adds, store) as rt:
        store.slow = True
        tasks = [asyncio.ensure_future(rt.advance({"add": add})) for add in range(1, 6)]
        for number in range(1, 6):
            await asyncio.to_thread(store.begun.acquire)
            for _ in range(20):
                await asyncio.sleep(0)
            assert rt.head.number == number - 1
            assert not any(task.done() for task in tasks[number - 1 :])
            store.go.release()
            assert (await tasks[number - 1]).number == number
        assert store.at_once_max == 1


async def test_a_block_that_fails_leaves_those_that_wait_behind_it_their_turn() -> None:
    async with Runtime(Adds) as rt:
        tasks = [asyncio.ensure_future(rt.advance({"add": add})) for add in (1, 13, 2, 13, 3)]
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert [getattr(one, "data", type(one)) for one in done] == [1, BlockFailed, 3, BlockFailed, 6]
        assert rt.head.number == 3


async def test_a_block_that_is_cancelled_in_the_queue_was_never_begun() -> None:
    store = Slow()
    async with Runtime(Adds, store) as rt:
        store.slow = True
        tasks = [asyncio.ensure_future(rt.advance({"add": add})) for add in (1, 2, 3)]
        await asyncio.to_thread(store.begun.acquire)
        tasks[1].cancel()
        await asyncio.wait([tasks[1]])
        assert tasks[1].cancelled()
        store.slow = False
        store.go.release()
        assert [(await task).data for task in (tasks[0], tasks[2])] == [1, 4]


async def test_inputs_that_are_refused_take_nobodys_turn() -> None:
    async with Runtime(Adds) as rt:
        tasks = [asyncio.ensure_future(rt.advance(inputs)) for inputs in ({"add": 1}, {"add": object()}, {"add": 2})]
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(done[1], LockstepError)
        assert rt.head.number == 2


async def test_a_revert_and_blocks_asked_for_at_the_same_time_keep_their_order() -> None:
    async with Runtime(Adds) as rt:
        await rt.advance({"add": 1})
        tasks = [
            asyncio.ensure_future(rt.advance({"add": 2})),
            asyncio.ensure_future(rt.revert(1)),
            asyncio.ensure_future(rt.advance({"add": 3})),
        ]
        two, one, other = await asyncio.gather(*tasks)
        assert (two.number, one.number, other.number) == (2, 1, 2)
        assert (two.parent, other.parent) == (one.hash, one.hash)
        assert (rt.head, rt.head.data) == (other, 4)


async def test_a_program_may_be_advanced_from_every_thread_there_is() -> None:
    """Threads that wait for their blocks must not take away the thread in which one of them is waited for."""
    threads = int(anyio.to_thread.current_default_thread_limiter().total_tokens)
    store = Slow()

    async with Runtime(Adds, store) as rt:
        ready = threading.Barrier(threads)
        store.slow = True
        store.after = 0.005

        def advance() -> None:
            ready.wait()
            anyio.from_thread.run(rt.advance, {"add": 1})

        # Not a measure of anything: it ends a deadlock.
        with anyio.move_on_after(10) as scope:
            async with anyio.create_task_group() as group:
                for _ in range(threads):
                    group.start_soon(lambda: anyio.to_thread.run_sync(advance, abandon_on_cancel=True))
        assert not scope.cancelled_caught, f"a deadlock at block {rt.head.number + 1}"
        assert rt.head.number == threads


# --- turns -----------------------------------------------------------------------------------------------------------


async def counting(count: list[int]) -> None:
    while True:
        await asyncio.sleep(0)
        count[0] += 1


async def test_other_tasks_get_turns_during_a_long_block() -> None:
    counts: list[list[int]] = [[0], [0]]
    others = [asyncio.ensure_future(counting(count)) for count in counts]
    async with Runtime(Adds) as rt:
        await long_block(rt, 10)
    for other in others:
        other.cancel()
    await asyncio.wait(others)
    assert min(count[0] for count in counts) >= 10


async def test_the_turns_of_a_block_do_not_depend_on_how_many_children_it_has() -> None:
    async def turns_of(blocks: int, times: int) -> int:
        count = [0]
        async with Runtime(Adds) as rt:
            other = asyncio.ensure_future(counting(count))
            for _ in range(blocks):
                await rt.advance({"add": 1, "times": times})
            other.cancel()
            await asyncio.wait([other])
        return count[0]

    assert await turns_of(1, 8 * STEPS_PER_TURN) >= 2 * await turns_of(1, STEPS_PER_TURN // 2)


async def test_other_tasks_get_turns_while_a_commit_is_slow() -> None:
    store = Slow()
    async with Runtime(Adds, store) as rt:
        store.slow = True
        block = asyncio.ensure_future(rt.advance({"add": 1}))
        await asyncio.to_thread(store.begun.acquire)
        for _ in range(100):
            await asyncio.sleep(0)
        assert not block.done()
        # What was committed before can be looked at meanwhile.
        assert rt.head.number == 0
        assert list(rt.blocks()) == [rt.head]
        assert len(rt.state().heap) == 0
        store.go.release()
        assert (await block).number == 1


async def test_two_runtimes_of_one_loop_take_turns() -> None:
    order: list[str] = []

    async def run(name: str, rt: Runtime) -> None:
        for _ in range(3):
            await rt.advance({"add": 1, "times": 2 * STEPS_PER_TURN})
            order.append(name)

    async with Runtime(Adds) as one, Runtime(Adds) as other:
        await asyncio.gather(run("one", one), run("other", other))
        assert one.head.hash == other.head.hash
    assert set(order[:3]) == {"one", "other"}


# --- the end ---------------------------------------------------------------------------------------------------------


async def fails(rt: Runtime) -> None:
    raise ZeroDivisionError


async def fails_in_a_block(rt: Runtime) -> None:
    await rt.advance({"add": 13})


async def is_cancelled(rt: Runtime) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await rt.advance({"add": 2})


async def is_interrupted(rt: Runtime) -> None:
    raise SystemExit(1)


@pytest.mark.parametrize("fail", [fails, fails_in_a_block, is_cancelled, is_interrupted])
async def test_a_runtime_that_is_left_by_an_error_leaves_its_store_closed_and_whole(tmp_path: Path, fail: Any) -> None:
    path = tmp_path / "state.db"
    rt = Runtime(Adds, path)

    async def use() -> None:
        async with rt:
            await rt.advance({"add": 1})
            await fail(rt)

    with pytest.raises((ZeroDivisionError, BlockFailed, asyncio.CancelledError, SystemExit)):
        await use()
    if fail is is_cancelled:
        task = asyncio.current_task()
        assert task is not None
        task.uncancel()
    assert sorted(os.listdir(tmp_path)) == ["state.db", "state.db-lock"]
    SqliteStore(path).close()
    # The same Runtime may be entered again, and goes on.
    async with rt:
        assert rt.head.number == 1
        assert (await rt.advance({"add": 2})).data == 3


async def test_a_store_that_cannot_be_opened_leaves_a_runtime_that_can_be_entered_later(tmp_path: Path) -> None:
    rt = Runtime(Adds, tmp_path / "later" / "state.db")
    with pytest.raises(StoreError):
        await rt.__aenter__()
    with pytest.raises(InputError, match="not open"):
        await rt.advance({"add": 1})
    (tmp_path / "later").mkdir()
    async with rt:
        assert (await rt.advance({"add": 1})).number == 1


async def test_a_runtime_that_was_left_says_so() -> None:
    async with Runtime(Adds) as rt:
        await rt.advance({"add": 1})
    for use in (lambda: rt.head, lambda: rt.block(1), lambda: list(rt.blocks()), lambda: rt.state()):
        with pytest.raises(InputError, match="not open"):
            use()
    with pytest.raises(InputError, match="not open"):
        await rt.advance({"add": 2})
    with pytest.raises(InputError, match="not open"):
        await rt.revert(0)


async def test_blocks_that_were_asked_for_before_a_runtime_is_left_are_made_or_told(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    async with Runtime(Adds, path) as rt:
        tasks = [asyncio.ensure_future(rt.advance({"add": 1, "times": STEPS_PER_TURN})) for _ in range(4)]
        await tasks[0]
    done = await asyncio.gather(*tasks, return_exceptions=True)
    # Each has its block, or an error that says why not; and the first error is the end of them.
    made = [one for one in done if not isinstance(one, BaseException)]
    assert all(isinstance(one, LockstepError) for one in done[len(made) :]), done
    async with Runtime(Adds, path) as rt:
        assert rt.head.number == len(made)


async def test_a_commit_that_is_under_way_when_a_runtime_is_left_is_waited_for() -> None:
    store = Slow()
    async with Runtime(Adds, store) as rt:
        store.slow = True
        task = asyncio.ensure_future(rt.advance({"add": 1}))
        await asyncio.to_thread(store.begun.acquire)
        store.go.release()
    done = (await asyncio.gather(task, return_exceptions=True))[0]
    assert isinstance(done, LockstepError) or done.number == 1
    assert store.at_once == 0
