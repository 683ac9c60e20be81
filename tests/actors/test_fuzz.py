"""Hostile bytes at every decoder: a refusal by name, or the canonical bytes of something. Nothing else may come out.

Fixed seeds, 240,000 strings at the decoders together: forms that were mutated, spliced and grown from the formats'
own vocabulary, because purely random bytes are refused at once.
"""

from __future__ import annotations

import random
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from actors import CodecError, StoreDamaged, freeze
from actors.keys import decode_key, encode_key
from actors.nodes import Node, branch, bucket, read_form, to_key
from actors.records import load, record
from actors.tree import EMPTY
from actors.values import decode, encode
from actors.walks import kid_of
from actors.wire import varint
from runtime.persist import number_nodes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.long


def mutated(rng: random.Random, seeds: list[bytes], alphabet: bytes) -> bytes:
    kind = rng.randrange(8)
    if kind == 0:
        return rng.randbytes(rng.randrange(12))
    if kind == 1:
        return bytes(rng.choices(alphabet, k=rng.randrange(24)))
    form = bytearray(rng.choice(seeds))
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        at = rng.randrange(len(form) + 1)
        what = rng.randrange(6)
        if what == 0 and at < len(form):
            form[at] ^= 1 << rng.randrange(8)
        elif what == 1 and at < len(form):
            form[at] = rng.choice(alphabet)
        elif what == 2:
            form[at:at] = bytes(rng.choices(alphabet, k=rng.randrange(1, 4)))
        elif what == 3:
            del form[at : at + rng.randrange(1, 5)]
        elif what == 4:
            other = rng.choice(seeds)
            begin = rng.randrange(len(other) + 1)
            form[at:at] = other[begin : begin + rng.randrange(1, 20)]
        elif at < len(form):
            form[at] = (form[at] + rng.choice([1, -1])) % 256
    return bytes(form)


def random_value(rng: random.Random, depth: int) -> Any:
    kind = rng.randrange(11 if depth else 6)
    if kind < 6:
        atoms: list[Callable[[], Any]] = [
            lambda: rng.choice([None, True, False, 0.0, -0.0, float("inf"), float("nan")]),
            lambda: rng.randrange(-300, 300),
            lambda: rng.getrandbits(rng.randrange(1, 200)) * rng.choice([1, -1]),
            lambda: "".join(rng.choices("aé€\U0001f600", k=rng.randrange(6))),
            lambda: rng.randbytes(rng.randrange(6)),
            rng.random,
        ]
        return atoms[kind]()
    items = [freeze(random_value(rng, depth - 1)) for _ in range(rng.randrange(5))]
    hashable = [item for item in items if item == item]
    return [tuple(items), items, dict.fromkeys(hashable, 1), set(hashable), (tuple(items),)][kind - 6]


def strings(seed: int, count: int, seeds: list[bytes], alphabet: bytes) -> Iterator[bytes]:
    rng = random.Random(seed)
    for _ in range(count):
        yield mutated(rng, seeds, alphabet)


def test_no_bytes_make_the_decoder_of_values_do_anything_but_refuse_or_agree() -> None:
    rng = random.Random(1)
    forms = [encode(freeze(random_value(rng, 4))) for _ in range(2000)]
    alphabet = bytes([*range(13), 0x7F, 0x80, 0x81, 0xC0, 0xFF])
    taken = 0
    for form in strings(2, 90_000, forms, alphabet):
        try:
            value = decode(form)
        except CodecError:
            continue
        taken += 1
        assert encode(freeze(value)) == form, form.hex()
    assert 10_000 < taken < 80_000, "the mutations are too wild or too tame to show anything"


def test_no_bytes_make_the_decoder_of_keys_do_anything_but_refuse_or_agree() -> None:
    rng = random.Random(3)
    elements: list[Callable[[], Any]] = [
        lambda: rng.randrange(-300, 300),
        lambda: rng.getrandbits(rng.randrange(1, 200)) * rng.choice([1, -1]),
        lambda: "".join(rng.choices("a\0\1\2é", k=rng.randrange(6))),
        lambda: rng.randbytes(rng.randrange(6)),
    ]
    forms = [encode_key(tuple(rng.choice(elements)() for _ in range(rng.randrange(5)))) for _ in range(2000)]
    alphabet = bytes([0, 1, 2, 3, 0x0B, 0x0C, 0x13, 0x14, 0x15, 0x1C, 0x1D, 0xF6, 0xFE, 0xFF])
    taken = 0
    for form in strings(4, 70_000, forms, alphabet):
        try:
            key = decode_key(form)
        except CodecError:
            continue
        taken += 1
        assert encode_key(key) == form, form.hex()
    assert 7_000 < taken < 60_000, "the mutations are too wild or too tame to show anything"


class Fitting(bytes):
    """A digest that every node has, so that it is the decoder itself that has to refuse."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]


class Counted(int):
    """A count that every node has; it keeps which one that was."""

    found = 0

    def __eq__(self, other: object) -> bool:
        self.found = other  # type: ignore[assignment]
        return True

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None  # type: ignore[assignment]


class Records(dict[int, bytes]):
    def read_node(self, number: int) -> bytes:
        if number not in self:
            raise StoreDamaged(f"no node {number}")
        return self[number]


def node_of(records: Records, number: int) -> Node | None:
    """The node of a record, whatever its digest and count, or None: refused."""
    count = Counted()
    node = Node.stub(count, Fitting(), number, records)
    try:
        load(node)
    except StoreDamaged:
        assert node.paths is None and node.kids is None, "a refused node has content"
        return None
    assert node.form is not None
    node.count, node.digest = count.found, sha256(node.form).digest()
    return node


def written_again(node: Node, number: int) -> bytes:
    """The whole record of a node's content."""
    if node.kids is None:
        anew = bucket(node.entries())
    else:
        anew = branch(node.count, [kid_of(node, i)[1] for i in range(16)], dict(node.labels), node.value)
    anew.seal()
    assert (anew.form, anew.digest, anew.count) == (node.form, node.digest, node.count)
    return record(anew, number, Records())


