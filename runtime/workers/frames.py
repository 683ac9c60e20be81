"""Frames: several pieces of bytes as one, and back.

To copy a long piece costs more than all else about it: most of that is memory which the operating system hands out anew. So
a frame with long pieces stays *loose*, in as many buffers, until it is sent; and a frame within a frame is only looked at,
until its own parts are taken out of it.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, TypeAlias

from actors.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Sequence

#: A frame that was read, or a part of one: a long one is a view of what it came in.
Piece: TypeAlias = "bytes | memoryview"
#: A frame on its way out: in one piece, or loose.
Form: TypeAlias = "bytes | list[bytes]"

#: From so many bytes on, a piece is not copied without need.
LONG_BYTES: Final = 1 << 16

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


def form(parts: Sequence[Form]) -> Form:
    """Return the parts as one frame; loose, if it is long. So may the parts be."""
    sizes = [sum(map(len, part)) if type(part) is list else len(part) for part in parts]
    if sum(sizes) < LONG_BYTES:
        return join(parts)  # type: ignore[arg-type]
    count = len(parts)
    short = [_head(count).pack(count, *sizes)]
    pieces: list[bytes] = []
    for part in parts:
        for piece in part if type(part) is list else (part,):
            assert isinstance(piece, bytes)
            if len(piece) < LONG_BYTES:
                short.append(piece)
            else:
                pieces += (b"".join(short), piece)
                short = []
    if short:
        pieces.append(b"".join(short))
    return pieces


def pieces_of(form: Form) -> list[bytes]:
    """Return the buffers that a frame is in."""
    return form if type(form) is list else [form]  # type: ignore[list-item]


def split(frame: Piece) -> list[bytes]:
    """Return the parts of a frame.

    Raises:
        CodecError: it is none.
    """
    return [part if type(part) is bytes else bytes(part) for part in _parts(frame, frame)]


def look(frame: Piece) -> list[Piece]:
    """Return the parts of a frame of frames: the long ones as views.

    Raises:
        CodecError: it is none.
    """
    return [part if len(part) >= LONG_BYTES else bytes(part) for part in _parts(frame, memoryview(frame))]


def _parts(frame: Piece, whole: Piece) -> list[Piece]:
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
        parts.append(whole[begin:end])
    if end != len(frame):
        raise CodecError(f"frame: {len(frame)} bytes where {end} are announced")
    return parts


def first(frame: Piece) -> bytes:
    """Return the first part of a frame that has one, and was made here."""
    (count,) = _COUNT.unpack_from(frame)
    begin = _COUNT.size + _SIZE_BYTES * count
    return bytes(frame[begin : begin + int.from_bytes(frame[_COUNT.size : _COUNT.size + _SIZE_BYTES], "little")])
