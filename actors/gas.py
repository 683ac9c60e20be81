"""What the machine's own work costs a metered process, in gas. Part of the cost table (runtime.metering.costs): its version
is the table's, and stands in the blocks.

One unit is about what a tick of plain Python costs, a tenth of a microsecond on the machine on which these were set. What
is moved costs by its bytes, so that nobody is charged less for doing more at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from actors.calls import Drop, Get, Now, Put, Ret, Snapshot, Status
from actors.memory import Formed
from actors.region import View
from actors.values import ABSENT

if TYPE_CHECKING:
    from actors.calls import Call

#: A system call, by its type, beside what it moves.
CALLS: Final[dict[type, int]] = {Put: 12, Get: 10, Ret: 30, Snapshot: 30, Status: 10, Drop: 15, Now: 8}
#: The start of a child: its snapshot, and its state in the store.
START: Final = 40
#: A region that is mounted, taken out or cleared: the ways down to it.
MOUNT: Final = 60
#: A value that is read from the heap, or written to it; one that an iteration comes by.
READ: Final = 6
WRITE: Final = 14
STEP: Final = 2
#: So many bytes that are read, and written, cost one.
READ_BYTES: Final = 64
WRITE_BYTES: Final = 16


def call_cost(call: Call) -> int:
    """Return what a system call costs before anything is known of its answer."""
    cost = CALLS[type(call)]
    if type(call) is Put:
        if call.start:
            cost += START
        cost += WRITE * len(call.delete)
        for key, slot in call.values:
            cost += MOUNT if type(slot) is View else write_cost(key, slot)
    elif type(call) is Snapshot:
        cost += write_cost(b"", call.data)
    return cost


def write_cost(key: bytes, slot: Any) -> int:
    """Return what it costs to write a value."""
    return WRITE + (len(key) + _size(slot)) // WRITE_BYTES


def read_cost(slot: Any) -> int:
    """Return what it costs to read a value."""
    return READ + _size(slot) // READ_BYTES


def _size(slot: Any) -> int:
    if type(slot) is Formed:
        return len(slot.data)
    kind = type(slot)
    if kind is str or kind is bytes:
        return len(slot)
    return 0 if slot is ABSENT else 8
