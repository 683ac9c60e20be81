"""Golden vectors, and a second implementation of the root: the formats of values, keys and heaps held still.

`golden.json` is made for a second implementation to be checked against. It is one object of three lists:

    values   {"value": V, "hex": its encoding}
    keys     {"key": [V, …] the elements, "hex": its form}
    roots    {"what": text, "entries": [[hex of an encoded key, hex of an encoded value], …] by key, "root": hex}

A V is an object of one member, which names the type:

    {"none": null}   {"bool": true}   {"int": "-123"} (decimal)   {"float": "8000000000000000"} (IEEE 754 bits, big-endian)
    {"str": "é"}     {"bytes": "00ff"} (hex)     {"tuple": [V, …]}    {"vector": [V, …]}    {"set": [V, …]} (any order)
    {"map": [[V, V], …]} (any order)      {"object": [name, V]} (what the codec of that name made of the object)

The keys of "roots" are any bytes, not only forms of keys, and the values are any non-empty bytes. After a change of
a format, run `pytest tests/actors --rewrite-golden` and read the difference.

`reference_root` is the comment at the top of `actors.nodes` in code, recursive and from nothing but hashlib.
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
from actors.keys import decode_key, encode_key
from actors.tree import EMPTY
from actors.values import decode, encode

GOLDEN = Path(__file__).with_name("golden.json")


# --- the reference ---


def leb(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number % 128 + 128]) + leb(number // 128)


def packed(nibbles: str) -> bytes:
    return bytes.fromhex(nibbles + "0" * (len(nibbles) % 2))


def reference_cell(value: bytes) -> bytes:
    return leb(2 * len(value)) + value if len(value) <= 256 else leb(2 * len(value) + 1) + sha256(value).digest()


def reference_node(entries: dict[str, bytes]) -> bytes:
    """The digest of the node for entries by path, a path being a string of hex digits that the node has no label of."""
    order = sorted(entries)
    if len(entries) <= 8:
        form = b"\x00" + leb(len(order)) + b"".join(leb(len(path)) for path in order) + packed("".join(order))
        return sha256(form + b"".join(reference_cell(entries[path]) for path in order)).digest()
    form = b"\x01"
    if "" in entries:
        form = b"\x02" + reference_cell(entries[""])
    below = {digit: {path[1:]: entries[path] for path in order if path[:1] == digit} for digit in "0123456789abcdef"}
    bits, labelled, labels, children = 0, 0, b"", b""
    for i, child in enumerate(below.values()):
        if child:
            label = label_of(child)
            bits |= 1 << i
            labelled |= bool(label) << i
            labels += leb(len(label)) + packed(label) if label else b""
            stripped = {path[len(label) :]: value for path, value in child.items()}
            children += leb(len(child)) + reference_node(stripped)
    return sha256(form + struct.pack(">HH", bits, labelled) + labels + children).digest()


def label_of(entries: dict[str, bytes]) -> str:
    """The longest beginning that all paths share: that of the first and the last of them."""
    first, last = min(entries, default=""), max(entries, default="")
    shared = next((i for i, digit in enumerate(first) if digit != last[i]), len(first))
    return first[:shared] if len(entries) > 8 else ""


def reference_root(entries: dict[bytes, bytes]) -> bytes:
    if not entries:
        return sha256(b"\x03\x00").digest()
    paths = {key.hex(): value for key, value in entries.items()}
    label = label_of(paths)
    top = reference_node({path[len(label) :]: value for path, value in paths.items()})
    return sha256(b"\x03" + leb(len(paths)) + leb(len(label)) + packed(label) + top).digest()


# --- the heap's root against it ---

keys = st.lists(st.sampled_from([0x00, 0x01, 0x10, 0x11, 0xFF]), max_size=6).map(bytes) | st.binary(max_size=3)
sizes = st.integers(1, 6) | st.sampled_from([63, 64, 127, 128, 255, 256, 257, 258, 300])
values = st.builds(lambda size, byte: bytes([byte]) * size, sizes, st.integers(0, 255))
entry_sets = st.integers(0, 40).flatmap(lambda n: st.dictionaries(keys, values, min_size=min(n, 20), max_size=n))


@settings(deadline=None, max_examples=120)
@given(entry_sets, st.binary(max_size=3))
@example({bytes([n]): b"v" for n in range(9)}, b"")
@example({b"x" * n: b"v" for n in range(30)}, b"")
@example({b"x" * 80 + bytes([n]): b"v" for n in range(9)}, b"")
@example({b"x" * 80 + bytes([n]) * 70: b"v" for n in range(8)}, b"")
@example({bytes([n, n]): b"v" * 257 for n in range(200)}, b"")
def test_the_root_of_entries_is_that_of_the_reference(entries: dict[bytes, bytes], prefix: bytes) -> None:
    prefixed = {prefix + key: value for key, value in entries.items()}
    assert EMPTY.update(prefixed.items()).digest() == reference_root(prefixed)


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
    heap |= {("accounts", "alice", n): n * n for n in range(12)} | {"total": 10, "blob": "x" * 300, (): "top"}
    return [
        ("empty", {}),
        ("one entry", {b"a": b"1"}),
        ("one entry at the empty key", {b"": b"1"}),
        ("8 entries: a bucket", row(8)),
        ("9 entries: a branch", row(9)),
        ("8 entries with a shared beginning: a bucket without a label", {b"pre" + k: v for k, v in row(8).items()}),
        ("9 entries with a shared beginning: a labelled top", {b"pre" + k: v for k, v in row(9).items()}),
        (
            "9 entries, one at the beginning that they share",
            {b"pre" + k: v for k, v in row(8).items()} | {b"pre": b"v"},
        ),
        ("two children of 8 entries", {**row(8), **{b"\x80" + k: v for k, v in row(8).items()}}),
        ("two children of 9 entries", {**row(9), **{b"\x80" + k: v for k, v in row(9).items()}}),
        (
            "two children of 9 entries with labels",
            {a + k: v for a in (b"\x12\x34", b"\x98\x76") for k, v in row(9).items()},
        ),
        ("labels of an odd length", {a + k: v for a in (b"\x12\x34", b"\x13\x45\x60") for k, v in row(9).items()}),
        ("each key the beginning of the next", {b"k" * n: b"v%d" % n for n in range(24)}),
        ("all 16 children", {bytes([n * 16 + m]): b"%d" % m for n in range(16) for m in range(2)}),
        ("paths of 127 and 128 nibbles in a bucket", {b"\x01" * 63: b"a", b"\x02" * 64: b"b", b"\x03" * 65: b"c"}),
        (
            "values of 63, 64, 127, 128, 255 and 256 bytes: inline",
            {b"%d" % n: b"x" * n for n in (63, 64, 127, 128, 255, 256)},
        ),
        ("values of 257 and 600 bytes: blobs", {b"%d" % n: b"x" * n for n in (257, 600)}),
        ("a branch with a blob of its own", {**{b"p" + k: v for k, v in row(12).items()}, b"p": b"y" * 257}),
        ("300 entries", {sha256(k).digest()[:3]: v for k, v in row(300, 2).items()}),
        ("a heap", {encode_key(key): encode(freeze(value)) for key, value in heap.items()}),
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
    assert {name for name, vectors in golden.items() if len(vectors) >= 20} == {"values", "keys", "roots"}


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
