"""Regions: a key prefix, or a range of keys behind one, of some heap; what PUT and GET copy in one piece.

A `Region` is the name of a region, in no heap yet. A `View` is the content of one: a frozen, ordered, read-only map that
costs a reference. What is read from a view is what its heap held when the view was taken.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from actors.errors import KeyRefused, MissingKey
from actors.keys import Key, decode_key, encode_key, plain, show_key
from actors.nodes import from_cell
from actors.values import decode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actors.tree import Tree


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
    def of(region: Region | Key) -> Region:
        """Return `region` itself, or the region of a key prefix."""
        return region if isinstance(region, Region) else Region(region)

    def __repr__(self) -> str:
        given = [repr(part) for part in (self.prefix,)]
        given += [f"{name}={bound!r}" for name, bound in (("low", self.low), ("high", self.high)) if bound is not None]
        return f"Region({', '.join(given)})"


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

    def keys(self, region: Region | Key = (), *, reverse: bool = False) -> Iterator[Any]:
        """Return an iterator over the keys of a region, relative to its prefix, in key order or against it."""
        return (plain(decode_key(key)) for key, _ in self._cut(region).entries(reverse=reverse))

    def values(self, region: Region | Key = (), *, reverse: bool = False) -> Iterator[Any]:
        """Return an iterator over the values of a region in key order or against it."""
        return (decode(from_cell(cell)) for _, cell in self._cut(region).entries(reverse=reverse))

    def items(self, region: Region | Key = (), *, reverse: bool = False) -> Iterator[tuple[Any, Any]]:
        """Return an iterator over (key relative to the region's prefix, value) in key order or against it.

        It shows the heap as it was at this call, whatever is written meanwhile; entries are read as they come.
        """
        entries = self._cut(region).entries(reverse=reverse)
        return ((plain(decode_key(key)), decode(from_cell(cell))) for key, cell in entries)

    def region(self, prefix: Region | Key = (), low: Key | None = None, high: Key | None = None) -> View:
        """Return a region as a view, by reference.

        Args:
            prefix: the prefix, or the whole `Region`.
            low: if given, only keys whose part behind the prefix is at least this.
            high: if given, only keys whose part behind the prefix is below this.
        """
        region = prefix if isinstance(prefix, Region) else Region(prefix, low, high)
        return View(self._cut(region), f"{region!r} of {self._place()}")

    def digest(self) -> bytes:
        """Return the Merkle root of the entries: 32 bytes, the same for the same entries in whatever order they came."""
        return self._tree().digest()

    def _cut(self, region: Region | Key) -> Tree:
        named = Region.of(region)
        tree = self._tree()
        prefix = encode_key(named.prefix)
        if prefix:
            tree = tree.extract(prefix)
        low, high = named.bounds()
        return tree if low is None and high is None else tree.cut(low, high)


class View(OrderedMap):
    """The content of a region: ordered, read-only, frozen. Put it into a heap or a child to mount it by reference."""

    __slots__ = ("_held", "_named")

    def __init__(self, tree: Tree, place: str) -> None:
        self._held = tree
        self._named = place

    def _tree(self) -> Tree:
        return self._held

    def _place(self) -> str:
        return self._named

    @property
    def tree(self) -> Tree:
        """The content as a tree, for the machine."""
        return self._held

    def __eq__(self, other: object) -> bool:
        return self._held == other._held if isinstance(other, View) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<View of {len(self)} entries: {self._named}>"
