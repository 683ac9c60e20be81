"""How far ahead of what is settled a list of transactions is run: from counts alone, so that it is the same everywhere.

At most a *window* of transactions runs side by side. Where nearly all of them hold, it is doubled. Where one in three has to be run again,
it is halved, and a stretch of the list is run in order before it is tried again. Stretches get longer, until windows are
long: so a list whose transactions are all in each other's way costs little more than a loop.
"""

from __future__ import annotations

from typing import Final

#: How many transactions a wave has: at first, and at most.
WINDOW_FIRST: Final = 64
WINDOW_MAX: Final = 512
#: How long a stretch in order is: at first, and at most.
STRETCH_FIRST: Final = 32
STRETCH_MAX: Final = 512
#: The window is looked at again when so many have been counted. Where at most one in FEW is stale, it is doubled; where at
#: least one in MANY is, halved.
LOOK: Final = 16
FEW: Final = 8
MANY: Final = 3


class Pace:
    """The window, and whether and how far it goes in order next.

    Args:
        groups: into how many groups a wave is dealt.
    """

    def __init__(self, groups: int) -> None:
        self.window = WINDOW_FIRST
        #: Below this a wave costs more than it saves.
        self.smallest = 4 * groups
        self.stretch = STRETCH_FIRST
        self.in_order = False
        #: How often the window was looked at; and of those that ran side by side since: how many held, and were stale.
        self.changes = self._held = self._stale = 0

    def count(self, held: int, stale: int) -> None:
        """Count transactions that ran side by side since the last change."""
        self._held += held
        self._stale += stale

    def adapt(self) -> None:
        """Change the window, if enough have been counted."""
        stale, count = self._stale, self._held + self._stale
        if count < LOOK:
            return
        self._held = self._stale = 0
        self.changes += 1
        if stale * FEW <= count:
            self.window = min(2 * self.window, WINDOW_MAX)
            if self.window > WINDOW_FIRST:
                self.stretch = STRETCH_FIRST
        elif stale * MANY >= count:
            self.window = max(self.window // 2, self.smallest)
            self.in_order = True

    def in_a_row(self) -> None:
        """Note that a stretch goes in order; the next one is longer."""
        self.stretch = min(2 * self.stretch, STRETCH_MAX)
        self.in_order = False
