"""What goes wrong on a worker, and whom it concerns: the running activation alone, and in the end the child that did it."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from unittest.mock import patch

import pytest
from slots import thread_slots
from test_worker_model import kill, workers_of
from test_workers import made
from worker_programs import Everything

import actors
import runtime
from actors import BlockFailed, HostFault, StoreDamaged, TrapKind
from runtime.chain import Block
from runtime.workers import crew as crews
from runtime.workers.job import Elsewhere
from runtime.workers.slot import ProcessSlot

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.CRITICAL, "lockstep")
    yield


async def test_a_worker_that_dies_costs_its_running_activations_only(tmp_path: Path) -> None:
    """They run again elsewhere: the block is the one that is made where nothing dies."""
    (tmp_path / "deaths").mkdir()
    (tmp_path / "none").mkdir()
    block = {"do": "die", "deaths": str(tmp_path / "deaths"), "times": crews.DEATHS_MAX - 1}
    async with runtime.Runtime(Everything, workers=2) as rt:
        first = await rt.advance(block)
    assert len(os.listdir(tmp_path / "deaths")) == crews.DEATHS_MAX - 1
    assert first.data == (True, 9) and first.faults == ()
    assert await made([block], workers=0) == [first.hash]  # It is well now.


async def test_who_kills_its_worker_again_and_again_traps_with_a_host_fault(tmp_path: Path) -> None:
    async with runtime.Runtime(Everything, workers=2, store=tmp_path / "a.db") as rt:
        block = await rt.advance({"do": "die", "always": True})
        assert block.data == (("host fault", "/d", "WorkerDied"), 9)
        assert block.faults == ((("d",), 0, "WorkerDied"),)
        trap = rt.state().at("/d").trap
        assert (trap.kind, trap.error, trap.failed) == (TrapKind.HOST_FAULT, "WorkerDied", True)
        assert rt.state().at("/d").status() == "host fault: WorkerDied"
        # The record has it, so whoever executes the block again, where nothing dies, agrees.
        await rt.verify()


async def test_a_host_fault_may_be_retried_and_each_turn_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with runtime.Runtime(Everything, workers=2, store=path) as rt:
        block = await rt.advance({"do": "die_and_retry"})
        assert block.data == (("host fault", "/d", "WorkerDied"), True)
        assert block.faults == ((("d",), 0, "WorkerDied"),)
        await rt.verify()
        await rt.advance({"do": "squares", "xs": [1]})
        await rt.export(tmp_path / "a.export", block)
    async with runtime.Runtime(Everything, workers=0, store=path) as rt:
        assert rt.block(1) == block and await rt.verify() == 2
    runtime.import_block(tmp_path / "a.export", tmp_path / "b.db", expect=block.hash)
    async with runtime.Runtime(Everything, workers=0, store=tmp_path / "b.db") as rt:
        assert rt.head.faults == block.faults


async def test_a_worker_that_is_stuck_is_replaced(tmp_path: Path) -> None:
    async with runtime.Runtime(Everything, workers=2, watchdog_s=1.0) as rt:
        block = await rt.advance({"do": "stick"})
        assert block.data == ("host fault", "/s", "WorkerStuck")
        assert (await rt.advance({"do": "squares", "xs": [1, 2]})).data == 5


class MuteSlot(ProcessSlot):
    """Takes batches and never answers; its worker begins when the test says so."""

    made: ClassVar[list[MuteSlot]] = []
    batches = 0

    def __init__(self, *how: Any) -> None:
        super().__init__(*how)
        self.made.append(self)

    def submit(self, batch: bytes, landed: Any) -> None:
        self.batches += 1

    def begins(self) -> None:
        self._has_begun()


@pytest.fixture
def mute() -> Iterator[list[MuteSlot]]:
    MuteSlot.made.clear()
    with patch("runtime.workers.crew.ProcessSlot", MuteSlot):
        yield MuteSlot.made


async def test_the_watchdog_does_not_count_the_start_of_a_worker(mute: list[MuteSlot]) -> None:
    async with runtime.Runtime(Everything, workers=1, watchdog_s=0.01) as rt:
        block = asyncio.create_task(rt.advance({"do": "stick"}))
        for turn in range(crews.STUCK_MAX):
            while mute[0].batches == turn:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.1)
            assert mute[0].generation == turn and not block.done()
            mute[0].begins()
        assert (await block).data == ("host fault", "/s", "WorkerStuck")


async def test_nobody_is_suspected_of_a_worker_that_dies_before_it_has_begun() -> None:
    async with runtime.Runtime(Everything, workers=1) as rt:
        block = asyncio.create_task(rt.advance({"do": "squares", "xs": [1, 2]}))
        crew = rt._crew
        assert crew is not None
        (place,) = crew._places
        died: set[int] = set()
        while len(died) < crews.STILLBORN_MAX - 1 and not block.done():
            await asyncio.sleep(0)
            if not place.slot.ready and not died.issuperset(workers_of(rt)):
                died.update(workers_of(rt))
                kill(max(workers_of(rt)))
        assert (await block).data == 5 and rt.head.faults == ()


async def test_what_cannot_be_started_at_all_is_a_host_fault_in_the_end(mute: list[MuteSlot]) -> None:
    def refused(*_: Any) -> None:
        raise OSError("no more processes")

    with patch.object(MuteSlot, "submit", refused):
        async with runtime.Runtime(Everything, workers=2) as rt:
            assert (await rt.advance({"do": "stick"})).data == ("host fault", "/s", "WorkerDied")


async def test_a_worker_that_never_begins_is_replaced_as_well(mute: list[MuteSlot]) -> None:
    with patch.object(crews, "_START_S_MAX", 0.01):
        async with runtime.Runtime(Everything, workers=1, watchdog_s=1_000.0) as rt:
            assert (await rt.advance({"do": "stick"})).data == ("host fault", "/s", "WorkerStuck")


async def test_a_worker_that_dies_with_nothing_to_do_is_replaced_at_the_next_batch() -> None:
    async with runtime.Runtime(Everything, workers=1) as rt:
        assert (await rt.advance({"do": "squares", "xs": [1, 2]})).data == 5
        (pid,) = workers_of(rt)
        kill(pid)
        await asyncio.sleep(0.2)
        assert (await rt.advance({"do": "squares", "xs": [1, 3]})).data == 10
        assert workers_of(rt) != [pid]


async def test_a_worker_without_memory_counts_as_one_that_died() -> None:
    with thread_slots():
        async with runtime.Runtime(Everything, workers=2) as rt:
            assert (await rt.advance({"do": "hunger"})).data == ("host fault", "/h", "OutOfMemory")


async def test_a_program_that_cannot_travel_fails_alone_and_the_log_names_what_it_uses(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR, "lockstep")
    async with runtime.Runtime(Everything, workers=2) as rt:
        block = await rt.advance({"do": "lock"})
        assert block.data == (("host fault", "/l", "ProgramNotSent"), 4)
        await rt.verify()
    assert "Locking cannot travel to a worker: run() uses guard, which is of type lock" in caplog.text


async def test_a_program_that_cannot_be_loaded_there_fails_alone_and_the_log_says_why(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.ERROR, "lockstep")
    (tmp_path / "only_here.py").write_text(
        "from actors import Process, HostFault, Root\n"
        "class P(Process):\n    placement = 'worker'\n    async def run(self): self.heap['x'] = 1\n"
        "class R(Root):\n    async def run(self):\n"
        "        await self.put('p', program=P, start=True)\n"
        "        try: return await self.get('p', 'x')\n"
        "        except HostFault as fault: return fault.error\n"
    )
    sys.path.insert(0, str(tmp_path))
    try:
        import only_here  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(tmp_path))
    async with runtime.Runtime(only_here.R, workers=1) as rt:
        assert (await rt.advance()).data == "ProgramNotLoaded"
    assert "P cannot be loaded in a worker: ModuleNotFoundError: No module named 'only_here'" in caplog.text


async def test_an_exception_that_cannot_be_pickled_is_a_trap_and_its_traceback_arrives() -> None:
    async with runtime.Runtime(Everything, workers=2) as rt:
        assert (await rt.advance({"do": "fail"})).data == ("failed", "/f", "Odd")
        with pytest.raises(BlockFailed) as caught:
            await rt.advance({"do": "fail_the_block"})
        behind = caught.value.__cause__
        assert isinstance(behind, actors.ChildFailed) and isinstance(behind.__cause__, Elsewhere)
        assert "raise Odd(1, GUARD)" in str(behind.__cause__) and "worker_programs.py" in str(behind.__cause__)


async def test_a_damaged_store_is_told_and_not_taken_for_a_trap(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with runtime.Runtime(Everything, workers=2, store=path) as rt:
        await rt.advance({"do": "fill", "count": 2_000})
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DELETE FROM nodes WHERE length(record) > 100 AND number % 3 = 0")
    async with runtime.Runtime(Everything, workers=2, store=path) as rt:
        head = rt.head
        with pytest.raises(StoreDamaged, match="there is no node"):
            await rt.advance({"do": "touch", "keys": list(range(0, 2_000, 7))})
        assert rt.head == head


async def test_a_dropped_child_frees_its_worker_at_once() -> None:
    async with runtime.Runtime(Everything, workers=2) as rt:
        # Both workers spin for ever; what comes behind them is done all the same.
        assert (await asyncio.wait_for(rt.advance({"do": "drop"}), 30)).data == 25


async def test_a_cancelled_block_leaves_the_head_and_what_is_wanted_next_gets_its_worker(tmp_path: Path) -> None:
    async with runtime.Runtime(Everything, workers=1, store=tmp_path / "a.db") as rt:
        await rt.advance({"do": "squares", "xs": [1]})
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(rt.advance({"do": "spin"}), 0.3)
        assert rt.head.number == 1
        assert (await asyncio.wait_for(rt.advance({"do": "squares", "xs": [2, 3]}), 30)).data == 13
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(rt.advance({"do": "spin"}), 0.3)
        pids = workers_of(rt)
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_blocks_made_while_workers_are_killed_are_the_same(tmp_path: Path) -> None:
    inputs = [{"do": "squares", "xs": list(range(i, i + 30))} for i in range(10)] + [{"do": "tree"}] * 4
    expected = await made(inputs, workers=0)

    draw = random.Random(5)

    async def killing(rt: runtime.Runtime) -> None:
        while True:
            await asyncio.sleep(0.02)
            for pid in workers_of(rt):
                if draw.random() < 0.2:
                    kill(pid)

    async with runtime.Runtime(Everything, workers=2, store=tmp_path / "a.db") as rt:
        killer = asyncio.create_task(killing(rt))
        found = [(await rt.advance(one)).hash for one in inputs]
        killer.cancel()
    assert found == expected


SCRIPT = """
import asyncio, sys
import runtime
from worker_programs import Everything

