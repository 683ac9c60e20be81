"""Groups: transactions that run in one child, what became of them, and who will turn out to be stale.

What `actors.ordered` keeps of a list's transactions that are under way, or were run and wait for their turn.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from actors.recording import Effect
    from actors.speculation import Speculation


class Child:
    """A child, and what it was told."""

    __slots__ = ("mark", "name", "news", "rebased", "rows")

    def __init__(self, name: str) -> None:
        self.name = name
        #: Which state it has: how often that was made anew.
        self.rebased = -1
        #: How many of the changes since then it was told, in how many pieces, and of how many keys.
        self.mark = self.news = self.rows = 0


class Group:
    """Transactions that run in one child, one after the other."""

    __slots__ = ("changed", "child", "foretold", "left", "places", "since")

    def __init__(self, child: Child, places: Sequence[int], since: int | None) -> None:
        self.child = child
        self.places = places
        #: How often the window had changed when it began; None where it ran alone, and tells nothing of what the window
        #: should be.
        self.since = since
        #: How many of its transactions are neither settled nor to be run again.
        self.left = len(places)
        #: Of which keys it was told what a transaction left there that waited for its turn: where that one is, and what it did.
        self.foretold: dict[bytes, tuple[int, Ran]] = {}
        #: The first of its transactions that changed each key, where it was foretold any.
        self.changed: dict[bytes, int] = {}

    def has_from(self, place: int, agreed: set[bytes], differing: set[bytes]) -> tuple[set[bytes], set[bytes]]:
        """Return what the group has, and has not, of what a foretold transaction does, at that one's place.

        What its own transactions before that place changed, it has from them: they ran on top of what was foretold.

        Args:
            place: where the foretold one is.
            agreed: the keys that it set as it was foretold.
            differing: the keys to which it did something else.
        """
        over = {form for form in agreed if self.changed.get(form, place) < place}
        return agreed - over, differing | over


class Ran(NamedTuple):
    """A transaction that was run, and where; of what it did, that which is asked for over and over."""

    group: Group
    effect: Effect
    fixed: set[bytes]
    changed: set[bytes]
    touched: frozenset[bytes]


_NOBODY: Final = (-1, None)


class Known:
    """Who changed what, as far as those of a list are gone through: by this, who will turn out to be stale.

    Args:
        speculation: what groups are mistaken about.
        ordered: whether ranges will be asked for.
    """

    def __init__(self, speculation: Speculation[Group], ordered: bool) -> None:
        self._speculation = speculation
        #: Who is the last one to have changed a key; None: one that is to be run again. And the keys in order.
        self._last: dict[bytes, Ran | None] = {}
        self._order: list[bytes] | None = [] if ordered else None
        #: What groups are mistaken about, but for what they were foretold, in order.
        self._mistaken: dict[Group, list[bytes]] = {}

    def add(self, changed: set[bytes], ran: Ran | None) -> None:
        """Note that a transaction is the last one to have changed these; None: it is to be run again."""
        if self._order is not None:
            for form in changed - self._last.keys():
                insort(self._order, form)
        self._last.update(dict.fromkeys(changed, ran))

    def is_doubtful(self, ran: Ran) -> bool:
        """Tell whether one observed what its group is mistaken about, or did not have from the last one to change it."""
        group, effect, last = ran.group, ran.effect, self._last
        mistaken = self._speculation.mistaken(group)
        for form in effect.reads:
            if self._has_not(group, form) if form in last else form in mistaken:
                return True
        if not effect.ranges:
            return False
        assert self._order is not None
        beyond = self._mistaken.get(group)
        if beyond is None:
            beyond = self._mistaken[group] = sorted(mistaken.difference(group.foretold))
        return any(
            any(form not in last for form in _between(beyond, low, high))
            or any(self._has_not(group, form) for form in _between(self._order, low, high))
            for low, high in effect.ranges
        )

    def _has_not(self, group: Group, form: bytes) -> bool:
        """Tell whether a group has not what the last one to change a key has left there."""
        writer = self._last[form]
        return writer is None or (writer.group is not group and group.foretold.get(form, _NOBODY)[1] is not writer)


def _between(order: list[bytes], low: bytes, high: bytes) -> Iterator[bytes]:
    return islice(order, bisect_left(order, low), bisect_left(order, high))
