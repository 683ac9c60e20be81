"""Outcomes by what they follow from: the state in which an activation began, its program, its gas and its path.

So what ran on a branch that was left, or in a block that was not made, need not run again on another one where it begins
in the same state. Host faults have no place here.

What it follows from is its *start*: a digest; or, where it is long, the job itself. To make a digest of megabytes costs a
tenth of what a worker does with them, and next to nothing is ever looked up that is there. Where all of that would cost too
much, it is a number, and nothing is remembered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from actors.recent import Recent
from runtime.workers.frames import LONG_BYTES

if TYPE_CHECKING:
    from runtime.workers.frames import Piece

#: How many bytes of outcomes, and of long starts, are remembered.
MEMO_BYTES_MAX: Final = 64 << 20
_ENTRY_BYTES: Final = 170


class LongStart:
    """A job whose long pieces are compared only with those that are as long, with the same short ones between."""

    __slots__ = ("_hash", "_pieces")

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces
        self._hash = hash(tuple([piece if len(piece) < LONG_BYTES else len(piece) for piece in pieces]))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LongStart) and self._pieces == other._pieces

    def __len__(self) -> int:
        return sum(map(len, self._pieces))


#: What an outcome follows from.
Start: TypeAlias = bytes | LongStart | int


class Memo:
    """Outcomes by their starts; the longest unused are forgotten first."""

    def __init__(self) -> None:
        self._outcomes: Recent[Start, Piece] = Recent(MEMO_BYTES_MAX)

    def get(self, start: Start) -> Piece | None:
        """Return what follows, if it is known."""
        return self._outcomes.get(start)

    def put(self, start: Start, outcome: Piece) -> None:
        """Remember an outcome, if it has a start."""
        if isinstance(start, int):
            return
        if type(outcome) is memoryview and 2 * len(outcome) < memoryview(outcome.obj).nbytes:
            # It would keep all that it came with.
            outcome = bytes(outcome)
        self._outcomes.put(start, outcome, len(start) + len(outcome) + _ENTRY_BYTES)

    def clear(self) -> None:
        """Forget all of them."""
        self._outcomes.clear()
