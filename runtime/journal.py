"""The journal: what an activation's system calls were answered, and how a process is restored from it.

A coroutine cannot be copied or stored, so a process that stands in the middle of `run` is kept as its program, the heap
with which the activation began, and the journal. To restore it, `run` is run from the top on that heap; each call it
makes is held against the recorded one and answered from the record; at the end, its heap is held against the recorded
one. What its parent put meanwhile stands in the journal as the outcome of the RET at which it was put.

In the state, item i of the journal is, under its number as 4 bytes:

    the number               (description of the call, code of the outcome, outcome)
    the number, k as 4, …    the k-th tree of the outcome, mounted: a region, the two sides of changes, two heaps

    code 0: none yet, here it stands      1: the value      2: thrown, as (code of the error, its fields)
"""

from __future__ import annotations

import logging
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from actors import errors
from actors.calls import CALLS, Call, Drop, Get, Now, Put, Snapshot, Status
from actors.cells import from_cell
from actors.changes import Changes
from actors.errors import CodecError, LockstepError, ReplayDiverged
from actors.failures import name_of, text_of
from actors.keys import path_text, read_key
from actors.memory import Memory, form_of
from actors.region import Region, View
from actors.trap import Trap, TrapKind
from actors.tree import EMPTY, Tree
from actors.values import decode, encode
from runtime.interpreter import as_deep
from runtime.metering import metered, replaying
from runtime.position import foreign_await, position_of
from runtime.programs import identity
from runtime.quiet import quiet_logging

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from runtime.record import Record

_log = logging.getLogger("lockstep.replay")

_PENDING: Final = 0
_VALUE: Final = 1
_THROWN: Final = 2
_SHORT: Final = 64
#: How many calls lie between `replay` and the one that resumes the coroutine.
_FURTHER: Final = 2
_MEND: Final = (
    "a program may depend on its heap and its calls alone, and its code may change only where it has returned; "
    "go back to the code that made this state, or revert to a block before it stood here"
)

#: What the kernel may throw into a process, by code: all it needs to be thrown again is its fields.
_THROWABLE: Final[dict[str, type[LockstepError]]] = {
    cls.code: cls
    for cls in (
        errors.NoSuchChild,
        errors.ChildFailed,
        errors.OutOfGas,
        errors.HostFault,
        errors.MissingKey,
        errors.CallRefused,
        errors.ProgramError,
        errors.LimitExceeded,
    )
}


class Told(NamedTuple):
    """A call as the state tells it: its description."""

    description: tuple[Any, ...]


class Resumed(NamedTuple):
    """The outcome of a SNAPSHOT in the middle: the next block's input, and how the heap changed until it went on."""

    value: Any
    changes: Changes


# --- descriptions --------------------------------------------------------------------------------------------------


def describe(call: Call | Told) -> tuple[Any, ...]:
    """Return a value that tells a call: equal for equal calls, short whatever it carries."""
    if type(call) is Told:
        return call.description
    if type(call) is Put:
        program = None if call.program is None else identity(call.program)
        values = tuple([(key, _brief(slot)) for key, slot in call.values])
        limits = () if call.limits is None else (tuple(call.limits),)
        return "put", call.child, values, program, call.delete, call.start, call.gas, *limits
    if type(call) is Get:
        wanted = [(one.prefix, one.low, one.high) if type(one) is Region else one for one in call.wanted]
        return "get", call.child, tuple(wanted)
    if type(call) is Snapshot:
        return "snapshot", _brief(call.data), call.region
    if type(call) is Status or type(call) is Drop:
        return type(call).__name__.lower(), call.child
    return ("now",) if type(call) is Now else ("ret",)


def _brief(slot: Any) -> bytes:
    form = slot.machine_tree.digest() if type(slot) is View else form_of(slot) or b""
    return form if len(form) <= _SHORT else sha256(form).digest()


