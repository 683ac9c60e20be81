"""The command line: what is printed, to whom, and with which exit code; in this process, in others, in a terminal."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import signal
import struct
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from actors.errors import InputError
from runtime.cli import app
from runtime.cli.input_lines import InputLines
from runtime.cli.screen import laid_out, printable
from runtime.loop import run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

pty = pytest.importorskip("pty")
fcntl = pytest.importorskip("fcntl")
termios = pytest.importorskip("termios")

LOCKSTEP = [sys.executable, "-m", "runtime.cli"]
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "NO_COLOR", "COLUMNS")}
BOXES = set("─│╭╮╰╯━┃├└┌┐┘")

SQUARES = """
    from actors import Process, Root

    class Square(Process):
        async def run(self):
            self.heap["y"] = self.heap["x"] ** 2

    class Squares(Root):
        async def run(self):
            numbers = self.heap["block", "numbers"]
            for i, x in enumerate(numbers):
                await self.put(i, {"x": x}, program=Square, start=True)
            total = self.heap.get("total", 0)
            for i, _ in enumerate(numbers):
                total += await self.get(i, "y")
            self.heap["total"] = total
            self.heap["seen", "last"] = numbers
            print("a program's own words")
            return {"total": total, "wörd": "ü\\x1b[31m" + "long " * 40}
