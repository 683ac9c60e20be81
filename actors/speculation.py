"""What groups of transactions that ran ahead of their turn are mistaken about.

Transactions of one list run in groups, side by side: a group begins on some state, goes on on its own transactions alone,
and knows nothing of what the others do. They are then settled in the order of the list. For every group there is a set of
what it is mistaken about: the keys whose value in the settled state is another one than the group had at that point.

    A transaction that observed nothing that its group was mistaken about did what it would have done in its place. The
    other groups are mistaken from now on about what it changed, its own no longer about what it set.

    Any other is run again. The groups in which it ran before are mistaken from then on about all in which the outcomes
    differ, and no longer about what it set to the same.

(The versions that Block-STM compares, Gelashvili and others, PPoPP 2023, say the same of shared memory. Here nobody sees
what another group writes, so that a set for each group is enough, and what does not differ is never run again.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

G = TypeVar("G")


class Speculation(Generic[G]):
    """The groups that are under way or not settled yet, and what each is mistaken about."""

    def __init__(self) -> None:
        self._mistaken: dict[G, set[bytes]] = {}

    def begin(self, group: G, about: Iterable[bytes] = ()) -> None:
        """Note a group that begins on the settled state, but for these keys."""
        self._mistaken[group] = set(about)

    def end(self, group: G) -> None:
        """Forget a group that has nothing left to be settled."""
        del self._mistaken[group]

    def mistaken(self, group: G) -> set[bytes]:
        """Return what a group is mistaken about."""
        return self._mistaken[group]

    def settle(self, changed: set[bytes], ran: Mapping[G, tuple[set[bytes], set[bytes]]]) -> None:
        """Note what a transaction did in its turn.

        Args:
            changed: the keys that it changed.
            ran: for the groups in which it ran: (what it set there as it did in its turn, in what the two outcomes differ).
        """
        for group, mistaken in self._mistaken.items():
            if group not in ran:
                mistaken |= changed
            else:
                agreed, differing = ran[group]
                mistaken |= differing
                mistaken -= agreed
