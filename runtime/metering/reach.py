"""What code reaches by name: globals, imports, attributes."""

from __future__ import annotations

import dis
import functools
from types import CodeType, ModuleType
from typing import Any, Final

_NAMING: Final = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS", "LOAD_CLASSDEREF"})


def codes_of(code: CodeType) -> list[CodeType]:
    """Return code, and all code of functions in it."""
    found = [code]
    for one in code.co_consts:
        if isinstance(one, CodeType):
            found.extend(codes_of(one))
    return found


@functools.lru_cache(maxsize=4096)
def named(code: CodeType) -> tuple[list[str], list[tuple[str, int, tuple[str, ...]]]]:
    """Return the globals that code names, and what it imports: name, level, what of it."""
    names: dict[str, None] = {}
    imports = []
    for one in codes_of(code):
        before: list[Any] = []
        for instruction in dis.get_instructions(one):
            if instruction.opname in _NAMING:
                names[instruction.argval] = None
            elif instruction.opname == "IMPORT_NAME":
                level, wanted = before[-2], before[-1]
                imports.append((instruction.argval, level or 0, wanted or ()))
            if "CONST" in instruction.opname or "SMALL_INT" in instruction.opname:
                before = [*before[-1:], instruction.argval]
    return list(names), imports


def touch(module: ModuleType, code: CodeType) -> None:
    """Look up all that code may want of a module, so that nothing is left to be made while it runs."""
    for one in codes_of(code):
        for name in one.co_names:
            if not name.startswith("<"):
                getattr(module, name, None)
