"""Pruning: what is dropped, what stays, and that what is stored is what is reachable, whatever happens meanwhile.

A random machine does all of this at random in test_prune_machine.py. What a kill or a failing disk does to a pruning is in
test_crash.py, the command in test_cli_pruning.py.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from pruning import Open, filling, in_small_steps
from reachable import reachable, stored

import runtime
import runtime.prune
from actors import (
    BlockFailed,
    BlockUnknown,
    InputError,
    Process,
    Region,
    Root,
    StoreDamaged,
    StoreError,
    StoreMismatch,
)
from runtime import Runtime, SqliteStore
from runtime.history import History
from runtime.prune import NumberSet, Pruner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    in_small_steps(monkeypatch)


class Notes(Root):
    """Keeps entries under each block's number, changes a few of many, and fails when it is told to."""

    async def run(self) -> Any:
        n = self.heap["block", "n"]
        if n < 0:
            raise ValueError("as told")
        for i in range(40):
            self.heap["notes", n, i] = f"{n}.{i} " * (100 if i % 10 == 0 else 1)
        self.heap["notes", n] = f"{n} " * 200  # long, and a branch's own
        for i in range(3):
            self.heap["many", (7 * n + i) % 1200] = n
        self.heap.clear(("notes", n - 5))
        return n


MANY = {("many", i): i for i in range(1200)}


async def advanced(rt: Runtime, *numbers: int) -> None:
    for n in numbers:
        await rt.advance({"n": n})


async def made(count: int, store: Any = None) -> Any:
    """Return a store with so many blocks of notes, closed if it is on disk."""
    store = Open() if store is None else store
    async with Runtime(Notes, store, MANY) as rt:
        await advanced(rt, *range(1, count + 1))
    return store


async def undisturbed(count: int) -> list[runtime.Block]:
    async with Runtime(Notes, genesis=MANY) as rt:
        await advanced(rt, *range(1, count + 1))
        return list(rt.blocks())


async def is_whole_and_goes_on(store: Any, first: int, last: int = 14) -> None:
    """Check that a store of blocks of notes is kept from `first` on, goes on as it should, and can be pruned."""
    expected = await undisturbed(last)
    assert reachable(store) <= stored(store)
    async with Runtime(Notes, store, MANY) as rt:
        head = rt.head.number
        assert list(rt.blocks()) == expected[first : head + 1]
        assert await rt.verify() == head - first
        await advanced(rt, *range(head + 1, last + 1))
        assert list(rt.blocks()) == expected[first:]
        await rt.prune(2)
        assert list(rt.blocks()) == expected[-2:]
        assert stored(store) == reachable(store)


async def test_what_is_stored_is_what_is_reachable(tmp_path: Path) -> None:
    for store in (Open(), SqliteStore(tmp_path / "a.db")):
        async with Runtime(Notes, store, MANY) as rt:
            await advanced(rt, *range(1, 11))
            before = stored(store)
            assert before == reachable(store)
            pruned = await rt.prune(3)
            assert (pruned.first, pruned.blocks) == (8, 8)
            assert pruned.nodes == len(before) - len(stored(store)) > 0
            assert stored(store) == reachable(store)
            assert await rt.prune(3) == (8, 0, 0)
            assert await rt.prune(100) == (8, 0, 0)


