"""State outside the state: what one process remembers, and no block has: globals, classes, defaults, finalizers."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from runtime.guards import table
from runtime.lint.rules import CLASS_STATE, DEFAULT_KEPT, FINALIZER, GLOBAL_WRITTEN, LOOKED_UP, SWALLOWED
from runtime.lint.scopes import DEFS, FUNCTIONS

if TYPE_CHECKING:
    from runtime.lint.looking import Looking
    from runtime.lint.scopes import Scope

_MUTABLE_CALLS: Final = frozenset(
    {f"builtins.{name}" for name in ("list", "dict", "set", "bytearray")}
    | {f"collections.{name}" for name in ("defaultdict", "deque", "Counter", "OrderedDict", "ChainMap")}
)
_MUTABLE: Final = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
_MUTATES: Final = frozenset(
    {"append", "appendleft", "extend", "extendleft", "insert", "remove", "pop", "popleft", "popitem", "clear", "sort"}
    | {"reverse", "add", "discard", "update", "setdefault", "difference_update", "intersection_update"}
    | {"symmetric_difference_update", "rotate"}
)
#: What of the standard library is a global of the whole process.
_SHARED: Final = frozenset(
    {"sys.path", "sys.modules", "os.environ", "sys.meta_path", "sys.path_hooks", "sys.argv", "warnings.filters"}
    | {f"decimal.{name}Context{part}" for name in ("Default", "Basic", "Extended") for part in ("", ".traps", ".flags")}
)
#: Run while a class is made, the same in every process.
_MAKE_CLASSES: Final = frozenset({"__init_subclass__", "__set_name__", "__prepare__"})
#: What changes such. A context variable is a process's own, so `decimal.setcontext` is none of these.
_SETTERS: Final = frozenset(
    {"os.chdir", "os.putenv", "os.unsetenv", "os.umask", "locale.setlocale", "time.tzset", "numpy.set_printoptions"}
    | {*table.FUNCTIONS["interpreter"], *table.DIRECT["interpreter"]}
) - {"os._exit", "os.abort"}
_FILTERS: Final = frozenset(name for name in table.CHOSEN_DIRECT if name.startswith("warnings."))
_FINALIZERS: Final = frozenset(
    {"weakref.finalize", "gc.collect", "gc.get_objects", "gc.get_referrers", "atexit.register"}
)


def look(node: ast.AST, at: Looking) -> None:
    """Report what this node keeps where no block has it."""
    if isinstance(node, ast.ClassDef):
        _look_at_class(node, at, node in at.programs)
    elif isinstance(node, DEFS):
        if node.name == "__del__" and isinstance(at.names.scope_of[node].node, ast.ClassDef):
            at.report(FINALIZER, node)
        _look_at_defaults(node, at)
    elif isinstance(node, ast.ExceptHandler):
        if _catches_all(node.type, at) and not any(isinstance(inner, ast.Raise) for inner in ast.walk(node)):
            at.report(SWALLOWED, node)
    elif isinstance(node, ast.Call):
        dotted = at.names.dotted(node.func)
        if dotted in _FINALIZERS:
            at.report(FINALIZER, node)
        elif dotted == "builtins.globals" and _is_in_function(node, at):
            at.report(LOOKED_UP, node)
        elif dotted == "contextlib.suppress" and any(_catches_all(one, at) for one in node.args):
            at.report(SWALLOWED, node)
        elif _sets_for_all(dotted, node, at) and _is_in_function(node, at):
            at.report(GLOBAL_WRITTEN, node)
        elif isinstance(node.func, ast.Attribute) and node.func.attr in _MUTATES:
            _look_at_change(node, node.func.value, at)
    elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        if at.names.dotted(node.value) == "sys.modules" and _is_in_function(node, at):
            at.report(LOOKED_UP, node)
    elif isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Delete)):
        targets = node.targets if isinstance(node, (ast.Assign, ast.Delete)) else [node.target]
        for target in targets:
            _look_at_target(node, target, at)


def _sets_for_all(dotted: str | None, node: ast.AST, at: Looking) -> bool:
    """Tell whether this call changes what is set for the whole process, and not for a `with catch_warnings()` around it."""
    if dotted not in _FILTERS:
        return dotted in _SETTERS
    above: ast.AST | None = node
    while above is not None:
        if isinstance(above, ast.With):
            calls = [one.context_expr for one in above.items if isinstance(one.context_expr, ast.Call)]
            if any(at.names.dotted(one.func) == "warnings.catch_warnings" for one in calls):
                return False
        above = at.names.parent.get(above)
    return True


def _catches_all(caught: ast.expr | None, at: Looking) -> bool:
    if isinstance(caught, ast.Tuple):
        return any(_catches_all(one, at) for one in caught.elts)
    return caught is None or at.names.dotted(caught) == "builtins.BaseException"


def _is_in_function(node: ast.AST, at: Looking) -> bool:
    scope = at.names.scope_of[node].function
    return isinstance(scope.node, FUNCTIONS)


# --- globals and classes, written ----------------------------------------------------------------------------------


def _look_at_target(statement: ast.stmt, target: ast.expr, at: Looking) -> None:
    if isinstance(target, (ast.Tuple, ast.List)):
        for one in target.elts:
            _look_at_target(statement, one, at)
    elif isinstance(target, ast.Name):
        scope = at.names.scope_of[target]
        if target.id in scope.module_s and not (isinstance(statement, ast.AnnAssign) and statement.value is None):
            at.report(GLOBAL_WRITTEN, target)
    elif isinstance(target, (ast.Subscript, ast.Attribute)):
        _look_at_change(target, target.value, at)


def _look_at_change(node: ast.expr, owner: ast.expr, at: Looking) -> None:
    """Report a change of an object that is a global, a class, or a default."""
    if not _is_in_function(node, at) or _makes_classes(node, at):
        return
    if at.names.dotted(owner) in _SHARED:
        at.report(GLOBAL_WRITTEN, node)
        return
    if _is_own_class(owner, at) and isinstance(node, ast.Attribute):
        at.report(CLASS_STATE, node)
        return
    root = owner
    while isinstance(root, (ast.Attribute, ast.Subscript)):
        if isinstance(root, ast.Attribute) and _is_own_class(root.value, at):
            at.report(CLASS_STATE, node)
            return
        root = root.value
    if not isinstance(root, ast.Name) or (found := at.names.found(root)) is None:
        return
    scope, bindings = found
    if isinstance(scope.node, DEFS):
        if owner is root and len(bindings) == 1 and isinstance(bindings[0].node, ast.arg) and _is_kept(scope, at):
            default = _default_of(scope.node, root.id)
            if default is not None and _is_mutable(default, at):
                at.report(DEFAULT_KEPT, node)
        return
    if scope is not at.names.module:
        return
    if any(isinstance(one.node, ast.ClassDef) for one in bindings):
        # `Base.add(self, one)` calls a method of the class, and changes nothing of it.
        if not (isinstance(node, ast.Call) and owner is root):
            at.report(CLASS_STATE, node)
    elif all(one.dotted is not None for one in bindings):
        # What is imported may be anything; only to set an attribute of a module's own name says enough.
        if (
            isinstance(node, ast.Attribute)
            and owner is root
            and any(isinstance(one.node, ast.Import) for one in bindings)
        ):
            at.report(GLOBAL_WRITTEN, node)
    elif not isinstance(node, ast.Call) or any(_is_mutable(one.value, at) for one in bindings):
        at.report(GLOBAL_WRITTEN, node)


def _makes_classes(node: ast.AST, at: Looking) -> bool:
    return getattr(at.names.scope_of[node].function.node, "name", None) in _MAKE_CLASSES


def _is_own_class(node: ast.expr, at: Looking) -> bool:
    """Tell whether this is `type(self)`, `self.__class__`, or the `cls` of a class method."""
    match node:
        case ast.Call(args=[one]) if at.names.dotted(node.func) == "builtins.type":
            return at.names.is_self(one)
        case ast.Attribute(attr="__class__", value=one):
            return at.names.is_self(one)
        case ast.Name() if at.names.is_self(node):
            function = at.names.found(node)
            made = [] if function is None else getattr(function[0].node, "decorator_list", [])
            return any(at.names.dotted(one) == "builtins.classmethod" for one in made)
    return False


def _is_mutable(node: ast.expr | None, at: Looking) -> bool:
    return isinstance(node, _MUTABLE) or (isinstance(node, ast.Call) and at.names.dotted(node.func) in _MUTABLE_CALLS)


# --- classes and defaults, as they are defined ---------------------------------------------------------------------


#: What a program's class says in a mapping, which the machine reads and nobody changes.
_TABLES: Final = frozenset({"reductions"})


def _look_at_class(node: ast.ClassDef, at: Looking, is_program: bool) -> None:
    for one in node.body:
        if isinstance(one, ast.Assign) and len(one.targets) == 1:
            target, value = one.targets[0], one.value
        elif isinstance(one, ast.AnnAssign) and one.value is not None:
            target, value = one.target, one.value
        else:
            continue
        if not isinstance(target, ast.Name) or not _is_mutable(value, at):
            continue
        name = target.id
        if name.startswith("__") or (isinstance(one, ast.AnnAssign) and _is_final(one.annotation, at)):
            continue
        if _is_replaced(node, name, at):
            continue
        if _is_changed(node, name, at) or (is_program and not name.isupper() and name not in _TABLES):
            at.report(CLASS_STATE, target)


def _is_final(annotation: ast.expr, at: Looking) -> bool:
    named = annotation.value if isinstance(annotation, ast.Subscript) else annotation
    return at.names.dotted(named) in ("typing.Final", "typing_extensions.Final")


def _is_replaced(node: ast.ClassDef, name: str, at: Looking) -> bool:
    """Tell whether each instance gets one of its own."""
    return any(
        isinstance(inner, ast.Attribute)
        and inner.attr == name
        and isinstance(inner.ctx, ast.Store)
        and at.names.is_self(inner.value)
        and not isinstance(at.names.parent.get(inner), ast.AugAssign)
        for inner in ast.walk(node)
    )


def _is_changed(node: ast.ClassDef, name: str, at: Looking) -> bool:
    """Tell whether a method changes the class's attribute in place."""
    for inner in ast.walk(node):
        if not isinstance(inner, ast.Attribute) or inner.attr != name:
            continue
        if _makes_classes(inner, at):
            continue
        if not at.names.is_self(inner.value) and at.names.definition(inner.value) is not node:
            continue
        above = at.names.parent.get(inner)
        if isinstance(above, ast.Subscript) and isinstance(above.ctx, (ast.Store, ast.Del)) and above.value is inner:
            return True
        if isinstance(above, ast.Attribute) and above.attr in _MUTATES:
            called = at.names.parent.get(above)
            if isinstance(called, ast.Call) and called.func is above:
                return True
    return False


def _is_kept(scope: Scope, at: Looking) -> bool:
    """Tell whether a function is made once, and its defaults with it; not in each call of another one."""
    return scope.parent is not None and (scope.parent is at.names.module or isinstance(scope.parent.node, ast.ClassDef))


def _default_of(node: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> ast.expr | None:
    arguments = node.args
    places = arguments.posonlyargs + arguments.args
    given = dict(zip(reversed(places), reversed(arguments.defaults), strict=False))
    given.update({one: value for one, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if value})
    return next((value for one, value in given.items() if one.arg == name), None)


def _look_at_defaults(node: ast.FunctionDef | ast.AsyncFunctionDef, at: Looking) -> None:
    """Report a mutable default that is kept as it is: `self.seen = seen` makes it every instance's."""
    for inner in ast.walk(node):
        match inner:
            case ast.Assign(targets=[ast.Attribute(value=owner)], value=ast.Name(id=name)) if at.names.is_self(owner):
                default = _default_of(node, name)
                found = at.names.lookup(name, at.names.opened[node])
                if default is not None and _is_mutable(default, at) and found is not None and len(found[1]) == 1:
                    at.report(DEFAULT_KEPT, inner.value)
