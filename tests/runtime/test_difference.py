"""`Runtime.changes`: what differs between two blocks, told process by process, at the cost of what differs."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from programs import Top, chain, inputs_of

import runtime
from actors import ABSENT, BlockFailed, BlockUnknown, InputError, Process, Root
from actors.values import encode
from runtime import KeyDifference, MemoryStore, ProcessDifference, ProcessView, Runtime


class Counted(MemoryStore):
    """A store in memory that counts what is read of it, and that a Runtime can be opened on again."""

    read = 0

    def read_node(self, number: int) -> bytes:
        self.read += 1
        return super().read_node(number)

    def close(self) -> None:
        """Stay open."""


class Shard(Process):
    async def run(self) -> None:
        for key, value in list(self.heap.region("set").items()):
            self.heap["entries", key] = value
        self.heap.clear("set")


class Shards(Root):
    """Writes what it is told to into a large heap of its own and into those of two children."""

    async def run(self) -> Any:
        inputs = self.heap["block", "inputs"]
        for name, entries in inputs.items():
            if name == "drop":
                await self.drop(entries)
            elif name == "root":
                for key, value in sorted(entries.items()):
                    self.heap["entries", key] = value
            else:
                await self.put(name, {("set", key): value for key, value in sorted(entries.items())})
                await self.put(name, program=Shard, start=True)
                await self.status(name)
        self.heap.clear("block")


LARGE = {("entries", i): f"value {i}" for i in range(30_000)}


async def large(store: Counted) -> list[runtime.Block]:
    """Make a store of five blocks on two branches, with 60,000 entries."""
    blocks = []
    async with Runtime(Shards, store, LARGE) as rt:
        await rt.advance({"inputs": {"a": dict.fromkeys(range(30_000), "a"), "b": {1: "b"}}})
        blocks.append(rt.head)
        blocks.append(await rt.advance({"inputs": {"root": {5: "new", 30_001: "more"}, "a": {77: "x"}}}))
        blocks.append(await rt.advance({"inputs": {"root": {6: "again"}}}))
        await rt.revert(blocks[0])
        blocks.append(await rt.advance({"inputs": {"root": {5: "other"}, "a": {29_000: "y"}, "drop": "b"}}))
        blocks.append(await rt.advance({"inputs": {"c": {0: "c"}}}))
    return blocks


def told(found: Any) -> dict[Any, Any]:
    return {one.path: (one.kind, [tuple(key) for key in one.keys]) for one in found}


async def test_what_differs_is_told_process_by_process_and_read_by_what_differs() -> None:
    store = Counted()
    base, one, two, _, last = await large(store)
    everything = len(store.numbers(0, 10**9))
    assert everything > 3_000
    cases: list[tuple[Any, Any, dict[Any, Any]]] = [
        (
            base,
            one,
            {
                (): ("changed", [(("entries", 5), "value 5", "new"), (("entries", 30_001), ABSENT, "more")]),
                ("a",): ("changed", [(("entries", 77), "a", "x")]),
            },
        ),
        (one, two, {(): ("changed", [(("entries", 6), "value 6", "again")])}),
        (
            two,
            one,
            {(): ("changed", [(("entries", 6), "again", "value 6")])},
        ),
        (
            two.hash,
            last.hash.hex(),
            {
                (): (
                    "changed",
                    [
                        (("entries", 5), "new", "other"),
                        (("entries", 6), "again", "value 6"),
                        (("entries", 30_001), "more", ABSENT),
                    ],
                ),
                ("a",): ("changed", [(("entries", 77), "x", "a"), (("entries", 29_000), "a", "y")]),
                ("b",): ("removed", [(("entries", 1), "b", ABSENT)]),
                ("c",): ("added", [(("entries", 0), ABSENT, "c")]),
            },
        ),
        (3, last, {}),
        (last, last, {}),
    ]
    for old, new, expected in cases:
        async with Runtime(Shards, store) as rt:
            store.read = 0
            assert told(rt.changes(old, new)) == expected
            assert store.read <= 80, f"{store.read} of {everything}"


async def test_it_is_lazy() -> None:
    store = Counted()
    base, *_, last = await large(store)
    async with Runtime(Shards, store) as rt:
        store.read = 0
        changes = rt.changes(base, last)
        assert store.read == 0
        found = next(changes)
        first = store.read
        assert isinstance(found, ProcessDifference)
        assert all(isinstance(key, KeyDifference) for key in found.keys)
        assert found.path == ()
        list(changes)
        assert store.read > first
        # Of a process that was added in whole, the others are still told first.
        assert [one.path for one in rt.changes(0, last)] == [(), ("a",), ("c",)]


async def test_a_difference_of_everything_reads_everything_once() -> None:
    store = Counted()
    _, *_, last = await large(store)
    async with Runtime(Shards, store) as rt:
        found = {one.path: one for one in rt.changes(0, last)}
        assert len(found["a",].keys) == 30_000
        assert found["a",].kind == "added"
        assert found["a",].control["program"] == (None, f"{__name__}:Shard")
        assert [key.key for key in found[()].keys] == [("entries", 5)]


async def test_blocks_that_are_not_there_are_told_at_once() -> None:
    async with Runtime(Shards, genesis={"a": 1}) as rt:
        await rt.advance({"inputs": {"root": {1: 1}}})
        for old, new in ((0, 2), (2, 0), (b"\0" * 32, 0), (0, "00" * 32)):
            with pytest.raises(BlockUnknown):
                rt.changes(old, new)
        assert told(rt.changes("0", "1")) == {(): ("changed", [(("entries", 1), ABSENT, 1)])}
    with pytest.raises(InputError, match="not open"):
        rt.changes(0, 1)


# --- against plain comparison --------------------------------------------------------------------------------------


def processes(view: ProcessView) -> dict[Any, ProcessView]:
    return {one.path: one for one in view.walk()}


def plainly(old: ProcessView, new: ProcessView) -> list[Any]:
    """Compare all entries of all processes."""
    here, there = processes(old), processes(new)
    found = []
    for path in sorted({*here, *there}, key=lambda path: [(isinstance(name, int), name) for name in path]):
        a, b = here.get(path), there.get(path)
        left = {} if a is None else {key: encode(value) for key, value in a.heap.items()}
        right = {} if b is None else {key: encode(value) for key, value in b.heap.items()}
        keys = {key: (left.get(key), right.get(key)) for key in {*left, *right} if left.get(key) != right.get(key)}
        kind = "added" if a is None else "removed" if b is None else "changed"
        control: Any = None
        if a is not None and b is not None:
            control = a._control != b._control
        if keys or kind != "changed" or control:
            found.append((path, kind, keys, control))
    return found


def as_plainly(changes: Any) -> list[Any]:
    return [
        (
            one.path,
            one.kind,
            {
                key: tuple(None if value is ABSENT else encode(value) for value in (old, new))
                for key, old, new in one.keys
            },
            bool(one.control) if one.kind == "changed" else None,
        )
        for one in changes
    ]


async def compare(blocks: Any) -> None:
    async with Runtime(Top) as rt:
        for block in blocks:
            try:
                await rt.advance(inputs_of(block))
            except BlockFailed:
                continue
            if rt.head.number == 2:
                await rt.revert(0)
                try:
                    await rt.advance(inputs_of(block))
                except BlockFailed:
                    continue
        every = list(rt.blocks(branches=True))
        for old in every:
            for new in every:
                found = list(rt.changes(old, new))
                assert as_plainly(found) == plainly(rt.state(old), rt.state(new))
                for one in found:
                    order = [encode(key.key) for key in one.keys]
                    assert len(order) == len(set(order))


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**9))
async def test_random_machines_differ_as_a_plain_comparison_says(seed: int) -> None:
    await compare(chain(random.Random(seed).choice, 4))


@pytest.mark.long
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**9))
async def test_many_random_machines_differ_as_a_plain_comparison_says(seed: int) -> None:
    await compare(chain(random.Random(seed).choice, 4))
