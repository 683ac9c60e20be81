"""A nursery as in crash_writer.py, whose children export and import until somebody, or the disk, stops them.

export   write block BLOCK of the store `source` to `out.export`
import   make `state.db` of the export `export`
check    look at what is left, do it again without a fault, and go on with the store to the last block
"""

from __future__ import annotations

import ctypes
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import crash_writer
from crash_writer import GENESIS, Ledger, arm, over, read_whole, say
from streams import export_of, rows_of

import runtime
import runtime.store.sqlite as sqlite_store
import runtime.transfer.imports
import runtime.transfer.receiver
import runtime.transfer.stream
from actors import LockstepError

#: The block that is carried over.
BLOCK = 6
#: Small, so that there are many chunks, and what is put aside into the store is more than once.
CHUNK_BYTES = 2_000


def do(job: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    """Do a job in a process of its own, and end that."""
    code = 1
    try:
        out = os.open(job["out"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(out, 1)
        os.dup2(out, 2)
        if job["fault"] is not None:
            arm(job["fault"])
        if job["do"] == "check":
            check(job, expected)
        else:
            try:
                carry(job)
            except LockstepError as error:
                over()
                say("fault", type(error).__name__, error)
            else:
                say("done")
            if job["fault"] is not None:
                say("calls", ctypes.c_long.in_dll(ctypes.CDLL(None), "disk_faults_seen").value)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def carry(job: dict[str, Any]) -> None:
    if job["what"] == "export":
        runtime.export_block(job["source"], BLOCK, job["path"])
    else:
        runtime.import_block(job["export"], job["path"])


def check(job: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    path, whole = Path(job["path"]), Path(job["export"]).read_bytes()
    there = path.exists()
    say("there", there)
    if there:
        assert (path.read_bytes() if job["what"] == "export" else export_of(path)) == whole, "it is there and not whole"
    else:
        carry(job)
    if job["what"] == "export":
        assert path.read_bytes() == whole
        left = [path.name]
    else:
        left = [path.name, path.name + "-lock"]
        # Whatever stopped it and wherever it went on, it is the store that an import makes that nothing stops.
        assert rows_of(path) == rows_of(Path(job["reference"])), "it is another store"
        runtime.run(lambda: go_on(path, job["last"], expected))
    try:
        carry(job)
    except LockstepError as error:
        assert "is there already" in str(error), error
    names = sorted(name for name in os.listdir(path.parent) if name.startswith(path.name))
    assert names == left, f"files were left: {names}"
    say("whole")


async def go_on(path: Path, last: int, expected: list[tuple[str, str]]) -> None:
    async with runtime.Runtime(Ledger, path, genesis=GENESIS) as rt:
        assert (rt.head.number, rt.head.hash.hex(), rt.head.state_root.hex()) == (BLOCK, *expected[BLOCK])
        read_whole(path, [BLOCK])
        for number in range(BLOCK + 1, last + 1):
            await rt.advance({"number": number})
        assert (rt.head.hash.hex(), rt.head.state_root.hex()) == expected[last], "it went on another way"
        await rt.verify()
    read_whole(path, range(BLOCK, last + 1))


if __name__ == "__main__":
    sqlite_store._WAL_PAGES_MAX = 24  # type: ignore[misc]
    sqlite_store._WAL_BYTES_KEPT = 60_000  # type: ignore[misc]
    runtime.transfer.stream.CHUNK_BYTES = CHUNK_BYTES
    runtime.transfer.imports.CHUNK_BYTES = CHUNK_BYTES
    runtime.transfer.receiver._ASIDE_BYTES = 400  # type: ignore[misc]
    runtime.transfer.receiver._COMMIT_BYTES = 3_000  # type: ignore[misc]
    crash_writer.do = do
    crash_writer.serve(iter(sys.stdin.readline, ""))
