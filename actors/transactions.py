"""Transaction: the program of one step of many, which are done one after the other, or as if they were.

    class Transfer(Transaction):
        def apply(self, heap, transaction):
            sender, receiver, amount = transaction
            if not heap.at_least(sender, amount):
                raise Unpaid
            heap.add(sender, -amount)
            heap.add(receiver, amount)

        def touches(self, transaction):
            return ()                   # nothing that needs an order: additions do not get in each other's way

        def adds_to(self, transaction):
            return transaction[:2]

A process gives a list of them to `transact` (`actors.ordered`). A group of them is one activation of this program, in a
child of that process: so they are metered, guarded and placed as any other program.
"""

from __future__ import annotations

import logging
from inspect import iscoroutinefunction, isgeneratorfunction
from itertools import count, takewhile
from typing import TYPE_CHECKING, Any, ClassVar, Final

from actors.bundles import Bundle, read_rows, read_value
from actors.errors import CallRefused, GuardRefused, ProgramError
from actors.keys import encode_key
from actors.memory import Slot, to_slot
from actors.process import Placement, Process
from actors.recording import GIVEN, OVER, STATE, TOLD, Effect, Operations, TransactionHeap, news, slot_from
from actors.values import decode

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

    from actors.keys import Key

#: What is no refusal: whether the first two come depends on the machine, and the third is the program's mistake.
_NO_REFUSAL: Final = (RecursionError, MemoryError, GuardRefused)

_log = logging.getLogger("lockstep.transactions")


class Transaction(Process):
    """A program of which `transact` runs many. Subclass it, and write `def apply(self, heap, transaction)`."""

    placement: ClassVar[Placement] = "worker"

    def apply(self, heap: TransactionHeap, transaction: Any) -> Any:
        """Do a transaction: read and write the heap that is given, and nothing else.

        Each has an instance of its own. What it raises, it is refused with, and has written nothing. (Each kind of refusal is
        logged at INFO, by `lockstep.transactions`, once a group.)

        It may be run ahead of its turn, on a heap as it never is in the list's order, where some before it are missing; what
        it does there is thrown away. So a loop that follows what is in the heap has to come to an end on any: count its
        steps, or give `transact` gas. (A watchdog ends it as well, on a worker.)

        Args:
            heap: what the transactions are about, as the ones before this one left it.
            transaction: one element of the list.

        Returns:
            Its result, a value.
        """
        raise NotImplementedError

    def touches(self, transaction: Any) -> Iterable[Key] | None:
        """Say which keys a transaction is likely to read and set; not those that it adds to.

        It is a hint, by which transactions are put into groups: what is wrong or left out costs time, and no more. They
        need not be keys of the heap: two that touch the same are kept in order. It sees no heap.

        Args:
            transaction: one element of the list.

        Returns:
            Keys, or None where nothing is known: then it is found out by running it.
        """
        return None

    def adds_to(self, transaction: Any) -> Iterable[Key]:
        """Say which keys a transaction is likely to add to, or to ask `at_least` or `in` of: also a hint, and no more.

        Its group is told what is there, and does not have to look it up; it is not kept in order for their sake. It counts
        where `touches` says something.
        """
        return ()

    @classmethod
    def check(cls) -> None:
        """Check that `transact` can run this. Raises ProgramError."""
        name = cls.__qualname__
        if cls.apply is Transaction.apply:
            raise ProgramError(
                f"{name} does nothing with a transaction: write `def apply(self, heap, transaction)` in it"
            )
        if iscoroutinefunction(cls.apply) or isgeneratorfunction(cls.apply):
            what = "async" if iscoroutinefunction(cls.apply) else "a generator"
            raise ProgramError(
                f"{name}.apply is {what}; a transaction makes no calls: write `def apply(self, heap, transaction)`"
            )
        if cls.run is not Transaction.run:
            raise ProgramError(f"{name} has a run of its own; write what one transaction does in `apply`")

    @property
    def random(self) -> random.Random:
        """Refused: the numbers would depend on who is in the group."""
        raise CallRefused(
            "random: a transaction draws no numbers; draw them from random.Random(seed) with a seed in it"
        )

    async def run(self) -> None:
        """Run a group of transactions."""
        memory = self.heap.machine_memory
        over: dict[bytes, Slot] = {}
        for name in (*takewhile(self.heap.__contains__, map(news, count())), OVER):
            over.update(
                [(form, slot_from(read_value(memory, name, data))) for form, data in read_rows(self.heap, name)]
            )
        heap = TransactionHeap(memory, encode_key(STATE), over, Operations(self.reductions), self.machine_meter)
        told = Bundle(TOLD)
        seen: set[type[Exception]] = set()
        for (data,) in read_rows(self.heap, GIVEN):
            form = read_value(memory, GIVEN, data)
            assert form is not None
            effect = self._effect(heap, decode(form), seen)
            told.add(*_row(told, effect))
        self.heap.update(told.entries())

    def _effect(self, heap: TransactionHeap, transaction: Any, seen: set[type[Exception]]) -> Effect:
        heap.begin()
        one = type(self)()
        one.heap, one.path, one.machine_meter = heap, self.path[:-1], self.machine_meter  # type: ignore[assignment]
        try:
            result = to_slot(one.apply(heap, transaction))
        except _NO_REFUSAL:
            raise
        except Exception as error:
            if type(error) not in seen:
                seen.add(type(error))
                _log.info("%s: a transaction is refused, if it is its turn", type(self).__qualname__, exc_info=error)
            return heap.effect(type(error).__name__, None)
        return heap.effect(None, result)


def _row(told: Bundle, effect: Effect) -> tuple[tuple[Any, ...], int]:
    """Return an effect as it travels, and its weight."""
    result = told.value(effect.result if type(effect.result) is bytes else None)
    writes = tuple([(form, told.value(data)) for form, data in effect.writes])  # type: ignore[arg-type]
    operations = tuple([(form, added, told.value(data)) for form, added, data in effect.operations])  # type: ignore[arg-type]
    long = type(result) is int or any(type(row[-1]) is int for row in (*writes, *operations))
    made = effect._replace(result=result, writes=writes, operations=operations, long=long)
    return tuple(made), made.weight
