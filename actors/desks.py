"""A desk: what an office knows of one of its actors while it delivers, and how it runs an actor that it hosts.

An actor is a child process of its office, or is *hosted*: run by the office itself, inside the office's own activation,
on a heap of its own. A hosted actor does what it would do as a process, and a message to it costs a fifth; but it can have
no children, runs on the loop with its office, and shares the office's meter. Its heap stands in the office's while the
office does not run.

A hosted actor that waits for an answer is a coroutine. Like that of a process it is only a cache: what is kept is the heap
with which the activation began, the mail that it was given, and the answers since; it is made again from those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from actors.calls import CALLS, Now, Ret
from actors.errors import CallRefused, ForeignAwait, KernelBug, ReplayDiverged, StoreError
from actors.keys import encode_key, path_text
from actors.memory import Memory, to_slot
from actors.meter import Exhausted
from actors.process import _call
from actors.tree import EMPTY, Tree

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from actors.mail import Actor, Address
    from actors.meter import Meter
    from actors.process import Process

#: What is no failure of the actor's.
_NOT_ITS: Final = (
    KeyboardInterrupt, MemoryError, GeneratorExit, Exhausted, KernelBug, ReplayDiverged, StoreError
)  # fmt: skip
#: A heap that was written to in at most so many places is kept key by key.
FEW: Final = 64


class Desk:
    """One actor, or one office below this one.

    Args:
        address: its address.
        program: what it runs.
        hosted: whether the office runs it itself.
        office: whether it is an office.
    """

    __slots__ = (
        "address",
        "answer",
        "answers",
        "asked",
        "base",
        "begun",
        "coroutine",
        "filed",
        "given",
        "hosted",
        "instance",
        "mail",
        "memory",
        "now",
        "office",
        "program",
        "queued",
        "record",
        "reset",
        "sent",
        "singly",
        "stops",
        "values",
    )

    def __init__(self, address: Address, program: type[Any], hosted: bool, office: bool) -> None:
        self.address = address
        self.program = program
        self.hosted = hosted
        self.office = office
        #: For the next round: (message, sender, kind), for an office also to whom.
        self.mail: list[Any] = []
        #: Of this round, not given to it yet; and given to it last.
        self.now: list[Any] = []
        self.given: list[Any] = []
        #: What it sent in this round: (to, message, kind), from an office also who.
        self.sent: list[Any] = []
        #: The message over which it waits for an answer, and that answer: (whether there is one, it or why there is none).
        self.asked: Any = None
        self.answer: tuple[bool, Any] | None = None
        #: How many messages it is given one by one, to find the one on which it fails.
        self.singly = 0
        #: Whether it is among those that the next round runs.
        self.queued = False
        #: Whether it stopped for good.
        self.stops = False
        #: What the office's files say of it; and whether they are up to date.
        self.record: tuple[Any, ...] | None = None
        self.filed = False

        # --- as a process ---
        #: What its heap begins with, where it is not made yet.
        self.values: tuple[tuple[str, Any], ...] | None = None
        #: Whether its program is to be set at its next start.
        self.reset = False

        # --- hosted ---
        self.memory = _NO_MEMORY
        #: What the office's heap has of its heap.
        self.base: Tree = EMPTY
        self.instance: Actor | None = None
        self.coroutine: Coroutine[Any, Any, Any] | None = None
        #: The heap with which the activation began that waits, and the answers since.
        self.begun: Tree = EMPTY
        self.answers: list[tuple[bool, Any]] = []

    def begin(self, values: tuple[tuple[str, Any], ...]) -> None:
        """Give a new hosted actor its heap."""
        self.memory = Memory()
        self.memory.write({encode_key(key): to_slot(value) for key, value in values})

    def place(self) -> str:
        """Return its address, as printed."""
        return path_text(self.address)


_NO_MEMORY: Final = Memory()


async def activate(desk: Desk, meter: Meter | None) -> str | None:
    """Run a hosted actor on the mail in `desk.given`, or on the answer that it waited for.

    Returns:
        None, and what came of it stands in `desk.instance`; or the class name of the exception on which it failed, and it
        is back at where it was.
    """
    desk.memory.take_snapshot()
    answer, desk.answer = desk.answer, None
    if answer is None:
        desk.answers = []
        instance = desk.instance = _instance(desk, meter)
        coroutine = instance._handle(desk.given)
    else:
        if desk.coroutine is None:
            await _restore(desk, meter)
        assert desk.instance is not None
        assert desk.coroutine is not None
        coroutine = desk.coroutine
        desk.instance._sent = []
        desk.answers.append(answer)
    try:
        call = coroutine.send(answer)
        if type(call) is not Ret:
            await _until_it_waits(desk, coroutine, call, [])
    except StopIteration:
        desk.coroutine = None
        return None
    except _NOT_ITS:
        raise
    except BaseException as failure:
        desk.memory.revert()
        desk.coroutine = None
        return type(failure).__name__
    if answer is None:
        desk.begun = desk.memory.snapshot()
    desk.coroutine = coroutine
    return None


def _instance(desk: Desk, meter: Meter | None) -> Actor:
    instance: Actor = desk.program()
    instance._hosted = True
    instance.bind(desk.memory, desk.address, meter)
    return instance


async def _until_it_waits(desk: Desk, coroutine: Coroutine[Any, Any, Any], call: Any, known: list[Any]) -> None:
    """Do for a hosted actor what it may ask of the machine, or refuse it, until it waits for an answer.

    Args:
        desk: the actor.
        coroutine: its coroutine.
        call: what it asks for.
        known: what it was answered when it did this before; taken from the front.
    """
    while type(call) is not Ret:
        if type(call) is not Now:
            call = coroutine.throw(_refusal(desk, call))
            continue
        if known:
            given, time = known.pop(0)
        else:
            try:
                given, time = True, await _call(call)
            except CallRefused as error:
                given, time = False, str(error)
            desk.answers.append((given, time))
        call = coroutine.send(time) if given else coroutine.throw(CallRefused(time))


def _refusal(desk: Desk, call: Any) -> Exception:
    kind = type(call)
    if kind not in CALLS:
        return ForeignAwait(f"{desk.place()} awaits {kind.__qualname__}, which is no system call; an actor awaits those alone")
    return CallRefused(
        f"{kind.__name__.lower()}: {desk.place()} is hosted by its office, and so has no children; "
        f"name {desk.program.__qualname__} in the office's `actors` in place of `hosts`"
    )


async def _restore(desk: Desk, meter: Meter | None) -> None:
    """Make the coroutine of a hosted actor again that waits for an answer."""
    now, desk.memory = desk.memory, Memory(desk.begun)
    instance = _instance(desk, meter)
    coroutine = instance._handle(desk.given)
    known = list(desk.answers)
    answer: Any = None
    try:
        while True:
            await _until_it_waits(desk, coroutine, coroutine.send(answer), known)
            instance._sent = []
            if not known:
                break
            answer = known.pop(0)
    except StopIteration:
        raise _diverged(desk, "ask") from None
    if desk.memory.fold().digest() != now.fold().digest():
        raise _diverged(desk, "write")
    desk.memory.become(now)
    desk.memory.take_snapshot()
    desk.instance, desk.coroutine = instance, coroutine


def _diverged(desk: Desk, what: str) -> ReplayDiverged:
    return ReplayDiverged(
        f"{desk.place()} waits for an answer and was run again on the same mail, but did not {what} what it did then; "
        "an actor may depend on its heap and its mail alone, and its code may change only where it does not wait"
    )
