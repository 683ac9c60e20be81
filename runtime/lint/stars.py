"""Star imports: which names `from shop import *` brings into a file, told from the source of shop, which is read and not run.

A module brings what its `__all__` lists, where that is written out in it; else each name without an underscore that is
bound at its top. What it has itself imported stands for what it stands for there: a shop that says `from actors import
Root` brings actors.Root. A name that a file binds itself is the file's own, and a star behind another hides what that brought.

A star hides names where its module is not found, is no Python, or makes its `__all__` as it is run. Of Python's own modules
those that are loaded anyway (`os`), or are written in C (`math`), are asked then.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from importlib.machinery import PathFinder, SourceFileLoader
from pathlib import Path
from typing import TYPE_CHECKING, Final

import actors
from actors.errors import InputError
from runtime.lint.scopes import Binding, Names
from runtime.lint.source import Source, read

if TYPE_CHECKING:
    from collections.abc import Mapping

#: How many star imports may stand one behind the other.
_DEPTH_MAX: Final = 16


def open_stars(names: Names, source: Source) -> list[ast.ImportFrom]:
    """Bind what the star imports of a file bring in.

    Args:
        names: the file's names; they have these as well from here on.
        source: the file.

    Returns:
        The star imports that hide what they bring.
    """
    return _open(names, Path(source.file), 0)


def _open(names: Names, file: Path, depth: int) -> list[ast.ImportFrom]:
    hidden: list[ast.ImportFrom] = []
    brought: dict[str, Binding] = {}
    for star in names.stars:
        found = _brought_by("." * star.level + (star.module or ""), file, depth)
        if found is None:
            hidden.append(star)
        else:
            brought.update({name: Binding(star, dotted=dotted) for name, dotted in found.items()})
    for name, binding in brought.items():
        names.module.bindings.setdefault(name, [binding])
    return hidden


def _brought_by(module: str, file: Path, depth: int) -> Mapping[str, str] | None:
    """Return what the star of a module brings: names, and what they stand for; None where that is hidden."""
    if module == actors.__name__:
        return {name: f"{module}.{name}" for name in actors.__all__}
    there = _file_of(module, file)
    read_there = None if there is None or depth >= _DEPTH_MAX else _read_in(there, module, depth)
    if read_there is None and module.partition(".")[0] in sys.stdlib_module_names:
        return _of_python_s(module)
    return read_there


def _read_in(there: Path, module: str, depth: int) -> Mapping[str, str] | None:
    try:
        source = read(there)
    except InputError:
        return None
    names = Names(source.tree)
    hidden = _open(names, there, depth + 1)
    bound = names.module.bindings
    if "__all__" in bound:
        listed = _listed(source.tree)
    else:
        listed = None if hidden else [name for name in bound if not name.startswith("_")]
    return None if listed is None else {name: _stands_for(name, module, names) for name in listed}


def _stands_for(name: str, module: str, names: Names) -> str:
    imported = [one.dotted for one in names.module.bindings.get(name, ()) if one.dotted is not None]
    # What it imports from beside itself is beside it alone.
    return imported[0] if imported and not imported[0].startswith(".") else f"{module}.{name}"


def _listed(tree: ast.Module) -> list[str] | None:
    """Return what `__all__` lists; None where it is not written out."""
    listed: list[str] | None = None
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Name) and node.id == "__all__"):
            continue
        value = next((_bound_to(one) for one in tree.body if _binds(one, node)), None)
        if not isinstance(value, (ast.List, ast.Tuple)):
            return None
        for item in value.elts:
            if not (isinstance(item, ast.Constant) and isinstance(item.value, str)):
                return None
            listed = [*(listed or ()), item.value]
    return listed


def _binds(statement: ast.stmt, name: ast.Name) -> bool:
    """Tell whether a statement binds a name and nothing else, or adds to what it is bound to."""
    match statement:
        case ast.Assign(targets=[target]) | ast.AnnAssign(target=target) | ast.AugAssign(target=target):
            return target is name
    return False


def _bound_to(statement: ast.stmt) -> ast.expr | None:
    return statement.value if isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign)) else None


def _of_python_s(module: str) -> dict[str, str] | None:
    """Return what the star of a module of Python's own brings: it is imported where that reads no source."""
    loaded = sys.modules.get(module)
    if loaded is None:
        spec = None if "." in module else importlib.util.find_spec(module)
        if spec is None or isinstance(spec.loader, SourceFileLoader):
            return None
        loaded = importlib.import_module(module)
    public = getattr(loaded, "__all__", None) or [name for name in vars(loaded) if not name.startswith("_")]
    return {name: f"{module}.{name}" for name in public}


def _file_of(module: str, file: Path) -> Path | None:
    """Return the source of a module as a file would import it: from beside it, from above its package, or as Python does."""
    parts = module.lstrip(".").split(".") if module.lstrip(".") else []
    level = len(module) - len(module.lstrip("."))
    if level:
        package = file.resolve().parents
        if level > len(package):
            return None
        places = [str(package[level - 1])]
        if not parts:
            return _source_in(Path(places[0]) / "__init__.py")
    else:
        top = file.resolve().parent
        places = [str(top)]
        while (top / "__init__.py").is_file():
            top = top.parent
        places += [str(top), *sys.path]
    for i, part in enumerate(parts):
        spec = PathFinder.find_spec(part, places)
        if spec is None:
            return None
        if i == len(parts) - 1:
            return _source_in(None if spec.origin is None else Path(spec.origin))
        places = list(spec.submodule_search_locations or ())
    return None


def _source_in(file: Path | None) -> Path | None:
    return file if file is not None and file.suffix == ".py" and file.is_file() else None
