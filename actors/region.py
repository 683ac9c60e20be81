r"""Regions: a key prefix, or a range of keys behind one, of some heap; what PUT and GET copy in one piece.

A `Region` is the name of a region, in no heap yet. A `View` is the content of one: a frozen, ordered, read-only map that
costs a reference. What is read from a view is what its heap held when the view was taken.

Everything here that takes a region takes it in the same three forms: a key, which is the prefix; a prefix with `low`,
`high` or both; a `Region`. And by the same rules:

    prefix      every key that begins with these elements, the key `prefix` itself included (it is `()` there)
    low, high   of those, the ones whose part behind the prefix is in low <= part < high, by key order
    order       element by element: bytes before str before int; a key before the longer ones that begin with it
    keys        come relative to the prefix, and as a program writes them: the element itself where there is one

Since a key stands right before the longer ones that begin with it, and `b""` is the least element, nothing lies between
`key` and `(key, b"")`. So the two bounds say the other two as well, and what other maps have names for follows:

    low=(key, b"")                  above `key`          high=(key, b"")                 up to and with `key`
    heap.first(p, low=key)          the ceiling          heap.last(p, high=(key, b""))   the floor
    heap.first(p, low=(key, b""))   the one behind it    heap.last(p, high=key)          the one before it
    heap.count(p, high=key)         its rank             islice(heap.items(p, low=(key, b"")), 10)   the next page

(Where `key` is a tuple, `(*key, b"")`. To leave out or take in what begins with `key` as well, name the next key of its
kind: `key + 1` of an int, `key + "\0"` of a str.)
"""

from __future__ import annotations

import dataclasses
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from actors.cells import Blob, from_cell
from actors.errors import KeyRefused, MissingKey
from actors.keys import Key, encode_key, read_key, show_key
from actors.memory import form_of
from actors.values import decode, decode_each

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from actors.memory import Slot
    from actors.tree import Tree

#: Stands for a default that was not given.
_RAISE: Final[Any] = object()
_BARE: Final[Mapping[bytes, Slot]] = {}


class EmptyRegion(MissingKey):
    """The first or the last item of a region was asked for, and it has none.

    Args:
        place: the path of the process whose heap it is, as printed.
        key: the region, as printed.
    """

    def __str__(self) -> str:
        return f"no key in {self.key} of {self.place}; pass default= where it may be empty"


@dataclasses.dataclass(frozen=True)
class Region:
    """The name of a region.

    Args:
        prefix: all keys that begin with these elements, the key `prefix` itself included; `()` is the whole heap.
        low: if given, only keys whose part behind the prefix is at least this.
        high: if given, only keys whose part behind the prefix is below this.

    Raises:
        KeyRefused: one of these is not a key, or `low` is above `high`.
    """

    prefix: Key = ()
    low: Key | None = None
    high: Key | None = None

    def __post_init__(self) -> None:
        low, high = self.bounds()
        encode_key(self.prefix)
        if low is not None and high is not None and low > high:
            raise KeyRefused(f"{self!r}: low is above high; a range is low <= key < high")

    def bounds(self) -> tuple[bytes | None, bytes | None]:
        """Return the encoded low and high."""
        return (
            None if self.low is None else encode_key(self.low),
            None if self.high is None else encode_key(self.high),
        )

    @staticmethod
    def of(region: Region | Key, low: Key | None = None, high: Key | None = None) -> Region:
        """Return `region` itself, or the region of a key prefix and bounds.

        Raises:
            KeyRefused: as the constructor, and where `region` is a whole `Region` and bounds come with it.
        """
        if not isinstance(region, Region):
            return Region(region, low, high)
        if low is not None or high is not None:
            raise KeyRefused(f"low={low!r}, high={high!r} come beside {region!r}; give the bounds to the Region")
        return region

    def __repr__(self) -> str:
        given = [repr(part) for part in (self.prefix,)]
        given += [f"{name}={bound!r}" for name, bound in (("low", self.low), ("high", self.high)) if bound is not None]
        return f"Region({', '.join(given)})"


