"""Programs on their way to workers: each gets a number, and is pickled once.

A program of the main script travels by value, with the globals that its code names; any other by its module's name,
which the worker imports. Codecs that the main script registered travel with it. This is the one place where anything is
pickled, and only the worker unpickles it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cloudpickle

from actors.errors import ProgramError
from actors.values import codecs_of
from runtime.metering import sources_of
from runtime.workers.frames import join

if TYPE_CHECKING:
    from actors.process import Process

_NUMBER_BYTES = 4


class Unsendable(Exception):
    """A program cannot be pickled; the message says why, and what to do."""


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
        pickled: bytes = cloudpickle.dumps((program, codecs_of("__main__"), sources))
    except Exception as error:
        raise Unsendable(
            f"the program {program.__qualname__} cannot travel to a worker: {_culprit(program)}"
            f"{type(error).__name__}: {error}; make what it needs in `run`, or import it from a module, "
            'or let it run on the loop: placement="loop"'
        ) from error
    return pickled


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
        cloudpickle.dumps(thing)
    except Exception:
        return False
    return True
