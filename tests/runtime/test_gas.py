"""Gas as the kernel counts it: what is charged, handed down, given back, summed; and that it is the same every way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from gas_programs import Busy, Household, Late, Patient, Rich, Sharing, Winder
from ways import every_way, make

import runtime
from actors import BlockFailed, CallRefused, Process, Root

if TYPE_CHECKING:
    from pathlib import Path

CHILDREN = (("a", 100, 400), ("b", 200, None), ("c", 50, 300))


async def test_at_every_gas_a_process_is_back_at_its_snapshot_and_a_retry_ends_as_if_it_had_had_enough_at_first() -> (
    None
):
    ((took, log),) = await every_way(Patient, [{"step": 1}])
    ((rich, same),) = await every_way(Rich, [{"step": 1}], Busy)
    assert log == same
    assert [(used, middle) for _, used, middle in took] == list(rich)
    first, second = (gas for gas, _, _ in took)
    assert first == rich[0][0]
    # The second hands down more than it uses in the end.
    assert rich[1][0] < second < rich[1][0] + 300


async def test_what_is_handed_down_comes_back_but_for_what_was_used() -> None:
    plenty = {"children": CHILDREN, "gas": 10**6}
    ((kind, used, children),) = await every_way(Household, [plenty], Sharing)
    assert kind == "RETURNED"
    assert [kind for kind, _ in children] == ["RETURNED"] * 3
    assert all(gas > cost for (_, gas), (_, cost, _) in zip(children, CHILDREN, strict=True))
    assert used > sum(gas for _, gas in children)
    exact, less = {**plenty, "gas": used}, {**plenty, "gas": used - 1}
    # What "a" and "c" were lent is out until they are waited for, so that what is enough in the end is not enough then.
    ((enough, short),) = [await every_way(Household, [exact, less], Sharing)]
    assert (short[0], short[1], short[2]) == ("OUT_OF_GAS", used - 1, None)
    assert enough[0] in ("RETURNED", "OUT_OF_GAS")


async def test_a_process_that_hands_down_more_than_it_has_is_out_of_gas_itself() -> None:
    ((kind, used, children),) = await every_way(Household, [{"children": (("a", 1, 10_000),), "gas": 5_000}], Sharing)
    assert (kind, used, children) == ("OUT_OF_GAS", 5_000, None)


async def test_children_without_gas_of_their_own_run_on_what_is_left_one_after_the_other() -> None:
    drawing = tuple((name, 1_000, None) for name in "abc")
    ((kind, used, children),) = await every_way(Household, [{"children": drawing, "gas": 10**6}], Sharing)
    assert kind == "RETURNED" and used > 3_000
    assert len({gas for _, gas in children}) == 1
    ((kind, used, _),) = await every_way(Household, [{"children": drawing, "gas": 2_500}], Sharing)
    assert (kind, used) == ("OUT_OF_GAS", 2_500)


async def test_a_child_that_runs_out_is_charged_all_it_had_and_its_parent_goes_on() -> None:
    ((kind, used, children),) = await every_way(
        Household, [{"children": (("a", 1_000, 900), ("b", 1, 900)), "gas": 10**6}], Sharing
    )
    assert kind == "RETURNED"
    assert children[0] == ("OUT_OF_GAS", 900) and children[1][0] == "RETURNED"
    assert used > 900 + children[1][1]


async def test_what_nobody_waited_for_is_spent() -> None:
    waited = {"children": (("a", 10, 700),), "gas": 10**6}
    dropped = {**waited, "waits": (), "drops": ("a",)}
    left = {**waited, "waits": ()}
    blocks = await every_way(Household, [waited, dropped, left], Sharing)
    used = [gas for _, gas, _ in blocks]
    assert used[1] > 700 and used[2] > 700 and used[0] < 700


async def test_the_root_counts_what_it_dropped_unseen() -> None:
    class Dropping(Root):
        async def run(self) -> None:
            await self.put("s", {"children": ()}, program=Sharing, start=True, gas=777)
            await self.drop("s")

    (block,) = await make(Dropping, [{}])
    assert block.gas_used == 777


async def test_blocks_sum_what_was_used_and_name_the_cost_table() -> None:
    one = {"children": CHILDREN, "gas": 10**6}
    blocks = await make(Household, [one, one, {"children": (), "gas": None}])
    assert [block.gas_used for block in blocks] == [blocks[0].data[1], blocks[1].data[1], 0]
    assert [block.costs for block in blocks] == [1, 1, None]


async def test_children_left_behind_draw_on_the_meter_of_whoever_waits_for_them() -> None:
    start = {"do": "start", "gas": 10_000}
    *_, again = await every_way(Late, [start, {"do": ""}, {"do": "again", "gas": 5_000}], Sharing)
    used, children = again
    assert [kind for kind, _ in children] == ["RETURNED", "RETURNED"]
    assert children[0][1] < used < 5_000  # "y" was paid for when it was started
    *_, poor = await every_way(Late, [start, {"do": "again", "gas": 5_000}], Sharing)
    assert poor == again
    with pytest.raises(BlockFailed, match="OutOfGas"):
        await make(Late, [start, {"do": "again", "gas": 40}])
    *_, free = await every_way(Late, [start, {"do": "again", "gas": None}], Sharing)
    assert free[1][0] == ("RETURNED", 0)


async def test_charge_takes_gas_and_refuses_what_is_none() -> None:
    class Charging(Process):
        async def run(self) -> None:
            for wrong in (-1, 1.5, True, None):
                try:
                    self.charge(wrong)  # type: ignore[arg-type]
                except CallRefused as error:
                    assert str(error).startswith("charge: gas is")
                else:
                    raise AssertionError(wrong)
            self.charge(10**30)
            self.heap["here"] = True

    class Top(Root):
        async def run(self) -> Any:
            await self.put("c", program=Charging, start=True)
            await self.get("c", "here")
            await self.put("c", program=Charging, start=True, gas=2**62)
            return (await self.status("c")).kind.name

    (block,) = await make(Top, [{}])
    assert block.data == "OUT_OF_GAS"


def shown(view: runtime.ProcessView) -> Any:
    """What a process is, but for what its last activation came to."""
    return (
        view.heap.digest(),
        view.program,
        view.trap.middle,
        {name: shown(child) for name, child in view.children.items()},
    )


async def test_out_of_gas_at_every_tick_leaves_what_there_was_bit_for_bit() -> None:
    async with runtime.Runtime(Winder, workers=0) as rt, runtime.Runtime(Winder, workers=0) as undisturbed:
        for fed in (True, False):
            await rt.advance({"fed": fed, "new": fed})
            await undisturbed.advance({"fed": fed, "new": fed})
            before = shown(rt.state().at("/w"))
            _, enough, middle = (await undisturbed.advance({"gas": 10**9})).data
            assert middle is fed
            for gas in range(enough):
                block = await rt.advance({"gas": gas})
                assert block.data[:2] == ("OUT_OF_GAS", gas)
                assert block.gas_used == gas
                assert shown(rt.state().at("/w")) == before
            assert (await rt.advance({"gas": enough})).data == ("RETURNED", enough, middle)
            assert shown(rt.state().at("/w")) == shown(undisturbed.state().at("/w"))
        assert await rt.verify() == rt.head.number


async def test_a_reorg_agrees_on_gas_with_what_ran_before(tmp_path: Path) -> None:
    start, again = {"children": CHILDREN, "gas": 10**6}, {"children": CHILDREN[:1], "gas": 10**6}
    with patch.object(Sharing, "placement", "worker"):
        async with runtime.Runtime(Household, tmp_path / "a.db", workers=2) as rt:
            first = [await rt.advance(start), await rt.advance(again)]
            await rt.revert(0)
            assert [(await rt.advance(value)).hash for value in (start, again)] == [block.hash for block in first]
            await rt.revert(1)
            other = await rt.advance({**again, "gas": 10**6 - 1})
            assert (other.data, other.gas_used) == (first[1].data, first[1].gas_used)
            assert other.hash != first[1].hash
            assert await rt.verify() == 2
