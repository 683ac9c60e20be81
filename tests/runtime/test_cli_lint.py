"""`lockstep lint`: what it prints, to whom, and with which exit code."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING

import pytest
from test_cli import Box, box, plain

from runtime.lint import RULES

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["box"]

DIRTY = """
    import time
    from actors import Root

    class Dirty(Root):
        async def run(self):
            names = {"a", self.heap["x"]}
            self.heap["at"] = time.time()
            return list(names)

    def main():
        return time.time()
"""
CLEAN = "from actors import Root\nclass Clean(Root):\n    async def run(self):\n        return 1\n"


@pytest.fixture
def dirty(box: Box) -> Path:
    file = box.directory / "dirty.py"
    file.write_text(textwrap.dedent(DIRTY))
    return file


def test_lint_prints_a_line_for_each_finding_and_exits_with_1(box: Box, dirty: Path) -> None:
    result = box.give("lint", str(dirty), code=1)
    lines = result.stdout.splitlines()
    clock, order = RULES["LS401"], RULES["LS101"]
    assert lines == [
        f"{dirty}:8:27 LS401 `time.time()` {clock.reason}; {clock.mend}",
        f"{dirty}:9:21 LS101 `names` {order.reason}; {order.mend}",
    ]
    assert result.stderr == "2 findings in 1 of 1 file with 1 program\n"


def test_lint_exits_with_0_and_says_what_it_looked_at_where_it_finds_nothing(box: Box) -> None:
    (box.directory / "clean.py").write_text(CLEAN)
    result = box.give("lint", str(box.directory))
    assert (result.stdout, result.stderr) == ("", "nothing found in 1 file with 1 program\n")
    (box.directory / "clean.py").write_text("import time\nnow = time.time()\n")
    told = box.give("lint", str(box.directory)).stderr
    assert told == "nothing found in 1 file with 0 programs; --all looks at everything in a file\n"
    box.give("lint", "--all", str(box.directory), code=1)


def test_lint_with_json_prints_one_object_a_line_for_scripts(box: Box, dirty: Path) -> None:
    printed = box.give("lint", "--json", str(dirty), code=1).stdout
    assert printed.isascii()
    first, second = (json.loads(line) for line in printed.splitlines())
    assert list(first) == ["file", "line", "column", "code", "rule", "what", "reason", "mend", "source"]
    assert (first["file"], first["line"], first["column"]) == (str(dirty), 8, 27)
    assert (first["code"], first["rule"], first["what"]) == ("LS401", "clock", "time.time()")
    assert first["source"] == '        self.heap["at"] = time.time()'
    assert second["code"] == "LS101"


def test_lint_takes_files_and_directories_each_file_once(box: Box, dirty: Path) -> None:
    (box.directory / "b.py").write_text(CLEAN)
    result = box.give("lint", str(dirty), str(box.directory), code=1)
    assert len(result.stdout.splitlines()) == 2
    assert result.stderr == "2 findings in 1 of 2 files with 2 programs\n"


def test_lint_exits_with_2_for_what_it_cannot_read_and_still_tells_the_rest(box: Box, dirty: Path) -> None:
    broken = box.directory / "broken.py"
    broken.write_text("class Broken(:\n")
    missing = box.directory / "missing.py"
    result = box.give("lint", str(broken), str(missing), str(dirty), code=2)
    assert len(result.stdout.splitlines()) == 2
    assert f"error: {broken}:1:14 is no Python: invalid syntax\n" in result.stderr
    assert f"{missing} cannot be read: No such file or directory\n" in result.stderr
    box.give("lint", code=2)


def test_lint_of_nothing_that_is_python_says_so_and_nothing_else(box: Box) -> None:
    missing, data, empty = (box.directory / name for name in ("nofile.py", "data.jsonl", "empty"))
    data.write_text('{"xs": [1]}\n')
    empty.mkdir()
    told = box.give("lint", str(missing), code=2)
    assert (told.stdout, told.stderr) == ("", f"error: {missing} cannot be read: No such file or directory\n")
    assert box.give("lint", str(data), code=2).stderr == (
        f"error: {data} is no Python by its name; give files that end in .py\n"
    )
    assert box.give("lint", str(empty), code=2).stderr == f"error: there is no Python file below {empty}\n"


def test_a_star_import_that_hides_names_is_not_passed_over(box: Box) -> None:
    file = box.directory / "starred.py"
    file.write_text("from actors import *\nclass A(Root):\n    async def run(self):\n        return hash(1)\n")
    assert "LS201" in box.give("lint", str(file), code=1).stdout
    file.write_text("from nowhere import *\nclass A(Root):\n    async def run(self):\n        return hash(1)\n")
    assert "LS902 `from nowhere import *` hides" in box.give("lint", str(file), code=1).stdout


def test_lint_runs_nothing(box: Box) -> None:
    file = box.directory / "loud.py"
    file.write_text(CLEAN + "raise SystemExit(print('it ran'))\n")
    assert "it ran" not in box.give("lint", str(file)).output


def test_in_a_terminal_the_source_stands_under_each_finding_where_there_is_room(box: Box, dirty: Path) -> None:
    seen, code = box.see(200, "lint", str(dirty))
    assert code == 1
    lines = plain(seen).splitlines()
    assert lines[1] == '    self.heap["at"] = time.time()'
    assert "\x1b[" in seen
    seen, _ = box.see(40, "lint", str(dirty))
    assert "self.heap" not in plain(seen)


def test_what_a_source_line_holds_cannot_move_the_cursor(box: Box) -> None:
    file = box.directory / "moving.py"
    file.write_text(CLEAN.replace("return 1", 'return hash("\x1b[2Jx")'))
    seen, _ = box.see(200, "lint", str(file))
    assert "\x1b[2J" not in seen
    assert "\\u001b[2J" in seen
    assert "\x1b" not in box.give("lint", str(file), code=1).stdout
