"""Random programs, held against the model, and against themselves run in every other way.

For each chain of blocks: the model and the machine give the same block data, the same root failures, and the same
processes: heaps, programs, traps, whether they stand in the middle, whether they are pending (and then they are shown as
at their start). And the machine gives the same blocks, hash for hash, in the order of its agenda, in shuffled ones,
when every process is restored from its journal whenever it goes on, when the records of idle processes are let go of
after every block, and when the store is closed and opened again between any two blocks; and `verify` finds nothing.

A block's hash covers its state root, and the state root covers the whole tree: heaps, snapshots, control values,
meters, pending starts, and the journals as they are saved. So equal hashes are equal saved journals too.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model import Model
from programs import Top, chain, inputs_of

import runtime
from actors import BlockFailed
from actors.values import encode
from runtime.stepper import Shuffle

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Where files may be in memory, they are: a durable commit is not what is tested here.
_DIRECTORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None

_HOSTILE = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
fast = settings(max_examples=25, deadline=None, suppress_health_check=_HOSTILE)
slow = settings(max_examples=250, deadline=None, suppress_health_check=_HOSTILE)


@st.composite
def chains(draw: Any) -> Any:
    """Chains of blocks with random programs."""
    return chain(lambda options: draw(st.sampled_from(options)))


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


def shown(view: runtime.ProcessView) -> dict[str, Any]:
    """Return what a state shows of a process and of all below it, as `model.Proc.shown` does."""
    return {
        "program": None if view.program is None else view.program.partition(":")[2],
        "heap": [(key, encode(value)) for key, value in view.heap.items()],
        "pending": view.pending,
        "trap": view.trap.kind.name,
        "error": view.trap.error,
        "middle": view.trap.middle,
        "metered": view.gas is not None,
        "children": [(name, shown(child)) for name, child in view.children.items()],
    }


async def advanced(rt: runtime.Runtime, block: Any) -> Any:
    """Make a block; return its hash, or the class of the root's error."""
    try:
        return (await rt.advance(inputs_of(block))).hash.hex()
    except BlockFailed as failed:
        return failed.error


async def run(blocks: Any, **how: Any) -> list[Any]:
    """Run a chain in memory, and check the kernel's invariants after every block."""
    made = []
    async with runtime.Runtime(Top, **how) as rt:
        for block in blocks:
            made.append(await advanced(rt, block))
            if rt._stepper is not None:
                rt._stepper.kernel.check()
    return made


async def run_beside_the_model(blocks: Any) -> list[Any]:
    """Run a chain in memory and on the model, compare them after every block, check all invariants, and verify."""
    model, made = Model(), []
    async with runtime.Runtime(Top) as rt:
        for block in blocks:
            made.append(await advanced(rt, block))
            failed = model.advance(inputs_of(block))
            if failed is not None:
                assert made[-1] == failed
            else:
                assert made[-1] == rt.head.hash.hex()
                assert encode(rt.head.data) == encode(model.data)
            assert shown(rt.state()) == model.root.shown()
            if rt._stepper is not None:
                rt._stepper.kernel.check()
            rt.state()._state.check()
        assert await rt.verify() == rt.head.number
    return made


async def run_reopened(blocks: Any, path: Path, **how: Any) -> list[Any]:
    """Run a chain in a store on disk that is closed and opened again between any two blocks."""
    made = []
    for block in blocks:
        async with runtime.Runtime(Top, path, **how) as rt:
            made.append(await advanced(rt, block))
            if rt._stepper is not None:
                rt._stepper.kernel.check()
            rt.state()._state.check()
    return made


async def check_every_way(blocks: Any) -> None:
    expected = await run_beside_the_model(blocks)
    for seed in (1, 2, 3):
        assert await run(blocks, order=Shuffle(seed)) == expected, f"Shuffle({seed})"
    assert await run(blocks, forget=True) == expected, "forget"
    assert await run(blocks, order=Shuffle(4), forget=True) == expected, "Shuffle(4), forget"
    with patch("runtime.kernel.core.RECORDS_KEPT_MAX", 0):
        assert await run(blocks) == expected, "idle processes let go of after every block"
    with tempfile.TemporaryDirectory(dir=_DIRECTORY) as directory:
        assert await run_reopened(blocks, Path(directory, "a.db")) == expected, "reopened"
        assert await run_reopened(blocks, Path(directory, "b.db"), order=Shuffle(5)) == expected, "reopened, Shuffle(5)"


@fast
@given(blocks=chains())
def test_a_random_program_does_what_the_model_does_in_whatever_way_it_is_run(runner: Any, blocks: Any) -> None:
    runner.run(check_every_way(blocks))


@pytest.mark.long
@slow
@given(blocks=chains())
def test_many_random_programs_do_what_the_model_does_in_whatever_way_they_are_run(runner: Any, blocks: Any) -> None:
    runner.run(check_every_way(blocks))
