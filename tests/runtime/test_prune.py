"""Pruning: what is dropped, what stays, and that what is stored is what is reachable, whatever happens meanwhile.

A random machine (below) prunes in every way, between random programs that fork, mount and drop regions of thousands of
entries and hold views of them in local variables over blocks; beside it runs the same on a machine that never prunes,
and on the model. What it finds is said one by one behind it. What a kill or a failing disk does to a pruning is in
test_crash.py, the command in test_cli_pruning.py.
"""

from __future__ import annotations

import asyncio
import copy
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import programs
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from model import Heap, Model, Proc, cut, mount, region_of, whole
from programs import FORKED, MOUNTED, NAMES, PLACES, Author, Interpreter, Pick, Top, inputs_of, some
from reachable import reachable, stored
from test_model import shown

import runtime
import runtime.machine
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
from runtime import MemoryStore, Runtime, SqliteStore
from runtime.history import History
from runtime.prune import NumberSet, Pruner

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.store import Commit

_DIRECTORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def in_small_steps(patch: Any, marks: int = 5, swept: int = 20) -> None:
    """Let a cycle be begun often, and take many blocks."""
    patch.setattr(runtime.machine, "_SLACK_MIN", 1)
    patch.setattr(runtime.prune, "_DUE_MIN", 1)
    patch.setattr(runtime.prune, "_DUE_SHARE", 0.2)
    patch.setattr(runtime.prune, "_MARKS_PER_STEP", marks)
    patch.setattr(runtime.prune, "_SWEPT_PER_STEP", swept)
    patch.setattr(runtime.prune, "_SWEPT_SHARE", 1)


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    in_small_steps(monkeypatch)


class Failing:
    """A store, mixed in, whose commits fail when they are told to."""

    #: How many commits are still made before one fails; None: all are.
    fails_in: int | None = None

    def commit(self, commit: Commit) -> None:
        if self.fails_in is not None:
            self.fails_in -= 1
            if self.fails_in < 0:
                self.fails_in = None
                raise StoreError("the disk is gone")
        super().commit(commit)  # type: ignore[misc]


class Open(Failing, MemoryStore):
    """A store in memory that a Runtime can be opened on again."""

    def copy(self) -> Open:
        """Return another store of the same content."""
        other = Open()
        for name in ("_nodes", "_blocks", "_chain", "_meta"):
            setattr(other, name, dict(getattr(self, name)))
        other._head, other._next = self._head, self._next
        return other

    def close(self) -> None:
        """Stay open."""


class Faulty(Failing, SqliteStore):
    """A store on disk."""


# --- random programs that hoard ------------------------------------------------------------------------------------


def filling(prefix: Any, count: int, step: int, seed: int) -> Heap:
    """Return many entries, some with long values, for a heap."""
    made: Heap = {}
    for i in range(count):
        made[(*whole(prefix), i * step)] = f"{seed}.{i} " * (150 if (i + seed) % 19 == 0 else 1)
    return made


#: Large enough for branches below branches, from the first block on.
GENESIS = {**filling("r", 1100, 1, 0), **filling("q", 70, 7, 1)}


class Hoarder(Interpreter):
    """Fills regions, holds views of them in a local variable, also over blocks, and mounts those somewhere later."""

    async def run(self) -> Any:
        self.held: dict[Any, Any] = {}
        return await super().run()

    async def do_fill(self, prefix: Any, count: int, step: int, seed: int) -> None:
        self.heap.update(filling(prefix, count, step, seed))

    async def do_hold(self, slot: Any, region: Any) -> None:
        self.held[slot] = self.heap.region(region_of(region))

    async def do_grab(self, slot: Any, name: Any, region: Any) -> None:
        self.held[slot] = await self.get(name, region_of(region))

    async def do_give(self, slot: Any, name: Any, key: Any) -> None:
        if slot in self.held:
            await self.put(name, {key: self.held[slot]})

    async def do_mount(self, slot: Any, key: Any) -> None:
        if slot in self.held:
            self.heap[key] = self.held[slot]


class HoarderTop(Hoarder, Top):
    """The root of such processes."""


programs.PROGRAMS["Hoarder"] = Hoarder


