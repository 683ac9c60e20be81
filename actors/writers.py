"""Who wrote what: the children of one process that have its heap as their workspace, for the sake of a conflict's error.

Nothing is noted while all goes well, but which heap each child was started on, by reference. A program is deterministic:
so where two children are in conflict, each is run once more on the heaps that it had, as a child of another name and with
a heap that remembers at which line the keys in question were written last. What it does is what it did; then it is
dropped. The lines come by GET, so that a process that is restored from its journal is told the same ones.

What has no line: the process itself, where it changed a key that a child changed as well; a child that was started in an
earlier activation, or that trapped and was then started again in another way; and what came of the path or the random numbers
of a process below the child, which then has another path.
"""

from __future__ import annotations

import sys
from collections import deque
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from pyrsistent import PMap

from actors.errors import ChildFailed, ProgramError
from actors.heap import Heap
from actors.keys import encode_key, path_text
from actors.memory import form_of, same_slot, slot_at, to_slot, value_of
from actors.merge import CONFLICTS_SHOWN_MAX, MergeConflict, Writer
from actors.metered import MeteredHeap
from actors.region import View

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import FrameType

    from actors.changes import Changes
    from actors.envelope import Limits
    from actors.keys import Key, Name, Path
    from actors.memory import Memory, Slot
    from actors.merge import Resolve
    from actors.meter import Meter
    from actors.process import Process
    from actors.region import Region

    _Program = Process
    _Heap = Heap
else:
    _Program = _Heap = object

#: The child that a writer is run again as, and where its heap has the lines.
_AGAIN: Final = "writer, again"
_LINES: Final = b"lines of a writer"
_LINES_FORM: Final = encode_key(_LINES)
#: So many of the last joins are remembered; a key of an older one counts as the process's own.
_JOINED_MAX: Final = 1_024


class Workspace:
    """A child that has the heap of its parent as its own: how it was started, so that it can be run again."""

    __slots__ = ("gas", "limits", "path", "program", "since", "starts", "told_keys", "told_regions", "values")

    def __init__(
        self, path: Path, program: type[Process], values: Mapping[Any, Any], gas: int | None, limits: Limits | None
    ) -> None:
        self.path = path
        self.program = program
        #: What it alone is told: frozen, for it is put there again at every start.
        self.values = _frozen(values)
        #: Under which keys and prefixes that stands, encoded.
        self.told_keys = {encode_key(key) for key, value in self.values.items() if type(value) is not View}
        self.told_regions = {encode_key(key) for key, value in self.values.items() if type(value) is View}
        self.gas = gas
        self.limits = limits
        #: The heaps that it was started on: one, and another for every barrier.
        self.starts: list[View] = []
        #: How many joins there had been at its last start.
        self.since = 0

    def content(self) -> dict[Any, Any]:
        """Return what is put into it at a start: the last heap, and its values on top."""
        return {(): self.starts[-1], **self.values}

    def changes(self, found: Changes) -> Changes:
        """Return what it changed since its last start, against its parent's heap: what it was told was not there."""
        if not self.values:
            return found
        return found.machine_rebased(self.told_keys, self.told_regions, self.starts[-1])


