"""`verify`: blocks executed again, from nothing but the store and in another order of completion, and what it finds.

A program that depends on something beside its heap and its calls makes a block that cannot be made again. `verify` says
where: the block, the process, the key, what the store has, and what came out this time.
"""

from __future__ import annotations

import importlib
import linecache
import random
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from programs import Top, chain, inputs_of

import runtime
from actors import BlockFailed, BlockUnknown, InputError, Process, Root, VerifyFailed
from runtime import programs as machine_programs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

#: What a program must not depend on.
the_global = 0
the_order: list[str] = []


@pytest.fixture(autouse=True)
def _global() -> None:
    global the_global
    the_global = 0
    the_order.clear()


async def failure(
    top: type[Root], *inputs: Any, between: Callable[[], None] = lambda: None, **how: Any
) -> VerifyFailed:
    """Make blocks, change something behind the programs' backs, verify, and return the failure."""
    async with runtime.Runtime(top, **how) as rt:
        for one in inputs:
            await rt.advance(one)
        between()
        with pytest.raises(VerifyFailed) as raised:
            await rt.verify()
    assert str(raised.value).startswith(f"block {raised.value.number}, process {raised.value.path}, ")
    return raised.value


def to(value: int) -> Callable[[], None]:
    def change() -> None:
        global the_global
        the_global = value

    return change


class Good(Process):
    async def run(self) -> None:
        self.heap["y"] = self.heap["x"] ** 2
        await self.ret()
        self.heap["y"] += 1


class GoodRoot(Root):
    async def run(self) -> Any:
        for n in range(3):
            await self.put(n, {"x": n}, program=Good, start=True)
        total = sum([await self.get(n, "y") for n in range(3)])
        await self.put(1, start=True)
        value = await self.snapshot(total)
        return total, value


async def test_a_chain_of_good_programs_is_verified_block_by_block(tmp_path: Path) -> None:
    """Execute blocks of the chain again …, and compare everything. Returns: how many blocks were verified."""
    seen = []
    async with runtime.Runtime(GoodRoot, tmp_path / "a.db") as rt:
        assert await rt.verify() == 0
        for n in range(6):
            await rt.advance(n)
        assert await rt.verify(progress=lambda block: seen.append(block.number)) == 6
        assert seen == [1, 2, 3, 4, 5, 6]
        assert await rt.verify(3, 4) == 2
        assert await rt.verify(5) == 2
        assert await rt.verify(7) == 0
        head = rt.head
    async with runtime.Runtime(GoodRoot, tmp_path / "a.db") as rt:
        assert await rt.verify() == 6
        assert rt.head == head, "nothing is changed by it"
        with pytest.raises(InputError, match="the first block is 0; block 0 is the genesis"):
            await rt.verify(0)
        with pytest.raises(BlockUnknown):
            await rt.verify(1, 9)
        await rt.advance(6)
        assert rt.head.number == 7


async def test_verify_goes_on_beside_the_processes_in_memory() -> None:
    async with runtime.Runtime(GoodRoot) as rt, runtime.Runtime(GoodRoot) as undisturbed:
        for n in range(6):
            await rt.verify()
            assert await rt.advance(n) == await undisturbed.advance(n)


async def test_random_programs_are_verified() -> None:
    for seed in range(20):
        async with runtime.Runtime(Top) as rt:
            for block in chain(random.Random(1000 + seed).choice):
                try:
                    await rt.advance(inputs_of(block))
                except BlockFailed:
                    continue
            await rt.verify()


class ByAGlobal(Process):
    async def run(self) -> None:
        self.heap["same"] = 1
        self.heap["seen", self.heap["x"]] = the_global


class ByAGlobalRoot(Root):
    async def run(self) -> Any:
        await self.put("shards", program=Relay)
        await self.put("shards", {"x": self.heap["block"]}, start=True)
        await self.get("shards", "x")


