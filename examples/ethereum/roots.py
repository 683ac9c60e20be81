"""The Merkle-Patricia root of the state in a heap: the number that a block's header commits to.

The package's own trie functions build the trie, over whole states only: a heap that holds just what some
block touches has another root than the chain. Keys are hashed before they enter a trie ("secure" tries), once
for accounts and once for slots, so the order in which entries arrive makes no difference.
"""

from collections.abc import Callable, Iterable
from typing import Any

from ethereum.forks.frontier import trie as tries
from ethereum_rlp import rlp
from ethereum_types.numeric import U256, Uint

from .state import STATE_PREFIX, Key, Reading

__all__ = ["ordered_root", "root_of", "state_root"]

_root: Callable[[Any], bytes] = tries.root
_Trie: Callable[..., Any] = tries.Trie


def state_root(heap: Reading, prefix: Key = STATE_PREFIX) -> bytes:
    """The root over all accounts under `prefix`, 32 bytes."""
    storage = heap.items((*prefix, "storage"))
    return root_of(
        heap.items((*prefix, "account")),
        ((address, slot, value) for (address, slot), value in storage),
    )


def root_of(
    accounts: Iterable[tuple[bytes, tuple[int, int, bytes]]],
    slots: Iterable[tuple[bytes, bytes, int]],
) -> bytes:
    """The root over (address, (nonce, balance, code hash)) and (address, slot, value that is not 0)."""
    regions: dict[bytes, Any] = {}
    for address, slot, value in slots:
        region = regions.get(address)
        if region is None:
            region = regions[address] = _Trie(secured=True, default=U256(0))
        region._data[slot] = U256(value)
    storage_roots = {address: _root(region) for address, region in regions.items()}

    main = _Trie(secured=True, default=None)
    for address, (nonce, balance, code_hash) in accounts:
        storage_root = storage_roots.get(address, tries.EMPTY_TRIE_ROOT)
        main._data[address] = rlp.encode((Uint(nonce), U256(balance), storage_root, code_hash))
    return bytes(_root(main))


def ordered_root(entries: Iterable[bytes]) -> bytes:
    """The root of encoded entries under their indexes, as headers have for transactions and receipts."""
    trie = _Trie(secured=False, default=None)
    for index, entry in enumerate(entries):
        trie._data[rlp.encode(Uint(index))] = entry
    return bytes(_root(trie))
