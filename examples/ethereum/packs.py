"""Recorded mainnet blocks with the state that they touch, as plain values.

A pack is a JSON file, compressed with xz or not. Its blocks are not consecutive: each comes with its own
`pre`, which holds no more than the block touches, so that the header's state root cannot be recomputed. What
can be checked is what the header says of gas, transactions, receipts and logs, and the pack's own digest of
the state after the transactions.

A pack names codes by the hash that the chain knows them by, but its bytes may differ from the chain's: the
recorder's virtual machine had padded them with zeros, which execution never reaches. The digests cover the
bytes as they are, so those are what runs. In the heap a code stands under the hash of its own bytes; were it
under the pack's name, a contract that a transaction deploys with the same code, unpadded, would be taken for
one that is already there.
"""

import hashlib
import json
import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ethereum.crypto.hash import keccak256

from .evm import Block, Result
from .forks import FORK_STARTS
from .state import EMPTY_CODE_HASH, STATE_PREFIX, Key, Reading, Value
from .transactions import PlainTransaction

__all__ = ["Pack", "PackError", "Recorded", "mismatches", "post_digest", "transaction_of"]

#: BLOCKHASH reaches this many blocks back.
BLOCK_HASHES_MAX: Final = 256


class PackError(Exception):
    """The file cannot be read as a pack; the message names the file and what to do."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One block of a pack."""

    #: As in evm.py.
    block: Block
    #: The state before it: (key, value) in the layout of state.py, in key order.
    entries: tuple[tuple[Key, Value], ...]
    #: What the header says.
    gas_used: int
    transactions_root: bytes
    receipts_root: bytes
    logs_bloom: bytes
    #: Lower-case hex; see `post_digest`.
    post_digest: str

    @property
    def number(self) -> int:
        number = self.block["number"]
        assert isinstance(number, int)
        return number