"""
LINES = ['{"numbers": [1, 2, 3]}', "", '{"numbers": [10, 20]}', '{"numbers": []}']

_numbers = itertools.count()


def sleeping(seconds: float) -> str:
    """SQUARES whose blocks take some time."""
    lifted = SQUARES.replace("class Squares(Root):", 'class Squares(Root):\n        lifted = ("clock",)')
    return lifted.replace("numbers = ", f"import time; time.sleep({seconds}); numbers = ")


class Box:
    """A directory with a program in it, and commands given there, in this process or in another."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store = str(directory / "run.db")

    def program(self, source: str = SQUARES, root: str = "Squares") -> str:
        """Write a program into a module of its own name; return `FILE:ROOT`."""
        file = self.directory / f"program_{os.getpid()}_{next(_numbers)}.py"
        file.write_text(textwrap.dedent(source))
        return f"{file}:{root}"

    def lines(self, lines: Sequence[str] = LINES) -> str:
        """Write an input file; return its path."""
        file = self.directory / f"blocks_{next(_numbers)}.jsonl"
        file.write_text("\n".join(lines))
        return str(file)

    def give(self, *arguments: str, code: int = 0, fed: bytes | str | None = None) -> Any:
        """Give a command in this process; the result has `stdout` and `stderr`."""
        result = CliRunner().invoke(app, list(arguments), input=fed)
        assert result.exit_code == code, f"{result.exit_code}: {result.output}\n{result.exception!r}"
        return result

    def json(self, *arguments: str) -> list[Any]:
        """Give a command that reads the store, and return the objects that it prints."""
        printed = self.give(*arguments, "--store", self.store, "--json").stdout
        return [json.loads(line) for line in printed.splitlines()]

    def kept(self, **more: Any) -> str:
        """Run the squares into the store; return the program."""
        program = self.program()
        self.give("run", program, "--input", self.lines(**more), "--store", self.store)
        return program

    def start(self, *arguments: str, **more: Any) -> subprocess.Popen[str]:
        """Start a command in another process."""
        return subprocess.Popen(
            [*LOCKSTEP, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
            **more,
        )

    def see(self, columns: int, *arguments: str) -> tuple[str, int]:
        """Give a command in a terminal; return what comes to be on it, and the exit code."""
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        process = subprocess.Popen(
            [*LOCKSTEP, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**ENVIRONMENT, "TERM": "xterm-256color"},
        )
        os.close(slave)
        seen = b""
        with contextlib.suppress(OSError):
            while piece := os.read(master, 65_536):
                seen += piece
        os.close(master)
        return seen.decode().replace("\r\n", "\n"), process.wait()


def plain(seen: str) -> str:
    """Return what was seen without colours and cursor movements."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen)


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    path, modules = sys.path[:], set(sys.modules)
    yield Box(tmp_path)
    sys.path[:] = path
    for name in [name for name in sys.modules if name.startswith("program_") and name not in modules]:
        del sys.modules[name]


# --- run -----------------------------------------------------------------------------------------------------------


def test_run_prints_a_line_for_each_block_and_nothing_else_on_standard_output(box: Box) -> None:
    result = box.give("run", box.program(), "--input", box.lines())
    rows = [line.split(maxsplit=4) for line in result.stdout.splitlines()]
    assert [row[0] for row in rows] == ["1", "2", "3"]
    assert all(re.fullmatch("[0-9a-f]{10}", row[1]) and re.fullmatch("[0-9a-f]{10}", row[2]) for row in rows)
    assert [json.loads(row[4])["total"] for row in rows] == [14, 514, 514]
    assert "a program's own words" in result.stderr
    assert "blocks 1 to 3 made, in memory only; --store PATH keeps blocks" in result.stderr


def test_run_with_json_prints_one_object_a_line_for_scripts(box: Box) -> None:
    printed = box.give("run", box.program(), "--input", "-", "--json", fed="\n".join(LINES)).stdout
    blocks = [json.loads(line) for line in printed.splitlines()]
    assert [block["number"] for block in blocks] == [1, 2, 3]
    assert printed.isascii()
    assert list(blocks[0]) == ["number", "hash", "parent", "state_root", "gas_used", "data"]
    assert blocks[1]["parent"] == blocks[0]["hash"]
    assert blocks[0]["data"]["wörd"].startswith("ü\x1b[31m")


def test_a_file_makes_the_same_roots_as_python_file_wherever_it_is_called_from(box: Box) -> None:
    program = box.program(
        SQUARES
        + """
    if __name__ == "__main__":
        import runtime

        async def main():
            async with runtime.Runtime(Squares) as rt:
                print((await rt.advance({"numbers": [1, 2]})).hash.hex())

        runtime.run(main)
    """
    )
    file = program.partition(":")[0]
    by_python = subprocess.run([sys.executable, file], capture_output=True, text=True, check=True).stdout.split()[-1]
    for named, where in ((program, "/"), (os.path.basename(program), box.directory), (file, "/")):
        with box.start("run", named, "--input", "-", "--json", cwd=where) as process:
            printed, _ = process.communicate('{"numbers": [1, 2]}')
        assert json.loads(printed)["hash"] == by_python
    dotted = os.path.basename(program).replace(".py", "")
    with box.start("run", dotted, "--input", "-", "--json", cwd=box.directory) as process:
        printed, told = process.communicate('{"numbers": [1, 2]}')
    assert json.loads(printed)["hash"] == by_python, told


def test_the_same_command_goes_on_behind_the_blocks_that_are_there(box: Box) -> None:
    program, lines = box.program(), box.lines()
    box.give("run", program, "--input", box.lines(LINES[:3]), "--store", box.store)
    result = box.give("run", program, "--input", lines, "--store", box.store)
    assert len(result.stdout.splitlines()) == 1
    assert "blocks 1 to 2 were there already, block 3 made; the head is block 3" in result.stderr
    result = box.give("run", program, "--input", lines, "--store", box.store)
    assert not result.stdout
    assert "blocks 1 to 3 were there already; the head is block 3" in result.stderr


def test_append_takes_every_line_as_a_new_block(box: Box) -> None:
    program = box.kept()
    result = box.give("run", program, "--input", "-", "--store", box.store, "--append", fed=LINES[0])
    assert result.stdout.split()[0] == "4"


def test_a_line_that_is_not_what_its_block_was_made_of_is_told_with_both_and_the_mend(box: Box) -> None:
    program = box.kept()
    told = box.give(
        "run", program, "--input", "-", "--store", box.store, fed="\n".join(LINES).replace("10", "11"), code=2
    ).stderr
    assert f"line 3 of standard input: block 2 of {box.store} was made of other inputs" in told
    assert '{"numbers": [11, 20]}' in told
    assert '{"numbers": [10, 20]}' in told
    assert f"lockstep revert 1 --store {box.store}" in told
    assert "--append" in told
    assert box.json("log")[0]["number"] == 3


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"numbers": [1 2]}', "line 3 of standard input: no JSON: expecting ',' delimiter at column 16"),
        ('{"numbers": [1, NaN]}', "line 3 of standard input: at .numbers[1]: NaN is no JSON"),
        (b'{"numbers": "\xff"}', "line 3 of standard input: byte 14 is not UTF-8"),
        ('{"$map": [[1.5, 2]]}', "line 3 of standard input: the key 1.5 is of type float"),
        ('{"$map": [[null, 2]]}', "line 3 of standard input: the key None"),
    ],
)
def test_a_broken_line_is_told_with_its_number_and_place_and_earlier_blocks_stay(
    box: Box, line: str | bytes, told: str
) -> None:
    whole = b'{"numbers": []}\n\n' + (line.encode() if isinstance(line, str) else line) + b"\n"
    result = box.give("run", box.program(), "--input", "-", "--store", box.store, fed=whole, code=2)
    assert told in result.stderr
    assert "Traceback" not in result.stderr
    assert [block["number"] for block in box.json("log")] == [1, 0]


def test_a_failed_block_shows_the_childs_own_traceback_and_the_line(box: Box) -> None:
    program = box.program(
        """
        from actors import Process, Root

        class Kid(Process):
            async def run(self):
                self.heap["y"] = 1 // self.heap["x"]  # the culprit

        class Boss(Root):
            async def run(self):
                await self.put("kid", {"x": self.heap["block", "x"]}, program=Kid, start=True)
                return await self.get("kid", "y")
        """,
        "Boss",
    )
    told = box.give("run", program, "--input", "-", fed='{"x": 1}\n{"x": 0}', code=1).stderr
    assert "# the culprit" in told
    assert told.index("ZeroDivisionError") < told.index("ChildFailed")
    assert "error: block 2 was not made, the head stays: the root failed with ChildFailed" in told
    assert "its inputs are line 2 of standard input" in told
    assert "runtime/" not in told
    assert not set(told) & BOXES
    whole = box.give("run", program, "--input", "-", "--debug", fed='{"x": 0}', code=1).stderr
    assert "runtime/machine.py" in whole


def test_a_program_that_is_not_there_is_told_with_those_that_are(box: Box) -> None:
    program = box.program(
        SQUARES
        + "\n    class Other(Root):\n        async def run(self):\n            pass\n    class Bare(Root): pass\n"
    )
    file = program.partition(":")[0]

    def told(named: str, code: int = 2) -> str:
        return str(box.give("run", named, "--input", box.lines(), code=code).stderr)

    assert f"did you mean {program}?" in told(f"{file}:Sqares")
    assert f"the root programs in it: {program}, {file}:Other" in told(f"{file}:Square")
    assert "is a function" not in told(f"{file}:Process")
    assert "2 root programs; say which" in told(file)
    assert "there is no file" in told(str(box.directory / "nothing.py") + ":Squares")
    assert f"did you mean {file}?" in told(file.replace("/program_", "/progam_") + ":Squares")
    assert "there is no module nowhere" in told("nowhere:Squares")
    assert "is a directory" in told(f"{box.directory}:Squares")
    assert "write `async def run(self)`" in told(f"{file}:Bare", 1)
    assert "cannot be read: no such file" in box.give("run", program, "--input", "nothing.jsonl", code=2).stderr
    clash = box.directory / "json.py"
    clash.write_text("")
    assert "rename the file" in told(f"{clash}:Squares")


def test_a_file_that_cannot_be_imported_shows_the_place_in_it(box: Box) -> None:
    told = box.give("run", box.program("def f():\n    raise OSError('no luck')\nf()\n"), "--input", "-", code=1).stderr
    assert "line 2, in f\n    raise OSError" in told
    assert "importlib" not in told
    assert "cannot be imported: OSError: no luck" in told
    assert "SyntaxError" in box.give("run", box.program("1 +"), "--input", "-", code=1).stderr
    assert "ModuleNotFoundError" in box.give("run", box.program("import nowhere"), "--input", "-", code=1).stderr


UNGUARDED = """
    import runtime
    from actors import Root

    class Alone(Root):
        async def run(self):
            return 1

    async def main():
        raise AssertionError("it ran")

    runtime.run(main)
"""


@pytest.mark.parametrize("given", ["main", "main()"])
def test_a_program_that_runs_itself_when_it_is_imported_is_told_to_guard_that(box: Box, given: str) -> None:
    program = box.program(UNGUARDED.replace("run(main)", f"run({given})"), "Alone")
    told = box.give("run", program, "--input", box.lines(), code=1).stderr
    assert "calls runtime.run(…) while it is imported, and not run; put it under `if __name__ == '__main__':`" in told
    assert "line 12, in <module>\n    runtime.run(" in told


def test_a_module_that_somebody_else_imports_may_run_something(box: Box) -> None:
    (box.directory / "alone.py").write_text(textwrap.dedent(UNGUARDED).replace("raise AssertionError", "print"))
    done = subprocess.run([sys.executable, "-c", "import alone"], cwd=box.directory, capture_output=True, text=True)
    assert done.stdout == "it ran\n", done.stderr


def test_a_file_that_ends_the_process_is_told(box: Box) -> None:
    for end, said in (("raise SystemExit(4)", "SystemExit(4)"), ("import sys\nsys.exit('no')", "SystemExit('no')")):
        told = box.give("run", box.program(end), "--input", "-", code=1).stderr
        assert f"cannot be imported: it ends with {said} while it is imported; put" in told


@pytest.mark.parametrize("marked", [True, False])
def test_a_file_of_a_package_is_told_how_it_is_named(box: Box, marked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = box.directory / f"shop_{os.getpid()}_{marked}"
    shop.mkdir()
    if marked:
        (shop / "__init__.py").write_text("")
    (shop / "prices.py").write_text("")
    (shop / "main.py").write_text(
        "from . import prices\nfrom actors import Root\nclass Alone(Root):\n    async def run(self):\n        return 1\n"
    )
    told = box.give("run", f"{shop}/main.py:Alone", "--input", "-", code=1).stderr
    mend = f"it belongs to the package {shop.name}; give it as {shop.name}.main, in the directory {box.directory}"
    assert mend in told
    monkeypatch.chdir(box.directory)
    box.give("run", f"{shop.name}.main:Alone", "--input", box.lines())


# --- looking -------------------------------------------------------------------------------------------------------


def test_log_lists_the_newest_first_as_git_does(box: Box) -> None:
    box.kept()
    lines = box.give("log", "--store", box.store).stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["3", "2", "1", "0"]
    assert "(head)" in lines[0]
    assert lines[-1].endswith("genesis")
    assert [block["number"] for block in box.json("log", "-n", "2")] == [3, 2]
    assert [block["number"] for block in box.json("log", "--reverse")] == [0, 1, 2, 3]


def test_show_names_a_block_by_number_hash_and_distance(box: Box) -> None:
    box.kept()
    (head,) = box.json("show", "head")
    assert head["inputs"] == {"numbers": []}
    assert set(head) > {"code", "inputs_digest", "data_digest", "on_chain", "gas_used", "state_root"}
    for named in ("2", "head~", "head~1", "3~1", head["parent"], head["parent"][:8], "HEAD~1"):
        assert box.json("show", named)[0]["number"] == 2
    shown = box.give("show", "2", "--store", box.store).stdout
    assert head["parent"] in shown
    assert 'inputs      {"numbers": [10, 20]}' in shown
    for named, code, told in (
        ("9", 1, "the chain, which goes from 0 to 3"),
        ("hed", 2, "names no block"),
        ("head~4", 1, "before the genesis"),
        ("ffffffffffff", 1, "no block's hash begins with"),
        ("~1", 2, "names no block"),
    ):
        assert told in box.give("show", named, "--store", box.store, code=code).stderr


def test_tree_lists_every_process_with_its_program_keys_and_status(box: Box) -> None:
    program = box.kept()
    module = os.path.basename(program).partition(".")[0]
    printed = box.give("tree", "--store", box.store).stdout.splitlines()
    assert printed[0] == f"/  {module}:Squares  3 keys  returned"
    assert printed[1] == f"/0  {module}:Square  2 keys  returned"
    found = box.json("tree", "1")
    assert [process["path"] for process in found] == ["/", "/0", "/1", "/2"]
    assert found[0]["digest"] == box.json("show", "1")[0]["state_root"]


def test_get_prints_values_and_lists_heaps(box: Box) -> None:
    box.kept()

    def got(*arguments: str, code: int = 0) -> str:
        result = box.give("get", *arguments, "--store", box.store, code=code)
        return str(result.stdout if code == 0 else result.stderr)

    assert got("head", "/", "total") == got("2", "/", '"total"') == "514\n"
    assert got("1", "/", '["seen", "last"]') == "[1, 2, 3]\n"
    assert got("head", "/1", "y", "--json") == "400\n"
    assert got("1", "/") == '["block", "numbers"] = [1, 2, 3]\n["seen", "last"] = [1, 2, 3]\n"total" = 14\n'
    assert (
        got("1", "/", "--prefix", "seen", "--limit", "1", "--json") == '{"key": ["seen", "last"], "value": [1, 2, 3]}\n'
    )
    assert "it has 3 keys:" in got("1", "/", "totl", code=1)
    assert "a key begins with it: lockstep get 1 / --prefix '\"seen\"'" in got("1", "/", "seen", code=1)
    assert "its children are 0, 1, 2" in got("1", "/7", "x", code=1)
    assert "no JSON" in got("1", "/", '["a"', code=2)
    assert "for lists" in got("1", "/", "total", "--limit", "1", code=2)


def test_diff_shows_process_by_process_what_is_different(box: Box) -> None:
    box.kept()
    printed = box.give("diff", "0", "1", "--store", box.store).stdout
    assert '+ ["block", "numbers"] = [1, 2, 3]\n' in printed
    assert "\n+ /2  program_" in printed
    assert '  + "y" = 9\n' in printed
    assert '  ~ "total" = 14 → 514\n' in box.give("diff", "1", "2", "--store", box.store).stdout
    assert "\n- /2  program_" in box.give("diff", "1", "0", "--store", box.store).stdout
    (root, *children) = box.json("diff", "head~2", "head~1")
    assert {"key": "total", "kind": "changed", "old": 14, "new": 514} in root["keys"]
    assert [child["path"] for child in children] == ["/0", "/1"]
    added = box.json("diff", "0", "1")[0]["keys"][-1]
    assert added == {"key": "total", "kind": "added", "new": 14}
    assert "no difference" in box.give("diff", "1", "1", "--store", box.store).stderr


def test_revert_moves_the_head_and_branches_shows_what_it_left(box: Box) -> None:
    program = box.kept()
    left = box.json("show", "head")[0]["hash"]
    told = box.give("revert", "head~2", "--store", box.store)
    assert "is the head now" in told.stdout
    assert f"back again: lockstep revert {left[:10]}" in told.stderr
    assert box.json("log")[0]["number"] == 1
    box.give("run", program, "--input", "-", "--append", "--store", box.store, fed='{"numbers": [5]}')
    found = box.json("log", "--branches")
    assert [(block["number"], block["on_chain"]) for block in found] == [
        (3, False),
        (2, True),
        (2, False),
        (1, True),
        (0, True),
    ]
    assert "on another branch" in box.give("show", left[:12], "--store", box.store).stdout
    assert box.json("revert", left)[0]["number"] == 3
    assert box.json("log")[0]["hash"] == left
    assert "was the head already" in box.give("revert", "head", "--store", box.store).stdout


def test_verify_executes_again_and_finds_the_difference(box: Box) -> None:
    program = box.kept()
    assert "blocks 1 to 3 verified" in box.give("verify", program, "--store", box.store).stdout
    assert box.json("verify", program, "--first", "2", "--last", "2") == [{"verified": 1, "first": 2, "last": 2}]
    assert "the head is block 3" in box.give("verify", program, "--store", box.store, "--last", "9", code=2).stderr
    impure = box.program(
        """
        import os
        from actors import Root

        class Impure(Root):
            lifted = ("environment",)

            async def run(self):
                self.heap["pid"] = os.getpid()
        """,
        "Impure",
    )
    other = str(box.directory / "other.db")
    with box.start("run", impure, "--input", "-", "--store", other) as process:
        process.communicate("{}")
    told = box.give("verify", impure, "--store", other, code=1).stderr
    assert told.splitlines()[:3] == [
        "error: block 1 does not verify",
        "  process   /",
        "  where     heap key 'pid'",
    ]
    assert "belongs to the root program" in box.give("verify", program, "--store", other, code=1).stderr


def test_values_of_registered_classes_are_read_with_load(box: Box) -> None:
    source = """
        from dataclasses import dataclass
        from actors import Root, codec

        @codec(name="NAME")
        @dataclass(frozen=True)
        class Point:
            x: int

        class Points(Root):
            async def run(self):
                self.heap["p"] = Point(self.heap["block", "x"])
        """.replace("NAME", f"Point{next(_numbers)}")
    program = box.program(source, "Points")
    with box.start("run", program, "--input", "-", "--store", box.store) as process:
        process.communicate('{"x": 3}')
    told = box.give("get", "head", "/", "p", "--store", box.store, code=1).stderr
    assert "--load FILE" in told
    (value,) = box.json("get", "head", "/", "p", "--load", program.partition(":")[0])
    assert value["$value"]["value"] == {"x": 3}


def test_a_store_that_is_none_is_told(box: Box) -> None:
    for command in (["log"], ["show", "1"], ["tree"], ["get", "head", "/"], ["diff", "0", "1"], ["revert", "0"]):
        told = box.give(*command, "--store", box.store, code=1).stderr
        assert told.startswith("error: ")
        assert "there is no store" in told
        assert not os.path.exists(box.store)
    file = box.lines()
    assert "no Lockstep store" in box.give("log", "--store", file, code=1).stderr


# --- other processes -----------------------------------------------------------------------------------------------


def test_a_run_that_was_killed_in_the_middle_goes_on_to_the_same_blocks(box: Box) -> None:
    program = box.program()
    lines = box.lines([json.dumps({"numbers": list(range(i % 7))}) for i in range(120)])
    for goal in (7, 40):
        with box.start("run", program, "--input", lines, "--store", box.store, "--json") as process:
            assert process.stdout is not None
            for printed in process.stdout:
                if json.loads(printed)["number"] >= goal:
                    process.send_signal(signal.SIGKILL)
                    break
    result = box.give("run", program, "--input", lines, "--store", box.store, "--json")
    assert "were there already" in result.stderr
    whole = box.give("run", program, "--input", lines, "--json").stdout.splitlines()
    assert [block["hash"] for block in box.json("log", "--reverse")][1:] == [json.loads(line)["hash"] for line in whole]


def test_readers_work_while_a_run_waits_on_its_pipe_and_writers_are_told(box: Box) -> None:
    program = box.program()
    with box.start("run", program, "--input", "-", "--store", box.store, "--json") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(LINES[0] + "\n")
        process.stdin.flush()
        first = json.loads(process.stdout.readline())  # the block is there before the input ends
        assert box.json("log")[0]["hash"] == first["hash"]
        assert box.json("get", "head", "/", "total") == [14]
        assert len(box.json("tree")) == 4
        assert box.json("diff", "0", "1")
        assert box.json("verify", program)[0]["verified"] == 1
        for command in (["run", program, "--input", "-"], ["revert", "0"]):
            assert "is open in another process" in box.give(*command, "--store", box.store, code=1).stderr
        process.stdin.write(LINES[2])  # the last line needs no end
        rest, told = process.communicate()
    assert json.loads(rest)["number"] == 2
    assert "blocks 1 to 2 made" in told


@pytest.mark.parametrize("piped", [False, True])
def test_ctrl_c_ends_a_run_with_130_and_says_how_far_it_came(box: Box, piped: bool) -> None:
    program = box.program(sleeping(0.02))
    source = "-" if piped else box.lines([LINES[0]] * 1_000)
    with box.start("run", program, "--input", source, "--store", box.store) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{LINES[0]}\n" * 3)
        process.stdin.flush()
        for _ in range(3):
            process.stdout.readline()
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read().splitlines()
        assert process.stderr is not None
        told = process.stderr.read()
        assert process.wait() == 130
    made = 3 + len(rest)
    assert f"interrupted: blocks 1 to {made} made; the same command goes on from there" in told
    assert "Traceback" not in told
    assert box.json("log")[0]["number"] == made


def test_the_first_ctrl_c_says_what_it_waits_for_and_the_second_ends_an_endless_step(box: Box) -> None:
    endless = (
        "class Endless(Root):\n    async def run(self):\n        print('begun', flush=True)\n        while True: pass\n"
    )
    program = box.program(f"from actors import Root\n{endless}", "Endless")
    with box.start("run", program, "--input", box.lines(), "--workers", "0") as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr.readline() == "interrupting after this step; once more to stop now\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == "interrupted: no block made, in memory only\n"
        assert process.wait() == 130


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
@pytest.mark.parametrize("command", ["log", "log --json", "get head / total", "run"])
def test_output_that_cannot_be_written_is_told_in_a_line(box: Box, command: str) -> None:
    program = box.kept()
    if command == "run":
        command = f"run {program} --append --input {box.lines()}"
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*LOCKSTEP, *command.split(), "--store", box.store],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )
    told = [line for line in done.stderr.splitlines() if line != "a program's own words"]
    assert told == [
        "error: standard output cannot be written: No space left on device; make room there, or write elsewhere"
    ]
    assert done.returncode == 1


def test_a_reader_that_goes_away_ends_the_run_quietly(box: Box) -> None:
    with box.start("run", box.program(), "--input", box.lines([LINES[0]] * 2_000)) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()
        assert process.wait() == 1


def test_lines_that_come_in_pieces_are_put_together() -> None:
    async def read() -> list[tuple[int, int, bytes]]:
        begin, end = os.pipe()
        with os.fdopen(end, "wb", buffering=0) as pieces, InputLines(f"/dev/fd/{begin}") as lines:
            os.close(begin)
            for piece in (b"\xef\xbb\xbf{}\r\n  \n", b"[1", b",", b"2]", b"\n\n3"):
                pieces.write(piece)
            pieces.close()
            return [(line.number, line.index, line.data) async for line in lines]

    assert run(read) == [(1, 1, b"{}"), (3, 2, b"[1,2]"), (5, 3, b"3")]


# --- how it looks --------------------------------------------------------------------------------------------------


def test_what_is_piped_has_no_colours_no_frames_and_is_not_cut(box: Box) -> None:
    program = box.kept()
    for command in (
        ["log"],
        ["log", "--branches"],
        ["show", "head"],
        ["tree"],
        ["get", "head", "/"],
        ["diff", "0", "2"],
        ["verify", program],
    ):
        result = box.give(*command, "--store", box.store)
        assert "\x1b" not in result.output
        assert not set(result.output) & BOXES
    assert "long " * 40 in box.give("log", "--store", box.store).stdout
    assert "wörd" in box.give("show", "head", "--store", box.store).stdout
    for helped in ([], ["run"], ["get"]):
        assert not set(box.give(*helped, "--help").stdout) & BOXES


@pytest.mark.parametrize("columns", [80, 140])
def test_a_terminal_gets_colours_a_bar_and_lines_of_its_width(box: Box, columns: int) -> None:
    lines = box.lines([LINES[0]] * 40)
    seen, code = box.see(columns, "run", box.program(), "--input", lines, "--store", box.store)
    assert code == 0
    assert "\x1b[" in seen
    assert "━" in seen
    rows = [line for line in plain(seen).splitlines() if re.search(r"[0-9a-f]{10}  [0-9a-f]{10} ", line)]
    assert len(rows) == 40
    assert all(line.rpartition("\r")[2].endswith("…") for line in rows)
    assert re.search(r"block  hash +state root +gas  data", plain(seen))
    assert plain(seen).rstrip().endswith("blocks 1 to 40 made; the head is block 40")
    seen, _ = box.see(columns, "log", "--store", box.store)
    assert "\x1b[" in seen
    assert {len(line) for line in plain(seen).splitlines()[1:-1]} == {columns}
    assert "├── 0" in plain(box.see(columns, "tree", "--store", box.store)[0])
    assert "╭─ Commands" in plain(box.see(columns, "--help")[0])
    assert "╭─ Error" in plain(box.see(columns, "rnu")[0])


def test_a_failed_block_in_a_terminal_shows_the_users_frames_alone(box: Box) -> None:
    program = box.program("from actors import Root\nclass Bad(Root):\n    async def run(self):\n        1 / 0\n", "Bad")
    seen, code = box.see(100, "run", program, "--input", box.lines(["{}"]))
    assert code == 1
    assert "❱ 4" in plain(seen)
    assert "machine.py" not in plain(seen)


def test_what_programs_hand_out_cannot_move_the_cursor(box: Box) -> None:
    box.kept()
    assert "\\u001b[31m" in box.see(200, "log", "--store", box.store)[0]
    assert printable("a\x1b\x9b\u202eb\n") == "a\\u001b\\u009b\\u202eb\n"
    assert laid_out({"a": [1, 2], "b": {"c": []}}, 16) == '{\n  "a": [1, 2],\n  "b": {"c": []}\n}'


def test_help_teaches_with_an_example_for_every_command(box: Box) -> None:
    whole = box.give("--help").stdout
    assert "class Squares(Root):" in whole
    for command in ("run", "log", "show", "tree", "get", "diff", "verify", "revert"):
        assert re.search(rf"^  {command} ", whole, re.MULTILINE)
        assert f"    lockstep {command} " in box.give(command, "--help").stdout
    assert "Did you mean 'verify'?" in box.give("verfy", code=2).stderr
    assert re.fullmatch(r"lockstep \d+\.\d+\.\d+\n", box.give("--version").stdout)


def test_the_walk_through_in_the_help_works_as_it_stands(box: Box) -> None:
    whole = box.give("--help").stdout
    text = re.sub("^  ", "", whole, flags=re.MULTILINE)
    source = text[text.index("  from actors") : text.index("blocks.jsonl")]
    (box.directory / "squares.py").write_text(textwrap.dedent(source))
    (box.directory / "blocks.jsonl").write_text("\n".join(re.findall(r"^  (\{.*\})$", text, re.MULTILINE)))
    commands = re.findall(r"^  lockstep (\w.*?)(?:   .*)?$", text, re.MULTILINE)
    assert len(commands) == 7
    for command in commands:
        with box.start(*command.split(), cwd=box.directory) as process:
            printed, told = process.communicate()
        assert process.returncode == 0, told
        if command.startswith("get"):
            assert printed == "514\n"


def test_debug_shows_the_traceback_of_any_error(box: Box) -> None:
    for arguments in (["log", "--debug"], ["--debug", "log"]):
        told = box.give(*arguments, "--store", box.store, code=1).stderr
        assert "Traceback" in told
        assert told.rstrip().splitlines()[-1].startswith("error: ")


def test_an_input_line_that_never_ends_is_refused(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.cli.input_lines.LINE_BYTES_MAX", 100)
    told = box.give("run", box.program(), "--input", box.lines(["[" + "1," * 100 + "1]"]), code=2).stderr
    assert "line 1 of" in told
    assert "longer than 100 bytes" in told
    with pytest.raises(InputError):
        InputLines(str(box.directory))
