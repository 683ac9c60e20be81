"""Ordered transactions: the result of every list is the sequential one, whatever runs beside what, and wherever."""

from __future__ import annotations

import asyncio
import sys
from contextlib import ExitStack, contextmanager
from random import Random
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import ordered_programs as programs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_worker_model import killing
from ways import every_way

import runtime
from actors import CallRefused, Process, ProgramError, Root, ValueRefused, ordered
from actors.freezing import freeze
from actors.values import encode
from runtime.stepper import Shuffle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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


async def bounded(self: Any, wave: Any, how: Any) -> None:
    """Send a wave, of which there are never so many that it would not come to an end."""
    self.sent = getattr(self, "sent", 0) + 1
    assert self.sent < 20 * self._count + 100
    await SEND(self, wave, how)


SEND = ordered._List._send


@contextmanager
def policy(window: int = 64, stretch: int = 32, depth: int = 2, reread: int = 16) -> Iterator[None]:
    """Other constants, so that short lists come to what long ones do."""
    with ExitStack() as stack:
        for name, value in (("ordered.DEPTH", depth), ("ordered.REREAD", reread)):
            stack.enter_context(patch(f"actors.{name}", value))
        for name, value in (("WINDOW_FIRST", window), ("STRETCH_FIRST", stretch), ("LOOK", 4)):
            stack.enter_context(patch(f"actors.pace.{name}", value))
        stack.enter_context(patch.object(ordered._List, "_send", bounded))
        yield


def modelled(blocks: list[Any], region: Any = ()) -> list[Any]:
    heap, told = programs.empty(), []
    for transactions in blocks:
        results = tuple(programs.model(heap, transactions))
        told.append((results, tuple(heap.items(region))))
    return told


async def made(blocks: list[Any], groups: int, region: Any = "state", **how: Any) -> list[Any]:
    async with runtime.Runtime(programs.Ordered, **how) as rt:
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


listed = given(
    blocks=BLOCKS,
    groups=st.integers(1, 4),
    constants=st.tuples(
        st.sampled_from([4, 16, 64]), st.sampled_from([2, 32]), st.integers(1, 4), st.sampled_from([0, 16])
    ),
)


def check_listed(runner: asyncio.Runner, blocks: list[Any], groups: int, constants: Any) -> None:
    blocks = [START, *blocks]
    with policy(*constants):
        check(blocks, runner.run(made(blocks, groups, workers=0)))


@settings(max_examples=120, deadline=None, suppress_health_check=_HOSTILE)
@listed
def test_every_list_has_its_sequential_result(
    runner: asyncio.Runner, blocks: list[Any], groups: int, constants: Any
) -> None:
    check_listed(runner, blocks, groups, constants)


@pytest.mark.long
@settings(max_examples=800, deadline=None, suppress_health_check=_HOSTILE)
@listed
def test_every_one_of_many_lists_has_its_sequential_result(
    runner: asyncio.Runner, blocks: list[Any], groups: int, constants: Any
) -> None:
    check_listed(runner, blocks, groups, constants)


def dense(draw: Random) -> Any:
    """A list of small transactions that say nothing of what they touch, or that it is nothing."""
    hint, busy, keys = draw.choice([None, ()]), draw.choice([0.4, 0.8]), draw.choice([5, 8, 12, 20])
    operations = draw.choice(["set get choose", "set get choose copy", "set get choose follow add"]).split()

    def code() -> Any:
        key, other, value = draw.randrange(keys), draw.randrange(keys), draw.randrange(6)
        operands = {"get": (key,), "choose": (key, other), "copy": (key, other)}
        operation = draw.choice(operations)
        return (operation, *operands.get(operation, (key, value)))

    return tuple((hint, (code(),) if draw.random() < busy else ()) for _ in range(draw.randrange(24, 120)))


def check_dense(runner: asyncio.Runner, seeds: range) -> None:
    for seed in seeds:
        draw = Random(seed)
        blocks, groups = [dense(draw)], draw.choice([2, 3, 4, 8])
        check(blocks, runner.run(made(blocks, groups, workers=0)))


