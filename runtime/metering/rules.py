"""What of a program's syntax is guarded, and by what: the names that instrumented code is written with, and the rules.

A guard costs tens of nanoseconds, so it stands only where builtins could make much out of little: at powers, shifts, products,
formats, and calls of some names. What the syntax alone shows to be harmless has none: a constant small exponent, a product
with a constant float, a `range` that a loop goes through. What grows no faster than a sum does has none either.
"""

from __future__ import annotations

import ast
from typing import Final, TypeVar, cast

Node = TypeVar("Node", bound=ast.AST)

#: What instrumented code finds among its builtins.
TICKS: Final = "<ticks>"
NEXT: Final = "<next>"
HASH: Final = "<hash>"
PAY: Final = "<pay>"
CAUGHT: Final = "<caught>"
REFUSE: Final = "<refuse>"
TYPE: Final = "<type>"
INT: Final = "<int>"
FLOAT: Final = "<float>"
POWER: Final = "<power>"
SHIFT: Final = "<shift>"
TIMES: Final = "<times>"
MODULO: Final = "<modulo>"
GROWN: Final = "<grown>"
FORMAT: Final = "<format>"
CONSUME: Final = "<consume>"
SPAN: Final = "<span>"
CALL: Final = "<call>"
METHOD: Final = "<method>"
BOUND: Final = "<bound>"

#: Builtins that go through all of their one argument.
CONSUMERS: Final = frozenset(
    "all any bytearray bytes deque dict frozenset list max min set sorted sum tuple Counter OrderedDict".split()  # noqa: SIM905
)
#: Builtins that are looked at where they have more than one argument.
CALLS: Final = frozenset({"pow", "round", "iter", "type", "format", "sum"})
#: Methods of builtin types that may make much out of little: guarded also where they are not called at once.
BLOATING: Final = frozenset(
    [
        "center",
        "expandtabs",
        "join",
        "ljust",
        "replace",
        "rjust",
        "sort",
        "__get__",
        "__getattribute__",
        "to_bytes",
        "translate",
        "zfill",
        "__format__",
        "__iadd__",
        "__imod__",
        "__imul__",
        "__lshift__",
        "__mod__",
        "__mul__",
        "__pow__",
        "__rlshift__",
        "__rmod__",
        "__rmul__",
        "__rpow__",
    ]
)
#: All that are guarded where they are called: these, and those that may take longer than it is linear.
METHODS: Final = BLOATING | {"extend", "format", "format_map", "fromkeys", "__round__"}
#: Those that have a guard of their own, by how many arguments they have as a rule.
DIRECT: Final = {"join": 1, "replace": 2}
#: Attributes through which a program would get out of its world.
CLOSED: Final = frozenset(
    [
        "__base__",
        "__bases__",
        "__builtins__",
        "__closure__",
        "__code__",
        "__globals__",
        "__import__",
        "__loader__",
        "__mro__",
        "__reduce__",
        "__reduce_ex__",
        "__self__",
        "__spec__",
        "__subclasses__",
        "__wrapped__",
        "ag_code",
        "ag_frame",
        "co_code",
        "cr_code",
        "cr_frame",
        "cr_origin",
        "f_back",
        "f_builtins",
        "f_code",
        "f_globals",
        "f_locals",
        "gi_code",
        "gi_frame",
        "gi_yieldfrom",
        "mro",
        "tb_frame",
        "tb_next",
        "_evaluate",
        "__forward_code__",
        "__defaults__",
        "__kwdefaults__",
    ]
)
#: What the names of attributes begin with that are the machine's.
_MACHINES: Final = ("machine_", "_machine_")


def is_closed(attribute: str) -> bool:
    """Tell whether a program would get out of its world, or into the machine, through an attribute of this name."""
    return attribute in CLOSED or attribute.startswith(_MACHINES)


#: Attributes that no code may set.
UNSET: Final = frozenset({"__del__", "__match_args__"})
#: Names that no code may use.
CLOSED_NAMES: Final = frozenset({"__builtins__", "__loader__", "__spec__"})

LOOPED: Final = frozenset({"range", "enumerate", "zip", "reversed"})
_SMALL_POWER: Final = 3
_SMALL_SHIFT: Final = 64
_SMALL_TIMES: Final = 64
_FORMAT_DIGITS: Final = 3


def at(place: ast.AST, node: Node) -> Node:
    """Return a node, at the place of another one."""
    return ast.copy_location(node, place)