class Relay(Process):
    async def run(self) -> None:
        await self.put(3, {"x": self.heap["x"]}, program=ByAGlobal, start=True)
        await self.status(3)


async def test_a_child_that_depends_on_a_global_is_found_with_its_key_and_both_values() -> None:
    """VerifyFailed: at the first difference, with the block, the process, the key, expected and got."""
    failed = await failure(ByAGlobalRoot, 7, 8, between=to(5))
    assert (failed.number, failed.path, failed.key) == (1, "/shards/3", "heap key ('seen', 7)")
    assert (failed.expected, failed.got) == ("0", "5")
    assert failed.hint.startswith("a program depends on something beside its heap and its calls (time, randomness")
    assert str(failed) == (f"block 1, process /shards/3, heap key ('seen', 7): expected 0, got 5. {failed.hint}")


class AKeyByAGlobal(Root):
    async def run(self) -> None:
        if the_global:
            self.heap["extra"] = self.heap["block"]


async def test_a_key_that_only_one_side_has_is_shown_beside_nothing() -> None:
    failed = await failure(AKeyByAGlobal, 1, 2, between=to(1))
    assert (failed.number, failed.path, failed.key) == (1, "/", "heap key 'extra'")
    assert (failed.expected, failed.got) == ("nothing", "1")
    to(1)()
    failed = await failure(AKeyByAGlobal, 1, 2, between=to(0))
    assert (failed.expected, failed.got) == ("1", "nothing")


class DataByAGlobal(Root):
    async def run(self) -> Any:
        return {"n": the_global}


async def test_block_data_that_differs_is_shown() -> None:
    failed = await failure(DataByAGlobal, 1, between=to(5))
    assert (failed.number, failed.path, failed.key) == (1, "/", "block data")
    assert "'n': 0" in failed.expected
    assert "'n': 5" in failed.got


class AChildByAGlobal(Root):
    async def run(self) -> Any:
        await self.put("a" if the_global else "b")


async def test_a_child_that_is_there_only_once_is_named() -> None:
    failed = await failure(AChildByAGlobal, 1, between=to(5))
    assert failed.path in ("/a", "/b")
    assert failed.key == "control state"
    assert "nothing" in (failed.expected, failed.got)


class FailsByAGlobal(Root):
    async def run(self) -> Any:
        if the_global:
            raise LookupError("only now")


async def test_a_root_that_fails_now_is_told_with_its_error() -> None:
    failed = await failure(FailsByAGlobal, 1, between=to(5))
    assert (failed.number, failed.path, failed.key, failed.expected) == (1, "/", "execution", "a block")
    assert failed.got == "the root failed with LookupError: only now"
    assert isinstance(failed.__cause__, LookupError)


class ChildFailsByAGlobal(Root):
    async def run(self) -> Any:
        await self.put("c", program=Fails, start=True)
        await self.status("c")


class Fails(Process):
    async def run(self) -> None:
        if the_global:
            raise LookupError("only now")


async def test_a_child_that_fails_now_is_told_by_its_control_state() -> None:
    failed = await failure(ChildFailsByAGlobal, 1, between=to(5))
    assert (failed.path, failed.key) == ("/c", "control state")
    assert "error=None" in failed.expected
    assert "error='LookupError'" in failed.got


class ByTheClock(Root):
    lifted = ("clock",)

    async def run(self) -> None:
        self.heap["now"] = time.perf_counter_ns()


async def test_a_program_that_reads_the_clock_is_found() -> None:
    """It is executed the hard way: … what came of the clock comes out otherwise."""
    failed = await failure(ByTheClock, 1)
    assert (failed.number, failed.path, failed.key) == (1, "/", "heap key 'now'")
    assert int(failed.expected) < int(failed.got)


class First(Process):
    async def run(self) -> None:
        the_order.append(str(self.path[-1]))
        self.heap["place"] = len(the_order)


