"""What is remembered of activations that ran: found again by what they began with, short or long, and forgotten in time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runtime.workers import memo as memos
from runtime.workers.frames import LONG_BYTES
from runtime.workers.memo import LongStart, Memo

if TYPE_CHECKING:
    from runtime.workers.memo import Start

LONG = bytes(LONG_BYTES)


def test_a_start_is_found_again_by_what_is_in_it() -> None:
    memo = Memo()
    starts: list[Start] = [
        b"digest",
        LongStart([b"head", LONG, b"end"]),
        LongStart([b"head", LONG[1:] + b"\1", b"end"]),
        LongStart([b"other", LONG, b"end"]),
        LongStart([b"head", LONG + b"\0", b"end"]),
        LongStart([b"head", LONG, b"end", LONG]),
    ]
    for number, start in enumerate(starts):
        memo.put(start, b"%d" % number)
    assert [memo.get(start) for start in starts] == [b"%d" % number for number in range(len(starts))]
    assert memo.get(LongStart([b"head", bytes(LONG_BYTES), b"end"])) == b"1"
    assert memo.get(LongStart([b"head", LONG, b"END"])) is None
    memo.clear()
    assert [memo.get(start) for start in starts] == [None] * len(starts)


def test_of_a_number_nothing_is_remembered() -> None:
    memo = Memo()
    memo.put(7, b"outcome")
    assert memo.get(7) is None


@pytest.mark.parametrize("long", [True, False])
def test_the_longest_unused_are_forgotten_and_what_they_began_with_counts(
    monkeypatch: pytest.MonkeyPatch, long: bool
) -> None:
    monkeypatch.setattr(memos, "MEMO_BYTES_MAX", 10 * LONG_BYTES)
    memo = Memo()

    def start(number: int) -> Start:
        head = b"%d" % number
        return LongStart([head, LONG]) if long else head

    for number in range(100):
        memo.put(start(number), b"" if long else LONG)
        assert memo.get(start(0)) is not None
    found = [number for number in range(100) if memo.get(start(number)) is not None]
    assert found == [0, *range(92, 100)]


def test_a_view_of_much_more_is_copied() -> None:
    memo = Memo()
    buffer = bytearray(b"outcome" + LONG)
    memo.put(b"start", memoryview(buffer)[:7])
    buffer[:7] = b"changed"
    assert memo.get(b"start") == b"outcome"
