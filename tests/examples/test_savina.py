"""Savina: every benchmark comes to what it has to, in every way of running, and says so from the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from actors import Actor
from examples.savina.suite import SUITE, WrongResult, run
from runtime.stepper import Shuffle

ROOT = Path(__file__).parents[2]
SCALE = 0.001


@pytest.mark.parametrize("name", SUITE)
async def test_a_benchmark_comes_to_what_it_has_to_hosted_or_not(name: str) -> None:
    block, _, _ = await run(name, SCALE)
    assert (await run(name, SCALE, order=Shuffle(1)))[0].hash == block.hash
    _, office = SUITE[name]
    # As processes, each actor of its own, they do the same.
    with patch.multiple(office, hosts=(), actors=(*office.hosts, *office.actors)):
        assert (await run(name, SCALE))[0].data == block.data


@pytest.mark.parametrize("name", ["sieve", "n-queens"])
async def test_a_benchmark_gives_the_same_hash_on_workers(name: str) -> None:
    block, _, _ = await run(name, 0.05)
    assert (await run(name, 0.05, workers=2))[0].hash == block.hash


async def test_a_wrong_result_is_found() -> None:
    def wrong(**_: Any) -> Any:
        return ("done",), 1

    with (
        patch("examples.savina.ping_pong.expected", wrong),
        pytest.raises(WrongResult, match=r"gave \('done',\) after 81 messages, with 0 dead letters"),
    ):
        await run("ping-pong", SCALE)


def telling(number: int, times: int) -> Any:
    """Return a `tell` that sends one message, counted from 0, so many times, and all others once."""
    tell, counter = Actor.tell, count()

    def told(self: Any, address: Any, message: Any) -> None:
        for _ in range(times if next(counter) == number else 1):
            tell(self, address, message)

    return told, counter


@pytest.mark.parametrize("times", [0, 2], ids=["lost", "twice"])
@pytest.mark.parametrize("name", SUITE)
async def test_no_message_is_lost_or_comes_twice_without_a_wrong_result(name: str, times: int) -> None:
    scale = {"sieve": 0.3, "n-queens": 1e-6}.get(name, SCALE)
    told, counter = telling(-1, 1)
    with patch.object(Actor, "tell", told):
        await run(name, scale)
    last = next(counter) - 1
    for number in sorted({0, 1, 2, last // 3, last // 2, last - 1, last} & {*range(last + 1)}):
        told, _ = telling(number, times)
        with patch.object(Actor, "tell", told), pytest.raises(WrongResult, match=f"^{name} with"):
            await run(name, scale)


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "examples.savina", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_the_command_runs_all_of_them() -> None:
    done = command("--scale", "0.001")
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(SUITE)
    assert all("right" in line for line in done.stdout.splitlines())


@pytest.mark.parametrize("scale", ["nan", "0", "-1", "inf", "much"])
def test_the_scale_is_a_share(scale: str) -> None:
    done = command("--scale", scale)
    assert done.returncode == 2
    assert f"argument --scale: invalid share value: '{scale}'" in done.stderr


def test_the_command_knows_its_names() -> None:
    done = command("pong")
    assert done.returncode == 2
    assert "no such benchmark: pong; there are ping-pong, counting" in done.stderr
