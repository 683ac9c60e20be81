"""Names: which scope each piece of code is in, what is bound there, and what a name or a dotted name stands for.

Scopes are Python's own: a class's names are not seen from its methods, a comprehension has its own, `global` goes to
the module. A name that is imported stands for its dotted name, whatever it is called here: `from time import time as
now` makes `now` "time.time". A name that nobody binds is a builtin: "builtins.hash".

Everything here goes over the tree with a stack of its own, for a tree may be deeper than Python's.
"""

from __future__ import annotations

import ast
import builtins
from typing import Final, NamedTuple, TypeAlias

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Comprehension: TypeAlias = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp

FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
DEFS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)
COMPREHENSIONS: Final = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_BUILTINS: Final = frozenset(dir(builtins))


class Binding(NamedTuple):
    """One place where a name is bound."""

    #: The statement or expression that does it.
    node: ast.AST
    #: The expression that it is bound to, where that is the whole of it.
    value: ast.expr | None = None
    annotation: ast.expr | None = None
    #: What was imported.
    dotted: str | None = None
    #: Whether this changes what is bound, and does not begin it: `x |= y`.
    again: bool = False


class Scope:
    """A module, class, function or comprehension, and what is bound in it."""

    def __init__(self, node: ast.AST, parent: Scope | None) -> None:
        self.node = node
        self.parent = parent
        self.bindings: dict[str, list[Binding]] = {}
        #: Names that are the module's here, or an outer function's.
        self.module_s: set[str] = set()
        self.outer_s: set[str] = set()
        own = getattr(node, "name", "<lambda>" if isinstance(node, ast.Lambda) else "")
        before = "" if parent is None else parent.qualname
        if before and parent is not None and isinstance(parent.node, FUNCTIONS):
            before += ".<locals>"
        self.qualname: str = f"{before}.{own}" if before and own else before or own

    @property
    def function(self) -> Scope:
        """The scope itself, or the one around it that is no comprehension."""
        at = self
        while isinstance(at.node, COMPREHENSIONS) and at.parent is not None:
            at = at.parent
        return at


class Names:
    """Every node's scope and parent, and what names stand for."""

    def __init__(self, tree: ast.Module) -> None:
        self.module = Scope(tree, None)
        self.scope_of: dict[ast.AST, Scope] = {tree: self.module}
        self.parent: dict[ast.AST, ast.AST] = {}
        #: The scopes that nodes open.
        self.opened: dict[ast.AST, Scope] = {tree: self.module}
        #: All uses of names, by name.
        self.uses: dict[str, list[ast.Name]] = {}
        #: Nodes that stand in annotations: they are not evaluated for their effect.
        self.annotations: set[ast.AST] = set()
        #: `from shop import *`, in the order in which they stand: what they bind, runtime.lint.stars finds.
        self.stars: list[ast.ImportFrom] = []
        self._go_over(tree)

    def _go_over(self, tree: ast.Module) -> None:
        stack: list[tuple[ast.AST, Scope, bool]] = [(tree, self.module, False)]
        while stack:
            node, scope, annotation = stack.pop()
            self.scope_of[node] = scope
            if annotation:
                self.annotations.add(node)
            if isinstance(node, ast.Name):
                self.uses.setdefault(node.id, []).append(node)
            elif isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
                self.stars.append(node)
            _bind(node, scope)
            inner = scope
            if isinstance(node, (*FUNCTIONS, *COMPREHENSIONS, ast.ClassDef)):
                inner = self.opened[node] = Scope(node, scope)
                if isinstance(node, FUNCTIONS):
                    _bind_parameters(node, inner)
            children: list[tuple[ast.AST, Scope, bool]] = []
            for field, value in ast.iter_fields(node):
                inside = inner if _is_inside(node, field) else scope
                noted = annotation or field in ("annotation", "returns")
                for child in value if isinstance(value, list) else (value,):
                    if isinstance(child, ast.AST):
                        self.parent[child] = node
                        children.append((child, inside, noted))
            stack.extend(reversed(children))

    def lookup(self, name: str, scope: Scope) -> tuple[Scope, list[Binding]] | None:
        """Return where a name is bound as seen from a scope, and how; None for a builtin or an unknown name."""
        at: Scope | None = scope
        while at is not None:
            if name in at.module_s:
                at = self.module
            visible = at is scope or not isinstance(at.node, ast.ClassDef)
            if visible and name in at.bindings and name not in at.outer_s:
                return at, at.bindings[name]
            at = at.parent
        return None

    def found(self, node: ast.Name) -> tuple[Scope, list[Binding]] | None:
        """Return where the name that stands here is bound, and how."""
        return self.lookup(node.id, self.scope_of[node])

    def dotted(self, node: ast.AST) -> str | None:
        """Return what a name or attribute stands for, where an import or a builtin is behind it."""
        rest: list[str] = []
        while isinstance(node, ast.Attribute):
            rest.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return None
        found = self.found(node)
        if found is None:
            if node.id not in _BUILTINS:
                return None
            base = f"builtins.{node.id}"
        else:
            imported = [one.dotted for one in found[1] if one.dotted is not None]
            if not imported:
                return None
            base = imported[0]
        return ".".join([base, *reversed(rest)])

    def definition(self, node: ast.AST) -> ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | None:
        """Return the function or class of this file that a name stands for, where it is one and nothing else."""
        found = self.found(node) if isinstance(node, ast.Name) else None
        if found is None or len(found[1]) != 1:
            return None
        defined = found[1][0].node
        return defined if isinstance(defined, (*DEFS, ast.ClassDef)) else None

    def loads(self, name: str, scope: Scope) -> list[ast.Name]:
        """Return the places that read a name which is bound in a scope."""
        loads = [node for node in self.uses.get(name, ()) if isinstance(node.ctx, ast.Load)]
        return [node for node in loads if (found := self.found(node)) is not None and found[0] is scope]

    def class_around(self, node: ast.AST) -> ast.ClassDef | None:
        """Return the class whose method this stands in."""
        at: Scope | None = self.scope_of[node]
        while at is not None:
            if isinstance(at.node, ast.ClassDef):
                return at.node
            at = at.parent
        return None

    def is_self(self, node: ast.AST) -> bool:
        """Tell whether this is the first parameter of a method."""
        if not isinstance(node, ast.Name) or (found := self.found(node)) is None:
            return False
        scope = found[0]
        if not isinstance(scope.node, DEFS) or scope.parent is None or not isinstance(scope.parent.node, ast.ClassDef):
            return False
        if any(self.dotted(one) == "builtins.staticmethod" for one in scope.node.decorator_list):
            return False
        arguments = scope.node.args
        first = (arguments.posonlyargs + arguments.args)[:1]
        return bool(first) and first[0].arg == node.id and len(found[1]) == 1


