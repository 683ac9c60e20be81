"""The small print of ordered transactions: what they cost where they are in each other's way, and what a mistake says."""

from __future__ import annotations

import logging
from typing import Any

import pytest

import runtime
from actors import CallRefused, ChildFailed, ProgramError, Region, Root, Transaction, ordered


class Log(Transaction):
    """Reads the entry before its own."""

    placement = "loop"

    def apply(self, heap: Any, number: Any) -> Any:
        heap[number] = 1
        return heap.last(high=number, default=None)


class Hot(Transaction):
    """One in five raises a counter, and nobody says so."""

    placement = "loop"

    def apply(self, heap: Any, number: Any) -> Any:
        heap[number] = 1
        if number % 5 == 0:
            heap["hot"] = heap.get("hot", 0) + 1


class Long(Transaction):
    placement = "loop"

    def apply(self, heap: Any, number: Any) -> Any:
        for _ in range(60):
            pass
        heap[number] = 1


class Lists(Root):
    program: Any = Log
    gas: int | None = None

    async def run(self) -> Any:
        count, groups = self.heap["block", "given"]
        return len(await self.transact(self.program, range(count), groups=groups, gas=self.gas))


async def counted(program: Any, count: int, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """Return how many transactions were run for a list, and how many changes groups were told."""
    runs = rows = 0
    send = ordered._List._send

    async def noted(self: Any, wave: Any, how: Any) -> None:
        nonlocal runs, rows
        before = self._reread
        await send(self, wave, how)
        runs += sum(map(len, wave.groups))
        rows += max(0, self._reread - before)

    class Counting(Lists):
        pass

    Counting.program = program
    with monkeypatch.context() as patch:
        patch.setattr(ordered._List, "_send", noted)
        async with runtime.Runtime(Counting, workers=0) as rt:
            assert (await rt.advance({"given": (count, 4)})).data == count
    return runs, rows


async def test_a_log_is_run_in_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    runs, _ = await counted(Log, 2_000, monkeypatch)
    assert runs < 1.3 * 2_000


async def test_what_groups_are_told_grows_as_the_list_does(monkeypatch: pytest.MonkeyPatch) -> None:
    told = [await counted(Hot, count, monkeypatch) for count in (1_000, 4_000)]
    (few, few_rows), (many, many_rows) = told
    assert many < 6 * few
    assert many_rows < 8 * few_rows + 10_000


async def test_whether_a_list_can_be_paid_for_does_not_depend_on_its_groups() -> None:
    class Paid(Lists):
        program = Long
        gas = 8_000

    async with runtime.Runtime(Paid, workers=0) as rt:
        used = [(await rt.advance({"given": (600, groups)})).gas_used for groups in (1, 2, 4, 8)]
    assert max(used) < 3 * min(used)


async def test_a_mistake_in_the_arguments_is_named() -> None:
    class Missing(Transaction):
        pass

    class Async(Log):
        async def apply(self, heap: Any, number: Any) -> Any: ...

    class Running(Log):
        async def run(self) -> None: ...

    class Hinted(Log):
        def touches(self, transaction: Any) -> Any:
            return transaction[:2]

    class Adding(Log):
        def touches(self, transaction: Any) -> Any:
            return ()

        def adds_to(self, transaction: Any) -> Any:
            return None

    async def coming() -> Any:
        yield 1

    class Wrong(Root):
        async def run(self) -> None:
            for program, told in [
                (Missing, "does nothing with a transaction: write `def apply"),
                (Async, "apply is async; a transaction makes no calls"),
                (Running, "has a run of its own"),
                (Hinted, r"Hinted.touches cannot say what transaction 1, 7, touches: TypeError"),
                (Adding, r"Adding.adds_to cannot say what transaction 0, \(1, 2\), touches: TypeError"),
            ]:
                with pytest.raises(ProgramError, match=told):
                    await self.transact(program, [(1, 2), 7])
            with pytest.raises(CallRefused, match=r"an object of type async_generator; .* collect it first"):
                await self.transact(Log, coming())  # type: ignore[arg-type]
            with pytest.raises(CallRefused, match=r"region is Region\('a'\); it is a key, such as 'a'"):
                await self.transact(Log, [], region=Region("a"))  # type: ignore[arg-type]

    async with runtime.Runtime(Wrong, workers=0) as rt:
        await rt.advance()


async def test_a_hint_sees_what_the_transaction_sees() -> None:
    seen: list[Any] = []

    class Hinted(Log):
        def apply(self, heap: Any, transaction: Any) -> Any:
            return len(transaction)

        def touches(self, transaction: Any) -> Any:
            seen.append(type(transaction).__name__)
            return ()

    class Top(Root):
        async def run(self) -> Any:
            return await self.transact(Hinted, [[1, 2]])

    async with runtime.Runtime(Top, workers=0) as rt:
        assert list((await rt.advance()).data) == [2]
    assert seen == ["PythonPVector"] or seen == ["PVector"]


async def test_a_refusal_is_logged_once_a_group_with_its_line(caplog: pytest.LogCaptureFixture) -> None:
    class Typo(Log):
        def apply(self, heap: Any, transaction: Any) -> Any:
            heep.add(transaction, 1)  # type: ignore[name-defined]  # noqa: F821

    class Top(Root):
        async def run(self) -> Any:
            return [result.error for result in await self.transact(Typo, range(5), groups=1)]

    with caplog.at_level(logging.INFO, "lockstep.transactions"):
        async with runtime.Runtime(Top, workers=0) as rt:
            assert list((await rt.advance()).data) == ["NameError"] * 5
    (record,) = [one for one in caplog.records if one.name == "lockstep.transactions"]
    assert "Typo: a transaction is refused" in record.getMessage()
    assert record.exc_info is not None and "heep" in str(record.exc_info[1])


async def test_what_cannot_be_run_is_told_by_its_place() -> None:
    class Top(Root):
        async def run(self) -> Any:
            with pytest.raises(ChildFailed) as caught:
                await self.transact(Deep, range(5))
            return caught.value.__notes__

    class Deep(Log):
        def apply(self, heap: Any, transaction: Any) -> Any:
            return self.apply(heap, transaction) if transaction == 3 else 1

    async with runtime.Runtime(Top, workers=0) as rt:
        (note,) = (await rt.advance()).data
    assert note.startswith("it had transaction 3 of a list, counted from 0, alone and in its turn")
