"""Blocks of transactions that this example signs itself, on a chain that begins like mainnet.

Recorded blocks show only what the chain once did, on partial states, and their file is not part of the
repository. These blocks go where they are sent: contracts that write, log, revert, run out of gas, recurse as
deep as the rules allow, create and destroy. And they stand on a whole state, so that every state root can be
compared with the unmodified package (reference.py).

Nobody has the keys of mainnet's accounts. So the chain has a genesis of its own: mainnet's 8,893 accounts
and, beside them, the senders' (`sender_entries`). Its root is therefore not mainnet's; block 1, which only
pays its miner, follows as on mainnet; the signed blocks are numbers 2 and up, under the rules of whatever
fork is asked for.

Keys and choices come from hashes of their position: the same arguments give the same bytes in every process.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import coincurve
from ethereum.crypto.hash import keccak256
from ethereum_rlp import rlp
from ethereum_types.numeric import U64, Uint

from .contract import creation_code
from .evm import Block
from .forks import Fork, installed_fork
from .state import EMPTY_CODE_HASH, STATE_PREFIX, Key, Value
from .transactions import PlainTransaction, build

__all__ = ["Sender", "sender_entries", "senders", "sign", "signed_blocks"]

ETHER: Final = 10**18
GWEI: Final = 10**9
#: What every sender has at genesis: enough for any number of blocks here.
FUNDS_WEI: Final = 10**6 * ETHER
BASE_FEE_WEI: Final = 1 * GWEI
PRIORITY_FEE_WEI: Final = 1 * GWEI
BLOCK_GAS_MAX: Final = 30_000_000
SECONDS_PER_BLOCK: Final = 12
#: The first second after mainnet's block 1.
START_TIME: Final = 0x55BA4225
#: A block's blobs are limited to 6; one transaction in a block has this many.
BLOBS: Final = 2
CHAIN_ID: Final = 1

#: What a transaction does -> the gas that it is given.
GAS: Final[dict[str, int]] = {
    "transfer": 60_000,
    "deploy": 700_000,
    "count": 100_000,
    "put": 100_000,
    "fail": 60_000,
    "spin": 40_000,
    "descend": 2_000_000,
    "spawn": 200_000,
    "leave": 120_000,
    "look": 120_000,
}
#: The contract's operations by their number in the call data; see contract.py.
OPERATIONS: Final = ("count", "put", "fail", "spin", "descend", "spawn", "leave", "look")
#: From what a block's transactions are drawn, repeated by weight.
DRAWN: Final = ("transfer",) * 6 + ("count",) * 3 + ("put",) * 4 + ("fail", "spin", "spawn", "leave", "look", "descend")


@dataclass(slots=True)
class Sender:
    """A key and what its transactions so far imply."""

    key: coincurve.PrivateKey = field(repr=False)
    address: bytes
    #: Of the next transaction.
    nonce: int = 0


def senders(count: int) -> list[Sender]:
    """The first `count` senders, nonces 0."""
    made = []
    for index in range(count):
        key = coincurve.PrivateKey(_digest("sender", index))
        public = key.public_key.format(compressed=False)[1:]
        made.append(Sender(key, bytes(keccak256(public)[12:])))
    return made


def sender_entries(count: int, prefix: Key = STATE_PREFIX) -> Iterator[tuple[Key, Value]]:
    """The senders' accounts, to be added to genesis.genesis_entries; in key order."""
    for address in sorted(sender.address for sender in senders(count)):
        yield (*prefix, "account", address), (0, FUNDS_WEI, EMPTY_CODE_HASH)


def sign(
    fork: Fork, key: coincurve.PrivateKey, plain: PlainTransaction, *, protected: bool = False
) -> PlainTransaction:
    """A transaction whose last three elements are placeholders, with the signature in their stead.

    protected  for type 0: sign for the chain id too (possible from Spurious Dragon on).
    """
    transaction = build(fork, plain)
    rules = fork.transactions
    base = 0
    if plain[0] == 0 and protected:
        digest, base = rules.signing_hash_155(transaction, U64(CHAIN_ID)), 35 + 2 * CHAIN_ID
    elif plain[0] == 0:
        hashing = rules.signing_hash_pre155 if fork.since("spurious_dragon") else rules.signing_hash
        digest, base = hashing(transaction), 27
    else:
        digest = getattr(rules, {1: "signing_hash_2930", 2: "signing_hash_1559", 3: "signing_hash_4844"}[plain[0]])(
            transaction
        )
    signature = key.sign_recoverable(bytes(digest), hasher=None)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    return (*plain[:-3], base + signature[64], r, s)


def signed_blocks(
    count: int,
    transactions: int,
    *,
    fork: str = "cancun",
    sender_count: int = 8,
    first_number: int = 2,
    parent_hash: bytes = bytes(32),
    seed: int = 0,
) -> Iterator[Block]:
    """`count` blocks of `transactions` each, in the form of evm.py.

    The first block begins with the creation of one contract by every sender, as far as its transactions
    reach. Nothing is executed here: which transactions fail, the chain will tell.

    fork         under whose rules; its name goes into the block, since the numbers are not mainnet's.
    parent_hash  of the block before the first. Headers are not made here: later blocks have stand-in hashes.
    """
    maker = _Maker(installed_fork(fork), senders(sender_count), seed)
    hashes: tuple[tuple[int, bytes], ...] = ((first_number - 1, parent_hash),)
    for index in range(count):
        number = first_number + index
        block: dict[str, Any] = {
            "number": number,
            "time": START_TIME + index * SECONDS_PER_BLOCK,
            "coinbase": _digest("coinbase", index % 3)[:20],
            "gas_limit": BLOCK_GAS_MAX,
            "fork": fork,
            "chain_id": CHAIN_ID,
            "block_hashes": hashes[-256:],
            "transactions": tuple(maker.transaction(index, place) for place in range(transactions)),
        }
        block.update(maker.fork_fields(index))
        hashes = (*hashes, (number, _digest("block", seed, number)))
        yield block


