"""A program with a bit of everything, and a process that writes its blocks on a store until somebody stops it.

    python crash_writer.py PATH LAST      write blocks up to number LAST, and say of each when it is committed
    python crash_writer.py PATH LAST KEEP the same, and keep about so many
    python crash_writer.py                a nursery: for each line on stdin, a job as JSON, fork a process that does it

The nursery saves the 0.2 s in which Python starts, so that a test can afford a thousand crashes. For every job it says
the process's number, and then how it ended, a line each; what the process itself says goes into the job's file `out`.
`test_crash.py` has the other side of this, and the library `disk_faults` that a nursery may have been started with.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import sys
import traceback
from hashlib import shake_256
from typing import TYPE_CHECKING, Any

from reachable import reachable, stored

import runtime
import runtime.keeping as keeping_module
import runtime.prune as prune_module
import runtime.store.sqlite as sqlite_store
from actors import ChildFailed, Process, Root, StoreError, add
from actors.cells import from_cell
from runtime.history import History

if TYPE_CHECKING:
    from collections.abc import Iterable

ACCOUNTS = 12
WORKERS = 3
GENESIS = {**{("accounts", i): 100 * i for i in range(ACCOUNTS)}, ("accounts", "sum"): 0, "seed": "crash"}


def noise(seed: str, number: int, size: int) -> bytes:
    """Bytes that do not compress and that everybody can make again."""
    return shake_256(f"{seed}{number}".encode()).digest(size)


class Worker(Process):
    """Changes its share of the accounts; the parent merges that."""

    async def run(self) -> None:
        share, number = self.heap["share"], self.heap["number"]
        for i in range(share, ACCOUNTS, WORKERS):
            self.heap["accounts", i] += number * (i + 1)
            self.heap["accounts", "sum"] += number
        self.heap["seen", number % 4] = noise("worker", number, 700)


class Shaky(Process):
    """Fails as often as it is told, with its heap half written and a child of its own started."""

    async def run(self) -> None:
        self.heap["written"] = noise("shaky", self.heap["number"], 1500)
        await self.put("below", {"number": self.heap["number"]}, program=Leaf, start=True)
        if self.heap["tries"] < 1 + self.heap["number"] % 2:
            raise ValueError("not yet")
        self.heap["done"] = await self.get("below", "value")


class Leaf(Process):
    async def run(self) -> None:
        self.heap["value"] = noise("leaf", self.heap["number"], 40)


class Runner(Process):
    """Is started in one block and waited for in a later one."""

    async def run(self) -> None:
        for i in range(3):
            await self.put(i, {"number": self.heap["from"] + i}, program=Leaf, start=True)
        self.heap["found"] = [await self.get(i, "value") for i in range(3)]


class Talker(Process):
    """Stands in the middle of `run` for five blocks, then starts over."""

    async def run(self) -> None:
        heard = []
        for _ in range(5):
            heard.append(self.heap["said"])
            self.heap["heard"] = heard
            await self.ret()


class Ledger(Root):
    """Every fourth block begins three that are one activation, closed by `snapshot` in the middle."""

    async def run(self) -> dict[str, Any]:
        number = self.heap["block", "number"]
        data = await self.block(number)
        if number % 4 == 1:
            for _ in range(2):
                inputs = await self.snapshot(data, region="said")
                data = await self.block(inputs["number"])
        return data

    async def block(self, number: int) -> dict[str, Any]:
        for share in range(WORKERS):
            await self.put(
                ("worker", "other", "third")[share],
                {"accounts": self.heap.region("accounts"), "share": share, "number": number},
                program=Worker,
                start=True,
            )
        await self.put("shaky", {"number": number, "tries": 0}, program=Shaky, start=True)
        if number % 3 == 1:
            await self.put("runner", {"from": number}, program=Runner, start=True)
        elif number % 3 == 0:
            self.heap["found"] = (await self.get("runner", "found"), number)
        await self.put("talker", {"said": number}, program=None if self.heap.get("talks") else Talker, start=True)
        self.heap["talks"] = True
        for share in range(WORKERS):
            await self.merge(("worker", "other", "third")[share], region="accounts", resolve={("accounts", "sum"): add})
        tries = 0
        while True:
            try:
                self.heap["shaky"] = await self.get("shaky", "done")
                break
            except ChildFailed as failed:
                tries += 1
                self.heap["failed"] = failed.error
                await self.put("shaky", {"tries": tries}, start=True)
        if number % 5 == 4:
            await self.drop("other")
        self.heap["noise", number % 6] = noise(self.heap["seed"], number, 2000 + 900 * (number % 5))
        return {"sum": self.heap["accounts", "sum"], "tries": tries, "heard": await self.get("talker", "heard")}


def say(*words: object) -> None:
    """Say a line at once."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def undisturbed(last: int) -> list[tuple[str, str]]:
    """The hash and state root of every block up to number `last`."""
    made = []
    async with runtime.Runtime(Ledger, genesis=GENESIS) as rt:
        made.append((rt.head.hash.hex(), rt.head.state_root.hex()))
        for number in range(1, last + 1):
            block = await rt.advance({"number": number})
            made.append((block.hash.hex(), block.state_root.hex()))
    return made


