"""Numbers on the wire: unsigned LEB128 in its shortest form, read by a cursor that never runs past the end.

Every format of this project (values, keys, nodes, blocks) is read through `Cursor`, so that "canonical bytes only,
bounded" is decided in one place.
"""

from __future__ import annotations

from typing import Final

from actors.errors import CodecError

_SMALL: Final = tuple(bytes((n,)) for n in range(128))

#: No count or length on the wire takes more bytes than this (63 bits).
VARINT_BYTES_MAX: Final = 9
#: Counts and sizes below this take one byte.
ORDINARY: Final = 128


def varint(number: int) -> bytes:
    """Return the shortest unsigned LEB128 form of `number`, which is at least 0."""
    if number < 128:
        return _SMALL[number]
    out = bytearray()
    while number >= 128:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


class Cursor:
    """Reads canonical pieces from bytes, front to back.

    Args:
        data: the bytes.
        what: what they are said to be, for errors.
        position: where to begin.
    """

    __slots__ = ("data", "position", "what")

    def __init__(self, data: bytes, what: str, position: int = 0) -> None:
        self.data = data
        self.what = what
        self.position = position

    def refuse(self, why: str) -> CodecError:
        """Return the error for bytes that are refused here."""
        return CodecError(f"{self.what}: {why} at byte {self.position} of {len(self.data)}")

    def byte(self) -> int:
        """Return the next byte."""
        position = self.position
        if position >= len(self.data):
            raise self.refuse("the bytes end too early")
        self.position = position + 1
        return self.data[position]

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        end = self.position + size
        if end > len(self.data):
            raise self.refuse(f"{size} bytes are announced, the bytes end too early")
        piece = self.data[self.position : end]
        self.position = end
        return piece

    def skip(self, size: int) -> bytes:
        """Move on over `size` bytes; return all the bytes, which have them before the new position."""
        if size > len(self.data) - self.position:
            raise self.refuse(f"{size} bytes are announced, the bytes end too early")
        self.position += size
        return self.data

    def varint(self, limit: int) -> int:
        """Return the next number, which must be in its shortest form and at most `limit`."""
        first = self.byte()
        if first < 128:
            number = first
        else:
            number, shift, byte = first & 127, 7, 128
            while byte & 128:
                byte = self.byte()
                number |= (byte & 127) << shift
                shift += 7
                if shift > 7 * VARINT_BYTES_MAX:
                    raise self.refuse("a number has too many bytes")
            if byte == 0:
                raise self.refuse("a number is not in its shortest form")
        if number > limit:
            raise self.refuse(f"a number is {number}, over its limit of {limit}")
        return number

    def end(self) -> None:
        """Check that nothing is left."""
        if self.position != len(self.data):
            raise self.refuse("there are bytes too many")
