"""The Merkle-Patricia root of the state in a heap: the number that a block's header commits to.

The package's own trie functions build the trie, over whole states only: a heap that holds just what some
block touches has another root than the chain. Keys are hashed before they enter a trie ("secure" tries), once
for accounts and once for slots, so the order in which entries arrive makes no difference.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from ethereum.crypto.hash import keccak256
from ethereum.forks.frontier import trie as tries
from ethereum_rlp import rlp
from ethereum_types.numeric import U256, Uint

from .encoding import rlp_bytes, rlp_int, rlp_list
from .state import STATE_PREFIX, Key, Reading

__all__ = ["ordered_root", "root_of", "state_root"]

HASH_BYTES: Final = 32
#: An empty string in RLP.
_NO_VALUE: Final = b"\x80"

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
    """The root of encoded entries under their indexes, as headers have for transactions and receipts.

    Built here, since the package's own takes five times as long, which all of a block waits for.
    """
    pairs = sorted((_nibbles(rlp_int(index)), entry) for index, entry in enumerate(entries))
    if not pairs:
        return bytes(tries.EMPTY_TRIE_ROOT)
    return bytes(keccak256(_node(pairs, 0, 0, len(pairs))))


def _nibbles(key: bytes) -> bytes:
    return bytes(nibble for byte in key for nibble in (byte >> 4, byte & 15))


def _node(pairs: list[tuple[bytes, bytes]], depth: int, start: int, end: int) -> bytes:
    """The node, in RLP, of some pairs that lie together and have `depth` nibbles in common. No key begins another."""
    first, value = pairs[start]
    if end - start == 1:
        return rlp_list((rlp_bytes(_compact(first[depth:], leaf=True)), rlp_bytes(value)))
    shared, last = depth, pairs[end - 1][0]
    while first[shared] == last[shared]:
        shared += 1
    if shared > depth:
        return rlp_list(
            (rlp_bytes(_compact(first[depth:shared], leaf=False)), _reference(_node(pairs, shared, start, end)))
        )
    slots = [_NO_VALUE] * 17
    while start < end:
        nibble = pairs[start][0][depth]
        until = start + 1
        while until < end and pairs[until][0][depth] == nibble:
            until += 1
        slots[nibble] = _reference(_node(pairs, depth + 1, start, until))
        start = until
    return rlp_list(slots)


def _reference(node: bytes) -> bytes:
    """How a node stands in the one above it: itself where it is short, else its hash."""
    return node if len(node) < HASH_BYTES else rlp_bytes(keccak256(node))


def _compact(nibbles: bytes, *, leaf: bool) -> bytes:
    flag = 2 * leaf + len(nibbles) % 2
    padded = bytes([flag]) + (b"" if flag % 2 else b"\0") + nibbles
    return bytes(padded[i] << 4 | padded[i + 1] for i in range(0, len(padded), 2))
