"""Sources: from a function to its own code with ticks in it.

The source of the file that a function comes from is parsed once, compiled twice, plain and instrumented, and the code
objects of both go by pairs. A function finds its own by its plain code: two code objects are equal only if all is the
same, places in the source included, so that a file which has changed since is noticed. (Code that a tool has rewritten
when it was imported, as pytest does with assertions, is found by its name and first line.)

A worker that has no such file gets the text from whoever sends the program: `sources_of`, `adopt_sources`. (Code that
has lost the name of its file on the way, as it does with some versions of cloudpickle, is looked for in all of these.)
"""

from __future__ import annotations

import ast
import dis
import linecache
import warnings
from types import CodeType
from typing import TYPE_CHECKING, Any, Final

from actors.errors import ProgramError
from runtime.metering.instrument import instrument
from runtime.metering.reach import codes_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import FunctionType

#: Texts that came from elsewhere, by file name.
_adopted: Final[dict[str, str]] = {}
#: What was made of a text, by file name.
_files: Final[dict[str, _File]] = {}
#: All code that has ticks in it.
_made: Final[set[CodeType]] = set()


class _File:
    """A file's code objects, plain and instrumented."""

    def __init__(self, name: str, text: str) -> None:
        self.text = text
        with warnings.catch_warnings():
            # What Python has to say of the file was said when it was imported.
            warnings.simplefilter("ignore")
            plain = compile(text, name, "exec", dont_inherit=True)
            made = compile(instrument(ast.parse(text, name)), name, "exec", dont_inherit=True)
        self.pairs: dict[CodeType, CodeType] = {}
        self._named: dict[tuple[str, int], list[tuple[CodeType, CodeType]]] = {}
        for one, other in _pairs(plain, made):
            self.pairs.setdefault(one, other)
            _made.add(other)
            self._named.setdefault((one.co_qualname, one.co_firstlineno), []).append((one, other))

    def find(self, code: CodeType) -> CodeType | None:
        """Return what code of this file becomes, where it is exactly what the text says, or has ticks in it already."""
        return code if code in _made else self.pairs.get(code)

    def find_rewritten(self, code: CodeType) -> CodeType | None:
        """Return what code becomes that a tool has rewritten, by its name and first line."""
        if not any(name.startswith(_TOOLS) for one in codes_of(code) for name in one.co_names):
            return None
        likely = [
            other
            for one, other in self._named.get((code.co_qualname, code.co_firstlineno), ())
            if _parameters(one) == _parameters(code) and set(one.co_names) <= set(code.co_names)
        ]
        return likely[0] if len(likely) == 1 else None


#: How names begin that no source can spell.
_TOOLS: Final = ("@", "<")


def _parameters(code: CodeType) -> tuple[Any, ...]:
    count = code.co_argcount + code.co_kwonlyargcount
    return (code.co_argcount, code.co_kwonlyargcount, code.co_varnames[:count], frozenset(code.co_freevars))


def _pairs(plain: CodeType, made: CodeType) -> Iterator[tuple[CodeType, CodeType]]:
    ones, others = _below(plain), _below(made)
    if [one.co_name for one in ones] != [one.co_name for one in others]:
        # The compiler dropped one in dead code: what is below has no pair, and is refused if it is called for.
        return
    for one, other in zip(ones, others, strict=True):
        yield one, other
        yield from _pairs(one, other)


def _below(code: CodeType) -> list[CodeType]:
    return [one for one in code.co_consts if isinstance(one, CodeType)]


def metered_code(function: FunctionType) -> CodeType:
    """Return a function's code with ticks in it.

    Raises:
        ProgramError: its source is not there, or is not what the function was made from.
    """
    code = function.__code__
    if code in _made:
        return code
    here = code.co_filename
    if here in _files:
        # As it was when it was first asked for.
        found = _files[here].find(code)
        if found is not None:
            return found
    text = _text(here, function.__globals__)
    if text is not None:
        file = _file(function, here, text)
        found = file.find(code) or file.find_rewritten(code)
        if found is not None:
            return found
    for name, sent in _adopted.items():
        found = _file(function, name, sent).find(code)
        if found is not None:
            return found
    if text is None:
        raise _unfound(function, f"there is no source at {here}; define it in a file")
    raise _unfound(function, f"{here} is not what it was made from; start again with the file as it is now")


def _file(function: FunctionType, name: str, text: str) -> _File:
    file = _files.get(name)
    if file is None or file.text != text:
        try:
            file = _files[name] = _File(name, text)
        except (SyntaxError, ValueError) as error:
            raise _unfound(function, f"{name} is no Python any more ({error})") from None
        except RecursionError:
            raise _unfound(function, f"{name} is nested too deep") from None
    return file


def _text(name: str, around: dict[str, Any]) -> str | None:
    """Return the text of a file as it was sent here, or else as it is."""
    if name in _adopted:
        return _adopted[name]
    return "".join(linecache.getlines(name, around)) or None


def _unfound(function: FunctionType, why: str) -> ProgramError:
    return ProgramError(
        f"{function.__module__}.{function.__qualname__} cannot be metered: {why}, or start the program without gas"
    )


def adopt_sources(texts: Mapping[str, str]) -> None:
    """Take over texts of files, by name, for functions that come from another process."""
    _adopted.update(texts)


def texts_of(names: set[str]) -> dict[str, str]:
    """Return the texts that code of some files was made from, for another process."""
    return {name: _files[name].text for name in sorted(names) if name in _files}


def is_metered(code: CodeType) -> bool:
    """Tell whether code has ticks in it."""
    return code in _made


def is_generated(function: FunctionType) -> bool:
    """Tell whether a function was written by the standard library for a class (a dataclass, a named tuple), without a loop."""
    code = function.__code__
    if code.co_filename != "<string>" and not code.co_filename.startswith("<generated"):
        return False
    return not any(one.opname in _LOOPING for one in dis.get_instructions(code)) and not _below(code)


_LOOPING: Final = frozenset(
    {
        "FOR_ITER",
        "JUMP_BACKWARD",
        "JUMP_BACKWARD_NO_INTERRUPT",
        "POP_JUMP_BACKWARD_IF_TRUE",
        "POP_JUMP_BACKWARD_IF_FALSE",
        "SEND",
    }
)
