"""The contract once more, small and sequential: what the kernel is held against.

Processes are plain dict heaps. A child that is started is run to its stop at once, depth first; a snapshot is a
`copy.deepcopy`; to fail is to put that copy back, subtree and all. There is no waiting, no agenda, no journal: a process
that stands in the middle keeps the rest of its program as data (its `frames`), so that it can be copied like the rest.

That a child was run at its start, and not when somebody waited for it, must not show: a child that its parent has not
waited for is *pending* and is shown as it was when it was started.

Nothing of the real kernel is used here: of `actors` the errors, `Region`, `ABSENT` and the encoding of values alone.
The programs that it runs are those of `programs`, which has the same instructions for the real machine.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from actors.errors import (
    CallRefused,
    ChildFailed,
    ForeignAwait,
    LockstepError,
    MissingKey,
    NoSuchChild,
    OutOfGas,
    ProgramError,
)
from actors.freezing import freeze
from actors.merge import MergeConflict
from actors.region import Region
from actors.values import ABSENT, encode, same

Key = tuple[Any, ...]
Heap = dict[Key, Any]
_SHOWN_MAX = 80


class Raised(BaseException):
    """An exception of a program's own, by its class's name. All others that leave the model are its bugs."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name
        #: `try` catches Exceptions alone.
        self.caught = name not in ("SystemExit", "CancelledError")


def whole(key: Any) -> Key:
    """Return a key's elements."""
    return key if isinstance(key, tuple) else (key,)


def plain(key: Key) -> Any:
    """Return a key as a program writes it."""
    return key[0] if len(key) == 1 else key


def order(key: Key) -> list[tuple[int, Any]]:
    """Sort key of keys: bytes before str before int."""
    return [((bytes, str, int).index(type(element)), element) for element in key]


def brief(value: Any) -> Any:
    """Return a value, or a digest of it where it is long, so that logs of logs of logs stay short."""
    text = repr(value)
    return value if len(text) <= _SHOWN_MAX else ("digest", sha256(text.encode()).hexdigest()[:12])


def told_value(value: Any) -> Any:
    """Return a value for a log."""
    return "absent" if value is ABSENT else value


def told(error: BaseException) -> tuple[Any, ...]:
    """Return what a process can see of an error."""
    if isinstance(error, Raised):
        return (error.name,)
    name = type(error).__name__
    if isinstance(error, MissingKey):
        return name, error.place, error.key
    if isinstance(error, NoSuchChild):
        return name, error.place, error.name, error.known, error.more
    if isinstance(error, ChildFailed):
        return name, error.path, error.kind, error.error
    if isinstance(error, MergeConflict):
        return name, error.place, tuple(tuple(map(told_value, one)) for one in error.conflicts)
    return (name,)


def code_of(inputs: Any) -> tuple[Any, ...]:
    """Return the program in a block's input: a mapping with one, or the program itself."""
    return inputs["code"] if isinstance(inputs, Mapping) else inputs


def path_of(path: tuple[Any, ...]) -> str:
    """Return a path as it is printed."""
    return "/" + "/".join(repr(name) if name == "1" else str(name) for name in path)


# --- heaps ---------------------------------------------------------------------------------------------------------


def _inside(key: Key, region: tuple[Any, Any, Any]) -> bool:
    prefix, low, high = region
    at = whole(prefix)
    rest = order(key[len(at) :])
    return (
        key[: len(at)] == at
        and (low is None or rest >= order(whole(low)))
        and (high is None or rest < order(whole(high)))
    )


def cut(heap: Heap, region: tuple[Any, Any, Any]) -> Heap:
    """Return a region, its keys relative to its prefix."""
    size = len(whole(region[0]))
    return {key[size:]: value for key, value in heap.items() if _inside(key, region)}


def clear(heap: Heap, region: tuple[Any, Any, Any]) -> None:
    """Delete a region."""
    for key in [key for key in heap if _inside(key, region)]:
        del heap[key]


def mount(heap: Heap, key: Key, region: Heap) -> None:
    """Put a region in place of everything at and below a key."""
    clear(heap, (key, None, None))
    heap.update({key + rest: value for rest, value in region.items()})


