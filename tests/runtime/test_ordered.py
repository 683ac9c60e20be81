"""Ordered transactions: the result of every list is the sequential one, whatever runs beside what, and wherever."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import ordered_programs as programs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ways import every_way

import runtime
from actors.values import encode, freeze
from runtime.stepper import Shuffle

if TYPE_CHECKING:
    from collections.abc import Iterator

KEYS = st.one_of(st.integers(0, 4), st.tuples(st.just("q"), st.integers(0, 3)), st.sampled_from(["max", "set"]))
SMALL = st.integers(-3, 6)
VALUES = st.one_of(SMALL, SMALL, st.sampled_from(["text", None, "long" * 2_000]))
REGIONS = st.sampled_from([((),), ("q",), ("q", 1), ("q", None, 2), ("q", 1, 3), ((), 0, 3), ("log",), ("none",)])
OPERATIONS = st.one_of(
    st.tuples(st.sampled_from(["get", "read", "in", "del", "pop"]), KEYS),
    st.tuples(st.sampled_from(["set", "default", "later"]), KEYS, VALUES),
    st.tuples(st.just("copy"), KEYS, KEYS),
    st.tuples(st.just("follow"), st.integers(0, 4), SMALL),
    st.tuples(st.just("update"), st.tuples(KEYS, VALUES), st.tuples(KEYS, VALUES)),
    st.tuples(st.sampled_from(["add", "least", "spend"]), KEYS, SMALL),
    st.tuples(st.sampled_from(["add", "least", "spend"]), KEYS, SMALL),
    st.tuples(st.sampled_from(["max", "set in"]), SMALL),
    st.tuples(st.just("log"), st.integers(0, 1), SMALL),
    st.tuples(st.just("none"), KEYS, SMALL),
    st.tuples(st.just("some"), REGIONS, st.booleans(), st.integers(0, 3)),
    st.tuples(st.sampled_from(["keys", "last", "take first", "count", "clear"]), REGIONS),
    st.tuples(st.just("sum"), st.just("q")),
    st.sampled_from([("len",), ("sorted",), ("refuse",), ("add", 0, "text"), ("grow", 0), ("set", 1, object)]),
)
#: What transactions say of themselves may be right, wrong, or nothing.
HINTS = st.one_of(st.none(), st.lists(KEYS, max_size=3).map(tuple))
TRANSACTION = st.tuples(HINTS, st.lists(OPERATIONS, min_size=1, max_size=4).map(tuple))
#: Such as are mostly done side by side.
PAYMENT = st.builds(
    lambda one, other, amount, hint: (
        ((one, other), None, ())[hint],
        (("spend", one, amount), ("in", other), ("add", other, amount)),
    ),
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(0, 3),
    st.integers(0, 2),
)
LISTS = st.one_of(st.lists(TRANSACTION, max_size=25), st.lists(st.one_of(PAYMENT, PAYMENT, TRANSACTION), max_size=60))


def plainly(lists: Any) -> Any:
    """Nothing but values is given to blocks: what no heap takes is made where it is used."""
    return [
        tuple((hint, tuple(one for one in code if one[-1] is not object)) for hint, code in transactions)
        for transactions in lists
    ]


#: Lists in several blocks; the first has something to go on.
BLOCKS = st.lists(LISTS, min_size=1, max_size=2).map(plainly)
START = ((None, (("update", *((key, 5) for key in range(5)), *((("q", key), key) for key in range(4))),)),)

_HOSTILE = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@contextmanager
def policy(window: int = 64, stretch: int = 32, depth: int = 2, rebase: int = 256) -> Iterator[None]:
    """Other constants, so that short lists come to what long ones do."""
    with ExitStack() as stack:
        for name, value in (("WINDOW_FIRST", window), ("STRETCH_FIRST", stretch), ("DEPTH", depth), ("REBASE", rebase)):
            stack.enter_context(patch(f"actors.ordered.{name}", value))
        stack.enter_context(patch("actors.ordered.FEW", 4))
        yield


def modelled(blocks: list[Any], region: Any = ()) -> list[Any]:
    heap, told = programs.empty(), []
    for transactions in blocks:
        results = tuple(programs.model(heap, transactions))
        told.append((results, tuple(heap.items(region))))
    return told


async def made(blocks: list[Any], groups: int, region: Any = "state", **how: Any) -> list[Any]:
    async with runtime.Runtime(programs.Ordered, genesis={"other": 1}, **how) as rt:
        return [
            (await rt.advance({"transactions": transactions, "groups": groups, "region": region})).data
            for transactions in blocks
        ]


def same(one: Any, other: Any) -> bool:
    return encode(freeze(one)) == encode(freeze(other))


def check(blocks: list[Any], found: list[Any]) -> None:
    for (results, heap, kept), (expected, left) in zip(found, modelled(blocks), strict=True):
        for number, (one, other) in enumerate(zip(results, expected, strict=True)):
            assert same(one, other), (number, one, other)
        assert same(heap, left)
        assert kept


@settings(max_examples=400, deadline=None, suppress_health_check=_HOSTILE)
@given(
    blocks=BLOCKS,
    groups=st.integers(1, 4),
    constants=st.tuples(
        st.sampled_from([4, 16, 64]), st.sampled_from([2, 32]), st.integers(1, 4), st.sampled_from([0, 256])
    ),
)
def test_every_list_has_its_sequential_result(
    runner: asyncio.Runner, blocks: list[Any], groups: int, constants: Any
) -> None:
    blocks = [START, *blocks]
    with policy(*constants):
        check(blocks, runner.run(made(blocks, groups, workers=0)))
