"""The packer: makes a task of a process that begins, and a job of a task that is sent to a slot.

What an activation follows from is its path, its program, its gas and the state in which it begins: its *start* is made
of these. A process of a few entries at the top of `run` is sent as they are; any other as its state, a tree; and one that
the slot's worker has kept, as what was put into it since.
"""

from __future__ import annotations

from contextlib import suppress
from hashlib import sha256
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from actors.cells import Blob, from_cell
from actors.limits import BUCKET_ENTRIES_MAX
from actors.memory import Formed
from actors.values import encode
from runtime.state import freeze
from runtime.store import SqliteStore
from runtime.workers import job
from runtime.workers.memo import LongStart
from runtime.workers.parcel import Held, Parcel
from runtime.workers.programs import Programs, Unsendable
from runtime.workers.tasks import ALL, SINCE, Lodging, Task

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from actors.calls import Put
    from actors.memory import Slot
    from runtime.record import Record
    from runtime.store.base import Store
    from runtime.workers.frames import Form
    from runtime.workers.tasks import Place

#: A process that is in a worker's memory, and of which more than so many written entries, or bytes of them, were not folded
#: yet, is not folded to know where it begins: then nothing is remembered of what follows.
_FOLDED_MAX: Final = 32
_FOLDED_BYTES_MAX: Final = 1 << 16


class Packer:
    """Makes tasks and jobs.

    Args:
        store: where the nodes of heaps are.
    """

    def __init__(self, store: Store) -> None:
        self.programs = Programs()
        #: The path at which workers read the store, if they can.
        self.shared = str(store.path) if isinstance(store, SqliteStore) else None
        self._store = store
        self._numbers = count(1)

    def task(self, record: Record, number: int) -> Task:
        """Return what is to be known of an activation that begins; `number` is its program's."""
        lodging, record.lodging = record.lodging, None
        lodged = isinstance(lodging, Lodging) and lodging.there() and not _brings_most(record, lodging.calls)
        if lodged and _is_much(record.memory.kept):
            task = Task(record, number, next(self._numbers))
        elif (few := _few(record)) is not None:
            form = job.fresh(record, number, few)
            task = Task(record, number, LongStart(form) if isinstance(form, list) else sha256(form).digest())
            task.form = form
            return task
        else:
            state = freeze(record)
            task = Task(record, number, sha256(encode((record.path, number, record.fill, state.digest()))).digest())
            task.state = state
        if isinstance(lodging, Lodging) and lodged:
            task.lodging, task.brings = lodging, SINCE
        return task

    def form(self, task: Task, place: Place) -> Form:
        """Return a job as it travels to a slot."""
        slot = place.slot
        lodging = task.lodging
        here = lodging is not None and lodging.place is place and lodging.there()
        if not here:
            task.lodging = Lodging(place, next(self._numbers)) if slot.remembers else None
        if task.form is not None:
            return task.form
        all_of_it = self.shared is None or task.brings == ALL
        held = (slot.held if slot.remembers and task.brings != ALL else Held()) if all_of_it else None
        parcel = Parcel(self._store, held)
        if task.brings == SINCE and here:
            assert lodging is not None
            with suppress(Unsendable):  # of a program that it had in between
                return job.calls(lodging.calls, self._number(task), task.gas, task.time, parcel)
        if task.state is None:
            assert task.record is not None
            task.state = freeze(task.record)
        return job.state(task.path, task.program, parcel.add(task.state), task.gas, parcel)

    def _number(self, task: Task) -> Any:
        def number(program: type[Any]) -> int:
            found = self.programs.number(program)
            task.others.add(found)
            return found

        return number


def _few(record: Record) -> list[tuple[bytes, bytes]] | None:
    """Return the heap of a process that begins at the top of `run`, if that is all there is of it, and small."""
    if record.middle or len(record.start.children):
        return None
    memory = record.memory
    few = memory.few()
    if few is not None:
        return sorted([(key, data) for key, data, _ in few if data is not None])
    heap = memory.snapshot()
    if len(heap) > BUCKET_ENTRIES_MAX:
        return None
    entries = list(heap.entries())
    # A long value that is in the store is read there, or was sent before.
    if any(type(cell) is Blob and cell.number is not None for _, cell in entries):
        return None
    return [(key, from_cell(cell)) for key, cell in entries]


def _brings_most(record: Record, calls: Sequence[Put]) -> bool:
    """Tell whether what was put since is most of a heap: then it may be done anywhere."""
    few = record.memory.few()
    if few is None:
        return False
    slots = [slot for call in calls for _, slot in call.values]
    put = sum([len(slot.data) for slot in slots if type(slot) is Formed])
    return 2 * put >= sum([len(data) for _, data, _ in few if data is not None]) > _FOLDED_BYTES_MAX


def _is_much(slots: Mapping[bytes, Slot]) -> bool:
    return (
        len(slots) > _FOLDED_MAX
        or sum([len(slot.data) for slot in slots.values() if type(slot) is Formed]) > _FOLDED_BYTES_MAX
    )
