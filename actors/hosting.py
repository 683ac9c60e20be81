"""Hosting: how an office runs an actor itself, inside its own activation, on a heap of the actor's own.

A hosted actor does what it would do as a process, and a message to it costs a fraction; but it can have no children, and it
runs where its office does, on the office's meter. Its heap stands in the office's while the office does not run.

A hosted actor that waits for an answer is a coroutine. Like that of a process it is only a cache: what is kept is the heap
with which the activation began, the mail that it was given, and the answers since; it is made again from those. So it has
context variables of its own, as a process has: those of its office would be other ones when it is made again.
"""

from __future__ import annotations

import logging
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from actors.calls import CALLS, Now, Ret, made
from actors.errors import CallRefused, ForeignAwait, KernelBug, ReplayDiverged, StoreError
from actors.failures import name_of
from actors.meter import Exhausted

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from actors.desks import Desk
    from actors.mail import Actor, Address
    from actors.meter import Meter

_log: Final = logging.getLogger("lockstep.mail")

#: What is no failure of the actor's.
_NOT_ITS: Final = (
    KeyboardInterrupt,
    MemoryError,
    GeneratorExit,
    Exhausted,
    KernelBug,
    ReplayDiverged,
    StoreError,
)


class Failure(NamedTuple):
    """Outcome: the class name of the exception on which an actor failed. It is back at where it was."""

    error: str


#: More attributes than an instance has that could be used again.
_NEVER: Final = -1

#: Outcome: it is done. All others are the call that it made, with its coroutine at its desk.
ENDED: Final = object()


def begin(desk: Desk, meter: Meter | None, known: Mapping[Address, Desk]) -> Any:
    """Run a hosted actor on the mail in `desk.given`, up to its first call; return the outcome.

    Args:
        desk: the actor's.
        meter: its office's.
        known: the desks of the office, by address.
    """
    memory = desk.memory
    if memory.writes or memory.tree is not memory.snap:
        memory.take_snapshot()
    instance = desk.instance
    if instance is None or len(instance.__dict__) != desk.plain:
        instance = _seat(desk, meter, known)
    else:
        # It has nothing in it of its last activation, and is as good as a new one.
        instance._sent = []
    return _step(desk, _handling(instance, desk.given), None)


async def go_on(desk: Desk, meter: Meter | None, known: Mapping[Address, Desk]) -> Any:
    """Run a hosted actor on the answer that it waited for, up to its next call; return the outcome."""
    if desk.coroutine is None:
        await _restore(desk, meter, known)
    desk.memory.take_snapshot()
    answer, desk.answer = desk.answer, None
    assert answer is not None
    assert desk.instance is not None
    assert desk.coroutine is not None
    desk.instance._sent = []
    desk.answers.append(answer)
    return _step(desk, desk.coroutine, answer)


async def serve(desk: Desk, call: Any, known: list[Any]) -> Any:
    """Do for a hosted actor what it asks of the machine, or refuse it, until it is done or waits; return the outcome.

    Args:
        desk: the actor's.
        call: what it asks for.
        known: what it was answered when it did this before; taken from the front.
    """
    while type(call) is not Ret and type(call) is not Failure and call is not ENDED:
        coroutine = desk.coroutine
        assert coroutine is not None
        if type(call) is not Now:
            call = _step(desk, coroutine, None, _refusal(desk, call))
            continue
        if known:
            given, time = known.pop(0)
        else:
            try:
                given, time = True, await made(call)
            except CallRefused as error:
                given, time = False, str(error)
            desk.answers.append((given, time))
        call = _step(desk, coroutine, time) if given else _step(desk, coroutine, None, CallRefused(time))
    return call


def _handling(instance: Actor, given: list[Any]) -> Coroutine[Any, Any, Any]:
    """Return what an actor does about its mail. Where that is one message that nobody asked, it is what `receive` does."""
    if len(given) == 1:
        message, sender, kind = given[0]
        if not kind:
            return instance.receive(message, sender)
    return instance._handle(given)


def _seat(desk: Desk, meter: Meter | None, known: Mapping[Address, Desk]) -> Actor:
    instance: Actor = desk.program()
    instance._hosted, instance._known = True, known
    instance.machine_bind(desk.memory, desk.address, meter)
    desk.instance = instance
    desk.plain = _NEVER if instance.machine_remembers else len(instance.__dict__)
    return instance


def _step(desk: Desk, coroutine: Coroutine[Any, Any, Any], answer: Any, error: BaseException | None = None) -> Any:
    context = desk.context
    if context is None or (desk.coroutine is None and len(context)):
        # One in which the last activation has set nothing is as good as a new one.
        context = desk.context = Context()
    try:
        call = context.run(coroutine.send, answer) if error is None else context.run(coroutine.throw, error)
    except StopIteration:
        desk.coroutine = None
        return ENDED
    except _NOT_ITS:
        raise
    except BaseException as failure:
        _log.info("%s failed with %s", desk.place(), name_of(failure), exc_info=failure)
        desk.memory.revert()
        desk.instance = desk.coroutine = None
        return Failure(name_of(failure))
    desk.coroutine = coroutine
    return call


def _refusal(desk: Desk, call: Any) -> Exception:
    kind = type(call)
    if kind not in CALLS:
        told = (
            f"{desk.place()} awaits {kind.__qualname__}, which is no system call; an actor awaits those, and ask, alone"
        )
        return ForeignAwait(told)
    return CallRefused(
        f"{kind.__name__.lower()}: {desk.place()} is hosted by its office, and so has no children; "
        f"name {desk.program.__qualname__} in the office's `actors` in place of `hosts`"
    )


async def _restore(desk: Desk, meter: Meter | None, known: Mapping[Address, Desk]) -> None:
    """Make the coroutine of a hosted actor again that waits for an answer."""
    now, desk.context = desk.memory, None
    desk.open(desk.begun, now.quota)
    answers = list(desk.answers)
    instance = _seat(desk, meter, known)
    outcome = _step(desk, _handling(instance, desk.given), None)
    while True:
        outcome = await serve(desk, outcome, answers)
        if type(outcome) is not Ret:
            raise _diverged(desk, "ask")
        instance._sent = []
        if not answers:
            break
        assert desk.coroutine is not None
        outcome = _step(desk, desk.coroutine, answers.pop(0))
    if desk.memory.fold().digest() != now.fold().digest():
        raise _diverged(desk, "write")
    desk.memory.become(now)


def _diverged(desk: Desk, what: str) -> ReplayDiverged:
    return ReplayDiverged(
        f"{desk.place()} waits for an answer and was run again on the same mail, but did not {what} what it did then; "
        "an actor may depend on its heap and its mail alone, and its code may change only where it does not wait"
    )
