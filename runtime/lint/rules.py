"""The rules: each a stable code, a name, what is wrong with what it finds, and the mend. The README has this table too.

A reason goes on behind the piece of code that it is about: "`time.time()` reads the clock, ...".
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Rule(NamedTuple):
    """One thing that makes the same inputs give different results."""

    code: str
    name: str
    reason: str
    mend: str


_FETCHED: Final = "let the caller of advance() fetch it, and hand it in with the block's input"

SET_ORDER: Final = Rule(
    "LS101",
    "set-order",
    "comes in an order that follows the hash seed, and the order shows in what is made of it",
    "iterate sorted(…), or keep the members as keys of the heap",
)
SET_PICK: Final = Rule(
    "LS102",
    "set-pick",
    "picks whichever comes first in an order that follows the hash seed",
    "say which one: min(…), max(…) or sorted(…) by all that tells members apart",
)
FLOAT_SUM: Final = Rule(
    "LS103",
    "float-sum",
    "adds floats in an order that follows the hash seed, and rounds differently in each",
    "use math.fsum(…), sum sorted(…), or count in ints",
)
DIRECTORY_ORDER: Final = Rule(
    "LS104",
    "directory-order",
    "lists files in whatever order the file system has them",
    "sort it; in a program, let the caller of advance() list them, and hand the list in with the block's input",
)
HASH: Final = Rule(
    "LS201",
    "hash",
    "is another number in every process: hashes of str and bytes follow the hash seed, others an address",
    "use a digest of the bytes (hashlib), or the value itself as a key",
)
ADDRESS: Final = Rule(
    "LS202",
    "address",
    "is an address in memory: another one in every process, and used again once the object is gone",
    "compare values, or number the objects yourself",
)
IS_VALUE: Final = Rule(
    "LS203",
    "is-value",
    "compares which object it is, and equal values need not be one object once they come out of a heap",
    "use == or !=",
)
DEFAULT_REPR: Final = Rule(
    "LS204",
    "default-repr",
    "has a text with its address in memory, another one in every process",
    "give its class a __repr__ (or make it a dataclass), or format its fields",
)
CLASS_STATE: Final = Rule(
    "LS301",
    "class-state",
    "belongs to the class: all its instances in one process share it, no other process and no block has it",
    "keep it in self.heap; where it never changes, make it a tuple, a frozenset or Final",
)
GLOBAL_WRITTEN: Final = Rule(
    "LS302",
    "global-written",
    "writes what is shared by all in one process, is not in the state, and outlives a failed block",
    "keep it in self.heap, hand it on as an argument, or return it",
)
FINALIZER: Final = Rule(
    "LS303",
    "finalizer",
    "runs when memory is freed: whenever the garbage collector comes to it, or never",
    "do it where it is due, with `with` or try/finally",
)
SWALLOWED: Final = Rule(
    "LS304",
    "swallowed",
    "catches the end of the process itself and what the machine's memory decides (GeneratorExit, MemoryError), and goes on",
    "catch the errors that are meant, or end the handler with raise",
)
DEFAULT_KEPT: Final = Rule(
    "LS305",
    "default-kept",
    "is one object for all calls in one process, and what one does to it the next one sees",
    "let the default be None, and make a new one inside",
)
LOOKED_UP: Final = Rule(
    "LS306",
    "looked-up",
    "finds globals by names that are made as it runs, and a worker has of the main script those alone that its code names",
    'keep what it chooses from in a dict that is named: STEPS = {"add": add}',
)
CLOCK: Final = Rule(
    "LS401",
    "clock",
    "depends on the clock, which has moved on when the block is executed again",
    'use `await self.now()`, the block\'s time; a trusted program lifts the guard: lifted = ("clock",)',
)
RANDOM: Final = Rule(
    "LS402",
    "random",
    "draws a number that nobody can draw again",
    "use `self.random`, or random.Random(seed) with a seed from the heap or the block's input",
)
ENVIRONMENT: Final = Rule("LS403", "environment", "is another on another machine, or in another process", _FETCHED)
OUTSIDE: Final = Rule(
    "LS404", "outside", "reads or writes outside the state, which may be different by the next execution", _FETCHED
)
THREADS: Final = Rule(
    "LS405",
    "threads",
    "is for what runs side by side, and there who ends first decides",
    "start a child: put(…, start=True); children run side by side, and the result does not show how",
)
FOREIGN_AWAIT: Final = Rule(
    "LS406",
    "foreign-await",
    "belongs to an event loop; a process awaits system calls alone",
    "start children with put and wait for them with get; what waits for the outside is the caller's of advance()",
)
NOT_AWAITED: Final = Rule(
    "LS501",
    "not-awaited",
    "makes a coroutine that nobody awaits: the call is not made, and a coroutine is no value",
    "write await before it",
)
CHANGE_LOST: Final = Rule(
    "LS502",
    "change-lost",
    "makes a changed copy and throws it away: what comes out of a heap is persistent, and stays as it is",
    "put the copy back: self.heap[key] = self.heap[key].append(…)",
)
HIDDEN_NAMES: Final = Rule(
    "LS902",
    "hidden-names",
    "hides which names are here, so that programs and calls may go unseen: its module is not there to be read, or makes "
    "its __all__ as it is run",
    "import names: from actors import Process, Root",
)
UNKNOWN_CODE: Final = Rule(
    "LS901", "unknown-code", "ignores no rule that there is", "write # lockstep: ignore[LS101], with codes of the table"
)

#: All of them, by code, in order.
RULES: Final[dict[str, Rule]] = {
    rule.code: rule
    for rule in (
        SET_ORDER,
        SET_PICK,
        FLOAT_SUM,
        DIRECTORY_ORDER,
        HASH,
        ADDRESS,
        IS_VALUE,
        DEFAULT_REPR,
        CLASS_STATE,
        GLOBAL_WRITTEN,
        FINALIZER,
        SWALLOWED,
        DEFAULT_KEPT,
        LOOKED_UP,
        CLOCK,
        RANDOM,
        ENVIRONMENT,
        OUTSIDE,
        THREADS,
        FOREIGN_AWAIT,
        NOT_AWAITED,
        CHANGE_LOST,
        UNKNOWN_CODE,
        HIDDEN_NAMES,
    )
}