def listed(heap: Heap) -> list[tuple[Any, Any]]:
    """Return keys and values in key order, as programs see them."""
    return [(plain(key), heap[key]) for key in sorted(heap, key=order)]


def changes(old: Heap, new: Heap) -> list[tuple[Key, Any, Any]]:
    """Return (key, old, new) of what differs, in key order."""
    both = ((key, old.get(key, ABSENT), new.get(key, ABSENT)) for key in sorted({*old, *new}, key=order))
    return [one for one in both if not same(one[1], one[2])]


def told_changes(found: list[tuple[Key, Any, Any]]) -> tuple[Any, ...]:
    """Return changes for a log."""
    return tuple((plain(key), told_value(old), told_value(new)) for key, old, new in found)


# --- resolvers -----------------------------------------------------------------------------------------------------


def settle_add(base: Any, ours: Any, theirs: Any) -> Any:
    """Both increments count, where these are numbers; else the child's value."""
    start, mine, other = (0 if value is ABSENT else value for value in (base, ours, theirs))
    if all(type(value) is int for value in (start, mine, other)):
        return mine + other - start
    return theirs


def settle_ours(base: Any, ours: Any, theirs: Any) -> Any:
    """The caller's value stays."""
    return ours


def settle_gone(base: Any, ours: Any, theirs: Any) -> Any:
    """Neither stays."""
    return ABSENT


RESOLVERS = {"add": settle_add, "ours": settle_ours, "gone": settle_gone}

#: What "map" resolves, by region.
RESOLVED = {("r", None, None): settle_add, ("a", None, "zz"): settle_ours}


def _resolver(resolve: str | None, key: Key) -> Any:
    if resolve == "map":
        return next((settle for region, settle in RESOLVED.items() if _inside(key, region)), None)
    return None if resolve is None else RESOLVERS[resolve]


# --- processes -----------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Proc:
    """A process."""

    program: str | None = None
    heap: Heap = dataclasses.field(default_factory=dict)
    snap: Heap = dataclasses.field(default_factory=dict)
    children: dict[Any, Proc] = dataclasses.field(default_factory=dict)
    trap: str = "NEW"
    error: str | None = None
    pending: bool = False
    metered: bool = False
    #: As it was at its last start.
    start: Proc | None = None

    #: Whether it stands in the middle; what is left of its program: [kind, code, index], the innermost last.
    middle: bool = False
    frames: list[list[Any]] = dataclasses.field(default_factory=list)
    log: list[Any] = dataclasses.field(default_factory=list)
    stopped_at: Heap = dataclasses.field(default_factory=dict)
    input_at: Any = None

    def shown(self) -> dict[str, Any]:
        """Return what a state shows of it and of all below it."""
        seen = self
        if self.pending:
            assert self.start is not None
            seen = self.start
        return {
            "program": self.program,
            "heap": [(key, encode(value)) for key, value in listed(seen.heap)],
            "pending": self.pending,
            "trap": "NEW" if self.pending else self.trap,
            "error": None if self.pending else self.error,
            "middle": seen.middle,
            "metered": self.metered,
            "children": [
                (name, seen.children[name].shown()) for name in sorted(seen.children, key=lambda n: order((n,)))
            ],
        }


