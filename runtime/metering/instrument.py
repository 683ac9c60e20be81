"""Instrumentation: a module's syntax tree with ticks in it, and with guards where builtins could work without end.

A tick is `next(ticks)`, under names that no source can spell. Every block (see `runtime.metering.costs`) begins with what
it costs. Nothing between two ticks runs without bound, but what C code does; calls that could are handed to a guard
(`runtime.metering.guards`) together with what they call, so that a name which is the program's own is called as it is.

What the tree means stays the same: nothing is evaluated twice or in another order, every node keeps its place, so that
tracebacks show the lines that the user wrote. No function is added or removed: the code objects of the tree with ticks
and of the plain one correspond one to one, in order, which is how a function finds its own (`runtime.metering.sources`).

Handlers, `finally` and the bodies of `with` begin with a guard of their own: what a program must never swallow (an empty
meter, a stack that is too deep, the machine's lack of memory) goes on from there.
"""

from __future__ import annotations

import ast
from typing import Any, Final

from runtime.metering import costs
from runtime.metering.costs import COMPREHENSIONS, Scale, documented
from runtime.metering.rules import (
    BLOATING,
    BOUND,
    CAUGHT,
    CLOSED_NAMES,
    FORMAT,
    GROWN,
    HASH,
    LOOPED,
    METHOD,
    METHODS,
    NEXT,
    PAY,
    REFUSE,
    TICKS,
    TIMES,
    UNSET,
    again,
    at,
    call_of,
    constant,
    guard_of_call,
    guard_of_operator,
    is_closed,
    is_direct,
    is_narrow,
    sure_of,
)

#: A block of more ticks than this pays in one call.
_PULLS_MAX: Final = 6


def instrument(tree: ast.Module) -> ast.Module:
    """Put ticks and guards into a module's tree. The tree that is given is changed, and returned."""
    made = _Instrument().visit(tree)
    assert isinstance(made, ast.Module)
    return ast.fix_missing_locations(made)