async def write(path: str, last: int, *, leave: bool = False, keep: int | None = None) -> None:
    """Go on to block `last`. Where the store fails: lift the fault and go on, or `leave` the runtime by that error."""
    while True:
        try:
            async with runtime.Runtime(Ledger, path, genesis=GENESIS, keep=keep) as rt:
                say("open", rt.head.number)
                while rt.head.number < last:
                    before = rt.head
                    try:
                        block = await rt.advance({"number": before.number + 1})
                    except StoreError as error:
                        assert rt.head is before, "the head moved in a block that failed"
                        assert rt.block(before.number) == before, "the chain moved in a block that failed"
                        say("fault", before.number + 1, type(error).__name__, error)
                        over()
                        if leave:
                            raise
                    else:
                        say("block", block.number, block.hash.hex())
            say("closed")
            return
        except StoreError as error:
            say("left", type(error).__name__, error)
            over()


async def prune(path: str, keep: int, *, leave: bool = False) -> None:
    """Prune. Where the store fails: lift the fault and do it again, or `leave` the runtime by that error."""
    while True:
        try:
            async with runtime.Runtime(Ledger, path) as rt:
                say("open", rt.head.number)
                while True:
                    try:
                        pruned = await rt.prune(keep)
                    except StoreError as error:
                        say("fault", type(error).__name__, error)
                        over()
                        if leave:
                            raise
                    else:
                        say("pruned", *pruned)
                        break
            say("closed")
            return
        except StoreError as error:
            say("left", type(error).__name__, error)
            over()


