"""Finding what is not deterministic before it runs: a reading of the source alone, in which nothing is imported or run.

`verify` shows that a program did something else the second time; this shows which lines may. It looks at what a program
can reach in its file (runtime.lint.reach), or at everything, by rules (runtime.lint.rules):

    orders     the order of a set, of a persistent map, of a directory      LS1
    identity   hashes, addresses, `is`, texts with addresses                LS2
    state      what is kept in globals, classes and defaults                LS3
    outside    clocks, randomness, the machine, files, threads, loops       LS4
    thrown     coroutines without `await`, changes that are lost            LS5

Names that a star import brings are looked up in its module (runtime.lint.stars). What is in doubt is not reported. A line that is right as it is says so: `# lockstep: ignore[LS302] a cache of pure
results`; without codes, all is ignored there. In a test:

    from runtime import lint

    def test_programs_are_deterministic():
        lint.check(Squares)
"""

from __future__ import annotations

import ast
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final, NamedTuple

from actors.errors import InputError
from actors.process import Process
from runtime.lint import identity, orders, outside, state, thrown
from runtime.lint.looking import Finding, Looking
from runtime.lint.reach import reached
from runtime.lint.rules import HIDDEN_NAMES, RULES, UNKNOWN_CODE, Rule
from runtime.lint.source import Source, parse, read

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

__all__ = ["RULES", "Finding", "Looked", "Rule", "check", "files", "lint_file", "lint_text"]

_SKIPPED: Final = frozenset({"__pycache__", "node_modules"})


class Looked(NamedTuple):
    """What was found in a file, by line, and what was looked at."""

    findings: list[Finding]
    #: The names of the programs in it.
    programs: tuple[str, ...]


def lint_file(path: Path | str, *, everything: bool = False) -> Looked:
    """Look at a file.

    Args:
        path: the file.
        everything: not only at what its programs can reach.

    Raises:
        InputError: it cannot be read, or is no Python.
    """
    return _looked(read(Path(path)), everything)


def lint_text(text: str, file: str = "<text>", *, everything: bool = False) -> Looked:
    """Look at a text as if it were a file. As `lint_file`."""
    return _looked(parse(text.encode(), file), everything)


def files(path: Path) -> Iterator[Path]:
    """Give the Python files at a path: itself, or all below it, in the order of their names. Hidden ones are left out."""
    if not path.is_dir():
        yield path
        return
    for one in sorted(path.iterdir()):
        if one.name.startswith(".") or one.name in _SKIPPED:
            continue
        if one.is_dir() or one.suffix == ".py":
            yield from files(one)


def check(*what: type | ModuleType | Path | str) -> None:
    """Check that nothing is found in programs: for a test of one line.

    Args:
        what: a program (with what it reaches in its file, and what it inherits from in others), a module, or the path
            of a file or directory.

    Raises:
        AssertionError: something was found; the message has it all.
        InputError: there is no source to look at.
    """
    if not what:
        raise InputError("check: say what to look at: check(MyRoot), a module, or a path")
    found: list[Finding] = []
    for one in what:
        if isinstance(one, type):
            found += _looked(read(_source_of(one)), False, one.__qualname__).findings
            for base in one.__mro__[1:]:
                if not _is_given(base):
                    found += _looked(read(_source_of(base)), False, base.__qualname__).findings
        elif isinstance(one, ModuleType):
            found += lint_file(_source_of(one)).findings
        else:
            for path in files(Path(one)):
                found += lint_file(path).findings
    told = dict.fromkeys(f"{finding}\n    {finding.source.strip()}" for finding in found)
    if told:
        raise AssertionError("\n".join([f"{len(told)} finding{'s' * (len(told) > 1)}", *told]))


def _is_given(base: type) -> bool:
    """Tell whether a class that a program inherits from came with Python, or is the language's own."""
    return base.__module__ == Process.__module__ or base.__module__.partition(".")[0] in sys.stdlib_module_names


def _source_of(what: type | ModuleType) -> Path:
    try:
        file = inspect.getsourcefile(what)
    except (TypeError, OSError):
        file = None
    if file is None:
        raise InputError(f"{what.__name__} has no source file to look at")
    return Path(file)


def _looked(source: Source, everything: bool, only: str | None = None) -> Looked:
    at = Looking(source)
    nodes = set(ast.walk(source.tree)) if everything else reached(_begin(at, only), at.names)
    for star in at.hidden:
        at.report(HIDDEN_NAMES, star)
    _look(at, nodes)
    kept = _not_ignored(at)
    if everything or nodes:
        lines = {getattr(node, "lineno", 0) for node in nodes}
        kept += _unknown_codes(source, lines if not everything else None)
    return Looked(sorted(set(kept), key=_order), tuple(at.names.opened[one].qualname for one in at.programs))


def _begin(at: Looking, only: str | None) -> list[ast.ClassDef]:
    if only is None:
        return at.programs
    return [
        node for node, scope in at.names.opened.items() if isinstance(node, ast.ClassDef) and scope.qualname == only
    ]


def _look(at: Looking, nodes: Collection[ast.AST]) -> None:
    for node in ast.walk(at.source.tree):
        if node not in nodes:
            continue
        orders.look(node, at)
        identity.look(node, at)
        state.look(node, at)
        outside.look(node, at)
        thrown.look(node, at)


def _not_ignored(at: Looking) -> list[Finding]:
    kept = []
    for finding, last in zip(at.findings, at.last_lines, strict=True):
        comments = [at.source.ignored.get(line) for line in {finding.line, last}]
        if not any(one is not None and (one.codes is None or finding.rule.code in one.codes) for one in comments):
            kept.append(finding)
    return kept


def _unknown_codes(source: Source, lines: set[int] | None) -> list[Finding]:
    return [
        Finding(source.file, line, one.column, UNKNOWN_CODE, one.text, source.line(line))
        for line, one in source.ignored.items()
        if one.codes is not None and not one.codes <= RULES.keys() and (lines is None or line in lines)
    ]


def _order(finding: Finding) -> tuple[int, int, str]:
    return finding.line, finding.column, finding.rule.code
