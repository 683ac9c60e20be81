"""The block's time: an input like any other, the one of the block in which an activation was started."""

from __future__ import annotations

from typing import Any

from gas_programs import Clerk, Office
from ways import every_way, make

from actors import CallRefused, Process, Root


async def test_an_activation_has_the_time_of_the_block_in_which_it_was_started() -> None:
    inputs = [
        {"do": "start", "time": 100},
        {"do": "", "time": 200},
        {"do": "go on", "time": 300},
        {"do": "", "time": 400},
        {"do": "look", "time": 500},
    ]
    *_, last = await every_way(Office, inputs, Clerk)
    assert last == (500, (100, 300, 300))


async def test_time_is_whatever_value_the_caller_hands_in() -> None:
    for time in (0, -1.5, "noon", ("2024-01-01", 7), {"s": 1}):
        (data,) = await every_way(Office, [{"do": "", "time": time}])
        assert data == time


async def test_without_one_the_call_is_refused_and_says_where_it_goes() -> None:
    class Child(Process):
        async def run(self) -> None:
            try:
                await self.now()
            except CallRefused as error:
                self.heap["said"] = str(error)

    class Top(Root):
        async def run(self) -> Any:
            await self.put("c", program=Child, start=True)
            return await self.get("c", "said")

    (block,) = await make(Top, [{}])
    assert block.data == (
        "now: the block in which /c was started has no time; put it into the block's input, "
        'under "time", or what the root\'s class has for time_key'
    )


async def test_the_key_is_the_roots_to_name() -> None:
    class Top(Root):
        time_key = ("header", "timestamp")

        async def run(self) -> Any:
            return await self.now()

    blocks = await make(Top, [{("header", "timestamp"): 7}])
    assert blocks[0].data == 7
