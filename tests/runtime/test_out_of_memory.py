"""A process on the event loop that asks for more memory than there is: it is the host's, so `advance` raises as the host would."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import runtime
from actors import Process, Root

if TYPE_CHECKING:
    from pathlib import Path

TOLD = (
    "/c (Hungry) asked for more memory than there is; it runs on the event loop, where that is the host's: place it on a "
    'worker whose memory is limited (placement="worker", worker_memory=…), or start it with gas'
)


class Hungry(Process):
    async def run(self) -> None:
        self.heap["x"] = bytes(1 << 62)


class Top(Root):
    async def run(self) -> Any:
        await self.put("c", program=Hungry, start=True)
        return await self.get("c", "x")


async def test_the_error_is_of_its_kind_and_names_the_process_and_the_mend() -> None:
    async with runtime.Runtime(Top, workers=0) as rt:
        with pytest.raises(MemoryError) as raised:
            await rt.advance()
        assert raised.value.__notes__ == [TOLD]
        assert rt.head.number == 0


def test_the_command_line_says_so_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "hungry.py").write_text(
        """
from actors import Process, Root

class Hungry(Process):
    async def run(self):
        self.heap["x"] = bytes(1 << 62)

class Top(Root):
    async def run(self):
        await self.put("c", program=Hungry, start=True)
        return await self.get("c", "x")
"""
    )
    (tmp_path / "blocks.jsonl").write_text("{}\n")
    command = [
        sys.executable,
        "-m",
        "runtime.cli",
        "run",
        "hungry.py:Top",
        "--input",
        "blocks.jsonl",
        "--store",
        "a.db",
    ]
    done = subprocess.run(
        [*command, "--workers", "0"], capture_output=True, text=True, cwd=tmp_path, check=False, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr.endswith(f"error: out of memory; {TOLD}\n")
    assert "Traceback" not in done.stderr
