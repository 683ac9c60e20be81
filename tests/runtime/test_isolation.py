"""What of the interpreter a process finds is the same wherever it runs, and it changes nothing of it for others."""

from __future__ import annotations

import asyncio
import decimal
import subprocess
import sys
import warnings
from decimal import getcontext
from typing import TYPE_CHECKING, Any

import pytest
from isolation_programs import SEEN, Hosting, Housing, Top, third

import runtime
from actors import GuardRefused, Root
from runtime.interpreter import DEPTH_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

THIRD = "0.3333333333333333333333333333"
ALONE = (THIRD, "nothing", decimal.ROUND_HALF_EVEN)
#: What `Sets` says at each stop.
SETS = [("0.33333", "its own"), ("0.33333", "its own"), ("0.333", "its own"), ("0.33333", "nothing")]

WAYS: dict[str, dict[str, Any]] = {
    "loop": {"placement": "loop", "gas": None},
    "worker": {"placement": "worker", "gas": None},
    "replayed": {"placement": "loop", "gas": None, "forget": True},
    "metered": {"placement": "loop", "gas": 10_000_000},
    "metered replayed": {"placement": "loop", "gas": 10_000_000, "forget": True},
}


@pytest.fixture
def host() -> Iterator[None]:
    """A host that has set all of it to something else."""
    getcontext().prec = 12
    decimal.DefaultContext.prec = 9
    decimal.DefaultContext.rounding = decimal.ROUND_UP
    decimal.DefaultContext.traps[decimal.Inexact] = True
    token = SEEN.set("the host's")
    yield
    assert getcontext().prec == 12
    assert SEEN.get() == "the host's"
    assert (decimal.DefaultContext.prec, decimal.DefaultContext.rounding) == (9, decimal.ROUND_UP)
    assert decimal.DefaultContext.traps[decimal.Inexact]
    SEEN.reset(token)
    decimal.DefaultContext.prec = 28
    decimal.DefaultContext.rounding = decimal.ROUND_HALF_EVEN
    decimal.DefaultContext.traps[decimal.Inexact] = False
    getcontext().prec = 28


async def told(name: str, way: str, times: int, values: Any = None, blocks: int = 1) -> Any:
    how = dict(WAYS[way])
    placement, gas = how.pop("placement"), how.pop("gas")
    async with runtime.Runtime(Top, workers=int(placement == "worker"), **how) as rt:
        data = [(await rt.advance({"what": (name, placement, gas, times, values)})).data for _ in range(blocks)]
        assert await rt.verify() == blocks
    return [tuple(one) for one, *_ in data], [rest for _, *rest in data]


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize("way", [way for way in WAYS if not way.startswith("metered")])
async def test_what_the_host_set_does_not_come_in_and_what_a_process_sets_does_not_get_out(way: str) -> None:
    steps, own = await told("Sets", way, 4)
    assert steps == [tuple((one, ALONE) for one in SETS)]
    assert own == [[THIRD, "nothing"]]
    assert third() == "0.333333333333"


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize("way", WAYS)
async def test_decimals_and_what_they_cost_do_not_depend_on_the_hosts_precision(way: str) -> None:
    steps, _ = await told("Divides", way, 2)
    assert [one[0] for one in steps[0]] == [THIRD, THIRD]


@pytest.mark.parametrize("sets", [False, True])
@pytest.mark.parametrize("way", [way for way in WAYS if not way.startswith("metered")])
def test_a_recursion_goes_as_deep_wherever_it_is_begun_and_gone_on_with(way: str, sets: bool) -> None:
    def beneath(levels: int) -> Any:
        return beneath(levels - 1) if levels else asyncio.run(told("Deep", way, 3, {"sets": sets}))

    before = sys.getrecursionlimit()
    found = [beneath(levels) for levels in (0, 100, 500)]
    # One of them is the function that recurses first.
    assert {one for steps, _ in found for one, _ in steps[0]} == {(DEPTH_MAX - 1,) * n for n in (1, 2, 3)}
    assert sys.getrecursionlimit() == before


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize("forget", [False, True])
@pytest.mark.parametrize("office", [Hosting, Housing])
async def test_an_actor_has_context_variables_of_its_own_wherever_it_is_and_after_a_restart(
    office: type[Root], forget: bool, tmp_path: Path
) -> None:
    data: list[Any] = []
    for n in range(3):
        async with runtime.Runtime(office, tmp_path / "a.db", workers=0, forget=forget) as rt:
            data.append((await rt.advance({"n": n})).data)
            await rt.verify()
    assert [tuple(one) for one in data] == [(None, THIRD), (None, THIRD), ((THIRD, "0.33333"), THIRD)]


def test_a_process_that_would_end_the_interpreter_fails_and_its_host_goes_on() -> None:
    script = """
import os
import runtime
from actors import Process, Root

class Ends(Process):
    async def run(self):
        os._exit(0)

class Top(Root):
    async def run(self):
        await self.put("c", program=Ends, start=True)
        return (await self.status("c")).error

async def main():
    async with runtime.Runtime(Top, workers=0) as rt:
        print((await rt.advance()).data)

runtime.run(main)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, "GuardRefused\n"), done.stderr


async def test_warnings_that_are_filtered_for_a_stretch_of_code_are_no_matter_to_others() -> None:
    class Filters(Root):
        async def run(self) -> Any:
            with pytest.raises(GuardRefused, match=r"warnings\.simplefilter"):
                warnings.simplefilter("ignore")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                warnings.warn("nobody is told", stacklevel=1)
            with pytest.raises(GuardRefused):
                warnings.resetwarnings()

    before = list(warnings.filters)
    async with runtime.Runtime(Filters, workers=0) as rt:
        await rt.advance()
    assert list(warnings.filters) == before


async def test_how_numpy_treats_errors_and_prints_is_not_the_hosts() -> None:
    numpy = pytest.importorskip("numpy", minversion="2.1")

    class Divides(Root):
        async def run(self) -> Any:
            with numpy.errstate(divide="ignore"):
                infinite = float(numpy.float64(1) / numpy.float64(0))
            numpy.seterr(under="raise")
            return infinite, numpy.geterr()["over"], str(numpy.array([1 / 3]))

    with numpy.errstate(over="raise"), numpy.printoptions(precision=2):
        async with runtime.Runtime(Divides, workers=0) as rt:
            assert tuple((await rt.advance()).data) == (float("inf"), "warn", "[0.33333333]")
        assert numpy.geterr()["under"] == "ignore"
