"""Bytes that mean harm, to every decoder that meets foreign ones: each is refused by its named error, in little room and time.

What is refused because it is not canonical has its own tests beside each decoder; here is what would cost more than its
bytes, were it believed: counts, sizes and depths.
"""

from __future__ import annotations

import io
import tracemalloc
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from actors import CodecError, InputError, ProgramError, ProofRefused
from actors.keys import decode_key
from actors.limits import PROOF_BYTES_MAX, VALUE_BYTES_MAX
from actors.nodes import BRANCH, BUCKET, read_form
from actors.proof import SUM_BYTES, TITLE, Proof
from actors.values import decode
from actors.wire import varint
from runtime import StreamRefused, import_block
from runtime.transfer.stream import TITLE as STREAM_TITLE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HUGE = varint(2**60)
#: No attempt takes more than a few times its own bytes and this.
ROOM_BYTES = 2_000_000


def proof(body: bytes) -> bytes:
    """Return bytes with the title and the sum of a proof."""
    whole = TITLE + body
    return whole + sha256(whole).digest()[:SUM_BYTES]


ATTACKS: dict[str, tuple[Callable[[bytes], Any], bytes]] = {
    "an int of 2**60 bytes": (decode, b"\3" + HUGE),
    "a string of 2**60 bytes": (decode, b"\5" + HUGE + b"abc"),
    "bytes of 2**60 bytes": (decode, b"\6" + HUGE),
    "a tuple of 2**60 items": (decode, b"\7" + HUGE + b"\0"),
    "a vector of 2**60 items": (decode, b"\x08" + HUGE + b"\0"),
    "a map of 2**60 pairs": (decode, b"\x09" + HUGE + b"\0\0"),
    "a set of 2**60 members": (decode, b"\x0a" + HUGE + b"\0"),
    "a tuple that says it has as many items as bytes": (decode, b"\7" + varint(1_000_000) + b"\7\1" * 500_000),
    "a million tuples, each in the other": (decode, b"\7\1" * 1_000_000 + b"\0"),
    "a million maps, each the key of the other": (decode, b"\x09\1" * 1_000_000 + b"\0\0"),
    "a count without an end": (decode, b"\7" + b"\x80" * 1_000_000),
    "an object of a class with a name of 2**60 bytes": (decode, b"\x0b" + HUGE),
    "objects of objects": (decode, b"\x0b\1a" * 100_000 + b"\0"),
    "a value over the limit": (decode, b"\6" + varint(VALUE_BYTES_MAX) + bytes(VALUE_BYTES_MAX)),
    "a key's int of more bytes than there are": (decode_key, b"\x1d\xff\1"),
    "a key's int with zeros in front": (decode_key, b"\x1d\xff" + bytes(255)),
    "a key's string without an end": (decode_key, b"\2" + b"\1\2" * 500_000),
    "a key's escape at the end": (decode_key, b"\1\1\0"),
    "a key of a kind that is not there": (decode_key, b"\x14" * 100_000 + b"\xff"),
    "a bucket of 2**60 entries": (read_form, bytes((BUCKET,)) + HUGE),
    "a bucket with paths of 2**60 nibbles": (read_form, bytes((BUCKET, 1)) + HUGE),
    "a bucket of nothing": (read_form, bytes((BUCKET, 0))),
    "a branch of all that there can be": (read_form, bytes((BRANCH,)) + b"\xff\xff\0\0" + b"\xff" * (6 * 16)),
    "a branch with a label of 2**60 nibbles": (read_form, bytes((BRANCH,)) + b"\0\3\0\1" + b"\0\0\0\0\1\0" * 2 + HUGE),
    "a branch of no children": (read_form, bytes((BRANCH,)) + bytes(4)),
    "a node of a kind that is not there": (read_form, b"\xee" * 100),
    "no node": (read_form, b""),
    "no proof": (Proof.from_bytes, b""),
    "a proof over the limit": (Proof.from_bytes, bytes(PROOF_BYTES_MAX + 1)),
    "a proof of a path of 2**60 names": (Proof.from_bytes, proof(HUGE)),
    "a proof of 2**60 keys": (Proof.from_bytes, proof(b"\0" + HUGE)),
    "a proof of a key of 2**60 bytes": (Proof.from_bytes, proof(b"\0\1" + HUGE)),
    "a proof of garbage": (Proof.from_bytes, proof(b"\xa5" * 100_000)),
}  # fmt: skip


@pytest.mark.parametrize("attack", list(ATTACKS))
def test_it_is_refused_in_little_room(attack: str) -> None:
    read, data = ATTACKS[attack]
    tracemalloc.start()
    try:
        with pytest.raises((CodecError, ProofRefused, ProgramError)):
            read(data)
        assert tracemalloc.get_traced_memory()[1] < ROOM_BYTES + 30 * len(data)
    finally:
        tracemalloc.stop()


STREAMS = {
    "nothing": b"",
    "another file": b"SQLite format 3\0" + bytes(1000),
    "the title alone": STREAM_TITLE,
    "a title, and zeros": STREAM_TITLE + bytes(100_000),
    "a title, and a chunk of all that its length can say": STREAM_TITLE + b"\xff" * 100_000,
    "a title, and a count without an end": STREAM_TITLE + b"\1" + b"\x80" * 100_000,
}


@pytest.mark.parametrize("attack", list(STREAMS))
def test_a_stream_is_refused_and_leaves_no_store(attack: str, tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        with pytest.raises((StreamRefused, InputError)):
            import_block(io.BytesIO(STREAMS[attack]), tmp_path / "a.db")
        assert tracemalloc.get_traced_memory()[1] < 20 * ROOM_BYTES
    finally:
        tracemalloc.stop()
    assert list(tmp_path.iterdir()) == []