def describe_text(description: tuple[Any, ...]) -> str:
    """Return a call's description for people."""
    kind, *rest = description
    if kind == "put":
        child, values, program, delete, start, gas, *limits = rest
        parts = [repr(child), "{" + ", ".join(f"{_key(key)}: {_value(form)}" for key, form in values) + "}"]
        parts += [f"program={program}"] if program else []
        parts += [f"delete={[_key(one[0]) for one in delete]}"] if delete else []
        parts += ["start=True"] if start else []
        parts += [f"gas={gas}"] if gas is not None else []
        parts += [f"limits={tuple(limits[0])}"] if limits else []
        return f"put({', '.join(parts)})"
    if kind == "get":
        child, wanted = rest
        return f"get({', '.join([repr(child), *[_key(one) if isinstance(one, bytes) else f'Region{one!r}' for one in wanted]])})"
    if kind == "snapshot":
        return f"snapshot({_value(rest[0])})"
    return f"{kind}({', '.join(map(repr, rest))})"


def _key(form: bytes) -> str:
    return repr(read_key(form)) if form else "the whole heap"


def _value(form: bytes) -> str:
    try:
        return repr(decode(form))
    except CodecError:
        return f"<{form.hex()[:16]}…>"


# --- outcomes ------------------------------------------------------------------------------------------------------


