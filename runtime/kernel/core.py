"""The kernel: the rules of the contract as a state machine. An event comes in, effects go out.

An event is something that a process did (made a call, returned, failed) or that the outside did (handed in a block).
`CALLS` and `TRANSITIONS` say what is done with it, by the stage of the process and the kind of event; what has no entry
there is a bug, and the error carries the story of the last ones. An effect is put on the agenda: resume this process with
that answer, or throw it an error. Whoever performs effects (runtime.stepper) reports what came of them as events.

Here are the machine's state, the agenda, and blocks. What is done with each event stands beside: `puts`, `gets` (and how a
parent waits), `stops` (and what ends in a trap), `meters` (and limits), `endings` (of coroutines).

Architecture invariants:
- The kernel performs nothing: it awaits nothing, reads no clock, runs no line of a program.
- Every check of a call comes before its first effect; a refused call has changed nothing.
- Waits run down the tree alone, so there is no deadlock and no order in which effects are performed that shows.
- A process that its parent has not waited for since its start is in the state as it was at that start.
- An activation that runs elsewhere (on a worker) is one event when it is over: nothing between shows.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from actors.calls import Drop, Get, Now, Put, Ret, Snapshot, Status
from actors.changes import Changes
from actors.errors import KernelBug, LimitExceeded, LockstepError
from actors.failures import behind, cause_of
from actors.keys import Name, encode_key, path_text
from actors.limits import RECORDS_KEPT_MAX
from actors.memory import Memory, Slot, placed_error, value_of
from actors.trap import TrapKind
from runtime.events import ChildStopped, Closed, Ended, Failed, Input, Returned
from runtime.journal import Resumed
from runtime.kernel.endings import end
from runtime.kernel.gets import drop, get, status
from runtime.kernel.meters import charge, fill, now, out_of_gas
from runtime.kernel.puts import copy_in, put
from runtime.kernel.stops import RAISED, ended, failed, ret, returned, snapshot
from runtime.record import DRAWS, READY, RUNNING, STAGES, STOPPED, WAITING, Record
from runtime.state import child_state, freeze, thaw

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.keys import Path
    from actors.process import Root
    from actors.region import View
    from actors.tree import Tree
    from runtime.events import Effect, Event, Fault

_log = logging.getLogger("lockstep.kernel")


_STORY_EVENTS: Final = 32
_FAILURES_DROPPED: Final = 64


class Kernel:
    """The processes of one machine.

    Args:
        root: the root's record.
    """

    def __init__(self, root: Record) -> None:
        self.root = root
        #: What is to be performed; the first is the most urgent.
        self.agenda: deque[Effect] = deque()
        #: Takes over a process that is to begin, and has its `Ended` handled when it is over; or says no.
        self.elsewhere: Callable[[Record], bool] | None = None
        #: Host faults of which a parent learned in this block, and those that there were when it was first made.
        self.faults: list[Fault] = []
        self.recorded: dict[tuple[Path, int], str] = {}
        #: How often each process was waited for in this block; None where no host can fail.
        self.turns: dict[Path, int] | None = None
        #: Set when the root closes its block, and when it fails.
        self.closed: Closed | None = None
        self.failed: BaseException | None = None
        #: Whether something running was dropped or reverted, so that effects for it may still be on the agenda.
        self.orphans = False
        #: How many were, one above them all counted once: whoever runs some of them elsewhere looks when this grows.
        self.losses = 0
        #: Whether to forget the coroutine of every process that stops in the middle, so that each is restored; for tests.
        self.forget = False
        #: The exceptions behind the children's last failures, for people: by record.
        self.failures: dict[Record, BaseException] = {}
        #: Those of children that were dropped in this block, by path: the last ones.
        self.failures_dropped: deque[tuple[str, BaseException]] = deque(maxlen=_FAILURES_DROPPED)
        #: Dropped or reverted; their coroutines are ended when the block is, so that a drop costs the same whatever its size.
        self._gone: list[Record] = []
        #: About how many processes have a record.
        self._records = 1
        self._story: deque[tuple[Record, Event]] = deque(maxlen=_STORY_EVENTS)

    # --- genesis, state ---

    @staticmethod
    def genesis(program: type[Root], entries: list[tuple[bytes, Slot | View]]) -> Kernel:
        """Return the machine before its first block: a root that was never started, on a heap of these entries.

        Raises:
            LimitExceeded: they are too many.
        """
        root = Record(None, "", Memory())
        root.program = program
        try:
            copy_in(root.memory, entries)
        except LimitExceeded as error:
            raise placed_error("the genesis of /", error) from None
        return Kernel(root)

    @staticmethod
    def load(state: Tree) -> Kernel:
        """Return the machine of a state. Reads a few nodes."""
        return Kernel(thaw(state, None, ""))

    def state(self) -> Tree:
        """Return the state of the whole machine, which must stand between blocks. O(what changed)."""
        if self.root.stage != STOPPED:
            raise self.bug("the state is asked for in the middle of a block")
        self._end_gone()
        state = freeze(self.root)
        if self._records > RECORDS_KEPT_MAX:
            self._shed()
        return state

    def _shed(self) -> None:
        """Let go of the records of idle processes: they are in the state, and come back from there when asked for."""
        order = [self.root]
        for record in order:
            order.extend(record.children.values())
        for record in reversed(order):
            record.children = {name: child for name, child in record.children.items() if not _idle(child)}
        self._records = sum(len(record.children) for record in order)
        if self.failures:
            self.failures = {record: failure for record, failure in self.failures.items() if record.alive()}

    # --- events ---

    def handle(self, record: Record, event: Event) -> Effect | None:
        """Do what the contract says about an event.

        Returns:
            The effect that is to be performed first, if there is one; all others are on the agenda.
        """
        self._story.append((record, event))
        if record.meter is not None:
            metered = charge(self, record, event)
            if metered is None:
                return out_of_gas(self, record)
            event = metered
        call = CALLS.get(type(event))
        if call is not None and record.stage == RUNNING:
            journal = record.journal
            if len(journal) >= record.items_max:
                return self._journal_full(record)
            journal.append(event)
            return call(self, record, event)
        transition = TRANSITIONS[record.stage].get(type(event))
        if transition is None:
            raise self.bug(
                f"{path_text(record.path)} is {STAGES[record.stage]}, where {type(event).__name__} has no place"
            )
        return transition(self, record, event)

    def begun(self, record: Record) -> bool:
        """Note that an effect of the agenda is being performed. False: the process is gone, leave it."""
        if not self.alive(record):
            return False
        if record.stage == READY:
            if self.begins_elsewhere(record):
                return False
            record.stage = RUNNING
            if record.fill is not None or record.meter is not None:
                fill(self, record)
            if self.recorded and self._fails_again(record):
                return False
        return True

    def _fails_again(self, record: Record) -> bool:
        """End an activation at once whose host failed when this block was first made."""
        assert self.turns is not None
        error = self.recorded.get((record.path, self.turns.get(record.path, 0)))
        if error is None:
            return False
        self.take(record, Ended(TrapKind.HOST_FAULT, error, None, 0, frozenset(), {}, None, {}))
        return True

    def take(self, record: Record, event: Ended) -> None:
        """Handle the end of an activation that ran elsewhere; what follows is on the agenda."""
        effect = self.handle(record, event)
        if effect is not None:
            self.agenda.append(effect)

    def hand_out(self) -> None:
        """Let what is still to begin, and nobody waits for, begin elsewhere where it may: the block is over."""
        if self.elsewhere is not None:
            rest = [
                effect
                for effect in self.agenda
                if not (effect[0].stage == READY and self.alive(effect[0]) and self.begins_elsewhere(effect[0]))
            ]
            self.agenda.clear()
            self.agenda.extend(rest)

    def begins_elsewhere(self, record: Record) -> bool:
        if self.elsewhere is None or record.parent is None or not self.elsewhere(record):
            return False
        record.stage = RUNNING
        self.end_activation(record)
        return True

    def alive(self, record: Record) -> bool:
        """Whether a process is still there."""
        return not self.orphans or record.alive()

    def answer(self, record: Record, answer: Any) -> Effect:
        """Answer a call: the caller goes on, with the answer in its journal."""
        record.journal.append(answer)
        return (record, answer, None)

    def refuse(self, record: Record, error: LockstepError) -> Effect:
        """Answer a call by throwing."""
        record.journal.append(error)
        return (record, None, error)

    def _journal_full(self, record: Record) -> Effect:
        """Refuse one call too many; it is not in the journal, for no replay ever comes this far."""
        error = LimitExceeded(
            f"{path_text(record.path)} made {record.items_max // 2} system calls in one activation, which is the limit; "
            "return, keep what is to be known in the heap, and go on at the next start"
        )
        return (record, None, error)

    # --- finding and waiting ---

    def fetch(self, record: Record, name: Name) -> Record | None:
        """Return a child that is in the state only, or None; one that is pending there is set running."""
        if not len(record.retained):
            return None
        state = child_state(record.retained, name)
        if state is None:
            return None
        child = record.adopt(thaw(state, record, name))
        self._records += 1
        if child.stage == READY:
            answer = None
            if child.middle:
                assert child.stopped_at is not None
                answer = Changes(None, child.stopped_at, child.memory.fold())
                child.journal.append(answer)
            if not child.held:
                self.agenda.append((child, answer, None))
        return child

    def _child_stopped(self, record: Record, event: ChildStopped) -> Effect | None:
        call = record.pending
        record.pending = None
        record.stage = RUNNING
        if record.meter is not None:
            child = record.children[call.child]  # type: ignore[union-attr]
            if child.gas == DRAWS and child.trap is TrapKind.OUT_OF_GAS:
                # What it had was all that there is here.
                return out_of_gas(self, record)
        return CALLS[type(call)](self, record, call)

    def let_begin(self, record: Record) -> None:
        """Put a process that was held back on the agenda."""
        record.held = False
        self.agenda.append((record, record.journal[-1] if record.middle else None, None))

    def explain(self, error: BaseException) -> None:
        """Put the exceptions that ended children behind the errors by which their parents learned of it, for people."""
        known = dict(self.failures_dropped)
        known.update((path_text(record.path), failure) for record, failure in self.failures.items())
        at: BaseException | None = error
        seen: list[BaseException] = []
        while at is not None and not any(at is one for one in seen):
            seen.append(at)
            if type(at) in RAISED.values() and cause_of(at) is None:
                at.__cause__ = known.pop(at.path, None)  # type: ignore[attr-defined]
            at = behind(at)

    # --- coroutines ---

    def end_activation(self, record: Record) -> None:
        """Forget the coroutine of a process; it is made again from the journal when it is needed."""
        if record.activation is None:
            record.context = record.meter = None
            return
        # In a list, from which the last reference can be taken.
        ending, record.activation = [record.activation], None
        context, record.context = record.context, None
        metered, record.meter = record.meter is not None, None
        # What it writes on its way out must go nowhere.
        record.memory = record.memory.copy()
        end(ending, record, context, metered)

    def _end_gone(self) -> None:
        """End the coroutines of what was dropped or reverted, descendants included."""
        gone, self._gone = self._gone, []
        for record in gone:
            gone.extend(record.children.values())
            self.end_activation(record)

    # --- blocks ---

    def _input(self, record: Record, event: Input) -> None:
        """Begin a block: the input goes into its region, and the root goes on.

        Raises:
            LimitExceeded: the root's heap has no room for it; this machine is not to be used any more.
        """
        if record.parent is not None or record is not self.root:
            raise self.bug("an input for a process that is not the root")
        self.closed = self.failed = None
        self.faults = []
        self.failures_dropped.clear()
        if self.turns is not None:
            self.turns = {}
        memory = record.memory
        assert record.program is not None
        region = record.input_at
        if region is None:
            region = encode_key(record.program.input_region)  # type: ignore[attr-defined]
        memory.clear(region, None, None)
        try:
            memory.write({region + key: slot for key, slot in event.entries})
        except LimitExceeded as error:
            raise placed_error("the block's input, /", error) from None
        answer = None
        if not record.middle:
            record.open_journal()
        else:
            assert record.stopped_at is not None
            answer = value_of(event.value)
            record.journal.append(Resumed(answer, Changes(None, record.stopped_at, memory.fold())))
        memory.take_snapshot()
        record.stage = READY
        record.used, record.ran = 0, None
        time_key = encode_key(record.program.time_key)  # type: ignore[attr-defined]
        record.time = next((value_of(slot) for key, slot in event.entries if key == time_key), None)
        self.agenda.appendleft((record, answer, None))

    def end(self) -> None:
        """End every coroutine; the processes are forgotten."""
        self.agenda.clear()
        self._end_gone()
        stack = [self.root]
        while stack:
            record = stack.pop()
            self.end_activation(record)
            stack.extend(record.children.values())

    # --- bugs ---

    def bug(self, what: str) -> KernelBug:
        """Return the error for a rule that is broken, with the story of the last events."""
        lines = [f"  {path_text(record.path)}: {type(event).__name__}" for record, event in self._story]
        return KernelBug("\n".join([what, "the last events were:", *lines]))

    def check(self) -> None:
        """Check the invariants of all records, for tests."""
        self.root.check()


def _idle(record: Record) -> bool:
    return record.settled and not record.dirty and not record.middle and not record.children


#: How a system call is performed, by its type: when it is made, and again when the child has stopped for which it waited.
CALLS: Final[dict[type, Callable[[Kernel, Record, Any], Effect | None]]] = {
    Put: put,
    Get: get,
    Status: status,
    Drop: drop,
    Now: now,
    Ret: ret,
    Snapshot: snapshot,
}

#: What is done with any other event, by the stage of the process that it is about and the type of the event.
TRANSITIONS: Final[dict[int, dict[type, Callable[[Kernel, Record, Any], Effect | None]]]] = {
    STOPPED: {Input: Kernel._input},
    READY: {},
    RUNNING: {Returned: returned, Failed: failed, Ended: ended},
    WAITING: {ChildStopped: Kernel._child_stopped},
}
