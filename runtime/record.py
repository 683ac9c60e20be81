"""What the kernel keeps of one process, and the stages it goes through.

                 ┌────────────────────── put(start) ─────────────────────┐
                 ▼                                                        │
    created → STOPPED ── put(start) → READY ── begun → RUNNING ── return, ret, fail → STOPPED
                                                        │   ▲
                              put, get, status of a     │   │  that child stopped
                              child that is running     ▼   │
                                                       WAITING

A process that its parent has started is *unsettled* until the parent has waited for it. Until then the state holds its
start alone, whether it has run or not; that is why the time at which it runs makes no difference to any root.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from actors.limits import JOURNAL_CALLS_MAX
from actors.trap import TrapKind
from actors.tree import EMPTY, Tree

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from contextvars import Context

    from actors.calls import Call, Put
    from actors.envelope import Limits
    from actors.keys import Name, Path
    from actors.memory import Memory
    from actors.meter import Meter
    from actors.process import Process

STOPPED: Final = 0
READY: Final = 1
RUNNING: Final = 2
WAITING: Final = 3

STAGES: Final = ("stopped", "ready", "running", "waiting")

#: The journal of a process that keeps none: whatever is appended is gone.
NO_JOURNAL: Final[Any] = deque(maxlen=0)

#: The gas of a process that a metered parent started without any of its own.
DRAWS: Final = -1

JOURNAL_ITEMS_MAX: Final = 2 * JOURNAL_CALLS_MAX


class Start(NamedTuple):
    """A process's control state and subtree as they were at its last start; its heap's snapshot is in its memory."""

    #: The children, as a tree of their states.
    children: Tree
    #: The journal, which may have grown since, and how many items it had. (A list that a process is done with is never
    #: emptied: it gets a new one.)
    journal: list[Any]
    items: int
    middle: bool
    begin: Tree | None
    stopped_at: Tree | None


#: The start of a process without children at the top of `run`.
AT_TOP: Final = Start(EMPTY, [], 0, False, None, None)


#: Stands for the children of every process that has none at hand; never written to.
_CHILDLESS: Final[dict[Name, Record]] = {}


class Lodging(Protocol):
    """What the kernel knows of a worker that has a process in memory: it must be told of every PUT."""

    #: The PUTs since the two were in step.
    calls: list[Put]


class Record:
    """One process, in the kernel's hands."""

    __slots__ = (
        "activation",
        "awaited",
        "begin",
        "children",
        "context",
        "dirty",
        "dirty_children",
        "error",
        "fill",
        "gas",
        "held",
        "input_at",
        "items_max",
        "journal",
        "journal_saved",
        "lent",
        "limits",
        "lodging",
        "memory",
        "meter",
        "middle",
        "name",
        "offspring",
        "parent",
        "path",
        "pending",
        "placement",
        "program",
        "ran",
        "retained",
        "settled",
        "stage",
        "start",
        "started",
        "stopped_at",
        "time",
        "trap",
        "used",
    )

    def __init__(self, parent: Record | None, name: Name, memory: Memory) -> None:
        self.parent = parent
        self.name = name
        #: The names from the root to here.
        self.path: Path = () if parent is None else (*parent.path, name)
        self.memory = memory
        self.program: type[Process] | None = None
        self.stage = STOPPED

        # --- why it stopped ---
        self.trap = TrapKind.NEW
        #: The class name of the exception that ended it.
        self.error: str | None = None
        #: What it was started with last: its gas; None: no meter; DRAWS: whatever its parent has left when it waits.
        self.gas: int | None = None
        #: What its meter is filled with when it begins; None: no meter.
        self.fill: int | None = None
        #: Whether it begins only when its parent waits for it.
        self.held = False
        #: The meter of the activation, with the coroutine that pulls it; None where it has none, or runs elsewhere.
        self.meter: Meter | None = None
        #: What its parent's meter gave for its start, and in which filling of that; None: nothing.
        self.lent: tuple[int, int] | None = None
        #: The time of the block in which it was started.
        self.time: Any = None
        #: What it may have; None: no limits of its own.
        self.limits: Limits | None = None
        #: The most items that its journal may have.
        self.items_max = JOURNAL_ITEMS_MAX
        #: How many children it has, where that is known.
        self.offspring: int | None = None
        #: What its last activation used, its settled children's included.
        self.used = 0
        #: The programs that ran in its last activation's settled subtree; None: none but its own.
        self.ran: set[type[Process]] | None = None

        # --- control state ---
        #: Whether it stands in the middle of `run`.
        self.middle = False
        #: Call, outcome, call, outcome, … of the current activation; a last call without an outcome is where it stands.
        self.journal: list[Any] = []
        #: The first of these items as a tree, and how many they are.
        self.journal_saved: tuple[Tree, int] = (EMPTY, 0)
        #: The heap with which the current activation began; kept while it stands in the middle.
        self.begin: Tree | None = None
        #: The heap when it stopped in the middle, before the parent put anything.
        self.stopped_at: Tree | None = None
        #: The root's: where the next block's input goes; None: where its class says.
        self.input_at: bytes | None = None
        #: The live coroutine: a cache of the control state, None where there is none or it is to be made again.
        self.activation: Coroutine[Any, Any, Any] | None = None
        #: The context variables of its coroutine; None: it has set none, so that any empty context will do.
        self.context: Context | None = None

        # --- between it and its parent ---
        #: Whether its parent has waited for it since its last start.
        self.settled = True
        #: Whether it was ever started, so that its memory's snapshot means something.
        self.started = False
        #: What it was at its last start.
        self.start = AT_TOP
        #: Whether its parent is waiting for it.
        self.awaited = False
        #: What it asked for and waits to get.
        self.pending: Call | None = None
        #: Where its activations run; None: as its program says.
        self.placement: str | None = None
        #: The worker that has it in memory as well, with what happened to it here since; None: there is none.
        self.lodging: Lodging | None = None
        #: Whether its state in its parent's `retained` is out of date; then it is in the parent's `dirty_children`.
        self.dirty = False

        # --- its children ---
        #: Those in the kernel's hands; the others are in `retained` only.
        self.children: dict[Name, Record] = _CHILDLESS
        #: The states of all children that are not dirty.
        self.retained = EMPTY
        self.dirty_children: list[Record] | None = None

    def alive(self) -> bool:
        """Whether it is still what its parent, and every process above, has under that name."""
        record = self
        while record.parent is not None:
            if record.parent.children.get(record.name) is not record:
                return False
            record = record.parent
        return True

    def touch(self) -> None:
        """Note that its state in its parent's tree is out of date."""
        if not self.dirty and self.parent is not None:
            self.dirty = True
            if self.parent.dirty_children is None:
                self.parent.dirty_children = [self]
            else:
                self.parent.dirty_children.append(self)

    def limit(self, limits: Limits | None) -> None:
        """Set what it may have from now on."""
        self.limits = limits
        if limits is not None:
            self.memory.limit(limits)
            if limits.calls is not None:
                self.items_max = min(2 * limits.calls, JOURNAL_ITEMS_MAX)

    def open_journal(self) -> None:
        """Take the kind of journal that the program keeps: it begins at the top of `run`."""
        assert self.program is not None
        if not self.program.journal and (self.limits is None or self.limits.calls is None):
            self.journal = NO_JOURNAL
        elif self.journal is NO_JOURNAL:
            self.journal = []

    def adopt(self, child: Record) -> Record:
        """Take a child in hand, and return it."""
        if not self.children:
            self.children = {}
        self.children[child.name] = child
        return child

    def check(self) -> None:
        """Check the invariants of this record and those below, for tests."""
        assert (self.pending is not None) == (self.stage == WAITING)
        assert not self.awaited or (self.parent is not None and self.parent.stage == WAITING and self.stage != STOPPED)
        assert self.settled is False or self.stage == STOPPED or self.parent is None
        assert self.middle or self.stage != STOPPED or not self.journal
        assert not _CHILDLESS
        assert (self.begin is None) == (self.stopped_at is None)
        assert not self.memory.kept or self.memory.tree is self.memory.snap
        for name, child in self.children.items():
            assert child.name == name and type(child.name) is type(name)
            assert child.parent is self
            assert not child.dirty or (self.dirty_children is not None and child in self.dirty_children)
            child.check()