def _frozen(values: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return values as they are put: in the order of their keys where they come in that of their hashes."""
    items = sorted(values.items(), key=_first_form) if isinstance(values, PMap) else values.items()
    return {key: value if type(value) is View else value_of(slot_at(key, value)) for key, value in items}


def _first_form(item: tuple[Key, Any]) -> bytes:
    return encode_key(item[0])


class _Joined(NamedTuple):
    number: int
    workspace: Workspace
    #: How many of its starts had been by then.
    starts: int
    changes: Changes
    settled: dict[bytes, Slot]


class Writers:
    """The workspaces of one process.

    Args:
        process: whose children they are.
    """

    def __init__(self, process: Process) -> None:
        self._process = process
        #: By name, those that were started and not joined.
        self.under_way: dict[Name, Workspace] = {}
        #: The last joins that a workspace under way may be in conflict with.
        self._joined: deque[_Joined] = deque(maxlen=_JOINED_MAX)
        #: How many joins there were.
        self.joins = 0

    def begin(self, workspace: Workspace, heap: View) -> None:
        """Note that a workspace is about to be started on a heap."""
        if not self.under_way:
            self._joined.clear()
        workspace.starts.append(heap)
        workspace.since = self.joins

    async def merge(self, name: Name, resolve: Resolve | None) -> Changes:
        """Merge a child's changes into the process's heap.

        Raises:
            MergeConflict: with the writers; the heap is as it was.
            NoSuchChild, ChildFailed, OutOfGas: as GET.
        """
        process = self._process
        changes: Changes = await process.get(name)
        workspace = self.under_way.get(name)
        if workspace is not None:
            changes = workspace.changes(changes)
        try:
            settled = process.heap.merge(changes, process.reductions if resolve is None else resolve)
        except MergeConflict as conflict:
            raise await self._named(conflict, name, workspace, changes) from None
        if workspace is not None:
            self._joined.append(_Joined(self.joins, workspace, len(workspace.starts), changes, settled))
        self.joins += 1
        return changes

    def withdraw(self, joins: int) -> None:
        """Forget the joins behind the first so many: the heap is what it was then."""
        while self._joined and self._joined[-1].number >= joins:
            self._joined.pop()
        self.joins = joins

    # --- the writers of a conflict ---

    async def _named(
        self, conflict: MergeConflict, name: Name, workspace: Workspace | None, changes: Changes
    ) -> MergeConflict:
        """Return the same conflict with its writers."""
        process = self._process
        forms = [encode_key(key) for key, *_ in conflict.conflicts]
        theirs = [Writer(path_text((*process.path, name)))] * len(forms)
        ours = [Writer(path_text(process.path))] * len(forms)
        if workspace is not None:
            #: Of the caller's side: which of the keys each join gave their values.
            given: dict[int, list[int]] = {}
            for index, form in enumerate(forms):
                found = self._last_join(form, workspace.since)
                if found is not None:
                    ours[index] = Writer(path_text(found.workspace.path))
                    given.setdefault(found.number, []).append(index)
            last = _Joined(self.joins, workspace, len(workspace.starts), changes, {})
            for one in (*self._joined, last):
                indices = list(range(len(forms))) if one is last else given.get(one.number, [])
                indices = [index for index in indices if index < CONFLICTS_SHOWN_MAX]
                lines = await self._lines(one, [forms[index] for index in indices]) if indices else ()
                side = theirs if one is last else ours
                for index, line in zip(indices, lines, strict=True):
                    side[index] = side[index]._replace(line=line)
        return MergeConflict(conflict.place, conflict.conflicts, tuple(zip(ours, theirs, strict=True)))

    def _last_join(self, form: bytes, since: int) -> _Joined | None:
        """Return the join that gave a key the value that it has here; None where the process has written it itself."""
        now = self._process.heap.machine_memory.read(form)
        for one in reversed(self._joined):
            if one.number < since:
                break
            new = _new(one.changes, form)
            if new is not None:
                return one if same_slot(now, one.settled.get(form, new)) else None
        return None

    async def _lines(self, joined: _Joined, forms: Sequence[bytes]) -> list[str | None]:
        """Run a workspace again as it was run until that join; return at which lines it wrote some keys.

        Not known is that of a key which then has another value: the process has started the child again in another way.
        """
        process, workspace = self._process, joined.workspace
        program: type[Process] | None = _traced(workspace, forms)
        begun = False
        try:
            for heap in workspace.starts[: joined.starts]:
                await process.put(
                    _AGAIN,
                    {(): heap, **workspace.values},
                    program=program,
                    start=True,
                    gas=workspace.gas,
                    placement="loop",
                    limits=workspace.limits,
                    new=not begun,
                )
                program, begun = None, True
            again = await process.get(_AGAIN)
            lines = again[_LINES]
        except (ProgramError, ChildFailed):
            # There is no room for one child more, or for its lines, or one of that name; or it traps, where it did not when
            # it was started again.
            lines = (None,) * len(forms)
        else:
            pairs = [(_new(again, form), _new(joined.changes, form)) for form in forms]
            same = [one is not None and same_slot(one, other) for one, other in pairs]
            lines = [line if known else None for line, known in zip(lines, same, strict=True)]
        if begun:
            await process.drop(_AGAIN)
        return list(lines)


def _new(changes: Changes, form: bytes) -> Slot | None:
    """Return what changes say that a key has now; None where it did not change."""
    return next((new for key, _, new in changes.machine_slots() if key == form), None)


# --- programs that remember lines ----------------------------------------------------------------------------------


class _Traced(_Program):
    """What comes before a program, in a class of its name, to make it remember where it writes some keys."""

    watched: ClassVar[tuple[bytes, ...]]
    #: The path of the child that it is, once more.
    writer: ClassVar[Path]

    def __init_subclass__(cls, **more: Any) -> None:
        """It is in no list of programs: nothing is ever found under its name but the program itself."""

    def machine_bind(self, memory: Memory, path: Path, meter: Meter | None = None) -> None:
        super().machine_bind(memory, self.writer, meter)
        heap = _TracedHeap(memory, self.writer) if meter is None else _TracedMeteredHeap(memory, self.writer, meter)
        heap.watch(self.watched)
        self.heap = heap

    async def run(self) -> Any:
        result = await super().run()
        self.heap.tell()  # type: ignore[attr-defined]
        return result

    async def ret(self) -> Changes:
        self.heap.tell()  # type: ignore[attr-defined]
        changes = await super().ret()
        self.heap.watch(self.watched)  # type: ignore[attr-defined]
        return changes


def _traced(workspace: Workspace, forms: Sequence[bytes]) -> type[Process]:
    # A metered process has its children's programs as variants of themselves.
    program = vars(workspace.program).get("_original", workspace.program)
    content = {
        "__module__": program.__module__,
        "__qualname__": program.__qualname__,
        "watched": tuple(forms),
        "writer": workspace.path,
        "_runs": True,
    }
    traced: type[Process] = type(program)(program.__name__, (_Traced, program), content)
    return traced


class _Tracing(_Heap):
    """A heap that looks, after all that may have changed it, whether some keys did; and if so, at which line of the program."""

    _watched: dict[bytes, bytes | None]
    _lines: dict[bytes, str | None]

    def watch(self, forms: Iterable[bytes]) -> None:
        """Begin to watch these keys."""
        self._watched = {form: form_of(self._machine_memory.read(form)) for form in forms}
        self._lines = dict.fromkeys(self._watched)

    def tell(self) -> None:
        """Put the lines into the heap."""
        self._machine_memory.write({_LINES_FORM: to_slot(tuple(self._lines.values()))})

    def _look(self) -> None:
        for form, last in self._watched.items():
            now = form_of(self._machine_memory.read(form))
            if now != last:
                self._watched[form] = now
                self._lines[form] = _line()

    def __setitem__(self, key: Key, value: Any) -> None:
        super().__setitem__(key, value)
        self._look()

    def __delitem__(self, key: Key) -> None:
        super().__delitem__(key)
        self._look()

    def clear(self, region: Region | Key = (), low: Key | None = None, high: Key | None = None) -> None:
        super().clear(region, low, high)
        self._look()

    def update(self, values: Mapping[Key, Any] | Iterable[tuple[Key, Any]] = (), /, **more: Any) -> None:
        super().update(values, **more)
        self._look()

    def write(self, slots: dict[bytes, Slot]) -> None:
        super().write(slots)
        self._look()

    def merge(self, changes: Changes, resolve: Resolve | None = None) -> dict[bytes, Slot]:
        settled = super().merge(changes, resolve)
        self._look()
        return settled


class _TracedHeap(_Tracing, Heap):
    pass


class _TracedMeteredHeap(_Tracing, MeteredHeap):
    pass


def _line() -> str | None:
    """Return where the program stands: "file:line" of the innermost frame that is not the language's or the machine's."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        package = str(frame.f_globals.get("__name__")).partition(".")[0]
        if package == "runtime":
            break
        if package != "actors":
            return f"{PurePath(frame.f_code.co_filename).name}:{frame.f_lineno}"
        frame = frame.f_back
    return None
