"""Encodings of what is plain: RLP, in which the chain hashes transactions, receipts and the nodes of its tries; and the
bloom of logs.

The package's own encoder finds out what it is given at every item, and takes its dataclasses apart by introspection; its
bloom sets three bits for an entry in its own number types.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

from ethereum.crypto.hash import keccak256

__all__ = ["bloom_of", "rlp_bytes", "rlp_int", "rlp_item", "rlp_list"]


#: Addresses and topics whose bits are kept.
BLOOMS_MAX: Final = 1 << 14


def bloom_of(logs: Iterable[Any]) -> bytes:
    """The bloom of a receipt's logs, 256 bytes."""
    bloom = 0
    for log in logs:
        bloom |= _bits(log.address)
        for topic in log.topics:
            bloom |= _bits(topic)
    return bloom.to_bytes(256, "big")


@lru_cache(BLOOMS_MAX)
def _bits(entry: bytes) -> int:
    digest = keccak256(entry)
    return (
        1 << (int.from_bytes(digest[0:2], "big") & 0x7FF)
        | 1 << (int.from_bytes(digest[2:4], "big") & 0x7FF)
        | 1 << (int.from_bytes(digest[4:6], "big") & 0x7FF)
    )


def rlp_bytes(data: bytes) -> bytes:
    """A string in RLP."""
    if len(data) == 1 and data[0] < 0x80:
        return bytes(data)
    return _head(0x80, len(data)) + data


def rlp_list(items: Iterable[bytes]) -> bytes:
    """A list, of items that are encoded already, in RLP."""
    body = b"".join(items)
    return _head(0xC0, len(body)) + body


def rlp_int(number: int) -> bytes:
    """A number in RLP."""
    return rlp_bytes(number.to_bytes((number.bit_length() + 7) // 8, "big"))


def rlp_item(value: Any) -> bytes:
    """An int, bytes, or a tuple of those, in RLP."""
    if isinstance(value, int):
        return rlp_int(value)
    return rlp_bytes(value) if isinstance(value, bytes) else rlp_list(map(rlp_item, value))


def _head(base: int, size: int) -> bytes:
    if size < 56:
        return bytes([base + size])
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([base + 55 + len(length)]) + length