def _is_inside(node: ast.AST, field: str) -> bool:
    """Tell whether a field of a node that opens a scope is evaluated in that scope."""
    if isinstance(node, FUNCTIONS):
        return field == "body"
    if isinstance(node, ast.ClassDef):
        return field == "body"
    return True


def _bind(node: ast.AST, scope: Scope) -> None:
    if isinstance(node, ast.Assign):
        for target in node.targets:
            _bind_target(target, Binding(node, node.value), scope)
    elif isinstance(node, ast.AnnAssign):
        _bind_target(node.target, Binding(node, node.value, node.annotation), scope)
    elif isinstance(node, ast.AugAssign):
        _bind_target(node.target, Binding(node, again=True), scope)
    elif isinstance(node, ast.NamedExpr):
        _bind_target(node.target, Binding(node, node.value), scope.function)
    elif isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)):
        _bind_target(node.target, Binding(node), scope)
    elif isinstance(node, ast.withitem) and node.optional_vars is not None:
        _bind_target(node.optional_vars, Binding(node), scope)
    elif isinstance(node, (*DEFS, ast.ClassDef, ast.ExceptHandler, ast.MatchAs, ast.MatchStar)):
        if node.name is not None:
            _add(node.name, Binding(node), scope)
    elif isinstance(node, ast.MatchMapping) and node.rest:
        _add(node.rest, Binding(node), scope)
    elif isinstance(node, ast.Import):
        for one in node.names:
            named = one.asname or one.name.partition(".")[0]
            _add(named, Binding(node, dotted=one.name if one.asname else named), scope)
    elif isinstance(node, ast.ImportFrom):
        origin = "." * node.level + (node.module or "")
        for one in node.names:
            if one.name != "*":
                _add(one.asname or one.name, Binding(node, dotted=f"{origin}.{one.name}"), scope)
    elif isinstance(node, ast.Global):
        scope.module_s.update(node.names)
    elif isinstance(node, ast.Nonlocal):
        scope.outer_s.update(node.names)


def _bind_target(target: ast.expr, binding: Binding, scope: Scope) -> None:
    if isinstance(target, ast.Name):
        _add(target.id, binding, scope)
        return
    for node in ast.walk(target):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            _add(node.id, Binding(binding.node), scope)


def _add(name: str, binding: Binding, scope: Scope) -> None:
    while name in scope.outer_s and scope.parent is not None:
        scope = scope.parent
    if name in scope.module_s:
        while scope.parent is not None:
            scope = scope.parent
    scope.bindings.setdefault(name, []).append(binding)


def _bind_parameters(node: Function, scope: Scope) -> None:
    arguments = node.args
    for one in arguments.posonlyargs + arguments.args + arguments.kwonlyargs:
        _add(one.arg, Binding(one, annotation=one.annotation), scope)
    for star in (arguments.vararg, arguments.kwarg):
        if star is not None:
            _add(star.arg, Binding(star), scope)
