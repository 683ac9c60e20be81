"""Golden vectors, and a second implementation of the root and of records: the formats of values, keys and heaps held still.

`golden.json` is made for a second implementation to be checked against. It is one object of four lists:

    values   {"value": V, "hex": its encoding}
    keys     {"key": [V, …] the elements, "hex": its form}
    roots    {"what": text, "entries": [[hex of an encoded key, hex of an encoded value], …] by key, "root": hex}
    records  {"what": text, "records": [[number, hex], …] all that a store holds, by number, "top": the number of the top
              node, "label": its label, a hex digit for each nibble, "entries": as in roots, "root": hex}

A V is an object of one member, which names the type:

    {"none": null}   {"bool": true}   {"int": "-123"} (decimal)   {"float": "8000000000000000"} (IEEE 754 bits, big-endian)
    {"str": "é"}     {"bytes": "00ff"} (hex)     {"tuple": [V, …]}    {"vector": [V, …]}    {"set": [V, …]} (any order)
    {"map": [[V, V], …]} (any order)      {"object": [name, V]} (what the codec of that name made of the object)

The keys of "roots" and "records" are any bytes, not only forms of keys, and the values are any non-empty bytes. The
records of one vector come from several commits, one behind the other: those that the last state does not need are
there too. After a change of a format, run `pytest tests/actors --rewrite-golden` and read the difference.

`reference_root` is the comment at the top of `actors.nodes` in code, recursive and from nothing but hashlib;
`ReferenceReader` is that at the top of `actors.records`.
"""

from __future__ import annotations

import enum
import json
import struct
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyrsistent import pmap, pset, pvector

from actors import codec, freeze
from actors.cells import from_cell
from actors.keys import decode_key, encode_key
from actors.nodes import Node
from actors.tree import EMPTY, Tree
from actors.values import decode, encode
from runtime.persist import number_nodes

GOLDEN = Path(__file__).with_name("golden.json")


# --- the reference ---


