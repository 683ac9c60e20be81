"""The catalogue of attacks through the machine: each ends as it says, the parent goes on, its other child is unharmed, the
store is whole, and a replay agrees. What gas and refusals end is run on the loop and on workers; what only a watchdog and
a limit of memory end, on workers."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from attacks import ATTACKS, Attack, write

import runtime
from actors import Process, Root, TrapKind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

GAS = 200_000
#: A host fault needs its worker's watchdog twice, or its memory some times. The neighbour is on the loop then, where no
#: clock has a say in what becomes of it.
WATCHDOG_S = 0.5
MEMORY = 400 << 20

MEANT = [attack for attack in ATTACKS if attack.expected != "host fault"]
HOST = [attack for attack in ATTACKS if attack.expected == "host fault"]


class Neighbour(Process):
    """Somebody else's child, at work beside the attack."""

    async def run(self) -> None:
        self.heap["count"] = self.heap.get("count", 0) + sum([1 for _ in range(100)])


class Besieged(Root):
    """Runs one attack a block, with a neighbour."""

    async def run(self) -> Any:
        program = getattr(sys.modules["attack_programs"], self.heap["block", "program"])
        placement, beside = self.heap["block", "placement"], self.heap["block", "beside"]
        await self.put("attack", {"kept": 1}, program=program, start=True, gas=GAS, placement=placement)
        await self.put("neighbour", program=Neighbour, start=True, gas=GAS, placement=beside)
        trap = await self.status("attack")
        count = await self.get("neighbour", "count")
        await self.put("attack", {"after": 2})
        seen = tuple(await self.get_all("attack"))
        await self.drop("attack")
        return trap.kind.name, trap.error, trap.gas, count, seen

    async def get_all(self, child: str) -> Any:
        """The keys under which the child's heap is another one than at its start."""
        await self.put(child, program=Neighbour)
        return [change.key for change in await self.get(child)]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    directory = tmp_path_factory.mktemp("attacks")
    sys.path.insert(0, str(directory))  # workers import it
    yield write(directory)
    sys.path.remove(str(directory))


async def besiege(attacks: list[Attack], placement: str, store: Path | None, **how: Any) -> list[runtime.Block]:
    async with runtime.Runtime(Besieged, store, **how) as rt:
        made = []
        for number, attack in enumerate(attacks, 1):
            made.append(await rt.advance({"program": attack.program, "placement": placement, "beside": placement}))
            check(attack, made[-1], number)
        assert await rt.verify() == len(attacks)
        return made


def check(attack: Attack, block: runtime.Block, number: int) -> None:
    kind, error, gas, count, seen = block.data
    assert count == 100 * number, "the neighbour"
    assert seen == ("after",), "it is back at its snapshot"
    expected = {
        "out of gas": lambda: kind == TrapKind.OUT_OF_GAS.name and gas == GAS,
        "refused": lambda: kind == TrapKind.FAILED.name and error in REFUSALS,
        "trap": lambda: kind == TrapKind.FAILED.name and error not in REFUSALS,
        "host fault": lambda: (
            kind == TrapKind.HOST_FAULT.name and error in ("WorkerStuck", "WorkerDied", "OutOfMemory")
        ),
    }
    assert expected[attack.expected](), (attack.name, attack.expected, kind, error, gas)


REFUSALS = (
    "ProgramError",
    "GuardRefused",
    "ForeignAwait",
    "CallRefused",
    "KeyRefused",
    "ValueRefused",
    "LimitExceeded",
)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::SyntaxWarning")
async def test_every_attack_that_gas_sees_ends_the_same_on_the_loop_and_on_workers(
    programs: ModuleType, tmp_path: Path
) -> None:
    on_loop = await besiege(MEANT, "loop", None, workers=0)
    on_workers = await besiege(MEANT, "worker", tmp_path / "a.db", workers=2, watchdog_s=60)
    for attack, here, there in zip(MEANT, on_loop, on_workers, strict=True):
        assert (here.data, here.gas_used) == (there.data, there.gas_used), attack.name


@pytest.mark.long
async def test_what_no_gas_sees_is_ended_by_the_watchdog_or_the_limit_of_memory(
    programs: ModuleType, tmp_path: Path
) -> None:
    async with runtime.Runtime(
        Besieged, tmp_path / "a.db", workers=2, watchdog_s=WATCHDOG_S, worker_memory=MEMORY
    ) as rt:
        for number, attack in enumerate(HOST, 1):
            block = await rt.advance({"program": attack.program, "placement": "worker", "beside": "loop"})
            check(attack, block, number)
            assert [(path, error) for path, _, error in block.faults] == [(("attack",), block.data[1])]
        # The faults stand in the blocks, so that nobody runs into them again.
        assert await rt.verify() == len(HOST)
