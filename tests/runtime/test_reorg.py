"""Branches: random trees of blocks, made by advancing, reverting to any kept block, and reopening the store.

A model keeps, for every block, the chain of inputs that leads to it. What the runtime says of any block is held against
that: the block is what an undisturbed run of its inputs makes, hash for hash; its state is what a plain computation of
its inputs gives; and its state root is the digest of the entries of that state, put into an empty tree.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import runtime
from actors import BlockFailed, BlockUnknown, Process, Root
from actors.cells import from_cell
from actors.tree import EMPTY

_DIRECTORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class Shard(Process):
    """Counts what it is given; stands in the middle after every other of its starts."""

    async def run(self) -> None:
        self.add()
        await self.ret()
        self.add()

    def add(self) -> None:
        self.heap["sum"] = self.heap.get("sum", 0) + self.heap["given"]


class Ledger(Root):
    """Keeps entries, and gives each input to a shard; waits for the shard of the block before."""

    async def run(self) -> Any:
        n = self.heap["block", "n"]
        for k in range(n % 3):
            self.heap["entries", n, k] = n * "x"
        if n % 4 == 3:
            self.heap.clear("entries")
        if n == 13:
            raise ValueError("unlucky")
        await self.put(n % 2, {"given": n}, program=Shard if n % 5 == 0 else None)
        if (await self.status(n % 2)).kind.name != "NEW" or n % 5 == 0:
            await self.put(n % 2, start=True)
        if n % 7 == 6:
            await self.snapshot(-n, region=("in", n % 2))
            self.heap["resumed"] = self.heap["in", n % 2, "n"]
        self.heap["blocks"] = self.heap.get("blocks", 0) + 1
        return n


def plainly(inputs: tuple[int, ...]) -> dict[Any, Any]:
    """Return the root's heap as a plain computation gives it."""
    heap: dict[Any, Any] = {}
    region: tuple[Any, ...] | None = None
    for n in inputs:
        if region is not None:
            heap[(*region, "n")] = n
            heap["resumed"] = n
            heap["blocks"] = heap.get("blocks", 0) + 1
            region = None
            continue
        heap["block", "n"] = n
        for k in range(n % 3):
            heap["entries", n, k] = n * "x"
        if n % 4 == 3:
            heap = {key: value for key, value in heap.items() if not (isinstance(key, tuple) and key[0] == "entries")}
        if n % 7 == 6:
            region = ("in", n % 2)
        else:
            heap["blocks"] = heap.get("blocks", 0) + 1
    return heap


def fails(inputs: tuple[int, ...]) -> bool:
    """Tell whether the last of these inputs fails its block: 13 does, where the root begins at the top."""
    middle = False
    for n in inputs[:-1]:
        middle = not middle and n % 7 == 6
    return inputs[-1] == 13 and not middle


_undisturbed: dict[tuple[int, ...], list[bytes]] = {(): []}


async def undisturbed(inputs: tuple[int, ...]) -> list[bytes]:
    """Return the hashes of the blocks that a run without any revert makes of these inputs."""
    if inputs not in _undisturbed:
        async with runtime.Runtime(Ledger) as rt:
            _undisturbed[inputs] = [(await rt.advance({"n": n})).hash for n in inputs]
    return _undisturbed[inputs]