#: What to delete for an empty heap.
WHOLE: Final = (Region(),)


class OrderedMap:
    """What heaps and views have in common: reading, by key or in key order. Nothing here depends on `hash()`."""

    __slots__ = ()

    def _tree(self) -> Tree:
        """Return the content as a tree."""
        raise NotImplementedError

    def _place(self) -> str:
        """Return what this is, for errors."""
        raise NotImplementedError

    def __getitem__(self, key: Key) -> Any:
        """Return the value of a key. Raises MissingKey."""
        data = self._tree().get(encode_key(key))
        if data is None:
            raise MissingKey(self._place(), show_key(key))
        return decode(data)

    def get(self, key: Key, default: Any = None) -> Any:
        """Return the value of a key, or `default` where there is none."""
        data = self._tree().get(encode_key(key))
        return default if data is None else decode(data)

    def __contains__(self, key: Key) -> bool:
        return self._tree().cell(encode_key(key)) is not None

    def __len__(self) -> int:
        """Return the number of entries. O(1), whatever the size."""
        return len(self._tree())

    def __bool__(self) -> bool:
        return len(self) > 0

    def __iter__(self) -> Iterator[Any]:
        """Yield the keys in key order, as they are now: what is written meanwhile does not show."""
        return self.keys()

    def __reversed__(self) -> Iterator[Any]:
        """Yield the keys against key order, as they are now."""
        return self.keys(reverse=True)

    def keys(
        self, region: Region | Key = (), low: Key | None = None, high: Key | None = None, *, reverse: bool = False
    ) -> Iterator[Any]:
        """Return an iterator over the keys of a region, relative to its prefix, in key order or against it."""
        return chain.from_iterable(
            (map(read_key, keys) for keys, _ in self._runs(Region.of(region, low, high), reverse))
        )

    def values(
        self, region: Region | Key = (), low: Key | None = None, high: Key | None = None, *, reverse: bool = False
    ) -> Iterator[Any]:
        """Return an iterator over the values of a region in key order or against it."""
        found = self._runs(Region.of(region, low, high), reverse)
        return chain.from_iterable(_values(cells) for _, cells in found)

    def items(
        self, region: Region | Key = (), low: Key | None = None, high: Key | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[Any, Any]]:
        """Return an iterator over (key relative to the region's prefix, value) in key order or against it.

        It shows the heap as it was at this call, whatever is written meanwhile; entries are read as they come, so that
        the first ten of a million cost ten. The same holds of `keys` and `values`.

        Args:
            region: the prefix, or the whole `Region`.
            low: if given, only keys whose part behind the prefix is at least this.
            high: if given, only keys whose part behind the prefix is below this.
            reverse: from the last to the first.

        Raises:
            KeyRefused, LimitExceeded: that names no region.
        """
        found = self._runs(Region.of(region, low, high), reverse)
        return chain.from_iterable(zip(map(read_key, keys), _values(cells), strict=True) for keys, cells in found)

    def first(
        self, region: Region | Key = (), low: Key | None = None, high: Key | None = None, *, default: Any = _RAISE
    ) -> Any:
        """Return the first item of a region: (key relative to the region's prefix, value). O(depth).

        Args:
            region: the prefix, or the whole `Region`.
            low: if given, only keys whose part behind the prefix is at least this.
            high: if given, only keys whose part behind the prefix is below this.
            default: what to return where the region is empty.

        Raises:
            EmptyRegion: it is empty, and no default was given. (It is a MissingKey, and so a KeyError.)
            KeyRefused, LimitExceeded: that names no region.
        """
        return self._end(Region.of(region, low, high), False, default)

    def last(
        self, region: Region | Key = (), low: Key | None = None, high: Key | None = None, *, default: Any = _RAISE
    ) -> Any:
        """Return the last item of a region; the rest is as for `first`."""
        return self._end(Region.of(region, low, high), True, default)

    def count(self, region: Region | Key = (), low: Key | None = None, high: Key | None = None) -> int:
        """Return how many entries a region has. O(depth), whatever its size: nothing is walked."""
        return len(self._cut(Region.of(region, low, high)))

    def region(self, prefix: Region | Key = (), low: Key | None = None, high: Key | None = None) -> View:
        """Return a region as a view, by reference. O(depth).

        Args:
            prefix: the prefix, or the whole `Region`.
            low: if given, only keys whose part behind the prefix is at least this.
            high: if given, only keys whose part behind the prefix is below this.
        """
        region = Region.of(prefix, low, high)
        return View(self._cut(region), f"{region!r} of {self._place()}")

    def digest(self) -> bytes:
        """Return the Merkle root of the entries: 32 bytes, the same for the same entries in whatever order they came."""
        return self._tree().digest()

    def _below(self, prefix: Key) -> Tree:
        tree = self._tree()
        form = encode_key(prefix)
        return tree.extract(form) if form else tree

    def _cut(self, region: Region) -> Tree:
        low, high = region.bounds()
        tree = self._below(region.prefix)
        return tree if low is None and high is None else tree.cut(low, high)

    def _runs(self, region: Region, reverse: bool) -> Iterator[tuple[list[bytes], list[bytes]]]:
        # A walk between bounds makes no nodes, as a cut does.
        return self._below(region.prefix).runs(*region.bounds(), reverse=reverse)

    def _end(self, region: Region, reverse: bool, default: Any) -> Any:
        for keys, cells in self._runs(region, reverse):
            return read_key(keys[0]), decode(from_cell(cells[0]))
        if default is _RAISE:
            raise EmptyRegion(self._place(), repr(region))
        return default