class HoarderModel(Model):
    """The contract for them."""

    def __init__(self) -> None:
        super().__init__(GENESIS)
        self.root.program = "HoarderTop"

    def advance(self, inputs: Any) -> str | None:
        if not self.root.middle:
            self.root.held = {}  # type: ignore[attr-defined]
        return super().advance(inputs)

    def _start_child(self, child: Proc, path: tuple[Any, ...]) -> None:
        if not child.middle:
            child.held = {}  # type: ignore[attr-defined]
        super()._start_child(child, path)
        if child.trap == "FAILED":
            child.held = copy.deepcopy(child.start.held)  # type: ignore[attr-defined, union-attr]

    def _fill(self, proc: Any, path: Any, prefix: Any, count: int, step: int, seed: int) -> None:
        proc.heap.update(filling(prefix, count, step, seed))

    def _hold(self, proc: Any, path: Any, slot: Any, region: Any) -> None:
        proc.held[slot] = cut(proc.heap, region)

    def _grab(self, proc: Any, path: Any, slot: Any, name: Any, region: Any) -> None:
        proc.held[slot] = cut(self._good_child(proc, path, name).heap, region)

    def _give(self, proc: Any, path: Any, slot: Any, name: Any, key: Any) -> None:
        if slot in proc.held:
            child = proc.children.setdefault(name, Proc())
            child.pending = False
            mount(child.heap, whole(key), proc.held[slot])

    def _mount(self, proc: Any, path: Any, slot: Any, key: Any) -> None:
        if slot in proc.held:
            mount(proc.heap, whole(key), proc.held[slot])


class HoarderAuthor(Author):
    """Writes them."""

    def instruction(self) -> Any:
        pick = self.pick
        kind = pick(("fill", "other", "other", "hold", "give", "mount", "mount", "clear", "stop", "stop"))
        if kind == "fill":
            return "fill", pick(("r", "q", ("r", 1))), pick((30, 3, 70, 70, 1100)), pick((1, 7)), pick(range(5))
        if kind == "hold":
            if self.started and pick((False, True)):
                return "try", (("grab", pick((0, 1)), pick(self.started), pick(MOUNTED)),)
            return "hold", pick((0, 1)), pick(MOUNTED)
        if kind == "give":
            return "give", pick((0, 1)), pick(NAMES), pick(PLACES)
        if kind == "mount":
            return "mount", pick((0, 1)), pick(PLACES)
        if kind == "clear":
            return "clear", pick(MOUNTED)
        return self.stop() if kind == "stop" else super().instruction()

    def spawn(self) -> Any:
        pick = self.pick
        name = pick(NAMES)
        if name not in self.started:
            self.started.append(name)
        code = HoarderAuthor(pick, self.depth - 1).code()
        values = (("code", ("value", code)), ("r", ("region", pick(MOUNTED))), *self.values())
        put = ("put", name, values, "Hoarder", self.deleted(), True, None)
        return put if pick((True, True, False)) else ("try", (("fork", name, pick(FORKED)), put))


def renamed(code: Any) -> Any:
    """Return a program in which all processes hoard."""
    if isinstance(code, tuple):
        return tuple(map(renamed, code))
    return "Hoarder" if code in ("Interpreter", "Twice") and isinstance(code, str) else code


def hoarding(pick: Pick) -> Any:
    """Return a block's inputs."""
    author = HoarderAuthor(pick, 2, root=True)
    # As if these were there already, as they mostly are behind the first blocks.
    author.started = list(some(pick, 2, lambda: pick(NAMES)))
    return inputs_of(("map", pick((1, 2)), renamed(author.code())))


# --- the machine ---------------------------------------------------------------------------------------------------


