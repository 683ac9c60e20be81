"""Inputs: from what a caller hands in to what stands in a heap."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

from actors.cells import from_cell
from actors.encoding import encode_plain
from actors.errors import InputError, LimitExceeded
from actors.freezing import brief, freeze
from actors.keys import Key, encode_key
from actors.memory import Formed, Slot, slot_at
from actors.region import View
from actors.tree import EMPTY
from actors.values import encode

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
        raise InputError(f"genesis is {brief(made)}; it is a mapping, or (key, value) pairs: {error}") from error
    return entries


def _own(view: View) -> View:
    """Return a view of the same entries whose nodes are in no store yet: the one at hand may be another store's."""
    tree = EMPTY.update((key, from_cell(cell)) for key, cell in view.machine_tree.entries())
    return View(tree, repr(view))


def block_input(inputs: object) -> tuple[bytes, Slot, list[tuple[bytes, Slot]]]:
    """Return a block's input: encoded whole, as a slot, and as entries behind the input region's key.

    A mapping becomes a region: `{"spans": …}` stands under `("block", "spans")`. Any other value stands under the key
    of the region itself.

    Raises:
        ValueRefused, KeyRefused, LimitExceeded: it cannot stand in a heap.
    """
    plain = _plain(inputs) if type(inputs) is dict else None
    if plain is not None:
        return plain
    frozen = freeze(inputs)
    try:
        form = encode(frozen)
    except LimitExceeded as error:
        raise LimitExceeded(f"the inputs of a block are one value: {error}, and these over several blocks") from None
    if not isinstance(frozen, Mapping):
        return form, Formed(form), [(b"", slot_at((), frozen))]
    return form, Formed(form), [(encode_key(key), slot_at(key, value)) for key, value in frozen.items()]


def _plain(inputs: dict[Any, Any]) -> tuple[bytes, Slot, list[tuple[bytes, Slot]]] | None:
    """Return the same for a few plain tuples, lists and small scalars by plain names, each encoded once; None for any other."""
    if len(inputs) > _PLAIN_MAX:
        return None
    parts, entries = [], []
    for key, value in inputs.items():
        if type(key) is not str or not key.isascii() or not 0 < len(key) <= _PLAIN_MAX:
            return None
        # Behind the two bytes of its head, a tuple of one is the encoding of that one.
        data = encode_plain((value,), lists=True)
        if data is None or len(data) > _PLAIN_BYTES_MAX:
            return None
        parts.append((encode(key), data[2:]))
        entries.append((encode_key(key), Formed(data[2:])))
    form = bytes((0x09, len(parts))) + b"".join([part for pair in sorted(parts) for part in pair])
    return form, Formed(form), entries


_PLAIN_MAX: Final = 64
_PLAIN_BYTES_MAX: Final = 1 << 16