def test_what_was_foretold_and_then_changed_by_one_in_the_same_group_holds_no_longer(runner: asyncio.Runner) -> None:
    step = {"none": (), "first": (("update", ("a", 3), ("b", 1)),), "if set": (("choose", "a", "k"),)}
    step |= {"set": (("set", "k", 5),), "b": (("get", "b"),), "k": (("get", "k"),)}
    order = ["first", "if set", "set", "b", "none", "k", *["none"] * 6]
    for hint in (None, ()):
        blocks = [tuple((hint, step[name]) for name in order)]
        for groups in (1, 2, 3, 4):
            check(blocks, runner.run(made(blocks, groups, workers=0)))


def test_every_dense_list_has_its_sequential_result(runner: asyncio.Runner) -> None:
    check_dense(runner, range(400))


@pytest.mark.long
def test_every_one_of_many_dense_lists_has_its_sequential_result(runner: asyncio.Runner) -> None:
    check_dense(runner, range(1_000, 3_500))


@pytest.mark.long
@settings(max_examples=8, deadline=None, suppress_health_check=_HOSTILE)
@given(blocks=BLOCKS)
def test_every_list_has_its_sequential_result_in_every_way(runner: asyncio.Runner, blocks: list[Any]) -> None:
    inputs = [{"transactions": one, "groups": 3, "region": "state"} for one in (START, *blocks)]
    with policy(window=8, stretch=4):
        check([START, *blocks], runner.run(every_way(programs.Ordered, inputs, programs.Scripted)))


@settings(max_examples=25, deadline=None, suppress_health_check=_HOSTILE)
@given(blocks=BLOCKS)
def test_a_process_that_stands_in_its_middle_does_the_same_when_it_is_restored(
    runner: asyncio.Runner, blocks: list[Any]
) -> None:
    async def kept(**how: Any) -> list[Any]:
        async with runtime.Runtime(programs.Keeper, workers=0, **how) as rt:
            return [(await rt.advance(one)).data for one in [START, *blocks]]

    for how in ({}, {"forget": True}, {"order": Shuffle(1), "forget": True}):
        found = runner.run(kept(**how))
        check([START, *blocks], [(*data, True) for data in found])


@pytest.mark.long
async def test_lists_have_their_sequential_result_while_workers_are_killed(tmp_path: Path) -> None:
    for seed in range(12):
        draw = Random(seed)
        blocks = [START, *[payments(draw, 300) for _ in range(2)]]
        async with runtime.Runtime(
            programs.Ordered, store=tmp_path / f"{seed}.db", workers=draw.choice([1, 2, 3])
        ) as rt:
            killer = asyncio.create_task(killing(rt, draw))
            found = [
                (await rt.advance({"transactions": one, "groups": draw.choice([1, 2, 4]), "region": "state"})).data
                for one in blocks
            ]
            killer.cancel()
            check(blocks, found)
            await rt.verify()


def payments(draw: Random, count: int, accounts: int = 10) -> Any:
    """Transactions that say, or do not, what they touch."""
    made = []
    for _ in range(count):
        one, other = draw.sample(range(accounts), 2)
        hint = draw.choice([(one, other), None, ()])
        made.append((hint, (("spend", one, draw.randrange(3)), ("in", other), ("copy", ("q", one), other))))
    return tuple(made)


async def test_transactions_that_touch_different_keys_are_run_once_and_side_by_side() -> None:
    waves: list[list[int]] = []
    send = ordered._List._send

    async def noted(self: Any, wave: Any, how: Any) -> None:
        waves.append([len(places) for places in wave.groups])
        await send(self, wave, how)

    transactions = tuple(((key,), (("get", key), ("set", key, 1))) for key in range(1_000))
    with patch.object(ordered._List, "_send", noted):
        check([transactions], await made([transactions], 4, workers=0))
    assert sum(map(sum, waves)) == 1_000
    assert all(len(wave) == 4 for wave in waves) and len(waves) < 12


