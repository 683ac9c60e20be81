"""Differences between two states: process by process, key by key. O(what differs), and a process at a time in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from actors.cells import from_cell
from actors.goals import CHILD, CONTROL, HEAP
from actors.keys import Key, Path, decode_element, read_key
from actors.values import ABSENT, decode
from runtime.state import Control, behind, locate, part_text

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
    """Yield in what two states differ, process by process, parents first, in key order; lazily.

    Snapshots, journals and the like are left out: they follow from the rest.
    """
    # Those below one process are gone through before the next one beside it.
    levels: list[Iterator[tuple[Path, Tree, Tree]]] = [iter([((), old, new)])]
    while levels:
        found = next(levels[-1], None)
        if found is None:
            levels.pop()
            continue
        path, old, new = found
        a, b = old.cell(CONTROL), new.cell(CONTROL)
        kind = "added" if a is None else "removed" if b is None else "changed"
        control = {} if a == b else _control_difference(a, b)
        heaps = old.extract(HEAP).difference(new.extract(HEAP))
        keys = [KeyDifference(read_key(key), _value(one), _value(other)) for key, one, other in heaps]
        if control or keys:
            yield ProcessDifference(path, kind, control, keys)
        levels.append(_children(path, old.extract(CHILD), new.extract(CHILD)))


def _children(path: Path, old: Tree, new: Tree) -> Iterator[tuple[Path, Tree, Tree]]:
    """Yield (path, state here, state there) of the children of a process whose states differ."""
    while (found := next(old.difference(new), None)) is not None:
        name, end = decode_element(found[0], 0)
        assert not isinstance(name, bytes)
        prefix = found[0][:end]
        yield (*path, name), old.extract(prefix), new.extract(prefix)
        old, new = old.cut(behind(prefix), None), new.cut(behind(prefix), None)


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
