"""The kernel: the rules of the contract as a state machine. An event comes in, effects go out.

An event is something that a process did (made a call, returned, failed) or that the outside did (handed in a block).
`TRANSITIONS` says what is done with it, by the stage of the process and the kind of event; an event with no entry there
is a bug, and the error carries the story of the last ones. An effect is put on the agenda: resume this process with
that answer, or throw it an error. Whoever performs effects (runtime.stepper) reports what came of them as events.

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
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

from actors.calls import EVERYTHING, Call, Drop, Get, Now, Put, Ret, Snapshot, Status
from actors.changes import Changes, changes_of
from actors.errors import (
    CallRefused,
    ChildFailed,
    HostFault,
    HostTrouble,
    KernelBug,
    LimitExceeded,
    LockstepError,
    MissingKey,
    NoSuchChild,
    OutOfGas,
    ProgramError,
)
from actors.gas import CALLS as CALL_COSTS
from actors.gas import MOUNT, call_cost, read_cost
from actors.keys import Name, decode_key, encode_key, path_text, show_key
from actors.limits import NAMES_SHOWN_MAX, PROCESS_DEPTH_MAX, RECORDS_KEPT_MAX
from actors.memory import Formed, Memory, Slot, placed_error, to_slot, value_of
from actors.meter import Meter
from actors.region import Region, View
from actors.trap import Trap, TrapKind
from actors.tree import EMPTY, Tree
from actors.values import ABSENT
from runtime.events import ChildStopped, Closed, Ended, Failed, Input, Returned
from runtime.guards import here
from runtime.journal import Resumed
from runtime.metering import closing, original
from runtime.record import AT_TOP, DRAWS, NO_JOURNAL, READY, RUNNING, STAGES, STOPPED, WAITING, Record, Start
from runtime.state import child_names, child_state, freeze, freeze_children, thaw

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from actors.calls import Copied
    from actors.envelope import Limits
    from actors.keys import Path
    from actors.process import Process, Root
    from runtime.events import Effect, Event, Fault

_log = logging.getLogger("lockstep.kernel")


_STORY_EVENTS: Final = 32


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
            _copy(root.memory, entries)
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
            raise self._bug("the state is asked for in the middle of a block")
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
            metered = self._charge(record, event)
            if metered is None:
                return self._out_of_gas(record)
            event = metered
        transition = TRANSITIONS[record.stage].get(type(event))
        if transition is None:
            raise self._bug(
                f"{path_text(record.path)} is {STAGES[record.stage]}, where {type(event).__name__} has no place"
            )
        return transition(self, record, event)

    def begun(self, record: Record) -> bool:
        """Note that an effect of the agenda is being performed. False: the process is gone, leave it."""
        if not self.alive(record):
            return False
        if record.stage == READY:
            if self._begins_elsewhere(record):
                return False
            record.stage = RUNNING
            if record.fill is not None or record.meter is not None:
                self._fill(record)
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
                if not (effect[0].stage == READY and self.alive(effect[0]) and self._begins_elsewhere(effect[0]))
            ]
            self.agenda.clear()
            self.agenda.extend(rest)

    def _begins_elsewhere(self, record: Record) -> bool:
        if self.elsewhere is None or record.parent is None or not self.elsewhere(record):
            return False
        record.stage = RUNNING
        self.end_activation(record)
        return True

    def alive(self, record: Record) -> bool:
        """Whether a process is still there."""
        return not self.orphans or record.alive()

    def _answer(self, record: Record, answer: Any) -> Effect:
        """Answer a call: the caller goes on, with the answer in its journal."""
        record.journal.append(answer)
        return (record, answer, None)

    def _refuse(self, record: Record, error: LockstepError) -> Effect:
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

    # --- PUT ---

    def _put(self, record: Record, call: Put) -> Effect | None:
        journal = record.journal
        if len(journal) >= record.items_max:
            return self._journal_full(record)
        journal.append(call)
        return self._do_put(record, call)

    def _do_put(self, record: Record, call: Put) -> Effect | None:
        name = call.child
        child = record.children.get(name) or self.fetch(record, name)
        if call.start and call.program is None and (child is None or child.program is None):
            told = f"{path_text((*record.path, name))} has no program to start; pass program= with the PUT"
            return self._refuse(record, ProgramError(told))
        if child is None and len(record.path) >= PROCESS_DEPTH_MAX:
            told = (
                f"{path_text(record.path)} is {PROCESS_DEPTH_MAX} processes deep, which is the limit; "
                "let a process further up have the child"
            )
            return self._refuse(record, LimitExceeded(told))
        if child is not None and not child.settled and not self._settled(record, child, call):
            return None
        limits = _limits_of(record, child, call)
        if child is None and record.limits is not None and (refused := self._no_more_children(record)) is not None:
            return self._refuse(record, refused)
        memory = Memory() if child is None else child.memory
        refused = _too_large(memory, call, limits)
        if refused is not None:
            return self._refuse(record, placed_error(path_text((*record.path, name)), refused))
        if call.start and call.gas is not None and record.meter is not None:
            record.meter.owed += call.gas
            if record.meter.exhausted:
                return self._out_of_gas(record)
        if child is None:
            child = record.adopt(Record(record, name, memory))
            self._records += 1
            if record.offspring is not None:
                record.offspring += 1
        if limits is not child.limits:
            child.limit(limits)
        self.perform(child, call)
        record.journal.append(None)
        return (record, None, None)

    def perform(self, child: Record, call: Put) -> None:
        """Perform a PUT, all checks of which were made, on a child that is stopped."""
        if not child.dirty:
            child.touch()
        if call.program is not None:
            child.program = call.program
            self._reset(child)
        if call.start and EVERYTHING in call.delete:
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
            self._start(child)

    def _reset(self, record: Record) -> None:
        """Set a control state to the top of `run`."""
        if record.middle:
            record.middle = False
            record.journal = []
            record.journal_saved = (EMPTY, 0)
            record.begin = record.stopped_at = None
            self.end_activation(record)
        record.trap, record.error = TrapKind.NEW, None
        self.failures.pop(record, None)

    def _start(self, record: Record) -> None:
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
            _open_journal(record)
            record.start = Start(children, [], 0, False, None, None) if len(children) else AT_TOP
        memory.take_snapshot()
        if self.failures:
            self.failures.pop(record, None)
        record.started = True
        record.settled = False
        record.stage = READY
        record.error, record.used, record.ran = None, 0, None
        # Elsewhere it may begin at once, while its parent goes on.
        if not record.held and not self._begins_elsewhere(record):
            self.agenda.append((record, answer, None))

    # --- GET, STATUS, DROP ---

    def _get(self, record: Record, call: Get) -> Effect | None:
        journal = record.journal
        if len(journal) >= record.items_max:
            return self._journal_full(record)
        journal.append(call)
        return self._do_get(record, call)

    def _do_get(self, record: Record, call: Get) -> Effect | None:
        child = record.children.get(call.child) or self.fetch(record, call.child)
        if child is None:
            return self._refuse(record, self._no_such_child(record, call.child))
        if not child.settled and not self._settled(record, child, call):
            return None
        trap = child.trap
        if trap in RAISED:
            return self._refuse(record, RAISED[trap](path_text(child.path), child.error or "", child.used))
        wanted = call.wanted
        if not wanted:
            return self._answer(record, changes_of(child.memory))
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
                return self._refuse(record, MissingKey(path_text(child.path), key))
            if record.meter is not None:
                record.meter.owed += read_cost(slot)
            got.append(slot.value if type(slot) is Formed else slot)
        return self._answer(record, got[0] if len(got) == 1 else tuple(got))

    def _status(self, record: Record, call: Status) -> Effect | None:
        journal = record.journal
        if len(journal) >= record.items_max:
            return self._journal_full(record)
        journal.append(call)
        return self._do_status(record, call)

    def _do_status(self, record: Record, call: Status) -> Effect | None:
        child = record.children.get(call.child) or self.fetch(record, call.child)
        if child is None:
            return self._refuse(record, self._no_such_child(record, call.child))
        if not child.settled and not self._settled(record, child, call):
            return None
        return self._answer(record, Trap(child.trap, child.error, child.used, child.middle))

    def _drop(self, record: Record, call: Drop) -> Effect | None:
        journal = record.journal
        if len(journal) >= record.items_max:
            return self._journal_full(record)
        journal.append(call)
        child = record.children.get(call.child) or self.fetch(record, call.child)
        if child is None:
            return self._refuse(record, self._no_such_child(record, call.child))
        del record.children[call.child]
        if len(record.retained):
            record.retained = record.retained.graft(encode_key(call.child), EMPTY)
        if record.offspring is not None:
            record.offspring -= 1
        if not child.settled and record.meter is None and child.gas is not None:
            # Nobody will ever know what it used of it.
            record.used += max(child.gas, 0)
        self.orphans = self.orphans or not child.settled or bool(child.children)
        self.losses += 1
        self.failures.pop(child, None)
        self._gone.append(child)
        return self._answer(record, None)

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

    def _no_such_child(self, record: Record, name: Name) -> NoSuchChild:
        known = sorted({*record.children, *_first_names(record)}, key=encode_key)
        more = len(known) > NAMES_SHOWN_MAX
        return NoSuchChild(path_text(record.path), name, known[:NAMES_SHOWN_MAX], more)

    def _settled(self, record: Record, child: Record, call: Call) -> bool:
        """Settle a child that has stopped; else let the caller wait: the call is performed when the child stops."""
        if child.stage != STOPPED:
            if child.held:
                self._let_draw(record, child)
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
        if self.turns is None and child.program.host_may_fail:
            self.turns = {}
        if self.turns is not None:
            turn = self.turns.get(child.path, 0)
            self.turns[child.path] = turn + 1
            if child.trap is TrapKind.HOST_FAULT:
                self.faults.append((child.path, turn, child.error or ""))
        return True

    def _child_stopped(self, record: Record, event: ChildStopped) -> Effect | None:
        call = record.pending
        record.pending = None
        record.stage = RUNNING
        if record.meter is not None:
            child = record.children[call.child]  # type: ignore[union-attr]
            if child.gas == DRAWS and child.trap is TrapKind.OUT_OF_GAS:
                # What it had was all that there is here.
                return self._out_of_gas(record)
        return _AGAIN[type(call)](self, record, call)

    # --- meters ---

    def _fill(self, record: Record) -> None:
        """Fill the meter of a process that begins; or take it away, where it has none this time."""
        if record.activation is not None and (record.meter is None) is not (record.fill is None):
            # The coroutine is of the other kind; it is made again from the journal.
            self.end_activation(record)
        if record.fill is None:
            record.meter = None
        elif record.meter is None:
            record.meter = Meter(record.fill)
        else:
            record.meter.fill(record.fill)

    def _charge(self, record: Record, event: Event) -> Event | None:
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

    def _out_of_gas(self, record: Record) -> Effect | None:
        return self._trapped(record, TrapKind.OUT_OF_GAS, OutOfGas.__name__, None)

    def _let_draw(self, record: Record, child: Record) -> None:
        """Let a child begin that runs on whatever its parent has left."""
        if record.meter is not None:
            child.fill = record.meter.left
            record.meter.owed += child.fill
            child.lent = (record.meter.filling, child.fill)
        self.let_begin(child)

    def let_begin(self, record: Record) -> None:
        """Put a process that was held back on the agenda."""
        record.held = False
        self.agenda.append((record, record.journal[-1] if record.middle else None, None))

    def _now(self, record: Record, call: Now) -> Effect | None:
        journal = record.journal
        if len(journal) >= record.items_max:
            return self._journal_full(record)
        journal.append(call)
        if record.time is None:
            told = f"now: the block in which {path_text(record.path)} was started has no time; put it into the block's input"
            return self._refuse(record, CallRefused(f"{told}, under Root.time_key"))
        return self._answer(record, record.time)

    # --- limits ---

    def _no_more_children(self, record: Record) -> LimitExceeded | None:
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

    # --- RET, SNAPSHOT, the end of run ---

    def _ret(self, record: Record, call: Ret) -> Effect | None:
        journal = record.journal
        if len(journal) >= record.items_max:
            return self._journal_full(record)
        journal.append(call)
        if journal is NO_JOURNAL:
            return self._refuse(record, _in_one_piece(record, "ret"))
        if record.parent is None:
            told = "ret: the root has no parent to return to; close the block with snapshot()"
            return self._refuse(record, CallRefused(told))
        self._stop_in_the_middle(record)
        return self._stopped(record, TrapKind.RETURNED)

    def _snapshot(self, record: Record, call: Snapshot) -> Effect | None:
        journal = record.journal
        if len(journal) >= record.items_max:
            return self._journal_full(record)
        journal.append(call)
        if record.parent is not None:
            return self._refuse(record, CallRefused(f"snapshot: {path_text(record.path)} is not the root"))
        if journal is NO_JOURNAL:
            return self._refuse(record, _in_one_piece(record, "snapshot"))
        self._stop_in_the_middle(record)
        self._close(call.data, call.region)
        return None

    def _stop_in_the_middle(self, record: Record) -> None:
        if record.begin is None:
            record.begin = record.memory.snapshot()
        record.middle = True
        record.stopped_at = record.memory.fold()
        if self.forget:
            _note_used(record)
            self.end_activation(record)

    def _returned(self, record: Record, event: Returned) -> Effect | None:
        if record.parent is None:
            try:
                data = to_slot(event.value)
            except ProgramError as error:
                self._root_failed(error)
                return None
        elif event.value is not None:
            told = (
                f"{path_text(record.path)}: run returned {type(event.value).__name__}, which goes nowhere; "
                "write results into the heap, where the parent gets them, and return nothing"
            )
            return self._failed(record, Failed(ProgramError(told)))
        record.activation = None
        if record.parent is None:
            _at_top(record)
            self._close(data, None)
            return None
        return self._at_its_end(record)

    def _at_its_end(self, record: Record) -> Effect | None:
        _at_top(record)
        return self._stopped(record, TrapKind.RETURNED)

    def _ended(self, record: Record, event: Ended) -> Effect | None:
        record.used, record.ran = event.used, set(event.ran) or None
        if self.turns is not None:
            for path, turns in event.turns.items():
                self.turns[path] = self.turns.get(path, 0) + turns
        if event.error is not None:
            return self._trapped(record, event.trap, event.error, event.failure)
        self._leave_children(record)
        if event.state is None:
            record.retained = EMPTY
            record.memory.writes.update(event.writes)
            if record.memory.quota is not None:
                record.memory.quota.forget()
            return self._at_its_end(record)
        now = thaw(event.state, record.parent, record.name)
        record.memory.become(now.memory)
        record.middle, record.begin, record.stopped_at = now.middle, now.begin, now.stopped_at
        record.journal, record.journal_saved, record.retained = now.journal, now.journal_saved, now.retained
        return self._stopped(record, TrapKind.RETURNED)

    def _leave_children(self, record: Record) -> None:
        """Let go of the children at hand: those in `retained` are the ones that there are."""
        if record.children:
            self.orphans = True
            self.losses += 1
            self._gone.extend(record.children.values())
            record.children = {}
        record.dirty_children = None
        record.offspring = None

    def _stopped(self, record: Record, trap: TrapKind) -> Effect | None:
        """Note that a process has stopped; a parent that waits for it goes on at once."""
        record.stage = STOPPED
        record.trap = trap
        _note_used(record)
        if not record.awaited:
            return None
        record.awaited = False
        assert record.parent is not None
        return self.handle(record.parent, _CHILD_STOPPED)

    def _close(self, data: Slot, region: bytes | None) -> None:
        root = self.root
        root.stage = STOPPED
        root.trap = TrapKind.RETURNED
        root.input_at = region
        assert root.program is not None
        programs = {root.program, *(root.ran or ())}
        faults = sorted(self.faults, key=lambda fault: ([encode_key(name) for name in fault[0]], fault[1]))
        self.closed = Closed(data, root.used, frozenset(programs), tuple(faults))

    # --- failure ---

    def _failed(self, record: Record, event: Failed) -> Effect | None:
        if record.parent is None:
            self._root_failed(event.error)
            return None
        if isinstance(event.error, HostTrouble):
            # How far it came is not a matter of the inputs, so it is not paid for; and so it is where the block is verified.
            record.meter, record.used, record.ran = None, 0, None
            return self._trapped(record, TrapKind.HOST_FAULT, event.error.error, event.error)
        return self._trapped(record, TrapKind.FAILED, type(event.error).__name__, event.error)

    def _trapped(self, record: Record, trap: TrapKind, error: str, failure: BaseException | None) -> Effect | None:
        """Take a process back to its last start, with all below it."""
        _note_used(record)
        self.end_activation(record)
        start = record.start
        record.memory.revert()
        self._leave_children(record)
        record.retained = start.children
        if record.journal:
            del record.journal[start.items :]
        if record.journal_saved[1] > start.items:
            record.journal_saved = (EMPTY, 0)
        record.middle, record.begin, record.stopped_at = start.middle, start.begin, start.stopped_at
        record.error = error
        if failure is not None:
            self.failures[record] = failure
        _log.info("%s failed with %s", path_text(record.path), record.error, exc_info=failure)
        return self._stopped(record, trap)

    def _root_failed(self, error: BaseException) -> None:
        self.root.stage = STOPPED
        self.failed = error

    def end_activation(self, record: Record) -> None:
        """Forget the coroutine of a process; it is made again from the journal when it is needed."""
        activation, record.activation = record.activation, None
        metered, record.meter = record.meter is not None, None
        if activation is not None:
            # What it writes on its way out must go nowhere.
            record.memory = record.memory.copy()
            with closing() if metered else nullcontext():
                _close_coroutine(activation, record.program)

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
            raise self._bug("an input for a process that is not the root")
        self.closed = self.failed = None
        self.faults = []
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
            _open_journal(record)
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

    def _bug(self, what: str) -> KernelBug:
        lines = [f"  {path_text(record.path)}: {type(event).__name__}" for record, event in self._story]
        return KernelBug("\n".join([what, "the last events were:", *lines]))

    def check(self) -> None:
        """Check the invariants of all records, for tests."""
        self.root.check()


def _apply(memory: Memory, call: Put) -> None:
    """Delete and copy what a PUT says."""
    for prefix, low, high, single in call.delete:
        if not single:
            memory.clear(prefix, low, high)
        elif memory.read(prefix) is not ABSENT:
            memory.delete(prefix)
    _copy(memory, call.values)


def _copy(memory: Memory, values: Iterable[Copied]) -> None:
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


def _note_used(record: Record) -> None:
    if record.meter is not None:
        record.used = record.meter.used


def _limits_of(record: Record, child: Record | None, call: Put) -> Limits | None:
    """Return the limits that a child has once a PUT is performed."""
    if call.limits is not None:
        return call.limits.within(record.limits)
    if child is not None:
        return child.limits
    return None if record.limits is None else record.limits.below()


def _too_large(memory: Memory, call: Put, limits: Limits | None) -> LimitExceeded | None:
    """Return the error for a PUT that would break a limit of the child's heap."""
    if limits is not None:
        memory = memory.copy()
        memory.limit(limits)
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