class Branches(RuleBasedStateMachine):
    """Advances, reverts and reopens; the model is a dict from a block's hash to its inputs since the genesis."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = Path(tempfile.mkdtemp(dir=_DIRECTORY))
        self.rt = runtime.Runtime(Ledger, self.directory / "a.db")
        self.made: dict[bytes, tuple[int, ...]] = {}
        self.at: tuple[int, ...] = ()

    def do(self, awaitable: Any) -> Any:
        return self.runner.run(awaitable)

    @initialize()
    def open(self) -> None:
        self.do(self.rt.__aenter__())
        self.made[self.rt.head.hash] = ()

    def teardown(self) -> None:
        self.do(self.rt.__aexit__(None, None, None))
        self.runner.close()
        shutil.rmtree(self.directory)

    @rule(n=st.integers(0, 20))
    def advance(self, n: int) -> None:
        inputs = (*self.at, n)
        if fails(inputs):
            with pytest.raises(BlockFailed, match="ValueError: unlucky"):
                self.do(self.rt.advance({"n": n}))
            return
        block = self.do(self.rt.advance({"n": n}))
        self.made[block.hash] = self.at = inputs
        assert [one.hash for one in self.rt.blocks()][1:] == self.do(undisturbed(inputs))

    @precondition(lambda self: len(self.made) > 1)
    @rule(data=st.data(), how=st.sampled_from(["block", "hash", "hex", "digits"]))
    def revert(self, data: st.DataObject, how: str) -> None:
        target = data.draw(st.sampled_from(list(self.made)))
        names = {
            "block": self.rt.block(target),
            "hash": target,
            "hex": "0x" + target.hex(),
            "digits": target.hex()[:24],
        }
        assert self.do(self.rt.revert(names[how])).hash == target
        self.at = self.made[target]

    @precondition(lambda self: self.at)
    @rule(data=st.data())
    def revert_by_number(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(0, len(self.at)))
        block = self.do(self.rt.revert(number))
        self.at = self.at[:number]
        assert self.made[block.hash] == self.at

    @rule()
    def reopen(self) -> None:
        self.do(self.rt.__aexit__(None, None, None))
        self.rt = runtime.Runtime(Ledger, self.directory / "a.db")
        self.do(self.rt.__aenter__())

    @precondition(lambda self: self.at)
    @rule()
    def verify(self) -> None:
        assert self.do(self.rt.verify()) == len(self.at)

    @invariant()
    def the_head_is_where_it_was_put(self) -> None:
        if self.made:
            assert self.made[self.rt.head.hash] == self.at
            assert self.rt.head.number == len(self.at)

    @invariant()
    def the_chain_goes_from_the_genesis_to_the_head_and_no_further(self) -> None:
        if not self.made:
            return
        chain = list(self.rt.blocks())
        assert [self.made[block.hash] for block in chain] == [self.at[:n] for n in range(len(self.at) + 1)]
        for number, block in enumerate(chain):
            assert self.rt.block(number) == self.rt.block(str(number)) == block
            assert block.parent == (chain[number - 1].hash if number else b"")
        for number in (-1, len(chain)):
            with pytest.raises(BlockUnknown):
                self.rt.block(number)

    @invariant()
    def every_block_is_kept_once_whatever_branch_it_is_on(self) -> None:
        kept = list(self.rt.blocks(branches=True)) if self.made else []
        assert {block.hash for block in kept} == set(self.made)
        assert len(kept) == len(self.made)
        assert [block.number for block in kept] == sorted(len(inputs) for inputs in self.made.values())

    @invariant()
    def every_kept_state_is_what_its_inputs_give(self) -> None:
        for digest, inputs in self.made.items():
            block = self.rt.block(digest)
            view = self.rt.state(digest)
            assert block.inputs == (None if not inputs else {"n": inputs[-1]})
            assert dict(view.heap.items()) == plainly(inputs)
            assert (
                EMPTY.update((key, from_cell(cell)) for key, cell in view._state.entries()).digest() == block.state_root
            )
            assert view.digest() == block.state_root


TestBranches = Branches.TestCase
TestBranches.settings = settings(
    max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)


class LongBranches(Branches):
    """The same, for longer."""


TestLongBranches = pytest.mark.long(LongBranches.TestCase)
TestLongBranches.settings = settings(
    max_examples=200, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)


# --- what the machine finds, said one by one -------------------------------------------------------------------------


async def test_a_branch_that_was_left_and_is_gone_on_with_gives_what_it_would_have_given(tmp_path: Path) -> None:
    """revert: make an earlier block the head again; a *reorg* is a revert and another branch"""
    async with runtime.Runtime(Ledger, tmp_path / "a.db") as rt:
        for n in (5, 10, 6):
            await rt.advance({"n": n})
        left = rt.head
        await rt.revert(1)
        for n in (0, 15, 2, 3):
            await rt.advance({"n": n})
        other = rt.head
        assert other.number == 5
        await rt.revert(left)
        after = await rt.advance({"n": 4})
        assert [block.hash for block in rt.blocks()][1:] == await undisturbed((5, 10, 6, 4))
        assert after.number == 4
        with pytest.raises(BlockUnknown, match="goes from 0 to 4; ask for a block on another branch by its hash"):
            rt.block(5)
        assert rt.block(other.hash) == other
        await rt.revert(other)
        assert rt.block(5) == other
        await rt.advance({"n": 1})
        assert [block.hash for block in rt.blocks()][1:] == await undisturbed((5, 0, 15, 2, 3, 1))
        assert await rt.verify() == 6


async def test_the_same_block_made_again_is_the_same_block(tmp_path: Path) -> None:
    async with runtime.Runtime(Ledger, tmp_path / "a.db") as rt:
        first = await rt.advance({"n": 5})
        await rt.advance({"n": 1})
        await rt.revert(0)
        assert await rt.advance({"n": 5}) == first
        assert len(list(rt.blocks(branches=True))) == 3
        assert len(list(rt.blocks())) == 2


async def test_a_revert_to_the_head_forgets_nothing_but_what_is_in_memory() -> None:
    async with runtime.Runtime(Ledger) as rt:
        for n in (5, 6, 10, 20, 12):
            await rt.advance({"n": n})
            await rt.revert(rt.head)
        assert [block.hash for block in rt.blocks()][1:] == await undisturbed((5, 6, 10, 20, 12))


async def test_what_is_no_kept_block_cannot_be_reverted_to_and_the_head_stays(tmp_path: Path) -> None:
    async with runtime.Runtime(Ledger, tmp_path / "a.db") as rt:
        await rt.advance({"n": 5})
        head = rt.head
        for which in (2, -1, b"\0" * 32, "00" * 32):
            with pytest.raises(BlockUnknown):
                await rt.revert(which)
            assert rt.head == head
    async with runtime.Runtime(Ledger, tmp_path / "a.db") as rt:
        assert rt.head == head


async def test_digits_of_a_hash_that_are_all_decimal_are_not_taken_for_a_number() -> None:
    class Counting(Root):
        async def run(self) -> None:
            self.heap["n"] = self.heap.get("n", 0) + 1

    async with runtime.Runtime(Counting) as rt:
        found = []
        while len(found) < 3:
            block = await rt.advance()
            if block.hash.hex()[:6].isdecimal() and int(block.hash.hex()[:6]) > 10_000:
                found.append(block)
        for block in found:
            assert rt.block(block.hash.hex()[:6]) == block
        assert rt.block("2").number == 2
        with pytest.raises(BlockUnknown, match="no block 999999 is on the chain"):
            rt.block("999999")
