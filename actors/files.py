"""Files: how an office keeps in its heap what it knows between two calls of `deliver`.

    "office", "actors", name          (class, what its heap begins with, where it is not made yet, whether it waits)
    "office", "mail", name, n         a message that waits to be delivered: (message, sender, kind), for an office also to
    "office", "mail", name            that office has more to deliver, whether it has mail or not
    "office", "asked", name           what the actor was given that waits for an answer: message, sender, kind, …
    "office", "asked", name, n        … of a hosted one, the n-th answer since; under "office", "begun", name its first heap
    "office", "answer", name          … the answer that it has got and not seen yet
    "office", "heaps", name, …        the heap of a hosted actor
    "office", "owed", name            an actor of that name was stopped while it waited for an answer, which may still come
    "office", "late", *address        how many answers of that actor the office does not wait for any more
    "office", "own", n                mail for the office itself: (message, sender)
    "office", "dead", n               a dead letter: (to, message, sender, why); "office", "dead" is how many there were

Who has no mail in an activation is neither read nor written in it.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from actors.desks import Desk
from actors.errors import LimitExceeded
from actors.gas import write_cost
from actors.keys import encode_key
from actors.letters import put_letter
from actors.limits import DEAD_LETTERS_MAX
from actors.mail import DONE, MORE, Actor
from actors.region import View
from actors.terms import IN
from actors.values import ABSENT

if TYPE_CHECKING:
    from actors.keys import Name
    from actors.mail import Address
    from actors.mailroom import Mailroom

ROOM: Final = "office"
#: A heap that was written to in at most so many places is filed key by key.
_FEW: Final = 64


class Files:
    """The files of a mailroom.

    Args:
        room: the mailroom.
    """

    def __init__(self, room: Mailroom) -> None:
        self.room = room
        self.heap = room.office.heap
        #: Whether this office is an actor of another one.
        self.below = len(room.path) > 0 and IN in self.heap
        #: The keys of all mail that is in the files.
        self._mail: dict[tuple[Any, ...], Any] = {}
        self._own = 0
        #: Whether the letter says that there is more to deliver.
        self._more = False
        #: The names that nobody is given while an answer is owed to whoever had it.
        self._owed: set[Name] = set()

    def open(self) -> None:
        """Take out what waits to be delivered."""
        room, heap = self.room, self.heap
        for key, item in heap.items((ROOM, "mail")):
            name, *number = key if type(key) is tuple else (key,)
            self._mail[ROOM, "mail", name, *number] = item
            desk = room.find((*room.path, name))
            assert desk is not None
            if number:
                desk.mail.append(item)
            else:
                desk.more = True
            if desk.asked is None:
                room.queue(desk)
        for name in heap.keys((ROOM, "answer")):
            desk = room.find((*room.path, name))
            assert desk is not None
            room.queue(desk)
        self._owed = {*heap.keys((ROOM, "owed"))}
        room.own = [*heap.values((ROOM, "own"))]
        self._own = len(room.own)

    # --- one actor ---

    def read(self, address: Address) -> Desk | None:
        """Return the desk of an actor that is in the files, or None."""
        name, heap = address[-1], self.heap
        record = heap.get((ROOM, "actors", name))
        if record is None:
            return None
        cls, hosted = self.room.program(record[0])
        desk = Desk(address, cls, hosted, not issubclass(cls, Actor))
        desk.record, desk.filed = record, True
        _, desk.values, waits = record
        if not hosted:
            desk.reset = desk.values is not None
        else:
            desk.base = heap.region((ROOM, "heaps", name)).machine_tree
            desk.open(desk.base, heap.machine_memory.quota)
        if waits:
            given = heap[ROOM, "asked", name]
            desk.given = [*zip(given[::3], given[1::3], given[2::3], strict=True)]
            desk.asked = desk.given[-1]
            desk.answer = heap.get((ROOM, "answer", name))
            if hosted:
                desk.begun = heap.region((ROOM, "begun", name)).machine_tree
                desk.answers = [*heap.values((ROOM, "asked", name), low=0)]
        return desk

    def write(self, desk: Desk) -> None:
        """File what has become of an actor."""
        name, heap = desk.address[-1], self.heap
        record = (desk.program.__qualname__, desk.values, desk.asked is not None)
        before = desk.record
        if record != before:
            heap[ROOM, "actors", name] = desk.record = record
        if before is not None and before[2]:
            heap.clear((ROOM, "asked", name))
            heap.clear((ROOM, "begun", name))
            heap.pop((ROOM, "answer", name), None)
        if desk.asked is not None:
            given = desk.given if desk.hosted else [desk.asked]
            heap[ROOM, "asked", name] = tuple(chain.from_iterable(given))
            if desk.answer is not None:
                heap[ROOM, "answer", name] = desk.answer
            if desk.hosted:
                heap[ROOM, "begun", name] = View(desk.begun, "")
                for number, answer in enumerate(desk.answers):
                    heap[ROOM, "asked", name, number] = answer
        if desk.hosted:
            self._write_heap(desk)
        desk.filed = True

    def _write_heap(self, desk: Desk) -> None:
        memory, key = desk.memory, (ROOM, "heaps", desk.address[-1])
        if memory.tree is not desk.base or len(memory.kept) + len(memory.writes) > _FEW:
            base = memory.fold()
            self.heap[key] = View(base, "")
            # Not before: what the office's limits refuse is not there.
            desk.base = base
            return
        slots = {**memory.kept, **memory.writes}
        if slots:
            prefix = encode_key(key)
            if self.room.office.machine_meter is not None:
                self.room.office.machine_meter.charge(sum([write_cost(form, slot) for form, slot in slots.items()]))
            self.heap.machine_memory.write({prefix + form: slot for form, slot in slots.items()})

    def remove(self, desk: Desk) -> None:
        """Remove an actor from the files, but for its mail."""
        if desk.record is None:
            return
        name, heap = desk.address[-1], self.heap
        del heap[ROOM, "actors", name]
        if desk.record[2]:
            heap.clear((ROOM, "asked", name))
            heap.clear((ROOM, "begun", name))
            heap.pop((ROOM, "answer", name), None)
        if not desk.hosted:
            return
        prefix, memory = encode_key((ROOM, "heaps", name)), heap.machine_memory
        if len(desk.base) or desk.memory.tree is not desk.base:
            # It was folded since it was filed, and what it has written is in its working set no more.
            heap.clear((ROOM, "heaps", name))
            return
        # Of a heap that has been in its working set only, each key is there, or not, and a region need not be cut.
        for form in (*desk.memory.kept, *desk.memory.writes):
            if memory.read(prefix + form) is not ABSENT:
                memory.delete(prefix + form)

    # --- all of them ---

    def close(self) -> None:
        """File everything."""
        room, heap = self.room, self.heap
        mail: dict[tuple[Any, ...], Any] = {}
        for desk in room.desks.values():
            if not desk.filed:
                self.write(desk)
            if desk.mail:
                at = (ROOM, "mail", desk.address[-1])
                mail.update({(*at, number): item for number, item in enumerate(desk.mail)})
            if desk.more:
                mail[ROOM, "mail", desk.address[-1]] = None
        # Noted key by key: where the office's limits refuse one, the next time begins with what is there.
        for key in [key for key in self._mail if key not in mail]:
            del heap[key]
            del self._mail[key]
        for key, item in mail.items():
            heap[key] = item
            self._mail[key] = item
        self._close_own()
        if room.dead:
            self._bury()
        if room.taken:
            self._answer_above()

    def _answer_above(self) -> None:
        """Write the letter to the office above."""
        room = self.room
        self._more = bool(room.ready)
        put_letter(self.heap, (MORE if self._more else DONE, 0, room.escalated), room.up)

    def _close_own(self) -> None:
        heap, own = self.heap, self.room.own
        for number in range(len(own), self._own):
            del heap[ROOM, "own", number]
        for number, item in enumerate(own):
            heap[ROOM, "own", number] = item
            self._own = max(self._own, number + 1)
        self._own = len(own)

    def posted(self, desk: Desk) -> None:
        """File the last message that came in for an actor.

        Raises:
            LimitExceeded: the office's limits do not allow it; the message is gone.
        """
        key = (ROOM, "mail", desk.address[-1], len(desk.mail) - 1)
        try:
            if not desk.filed:
                self.write(desk)
            self.heap[key] = desk.mail[-1]
        except LimitExceeded:
            desk.mail.pop()
            raise
        self._mail[key] = desk.mail[-1]
        if self.room.taken and not self._more and self.room.ready:
            self._answer_above()

    def owe(self, desk: Desk) -> None:
        """Note that an actor is stopped that waits for an answer: whoever had its name next would take it for his."""
        name = desk.address[-1]
        self.heap[ROOM, "owed", name] = True
        self._owed.add(name)

    def owed(self, address: Address) -> bool:
        """Tell whether an actor that had this address is still owed an answer."""
        return address[-1] in self._owed

    def settle(self, address: Address) -> None:
        """Note that nobody owes the actor that had this address an answer any more."""
        if address[-1] in self._owed:
            self._owed.discard(address[-1])
            del self.heap[ROOM, "owed", address[-1]]

    def give_up(self, address: Address) -> None:
        """Note that the office does not wait any more for an answer that somebody still owes it."""
        self.heap[ROOM, "late", *address] = self.heap.get((ROOM, "late", *address), 0) + 1

    def given_up(self, address: Address) -> bool:
        """Tell whether this is an answer that the office does not wait for any more: they come in the order of the asking."""
        count = self.heap.pop((ROOM, "late", *address), 0)
        if count > 1:
            self.heap[ROOM, "late", *address] = count - 1
        return bool(count)

    def _bury(self) -> None:
        heap, dead = self.heap, self.room.dead
        count = heap.get((ROOM, "dead"), 0)
        for letter in dead:
            heap[ROOM, "dead", count] = letter
            count += 1
            heap.pop((ROOM, "dead", count - 1 - DEAD_LETTERS_MAX), None)
        heap[ROOM, "dead"] = count
        dead.clear()
