"""Calls, retry ladders and supervision: which tries are made and when, what is left in the heap, in every way."""

from __future__ import annotations

from typing import Any

import pytest
from supervision_programs import Caller, Escalating, Retrier, Supervisor, Work
from ways import every_way, make

from actors import CallRefused, Ladder, NoSuchChild, Process, Root, Trap, TrapKind


def out_of_gas(gas: int) -> Trap:
    return Trap(TrapKind.OUT_OF_GAS, "OutOfGas", gas)


async def test_a_call_puts_starts_and_gets_and_the_child_stays() -> None:
    expected = (0, 2, 4, 20, ("out of gas", "OutOfGas"), ("failed", "ValueError"))
    (told,) = await every_way(Caller, [{}], Work)
    assert tuple(told) == expected


async def test_a_call_raises_where_the_program_wrote_no_result_even_if_it_once_did() -> None:
    class Once(Process):
        async def run(self) -> None:
            if "never" not in self.heap:
                self.heap["result"] = 1

    class Top(Root):
        async def run(self) -> Any:
            first = await self.call("once", Once)
            with pytest.raises(KeyError, match="no key 'result' in the heap of /once"):
                await self.call("once", never=True)
            return first

    (block,) = await make(Top, [{}])
    assert block.data == 1


async def test_a_retry_gives_more_gas_until_it_is_enough() -> None:
    inputs = [
        {"cost": 10, "broken": False, "first": 500},  # at once
        {"cost": 1_000, "broken": False, "first": 100},  # at the second more
        {"cost": 1_000, "broken": False, "first": 150},  # the first more is none
        {"cost": 10**6, "broken": False, "first": 100},  # never
        {"cost": 10, "broken": True, "first": 500},  # not for want of gas
        {"cost": 1_000, "broken": True, "first": 100},
        {"cost": 10, "broken": False, "first": None},
    ]
    assert await every_way(Retrier, inputs, Work) == [
        ("RETURNED", 42),
        ("RETURNED", 42),
        ("RETURNED", 42),
        ("out of gas", "OutOfGas", 15_000),
        *[("failed", "ValueError", gas) for _, _, gas in (await every_way(Retrier, inputs[4:6]))],
        ("RETURNED", 42),
    ]


async def test_a_ladder_is_climbed_over_blocks_and_stands_in_the_heap() -> None:
    start = {"start": {"cost": 3_000}}
    # 100 at its start, 200 at once, then a call's wait; 2,000 at the next, then two calls' wait; 20,000 at the second.
    told = await every_way(Supervisor, [start, {}, {}, {}, {}], Work)
    assert [(state, gas, tries, left) for state, _, gas, tries, left in told[:3]] == [
        ("waiting", 200, 1, (1, 1)),
        ("waiting", 2_000, 2, (2, 2)),
        ("waiting", 2_000, 2, (2, 1)),
    ]
    assert told[3][:2] == ("done", "RETURNED") and 3_000 < told[3][2] < 20_000 and told[3][3:] == (3, None)
    assert told[4][:2] == ("done", "RETURNED") and told[4][3:] == (0, None)


async def test_a_ladder_gives_up_stays_given_up_and_begins_anew_once_the_child_did_well() -> None:
    start = {"start": {"cost": 10**6}}
    blocks = [start, {}, {}, {}, {}, {}, {"start": {"cost": 1}}, start]
    told = await every_way(Supervisor, blocks, Work)
    assert [(state, tries) for state, _, _, tries, _ in told] == [
        ("waiting", 1),
        ("waiting", 2),
        ("waiting", 2),
        ("given up", 3),
        ("given up", 3),
        ("given up", 3),
        ("done", 3),
        ("waiting", 1),
    ]
    assert told[3][4] == (3, -1) and told[6][4] is None


async def test_what_failed_by_an_exception_is_tried_after_a_back_off_or_with_other_values_alone() -> None:
    start = {"start": {"broken": True}}
    # The first rung has no back-off, so that it would fail again at once; the second waits for a call.
    waiting, given_up, *_ = await every_way(Supervisor, [start, {}, {}, {}], Work)
    assert (waiting[0], waiting[4]) == ("waiting", (1, 1))
    assert (given_up[0], given_up[3], given_up[4]) == ("waiting", 2, (2, 2))
    _, mended = await every_way(Supervisor, [start, {"mend": {"broken": False}}], Work)
    assert (mended[0], mended[3], mended[4]) == ("done", 2, None)
    (other,) = await every_way(Supervisor, [{**start, "values": {"broken": False}}], Work)
    assert (other[0], other[3], other[4]) == ("done", 1, None)


async def test_what_escalates_fails_the_supervisor_whose_ladder_goes_back_with_its_heap() -> None:
    # The exception in "middle" would come again, so that its own supervisor gives it up without a try.
    assert await every_way(Escalating, [{"cost": 10**6}], Work) == [("given up", "OutOfGas", (0, -1), "done", 0, False)]


async def test_who_was_never_started_is_not_supervised() -> None:
    class Top(Root):
        async def run(self) -> None:
            with pytest.raises(NoSuchChild):
                await self.supervise("work", Ladder())
            await self.put("work", program=Work)
            with pytest.raises(CallRefused, match="'work' was never started"):
                await self.supervise("work", Ladder())

    await make(Top, [{}])


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"gas": (5, 5)}, "gas is"),
        ({"gas": (5, 4)}, "gas is"),
        ({"gas": (-1,)}, "gas is"),
        ({"gas": (True,)}, "gas is"),
        ({"backoff": (-1,)}, "backoff is"),
        ({"backoff": (0.5,)}, "backoff is"),
        ({"tries": -1}, "tries is"),
        ({"then": "panic"}, "then is"),
    ],
)
def test_a_ladder_that_is_none_is_refused(wrong: Any, told: str) -> None:
    with pytest.raises(CallRefused, match=f"Ladder: {told}"):
        Ladder(**wrong)


def test_the_next_rung_is_one_that_may_end_otherwise() -> None:
    ladder = Ladder(gas=(10, 100, 1_000))
    assert [ladder.next(0, out_of_gas(gas), False) for gas in (5, 10, 99, 100, 1_000)] == [0, 1, 1, 2, None]
    assert ladder.next(2, out_of_gas(5), False) == 2 and ladder.next(3, out_of_gas(5), False) is None
    failed, host = Trap(TrapKind.FAILED, "ValueError", 3), Trap(TrapKind.HOST_FAULT, "WorkerDied")
    assert ladder.next(0, failed, False) is None and ladder.next(1, failed, True) == 1
    assert ladder.next(1, host, False) == 1
    assert Ladder(backoff=(0, 3)).next(0, failed, False) == 1
    # Without gas of its own, a ladder never starts without a meter what ran out of one.
    assert Ladder(backoff=(1,)).next(0, out_of_gas(5), True) is None
    assert [Ladder().rungs, Ladder(gas=(1, 2)).rungs, Ladder(backoff=(1,) * 4).rungs, Ladder(tries=0).rungs] == [
        3,
        2,
        4,
        0,
    ]
    assert [Ladder(gas=(1, 2)).gas_at(rung) for rung in range(4)] == [1, 2, 2, 2]
