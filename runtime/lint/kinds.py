"""What an expression is, where that is evident from the file: a set, a persistent map, a float, a function, …

All that is known of a name is what is bound to it: a name is a set where every binding of it makes one, or where it is
annotated as one. What is in doubt has no kind, and nothing is said of it: silence is better than a guess.

A heap gives back what was put into it as its persistent form, so that a dict or set that a program keeps under a
constant key comes back as a map or set whose order follows the hash seed. Of any other value of a heap this much is
evident: what is asked for its `items` is such a map. The heap itself is in the order of its keys.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from runtime.lint.annotations import Kind, annotated
from runtime.lint.scopes import DEFS

if TYPE_CHECKING:
    from runtime.lint.scopes import Binding, Names


#: What comes out of a heap, of a kind that is not known.
_KEPT: Final = Kind("kept")
#: These come in the order of their hashes. "shuffled" is a dict that was filled in such an order.
UNORDERED: Final = frozenset({"set", "pset", "pmap", "shuffled"})
SETS: Final = frozenset({"set", "pset"})

#: What is found of a name while its own bindings are looked at: `seen = seen | more` says nothing new of `seen`.
_CIRCLE: Final = Kind("circle")
_DEPTH_MAX: Final = 24
_MADE_BY: Final = {
    "builtins.set": "set",
    "builtins.frozenset": "set",
    "builtins.len": "int",
    "builtins.int": "int",
    "builtins.ord": "int",
    "builtins.float": "float",
    "builtins.str": "str",
    "builtins.repr": "str",
    "builtins.bytes": "bytes",
    "builtins.list": "list",
    "builtins.sorted": "list",
    "builtins.tuple": "tuple",
    "builtins.dict": "dict",
    "builtins.object": "object",
    "pyrsistent.pset": "pset",
    "pyrsistent.s": "pset",
    "pyrsistent.pmap": "pmap",
    "pyrsistent.m": "pmap",
    "pathlib.Path": "path",
    "collections.defaultdict": "dict",
    **{
        f"math.{name}": "float" for name in ("sqrt", "exp", "log", "log2", "log10", "sin", "cos", "tan", "pow", "atan2")
    },
}
_HEAPS: Final = frozenset({"actors.Heap", "actors.heap.Heap"})
_FREEZES: Final = frozenset({"actors.freeze", "actors.freezing.freeze", "pyrsistent.freeze"})
_FROZEN: Final = {"set": "pset", "dict": "pmap", "shuffled": "pmap", "pset": "pset", "pmap": "pmap"}
_SET_METHODS: Final = frozenset({"union", "intersection", "difference", "symmetric_difference", "copy"})
_PERSISTENT_METHODS: Final = frozenset(
    {"set", "update", "remove", "discard", "add", "evolver", "persistent", "union", "intersection", "difference"}
)
_VIEWS: Final = frozenset({"keys", "values", "items"})
_SET_OPERATORS: Final = (ast.BitOr, ast.BitAnd, ast.Sub, ast.BitXor)


class Kinds:
    """Kinds of expressions, each found once."""

    def __init__(self, names: Names, tree: ast.Module) -> None:
        self.names = names
        self._known: dict[ast.AST, Kind | None] = {}
        self._under_way: set[ast.AST] = set()
        #: What is assigned to attributes of self, by class and name: values, and annotations.
        self._attributes: dict[tuple[ast.ClassDef, str], list[ast.expr | None]] = {}
        #: What is put into heaps, by the class and the key as it is written.
        self._kept: dict[tuple[ast.ClassDef, str], list[ast.expr]] = {}
        for node in ast.walk(tree):
            self._note(node)

    def _note(self, node: ast.AST) -> None:
        if isinstance(node, ast.Assign):
            pairs = [(target, node.value) for target in node.targets]
        elif isinstance(node, ast.AnnAssign):
            pairs = [(node.target, node.annotation)]
        elif isinstance(node, (ast.For, ast.withitem)):
            target = node.target if isinstance(node, ast.For) else node.optional_vars
            pairs = [] if target is None else [(target, ast.Constant(None))]
        else:
            return
        for target, value in pairs:
            around = self.names.class_around(target)
            if around is None:
                continue
            if isinstance(target, (ast.Tuple, ast.List)):
                for one in target.elts:
                    if isinstance(one, ast.Attribute) and self.names.is_self(one.value):
                        self._attributes.setdefault((around, one.attr), []).append(None)
            elif isinstance(target, ast.Attribute) and self.names.is_self(target.value):
                self._attributes.setdefault((around, target.attr), []).append(value)
            elif isinstance(target, ast.Name) and self.names.scope_of[target].node is around:
                self._attributes.setdefault((around, target.id), []).append(value)
            elif isinstance(target, ast.Subscript) and self._is_heap(target.value):
                self._kept.setdefault((around, ast.dump(target.slice)), []).append(value)

    def of(self, node: ast.AST | None) -> Kind | None:
        """Return the kind of an expression; None where it is not evident."""
        if node is None:
            return None
        if node in self._known:
            return self._known[node]
        if node in self._under_way:
            return _CIRCLE
        if len(self._under_way) > _DEPTH_MAX:
            return None
        self._under_way.add(node)
        kind = self._found(node)
        self._under_way.discard(node)
        if kind != _CIRCLE:
            self._known[node] = kind
        return kind

    def is_unordered(self, node: ast.AST) -> bool:
        """Tell whether iterating this evidently follows hashes."""
        kind = self.of(node)
        return kind is not None and kind.name in UNORDERED

    def _found(self, node: ast.AST) -> Kind | None:
        match node:
            case ast.Constant(value=bool() | None):
                return None
            case ast.Constant(value=int() | float() | str() | bytes() as value):
                return Kind(type(value).__name__)
            case ast.JoinedStr():
                return Kind("str")
            case ast.Set(elts=elements):
                return Kind("set", self._one_of(list(elements)))
            case ast.SetComp(elt=element):
                return Kind("set", self._name(element))
            case ast.DictComp(value=value, generators=generators):
                shuffled = any(self.is_unordered(one.iter) for one in generators)
                return Kind("shuffled" if shuffled else "dict", self._name(value))
            case ast.Dict(values=values):
                return Kind("dict", self._one_of(list(values)))
            case ast.List() | ast.ListComp():
                return Kind("list")
            case ast.Tuple():
                return Kind("tuple")
            case ast.Lambda():
                return Kind("function")
            case ast.Name():
                return self._of_name(node)
            case ast.Attribute():
                return self._of_attribute(node)
            case ast.Subscript():
                return self._of_item(node)
            case ast.Call():
                return self._of_call(node)
            case ast.BinOp():
                return self._of_operation(node)
            case ast.Await(value=ast.Call() as call):
                return _KEPT if self._gives_a_value(call) else None
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() | ast.Invert()):
                return self.of(node.operand)
            case ast.NamedExpr():
                return self.of(node.value)
            case ast.IfExp():
                return self._agreed([self.of(node.body), self.of(node.orelse)])
            case ast.BoolOp(op=ast.Or(), values=[ast.Name() | ast.Attribute(), last]):
                # `given or set()`
                kind = self.of(last)
                return kind if kind is not None and kind.name in SETS else None
        return None

    def _name(self, node: ast.AST | None) -> str | None:
        kind = self.of(node)
        return None if kind is None else kind.name

    def _one_of(self, nodes: list[ast.expr]) -> str | None:
        found = {self._name(node) for node in nodes}
        return found.pop() if len(found) == 1 else None

    @staticmethod
    def _agreed(kinds: list[Kind | None]) -> Kind | None:
        kinds = [kind for kind in kinds if kind != _CIRCLE]
        first = kinds[0] if kinds else None
        if first is None or any(kind is None or kind.name != first.name for kind in kinds):
            return None
        same = all(kind is not None and kind.element == first.element for kind in kinds)
        return first if same else Kind(first.name)

    # --- names, attributes, items ---

    def _of_name(self, node: ast.Name) -> Kind | None:
        found = self.names.found(node)
        if found is None or self._narrowed(node):
            return None
        scope, bindings = found
        promised = [one.annotation for one in bindings if one.annotation is not None]
        if promised:
            return self._agreed([annotated(one, scope, self.names) for one in promised])
        begun = [one for one in bindings if not one.again]
        return self._agreed([self._of_binding(one) for one in begun])

    def _of_binding(self, binding: Binding) -> Kind | None:
        node = binding.node
        if isinstance(node, DEFS):
            return None if node.decorator_list else Kind("function")
        if binding.value is not None:
            return self.of(binding.value)
        if isinstance(node, (ast.For, ast.comprehension)):
            # `for members in groups.values()`
            match node.iter:
                case ast.Call(func=ast.Attribute(value=mapping, attr="values"), args=[]):
                    kind = self.of(mapping)
                    if isinstance(node.target, ast.Name) and kind is not None and kind.element:
                        return Kind(kind.element)
        return None

    def _narrowed(self, node: ast.Name) -> bool:
        """Tell whether the name stands behind an isinstance of itself, so that its annotation says too little."""
        at: ast.AST = node
        while (above := self.names.parent.get(at)) is not None:
            if isinstance(above, (ast.If, ast.IfExp)) and at is not above.test:
                for inner in ast.walk(above.test):
                    match inner:
                        case ast.Call(func=ast.Name(id="isinstance"), args=[ast.Name(id=name), _]) if name == node.id:
                            return True
            if isinstance(above, (*DEFS, ast.ClassDef)):
                return False
            at = above
        return False

    def _of_attribute(self, node: ast.Attribute) -> Kind | None:
        if not self.names.is_self(node.value):
            return None
        around = self.names.class_around(node)
        if around is None:
            return None
        assigned = self._attributes.get((around, node.attr))
        if assigned:
            return self._agreed([self._of_assigned(one) for one in assigned])
        methods = [one for one in around.body if isinstance(one, DEFS) and one.name == node.attr]
        return Kind("function") if len(methods) == 1 and not methods[0].decorator_list else None

    def _of_assigned(self, value: ast.expr | None) -> Kind | None:
        if value is not None and value in self.names.annotations:
            return annotated(value, self.names.scope_of[value], self.names)
        return self.of(value)

    def _is_heap(self, node: ast.AST) -> bool:
        if isinstance(node, ast.Name):
            found = self.names.found(node)
            annotations = [] if found is None else [one.annotation for one in found[1] if one.annotation is not None]
            return any(self.names.dotted(one) in _HEAPS for one in annotations)
        return isinstance(node, ast.Attribute) and node.attr == "heap" and self.names.is_self(node.value)

    def _of_kept(self, node: ast.AST, key: ast.AST) -> Kind | None:
        around = self.names.class_around(node)
        if around is None:
            return _KEPT
        if (around, "heap") in self._attributes:
            return None
        kind = self._agreed([self.of(value) for value in self._kept.get((around, ast.dump(key)), [])])
        return Kind(_FROZEN[kind.name], kind.element) if kind is not None and kind.name in _FROZEN else _KEPT

    def _gives_a_value(self, call: ast.Call) -> bool:
        """Tell whether this is a system call that gives a value out of a heap, rather than a region or changes."""
        if not isinstance(call.func, ast.Attribute) or not self.names.is_self(call.func.value):
            return False
        match call.func.attr, call.args:
            case "snapshot", _:
                return True
            case "get", [_, ast.Constant() | ast.Tuple()]:
                return True
        return False

    def _of_item(self, node: ast.Subscript) -> Kind | None:
        if self._is_heap(node.value):
            return self._of_kept(node, node.slice)
        kind = self.of(node.value)
        if kind is not None and kind.name in ("dict", "shuffled", "pmap") and kind.element in UNORDERED:
            return Kind(kind.element)
        return None

    # --- calls and operators ---

    def _of_call(self, node: ast.Call) -> Kind | None:
        dotted = self.names.dotted(node.func)
        if dotted in _FREEZES and node.args:
            kind = self.of(node.args[0])
            return None if kind is None or kind.name not in _FROZEN else Kind(_FROZEN[kind.name], kind.element)
        if dotted == "builtins.dict.fromkeys" and node.args:
            return Kind("shuffled" if self.is_unordered(node.args[0]) else "dict")
        if dotted == "collections.defaultdict":
            makes = self.names.dotted(node.args[0]) if node.args else None
            return Kind("dict", _MADE_BY.get(makes or ""))
        if dotted in _MADE_BY:
            return Kind(_MADE_BY[dotted], self._element_of(node.args[0]) if node.args else None)
        defined = self.names.definition(node.func)
        if isinstance(defined, ast.ClassDef):
            return Kind("instance", self.names.opened[defined].qualname)
        if isinstance(defined, DEFS) and defined.returns is not None and isinstance(defined, ast.FunctionDef):
            return annotated(defined.returns, self.names.scope_of[defined], self.names)
        if isinstance(node.func, ast.Attribute):
            return self._of_method(node, node.func)
        return None

    def _element_of(self, node: ast.expr) -> str | None:
        if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
            return self._one_of(node.elts)
        if isinstance(node, (ast.ListComp, ast.GeneratorExp, ast.SetComp)):
            return self._name(node.elt)
        kind = self.of(node)
        return None if kind is None else kind.element

    def _of_method(self, node: ast.Call, method: ast.Attribute) -> Kind | None:
        if self._is_heap(method.value) and method.attr in ("get", "pop", "setdefault") and node.args:
            return self._of_kept(node, node.args[0])
        kind = self.of(method.value)
        if kind is None:
            return None
        if kind.name in SETS and method.attr in _SET_METHODS:
            return kind
        if kind.name in ("pset", "pmap") and method.attr in _PERSISTENT_METHODS:
            return kind
        if kind.name in ("pmap", "shuffled", "kept") and method.attr in _VIEWS:
            return Kind("shuffled", kind.element if method.attr == "values" else None)
        if kind.name == "dict" and method.attr == "setdefault" and len(node.args) == 2:
            return self.of(node.args[1])
        return None

    def _of_operation(self, node: ast.BinOp) -> Kind | None:
        left, right = self.of(node.left), self.of(node.right)
        if isinstance(node.op, _SET_OPERATORS):
            for kind in (left, right):
                if kind is not None and kind.name in SETS:
                    return kind
            if _CIRCLE in (left, right):
                return _CIRCLE
            if not isinstance(node.op, ast.BitOr) and (_is_keys(node.left) or _is_keys(node.right)):
                return Kind("set")
        here = {kind.name for kind in (left, right) if kind is not None}
        if isinstance(node.op, ast.Div):
            return Kind("float") if here & {"int", "float"} and not here & {"str", "path"} else None
        if isinstance(node.op, (ast.Add, ast.Sub, ast.Mult)) and "float" in here:
            return Kind("float")
        if here == {"int"} and left is not None and right is not None:
            return Kind("int") if isinstance(node.op, (ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Mod)) else None
        if isinstance(node.op, ast.Add) and here == {"str"}:
            return Kind("str")
        return None


def _is_keys(node: ast.expr) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(attr="keys"), args=[]):
            return True
    return False