class MutableMap(OrderedMap):
    """What heaps have in common beside that: what is done by reading, setting and deleting one key."""

    __slots__ = ()

    def __setitem__(self, key: Key, value: Any) -> None:
        """Set a key."""
        raise NotImplementedError

    def __delitem__(self, key: Key) -> None:
        """Delete a key. Raises MissingKey."""
        raise NotImplementedError

    def setdefault(self, key: Key, default: Any = None) -> Any:
        """Return the value of a key, setting it to `default` first where there is none."""
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: Key, *default: Any) -> Any:
        """Delete a key and return its value, or `default` where there is none. Raises MissingKey without a default."""
        if default and key not in self:
            return default[0]
        value = self[key]
        del self[key]
        return value


def _values(cells: list[bytes]) -> Iterator[Any]:
    # One by one, as they are asked for: the long values of a node together may be more than there is room for.
    return map(decode, map(from_cell, cells)) if Blob in map(type, cells) else decode_each(cells)


class View(OrderedMap):
    """The content of a region: ordered, read-only, frozen. Put it into a heap or a child to mount it by reference."""

    __slots__ = ("_machine_held", "_machine_laid", "_named")

    def __init__(self, tree: Tree, place: str, laid: Mapping[bytes, Slot] = _BARE) -> None:
        self._machine_held = tree
        self._named = place
        #: What is to be folded into the tree when it is asked for; never written to.
        self._machine_laid = laid

    def _tree(self) -> Tree:
        return self.machine_tree

    def _place(self) -> str:
        return self._named

    @property
    def machine_tree(self) -> Tree:
        """The content as a tree, for the machine."""
        if self._machine_laid:
            self._machine_held = self._machine_held.update(
                [(key, form_of(slot)) for key, slot in self._machine_laid.items()]
            )
            self._machine_laid = _BARE
        return self._machine_held

    def machine_layers(self) -> tuple[Tree, Mapping[bytes, Slot]]:
        """Return the content as a tree and what is to be laid over it, for the machine."""
        return self._machine_held, self._machine_laid

    def __eq__(self, other: object) -> bool:
        return self.machine_tree == other.machine_tree if isinstance(other, View) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<View of {len(self)} entries: {self._named}>"
