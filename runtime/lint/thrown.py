"""What is made and thrown away: coroutines that nobody awaits, and persistent values whose changed copy nobody keeps.

`self.get("a", "y")` without `await` makes a coroutine, which is no value, and asks nothing. What makes one is known: the
system calls of `actors`, by whatever the class inherits from, and the `async def`s of the file. It is reported where a
coroutine can do nothing: as a statement, in arithmetic, as an item of a heap, as an argument of what takes values. One
that is handed on in a variable or to a function may be awaited there, and passes; a variable that is never used so does not.

What comes out of a heap is persistent: `self.heap["log"].append(1)` makes another vector, and changes nothing.
"""

from __future__ import annotations

import ast
import inspect
from typing import TYPE_CHECKING, Any, Final

from actors import Actor, PostOffice, Process, Root, Team, Transaction
from actors.calls import METHODS
from runtime.lint.rules import CHANGE_LOST, NOT_AWAITED
from runtime.lint.scopes import DEFS

if TYPE_CHECKING:
    from runtime.lint.looking import Looking


def _builtins(names: str) -> frozenset[str]:
    return frozenset(f"builtins.{name}" for name in names.split())


_GIVEN: Final[dict[str, type]] = {
    f"{module}.{one.__name__}": one
    for one in (Process, Root, Actor, PostOffice, Transaction)
    for module in ("actors", one.__module__)
}
#: Of a class that inherits from what another file has, these alone are taken for the system calls.
_CALLS: Final = frozenset({*METHODS, "fork", "join"})
#: Builtins that are given values.
_OF_VALUES: Final = _builtins(
    "abs all any bool bytes dict divmod enumerate float frozenset int iter len list max min next pow range repr reversed "
    "round set sorted str sum tuple zip"
)
#: Those of them that use each item of what they are given.
_OF_ITEMS: Final = _builtins("frozenset max min set sorted sum")
#: What makes a changed copy of a persistent vector, map or set.
_CHANGES: Final = frozenset(
    {"append", "extend", "set", "mset", "delete", "remove", "transform", "add", "discard", "update", "update_with"}
)
_PERSISTENT: Final = frozenset({"kept", "pset", "pmap"})


def look(node: ast.AST, at: Looking) -> None:
    """Report a coroutine that this node makes for nothing, or a change that it loses."""
    if not isinstance(node, ast.Call):
        return
    if _makes_a_coroutine(node.func, at):
        if _comes_to_nothing(node, at):
            at.report(NOT_AWAITED, node)
    elif (
        isinstance(node.func, ast.Attribute)
        and node.func.attr in _CHANGES
        and isinstance(at.names.parent.get(node), ast.Expr)
    ):
        kind = at.kinds.of(node.func.value)
        if kind is not None and kind.name in _PERSISTENT:
            at.report(CHANGE_LOST, node)


# --- what makes a coroutine ----------------------------------------------------------------------------------------


def _makes_a_coroutine(function: ast.expr, at: Looking) -> bool:
    if not isinstance(function, ast.Attribute):
        defined = at.names.definition(function)
        return defined is not None and _is_coroutine(defined)
    owner = function.value
    if at.names.is_self(owner):
        around = at.names.class_around(owner)
        return around in at.programs and around is not None and _is_call(function.attr, around, at)
    return _is_team(owner, at) and inspect.iscoroutinefunction(getattr(Team, function.attr, None))


def _is_coroutine(defined: ast.AST) -> bool:
    """Tell whether this is an `async def` that is nothing else: no generator, and nothing that a decorator made of it."""
    return (
        isinstance(defined, ast.AsyncFunctionDef)
        and not defined.decorator_list
        and not any(isinstance(inner, (ast.Yield, ast.YieldFrom)) for inner in ast.walk(defined))
    )


