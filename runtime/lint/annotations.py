"""What an annotation promises: the kind of what it is on, where it is one of the kinds that are told apart.

Those that may or may not be sets, such as collections.abc.Set, which a dict's keys are too, promise nothing here.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from runtime.lint.scopes import Names, Scope


class Kind(NamedTuple):
    """A kind, and that of the elements (of a mapping: the values) where it is evident."""

    name: str
    element: str | None = None


_ANNOTATED: Final = {
    "builtins.set": "set",
    "builtins.frozenset": "set",
    "typing.Set": "set",
    "typing.FrozenSet": "set",
    "builtins.dict": "dict",
    "typing.Dict": "dict",
    "collections.defaultdict": "dict",
    "typing.DefaultDict": "dict",
    "pyrsistent.PSet": "pset",
    "pyrsistent.PMap": "pmap",
    "pyrsistent.typing.PSet": "pset",
    "pyrsistent.typing.PMap": "pmap",
    "builtins.int": "int",
    "builtins.float": "float",
    "builtins.str": "str",
    "builtins.bytes": "bytes",
    "pathlib.Path": "path",
}


def annotated(node: ast.expr | None, scope: Scope, names: Names) -> Kind | None:
    """Return the kind that an annotation promises."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        try:
            node = ast.parse(node.value, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        sides = [one for one in (node.left, node.right) if not (isinstance(one, ast.Constant) and one.value is None)]
        return annotated(sides[0], scope, names) if len(sides) == 1 else None
    if isinstance(node, ast.Subscript):
        named = _dotted(node.value, scope, names)
        if named in ("typing.Optional", "typing.Final", "typing.ClassVar"):
            return annotated(node.slice, scope, names)
        kind = _ANNOTATED.get(named or "")
        last = node.slice.elts[-1] if isinstance(node.slice, ast.Tuple) and node.slice.elts else node.slice
        element = annotated(last, scope, names) if kind is not None else None
        return None if kind is None else Kind(kind, None if element is None else element.name)
    named = None if node is None else _dotted(node, scope, names)
    return Kind(_ANNOTATED[named]) if named in _ANNOTATED else None


def _dotted(node: ast.expr, scope: Scope, names: Names) -> str | None:
    """Return the dotted name in an annotation; those from a string have no scope of their own."""
    for inner in ast.walk(node):
        names.scope_of.setdefault(inner, scope)
    return names.dotted(node)
