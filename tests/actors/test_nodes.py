"""Nodes, their forms and their records: each rule broken once, where everything else fits, so that only the rule is left.

Forms, records and patches are put together here by hand, after the comments at the top of `actors.nodes` and
`actors.records`. What breaks no rule stands beside what breaks one, so that it is known that it is refused for nothing
else. `Node.edited`, which splices the bytes of a bucket, is held against a dict.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors import CodecError, LimitExceeded, StoreDamaged
from actors.cells import Blob, cell_digest, damage, from_cell, to_cell
from actors.limits import BUCKET_ENTRIES_MAX, NODE_BYTES_MAX, VALUE_BYTES_MAX
from actors.nodes import LATER, PATH_NIBBLES_MAX, Node, branch, bucket, read_form, to_key, to_path
from actors.records import NUMBER_MAX, is_leaf, load, record, references
from actors.walks import kid_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

#: Which digest it is does not matter where it is the child's: nothing below is read.
CHILD = bytes(range(32))
WHOLE, BASE, PATCH = 40, 20, 30


class Far(NamedTuple):
    """A long value as a record tells it: where it is, and its digest."""

    number: int
    digest: bytes


BLOB = Far(7, sha256(b"x" * 300).digest())
OTHER_BLOB = Far(9, sha256(b"y" * 300).digest())

# --- by hand ---


def leb(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number % 128 + 128]) + leb(number // 128)


def packed(nibbles: str) -> bytes:
    return bytes.fromhex(nibbles + "0" * (len(nibbles) % 2))


def u16(number: int) -> bytes:
    return number.to_bytes(2, "big")


def u48(number: int) -> bytes:
    return number.to_bytes(6, "big")


def digest_of(value: bytes | Far) -> bytes:
    return value.digest if isinstance(value, Far) else sha256(value).digest()


def bucket_head(*paths: str) -> bytes:
    return b"\x00" + leb(len(paths)) + b"".join(leb(len(path)) for path in paths) + packed("".join(paths))


def bucket_form(values: Mapping[str, bytes | Far]) -> bytes:
    return bucket_head(*values) + b"".join(digest_of(value) for value in values.values())


def bucket_record(values: Mapping[str, bytes | Far]) -> bytes:
    end, ends, inline, far = 0, b"", b"", b""
    for value in values.values():
        if isinstance(value, Far):
            far += u48(value.number) + value.digest
        else:
            end += len(value)
            inline += value
        ends += u16(end)
    return bucket_head(*values) + ends + inline + far


def branch_form(
    kids: Mapping[int, int],
    labels: Mapping[int, str] | None = None,
    own: bytes | Far | None = None,
    label_bits: int | None = None,
) -> bytes:
    labels = labels or {}
    bits = sum(1 << i for i in labels) if label_bits is None else label_bits
    form = (b"\x01" if own is None else b"\x02") + u16(sum(1 << i for i in kids)) + u16(bits)
    form += b"".join(u48(kids[i]) + CHILD for i in sorted(kids))
    form += b"".join(leb(len(labels[i])) + packed(labels[i]) for i in sorted(labels))
    return form if own is None else form + digest_of(own)


def value_part(value: bytes | Far) -> bytes:
    return b"\0\0" + u48(value.number) + value.digest if isinstance(value, Far) else u16(len(value)) + value


def links(*numbers: int) -> bytes:
    return b"".join(map(u48, numbers))


def patch(tag: int, base: int, bits: int, *parts: bytes) -> bytes:
    return bytes([tag]) + u48(base) + bits.to_bytes(4, "big") + b"".join(parts)


def slot(count: int, number: int, digest: bytes = CHILD) -> bytes:
    return u48(count) + digest + u48(number)


class Records(dict[int, bytes]):
    """A store of these records."""

    place = "here"

    def read_node(self, number: int) -> bytes:
        if number not in self:
            raise StoreDamaged(f"here is no node {number}")
        return self[number]


def loaded(records: Mapping[int, bytes], number: int, form: bytes, count: int) -> Node:
    """The node of a record under a digest and a count."""
    return load(Node.stub(count, sha256(form).digest(), number, Records(records)))


@pytest.fixture(autouse=True)
def _no_damage_is_left() -> Iterator[None]:
    damage.found.clear()
    yield
    damage.found.clear()


def rows(count: int, value: bytes = b"v") -> dict[str, bytes | Far]:
    return {f"{n:02x}": value for n in range(count)}


# --- the hashed form ---

LONG = "abcdef01" * 20

SOUND_BUCKETS: dict[str, dict[str, bytes | Far]] = {
    "one entry": {"1": b"v"},
    "one entry with the empty path": {"": b"v"},
    "paths of many lengths, the empty one too": {"": b"1", "0": b"2", "00": b"3", "1f": b"4"},
    "an odd number of nibbles": {"0": b"1", "ab": b"2"},
    "as many entries as can be": rows(24),
    "a path of 127 nibbles": {LONG[:127]: b"1", "b": b"2"},
    "a path of 128 nibbles": {LONG[:128]: b"1", "b": b"2"},
    "only paths of over 127 nibbles": {LONG[:140]: b"1", LONG[:140] + "1": b"2", LONG[:150]: b"3"},
    "values of 1, 2, 255 and 256 bytes": {"1": b"a", "2": b"ab", "3": b"c" * 255, "4": b"d" * 256},
    "24 values of 256 bytes": rows(24, b"z" * 256),
    "a blob": {"1": b"v", "2": BLOB},
    "nothing but blobs": {"1": BLOB, "2": OTHER_BLOB, "3": BLOB},
    "blobs first, between and last": {"1": BLOB, "2": b"v", "3": OTHER_BLOB, "4": b"w", "5": BLOB},
    "a blob at the empty path": {"": BLOB, "1": b"v"},
    "a blob with the largest number": {"1": Far(NUMBER_MAX, CHILD)},
}


class Sound(NamedTuple):
    """A branch: its children's counts, labels, own value."""

    kids: dict[int, int]
    labels: dict[int, str] = {}
    own: bytes | Far | None = None

    @property
    def count(self) -> int:
        return sum(self.kids.values()) + (self.own is not None)


