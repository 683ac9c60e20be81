"""Walks held against a sorted dict: by the bucket, read ahead, between bounds that fall anywhere.

A `Shelf` is a source that gives many records at once, as the store on disk does. What it holds was written in several
goes, so that there are patches in it; the trees have labels, branches with values of their own, paths of mixed lengths
and values that stand in records of their own.
"""

from __future__ import annotations

import random
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyrsistent import pvector

from actors import Heap, walks
from actors.cells import Blob, damage, from_cell
from actors.errors import CodecError, StoreDamaged
from actors.keys import decode_key, encode_key, plain, read_key
from actors.limits import BUCKET_ENTRIES_MAX
from actors.memory import Memory
from actors.nodes import NIBBLES, Node, to_key, to_keys, to_path
from actors.tree import EMPTY, Tree
from actors.values import decode, decode_each, encode
from runtime.persist import number_nodes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


pytestmark = pytest.mark.usefixtures("nothing_at_hand")


class Shelf:
    """A source that remembers what was asked of it: the numbers of each read."""

    def __init__(self) -> None:
        self.records: dict[int, bytes] = {}
        self.reads: list[list[int]] = []

    def read_node(self, number: int) -> bytes:
        self.reads.append([number])
        if number not in self.records:
            raise StoreDamaged(f"no node {number}")
        return self.records[number]

    def read_nodes(self, numbers: Sequence[int]) -> dict[int, bytes]:
        assert numbers
        self.reads.append(list(numbers))
        return {number: self.records[number] for number in numbers if number in self.records}

    def write(self, tree: Tree) -> Tree:
        """Store what is new in a tree, and return the tree with nothing loaded."""
        self.records.update(number_nodes(tree, max(self.records, default=0) + 1, self))
        tree.digest()
        return self.anew(tree)

    def anew(self, tree: Tree) -> Tree:
        """Return a stored tree with nothing loaded, and forget what was read."""
        self.reads.clear()
        node = tree.node
        if node is None:
            return EMPTY
        assert node.digest is not None and node.number is not None
        return Tree(tree.label, Node.stub(node.count, node.digest, node.number, self))


@pytest.fixture(autouse=True)
def no_damage() -> Iterator[None]:
    damage.found.clear()
    yield
    damage.found.clear()


#: Elements of every type, with what has to be escaped, and such that begin one another.
ELEMENTS: tuple[Any, ...] = (
    *[bytes(one) for one in ([], [0], [1], [1, 2], [0, 1, 0], [255], [7] * 20, [7] * 19 + [0], [7] * 19 + [1])],
    *["", "a", "a\0", "a\1", "ab", "é", "x" * 40],
    *[0, 1, -1, 127, 128, 255, 256, -256, 2**64, -(2**64), 2**70, 1 << 200],
)


def a_key(draw: random.Random) -> tuple[Any, ...]:
    count = draw.choice([0, 1, 1, 1, 2, 3])
    return tuple([draw.choice(ELEMENTS) if draw.random() < 0.7 else draw.randrange(4_000) for _ in range(count)])


def a_value(draw: random.Random) -> Any:
    record = (draw.getrandbits(draw.choice([3, 8, 32, 128])), -draw.getrandbits(33), draw.randbytes(5), "é", None, True)
    return draw.choice([record, (record, ()), pvector(record), draw.randbytes(300), 7, "text", 1.5, (1.5,), (2**2000,)])


