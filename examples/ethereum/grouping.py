"""Which transactions of a block are likely to get in each other's way, before any of them has run.

Nothing here has a say in any result: a bad guess costs time alone. It must be the same guess everywhere, though, since
what is executed twice follows from it; so it depends on the block and on the number of groups, and on nothing else.

The guess. Transactions that name the same address are likely to touch the same slots: the less common the address in
the block, the likelier. A token that a third of the block moves is named by many that have nothing to do with each
other; a pair, a pool or an account that two of them name is not. Two addresses that are named one behind the other,
such as the two tokens of a swap, count as one of their own. So names are taken from the rarest on, and the transactions
that share one are put into one cluster, unless that would make a cluster too heavy to be balanced.

A sender's calls stay together whatever they weigh: who calls twice in a block mostly calls the same. His payments do
not, for all that they have in common is a nonce, which every one of them brings along.

Addresses are named as sender of calls, as recipient, in the access list, and in the call data: there as words of 32 bytes that
begin with twelve zeros, or in a packed path of pools; and anywhere, once some transaction of the block has named them.

Clusters are dealt to the groups from the heaviest on, each to the group that has least. How long a transaction will
take is not known; its gas limit stands for it.
"""

import heapq
import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from ethereum.exceptions import EthereumException
from ethereum_types.numeric import U64

from .evm import BlockEnv
from .forks import installed_fork
from .transactions import PlainTransaction, build, parts_of

__all__ = ["groups_of", "senders_of", "worth"]

#: Into how many groups a block is divided unless somebody says otherwise: more than there are workers mostly, so that
#: a group that takes longer than was thought leaves work for the others to do meanwhile.
GROUPS: Final = 8
#: A light block gets fewer, since each group reads anew what others have read as well.
GROUPS_LIGHT: Final = 4
LIGHT_GAS: Final = 10_000_000
#: A cluster may have at most this share of what a block weighs.
SHARE_MAX: Final = 0.3
#: An address in call data: padded to a word, or in a packed path, behind or before one of the usual fees. Words begin
#: anywhere: what is called may be handed on inside of other data.
_ADDRESS: Final = re.compile(
    rb"(?s)(?=\x00{12}([^\x00].{19})|(?:\x00\x01\xf4|\x00\x0b\xb8|\x00\x27\x10|\x00\x00\x64)([^\x00].{19}))"
)
#: What has so many zeros in a row is a number.
ZEROS_MAX: Final = 3
#: A block of fewer transactions, or with one group heavier than this share, is not worth the way.
WORTH_MIN: Final = 16
WORTH_SHARE_MAX: Final = 0.7


def groups_of(
    transactions: Sequence[PlainTransaction], senders: Sequence[bytes], count: int = 0
) -> tuple[tuple[int, ...], ...]:
    """The places of a block's transactions in at most `count` groups, each in order; the heaviest group first.

    count  0 for as many as seems best.
    """
    weights = [parts_of(plain)[0] for plain in transactions]
    count = count or (GROUPS_LIGHT if sum(weights) < LIGHT_GAS else GROUPS)
    clusters = _Clusters(weights, SHARE_MAX * sum(weights))
    calls_of: dict[bytes, list[int]] = defaultdict(list)
    for place, (plain, sender) in enumerate(zip(transactions, senders, strict=True)):
        if parts_of(plain)[2]:
            calls_of[sender].append(place)
    for places in calls_of.values():
        clusters.join(places, at_any_rate=True)
    places_of: dict[bytes, list[int]] = defaultdict(list)
    for place, names in enumerate(_names(transactions, senders)):
        for name in names:
            places_of[name].append(place)
    for _, places in sorted(places_of.items(), key=lambda entry: (len(entry[1]), entry[0])):
        clusters.join(places)
    return _dealt(clusters.all(), weights, count)