async def main():
    async with runtime.Runtime(Everything, workers=2, store=sys.argv[1]) as rt:
        await rt.advance({"do": "squares", "xs": [1, 2]})
        print(*[place.slot.pid for place in rt._crew._places], flush=True)
        await rt.advance({"do": "spin"})

runtime.run(main)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_neither_ctrl_c_nor_a_kill_of_the_driver_leaves_a_worker(how: signal.Signals, tmp_path: Path) -> None:
    paths = os.pathsep.join([str(Path(actors.__file__).parent.parent), str(Path(__file__).parent)])
    driver = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "a.db")],
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with driver:
        assert driver.stdout is not None
        pids = [int(pid) for pid in driver.stdout.readline().split()]
        assert len(pids) == 2
        time.sleep(0.3)
        driver.send_signal(how)
        driver.wait(timeout=30)
    for _ in range(500):
        if not [pid for pid in pids if Path(f"/proc/{pid}").exists()]:
            break
        time.sleep(0.02)
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_a_block_without_host_faults_has_the_header_that_it_always_had() -> None:
    plain = Block(1, b"p" * 32, 0, b"s" * 32, b"c" * 32, b"\x00", b"\x00")
    faulty = Block(1, b"p" * 32, 0, b"s" * 32, b"c" * 32, b"\x00", b"\x00", ((("a", 1), 0, "WorkerDied"),))
    assert plain.hash != faulty.hash and len(plain.header) < len(faulty.header)
    assert Block.of(faulty.header, b"\x00", b"\x00") == faulty


