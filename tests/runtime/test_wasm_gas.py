"""Gas of WebAssembly children under the machine: the same everywhere, out of it at every gas, and what means harm ends."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from wasm_programs import Parent

import runtime
from actors.wasm import forget_instances

sys.path.append(str(Path(__file__).parents[1] / "actors"))
import wasm_attacks
from wasm_modules import LOOPER

ENOUGH = 1_000_000
ADDS: list[dict[str, Any]] = [
    {"do": "add", "by": by, "gas": ENOUGH, "worker": True} for by in ([1, 2], [3, 4], [0, 9], [5, 5, 5])
]


async def used(**how: Any) -> list[tuple[Any, int, str]]:
    async with runtime.Runtime(Parent, **how) as rt:
        blocks = [await rt.advance(one) for one in ADDS]
        await rt.verify()
        return [(block.data, block.gas_used, block.state_root.hex()) for block in blocks]


async def test_gas_is_the_same_on_the_loop_on_workers_and_on_threads() -> None:
    expected = await used(workers=0)
    assert all(gas > 0 for _, gas, _ in expected)
    forget_instances()
    assert await used(workers=2) == expected
    with ThreadPoolExecutor(2) as threads:
        assert await used(workers=2, executor=threads) == expected


async def test_out_of_gas_at_every_gas_leaves_the_snapshot_and_the_retry_is_as_if_it_had_had_it_at_first() -> None:
    async with runtime.Runtime(Parent, workers=0) as rt:
        guest = {"do": "guest", "name": "a", "put": {"module": LOOPER, "by": 9}}
        kind, error, needed = (await rt.advance({**guest, "gas": ENOUGH})).data
        assert (kind, error) == ("RETURNED", None)
        whole = rt.state(rt.head).at("/a").heap.digest()
    async with runtime.Runtime(Parent, workers=0) as rt:
        digests = set()
        for gas in [*range(0, needed - 60, 51), *range(needed - 60, needed)]:
            block = await rt.advance({**guest, "gas": gas})
            assert block.data == ("OUT_OF_GAS", "Exhausted", gas) or block.data[::2] == ("OUT_OF_GAS", gas)
            digests.add(rt.state(block).at("/a").heap.digest())
        assert len(digests) == 1
        assert (await rt.advance({**guest, "gas": needed})).data == ("RETURNED", None, needed)
        assert rt.state(rt.head).at("/a").heap.digest() == whole
        await rt.verify()


#: How an end of `wasm_attacks` shows to a parent; any other is a failure of that name.
KINDS = {"Exhausted": "OUT_OF_GAS", "HostTrouble": "HOST_FAULT", "nothing": "RETURNED", "called": "RETURNED"}


@pytest.mark.parametrize("part", range(6))
async def test_attacks_end_and_harm_nobody_else(part: int) -> None:
    attacks = list(wasm_attacks.ATTACKS.items())[part::6]
    async with runtime.Runtime(Parent, workers=0) as rt:
        for number, (name, (code, expected)) in enumerate(attacks):
            gas = 2_000_000 + len(code)
            block = await rt.advance({"do": "guest", "name": name, "put": {"module": code}, "gas": gas})
            kind, error, used = block.data
            assert (error if kind == "FAILED" else kind) in {KINDS.get(one, one) for one in expected}, name
            assert 0 <= used <= gas
            good = await rt.advance({"do": "add", "by": [1], "gas": ENOUGH})
            assert good.data == ((number + 1) % 128,)
        await rt.verify()


@pytest.mark.parametrize("how", [{"workers": 0}, {"workers": 1}])
async def test_a_full_native_stack_is_a_host_fault_that_the_block_has(how: dict[str, Any]) -> None:
    code, _ = wasm_attacks.ATTACKS["recursion without end"]
    async with runtime.Runtime(Parent, **how) as rt:
        guest = {"do": "guest", "name": "deep", "put": {"module": code}, "gas": ENOUGH, "placement": "worker"}
        block = await rt.advance(guest)
        assert block.data == ("HOST_FAULT", "StackOverflow", 0)
        assert [fault[2] for fault in block.faults] == ["StackOverflow"]
        assert (await rt.advance({**guest, "put": {"module": LOOPER, "by": 1}})).data[0] == "RETURNED"
        await rt.verify()