def leb(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number % 128 + 128]) + leb(number // 128)


def packed(nibbles: str) -> bytes:
    return bytes.fromhex(nibbles + "0" * (len(nibbles) % 2))


def reference_node(entries: dict[str, bytes]) -> bytes:
    """The digest of the node for entries by path, a path being a string of hex digits that the node has no label of."""
    order = sorted(entries)
    if len(entries) <= 24:
        form = b"\x00" + leb(len(order)) + b"".join(leb(len(path)) for path in order) + packed("".join(order))
        return sha256(form + b"".join(sha256(entries[path]).digest() for path in order)).digest()
    below = {digit: {path[1:]: entries[path] for path in order if path[:1] == digit} for digit in "0123456789abcdef"}
    bits, labelled, slots, labels = 0, 0, b"", b""
    for i, child in enumerate(below.values()):
        if child:
            label = label_of(child)
            stripped = {path[len(label) :]: value for path, value in child.items()}
            bits |= 1 << i
            labelled |= bool(label) << i
            slots += struct.pack(">Q", len(child))[2:] + reference_node(stripped)
            labels += leb(len(label)) + packed(label) if label else b""
    tag, own = (b"\x02", sha256(entries[""]).digest()) if "" in entries else (b"\x01", b"")
    return sha256(tag + struct.pack(">HH", bits, labelled) + slots + labels + own).digest()


def label_of(entries: dict[str, bytes]) -> str:
    """The longest beginning that all paths share: that of the first and the last of them."""
    first, last = min(entries, default=""), max(entries, default="")
    shared = next((i for i, digit in enumerate(first) if digit != last[i]), len(first))
    return first[:shared] if len(entries) > 24 else ""


def root_of(count: int, label: str, top: bytes) -> bytes:
    return sha256(b"\x03" + leb(count) + leb(len(label)) + packed(label) + top).digest()


def reference_root(entries: dict[bytes, bytes]) -> bytes:
    if not entries:
        return sha256(b"\x03\x00").digest()
    paths = {key.hex(): value for key, value in entries.items()}
    label = label_of(paths)
    return root_of(len(paths), label, reference_node({path[len(label) :]: value for path, value in paths.items()}))


class ReferenceReader:
    """Reads the entries below a record, by path."""

    def __init__(self, records: dict[int, bytes]) -> None:
        self.records = records
        self.reads = 0
        #: The nodes that were read, and whether each refers to other records.
        self.refers: dict[int, bool] = {}
        self.kinds: set[str] = set()

    def read(self, number: int) -> bytes:
        self.reads += 1
        return self.records[number]

    def entries(self, number: int) -> dict[str, bytes]:
        data = self.read(number)
        reads = self.reads
        entries = self.below(data)
        self.refers[number] = self.reads > reads
        return entries

    def below(self, data: bytes) -> dict[str, bytes]:
        patch: dict[int, bytes] = {}
        if data[0] >= 0x81:
            head, rest = data[:11], data[11:]
            data = self.read(int.from_bytes(head[1:7], "big"))
            for i in range(32):
                if int.from_bytes(head[7:], "big") >> i & 1:
                    size = 44 if head[0] == 0x81 else 2 + (int.from_bytes(rest[:2], "big") or 38)
                    patch[i], rest = rest[:size], rest[size:]
            assert rest == b"" and (head[0] == 0x82) == (data[0] == 0)
            self.kinds.add(f"a patch of a {'bucket' if data[0] == 0 else 'branch'}")
        return self.bucket(data, patch) if data[0] == 0 else self.branch(data, patch)

    def bucket(self, data: bytes, patch: dict[int, bytes]) -> dict[str, bytes]:
        count, at = data[1], 2
        lengths = []
        for _ in range(count):
            length, at = unleb(data, at)
            lengths.append(length)
        size = (sum(lengths) + 1) // 2
        digits, at = data[at : at + size].hex(), at + size
        ends = [0, *struct.unpack_from(f">{count}H", data, at)]
        at += 2 * count
        far = at + ends[-1]
        entries = {}
        for i in range(count):
            path, digits = digits[: lengths[i]], digits[lengths[i] :]
            inline = data[at + ends[i] : at + ends[i + 1]]
            if inline == b"":
                blob, far = data[far : far + 38], far + 38
            if i in patch:
                entries[path] = self.value(patch[i])
            elif inline == b"":
                entries[path] = self.blob(blob)
            else:
                entries[path] = inline
        assert far == len(data)
        self.kinds.add("bucket")
        return entries

    def branch(self, data: bytes, patch: dict[int, bytes]) -> dict[str, bytes]:
        bits, labelled = struct.unpack_from(">HH", data, 1)
        digits = [i for i in range(16) if bits >> i & 1]
        at = 5 + 38 * len(digits)
        slots = {i: data[5 + 38 * n : 43 + 38 * n] for n, i in enumerate(digits)}
        labels = {}
        for i in digits:
            if labelled >> i & 1:
                length, at = unleb(data, at)
                labels[i], at = data[at : at + (length + 1) // 2].hex()[:length], at + (length + 1) // 2
        own = data[0] == 2
        at += 32 * own
        links = {i: data[at + 6 * n : at + 6 * n + 6] for n, i in enumerate(digits)}
        for i, part in patch.items():
            slots[i], links[i] = part[:38], part[38:]
        entries = {"": self.value(data[at + 6 * len(digits) :])} if own else {}
        assert own or at + 6 * len(digits) == len(data)
        for i in digits:
            below = self.entries(int.from_bytes(links[i], "big"))
            assert len(below) == int.from_bytes(slots[i][:6], "big")
            assert reference_node(below) == slots[i][6:]
            entries |= {f"{i:x}{labels.get(i, '')}{path}": value for path, value in below.items()}
        self.kinds.add("branch with a value" if own else "branch")
        return entries

    def value(self, part: bytes) -> bytes:
        size = int.from_bytes(part[:2], "big")
        assert len(part) == 2 + (size or 38)
        return part[2:] if size else self.blob(part[2:])

    def blob(self, part: bytes) -> bytes:
        number = int.from_bytes(part[:6], "big")
        data = self.read(number)
        assert number & 1, "a blob refers to no other record"
        assert sha256(data).digest() == part[6:] and len(data) > 256
        self.kinds.add("blob")
        return data


def unleb(data: bytes, at: int) -> tuple[int, int]:
    number, shift = 0, 0
    while True:
        number |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return number, at


# --- the heap's root against it ---

keys = st.lists(st.sampled_from([0x00, 0x01, 0x10, 0x11, 0xFF]), max_size=6).map(bytes) | st.binary(max_size=3)
sizes = st.integers(1, 6) | st.sampled_from([63, 64, 127, 128, 255, 256, 257, 258, 300])
values = st.builds(lambda size, byte: bytes([byte]) * size, sizes, st.integers(0, 255))
entry_sets = st.integers(0, 80).flatmap(lambda n: st.dictionaries(keys, values, min_size=min(n, 40), max_size=n))


@settings(deadline=None, max_examples=60)
@given(entry_sets, st.binary(max_size=3))
@example({bytes([n]): b"v" for n in range(24)}, b"")
@example({bytes([n]): b"v" for n in range(25)}, b"")
@example({b"x" * n: b"v" for n in range(70)}, b"")
@example({b"x" * 80 + bytes([n]): b"v" for n in range(25)}, b"")
@example({b"x" * 80 + bytes([n]) * 70: b"v" for n in range(24)}, b"")
@example({bytes([n, n]): b"v" * 257 for n in range(200)}, b"")
def test_the_root_of_entries_is_that_of_the_reference(entries: dict[bytes, bytes], prefix: bytes) -> None:
    check_root(entries, prefix)


@pytest.mark.long
@settings(deadline=None, max_examples=600)
@given(entry_sets, st.binary(max_size=3))
def test_the_roots_of_many_random_entries_are_those_of_the_reference(
    entries: dict[bytes, bytes], prefix: bytes
) -> None:
    check_root(entries, prefix)


def check_root(entries: dict[bytes, bytes], prefix: bytes) -> None:
    prefixed = {prefix + key: value for key, value in entries.items()}
    assert EMPTY.update(prefixed.items()).digest() == reference_root(prefixed)


def test_the_root_of_very_many_entries_is_that_of_the_reference() -> None:
    """One tree twice in the next, under `l` and `r`, 6c and 72, until the counts fill all six bytes of a slot."""
    entries = {bytes([n]): b"v%d" % n for n in range(25)}
    tree = EMPTY.update(entries.items())
    digest, count, label = reference_node({key.hex(): value for key, value in entries.items()}), 25, ""
    for level in range(43):
        tree = EMPTY.graft(b"l", tree).graft(b"r", tree)
        slot = struct.pack(">Q", count)[2:] + digest
        labels = b"".join(leb(len(one)) + packed(one) for one in ("c" + label, "2" + label))
        digest, count = sha256(b"\x01\x00\xc0\x00\xc0" + slot + slot + labels).digest(), 2 * count
        assert len(tree) == count
        assert tree.digest() == root_of(count, label, digest), level
    assert count > 2**47


def test_whether_a_value_is_inline_does_not_show_in_the_root() -> None:
    values = [b"x" * size for size in (256, 257)]
    forms = [reference_node({"a": value}) for value in values]
    head = b"\x00\x01\x01\xa0"
    assert forms == [sha256(head + sha256(value).digest()).digest() for value in values]


# --- the golden vectors ---


class Suit(enum.Enum):
    CLUBS = 1


codec(name="golden.Suit")(Suit)

VALUES: list[Any] = [
    None,
    False,
    True,
    *(0, 1, 127, 128, 255, 256, 32767, 32768, -1, -128, -129, 2**63 - 1, 2**64, -(2**64), 10**40, -(10**40)),
    *(0.0, -0.0, 1.0, -1.5, float("inf"), float("-inf"), float("nan"), 5e-324, 1.7976931348623157e308),
    *("", "a", "é", "€", "\U0001f600", "\0", "x" * 127, "x" * 128),
    *(b"", b"\0\xff", bytes(range(130))),
    (),
    (1, 1.0, True, "1", b"1"),
    (((),),),
    [],
    [None, [1], (2,)],
    {},
    {"b": 1, "a": 2, "aa": 3, b"a": 4, 1: 5, -1: 6, 128: 7, None: 8, (): 9, 0.5: 10, 2: 11},
    {"nested": {"list": [{"set": {1, "1", b"1", (1,)}}]}},
    set(),
    {3, 200, -3, "three", b"three", None, 3.5, (3,)},
    {frozenset({1}), frozenset({1, 2})},
    Suit.CLUBS,
    {Suit.CLUBS: [Suit.CLUBS]},
]

KEYS: list[tuple[Any, ...]] = [
    (),
    *(("",), ("a",), ("é",), ("\U0001f600",), ("a\0b\1c\2",), ("\0",), ("\1",)),
    *((b"",), (b"a",), (b"\0",), (b"\1",), (b"\0\1\2\xff",)),
    *((0,), (1,), (-1,), (255,), (256,), (-255,), (-256,), (2**64 - 1,), (1 - 2**64,), (2**64,), (-(2**64),)),
    *((2**2040 - 1,), (1 - 2**2040,)),
    *(("accounts", "alice"), ("accounts", "alice", "balance"), ("shards", 3, b"\0"), ("a", "", b"", 0)),
]


def root_entries() -> list[tuple[str, dict[bytes, bytes]]]:
    def row(count: int, width: int = 1) -> dict[bytes, bytes]:
        return {n.to_bytes(width, "big"): b"v%d" % n for n in range(count)}

    heap = {("accounts", name): {"balance": n} for n, name in enumerate(["alice", "bob", "carol", "dave", "erin"])}
    heap |= {("accounts", "alice", n): n * n for n in range(30)} | {"total": 10, "blob": "x" * 300, (): "top"}
    return [
        ("empty", {}),
        ("one entry", {b"a": b"1"}),
        ("one entry at the empty key", {b"": b"1"}),
        ("24 entries: a bucket", row(24)),
        ("25 entries: a branch", row(25)),
        ("24 entries with a shared beginning: a bucket without a label", {b"pre" + k: v for k, v in row(24).items()}),
        ("25 entries with a shared beginning: a labelled top", {b"pre" + k: v for k, v in row(25).items()}),
        (
            "25 entries, one at the beginning that they share",
            {b"pre" + k: v for k, v in row(24).items()} | {b"pre": b"v"},
        ),
        ("two children of 24 entries", {**row(24), **{b"\x80" + k: v for k, v in row(24).items()}}),
        ("two children of 25 entries", {**row(25), **{b"\x80" + k: v for k, v in row(25).items()}}),
        (
            "two children of 25 entries with labels",
            {a + k: v for a in (b"\x12\x34", b"\x98\x76") for k, v in row(25).items()},
        ),
        ("labels of an odd length", {a + k: v for a in (b"\x12\x34", b"\x13\x45\x60") for k, v in row(25).items()}),
        ("each key the beginning of the next", {b"k" * n: b"v%d" % n for n in range(60)}),
        ("all 16 children", {bytes([n * 16 + m]): b"%d" % m for n in range(16) for m in range(2)}),
        ("paths of 127 and 128 nibbles in a bucket", {b"\x01" * 63: b"a", b"\x02" * 64: b"b", b"\x03" * 65: b"c"}),
        (
            "values of 63, 64, 127, 128, 255 and 256 bytes: inline",
            {b"%d" % n: b"x" * n for n in (63, 64, 127, 128, 255, 256)},
        ),
        ("values of 257 and 600 bytes: blobs", {b"%d" % n: b"x" * n for n in (257, 600)}),
        ("a branch with a blob of its own", {**{b"p" + k: v for k, v in row(30).items()}, b"p": b"y" * 257}),
        ("300 entries", {sha256(k).digest()[:3]: v for k, v in row(300, 2).items()}),
        ("a heap", {encode_key(key): encode(freeze(value)) for key, value in heap.items()}),
    ]


class Shelf(dict[int, bytes]):
    """A store of nodes."""

    def read_node(self, number: int) -> bytes:
        return self[number]


def stored_versions() -> list[tuple[str, list[dict[bytes, bytes | None]]]]:
    """What is committed one behind the other, as changes."""
    long, longer = b"x" * 257, b"y" * 600
    few = {bytes([n]): b"v%d" % n for n in range(7)}
    many = {bytes([n]): b"v%d" % n for n in range(112)}
    labelled = {a + bytes([n]): b"v%d" % n for a in (b"\x12\x34", b"\x24\x56\x70", b"\x36") for n in range(30)}
    deep = {b"\x01" * 63: b"a", b"\x02" * 64: b"b", b"\x03" * 65: b"c"}
    return [
        ("a bucket", [few]),
        ("a bucket with paths of 126, 128 and 130 nibbles", [deep]),
        (
            "a bucket with a blob and values of 1, 255 and 256 bytes",
            [few | {b"a": b"x", b"b": b"x" * 255, b"c": b"x" * 256, b"d": long}],
        ),
        ("a bucket of two blobs", [{b"a": long, b"b": longer}]),
        ("a branch and its buckets", [many]),
        ("branches with labels", [labelled]),
        ("a branch with its own value, in a labelled top", [{b"p" + k: v for k, v in many.items()} | {b"p": b"own"}]),
        ("a branch with a blob of its own", [{b"p" + k: v for k, v in many.items()} | {b"p": long}]),
        ("a patch of a bucket", [few, {b"\x03": b"changed"}]),
        ("a patch of a bucket over one that is there already", [few, {b"\x03": b"changed"}, {b"\x00": b"too"}]),
        (
            "a bucket of which too much has changed for a patch",
            [few, {b"\x03": b"1"}, {b"\x00": b"2"}, {b"\x01": b"3"}],
        ),
        ("a patch of a bucket whose blob has gone", [few | {b"\x03": long}, {b"\x03": b"short"}]),
        ("a bucket whose value has become a blob", [few, {b"\x03": long}]),
        ("a patch of a branch, and one of a bucket", [many, {b"\x55": b"changed"}]),
        ("a patch of a branch over one that is there already", [many, {b"\x55": b"changed"}, {b"\x22": b"too"}]),
        ("a patch of a branch whose child has another number of entries", [many, {b"\x55a": b"new", b"\x22": None}]),
        (
            "a patch of a branch with labels and a blob of its own",
            [{b"p" + k: v for k, v in labelled.items()} | {b"p": long}, {b"p\x24\x56\x70\x05": b"changed"}],
        ),
        ("branches that a change remade", [many, {b"\x00\x01": b"new", b"": b"own"}, dict.fromkeys(list(many)[16:32])]),
    ]


def told(value: Any) -> dict[str, Any]:
    """A frozen value as a V."""
    if value is None:
        return {"none": None}
    if isinstance(value, Suit):
        return {"object": ["golden.Suit", told(value.name)]}
    if type(value) is float:
        return {"float": "7ff8000000000000" if value != value else struct.pack(">d", value).hex()}
    plain = {bool: lambda: value, int: lambda: str(value), str: lambda: value, bytes: lambda: value.hex()}
    if type(value) in plain:
        return {type(value).__name__: plain[type(value)]()}
    if isinstance(value, type(pmap())):
        return {
            "map": [[told(key), told(item)] for key, item in sorted(value.items(), key=lambda pair: encode(pair[0]))]
        }
    if isinstance(value, type(pset())):
        return {"set": [told(item) for item in sorted(value, key=encode)]}
    return {"tuple" if type(value) is tuple else "vector": [told(item) for item in value]}


def untold(v: dict[str, Any]) -> Any:
    """The frozen value of a V."""
    ((kind, what),) = v.items()
    if kind in ("none", "bool", "str"):
        return what
    makers: dict[str, Any] = {
        "int": int,
        "float": lambda bits: struct.unpack(">d", bytes.fromhex(bits))[0],
        "bytes": bytes.fromhex,
        "tuple": lambda items: tuple(map(untold, items)),
        "vector": lambda items: pvector(map(untold, items)),
        "set": lambda items: pset(map(untold, items)),
        "map": lambda pairs: pmap({untold(key): untold(item) for key, item in pairs}),
        "object": lambda pair: Suit[untold(pair[1])],
    }
    return makers[kind](what)


def made_now() -> dict[str, Any]:
    return {
        "values": [{"value": told(freeze(value)), "hex": encode(freeze(value)).hex()} for value in VALUES],
        "keys": [{"key": [told(one) for one in key], "hex": encode_key(key).hex()} for key in KEYS],
        "roots": [
            {
                "what": what,
                "entries": [[key.hex(), value.hex()] for key, value in sorted(entries.items())],
                "root": EMPTY.update(entries.items()).digest().hex(),
            }
            for what, entries in root_entries()
        ],
        "records": [stored_vector(what, versions) for what, versions in stored_versions()],
    }


def stored_vector(what: str, versions: list[dict[bytes, bytes | None]]) -> dict[str, Any]:
    tree, shelf, first = EMPTY, Shelf(), 1
    for changes in versions:
        tree = tree.update(changes.items())
        shelf.update(number_nodes(tree, first, shelf))
        first = max(shelf) + 1
    assert tree.node is not None
    return {
        "what": what,
        "records": [[number, record.hex()] for number, record in shelf.items()],
        "top": tree.node.number,
        "label": "".join(f"{nibble:x}" for nibble in tree.label),
        "entries": [[key.hex(), from_cell(cell).hex()] for key, cell in tree.entries()],
        "root": tree.digest().hex(),
    }


def as_text(golden: dict[str, Any]) -> str:
    """One vector a line, so that a difference is read line by line."""
    lists = [
        f'"{name}": [\n' + ",\n".join(json.dumps(vector, ensure_ascii=True) for vector in vectors) + "\n]"
        for name, vectors in golden.items()
    ]
    return "{\n" + ",\n".join(lists) + "\n}\n"


@pytest.fixture(scope="module")
def golden(request: pytest.FixtureRequest) -> dict[str, Any]:
    if request.config.getoption("--rewrite-golden", default=False):
        GOLDEN.write_text(as_text(made_now()))
    vectors: dict[str, Any] = json.loads(GOLDEN.read_text())
    return vectors


def test_what_the_code_makes_now_is_what_is_golden(golden: dict[str, Any]) -> None:
    assert GOLDEN.read_text() == as_text(made_now()), "a format has changed; if that is meant: --rewrite-golden"
    assert {name for name, vectors in golden.items() if len(vectors) >= 18} == {"values", "keys", "roots", "records"}


def test_golden_values_are_read_and_written_as_they_stand_there(golden: dict[str, Any]) -> None:
    for vector in golden["values"]:
        form = bytes.fromhex(vector["hex"])
        assert encode(untold(vector["value"])) == form
        assert told(decode(form)) == vector["value"]


def test_golden_keys_are_read_and_written_as_they_stand_there(golden: dict[str, Any]) -> None:
    for vector in golden["keys"]:
        form = bytes.fromhex(vector["hex"])
        assert encode_key(tuple(map(untold, vector["key"]))) == form
        assert [told(one) for one in decode_key(form)] == vector["key"]


def test_golden_roots_are_those_of_the_heap_and_of_the_reference(golden: dict[str, Any]) -> None:
    for vector in golden["roots"]:
        entries = {bytes.fromhex(key): bytes.fromhex(value) for key, value in vector["entries"]}
        assert reference_root(entries).hex() == vector["root"], vector["what"]
        one_by_one = EMPTY
        for key, value in reversed(entries.items()):
            one_by_one = one_by_one.update([(key, value)])
        assert one_by_one.digest().hex() == vector["root"], vector["what"]


def test_golden_records_are_read_by_the_reference() -> None:
    kinds: set[str] = set()
    for vector in json.loads(GOLDEN.read_text())["records"]:
        reader = ReferenceReader({number: bytes.fromhex(record) for number, record in vector["records"]})
        below = reader.entries(vector["top"])
        found = {bytes.fromhex(vector["label"] + path): value for path, value in below.items()}
        assert [[key.hex(), value.hex()] for key, value in sorted(found.items())] == vector["entries"], vector["what"]
        assert root_of(len(below), vector["label"], reference_node(below)).hex() == vector["root"], vector["what"]
        assert reference_root(found).hex() == vector["root"], vector["what"]
        kinds |= reader.kinds
        assert reader.kinds >= {
            kind for kind in ("patch of bucket", "patch of branch") if f"a {kind}" in vector["what"]
        }
        assert all((number % 2 == 0) == refers for number, refers in reader.refers.items()), vector["what"]
    assert kinds == {"bucket", "branch", "branch with a value", "blob", "a patch of a bucket", "a patch of a branch"}


def test_golden_records_are_read_by_the_heap(golden: dict[str, Any]) -> None:
    for vector in golden["records"]:
        shelf = Shelf({number: bytes.fromhex(record) for number, record in vector["records"]})
        label = bytes(int(digit, 16) for digit in vector["label"])
        entries = {bytes.fromhex(key): bytes.fromhex(value) for key, value in vector["entries"]}
        built = EMPTY.update(entries.items())
        assert built.node is not None
        assert built.digest().hex() == vector["root"]
        tree = Tree(label, Node.stub(len(entries), built.node.digest or b"", vector["top"], shelf))
        assert {key: from_cell(cell) for key, cell in tree.entries()} == entries, vector["what"]
        assert tree.digest().hex() == vector["root"]
        tree.check()