def _at_top(record: Record) -> None:
    """Set a control state to where nothing is ever replayed for it."""
    if record.journal:
        record.journal = []
    if record.begin is not None:
        record.middle = False
        record.begin = record.stopped_at = None
        record.journal_saved = (EMPTY, 0)


def _open_journal(record: Record) -> None:
    """Give a process that begins at the top of `run` the kind of journal that its program keeps."""
    assert record.program is not None
    if not record.program.journal and (record.limits is None or record.limits.calls is None):
        record.journal = NO_JOURNAL
    elif record.journal is NO_JOURNAL:
        record.journal = []


def _in_one_piece(record: Record, call: str) -> CallRefused:
    assert record.program is not None
    return CallRefused(
        f"{call}: {record.program.__qualname__} keeps no journal, so that it cannot stop in the middle; "
        "let run return, or take journal = False out of it"
    )


def _idle(record: Record) -> bool:
    return record.settled and not record.dirty and not record.middle and not record.children


def _view(child: Record, region: Region) -> View:
    tree = child.memory.fold().extract(encode_key(region.prefix)).cut(*region.bounds())
    return View(tree, f"{region!r} of {path_text(child.path)}")


def _first_names(record: Record) -> list[Name]:
    names = child_names(record.retained)
    return [name for _, name in zip(range(NAMES_SHOWN_MAX + 1), names, strict=False)]


