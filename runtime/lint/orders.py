"""Order: where that of a set (or of a persistent map, or of a directory) gets into something that can be seen.

A set may be iterated where the order makes no difference: in `sorted`, `len`, `any`, a set comprehension, a loop that
counts. So each iteration is followed to what is made of it (runtime.lint.following).
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from runtime.lint.following import (
    KEPT_ORDER,
    is_the_only_one,
    shows,
    shows_in_collector,
    shows_in_loop,
    tells_too_little,
)
from runtime.lint.kinds import SETS
from runtime.lint.rules import DIRECTORY_ORDER, FLOAT_SUM, OUTSIDE, SET_ORDER, SET_PICK
from runtime.lint.scopes import COMPREHENSIONS

if TYPE_CHECKING:
    from runtime.lint.looking import Looking

_TEXTS: Final = frozenset({"builtins.str", "builtins.repr", "builtins.format", "builtins.ascii"})
_LISTINGS: Final = frozenset({"os.listdir", "os.scandir", "os.walk", "os.fwalk", "glob.glob", "glob.iglob"})
_LISTING_METHODS: Final = frozenset({"iterdir", "rglob"})


def look(node: ast.AST, at: Looking) -> None:
    """Report what is wrong with the order of what this node iterates."""
    if isinstance(node, (ast.For, ast.AsyncFor)):
        if at.kinds.is_unordered(node.iter) and not _fixed(node.iter) and shows_in_loop(node, at):
            at.report(SET_ORDER, node.iter)
    elif isinstance(node, COMPREHENSIONS):
        _look_at_comprehension(node, at)
    elif isinstance(node, ast.Call):
        _look_at_call(node, at)
    elif isinstance(node, ast.Starred) and isinstance(node.ctx, ast.Load):
        if at.kinds.is_unordered(node.value) and not _is_set_call(at.names.parent.get(node), at) and shows(node, at):
            at.report(SET_ORDER, node)
    elif isinstance(node, ast.Assign):
        if at.kinds.is_unordered(node.value) and any(_takes_several(target) for target in node.targets):
            at.report(SET_PICK, node.value)
    elif isinstance(node, ast.YieldFrom):
        if at.kinds.is_unordered(node.value):
            at.report(SET_ORDER, node.value)
    elif isinstance(node, ast.FormattedValue):
        if _has_a_text(node.value, at):
            at.report(SET_ORDER, node.value)
    elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add):
        kind = at.kinds.of(node.target)
        if at.kinds.is_unordered(node.value) and kind is not None and kind.name == "list":
            at.report(SET_ORDER, node.value)


def _look_at_comprehension(node: ast.expr, at: Looking) -> None:
    assert isinstance(node, COMPREHENSIONS)
    if not isinstance(node, ast.DictComp) and _are_alike(node):
        return
    for one in node.generators:
        if at.kinds.is_unordered(one.iter) and not _fixed(one.iter):
            if _sums_floats(node, at):
                at.report(FLOAT_SUM, node)
            elif isinstance(node, (ast.ListComp, ast.GeneratorExp)) and shows(node, at):
                at.report(SET_ORDER, one.iter)


def _look_at_call(node: ast.Call, at: Looking) -> None:
    dotted = at.names.dotted(node.func)
    method = node.func.attr if isinstance(node.func, ast.Attribute) else None
    if dotted in _LISTINGS or (dotted is None and method in _LISTING_METHODS):
        at.report(DIRECTORY_ORDER if shows(node, at) else OUTSIDE, node)
        return
    if method == "pop" and not node.args and not node.keywords:
        assert isinstance(node.func, ast.Attribute)
        kind = at.kinds.of(node.func.value)
        if (
            kind is not None
            and kind.name in SETS
            and not is_the_only_one(node.func.value, at)
            and shows_in_loop(node, at)
        ):
            at.report(SET_PICK, node)
        return
    for given in node.args:
        if not at.kinds.is_unordered(given) or _fixed(given):
            continue
        if dotted == "builtins.sum":
            kind = at.kinds.of(given)
            if kind is not None and kind.element == "float":
                at.report(FLOAT_SUM, node)
        elif dotted == "builtins.iter" and _is_next(at.names.parent.get(node), at):
            if not is_the_only_one(given, at):
                at.report(SET_PICK, node)
        elif dotted in ("builtins.min", "builtins.max", "builtins.sorted"):
            if tells_too_little(node):
                at.report(SET_PICK, node)
        elif dotted in _TEXTS:
            if _has_a_text(given, at):
                at.report(SET_ORDER, given)
        elif dotted in KEPT_ORDER:
            if shows(node, at):
                at.report(SET_ORDER, given)
        elif method == "join" or (method in ("extend", "extendleft") and shows_in_collector(node, at)):
            at.report(SET_ORDER, given)


# --- what makes no difference, or hides ----------------------------------------------------------------------------


def _fixed(node: ast.expr) -> bool:
    """Tell whether this is a set of small ints as they stand there: their order follows no seed."""
    return isinstance(node, ast.Set) and all(
        isinstance(one, ast.Constant) and isinstance(one.value, int) for one in node.elts
    )


def _are_alike(node: ast.ListComp | ast.SetComp | ast.GeneratorExp) -> bool:
    """Tell whether what is made has nothing of the members, so that only how many there are shows."""
    bound = {inner.id for one in node.generators for inner in ast.walk(one.target) if isinstance(inner, ast.Name)}
    return not any(isinstance(inner, ast.Name) and inner.id in bound for inner in ast.walk(node.elt))


def _is_set_call(node: ast.AST | None, at: Looking) -> bool:
    """Tell whether starred arguments of this go where their order makes no difference, or is not known to make one."""
    if not isinstance(node, ast.Call):
        return isinstance(node, ast.Set)
    return at.names.dotted(node.func) not in KEPT_ORDER


def _takes_several(target: ast.expr) -> bool:
    """Tell whether a set is unpacked into several names; into one, `(only,) = found`, it says that there is just one."""
    return isinstance(target, (ast.Tuple, ast.List)) and (
        len(target.elts) > 1 or any(isinstance(one, ast.Starred) for one in target.elts)
    )


def _has_a_text(node: ast.expr, at: Looking) -> bool:
    """Tell whether the text of this shows an order: a set's or map's does, if it may have two members."""
    return at.kinds.is_unordered(node) and not (isinstance(node, ast.Set) and len(node.elts) < 2)


def _is_next(node: ast.AST | None, at: Looking) -> bool:
    return isinstance(node, ast.Call) and at.names.dotted(node.func) == "builtins.next"


def _sums_floats(node: ast.expr, at: Looking) -> bool:
    if not isinstance(node, (ast.GeneratorExp, ast.ListComp)):
        return False
    above = at.names.parent.get(node)
    summed = isinstance(above, ast.Call) and at.names.dotted(above.func) == "builtins.sum"
    kind = at.kinds.of(node.elt)
    return summed and kind is not None and kind.name == "float"
