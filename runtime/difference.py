"""Differences between two states: process by process, key by key. O(what differs)."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from actors.keys import Key, Path, decode_key, plain
from actors.nodes import from_cell
from actors.values import ABSENT, decode
from runtime.state import CONTROL, HEAP, Control, locate, part_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actors.tree import Tree


class KeyDifference(NamedTuple):
    """One key of a heap that differs; ABSENT on the side where it is not."""

    key: Key
    old: Any
    new: Any


class ProcessDifference(NamedTuple):
    """In what one process differs."""

    path: Path
    #: "added" or "removed" where only one side has it, else "changed".
    kind: str
    #: The control values that differ: name → (old, new).
    control: dict[str, tuple[Any, Any]]
    keys: list[KeyDifference]


def difference(old: Tree, new: Tree) -> Iterator[ProcessDifference]:
    """Yield in what two states differ, process by process, parents first.

    Snapshots, journals and the like are left out: they follow from the rest.
    """
    located = ((*locate(key), a, b) for key, a, b in old.difference(new))
    # A parent's own parts stand on both sides of its children's in a state ("c" is between "b" and "h"), so the parts
    # of one process are brought together before they are told.
    found: dict[Path, list[Any]] = {}
    for path, group in groupby(located, key=lambda one: one[0]):
        found.setdefault(path, []).extend((part, key, a, b) for _, part, key, a, b in group if part in (CONTROL, HEAP))
    for path in sorted(found, key=_path_order):
        parts = found[path]
        control: dict[str, tuple[Any, Any]] = {}
        kind = "changed"
        keys = []
        for part, key, a, b in parts:
            if part == CONTROL:
                kind = "added" if a is None else "removed" if b is None else "changed"
                control = _control_difference(a, b)
            else:
                keys.append(KeyDifference(plain(decode_key(key)), _value(a), _value(b)))
        if control or keys:
            yield ProcessDifference(path, kind, control, keys)


def first_difference(expected: Tree, got: Tree) -> tuple[Path, str, str, str]:
    """Return where two states that differ do so first, and both values there, for people.

    A heap's key tells more than a control value or a snapshot, so one is preferred, of the deepest process above.
    """
    best: tuple[Path, bytes, bytes, bytes | None, bytes | None] | None = None
    for count, (whole, a, b) in enumerate(expected.difference(got)):
        path, part, key = locate(whole)
        if best is None or part == HEAP:
            best = (path, part, key, a, b)
        if part == HEAP or count > 10_000:
            break
    assert best is not None, "the states do not differ"
    path, part, key, a, b = best
    return path, part_text(part, key), _shown(part, a), _shown(part, b)


def _path_order(path: Path) -> list[tuple[bool, Any]]:
    return [(isinstance(name, int), name) for name in path]


def _value(cell: bytes | None) -> Any:
    return ABSENT if cell is None else decode(from_cell(cell))


def _shown(part: bytes, cell: bytes | None) -> str:
    if cell is None:
        return "nothing"
    value = decode(from_cell(cell))
    return repr(Control(*value)) if part == CONTROL else repr(value)


def _control_difference(a: bytes | None, b: bytes | None) -> dict[str, tuple[Any, Any]]:
    old = None if a is None else Control(*decode(from_cell(a)))
    new = None if b is None else Control(*decode(from_cell(b)))
    names = Control._fields
    return {
        name: (getattr(old, name, None), getattr(new, name, None))
        for name in names
        if getattr(old, name, None) != getattr(new, name, None)
    }
