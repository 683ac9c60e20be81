"""Frames: what is joined is split again, in one piece or loose; and other bytes are refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors import CodecError
from runtime.workers.frames import LONG_BYTES, first, form, join, look, pieces_of, split

sizes = st.one_of(st.integers(0, 40), st.integers(LONG_BYTES - 60, LONG_BYTES + 60))
parts = st.lists(sizes.map(lambda size: bytes(n % 251 for n in range(size))), max_size=20)
often = settings(deadline=None, max_examples=60)


@often
@given(parts)
def test_a_frame_is_the_same_bytes_loose_or_in_one_piece(some: list[bytes]) -> None:
    whole = join(some)
    pieces = pieces_of(form(some))
    assert b"".join(pieces) == whole
    assert sum(len(piece) < LONG_BYTES for piece in pieces) <= 1 + sum(len(piece) >= LONG_BYTES for piece in pieces)
    assert split(whole) == some == [bytes(part) for part in look(whole)]
    assert all(type(part) is (bytes if len(part) < LONG_BYTES else memoryview) for part in look(whole))
    assert not some or first(whole) == some[0]


@often
@given(st.lists(parts, max_size=4))
def test_frames_of_frames_are_read_from_the_inside_of_one_piece(frames: list[list[bytes]]) -> None:
    batch = b"".join(pieces_of(form([b"said", *[form(some) for some in frames]])))
    assert batch == join([b"said", *[join(some) for some in frames]])
    _, *inner = look(memoryview(bytearray(batch)))
    read = [split(frame) for frame in inner]
    assert read == frames
    assert all(type(part) is bytes for some in read for part in some)


@pytest.mark.parametrize("frame", [b"", b"\x01\0\0", b"\x01\0\0\0", join([b"a"]) + b"b", join([b"ab"])[:-1]])
def test_what_is_no_frame_is_refused(frame: bytes) -> None:
    for read in (split, look):
        with pytest.raises(CodecError, match="frame: "):
            read(frame)
