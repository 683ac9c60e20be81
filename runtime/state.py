"""The state of a process, and so of the whole machine, as one tree: what the state root is the root of.

The machine's state is a heap like any other: the state of a process is a tree in which its heap, its children's states
and the rest are regions, mounted by reference. So a snapshot of everything is one root, a fork shares all it can, a
proof is one path from a key up to the state root, and two blocks are compared by walking what differs.

    p                  the control value, below
    h key…             the heap
    s key…             the heap's snapshot, where the process was started and has been waited for
    b key…             the heap with which the activation began     ┐
    r key…             the heap as it was at that RET               ├ where it stands in the middle of `run`
    j number…          the journal (runtime.journal)                ┘
    c name …           a child's state: this same layout again, behind the child's encoded name

    control value: (program or None, whether it was ever started, pending, kind of trap, error or None, used, middle, gas of
                    its last start or None, input region or None, items of the journal) and then, where it has either:
                    (time of its start or None, limits or None)

A process that was started and that its parent has not waited for since is *pending*: what stands here is what it was
when it was started, whether it has run since or not.

The root's snapshot is not kept: nothing can ask for it, for a root that fails makes no block.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from actors.envelope import Limits
from actors.errors import CodecError, StoreDamaged
from actors.goals import CHILD, CONTROL, HEAP
from actors.keys import Name, Path, decode_element, encode_key, path_text, read_key
from actors.memory import Memory
from actors.trap import TrapKind
from actors.tree import EMPTY, Tree
from actors.values import decode, encode
from runtime import journal
from runtime.programs import find, identity
from runtime.record import DRAWS, READY, Record, Start

if TYPE_CHECKING:
    from collections.abc import Iterator

SNAPSHOT: Final = b"s"
BEGIN: Final = b"b"
STOPPED_AT: Final = b"r"
JOURNAL: Final = b"j"


#: So many fields every control value has.
_ALWAYS: Final = 10


class Control(NamedTuple):
    """The control value."""

    program: str | None
    started: bool
    pending: bool
    trap: int
    error: str | None
    used: int
    middle: bool
    gas: int | None
    input_at: bytes | None
    journal: int
    time: Any = None
    limits: tuple[int | None, ...] | None = None


# --- writing -------------------------------------------------------------------------------------------------------


def freeze(record: Record) -> Tree:
    """Return the state of a process. O(what changed in it and below it since the last time)."""
    pending = not record.settled
    start = record.start
    memory = record.memory
    values: dict[bytes, bytes] = {}
    parts: dict[bytes, Tree] = {}
    with_snapshot = record.started and not pending and record.parent is not None
    few = memory.few()
    if few is not None:
        for key, now, then in few:
            shown = then if pending else now
            if shown is not None:
                values[HEAP + key] = shown
            if with_snapshot and then is not None:
                values[SNAPSHOT + key] = then
    else:
        parts[HEAP] = memory.snapshot() if pending else memory.fold()
        if with_snapshot:
            parts[SNAPSHOT] = memory.snapshot()
    if pending:
        children, calls, items, middle = start.children, start.journal, start.items, start.middle
        begin, stopped_at = start.begin, start.stopped_at
    else:
        children, middle = freeze_children(record), record.middle
        calls, items = record.journal, len(record.journal)
        begin, stopped_at = record.begin, record.stopped_at
    if len(children):
        parts[CHILD] = children
    if middle:
        assert begin is not None
        assert stopped_at is not None
        # A pending process may have returned meanwhile; then it has another journal, and this one is saved anew.
        goes_on = calls is record.journal
        saved = journal.save(calls, items, record.journal_saved if goes_on else (EMPTY, 0))
        if goes_on:
            record.journal_saved = saved
        parts[JOURNAL], parts[BEGIN], parts[STOPPED_AT] = saved[0], begin, stopped_at
    control = Control(
        program=None if record.program is None else identity(record.program),
        started=record.started,
        pending=pending,
        trap=TrapKind.NEW.value if pending else record.trap.value,
        error=None if pending else record.error,
        used=0 if pending else record.used,
        middle=middle,
        gas=record.gas,
        input_at=record.input_at,
        journal=items if middle else 0,
        time=record.time if pending else None,
        limits=None if record.limits is None else tuple(record.limits),
    )
    values[CONTROL] = _control_form(control) if control.time is None else _form(control)
    return Tree.assemble(values, parts)


@lru_cache(maxsize=1024)
def _control_form(control: Control) -> bytes:
    # Many processes have the same control value; every field but the time is of one type, so that equal ones are the same.
    return _form(control)


def _form(control: Control) -> bytes:
    more = control.time is not None or control.limits is not None
    return encode(tuple(control) if more else control[:_ALWAYS])


def freeze_children(record: Record) -> Tree:
    """Bring `retained` up to date, and return it: the states of all children, by encoded name."""
    if record.dirty_children:
        parts = {}
        for child in record.dirty_children:
            child.dirty = False
            if record.children.get(child.name) is child:
                parts[encode_key(child.name)] = freeze(child)
        record.dirty_children = None
        record.retained = record.retained.graft_all(parts)
    return record.retained


# --- reading -------------------------------------------------------------------------------------------------------


def control_of(state: Tree, place: str) -> Control:
    """Return the control value of a process's state."""
    data = state.get(CONTROL)
    try:
        values = () if data is None else decode(data)
        return Control(*values)
    except (CodecError, TypeError) as error:
        raise StoreDamaged(f"the state of {place} has no control value that can be read: {error}") from error


