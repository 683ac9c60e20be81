"""Reductions: how a key that several children changed is settled, so that their changes add up instead of being a conflict.

A program says it once, for a key or a region, and every `merge` and `join` into its heap goes by it:

    class Count(Root):
        reductions = {"visits": add, Region("best"): maximum, "names": union, "log": append}

A reduction is a function (base, ours, theirs): the value with which the child began, the one here, the child's; a side on
which the key is absent has ABSENT, and who returns ABSENT deletes it. It is asked only where both sides changed the key:
else what changed is taken. So for the result to be the same in whatever groups children are joined, it has to give
`theirs` where ours is base as it is, and to be associative; for any order of them, commutative too. `append` is not: what
it makes is in the order of the joins, which is that of the children. `actors.laws.check_reduction` tries this on examples.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyrsistent import PSet, PVector, pset

from actors.errors import CallRefused, KeyRefused, ProgramError
from actors.merge import add, check_resolve
from actors.values import ABSENT, encode, show

__all__ = ["add", "append", "check_reductions", "maximum", "minimum", "union"]


def check_reductions(reductions: object, program: str) -> None:
    """Check what a program's class says of reductions.

    Args:
        reductions: the class's attribute.
        program: its name, for the error.

    Raises:
        ProgramError: it is no mapping of keys and Regions to functions; KeyRefused, where one is no key.
    """
    named = f"{program}: reductions"
    if not isinstance(reductions, Mapping):
        kind = type(reductions).__qualname__
        raise ProgramError(
            f"{named} is a {kind}; it is a mapping of keys and Regions to functions (base, ours, theirs)"
        )
    try:
        check_resolve(reductions, named)
    except CallRefused as refused:
        raise ProgramError(str(refused)) from None
    except KeyRefused as refused:
        raise KeyRefused(f"{named}: {refused}") from None


def minimum(base: Any, ours: Any, theirs: Any) -> Any:
    """The least of what the children left; of an absent key, the other side's. Of NaN and a number, the number."""
    if ours is ABSENT or theirs is ABSENT:
        return theirs if ours is ABSENT else ours
    return theirs if _before(theirs, ours) else ours


def maximum(base: Any, ours: Any, theirs: Any) -> Any:
    """The greatest of what the children left; of an absent key, the other side's. Of NaN and a number, NaN."""
    if ours is ABSENT or theirs is ABSENT:
        return theirs if ours is ABSENT else ours
    return theirs if _before(ours, theirs) else ours


def _before(one: Any, other: Any) -> bool:
    """Tell whether one value comes before another: of two that are equal and not the same (0.0, -0.0), by their bytes."""
    if one != one or other != other:
        return bool(one == one)
    return encode(one) < encode(other) if one == other else bool(one < other)


def union(base: Any, ours: Any, theirs: Any) -> Any:
    """A set with all that any child put in, without what any child took out. An absent set is an empty one."""
    if ours is ABSENT and theirs is ABSENT:
        return ABSENT
    was, mine, other = (_set(side) for side in (base, ours, theirs))
    return (mine - (was - other)) | (other - was)


def append(base: Any, ours: Any, theirs: Any) -> Any:
    """A tuple, list, string or bytes with all that the children appended, in their order. An absent one is empty.

    Raises:
        CallRefused: a side does not begin with what was there before.
    """
    for side in (ours, theirs):
        if not _begins(side, base):
            raise CallRefused(f"append: {show(side)} does not begin with {show(base)}; a child may append, and no more")
    if ours is ABSENT or theirs is ABSENT:
        return theirs if ours is ABSENT else ours
    if type(ours) is not type(theirs):
        raise CallRefused(
            f"append: {show(ours)} and {show(theirs)} are of different types; children append to one type"
        )
    return ours + (theirs if base is ABSENT else theirs[len(base) :])


def _set(side: Any) -> PSet[Any]:
    if side is ABSENT:
        return pset()
    if not isinstance(side, PSet):
        raise CallRefused(f"union: {show(side)} is a {type(side).__name__}; it joins sets")
    return side


def _begins(side: Any, base: Any) -> bool:
    if base is ABSENT:
        return side is ABSENT or isinstance(side, (tuple, str, bytes, PVector))
    return type(side) is type(base) and side[: len(base)] == base
