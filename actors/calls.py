"""The system calls as data: what a process yields to the kernel, and what it may get back. The contract on one page.

PUT     in this order: check → find the child (which `new` refuses, or drops), or create it → wait until it is stopped → set its program (which resets
        its control state to the top of `run`) → delete keys and regions → copy values → on `start`: take its snapshot,
        fill its meter, set it running.
GET     check → find (an absent child is an error) → wait until it is stopped → raise if it failed → copy out: one
        value, several, a region by reference, or the changes since its snapshot.
RET     stop, and wait for the parent; gives what the parent put meanwhile.
SNAPSHOT  the root's alone: close the block; gives the next block's input.
STATUS  find → wait → tell the trap, without raising.
DROP    find → end the child and its subtree at once, running or not.
NOW     the time of the block in which the activation was started.

Every check comes before any effect; a refused call changes nothing. The kernel answers by sending a value back, or by
throwing one of `actors.errors`. A call carries encoded keys and checked values: what was checked where the program
stands is never checked again.
"""

from __future__ import annotations

from types import coroutine
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from actors.memory import Slot
from actors.region import Region, View

if TYPE_CHECKING:
    from collections.abc import Generator

    from actors.envelope import Limits
    from actors.keys import Name

#: A key and what is copied there: a slot, or a view to be mounted.
Copied: TypeAlias = tuple[bytes, Slot | View]
#: A key or a region to delete, encoded: the prefix, low and high; (key, None, None, True) for a single key.
Deleted: TypeAlias = tuple[bytes, bytes | None, bytes | None, bool]


#: Deletes the whole heap.
EVERYTHING: Final[Deleted] = (b"", None, None, False)


class Put(NamedTuple):
    child: Name
    values: tuple[Copied, ...]
    #: The program's class, a subclass of actors.Process (which is made of these, so that its name has no place here).
    program: type[Any] | None
    delete: tuple[Deleted, ...]
    start: bool
    gas: int | None
    #: Where the child's activations run from now on; no result depends on it, so no journal has it.
    placement: str | None = None
    #: What the child may have from now on, where that is less than what its parent may.
    limits: Limits | None = None
    #: Whether it is refused where there is such a child (which is then in the outcome, so that no journal has this), or such
    #: a child is dropped first.
    new: bool | Literal["replace"] = False


class Get(NamedTuple):
    child: Name
    #: Encoded keys and regions, in the order asked for; none: the changes since the snapshot.
    wanted: tuple[bytes | Region, ...]


class Ret(NamedTuple):
    pass


class Snapshot(NamedTuple):
    data: Slot
    #: Where the next block's input goes, encoded; None for the class's own.
    region: bytes | None


class Status(NamedTuple):
    child: Name


class Drop(NamedTuple):
    child: Name


class Now(NamedTuple):
    pass


Call: TypeAlias = Put | Get | Ret | Snapshot | Status | Drop | Now

#: What a process has for them, for people.
METHODS: Final = ("put", "get", "merge", "ret", "status", "drop", "now", "snapshot")
#: The types of system calls; whatever else a process yields is none.
CALLS: Final = frozenset({Put, Get, Ret, Snapshot, Status, Drop, Now})

#: A named tuple made this way, of (its class, its fields), costs half of what its own constructor takes; PUT and GET are made
#: all the time.
quick: Final[Any] = tuple.__new__


@coroutine
def made(call: Call) -> Generator[Call, Any, Any]:
    """Hand a call to the kernel and return its answer: the one door between them."""
    return (yield call)
