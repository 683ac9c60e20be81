"""The user's program: a file or a module, and the root program in it.

A program stands in every state as `module:class`, so what a file's module is called is part of the roots that it makes.
It is called what `python FILE` makes of it (runtime.programs): the file's stem, with the file's directory first on
`sys.path`, whatever directory the command is given in. A dotted name is imported as `python -m` imports it.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from actors.errors import InputError
from actors.process import Root, check_program
from runtime.cli.failing import ProgramTrouble

if TYPE_CHECKING:
    from types import ModuleType


def load_root(named: str) -> type[Root]:
    """Return the root program that `FILE:ROOT` names; the only one in FILE where there is no `:ROOT`.

    Raises:
        InputError: there is no such file, or no such root program in it; the message has those that there are.
        ProgramTrouble: the file cannot be imported.
        ProgramError: the class has no program to run.
    """
    file, name = _split(named)
    module = load(file)
    there = {
        one.__qualname__: one
        for one in vars(module).values()
        if isinstance(one, type)
        and issubclass(one, Root)
        and one.run is not Root.run
        and one.__module__ == module.__name__
    }
    if name is None:
        if len(there) == 1:
            return _checked(next(iter(there.values())))
        if not there:
            raise InputError(f"{file} has no root program; write a class that inherits from actors.Root in it")
        raise InputError(f"{file} has {len(there)} root programs; say which: {_choices(file, there)}")
    found: object = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is None:
        close = difflib.get_close_matches(name, there, n=1)
        hint = f"did you mean {file}:{close[0]}?" if close else _has(file, there)
        raise InputError(f"{file} has no class {name}; {hint}")
    if not isinstance(found, type) or not issubclass(found, Root):
        what = "inherits from Process alone" if isinstance(found, type) else f"is {type(found).__qualname__}, no class"
        if isinstance(found, type) and "Process" not in [base.__name__ for base in found.__mro__]:
            what = "is a class, but no program"
        raise InputError(f"{name} in {file} cannot be the root: it {what}; {_has(file, there)}")
    return _checked(found)


def _checked(root: type[Root]) -> type[Root]:
    check_program(root, root=True)
    return root


def _has(file: str, there: dict[str, type[Root]]) -> str:
    if not there:
        return "there is no class in it that inherits from actors.Root"
    return f"the root programs in it: {_choices(file, there)}"


def _choices(file: str, there: dict[str, type[Root]]) -> str:
    return ", ".join(f"{file}:{name}" for name in there)


def _split(named: str) -> tuple[str, str | None]:
    file, colon, name = named.rpartition(":")
    if not colon or "/" in name or "\\" in name:
        return named, None
    if not name:
        return file, None
    return file, name


def load(file: str) -> ModuleType:
    """Import a Python file by its path, or a module by its dotted name.

    Raises:
        InputError: there is none.
        ProgramTrouble: it raised, or ended the process, while it was imported.
    """
    path = Path(file)
    if path.suffix == ".py" or path.is_file() or os.sep in file or "/" in file:
        return _load_file(path)
    return _load_module(file)


def _load_file(path: Path) -> ModuleType:
    if path.is_dir():
        raise InputError(f"{path} is a directory; name the Python file in it")
    if not path.exists():
        raise InputError(f"there is no file {path}{_near(path)}")
    path = path.resolve()
    name = path.stem
    known = sys.modules.get(name)
    if known is not None:
        if _file_of(known) == path:
            return known
        raise InputError(
            f"{path} would be the module {name}, but another one is called that ({_file_of(known) or 'built in'}); "
            "rename the file"
        )
    _first_on_path(path.parent)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _trouble(str(path), error, _in_package(path, error)) from error
    return module


def _load_module(name: str) -> ModuleType:
    _first_on_path(Path.cwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise InputError(
                f"there is no module {name}{_near(Path(f'{name}.py'))}; "
                "name a file by its path (hello.py), or a module that can be imported from here (shop.orders)"
            ) from None
        raise _trouble(name, error) from error
    except (Exception, SystemExit) as error:
        raise _trouble(name, error) from error


def _trouble(what: str, error: BaseException, mend: str = "") -> ProgramTrouble:
    if isinstance(error, SystemExit):
        return ProgramTrouble(
            f"{what} cannot be imported: it ends with SystemExit({error.code!r}) while it is imported; "
            "put that under `if __name__ == '__main__':`"
        )
    return ProgramTrouble(f"{what} cannot be imported: {type(error).__name__}: {error}{mend}")


def _in_package(path: Path, error: BaseException) -> str:
    """Return how a file that imports from beside it, as a part of a package, is named: by the package."""
    if not isinstance(error, ImportError) or "relative import" not in str(error):
        return ""
    parts, top = [path.stem, path.parent.name], path.parent
    while (top / "__init__.py").is_file() and (top.parent / "__init__.py").is_file():
        top = top.parent
        parts.append(top.name)
    named = ".".join(reversed(parts))
    return f"; it belongs to the package {parts[-1]}; give it as {named}, in the directory {top.parent}"


def _first_on_path(directory: Path) -> None:
    place = str(directory)
    if sys.path[:1] != [place]:
        sys.path.insert(0, place)


def _file_of(module: ModuleType) -> Path | None:
    file = getattr(module, "__file__", None)
    return None if file is None else Path(file).resolve()


def _near(path: Path) -> str:
    """Return a remark with a file beside that has nearly this name."""
    names = sorted(one.name for one in path.parent.glob("*.py")) if path.parent.is_dir() else []
    close = difflib.get_close_matches(path.name, names, n=1)
    return f"; did you mean {path.parent / close[0]}?" if close else ""
