"""Jobs and outcomes: an activation on its way to a worker, and what became of it on its way back.

Nothing here is ever unpickled: heads are canonical values (actors.values), the rest are keys, encoded values and nodes'
records. A batch, and the answer to it, are frames of frames:

    batch     (common, program …, (keep, job) …)     common: (runtime, main script, store or None, how many programs)
    program   (its number, pickle)                   sent to a worker once; pickled by cloudpickle, by the driver alone
    keep      under which number the worker is to keep the process for later jobs, u64; empty: not at all. One that came
              fresh is kept only where its job is long, or its outcome is a state.
    job       (head, numbers, record …, data …)      numbers: of the records, u64 each (runtime.workers.parcel)
    answer    (outcome …)
    outcome   (head, numbers, record …, data …)

A job says where the worker begins:

    fresh     a process of a few entries, at the top of `run`: path, program, gas, time, limits; data: key, value, …
    state     any process: its state as it is pending (runtime.state), as a tree; what its meter is filled with
    calls     one that this worker has kept: the PUTs since then, the last of which starts it; what its meter is filled
              with, and the time

An outcome is what the kernel's event `Ended` says, or why there is none:

    writes    what it wrote; data: key, value, …, and then the keys that it deleted
    state     its state now, as a tree
    trapped   what ended it
    lacking   the worker does not have what the job builds on: the process, a node, a program; send more
    broken    an error of the machine, or of the host
"""

from __future__ import annotations

import traceback
from struct import pack, unpack
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from actors.calls import Put
from actors.encoding import encode_plain
from actors.envelope import Limits
from actors.errors import KernelBug, ReplayDiverged
from actors.memory import Formed, form_of
from actors.region import View
from actors.trap import TrapKind
from actors.values import ABSENT, decode, encode
from runtime.workers.frames import first, form, split
from runtime.workers.parcel import Parcel, Received

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from actors.cells import ManySource
    from actors.keys import Path
    from actors.memory import Slot
    from runtime.record import Record
    from runtime.workers.frames import Form, Piece
    from runtime.workers.parcel import Top

FRESH: Final = 0
STATE: Final = 1
CALLS: Final = 2

WRITES: Final = 0
TREE: Final = 1
TRAPPED: Final = 2
LACKING: Final = 3
BROKEN: Final = 4

KEEP_BYTES: Final = 8

#: What a job may be broken by beside the machine's own errors.
EXHAUSTED: Final = "exhausted"
UNLOADABLE: Final = "unloadable"

_MACHINE: Final[dict[str, type[Exception]]] = {"kernel": KernelBug, ReplayDiverged.code: ReplayDiverged}


def keeping(number: int | None) -> bytes:
    """Return the number under which a worker is to keep a process, as it travels."""
    return b"" if number is None else number.to_bytes(KEEP_BYTES, "big")


def frame(head: tuple[Any, ...], parcel: Parcel | None, data: Sequence[bytes]) -> Form:
    """Return a job or an outcome."""
    said = encode_plain(head) or encode(head)
    if parcel is None or not parcel.records:
        return form((said, b"", *data))
    numbers = parcel.records
    return form((said, pack(f"<{len(numbers)}Q", *numbers), *numbers.values(), *data))


class Frame(NamedTuple):
    """A job or an outcome that was read."""

    head: tuple[Any, ...]
    records: dict[int, bytes]
    data: list[bytes]


def read_frame(made: Piece) -> Frame:
    """Return what `frame` made bytes of. Raises CodecError."""
    head, numbers, *rest = split(made)
    if not numbers:
        return Frame(decode(head), {}, rest)
    count = len(numbers) // 8
    return Frame(decode(head), dict(zip(unpack(f"<{count}Q", numbers), rest, strict=False)), rest[count:])


def read_head(made: Piece) -> tuple[Any, ...]:
    """Return the head of a job or an outcome, and read no more of it."""
    head: tuple[Any, ...] = decode(first(made))
    return head


# --- jobs ----------------------------------------------------------------------------------------------------------


def fresh(record: Record, program: int, entries: Sequence[tuple[bytes, bytes]]) -> Form:
    """Return the job of a process of a few entries."""
    limits = None if record.limits is None else tuple(record.limits)
    head = (FRESH, record.path, program, record.fill, record.time, limits)
    return frame(head, None, [piece for entry in entries for piece in entry])


def state(path: Path, program: int, top: Top, gas: int | None, parcel: Parcel) -> Form:
    """Return the job of a process in any state."""
    return frame((STATE, path, program, top, gas), parcel, ())