class _Instrument(ast.NodeTransformer):
    def __init__(self) -> None:
        self._scale = Scale()
        self._functions: list[str] = []
        #: Calls whose result a loop goes through turn by turn.
        self._looped: set[ast.AST] = set()
        #: Attributes that are called where they stand.
        self._called: set[ast.AST] = set()

    # --- ticks ---

    def _pulls(self, place: ast.AST, weight: int) -> list[ast.expr]:
        count = costs.ticks(weight)
        if count > _PULLS_MAX:
            return [call_of(place, PAY, constant(place, count))]
        return [call_of(place, NEXT, at(place, ast.Name(TICKS, ast.Load()))) for _ in range(count)]

    def _paid(self, place: ast.AST, weight: int) -> list[ast.stmt]:
        return [at(place, ast.Expr(pull)) for pull in self._pulls(place, weight)]

    def _block(self, body: list[ast.stmt], weight: int | None) -> list[ast.stmt]:
        """Return the statements of a block; paid for at the beginning, behind a docstring, if it has a weight."""
        head = [] if weight is None else self._paid(body[1 if documented(body) and len(body) > 1 else 0], weight)
        made: list[ast.stmt] = []
        for statement in body:
            got = self.visit(statement)
            made.extend(got if isinstance(got, list) else [got])
        start = 1 if documented(body) else 0
        return [*made[:start], *head, *made[start:]]

    def _branch(self, body: list[ast.stmt]) -> list[ast.stmt]:
        if not body:
            return body
        weight = self._scale.block(body)
        return self._block(body, None if self._scale.branch(body) else weight) if weight else self._block(body, None)

    def _caught(self, body: list[ast.stmt]) -> list[ast.stmt]:
        """Return the statements of a handler or a `finally`."""
        weight = self._scale.block(body)
        made = self._block(body, None)
        return [at(body[0], ast.Expr(call_of(body[0], CAUGHT, constant(body[0], costs.ticks(weight))))), *made]

    # --- blocks ---

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST | list[ast.AST]:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST | list[ast.AST]:
        return self._function(node)

    def _function(self, node: costs.Function) -> ast.AST | list[ast.AST]:
        weight = self._scale.block(node.body)
        node.decorator_list = [self.visit(one) for one in node.decorator_list]
        self.visit(node.args)
        if node.returns is not None:
            node.returns = self.visit(node.returns)
        self._functions.append(node.name)
        node.body = self._block(node.body, weight)
        self._functions.pop()
        if node.name == "__del__":
            return [self._refusal(node, "__del__"), node]
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        pulls = self._pulls(node.body, self._scale.node(node.body))
        self.visit(node.args)
        self._functions.append("<lambda>")
        node.body = at(node.body, ast.BoolOp(ast.And(), [*pulls, self.visit(node.body)]))
        self._functions.pop()
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        weight = self._scale.block(node.body)
        node.decorator_list = [self.visit(one) for one in node.decorator_list]
        node.bases = [self.visit(one) for one in node.bases]
        node.keywords = [self.visit(one) for one in node.keywords]
        # A module's own classes are made by the module itself.
        node.body = self._block(node.body, weight if self._functions else None)
        return node

    def visit_For(self, node: ast.For) -> ast.AST:
        return self._for(node)

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        return self._for(node)

    def _for(self, node: ast.For | ast.AsyncFor) -> ast.AST:
        weight = self._scale.node(node.target) + self._scale.block(node.body)
        self._loops_over(node.iter)
        node.iter = self.visit(node.iter)
        node.target = self.visit(node.target)
        node.body = self._block(node.body, weight)
        node.orelse = self._branch(node.orelse)
        return node

    def _loops_over(self, node: ast.expr) -> None:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in LOOPED:
            self._looped.add(node)
            for argument in node.args:
                self._loops_over(argument)

    def visit_While(self, node: ast.While) -> ast.AST:
        weight = self._scale.node(node.test) + self._scale.block(node.body)
        node.test = self.visit(node.test)
        node.body = self._block(node.body, weight)
        node.orelse = self._branch(node.orelse)
        return node

    def visit_If(self, node: ast.If) -> ast.AST:
        node.test = self.visit(node.test)
        node.body, node.orelse = self._branch(node.body), self._branch(node.orelse)
        return node

    def visit_match_case(self, node: ast.match_case) -> ast.AST:
        # A pattern has no calls; and where one names an attribute, nothing else may stand.
        if node.guard is not None:
            node.guard = self.visit(node.guard)
        node.body = self._branch(node.body)
        return node

    def visit_Match(self, node: ast.Match) -> list[ast.AST]:
        named = [
            one.kwd_attrs for case in node.cases for one in ast.walk(case.pattern) if isinstance(one, ast.MatchClass)
        ]
        closed = sorted({name for names in named for name in names if is_closed(name)})
        self.generic_visit(node)
        return [*[self._refusal(node, name) for name in closed], node]

    def visit_Try(self, node: ast.Try) -> ast.AST:
        return self._try(node)

    def visit_TryStar(self, node: ast.TryStar) -> ast.AST:
        return self._try(node)

    def _try(self, node: ast.Try | ast.TryStar) -> ast.AST:
        node.body = self._block(node.body, None)
        for handler in node.handlers:
            if handler.type is not None:
                handler.type = self.visit(handler.type)
            handler.body = self._caught(handler.body)
        node.orelse = self._branch(node.orelse)
        if node.finalbody:
            node.finalbody = self._caught(node.finalbody)
        return node

    def visit_With(self, node: ast.With) -> ast.AST:
        return self._with(node)

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST:
        return self._with(node)

    def _with(self, node: ast.With | ast.AsyncWith) -> ast.AST:
        node.items = [self.visit(item) for item in node.items]
        body = self._block(node.body, None)
        last = node.body[-1]
        again: list[ast.stmt] = [at(last, ast.Expr(call_of(last, CAUGHT, constant(last, 1)))), at(last, ast.Raise())]
        node.body = [at(node.body[0], ast.Try(body, [at(last, ast.ExceptHandler(None, None, again))], [], []))]
        return node

    def _made(self, node: costs.Comprehension) -> ast.AST:
        clauses = node.generators
        weights = [self._scale.turn(node, number) for number in range(len(clauses))]
        places = [clause.ifs[0] if clause.ifs else clause.target for clause in clauses]
        for clause in clauses:
            self._loops_over(clause.iter)
        self.generic_visit(node)
        for clause, weight, place in zip(clauses, weights, places, strict=True):
            clause.ifs = [*self._pulls(place, weight), *clause.ifs]
        return node

    def visit(self, node: ast.AST) -> Any:
        """Return what takes the place of a node."""
        return self._made(node) if isinstance(node, COMPREHENSIONS) else super().visit(node)

    # --- guards ---

    def _refusal(self, node: ast.AST, name: str) -> ast.AST:
        return at(node, ast.Expr(call_of(node, REFUSE, constant(node, None), constant(node, name))))

    def visit_Global(self, node: ast.Global) -> list[ast.AST]:
        return [self._refusal(node, "global"), node] if self._functions else [node]

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id == "hash" and self._functions and self._functions[-1] == "__hash__":
            return at(node, ast.Name(HASH, node.ctx))
        if node.id in CLOSED_NAMES and isinstance(node.ctx, ast.Load):
            return call_of(node, REFUSE, constant(node, None), constant(node, node.id))
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        called = node in self._called
        node.value = self.visit(node.value)
        if is_closed(node.attr) or (node.attr in UNSET and not isinstance(node.ctx, ast.Load)):
            node.value = call_of(node, REFUSE, node.value, constant(node, node.attr))
        if node.attr in BLOATING and isinstance(node.ctx, ast.Load) and not called:
            return call_of(node, BOUND, node)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        function = node.func
        looped = node in self._looped
        name = ""
        if isinstance(function, ast.Attribute) and is_direct(node, function):
            self._called.add(function)
            self.generic_visit(node)
            assert isinstance(node.func, ast.Attribute)
            return call_of(node, f"<.{function.attr}>", node.func.value, *node.args)
        if isinstance(function, ast.Name):
            name = guard_of_call(function.id, node, looped)
        elif isinstance(function, ast.Attribute) and function.attr in METHODS:
            self._called.add(function)
            name = METHOD
        self.generic_visit(node)
        return call_of(node, name, node.func, *node.args, keywords=node.keywords) if name else node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        name = guard_of_operator(node.op, node.left, node.right)
        sure = sure_of(node) if name == TIMES else None
        self.generic_visit(node)
        if not name:
            return node
        guarded = call_of(node, name, node.left, node.right)
        if sure is None:
            return guarded
        return at(node, ast.IfExp(sure, node, guarded))

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        name = guard_of_operator(node.op, node.target, node.value)
        self.generic_visit(node)
        if name:
            left = again(node.target)
            kind = constant(node, type(node.op).__name__)
            node.value = call_of(node, GROWN, kind, left or constant(node, None), node.value)
        return node

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.AST:
        spec = node.format_spec
        wide = spec is not None and not is_narrow(spec)
        self.generic_visit(node)
        if wide and node.format_spec is not None:
            value = call_of(node, FORMAT, node.value, constant(node, node.conversion), node.format_spec)
            return at(node, ast.FormattedValue(value, -1, None))
        return node
