"""Every example is run as a user would run it: a process of its own, from a directory of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def hello_until(line: str, cwd: Path) -> list[str]:
    """Run hello until it prints a line that ends so, and kill it as hard as that goes."""
    command = [sys.executable, str(ROOT / "examples" / "hello.py")]
    lines = []
    with subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for printed in process.stdout:
            lines.append(printed.strip())
            if lines[-1].endswith(line):
                break
        process.send_signal(signal.SIGKILL)
    return lines


def test_hello_is_killed_and_goes_on(tmp_path: Path) -> None:
    assert hello_until("number 2", tmp_path) == ["hello, number 1", "hello, number 2"]
    again = hello_until("number 4", tmp_path)
    # The kill may have come after block 3 was committed and before it was printed.
    assert again in (["hello, number 3", "hello, number 4"], ["hello, number 4"])


def test_hello_is_under_twenty_lines_of_code() -> None:
    source = (ROOT / "examples" / "hello.py").read_text().splitlines()
    assert len([line for line in source if line.strip()]) < 20


def test_squares_prints_its_blocks(tmp_path: Path) -> None:
    for block, total in ((1, 2664667000), (2, 5329334000)):
        done = run(str(ROOT / "examples" / "squares.py"), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stdout.split()[:2] == [str(block), str(total)]


def test_ledger_keeps_the_total_and_refuses(tmp_path: Path) -> None:
    first = run(str(ROOT / "examples" / "ledger.py"), cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    lines = first.stdout.splitlines()
    assert len(lines) == 6
    assert all("total 1000000" in line for line in lines)
    assert ["NoSuchAccount" in line for line in lines] == [False, False, True] * 2, "blocks 3 and 6 pay nobody"
    assert sum("NotEnough" in line for line in lines) >= 3
    assert run(str(ROOT / "examples" / "ledger.py"), cwd=tmp_path).stdout == first.stdout


def test_ledger_goes_on_from_its_store(tmp_path: Path) -> None:
    whole = run(str(ROOT / "examples" / "ledger.py"), cwd=tmp_path).stdout.splitlines()
    stored = run(str(ROOT / "examples" / "ledger.py"), "ledger.db", cwd=tmp_path).stdout.splitlines()
    assert stored == whole
    more = run(str(ROOT / "examples" / "ledger.py"), "ledger.db", cwd=tmp_path)
    assert more.returncode == 0, more.stderr
    assert more.stdout.startswith("block 7:")


@pytest.mark.parametrize("name", ["hello", "squares", "ledger"])
def test_an_example_does_nothing_when_it_is_imported(name: str, tmp_path: Path) -> None:
    done = run("-c", f"import examples.{name}", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not list(tmp_path.iterdir())