async def check(job: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    """Open a store that was left in whatever way: its head is whole, has all that was said, and goes on as it should."""
    path, last, said, keep, branches = job["path"], job["last"], job["said"], job["keep"], job["branches"]
    async with runtime.Runtime(Ledger, path, genesis=GENESIS) as rt:
        head = rt.head
        say("head", head.number)
        assert head.number >= max(map(int, said), default=0), "a block that was committed is gone"
        chain = list(rt.blocks())
        first = chain[0].number
        assert [block.number for block in chain] == list(range(first, head.number + 1))
        assert len(chain) >= min(head.number + 1, head.number + 1 if keep is None else keep), "too many were dropped"
        for block in chain:
            number = block.number
            assert (block.hash.hex(), block.state_root.hex()) == expected[number], f"block {number} is another one"
            assert said.get(str(number), block.hash.hex()) == block.hash.hex(), f"block {number} was another one"
        beside = [[block.number, block.hash.hex()] for block in rt.blocks(branches=True) if block not in chain]
        assert beside == [[number, digest] for number, digest in branches if number >= first], "of a branch"
        read_whole(path, None)
        if keep is not None:
            assert await rt.verify() == head.number - first
        for number in range(head.number + 1, last + 1):
            await rt.advance({"number": number})
        assert (rt.head.hash.hex(), rt.head.state_root.hex()) == expected[last], "it went on another way"
        read_whole(path, [last])
        if keep is not None:
            pruned = await rt.prune(keep)
            say("swept", *pruned)
            assert rt._history is not None
            assert stored(rt._history.store) == reachable(rt._history.store), "what is stored is not what is needed"
            assert [block.number for block in rt.blocks()] == list(range(max(first, last - keep + 1), last + 1))
    names = sorted(name for name in os.listdir(os.path.dirname(path)) if name.startswith(os.path.basename(path)))
    assert names == [os.path.basename(path), os.path.basename(path) + "-lock"], f"files were left: {names}"
    say("whole")


def read_whole(path: str | os.PathLike[str], numbers: Iterable[int] | None) -> None:
    """Read all that is in the states behind blocks from the file; each node is held against its digest as it is read.

    Heaps, children, snapshots, journals: all of that. None: of all blocks, on all branches.
    """
    store = runtime.SqliteStore(path, writer=False)
    try:
        for which in [digest for _, digest in store.hashes()] if numbers is None else numbers:
            for _, cell in History(store).state(which).entries():
                from_cell(cell)
    finally:
        store.close()


# --- the nursery -----------------------------------------------------------------------------------------------------


def arm(fault: dict[str, Any]) -> None:
    """Let the disk fail (see the library in test_crash.py)."""
    library = ctypes.CDLL(None)
    library.disk_faults_arm(
        fault["name"].encode(), ctypes.c_long(fault["at"]), fault["mode"], int(fault["lasts"]), fault["seed"]
    )


def over() -> None:
    """The disk is in order again, and files may be of any size."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    lift = getattr(ctypes.CDLL(None), "disk_faults_over", None)
    if lift is not None:
        lift()


def do(job: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    """Do a job in a process of its own, and end that."""
    code = 1
    try:
        out = os.open(job["out"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(out, 1)
        os.dup2(out, 2)
        if job["do"] == "check":
            runtime.run(lambda: check(job, expected))
        else:
            if job["fault"] is not None:
                arm(job["fault"])
            if job["limit"] is not None:
                # What it says goes to a file too, which is short.
                resource.setrlimit(resource.RLIMIT_FSIZE, (job["limit"], resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
            if job["do"] == "prune":
                runtime.run(lambda: prune(job["path"], job["keep"], leave=job["leave"]))
            else:
                runtime.run(lambda: write(job["path"], job["last"], leave=job["leave"], keep=job["keep"]))
            if job["fault"] is not None:
                say("calls", ctypes.c_long.in_dll(ctypes.CDLL(None), "disk_faults_seen").value)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def serve(jobs: Iterable[str]) -> None:
    """Fork a process for every job, and wait for it; its number is not given away before the next job comes."""
    expected: list[tuple[str, str]] = []
    process = 0
    for line in jobs:
        if process:
            os.waitpid(process, 0)
        job = json.loads(line)
        if len(expected) <= job["last"]:
            expected = runtime.run(lambda last=job["last"]: undisturbed(last))
        process = os.fork()
        if process == 0:
            do(job, expected)
        say("begun", process)
        ended = os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
        assert ended is not None
        say("ended", ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status)


if __name__ == "__main__":
    # Checkpoints come after a few blocks then, and the log is cut after each.
    sqlite_store._WAL_PAGES_MAX = 48  # type: ignore[misc]
    sqlite_store._WAL_BYTES_KEPT = 100_000  # type: ignore[misc]
    # Pruning is begun often, and goes in many small steps.
    keeping_module._SLACK_MIN = 2  # type: ignore[misc]
    prune_module._DUE_MIN = 40  # type: ignore[misc]
    prune_module._MARKS_PER_STEP = 25  # type: ignore[misc]
    prune_module._SWEPT_PER_STEP = 60  # type: ignore[misc]
    prune_module._SWEPT_SHARE = 1  # type: ignore[misc]
    if len(sys.argv) > 1:
        kept = int(sys.argv[3]) if len(sys.argv) > 3 else None
        runtime.run(lambda: write(sys.argv[1], int(sys.argv[2]), keep=kept))
    else:
        serve(iter(sys.stdin.readline, ""))
