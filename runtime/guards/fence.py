"""The fence: which program is being stepped in a thread.

It is asked at every guarded call of every thread and set at every step, so it is an attribute, and nothing more. Whoever
steps takes the thread's `cell` once, sets its `program` before a program's code runs, and back to None behind it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from actors.process import Process


class Cell:
    """What one thread is at."""

    __slots__ = ("filters", "program")

    def __init__(self) -> None:
        #: The filters of warnings where the stepping began: the host's.
        self.filters: object = None
        #: The program that is being stepped; None: none is, and nothing is refused.
        self.program: type[Process] | None = None


class Here(threading.local):
    """The cell of the thread that asks."""

    #: For a thread that has none yet, or none any more: calls come from its very first and last steps as well.
    cell: Cell = Cell()

    def __init__(self) -> None:
        self.cell = Cell()


here: Final = Here()
