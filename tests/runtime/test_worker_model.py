"""The random programs of `test_model` on workers: whatever runs where, the blocks are the same, hash for hash.

In threads with the whole protocol (a store that workers read, one that they do not, an executor where nothing is
remembered), and in real processes; with random placement, numbers of workers, orders, forgetting, workers that lose what
they remember, and workers that are killed at random.
"""

from __future__ import annotations

import asyncio
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from programs import Top, chain
from slots import random_placement, thread_slots
from test_model import advanced, run

import runtime
from runtime.stepper import Shuffle
from runtime.workers import worker

if TYPE_CHECKING:
    from pathlib import Path


def programs(seed: int) -> Any:
    return chain(Random(seed).choice)


async def expected(blocks: Any) -> list[Any]:
    return await run(blocks, workers=0)


@pytest.mark.parametrize("first", range(0, 100, 25))
async def test_random_programs_make_the_same_blocks_in_threads_that_remember(first: int, tmp_path: Path) -> None:
    for seed in range(first, first + 25):
        blocks, draw = programs(seed), Random(seed)
        how: dict[str, Any] = {"workers": draw.choice([1, 2, 3, 4])}
        if draw.random() < 0.5:
            how["store"] = tmp_path / f"{seed}.db"
        if draw.random() < 0.3:
            how["order"] = Shuffle(seed)
        if draw.random() < 0.3:
            how["forget"] = True
        with thread_slots(), random_placement(seed):
            assert await run(blocks, **how) == await expected(blocks), (seed, how)


async def test_random_programs_make_the_same_blocks_where_nothing_is_remembered(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as executor:
        for seed in range(100, 125):
            blocks = programs(seed)
            store = tmp_path / f"{seed}.db" if seed % 2 else None
            with random_placement(seed):
                assert await run(blocks, workers=2, executor=executor, store=store) == await expected(blocks), seed


async def test_random_programs_make_the_same_blocks_where_workers_forget_at_once() -> None:
    """Whatever a job builds on is not there, and is sent again."""
    with patch.object(worker, "KEPT_MAX", 0), thread_slots():
        for seed in range(125, 145):
            blocks = programs(seed)
            with random_placement(seed, 0.9):
                assert await run(blocks, workers=2) == await expected(blocks), seed


async def test_what_random_programs_made_on_workers_is_verified_on_the_loop(tmp_path: Path) -> None:
    for seed in range(145, 165):
        with thread_slots(), random_placement(seed):
            async with runtime.Runtime(Top, store=tmp_path / f"{seed}.db", workers=2) as rt:
                for block in programs(seed):
                    await advanced(rt, block)
                assert await rt.verify() == rt.head.number


async def test_random_programs_make_the_same_blocks_in_processes(tmp_path: Path) -> None:
    for seed in range(165, 171):
        blocks = programs(seed)
        with random_placement(seed):
            assert await run(blocks, workers=2, store=tmp_path / f"{seed}.db") == await expected(blocks), seed


def workers_of(rt: runtime.Runtime) -> list[int]:
    """Return the processes of a runtime's workers."""
    crew = rt._crew
    assert crew is not None
    return [pid for place in crew._places if (pid := place.slot.pid) is not None]


def kill(pid: int) -> None:
    """Kill a worker, which may have died meanwhile."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.long
@pytest.mark.parametrize("first", range(0, 1_000, 100))
async def test_a_thousand_schedules_of_one_program_give_one_root(first: int, tmp_path: Path) -> None:
    # One chain that starts, waits, fails and goes on in the middle, in a thousand schedules.
    blocks = programs(31)
    right = await expected(blocks)
    assert len(set(right)) > 2
    for seed in range(first, first + 100):
        draw = Random(seed)
        store = tmp_path / f"{seed}.db" if draw.random() < 0.2 else None
        how: dict[str, Any] = {"workers": draw.choice([1, 2, 3, 4]), "order": Shuffle(seed), "store": store}
        with (
            thread_slots(),
            random_placement(seed, draw.random()),
            patch.object(worker, "KEPT_MAX", draw.choice([0, 9])),
        ):
            assert await run(blocks, **how) == right, seed


async def killing(rt: runtime.Runtime, draw: Random) -> None:
    """Kill workers at random, for as long as this is not cancelled."""
    while True:
        await asyncio.sleep(draw.random() * 0.05)
        for pid in workers_of(rt):
            if draw.random() < 0.2:
                kill(pid)


@pytest.mark.long
async def test_random_programs_make_the_same_blocks_while_workers_are_killed(tmp_path: Path) -> None:
    for seed in range(40):
        blocks, draw, made = programs(seed), Random(seed), []
        with random_placement(seed):
            async with runtime.Runtime(Top, store=tmp_path / f"{seed}.db", workers=draw.choice([1, 2, 3])) as rt:
                killer = asyncio.create_task(killing(rt, draw))
                made = [await advanced(rt, block) for block in blocks]
                killer.cancel()
        assert made == await expected(blocks), seed