def calls(
    puts: Sequence[Put], number_of: Callable[[type[Any]], int], gas: int | None, time: Any, parcel: Parcel
) -> Form:
    """Return the job of a process that the worker has kept."""
    data: list[bytes] = []
    heads = []
    for put in puts:
        values: list[tuple[bytes, Top | None]] = []
        for key, slot in put.values:
            if type(slot) is View:
                values.append((key, parcel.add(slot.machine_tree)))
            else:
                values.append((key, None))
                data.append(form_of(slot) or b"")
        program = None if put.program is None else number_of(put.program)
        limits = None if put.limits is None else tuple(put.limits)
        heads.append((tuple(values), program, put.delete, put.start, limits))
    return frame((CALLS, tuple(heads), gas, time), parcel, data)


def read_calls(job: Frame, name: Any, programs: Callable[[int], type[Any]], store: ManySource) -> list[Put]:
    """Return the PUTs of a job."""
    received = Received(job.records, store)
    data = iter(job.data)
    puts = []
    for values, program, delete, start, limits in job.head[1]:
        copied: list[tuple[bytes, Slot | View]] = []
        for key, top in values:
            slot: Slot = Formed(next(data)) if top is None else View(received.tree(top), "what its parent put")
            copied.append((key, slot))
        cls = None if program is None else programs(program)
        given = None if limits is None else Limits(*limits)
        puts.append(Put(name, tuple(copied), cls, delete, start, None, None, given))
    return puts


# --- outcomes ------------------------------------------------------------------------------------------------------


class Past(NamedTuple):
    """What every outcome of an activation tells beside what became of the process."""

    used: int
    #: The programs that ran below it, by name, and how often each process below it was waited for.
    ran: tuple[str, ...]
    turns: tuple[tuple[Path, int], ...]
    #: When it began and ended, by the host's monotonic clock, in nanoseconds.
    begin_ns: int
    end_ns: int


def past_of(head: tuple[Any, ...]) -> Past:
    """Return that from the head of an outcome."""
    return Past(*head[1 : 1 + len(Past._fields)])


def trap_of(head: tuple[Any, ...]) -> tuple[TrapKind, str]:
    """Return why an activation trapped, from the head of such an outcome."""
    return TrapKind(head[-2]), head[-1]


def wrote(past: Past, writes: Mapping[bytes, Slot]) -> Form:
    """Return the outcome of an activation that wrote, and changed nothing else."""
    data: list[bytes] = []
    deleted: list[bytes] = []
    for key, slot in writes.items():
        if slot is ABSENT:
            deleted.append(key)
        else:
            data += (key, form_of(slot) or b"")
    return frame((WRITES, *past, len(deleted)), None, data + deleted)


def read_writes(outcome: Frame) -> dict[bytes, Slot]:
    """Return what was written."""
    data, deleted = outcome.data, outcome.head[-1]
    end = len(data) - deleted
    writes: dict[bytes, Slot] = {data[i]: Formed(data[i + 1]) for i in range(0, end, 2)}
    writes.update(dict.fromkeys(data[end:], ABSENT))
    return writes


def became(past: Past, top: Top, parcel: Parcel) -> Form:
    """Return the outcome of an activation behind which the process has another state."""
    return frame((TREE, *past, top), parcel, ())


def trapped(past: Past, trap: int, error: str, told: str) -> Form:
    """Return the outcome of an activation that trapped; `told` is for people."""
    return frame((TRAPPED, *past, trap, error), None, [told.encode(errors="replace")])


def lacking(program: str | None = None) -> Form:
    """Return the outcome of a job for which the worker does not have enough; a program, where it is that."""
    return frame((LACKING, program), None, ())


def broken(what: str, told: str) -> Form:
    """Return the outcome of a job that the machine or the host could not do."""
    return frame((BROKEN, what), None, [told.encode(errors="replace")])


def broken_by(error: Exception) -> Form:
    """Return the outcome of a job in which an error of the machine came up."""
    if isinstance(error, ReplayDiverged):
        return broken(error.code, str(error))
    return broken("kernel", "".join(traceback.format_exception(error)))


def machine_error(what: str, told: str) -> Exception | None:
    """Return the machine's error of an outcome that is broken by one."""
    cls = _MACHINE.get(what)
    return None if cls is None else cls(told)


class Elsewhere(Exception):
    """Stands for an exception that was raised in a worker, with its traceback there as text: for people alone."""

    def __init__(self, told: str) -> None:
        super().__init__(told)
        self.told = told

    def __str__(self) -> str:
        return f"in a worker:\n{self.told}"
