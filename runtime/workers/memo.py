"""Outcomes by what they follow from: the state in which an activation began, its program, its gas and its path.

So what ran on a branch that was left, or in a block that was not made, need not run again on another one where it begins
in the same state. Host faults have no place here.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from runtime.workers.frames import Piece

#: How many bytes of outcomes are remembered.
MEMO_BYTES_MAX: Final = 64 << 20
_ENTRY_BYTES: Final = 200


class Memo:
    """Outcomes by the digest of the start; the longest unused are forgotten first."""

    def __init__(self) -> None:
        self._outcomes: OrderedDict[bytes, Piece] = OrderedDict()
        self._bytes = 0

    def get(self, start: bytes) -> Piece | None:
        """Return what follows, if it is known."""
        outcome = self._outcomes.get(start)
        if outcome is not None:
            self._outcomes.move_to_end(start)
        return outcome

    def put(self, start: bytes, outcome: Piece) -> None:
        """Remember an outcome."""
        if type(outcome) is memoryview and 2 * len(outcome) < memoryview(outcome.obj).nbytes:
            # It would keep all that it came with.
            outcome = bytes(outcome)
        self._drop(start)
        self._outcomes[start] = outcome
        self._bytes += len(outcome) + _ENTRY_BYTES
        while self._bytes > MEMO_BYTES_MAX:
            self._drop(next(iter(self._outcomes)))

    def _drop(self, start: bytes) -> None:
        outcome = self._outcomes.pop(start, None)
        if outcome is not None:
            self._bytes -= len(outcome) + _ENTRY_BYTES

    def clear(self) -> None:
        """Forget all of them."""
        self._outcomes.clear()
        self._bytes = 0