def written(seed: int, count: int) -> tuple[Shelf, Tree, dict[bytes, bytes]]:
    """Return a shelf, the last of some trees that were written to it, with nothing loaded, and its entries."""
    draw = random.Random(seed)
    model = {encode_key(a_key(draw)): encode(a_value(draw)) for _ in range(count)}
    # A region that is mounted deep below makes labels.
    model |= {encode_key(("x" * 40, "far", n)): encode((n, b"far")) for n in range(draw.choice([0, 60]))}
    shelf = Shelf()
    tree = shelf.write(EMPTY.update(model.items()))
    for _ in range(draw.choice([0, 1, 3])):
        changes = {
            key: encode((draw.getrandbits(40), b"changed")) for key in draw.sample(sorted(model), len(model) // 20)
        }
        model |= changes
        tree = shelf.write(tree.update(changes.items()))
    return shelf, tree, model


def plainly(entries: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(key, from_cell(cell)) for key, cell in entries]


@given(seed=st.integers(0, 2**32), count=st.sampled_from([0, 1, 24, 25, 400, 1500]), kept=st.booleans())
def test_a_walk_gives_what_lies_between_the_bounds_in_order_or_against_it(seed: int, count: int, kept: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walks, "_KEPT_MAX", 2**16 if kept else 0)
        _, tree, model = written(seed, count)
        draw = random.Random(seed)
        order = sorted(model)
        there = [*order, b"", b"\xff"]
        for _ in range(12):
            low, high = [
                draw.choice(
                    [None, draw.choice(there), draw.choice(there)[: draw.randrange(6)], draw.choice(there) + b"\0"]
                )
                for _ in range(2)
            ]
            inside = [key for key in order if (low is None or key >= low) and (high is None or key < high)]
            expected = [(key, model[key]) for key in inside]
            assert plainly(tree.entries(low, high)) == expected
            assert plainly(tree.entries(low, high, reverse=True)) == expected[::-1]


@given(seed=st.integers(0, 2**32), count=st.sampled_from([1, 25, 600]), kept=st.booleans())
def test_keys_values_and_items_are_what_each_form_alone_says(seed: int, count: int, kept: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walks, "_KEPT_MAX", 2**16 if kept else 0)
        _, tree, model = written(seed, count)
        heap = Heap(Memory(tree))
        draw = random.Random(seed)
        for prefix in [(), ("x" * 40,), ("x" * 40, "far"), *[a_key(draw) for _ in range(6)]]:
            start = encode_key(prefix)
            for reverse in (False, True):
                forms = sorted([key for key in model if key.startswith(start)], reverse=reverse)
                keys = [plain(decode_key(form[len(start) :])) for form in forms]
                values = [decode(model[form]) for form in forms]
                assert list(heap.keys(prefix, reverse=reverse)) == keys
                assert [encode(value) for value in heap.values(prefix, reverse=reverse)] == list(map(encode, values))
                items = list(heap.items(prefix, reverse=reverse))
                assert [key for key, _ in items] == keys
                assert [type(key) for key, _ in items] == list(map(type, keys))
                assert [encode(value) for _, value in items] == list(map(encode, values))


def large(reads_many: bool = True) -> tuple[Any, Tree]:
    shelf: Any = Shelf() if reads_many else One()
    values = {encode_key(n.to_bytes(20, "big")): encode((n, 2**100 + n, bytes(32))) for n in range(0, 2**16, 7)}
    return shelf, shelf.write(EMPTY.update(values.items()))


class One(Shelf):
    """A source that gives one by one."""

    read_nodes = None  # type: ignore[assignment]


@pytest.mark.parametrize("reverse", [False, True])
def test_the_first_entries_cost_no_more_than_what_they_lie_in(reverse: bool) -> None:
    shelf, tree = large()
    items = Heap(Memory(tree)).items(reverse=reverse)
    assert not shelf.reads, "something is read before it is asked for"
    next(items)
    alone = len(shelf.reads)
    assert alone <= 10 and all(len(one) == 1 for one in shelf.reads), "what nobody asked for yet is read"
    assert len(list(islice(items, 40))) == 40
    assert len(shelf.reads) <= alone + 6
    assert max(map(len, shelf.reads)) <= NIBBLES


def test_a_walk_reads_buckets_together_each_once_and_none_beyond_its_bounds() -> None:
    shelf, tree = large()
    assert len(list(tree.entries())) == len(tree)
    read = [number for one in shelf.reads for number in one]
    assert len(read) == len(set(read)) and len(shelf.reads) < len(read) / 2
    tree = shelf.anew(tree)
    low, high = (encode_key(n.to_bytes(20, "big")) for n in (1024, 4096))
    assert len(list(tree.entries(low, high))) < 3072
    narrow = [number for one in shelf.reads for number in one]
    for n in (0, 512, 5000, 60_000):
        tree = shelf.anew(tree)
        tree.get(encode_key((n - n % 7).to_bytes(20, "big")))
        assert shelf.reads[-1][0] not in narrow, "a bucket beyond the bounds was read"


def test_a_source_that_gives_one_by_one_is_walked_all_the_same() -> None:
    _, tree = large()
    other, alone = large(reads_many=False)
    assert plainly(tree.entries()) == plainly(alone.entries())
    assert all(len(one) == 1 for one in other.reads)


@pytest.mark.parametrize("what", ["gone", "empty", "cut off", "another", "a value changed", "its base gone"])
def test_damage_of_a_record_that_is_read_ahead_is_met_at_its_turn(what: str) -> None:
    shelf, tree = large()
    changed = next(islice(tree.entries(), 2000, None))[0]
    tree = shelf.write(tree.update([(changed, encode("changed"))]))
    tree.get(changed)
    patch, base = [number for one in shelf.reads for number in one][-2:]
    assert shelf.records[patch][0] == 0x82
    sound = plainly(tree.entries(None, changed))
    number = base if what in ("its base gone", "a value changed") else patch
    record = shelf.records[number]
    if what in ("gone", "its base gone"):
        del shelf.records[number]
    else:
        last = bytes((record[-1] ^ 1,))
        shelf.records[number] = {"empty": b"", "cut off": record[:-1]}.get(what, record[:-1] + last)
    met: list[tuple[bytes, bytes]] = []
    with pytest.raises(StoreDamaged):
        met.extend(shelf.anew(tree).entries())
    assert damage, "nobody was told"
    assert len(sound) - BUCKET_ENTRIES_MAX <= len(met) <= len(sound)
    assert plainly(met) == sound[: len(met)]


def test_long_values_are_brought_in_one_by_one() -> None:
    shelf = Shelf()
    tree = shelf.write(EMPTY.update((encode_key(n), encode(bytes([n]) * 300)) for n in range(20)))
    values = Heap(Memory(tree)).values()
    next(values)
    assert len(shelf.reads) == 2, "a long value was read before it was asked for"
    assert len(list(values)) == 19
    tree = shelf.anew(tree)
    assert Heap(Memory(tree)).last() == (19, bytes([19]) * 300)
    assert len(shelf.reads) == 2, "the last of a region reads more than that"
    assert all(type(cell) is Blob for _, cell in tree.entries())


# --- what a walk is made of ---


@given(st.binary(max_size=4), st.lists(st.binary(max_size=24), min_size=1, max_size=24), st.booleans())
def test_keys_that_are_made_at_once_are_those_that_are_made_alone(prefix: bytes, rests: list[bytes], odd: bool) -> None:
    wholes = [prefix + b"\x5a" + rest for rest in rests]
    size = 2 * len(prefix) + odd
    paths = [to_path(whole) for whole in wholes]
    assert to_keys(paths[0][:size], [path[size:] for path in paths]) == wholes == list(map(to_key, paths))


@pytest.mark.parametrize("paths", [[b"\1"], [b"\1", b"\2"], [b"\1\2", b"\3"], [b"\3", b"\1\2", b"\4"]])
def test_a_path_that_is_half_a_byte_makes_no_key_beside_others_either(paths: list[bytes]) -> None:
    with pytest.raises(ValueError, match="hex"):
        to_keys(b"", paths)


def told(read: Any, form: bytes) -> tuple[str, Any]:
    try:
        return "is", read(form)
    except CodecError as error:
        return "is refused", str(error)


pieces = st.sampled_from(
    [bytes((n,)) for n in (0, 1, 2, 3, 0x0B, 0x13, 0x14, 0x15, 0x16, 0x1C, 0x1D, 0x41, 0xC3, 0xFF)]
)
forms = st.lists(pieces | st.binary(max_size=3), max_size=8).map(b"".join)


@given(forms | st.builds(lambda a, b: b"\1" + a + b"\0" + b, forms, st.just(b"") | forms))
def test_a_key_that_is_read_at_once_is_the_one_that_its_elements_make(form: bytes) -> None:
    found, expected = told(read_key, form), told(lambda form: plain(decode_key(form)), form)
    assert found == expected and type(found[1]) is type(expected[1])


@given(st.integers(0, 2**32), st.integers(0, 24), st.booleans())
def test_values_that_are_decoded_together_are_those_that_are_decoded_alone(seed: int, count: int, broken: bool) -> None:
    draw = random.Random(seed)
    cells = [encode(a_value(draw)) for _ in range(count)]
    if broken and cells:
        i = draw.randrange(count)
        at = draw.randrange(min(len(cells[i]), 12))
        cells[i] = cells[i][:at] + draw.choice([b"", b"\0", b"\x80", b"\xff", draw.randbytes(1)]) + cells[i][at + 1 :]
    found = decode_each(cells)
    for cell in cells:
        kind, value = told(decode, cell)
        if kind == "is":
            assert encode(next(found)) == encode(value) == cell
            continue
        with pytest.raises(CodecError):
            next(found)
        return
    assert next(found, None) is None


@pytest.mark.parametrize(
    "form",
    [
        "",  # nothing
        "07",  # no count
        "0701",  # no item
        "0780",  # a count that is cut off
        "078000",  # a count of two bytes that needs none
        "070103",  # no size
        "07010300",  # an int of no bytes
        "0701030105",  # an int that has a form of its own
        "070103020005",  # an int with a byte too many
        "07010302ff80",  # likewise, a negative one
        "0701030180ff",  # a byte too many
        "07010302ff",  # a byte too few
        "070106818001",  # a size that is not in its shortest form
        "07010502c328",  # no UTF-8
        "07010605414243",  # cut off
        "0702060141",  # an item too few
        "070107010603",  # cut off in a tuple in a tuple
    ],
)
def test_a_record_that_breaks_a_rule_is_refused_at_its_turn(form: str) -> None:
    sound = encode((1, -5, b"x", "é"))
    found = decode_each([sound, bytes.fromhex(form), sound])
    assert next(found) == (1, -5, b"x", "é")
    with pytest.raises(CodecError):
        next(found)
