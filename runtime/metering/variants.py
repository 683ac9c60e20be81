"""Variants: the metered form of a program, and back."""

from __future__ import annotations

from typing import Any, Final

from actors.process import Process
from runtime.metering.sources import texts_of
from runtime.metering.step import building
from runtime.metering.world import World, variants


class _Made:
    """What was made of a program; kept in the program's class, and left behind where that is pickled."""

    __slots__ = ("variant", "world")

    def __init__(self, variant: type[Process] | None = None, world: World | None = None) -> None:
        self.variant = variant
        self.world = world

    def __reduce__(self) -> tuple[Any, ...]:
        return _Made, ()


_NOTHING: Final = _Made()


def metered(program: type[Process]) -> type[Process]:
    """Return the metered variant of a program: the same class, its code with ticks in it.

    It has the same name and module, and is in no list of programs. The same one is returned each time.

    Raises:
        ProgramError: it cannot be metered; the message has the function, and why.
    """
    if program in variants or _meters_itself(program):
        return program
    made = _made(program)
    assert made.variant is not None
    return made.variant


def _made(program: type[Process]) -> _Made:
    made: _Made = vars(program).get("_metered", _NOTHING)
    if made.variant is None:
        with building():
            world = World(frozenset(program.allowed_modules))
            variant = world.whole(program)
            assert isinstance(variant, type) and issubclass(variant, Process)
            made = _Made(variant, world)
            type.__setattr__(program, "_metered", made)
    return made


def _meters_itself(program: type[Process]) -> bool:
    """Tell whether a program runs on code of ours that takes its gas itself; nobody else's word counts for that."""
    return program.meters_itself and program.run.__module__.partition(".")[0] == "actors"


def original(program: type[Process]) -> type[Process]:
    """Return the plain class of a variant; any other class as it is."""
    return program._original if program in variants else program


def sources_of(program: type[Process]) -> dict[str, str]:
    """Return the texts that the metered variant of a program was made from, by file name: for `adopt_sources` elsewhere.

    Raises:
        ProgramError: as `metered`.
    """
    made = _made(original(program))
    assert made.world is not None
    return texts_of(made.world.files)