SOUND_BRANCHES = {
    "two children": Sound({0: 24, 15: 1}),
    "sixteen children": Sound(dict.fromkeys(range(16), 2)),
    "labels": Sound({0: 25, 3: 30, 9: 1}, {0: "a", 3: "bcd"}),
    "sixteen labels": Sound(dict.fromkeys(range(16), 25), {i: "0123456789abcdef"[: i + 1] for i in range(16)}),
    "a label of 127 and one of 128 nibbles": Sound({0: 25, 3: 30}, {0: LONG[:127], 3: LONG[:128]}),
    "a value and one child": Sound({4: 24}, own=b"v"),
    "a value of 256 bytes, children and a label": Sound({4: 24, 5: 25}, {5: "f"}, own=b"v" * 256),
    "a blob and one child": Sound({4: 24}, own=BLOB),
    "very many entries": Sound({4: 2**40, 5: 1}),
    "2**32 entries and one less": Sound({4: 2**32, 5: 2**32 - 1}),
    "as many entries as can be": Sound({4: 2**48 - 2}, own=b"v"),
}
FORMS = {
    **{what: (bucket_form(values), len(values)) for what, values in SOUND_BUCKETS.items()},
    **{what: (branch_form(*sound), sound.count) for what, sound in SOUND_BRANCHES.items() if what not in SOUND_BUCKETS},
}


@pytest.mark.parametrize("what", FORMS)
def test_a_form_that_breaks_no_rule_is_read(what: str) -> None:
    form, count = FORMS[what]
    node = read_form(form)
    assert (node.form, node.digest, node.count) == (form, sha256(form).digest(), count)
    if node.kids is None:
        values = SOUND_BUCKETS[what]
        assert node.path_list() == [bytes(int(digit, 16) for digit in path) for path in values]
        assert node.lengths == tuple(map(len, values))
    else:
        sound = SOUND_BRANCHES[what]
        assert [kid for kid in node.kids if kid is not None] == [LATER] * len(sound.kids)
        assert {i for i in range(16) if node.kids[i] is not None} == set(sound.kids)
        assert {i: "".join(f"{one:x}" for one in label) for i, label in node.labels.items()} == sound.labels
        assert node.value == (None if sound.own is None else digest_of(sound.own))
        assert all(node.kid_digest(i) == (CHILD if i in sound.kids else None) for i in range(16))


