"""Random teams, with teams in them, barriers, reductions, conflicts and failures, held against a sequential model.

The model runs each member to its barrier at once, on a plain dict (`team_model`); the machine gives the same heap, and the
same blocks in every order of its agenda, when everything is restored from its journal, and on workers.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import workspace_programs as programs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from team_model import Runner, same
from ways import every_way

import runtime
from actors import BlockFailed
from runtime.stepper import Shuffle

if TYPE_CHECKING:
    from collections.abc import Iterator

KEYS = st.sampled_from(["x", "y", "z", "w"])
SMALL = st.integers(0, 5)
PLAIN = st.one_of(
    st.tuples(st.just("set"), KEYS, SMALL),
    st.tuples(st.just("copy"), KEYS, KEYS),
    st.tuples(st.just("delete"), KEYS),
    st.tuples(st.just("add"), SMALL),
    st.tuples(st.just("low"), SMALL, SMALL),
    st.tuples(st.just("include"), SMALL),
    st.tuples(st.just("append"), SMALL),
)
OWN = st.lists(PLAIN, max_size=2).map(tuple)


def codes(inner: Any) -> Any:
    """Members that may lead teams of such members."""
    team = st.tuples(st.just("team"), st.lists(inner, min_size=1, max_size=3).map(tuple), OWN)
    # What fails is rare: mostly it ends all that is interesting.
    step = st.one_of(PLAIN, PLAIN, PLAIN, st.just(("barrier",)), team)
    last = st.sampled_from([(), (), (), (), (), (("fail",),)])
    return st.tuples(st.lists(step, max_size=4).map(tuple), last).map(lambda two: two[0] + two[1])


MEMBERS = st.recursive(st.lists(PLAIN, max_size=3).map(tuple), codes, max_leaves=6)
TEAM = st.tuples(st.just("team"), st.lists(MEMBERS, min_size=1, max_size=4).map(tuple), OWN)
ROOTS = st.lists(st.one_of(PLAIN, TEAM, TEAM), min_size=1, max_size=4).map(tuple)

_HOSTILE = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


def modelled(blocks: list[Any]) -> list[Any]:
    """Return the root's heap after every block, as `Teams` tells it."""
    heap: dict[Any, Any] = {}
    told = []
    for code in blocks:
        for _ in Runner((), heap).run(code):
            raise AssertionError("the root has no barriers")
        told.append(dict(heap))
    return told


async def made(blocks: list[Any], **how: Any) -> list[runtime.Block]:
    async with runtime.Runtime(programs.Teams, workers=0, **how) as rt:
        return [await rt.advance({"code": code}) for code in blocks]


def check(data: Any, expected: dict[Any, Any]) -> None:
    found = dict(data)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert same(found[key], value), (key, found[key], value)


@settings(max_examples=40, deadline=None, suppress_health_check=_HOSTILE)
@given(blocks=st.lists(ROOTS, min_size=1, max_size=2))
def test_random_teams_do_what_the_model_does_in_every_order(runner: asyncio.Runner, blocks: list[Any]) -> None:
    check_every_order(runner, blocks)


@pytest.mark.long
@settings(max_examples=300, deadline=None, suppress_health_check=_HOSTILE)
@given(blocks=st.lists(ROOTS, min_size=1, max_size=2))
def test_many_random_teams_do_what_the_model_does_in_every_order(runner: asyncio.Runner, blocks: list[Any]) -> None:
    check_every_order(runner, blocks)


def check_every_order(runner: asyncio.Runner, blocks: list[Any]) -> None:
    first = runner.run(made(blocks))
    for block, expected in zip(first, modelled(blocks), strict=True):
        check(block.data, expected)
    for how in ({"order": Shuffle(3)}, {"order": Shuffle(4), "forget": True}):
        assert [block.hash for block in runner.run(made(blocks, **how))] == [block.hash for block in first]


@pytest.mark.long
@settings(max_examples=40, deadline=None, suppress_health_check=_HOSTILE)
@given(blocks=st.lists(ROOTS, min_size=1, max_size=2))
def test_random_teams_do_the_same_in_every_way(runner: asyncio.Runner, blocks: list[Any]) -> None:
    data = runner.run(every_way(programs.Teams, [{"code": code} for code in blocks], programs.Member))
    for one, expected in zip(data, modelled(blocks), strict=True):
        check(one, expected)


def test_the_root_has_no_barrier(runner: asyncio.Runner) -> None:
    with pytest.raises(BlockFailed, match="the root has no parent to return to"):
        runner.run(made([(("barrier",),)]))
