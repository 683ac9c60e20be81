"""Programs on their way to workers: each gets a number, and is pickled once.

A program of the main script travels by value, with the globals that its code names; any other by its module's name,
which the worker imports. Codecs that the main script registered travel with it. This is the one place where anything is
pickled, and only the worker unpickles it.
"""

from __future__ import annotations

import dis
import sys
from io import BytesIO
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

import cloudpickle
from cloudpickle.cloudpickle import _make_skeleton_class

from actors.codecs import adopt_codec, codecs_of
from actors.errors import ProgramError
from runtime.metering import adopt_sources, sources_of
from runtime.workers.frames import join

if TYPE_CHECKING:
    from actors.process import Process

_NUMBER_BYTES = 4


class Unsendable(Exception):
    """A program cannot be pickled; the message says why, and what to do."""


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Tells of a class that travels by value what it is called within its module: `Shop.Item`, not `Item`.

    A program is known by that name in the state, and cloudpickle makes a class again by its last part alone.
    """

    def reducer_override(self, obj: Any) -> Any:
        reduced = super().reducer_override(obj)
        if isinstance(obj, type) and type(reduced) is tuple and reduced[0] is _make_skeleton_class:
            _, _, _, body, *_ = reduced[1]
            body["__qualname__"] = obj.__qualname__
        return reduced


def _dumps(thing: Any) -> bytes:
    with BytesIO() as file:
        _Pickler(file).dump(thing)
        return file.getvalue()


class Programs:
    """The programs that workers were sent, or are to be."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[type[Process], bool], int] = {}
        self._frames: dict[int, bytes] = {}

    def number(self, program: type[Process], metered: bool = False) -> int:
        """Return a program's number. To be metered it travels with the source of all that it reaches.

        Raises:
            Unsendable: it cannot travel.
        """
        number = self._numbers.get((program, metered))
        if number is None:
            pickled = _pickled(program, metered)
            number = self._numbers[program, metered] = len(self._numbers)
            self._frames[number] = join((number.to_bytes(_NUMBER_BYTES, "big"), pickled))
        return number

    def frame(self, number: int) -> bytes:
        """Return what a worker is sent of a program."""
        return self._frames[number]


def _pickled(program: type[Process], metered: bool) -> bytes:
    try:
        sources = sources_of(program) if metered else {}
    except ProgramError:
        # It cannot be metered, which it is told where it is run.
        sources = {}
    try:
        return _dumps((program, codecs_of("__main__"), sources, _named_in_classes(program)))
    except Exception as error:
        raise Unsendable(
            f"the program {program.__qualname__} cannot travel to a worker: {_culprit(program)}"
            f"{type(error).__name__}: {error}; make what it needs in `run`, or import it from a module, "
            'or let it run on the loop: placement="loop"'
        ) from error


def _named_in_classes(program: type[Process]) -> dict[str, Any]:
    """Return what class bodies within a program's functions name of the globals, where it travels by value.

    cloudpickle sends along what functions name. The body of a class looks names up in another way, and is left out.
    """
    module = sys.modules.get(program.__module__)
    by_value = program.__module__ == "__main__" or program.__module__ in cloudpickle.list_registry_pickle_by_value()
    if module is None or not by_value:
        return {}
    around = vars(module)
    found: dict[str, Any] = {}
    waiting: list[Any] = [getattr(thing, "__func__", thing) for cls in program.__mro__ for thing in vars(cls).values()]
    seen: set[int] = set()
    while waiting:
        thing = waiting.pop()
        code = getattr(thing, "__code__", thing)
        if not isinstance(code, CodeType) or id(code) in seen or getattr(thing, "__globals__", around) is not around:
            continue
        seen.add(id(code))
        waiting += [one for one in code.co_consts if isinstance(one, CodeType)]
        waiting += [around[name] for name in code.co_names if isinstance(around.get(name), FunctionType)]
        named = {one.argval for one in dis.get_instructions(code) if one.opname == "LOAD_NAME"}
        found.update((name, around[name]) for name in sorted(named & around.keys()) if not name.startswith("__"))
    return found


def load(pickled: bytes) -> type[Process]:
    """Return the program of a frame, in a worker; codecs and sources that came with it are there from now on."""
    program: type[Process]
    program, entries, sources, named = cloudpickle.loads(pickled)
    adopt_sources(sources)
    for name, thing in named.items():
        program.run.__globals__.setdefault(name, thing)
    for entry in entries:
        adopt_codec(*entry)
    return program


def _culprit(program: type[Process]) -> str:
    """Return what it is about a program that cannot be pickled, by name, where that can be told."""
    for cls in program.__mro__:
        for name, thing in vars(cls).items():
            function = getattr(thing, "__func__", thing)
            code = getattr(function, "__code__", None)
            if code is None:
                if not name.startswith("__") and not _can(thing):
                    return f"its attribute {name} is of type {type(thing).__qualname__}; "
                continue
            named = getattr(function, "__globals__", {})
            for wanted in code.co_names:
                if wanted in named and not _can(named[wanted]):
                    return f"{name}() uses the global {wanted}, which is of type {type(named[wanted]).__qualname__}; "
            for free, cell in zip(code.co_freevars, function.__closure__ or (), strict=False):
                if free != "__class__" and not _can(cell.cell_contents):
                    return f"{name}() uses {free}, which is of type {type(cell.cell_contents).__qualname__}; "
    return ""


def _can(thing: Any) -> bool:
    try:
        _dumps(thing)
    except Exception:
        return False
    return True
