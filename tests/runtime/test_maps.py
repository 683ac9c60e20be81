"""map, map_reduce, pipeline; and processes that keep no journal."""

from __future__ import annotations

from typing import Any

import pytest
from map_programs import Journalist, Mapper, Nested, OnePiece, Piped, Square, Total
from ways import every_way, make, make_data

import runtime
from actors import (
    BlockFailed,
    CallRefused,
    ChildFailed,
    Limits,
    MissingKey,
    NoSuchChild,
    OutOfGas,
    Process,
    ProgramError,
    Root,
)
from runtime.record import NO_JOURNAL

SQUARES = ["ValueError" if n == 13 else n * n for n in range(20)]


async def test_results_come_in_the_order_of_the_items_whatever_the_window() -> None:
    for window in (1, 3, 20, 1000):
        (data,) = await every_way(Mapper, [{"count": 20, "window": window}], Square)
        assert list(data) == SQUARES
    (data,) = await make_data(Mapper, {"count": 0, "window": 3})
    assert list(data) == []


async def test_maps_in_maps_do_not_meet() -> None:
    (data,) = await every_way(Nested, [{}], Square)
    assert list(data) == [(n**4, 14) for n in range(5)]


async def test_no_more_children_than_the_window_are_there_and_none_at_the_end() -> None:
    class Counting(Root):
        async def run(self) -> Any:
            taken = []

            def items() -> Any:
                for n in range(100):
                    taken.append(n)
                    yield n % 10

            return [len(taken) async for _ in self.map(Square, items(), window=7)]

    async with runtime.Runtime(Counting, workers=0) as rt:
        block = await rt.advance({})
        assert max(count - index for index, count in enumerate(block.data)) == 8
        assert not rt.state().children


async def test_a_failure_is_raised_at_its_place_and_closing_leaves_nothing() -> None:
    class Failing(Root):
        async def run(self) -> Any:
            seen = []
            with pytest.raises(ChildFailed, match="ValueError"):
                async with self.map(Square, range(30), window=4) as results:
                    async for result in results:
                        seen.append(result)  # noqa: PERF401 a comprehension would lose what came before the failure
            return seen

    async with runtime.Runtime(Failing, workers=0) as rt:
        block = await rt.advance({})
        assert list(block.data) == SQUARES[:13]
        assert not rt.state().children


async def test_gas_is_for_each_item() -> None:
    class Costly(Process):
        async def run(self) -> None:
            self.charge(self.heap["item"])
            self.heap["result"] = self.heap["item"]

    class Metering(Root):
        async def run(self) -> Any:
            results = self.map(Costly, (1, 10_000, 2), gas=2_000, return_exceptions=True)
            return ["out" if isinstance(result, OutOfGas) else result async for result in results]

    ((data),) = await make_data(Metering, {})
    assert list(data) == [1, "out", 2]


async def test_a_program_that_writes_no_result_says_where() -> None:
    class Silent(Process):
        async def run(self) -> None: ...

    class Asking(Root):
        async def run(self) -> None:
            async for _ in self.map(Silent, [1]):
                pass

    with pytest.raises(BlockFailed, match=r"no key 'result' in the heap of /map 1.0") as failed:
        await make(Asking, [{}])
    assert isinstance(failed.value.__cause__, MissingKey)


async def test_wrong_arguments_are_refused_at_once() -> None:
    class Wrong(Root):
        async def run(self) -> None:
            for window in (0, -1, 1.5, True):
                with pytest.raises(CallRefused, match="map: window is"):
                    self.map(Square, [], window=window)  # type: ignore[arg-type]
            with pytest.raises(CallRefused, match=r"pipeline: stages is \[\]"):
                self.pipeline([], [])
            with pytest.raises(CallRefused, match="pipeline: stages is <class"):
                self.pipeline(Square, [])  # type: ignore[arg-type]
            with pytest.raises(ProgramError, match=r"map: \[1\] is no program; that comes first"):
                self.map([1], Square)  # type: ignore[arg-type]
            with pytest.raises(CallRefused, match="map: items is an object of type int; it is an iterable"):
                self.map(Square, 7)  # type: ignore[arg-type]
            with pytest.raises(CallRefused, match="map_reduce: reduce is 0; it is a function"):
                await self.map_reduce(Square, [1], 0, max)  # type: ignore[arg-type, type-var]

    await make(Wrong, [{}])


