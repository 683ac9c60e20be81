"""What a program can reach in its file, for that is what has to be deterministic; a file's `main` may read the clock.

A program is a class that inherits from `actors.Process`, `Root` or another of the language's own, by whatever name they were imported, directly or
through classes of the same file; or one that inherits from what is imported from elsewhere and has an `async def run`
that uses `self.heap`. It reaches its whole class, and every function, class and variable of the file that is named
there, and so on. A variable is looked at where it is assigned: what is drawn at import is drawn again in each process.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from actors import Actor, PostOffice, Process, Root, Transaction
from runtime.lint.scopes import DEFS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runtime.lint.scopes import Names

_PROGRAMS: Final = frozenset(
    f"{module}.{one.__name__}"
    for one in (Process, Root, Actor, PostOffice, Transaction)
    for module in ("actors", one.__module__)
)


def programs(tree: ast.Module, names: Names) -> list[ast.ClassDef]:
    """Return the classes of a file that are programs, in the order in which they stand there."""
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    found: set[ast.ClassDef] = set()
    grown = True
    while grown:
        before = len(found)
        found.update(one for one in classes if _is_program(one, names, found))
        grown = len(found) > before
    return sorted(found, key=lambda one: (one.lineno, one.col_offset))


def _is_program(node: ast.ClassDef, names: Names, known: set[ast.ClassDef]) -> bool:
    foreign = False
    for base in node.bases:
        named = base.value if isinstance(base, ast.Subscript) else base
        dotted = names.dotted(named)
        if dotted in _PROGRAMS or names.definition(named) in known:
            return True
        foreign = foreign or (dotted is not None and not dotted.startswith("builtins."))
    return foreign and _runs_on_a_heap(node)


def _runs_on_a_heap(node: ast.ClassDef) -> bool:
    runs = [one for one in node.body if isinstance(one, ast.AsyncFunctionDef) and one.name == "run"]
    return any(
        isinstance(inner, ast.Attribute)
        and inner.attr == "heap"
        and isinstance(inner.value, ast.Name)
        and inner.value.id == "self"
        for run in runs
        for inner in ast.walk(run)
    )


def reached(begin: Iterable[ast.AST], names: Names) -> set[ast.AST]:
    """Return every node of what some classes or functions can reach in their file, their own included."""
    looked: set[ast.AST] = set()
    waiting = list(begin)
    while waiting:
        root = waiting.pop()
        if root in looked:
            continue
        for node in ast.walk(root):
            if node in looked:
                continue
            looked.add(node)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node not in names.annotations:
                waiting.extend(_bound_at(node, names))
    return looked


def _bound_at(node: ast.Name, names: Names) -> list[ast.AST]:
    found = names.found(node)
    if found is None:
        return []
    return [
        one.node
        for one in found[1]
        if isinstance(one.node, (*DEFS, ast.ClassDef))
        # A variable of a function is there already, with the function.
        or (found[0] is names.module and isinstance(one.node, (ast.Assign, ast.AnnAssign)))
    ]
