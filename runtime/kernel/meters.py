"""Meters and limits: what a metered process pays, what it hands down, and what a limited one may have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.calls import Now, Put
from actors.errors import CallRefused, LimitExceeded, OutOfGas
from actors.gas import CALLS as CALL_COSTS
from actors.gas import call_cost
from actors.keys import path_text
from actors.meter import Meter
from actors.trap import TrapKind
from runtime.kernel.stops import trapped
from runtime.metering import original
from runtime.record import RUNNING, Record
from runtime.state import child_names

if TYPE_CHECKING:
    from runtime.events import Effect, Event
    from runtime.kernel.core import Kernel


def fill(kernel: Kernel, record: Record) -> None:
    """Fill the meter of a process that begins; or take it away, where it has none this time."""
    if record.activation is not None and (record.meter is None) is not (record.fill is None):
        # The coroutine is of the other kind; it is made again from the journal.
        kernel.end_activation(record)
    if record.fill is None:
        record.meter = None
    elif record.meter is None:
        record.meter = Meter(record.fill)
    else:
        record.meter.fill(record.fill)


def charge(kernel: Kernel, record: Record, event: Event) -> Event | None:
    """Charge what a metered process asks for; return it as the kernel knows it, or None where there is not enough."""
    meter = record.meter
    assert meter is not None
    if type(event) in CALL_COSTS:
        meter.owed += call_cost(event)  # type: ignore[arg-type]
    if record.stage == RUNNING and meter.exhausted:
        return None
    if type(event) is Put and event.program is not None:
        return event._replace(program=original(event.program))
    return event


def out_of_gas(kernel: Kernel, record: Record) -> Effect | None:
    """Take a process back whose meter is empty."""
    return trapped(kernel, record, TrapKind.OUT_OF_GAS, OutOfGas.__name__, None)


def let_draw(kernel: Kernel, record: Record, child: Record) -> None:
    """Let a child begin that runs on whatever its parent has left."""
    if record.meter is not None:
        child.fill = record.meter.left
        record.meter.owed += child.fill
        child.lent = (record.meter.filling, child.fill)
    kernel.let_begin(child)


def now(kernel: Kernel, record: Record, call: Now) -> Effect | None:
    """Tell the time of the block in which the activation was started."""
    if record.time is None:
        # The same text in a worker, which does not know the root's class.
        told = (
            f"now: the block in which {path_text(record.path)} was started has no time; put it into the block's input, "
            'under "time", or what the root\'s class has for time_key'
        )
        return kernel.refuse(record, CallRefused(told))
    return kernel.answer(record, record.time)


def no_more_children(kernel: Kernel, record: Record) -> LimitExceeded | None:
    """Return the error for a child that is one too many, or one too deep."""
    limits = record.limits
    assert limits is not None
    if limits.depth == 0:
        return LimitExceeded(f"{path_text(record.path)} may have no children: it is at its limit of depth")
    if limits.children is None:
        return None
    if record.offspring is None:
        record.offspring = len({*record.children, *child_names(record.retained)})
    if record.offspring < limits.children:
        return None
    return LimitExceeded(
        f"{path_text(record.path)} has {record.offspring} children, which is its limit; drop one, or use one again"
    )