class _Maker:
    """Draws and signs transactions; knows the senders' nonces and which contracts there are."""

    def __init__(self, fork: Fork, senders: Sequence[Sender], seed: int) -> None:
        self._fork = fork
        self._senders = senders
        self._seed = seed
        self._contracts: list[bytes] = []
        #: Gas that the current block's transactions may take together.
        self._gas_left = 0

    def fork_fields(self, index: int) -> dict[str, Any]:
        """The keys of a block that only some forks have."""
        fork = self._fork
        fields: dict[str, Any] = {}
        if fork.since("london"):
            fields["base_fee_per_gas"] = BASE_FEE_WEI
        if fork.since("paris"):
            fields["prev_randao"] = _digest("randao", index)
        else:
            fields["difficulty"] = 131_072
            fields["ommers"] = ((index + 1, _digest("ommer", index)[:20]),) if index % 2 else ()
        if fork.since("shanghai"):
            fields["withdrawals"] = tuple(
                (3 * index + each, each, _digest("staker", each)[:20], each * GWEI) for each in range(3)
            )
        if fork.since("cancun"):
            fields["excess_blob_gas"] = 0
            fields["parent_beacon_block_root"] = _digest("beacon", index)
        return fields

    def transaction(self, index: int, place: int) -> PlainTransaction:
        """The transaction at a place in a block."""
        if place == 0:
            self._gas_left = BLOCK_GAS_MAX
        draw = int.from_bytes(_digest("draw", self._seed, index, place), "big")
        if index == 0 and place < len(self._senders):
            sender, what = self._senders[place], "deploy"
        else:
            draw, who = divmod(draw, len(self._senders))
            draw, choice = divmod(draw, len(DRAWN))
            sender, what = self._senders[who], DRAWN[choice]
        if what not in ("transfer", "deploy") and (not self._contracts or GAS[what] > self._gas_left):
            what = "transfer"
        if GAS[what] > self._gas_left:
            raise ValueError(f"block {index} has more transactions than {BLOCK_GAS_MAX} gas can hold; ask for fewer")
        self._gas_left -= GAS[what]
        to, value, data = self._content(what, sender, draw)
        plain = self._envelope(what, sender.nonce, to, value, data, blobs=place == 0 and index > 0, draw=draw)
        sender.nonce += 1
        return sign(self._fork, sender.key, plain, protected=self._fork.since("spurious_dragon") and place % 2 == 1)

    def _content(self, what: str, sender: Sender, draw: int) -> tuple[bytes, int, bytes]:
        """(to, value, data)"""
        if what == "deploy":
            self._contracts.append(_created_by(sender.address, sender.nonce))
            return b"", 0, creation_code()
        if what == "transfer":
            known = [other.address for other in self._senders]
            to = known[draw % len(known)] if draw % 3 else _digest("stranger", draw % 50)[:20]
            return to, draw % ETHER, b""
        words = (OPERATIONS.index(what) + 1, draw % 16, draw % 5 * (draw % 1000))
        data = b"".join(word.to_bytes(32, "big") for word in words)
        return self._contracts[draw % len(self._contracts)], draw % 2, data

    def _envelope(
        self, what: str, nonce: int, to: bytes, value: int, data: bytes, *, blobs: bool, draw: int
    ) -> PlainTransaction:
        fork = self._fork
        body = (GAS[what], to, value, data)
        price = BASE_FEE_WEI + PRIORITY_FEE_WEI
        fees = (PRIORITY_FEE_WEI, 2 * BASE_FEE_WEI + PRIORITY_FEE_WEI)
        access: tuple[Any, ...] = ((to, (bytes(32),)),) if len(data) == 96 else ()
        if blobs and to and fork.since("cancun"):
            hashes = tuple(b"\x01" + _digest("blob", nonce, each)[1:] for each in range(BLOBS))
            return (3, CHAIN_ID, nonce, *fees, *body, access, 10 * GWEI, hashes, 0, 0, 0)
        kinds = 1 + fork.since("berlin") + fork.since("london")
        kind = draw % kinds
        if kind == 2:
            return (2, CHAIN_ID, nonce, *fees, *body, access, 0, 0, 0)
        if kind == 1:
            return (1, CHAIN_ID, nonce, price, *body, access, 0, 0, 0)
        return (0, nonce, price, *body, 0, 0, 0)


def _created_by(address: bytes, nonce: int) -> bytes:
    """The address of the contract that a transaction of this account creates."""
    return bytes(keccak256(rlp.encode((address, Uint(nonce))))[12:])


def _digest(*position: str | int) -> bytes:
    return hashlib.sha256("/".join(("lockstep", "ethereum", *map(str, position))).encode()).digest()
