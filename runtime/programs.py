"""Programs by name: what stands for a class in the state, how it is found again, and the digest of its code.

In the state a program is `module:qualified name`. The module that was run as the main script goes by its file's stem,
so that `python hello.py` and `lockstep run hello.py:Hello` make the same roots. A class inside a function has a name
too, but can be found again only while it is alive: after a restart it cannot, and the error says so.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from actors.errors import ProgramError
from actors.process import Process, Root, check_program, defined

if TYPE_CHECKING:
    from collections.abc import Iterable


class ProgramUnknown(ProgramError):
    """A program of the state is not to be found in this process.

    Args:
        told: what there is to say.
        program: its name in the state.
    """

    def __init__(self, told: str, program: str) -> None:
        super().__init__(told)
        self.program = program


#: In a worker, what the driver's main script goes by.
_main_elsewhere: list[str | None] = []


def work_for(main: str | None) -> None:
    """Let this process, a worker, call the driver's main script what the driver calls it."""
    _main_elsewhere[:] = [main]


def main_name() -> str | None:
    """Return what the module that was run as the main script goes by."""
    if _main_elsewhere:
        return _main_elsewhere[0]
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return str(spec.name).removesuffix(".__main__")
    file = getattr(main, "__file__", None)
    return None if file is None else _stem(file)


@lru_cache(maxsize=8)
def _stem(file: str) -> str:
    return Path(file).stem


def identity(program: type[Process]) -> str:
    """Return what stands for a program in the state."""
    module = program.__module__
    if module == "__main__":
        module = main_name() or module
    return f"{module}:{program.__qualname__}"


def find(name: str) -> type[Process]:
    """Return the program of a name that came from the state.

    Raises:
        ProgramError: there is none, or it cannot be run.
    """
    module, _, qualname = name.partition(":")
    known = defined.get((module, qualname))
    if known is None and module == main_name():
        module = "__main__"
        known = defined.get((module, qualname))
    if known is not None:
        return known
    mend = "let the module be importable, or go back to the code that made this state"
    if "<locals>" in qualname:
        told = f"the program {name} was defined inside a function and is gone; define it at module level"
        raise ProgramUnknown(told, name)
    try:
        found: object = importlib.import_module(module)
    except ImportError as error:
        told = f"the program {name} is in the state, but {module} cannot be imported ({error}); {mend}"
        raise ProgramUnknown(told, name) from error
    for part in qualname.split("."):
        found = getattr(found, part, None)
    if found is None:
        raise ProgramUnknown(f"the program {name} is in the state, but {module} has no {qualname}; {mend}", name)
    check_program(found, root=isinstance(found, type) and issubclass(found, Root))
    assert isinstance(found, type)
    return found


@lru_cache(maxsize=1024)
def code_digest(programs: frozenset[type[Process]]) -> bytes:
    """Return the digest of programs' code: of the source of every module that they and their bases are written in.

    It is the same on every machine and Python version, and tells whether a block was made by the code at hand.
    Where there is no source (an interactive session), the names alone count.
    """
    # An office runs the actors that it hosts itself: nothing but its class says so.
    hosted = [actor for program in programs for actor in getattr(program, "hosts", ())]
    ran = (*programs, *hosted)
    classes = {identity(base): base for program in ran for base in program.__mro__ if issubclass(base, Process)}
    parts = [
        name.encode() + b"\0" + sha256(_source(cls).encode()).digest()
        for name, cls in sorted(classes.items())
        if not cls.__module__.startswith("actors.")
    ]
    return sha256(b"".join(parts)).digest()


def lifted_by(programs: Iterable[type[Process]]) -> tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]:
    """Return what guards programs lifted: (name, guards, modules allowed beside the usual ones), by name."""
    return tuple(
        sorted(
            {
                (identity(program), tuple(sorted(program.lifted)), tuple(sorted(program.allowed_modules)))
                for program in programs
                if program.lifted or program.allowed_modules
            }
        )
    )


_sources: dict[str, str] = {}


def _source(cls: type) -> str:
    """Return the source of the module of a class as it was when it was first asked for, or else the class's name."""
    module = cls.__module__
    if module not in _sources:
        try:
            _sources[module] = inspect.getsource(sys.modules[module])
        except (OSError, TypeError, KeyError):
            return identity(cls)
    return _sources[module]
