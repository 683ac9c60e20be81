"""The command line and workers: its options, what it shows of what runs, the trace, and blocks with host faults."""

from __future__ import annotations

import json
import re

import pytest
from test_cli import LINES, SQUARES, Box, box, plain

__all__ = ["box"]

ON_WORKERS = SQUARES.replace("class Square(Process):\n", 'class Square(Process):\n        placement = "worker"\n')

TROUBLE = """
    import os, time
    from actors import Process, Root

    class Dies(Process):
        placement = "worker"
        lifted = ("interpreter",)

        async def run(self):
            os._exit(3)

    class Slow(Process):
        placement = "worker"
        lifted = ("clock",)

        async def run(self):
            time.sleep(1)

    class Trouble(Root):
        async def run(self):
            name, program = ("slow", Slow) if self.heap["block", "slow"] else ("dies", Dies)
            told = []
            for _ in range(self.heap["block", "times"]):
                await self.put(name, program=program, start=True)
                told.append((await self.status(name)).error)
            return told
"""


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a worker's second death be the last under one process."""
    monkeypatch.setattr("runtime.workers.crew.DEATHS_MAX", 1)


def test_blocks_are_the_same_on_any_number_of_workers_and_with_a_trace(box: Box) -> None:
    program, lines = box.program(ON_WORKERS), box.lines()
    trace = str(box.directory / "trace.json")
    printed = [
        box.give("run", program, "--input", lines, "--json", *options).stdout
        for options in ([], ["--workers", "0"], ["--workers", "2", "--watchdog", "600", "--trace", trace])
    ]
    assert len(set(printed)) == 1
    assert [json.loads(line)["number"] for line in printed[0].splitlines()] == [1, 2, 3]
    with open(trace) as file:
        events = json.load(file)
    names = [event["name"] for event in events]
    assert names.count("block 1") == names.count("block 3") == 1
    assert {"/0", "/1", "/2"} <= set(names)
    assert {"worker 0", "worker 1"} <= {event["args"].get("name") for event in events}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--workers", "-1"], "Invalid value for '--workers'"),
        (["--workers", "all"], "Invalid value for '--workers'"),
        (["--watchdog", "0"], r"the watchdog is 0\.0; it is a number of seconds, more than 0"),
        (["--watchdog", "-3"], r"the watchdog is -3\.0"),
        (["--watchdog", "nan"], r"the watchdog is nan"),
        (["--trace", "."], r"the trace \. cannot be written: "),
        (["--trace", "/no/such/place/trace.json"], r"the trace /no/such/place/trace\.json cannot be written: "),
    ],
)
def test_options_that_cannot_be_are_refused_before_anything_runs(box: Box, options: list[str], told: str) -> None:
    arguments = ["run", box.program(), "--input", box.lines(), "--store", box.store]
    result = box.give(*arguments, *options, code=2)
    assert re.search(told, result.stderr)
    assert not result.stdout
    assert not (box.directory / "run.db").exists()


def test_a_trace_is_not_written_over_the_store_the_program_or_the_input(box: Box) -> None:
    program, lines = box.kept(), box.lines()
    for file in (box.store, program.partition(":")[0], lines):
        with open(file, "rb") as there:
            before = there.read()
        arguments = ["run", program, "--input", lines, "--store", box.store, "--trace", file]
        assert f"{file}: this file is there already, and is no trace" in box.give(*arguments, code=2).stderr
        with open(file, "rb") as there:
            assert there.read() == before


def test_a_terminal_shows_what_runs_on_workers_and_for_how_long(box: Box) -> None:
    lines = box.lines(['{"slow": true, "times": 1}'])
    program = box.program(TROUBLE, "Trouble")
    seen, code = box.see(100, "run", program, "--input", lines, "--workers", "2")
    assert code == 0
    shown = re.findall(r"1 on 1 worker, \d+\.\d s at /slow", plain(seen))
    assert shown
    assert all(len(line.rpartition("\r")[2]) <= 100 for line in plain(seen).splitlines())
    result = box.give("run", program, "--input", lines)
    assert "/slow" not in result.output


def test_a_host_fault_is_shown_to_people_and_to_scripts(box: Box, hasty: None) -> None:
    program = box.program(TROUBLE, "Trouble")
    lines = box.lines(['{"slow": false, "times": 2}', '{"slow": false, "times": 1}', '{"slow": false, "times": 0}'])
    printed = box.give("run", program, "--input", lines, "--store", box.store, "--workers", "1").stdout.splitlines()
    assert "  (2 host faults) " in printed[0]
    assert "  (1 host fault) " in printed[1]
    assert "host fault" not in printed[2]
    listed = box.give("log", "--reverse", "--store", box.store).stdout.splitlines()
    assert listed[1:] == [*printed[:2], printed[2].replace("  []", "  (head) []")]
    faults = [{"path": "/dies", "turn": turn, "error": "WorkerDied"} for turn in (0, 1)]
    assert [block.get("faults") for block in box.json("log", "--reverse")] == [None, faults, faults[:1], None]
    shown = box.give("show", "1", "--store", box.store).stdout
    assert "host faults /dies: WorkerDied\n" in shown
    assert "            /dies: WorkerDied, when it had been waited for 1 time\n" in shown
    assert "host fault" not in box.give("show", "3", "--store", box.store).stdout
    assert "/dies  " in (drawn := box.give("tree", "--store", box.store).stdout)
    assert "host fault: WorkerDied" in drawn
    assert box.json("tree")[1]["status"] == "host fault: WorkerDied"
    assert box.json("verify", program)[0]["verified"] == 3


def test_a_run_that_is_stuck_goes_on_with_a_watchdog(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.workers.crew.STUCK_MAX", 1)
    program = box.program(TROUBLE.replace("time.sleep(1)", "time.sleep(3_600)"), "Trouble")
    lines = box.lines(['{"slow": true, "times": 1}'])
    printed = box.give("run", program, "--input", lines, "--workers", "1", "--watchdog", "0.1", "--json").stdout
    assert json.loads(printed)["data"] == ["WorkerStuck"]


def test_a_run_that_is_killed_leaves_a_trace_that_opens(box: Box) -> None:
    program, trace = box.program(ON_WORKERS), box.directory / "trace.json"
    arguments = ["run", program, "--input", "-", "--json", "--workers", "1", "--trace", str(trace)]
    with box.start(*arguments) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(LINES[0] + "\n")
        process.stdin.flush()
        process.stdout.readline()
        process.kill()
    events = json.loads(trace.read_text() + "]")
    assert "block 1" in [event["name"] for event in events]
    box.give("run", program, "--input", box.lines(), "--trace", str(trace))
    assert "block 3" in [event["name"] for event in json.loads(trace.read_text())]
