"""Activations on workers that are processes: what they see, what comes back, and what survives.

Everything is compared with the same blocks made on the loop: hash for hash.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from unittest.mock import patch

import cloudpickle
import pytest
import worker_programs
from pyrsistent import pvector
from slots import thread_slots
from test_worker_model import workers_of
from worker_programs import Auto, Everything, Square

import actors
import runtime
from actors import BlockFailed, InputError, ProgramError, Root
from actors.memory import Memory
from runtime.record import Record
from runtime.workers import worker
from runtime.workers.placement import Costs

if TYPE_CHECKING:
    from collections.abc import Sequence


async def made(inputs: Sequence[Any], **how: Any) -> list[Any]:
    """Make blocks; return the hash of each, or the text of its failure."""
    out: list[Any] = []
    async with runtime.Runtime(Everything, **how) as rt:
        for one in inputs:
            try:
                out.append((await rt.advance(one)).hash)
            except BlockFailed as failed:
                out.append(str(failed))
    return out


async def same(inputs: Sequence[Any], **how: Any) -> None:
    assert await made(inputs, workers=2, **how) == await made(inputs, workers=0)


HISTORY: list[dict[str, Any]] = [
    {"do": "squares", "xs": list(range(20))},
    {"do": "squares", "xs": list(range(5, 25))},
    {"do": "tree"},
    {"do": "tree"},
    {"do": "fail"},
    {"do": "fail_the_block"},
    {"do": "return_a_lock"},
    {"do": "point"},
    {"do": "begin_again"},
    *[{"do": "count", "x": x} for x in range(5)],
    {"do": "fill", "count": 300},
    {"do": "touch", "keys": [1, 2, 250]},
    {"do": "touch", "keys": [1, 7, 999]},
    {"do": "merge"},
    {"do": "begin", "names": ["p", "q"], "x": 12},
    {"do": "count", "x": 9},
    {"do": "end", "names": ["q", "p"]},
]


async def test_the_blocks_are_those_of_the_loop_on_a_store_that_workers_read(tmp_path: Path) -> None:
    await same(HISTORY, store=tmp_path / "a.db")


async def test_the_blocks_are_those_of_the_loop_on_a_store_in_memory() -> None:
    await same(HISTORY)


async def test_the_blocks_are_those_of_the_loop_with_a_store_that_is_opened_again_between_them(tmp_path: Path) -> None:
    expected = await made(HISTORY, workers=0)
    for number, one in enumerate(HISTORY):
        assert await made([one], workers=2, store=tmp_path / "a.db") == [expected[number]]


async def test_the_blocks_are_those_of_the_loop_where_the_store_is_pruned(tmp_path: Path) -> None:
    long = [one for one in HISTORY * 6 if one["do"] != "fill"]
    long[:0] = [one for one in HISTORY if one["do"] == "fill"]
    await same(long, store=tmp_path / "a.db", keep=3)


async def test_workers_are_other_processes_with_another_hash_seed_and_one_thread_for_each() -> None:
    async with runtime.Runtime(Everything, workers=2) as rt:
        found = (await rt.advance({"do": "where"})).data
        pids = {pid for pid, _, _ in found}
        assert os.getpid() not in pids and pids <= set(workers_of(rt))
        assert {threads for _, _, threads in found} == {os.environ.get("OMP_NUM_THREADS", "1")}
        if "PYTHONHASHSEED" not in os.environ:
            assert hash("a word") not in {seed for _, seed, _ in found}


async def test_no_worker_is_started_before_one_is_needed_and_none_is_left() -> None:
    async with runtime.Runtime(Everything, workers=2) as rt:
        assert workers_of(rt) == []
        await rt.advance({"do": "squares", "xs": [1, 2, 3, 4]})
        pids = workers_of(rt)
        assert pids
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


class Early(Root):
    crew: ClassVar[Any]
    seen: ClassVar[list[int]] = []

    async def run(self) -> Any:
        for x in range(3):
            await self.put(x, {"x": x}, program=Square, start=True)
            self.seen.append(sum(len(place.flights) for place in self.crew._places))
        return sum([await self.get(x, "y") for x in range(3)])


async def test_what_may_be_long_is_at_work_while_its_parent_goes_on() -> None:
    """A process is sent when it is started, before its parent waits for anything, as long as a slot is free."""
    with thread_slots():
        async with runtime.Runtime(Early, workers=2) as rt:
            Early.crew = rt._crew
            assert (await rt.advance()).data == 5
    assert Early.seen == [1, 2, 2]


async def test_what_a_process_was_is_in_the_workers_memory_at_its_next_activation() -> None:
    """The coroutine goes on where it stands: the program is begun once, whatever the number of turns."""
    with thread_slots():
        begun = []
        with patch.object(
            worker_programs.Counting, "machine_bind", _noting(worker_programs.Counting.machine_bind, begun)
        ):
            async with runtime.Runtime(Everything, workers=2) as rt:
                for x in range(6):
                    await rt.advance({"do": "count", "x": x})
                assert len(begun) == 1
                assert tuple((await rt.advance({"do": "count", "x": 0})).data) == (15, 7)


def _noting(function: Any, calls: list[Any]) -> Any:
    def noting(*given: Any) -> Any:
        calls.append(given)
        return function(*given)

    return noting


async def test_what_a_worker_lost_is_sent_again() -> None:
    expected = await made(HISTORY, workers=0)
    with thread_slots(), patch.object(worker, "KEPT_MAX", 0):
        assert await made(HISTORY, workers=2) == expected


async def test_a_worker_that_cannot_read_the_store_is_sent_all_of_it(tmp_path: Path) -> None:
    class Blind(worker.Workshop):
        def __init__(self, store: str | None) -> None:
            super().__init__(None if store is None else f"{store}.is-not-here")

    expected = await made(HISTORY, workers=0)
    with thread_slots(), patch.object(worker, "Workshop", Blind):
        assert await made(HISTORY, workers=2, store=tmp_path / "a.db") == expected


def printed_by_script(place: Path, text: str) -> list[str]:
    """Run a script; return the lines that it prints."""
    script = place / "mine.py"
    # There is no guard in it: a worker that ran it again would start workers in turn.
    script.write_text(text)
    paths = os.pathsep.join([str(Path(actors.__file__).parent.parent), str(place)])
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env=environment, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_main_scripts_programs_travel_with_their_globals_and_codecs(tmp_path: Path) -> None:
    first, *lines = printed_by_script(
        tmp_path,
        """
