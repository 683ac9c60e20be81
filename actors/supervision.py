"""Starting children again that trapped: calls, retry ladders, supervision.

    call        put, start and get in one
    retry       once more with more gas, and more, until it is enough: within one activation
    supervise   a ladder of such tries, with a back-off between them that may go over many blocks

A child that traps is back at its snapshot, so to start it again is to restart it from there. But a program is
deterministic: on the same heap an exception comes again, and so does an empty meter with the same gas. So at once only
those tries are made that may end otherwise: with more gas, after a host fault, or with other values. What failed by an
exception is started again after a back-off, when its parent has changed something, or the block's time has.

Where a ladder stands is in the supervisor's heap, under `("supervision", *path, name)` unless it says otherwise: it is part
of the state, survives restarts, and goes back with a revert. A back-off is counted in calls of `supervise`: a supervisor that
runs once a block counts blocks.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias, cast

from actors.errors import CallRefused
from actors.keys import show_key
from actors.trap import Trap, TrapKind
from actors.values import show

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from actors.envelope import Limits
    from actors.heap import Heap
    from actors.keys import Key, Name
    from actors.process import Placement, Process

Then: TypeAlias = Literal["escalate", "give up"]
_THEN: Final = ("escalate", "give up")

#: How often a ladder tries where neither its gas nor its back-off says so.
_TRIES: Final = 3
#: In the place of the calls that are left to wait: no more tries.
_GIVEN_UP: Final = -1


@dataclasses.dataclass(frozen=True)
class Ladder:
    """How a child that trapped is started again.

    Args:
        gas: what it gets at each try, each time more; empty: no meter. A try that has no more than the child has used up
            already is left out.
        backoff: how many calls of `supervise` to wait before each try: 0 at once, 1 till the next call.
        tries: how many there are; as many as there are in `gas` or `backoff`, if not given, or else 3. Where there are
            more than these say, their last holds for the rest.
        then: what is done where none is left: "escalate", the error is raised in the supervisor, which traps with it
            unless it catches it; or "give up", the child stays as it is.
    """

    gas: tuple[int, ...] = ()
    backoff: tuple[int, ...] = ()
    tries: int | None = None
    then: Then = "escalate"

    def __post_init__(self) -> None:
        _check_gas("Ladder: gas", self.gas)
        if not _are_counts(self.backoff):
            raise CallRefused(
                f"Ladder: backoff is {self.backoff!r}; it is a tuple of how many calls to wait, each at least 0"
            )
        if self.tries is not None and (type(self.tries) is not int or self.tries < 0):
            raise CallRefused(f"Ladder: tries is {self.tries!r}; it is an int, at least 0")
        if self.then not in _THEN:
            raise CallRefused(f'Ladder: then is {self.then!r}; it is "escalate" or "give up"')

    @property
    def rungs(self) -> int:
        """How many tries there are."""
        return self.tries if self.tries is not None else max(len(self.gas), len(self.backoff)) or _TRIES

    def gas_at(self, rung: int) -> int | None:
        """Return what a try has; None: no meter."""
        return self.gas[min(rung, len(self.gas) - 1)] if self.gas else None

    def backoff_at(self, rung: int) -> int:
        """Return how many calls are waited before a try."""
        return self.backoff[min(rung, len(self.backoff) - 1)] if self.backoff else 0

    def next(self, rung: int, trap: Trap, changed: bool) -> int | None:
        """Return the first try from `rung` on that may end otherwise than this trap did; None: there is none."""
        for one in range(rung, self.rungs):
            if trap.kind is TrapKind.OUT_OF_GAS:
                gas = self.gas_at(one)
                if gas is not None and gas > trap.gas:
                    return one
            elif trap.kind is TrapKind.HOST_FAULT or changed or self.backoff_at(one):
                return one
        return None


class Supervised(NamedTuple):
    """What `supervise` found and did."""

    #: "done": it stopped well. "waiting": it is to be started again, at a later call. "given up": no try is left.
    state: Literal["done", "waiting", "given up"]
    #: Why it stopped last.
    trap: Trap
    #: How far the ladder was climbed: tries that were made, its first start not counted, and those that were left out.
    tries: int


class Supervision:
    """What a process has of these."""

    async def call(
        self,
        child: Name,
        program: type[Process] | None = None,
        /,
        *,
        gas: int | None = None,
        placement: Placement | None = None,
        limits: Limits | None = None,
        **values: Any,
    ) -> Any:
        """Put values into a child, start it, and return what it writes under "result".

        Args:
            child: its name; it is created if there is none. It stays, with its heap.
            program: what it runs; what it ran before, if not given.
            gas: what its meter is filled with, as for `put`.
            placement: where it runs, as for `put`.
            limits: what it may have, as for `put`.
            **values: put into its heap, by key.

        Raises:
            ChildFailed, OutOfGas: it trapped.
            MissingKey: it wrote no result.
            ProgramError: as PUT.
        """
        process = cast("Process", self)
        if program is None and isinstance(values.get("program"), type):
            raise CallRefused(
                f"call: a program is the second argument: call({child!r}, {values['program'].__name__}, …)"
            )
        await process.put(
            child,
            values,
            program=program,
            delete=("result",),
            start=True,
            gas=gas,
            placement=placement,
            limits=limits,
        )
        return await process.get(child, "result")

    async def retry(self, child: Name, gas: Sequence[int]) -> Trap:
        """Start a child that ran out of gas again with more, and more, until it is enough. Waits until it is stopped.

        Args:
            child: its name.
            gas: what it gets each time, each more than the one before; what is no more than it had already is left out.

        Returns:
            How it stopped in the end.

        Raises:
            ChildFailed, OutOfGas: it trapped, and not for want of gas, nor of its host; or the last was not enough.
            NoSuchChild: there is no such child.
            CallRefused: it was never started; or this is no such gas.
        """
        process = cast("Process", self)
        _check_gas("retry: gas", gas)
        ladder = Ladder(gas=tuple(gas))
        trap = await _started(process, "retry", child)
        rung = 0
        while trap.failed:
            found = ladder.next(rung, trap, changed=False) if ladder.gas else None
            if found is None:
                await process.get(child)
            else:
                rung = found + 1
                await process.put(child, start=True, gas=ladder.gas_at(found))
                trap = await process.status(child)
        return trap

    async def supervise(
        self, child: Name, ladder: Ladder, values: Mapping[Any, Any] | None = None, *, key: Key | None = None
    ) -> Supervised:
        """See to it that a child that trapped is started again. Waits until it is stopped.

        Args:
            child: its name.
            ladder: how.
            values: put into it before each try.
            key: where in this heap it stands how far the ladder was climbed; `("supervision", *path, child)` if not given,
                with this process's path. It is deleted when the child is done. One that was given up stays so: delete it
                to supervise another child of that name.

        Returns:
            Whether it stopped well, or is to wait, or was given up.

        Raises:
            ChildFailed, OutOfGas: no try is left, and the ladder says to escalate.
            NoSuchChild: there is no such child.
            CallRefused: it was never started; that is no ladder; or something else stands under the key.
        """
        process = cast("Process", self)
        if not isinstance(ladder, Ladder):
            raise CallRefused(f"supervise: {ladder!r} is no ladder; it is made as in Ladder(gas=(1_000, 10_000))")
        at = ("supervision", *process.path, child) if key is None else key
        trap = await _started(process, "supervise", child)
        tries, left = _stand(process.heap, at)
        while trap.failed:
            if left > 1:
                process.heap[at] = (tries, left - 1)
                return Supervised("waiting", trap, tries)
            rung = None if left == _GIVEN_UP else ladder.next(tries, trap, values is not None)
            if rung is None:
                process.heap[at] = (tries, _GIVEN_UP)
                if ladder.then == "escalate":
                    await process.get(child)
                return Supervised("given up", trap, tries)
            if not left and ladder.backoff_at(rung):
                process.heap[at] = (rung, ladder.backoff_at(rung))
                return Supervised("waiting", trap, tries)
            await process.put(child, values, start=True, gas=ladder.gas_at(rung))
            tries, left = rung + 1, 0
            trap = await process.status(child)
        if at in process.heap:
            del process.heap[at]
        return Supervised("done", trap, tries)


async def _started(process: Process, named: str, child: Name) -> Trap:
    """Return how a child stopped that was started some time."""
    trap = await process.status(child)
    if trap.kind is TrapKind.NEW:
        raise CallRefused(f"{named}: {child!r} was never started; start it with put(…, start=True)")
    return trap


def _stand(heap: Heap, at: Key) -> tuple[int, int]:
    """Return how many tries are behind, and how many calls are left to wait, as a heap has it."""
    found = heap.get(at, (0, 0))
    if type(found) is not tuple or [type(one) for one in found] != [int, int]:
        raise CallRefused(
            f"supervise: under the key {show_key(at)} there is {show(found)}, and not how far a ladder was climbed; "
            "pass another key=, which is used for that alone"
        )
    return found


def _are_counts(found: object) -> bool:
    return isinstance(found, (tuple, list)) and all(type(one) is int and one >= 0 for one in found)


def _check_gas(named: str, gas: Any) -> None:
    if not _are_counts(gas) or list(gas) != sorted(set(gas)):
        raise CallRefused(f"{named} is {gas!r}; it is a tuple of ints, each at least 0, and more than the one before")
