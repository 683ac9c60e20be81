"""Changes: in what one state of a heap differs from another, key by key, in key order.

They are kept either as what the working set knows was written, whose old values are read when they are asked for, or as
two trees whose difference is walked when it is: so a region of a million entries, mounted by reference, is a change that
costs a reference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from actors.cells import from_cell
from actors.errors import MissingKey
from actors.keys import Key, encode_key, read_key, show_key
from actors.memory import Formed, Slot, form_of, same_slot, value_of
from actors.region import Region
from actors.tree import EMPTY, Tree
from actors.values import ABSENT, show

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from actors.memory import Memory, Written
    from actors.region import View


class Change(NamedTuple):
    """One key whose value differs; on a side where it is absent stands `ABSENT`."""

    key: Key
    old: Any
    new: Any


class Changes:
    """In what a heap differs from an earlier state of it. Frozen; iterates over `Change`s in key order."""

    __slots__ = ("_machine_after", "_machine_before", "_machine_known", "machine_written")

    def __init__(
        self,
        known: list[tuple[bytes, Slot, Slot]] | None = None,
        before: Tree = EMPTY,
        after: Tree = EMPTY,
        written: Written | None = None,
    ) -> None:
        #: What differs, by encoded key; None until it has been walked.
        self._machine_known = None if known is None else [entry for entry in known if not same_slot(entry[1], entry[2])]
        self._machine_before = before
        self._machine_after = after
        #: What the working set knows, where these changes were made of that.
        self.machine_written = written

    def machine_slots(self) -> list[tuple[bytes, Slot, Slot]]:
        """Return (encoded key, old slot, new slot) in key order, for the machine."""
        if self._machine_known is None:
            if self.machine_written is not None:
                self._machine_known = self.machine_written.slots()
            else:
                found = self._machine_before.difference(self._machine_after)
                self._machine_known = [(key, slot_of(old), slot_of(new)) for key, old, new in found]
        return self._machine_known

    def machine_trees(self) -> tuple[Tree, Tree]:
        """Return what differs as two trees of the changed keys alone: in one form, however these changes were found."""
        return (
            EMPTY.update((key, form_of(old)) for key, old, _ in self.machine_slots() if old is not ABSENT),
            EMPTY.update((key, form_of(new)) for key, _, new in self.machine_slots() if new is not ABSENT),
        )

    @property
    def machine_heaps(self) -> tuple[Tree, Tree]:
        """The two heaps, where these changes were made of two heaps; else two empty ones."""
        return self._machine_before, self._machine_after

    def within(self, region: Region | Key) -> Changes:
        """Return those whose keys lie in a region. The keys stay whole."""
        named = Region.of(region)
        prefix = encode_key(named.prefix)
        low, high = named.bounds()
        if self._machine_before is not EMPTY or self._machine_after is not EMPTY:
            before, after = [EMPTY.graft(prefix, heap.extract(prefix).cut(low, high)) for heap in self.machine_heaps]
            return Changes(None, before, after)
        size = len(prefix)
        return Changes(
            [
                entry
                for entry in self.machine_slots()
                if entry[0].startswith(prefix)
                and (low is None or entry[0][size:] >= low)
                and (high is None or entry[0][size:] < high)
            ]
        )

    def machine_rebased(self, keys: set[bytes], regions: Collection[bytes], base: View) -> Changes:
        """Return these changes as they are against another base, in a few places. O(what changed there), mostly.

        Args:
            keys: keys, encoded, whose old values are to be those of the base.
            regions: prefixes, encoded, of such keys.
            base: a whole heap.
        """
        before, after = self.machine_heaps
        tree, laid = base.machine_layers()

        def old(form: bytes) -> Slot:
            return laid[form] if form in laid else slot_of(tree.get(form))

        if before is not EMPTY or after is not EMPTY:
            changed = [form for form in keys if before.get(form) != after.get(form)]
            for prefix in regions:
                found = before.extract(prefix).difference(after.extract(prefix))
                changed += [prefix + form for form, _, _ in found]
            if not changed:
                return self
            return Changes(None, before.update([(form, form_of(old(form))) for form in changed]), after)
        written = self.machine_written
        if written is not None and keys.isdisjoint(written.writes) and not _any_in(written.writes, regions):
            return self
        slots = self.machine_slots()
        other = {form for form, _, _ in slots if form in keys or _any_in((form,), regions)}
        if not other:
            return self
        return Changes([(form, old(form) if form in other else was, now) for form, was, now in slots])

    def __iter__(self) -> Iterator[Change]:
        for key, old, new in self.machine_slots():
            yield Change(read_key(key), value_of(old), value_of(new))

    def __len__(self) -> int:
        return len(self.machine_slots())

    def __bool__(self) -> bool:
        return bool(self.machine_slots())

    def __contains__(self, key: Key) -> bool:
        form = encode_key(key)
        return any(entry[0] == form for entry in self.machine_slots())

    def __getitem__(self, key: Key) -> Any:
        """Return the new value of a changed key, ABSENT if it was deleted. Raises MissingKey if it did not change."""
        form = encode_key(key)
        for entry in self.machine_slots():
            if entry[0] == form:
                return value_of(entry[2])
        raise MissingKey("these changes", show_key(key))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Changes):
            return NotImplemented
        mine, theirs = self.machine_slots(), other.machine_slots()
        return len(mine) == len(theirs) and all(
            a[0] == b[0] and same_slot(a[1], b[1]) and same_slot(a[2], b[2]) for a, b in zip(mine, theirs, strict=True)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = [
            f"{show_key(change.key)}: {show(change.old)} → {show(change.new)}"
            for _, change in zip(range(8), self, strict=False)
        ]
        return f"<Changes {', '.join(shown)}{', …' if len(self) > 8 else ''}>"


def _any_in(forms: Collection[bytes], regions: Collection[bytes]) -> bool:
    return any(form.startswith(prefix) for prefix in regions for form in forms)


def slot_of(cell: bytes | None) -> Slot:
    """Return the slot of a cell; None, where there is none, is ABSENT."""
    return ABSENT if cell is None else Formed(from_cell(cell))


def changes_of(memory: Memory) -> Changes:
    """Return in what a memory differs from its snapshot. O(changes)."""
    written = memory.changed()
    if written is not None:
        return Changes(None, written=written)
    return Changes(None, memory.snapshot(), memory.fold())