V = sha256(b"v").digest()
#: (the form, what it is refused with, the record with the same fault or None where the form's tail is at fault)
BROKEN_FORMS: dict[str, tuple[bytes, str, bytes | None]] = {
    "no bytes": (b"", "end too early", b""),
    "an unknown tag": (b"\x04\x01", "0x04 begins no node", b"\x04\x01"),
    "a root in place of a node": (b"\x03\x00", "0x03 begins no node", b"\x03\x00"),
    "a patch of a branch": (b"\x81" + bytes(10), "0x81 begins no node", None),
    "a patch of a bucket": (b"\x82" + bytes(10), "0x82 begins no node", None),
    "a bucket of nothing but its tag": (b"\x00", "end too early", b"\x00"),
    "an empty bucket": (b"\x00\x00", "a bucket is empty", b"\x00\x00"),
    "a bucket of 25": (bucket_form(rows(25)), "over its limit of 24", bucket_record(rows(25))),
    "a number of entries that is not in its shortest form": (
        b"\x00\x81\x00\x01\x10" + V,
        "not in its shortest form",
        b"\x00\x81\x00\x01\x10\0\1v",
    ),
    "a length that is not in its shortest form": (
        b"\x00\x01\x81\x00\x10" + V,
        "not in its shortest form",
        b"\x00\x01\x81\x00\x10\0\1v",
    ),
    "a second length that is not in its shortest form": (
        b"\x00\x02\x01\x81\x00\x12" + V + V,
        "not in its shortest form",
        b"\x00\x02\x01\x81\x00\x12\0\1\0\2vv",
    ),
    "a length is missing": (b"\x00\x03\x01\x01", "end too early", b"\x00\x03\x01\x01"),
    "a path is missing": (b"\x00\x03\x01\x01\x01\x12", "end too early", b"\x00\x03\x01\x01\x01\x12"),
    "a path that is too long": (
        b"\x00\x01" + leb(PATH_NIBBLES_MAX + 1) + bytes(PATH_NIBBLES_MAX // 2 + 1) + V,
        f"over its limit of {PATH_NIBBLES_MAX}",
        b"\x00\x01" + leb(PATH_NIBBLES_MAX + 1) + bytes(PATH_NIBBLES_MAX // 2 + 1) + b"\0\1v",
    ),
    "entries that descend": (
        bucket_form({"1": b"v", "0": b"v"}),
        "not ascending",
        bucket_record({"1": b"v", "0": b"v"}),
    ),
    "a path behind one that it begins": (
        bucket_form({"10": b"v", "1": b"v"}),
        "not ascending",
        bucket_record({"10": b"v", "1": b"v"}),
    ),
    "an entry twice": (bucket_head("1", "1") + V + V, "not ascending", bucket_head("1", "1") + b"\0\1\0\2vv"),
    "the empty path twice": (bucket_head("", "") + V + V, "not ascending", bucket_head("", "") + b"\0\1\0\2vv"),
    "padding that is not 0": (b"\x00\x01\x01\x1f" + V, "padding of a path is not 0", b"\x00\x01\x01\x1f\0\1v"),
    "a digest too few": (bucket_form(rows(3))[:-32], "end too early", None),
    "a digest cut off": (bucket_form(rows(3))[:-1], "end too early", None),
    "a digest too many": (bucket_form(rows(3)) + V, "bytes too many", None),
    "a byte too many": (bucket_form(rows(3)) + b"\0", "bytes too many", None),
    "a branch of nothing but its tag": (b"\x01", "end too early", b"\x01"),
    "a label of no child": (
        branch_form({0: 25, 1: 25}, label_bits=4),
        "a label is that of no child",
        branch_form({0: 25, 1: 25}, label_bits=4) + links(1, 2),
    ),
    "a label of no child, which is there": (
        branch_form({0: 25, 1: 25}, {2: "a"}),
        "a label is that of no child",
        branch_form({0: 25, 1: 25}, {2: "a"}) + links(1, 2),
    ),
    "an empty label": (
        branch_form({0: 25, 1: 25}, {0: ""}),
        "a label is empty",
        branch_form({0: 25, 1: 25}, {0: ""}) + links(1, 2),
    ),
    "a label above a bucket": (
        branch_form({0: 24, 1: 25}, {0: "a"}),
        "a label stands above a bucket",
        branch_form({0: 24, 1: 25}, {0: "a"}) + links(1, 2),
    ),
    "a label above a bucket between others": (
        branch_form({0: 25, 1: 3, 7: 25}, {0: "a", 1: "b", 7: "c"}),
        "a label stands above a bucket",
        branch_form({0: 25, 1: 3, 7: 25}, {0: "a", 1: "b", 7: "c"}) + links(1, 2, 3),
    ),
    "a label's padding that is not 0": (
        branch_form({0: 25, 1: 25}, label_bits=1) + b"\x01\xab",
        "padding of a path is not 0",
        branch_form({0: 25, 1: 25}, label_bits=1) + b"\x01\xab" + links(1, 2),
    ),
    "a label's length that is not in its shortest form": (
        branch_form({0: 25, 1: 25}, label_bits=1) + b"\x82\x00\xab",
        "not in its shortest form",
        branch_form({0: 25, 1: 25}, label_bits=1) + b"\x82\x00\xab" + links(1, 2),
    ),
    "a label that is too long": (
        branch_form({0: 25, 1: 25}, {1: "a" * (PATH_NIBBLES_MAX + 1)}),
        f"over its limit of {PATH_NIBBLES_MAX}",
        branch_form({0: 25, 1: 25}, {1: "a" * (PATH_NIBBLES_MAX + 1)}) + links(1, 2),
    ),
    "a label is missing": (branch_form({0: 25, 1: 25}, label_bits=1), "end too early", None),
    "a child of nothing": (
        branch_form({0: 0, 1: 25}),
        "a child has no entries",
        branch_form({0: 0, 1: 25}) + links(1, 2),
    ),
    "a child of nothing beside one of very many": (
        branch_form({0: 2**40, 1: 0}),
        "a child has no entries",
        branch_form({0: 2**40, 1: 0}) + links(1, 2),
    ),
    "a branch of 24": (
        branch_form({0: 12, 1: 12}),
        "too little below it",
        branch_form({0: 12, 1: 12}) + links(1, 2),
    ),
    "a branch of 24 with its own value": (
        branch_form({0: 12, 1: 11}, own=b"v"),
        "too little below it",
        branch_form({0: 12, 1: 11}, own=b"v") + links(1, 2) + value_part(b"v"),
    ),
    "a branch of one child": (branch_form({0: 25}), "too little below it", branch_form({0: 25}) + links(1)),
    "a branch of one child with a label": (
        branch_form({0: 25}, {0: "1"}),
        "too little below it",
        branch_form({0: 25}, {0: "1"}) + links(1),
    ),
    "a branch of nothing but a value": (
        branch_form({}, own=b"v"),
        "too little below it",
        branch_form({}, own=b"v") + value_part(b"v"),
    ),
    "a branch of nothing": (branch_form({}), "too little below it", branch_form({})),
    "a branch of more than can be": (
        branch_form({4: 2**48 - 1}, own=b"v"),
        "more below it than can be",
        branch_form({4: 2**48 - 1}, own=b"v") + links(1) + value_part(b"v"),
    ),
    "a slot too few": (branch_form({0: 25, 1: 25})[:-38], "end too early", None),
    "a slot too many": (branch_form({0: 25, 1: 25}) + u48(1) + CHILD, "bytes too many", None),
    "an own digest too few": (branch_form({0: 25}, own=b"v")[:-32], "end too early", None),
    "an own digest too many": (branch_form({0: 25, 1: 25}) + V, "bytes too many", None),
}


@pytest.mark.parametrize("what", BROKEN_FORMS)
def test_a_form_that_breaks_one_rule_is_refused_with_it(what: str) -> None:
    form, why, _ = BROKEN_FORMS[what]
    with pytest.raises(CodecError, match=f"node: .*{why}"):
        read_form(form)


@pytest.mark.parametrize("what", [what for what in BROKEN_FORMS if BROKEN_FORMS[what][2] is not None])
def test_a_record_of_a_form_that_breaks_one_rule_is_refused_with_it(what: str) -> None:
    form, why, data = BROKEN_FORMS[what]
    assert data is not None
    for count in (0, 1, 2, 25, 50):
        with pytest.raises(StoreDamaged, match=f"here is damaged: node {WHOLE}: node: .*{why}"):
            loaded({WHOLE: data}, WHOLE, form, count)


# --- whole records ---


def branch_record(sound: Sound, *numbers: int) -> bytes:
    own = b"" if sound.own is None else value_part(sound.own)
    return branch_form(*sound) + links(*(numbers or range(101, 101 + len(sound.kids)))) + own


@pytest.mark.parametrize("what", SOUND_BUCKETS)
def test_a_bucket_goes_to_its_record_and_back(what: str) -> None:
    values = SOUND_BUCKETS[what]
    data, form = bucket_record(values), bucket_form(values)
    node = loaded({WHOLE: data}, WHOLE, form, len(values))
    node.check()
    assert (node.form, node.base, node.patched) == (form, WHOLE, 0)
    found = {"".join(f"{one:x}" for one in path): cell for path, cell in node.entries().items()}
    assert list(found) == list(values)
    for path, value in values.items():
        cell = found[path]
        assert cell == node.find(to_path_of(path))
        assert cell_digest(cell) == digest_of(value)
        if isinstance(value, Far):
            assert isinstance(cell, Blob)
            assert (cell.number, cell.data) == (value.number, None)
        else:
            assert type(cell) is bytes and cell == value
    anew = bucket(node.entries())
    anew.seal()
    assert (anew.form, anew.digest) == (form, sha256(form).digest())
    assert is_leaf(anew) == (not any(isinstance(value, Far) for value in values.values()))
    assert record(anew, WHOLE, Records()) == data
    assert references(WHOLE, Records({WHOLE: data})) == (
        [value.number for value in values.values() if isinstance(value, Far)],
        0,
    )


@pytest.mark.parametrize("what", SOUND_BRANCHES)
def test_a_branch_goes_to_its_record_and_back(what: str) -> None:
    sound = SOUND_BRANCHES[what]
    data, form = branch_record(sound), branch_form(*sound)
    node = loaded({WHOLE: data}, WHOLE, form, sound.count)
    assert (node.form, node.base, node.patched) == (form, WHOLE, 0)
    assert node.kids is not None and node.kids.count(LATER) == len(sound.kids), "a child that nobody asked for is there"
    node.check()
    kids: list[Any] = [kid_of(node, i)[1] for i in range(16)]
    assert {i: kid.count for i, kid in enumerate(kids) if kid is not None} == sound.kids
    assert [kid.number for kid in kids if kid is not None] == list(range(101, 101 + len(sound.kids)))
    assert {kid.digest for kid in kids if kid is not None} == {CHILD}
    assert {i: "".join(f"{one:x}" for one in label) for i, label in node.labels.items()} == sound.labels
    if isinstance(sound.own, Far):
        assert isinstance(node.value, Blob) and node.value.number == sound.own.number
    else:
        assert node.value == sound.own
    anew = branch(sound.count, kids, dict(node.labels), node.value)
    anew.seal()
    assert (anew.form, anew.digest) == (form, sha256(form).digest())
    assert not is_leaf(anew)
    assert record(anew, WHOLE, Records()) == data
    far = [sound.own.number] if isinstance(sound.own, Far) else []
    assert references(WHOLE, Records({WHOLE: data})) == ([*range(101, 101 + len(sound.kids)), *far], 0)


def to_path_of(path: str) -> bytes:
    return bytes(int(digit, 16) for digit in path)


TWO = {"1": b"v", "2": b"w"}
SIZES = "the sizes of a bucket's values are not right"
#: (record, form, count, why)
BROKEN_RECORDS: dict[str, tuple[bytes, bytes, int, str]] = {
    "no sizes": (bucket_head("1", "2"), bucket_form(TWO), 2, "end too early"),
    "a size too few": (bucket_head("1", "2") + b"\0\1", bucket_form(TWO), 2, "end too early"),
    "a value too few": (bucket_record(TWO)[:-1], bucket_form(TWO), 2, "end too early"),
    "a byte too many": (bucket_record(TWO) + b"\0", bucket_form(TWO), 2, "bytes too many"),
    "sizes that descend": (bucket_head("1", "2") + b"\0\2\0\1vw", bucket_form(TWO), 2, SIZES),
    "a first size of nothing and no blob": (bucket_head("1", "2") + b"\0\0\0\1v", bucket_form(TWO), 2, "end too early"),
    "a long value inside": (bucket_record({"1": b"v" * 257}), bucket_form({"1": b"v" * 257}), 1, SIZES),
    "a long value inside behind a short one": (
        bucket_record({"1": b"v", "2": b"v" * 257}),
        bucket_form({"1": b"v", "2": b"v" * 257}),
        2,
        SIZES,
    ),
    "a blob without a record": (
        bucket_record({"1": b"v", "2": BLOB})[:-38],
        bucket_form({"1": b"v", "2": BLOB}),
        2,
        "end too early",
    ),
    "a blob's digest cut off": (bucket_record({"1": BLOB})[:-1], bucket_form({"1": BLOB}), 1, "end too early"),
    "a blob of no entry": (bucket_record(TWO) + u48(7) + BLOB.digest, bucket_form(TWO), 2, "bytes too many"),
    "a blob of another digest": (
        bucket_record({"1": OTHER_BLOB}),
        bucket_form({"1": BLOB}),
        1,
        "do not have the digest that its parent holds",
    ),
    "two blobs in one another's place": (
        bucket_record({"1": OTHER_BLOB, "2": BLOB}),
        bucket_form({"1": BLOB, "2": OTHER_BLOB}),
        2,
        "do not have the digest that its parent holds",
    ),
    "another value": (
        bucket_record({"1": b"v", "2": b"x"}),
        bucket_form(TWO),
        2,
        "do not have the digest that its parent holds",
    ),
    "another path": (
        bucket_record({"1": b"v", "3": b"w"}),
        bucket_form(TWO),
        2,
        "do not have the digest that its parent holds",
    ),
    "one entry more than the parent says": (bucket_record(TWO), bucket_form(TWO), 1, "has 2 entries .* says 1"),
    "one entry fewer than the parent says": (bucket_record(TWO), bucket_form(TWO), 3, "has 2 entries .* says 3"),
    "a branch that the parent calls a bucket": (
        branch_record(Sound({0: 24, 1: 1})),
        branch_form({0: 24, 1: 1}),
        24,
        "has 25 entries .* says 24",
    ),
    "a link too few": (
        branch_form({0: 24, 1: 1}) + links(1),
        branch_form({0: 24, 1: 1}),
        25,
        "end too early",
    ),
    "a link cut off": (
        branch_form({0: 24, 1: 1}) + links(1, 2)[:-1],
        branch_form({0: 24, 1: 1}),
        25,
        "end too early",
    ),
    "a link too many": (
        branch_form({0: 24, 1: 1}) + links(1, 2, 3),
        branch_form({0: 24, 1: 1}),
        25,
        "bytes too many",
    ),
    "a child of another digest": (
        branch_form({0: 24, 1: 1}).replace(CHILD, CHILD[::-1], 1) + links(1, 2),
        branch_form({0: 24, 1: 1}),
        25,
        "do not have the digest that its parent holds",
    ),
    "no own value": (
        branch_form({0: 24}, own=b"v") + links(1),
        branch_form({0: 24}, own=b"v"),
        25,
        "end too early",
    ),
    "an own value that is cut off": (
        branch_form({0: 24}, own=b"vw") + links(1) + b"\0\2v",
        branch_form({0: 24}, own=b"vw"),
        25,
        "end too early",
    ),
    "an own value that goes on": (
        branch_form({0: 24}, own=b"v") + links(1) + b"\0\1vw",
        branch_form({0: 24}, own=b"v"),
        25,
        "bytes too many",
    ),
    "an own value in a branch without one": (
        branch_record(Sound({0: 24, 1: 1})) + value_part(b"v"),
        branch_form({0: 24, 1: 1}),
        25,
        "bytes too many",
    ),
    "another own value": (
        branch_form({0: 24}, own=b"v") + links(1) + value_part(b"w"),
        branch_form({0: 24}, own=b"v"),
        25,
        "the own value does not have its digest",
    ),
    "another own blob": (
        branch_form({0: 24}, own=BLOB) + links(1) + value_part(OTHER_BLOB),
        branch_form({0: 24}, own=BLOB),
        25,
        "the own value does not have its digest",
    ),
    "a long own value inside": (
        branch_form({0: 24}, own=b"v" * 257) + links(1) + value_part(b"v" * 257),
        branch_form({0: 24}, own=b"v" * 257),
        25,
        "a long value stands inside its node",
    ),
    "an own blob that is cut off": (
        branch_record(Sound({0: 24}, own=BLOB))[:-1],
        branch_form({0: 24}, own=BLOB),
        25,
        "end too early",
    ),
}


@pytest.mark.parametrize("what", BROKEN_RECORDS)
def test_a_record_that_breaks_one_rule_is_refused_with_it(what: str) -> None:
    data, form, count, why = BROKEN_RECORDS[what]
    node = Node.stub(count, sha256(form).digest(), WHOLE, Records({WHOLE: data}))
    with pytest.raises(StoreDamaged, match=f"here is damaged: node {WHOLE}: node: .*{why}.* backup") as caught:
        load(node)
    assert node.paths is None and node.kids is None, "a refused node has content"
    assert damage.found == [caught.value]
    if "parent" not in why and "says" not in why:
        with pytest.raises(StoreDamaged, match=why):
            references(WHOLE, Records({WHOLE: data}))


def test_a_node_that_was_refused_is_read_once_its_record_is_mended() -> None:
    store = Records({WHOLE: b"\0"})
    node = Node.stub(2, sha256(bucket_form(TWO)).digest(), WHOLE, store)
    for _ in range(2):
        with pytest.raises(StoreDamaged):
            load(node)
    store[WHOLE] = bucket_record(TWO)
    assert load(node) is node
    assert node.entries() == {b"\x01": b"v", b"\x02": b"w"}
    del store[WHOLE]
    assert load(node) is node, "what is there is read again"


def test_a_record_over_the_limit_is_refused_and_the_largest_ones_go_round() -> None:
    with pytest.raises(StoreDamaged, match=f"{NODE_BYTES_MAX + 1} bytes are over the limit of {NODE_BYTES_MAX}"):
        loaded({WHOLE: bytes(NODE_BYTES_MAX + 1)}, WHOLE, b"", 1)
    with pytest.raises(StoreDamaged, match="a bucket is empty"):
        loaded({WHOLE: bytes(NODE_BYTES_MAX)}, WHOLE, b"", 1)
    longest = "a" * (PATH_NIBBLES_MAX - 2)
    values: dict[str, bytes | Far] = {f"{longest}{n:02x}": b"z" * 256 for n in range(24)}
    form, data = bucket_form(values), bucket_record(values)
    assert len(data) < NODE_BYTES_MAX
    node = loaded({WHOLE: data}, WHOLE, form, 24)
    assert node.find(to_path_of(f"{longest}17")) == b"z" * 256
    anew = bucket(node.entries())
    anew.seal()
    assert record(anew, WHOLE, Records()) == data
    sound = Sound(dict.fromkeys(range(16), 25), dict.fromkeys(range(16), longest + "aa"), b"v" * 256)
    assert len(branch_record(sound)) < NODE_BYTES_MAX
    assert (
        loaded({WHOLE: branch_record(sound)}, WHOLE, branch_form(*sound), sound.count).labels.keys()
        == sound.kids.keys()
    )


def test_a_branch_of_more_entries_than_a_slot_can_tell_is_refused() -> None:
    many = Node.stub(2**48 - 25, CHILD, 1, Records())
    few = Node.stub(24, CHILD, 2, Records())
    assert branch(2**48 - 1, [many, few] + [None] * 14, {}, None).count == 2**48 - 1
    with pytest.raises(LimitExceeded, match=f"would be {2**48} entries .* over the limit of {2**48 - 1}"):
        branch(2**48, [many, few] + [None] * 14, {}, b"v")


# --- patches ---

SEVEN: dict[str, bytes | Far] = {"": b"a", "0": b"bb", "01": b"c", "1": b"dd", "2": b"e", "3f": b"f", "40": b"g"}
FAR: dict[str, bytes | Far] = {"0": b"a", "1": BLOB, "2": b"c", "3": OTHER_BLOB}
KIDS = Sound({0: 24, 3: 30, 7: 25, 9: 1, 15: 40}, {3: "ab", 15: "c"}, b"own")
OWN_FAR = Sound({0: 24, 3: 30}, own=BLOB)


class Patched(NamedTuple):
    """A patch with its base, and the form and references of what it makes."""

    base: bytes
    bits: int
    parts: tuple[bytes, ...]
    form: bytes
    count: int
    numbers: list[int]


def patched_bucket(values: dict[str, bytes | Far], changes: dict[str, bytes | Far]) -> Patched:
    order = list(values)
    made = values | changes
    return Patched(
        bucket_record(values),
        sum(1 << order.index(path) for path in changes),
        tuple(value_part(changes[path]) for path in order if path in changes),
        bucket_form(made),
        len(values),
        [value.number for value in made.values() if isinstance(value, Far)],
    )


def patched_branch(sound: Sound, changes: dict[int, tuple[int, int]]) -> Patched:
    """`changes`: child to (its count, its number)."""
    made = sound._replace(kids=sound.kids | {i: count for i, (count, _) in changes.items()})
    numbers = {i: 101 + at for at, i in enumerate(sorted(sound.kids))} | {
        i: number for i, (_, number) in changes.items()
    }
    far = [sound.own.number] if isinstance(sound.own, Far) else []
    return Patched(
        branch_record(sound),
        sum(1 << i for i in changes),
        tuple(slot(*changes[i]) for i in sorted(changes)),
        branch_form(*made),
        made.count,
        [numbers[i] for i in sorted(numbers)] + far,
    )


SOUND_PATCHES = {
    "the first value": patched_bucket(SEVEN, {"": b"x"}),
    "the last value": patched_bucket(SEVEN, {"40": b"x"}),
    "all values": patched_bucket(SEVEN, dict.fromkeys(SEVEN, b"x")),
    "no value": patched_bucket(SEVEN, {}),
    "longer and shorter values": patched_bucket(SEVEN, {"0": b"x" * 256, "01": b"x" * 9, "1": b"x"}),
    "the last of 24": patched_bucket(rows(24), {"17": b"x" * 256}),
    "24 values of 256 bytes for ones of one": patched_bucket(rows(24), dict.fromkeys(rows(24), b"x" * 256)),
    "an inline value for a blob": patched_bucket(FAR | {"3": b"d"}, {"1": b"x"}),
    "inline values for all blobs": patched_bucket(FAR, {"1": b"x", "3": b"yy"}),
    "long paths": patched_bucket({LONG[:140]: b"1", LONG[:150]: b"2", "b": b"3"}, {LONG[:150]: b"x"}),
    "the first child": patched_branch(KIDS, {0: (25, 500)}),
    "the last child, with its label": patched_branch(KIDS, {15: (2**40, 500)}),
    "all children": patched_branch(KIDS, {0: (1, 1), 3: (25, 2), 7: (1, 3), 9: (1, 4), 15: (25, NUMBER_MAX)}),
    "no child": patched_branch(KIDS, {}),
    "a child's number alone": patched_branch(KIDS, {7: (25, 2**40)}),
    "a child beside a blob": patched_branch(OWN_FAR, {3: (29, 500)}),
}


@pytest.mark.parametrize("what", SOUND_PATCHES)
def test_a_patch_makes_of_its_base_what_it_says(what: str) -> None:
    base, bits, parts, form, count, numbers = SOUND_PATCHES[what]
    tag = 0x82 if base[0] == 0 else 0x81
    store = Records({BASE: base, PATCH: patch(tag, BASE, bits, *parts)})
    node = loaded(store, PATCH, form, count)
    node.check()
    assert (node.form, node.digest, node.count) == (form, sha256(form).digest(), count)
    assert (node.base, node.patched) == (BASE, bits)
    assert references(PATCH, store) == (numbers, BASE)
    if node.kids is None:
        anew = bucket(node.entries())
        anew.seal()
        whole = record(anew, WHOLE, store)
    else:
        anew = branch(count, [kid_of(node, i)[1] for i in range(16)], dict(node.labels), node.value)
        anew.seal()
        whole = record(anew, WHOLE, store)
    assert references(WHOLE, Records({WHOLE: whole})) == (numbers, 0)
    assert loaded({WHOLE: whole}, WHOLE, form, count).form == form


BUCKET_BASE, BRANCH_BASE = bucket_record(SEVEN), branch_record(KIDS)
X = value_part(b"x")
#: (base, patch, why)
BROKEN_PATCHES: dict[str, tuple[bytes, bytes, str]] = {
    "its base is itself a patch": (
        patch(0x82, BASE - 1, 1, X),
        patch(0x82, BASE, 1, X),
        "0x82 begins no node",
    ),
    "its base is a patch of a branch": (patch(0x81, BASE - 1, 0), patch(0x81, BASE, 0), "0x81 begins no node"),
    "it is its own base": (BUCKET_BASE, patch(0x82, PATCH, 1, X), f"a patch of node {PATCH}, which comes behind it"),
    "its base comes later": (BUCKET_BASE, patch(0x82, WHOLE, 1, X), f"a patch of node {WHOLE}, which comes behind it"),
    "a branch for a bucket": (BRANCH_BASE, patch(0x82, BASE, 1, X), "of another kind"),
    "a bucket for a branch": (BUCKET_BASE, patch(0x81, BASE, 1, slot(25, 9)), "of another kind"),
    "its base is a root": (b"\x03\x00", patch(0x82, BASE, 1, X), "0x03 begins no node"),
    "its base is empty": (b"", patch(0x82, BASE, 1, X), "end too early"),
    "its base is cut off": (BUCKET_BASE[:-1], patch(0x82, BASE, 1, X), "end too early"),
    "its base goes on": (BUCKET_BASE + b"\0", patch(0x82, BASE, 1, X), "bytes too many"),
    "its base breaks a rule": (
        bucket_head("1", "0") + b"\0\1\0\2vv",
        patch(0x82, BASE, 1, X),
        "not ascending",
    ),
    "no head": (BUCKET_BASE, b"\x82", "end too early"),
    "half a base": (BUCKET_BASE, b"\x82\0\0\0", "end too early"),
    "half a set": (BUCKET_BASE, patch(0x82, BASE, 0)[:-1], "end too early"),
    "an entry that is not there": (BUCKET_BASE, patch(0x82, BASE, 1 << 7, X), "a patch is of no entry"),
    "an entry that can never be": (BUCKET_BASE, patch(0x82, BASE, 1 << 31, X), "a patch is of no entry"),
    "a value too few": (BUCKET_BASE, patch(0x82, BASE, 3, X), "end too early"),
    "a value cut off": (BUCKET_BASE, patch(0x82, BASE, 1, b"\0\2v"), "end too early"),
    "a value too many": (BUCKET_BASE, patch(0x82, BASE, 1, X, X), "bytes too many"),
    "a long value inside": (
        BUCKET_BASE,
        patch(0x82, BASE, 1, value_part(b"x" * 257)),
        "a long value stands inside its node",
    ),
    "a blob for an inline value": (BUCKET_BASE, patch(0x82, BASE, 1, value_part(BLOB)), "makes a bucket with a blob"),
    "a blob for another": (
        bucket_record(FAR | {"3": b"d"}),
        patch(0x82, BASE, 2, value_part(OTHER_BLOB)),
        "makes a bucket with a blob",
    ),
    "a value beside a blob": (bucket_record(FAR), patch(0x82, BASE, 2, X), "makes a bucket with a blob"),
    "a blob that is cut off": (BUCKET_BASE, patch(0x82, BASE, 1, value_part(BLOB)[:-1]), "end too early"),
    "a child that is not there": (BRANCH_BASE, patch(0x81, BASE, 2, slot(25, 9)), "a patch is of no child"),
    "a child that can never be": (BRANCH_BASE, patch(0x81, BASE, 1 << 16, slot(25, 9)), "a patch is of no child"),
    "a slot too few": (BRANCH_BASE, patch(0x81, BASE, 9, slot(25, 9)), "end too early"),
    "a slot cut off": (BRANCH_BASE, patch(0x81, BASE, 1, slot(25, 9)[:-1]), "end too early"),
    "a slot too many": (BRANCH_BASE, patch(0x81, BASE, 1, slot(25, 9), slot(25, 9)), "bytes too many"),
    "a child of nothing": (BRANCH_BASE, patch(0x81, BASE, 1, slot(0, 9)), "a child has no entries"),
    "a bucket below a label": (BRANCH_BASE, patch(0x81, BASE, 8, slot(24, 9)), "a label stands above a bucket"),
    "more than can be": (BRANCH_BASE, patch(0x81, BASE, 1, slot(2**48 - 1, 9)), "more below it than can be"),
    "too little": (
        branch_record(Sound({0: 24, 1: 1})),
        patch(0x81, BASE, 1, slot(23, 9)),
        "too little below it",
    ),
}


@pytest.mark.parametrize("what", BROKEN_PATCHES)
def test_a_patch_that_breaks_one_rule_is_refused_with_it(what: str) -> None:
    base, data, why = BROKEN_PATCHES[what]
    store = Records({BASE - 1: BUCKET_BASE, BASE: base, PATCH: data, WHOLE: BUCKET_BASE})
    node = Node.stub(7, CHILD, PATCH, store)
    with pytest.raises(StoreDamaged, match=f"here is damaged: node {PATCH}: node: .*{why}") as caught:
        load(node)
    assert node.paths is None and node.kids is None
    assert damage.found == [caught.value]
    if data[:1] == b"\x81":
        with pytest.raises(StoreDamaged, match=why):
            references(PATCH, store)


def test_a_patch_whose_base_is_missing_is_refused_with_the_base() -> None:
    for base in (0, 1, BASE):
        with pytest.raises(StoreDamaged, match=f"here is no node {base}$") as caught:
            loaded({PATCH: patch(0x82, base, 1, X)}, PATCH, bucket_form(SEVEN), 7)
        assert damage.found == [caught.value]
        damage.found.clear()


OTHER_BASES: dict[str, tuple[str, bytes]] = {
    "a value": ("longer and shorter values", bucket_record(SEVEN | {"40": b"x"})),
    "a path": ("all values", bucket_record(dict(zip([*list(SEVEN)[:-1], "41"], SEVEN.values(), strict=True)))),
    "an own value": ("the first child", branch_record(KIDS._replace(own=b"other"))),
    "a label": ("the first child", branch_record(KIDS._replace(labels={3: "ac", 15: "c"}))),
    "a count": ("the first child", branch_record(KIDS._replace(kids=KIDS.kids | {9: 2}))),
}


@pytest.mark.parametrize("what", OTHER_BASES)
def test_a_patch_of_a_base_that_says_something_else_is_refused(what: str) -> None:
    """The base is a sound record, but not the one that was patched: the digest over what the two make finds it."""
    patched, other = OTHER_BASES[what]
    base, bits, parts, form, count, _ = SOUND_PATCHES[patched]
    data = patch(0x82 if base[0] == 0 else 0x81, BASE, bits, *parts)
    assert loaded({BASE: base, PATCH: data}, PATCH, form, count).form == form
    with pytest.raises(StoreDamaged, match=f"node {PATCH}: .*do not have the digest that its parent holds"):
        loaded({BASE: other, PATCH: data}, PATCH, form, count)


# --- what is written: patch or whole ---


def stored_bucket(count: int, blobs: int = 0) -> Node:
    """A bucket under the number BASE."""
    node = bucket({bytes([n // 16, n % 16]): b"v%d" % n for n in range(count)})
    for n in range(blobs):
        made = node.edited(bytes([n // 16, n % 16]), Blob.stored(CHILD, 7, Records()))
        assert made is not None
        node = made
    node.seal()
    record(node, BASE, Records())
    return node


def with_values(node: Node, numbers: Iterable[int], what: bytes = b"x") -> Node:
    for n in numbers:
        made = node.edited(bytes([n // 16, n % 16]), what)
        assert made is not None
        node = made
    return node


def test_a_bucket_is_written_as_a_patch_while_at_most_a_third_of_it_differs_from_a_record() -> None:
    for count, most in ((3, 1), (5, 1), (6, 2), (23, 7), (24, 8)):
        base = stored_bucket(count)
        assert (base.base, base.patched) == (BASE, 0)
        one = with_values(base, range(most))
        assert not is_leaf(one)
        one.seal()
        data = record(one, PATCH, Records())
        assert data == patch(0x82, BASE, 2**most - 1, *[value_part(b"x")] * most)
        assert (one.number, one.base) == (PATCH, BASE)
        again = with_values(one, range(most), b"yy")
        again.seal()
        assert record(again, PATCH, Records()) == patch(0x82, BASE, 2**most - 1, *[value_part(b"yy")] * most)
        more = with_values(again, [count - 1])
        assert is_leaf(more)
        more.seal()
        data = record(more, WHOLE, Records())
        assert data[0] == 0 and (more.base, more.patched) == (WHOLE, 0)
        assert load(Node.stub(count, more.digest or b"", WHOLE, Records({WHOLE: data}))).entries() == more.entries()


def test_a_bucket_of_one_or_two_is_never_a_patch() -> None:
    for count in (1, 2):
        made = with_values(stored_bucket(count), [0])
        assert is_leaf(made)
        made.seal()
        assert record(made, PATCH, Records())[0] == 0


def test_a_bucket_with_other_paths_or_with_blobs_is_written_whole() -> None:
    base = stored_bucket(12)
    shrunk, grown, far = base.edited(b"\0\0", None), base.edited(b"\5", b"x"), base.edited(b"\0\0", Blob.of(b"z" * 300))
    freed = stored_bucket(12, blobs=1).edited(b"\0\0", b"x")
    assert shrunk and grown and far and freed
    for blob in far.blobs.values():
        blob.number = 11
    for made in (shrunk, grown, far):
        assert is_leaf(made) == (made is not far)
        made.seal()
        assert record(made, PATCH, Records())[0] == 0
        assert (made.base, made.patched) == (PATCH, 0)
    assert not is_leaf(freed), "the blob is gone: it is a patch of a bucket that had one"
    freed.seal()
    assert record(freed, PATCH, Records()) == patch(0x82, BASE, 1, value_part(b"x"))


# --- buckets that change ---

nibbles = st.sampled_from([0, 1, 15])
paths = (
    st.lists(nibbles, max_size=4).map(bytes)
    | st.tuples(nibbles, nibbles).map(bytes)
    | st.sampled_from([126, 127, 128, 129, 300]).flatmap(
        lambda n: st.lists(nibbles, max_size=1).map(lambda end: bytes([1] * n + end))
    )
)
same_width = st.tuples(nibbles, nibbles, nibbles).map(bytes)
cells = st.builds(
    lambda size, byte: to_cell(bytes([byte]) * size),
    st.sampled_from([1, 1, 2, 3, 255, 256, 257, 300]),
    st.integers(0, 2),
)


@settings(deadline=None, max_examples=150)
@given(st.data(), st.booleans())
def test_a_bucket_that_is_edited_is_what_a_dict_says(data: st.DataObject, one_width: bool) -> None:
    some_paths = same_width if one_width else paths
    model: dict[bytes, bytes] = data.draw(st.dictionaries(some_paths, cells, min_size=1, max_size=24))
    node = bucket(dict(model))
    if data.draw(st.booleans()):
        node.seal()
        for number, blob in enumerate(node.blobs.values()):
            blob.number = 2 * number + 1
        record(node, BASE, Records())
    base, patched = node.base, node.patched
    for path, cell, seal in data.draw(st.lists(st.tuples(some_paths, cells | st.none(), st.booleans()), max_size=40)):
        if cell is None and model and data.draw(st.booleans()):
            path = data.draw(st.sampled_from(sorted(model)))
        before = dict(model)
        if cell is None:
            model.pop(path, None)
        else:
            model[path] = cell
        made = node.edited(path, cell)
        assert node.entries() == before, "a bucket was changed where it stood"
        if model == before:
            assert made is node
        if not 1 <= len(model) <= BUCKET_ENTRIES_MAX:
            assert made is None
            model = before
            continue
        assert made is not None
        if model.keys() != before.keys():
            base, patched = 0, 0
        elif model != before:
            patched |= 1 << sorted(model).index(path)
        assert made.base == base
        assert not base or made.patched == patched
        node = made
        assert node.entries() == model
        assert {at: type(cell) is Blob for at, cell in node.entries().items()} == {
            at: type(cell) is Blob for at, cell in model.items()
        }
        assert all(node.find(at) == cell for at, cell in model.items())
        assert node.find(path) == model.get(path)
        assert node.find(path + b"\0") == model.get(path + b"\0") and node.find(path[1:]) == model.get(path[1:])
        node.check()
        if seal:
            # Its form is then spliced by what comes next; without, it is made anew in the end.
            node.seal()
            node.check()
    anew = bucket(dict(model))
    anew.seal()
    node.seal()
    assert (node.form, node.digest) == (anew.form, anew.digest)
    assert anew.form == bucket_head(*("".join(f"{n:x}" for n in at) for at in sorted(model))) + b"".join(
        sha256(from_cell(model[at])).digest() for at in sorted(model)
    )


def test_a_path_is_found_where_it_is_and_not_across_two_others() -> None:
    for width in (1, 2, 3):
        order = sorted({bytes(int(digit) for digit in f"{n:03b}"[-width:]) for n in range(8)})
        for gone in order:
            node = bucket({path: b"v" + path for path in order if path != gone})
            assert node.find(gone) is None, (gone, order)
            assert all(node.find(path) == b"v" + path for path in order if path != gone)
    mixed = bucket({b"\1": b"a", b"\1\2": b"b", b"\2\1\2": b"c"})
    assert mixed.find(b"\2\1") is None and mixed.find(b"\2") is None and mixed.find(b"") is None
    assert mixed.find(b"\1\2") == b"b"
    assert bucket({b"": b"a"}).find(b"\0") is None and bucket({b"": b"a", b"\1": b"b"}).find(b"") == b"a"


# --- cells ---


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 300, 20_000, VALUE_BYTES_MAX])
def test_a_value_comes_back_from_its_cell_and_is_a_blob_when_it_is_long(size: int) -> None:
    data = b"x" * size
    cell = to_cell(data)
    assert from_cell(cell) == data
    assert (type(cell) is Blob) == (size > 256)
    assert cell_digest(cell) == sha256(data).digest()
    assert cell == to_cell(data) != to_cell(b"y" + data[1:])


def test_a_blob_equals_no_short_cell() -> None:
    blob = Blob.of(b"x" * 300)
    assert blob == Blob.stored(sha256(b"x" * 300).digest(), 5, Records())
    assert all(blob != bytes(blob)[:size] for size in range(257))


def test_a_blob_that_comes_back_as_other_bytes_is_refused() -> None:
    store = Records({5: b"y" * 300})
    blob = Blob.stored(sha256(b"x" * 300).digest(), 5, store)
    with pytest.raises(StoreDamaged, match="here is damaged: node 5: a value's bytes do not have its digest") as caught:
        from_cell(blob)
    assert damage.found == [caught.value]
    del store[5]
    with pytest.raises(StoreDamaged, match="no node 5"):
        from_cell(blob)
    assert len(damage.found) == 2
    store[5] = b"x" * 300
    assert from_cell(blob) == b"x" * 300 and blob.data is None, "it is kept"
    assert len(damage.found) == 2


def test_a_path_is_the_nibbles_of_its_key() -> None:
    assert to_path(b"\x12\xf0") == b"\x01\x02\x0f\x00"
    for key in (b"", b"\x00", bytes(range(256))):
        assert to_key(to_path(key)) == key
