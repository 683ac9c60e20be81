"""Running the coroutine of a metered program by hand, as a stepper does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from actors.heap import Heap
from actors.memory import Memory
from actors.meter import Exhausted, Meter
from runtime.metering import closing, enter, leave, metered, use_up

if TYPE_CHECKING:
    from actors import Process


class Ended(NamedTuple):
    """How a program ended: "returned", "out of gas" or "failed", with what exception, and what it used."""

    how: str
    error: BaseException | None
    used: int
    heap: Heap


def run(program: type[Process], gas: int = 10**7, heap: dict[Any, Any] | None = None) -> Ended:
    """Run the metered variant of a program that makes no system call."""
    variant = metered(program)
    memory = Memory()
    Heap(memory).update(heap or {})
    instance = variant()
    instance.machine_bind(memory, ())
    coroutine = instance.run()
    meter = Meter(gas)
    how, error = "called", None
    enter(meter)
    try:
        coroutine.send(None)
    except StopIteration:
        how = "returned"
    except BaseException as failure:
        how, error = "failed", failure
    finally:
        leave()
    if isinstance(error, RecursionError):
        use_up(meter)
    if meter.exhausted:
        how = "out of gas"
    elif isinstance(error, Exhausted):
        raise AssertionError("out of gas on a meter that has some")
    with closing():
        try:
            coroutine.close()
        except BaseException as failure:
            if not isinstance(failure, (Exhausted, RuntimeError)):
                raise
    return Ended(how, error, meter.used, Heap(memory))


def plain(program: type[Process], heap: dict[Any, Any] | None = None) -> Heap:
    """Run a program as it is, and return its heap."""
    memory = Memory()
    Heap(memory).update(heap or {})
    instance = program()
    instance.machine_bind(memory, ())
    try:
        instance.run().send(None)
    except StopIteration:
        return Heap(memory)
    raise AssertionError("it made a system call")
