"""A program that catches even what ends it: people are told once, and nothing else is printed, whatever is done with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import runtime

PROGRAM = """
import logging
import runtime
from actors import Process, Root

class Stubborn(Process):
    async def run(self):
        while True:
            try:
                await self.ret()
            except BaseException:
                pass

class Waits(Process):
    async def run(self):
        await self.put("c", program=Stubborn, start=True)
        try:
            await self.get("c", "x")
        except BaseException:
            await self.ret()

class Top(Root):
    async def run(self):
        placement = self.heap["block", "placement"]
        for name in range(3):
            await self.put(name, program=Stubborn, start=True, placement=placement)
            await self.put(name)
        await self.drop(0)
        await self.put(1, start=True)
        await self.put("other", program=Stubborn, start=True, placement=placement)
"""

MAIN = """
async def main():
    async with runtime.Runtime(Top, workers=%d, forget=%r) as rt:
        for _ in range(3):
            await rt.advance({"placement": %r})
        await rt.verify()

if __name__ == "__main__":
    logging.basicConfig(format="%%(message)s")
    runtime.run(main)
"""


@pytest.mark.parametrize(("placement", "forget"), [("loop", False), ("loop", True), ("worker", False)])
def test_it_is_told_of_once(placement: str, forget: bool, tmp_path: Path) -> None:
    (tmp_path / "stubborn.py").write_text(PROGRAM + MAIN % (int(placement == "worker"), forget, placement))
    done = subprocess.run(
        [sys.executable, "stubborn.py"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(runtime.__file__).parent.parent)},
        check=False,
        timeout=60,
    )
    told = done.stderr.splitlines()
    assert done.returncode == 0, done.stderr
    assert all("(stubborn:Stubborn) was ended and went on: it catches GeneratorExit" in line for line in told), told
    assert len(told) <= 1 + (placement == "worker")
    assert told