def _is_call(name: str, around: ast.ClassDef, at: Looking) -> bool:
    """Tell whether a method of a program makes a coroutine, by the first class that has one of that name."""
    waiting: list[ast.ClassDef] = [around]
    looked: set[ast.ClassDef] = set()
    foreign = False
    while waiting:
        one = waiting.pop(0)
        looked.add(one)
        own = [inner for inner in one.body if isinstance(inner, DEFS) and inner.name == name]
        if own:
            return all(_is_coroutine(inner) for inner in own)
        for base in one.bases:
            defined = at.names.definition(base)
            given = _GIVEN.get(at.names.dotted(base) or "")
            if isinstance(defined, ast.ClassDef):
                waiting += [] if defined in looked else [defined]
            elif given is None:
                foreign = True
            elif hasattr(given, name):
                return inspect.iscoroutinefunction(getattr(given, name))
    return foreign and name in _CALLS


def _is_team(node: ast.AST, at: Looking) -> bool:
    """Tell whether this is the team of `async with self.team() as team`."""
    found = at.names.found(node) if isinstance(node, ast.Name) else None
    match found and [one.node for one in found[1]]:
        case [ast.withitem(context_expr=ast.Call(func=ast.Attribute(value=owner, attr="team")))]:
            return at.names.is_self(owner)
    return False


# --- what becomes of it --------------------------------------------------------------------------------------------


def _comes_to_nothing(node: ast.AST, at: Looking, *, inside: bool = False, variables: bool = True) -> bool:
    """Tell whether what this makes evidently is used as a value, or not at all.

    Args:
        node: an expression.
        at: the file.
        inside: whether it has the coroutine in it, and is none itself.
        variables: whether to look at what becomes of a variable to which it is bound.
    """
    above = at.names.parent.get(node)
    match above:
        case ast.Starred() | ast.Tuple() | ast.List() | ast.Set() | ast.Dict():
            return _comes_to_nothing(above, at, inside=True, variables=variables)
        case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
            return _comes_to_nothing(above, at, inside=True, variables=variables)
        case ast.IfExp(test=test) if test is not node:
            return _comes_to_nothing(above, at, inside=inside, variables=variables)
        case ast.Expr():
            return True
        case ast.Return():
            return isinstance(at.names.scope_of[above].function.node, ast.AsyncFunctionDef)
        case ast.Assign(targets=[target]) if isinstance(target, ast.Name):
            return variables and not inside and _is_never_awaited(target, at)
        case ast.Assign(targets=[ast.Subscript(value=ast.Attribute(value=owner, attr="heap"))]):
            return at.names.is_self(owner)
        case ast.keyword():
            call = at.names.parent.get(above)
            return isinstance(call, ast.Call) and _takes_values(call, inside, at)
        case ast.Call() if node is not above.func:
            return _takes_values(above, inside, at)
    used = (ast.BinOp, ast.UnaryOp, ast.Compare, ast.FormattedValue, ast.AugAssign, ast.If, ast.While, ast.Assert)
    is_read = isinstance(above, ast.Subscript) and above.value is node
    is_walked = isinstance(above, (ast.For, ast.comprehension)) and above.iter is node
    return not inside and (isinstance(above, (*used, ast.IfExp)) or is_read or is_walked)


def _takes_values(call: ast.Call, inside: bool, at: Looking) -> bool:
    """Tell whether what is called takes values, of which a coroutine is none."""
    dotted = at.names.dotted(call.func)
    if dotted is not None:
        return dotted in (_OF_ITEMS if inside else _OF_VALUES)
    return isinstance(call.func, ast.Attribute) and call.func.attr in _CALLS and _makes_a_coroutine(call.func, at)


def _is_never_awaited(target: ast.Name, at: Looking) -> bool:
    """Tell whether a variable is bound to the coroutine alone, and each use of it is one of a value."""
    found: Any = at.names.found(target)
    if found is None or len(found[1]) != 1 or not isinstance(found[0].node, DEFS):
        return False
    return all(_comes_to_nothing(load, at, variables=False) for load in at.names.loads(target.id, found[0]))