class Pruning(RuleBasedStateMachine):
    """Advances, reverts, reopens and prunes; beside it a twin that does all but prune, and the model."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.patch = pytest.MonkeyPatch()
        self.directory = Path(tempfile.mkdtemp(dir=_DIRECTORY))
        self.memory: Open | None = None
        self.keep: int | None = None
        #: Behind each block: the model. And the number of the first that is kept.
        self.models: dict[bytes, HoarderModel] = {}
        self.first = 0

    def do(self, awaitable: Any) -> Any:
        return self.runner.run(awaitable)

    @initialize(
        memory=st.booleans(),
        keep=st.sampled_from([None, 1, 2, 5]),
        marks=st.sampled_from([1, 10, 300]),
        swept=st.sampled_from([1, 30, 3000]),
    )
    def begin(self, memory: bool, keep: int | None, marks: int, swept: int) -> None:
        in_small_steps(self.patch, marks, swept)
        self.memory = Open() if memory else None
        self.keep = keep
        self.twin = Runtime(HoarderTop, genesis=GENESIS)
        self.do(self.twin.__aenter__())
        self.open()
        self.models[self.rt.head.hash] = HoarderModel()

    def store(self) -> Any:
        return self.memory or Faulty(self.directory / "a.db")

    def open(self) -> None:
        self.at = self.store()
        self.rt = Runtime(HoarderTop, self.at, GENESIS, keep=self.keep)
        self.do(self.rt.__aenter__())

    def teardown(self) -> None:
        try:
            if hasattr(self, "rt"):
                self.prune(1)
                for digest in [block.hash for block in self.rt.blocks(branches=True)]:
                    self.is_what_the_model_says(digest)
                self.do(self.rt.verify())
                for rt in (self.rt, self.twin):
                    self.do(rt.__aexit__(None, None, None))
        finally:
            self.runner.close()
            self.patch.undo()
            shutil.rmtree(self.directory)

    @rule(data=st.data())
    def advance(self, data: st.DataObject) -> None:
        self.make(hoarding(lambda options: data.draw(st.sampled_from(options))))

    @rule(data=st.data(), count=st.integers(2, 4))
    def advance_further(self, data: st.DataObject, count: int) -> None:
        for _ in range(count):
            self.advance(data)

    @rule(data=st.data(), count=st.integers(1, 6))
    def advance_by_small_changes(self, data: st.DataObject, count: int) -> None:
        """So that nodes are stored as patches of others."""
        for _ in range(count):
            keys = data.draw(st.lists(st.integers(0, 1100), min_size=1, max_size=4))
            code = [("write", ("r", key), data.draw(st.sampled_from((0, "text", "long " * 80)))) for key in keys]
            self.make({"code": (*code, ("snapshot", None, None)), "n": 1})

    def make(self, inputs: Any) -> None:
        before = self.rt.head.hash
        assert self.twin.head.hash == before
        model = copy.deepcopy(self.models[before])
        failed = model.advance(inputs)
        if failed is not None:
            for rt in (self.rt, self.twin):
                with pytest.raises(BlockFailed) as caught:
                    self.do(rt.advance(inputs))
                assert caught.value.error == failed
        else:
            block = self.do(self.twin.advance(inputs))
            idle = self.rt._pruner is None and self.rt._swept is None
            assert self.do(self.rt.advance(inputs)) == block
            self.models[block.hash] = model
            assert shown(self.rt.state()) == model.root.shown()
            if self.keep is not None and idle:
                assert block.number - self.rt._history.first <= self.keep + 1, "more are kept than keep says, and slack"
        self.note_first()

    def note_first(self) -> None:
        """Blocks that `keep` allows to be dropped may have been."""
        first = self.rt._history.first
        if first != self.first:
            assert self.keep is not None
            assert self.first < first <= self.rt.head.number - self.keep + 1
        self.first = first

    @rule(data=st.data(), fails_in=st.integers(0, 2))
    def advance_while_the_disk_fails(self, data: st.DataObject, fails_in: int) -> None:
        inputs = hoarding(lambda options: data.draw(st.sampled_from(options)))
        before = self.rt.head
        if copy.deepcopy(self.models[before.hash]).advance(inputs) is None:
            self.at.fails_in = fails_in
            with suppress(StoreError):
                self.do(self.rt.advance(inputs))
            self.at.fails_in = None
            self.note_first()
            if self.rt.head is not before:
                self.do(self.rt.revert(before))
        self.make(inputs)

    @precondition(lambda self: len(self.models) > 1)
    @rule(data=st.data())
    def revert(self, data: st.DataObject) -> None:
        kept = [block.hash for block in self.rt.blocks(branches=True)]
        target = data.draw(st.sampled_from(kept))
        for rt in (self.rt, self.twin):
            assert self.do(rt.revert(target)).hash == target

    @rule()
    def make_the_same_block_again(self) -> None:
        head = self.rt.head
        if head.number > self.first:
            for rt in (self.rt, self.twin):
                self.do(rt.revert(head.parent))
                assert self.do(rt.advance(head.inputs)) == head

    @rule(data=st.data())
    def look_for_a_dropped_block(self, data: st.DataObject) -> None:
        dropped = [block for block in self.twin.blocks(branches=True) if block.number < self.first]
        if dropped:
            block = data.draw(st.sampled_from(dropped))
            with pytest.raises(BlockUnknown, match=f"before block {self.first} were pruned"):
                self.do(self.rt.revert(block))
            with pytest.raises(BlockUnknown, match=f"block {block.number} was pruned.*from block {self.first} on"):
                self.rt.state(block.number)

    @rule()
    def reopen(self) -> None:
        self.do(self.rt.__aexit__(None, None, None))
        self.open()

    @rule(keep=st.integers(1, 4))
    def prune(self, keep: int) -> None:
        """Behind it is stored what is reachable, no more, no less."""
        had = list(self.rt.blocks(branches=True))
        before = stored(self.at)
        pruned = self.do(self.rt.prune(keep))
        self.first = max(self.first, self.rt.head.number - keep + 1)
        assert pruned.first == self.first
        assert pruned.blocks == sum(block.number < self.first for block in had)
        after = stored(self.at)
        assert after == reachable(self.at)
        assert after <= before
        assert len(before) - len(after) == pruned.nodes

    @rule(keep=st.integers(1, 4), steps=st.integers(0, 12))
    def prune_in_part_and_let_it_lie(self, keep: int, steps: int) -> None:
        self.do(self.rt.__aexit__(None, None, None))
        store = self.store()
        history = History(store)
        for _ in zip(range(steps), runtime.prune.prune(history, keep), strict=False):
            pass
        self.first = history.first
        store.close()
        self.open()
        assert self.rt._history.first == self.first

    @rule(keep=st.integers(1, 4), fails_in=st.integers(0, 3))
    def prune_while_the_disk_fails(self, keep: int, fails_in: int) -> None:
        self.at.fails_in = fails_in
        with suppress(StoreError):
            self.do(self.rt.prune(keep))
        self.at.fails_in = None
        self.first = self.rt._history.first

    @rule(keep=st.integers(1, 4), turns=st.integers(1, 30))
    def prune_and_be_cancelled(self, keep: int, turns: int) -> None:
        async def main() -> None:
            task = asyncio.ensure_future(self.rt.prune(keep))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])

        self.do(main())
        self.first = self.rt._history.first

    @rule(data=st.data(), keeps=st.lists(st.integers(1, 6), min_size=1, max_size=2))
    def advance_while_it_is_pruned(self, data: st.DataObject, keeps: list[int]) -> None:
        pick = lambda options: data.draw(st.sampled_from(options))  # noqa: E731
        blocks = [hoarding(pick) for _ in range(data.draw(st.integers(1, 3)))]

        async def main() -> None:
            async with anyio.create_task_group() as group:
                for keep in keeps:
                    group.start_soon(self.rt.prune, keep)
                for inputs in blocks:
                    with suppress(BlockFailed):
                        await self.rt.advance(inputs)

        self.do(main())
        for inputs in blocks:
            model = copy.deepcopy(self.models[self.twin.head.hash])
            with suppress(BlockFailed):
                self.models[self.do(self.twin.advance(inputs)).hash] = model
            model.advance(inputs)
        self.first = self.rt._history.first

    @rule(data=st.data())
    def look_at_a_block(self, data: st.DataObject) -> None:
        self.is_what_the_model_says(data.draw(st.sampled_from([block.hash for block in self.rt.blocks()])))

    def is_what_the_model_says(self, digest: bytes) -> None:
        view = self.rt.state(digest)
        assert shown(view) == self.models[digest].root.shown()
        assert view.digest() == self.twin.block(digest).state_root

    @invariant()
    def what_was_made_is_kept_from_the_first_on_and_nothing_else(self) -> None:
        if not self.models:
            return
        assert self.rt.head == self.twin.head
        kept = [block for block in self.twin.blocks(branches=True) if block.number >= self.first]
        assert list(self.rt.blocks(branches=True)) == kept
        chain = list(self.twin.blocks())
        assert list(self.rt.blocks()) == chain[self.first :]

    @invariant()
    def every_kept_block_is_whole(self) -> None:
        if self.models:
            assert reachable(self.at) <= stored(self.at)


_ANY = {"deadline": None, "suppress_health_check": list(HealthCheck)}
TestPruning = Pruning.TestCase
TestPruning.settings = settings(max_examples=15, stateful_step_count=15, **_ANY)


class LongPruning(Pruning):
    """The same, for longer."""


TestLongPruning = pytest.mark.long(LongPruning.TestCase)
TestLongPruning.settings = settings(max_examples=120, stateful_step_count=30, **_ANY)


# --- what it finds, said one by one --------------------------------------------------------------------------------


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


def content(store: Any, block: runtime.Block) -> bytes:
    """Read everything in a block's state; return what it is, for comparisons."""
    state = History(store).state(block)
    return repr([(key, value.load() if hasattr(value, "load") else value) for key, value in state.entries()]).encode()


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
    "an absent key is popped beside every key": lambda heap: [heap.pop(("r", i + 0.5), None) for i in ()],
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
        roots = {block.data: rt.state(block).heap._tree().extract(b"").digest() for block in rt.blocks()}
        assert len(roots) == 1
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


@pytest.mark.parametrize("keep", [1, 20])
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
