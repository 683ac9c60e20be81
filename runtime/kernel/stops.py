"""How a process stops: RET, SNAPSHOT, the end of `run`, an activation that ended elsewhere, a trap."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from actors.errors import CallRefused, ChildFailed, HostFault, HostTrouble, OutOfGas, ProgramError
from actors.failures import name_of
from actors.keys import encode_key, path_text
from actors.memory import Slot, to_slot
from actors.trap import TrapKind
from actors.tree import EMPTY
from runtime.events import ChildStopped, Closed, Ended, Failed, Returned
from runtime.record import NO_JOURNAL, STOPPED, Record
from runtime.state import thaw

if TYPE_CHECKING:
    from actors.calls import Ret, Snapshot
    from runtime.events import Effect
    from runtime.kernel.core import Kernel


_log: Final = logging.getLogger("lockstep.kernel")

_CHILD_STOPPED: Final = ChildStopped()

#: What a GET of a child that trapped raises.
RAISED: Final[dict[TrapKind, type[ChildFailed]]] = {
    TrapKind.FAILED: ChildFailed,
    TrapKind.OUT_OF_GAS: OutOfGas,
    TrapKind.HOST_FAULT: HostFault,
}


def ret(kernel: Kernel, record: Record, call: Ret) -> Effect | None:
    """Stop in the middle of `run`."""
    if record.journal is NO_JOURNAL:
        return kernel.refuse(record, _in_one_piece(record, "ret"))
    if record.parent is None:
        told = "ret: the root has no parent to return to; close the block with snapshot()"
        return kernel.refuse(record, CallRefused(told))
    stop_in_the_middle(kernel, record)
    return stopped(kernel, record, TrapKind.RETURNED)


def snapshot(kernel: Kernel, record: Record, call: Snapshot) -> Effect | None:
    """Close the block in the middle of `run`."""
    if record.parent is not None:
        return kernel.refuse(record, CallRefused(f"snapshot: {path_text(record.path)} is not the root"))
    if record.journal is NO_JOURNAL:
        return kernel.refuse(record, _in_one_piece(record, "snapshot"))
    stop_in_the_middle(kernel, record)
    close(kernel, call.data, call.region)
    return None


def stop_in_the_middle(kernel: Kernel, record: Record) -> None:
    if record.begin is None:
        record.begin = record.memory.snapshot()
    record.middle = True
    record.stopped_at = record.memory.fold()
    if kernel.forget:
        _note_used(record)
        kernel.end_activation(record)


def returned(kernel: Kernel, record: Record, event: Returned) -> Effect | None:
    """Note the end of `run`."""
    if record.parent is None:
        try:
            data = to_slot(event.value)
        except ProgramError as error:
            root_failed(kernel, error)
            return None
    elif event.value is not None:
        told = (
            f"{path_text(record.path)}: run returned {type(event.value).__name__}, which goes nowhere; "
            "write results into the heap, where the parent gets them, and return nothing"
        )
        return failed(kernel, record, Failed(ProgramError(told)))
    record.activation = record.context = None
    if record.parent is None:
        _at_top(record)
        close(kernel, data, None)
        return None
    return at_its_end(kernel, record)


def at_its_end(kernel: Kernel, record: Record) -> Effect | None:
    _at_top(record)
    return stopped(kernel, record, TrapKind.RETURNED)


def ended(kernel: Kernel, record: Record, event: Ended) -> Effect | None:
    """Take what became of an activation that ran elsewhere."""
    record.used, record.ran = event.used, set(event.ran) or None
    if kernel.turns is not None:
        for path, turns in event.turns.items():
            kernel.turns[path] = kernel.turns.get(path, 0) + turns
    if event.error is not None:
        return trapped(kernel, record, event.trap, event.error, event.failure)
    leave_children(kernel, record)
    if event.state is None:
        record.retained = EMPTY
        record.memory.writes.update(event.writes)
        if record.memory.quota is not None:
            record.memory.quota.forget()
        return at_its_end(kernel, record)
    now = thaw(event.state, record.parent, record.name)
    record.memory.become(now.memory)
    record.middle, record.begin, record.stopped_at = now.middle, now.begin, now.stopped_at
    record.journal, record.journal_saved, record.retained = now.journal, now.journal_saved, now.retained
    return stopped(kernel, record, TrapKind.RETURNED)


def leave_children(kernel: Kernel, record: Record) -> None:
    """Let go of the children at hand: those in `retained` are the ones that there are."""
    if record.children:
        kernel.orphans = True
        kernel.losses += 1
        kernel._gone.extend(record.children.values())
        record.children = {}
    record.dirty_children = None
    record.offspring = None


def stopped(kernel: Kernel, record: Record, trap: TrapKind) -> Effect | None:
    """Note that a process has stopped; a parent that waits for it goes on at once."""
    record.stage = STOPPED
    record.trap = trap
    if record.meter is not None:
        record.used = record.meter.used
    if not record.awaited:
        return None
    record.awaited = False
    assert record.parent is not None
    return kernel.handle(record.parent, _CHILD_STOPPED)


def close(kernel: Kernel, data: Slot, region: bytes | None) -> None:
    root = kernel.root
    root.stage = STOPPED
    root.trap = TrapKind.RETURNED
    root.input_at = region
    assert root.program is not None
    programs = {root.program, *(root.ran or ())}
    faults = sorted(kernel.faults, key=lambda fault: ([encode_key(name) for name in fault[0]], fault[1]))
    kernel.closed = Closed(data, root.used, frozenset(programs), tuple(faults))


def failed(kernel: Kernel, record: Record, event: Failed) -> Effect | None:
    """Take a process back whose `run` raised."""
    if record.parent is None:
        root_failed(kernel, event.error)
        return None
    if issubclass(type(event.error), HostTrouble):
        # How far it came is not a matter of the inputs, so it is not paid for; and so it is where the block is verified.
        record.meter, record.used, record.ran = None, 0, None
        return trapped(kernel, record, TrapKind.HOST_FAULT, event.error.error, event.error)  # type: ignore[attr-defined]
    return trapped(kernel, record, TrapKind.FAILED, name_of(event.error), event.error)


def trapped(kernel: Kernel, record: Record, trap: TrapKind, error: str, failure: BaseException | None) -> Effect | None:
    """Take a process back to its last start, with all below it."""
    _note_used(record)
    kernel.end_activation(record)
    start = record.start
    record.memory.revert()
    leave_children(kernel, record)
    record.retained = start.children
    if record.journal:
        del record.journal[start.items :]
    if record.journal_saved[1] > start.items:
        record.journal_saved = (EMPTY, 0)
    record.middle, record.begin, record.stopped_at = start.middle, start.begin, start.stopped_at
    record.error = error
    if failure is not None:
        kernel.failures[record] = failure
    _log.info("%s failed with %s", path_text(record.path), record.error, exc_info=failure)
    return stopped(kernel, record, trap)


def root_failed(kernel: Kernel, error: BaseException) -> None:
    kernel.root.stage = STOPPED
    kernel.failed = error


def _note_used(record: Record) -> None:
    if record.meter is not None:
        record.used = record.meter.used


def _at_top(record: Record) -> None:
    """Set a control state to where nothing is ever replayed for it."""
    if record.journal:
        record.journal = []
    if record.begin is not None:
        record.middle = False
        record.begin = record.stopped_at = None
        record.journal_saved = (EMPTY, 0)


def _in_one_piece(record: Record, call: str) -> CallRefused:
    assert record.program is not None
    return CallRefused(
        f"{call}: {record.program.__qualname__} keeps no journal, so that it cannot stop in the middle; "
        "let run return, or say journal = True in it"
    )