def call_of(place: ast.AST, name: str, *arguments: ast.expr, keywords: list[ast.keyword] | None = None) -> ast.Call:
    """Return a call of a guard, at the place of a node."""
    return at(place, ast.Call(at(place, ast.Name(name, ast.Load())), list(arguments), keywords or []))


def constant(place: ast.AST, value: object) -> ast.Constant:
    """Return a constant, at the place of a node."""
    return at(place, ast.Constant(cast("str", value)))


def guard_of_call(name: str, node: ast.Call, looped: bool) -> str:
    """Return the guard that a call of a name goes through, or ""."""
    if name in CONSUMERS and len(node.args) == 1:
        return CONSUME
    if name == "range" and not looped:
        return SPAN
    if name in CALLS and len(node.args) + len(node.keywords) > 1:
        return CALL
    return ""


def guard_of_operator(operator: ast.operator, left: ast.expr, right: ast.expr) -> str:
    """Return the guard that an operation goes through, or "". What grows no faster than a sum does has none."""
    match operator:
        case ast.Pow():
            return "" if _is_float(right) or _is_float(left) or _is_small(right, _SMALL_POWER) else POWER
        case ast.LShift():
            return "" if _is_small(right, _SMALL_SHIFT) else SHIFT
        case ast.Mult():
            if _is_float(left) or _is_float(right) or _is_small(left, _SMALL_TIMES) or _is_small(right, _SMALL_TIMES):
                return ""
            return TIMES
        case ast.Mod():
            if isinstance(left, ast.JoinedStr) or isinstance(right, (ast.Tuple, ast.Dict)) or _is_text(left):
                return MODULO
    return ""


def sure_of(node: ast.BinOp) -> ast.expr | None:
    """Return a test by which a product needs no guard, where there is one that costs less than the guard does.

    A float times anything makes no sequence and no long number; an int times a constant grows no faster than a sum does.
    """
    left, right = node.left, node.right
    if isinstance(left, ast.Name) and isinstance(right, ast.Constant):
        return _is_of(left, INT)
    if isinstance(right, ast.Name) and isinstance(left, ast.Constant):
        return _is_of(right, INT)
    # What is tested is read again behind the test, and nothing may change it between; and both sides are there twice.
    if not (_is_simple(left) and _is_simple(right)):
        return None
    if isinstance(right, ast.Name):
        return _is_of(right, FLOAT)
    return _is_of(left, FLOAT) if isinstance(left, ast.Name) else None


_SIMPLE: Final = (
    ast.Name,
    ast.Attribute,
    ast.Constant,
    ast.BinOp,
    ast.UnaryOp,
    ast.operator,
    ast.unaryop,
    ast.expr_context,
)


def _is_simple(node: ast.expr) -> bool:
    below = list(ast.walk(node))
    return all(isinstance(one, _SIMPLE) for one in below) and sum(isinstance(one, ast.Mult) for one in below) <= 1


def _is_of(name: ast.Name, kind: str) -> ast.expr:
    tested = at(name, ast.Name(name.id, ast.Load()))
    made = ast.Compare(call_of(name, TYPE, tested), [ast.Is()], [at(name, ast.Name(kind, ast.Load()))])
    return at(name, made)


def is_direct(node: ast.Call, function: ast.Attribute) -> bool:
    return (
        DIRECT.get(function.attr) == len(node.args)
        and not node.keywords
        and not any(isinstance(one, ast.Starred) for one in node.args)
    )


def _is_float(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, float)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes))


def _is_small(node: ast.expr, most: int) -> bool:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        node = node.operand
    return isinstance(node, ast.Constant) and type(node.value) is int and abs(node.value) <= most


def again(target: ast.expr) -> ast.expr | None:
    """Return an expression that gives what an augmented assignment begins with, where to evaluate it has no effects."""
    if isinstance(target, ast.Name):
        return at(target, ast.Name(target.id, ast.Load()))
    if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
        return at(target, ast.Attribute(target.value, target.attr, ast.Load()))
    if (
        isinstance(target, ast.Subscript)
        and isinstance(target.value, ast.Name)
        and isinstance(target.slice, (ast.Name, ast.Constant))
    ):
        return at(target, ast.Subscript(target.value, target.slice, ast.Load()))
    return None


def is_narrow(spec: ast.expr) -> bool:
    """Tell whether a format is constant, and asks for no great width."""
    if not isinstance(spec, ast.JoinedStr) or not all(isinstance(one, ast.Constant) for one in spec.values):
        return False
    text = "".join(str(one.value) for one in spec.values if isinstance(one, ast.Constant))
    return sum(one.isdigit() for one in text) <= _FORMAT_DIGITS