NOTHINGS: dict[str, Callable[[Any], None]] = {
    "missing keys are popped": lambda heap: [heap.pop(("r", i, "no"), None) for i in range(0, 900, 7)],
    "missing keys are popped behind and between all": lambda heap: [heap.pop(("r", -1 - i), None) for i in range(900)],
    "an empty region is cleared": lambda heap: [heap.clear(("r", i, "no")) for i in range(0, 900, 7)],
    "an empty range is cleared": lambda heap: heap.clear("r", 10_000, 20_000),
    "what stands there is written again": lambda heap: heap.update({("r", i): heap["r", i] for i in range(900)}),
    "a long value is written again": lambda heap: heap.update({("long", i): f"{i} " * 200 for i in range(30)}),
    "a region is mounted where it stands": lambda heap: heap.__setitem__("r", heap.region("r")),
    "a region is mounted elsewhere and back": lambda heap: (
        heap.__setitem__("s", heap.region("r")),
        heap.clear("r"),
        heap.__setitem__("r", heap.region("s")),
        heap.clear("s"),
    ),
    "an entry is deleted and written again": lambda heap: [
        heap.update({("r", i): heap.pop(("r", i))}) for i in range(0, 900, 11)
    ],
    "an entry is written and deleted again": lambda heap: [
        (heap.__setitem__(("r", i, "new"), 1), heap.pop(("r", i, "new"))) for i in range(0, 900, 11)
    ],
    "all is deleted and written again": lambda heap: heap.update(
        [(("r", key), heap.pop(("r", key))) for key in list(heap.region("r"))]
    ),
    "an empty region is mounted at no place": lambda heap: heap.__setitem__(("r", 5, "no"), heap.region("nowhere")),
    "the whole heap is mounted on itself": lambda heap: heap.__setitem__((), heap.region(())),
}


class Nothing(Root):
    """Does what leaves its heap as it was."""

    async def run(self) -> None:
        what = self.heap["block"]
        if what in NOTHINGS:
            NOTHINGS[what](self.heap)


@pytest.mark.parametrize("what", NOTHINGS)
@pytest.mark.parametrize("reopened", [False, True])
async def test_what_changes_nothing_leaves_nothing_stale_and_costs_nothing_that_is_needed(
    tmp_path: Path, what: str, reopened: bool
) -> None:
    """A delete of nothing once marked a live node as stale; pruning then destroyed it, which a reopened store showed."""
    genesis = {**{("r", i): i for i in range(900)}, **{("long", i): f"{i} " * 200 for i in range(30)}}
    store = Open()
    async with Runtime(Nothing, store, genesis) as rt:
        for inputs in ("nothing", what, "nothing"):
            await rt.advance(inputs)
            if reopened:
                await rt.revert(rt.head)
        for region in ("r", "long"):
            assert len({rt.state(block).heap.region(region).machine_tree.digest() for block in rt.blocks()}) == 1
        for keep in (2, 1):
            await rt.prune(keep)
            assert stored(store) == reachable(store)
        await rt.advance("nothing")
    async with Runtime(Nothing, store, genesis) as rt:
        heap = dict(rt.state().heap.items())
        assert heap == {**genesis, "block": "nothing"}
        assert await rt.verify() == 1
        await rt.prune(1)
        assert stored(store) == reachable(store)


class Holder(Process):
    """Holds views of regions in local variables while it stands in the middle."""

    async def run(self) -> None:
        self.heap.update(filling("mine", 600, 1, 5))
        mine, given = self.heap.region("mine"), self.heap.region("given")
        part = self.heap.region("mine", 100, 300)
        await self.ret()
        self.heap.clear("mine")
        self.heap.clear("given")
        await self.ret()
        await self.ret()
        self.heap["again"] = mine
        self.heap["part"] = part
        await self.ret()
        self.heap.clear("again")
        self.heap["given", "again"] = given


