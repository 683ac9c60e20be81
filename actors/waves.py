"""Which transactions of a list run side by side next, and in which groups.

Nothing here has a say in any result: a bad choice costs time alone. But it must be the same choice everywhere, since what
is run twice, and so what is paid for, follows from it: it depends on the list, on what its transactions touch, and on
counts; never on a clock, nor on how many workers there are.

A plan goes through the list in its order. Transactions that touch a common key go into one cluster, up to a size that lets
the clusters be balanced. One that would make its cluster larger, or that touches what an earlier one touches that is left
or under way, is left for a later wave, and so is what comes behind it and touches the same. The clusters are dealt to the
groups from the largest on, each to the group that has least.

What has run and waits for its turn mostly holds. So it is in nobody's way: groups are told what it did, if nothing before it
is in the plan, left, or under way that touches the same.
"""

from __future__ import annotations

from enum import Enum
from heapq import heapify, heapreplace
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, KeysView


class Stage(Enum):
    """How far a transaction is that is not settled."""

    #: It may be in a plan.
    FREE = 1
    #: It is under way, or not to be run now.
    AWAY = 2
    #: It was run, and waits for its turn.
    RAN = 3


class Step(NamedTuple):
    """A transaction that is not settled, as a plan comes by it."""

    #: Its place in the list.
    place: int
    stage: Stage
    #: What it touches, as far as is known.
    touched: Collection[bytes]


class Plan(NamedTuple):
    """What is to run side by side."""

    #: The places of transactions, in groups, each in the list's order.
    groups: list[list[int]]
    #: The places of those that have run and of which the groups may be told, in the list's order.
    known: list[int]


def plan(steps: Iterable[Step], window: int, groups: int) -> Plan:
    """Return which transactions are to be run side by side.

    Args:
        steps: the transactions that are not settled, in the list's order.
        window: how many are taken at most.
        groups: into how many groups.
    """
    clusters = _Clusters(max(1, window // groups))
    blocked: set[bytes] = set()
    known: list[int] = []
    for place, stage, touched in steps:
        clear = blocked.isdisjoint(touched)
        if clear and stage is Stage.RAN and clusters.keys.isdisjoint(touched):
            known.append(place)
        elif clear and stage is Stage.FREE and clusters.take(place, touched):
            if clusters.taken >= window:
                break
        else:
            blocked.update(touched)
    return Plan(_dealt(clusters.all(), groups), known)


def gain(groups: list[list[int]]) -> float:
    """Return how many times faster groups are than the same transactions in order, at best."""
    return sum(map(len, groups)) / max(map(len, groups))


class _Clusters:
    """Disjoint sets of transactions, none larger than `most`."""

    def __init__(self, most: int) -> None:
        self._most = most
        #: How many transactions they have together.
        self.taken = 0
        self._parents: list[int] = []
        self._places: list[list[int]] = []
        #: The cluster of every key.
        self._of: dict[bytes, int] = {}

    @property
    def keys(self) -> KeysView[bytes]:
        """What they touch."""
        return self._of.keys()

    def take(self, place: int, touched: Collection[bytes]) -> bool:
        """Take a transaction in, unless its cluster would be too large."""
        of = self._of
        met = {self._root(of[key]) for key in touched if key in of}
        if 1 + sum([len(self._places[root]) for root in met]) > self._most:
            return False
        if not met:
            home = len(self._parents)
            self._parents.append(home)
            self._places.append([])
        else:
            home = min(met)
            for other in met:
                if other != home:
                    self._parents[other] = home
                    self._places[home] += self._places[other]
                    self._places[other] = []
        self._places[home].append(place)
        of.update(dict.fromkeys(touched, home))
        self.taken += 1
        return True

    def _root(self, cluster: int) -> int:
        parents = self._parents
        while parents[cluster] != cluster:
            parents[cluster] = parents[parents[cluster]]
            cluster = parents[cluster]
        return cluster

    def all(self) -> list[list[int]]:
        """Return the clusters."""
        return [places for places in self._places if places]


def _dealt(clusters: list[list[int]], groups: int) -> list[list[int]]:
    bins: list[tuple[int, int]] = [(0, number) for number in range(groups)]
    heapify(bins)
    dealt: list[list[int]] = [[] for _ in range(groups)]
    for places in sorted(clusters, key=lambda places: (-len(places), min(places))):
        load, number = bins[0]
        heapreplace(bins, (load + len(places), number))
        dealt[number] += places
    return [sorted(places) for places in dealt if places]