import dataclasses, sys
import runtime
from actors import Process, Root, codec

ADDED = 40
print("run as", __name__)

@codec
@dataclasses.dataclass(frozen=True)
class Pair:
    a: int
    b: int

class Leaf(Process):
    async def run(self):
        self.heap["z"] = Pair(self.heap["pair"].b, ADDED)

class Mine(Process):
    placement = "worker"
    async def run(self):
        await self.put("leaf", {"pair": self.heap["pair"]}, program=Leaf, start=True)
        self.heap["z"] = await self.get("leaf", "z")

class Top(Root):
    async def run(self):
        await self.put("m", {"pair": Pair(1, 2)}, program=Mine, start=True)
        found = await self.get("m", "z")
        return found.a + found.b

async def main():
    for workers in (0, 1):
        async with runtime.Runtime(Top, workers=workers) as rt:
            for _ in range(2):
                block = await rt.advance()
                print(block.data, block.hash.hex())

runtime.run(main)
""",
    )
    assert first == "run as __main__"
    assert lines[:2] == lines[2:] and lines[0].startswith("42 ")


def test_a_class_in_a_class_or_a_function_of_the_main_script_has_one_name_wherever_it_runs(tmp_path: Path) -> None:
    lines = printed_by_script(
        tmp_path,
        """
import runtime
from actors import Process, Root

class Shop:
    class Item(Process):
        async def run(self):
            self.heap["name"] = type(self).__qualname__

    class Till(Process):
        placement = "worker"
        async def run(self):
            await self.put("item", {}, program=Shop.Item, start=True)
            self.heap["name"] = await self.get("item", "name")

def made(number):
    class Item(Process):
        placement = "worker"
        async def run(self):
            self.heap["name"] = type(self).__qualname__, number
    return Item

class Top(Root):
    async def run(self):
        for child in "ab":
            await self.put(child, program=Shop.Till, start=True)
        await self.put("c", program=made(7), start=True)
        return [await self.get(child, "name") for child in "abc"]

