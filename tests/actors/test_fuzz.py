"""Hostile bytes at every decoder: a refusal by name, or the canonical bytes of something. Nothing else may come out.

Fixed seeds, 200,000 strings at the decoders together: forms that were mutated, spliced and grown from the formats'
own vocabulary, because purely random bytes are refused at once.
"""

from __future__ import annotations

import random
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from actors import CodecError, StoreDamaged, freeze
from actors.keys import decode_key, encode_key
from actors.nodes import Node
from actors.tree import EMPTY
from actors.values import decode, encode
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


class One:
    """A source of a single record."""

    record = b""

    def read_node(self, number: int) -> bytes:
        return self.record


def stub_loaded(record: bytes, count: int, hashed: int) -> Node | None:
    """The node of a record whose first `hashed` bytes have the digest that is asked for, or None: refused."""
    source = One()
    source.record = record
    node = Node.stub(count, sha256(record[:hashed]).digest(), 1, source)
    try:
        node.load()
    except StoreDamaged:
        assert node.entries is None and node.kids is None, "a refused node has content"
        return None
    return node


def test_no_bytes_make_a_node_that_is_not_canonical_even_with_the_digest_they_should_have() -> None:
    """The digest is made to fit, so that it is the decoder itself that has to refuse."""
    rng = random.Random(5)
    source = One()
    sets = [
        {rng.randbytes(rng.randrange(1, 4)): rng.randbytes(rng.choice([1, 3, 257])) for _ in range(n)}
        for n in (1, 2, 5, 8, 9, 12, 30, 80)
        for _ in range(6)
    ]
    sets += [{b"p" * n + bytes([m]): b"v" for n in (0, 3, 70) for m in range(9)}, {b"": b"v", **sets[-1]}]
    kept: list[tuple[bytes, int, int]] = []
    for entries in sets:
        tree = EMPTY.update(entries.items())
        records = dict(number_nodes(tree, 1, source))
        stack = [tree.node]
        while stack:
            node = stack.pop()
            assert node is not None and node.number is not None
            kept.append((records[node.number], node.count, len(node.form())))
            stack += [kid for kid in node.kids or () if kid is not None]
    for record, count, hashed in kept:
        assert stub_loaded(record, count, hashed) is not None
    alphabet = bytes([0, 1, 2, 3, 4, 8, 9, 16, 0x7F, 0x80, 0x81, 0x82, 0x84, 0xFF])
    forms = [record for record, _, _ in kept]
    taken = 0
    for record in strings(6, 40_000, forms, alphabet):
        original = rng.choice(kept)
        hashed = min(len(record), original[2] + rng.choice([0, 0, 0, 1, -1, 2]))
        for count in (original[1], original[1] + 1):
            node = stub_loaded(record, count, hashed)
            if node is not None:
                taken += 1
                node.check()
                assert node.form() + node.links() == record, record.hex()
                assert node.form() == record[:hashed]
    for record, count, hashed in kept:
        for _ in range(60):
            form = bytearray(record)
            form[rng.randrange(len(form))] ^= 1 << rng.randrange(8)
            node = stub_loaded(bytes(form), count, hashed)
            if node is not None:
                taken += 1
                node.check()
                assert node.form() + node.links() == form, form.hex()
    assert taken > 1000, "the mutations are too wild to show anything"
