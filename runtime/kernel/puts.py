"""PUT: what a parent does to a child that is stopped, and the start of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.calls import EVERYTHING, Put
from actors.changes import Changes
from actors.errors import CallRefused, LimitExceeded, ProgramError
from actors.keys import path_text
from actors.limits import PROCESS_DEPTH_MAX
from actors.memory import Memory, placed_error
from actors.region import View
from actors.trap import TrapKind
from actors.tree import EMPTY
from actors.values import ABSENT
from runtime.kernel.gets import remove, settled
from runtime.kernel.meters import no_more_children, out_of_gas
from runtime.record import AT_TOP, DRAWS, READY, STOPPED, Record, Start
from runtime.state import freeze_children

if TYPE_CHECKING:
    from collections.abc import Iterable

    from actors.calls import Copied
    from actors.envelope import Limits
    from runtime.events import Effect
    from runtime.kernel.core import Kernel


def put(kernel: Kernel, record: Record, call: Put) -> Effect | None:
    """Change a child that is stopped, and start it; wait where it has not stopped."""
    name = call.child
    child = record.children.get(name) or kernel.fetch(record, name)
    if call.new is True and child is not None:
        told = f"{path_text((*record.path, name))} is there already; join or drop it first, or take another name"
        return kernel.refuse(record, CallRefused(told))
    if call.start and call.program is None and (child is None or child.program is None or call.new):
        told = f"{path_text((*record.path, name))} has no program to start; pass program= with the PUT"
        return kernel.refuse(record, ProgramError(told))
    if child is None and len(record.path) >= PROCESS_DEPTH_MAX:
        told = (
            f"{path_text(record.path)} is {PROCESS_DEPTH_MAX} processes deep, which is the limit; "
            "let a process further up have the child"
        )
        return kernel.refuse(record, LimitExceeded(told))
    replaced: Record | None = None
    if child is not None and call.new == "replace":
        if _is_as_new(child, record, call):
            child.placement, child.lodging = None, None
        else:
            child, replaced = None, child
    if child is not None and not child.settled and not settled(kernel, record, child, call):
        return None
    limits = child.limits if child is not None and call.limits is None else _limits_of(record, call)
    if (
        child is None
        and replaced is None
        and record.limits is not None
        and (refused := no_more_children(kernel, record)) is not None
    ):
        return kernel.refuse(record, refused)
    memory = Memory() if child is None else child.memory
    others = limits if child is None or limits is not child.limits else None
    refused = _too_large(memory, call, others)
    if refused is not None:
        return kernel.refuse(record, placed_error(path_text((*record.path, name)), refused))
    if call.start and call.gas is not None and record.meter is not None:
        record.meter.owed += call.gas
        if record.meter.exhausted:
            return out_of_gas(kernel, record)
    if replaced is not None:
        remove(kernel, record, replaced)
    if child is None:
        child = record.adopt(Record(record, name, memory))
        kernel._records += 1
        if record.offspring is not None:
            record.offspring += 1
    if limits is not child.limits:
        child.limit(limits)
    perform(kernel, child, call)
    record.journal.append(None)
    return (record, None, None)


def _is_as_new(child: Record, record: Record, call: Put) -> bool:
    """Tell whether what a PUT makes of a child is what it would make of a new one, so that it need not be dropped for it."""
    return (
        child.settled
        and child.stage == STOPPED
        and call.start
        and call.program is not None
        and EVERYTHING in call.delete
        and not child.children
        and (child.retained is EMPTY or not len(child.retained))
        and (child.limits is record.limits is call.limits is None or child.limits == _limits_of(record, call))
    )


def perform(kernel: Kernel, child: Record, call: Put) -> None:
    """Perform a PUT, all checks of which were made, on a child that is stopped."""
    if not child.dirty:
        child.touch()
    if call.program is not None:
        child.program = call.program
        reset(kernel, child)
    if call.delete and call.start and EVERYTHING in call.delete:
        # Its snapshot is about to be taken anew.
        child.memory.reset()
    _apply(child.memory, call)
    if call.placement is not None:
        child.placement = call.placement
    if child.lodging is not None:
        child.lodging.calls.append(call if call.limits is None else call._replace(limits=child.limits))
    if call.start:
        child.gas = child.fill = call.gas
        parent = child.parent
        assert parent is not None
        child.time = parent.time
        if parent.meter is not None:
            if call.gas is None:
                child.gas, child.held = DRAWS, True
            else:
                child.lent = (parent.meter.filling, call.gas)
        start(kernel, child)


def reset(kernel: Kernel, record: Record) -> None:
    """Set a control state to the top of `run`."""
    if record.middle:
        record.middle = False
        record.journal = []
        record.journal_saved = (EMPTY, 0)
        record.begin = record.stopped_at = None
        kernel.end_activation(record)
    record.trap, record.error = TrapKind.NEW, None
    if kernel.failures:
        kernel.failures.pop(record, None)


def start(kernel: Kernel, record: Record) -> None:
    """Take the snapshot of a stopped process and set it running."""
    answer = None
    memory = record.memory
    children = freeze_children(record) if record.dirty_children else record.retained
    if record.middle:
        assert record.stopped_at is not None
        record.start = Start(children, record.journal, len(record.journal), True, record.begin, record.stopped_at)
        answer = Changes(None, record.stopped_at, memory.fold())
        record.journal.append(answer)
    else:
        record.open_journal()
        record.start = Start(children, [], 0, False, None, None) if len(children) else AT_TOP
    memory.take_snapshot()
    if kernel.failures:
        kernel.failures.pop(record, None)
    record.started = True
    record.settled = False
    record.stage = READY
    record.error, record.used, record.ran = None, 0, None
    # Elsewhere it may begin at once, while its parent goes on.
    if not record.held and (kernel.elsewhere is None or not kernel.begins_elsewhere(record)):
        kernel.agenda.append((record, answer, None))


def _apply(memory: Memory, call: Put) -> None:
    """Delete and copy what a PUT says."""
    for prefix, low, high, single in call.delete:
        if not single:
            memory.clear(prefix, low, high)
        elif memory.read(prefix) is not ABSENT:
            memory.delete(prefix)
    copy_in(memory, call.values)


def copy_in(memory: Memory, values: Iterable[Copied]) -> None:
    """Copy values and regions into a heap, one by one."""
    for key, slot in values:
        if type(slot) is View:
            if key:
                memory.mount(key, slot.machine_tree)
            else:
                memory.lay(*slot.machine_layers())
        elif len(memory.writes) < memory.room:
            memory.writes[key] = slot
        else:
            memory.write({key: slot})


def _limits_of(record: Record, call: Put) -> Limits | None:
    """Return the limits that a new child has, or one that is given others."""
    if call.limits is not None:
        return call.limits.within(record.limits)
    return None if record.limits is None else record.limits.below()


def _too_large(memory: Memory, call: Put, others: Limits | None) -> LimitExceeded | None:
    """Return the error for a PUT that would break a limit of the child's heap: that it has, or others that come with it."""
    if others is not None:
        memory = memory.copy()
        memory.limit(others)
    if len(memory.writes) + len(call.delete) + len(call.values) <= memory.room:
        for _, slot in call.values:
            if type(slot) is View:
                break
        else:
            return None
    try:
        _apply(memory.copy(), call)
    except LimitExceeded as error:
        return error
    return None
