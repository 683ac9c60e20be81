"""Which transactions of a block are likely to get in each other's way, before any of them has run.

Nothing here has a say in any result: a bad guess costs time alone. It must be the same guess everywhere, though, since
what is executed twice follows from it; so it depends on the block and on the number of groups, and on nothing else.

The guess. A sender's transactions hang together by their nonces. Beside that, transactions that name the same address
are likely to touch the same slots: the less common the address in the block, the likelier. A token that a third of the
block moves is named by many that have nothing to do with each other; a pair, a pool or an account that two of them name
is not. So addresses are taken from the rarest on, and those that name one are put into one cluster, unless that would
make a cluster too heavy to be balanced. Addresses are named as sender, as recipient, in the access list, and in the call
data, where they stand as words of 32 bytes that begin with twelve zeros.

Clusters are dealt to the groups from the heaviest on, each to the group that has least. How long a transaction will
take is not known; its gas limit says something, and less the higher it is: hence the root.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterator, Sequence
from math import isqrt
from typing import Any, Final

from ethereum.exceptions import EthereumException
from ethereum_types.numeric import U64

from .evm import BlockEnv
from .forks import installed_fork
from .transactions import PlainTransaction, build

__all__ = ["GROUPS", "groups_of", "parts_of", "senders_of", "worth"]

#: Into how many groups a block is divided unless somebody says otherwise: more than there are workers mostly, so that
#: a group that takes longer than was thought leaves work for the others to do meanwhile.
GROUPS: Final = 8
#: A cluster may have at most this share of what a block weighs.
SHARE_MAX: Final = 0.4
WORD_BYTES: Final = 32
SELECTOR_BYTES: Final = 4
ADDRESS_AT: Final = 12
#: A word whose first bytes behind the zeros are zeros too is a number, not an address.
ADDRESS_ZEROS: Final = bytes(4)
#: A block of fewer transactions, or with one group heavier than this share, is not worth the way.
WORTH_MIN: Final = 16
WORTH_SHARE_MAX: Final = 0.7
#: By a transaction's type: where its gas limit stands; recipient, value, data and access list follow.
_GAS_AT: Final = {0: 3, 1: 4, 2: 5, 3: 5}


def parts_of(plain: PlainTransaction) -> tuple[int, bytes, bytes, tuple[Any, ...]]:
    """(gas limit, recipient, data, access list) of a transaction as in transactions.py."""
    at = _GAS_AT[plain[0]]
    gas, to, _, data = plain[at : at + 4]
    return gas, to, data, plain[at + 4] if plain[0] else ()


def groups_of(
    transactions: Sequence[PlainTransaction], senders: Sequence[bytes], count: int
) -> tuple[tuple[int, ...], ...]:
    """The places of a block's transactions, in at most `count` groups, each in order; the heaviest group first."""
    weights = [isqrt(parts_of(plain)[0]) for plain in transactions]
    clusters = _Clusters(weights)
    for _, places in sorted(_places(senders).items()):
        clusters.join(places, None)
    named: dict[bytes, list[int]] = defaultdict(list)
    for place, (plain, sender) in enumerate(zip(transactions, senders, strict=True)):
        for address in {sender, *_named(plain)}:
            named[address].append(place)
    most = SHARE_MAX * sum(weights)
    for _, places in sorted(named.items(), key=lambda entry: (len(entry[1]), entry[0])):
        clusters.join(places, most)
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
    weights = [sum(isqrt(parts_of(transactions[place])[0]) for place in places) for places in groups]
    return len(transactions) >= WORTH_MIN and max(weights) <= WORTH_SHARE_MAX * sum(weights)


def _places(senders: Sequence[bytes]) -> dict[bytes, list[int]]:
    places: dict[bytes, list[int]] = defaultdict(list)
    for place, sender in enumerate(senders):
        places[sender].append(place)
    return places


def _named(plain: PlainTransaction) -> Iterator[bytes]:
    _, to, data, access = parts_of(plain)
    if to:
        yield to
    for at in range(SELECTOR_BYTES, len(data) - WORD_BYTES + 1, WORD_BYTES):
        if data[at : at + ADDRESS_AT] == bytes(ADDRESS_AT):
            address = data[at + ADDRESS_AT : at + WORD_BYTES]
            if not address.startswith(ADDRESS_ZEROS):
                yield address
    for address, _ in access:
        yield address


class _Clusters:
    """Disjoint sets of places, each with its weight."""

    def __init__(self, weights: Sequence[int]) -> None:
        self._parents = list(range(len(weights)))
        self._weights = list(weights)

    def join(self, places: Sequence[int], most: float | None) -> None:
        """Put places into the first one's cluster, as far as that does not get heavier than `most`."""
        home = self._root(places[0])
        for place in places[1:]:
            other = self._root(place)
            if other == home or (most is not None and self._weights[home] + self._weights[other] > most):
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
