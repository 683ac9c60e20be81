"""Proofs of what a runtime made: of every process at every block, read from a store, checked against the block alone."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from actors import (
    ABSENT,
    BlockUnknown,
    InputError,
    KeyRefused,
    LimitExceeded,
    NoSuchChild,
    Process,
    Proof,
    ProofRefused,
    Root,
    goals,
)
from actors.limits import INLINE_BYTES_MAX, PROOF_KEYS_MAX
from runtime import MemoryStore, Runtime, SqliteStore, state

if TYPE_CHECKING:
    from pathlib import Path


class Shard(Process):
    async def run(self) -> None:
        self.heap["seen"] = self.heap.get("seen", 0) + 1
        if "below" in self.heap:
            await self.put("below", {"x": self.heap["below"]}, program=Shard, start=True)
            await self.get("below")


class Bank(Root):
    async def run(self) -> Any:
        number = self.heap.get("number", 0) + 1
        self.heap["number"] = number
        self.heap["blob"] = b"x" * (INLINE_BYTES_MAX + number)
        for n in range(200):
            self.heap["accounts", n] = n * number
        for n in range(3):
            entries = {("e", i): (number, i) for i in range(n * 20)}
            await self.put(n, {**entries, "below": number}, program=Shard, start=True)
        # Nobody waits for this one in this block: it goes on across it.
        await self.put("late", {"given": number}, program=Shard, start=True)
        await self.put("idle", {"only": "put"})
        for n in range(3):
            await self.get(n)
        return number


async def made(rt: Runtime, count: int = 3) -> None:
    for _ in range(count):
        await rt.advance()


async def test_every_key_of_every_process_at_every_block_is_proved_and_others_are_absent() -> None:
    async with Runtime(Bank) as rt:
        await made(rt)
        for block in rt.blocks():
            for view in rt.state(block).walk():
                keys = [*view.heap, "absent", ("e", 1000), ()]
                proof = rt.prove(block, view.path, *keys)
                again = Proof.from_bytes(proof.to_bytes())
                assert again.verify(block.state_root, view.path, *keys) == {
                    key: view.heap.get(key, ABSENT) for key in keys
                }
                for other in rt.blocks():
                    if other.state_root != block.state_root:
                        with pytest.raises(ProofRefused, match="another block's state, or forged"):
                            again.verify(other.state_root)


async def test_a_block_and_a_process_are_named_as_everywhere() -> None:
    async with Runtime(Bank) as rt:
        await made(rt, 2)
        block = rt.block(1)
        proofs = [rt.prove(which, "/1/below", "x") for which in (1, block, block.hash, block.hash.hex()[:12])]
        proofs.append(rt.prove(1, (1, "below"), ("x",)))
        assert len(set(proofs)) == 1
        assert proofs[0].verify(block.state_root, "/1/below", "x") == {"x": 1}
        with pytest.raises(NoSuchChild, match="no child 'nobody'"):
            rt.prove(1, "/nobody", "x")
        with pytest.raises(NoSuchChild):
            rt.prove(0, "/1", "x")
        with pytest.raises(BlockUnknown):
            rt.prove(9, "/", "x")
        with pytest.raises(InputError, match="which key of /1 is to be proved"):
            rt.prove(1, "/1")
        with pytest.raises(InputError, match="no path"):
            rt.prove(1, "1", "x")
        with pytest.raises(KeyRefused):
            rt.prove(1, "/", True)
        with pytest.raises(LimitExceeded):
            rt.prove(1, "/", *range(PROOF_KEYS_MAX + 1))
    with pytest.raises(InputError, match="not open"):
        rt.prove(1, "/", "x")


async def test_of_a_pending_process_what_it_was_started_on_is_proved() -> None:
    async with Runtime(Bank) as rt:
        block = await rt.advance()
        assert rt.state(block).at("/late").pending
        proved = rt.prove(block, "/late", "given", "seen").verify(block.state_root)
        assert proved == {"given": 1, "seen": ABSENT}


async def test_blocks_of_other_branches_are_proved_as_well() -> None:
    async with Runtime(Bank) as rt:
        await made(rt, 2)
        left = rt.head
        await rt.revert(1)
        await rt.advance({"another": "input"})
        assert rt.prove(left.hash, "/", "number", ("block", "another")).verify(left.state_root) == {
            "number": 2,
            ("block", "another"): ABSENT,
        }
        assert rt.prove(2, "/", ("block", "another")).verify(rt.head.state_root) == {("block", "another"): "input"}


async def test_a_proof_is_the_same_from_every_store_and_when_it_is_opened_again(tmp_path: Path) -> None:
    made_by = []
    for store in (None, MemoryStore(), tmp_path / "bank.db"):
        async with Runtime(Bank, store=store) as rt:
            await made(rt)
            made_by.append(rt.prove(3, "/2", "below", ("e", 7), "absent"))
    async with Runtime(Bank, store=SqliteStore(tmp_path / "bank.db", writer=False)) as rt:
        made_by.append(rt.prove(3, "/2", "below", ("e", 7), "absent"))
        assert made_by[-1].verify(rt.head.state_root) == {"below": 3, ("e", 7): (3, 7), "absent": ABSENT}
    assert len(set(made_by)) == 1


async def test_a_proof_reads_the_nodes_that_are_in_it(tmp_path: Path) -> None:
    async with Runtime(Bank, store=tmp_path / "bank.db", genesis=[(n, n) for n in range(20_000)]):
        pass
    store = SqliteStore(tmp_path / "bank.db", writer=False)
    read: list[int] = []
    read_node = store.read_node

    def counting(number: int) -> bytes:
        read.append(number)
        return read_node(number)

    store.read_node = counting  # type: ignore[method-assign]
    async with Runtime(Bank, store=store) as rt:
        read.clear()
        proof = rt.prove(0, "/", 12_345)
        assert len(read) < 12
        assert proof.verify(rt.head.state_root) == {12_345: 12_345}


def test_a_proof_is_checked_without_the_machine() -> None:
    told = "import sys; from actors import Proof; print(sorted({name.split('.')[0] for name in sys.modules}))"
    names = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True).stdout
    for name in ("runtime", "anyio", "asyncio", "sqlite3", "cloudpickle", "typer"):
        assert f"'{name}'" not in names


def test_the_layout_that_proofs_know_is_that_of_the_state() -> None:
    assert (goals.CONTROL, goals.HEAP, goals.CHILD) == (state.CONTROL, state.HEAP, state.CHILD)
    path = ("a", 3, "\0")
    assert state.locate(goals.process_key(path) + goals.HEAP + b"key") == (path, b"h", b"key")
