"""Random programs between random prunings, beside a machine that never prunes, and the model.

The programs fork, mount and drop regions of thousands of entries, and hold views of them in local variables over blocks.
Behind every step, what was made is kept from the first kept block on, and every node of every kept block is there; behind
a whole pruning, what is stored is what is reachable, no more, no less. What this finds is said one by one in
test_prune.py.
"""

from __future__ import annotations

import asyncio
import copy
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import programs
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from model import Model, Proc, cut, mount, region_of, whole
from programs import FORKED, MOUNTED, NAMES, PLACES, Author, Interpreter, Pick, Top, inputs_of, some
from pruning import Faulty, Open, filling, in_small_steps
from reachable import reachable, stored
from test_model import shown

import runtime.prune
from actors import BlockFailed, BlockUnknown, StoreError
from runtime import Runtime
from runtime.history import History

_DIRECTORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None

# --- random programs that hoard ------------------------------------------------------------------------------------

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
            keeping = self.rt._keeping
            idle = keeping._pruner is None and keeping._swept is None
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
        self.note_first()

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
TestPruning.settings = settings(max_examples=6, stateful_step_count=15, **_ANY)


class LongPruning(Pruning):
    """The same, for longer."""


TestLongPruning = pytest.mark.long(LongPruning.TestCase)
TestLongPruning.settings = settings(max_examples=120, stateful_step_count=30, **_ANY)
