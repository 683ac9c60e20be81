"""Instructions: how long each is, so that code can be walked, and which of them change what no heap keeps.

A byte of code cannot be judged alone, since it may be part of a constant; so every instruction is passed over in turn.
Those that are not in these tables belong to features that are switched off, and are refused.
"""

from __future__ import annotations

from typing import Final, NamedTuple

#: What stands behind an opcode.
_UNKNOWN, _NOTHING, _NUMBER, _TWO_NUMBERS, _FOUR_BYTES, _EIGHT_BYTES, _TABLE, _TYPES, _PREFIX, _VECTOR, _BANNED = range(
    11
)
_NUMBERS: Final = (_NUMBER, _TWO_NUMBERS)
_END: Final = 0x0B
_LOOP: Final = 0x03
#: Of block, loop and if; then come br and br_if, and the branch through a table.
_LAST_OPENING: Final = 0x04
_TABLE_BRANCH: Final = 0x0E
_CALLS: Final = (0x10, 0x11)


class ImmediateError(Exception):
    """Code that cannot be walked."""


def _kinds() -> bytes:
    kinds = [_UNKNOWN] * 256
    spans: list[tuple[int, int, int]] = [
        (0x00, 0x01, _NOTHING),  # unreachable, nop
        (0x02, 0x04, _NUMBER),  # block, loop, if: a type
        (0x05, 0x05, _NOTHING),
        (0x0B, 0x0B, _NOTHING),
        (0x0C, 0x0D, _NUMBER),  # br, br_if
        (0x0E, 0x0E, _TABLE),  # br_table
        (0x0F, 0x0F, _NOTHING),
        (0x10, 0x10, _NUMBER),  # call
        (0x11, 0x11, _TWO_NUMBERS),  # call_indirect
        (0x1A, 0x1B, _NOTHING),
        (0x1C, 0x1C, _TYPES),  # select with types
        (0x20, 0x25, _NUMBER),  # locals, globals, table.get
        (0x26, 0x26, _BANNED),  # table.set
        (0x28, 0x3E, _TWO_NUMBERS),  # loads and stores
        (0x3F, 0x42, _NUMBER),  # memory.size, memory.grow, i32.const, i64.const
        (0x43, 0x43, _FOUR_BYTES),
        (0x44, 0x44, _EIGHT_BYTES),
        (0x45, 0xC4, _NOTHING),  # arithmetic
        (0xD0, 0xD0, _NUMBER),  # ref.null
        (0xD1, 0xD1, _NOTHING),
        (0xD2, 0xD2, _NUMBER),  # ref.func
        (0xFC, 0xFC, _PREFIX),
        (0xFD, 0xFD, _VECTOR),
    ]
    for first, last, kind in spans:
        kinds[first : last + 1] = [kind] * (last + 1 - first)
    return bytes(kinds)


_KINDS: Final = _kinds()
#: Behind the prefix FC: how many numbers follow; None: it changes a table.
_PREFIXED: Final[dict[int, int | None]] = {
    **dict.fromkeys(range(8), 0),  # conversions that saturate
    8: 2,  # memory.init
    9: 1,  # data.drop
    10: 2,  # memory.copy
    11: 1,  # memory.fill
    12: None,
    13: 1,  # elem.drop
    14: None,
    15: None,
    16: 1,  # table.size
    17: None,
}
_NAMES: Final = {12: "table.init", 14: "table.copy", 15: "table.grow", 17: "table.fill"}


def _leb(code: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = code[at]
        at += 1
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return number, at
        if shift > 35:
            raise ImmediateError(f"a number at byte {at} is too long")


class Walked(NamedTuple):
    """What an expression has in it."""

    #: Where it ends.
    end: int
    #: The first instruction that changes a table, if there is one; the walk ends there.
    banned: str | None
    #: How many instructions begin a block, or leave one; within loops each counts once more for each of them.
    joints: int
    calls: int


def walk(code: bytes, at: int, end: int, *, whole: bool = False) -> Walked:
    """Walk an expression to its end.

    Args:
        code: where it is.
        at: where it begins.
        end: where it has to be over at the latest.
        whole: go on to `end`, as in the body of a function; else stop behind the `end` that closes it.

    Raises:
        ImmediateError, IndexError: this is no code of the features that there are.
    """
    kinds, joints, loops, calls = _KINDS, 0, 1, 0
    #: How many loops there were around each block that is open.
    outside: list[int] = []
    while at < end:
        opcode = code[at]
        kind = kinds[opcode]
        at += 1
        if kind in _NUMBERS:
            while code[at] > 127:
                at += 1
            at += 1
            if kind == _TWO_NUMBERS:
                while code[at] > 127:
                    at += 1
                at += 1
            if opcode in _CALLS:
                calls += 1
            elif opcode < _TABLE_BRANCH:
                joints += loops
                if opcode <= _LAST_OPENING:
                    outside.append(loops)
                    loops += opcode == _LOOP
        elif kind == _NOTHING:
            if opcode == _END:
                if outside:
                    loops = outside.pop()
                else:
                    if not whole or at == end:
                        return Walked(at, None, joints, calls)
                    raise ImmediateError(f"code goes on behind its end at byte {at}")
        elif kind == _BANNED:
            return Walked(at, "table.set", joints, calls)
        else:
            joints += loops * (kind == _TABLE)
            at, banned = _long(code, at, end, kind, opcode)
            if banned is not None:
                return Walked(at, banned, joints, calls)
    raise ImmediateError(f"code has no end at byte {end}")


def _long(code: bytes, at: int, end: int, kind: int, opcode: int) -> tuple[int, str | None]:
    """Pass over what is longer than a number or two."""
    if kind == _FOUR_BYTES:
        return at + 4, None
    if kind == _EIGHT_BYTES:
        return at + 8, None
    if kind == _TYPES:
        count, at = _leb(code, at)
        return at + count, None
    if kind == _TABLE:
        count, at = _leb(code, at)
        if count > end - at:
            raise ImmediateError(f"{count} targets are announced at byte {at}")
        for _ in range(count + 1):
            while code[at] > 127:
                at += 1
            at += 1
        return at, None
    if kind == _PREFIX:
        which, at = _leb(code, at)
        numbers = _PREFIXED.get(which, -1)
        if numbers is None:
            return at, _NAMES[which]
        if numbers < 0:
            raise ImmediateError(f"instruction FC {which} before byte {at} is not to be had here")
        for _ in range(numbers):
            _, at = _leb(code, at)
        return at, None
    if kind == _VECTOR:
        return _vector(code, at), None
    raise ImmediateError(f"instruction {opcode:02X} before byte {at} is not to be had here")


def _vector(code: bytes, at: int) -> int:
    """Pass over what stands behind the prefix FD."""
    which, at = _leb(code, at)
    if which <= 11 or 84 <= which <= 93:  # loads and stores, of lanes too
        _, at = _leb(code, at)
        _, at = _leb(code, at)
        return at + (84 <= which <= 91)
    if which in (12, 13):  # a constant, a shuffle
        return at + 16
    if 21 <= which <= 34:  # lanes
        return at + 1
    if which > 255:
        raise ImmediateError(f"instruction FD {which} before byte {at}, relaxed SIMD, is not to be had here")
    return at
