"""Envelopes: what a process may have beside gas. Given at a PUT, inherited by all below, never more than the parent's own.

A limit is broken where something is asked for that is over it: the write, the PUT, the call raises `LimitExceeded` there,
before any effect, on every machine at the same place. Who does not catch it traps, and is back at its snapshot.
"""

from __future__ import annotations

from typing import NamedTuple

from actors.errors import CallRefused


class Limits(NamedTuple):
    """The limits of a process and, each on its own, of every process below it. None: none beside those of `actors.limits`.

    Args:
        entries: the most entries of its heap, mounted regions included.
        heap_bytes: the most bytes of its heap: of all keys and values in their encodings, however much of it is shared.
        value_bytes: the most bytes of one value in its encoding.
        children: the most children at a time.
        depth: the most levels of processes below it; 0: no children.
        calls: the most system calls of one activation.
    """

    entries: int | None = None
    heap_bytes: int | None = None
    value_bytes: int | None = None
    children: int | None = None
    depth: int | None = None
    calls: int | None = None

    def within(self, outer: Limits | None) -> Limits:
        """Return the limits of a child that is given these by a process which has `outer` itself."""
        if outer is None:
            return self
        below = outer.below()
        return Limits(*[_least(one, other) for one, other in zip(self, below, strict=True)])

    def below(self) -> Limits:
        """Return what a child inherits: the same, one level deeper."""
        return self if self.depth is None else self._replace(depth=self.depth - 1)


def check_limits(limits: object) -> None:
    """Check what a PUT gives for limits. Raises CallRefused."""
    if type(limits) is not Limits:
        raise CallRefused(f"put: limits is of type {type(limits).__qualname__}; it is actors.Limits(entries=…, …)")
    for name, limit in zip(Limits._fields, limits, strict=True):
        if limit is not None and (type(limit) is not int or not 0 <= limit < 2**62):
            raise CallRefused(f"put: limits: {name} is {limit!r}; it is an int, at least 0, or None for no limit")


def _least(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
