"""The tree of errors. An error says whose fault it is, names the thing and the place, and says how to mend it.

    LockstepError
    ├── ProgramError                  the program's mistake; raised inside the process, which may catch it
    │   ├── ValueRefused              a value that has no place in a heap
    │   ├── KeyRefused                a key that has no place in a heap
    │   ├── MissingKey                no such key in that heap (also a KeyError)
    │   │   └── EmptyRegion           no first or last key in that region (in actors.region)
    │   ├── NoSuchChild               GET, status or drop of a child that does not exist
    │   ├── CallRefused               a system call that the contract does not allow there
    │   ├── ForeignAwait              an await on something that is not a system call
    │   ├── GuardRefused              a call that reaches outside: clocks, randomness, files, … (see actors.guards)
    │   ├── LimitExceeded             one of actors.limits
    │   └── MergeConflict             a three-way merge that nobody said how to settle (in actors.merge)
    ├── ChildFailed                   what a parent sees of a child that trapped
    │   ├── OutOfGas                  ... because its meter was empty
    │   └── HostFault                 ... because the machine under it failed it
    ├── NoAnswer                      an ask that nobody will answer (in actors.mail)
    ├── ActorFailed                   an actor failed whose program escalates that (in actors.office)
    ├── BlockFailed                   the root trapped: the block was not made, the head stays
    ├── ReplayDiverged                a program did not do again what its journal says it did
    ├── VerifyFailed                  a block, executed again, gave another result
    ├── ProofRefused                  bytes that prove nothing, or not what was asked, or not under that state root
    ├── BlockUnknown                  no such block is kept
    ├── CodecError                    bytes that are not a canonical encoding
    │   └── StreamRefused             an export that is damaged, cut off or forged (in runtime.transfer)
    ├── InputError                    the caller's input: a file, a line, an argument
    └── StoreError                    the store
        ├── StoreBusy                 another process (or runtime) has it open
        ├── StoreMismatch             it belongs to another root program or genesis
        ├── StoreFormat               it is of another format, or no store at all
        └── StoreDamaged              what is in it is not what was put there

    HostTrouble                       not a LockstepError: raised out of `run` where the host cannot go on with an activation
    KernelBug                         not a LockstepError: a rule of the machine itself is broken; please report it

What a process can see of an error is the same on every machine, so the text of those that are raised inside a process
is made of their fields alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from actors.guards import GUARDS

if TYPE_CHECKING:
    from collections.abc import Sequence


class LockstepError(Exception):
    """The base of every error that Lockstep raises on purpose."""

    #: A stable name for the kind of error, for scripts and for search engines.
    code: ClassVar[str] = "lockstep"


class ProgramError(LockstepError):
    """A program's mistake. It is raised where the mistake is, inside the process, and may be caught there."""

    code = "program"


class ValueRefused(ProgramError, TypeError):
    """A value that cannot stand in a heap. The message has its type and the path to it inside the whole value."""

    code = "value-refused"


class KeyRefused(ProgramError, TypeError):
    """A key that is not a str, an int, bytes or a tuple of them."""

    code = "key-refused"


class MissingKey(ProgramError, KeyError):
    """A key that is not in the heap.

    Args:
        place: the path of the process whose heap it is, as printed; or what else it is not in, in words.
        key: the key, as printed.
    """

    code = "missing-key"

    def __init__(self, place: str, key: str) -> None:
        super().__init__(place, key)
        self.place = place
        self.key = key

    def __str__(self) -> str:
        place = f"the heap of {self.place}" if self.place.startswith("/") else self.place
        return f"no key {self.key} in {place}; use get(key, default) or `in` where it may be absent"


class NoSuchChild(ProgramError, LookupError):
    """A child that does not exist. GET, status and drop never create one; PUT does.

    Args:
        place: the path of the calling process, as printed.
        name: the child's name.
        known: the first names of the children that there are, in order.
        more: how many more there are.
    """

    code = "no-such-child"

    def __init__(self, place: str, name: str | int, known: Sequence[str | int], more: bool) -> None:
        super().__init__(place, name, tuple(known), more)
        self.place = place
        self.name = name
        self.known = tuple(known)
        self.more = more

    def __str__(self) -> str:
        names = ", ".join(repr(name) for name in self.known) + (", …" if self.more else "")
        has = f"it has {names}" if self.known else "it has none"
        return f"{self.place} has no child {self.name!r} ({has}); create it with put({self.name!r}, program=…)"


class CallRefused(ProgramError):
    """A system call that the contract does not allow there. Nothing was changed by it."""

    code = "call-refused"


class ForeignAwait(ProgramError):
    """A process awaited something that is not a system call of its own."""

    code = "foreign-await"


class GuardRefused(ProgramError):
    """A call by which a program would see, or change, what is outside its heap and its system calls.

    Where in the program it is, a note says: for people, since places in files differ between machines.

    Args:
        guard: the name of the guard that refused it, one of `actors.guards.GUARDS`.
        call: what was called, as printed.
    """

    code = "guard"

    def __init__(self, guard: str, call: str) -> None:
        super().__init__(guard, call)
        self.guard = guard
        self.call = call

    def __str__(self) -> str:
        reason, mend = GUARDS[self.guard]
        return f'{self.call}: {reason}; {mend}, or lift the guard "{self.guard}": lifted = ("{self.guard}",)'


