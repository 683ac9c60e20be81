"""The trace: a file that viewers read, in which everything that ran on workers is told once, where it was and in what."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import Counter
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from actors import InputError, Process, Root
from actors.errors import BlockFailed, StoreError
from runtime import MemoryStore, Runtime
from runtime import trace as trace_module

if TYPE_CHECKING:
    from collections.abc import Callable


class Trace:
    """A trace that was written, checked for what every trace is."""

    def __init__(self, path: Path, text: str | None = None) -> None:
        self.events: list[dict[str, Any]] = json.loads(path.read_text() if text is None else text)
        self.names: dict[tuple[int, int], str] = {}
        for event in self.events:
            self._check(event)
            if event["name"] == "thread_name":
                self.names[event["pid"], event["tid"]] = event["args"]["name"]
        self._check_nesting()

    def _check(self, event: dict[str, Any]) -> None:
        assert type(event["name"]) is str
        assert type(event["pid"]) is int and type(event["tid"]) is int
        assert type(event["args"]) is dict
        assert event["ph"] in ("X", "i", "M")
        if event["ph"] == "M":
            assert event["name"] in ("process_name", "process_sort_index", "thread_name", "thread_sort_index")
            return
        assert type(event["ts"]) in (int, float) and event["ts"] >= 0
        if event["ph"] == "X":
            assert type(event["dur"]) in (int, float) and event["dur"] >= 0
        else:
            assert event["s"] == "t"

    def _check_nesting(self) -> None:
        """Spans of one track lie in one another or apart; of two that begin at once the outer one is told first."""
        for track in self.names:
            stack: list[tuple[int, int]] = []
            spans = [event for event in self.events if event["ph"] == "X" and (event["pid"], event["tid"]) == track]
            for begin, end in sorted(map(times, spans), key=lambda span: span[0]):
                while stack and stack[-1][1] <= begin:
                    stack.pop()
                assert not stack or end <= stack[-1][1], (self.names[track], begin, end, stack[-1])
                stack.append((begin, end))
        assert all((e["pid"], e["tid"]) in self.names for e in self.events if e["ph"] != "M")

    def track(self, event: dict[str, Any]) -> str:
        return self.names[event["pid"], event["tid"]]

    def on(self, track: str, begins: str = "") -> list[dict[str, Any]]:
        """Return the spans and instants of the tracks of a name that begin with a word."""
        return [
            event
            for event in self.events
            if event["ph"] != "M" and self.track(event).startswith(track) and event["name"].startswith(begins)
        ]

    def activations(self) -> list[dict[str, Any]]:
        return self.on("worker", "/")


def times(event: dict[str, Any]) -> tuple[int, int]:
    """Return when a span began and ended, in nanoseconds."""
    begin = round(event["ts"] * 1_000)
    return begin, begin + round(event["dur"] * 1_000)


def lies_in(inner: dict[str, Any], outer: dict[str, Any]) -> bool:
    return times(outer)[0] <= times(inner)[0] and times(inner)[1] <= times(outer)[1]


class Leaf(Process):
    placement = "worker"

    async def run(self) -> None:
        self.heap["y"] = self.heap["x"] ** 2
        if self.heap["x"] == 13:
            raise ValueError("thirteen")


class Middle(Process):
    """Waits, on the loop, for a child on a worker."""

    async def run(self) -> None:
        await self.put("leaf", {"x": self.heap["x"]}, program=Leaf, start=True)
        self.heap["y"] = await self.get("leaf", "y")


class Tops(Root):
    async def run(self) -> int:
        numbers = self.heap["block", "numbers"]
        for x in numbers:
            await self.put(x, {"x": x}, program=Leaf, start=True)
        # Each block's are others: what begins in the same state again is known, and does not run.
        self.heap["blocks"] = block = self.heap.get("blocks", 1_000) + 1
        for name in ("middle", "other"):
            await self.put(name, {"x": block}, program=Middle, start=True)
        failed = 0
        for x in numbers:
            failed += (await self.status(x)).error is not None
        for name in ("middle", "other"):
            await self.get(name, "y")
        if self.heap.get(("block", "fail"), False):
            raise ValueError("as it was told")
        return failed


async def made(path: Path, *inputs: Any, **options: Any) -> list[bytes]:
    """Make blocks of the inputs; return their hashes."""
    async with Runtime(Tops, trace=path, **options) as rt:
        return [(await rt.advance(one)).hash for one in inputs]


INPUTS: Final = [{"numbers": list(range(n, n + 30))} for n in (0, 20, 100)]


@pytest.mark.parametrize("workers", [0, 1, 2])
async def test_a_trace_has_the_blocks_in_their_order_on_the_loop_and_the_commits_beside(
    tmp_path: Path, workers: int
) -> None:
    path = tmp_path / "trace.json"
    hashes = await made(path, *INPUTS, workers=workers, store=tmp_path / "run.db")
    assert hashes == await made(tmp_path / "other.json", *INPUTS, workers=0)
    trace = Trace(path)
    wanted = {"loop", "commits"} | {f"worker {number}" for number in range(workers)} | ({"waits"} if workers else set())
    assert wanted <= set(trace.names.values())
    blocks = trace.on("loop", "block")
    assert [block["name"] for block in blocks] == ["block 1", "block 2", "block 3"]
    assert all(times(first)[1] <= times(second)[0] for first, second in pairwise(blocks))
    assert [list(block["args"]) for block in blocks] == [["number", "state_root", "gas_used", "faults"]] * 3
    commits = [commit for commit in trace.on("commits", "commit") if commit["args"]["blocks"]]
    assert [commit["args"]["blocks"] for commit in commits] == [[1], [2], [3]]
    assert all(lies_in(commit, block) for commit, block in zip(commits, blocks, strict=True))
    for what in ("step", "state", *(("waits for workers", "send", "landed", "take in") if workers else ())):
        spans = trace.on("loop", what)
        assert spans
        assert all(any(lies_in(span, block) for block in blocks) for span in spans), what
    assert bool(trace.activations()) == bool(workers)


@pytest.mark.parametrize("workers", [1, 2])
async def test_every_activation_is_told_once_in_its_batch_and_its_block(tmp_path: Path, workers: int) -> None:
    path = tmp_path / "trace.json"
    await made(path, *INPUTS, workers=workers)
    trace = Trace(path)
    blocks = trace.on("loop", "block")
    for one, block in zip(INPUTS, blocks, strict=True):
        there = Counter(run["name"] for run in trace.activations() if lies_in(run, block))
        assert there == Counter([*(f"/{x}" for x in one["numbers"]), "/middle/leaf", "/other/leaf"])
    assert len(trace.activations()) == 3 * 32
    batches = trace.on("worker", "batch")
    for batch in batches:
        inside = [run for run in trace.activations() if trace.track(run) == trace.track(batch) and lies_in(run, batch)]
        assert len(inside) == batch["args"]["jobs"]
        assert batch["args"]["bytes_there"] > 0 < batch["args"]["bytes_back"]
        assert batch["args"]["us_there"] >= 0 <= batch["args"]["us_back"]
    assert sum(batch["args"]["jobs"] for batch in batches) == 3 * 32
    traps = {run["name"]: run["args"]["trap"] for run in trace.activations()}
    assert traps.pop("/13") == "failed: ValueError"
    assert set(traps.values()) == {"returned"}
    assert {run["args"]["program"] for run in trace.activations()} == {f"{Leaf.__module__}:Leaf"}
    for what in ("send", "landed"):
        assert sum(span["args"]["jobs"] for span in trace.on("loop", what)) == 3 * 32
    assert Counter(span["args"]["path"] for span in trace.on("loop", "take in"))["/13"] == 1


async def test_waits_are_told_with_who_waited_for_whom_and_those_at_once_lie_side_by_side(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    await made(path, {"numbers": []}, workers=1)
    trace = Trace(path)
    waits = {wait["name"]: wait for wait in trace.on("waits")}
    assert set(waits) == {"/middle waits for /middle/leaf", "/other waits for /other/leaf"}
    assert {trace.track(wait) for wait in waits.values()} == {"waits", "waits, beside 1"}
    (block,) = trace.on("loop", "block")
    assert all(lies_in(wait, block) for wait in waits.values())


async def test_no_more_waits_are_told_than_there_are_tracks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.workers.tracks._WAITS_MAX", 1)
    await made(tmp_path / "trace.json", {"numbers": []}, {"numbers": []}, workers=1)
    trace = Trace(tmp_path / "trace.json")
    assert len(trace.on("waits")) == 2
    assert {trace.track(wait) for wait in trace.on("waits")} == {"waits"}
    assert [event["args"] for event in trace.on("loop", "more wait")] == [{"told": 1}]


async def test_where_much_is_out_waits_are_looked_for_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.workers.tracks._OUT_MAX", 0)
    await made(tmp_path / "trace.json", *INPUTS, workers=2)
    names = [wait["name"] for wait in Trace(tmp_path / "trace.json").on("waits")]
    assert len(names) <= 3 * 32
    assert set(names) <= {f"/ waits for /{x}" for x in range(130)} | {
        "/middle waits for /middle/leaf",
        "/other waits for /other/leaf",
    }


async def test_in_an_executor_batches_that_overlap_lie_side_by_side(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    with ThreadPoolExecutor(4) as executor:
        await made(path, *INPUTS, workers=2, executor=executor)
    assert len(Trace(path).activations()) == 3 * 32


async def test_what_was_known_already_is_told_as_such_and_does_not_run(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    async with Runtime(Tops, trace=path, workers=1) as rt:
        await rt.advance(INPUTS[0])
        await rt.revert(0)
        await rt.advance(INPUTS[0])
    trace = Trace(path)
    assert len(trace.activations()) == 32
    assert len(trace.on("loop", "known already")) == 32
    assert [block["name"] for block in trace.on("loop", "block")] == ["block 1", "block 1"]


async def test_a_block_that_is_not_made_is_told_with_why(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    async with Runtime(Tops, trace=path, workers=1) as rt:
        with pytest.raises(BlockFailed):
            await rt.advance({"numbers": [1], "fail": True})
        await rt.advance({"numbers": [2]})
    first, second = Trace(path).on("loop", "block")
    assert (first["name"], first["args"]) == ("block 1, not made", {"error": "BlockFailed"})
    assert second["name"] == "block 1"


async def until(there: Callable[[], Any]) -> None:
    """Give the loop turns until there is something."""
    while not there():  # noqa: ASYNC110
        await asyncio.sleep(0.001)


# --- what goes wrong on workers ------------------------------------------------------------------------------------


def died_before(file: str | None) -> bool:
    """Tell whether a file is there, and let it be there."""
    if file is None:
        return False
    there = os.path.exists(file)
    Path(file).touch()
    return there


class Dies(Process):
    """Ends its worker; where it is given a file, only as long as that is not there."""

    placement = "worker"
    lifted = ("files", "interpreter")

    async def run(self) -> None:
        if not died_before(self.heap.get("once")):
            os._exit(7)


class Hangs(Process):
    placement = "worker"
    lifted = ("clock",)

    async def run(self) -> None:
        time.sleep(3_600)  # noqa: ASYNC251


class Troubled(Root):
    async def run(self) -> Any:
        kind = self.heap["block", "kind"]
        if kind == "dropped":
            await self.put("child", program=Hangs, start=True)
            await self.put("before", {"x": 1}, program=Middle, start=True)
            y = await self.get("before", "y")
            await self.drop("child")
            return y
        program = Hangs if kind == "hangs" else Dies
        once = {"once": self.heap["block", "once"]} if kind == "once" else {}
        await self.put("child", once, program=program, start=True)
        return (await self.status("child")).error


async def troubled(path: Path, inputs: Any, **options: Any) -> tuple[Any, Trace]:
    async with Runtime(Troubled, trace=path, workers=1, **options) as rt:
        block = await rt.advance(inputs)
    return block, Trace(path)


async def test_a_worker_that_dies_is_told_and_what_it_took_with_it_once_it_ran(tmp_path: Path) -> None:
    inputs = {"kind": "once", "once": str(tmp_path / "once")}
    block, trace = await troubled(tmp_path / "trace.json", inputs)
    assert block.data is None
    (lost,) = trace.on("worker", "batch, lost")
    assert lost["args"] == {"jobs": 1, "paths": ["/child"], "why": "died"}
    assert [event["ph"] for event in trace.on("worker", "died")] == ["i"]
    (run,) = trace.activations()
    assert run["name"] == "/child"
    assert times(lost)[1] <= times(run)[0]


async def test_a_host_fault_is_told_after_the_deaths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.workers.crew.DEATHS_MAX", 2)
    block, trace = await troubled(tmp_path / "trace.json", {"kind": "dies"})
    assert block.faults == ((("child",), 0, "WorkerDied"),)
    assert len(trace.on("worker", "died")) == 2
    (fault,) = trace.on("loop", "host fault")
    assert (fault["name"], fault["args"]) == ("host fault: WorkerDied", {"path": "/child"})
    assert trace.on("loop", "block")[0]["args"]["faults"] == 1
    assert not trace.activations()


async def test_a_worker_that_is_stuck_is_told(tmp_path: Path) -> None:
    block, trace = await troubled(tmp_path / "trace.json", {"kind": "hangs"}, watchdog_s=0.1)
    assert block.data == "WorkerStuck"
    assert {lost["args"]["why"] for lost in trace.on("worker", "batch, lost")} == {"replaced: it was stuck"}
    assert trace.on("loop", "host fault: WorkerStuck")


async def test_a_worker_that_was_freed_of_what_was_dropped_is_told(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    async with Runtime(Troubled, trace=path, workers=2) as rt:
        assert (await rt.advance({"kind": "dropped"})).data == 1
        await until(lambda: not rt.in_flight())
    trace = Trace(path)
    assert [run["name"] for run in trace.activations()] == ["/before/leaf"]
    (lost,) = trace.on("worker", "batch, lost")
    assert lost["args"]["why"].startswith("replaced: what it did is not wanted")


async def test_what_was_at_work_when_the_run_ended_is_told(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    async with Runtime(Troubled, trace=path, workers=1) as rt:
        block = asyncio.create_task(rt.advance({"kind": "hangs"}))
        await until(rt.in_flight)
        block.cancel()
        with pytest.raises(asyncio.CancelledError):
            await block
    trace = Trace(path)
    (lost,) = trace.on("worker", "batch, lost")
    assert lost["args"] == {"jobs": 1, "paths": ["/child"], "why": "ended with the run"}
    assert [wait["name"] for wait in trace.on("waits")] == ["/ waits for /child"]
    assert trace.on("loop", "block")[0]["args"] == {"error": "CancelledError"}


# --- what is in flight ---------------------------------------------------------------------------------------------


class Held(Executor):
    """Does nothing before it is let go."""

    def __init__(self) -> None:
        self.held: list[tuple[Future[Any], Any, tuple[Any, ...]]] = []
        self.free = False

    def submit(self, fn: Any, /, *args: Any, **_: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.held.append((future, fn, args))
        if self.free:
            self.go()
        return future

    def go(self) -> None:
        self.free = True
        while self.held:
            future, fn, args = self.held.pop(0)
            future.set_result(fn(*args))


async def test_what_is_in_flight_is_told_by_path_slot_and_since_when() -> None:
    executor = Held()
    async with Runtime(Tops, workers=2, executor=executor) as rt:
        assert rt.in_flight() == []
        block = asyncio.create_task(rt.advance({"numbers": list(range(20))}))
        await until(rt.in_flight)
        flying = rt.in_flight()
        assert {one.path for one in flying} <= {(x,) for x in range(20)} | {("middle", "leaf"), ("other", "leaf")}
        assert {one.slot for one in flying} == {0, 1}
        for slot in (0, 1):
            at_work, *behind = [one.since for one in flying if one.slot == slot]
            assert type(at_work) is int
            assert behind == [None], "a batch behind the one at work has not begun"
        executor.go()
        await block
        assert rt.in_flight() == []
    async with Runtime(Tops, workers=0) as rt:
        assert rt.in_flight() == []


# --- the file ------------------------------------------------------------------------------------------------------


async def test_a_trace_of_somebody_who_is_killed_has_all_blocks_that_were_made(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    async with Runtime(Tops, trace=path, workers=1) as rt:
        await rt.advance(INPUTS[0])
        text = path.read_text()
        # The format does not ask for the bracket; this parser does.
        trace = Trace(path, text + "]")
    assert trace.on("loop", "block 1")
    assert path.read_text().startswith(text)
    assert path.read_text().endswith("\n]\n")


async def test_a_trace_is_written_over_and_nothing_else_is(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    for inputs in (INPUTS, INPUTS[:1]):
        await made(path, *inputs, workers=0)
    assert len(Trace(path).on("loop", "block")) == 1
    (tmp_path / "empty").touch()
    await made(tmp_path / "empty", workers=0)
    Trace(tmp_path / "empty")
    mine = tmp_path / "mine.json"
    for text in ("[", "[1, 2]", "SQLite format 3"):
        mine.write_text(text)
        with pytest.raises(InputError, match=r"mine\.json: this file is there already, and is no trace"):
            await made(mine, store=tmp_path / "run.db")
        assert mine.read_text() == text
    assert not (tmp_path / "run.db").exists()


async def test_a_file_that_cannot_be_written_is_named_before_anything_is(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing" / "trace.json"):
        with pytest.raises(InputError, match=f"the trace {path} cannot be written: "):
            await made(path, INPUTS[0], store=tmp_path / "run.db")
    assert not (tmp_path / "run.db").exists()


async def test_a_store_that_cannot_be_opened_leaves_a_whole_trace(tmp_path: Path) -> None:
    (tmp_path / "run.db").write_text("no store at all, but long enough to be looked at as one" * 100)
    with pytest.raises(StoreError):
        await made(tmp_path / "trace.json", store=tmp_path / "run.db")
    assert not Trace(tmp_path / "trace.json").on("loop")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no full device here")
async def test_a_disk_that_is_full_ends_the_trace_and_not_the_run(caplog: pytest.LogCaptureFixture) -> None:
    hashes = await made(Path("/dev/full"), *INPUTS, workers=0)
    assert len(hashes) == 3
    (said,) = [record.getMessage() for record in caplog.records if record.name == "lockstep.trace"]
    assert said.startswith("the trace ends here, it cannot be written any further: /dev/full: ")


class Odd(Root):
    async def run(self) -> None:
        for name in ('"', "\\", "ü\x1b[31m", 7):
            await self.put(name, {"x": 1}, program=Leaf, start=True)
            await self.get(name, "y")


async def test_any_name_is_in_a_trace(tmp_path: Path) -> None:
    async with Runtime(Odd, trace=tmp_path / "trace.json", workers=1) as rt:
        await rt.advance()
    assert len(Trace(tmp_path / "trace.json").activations()) == 4
    assert (tmp_path / "trace.json").read_bytes().isascii()


async def test_a_commit_that_fails_leaves_a_block_that_was_not_made(tmp_path: Path) -> None:
    class Full(MemoryStore):
        def commit(self, commit: Any) -> None:
            if any(number == 2 for number, _, _ in commit.blocks):
                raise StoreError("full")
            super().commit(commit)

    async with Runtime(Tops, store=Full(), trace=tmp_path / "trace.json", workers=0) as rt:
        await rt.advance(INPUTS[0])
        with pytest.raises(StoreError):
            await rt.advance(INPUTS[1])
    trace = Trace(tmp_path / "trace.json")
    assert [block["name"] for block in trace.on("loop", "block")] == ["block 1", "block 2, not made"]
    assert [commit["args"]["blocks"] for commit in trace.on("commits")] == [[1]]


def test_a_trace_is_cut_off_between_events_alone(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    trace = trace_module.Trace(path)
    seen = set()
    for n in range(3_000):
        trace.instant(trace.loop, f"event {n}", long="x" * (n % 700))
        if path.stat().st_size not in seen:
            seen.add(path.stat().st_size)
            json.loads(path.read_text() + "]" if path.stat().st_size else "[]")
    trace.close()
    assert len(seen) > 10
    assert len(Trace(path).on("loop")) == 3_000


def test_no_two_times_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.trace.time.monotonic_ns", lambda: 5)
    trace = trace_module.Trace(tmp_path / "trace.json")
    with trace.during("outer"), trace.during("inner"):
        pass
    trace.close()
    trace.close()
    inner, outer = Trace(tmp_path / "trace.json").on("loop")
    assert lies_in(inner, outer)
    assert times(outer)[0] < times(inner)[0]
