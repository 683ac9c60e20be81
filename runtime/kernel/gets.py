"""GET, STATUS, DROP: what a parent learns of its children, and how it waits for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.changes import changes_of
from actors.errors import MissingKey, NoSuchChild
from actors.gas import MOUNT, read_cost
from actors.keys import Name, decode_key, encode_key, path_text, show_key
from actors.limits import NAMES_SHOWN_MAX
from actors.memory import Formed
from actors.region import Region, View
from actors.trap import Trap, TrapKind
from actors.tree import EMPTY
from actors.values import ABSENT
from runtime.kernel.meters import let_draw
from runtime.kernel.stops import RAISED
from runtime.record import STOPPED, WAITING, Record
from runtime.state import child_names

if TYPE_CHECKING:
    from actors.calls import Call, Drop, Get, Status
    from runtime.events import Effect
    from runtime.kernel.core import Kernel


def get(kernel: Kernel, record: Record, call: Get) -> Effect | None:
    """Copy out of a child; wait where it has not stopped."""
    child = record.children.get(call.child) or kernel.fetch(record, call.child)
    if child is None:
        return kernel.refuse(record, no_such_child(kernel, record, call.child))
    if not child.settled and not settled(kernel, record, child, call):
        return None
    trap = child.trap
    if trap in RAISED:
        return kernel.refuse(record, RAISED[trap](path_text(child.path), child.error or "", child.used))
    wanted = call.wanted
    if not wanted:
        return kernel.answer(record, changes_of(child.memory))
    if len(wanted) == 1 and type(wanted[0]) is bytes:
        slot = child.memory.read(wanted[0])
        if slot is not ABSENT:
            if record.meter is not None:
                record.meter.owed += read_cost(slot)
            value = slot.value if type(slot) is Formed else slot
            record.journal.append(value)
            return (record, value, None)
    got = []
    for one in wanted:
        if type(one) is Region:
            if record.meter is not None:
                record.meter.owed += MOUNT
            got.append(_view(child, one))
            continue
        slot = child.memory.read(one)  # type: ignore[arg-type]
        if slot is ABSENT:
            key = show_key(decode_key(one))  # type: ignore[arg-type]
            return kernel.refuse(record, MissingKey(path_text(child.path), key))
        if record.meter is not None:
            record.meter.owed += read_cost(slot)
        got.append(slot.value if type(slot) is Formed else slot)
    return kernel.answer(record, got[0] if len(got) == 1 else tuple(got))


def status(kernel: Kernel, record: Record, call: Status) -> Effect | None:
    """Tell why a child stopped; wait where it has not."""
    child = record.children.get(call.child) or kernel.fetch(record, call.child)
    if child is None:
        return kernel.refuse(record, no_such_child(kernel, record, call.child))
    if not child.settled and not settled(kernel, record, child, call):
        return None
    return kernel.answer(record, Trap(child.trap, child.error, child.used, child.middle))


def drop(kernel: Kernel, record: Record, call: Drop) -> Effect | None:
    """End a child and its subtree, running or not."""
    child = record.children.get(call.child) or kernel.fetch(record, call.child)
    if child is None:
        return kernel.refuse(record, no_such_child(kernel, record, call.child))
    remove(kernel, record, child)
    return kernel.answer(record, None)


def remove(kernel: Kernel, record: Record, child: Record) -> None:
    """Take a child out of its parent, with all below it."""
    del record.children[child.name]
    if len(record.retained):
        record.retained = record.retained.graft(encode_key(child.name), EMPTY)
    if record.offspring is not None:
        record.offspring -= 1
    if not child.settled and record.meter is None and child.gas is not None:
        # Nobody will ever know what it used of it.
        record.used += max(child.gas, 0)
    kernel.orphans = kernel.orphans or not child.settled or bool(child.children)
    kernel.losses += 1
    failure = kernel.failures.pop(child, None)
    if failure is not None:
        kernel.failures_dropped.append((path_text(child.path), failure))
    if child.activation is not None or child.children:
        kernel._gone.append(child)


def no_such_child(kernel: Kernel, record: Record, name: Name) -> NoSuchChild:
    known = sorted({*record.children, *_first_names(record)}, key=encode_key)
    more = len(known) > NAMES_SHOWN_MAX
    return NoSuchChild(path_text(record.path), name, known[:NAMES_SHOWN_MAX], more)


def settled(kernel: Kernel, record: Record, child: Record, call: Call) -> bool:
    """Settle a child that has stopped; else let the caller wait: the call is performed when the child stops."""
    if child.stage != STOPPED:
        if child.held:
            let_draw(kernel, record, child)
        record.stage = WAITING
        record.pending = call
        child.awaited = True
        return False
    # The parent has waited for it: what it did is in the state from now on.
    child.settled = True
    if not child.dirty:
        child.touch()
    record.used += child.used
    if child.lent is not None:
        filling, gas = child.lent
        child.lent = None
        if record.meter is not None and record.meter.filling == filling:
            record.meter.owed -= gas - child.used
    ran = record.ran
    assert child.program is not None
    if ran is None:
        record.ran = ran = {child.program}
    elif child.program not in ran:
        ran.add(child.program)
    if child.ran is not None:
        ran |= child.ran
    if kernel.turns is None and child.program.host_may_fail:
        kernel.turns = {}
    if kernel.turns is not None:
        turn = kernel.turns.get(child.path, 0)
        kernel.turns[child.path] = turn + 1
        if child.trap is TrapKind.HOST_FAULT:
            kernel.faults.append((child.path, turn, child.error or ""))
    return True


def _view(child: Record, region: Region) -> View:
    tree = child.memory.below(encode_key(region.prefix)).cut(*region.bounds())
    return View(tree, f"{region!r} of {path_text(child.path)}")


def _first_names(record: Record) -> list[Name]:
    names = child_names(record.retained)
    return [name for _, name in zip(range(NAMES_SHOWN_MAX + 1), names, strict=False)]
