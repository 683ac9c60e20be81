"""Meters: how much a process may still do, in gas.

A metered program is its source with *ticks* in it (runtime.metering): each is one pull of `Meter.ticks`, an iterator that
gives True as often as there is gas and raises `Exhausted` for ever after. It is made of iterators in C, since it is
pulled in every loop. All other things that cost gas (system calls, reads and writes of the heap, bytes that are moved,
`Process.charge`) are counted in `owed` beside it: what is left is what can still be pulled, less what is owed.

A program cannot see what is left. So it does the same with more gas than it needs as with just enough, and whether the
meter turns out to be empty a little later than it was makes no difference: the process is back at its snapshot then, and
has used all of it.
"""

from __future__ import annotations

from itertools import chain, count, repeat
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The most gas of one meter.
GAS_MAX: Final = 2**62

_fillings = count(1)


class Exhausted(BaseException):
    """The meter is empty. No `except` keeps a process going: it is raised again at the next tick, and at every later one."""


class Meter:
    """The meter of a process, filled for one activation after the other.

    Args:
        gas: what it is filled with, 0 to GAS_MAX.
    """

    __slots__ = ("_end", "_rest", "filled", "filling", "owed", "ticks")

    def __init__(self, gas: int) -> None:
        self.fill(gas)

    def fill(self, gas: int) -> None:
        """Fill it anew: whatever was left is gone."""
        self.filled = gas
        #: Which filling this is: another number each time, whatever the meter.
        self.filling = next(_fillings)
        self._rest = repeat(True, gas)
        self._end = _End()
        #: Pulled once a tick.
        self.ticks: Iterator[bool] = chain(self._rest, self._end)
        #: What was used beside ticks.
        self.owed = 0

    @property
    def left(self) -> int:
        """What is left; 0 where it is exhausted."""
        return max(0, self._rest.__length_hint__() - self.owed)

    @property
    def used(self) -> int:
        """What was used: all of it, where it is exhausted."""
        return self.filled if self.exhausted else self.filled - self.left

    @property
    def exhausted(self) -> bool:
        """Whether more was asked of it than it was filled with."""
        return self._end.reached or self.owed > self._rest.__length_hint__()

    def charge(self, gas: int) -> None:
        """Take gas, at least 0, out of the meter.

        Raises:
            Exhausted: there is not that much.
        """
        self.owed += gas
        if self.exhausted:
            next(self._end)


class _End:
    """What comes when there is no more."""

    __slots__ = ("reached",)

    def __init__(self) -> None:
        self.reached = False

    def __iter__(self) -> _End:
        return self

    def __next__(self) -> NoReturn:
        self.reached = True
        raise Exhausted
