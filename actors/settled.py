"""The state as a list of transactions has made it so far: what was changed, above a heap that is as it was.

A transaction that ran ahead of its turn is looked at here when its turn comes: whether what it observed is so, and what its
operations make of the values that there are now.
"""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, Any

from actors.keys import encode_key
from actors.memory import form_of
from actors.recording import number_of, slot_from
from actors.region import View
from actors.values import ABSENT, decode

if TYPE_CHECKING:
    from actors.heap import Heap
    from actors.keys import Key
    from actors.memory import Slot
    from actors.recording import Effect, Operations


class Settled:
    """The settled state.

    Args:
        heap: the caller's, which is not written to before the end.
        region: what the transactions are about.
        operations: those of the program.
    """

    def __init__(self, heap: Heap, region: Key, operations: Operations) -> None:
        self._heap = heap
        self._prefix = encode_key(region)
        self._operations = operations
        #: All that was changed, by key relative to the region.
        self._over: dict[bytes, Slot] = {}
        #: What children begin with, and how often it was made anew.
        self.base = heap.region(region)
        self.rebased = 0
        #: How many transactions have changed something since then; and the keys that were changed, the last ones last, with how
        #: many had before.
        self.changes = 0
        self.fresh: dict[bytes, int] = {}

    def now(self, form: bytes) -> Slot:
        """Return what is under an encoded key."""
        return self._over[form] if form in self._over else self._heap.machine_memory.read(self._prefix + form)

    def outcome(self, effect: Effect, mistaken: set[bytes]) -> dict[bytes, Slot] | None:
        """Return what a transaction does in its turn, by encoded key; None where it has to be run again.

        Args:
            effect: what it did where it ran.
            mistaken: about what those were mistaken with whom it ran.
        """
        if mistaken and not self._holds(effect, mistaken):
            return None
        slots = {form: slot_from(data) for form, data in effect.writes}  # type: ignore[arg-type]
        try:
            for form, added, data in effect.operations:
                before = slots[form] if form in slots else self.now(form)
                slots[form] = self._operations.done(form, added, before, decode(data))  # type: ignore[arg-type]
        except Exception:
            # It would have been refused, or gone another way, which will be seen when it is run on what is there.
            return None
        return slots

    def _holds(self, effect: Effect, mistaken: set[bytes]) -> bool:
        if effect.observes(mistaken):
            return False
        present = [(form, there) for form, there in effect.present if form in mistaken]
        bounds = [bound for bound in effect.bounds if bound[0] in mistaken]
        return all((self.now(form) is not ABSENT) == there for form, there in present) and all(
            self._within(*bound) for bound in bounds
        )

    def _within(self, form: bytes, low: int | None, high: int | None) -> bool:
        try:
            number = number_of(self.now(form))
        except TypeError:
            return False
        return (low is None or number >= low) and (high is None or number < high)

    def put(self, slots: dict[bytes, Slot]) -> None:
        """Let a transaction have done this."""
        self._over.update(slots)
        for form in slots:
            self.fresh.pop(form, None)
            self.fresh[form] = self.changes
        self.changes += 1

    def since(self, mark: int) -> list[bytes]:
        """Return the keys that were changed after so many changes, the last one first."""
        return [form for form, _ in takewhile(lambda change: change[1] >= mark, reversed(self.fresh.items()))]

    def rebase(self) -> None:
        """Put what was changed into what children begin with."""
        tree = self.base.machine_tree.update([(form, form_of(self._over[form])) for form in self.fresh])
        self.base = View(tree, repr(self.base))
        self.rebased += 1
        self.changes = 0
        self.fresh = {}

    def write(self) -> None:
        """Write all that was changed into the heap.

        Raises:
            LimitExceeded: it would have too many entries; it is as it was.
        """
        self._heap.write({self._prefix + form: slot for form, slot in self._over.items()})


def compared(one: Effect, other: Effect) -> tuple[set[bytes], set[bytes]]:
    """Return the keys that two outcomes of a transaction set alike, and those to which they did different things."""
    before, after = _done(one), _done(other)
    differing = {form for form in before.keys() | after.keys() if before.get(form) != after.get(form)}
    return (one.fixed & other.fixed) - differing, differing


def _done(effect: Effect) -> dict[bytes, list[Any]]:
    done: dict[bytes, list[Any]] = {form: [data] for form, data in effect.writes}
    for form, *operation in effect.operations:
        done.setdefault(form, []).append(tuple(operation))
    return done
