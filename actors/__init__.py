"""The language of Lockstep: what a process is written with.

A program is a tree of processes. Each has a private heap and talks to its parent and its direct children alone, only
when they have stopped, by three system calls: PUT copies values in (and starts), GET copies out, RET stops and waits.
So its result depends on its inputs alone. Pure: no event loop, no I/O, no clock; `runtime` runs it.

    from actors import Process, Root

    class Square(Process):
        async def run(self):
            self.heap["y"] = self.heap["x"] ** 2

    class Squares(Root):
        async def run(self):
            await self.put("a", {"x": self.heap["block", "x"]}, program=Square, start=True)
            return await self.get("a", "y")
"""

from actors.changes import Change, Changes
from actors.codecs import codec
from actors.envelope import Limits
from actors.errors import (
    BlockFailed,
    BlockUnknown,
    CallRefused,
    ChildFailed,
    CodecError,
    ForeignAwait,
    GuardRefused,
    HostFault,
    InputError,
    KernelBug,
    KeyRefused,
    LimitExceeded,
    LockstepError,
    MissingKey,
    NoSuchChild,
    OutOfGas,
    ProgramError,
    ProofRefused,
    ReplayDiverged,
    StoreBusy,
    StoreDamaged,
    StoreError,
    StoreFormat,
    StoreMismatch,
    ValueRefused,
    VerifyFailed,
)
from actors.freezing import freeze
from actors.heap import Heap
from actors.keys import Key, Name, Path
from actors.mail import Actor, NoAnswer
from actors.merge import MergeConflict, Writer
from actors.office import ActorFailed, PostOffice
from actors.process import Process, Root
from actors.proof import Proof
from actors.recording import Refusal
from actors.reductions import add, append, maximum, minimum, union
from actors.region import Region, View
from actors.supervision import Ladder, Supervised
from actors.transactions import Transaction
from actors.trap import Trap, TrapKind
from actors.values import ABSENT
from actors.workspaces import Team

__all__ = [
    "ABSENT",
    "Actor",
    "ActorFailed",
    "BlockFailed",
    "BlockUnknown",
    "CallRefused",
    "Change",
    "Changes",
    "ChildFailed",
    "CodecError",
    "ForeignAwait",
    "GuardRefused",
    "Heap",
    "HostFault",
    "InputError",
    "KernelBug",
    "Key",
    "KeyRefused",
    "Ladder",
    "LimitExceeded",
    "Limits",
    "LockstepError",
    "MergeConflict",
    "MissingKey",
    "Name",
    "NoAnswer",
    "NoSuchChild",
    "OutOfGas",
    "Path",
    "PostOffice",
    "Process",
    "ProgramError",
    "Proof",
    "ProofRefused",
    "Refusal",
    "Region",
    "ReplayDiverged",
    "Root",
    "StoreBusy",
    "StoreDamaged",
    "StoreError",
    "StoreFormat",
    "StoreMismatch",
    "Supervised",
    "Team",
    "Transaction",
    "Trap",
    "TrapKind",
    "ValueRefused",
    "VerifyFailed",
    "View",
    "Writer",
    "add",
    "append",
    "codec",
    "freeze",
    "maximum",
    "minimum",
    "union",
]