class Keeper(Root):
    """The same, over blocks; and has such a child, which may also run on over a block."""

    async def run(self) -> None:
        self.heap.update(filling("mine", 600, 1, 6))
        mine = self.heap.region("mine")
        await self.put("child", {"given": mine}, program=Holder, start=True)
        await self.snapshot(1)
        self.heap.clear("mine")
        of_child = None
        for number in range(2, 14):
            trap = await self.status("child")
            if number == 2:
                of_child = await self.get("child", ("given", 5))
                region = await self.get("child", Region("mine"))
            if trap.middle:
                await self.put("child", start=True)
            await self.snapshot(number)
        self.heap["again"] = mine
        self.heap["child's"] = region
        self.heap["of child"] = of_child
        await self.drop("child")


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("how", ["by keep", "by hand", "by hand, and forgotten", "by keep, and reopened"])
async def test_a_view_that_is_held_over_blocks_can_be_mounted_when_its_region_is_gone_and_pruned(how: str) -> None:
    async with Runtime(Keeper) as rt:
        expected = [await rt.advance({"n": n}) for n in range(1, 16)]
        heap = dict(rt.state().heap.items())
    assert len(heap) > 1200
    store = Open()
    keep = 1 if "keep" in how else None
    rt = Runtime(Keeper, store, keep=keep, forget="forgotten" in how)
    await rt.__aenter__()
    try:
        for n in range(1, 16):
            assert await rt.advance({"n": n}) == expected[n - 1]
            if "hand" in how:
                await rt.prune(1)
                assert stored(store) == reachable(store)
            if "reopened" in how and n % 3 == 0:
                await rt.__aexit__(None, None, None)
                rt = Runtime(Keeper, store, keep=keep)
                await rt.__aenter__()
            assert reachable(store) <= stored(store)
        assert dict(rt.state().heap.items()) == heap
        await rt.prune(1)
        assert stored(store) == reachable(store)
        assert dict(rt.state().heap.items()) == heap
    finally:
        await rt.__aexit__(None, None, None)


class Eater(Process):
    """Returns at once."""

    async def run(self) -> None:
        pass


class Giver(Root):
    """Gives a region to a child and to nobody else, and has nothing of it left but a view in a local variable.

    The region is in no heap at any stop, and in the journal there is its digest alone: the child is all that holds it.
    """

    async def run(self) -> None:
        self.heap.update(filling("r", 600, 1, 6))
        given = self.heap.region("r")
        entries = iter(given.items())
        await self.put("child", {"given": given}, program=Eater, start=True)
        self.heap.clear("r")
        next(entries)
        await self.snapshot(1)
        await self.drop("child")
        for number in range(2, 12):
            await self.snapshot(number)
        self.heap["again"] = given
        self.heap["entries"] = [key for key, _ in entries]


