"""Node records: each rule of the format broken once, in a record whose digest and count fit, so that only the rule is left.

The records are put together here by hand, after the comment at the top of `actors.nodes`. A record that breaks no rule
stands beside them, so that it is known that they are refused for nothing else.
"""

from __future__ import annotations

from hashlib import sha256

import pytest

from actors import StoreDamaged
from actors.limits import VALUE_BYTES_MAX
from actors.nodes import Blob, Node, from_cell, to_cell, to_key, to_path

DIGEST = bytes(range(32))
#: A cell of the one byte 00, the encoding of None.
CELL = b"\x02\x00"


def leb(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number % 128 + 128]) + leb(number // 128)


def bucket_of(*paths: str, cells: bytes | None = None) -> bytes:
    joined = "".join(paths)
    lengths = b"".join(leb(len(path)) for path in paths)
    packed = bytes.fromhex(joined + "0" * (len(joined) % 2))
    return b"\x00" + leb(len(paths)) + lengths + packed + (CELL * len(paths) if cells is None else cells)


def branch_of(
    kids: dict[int, int], labels: dict[int, str] | None = None, own: bytes | None = None, label_bits: int | None = None
) -> bytes:
    labels = labels or {}
    bits = sum(1 << i for i in labels) if label_bits is None else label_bits
    form = b"\x01" if own is None else b"\x02" + own
    form += sum(1 << i for i in kids).to_bytes(2, "big") + bits.to_bytes(2, "big")
    for i in sorted(labels):
        form += leb(len(labels[i])) + bytes.fromhex(labels[i] + "0" * (len(labels[i]) % 2))
    return form + b"".join(leb(kids[i]) + DIGEST for i in sorted(kids))


class One:
    def __init__(self, record: bytes) -> None:
        self.record = record

    def read_node(self, number: int) -> bytes:
        return self.record


def loaded(form: bytes, links: bytes, count: int) -> Node:
    node = Node.stub(count, sha256(form).digest(), 1, One(form + links))
    node.load()
    return node


SOUND = {
    "a bucket": (bucket_of("", "0", "00", "1f"), b"", 4),
    "a bucket of one entry with the empty path": (bucket_of(""), b"", 1),
    "a bucket of an odd number of nibbles": (bucket_of("0", "ab"), b"", 2),
    "a bucket with a blob": (bucket_of("a", "b", cells=CELL + leb(2 * 257 + 1) + DIGEST), b"\x07", 2),
    "a branch": (branch_of({0: 8, 15: 1}), b"\x01\x02", 9),
    "a branch with labels": (branch_of({0: 9, 3: 12}, {0: "a", 3: "bcd"}), b"\x01\x02", 21),
    "a branch with a value and one child": (branch_of({4: 8}, own=CELL), b"\x01", 9),
    "a branch with a blob": (branch_of({4: 8}, own=leb(2 * 300 + 1) + DIGEST), b"\x01\x02", 9),
    "a branch of very many": (branch_of({4: 2**40, 5: 1}), b"\x81\x01\x02", 2**40 + 1),
}


@pytest.mark.parametrize("what", SOUND)
def test_a_record_that_breaks_no_rule_is_read_and_written_as_it_was(what: str) -> None:
    form, links, count = SOUND[what]
    node = loaded(form, links, count)
    node.check()
    assert (node.form(), node.links(), node.count) == (form, links, count)


BROKEN = {
    "no bytes": (b"", b"", 1, "end too early"),
    "an unknown tag": (b"\x04\x01", b"", 1, "0x04 begins no node"),
    "a root in place of a node": (b"\x03\x00", b"", 1, "0x03 begins no node"),
    "an empty bucket": (b"\x00\x00", b"", 0, "a bucket is empty"),
    "a bucket of nine": (bucket_of(*"012345678"), b"", 9, "over its limit of 8"),
    "entries that descend": (bucket_of("1", "0"), b"", 2, "not ascending"),
    "an entry twice": (bucket_of("1", "1"), b"", 1, "not ascending"),
    "an entry twice, counted twice": (bucket_of("1", "1"), b"", 2, "not ascending"),
    "padding that is not 0": (b"\x00\x01\x01\x1f" + CELL, b"", 1, "padding of a path is not 0"),
    "a value of no bytes": (bucket_of("1", cells=b"\x00"), b"", 1, "a value has no bytes"),
    "a short value as a blob": (
        bucket_of("1", cells=leb(2 * 256 + 1) + DIGEST),
        b"\x01",
        1,
        "short value stands outside",
    ),
    "a long value inline": (bucket_of("1", cells=leb(2 * 257) + b"x" * 257), b"", 1, "long value stands inside"),
    "a blob over the limit": (
        bucket_of("1", cells=leb(2 * VALUE_BYTES_MAX + 3) + DIGEST),
        b"\x01",
        1,
        "over its limit",
    ),
    "a size that is not in its shortest form": (
        bucket_of("1", cells=b"\x82\x00\x00"),
        b"",
        1,
        "not in its shortest form",
    ),
    "a missing value": (bucket_of("1", "2", cells=CELL), b"", 2, "end too early"),
    "a label of no child": (branch_of({0: 9, 1: 9}, label_bits=4), b"\x01\x02", 18, "a label is that of no child"),
    "an empty label": (branch_of({0: 9, 1: 9}, {0: ""}), b"\x01\x02", 18, "a label is empty"),
    "a label above a bucket": (branch_of({0: 8, 1: 9}, {0: "a"}), b"\x01\x02", 17, "cannot have that many entries"),
    "a child of nothing": (branch_of({0: 0, 1: 9}), b"\x01\x02", 9, "cannot have that many entries"),
    "a branch of eight": (branch_of({0: 4, 1: 4}), b"\x01\x02", 8, "too little below it"),
    "a branch of one child": (branch_of({0: 9}), b"\x01", 9, "too little below it"),
    "a branch of nothing but a value": (branch_of({}, own=CELL), b"", 1, "too little below it"),
    "one entry more than the parent says": (bucket_of("1", "2"), b"", 1, "has 2 entries where its parent says 1"),
    "one entry fewer than the parent says": (branch_of({0: 8, 1: 8}), b"\x01\x02", 17, "where its parent says 17"),
    "a link too few": (branch_of({0: 8, 15: 1}), b"\x01", 9, "end too early"),
    "a link too many": (branch_of({0: 8, 15: 1}), b"\x01\x02\x03", 9, "bytes too many"),
    "a link of a bucket without blobs": (bucket_of("1"), b"\x01", 1, "bytes too many"),
    "a link that is not in its shortest form": (
        branch_of({0: 8, 15: 1}),
        b"\x81\x00\x02",
        9,
        "not in its shortest form",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_record_that_breaks_one_rule_is_refused_with_it(what: str) -> None:
    form, links, count, why = BROKEN[what]
    with pytest.raises(StoreDamaged, match=f"node 1: node: .*{why}"):
        loaded(form, links, count)


def test_a_record_of_other_bytes_than_the_parent_holds_the_digest_of_is_refused() -> None:
    node = Node.stub(1, sha256(bucket_of("1")).digest(), 1, One(bucket_of("2")))
    with pytest.raises(StoreDamaged, match="do not have the digest that its parent holds"):
        node.load()
    assert node.entries is None and node.kids is None


@pytest.mark.parametrize("size", [1, 2, 63, 64, 127, 128, 255, 256, 257, 300, 20_000])
def test_a_value_comes_back_from_its_cell_and_is_a_blob_when_it_is_long(size: int) -> None:
    data = b"x" * size
    cell = to_cell(data)
    assert from_cell(cell) == data
    assert (type(cell) is Blob) == (size > 256)
    assert cell == (leb(2 * size + 1) + sha256(data).digest() if size > 256 else leb(2 * size) + data)


def test_a_blob_that_comes_back_as_other_bytes_is_refused() -> None:
    blob = Blob.of(b"x" * 300)
    blob.data, blob.number, blob.source = None, 5, One(b"y" * 300)
    with pytest.raises(StoreDamaged, match="node 5: a value's bytes do not have its digest"):
        from_cell(blob)
    blob.source = One(b"x" * 300)
    assert from_cell(blob) == b"x" * 300


def test_a_path_is_the_nibbles_of_its_key() -> None:
    assert to_path(b"\x12\xf0") == b"\x01\x02\x0f\x00"
    for key in (b"", b"\x00", bytes(range(256))):
        assert to_key(to_path(key)) == key
