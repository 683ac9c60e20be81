"""Where an order goes: from what is iterated to what is made of it, and whether it can be seen there.

Outwards: through calls and containers, on to the uses of a name that it is assigned to. Into the body of a loop, where
these are seen: a system call or another await, a yield, the first that returns, breaks or raises with the member, what
is appended or written, text that is added up, numbers given in turn. Not seen: counting, collecting in sets, a key of
its own for each member. What cannot be followed, such as a call of what is not known here, counts as not seen.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from runtime.lint.scopes import FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.lint.looking import Looking

#: Calls of which the result is the same in every order.
NO_ORDER: Final = frozenset(
    {f"builtins.{name}" for name in ("sorted", "set", "frozenset", "len", "any", "all", "sum", "min", "max", "bool")}
    | {f"builtins.{name}" for name in ("isinstance", "print", "dict", "type", "id")}
    | {
        "builtins.dict.fromkeys",
        "collections.Counter",
        "math.fsum",
        "functools.reduce",
        "pyrsistent.pset",
        "pyrsistent.pmap",
    }
)
#: Of these, those to which it makes no difference either what the items are paired with.
_COUNTS: Final = frozenset(
    {f"builtins.{name}" for name in ("len", "any", "all", "bool", "isinstance", "print", "type")}
)
#: Calls that hand the order on.
KEPT_ORDER: Final = frozenset(
    {f"builtins.{name}" for name in ("list", "tuple", "enumerate", "zip", "map", "filter", "iter", "reversed")}
    | {f"itertools.{name}" for name in ("chain", "islice", "accumulate", "pairwise", "batched", "cycle", "starmap")}
    | {f"itertools.{name}" for name in ("product", "permutations", "combinations", "zip_longest", "takewhile", "count")}
    | {"itertools.chain.from_iterable", "collections.deque", "pyrsistent.pvector", "pyrsistent.v"}
)
_SET_METHODS: Final = frozenset(
    {"update", "union", "intersection", "difference", "symmetric_difference", "issubset", "issuperset", "isdisjoint"}
    | {"difference_update", "intersection_update", "symmetric_difference_update"}
)
_APPENDS: Final = frozenset({"append", "extend", "appendleft", "extendleft", "insert"})
_WRITES: Final = frozenset({"write", "writelines", "send", "put_nowait"})
#: Methods of a list that show nothing of its order.
_IN_ANY_ORDER: Final = frozenset({"count", "sort", "append", "extend", "remove", "clear"})
_STEPS_MAX: Final = 30


# --- outwards ------------------------------------------------------------------------------------------------------


def shows(node: ast.expr, at: Looking, depth: int = 0) -> bool:
    """Tell whether the order of the items that this expression gives can be seen in what is made of it."""
    above = at.names.parent.get(node)
    if depth > _STEPS_MAX or above is None:
        return False
    if isinstance(above, ast.keyword):
        above = at.names.parent[above]
    match above:
        case ast.Call():
            return node is not above.func and _shows_in_call(node, above, at, depth)
        case ast.Attribute(attr=method):
            called = at.names.parent.get(above)
            if method in ("pop", "popleft") and isinstance(called, ast.Call):
                return shows_in_loop(called, at)
            return isinstance(called, ast.Call) and method not in _IN_ANY_ORDER
        case ast.For() | ast.AsyncFor():
            return node is above.iter and shows_in_loop(above, at)
        case ast.comprehension():
            made = at.names.parent[above]
            assert isinstance(made, ast.expr)
            return (
                node is above.iter and isinstance(made, (ast.ListComp, ast.GeneratorExp)) and shows(made, at, depth + 1)
            )
        case ast.Assign(targets=[ast.Name() as target]) | ast.NamedExpr(target=target) | ast.AnnAssign(target=target):
            return not isinstance(target, ast.Name) or shows_by_name(target, at, depth)
        case ast.Return():
            # `dir` sorts what this gives.
            return getattr(at.names.scope_of[above].node, "name", None) != "__dir__"
        case ast.Assign() | ast.Yield() | ast.YieldFrom() | ast.FormattedValue():
            return True
        case ast.AugAssign(target=ast.Name() as target):
            return shows_by_name(target, at, depth)
        case ast.Compare(left=left, ops=[ast.Eq() | ast.NotEq(), *_], comparators=others):
            # Against an empty one, it is a test for emptiness.
            return all(not isinstance(side, (ast.List, ast.Tuple)) or bool(side.elts) for side in (left, *others))
        case ast.Subscript(value=value):
            return node is value and not is_the_only_one(node, at)
        case ast.IfExp(test=test):
            return node is not test and shows(above, at, depth + 1)
        case ast.DictComp() | ast.SetComp() | ast.ListComp() | ast.GeneratorExp():
            return shows(above, at, depth + 1)
        case ast.Starred() | ast.List() | ast.Tuple() | ast.Dict() | ast.BoolOp() | ast.BinOp():
            return shows(above, at, depth + 1)
    return False


def _shows_in_call(node: ast.expr, call: ast.Call, at: Looking, depth: int) -> bool:
    dotted = at.names.dotted(call.func)
    if dotted in NO_ORDER:
        if is_paired(node, at):
            return dotted not in _COUNTS
        return dotted in ("builtins.min", "builtins.max", "builtins.sorted") and tells_too_little(call)
    if dotted in KEPT_ORDER:
        return shows(call, at, depth + 1)
    if dotted == "builtins.next":
        # The one that fits may well be the only one.
        return not (isinstance(node, ast.GeneratorExp) and any(one.ifs for one in node.generators))
    if isinstance(call.func, ast.Attribute):
        method = call.func.attr
        if method in _SET_METHODS:
            return False
        if method == "join":
            return True
        if method in ("append", "extend", "appendleft", "extendleft"):
            return shows_in_collector(call, at)
    # What a function makes of a list is not known; a generator is mostly made for one that counts or collects.
    return not isinstance(node, (ast.GeneratorExp, ast.Starred)) and _is_made(node, at)


def is_paired(node: ast.AST, at: Looking) -> bool:
    """Tell whether this gives each item with something that says when its turn was: a number, an item of a list."""
    return isinstance(node, ast.Call) and at.names.dotted(node.func) in ("builtins.enumerate", "builtins.zip")


def _is_made(node: ast.expr, at: Looking) -> bool:
    if isinstance(node, (ast.ListComp, ast.List, ast.Tuple, ast.Dict, ast.Name)):
        return True
    return isinstance(node, ast.Call) and at.names.dotted(node.func) in ("builtins.list", "builtins.tuple")


def shows_by_name(target: ast.Name, at: Looking, depth: int = 0) -> bool:
    """Tell whether the order of the items in what a name stands for can be seen where the name is used."""
    found = at.names.found(target)
    if found is None:
        return True
    uses = at.names.loads(target.id, found[0])
    for use in uses:
        above = at.names.parent.get(use)
        if isinstance(above, ast.Attribute) and above.attr == "sort":
            return False
    return any(shows(use, at, depth + 5) for use in uses)


def shows_in_collector(call: ast.Call, at: Looking) -> bool:
    """Tell whether the order shows in the list that a method like `extend` is called on."""
    assert isinstance(call.func, ast.Attribute)
    collector = call.func.value
    return not isinstance(collector, ast.Name) or shows_by_name(collector, at)


def is_the_only_one(node: ast.expr, at: Looking) -> bool:
    """Tell whether the code around tests that this has just one member."""
    if isinstance(node, ast.Call) and len(node.args) == 1:
        node = node.args[0]
    wanted = ast.dump(node)
    around = at.names.scope_of[node].function.node
    for inner in ast.walk(around):
        match inner:
            case ast.Compare(
                left=ast.Call(func=ast.Name(id="len"), args=[one]), comparators=[ast.Constant(value=1 | 2)]
            ):
                if ast.dump(one) == wanted:
                    return True
    return False


def tells_too_little(call: ast.Call) -> bool:
    """Tell whether `key=` evidently takes different members for equal, so that the first one wins."""
    key = next((one.value for one in call.keywords if one.arg == "key"), None)
    match key:
        case ast.Name(id="len") | ast.Lambda(body=ast.Call(func=ast.Name(id="len"))):
            return True
        case ast.Lambda(body=ast.Subscript(slice=ast.Constant(value=int() as index))):
            return index != 0
    return False


# --- into loops ----------------------------------------------------------------------------------------------------


def shows_in_loop(node: ast.AST, at: Looking) -> bool:
    """Tell whether the order of the turns shows: of a loop, or of the one in which this `pop` picks the next."""
    if node in at.followed:
        # A list that is filled from itself: what shows of it shows at the other places.
        return False
    at.followed.add(node)
    try:
        if isinstance(node, (ast.For, ast.AsyncFor)):
            turn = _bound([node.target])
            return _shows(node.body, turn, turn if is_paired(node.iter, at) else set(), at)
        assert isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        loop = _loop_over(node, ast.dump(node.func.value), at)
        if loop is None:
            return not isinstance(at.names.parent.get(node), ast.Expr)
        stored = at.names.parent.get(node)
        return _shows(loop.body, _bound(stored.targets if isinstance(stored, ast.Assign) else []), set(), at)
    finally:
        at.followed.discard(node)


def _loop_over(node: ast.AST, worklist: str, at: Looking) -> ast.While | None:
    """Return the loop `while worklist:` around a `worklist.pop()`."""
    above = at.names.parent.get(node)
    while above is not None and not isinstance(above, FUNCTIONS):
        if isinstance(above, ast.While):
            return above if ast.dump(above.test) == worklist else None
        above = at.names.parent.get(above)
    return None


def _bound(targets: list[ast.expr]) -> set[str]:
    return {
        node.id
        for target in targets
        for node in ast.walk(target)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


def _shows(body: list[ast.stmt], turn: set[str], paired: set[str], at: Looking) -> bool:
    nodes = list(_inside(body))
    # What is made of the member in its turn tells which turn it was, too.
    for node in nodes:
        if (
            isinstance(node, (ast.Assign, ast.For))
            and _names(node.value if isinstance(node, ast.Assign) else node.iter) & turn
        ):
            turn = turn | _bound(node.targets if isinstance(node, ast.Assign) else [node.target])
    counted = paired | {
        node.target.id for node in nodes if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name)
    }
    breaks = any(isinstance(node, ast.Break) for node in nodes)
    # What each turn begins anew has nothing of the other turns in it.
    anew = _bound([target for node in nodes if isinstance(node, ast.Assign) for target in node.targets])
    nodes = [node for node in nodes if not _grows(node, anew | turn)]
    return any(_shows_in(node, turn, counted, breaks, at) for node in nodes)


def _grows(node: ast.AST, names: set[str]) -> bool:
    """Tell whether this adds to what one of these names stands for."""
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method)):
            return method in _APPENDS and name in names
        case ast.AugAssign(target=ast.Name(id=name)):
            return name in names
    return False


def _shows_in(node: ast.AST, turn: set[str], counted: set[str], breaks: bool, at: Looking) -> bool:
    match node:
        case ast.Await() | ast.Yield() | ast.YieldFrom() | ast.AsyncFor() | ast.AsyncWith():
            return True
        case ast.Return(value=told) | ast.Raise(exc=told) if told is not None:
            return bool(_names(told) & turn) and not _fits_one(node, turn, at)
        case ast.Call(func=ast.Attribute(value=collector, attr=method)) if method in _APPENDS:
            if isinstance(collector, (ast.Subscript, ast.Attribute)) and _names(collector) & turn:
                # Each member has one of its own.
                return False
            return not isinstance(collector, ast.Name) or shows_by_name(collector, at)
        case ast.Call(func=ast.Attribute(attr=method)) if method in _WRITES:
            return True
        case ast.AugAssign(op=ast.Add(), target=target, value=value):
            kinds = [at.kinds.of(value), at.kinds.of(target)]
            return any(kind is not None and kind.name in ("str", "bytes", "list", "tuple", "float") for kind in kinds)
        case ast.Assign(targets=targets, value=value):
            return any(_shows_in_target(target, value, turn, counted, breaks) for target in targets)
    return False


def _fits_one(node: ast.AST, turn: set[str], at: Looking) -> bool:
    """Tell whether this is done for the member that equals something: there may well be only one."""
    above = at.names.parent.get(node)
    while above is not None and not isinstance(above, (ast.For, ast.While, *FUNCTIONS)):
        if isinstance(above, ast.If):
            for inner in ast.walk(above.test):
                if (
                    isinstance(inner, ast.Compare)
                    and isinstance(inner.ops[0], (ast.Eq, ast.Is))
                    and _names(inner) & turn
                ):
                    return True
        above = at.names.parent.get(above)
    return False


def _shows_in_target(target: ast.expr, value: ast.expr, turn: set[str], counted: set[str], breaks: bool) -> bool:
    if isinstance(target, ast.Subscript):
        if _names(target.slice) & turn:
            # A key of its own for each, and the same under it in every order, unless they are numbered in turn.
            return bool((_names(target.slice) | _names(value)) & counted) or _is_length(value)
        return bool(_names(value) & turn) and _is_heap(target.value)
    if isinstance(target, ast.Name):
        return breaks and bool(_names(value) & turn)
    return False


def _is_length(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "len"


def _is_heap(node: ast.expr) -> bool:
    return (node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", None)) == "heap"


def _names(node: ast.AST) -> set[str]:
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}


def _inside(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """Go over a body in the order of its lines, but not into functions that are only defined there."""
    stack: list[ast.AST] = list(reversed(body))
    while stack:
        node = stack.pop()
        yield node
        if not isinstance(node, FUNCTIONS):
            stack.extend(reversed(list(ast.iter_child_nodes(node))))
