"""A desk: what an office knows of one of its actors, or of an office below it, while it delivers."""

from __future__ import annotations

from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from actors.errors import ProgramError
from actors.keys import encode_key, path_text
from actors.limits import MESSAGES_MAX
from actors.memory import Memory, to_slot
from actors.tree import EMPTY, Tree

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from contextvars import Context

    from actors.hosting import Failure
    from actors.mail import Actor, Address
    from actors.quota import Quota


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
        "at",
        "base",
        "begun",
        "context",
        "coroutine",
        "error",
        "filed",
        "given",
        "hosted",
        "instance",
        "lost",
        "mail",
        "memory",
        "more",
        "now",
        "office",
        "plain",
        "program",
        "queued",
        "record",
        "refused",
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
        #: That of this round; how much of it was given to it; and what it was given last.
        self.now: list[Any] = []
        self.at = 0
        self.given: list[Any] = []
        #: What it sent in this round: (to, message, kind), from an office also who.
        self.sent: list[Any] = []
        #: The message over which it waits for an answer, and that answer: (whether there is one, it or why there is none).
        self.asked: Any = None
        self.answer: tuple[bool, Any] | None = None
        #: What came to nothing in this round: (piece of mail, why); and who failed last, with the class name of the exception:
        #: the actor itself, or one of an office below, which hands it up.
        self.lost: list[tuple[Any, str]] = []
        self.error: tuple[Address, str] | None = None
        #: How many messages it is given one by one, to find the one on which it fails.
        self.singly = 0
        #: Whether it is among those that the next round runs.
        self.queued = False
        #: Whether it stopped for good.
        self.stops = False
        #: Of an office: whether it has more to deliver.
        self.more = False
        #: What the office's files say of it; and whether they are up to date.
        self.record: tuple[Any, ...] | None = None
        self.filed = False

        # --- as a process ---
        #: What its heap begins with, where it is not made yet.
        self.values: tuple[tuple[str, Any], ...] | None = None
        #: Whether its program is to be set at its next start.
        self.reset = False
        #: How it failed on what it could not be given.
        self.refused: Failure | None = None

        # --- hosted ---
        self.memory = _NO_MEMORY
        #: What the office's heap has of its heap.
        self.base: Tree = EMPTY
        #: An instance, and how many attributes it has while it is as good as a new one.
        self.instance: Actor | None = None
        self.plain = 0
        self.coroutine: Coroutine[Any, Any, Any] | None = None
        #: The context variables of the coroutine.
        self.context: Context | None = None
        #: The heap with which the activation began that waits, and the answers since.
        self.begun: Tree = EMPTY
        self.answers: list[tuple[bool, Any]] = []

    def open(self, tree: Tree, quota: Quota | None, values: tuple[tuple[str, Any], ...] = ()) -> None:
        """Give a hosted actor its heap.

        Args:
            tree: what it holds.
            quota: what limits its office, and so, on its own, the actor, as it would if that were a process.
            values: what is written to it to begin with.
        """
        self.memory = Memory(tree)
        self.memory.write({encode_key(key): to_slot(value) for key, value in values})
        if quota is not None:
            self.memory.limit(quota.limits)

    def beginning(self) -> Tree:
        """Return the heap with which the activation began in which a hosted actor runs, or waits."""
        return self.memory.snapshot() if self.asked is None else self.begun

    def place(self) -> str:
        """Return its address, as printed."""
        return path_text(self.address)

    def give(self) -> None:
        """Set aside what it is given next."""
        count = 1 if self.singly else MESSAGES_MAX
        self.singly = max(0, self.singly - 1)
        self.given = self.now[self.at : self.at + count]
        self.at += len(self.given)


_NO_MEMORY: Final = Memory()


@lru_cache(maxsize=256)
def programs_of(hosts: tuple[Any, ...], actors: tuple[Any, ...], office: str) -> dict[str, tuple[type[Any], bool]]:
    """Return the programs that an office knows, by name: each with whether it is hosted."""
    programs: dict[str, tuple[type[Any], bool]] = {}
    for cls in chain(hosts, actors):
        known = programs.get(cls.__qualname__)
        if known is not None and known[0] is cls:
            raise ProgramError(f"{office} names {cls.__qualname__} twice in its hosts and actors; name it once")
        if known is not None:
            raise ProgramError(f"{office} knows two classes of the name {cls.__qualname__}; call one of them otherwise")
        programs[cls.__qualname__] = cls, cls in hosts
    return programs
