"""Frames: several pieces of bytes as one, and back."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from actors.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Sequence

_COUNT: Final = struct.Struct("<I")
_SIZE_BYTES: Final = 8
#: The heads of frames of few parts: how many they are, and their sizes.
_HEADS: Final = [struct.Struct(f"<I{count}Q") for count in range(16)]


def _head(count: int) -> struct.Struct:
    return _HEADS[count] if count < len(_HEADS) else struct.Struct(f"<I{count}Q")


def join(parts: Sequence[bytes]) -> bytes:
    """Return the parts as one frame: how many they are, their sizes, themselves."""
    count = len(parts)
    return b"".join((_head(count).pack(count, *map(len, parts)), *parts))


def split(frame: bytes) -> list[bytes]:
    """Return the parts of a frame.

    Raises:
        CodecError: it is none.
    """
    try:
        (count,) = _COUNT.unpack_from(frame)
        head = _head(count)
        sizes = head.unpack_from(frame)
    except struct.error as error:
        raise CodecError(f"frame: {len(frame)} bytes are none: {error}") from error
    end = head.size
    parts = []
    for size in sizes[1:]:
        begin = end
        end += size
        parts.append(frame[begin:end])
    if end != len(frame):
        raise CodecError(f"frame: {len(frame)} bytes where {end} are announced")
    return parts


def first(frame: bytes) -> bytes:
    """Return the first part of a frame that has one, and was made here."""
    (count,) = _COUNT.unpack_from(frame)
    begin = _COUNT.size + _SIZE_BYTES * count
    return frame[begin : begin + int.from_bytes(frame[_COUNT.size : _COUNT.size + _SIZE_BYTES], "little")]