async def test_transactions_that_all_touch_one_key_are_run_once_in_long_stretches() -> None:
    waves: list[list[int]] = []
    send = ordered._List._send

    async def noted(self: Any, wave: Any, how: Any) -> None:
        waves.append([len(places) for places in wave.groups])
        await send(self, wave, how)

    transactions = tuple(((0,), (("copy", 0, 0), ("follow", 0, key))) for key in range(1_000))
    with patch.object(ordered._List, "_send", noted):
        check([transactions], await made([transactions], 4, workers=0))
    assert sum(map(sum, waves)) == 1_000
    assert all(len(wave) == 1 for wave in waves) and len(waves) < 10


async def test_without_hints_dense_conflicts_cost_little_more_than_one_run_each() -> None:
    runs = 0
    send = ordered._List._send

    async def noted(self: Any, wave: Any, how: Any) -> None:
        nonlocal runs
        runs += sum(map(len, wave.groups))
        await send(self, wave, how)

    transactions = tuple((None, (("get", 0), ("follow", 0, key))) for key in range(2_000))
    with patch.object(ordered._List, "_send", noted):
        check([transactions], await made([transactions], 4, workers=0))
    assert runs < 1.15 * 2_000


async def tried(*lists: Any, **how: Any) -> Any:
    async with runtime.Runtime(programs.Trying, workers=0, **how) as rt:
        block = await rt.advance(lists)
        assert not rt.state().children, "no child is left"
        await rt.verify()
    return block.data


@pytest.fixture
def usual_recursion_limit() -> Iterator[None]:
    """Packages that other tests import raise it a hundredfold, and then what is too deep takes half a minute to be so."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(2_000)
    yield
    sys.setrecursionlimit(limit)


@pytest.mark.usefixtures("usual_recursion_limit")
async def test_what_is_no_refusal_fails_the_list_in_its_turn_and_leaves_the_heap_as_it_was() -> None:
    sound = [("a", number) for number in range(20)]
    data = await tried(
        (None, [*sound, ("deep", 0), *sound]),
        (None, [*sound, ("clock", 0), *sound]),
        (None, sound),
        (50_000, [*sound, ("charge", 10_000_000), *sound]),
        (50_000, [("charge", 20_000)] * 5),
        (None, []),
    )
    assert data == (
        ("ChildFailed", "RecursionError", 0),
        ("ChildFailed", "GuardRefused", 0),
        ("a",) * 20,
        ("OutOfGas", "OutOfGas", 20),
        ("charge",) * 5,
        (),
    )


async def test_long_values_travel() -> None:
    assert await tried((None, [("long", 1), ("long", 2), ("a", 3)])) == ((100_000, 100_000, "a"),)


async def test_what_has_no_place_in_a_transaction_is_refused() -> None:
    data = await tried((None, [("view", 1), ("random", 1), ("spoil", 1), ("spoilt", 1)]))
    assert data == ((("refused", "ValueRefused"), ("refused", "CallRefused"), "spoil", (False, True, ())),)


async def test_wrong_arguments_are_refused_before_anything_happens() -> None:
    class Plain(Process):
        async def run(self) -> None: ...

    class Wrong(Root):
        async def run(self) -> None:
            for program in (Plain, None, Plain()):
                with pytest.raises(ProgramError, match=r"transact: .* is no program of transactions"):
                    await self.transact(program, [])  # type: ignore[arg-type]
            for groups in (0, True, 1.5):
                with pytest.raises(CallRefused, match="transact: groups is"):
                    await self.transact(programs.Scripted, [], groups=groups)  # type: ignore[arg-type]
            with pytest.raises(ValueRefused):
                await self.transact(programs.Scripted, [((), object())])

    async with runtime.Runtime(Wrong, workers=0) as rt:
        await rt.advance({})


async def test_a_metered_process_pays_the_same_wherever_its_groups_run(tmp_path: Path) -> None:
    transactions = payments(Random(3), 200)
    blocks = []
    for how in ({"workers": 0}, {"workers": 2, "store": tmp_path / "a.db"}, {"workers": 0, "order": Shuffle(2)}):
        async with runtime.Runtime(programs.Paying, **how) as rt:
            blocks.append(await rt.advance(transactions))
    results, gas = blocks[0].data
    assert results == tuple(programs.model(programs.empty(), transactions)) and gas > 10_000
    assert {block.hash for block in blocks} == {blocks[0].hash}
