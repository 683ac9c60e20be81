"""What every rule looks with: the file, its names and kinds, and where to report to."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final, NamedTuple

from runtime.lint.kinds import Kinds
from runtime.lint.reach import programs
from runtime.lint.scopes import Names
from runtime.lint.stars import open_stars

if TYPE_CHECKING:
    from runtime.lint.rules import Rule
    from runtime.lint.source import Source

#: How much of the code that a finding is about is shown in its line.
_WHAT_CHARACTERS_MAX: Final = 50


class Finding(NamedTuple):
    """One piece of code by which the same inputs may give different results."""

    file: str
    #: From 1; columns are characters.
    line: int
    column: int
    rule: Rule
    #: The piece of code, cut to a part of a line.
    what: str
    #: The whole line.
    source: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}"
        return f"{place} {self.rule.code} `{self.what}` {self.rule.reason}; {self.rule.mend}"


class Looking:
    """A file that is looked at, and what was found in it."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.names = Names(source.tree)
        #: Star imports behind which names are hidden.
        self.hidden = open_stars(self.names, source)
        self.kinds = Kinds(self.names, source.tree)
        self.classes: list[ast.ClassDef] = [node for node in ast.walk(source.tree) if isinstance(node, ast.ClassDef)]
        self.programs: list[ast.ClassDef] = programs(source.tree, self.names)
        #: Loops that are being followed.
        self.followed: set[ast.AST] = set()
        self.findings: list[Finding] = []
        #: The last line of what each finding is about, where a comment may stand too.
        self.last_lines: list[int] = []

    def report(self, rule: Rule, node: ast.AST) -> None:
        """Report a finding at a node."""
        line = getattr(node, "lineno", 1)
        column = self.source.column(node)
        text = self.source.line(line)
        whole = isinstance(node, ast.stmt | ast.ExceptHandler)
        end = line if whole else getattr(node, "end_lineno", line)
        what = text[column - 1 :]
        if not whole and end == line:
            what = text.encode()[node.col_offset : node.end_col_offset].decode(errors="ignore")  # type: ignore[attr-defined]
        if len(what) > _WHAT_CHARACTERS_MAX:
            what = what[: _WHAT_CHARACTERS_MAX - 1].rstrip() + "…"
        self.findings.append(Finding(self.source.file, line, column, rule, what, text))
        self.last_lines.append(end)
