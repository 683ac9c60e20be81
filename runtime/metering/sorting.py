"""Sorting, with as many comparisons on every Python version.

How often `list.sort` compares has changed between versions (3.13 is one of them), which shows where a comparison is the
program's own code and ticks. So what sorts by other things than plain values is sorted here, by merging; plain values go
to Python's own sort. Both are stable, and neither uses anything but `<`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from runtime.metering.step import charge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_PLAIN: Final = frozenset({int, float, str, bytes, bool})
_PER_ITEMS: Final = 16


def ordered(items: list[Any], key: Callable[[Any], Any] | None, reverse: bool) -> list[Any]:
    """Return a sorted copy of a list, charged for."""
    count = len(items)
    if count >= _PER_ITEMS:
        charge(count // _PER_ITEMS * count.bit_length())
    keys = items if key is None else [key(item) for item in items]
    if _are_plain(keys):
        if key is None:
            return sorted(items, reverse=reverse)
        return [items[at] for at in sorted(range(count), key=keys.__getitem__, reverse=reverse)]
    places = list(range(count))
    if reverse:
        places.reverse()
    places = _merged(places, keys)
    if reverse:
        places.reverse()
    return [items[at] for at in places]


def _are_plain(keys: Iterable[Any]) -> bool:
    return all(type(key) in _PLAIN or (type(key) is tuple and _are_plain(key)) for key in keys)


def _merged(places: list[int], keys: list[Any]) -> list[int]:
    """Sort places by their keys: runs of one, of two, of four, …"""
    width = 1
    while width < len(places):
        made: list[int] = []
        for begin in range(0, len(places), 2 * width):
            made.extend(_merge(places[begin : begin + width], places[begin + width : begin + 2 * width], keys))
        places = made
        width *= 2
    return places


def _merge(left: list[int], right: list[int], keys: list[Any]) -> list[int]:
    made: list[int] = []
    i = j = 0
    while i < len(left) and j < len(right):
        if keys[right[j]] < keys[left[i]]:
            made.append(right[j])
            j += 1
        else:
            made.append(left[i])
            i += 1
    return [*made, *left[i:], *right[j:]]


def sort_all(items: Iterable[Any], /, *, key: Callable[[Any], Any] | None = None, reverse: bool = False) -> list[Any]:
    """What `sorted` does."""
    return ordered(list(items), key, reverse)


def sort_in_place(items: list[Any], /, *, key: Callable[[Any], Any] | None = None, reverse: bool = False) -> None:
    """What `list.sort` does."""
    items[:] = ordered(list(items), key, reverse)


def smallest(count: int, items: Iterable[Any], key: Callable[[Any], Any] | None = None) -> list[Any]:
    """What `heapq.nsmallest` does."""
    return ordered(list(items), key, False)[: max(0, count)]


def largest(count: int, items: Iterable[Any], key: Callable[[Any], Any] | None = None) -> list[Any]:
    """What `heapq.nlargest` does."""
    return ordered(list(items), key, True)[: max(0, count)]