class LimitExceeded(ProgramError):
    """One of the limits in `actors.limits`."""

    code = "limit"


class ChildFailed(LockstepError):
    """A child trapped and went back, with its subtree, to the snapshot of its last start.

    Raised by GET until the parent starts the child again, gives it another program or drops it. It has only what is
    the same on every machine.

    Args:
        path: the child's path, as printed.
        error: the class name of the exception that ended it.
        gas: what the failed activation used.
    """

    code = "child-failed"
    kind: ClassVar[str] = "failed"

    def __init__(self, path: str, error: str, gas: int) -> None:
        super().__init__(path, error, gas)
        self.path = path
        self.error = error
        self.gas = gas

    def __str__(self) -> str:
        return (
            f"{self.path} failed with {self.error} and is back at its snapshot; "
            "start it again with put(…, start=True), change it first, or drop it"
        )


class OutOfGas(ChildFailed):
    """A child's meter ran empty."""

    code = "out-of-gas"
    kind = "out of gas"

    def __str__(self) -> str:
        return (
            f"{self.path} ran out of gas after {self.gas} and is back at its snapshot; "
            "start it again with put(…, start=True, gas=more), or drop it"
        )


class HostFault(ChildFailed):
    """The machine under a child failed it, several times: the workers died, or its program cannot get to them.

    `error` tells what it was: "WorkerDied", "WorkerStuck", "ProgramNotSent". No retry on another machine need end so; that
    it did here is recorded in the block.
    """

    code = "host-fault"
    kind = "host fault"

    def __str__(self) -> str:
        return (
            f"{self.path} was given up by its host: {self.error}; it is back at its snapshot, and the log has the details; "
            "start it again with put(…, start=True), elsewhere with placement=, or drop it"
        )


class HostTrouble(BaseException):
    """The host cannot go on with an activation, for a reason that need not hold on another one: raised out of `run`.

    Not an Exception, so that no program takes it for one of its own. Its process ends with a host fault.

    Args:
        error: what it was, in a word: "StackOverflow".
        detail: what there is to say, for people.
    """

    def __init__(self, error: str, detail: str) -> None:
        super().__init__(error, detail)
        self.error = error
        self.detail = detail


class BlockFailed(LockstepError):
    """The root trapped, so there is no such block: nothing of it was kept and the head is what it was.

    `__cause__` is the root's own exception with its traceback; where that is a ChildFailed, its cause is the child's.

    Args:
        number: the number that the block would have had.
        error: the class name of the root's exception.
        detail: its message, for people.
    """

    code = "block-failed"

    def __init__(self, number: int, error: str, detail: str) -> None:
        super().__init__(number, error, detail)
        self.number = number
        self.error = error
        self.detail = detail

    def __str__(self) -> str:
        said = f": {self.detail}" if self.detail else ""
        return f"block {self.number} was not made, the head stays: the root failed with {self.error}{said}"


class ReplayDiverged(LockstepError):
    """A program did not repeat what its journal says that it did, so it cannot be restored."""

    code = "replay-diverged"


class VerifyFailed(LockstepError):
    """A block, executed again from the store, did not give what the store says.

    Args:
        number: the block's number.
        path: the path of the first process that differs, as printed.
        key: what differs in it.
        expected: what the store has.
        got: what the execution gave.
        hint: a likely reason, for people.
    """

    code = "verify-failed"

    def __init__(self, number: int, path: str, key: str, expected: str, got: str, hint: str) -> None:
        super().__init__(number, path, key, expected, got, hint)
        self.number = number
        self.path = path
        self.key = key
        self.expected = expected
        self.got = got
        self.hint = hint

    def __str__(self) -> str:
        return f"block {self.number}, process {self.path}, {self.key}: expected {self.expected}, got {self.got}. {self.hint}"


class ProofRefused(LockstepError, ValueError):
    """A proof that is none: damaged, forged, of another state, or about something else than what was asked."""

    code = "proof-refused"


class BlockUnknown(LockstepError, LookupError):
    """No such block is kept."""

    code = "block-unknown"


class CodecError(LockstepError, ValueError):
    """Bytes that are not the canonical encoding of anything."""

    code = "codec"


class InputError(LockstepError, ValueError):
    """Something that the caller handed in: an argument, a file, a line of it."""

    code = "input"


class StoreError(LockstepError):
    """The store could not do what was asked. What it held before, it still holds."""

    code = "store"


class StoreBusy(StoreError):
    """Another process, or another runtime in this one, has the store open."""

    code = "store-busy"


class StoreMismatch(StoreError):
    """The store belongs to another root program, or began from another genesis."""

    code = "store-mismatch"


class StoreFormat(StoreError):
    """The file is of another format version, or is no Lockstep store at all."""

    code = "store-format"


class StoreDamaged(StoreError):
    """What is in the store is not what was put there."""

    code = "store-damaged"


class KernelBug(RuntimeError):
    """A rule of the machine itself is broken. Not a LockstepError: no program and no input may cause it."""