def _close_coroutine(activation: Any, program: type[Process] | None) -> None:
    """End a coroutine, inside the fence; what it raises or awaits on its way out concerns nobody any more."""
    fence = here.cell
    fence.program = program
    try:
        activation.close()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        _log.debug("a process that was ended raised %s on its way out", type(error).__name__)
    finally:
        fence.program = None


_CHILD_STOPPED: Final = ChildStopped()

#: What a GET of a child that trapped raises.
RAISED: Final[dict[TrapKind, type[ChildFailed]]] = {
    TrapKind.FAILED: ChildFailed,
    TrapKind.OUT_OF_GAS: OutOfGas,
    TrapKind.HOST_FAULT: HostFault,
}

#: What becomes of a call whose caller had to wait.
_AGAIN: Final[dict[Any, Callable[[Kernel, Record, Any], Effect | None]]] = {
    Put: Kernel._do_put,
    Get: Kernel._do_get,
    Status: Kernel._do_status,
}

#: What is done with an event, by the stage of the process that it is about and the type of the event.
TRANSITIONS: Final[dict[int, dict[type, Callable[[Kernel, Record, Any], Effect | None]]]] = {
    STOPPED: {Input: Kernel._input},
    READY: {},
    RUNNING: {
        Put: Kernel._put,
        Get: Kernel._get,
        Status: Kernel._status,
        Drop: Kernel._drop,
        Now: Kernel._now,
        Ret: Kernel._ret,
        Snapshot: Kernel._snapshot,
        Returned: Kernel._returned,
        Failed: Kernel._failed,
        Ended: Kernel._ended,
    },
    WAITING: {ChildStopped: Kernel._child_stopped},
}
