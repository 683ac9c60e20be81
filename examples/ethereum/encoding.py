"""RLP of what is plain: the encoding in which the chain hashes transactions, receipts and the nodes of its tries.

The package's own encoder finds out what it is given at every item, and takes its dataclasses apart by introspection.
"""

from collections.abc import Iterable
from typing import Any

__all__ = ["rlp_bytes", "rlp_int", "rlp_item", "rlp_list"]


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
