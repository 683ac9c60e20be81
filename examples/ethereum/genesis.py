"""Mainnet's first two states: the genesis allocation, and block 1.

Both come from the assets in the package's wheel, so nothing is downloaded. They are the example's proof on a
whole state: the root over all 8,893 accounts makes the genesis header, whose hash block 1 names as its
parent, and after block 1, which pays its miner and does nothing else, the root must be the one in block 1's
header.
"""

import json
import pkgutil
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ethereum.crypto.hash import keccak256
from ethereum.genesis import get_genesis_configuration, hex_or_base_10_str_to_u256
from ethereum_rlp import rlp

from .evm import Block
from .roots import ordered_root
from .state import EMPTY_CODE_HASH, STATE_PREFIX, Key, Value

__all__ = ["Header", "block_one", "block_one_header", "genesis_entries", "genesis_header", "header_hash"]

#: A header as plain values, in the order in which the fields are hashed.
Header = Mapping[str, Any]

#: The fields of a header before London, in order.
HEADER_FIELDS: Final = (
    "parent_hash",
    "ommers_hash",
    "coinbase",
    "state_root",
    "transactions_root",
    "receipts_root",
    "logs_bloom",
    "difficulty",
    "number",
    "gas_limit",
    "gas_used",
    "time",
    "extra_data",
    "mix_digest",
    "nonce",
)

#: The same fields as JSON-RPC calls them.
_JSON_FIELDS: Final = (
    "parentHash",
    "sha3Uncles",
    "miner",
    "stateRoot",
    "transactionsRoot",
    "receiptsRoot",
    "logsBloom",
    "difficulty",
    "number",
    "gasLimit",
    "gasUsed",
    "timestamp",
    "extraData",
    "mixHash",
    "nonce",
)
_NUMBERS: Final = frozenset({"difficulty", "number", "gas_limit", "gas_used", "time"})


def genesis_entries(prefix: Key = STATE_PREFIX) -> Iterator[tuple[Key, Value]]:
    """Mainnet's genesis state in the layout of state.py, in key order."""
    accounts = get_genesis_configuration("mainnet.json").initial_accounts
    balances = {bytes.fromhex(name.removeprefix("0x")): account["balance"] for name, account in accounts.items()}
    for address in sorted(balances):
        balance = int(hex_or_base_10_str_to_u256(balances[address]))
        yield (*prefix, "account", address), (0, balance, EMPTY_CODE_HASH)


def genesis_header(state_root: bytes) -> Header:
    """The header of mainnet's genesis over a state with this root, 32 bytes."""
    configuration = get_genesis_configuration("mainnet.json")
    nothing = ordered_root(())
    return {
        "parent_hash": bytes(32),
        "ommers_hash": bytes(keccak256(rlp.encode(()))),
        "coinbase": bytes(20),
        "state_root": state_root,
        "transactions_root": nothing,
        "receipts_root": nothing,
        "logs_bloom": bytes(256),
        "difficulty": int(configuration.difficulty),
        "number": 0,
        "gas_limit": int(configuration.gas_limit),
        "gas_used": 0,
        "time": int(configuration.timestamp),
        "extra_data": bytes(configuration.extra_data),
        "mix_digest": bytes(32),
        "nonce": bytes(configuration.nonce),
    }


def header_hash(header: Header) -> bytes:
    """The hash by which the next header names this one, 32 bytes; for headers before London."""
    fields = (header[name] for name in HEADER_FIELDS)
    encoded = [field if isinstance(field, bytes) else _big_endian(field) for field in fields]
    return bytes(keccak256(rlp.encode(tuple(encoded))))


def block_one_header() -> Header:
    """Block 1's header."""
    recorded = _block_one_json()
    header: dict[str, Any] = {}
    for name, json_name in zip(HEADER_FIELDS, _JSON_FIELDS, strict=True):
        digits = recorded[json_name].removeprefix("0x")
        header[name] = int(digits, 16) if name in _NUMBERS else bytes.fromhex(digits)
    return header


def block_one() -> Block:
    """Block 1 as in evm.py; it has neither transactions nor ommers."""
    header = block_one_header()
    block = {name: header[name] for name in ("number", "time", "coinbase", "gas_limit", "difficulty")}
    return {**block, "block_hashes": ((0, header["parent_hash"]),), "transactions": (), "ommers": ()}


def _block_one_json() -> dict[str, Any]:
    raw = pkgutil.get_data("ethereum", "assets/blocks/block_1.json")
    if raw is None:
        raise FileNotFoundError("the installed package `ethereum` has no assets/blocks/block_1.json")
    recorded = json.loads(raw)
    assert isinstance(recorded, dict)
    return recorded


def _big_endian(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