def test_a_host_fault_says_what_it_was_and_what_to_do() -> None:
    text = str(HostFault("/a", "WorkerDied", 0))
    assert "/a was given up by its host: WorkerDied" in text and "placement=" in text


@pytest.mark.long
async def test_a_soak_with_kills_holds_memory_handles_and_processes_bounded(tmp_path: Path) -> None:
    def handles() -> int:
        return len(os.listdir("/proc/self/fd"))

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    inputs: list[Any] = [{"do": "fill", "count": 2_000}]
    for i in range(6_000):
        inputs += [{"do": "touch", "keys": [i % 1_999, (7 * i) % 1_999]}, {"do": "squares", "xs": [i % 50, 3, 4]}]
        inputs += [{"do": "count", "x": i}, {"do": "merge"}] if i % 50 == 0 else []
    seen = []
    async with runtime.Runtime(Everything, workers=2, store=tmp_path / "a.db", keep=20) as rt:
        for number, one in enumerate(inputs):
            await rt.advance(one)
            if number % 40 == 0:
                for pid in workers_of(rt)[number % 2 : number % 2 + 1]:
                    kill(pid)
            if number % 500 == 400:
                seen.append((handles(), resident(), len(workers_of(rt))))
    first, last = seen[0], seen[-1]
    assert last[0] <= first[0] + 8 and last[2] <= 2
    assert last[1] < 2 * first[1]