@pytest.mark.parametrize("how", ["by keep", "by hand"])
async def test_what_a_child_alone_kept_is_written_anew_when_its_view_is_mounted_behind_a_pruning(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_small_steps(monkeypatch, 1000, 1000)
    async with Runtime(Giver) as rt:
        expected = [await rt.advance({"n": n}) for n in range(1, 13)]
        heap = dict(rt.state().heap.items())
    assert len(heap) > 600
    store = Open()
    async with Runtime(Giver, store, keep=1 if how == "by keep" else None) as rt:
        await rt.advance({"n": 1})
        held = stored(store)
        for n in range(2, 13):
            assert await rt.advance({"n": n}) == expected[n - 1]
            if n == 8 and how == "by hand":
                await rt.prune(2)
            if n == 9:
                assert len(held - stored(store)) > 20
        assert reachable(store) <= stored(store)
        assert dict(rt.state().heap.items()) == heap
    async with Runtime(Giver, store) as rt:
        assert dict(rt.state().heap.items()) == heap


async def test_a_block_that_is_made_again_behind_a_revert_has_the_nodes_that_it_had(tmp_path: Path) -> None:
    """Else the head in memory had others, which no block reaches, and pruning took them away under it."""
    for store in (Open(), SqliteStore(tmp_path / "a.db")):
        async with Runtime(Notes, store, MANY) as rt:
            await advanced(rt, 1, 2, 3, 4)
            before, head = stored(store), rt.head
            await rt.revert(2)
            await advanced(rt, 3)
            await advanced(rt, 4)
            assert rt.head == head
            assert stored(store) == before == reachable(store)
            await rt.revert(3)
            await advanced(rt, 4)
            await rt.prune(1)
            await advanced(rt, 5, 6)
            assert rt.head == (await undisturbed(6))[-1]
            assert reachable(store) <= stored(store)
            assert await rt.verify() == 2


async def test_failed_blocks_do_not_keep_a_cycle_from_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    in_small_steps(monkeypatch, 10, 60)
    store = Open()
    sizes = []
    async with Runtime(Notes, store, keep=3) as rt:
        for n in range(1, 300):
            await advanced(rt, n)
            with pytest.raises(BlockFailed):
                await advanced(rt, -1)
            sizes.append(len(stored(store)))
    assert max(sizes[150:]) <= 1.3 * max(sizes[:150])


# --- interrupted ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_steps")
async def test_a_pruning_that_is_let_lie_after_any_step_loses_nothing() -> None:
    store = await made(10)
    steps = len(list(runtime.prune.prune(History(store.copy()), 3)))
    assert steps > 20
    for count in range(1, steps + 1, 3):
        cut_off = store.copy()
        for _ in zip(range(count), runtime.prune.prune(History(cut_off), 3), strict=False):
            pass
        await is_whole_and_goes_on(cut_off, 8)


@pytest.mark.usefixtures("small_steps")
async def test_a_pruning_that_is_cancelled_at_any_await_loses_nothing() -> None:
    store = await made(10)
    ended = []
    for turns in (*range(12), *range(12, 150, 9)):
        cut_off = store.copy()
        async with Runtime(Notes, cut_off, MANY) as rt:
            task = asyncio.ensure_future(rt.prune(3))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            ended.append(task.cancelled())
            first = next(rt.blocks()).number
            assert first in (0, 8)
            await advanced(rt, 11)
            assert reachable(cut_off) <= stored(cut_off)
        await is_whole_and_goes_on(cut_off, first)
    assert any(ended)


@pytest.mark.usefixtures("small_steps")
async def test_a_pruning_whose_commits_fail_loses_nothing_and_can_be_done_again() -> None:
    store = await made(10)
    for fails_in in range(100):
        cut_off = store.copy()
        async with Runtime(Notes, cut_off, MANY) as rt:
            cut_off.fails_in = fails_in
            try:
                await rt.prune(3)
            except StoreError as error:
                assert str(error) == "the disk is gone"
            else:
                assert fails_in > 10
                break
            first = next(rt.blocks()).number
            assert first == (8 if fails_in else 0)
            if fails_in % 5 < 2:
                await advanced(rt, 11)
                assert (await rt.prune(4)).first == 8
                assert stored(cut_off) == reachable(cut_off)
        await is_whole_and_goes_on(cut_off, 8 if fails_in % 5 < 2 else first)


@pytest.mark.parametrize("cancelled", [False, True])
async def test_blocks_that_fail_or_are_cancelled_while_keep_prunes_lose_nothing(
    cancelled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_small_steps(monkeypatch, 20, 200)
    expected = await undisturbed(60)
    store = Open()
    async with Runtime(Notes, store, MANY, keep=2) as rt:
        failed = 0
        while rt.head.number < 60:
            n = rt.head.number + 1
            if cancelled:
                task = asyncio.ensure_future(rt.advance({"n": n}))
                for _ in range(n % 7):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
                failed += task.cancelled()
            else:
                store.fails_in = n % 3
                with suppress(StoreError):
                    await advanced(rt, n)
                failed += store.fails_in is None
                store.fails_in = None
            assert reachable(store) <= stored(store)
            if rt.head.number < n:
                await advanced(rt, n)
            assert rt.head == expected[n]
        assert failed > 10
        assert rt._history.first > 40
        assert len(stored(store)) < 3 * len(reachable(store))
        assert list(rt.blocks()) == expected[rt._history.first :]


# --- at the same time ----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("keep", [None, 1, 4])
async def test_blocks_are_made_and_reverted_while_it_is_pruned_and_pruned_again(keep: int | None) -> None:
    expected = await undisturbed(40)
    store = await made(10)
    results: dict[int, Any] = {}
    async with Runtime(Notes, store, MANY, keep=keep) as rt:

        async def prune(count: int) -> None:
            results[count] = await rt.prune(count)

        async with anyio.create_task_group() as group:
            # The one that keeps more is begun first: what the second drops the first one still has to mark.
            group.start_soon(prune, 9)
            group.start_soon(prune, 1)
            group.start_soon(prune, 2)
            for n in range(11, 41):
                await advanced(rt, n)
                assert rt.head == expected[n]
                if n % 5 == 0:
                    await rt.revert(n - 1)
                    assert await rt.advance({"n": n}) == expected[n]
        assert results.keys() == {1, 2, 9}
        assert all(pruned.first > 1 for pruned in results.values())
        assert reachable(store) <= stored(store)
        assert await rt.verify() == 40 - rt._history.first
        await rt.prune(1)
        assert stored(store) == reachable(store)


@pytest.mark.usefixtures("small_steps")
async def test_a_runtime_that_is_closed_while_it_is_pruned_says_so_and_loses_nothing() -> None:
    store = await made(10)
    rt = Runtime(Notes, store, MANY)
    await rt.__aenter__()
    tasks = [asyncio.ensure_future(rt.prune(keep)) for keep in (3, 2)]
    for _ in range(8):
        await asyncio.sleep(0)
    await rt.__aexit__(None, None, None)
    for task in tasks:
        with pytest.raises(InputError, match="not open"):
            await task
    await is_whole_and_goes_on(store, 8)


async def test_one_who_only_reads_is_told_that_a_block_was_pruned_meanwhile_and_not_of_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    await made(10, SqliteStore(path))
    reader = SqliteStore(path, writer=False)
    history = History(reader)
    old, kept = history.find(3), history.find(9)
    view = history.state(3)
    async with Runtime(Notes, path) as rt:
        await rt.prune(3)
        await advanced(rt, 11)
    with pytest.raises(BlockUnknown, match="block 3 was pruned: the chain is kept from block 8 on"):
        history.find(3)
    with pytest.raises(BlockUnknown, match="those before block 8 were pruned"):
        history.find(old.hash)
    with pytest.raises(StoreDamaged, match="or its block was pruned while somebody looked at it"):
        list(view.entries())
    assert history.find(9) == kept
    assert history.head.number == 10
    reader.close()


async def test_a_block_that_is_dropped_between_two_looks_at_the_store_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    await made(10, SqliteStore(path))

    class Slow(SqliteStore):
        """The store is pruned between a look at the chain and one at the block."""

        def block(self, digest: bytes) -> bytes | None:
            if between:
                writer = SqliteStore(path)
                list(runtime.prune.prune(History(writer), between.pop()))
                writer.close()
            return super().block(digest)

    between: list[int] = []
    reader = Slow(path, writer=False)
    history = History(reader)
    between.append(3)
    with pytest.raises(BlockUnknown, match="block 3 was pruned: the chain is kept from block 8 on"):
        history.find(3)
    assert history.find(8).number == 8
    reader.close()


# --- what is below the first kept block ----------------------------------------------------------------------------


async def test_what_was_pruned_is_named_with_where_the_chain_begins_now() -> None:
    async with Runtime(Notes, genesis=MANY) as rt:
        await advanced(rt, *range(1, 11))
        old = rt.block(5)
        view, changes = rt.state(5), rt.changes(4, 9)
        await rt.prune(3)
        told = "block 5 was pruned: the chain is kept from block 8 on"
        for ask in (rt.block, rt.state, lambda which: rt.changes(which, 9), lambda which: rt.changes(9, which)):
            for which in (5, "5"):
                with pytest.raises(BlockUnknown, match=told):
                    ask(which)
            for which in (old, old.hash, old.hash.hex(), old.hash.hex()[:12]):
                with pytest.raises(BlockUnknown, match="those before block 8 were pruned"):
                    ask(which)
        head = rt.head
        with pytest.raises(BlockUnknown, match=told):
            await rt.revert(5)
        with pytest.raises(BlockUnknown, match="those before block 8 were pruned"):
            await rt.revert(old)
        assert rt.head is head
        with pytest.raises(StoreDamaged, match="was its block pruned while somebody looked at it"):
            list(view.heap.items())
        with pytest.raises(StoreDamaged, match="pruned"):
            list(changes)
        for number in (11, -1):
            with pytest.raises(BlockUnknown, match="which goes from 8 to 10"):
                rt.block(number)
        assert [block.number for block in rt.blocks()] == [8, 9, 10]
        await advanced(rt, 11)


async def test_verification_begins_behind_the_first_kept_block() -> None:
    async with Runtime(Notes, genesis=MANY) as rt:
        await advanced(rt, *range(1, 11))
        await rt.prune(4)
        seen: list[int] = []
        assert await rt.verify(progress=lambda block: seen.append(block.number)) == 3
        assert seen == [8, 9, 10]
        assert await rt.verify(9) == 2
        assert await rt.verify(last=8) == 1
        for ask in (rt.verify(7), rt.verify(3, 9), rt.verify(last=7), rt.verify(last=2)):
            with pytest.raises(BlockUnknown, match=r"state before it was pruned.*from block 7 on.*can be is 8"):
                await ask
        await rt.prune(1)
        assert await rt.verify() == 0


async def test_the_genesis_is_checked_when_it_was_pruned(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    await made(10, SqliteStore(path))
    async with Runtime(Notes, path, MANY) as rt:
        await rt.prune(1)
    other = {**MANY, ("many", 3): 4}
    with pytest.raises(StoreMismatch, match="another genesis"):
        async with Runtime(Notes, path, other):
            pass
    for genesis in (MANY, None, lambda: other):
        async with Runtime(Notes, path, genesis) as rt:
            await advanced(rt, rt.head.number + 1)
    with pytest.raises(StoreMismatch, match="root program"):
        async with Runtime(Nothing, path):
            pass


async def test_a_branch_is_kept_where_its_numbers_are_and_can_be_gone_on_with_when_its_fork_was_pruned() -> None:
    async with Runtime(Notes, genesis=MANY) as other:
        await advanced(other, 1, 2, 3, 24, 25, 26, 27, 28)
        expected, heap = list(other.blocks()), list(other.state().heap.items())
    store = Open()
    async with Runtime(Notes, store, MANY) as rt:
        await advanced(rt, 1, 2, 3, 24, 25, 26)
        beside = list(rt.blocks())[4:]
        await rt.revert(3)
        await advanced(rt, 4, 5, 6, 7)
        chain = list(rt.blocks())
        assert (await rt.prune(3)).blocks == 5 + 1
        assert list(rt.blocks(branches=True)) == [beside[1], chain[5], beside[2], chain[6], chain[7]]
        assert stored(store) == reachable(store)
        with pytest.raises(BlockUnknown):
            await rt.revert(beside[0])
        # The block at which it left the chain is not kept any more.
        await rt.revert(beside[2])
        assert list(rt.blocks()) == beside[1:]
        assert rt.block(5) == beside[1]
        await advanced(rt, 27, 28)
        assert list(rt.blocks()) == expected[5:]
        assert await rt.verify() == 3
        await rt.revert(chain[7])
        assert list(rt.blocks()) == chain[5:]
        await rt.revert(expected[8])
        assert (await rt.prune(2)).first == 7
        assert list(rt.blocks(branches=True)) == [chain[7], *expected[7:]]
        assert stored(store) == reachable(store)
        await rt.revert(chain[7])
        assert [block.number for block in rt.blocks()] == [7]
        await rt.revert(expected[8])
        assert (await rt.prune(1)).blocks == 2
        assert stored(store) == reachable(store)
        assert list(rt.state().heap.items()) == heap


async def test_a_revert_below_what_would_be_dropped_drops_nothing() -> None:
    async with Runtime(Notes, genesis=MANY) as rt:
        await advanced(rt, *range(1, 11))
        await rt.prune(6)
        await rt.revert(6)
        assert (await rt.prune(2)).blocks == 0
        assert [block.number for block in rt.blocks(branches=True)] == [5, 6, 7, 8, 9, 10]


@pytest.mark.parametrize("keep", [0, -1, True, 1.0, "3", None])
async def test_keep_is_a_number_of_blocks(keep: Any) -> None:
    async with Runtime(Notes) as rt:
        with pytest.raises(InputError, match=r"keep is .*1 at least"):
            await rt.prune(keep)
        assert [block.number for block in rt.blocks()] == [0]
    if keep is not None:
        with pytest.raises(InputError, match=r"keep is .*1 at least"):
            Runtime(Notes, keep=keep)


async def test_what_is_closed_is_not_pruned() -> None:
    with pytest.raises(InputError, match="not open"):
        await Runtime(Notes).prune(1)


# --- room ----------------------------------------------------------------------------------------------------------


def pages(store: SqliteStore) -> int:
    return int(store._rows("PRAGMA page_count")[0][0])


@pytest.mark.parametrize("keep", [pytest.param(1, marks=pytest.mark.long), 20])
async def test_a_file_stops_growing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: int) -> None:
    """The numbers are counted in pages, and nothing here depends on time: the same run has the same ones."""
    monkeypatch.setattr(runtime.prune, "_DUE_MIN", 500)
    store = SqliteStore(tmp_path / "a.db")
    sizes, lives = [], []
    async with Runtime(Notes, store, MANY, keep=keep) as rt:
        for n in range(1, 601):
            await advanced(rt, n)
            sizes.append(pages(store))
            if n % 50 == 0:
                lives.append(sum(len(store.read_node(number)) for number in reachable(store)) // 4096 + 1)
        assert rt._history.first > 500
    assert max(sizes[300:]) <= max(sizes[:300]) * 1.1, "it goes on growing"
    assert max(sizes) <= 6 * max(lives), (max(sizes), lives)
    # Without pruning it has many times as many, and goes on.
    await made(600, SqliteStore(tmp_path / "b.db"))
    all_of_it = SqliteStore(tmp_path / "b.db")
    assert pages(all_of_it) > 4 * max(sizes)
    all_of_it.close()


async def test_room_that_was_made_by_hand_is_used_again(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "a.db")
    sizes = []
    async with Runtime(Notes, store, MANY) as rt:
        for n in range(1, 101):
            await advanced(rt, n)
            if n % 10 == 0:
                sizes.append(pages(store))
                await rt.prune(2)
                assert stored(store) == reachable(store)
    assert max(sizes[2:]) <= sizes[1] * 1.1


async def test_a_cycle_is_not_begun_for_nothing() -> None:
    class Counted(Open):
        read = 0

        def read_node(self, number: int) -> bytes:
            self.read += 1
            return super().read_node(number)

    store = Counted()
    async with Runtime(Notes, store, MANY, keep=1) as rt:
        await advanced(rt, *range(1, 60))
        assert rt._history.first > 30
        assert store.meta("pruned") is None
        assert store.read < 60 * 100


# --- damage --------------------------------------------------------------------------------------------------------


def readable(store: Any) -> dict[tuple[bytes, bytes], bytes]:
    """Return what can be read of the entries of the last two blocks."""
    found = {}
    history = History(store)
    for number, digest in store.hashes():
        state = history.state(digest)
        for key in keys_of[digest] if number >= 4 else ():
            with suppress(StoreDamaged):
                value = state.get(key)
                assert value is not None
                found[digest, key] = value
    return found


keys_of: dict[bytes, list[bytes]] = {}


class Few(Root):
    """A small heap, so that all ways to damage it can be tried."""

    async def run(self) -> None:
        n = self.heap["block"]
        for i in range(8):
            self.heap["r", (n * 5 + i) % 60] = f"{n} " * (150 if i == 0 else 1)
        self.heap["copy"] = self.heap.region("r", 10, 50)
        self.heap["r"] = f"{n} " * 200


async def few() -> Open:
    store = Open()
    async with Runtime(Few, store, {("r", i): i for i in range(60)}) as rt:
        for n in range(1, 6):
            await rt.advance(n)
        for block in rt.blocks():
            keys_of[block.hash] = [key for key, _ in History(store).state(block).entries()]
    return store


async def test_a_node_that_is_missing_stops_the_pruning_before_anything_is_deleted() -> None:
    store = await few()
    needed = {number for number in reachable(store) if not number & 1}
    kept = store.copy()
    list(runtime.prune.prune(History(kept), 2))
    needed &= stored(kept)
    assert len(needed) > 5
    for number in needed:
        damaged = store.copy()
        del damaged._nodes[number]
        history = History(damaged)
        before = stored(damaged)
        with pytest.raises(StoreDamaged, match=f"no node {number}"):
            list(runtime.prune.prune(history, 2))
        assert stored(damaged) == before
        # Nor does it go on behind that when it is asked to.
        pruner = Pruner(history)
        for _ in range(3):
            with pytest.raises(StoreDamaged, match=f"no node {number}"):
                while not pruner.done:
                    pruner.step()
        assert stored(damaged) == before
        async with Runtime(Few, damaged) as rt:
            with pytest.raises(StoreDamaged, match=f"no node {number}"):
                await rt.prune(2)
        assert stored(damaged) == before


@pytest.mark.parametrize("share", [29, pytest.param(2, marks=pytest.mark.long)])
async def test_a_damaged_node_costs_nothing_that_could_still_be_read(share: int) -> None:
    store = await few()
    whole_one = store.copy()
    list(runtime.prune.prune(History(whole_one), 2))
    told, lost, whole = 0, 0, len(readable(store))
    for number in sorted(stored(whole_one)):
        record = store._nodes[number]
        for at in range(number % share, len(record), share):
            damaged = store.copy()
            damaged._nodes[number] = record[:at] + bytes((record[at] ^ 1 << at % 8,)) + record[at + 1 :]
            before = readable(damaged)
            lost += len(before) < whole
            try:
                list(runtime.prune.prune(History(damaged), 2))
            except StoreDamaged:
                told += 1
                assert stored(damaged) == stored(store)
            assert readable(damaged) == before
    assert told > 5
    assert lost > 5


@pytest.mark.usefixtures("small_steps")
async def test_damage_that_keep_meets_is_told_by_advance_and_nothing_is_deleted_behind_it() -> None:
    store = Open()
    async with Runtime(Notes, store, MANY, keep=2) as rt:
        await advanced(rt, 1)
        # A branch of the part that does not change is not read by the blocks.
        state = History(store).state(1)
        lost = next(number for number in sorted(reachable(store)) if not number & 1 and number != state.node.number)
        await advanced(rt, 2)
        record = store._nodes.pop(lost)
        told = 0
        for _ in range(40):
            before = stored(store)
            n = rt.head.number + 1
            try:
                await advanced(rt, n)
            except StoreDamaged as error:
                assert f"no node {lost}" in str(error)
                told += 1
                assert stored(store) == before
            if lost not in reachable_but(store, lost):
                break
        store._nodes[lost] = record
        assert told
        await advanced(rt, rt.head.number + 1)
        assert reachable(store) <= stored(store)


def reachable_but(store: Any, lost: int) -> set[int]:
    try:
        return reachable(store)
    except StoreDamaged:
        return {lost}


# --- the parts -----------------------------------------------------------------------------------------------------


def test_a_set_of_numbers_has_those_that_were_put_in() -> None:
    numbers = NumberSet()
    put = {0, 1, 7, 8, 9, 4095, 4096, 4097, 10**6, 2**47}
    for number in put:
        numbers.add(number)
        numbers.add(number)
    assert all(number in numbers for number in put)
    around = {number + by for number in put for by in (-9, -8, -1, 1, 8, 9)} - put
    assert not any(number in numbers for number in around if number >= 0)


@pytest.mark.parametrize("marks", [1, 7, 10_000])
@pytest.mark.parametrize("swept", [1, 7, 10_000])
async def test_a_cycle_does_the_same_in_steps_of_any_size(
    marks: int, swept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_small_steps(monkeypatch, marks, swept)
    store = await made(6)
    history = History(store)
    done = list(runtime.prune.prune(history, 2))
    assert stored(store) == reachable(store)
    assert done[-1].first == 5
    assert [one.nodes for one in done] == sorted(one.nodes for one in done)
    assert not runtime.prune.due(store) or store.next_number() == 1