class Model:
    """A machine of such processes."""

    def __init__(self, genesis: Heap | None = None) -> None:
        self.root = Proc("Top", dict(genesis or {}))
        self.data: Any = None

    def advance(self, inputs: Any) -> str | None:
        """Make a block: return None, with its data in `data`, or the name of the error with which the root failed."""
        before = copy.deepcopy(self.root)
        root = self.root
        inputs = freeze(inputs)
        at = whole("block" if root.input_at is None else root.input_at)
        entries = inputs if isinstance(inputs, Mapping) else {(): inputs}
        mount(root.heap, at, {whole(key): value for key, value in entries.items()})
        if root.middle:
            root.log.append(("input", inputs["n"] if isinstance(inputs, Mapping) else "bare"))
            root.frames.append(["code", code_of(inputs), 0])
        else:
            root.log = []
            root.frames = [["code", root.heap.get(("block", "code"), root.heap.get(("block",), ())), 0]]
        try:
            self._run(root, ())
        except (Raised, LockstepError) as error:
            self.root = before
            return told(error)[0]
        root.trap = "RETURNED"
        if not root.middle:
            root.input_at = None
            self.data = brief(tuple(root.log))
        return None

    # --- one process ---

    def _run(self, proc: Proc, path: tuple[Any, ...]) -> None:
        """Run a process to its stop; raises what leaves `run`."""
        while proc.frames:
            frame = proc.frames[-1]
            _, code, index = frame
            if index == len(code):
                proc.frames.pop()
                continue
            frame[2] += 1
            op, *arguments = code[index]
            try:
                stops = getattr(self, f"_{op}")(proc, path, *arguments)
            except (Raised, LockstepError) as error:
                if isinstance(error, Raised) and not error.caught:
                    raise
                while proc.frames and proc.frames[-1][0] != "try":
                    proc.frames.pop()
                if not proc.frames:
                    raise
                proc.frames.pop()
                proc.log.append(("caught", *told(error)))
                continue
            if stops:
                proc.middle = True
                proc.stopped_at = dict(proc.heap)
                return
        proc.middle = False
        proc.heap["log",] = tuple(proc.log)

    def _start_child(self, child: Proc, path: tuple[Any, ...]) -> None:
        child.trap, child.error, child.pending = "NEW", None, True
        child.snap = dict(child.heap)
        child.start = None
        child.start = copy.deepcopy(child)
        if child.middle:
            child.log.append(("ret", brief(told_changes(changes(child.stopped_at, child.heap)))))
        else:
            code = child.heap.get(("code",), ())
            child.log = []
            child.frames = [["code", code + code if child.program == "Twice" else code, 0]]
        try:
            self._run(child, path)
        except (Raised, LockstepError) as error:
            was = copy.deepcopy(child.start)
            for name in ("heap", "children", "middle", "frames", "log", "stopped_at"):
                setattr(child, name, getattr(was, name))
            child.trap, child.error = "FAILED", told(error)[0]
        else:
            child.trap = "RETURNED"

    def _child(self, proc: Proc, path: tuple[Any, ...], name: Any, waits: bool = True) -> Proc:
        child = proc.children.get(name)
        if child is None:
            known = sorted(proc.children, key=lambda one: order((one,)))
            raise NoSuchChild(path_of(path), name, known, False)
        if waits:
            child.pending = False
        return child

    def _good_child(self, proc: Proc, path: tuple[Any, ...], name: Any) -> Proc:
        child = self._child(proc, path, name)
        if child.trap != "RETURNED" and child.trap != "NEW":
            kind = OutOfGas if child.trap == "OUT_OF_GAS" else ChildFailed
            raise kind(path_of((*path, name)), child.error or "", 0)
        return child

    # --- instructions: what `programs.Interpreter` does, done here ---

    def _write(self, proc: Proc, path: Any, key: Any, value: Any) -> None:
        proc.heap[whole(key)] = value

    def _del(self, proc: Proc, path: Any, key: Any) -> None:
        if whole(key) not in proc.heap:
            raise MissingKey(path_of(path), repr(key))
        del proc.heap[whole(key)]

    def _clear(self, proc: Proc, path: Any, region: Any) -> None:
        clear(proc.heap, region)

    def _copy(self, proc: Proc, path: Any, region: Any, key: Any) -> None:
        mount(proc.heap, whole(key), cut(proc.heap, region))

    def _read(self, proc: Proc, path: Any, key: Any) -> None:
        proc.log.append(("read", brief(told_value(proc.heap.get(whole(key), ABSENT)))))

    def _count(self, proc: Proc, path: Any) -> None:
        proc.log.append(("count", len(proc.heap)))

    def _items(self, proc: Proc, path: Any, region: Any) -> None:
        proc.log.append(("items", brief(tuple(listed(cut(proc.heap, region))))))

    def _if(self, proc: Proc, path: Any, key: Any, code: Any) -> None:
        if whole(key) in proc.heap:
            proc.frames.append(["code", code, 0])

    def _try(self, proc: Proc, path: Any, code: Any) -> None:
        proc.frames.append(["try", code, 0])

    def _raise(self, proc: Proc, path: Any, name: str) -> None:
        raise Raised(name)

    def _foreign(self, proc: Proc, path: Any) -> None:
        raise ForeignAwait("")

    def _ret(self, proc: Proc, path: Any) -> bool:
        proc.heap["log",] = tuple(proc.log)
        if not path:
            raise CallRefused("")
        return True

    def _snapshot(self, proc: Proc, path: Any, data: Any, region: Any) -> bool:
        proc.heap["log",] = tuple(proc.log)
        if path:
            raise CallRefused("")
        self.data = data
        proc.input_at = region
        return True

    def _put(
        self, proc: Proc, path: Any, name: Any, values: Any, program: Any, delete: Any, start: bool, gas: Any
    ) -> None:
        child = proc.children.get(name)
        if start and program is None and (child is None or child.program is None):
            raise ProgramError("")
        if child is None:
            child = proc.children[name] = Proc()
        child.pending = False
        if program is not None:
            child.program = program
            child.middle, child.frames, child.trap, child.error = False, [], "NEW", None
        for what, one in delete:
            if what == "key":
                child.heap.pop(whole(one), None)
            else:
                clear(child.heap, one)
        for key, (what, one) in dict(values).items():
            if what == "value":
                child.heap[whole(key)] = one
            else:
                mount(child.heap, whole(key), cut(proc.heap, one))
        if start:
            child.metered = gas is not None
            self._start_child(child, (*path, name))

    def _fork(self, proc: Proc, path: Any, name: Any, region: Any) -> None:
        child = proc.children.setdefault(name, Proc())
        child.pending = False
        child.heap = cut(proc.heap, region)
        child.heap["code",] = ()

    def _get(self, proc: Proc, path: Any, name: Any, wanted: Any) -> None:
        child = self._good_child(proc, path, name)
        got = []
        for what, one in wanted:
            if what == "region":
                got.append(tuple(listed(cut(child.heap, one))))
                continue
            if whole(one) not in child.heap:
                raise MissingKey(path_of((*path, name)), repr(one))
            got.append(child.heap[whole(one)])
        proc.log.append(("got", brief(got[0] if len(got) == 1 else tuple(got))))

    def _take(self, proc: Proc, path: Any, name: Any, region: Any, key: Any) -> None:
        child = self._good_child(proc, path, name)
        mount(proc.heap, whole(key), cut(child.heap, region))

    def _changes(self, proc: Proc, path: Any, name: Any, region: Any) -> None:
        child = self._good_child(proc, path, name)
        found = changes(child.snap, child.heap)
        proc.log.append(("changes", brief(told_changes([one for one in found if _inside(one[0], region)]))))

    def _merge(self, proc: Proc, path: Any, name: Any, region: Any, resolve: Any) -> None:
        child = self._good_child(proc, path, name)
        found = [one for one in changes(child.snap, child.heap) if _inside(one[0], region)]
        decided = {}
        conflicts = []
        for key, base, theirs in found:
            ours = proc.heap.get(key, ABSENT)
            settle = _resolver(resolve, key)
            if same(base, ours):
                decided[key] = theirs
            elif settle is None:
                conflicts.append((plain(key), base, ours, theirs))
            else:
                decided[key] = settle(base, ours, theirs)
        if conflicts:
            raise MergeConflict(path_of(path), conflicts)
        for key, value in decided.items():
            proc.heap.pop(key, None)
            if value is not ABSENT:
                proc.heap[key] = value
        proc.log.append(("merged", brief(told_changes(found))))

    def _status(self, proc: Proc, path: Any, name: Any) -> None:
        child = self._child(proc, path, name)
        proc.log.append(("status", child.trap, child.error, child.middle))

    def _drop(self, proc: Proc, path: Any, name: Any) -> None:
        self._child(proc, path, name, waits=False)
        del proc.children[name]


def region_of(region: tuple[Any, Any, Any]) -> Region:
    """Return the `Region` that stands in a program as (prefix, low, high)."""
    return Region(*region)