def senders_of(env: BlockEnv, transactions: Sequence[PlainTransaction]) -> list[bytes]:
    """The transactions' senders, from their signatures; b"" where one has none."""
    fork = installed_fork(env.rules)
    recover = fork.transactions.recover_sender
    chain = (U64(env.chain_id),) if fork.since("spurious_dragon") else ()
    senders = []
    for plain in transactions:
        try:
            senders.append(bytes(recover(*chain, build(fork, plain))))
        except (EthereumException, ValueError, OverflowError):
            senders.append(b"")
    return senders


def worth(transactions: Sequence[PlainTransaction], groups: Sequence[Sequence[int]]) -> bool:
    """Whether these groups are likely to be done sooner than the same transactions in order."""
    weights = [sum(parts_of(transactions[place])[0] for place in places) for places in groups]
    return len(transactions) >= WORTH_MIN and max(weights) <= WORTH_SHARE_MAX * sum(weights)


def _names(transactions: Sequence[PlainTransaction], senders: Sequence[bytes]) -> list[set[bytes]]:
    """What each transaction names: addresses, and pairs of them."""
    names: list[set[bytes]] = []
    data: list[bytes] = []
    for plain, sender in zip(transactions, senders, strict=True):
        _, to, called, access = parts_of(plain)
        names.append({name for name in (to, sender if called else b"", *(address for address, _ in access)) if name})
        data.append(called)
    whole = b"".join(data)
    starts = [0, *accumulate(map(len, data))]
    found: set[tuple[int, bytes]] = set()
    for match in _ADDRESS.finditer(whole):
        address = match[1] or match[2]
        if bytes(ZEROS_MAX) not in address:
            found.add((match.start(1 if match[1] else 2), address))
    for address in {address for _, address in found}.union(*names):
        at = whole.find(address)
        while at >= 0:
            found.add((at, address))
            at = whole.find(address, at + 1)
    last, before = -1, b""
    for at, address in sorted(found):
        place = bisect_right(starts, at) - 1
        names[place].add(address)
        if place == last:
            names[place].add(min(before, address) + max(before, address))
        last, before = place, address
    return names


class _Clusters:
    """Disjoint sets of places, none heavier than `most` unless a single place is."""

    def __init__(self, weights: Sequence[int], most: float) -> None:
        self._parents = list(range(len(weights)))
        self._weights = list(weights)
        self._most = most

    def join(self, places: Sequence[int], *, at_any_rate: bool = False) -> None:
        """Put places into one cluster; or, where that would get too heavy, into several, one after the other."""
        home = self._root(places[0])
        for place in places[1:]:
            other = self._root(place)
            if other == home:
                continue
            if not at_any_rate and self._weights[home] + self._weights[other] > self._most:
                home = min(home, other, key=lambda root: (self._weights[root], root))
                continue
            home, other = sorted((home, other))
            self._parents[other] = home
            self._weights[home] += self._weights[other]

    def _root(self, place: int) -> int:
        parents = self._parents
        while parents[place] != place:
            parents[place] = parents[parents[place]]
            place = parents[place]
        return place

    def all(self) -> list[list[int]]:
        """The clusters, in the order of their first places."""
        found: dict[int, list[int]] = defaultdict(list)
        for place in range(len(self._parents)):
            found[self._root(place)].append(place)
        return list(found.values())


def _dealt(clusters: list[list[int]], weights: Sequence[int], count: int) -> tuple[tuple[int, ...], ...]:
    weighed = [(sum(weights[place] for place in cluster), cluster) for cluster in clusters]
    groups: list[tuple[int, int, list[int]]] = [(0, number, []) for number in range(count)]
    for weight, cluster in sorted(weighed, key=lambda entry: (-entry[0], entry[1])):
        load, number, places = groups[0]
        heapq.heapreplace(groups, (load + weight, number, places + cluster))
    dealt = sorted((entry for entry in groups if entry[2]), key=lambda entry: (-entry[0], entry[1]))
    return tuple(tuple(sorted(places)) for _, _, places in dealt)
