"""Frames: several pieces of bytes as one, and back."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from actors.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Sequence

_COUNT: Final = struct.Struct("<I")
_SIZE_BYTES: Final = 8


def join(parts: Sequence[bytes]) -> bytes:
    """Return the parts as one frame: how many they are, their sizes, themselves."""
    return b"".join((_COUNT.pack(len(parts)), struct.pack(f"<{len(parts)}Q", *map(len, parts)), *parts))


def split(frame: bytes) -> list[bytes]:
    """Return the parts of a frame.

    Raises:
        CodecError: it is none.
    """
    try:
        (count,) = _COUNT.unpack_from(frame)
        sizes = struct.unpack_from(f"<{count}Q", frame, _COUNT.size)
    except struct.error as error:
        raise CodecError(f"frame: {len(frame)} bytes are none: {error}") from error
    at = _COUNT.size + _SIZE_BYTES * count
    if at + sum(sizes) != len(frame):
        raise CodecError(f"frame: {len(frame)} bytes where {at + sum(sizes)} are announced")
    parts = []
    for size in sizes:
        parts.append(frame[at : at + size])
        at += size
    return parts


def first(frame: bytes) -> bytes:
    """Return the first part of a frame that has one, and was made here."""
    (count,) = _COUNT.unpack_from(frame)
    begin = _COUNT.size + _SIZE_BYTES * count
    return frame[begin : begin + int.from_bytes(frame[_COUNT.size : _COUNT.size + _SIZE_BYTES], "little")]