class ByTheOrder(Root):
    async def run(self) -> None:
        the_order.clear()
        for name in range(8):
            await self.put(name, program=First, start=True)
        for name in range(8):
            await self.get(name, "place")


async def test_a_program_that_depends_on_who_was_first_is_found() -> None:
    """effects are performed in another order than they were the first time"""
    failed = await failure(ByTheOrder, 1)
    assert failed.number == 1
    assert failed.path[0] == "/"
    assert failed.path[1:] in "01234567"
    assert failed.key == "heap key 'place'"
    assert failed.expected != failed.got


class MiddleByAGlobal(Root):
    async def run(self) -> None:
        self.heap["n"] = the_global
        await self.snapshot()
        self.heap["m"] = 1


async def test_a_process_that_cannot_be_restored_is_told_with_both_sides_of_its_journal() -> None:
    """no coroutine is at hand, so every process that stands in the middle is restored from its journal"""
    async with runtime.Runtime(MiddleByAGlobal) as rt:
        await rt.advance(1)
        await rt.advance(2)
        to(5)()
        with pytest.raises(VerifyFailed) as raised:
            await rt.verify(2)
    assert (raised.value.number, raised.value.path, raised.value.key) == (2, "/", "execution")
    assert "did not repeat its journal at call 0" in raised.value.got
    assert "'n' = 5, recorded 0" in raised.value.got


async def test_a_later_block_is_verified_from_its_own_parent() -> None:
    async with runtime.Runtime(ByAGlobalRoot) as rt:
        await rt.advance(1)
        to(1)()
        await rt.advance(2)
        await rt.advance(3)
        assert await rt.verify(2) == 2
        with pytest.raises(VerifyFailed) as raised:
            await rt.verify()
        assert raised.value.number == 1


_CODE = """
from actors import Process, Root

class Child(Process):
    async def run(self):
        self.heap["x"] = {value}

class Top(Root):
    async def run(self):
        await self.put("c", program=Child, start=True)
        await self.get("c", "x")

# version {version}
"""


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, int], type[Root]]]:
    """Write a module of programs and import it as a fresh interpreter would; with another version, another time."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def load(value: int, version: int) -> type[Root]:
        (tmp_path / "verified_program.py").write_text(_CODE.format(value=value, version=version))
        sys.modules.pop("verified_program", None)
        machine_programs._sources.pop("verified_program", None)
        machine_programs.code_digest.cache_clear()
        importlib.invalidate_caches()
        linecache.clearcache()
        top: type[Root] = importlib.import_module("verified_program").Top
        return top

    yield load
    sys.modules.pop("verified_program", None)


async def test_it_says_so_when_the_code_has_changed_since(
    load: Callable[[int, int], type[Root]], tmp_path: Path
) -> None:
    """A block: …, the digest of the programs' code."""
    async with runtime.Runtime(load(1, 1), tmp_path / "a.db") as rt:
        await rt.advance()
        await rt.verify()
        code = rt.head.code
    async with runtime.Runtime(load(2, 2), tmp_path / "a.db") as rt:
        with pytest.raises(VerifyFailed) as raised:
            await rt.verify()
        assert (raised.value.path, raised.value.key) == ("/c", "heap key 'x'")
        assert (raised.value.expected, raised.value.got) == ("1", "2")
        assert raised.value.hint == "the programs' code has changed since that block was made"
        await rt.advance()
        assert rt.head.code != code
        await rt.verify(2)


async def test_code_that_changed_without_an_effect_is_no_failure(
    load: Callable[[int, int], type[Root]], tmp_path: Path
) -> None:
    """compare everything: what came of the code, that is; its digest only tells a likely reason"""
    async with runtime.Runtime(load(1, 1), tmp_path / "a.db") as rt:
        code = (await rt.advance()).code
    async with runtime.Runtime(load(1, 2), tmp_path / "a.db") as rt:
        assert await rt.verify() == 1
        assert (await rt.advance()).code != code
