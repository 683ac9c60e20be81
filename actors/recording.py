"""The heap as a transaction sees it: what it observes of it is noted, and what it writes is kept apart until it is over.

How much can run side by side depends on how little is noted. So what a transaction asks is noted as closely as it asks it:

    heap[k], get, pop      the value of the key
    k in heap, del heap[k]  whether it is there
    at_least(k, n)         that its value is at least n, or less, before the transaction did anything
    keys, items, first, …  the part of the region that was gone through
    count, len, region     the whole region
    heap[k] = v            nothing
    add(k, n), reduce      nothing: they are noted as what is to be done to the value, whatever it will be, and are done
                           again to the value that there is in the transaction's turn. A key that is read after that is
                           read in full.

Three layers: the state on which the group of transactions began, mounted by reference; above it what the group's
transactions have left so far; above that what this one writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from actors.cells import from_cell
from actors.errors import CallRefused, MissingKey, ValueRefused
from actors.gas import MOUNT, READ_BYTES, STEP, read_cost, write_cost
from actors.keys import Key, encode_key, show_key
from actors.memory import Formed, form_of, slot_at, to_slot, value_of
from actors.region import MutableMap, Region, View
from actors.values import ABSENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from actors.memory import Memory, Slot
    from actors.merge import Resolver
    from actors.meter import Meter
    from actors.tree import Tree

#: Under which keys a group finds the state, what is above that and its news, its transactions, and leaves what they did.
STATE: Final = "state"
OVER: Final = "over"
GIVEN: Final = "given"
TOLD: Final = "told"

#: Above every key that begins with some elements: no element begins so.
_BEYOND: Final = b"\xff"
_UNSEEN: Final = object()
#: In an operation: that it is an addition, and not one of the program's reductions.
ADDED: Final = True


class Effect(NamedTuple):
    """What a transaction observed and did. Keys and values are encoded; a value may be the number of a long one."""

    #: The class name of what it raised; None where it was not refused.
    error: str | None
    result: bytes | int | None
    #: Keys whose values it observed.
    reads: tuple[bytes, ...]
    #: (key, whether it is there)
    present: tuple[tuple[bytes, bool], ...]
    #: (key, at least this, less than that): in what range a number was before the transaction; None: no bound.
    bounds: tuple[tuple[bytes, int | None, int | None], ...]
    #: (from, up to): what it went through.
    ranges: tuple[tuple[bytes, bytes], ...]
    #: (key, what it set, or None where it deleted it)
    writes: tuple[tuple[bytes, bytes | int | None], ...]
    #: (key, whether it is an addition, value) of what is to be done to values, in order.
    operations: tuple[tuple[bytes, bool, bytes | int | None], ...]
    #: Whether a value is the number of a long one.
    long: bool = False

    @property
    def fixed(self) -> set[bytes]:
        """The keys that it sets, whatever was there before."""
        return {form for form, _ in self.writes}

    @property
    def changed(self) -> set[bytes]:
        """The keys to which it does anything."""
        return self.fixed | {form for form, _, _ in self.operations}

    @property
    def touched(self) -> set[bytes]:
        """The keys for which it should be kept in order with others that touch them, and where what it went through begins."""
        return self.fixed.union(self.reads, [low for low, _ in self.ranges])

    @property
    def asked(self) -> set[bytes]:
        """The other keys of which it would like to know what is there."""
        return {
            *[form for form, _ in self.present],
            *[form for form, _, _ in self.bounds],
            *[form for form, _, _ in self.operations],
        }

    def left(self, form: bytes) -> bytes | None:
        """Return what it left under a key that it set, None where it deleted it."""
        data = dict(self.writes)[form]
        assert data is None or isinstance(data, bytes)
        return data

    def observes(self, keys: set[bytes]) -> bool:
        """Tell whether it read one of these keys, or went by it."""
        if not keys.isdisjoint(self.reads):
            return True
        return any(low <= form < high for low, high in self.ranges for form in keys)

    @property
    def weight(self) -> int:
        """About how many elements it has."""
        return (
            9
            + 3 * (len(self.present) + len(self.bounds) + len(self.ranges))
            + len(self.reads)
            + (3 * (len(self.writes) + len(self.operations)))
        )


def news(number: int) -> str:
    """Return under which key the pieces stand, from 0 on, of what was changed in the state since the child has it."""
    return f"news {number}"


class Refusal(NamedTuple):
    """The result of a transaction that raised an exception. What it had written is undone."""

    #: The exception's class name.
    error: str


class Operations:
    """The operations of a program: additions, and its reductions.

    Args:
        reductions: by key or Region, as a program's class has them.
    """

    def __init__(self, reductions: Mapping[Key | Region, Resolver]) -> None:
        self._of_key = {encode_key(key): found for key, found in reductions.items() if not isinstance(key, Region)}
        self._of_region = [
            (encode_key(region.prefix), region.bounds(), found)
            for region, found in reductions.items()
            if isinstance(region, Region)
        ]

    def reducer(self, form: bytes) -> Resolver | None:
        """Return the reduction for an encoded key: that of the key itself, else of the first region that has it."""
        found = self._of_key.get(form)
        if found is None:
            for prefix, (low, high), one in self._of_region:
                rest = form[len(prefix) :]
                if form.startswith(prefix) and (low is None or rest >= low) and (high is None or rest < high):
                    return one
        return found

    def done(self, form: bytes, added: bool, slot: Slot, value: Any) -> Slot:
        """Return what an operation makes of what is under a key.

        Raises:
            Exception: whatever the reduction raises; TypeError: what is to be added to is no int.
        """
        if added:
            return to_slot(number_of(slot) + value)
        reducer = self.reducer(form)
        assert reducer is not None
        made = reducer(ABSENT, value_of(slot), value)
        return ABSENT if made is ABSENT else to_slot(made)


def number_of(slot: Slot) -> int:
    """Return the number under a key, 0 where there is none. Raises TypeError where it is no int."""
    value = value_of(slot)
    if type(value) is int:
        return value
    if value is ABSENT:
        return 0
    raise TypeError(f"a {type(value).__name__} is no number to be added to or compared")


class TransactionHeap(MutableMap):
    """The heap that a transaction gets: keys are relative to the region that the transactions are about.

    Args:
        memory: that of the process in which the state is mounted.
        prefix: where, encoded.
        over: what is above that: what the group was told, and what its transactions left; written to.
        operations: those of the program.
        meter: what pays for it.
    """

    __slots__ = (
        "_machine_bounds",
        "_machine_fresh",
        "_machine_memory",
        "_machine_meter",
        "_machine_operations",
        "_machine_over",
        "_machine_prefix",
        "_machine_present",
        "_machine_ranges",
        "_machine_reads",
        "_machine_todo",
        "_machine_writes",
        "_tree_below",
    )

    def __init__(
        self, memory: Memory, prefix: bytes, over: dict[bytes, Slot], operations: Operations, meter: Meter | None
    ) -> None:
        self._machine_memory = memory
        self._machine_prefix = prefix
        self._machine_over = over
        self._machine_operations = operations
        self._machine_meter = meter
        #: The state with what is above it, but for what is in `_fresh`; None until a range is read.
        self._tree_below: Tree | None = None
        self._machine_fresh: dict[bytes, Slot] = dict(over)
        self.begin()

    def begin(self) -> None:
        """Forget the notes and what was written; a transaction begins."""
        self._machine_reads: set[bytes] = set()
        self._machine_present: dict[bytes, bool] = {}
        self._machine_bounds: dict[bytes, tuple[int | None, int | None]] = {}
        self._machine_ranges: list[list[bytes]] = []
        #: What it would leave.
        self._machine_writes: dict[bytes, Slot] = {}
        #: Of that, what comes of operations alone: (whether it is an addition, the operand).
        self._machine_todo: dict[bytes, list[tuple[bool, Slot]]] = {}

    def effect(self, error: str | None, result: Slot) -> Effect:
        """Return what the transaction did. Where it was not refused, the next one begins on what it left."""
        writes: list[tuple[bytes, bytes | None]] = []
        operations: list[tuple[bytes, bool, bytes | None]] = []
        if error is None:
            self._machine_over.update(self._machine_writes)
            self._machine_fresh.update(self._machine_writes)
            for form, slot in self._machine_writes.items():
                if form in self._machine_todo:
                    operations += [(form, added, form_of(operand)) for added, operand in self._machine_todo[form]]
                else:
                    writes.append((form, form_of(slot)))
        else:
            # They could be done, or it would have been refused with something else.
            self._machine_reads.update(self._machine_todo)
        return Effect(
            error,
            form_of(result),
            tuple(sorted(self._machine_reads)),
            tuple(sorted(self._machine_present.items())),
            tuple([(form, low, high) for form, (low, high) in sorted(self._machine_bounds.items())]),
            tuple([(low, high) for low, high in self._machine_ranges if low < high]),
            tuple(writes),
            tuple(operations),
        )

    # --- one key ---

    def _look(self, form: bytes) -> Slot:
        """Return what is under an encoded key; nothing is noted."""
        slot = self._machine_writes.get(form, _UNSEEN)
        if slot is _UNSEEN:
            slot = self._machine_over.get(form, _UNSEEN)
            if slot is _UNSEEN:
                slot = self._machine_memory.read(self._machine_prefix + form)
        if self._machine_meter is not None:
            self._machine_meter.charge(read_cost(slot))
        return slot

    def _read(self, form: bytes) -> Slot:
        if form not in self._machine_writes or form in self._machine_todo:
            self._machine_reads.add(form)
        return self._look(form)

    def _set(self, form: bytes, slot: Slot) -> None:
        if self._machine_meter is not None:
            self._machine_meter.charge(write_cost(form, slot))
        self._machine_writes[form] = slot
        if self._machine_todo.pop(form, None) is not None:
            # That something could be done to the value is not seen from what is left any more.
            self._machine_reads.add(form)

    def __getitem__(self, key: Key) -> Any:
        """Return the value of a key. Raises MissingKey."""
        slot = self._read(encode_key(key))
        if slot is ABSENT:
            raise MissingKey(self._place(), show_key(key))
        return value_of(slot)

    def get(self, key: Key, default: Any = None) -> Any:
        """Return the value of a key, or `default` where there is none."""
        slot = self._read(encode_key(key))
        return default if slot is ABSENT else value_of(slot)

    def __contains__(self, key: Key) -> bool:
        return self._has(encode_key(key))

    def _has(self, form: bytes) -> bool:
        if form in self._machine_todo:
            return self._read(form) is not ABSENT
        found = self._look(form) is not ABSENT
        if form not in self._machine_writes and form not in self._machine_reads:
            self._machine_present[form] = found
        return found

    def __setitem__(self, key: Key, value: Any) -> None:
        """Set a key.

        Raises:
            ValueRefused, KeyRefused, LimitExceeded: the heap is as it was.
        """
        form = encode_key(key)
        self._set(form, _slot(key, value))

    def __delitem__(self, key: Key) -> None:
        """Delete a key (that key alone: `clear` takes a region). Raises MissingKey."""
        form = encode_key(key)
        if not self._has(form):
            raise MissingKey(self._place(), show_key(key))
        self._set(form, ABSENT)

    def update(self, values: Mapping[Key, Any] | Iterable[tuple[Key, Any]] = (), /, **more: Any) -> None:
        """Set many keys; all are checked before the first is set. Raises as to set one."""
        pairs = values.items() if hasattr(values, "items") else values
        for form, slot in [(encode_key(key), _slot(key, value)) for key, value in (*pairs, *more.items())]:
            self._set(form, slot)

    def clear(self, region: Region | Key = (), low: Key | None = None, high: Key | None = None) -> None:
        """Delete all keys of a region, one by one: O(entries), and all of it is observed."""
        named = Region.of(region, low, high)
        prefix = encode_key(named.prefix)
        for keys, _ in list(self._runs(named, False)):
            self._set(prefix + keys[0], ABSENT)

    # --- what does not observe ---

    def add(self, key: Key, number: int) -> None:
        """Add to a number, without observing it: transactions that add to one key do not depend on each other.

        Args:
            key: where it is; an absent one is 0.
            number: an int, which may be negative.

        Raises:
            TypeError: what is there, or `number`, is no int.
            LimitExceeded: the sum is too large.
        """
        if type(number) is not int:
            raise TypeError(f"add: {number!r} is a {type(number).__name__}; it is an int")
        self._operate(key, ADDED, number)

    def reduce(self, key: Key, value: Any) -> None:
        """Fold a value into what is under a key by the program's reduction for it, without observing what that is.

        `maximum` keeps the larger, `union` puts members in, `append` appends: what is there becomes
        `reduction(ABSENT, what is there, value)`.

        Args:
            key: one for which the program's `reductions` has a function.
            value: a value.

        Raises:
            CallRefused: it has none.
            ValueRefused, LimitExceeded: the heap is as it was. So it is where the reduction raises anything.
        """
        if self._machine_operations.reducer(encode_key(key)) is None:
            raise CallRefused(f"reduce: {show_key(key)} has no reduction; name it in the program's reductions")
        self._operate(key, not ADDED, value)

    def _operate(self, key: Key, added: bool, value: Any) -> None:
        form = encode_key(key)
        operand = _slot(key, value)
        known = form in self._machine_writes and form not in self._machine_todo
        before = self._look(form)
        try:
            slot = self._machine_operations.done(form, added, before, value_of(operand))
        except Exception:
            # That it could not be done follows from what is there.
            self._read(form)
            raise
        if known:
            self._set(form, slot)
            return
        if self._machine_meter is not None:
            self._machine_meter.charge(write_cost(form, slot))
        self._machine_writes[form] = slot
        self._machine_todo.setdefault(form, []).append((added, operand))

    def at_least(self, key: Key, number: int) -> bool:
        """Tell whether a number is at least so much; nothing more of it is observed.

        Args:
            key: where it is; an absent one is 0.
            number: an int.

        Raises:
            TypeError: what is there, or `number`, is no int.
        """
        if type(number) is not int:
            raise TypeError(f"at_least: {number!r} is a {type(number).__name__}; it is an int")
        form = encode_key(key)
        todo = self._machine_todo.get(form, ())
        fixed = form in self._machine_reads or (form in self._machine_writes and not todo)
        if fixed or not all(added for added, _ in todo):
            return number_of(self._read(form)) >= number
        try:
            value = number_of(self._look(form))
        except TypeError:
            self._read(form)
            raise
        limit = number - sum([value_of(operand) for _, operand in todo])
        low, high = self._machine_bounds.get(form, (None, None))
        if value >= number:
            self._machine_bounds[form] = (limit if low is None else max(low, limit), high)
            return True
        self._machine_bounds[form] = (low, limit if high is None else min(high, limit))
        return False

    # --- regions ---

    def _tree(self) -> Tree:
        if self._tree_below is None:
            tree = self._machine_memory.fold()
            self._tree_below = tree.extract(self._machine_prefix) if self._machine_prefix else tree
        if self._machine_fresh:
            self._tree_below = self._tree_below.update(_forms(self._machine_fresh))
            self._machine_fresh = {}
        return self._tree_below.update(_forms(self._machine_writes)) if self._machine_writes else self._tree_below

    def _place(self) -> str:
        return "a transaction"

    def _runs(self, region: Region, reverse: bool) -> Iterator[tuple[list[bytes], list[bytes]]]:
        """Return what `OrderedMap` goes through, an entry at a time: what was gone through is what was observed."""
        found = super()._runs(region, reverse)
        if self._machine_meter is not None:
            self._machine_meter.charge(MOUNT)
        prefix = encode_key(region.prefix)
        low, high = self._limits(region)
        noted = [high, high] if reverse else [low, low]
        self._machine_ranges.append(noted)
        return self._noting(found, prefix, noted, (low, high), reverse)

    def _noting(
        self,
        found: Iterator[tuple[list[bytes], list[bytes]]],
        prefix: bytes,
        noted: list[bytes],
        whole: tuple[bytes, bytes],
        reverse: bool,
    ) -> Iterator[tuple[list[bytes], list[bytes]]]:
        for keys, cells in found:
            for key, cell in zip(keys, cells, strict=True):
                if reverse:
                    noted[0] = prefix + key
                else:
                    noted[1] = prefix + key + b"\0"
                if self._machine_meter is not None:
                    self._machine_meter.charge(STEP + (len(key) + len(from_cell(cell))) // READ_BYTES)
                yield [key], [cell]
        noted[:] = whole

    def _limits(self, region: Region) -> tuple[bytes, bytes]:
        prefix = encode_key(region.prefix)
        low, high = region.bounds()
        return prefix + (low or b""), prefix + (_BEYOND if high is None else high)

    def _observe(self, region: Region) -> None:
        if self._machine_meter is not None:
            self._machine_meter.charge(MOUNT)
        self._machine_ranges.append(list(self._limits(region)))

    def _cut(self, region: Region) -> Tree:
        self._observe(region)
        return super()._cut(region)

    def __len__(self) -> int:
        """Return the number of entries; all of them are observed."""
        self._observe(Region())
        return super().__len__()

    def digest(self) -> bytes:
        """Return the Merkle root of the entries; all of them are observed."""
        self._observe(Region())
        return super().digest()

    def __repr__(self) -> str:
        return "<the heap of a transaction>"


def _forms(slots: Mapping[bytes, Slot]) -> Iterable[tuple[bytes, bytes | None]]:
    return [(form, form_of(slot)) for form, slot in slots.items()]


def _slot(key: Key, value: Any) -> Slot:
    if type(value) is View:
        raise ValueRefused(
            f"under the key {show_key(key)}: a transaction sets values; mount regions before or after the transactions"
        )
    return slot_at(key, value)


def slot_from(data: bytes | None) -> Slot:
    """Return the slot of an encoded value; None is ABSENT."""
    return ABSENT if data is None else Formed(data)