async def test_a_pipeline_hands_items_from_stage_to_stage_in_order() -> None:
    lines = ["1", " ", "2", "", "3", "40"]
    blocks = await every_way(Piped, [{"lines": lines, "stages": stages} for stages in (1, 2, 3)], Total)
    assert [list(data) for data in blocks] == [
        [1, 2, 3, 40],
        [(1, 1), (2, 3), (3, 6), (40, 46)],
        ["1 makes 1", "2 makes 3", "3 makes 6", "40 makes 46"],
    ]
    blocks = await make_data(Piped, *({"lines": some, "stages": 3} for some in ([], [""], ["7"])))
    assert [list(data) for data in blocks] == [[], [], ["7 makes 7"]]


async def test_without_a_journal_a_process_cannot_stop_in_the_middle_and_makes_any_number_of_calls() -> None:
    why = "OnePiece keeps no journal, so that it cannot stop in the middle; let run return, or say journal = True in it"
    told = (("CallRefused", f"ret: {why}"),)
    total = sum(n * n for n in range(14, 24))
    (data,) = await every_way(Journalist, [{}], OnePiece)
    assert [list(data[at]) for at in (0, 2)] == [[total, told]] * 2
    assert [list(data[at]) for at in (1, 3)] == [[True, (turn, (("fed", turn),))] for turn in (0, 1)]


async def test_a_root_without_a_journal_takes_no_memory_for_its_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.record.JOURNAL_ITEMS_MAX", 10)

    class Long(Root):
        journal = False

        async def run(self) -> Any:
            with pytest.raises(CallRefused, match=r"snapshot: .* keeps no journal"):
                await self.snapshot()
            return await self.map_reduce(Square, range(12), lambda total, one: total + one, 0)

    async with runtime.Runtime(Long, workers=0) as rt:
        assert (await rt.advance({})).data == sum(n * n for n in range(12))
        assert rt._stepper is not None and rt._stepper.kernel.root.journal is NO_JOURNAL
        assert await rt.verify() == 1


class Leaf(Process):
    async def run(self) -> None:
        self.heap["n"] = 1


class Keeps(Process):
    """Leaves a child behind."""

    async def run(self) -> None:
        try:
            before = await self.get("leaf", "n")
        except NoSuchChild:
            before = 0
        await self.put("leaf", program=Leaf, start=True)
        self.heap["result"] = before


class Halfway(Process):
    """Leaves itself in the middle."""

    async def run(self) -> None:
        self.heap["result"] = "first"
        await self.ret()
        self.heap["result"] = "second"


class LeavesEarly(Process):
    """Leaves the children of a map behind."""

    async def run(self) -> None:
        async for result in self.map(Halfway, range(3), window=2):
            self.heap["result"] = result
            break


@pytest.mark.parametrize("program", [Keeps, Halfway, LeavesEarly])
async def test_what_an_item_leaves_is_no_others(program: type[Process]) -> None:
    class Maps(Root):
        async def run(self) -> Any:
            return [result async for result in self.map(program, range(6), window=self.heap["block", "window"])]

    found = [list(data) for data in await make_data(Maps, *({"window": window} for window in (1, 2, 3, 10)))]
    assert found == [[0 if program is Keeps else "first"] * 6] * 4


async def test_a_map_that_was_left_has_no_say_in_the_next_one() -> None:
    class Big(Process):
        async def run(self) -> None:
            self.heap["result"] = "x" * 1_000

    class Maps(Root):
        async def run(self) -> Any:
            if self.heap["block", "first"]:
                async for result in self.map(Square, [3], limits=Limits(value_bytes=100), placement="worker"):
                    return result
            return [len(result) async for result in self.map(Big, range(2))]

    first, second = await make_data(Maps, {"first": True}, {"first": False})
    assert (first, list(second)) == (9, [1_000, 1_000])


async def test_a_map_takes_what_another_one_gives_and_ends_it_with_itself() -> None:
    class Composed(Root):
        async def run(self) -> Any:
            squares = self.map(Square, range(10), window=2)
            found = [result async for result in self.map(Square, squares, window=3)]
            async with self.map(Square, self.map(Square, range(10), window=2), window=2) as left:
                async for result in left:
                    found.append(-result)
                    break
            return found

    async with runtime.Runtime(Composed, workers=0) as rt:
        block = await rt.advance()
        assert list(block.data) == [n**4 for n in range(10)] + [0]
        assert list(rt.state().children) == []


async def test_who_failed_is_told_by_its_place_among_the_items() -> None:
    class Maps(Root):
        async def run(self) -> Any:
            with pytest.raises(ChildFailed) as caught:
                async for _ in self.map(Square, range(10, 20), window=2):
                    pass
            return caught.value.__notes__

    assert list((await make_data(Maps, {}))[0]) == ["it had item 3 of a map, counted from 0"]
