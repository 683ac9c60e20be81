"""A transaction as a plain tuple, and its way into a fork's own type.

Blocks travel to other processes and into logs, so their transactions are tuples of ints and bytes, in the
order in which the fields stand on the wire, behind the envelope's type:

    (0,        nonce, gas_price,         gas, to, value, data,                          v,      r, s)
    (1, chain, nonce, gas_price,         gas, to, value, data, access,                  parity, r, s)
    (2, chain, nonce, tip_cap,  fee_cap, gas, to, value, data, access,                  parity, r, s)
    (3, chain, nonce, tip_cap,  fee_cap, gas, to, value, data, access, blob_cap, blobs, parity, r, s)

`to` is 20 bytes, or empty to create a contract; `access` is a tuple of (address, (slot, ...)); prices and
caps are wei for a unit of gas; `blobs` are versioned hashes; `v` of type 0 is as on the wire: 27, 28, or with
the chain in it.
"""

from collections.abc import Callable
from typing import Any, Final

from ethereum_types.bytes import Bytes0, Bytes20, Bytes32
from ethereum_types.numeric import U64, U256, Uint

from .forks import Fork

__all__ = ["PlainTransaction", "build", "is_formed", "nonce_of", "parts_of"]

#: See the module.
PlainTransaction = tuple[Any, ...]


def _recipient(to: bytes) -> Bytes0 | Bytes20:
    return Bytes20(to) if to else Bytes0(b"")


def _hashes(values: tuple[bytes, ...]) -> tuple[Bytes32, ...]:
    return tuple(Bytes32(value) for value in values)


_HEAD: Final[tuple[Callable[[Any], Any], ...]] = (_recipient, U256, bytes)
_SIGNATURE: Final[tuple[Callable[[Any], Any], ...]] = (U256, U256, U256)
#: Stands for the access list, whose entries have a type of the fork.
_ACCESS: Final[Callable[[Any], Any]] = tuple

#: type -> the name of the fork's class, the first fork that has it, and each field's own type.
_SHAPES: Final[dict[int, tuple[str, str, tuple[Callable[[Any], Any], ...]]]] = {
    0: ("LegacyTransaction", "frontier", (U256, Uint, Uint, *_HEAD, *_SIGNATURE)),
    1: ("AccessListTransaction", "berlin", (U64, U256, Uint, Uint, *_HEAD, _ACCESS, *_SIGNATURE)),
    2: ("FeeMarketTransaction", "london", (U64, U256, Uint, Uint, Uint, *_HEAD, _ACCESS, *_SIGNATURE)),
    3: (
        "BlobTransaction",
        "cancun",
        (U64, U256, Uint, Uint, Uint, *_HEAD, _ACCESS, U256, _hashes, *_SIGNATURE),
    ),
}


#: By type: where the gas limit stands; recipient, value, data and access list follow.
_GAS_AT: Final = {0: 3, 1: 4, 2: 5, 3: 5}


def is_formed(plain: PlainTransaction) -> bool:
    """Whether it is of a type that there is, and as long; `build` says what else may be wrong with it."""
    return plain[0] in _SHAPES and len(plain) == len(_SHAPES[plain[0]][2]) + 1


def nonce_of(plain: PlainTransaction) -> int:
    """A transaction's nonce."""
    nonce = plain[2 if plain[0] else 1]
    assert isinstance(nonce, int)
    return nonce


def parts_of(plain: PlainTransaction) -> tuple[int, bytes, bytes, tuple[Any, ...]]:
    """A transaction's gas limit, recipient, data and access list."""
    at = _GAS_AT[plain[0]]
    gas, to, _, data = plain[at : at + 4]
    return gas, to, data, plain[at + 4] if plain[0] else ()


def build(fork: Fork, plain: PlainTransaction) -> Any:
    """The fork's own transaction. ValueError for a type that it does not have, or a wrong length."""
    kind = plain[0]
    if kind not in _SHAPES:
        raise ValueError(f"transaction type {kind} is not one of {', '.join(map(str, _SHAPES))}")
    name, first, fields = _SHAPES[kind]
    if not fork.since(first):
        raise ValueError(f"transaction type {kind} exists from {first} on; this block is under {fork.name}")
    if len(plain) != len(fields) + 1:
        raise ValueError(f"a transaction of type {kind} has {len(fields) + 1} elements, this one {len(plain)}")
    if kind == 0 and not fork.since("berlin"):
        name = "Transaction"
    values = [
        _access(fork, value) if field is _ACCESS else field(value)
        for field, value in zip(fields, plain[1:], strict=True)
    ]
    return getattr(fork.transactions, name)(*values)


def _access(fork: Fork, entries: tuple[tuple[bytes, tuple[bytes, ...]], ...]) -> Any:
    make = fork.transactions.Access
    return tuple(make(Bytes20(address), _hashes(slots)) for address, slots in entries)
