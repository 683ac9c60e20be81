"""Placement: on the loop, or on a worker. A matter of time alone: no result depends on it.

A process says where its activations run, or that it is to be found out ("auto"). Then the first go to a worker, which
tells how long they took, and so does one every `_PROBE_S` later on, since what a program does may change. An activation
that takes less than the way there and back stays on the loop: `_ALONE_S` where nothing else is about to begin, for its
parent then waits for it alone, and `_TOGETHER_S` where many are, which travel together.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from actors.process import Process
    from runtime.record import Record

_ALONE_S: Final = 0.003
_TOGETHER_S: Final = 0.000_1
_MANY: Final = 8
#: To try one costs about a two-hundredth of that.
_PROBE_S: Final = 0.1
#: How much a new figure counts.
_SHARE: Final = 0.25


class Costs:
    """What activations of each program were seen to take, in seconds."""

    def __init__(self) -> None:
        self._seconds: dict[type[Process], float] = {}
        #: When a program that stays on the loop was tried on a worker last.
        self._tried: dict[type[Process], float] = {}

    def seconds(self, program: type[Process]) -> float | None:
        """Return what an activation takes, or None where none was seen."""
        return self._seconds.get(program)

    def saw(self, program: type[Process], seconds: float) -> None:
        """Note what an activation took."""
        before = self._seconds.get(program, seconds)
        self._seconds[program] = before + _SHARE * (seconds - before)

    def on_worker(self, record: Record, waiting: int) -> bool:
        """Tell whether an activation is to run on a worker.

        Args:
            record: the process that begins.
            waiting: how many other effects there are to be performed.
        """
        program = record.program
        assert program is not None
        placement = record.placement or program.placement
        if placement != "auto":
            return placement == "worker"
        seconds = self._seconds.get(program)
        if seconds is None or seconds >= (_ALONE_S if waiting < _MANY else _TOGETHER_S):
            return True
        now = monotonic()
        if now < self._tried.setdefault(program, now) + _PROBE_S:
            return False
        self._tried[program] = now
        return True