def form_again(node: Node) -> bytes:
    """The form of a node that was read from one, put together after the comment at the top of `actors.nodes`."""

    def packed(path: bytes) -> bytes:
        return to_key(path + bytes(len(path) % 2))

    if node.kids is None:
        assert node.paths is not None and node.form is not None
        head = b"\0" + varint(node.count) + b"".join(map(varint, node.lengths)) + packed(node.paths)
        return head + node.form[-32 * node.count :]
    own = b"" if node.value is None else node.value
    bits = [i for i in range(16) if node.kids[i] is not None]
    form = (b"\2" if own else b"\1") + sum(1 << i for i in bits).to_bytes(2, "big")
    form += sum(1 << i for i in node.labels).to_bytes(2, "big")
    assert node.form is not None
    for at in range(len(bits)):
        form += node.form[5 + 38 * at : 43 + 38 * at]
    form += b"".join(varint(len(node.labels[i])) + packed(node.labels[i]) for i in sorted(node.labels))
    counts = [int.from_bytes(form[5 + 38 * at : 11 + 38 * at], "big") for at in range(len(bits))]
    assert node.count == sum(counts) + bool(own) > 24 and min(counts) > 0
    assert all(counts[bits.index(i)] > 24 and label for i, label in node.labels.items())
    return form + own


def some_records() -> Records:
    """What is stored of trees of many shapes, one version behind the other, so that there are patches."""
    rng = random.Random(5)
    records = Records()
    sets: list[dict[bytes, bytes]] = [
        {rng.randbytes(rng.randrange(1, 4)): rng.randbytes(rng.choice([1, 3, 257])) for _ in range(n)}
        for n in (1, 2, 8, 20, 24, 25, 30, 80)
        for _ in range(4)
    ]
    sets += [{b"p" * n + bytes([m]): b"v" for n in (0, 3, 70) for m in range(25)}]
    sets += [{b"": b"v", **sets[-1]}, {b"": b"v" * 300, **sets[-1]}]
    sets += [{rng.randbytes(2): rng.randbytes(rng.choice([1, 3, 200])) for _ in range(n)} for n in (20, 60, 150, 400)]
    for entries in sets:
        tree = EMPTY.update(entries.items())
        for _ in range(6):
            records.update(number_nodes(tree, max(records, default=0) + 1, records))
            tree = tree.update((key, rng.randbytes(2)) for key in rng.sample(sorted(entries), min(2, len(entries))))
    return records


ALPHABET = bytes([0, 1, 2, 3, 4, 16, 24, 25, 32, 0x7F, 0x80, 0x81, 0x82, 0xFF])


def test_no_bytes_make_a_node_that_is_not_canonical_whatever_its_digest() -> None:
    records = some_records()
    nodes = {number: data for number, data in records.items() if len(data) not in (257, 300)}
    kinds = {tag: [data for data in nodes.values() if data[0] == tag] for tag in (0, 1, 2, 0x81, 0x82)}
    assert all(len(some) > 5 for some in kinds.values()), {tag: len(some) for tag, some in kinds.items()}
    for number in nodes:
        node = node_of(records, number)
        assert node is not None
        node.check()
    number = max(records) + 1
    taken = dict.fromkeys(kinds, 0)
    changed = strings(6, 40_000, [data for some in kinds.values() for data in some], ALPHABET)
    rng = random.Random(7)
    for turn, data in enumerate(changed):
        if turn % 2:
            # One byte of a sound record alone: a patch is then often one of something else.
            form = bytearray(rng.choice(kinds[rng.choice(list(kinds))]))
            form[rng.randrange(min(len(form), rng.choice([4, 16, 10_000])))] = rng.choice(
                [*ALPHABET, rng.randrange(256)]
            )
            data = bytes(form)
        records[number] = data
        node = node_of(records, number)
        if node is None:
            continue
        taken[data[0]] += 1
        node.check()
        whole = written_again(node, number)
        if data[0] < 0x80:
            assert whole == data, data.hex()
        else:
            again = node_of(Records({number: whole}), number)
            assert again is not None and (again.form, again.links) == (node.form, node.links)
            if node.kids is None:
                assert again.entries() == node.entries()
    assert all(some > 200 for some in taken.values()), taken


def test_no_bytes_are_a_form_but_those_that_a_node_has() -> None:
    records = some_records()
    forms = [node.form or b"" for number in records if (node := node_of(records, number)) is not None]
    rng = random.Random(9)
    taken = 0
    for turn, form in enumerate(strings(8, 40_000, forms, ALPHABET)):
        if turn % 2:
            some = bytearray(rng.choice(forms))
            some[rng.randrange(min(len(some), rng.choice([4, 16, 10_000])))] ^= 1 << rng.randrange(8)
            form = bytes(some)
        try:
            node = read_form(form)
        except CodecError:
            continue
        taken += 1
        assert node.form == form == form_again(node), form.hex()
        assert node.digest == sha256(form).digest()
    assert 2_000 < taken < 35_000, "the mutations are too wild or too tame to show anything"
