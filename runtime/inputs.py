"""Inputs: from what a caller hands in to what stands in a heap."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from actors.errors import InputError
from actors.keys import Key, encode_key
from actors.memory import Slot, slot_at
from actors.nodes import from_cell
from actors.region import View
from actors.tree import EMPTY
from actors.values import encode, freeze

#: A heap's entries, or a function that makes them when there is no store yet.
Genesis: TypeAlias = (
    Mapping[Any, Any] | Iterable[tuple[Key, Any]] | Callable[[], Mapping[Any, Any] | Iterable[tuple[Key, Any]]]
)


def genesis_entries(genesis: Genesis | None) -> list[tuple[bytes, Slot | View]]:
    """Return the entries of the root's first heap.

    Raises:
        InputError: it is neither a mapping nor an iterable of pairs.
        ValueRefused, KeyRefused: something in it cannot stand in a heap.
    """
    made = genesis() if callable(genesis) else genesis
    if made is None:
        return []
    pairs = made.items() if isinstance(made, Mapping) else made
    entries: list[tuple[bytes, Slot | View]] = []
    try:
        for key, value in pairs:
            entries.append((encode_key(key), _own(value) if type(value) is View else slot_at(key, value)))
    except (TypeError, ValueError) as error:
        if isinstance(error, (KeyError,)) or type(error) not in (TypeError, ValueError):
            raise
        raise InputError(
            f"genesis is a {type(made).__name__}; it is a mapping, or (key, value) pairs: {error}"
        ) from error
    return entries


def _own(view: View) -> View:
    """Return a view of the same entries whose nodes are in no store yet: the one at hand may be another store's."""
    tree = EMPTY.update((key, from_cell(cell)) for key, cell in view.tree.entries())
    return View(tree, repr(view))


def block_input(inputs: object) -> tuple[bytes, Any, list[tuple[bytes, Slot]]]:
    """Return a block's input: encoded whole, frozen, and as entries behind the input region's key.

    A mapping becomes a region: `{"spans": …}` stands under `("block", "spans")`. Any other value stands under the key
    of the region itself.

    Raises:
        ValueRefused, KeyRefused, LimitExceeded: it cannot stand in a heap.
    """
    frozen = freeze(inputs)
    form = encode(frozen)
    if not isinstance(frozen, Mapping):
        return form, frozen, [(b"", slot_at((), frozen))]
    return form, frozen, [(encode_key(key), slot_at(key, value)) for key, value in frozen.items()]
