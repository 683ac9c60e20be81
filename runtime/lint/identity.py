"""Identity: what a hash, an address or the text of an object tells, which is another thing in every process."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from runtime.lint.rules import ADDRESS, DEFAULT_REPR, HASH, IS_VALUE
from runtime.lint.scopes import DEFS

if TYPE_CHECKING:
    from runtime.lint.looking import Looking

_TEXTS: Final = frozenset({"builtins.str", "builtins.repr", "builtins.format", "builtins.ascii"})
_NUMBERS: Final = frozenset({"int", "float"})
_VALUES: Final = _NUMBERS | {"str", "bytes"}
_PLAIN_BASES: Final = frozenset({"builtins.object", "actors.Process", "actors.Root", "typing.Generic", "abc.ABC"})
_WITHOUT_CALL: Final = frozenset({"__repr__", "__str__", "__format__"})


def look(node: ast.AST, at: Looking) -> None:
    """Report what is wrong with the identity that this node asks for."""
    if isinstance(node, ast.Call):
        dotted = at.names.dotted(node.func)
        if dotted == "builtins.hash" and not _in_method(node, "__hash__", at):
            at.report(HASH, node)
        elif dotted == "builtins.id":
            at.report(ADDRESS, node)
        elif dotted in _TEXTS and node.args:
            _look_at_text(node.args[0], dotted == "builtins.repr", at)
    elif isinstance(node, ast.FormattedValue):
        _look_at_text(node.value, node.conversion == ord("r"), at)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        kind = at.kinds.of(node.left)
        if kind is not None and kind.name == "str":
            for one in node.right.elts if isinstance(node.right, ast.Tuple) else [node.right]:
                _look_at_text(one, False, at)
    elif isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        for operator, left, right in zip(node.ops, sides, sides[1:], strict=False):
            if isinstance(operator, (ast.Is, ast.IsNot)) and _compares_values(left, right, at):
                at.report(IS_VALUE, node)


def _in_method(node: ast.AST, name: str, at: Looking) -> bool:
    """Tell whether this stands in a method of that name: a hash is made of hashes."""
    function = at.names.scope_of[node].function.node
    return isinstance(function, DEFS) and function.name == name


def _compares_values(left: ast.expr, right: ast.expr, at: Looking) -> bool:
    if _is_one_of_its_kind(left) or _is_one_of_its_kind(right):
        return False
    if any(isinstance(side, (ast.Constant, ast.JoinedStr, ast.Tuple, ast.UnaryOp)) for side in (left, right)):
        return all(not isinstance(side, ast.UnaryOp) or at.kinds.of(side) is not None for side in (left, right))
    kinds = [at.kinds.of(side) for side in (left, right)]
    counted = any(
        kind is not None and kind.name in _NUMBERS and isinstance(side, (ast.Call, ast.BinOp))
        for kind, side in zip(kinds, (left, right), strict=True)
    )
    return counted or all(kind is not None and kind.name in _VALUES for kind in kinds)


def _is_one_of_its_kind(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, bool) or node.value is ...)


def _look_at_text(node: ast.expr, is_repr: bool, at: Looking) -> None:
    """Report a text that is made of something of which the text has an address."""
    kind = at.kinds.of(node)
    if kind is not None and kind.name in ("object", "function"):
        at.report(DEFAULT_REPR, node)
        return
    found: ast.ClassDef | None = None
    if kind is not None and kind.name == "instance":
        found = next((one for one in at.classes if at.names.opened[one].qualname == kind.element), None)
    elif at.names.is_self(node) and not any(_in_method(node, name, at) for name in _WITHOUT_CALL):
        around = at.names.class_around(node)
        # What inherits from another class, here or elsewhere, may well have a text of its own.
        if around in at.programs and not any(
            around is at.names.definition(base) for one in at.classes for base in one.bases
        ):
            found = around
    if found is not None and _has_default_text(found, is_repr, at, set()):
        at.report(DEFAULT_REPR, node)


def _has_default_text(node: ast.ClassDef, is_repr: bool, at: Looking, seen: set[ast.ClassDef]) -> bool:
    """Tell whether a class, and all that it inherits from, evidently has no text of its own."""
    if node.decorator_list or node.keywords or node in seen:
        return False
    own = {"__repr__"} if is_repr else {"__repr__", "__str__", "__format__"}
    for one in node.body:
        targets = one.targets if isinstance(one, ast.Assign) else []
        named = (
            {one.name} if isinstance(one, DEFS) else {target.id for target in targets if isinstance(target, ast.Name)}
        )
        if named & own or "__new__" in named:
            return False
    for base in node.bases:
        inherited = at.names.definition(base)
        if isinstance(inherited, ast.ClassDef):
            if not _has_default_text(inherited, is_repr, at, seen | {node}):
                return False
        elif at.names.dotted(base) not in _PLAIN_BASES:
            return False
    return True