def save(journal: list[Any], count: int, saved: tuple[Tree, int]) -> tuple[Tree, int]:
    """Return the first `count` items of a journal (calls and outcomes alike) as a tree, going on from `saved`."""
    tree, begin = saved
    if begin > count:
        tree, begin = EMPTY, 0
    begin -= begin % 2
    for item in range(begin, count, 2):
        prefix = (item // 2).to_bytes(4, "big")
        if item == begin:
            tree = tree.graft(prefix, EMPTY)
        if item + 1 < count:
            code, outcome, trees = _dump(journal[item], journal[item + 1])
        else:
            code, outcome, trees = _PENDING, None, ()
        tree = tree.update([(prefix, encode((describe(journal[item]), code, outcome)))])
        for index, mounted in enumerate(trees):
            tree = tree.graft(prefix + index.to_bytes(4, "big"), mounted)
    return tree, count


def _dump(call: Call | Told, outcome: Any) -> tuple[int, Any, tuple[Tree, ...]]:
    if isinstance(outcome, LockstepError):
        return _THROWN, (outcome.code, outcome.args), ()
    kind, *rest = describe(call)
    if isinstance(outcome, Changes):
        return _VALUE, ("changes",), outcome.machine_heaps if kind == "ret" else outcome.machine_trees()
    if isinstance(outcome, Resumed):
        return _VALUE, ("resumed", outcome.value), outcome.changes.machine_heaps
    if isinstance(outcome, Trap):
        return _VALUE, ("trap", outcome.kind.value, outcome.error, outcome.gas, outcome.middle), ()
    if kind == "now":
        return _VALUE, ("time", outcome), ()
    if kind != "get":
        return _VALUE, ("done",), ()
    got = (outcome,) if len(rest[1]) == 1 else outcome
    trees = tuple([one.machine_tree for one in got if type(one) is View])
    return _VALUE, ("got", tuple([("view",) if type(one) is View else ("value", one) for one in got])), trees


def restore_journal(tree: Tree, count: int, place: str) -> list[Any]:
    """Return the items of a journal from its tree.

    Args:
        tree: as `save` made it.
        count: how many items.
        place: the path of the process, as printed.
    """
    items: list[Any] = []
    for item in range(0, count, 2):
        prefix = (item // 2).to_bytes(4, "big")
        data = tree.get(prefix)
        if data is None:
            raise CodecError(f"the journal of {place} has no item {item // 2}")
        description, code, outcome = decode(data)
        items.append(Told(description))
        if code == _PENDING:
            break
        if code == _THROWN:
            items.append(_THROWABLE[outcome[0]](*outcome[1]))
        else:
            items.append(_restore(outcome, tree, prefix, description, place))
    return items


def _restore(outcome: Any, tree: Tree, prefix: bytes, description: tuple[Any, ...], place: str) -> Any:
    def mounted(index: int) -> Tree:
        return tree.extract(prefix + index.to_bytes(4, "big"))

    kind, *rest = outcome
    if kind == "done":
        return None
    if kind == "time":
        return rest[0]
    if kind == "changes":
        return Changes(None, mounted(0), mounted(1))
    if kind == "resumed":
        return Resumed(rest[0], Changes(None, mounted(0), mounted(1)))
    if kind == "trap":
        return Trap(TrapKind(rest[0]), *rest[1:])
    _, child, wanted = description
    got, views = [], 0
    for one, asked in zip(rest[0], wanted, strict=True):
        if one[0] == "view":
            got.append(View(mounted(views), f"{Region(*asked)!r} of {place.rstrip('/')}{path_text((child,))}"))
            views += 1
        else:
            got.append(one[1])
    return got[0] if len(got) == 1 else tuple(got)


# --- replay --------------------------------------------------------------------------------------------------------


def replay(record: Record) -> Coroutine[Any, Any, Any]:
    """Return a coroutine that stands where the record's journal ends; the record's memory becomes the one it uses.

    Raises:
        ReplayDiverged: the program did not do again what the journal has.
    """
    assert record.program is not None
    assert record.begin is not None
    memory = Memory(record.begin)
    meter = record.meter
    with quiet_logging():
        instance = (record.program if meter is None else metered(record.program))()
        instance.machine_bind(memory, record.path, meter)
        coroutine = instance.run()
        replay = _Replay(record, memory, coroutine)
        with as_deep(_FURTHER) if meter is None else replaying(meter):
            replay.run()
    memory.become(record.memory)
    record.memory = memory
    _log.debug("%s restored from %d calls", path_text(record.path), len(record.journal) // 2)
    return coroutine


class _Replay:
    def __init__(self, record: Record, memory: Memory, coroutine: Coroutine[Any, Any, Any]) -> None:
        self.record = record
        self.memory = memory
        self.coroutine = coroutine
        self.index = 0

    def run(self) -> None:
        journal = self.record.journal
        outcome: Any = None
        for self.index in range(0, len(journal), 2):
            call = self._step(outcome)
            description = describe(call)
            if description != describe(journal[self.index]):
                raise self._diverged(describe_text(description), "wrong")
            if self.index + 1 == len(journal):
                break
            outcome = journal[self.index + 1]
            if isinstance(outcome, LockstepError):
                continue
            if description[0] == "ret":
                self._goes_on(outcome)
            elif description[0] == "snapshot":
                self._goes_on(outcome.changes)
                outcome = outcome.value
        assert self.record.stopped_at is not None
        self._check_heap(self.record.stopped_at)

    def _step(self, outcome: Any) -> Any:
        """Answer a call, and return the next one."""
        while True:
            try:
                if isinstance(outcome, LockstepError):
                    call = self.coroutine.throw(outcome)
                else:
                    call = self.coroutine.send(outcome)
            except StopIteration:
                raise self._diverged("run returned", "missing") from None
            except Exception as error:
                raise self._diverged(f"run raised {name_of(error)}: {text_of(error)}", "missing") from error
            if type(call) in CALLS:
                return call
            outcome = foreign_await(self.record.path, self.coroutine, call)

    def _goes_on(self, changes: Changes) -> None:
        """Check the heap at a RET or SNAPSHOT in the middle, and put the one in place on which the program went on."""
        before, after = changes.machine_heaps
        self._check_heap(before)
        self.memory.mount(b"", after)

    def _check_heap(self, recorded: Tree) -> None:
        heap = self.memory.fold()
        if heap.digest() != recorded.digest():
            key, old, new = next(recorded.difference(heap))
            raise self._diverged(f"in the heap there {_key(key)} = {_cell(new)}, recorded {_cell(old)}", "wrong")

    def _diverged(self, got: str, label: str) -> ReplayDiverged:
        journal, index = self.record.journal, self.index
        before = [
            f"    ok     {i // 2}: {describe_text(describe(journal[i]))}" for i in range(max(0, index - 6), index, 2)
        ]
        position = position_of(self.coroutine)
        expected = describe_text(describe(journal[index]))
        with suppress(Exception):  # What it raises on its way out concerns nobody.
            self.coroutine.close()
        return ReplayDiverged(
            "\n".join(
                [
                    f"{path_text(self.record.path)} did not repeat its journal at call {index // 2}"
                    + (f" ({position})" if position else ""),
                    *before,
                    f"    {label:<6} {index // 2}: expected {expected}",
                    f"              got      {got}",
                    _MEND,
                ]
            )
        )


def _cell(cell: bytes | None) -> str:
    return "nothing" if cell is None else repr(decode(from_cell(cell)))
