"""The heap as a program sees it: its private, ordered, persistent map, and its only memory.

Reads and writes are those of an ordinary dict; what is written is frozen and checked at once, and an assignment of a
`View` mounts that region, by reference, in place of everything under the key. The machine behind it is
`actors.memory`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actors.errors import LimitExceeded, MissingKey, ProgramError
from actors.keys import Key, encode_key, path_text, show_key
from actors.memory import Formed, Memory, named_error, placed_error, slot_at, to_slot
from actors.merge import merge
from actors.region import MutableMap, Region, View
from actors.values import ABSENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from actors.changes import Changes
    from actors.keys import Path
    from actors.memory import Slot
    from actors.merge import Resolve
    from actors.tree import Tree


class Heap(MutableMap):
    """A process's heap."""

    __slots__ = ("_machine_memory", "_path")

    def __init__(self, memory: Memory, path: Path = ()) -> None:
        self._machine_memory = memory
        self._path = path

    @property
    def machine_memory(self) -> Memory:
        """The memory behind it, for the machine."""
        return self._machine_memory

    def _tree(self) -> Tree:
        return self._machine_memory.fold()

    def _place(self) -> str:
        return path_text(self._path)

    def __getitem__(self, key: Key) -> Any:
        """Return the value of a key. Raises MissingKey."""
        form = encode_key(key)
        memory = self._machine_memory
        slot = memory.writes[form] if form in memory.writes else memory.read(form)
        if type(slot) is Formed:
            return slot.value
        if slot is ABSENT:
            raise MissingKey(self._place(), show_key(key))
        return slot

    def get(self, key: Key, default: Any = None) -> Any:
        """Return the value of a key, or `default` where there is none."""
        slot = self._machine_memory.read(encode_key(key))
        if type(slot) is Formed:
            return slot.value
        return default if slot is ABSENT else slot

    def __contains__(self, key: Key) -> bool:
        return self._machine_memory.read(encode_key(key)) is not ABSENT

    def __setitem__(self, key: Key, value: Any) -> None:
        """Set a key, or mount a region by reference in place of everything under the key.

        Raises:
            ValueRefused, KeyRefused, LimitExceeded: the heap is as it was.
        """
        form = encode_key(key)
        if type(value) is View:
            self._mount(key, form, value)
            return
        try:
            slot = to_slot(value)
        except ProgramError as error:
            raise named_error(key, error) from None
        memory = self._machine_memory
        if len(memory.writes) < memory.room:
            memory.writes[form] = slot
        else:
            self._write({form: slot})

    def write(self, slots: dict[bytes, Slot]) -> None:
        """Write many slots by encoded key, for the machine.

        Raises:
            LimitExceeded: the heap is as it was.
        """
        self._write(slots)

    def _write(self, slots: dict[bytes, Slot]) -> None:
        try:
            self._machine_memory.write(slots)
        except LimitExceeded as error:
            raise placed_error(self._place(), error) from None

    def _mount(self, key: Key, form: bytes, view: View) -> None:
        try:
            self._machine_memory.mount(form, view.machine_tree)
        except LimitExceeded as error:
            raise placed_error(self._place(), named_error(key, error)) from None

    def __delitem__(self, key: Key) -> None:
        """Delete a key (that key alone: `clear` takes a region). Raises MissingKey."""
        form = encode_key(key)
        if self._machine_memory.read(form) is ABSENT:
            raise MissingKey(self._place(), show_key(key))
        self._machine_memory.delete(form)

    def clear(self, region: Region | Key = (), low: Key | None = None, high: Key | None = None) -> None:
        """Delete all keys of a region, or of the whole heap. O(depth), whatever its size."""
        named = Region.of(region, low, high)
        self._machine_memory.clear(encode_key(named.prefix), *named.bounds())

    def update(self, values: Mapping[Key, Any] | Iterable[tuple[Key, Any]] = (), /, **more: Any) -> None:
        """Set many keys; all are checked before the first is set.

        Raises:
            ValueRefused, KeyRefused, LimitExceeded: the heap is as it was.
        """
        pairs = values.items() if hasattr(values, "items") else values
        checked = [(key, encode_key(key), _slot_or_view(key, value)) for key, value in (*pairs, *more.items())]
        if not any(type(slot) is View for _, _, slot in checked):
            self._write({form: slot for _, form, slot in checked})
            return
        memory = self._machine_memory
        before = memory.copy()
        try:
            for key, form, slot in checked:
                if type(slot) is View:
                    self._mount(key, form, slot)
                else:
                    self._write({form: slot})
        except ProgramError:
            memory.become(before)
            raise

    def region(self, prefix: Region | Key = (), low: Key | None = None, high: Key | None = None) -> View:
        """Return a region as a view, by reference; the arguments are those of every map. O(depth)."""
        if prefix == () and low is None and high is None:
            return self._whole()
        return super().region(prefix, low, high)

    def _whole(self) -> View:
        tree, laid = self._machine_memory.layers()
        return View(tree, f"Region(()) of {self._place()}", laid)

    def merge(self, changes: Changes, resolve: Resolve | None = None) -> dict[bytes, Slot]:
        """Fold changes in by three-way merge, for `Process.merge`.

        Returns:
            What stands here now under keys that had to be settled, by encoded key.

        Raises:
            MergeConflict, LimitExceeded: the heap is as it was.
        """
        return merge(self._machine_memory, changes, resolve, self._place())

    def __repr__(self) -> str:
        return f"<Heap of {self._place()}, {len(self)} entries>"


def _slot_or_view(key: Key, value: Any) -> Slot | View:
    return value if type(value) is View else slot_at(key, value)
