"""What metered code costs: weights of syntax, and the rule that makes ticks of them.

Gas is defined over the syntax tree of a program and nothing below it (no byte code, no lines), so that it is the same on
every Python version. A function, a module's class, a loop is cut into *blocks*; a block is paid for when it is entered:

    ticks of a block = max(1, ⌈sum of the weights of the nodes in it / UNIT⌉)

These begin a block of their own: the body of a function, a lambda or a class; the body of a loop, at each turn; each turn
of each `for` in a comprehension; an exception handler; a `finally`. A branch (of an `if`, a `match`, the `else` of a loop
or a `try`) is one if it weighs more than UNIT; a lighter one is counted with the block around it, taken or not. What
happens whatever comes (the bodies of `with` and `try`) belongs to the block around it.

What must not count, since it is not the same everywhere: annotations (evaluated late from Python 3.14 on), docstrings,
type parameters, the pieces of constant text in an f-string (split differently from 3.12 on).

Calls of builtins that work in proportion to what they are given cost by its size as well: see `runtime.metering.guards`.
Whoever changes anything here changes `COSTS_VERSION`: blocks have it.
"""

from __future__ import annotations

import ast
from typing import Final, TypeAlias

COSTS_VERSION: Final = 1

#: What one tick pays for.
UNIT: Final = 32

#: Weights by kind of node; 0 for kinds that are not here: constants, names' contexts, operators.
WEIGHTS: Final[dict[type[ast.AST], int]] = {
    # statements
    ast.FunctionDef: 6,
    ast.AsyncFunctionDef: 6,
    ast.ClassDef: 96,
    ast.Return: 1,
    ast.Delete: 1,
    ast.Assign: 1,
    ast.AugAssign: 3,
    ast.AnnAssign: 1,
    ast.For: 4,
    ast.AsyncFor: 6,
    ast.While: 1,
    ast.If: 1,
    ast.With: 6,
    ast.AsyncWith: 8,
    ast.Match: 1,
    ast.Raise: 8,
    ast.Try: 1,
    ast.TryStar: 8,
    ast.Assert: 1,
    ast.Import: 16,
    ast.ImportFrom: 16,
    # expressions
    ast.BoolOp: 1,
    ast.NamedExpr: 1,
    ast.BinOp: 2,
    ast.UnaryOp: 1,
    ast.Lambda: 4,
    ast.IfExp: 1,
    ast.Dict: 3,
    ast.Set: 3,
    ast.ListComp: 6,
    ast.SetComp: 6,
    ast.DictComp: 6,
    ast.GeneratorExp: 6,
    ast.Await: 4,
    ast.Yield: 3,
    ast.YieldFrom: 4,
    ast.Compare: 2,
    ast.Call: 5,
    ast.FormattedValue: 4,
    ast.JoinedStr: 2,
    ast.Attribute: 1,
    ast.Subscript: 2,
    ast.Starred: 2,
    ast.Name: 1,
    ast.List: 2,
    ast.Tuple: 1,
    ast.Slice: 2,
    ast.keyword: 1,
    # patterns
    ast.match_case: 2,
    ast.MatchValue: 2,
    ast.MatchSingleton: 1,
    ast.MatchSequence: 4,
    ast.MatchMapping: 6,
    ast.MatchClass: 8,
    ast.MatchStar: 3,
    ast.MatchAs: 1,
    ast.MatchOr: 1,
}

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Comprehension: TypeAlias = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp

FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)
COMPREHENSIONS: Final = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
LOOPS: Final = (ast.For, ast.AsyncFor, ast.While)


def ticks(weight: int) -> int:
    """Return what a block of a weight costs."""
    return max(1, -(-weight // UNIT))


class Scale:
    """Weighs pieces of one tree, each once. Weigh before the tree is changed."""

    def __init__(self) -> None:
        self._known: dict[ast.AST, int] = {}

    def node(self, node: ast.AST) -> int:
        """Return what a node adds to the block in which it stands."""
        weight = self._known.get(node)
        if weight is None:
            weight = self._known[node] = WEIGHTS.get(type(node), 0) + self._below(node)
        return weight

    def nodes(self, nodes: list[ast.AST] | list[ast.expr] | list[ast.keyword]) -> int:
        """Return what some nodes add."""
        return sum([self.node(node) for node in nodes])

    def block(self, body: list[ast.stmt]) -> int:
        """Return what a list of statements weighs, but for blocks of their own in it."""
        return sum([self.node(statement) for statement in undocumented(body)])

    def branch(self, body: list[ast.stmt]) -> int:
        """Return what a branch adds to the block around it: nothing, if it is one of its own."""
        weight = self.block(body)
        return 0 if weight > UNIT else weight

    def turn(self, made: Comprehension, number: int) -> int:
        """Return what a turn of a comprehension's `for` weighs: its conditions, and what the turn makes or goes over."""
        clauses = made.generators
        weight = self.node(clauses[number].target) + self.nodes(clauses[number].ifs)
        if number + 1 < len(clauses):
            return weight + 2 + self.node(clauses[number + 1].iter)
        if isinstance(made, ast.DictComp):
            return weight + self.node(made.key) + self.node(made.value)
        return weight + self.node(made.elt)

    def _below(self, node: ast.AST) -> int:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                return self.nodes(node.decorator_list) + self._defaults(node.args)
            case ast.Lambda():
                return self._defaults(node.args)
            case ast.ClassDef():
                return self.nodes(node.decorator_list) + self.nodes(node.bases) + self.nodes(node.keywords)
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                return self.node(node.generators[0].iter)
            case ast.For() | ast.AsyncFor():
                return self.node(node.iter) + self.branch(node.orelse)
            case ast.While():
                # Its condition belongs to the turn.
                return self.branch(node.orelse)
            case ast.If():
                return self.node(node.test) + self.branch(node.body) + self.branch(node.orelse)
            case ast.Match():
                return self.node(node.subject) + sum([self.node(case) for case in node.cases])
            case ast.match_case():
                guard = 0 if node.guard is None else self.node(node.guard)
                return self.node(node.pattern) + guard + self.branch(node.body)
            case ast.Try() | ast.TryStar():
                return self.block(node.body) + self.branch(node.orelse)
            case ast.With() | ast.AsyncWith():
                return sum([self.node(item) for item in node.items]) + self.block(node.body)
            case ast.AnnAssign():
                return self.node(node.target) + (0 if node.value is None else self.node(node.value))
            case ast.JoinedStr():
                return sum([self.node(one) for one in node.values if isinstance(one, ast.FormattedValue)])
            case _:
                return sum([self.node(child) for child in ast.iter_child_nodes(node)])

    def _defaults(self, arguments: ast.arguments) -> int:
        return self.nodes([*arguments.defaults, *[one for one in arguments.kw_defaults if one is not None]])


def undocumented(body: list[ast.stmt]) -> list[ast.stmt]:
    """Return a list of statements without its docstring."""
    return body[1:] if documented(body) else body


def documented(body: list[ast.stmt]) -> bool:
    """Tell whether a list of statements begins with a text."""
    first = body[0] if body else None
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