async def main():
    for workers in (0, 2):
        async with runtime.Runtime(Top, workers=workers) as rt:
            for _ in range(2):
                block = await rt.advance()
                print(list(block.data), block.hash.hex())

runtime.run(main)
""",
    )
    assert lines[:2] == lines[2:]
    assert lines[0].startswith("['Shop.Item', 'Shop.Item', ('made.<locals>.Item', 7)] ")


def test_another_package_of_that_name_in_the_working_directory_is_not_what_workers_import(tmp_path: Path) -> None:
    script = tmp_path / "scripts" / "mine.py"
    script.parent.mkdir()
    script.write_text(
        "import runtime\nfrom worker_programs import Everything\n"
        "async def main():\n"
        "    async with runtime.Runtime(Everything, workers=1) as rt:\n"
        "        print((await rt.advance({'do': 'squares', 'xs': [3, 4]})).data)\n"
        "runtime.run(main)\n"
    )
    for name in ("runtime", "actors"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('not this one')\n")
    paths = os.pathsep.join([str(Path(actors.__file__).parent.parent), str(Path(__file__).parent)])
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
        cwd=tmp_path,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "25\n"), done.stderr


async def test_what_ran_on_a_branch_that_was_left_is_not_run_again(tmp_path: Path) -> None:
    with thread_slots():
        runs: list[Any] = []
        with patch.object(worker_programs.Square, "machine_bind", _noting(worker_programs.Square.machine_bind, runs)):
            async with runtime.Runtime(Everything, workers=2, store=tmp_path / "a.db") as rt:
                await rt.advance({"do": "squares", "xs": [1, 2, 3]})
                await rt.advance({"do": "begin", "names": ["p"], "x": 7})
                before = await rt.advance({"do": "squares", "xs": [4, 5]})
                assert len(runs) == 6
                await rt.revert(1)
                # Another branch, whose children begin as before: but for /6, nothing runs.
                await rt.advance({"do": "begin", "names": ["p"], "x": 7})
                again = await rt.advance({"do": "squares", "xs": [4, 5]})
                assert (again.hash, len(runs)) == (before.hash, 6)
                await rt.advance({"do": "squares", "xs": [6]})
                assert (await rt.advance({"do": "end", "names": ["p"]})).data[0] == 49 and len(runs) == 7


@pytest.mark.parametrize("again", [False, True], ids=["at once", "behind a restart"])
async def test_a_child_goes_on_across_blocks(again: bool, tmp_path: Path) -> None:
    inputs: list[Any] = [
        {"do": "begin", "names": ["p", "q"], "x": 3},
        {"do": "squares", "xs": [1, 2]},
        {"do": "end", "names": ["p", "q"]},
    ]
    expected = await made(inputs, workers=0)
    if again:
        found = [(await made([one], workers=2, store=tmp_path / "a.db"))[0] for one in inputs]
    else:
        found = await made(inputs, workers=2, store=tmp_path / "a.db")
    assert found == expected


async def test_a_child_runs_ahead_while_the_root_waits_for_its_next_block() -> None:
    with thread_slots():
        async with runtime.Runtime(Everything, workers=2) as rt:
            await rt.advance({"do": "begin", "names": ["p", "q"], "x": 3})
            crew = rt._crew
            assert crew is not None
            for _ in range(1_000):
                if len(crew._arrived) == 2:
                    break
                await asyncio.sleep(0.01)
            assert len(crew._arrived) == 2
            assert (await rt.advance({"do": "end", "names": ["p", "q"]})).data == pvector([9, 9])


async def test_where_an_automatic_child_runs_makes_no_difference() -> None:
    await same([{"do": "auto", "count": 30}] * 3)


def test_cheap_programs_stay_on_the_loop_and_are_tried_again_now_and_then() -> None:
    """Costs in seconds, and a clock, that are told."""
    clock = iter([100.0, 100.05, 100.09, 100.11, 100.12])
    record = Record(None, "", Memory())
    record.program, costs = Auto, Costs()
    with patch("runtime.workers.placement.monotonic", lambda: next(clock)):
        assert costs.on_worker(record, 0), "unknown"
        costs.saw(Auto, 0.000_05)
        assert [costs.on_worker(record, 0) for _ in range(5)] == [False, False, False, True, False]


@pytest.mark.parametrize(
    ("seconds", "waiting", "elsewhere"),
    [(0.001, 0, False), (0.001, 100, True), (0.01, 0, True), (0.000_02, 100, False)],
)
def test_what_an_activation_takes_decides_and_whether_others_are_about_to_begin(
    seconds: float, waiting: int, elsewhere: bool
) -> None:
    record = Record(None, "", Memory())
    record.program, costs = Auto, Costs()
    costs.saw(Auto, seconds)
    assert costs.on_worker(record, waiting) is elsewhere
    record.placement = "loop"
    assert not costs.on_worker(record, waiting)
    record.placement = "worker"
    assert costs.on_worker(record, waiting)


async def test_a_wrong_number_of_workers_is_refused() -> None:
    for wrong in (-1, 1.5, "2", True):
        with pytest.raises(
            InputError, match=r"workers is .*; it is how many there are, 0 to run everything on the loop"
        ):
            runtime.Runtime(Everything, workers=wrong)  # type: ignore[arg-type]
    for wrong_seconds in (0, -1, "5"):
        with pytest.raises(InputError, match=r"the watchdog is .*; it is a number of seconds, more than 0"):
            runtime.Runtime(Everything, watchdog_s=wrong_seconds)  # type: ignore[arg-type]


def test_what_could_be_of_no_use_is_refused() -> None:
    with pytest.raises(InputError, match=r"a watchdog and 0 workers: .* leave one of them out"):
        runtime.Runtime(Everything, workers=0, watchdog_s=1.0)
    with pytest.raises(InputError, match=r"worker_memory and 0 workers: .* leave one of them out"):
        runtime.Runtime(Everything, workers=0, worker_memory=2**30)
    with ThreadPoolExecutor(1) as executor, pytest.raises(InputError, match="an executor and workers=0"):
        runtime.Runtime(Everything, workers=0, executor=executor)
    with pytest.raises(InputError, match=r"executor is 5; it is an executor as those of concurrent.futures"):
        runtime.Runtime(Everything, executor=5)  # type: ignore[arg-type]


def test_a_root_that_says_where_it_runs_is_refused() -> None:
    class Placed(Root):
        placement = "worker"

        async def run(self) -> None:
            pass

    with pytest.raises(ProgramError, match=r"Placed is the root, which runs on the loop.*its children's programs"):
        runtime.Runtime(Placed)


async def test_an_executor_that_was_handed_in_is_used_and_left_open() -> None:
    with ThreadPoolExecutor(2, thread_name_prefix="mine") as executor:
        submitted: list[Any] = []
        with patch.object(executor, "submit", _noting(executor.submit, submitted)):
            async with runtime.Runtime(Everything, workers=2, executor=executor) as rt:
                assert (await rt.advance({"do": "squares", "xs": [1, 2, 3]})).data == 14
        assert submitted
        assert executor.submit(int, "5").result() == 5


async def test_a_program_by_value_finds_what_the_bodies_of_its_classes_name(tmp_path: Path) -> None:
    (tmp_path / "by_value.py").write_text(
        """
import dataclasses
import functools
from actors import Process

WIDTH = 3

def helper():
    class Wide:
        width = WIDTH
    return Wide.width

class Local(Process):
    placement = "worker"

    async def run(self):
        @dataclasses.dataclass
        class Point:
            x: int = WIDTH
            @functools.cached_property
            def double(self):
                return 2 * self.x
        self.heap["double"] = Point().double + helper()
"""
    )
    spec = importlib.util.spec_from_file_location("by_value", tmp_path / "by_value.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules["by_value"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    cloudpickle.register_pickle_by_value(module)

    class Top(Root):
        async def run(self) -> Any:
            await self.put("plain", program=module.Local, start=True)
            await self.put("metered", program=module.Local, start=True, gas=10_000)
            return await self.get("plain", "double"), await self.get("metered", "double")

    try:
        async with runtime.Runtime(Top, workers=1) as rt:
            assert (await rt.advance({})).data == (9, 9)
    finally:
        cloudpickle.unregister_pickle_by_value(module)
        del sys.modules["by_value"]