class Pack:
    """A pack's blocks by number. Decodes a block when it is asked for, since the whole takes seconds."""

    def __init__(self, path: Path | str) -> None:
        """Read the file at `path`. PackError when it is missing or not a pack."""
        self.path = Path(path)
        self._data = _read(self.path)
        #: The pack's name of a code -> the hash of its bytes, and the bytes.
        self._codes = {_bytes(name): _code(code) for name, code in self._data["codes"].items()}
        self._hashes = sorted((int(number), _bytes(value)) for number, value in self._data["block_hashes"].items())

    @property
    def numbers(self) -> list[int]:
        """The blocks that there are, ascending."""
        return sorted(map(int, self._data["blocks"]))

    def __iter__(self) -> Iterator[Recorded]:
        return (self.block(number) for number in self.numbers)

    def block(self, number: int, prefix: Key = STATE_PREFIX) -> Recorded:
        """One block, its state's entries under `prefix`."""
        try:
            recorded = self._data["blocks"][str(number)]
        except KeyError:
            raise PackError(f"{self.path} has no block {number}; it has {self.numbers}") from None
        try:
            header = recorded["block"]
            return Recorded(
                block=_block(
                    header,
                    tuple(pair for pair in self._hashes if number - BLOCK_HASHES_MAX <= pair[0] < number),
                ),
                entries=tuple(sorted(self._entries(recorded["pre"], prefix))),
                gas_used=_int(header["gasUsed"]),
                transactions_root=_bytes(header["transactionsRoot"]),
                receipts_root=_bytes(header["receiptsRoot"]),
                logs_bloom=_bytes(header["logsBloom"]),
                post_digest=recorded["post_digest"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise PackError(
                f"{self.path}, block {number}: {type(error).__name__}: {error}; the file is damaged or of "
                "another format: get it again"
            ) from error

    def _entries(self, pre: dict[str, Any], prefix: Key) -> Iterator[tuple[Key, Value]]:
        codes: set[bytes] = set()
        for who, account in pre.items():
            address = _bytes(who)
            name = _bytes(account.get("code_hash") or "") or EMPTY_CODE_HASH
            code_hash, code = (EMPTY_CODE_HASH, b"") if name == EMPTY_CODE_HASH else self._codes[name]
            yield (*prefix, "account", address), (_int(account["nonce"]), _int(account["balance"]), code_hash)
            if code and code_hash not in codes:
                codes.add(code_hash)
                yield (*prefix, "code", code_hash), code
            for slot, value in account["storage"].items():
                if _int(value):
                    yield (*prefix, "storage", address, _int(slot).to_bytes(32, "big")), _int(value)


def _read(path: Path) -> dict[str, Any]:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise PackError(
            f"cannot read the pack {path}: {error.strerror}; give the path of a recording such as mainnet_dev.json.xz"
        ) from error
    try:
        data = json.loads(lzma.decompress(raw) if raw.startswith(b"\xfd7zXZ\0") else raw)
    except (lzma.LZMAError, ValueError) as error:
        raise PackError(f"{path} is not JSON, nor JSON in xz ({error}); get the file again") from error
    parts = ("blocks", "codes", "block_hashes")
    if not isinstance(data, dict) or not all(isinstance(data.get(part), dict) for part in parts):
        raise PackError(f"{path} is JSON but not a pack: it must have the objects {', '.join(parts)}")
    return data


def _int(value: str | int) -> int:
    return value if isinstance(value, int) else int(value, 16)


def _bytes(value: str) -> bytes:
    return bytes.fromhex(value.removeprefix("0x"))


def _code(value: str) -> tuple[bytes, bytes]:
    code = _bytes(value)
    return bytes(keccak256(code)), code


def _block(header: dict[str, Any], hashes: tuple[tuple[int, bytes], ...]) -> Block:
    number = _int(header["number"])
    block: dict[str, Any] = {
        "number": number,
        "time": _int(header["timestamp"]),
        "coinbase": _bytes(header["miner"]),
        "gas_limit": _int(header["gasLimit"]),
        "difficulty": _int(header["difficulty"]),
        "block_hashes": hashes,
        "transactions": tuple(transaction_of(entry) for entry in header["transactions"]),
        "senders": tuple(_bytes(entry["from"]) for entry in header["transactions"]),
    }
    if number >= FORK_STARTS["london"]:
        block["base_fee_per_gas"] = _int(header["baseFeePerGas"])
    if number >= FORK_STARTS["paris"]:
        block["prev_randao"] = _bytes(header["mixHash"])
    if number >= FORK_STARTS["shanghai"]:
        block["withdrawals"] = tuple(
            (_int(each["index"]), _int(each["validatorIndex"]), _bytes(each["address"]), _int(each["amount"]))
            for each in header["withdrawals"]
        )
    if number >= FORK_STARTS["cancun"]:
        block["excess_blob_gas"] = _int(header["excessBlobGas"])
        block["parent_beacon_block_root"] = _bytes(header["parentBeaconBlockRoot"])
    return block


def transaction_of(entry: dict[str, Any]) -> PlainTransaction:
    """A JSON-RPC transaction as a plain tuple; see transactions.py."""
    kind = _int(entry.get("type") or 0)
    signature = (_int(entry["v"]), _int(entry["r"]), _int(entry["s"]))
    what = (
        _int(entry["gas"]),
        _bytes(entry.get("to") or ""),
        _int(entry["value"]),
        _bytes(entry["input"]),
    )
    nonce = _int(entry["nonce"])
    if kind == 0:
        return (0, nonce, _int(entry["gasPrice"]), *what, *signature)
    access = tuple(
        (_bytes(each["address"]), tuple(_bytes(slot) for slot in each["storageKeys"])) for each in entry["accessList"]
    )
    chain_id = _int(entry["chainId"])
    if kind == 1:
        return (1, chain_id, nonce, _int(entry["gasPrice"]), *what, access, *signature)
    fees = (_int(entry["maxPriorityFeePerGas"]), _int(entry["maxFeePerGas"]))
    if kind == 2:
        return (2, chain_id, nonce, *fees, *what, access, *signature)
    if kind == 3:
        blobs = tuple(_bytes(each) for each in entry["blobVersionedHashes"])
        return (3, chain_id, nonce, *fees, *what, access, _int(entry["maxFeePerBlobGas"]), blobs, *signature)
    raise ValueError(f"transaction type {kind} is not one of 0 to 3")


def post_digest(heap: Reading, prefix: Key = STATE_PREFIX) -> str:
    """The sha256, in hex, of the state's sorted lines: one for each account and each slot."""
    lines = []
    for address, (nonce, balance, code_hash) in heap.items((*prefix, "account")):
        code = b"" if code_hash == EMPTY_CODE_HASH else heap.get((*prefix, "code", code_hash))
        lines.append(f"{address.hex()} {nonce} {balance} {hashlib.sha256(code).hexdigest()}")
    for (address, slot), value in heap.items((*prefix, "storage")):
        lines.append(f"{address.hex()} {slot.hex()} {value}")
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def mismatches(recorded: Recorded, result: Result, digest: str) -> list[str]:
    """What of a result differs from the record, a line for each; empty when all of it agrees."""
    pairs: list[tuple[str, Any, Any]] = [
        ("gas used", recorded.gas_used, result.gas_used),
        ("transactions root", recorded.transactions_root.hex(), result.transactions_root.hex()),
        ("logs bloom", recorded.logs_bloom.hex(), result.logs_bloom.hex()),
        ("state after the transactions", recorded.post_digest, digest),
    ]
    if result.receipts_root is not None:
        pairs.append(("receipts root", recorded.receipts_root.hex(), result.receipts_root.hex()))
    return [f"{what}: expected {expected}, got {got}" for what, expected, got in pairs if expected != got]