def thaw(state: Tree, parent: Record | None, name: Name) -> Record:
    """Return the record of a process from its state. Reads a few nodes; the heap stays where it is."""
    record = Record(parent, name, Memory())
    place = path_text(record.path)
    control = control_of(state, place)
    heap = state.extract(HEAP)
    record.program = None if control.program is None else find(control.program)
    record.trap, record.error, record.used = TrapKind(control.trap), control.error, control.used
    record.gas, record.middle, record.input_at = control.gas, control.middle, control.input_at
    record.retained = state.extract(CHILD)
    if control.middle:
        saved = state.extract(JOURNAL)
        record.journal = journal.restore_journal(saved, control.journal, place)
        record.journal_saved = (saved, control.journal)
        record.begin, record.stopped_at = state.extract(BEGIN), state.extract(STOPPED_AT)
    record.started = control.started
    record.time = control.time
    limits = None if control.limits is None else Limits(*control.limits)
    if control.pending:
        record.memory = Memory(heap)
        record.settled = False
        record.stage = READY
        record.held = record.gas == DRAWS
        record.fill = None if record.held else record.gas
        record.start = Start(
            record.retained, record.journal, control.journal, control.middle, record.begin, record.stopped_at
        )
    else:
        record.memory = Memory(heap, heap if parent is None else state.extract(SNAPSHOT))
    record.limit(limits)
    return record


def child_state(children: Tree, name: Name) -> Tree | None:
    """Return the state of a child from the tree of all of them, or None."""
    state = children.extract(encode_key(name))
    return state if len(state) else None


def child_names(children: Tree, reverse: bool = False) -> Iterator[Name]:
    """Yield the names in a tree of children's states, in key order. O(depth) each: it skips over their states."""
    rest = children
    while len(rest):
        key, _ = next(rest.entries(reverse=reverse))
        name, end = decode_element(key, 0)
        assert not isinstance(name, bytes)
        yield name
        rest = rest.cut(None, key[:end]) if reverse else rest.cut(behind(key[:end]), None)


def behind(prefix: bytes) -> bytes:
    """Return a key behind all that begin with a child's encoded name: behind that stand letters."""
    return prefix + b"\xff"


def locate(key: bytes) -> tuple[Path, bytes, bytes]:
    """Tell where a key of a state belongs: the process's path, which of its parts, and the key in that part."""
    path: list[Name] = []
    position = 0
    while key[position : position + 1] == CHILD:
        name, position = decode_element(key, position + 1)
        assert not isinstance(name, bytes)
        path.append(name)
    return tuple(path), key[position : position + 1], key[position + 1 :]


def part_text(part: bytes, key: bytes) -> str:
    """Return what a key of a state is, for people."""
    if part == HEAP:
        return f"heap key {read_key(key)!r}"
    names = {CONTROL: "control state", SNAPSHOT: "snapshot", BEGIN: "begin of the activation", JOURNAL: "journal"}
    named = names.get(part, "heap at its RET")
    return named if part in (CONTROL, JOURNAL) else f"{named}, key {read_key(key)!r}"
