"""WebAssembly children under the machine: the same calls, retry, restart, reorg, workers, threads and verify as any."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from wasm_programs import Burner, Parent
from wasm_texts import ADDER

import runtime
from actors.freezing import freeze
from actors.memory import Memory
from actors.values import encode
from actors.wasm import forget_instances
from actors.wasm.engine import from_text
from examples.wasm.programs import Guests

sys.path.append(str(Path(__file__).parents[1] / "actors"))
from wasm_modules import module, text

ADDS: list[dict[str, Any]] = [{"do": "add", "by": by} for by in ([1, 2], [3, 4], [0, 9], [5, 5, 5], [1])]


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    forget_instances()


async def made(inputs: list[dict[str, Any]], **how: Any) -> list[tuple[Any, str]]:
    """Make blocks; return the data and the state root of each."""
    async with runtime.Runtime(Parent, **how) as rt:
        blocks = [await rt.advance(one) for one in inputs]
        await rt.verify()
        return [(block.data, block.state_root.hex()) for block in blocks]


async def test_children_go_on_from_block_to_block() -> None:
    assert [data for data, _ in await made(ADDS, workers=0)] == [(1, 2), (4, 6), (4, 15), (9, 20, 5), (10,)]


async def test_restarts_and_forgotten_instances_change_nothing(tmp_path: Path) -> None:
    expected = await made(ADDS, workers=0)
    got = []
    for one in ADDS:
        forget_instances()
        async with runtime.Runtime(Parent, store=tmp_path / "a.db", workers=0) as rt:
            block = await rt.advance(one)
            got.append((block.data, block.state_root.hex()))
    assert got == expected
    assert await made(ADDS, workers=0, forget=True) == expected


async def test_workers_and_threads_give_the_same_blocks() -> None:
    inputs = [{**one, "worker": True} for one in ADDS]
    expected = await made(inputs, workers=0)
    assert [data for data, _ in expected] == [data for data, _ in await made(ADDS, workers=0)]
    assert await made(inputs, workers=2) == expected
    with ThreadPoolExecutor(2) as threads:
        assert await made(inputs, workers=2, executor=threads) == expected


async def test_another_branch_goes_on_from_its_own_memory() -> None:
    async with runtime.Runtime(Parent, workers=0) as rt:
        for one in ADDS[:3]:
            await rt.advance(one)
        head = rt.head
        await rt.revert(1)
        other = await rt.advance({"do": "add", "by": [10, 20]})
        assert other.data == (11, 22)
        await rt.revert(head.hash)
        assert (await rt.advance({"do": "add", "by": [0, 0]})).data == (4, 15)
        await rt.revert(other.hash)
        assert (await rt.advance({"do": "add", "by": [1, 1]})).data == (12, 23)
        await rt.verify()


async def test_the_changes_of_a_child_are_its_pages_and_keys() -> None:
    [(data, _)] = await made([{"do": "changes"}], workers=0)
    # Page 4 has the count; page 0 has what was read and is said, in place; the state has the global.
    assert set(data) == {"wasm", "y", ("memory", 0), ("memory", 4)}


async def test_forks_of_a_memory_are_merged_by_pages() -> None:
    data = [one for one, _ in await made([{"do": "fork", "at": 3}, {"do": "fork", "at": 0}], workers=0)]
    assert data[0][2] == 7
    assert data[0][5] == 10
    assert data[1] == (("memory", 2),)


async def test_a_child_that_failed_is_mended_and_started_again() -> None:
    assert [data for data, _ in await made([{"do": "retry"}], workers=0)] == [("ModuleRefused", 1)]


async def test_proofs_and_views_show_pages() -> None:
    async with runtime.Runtime(Parent, workers=0) as rt:
        block = await rt.advance(ADDS[0])
        heap = rt.state(block).at("/0").heap
        assert heap["memory", 4][20000 % 4096] == 1
        assert heap["wasm"][0] == "wasmtime 50"


def test_a_module_lets_go_of_the_interpreter_while_it_runs() -> None:
    """Two of them on threads run side by side; here, Python runs beside one."""
    process, memory = Burner(), Memory()
    process.machine_bind(memory, ("a",))
    process.heap["by"] = 127
    ended = Event()

    def run() -> None:
        try:
            process.run().send(None)
        except StopIteration:
            ended.set()

    thread = Thread(target=run)
    thread.start()
    turns = 0
    while not ended.is_set():
        turns += 1
        ended.wait(0.001)
    thread.join()
    # Were the interpreter held, there would be a turn before, and the next one after it.
    assert turns > 10
    assert process.heap["y"] >= 0


async def test_two_children_on_threads_give_what_they_give_on_the_loop() -> None:
    inputs = [{"do": "burn", "count": 2, "by": by} for by in (3, 4)]
    expected = await made(inputs, workers=0)
    with ThreadPoolExecutor(2) as threads:
        assert await made(inputs, workers=2, executor=threads) == expected


def _asks(*calls: tuple[Any, ...], more: str = "") -> bytes:
    """Return a module, without asyncify, that makes calls in `run`, and keeps each answer in `go_on`, under 0, 1, …"""
    forms = [encode(freeze(call)) for call in calls]
    data = "".join(f'(data (i32.const {1024 * (i + 1)}) "{text(form)}")' for i, form in enumerate(forms))
    made = "".join(
        f"(if (call $call (i32.const {1024 * (i + 1)}) (i32.const {len(form)})) (then unreachable))"
        for i, form in enumerate(forms)
    )
    # The key of the n-th answer is an int: 15 and its byte, but for 0, which is 14.
    keep = f"""(func (export "go_on") (local $size i32)
      (local.set $size (call $answer (i32.const 64) (i32.const 512)))
      (global.set $n (i32.add (global.get $n) (i32.const 1)))
      (i32.store8 (i32.const 1) (global.get $n))
      (call $set (i32.const 0) (i32.const 2) (i32.const 64) (local.get $size)) {more})"""
    return module(made, f'(memory 1) (global $n (mut i32) (i32.const 0)) (data (i32.const 0) "\\15") {data}', keep)


async def test_a_module_without_asyncify_gets_its_answers_when_run_has_returned() -> None:
    guest = _asks(
        ("make", "kid", {"module": from_text(ADDER), "by": 5}, (), True), ("get", "kid", "y"), ("status", "no")
    )
    async with runtime.Runtime(Parent, workers=0) as rt:
        block = await rt.advance({"do": "guest", "name": "a", "put": {"module": guest}})
        assert block.data == ("RETURNED", None, 0)
        heap = rt.state(block).at("/a").heap
        assert (heap[1], heap[2], heap[3][0]) == (None, 5, "no-such-child")
        assert rt.state(block).at("/a/kid").heap["y"] == 5
        await rt.verify()


async def test_what_an_answer_calls_for_is_performed_as_well_and_not_for_ever() -> None:
    call = ("status", "abc")
    again = f"(drop (call $call (i32.const 1024) (i32.const {len(encode(call))})))"
    guest = _asks(call, more=f"(if (i32.lt_u (global.get $n) (i32.const 5)) (then {again}))")
    async with runtime.Runtime(Parent, workers=0) as rt:
        assert (await rt.advance({"do": "guest", "name": "a", "put": {"module": guest}})).data[0] == "RETURNED"
        assert [key for key in rt.state(rt.head).at("/a").heap if type(key) is int] == [1, 2, 3, 4, 5]
        endless = _asks(call, more=again)
        block = await rt.advance({"do": "guest", "name": "b", "put": {"module": endless}, "gas": 10_000})
        assert block.data[0] == "OUT_OF_GAS"


async def test_a_forged_suspension_does_no_more_than_fail() -> None:
    async with runtime.Runtime(Guests, workers=0) as rt:
        one = {"child": "f", "program": "fan", "get": "total", "gas": 10_000_000}
        await rt.advance({**one, "put": {"guest": from_text(ADDER), "count": 0}})
        state = rt.state(rt.head).at("/f").heap["wasm"]
        for forged in (
            (*state[:5], 0),
            (*state[:5], 2**31),
            (*state[:3], tuple(bytes(len(x)) for x in state[3]), True, 8),
        ):
            data = (await rt.advance({**one, "put": {"wasm": forged}})).data
            assert data[0] == "failed"
        await rt.verify()
