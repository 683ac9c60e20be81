"""An export that is damaged, cut off or forged is refused, with the place, and leaves nothing.

Damage is what the digests of the chunks find. Whoever forges a stream makes these anew; then every item is held against
the digest above it, up to the block's hash.
"""

from __future__ import annotations

import io
import os
import random
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from streams import (
    Counter,
    Stop,
    chunk,
    chunks_in,
    chunks_of,
    export,
    export_of,
    header_of,
    imported,
    items_of,
    keep,
    rows_of,
    state_of,
    stop_at,
    stream_of,
    stream_with,
    unsynced,
    varint,
)

from actors import InputError
from actors.cells import Blob
from actors.edits import update
from actors.goals import HEAP
from actors.limits import NODE_BYTES_MAX, VALUE_BYTES_MAX
from actors.nodes import BUCKET, FORMAT, Node, branch, bucket, root_form
from actors.region import View
from actors.tree import EMPTY, Tree
from actors.values import encode
from runtime import MemoryStore, Runtime, StreamRefused, import_block
from runtime.chain import Block
from runtime.transfer.stream import CHUNK_BYTES, HEADER, ITEMS, LAST, SEEN, TITLE, VALUE, VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LONG = b"o" * 300


def entries() -> list[tuple[Any, Any]]:
    """Entries with long and short values, own values of branches, forks, and long values that come again."""
    many = {("k", i): b"%d" % i * 100 if i % 9 == 0 else i for i in range(60)}
    heap = View(state_of({"": LONG, **{("", i): LONG if i % 7 == 0 else i for i in range(40)}}).extract(HEAP), "a heap")
    return [*many.items(), ("a", heap), ("b", heap), ("z", LONG)]


class Forger:
    """A state, its items, and streams of others in their place."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.state = state_of(entries())
        self.block = keep(self.store, self.state)
        self.header = header_of(self.block, self.state)
        self.items = items_of(self.store, self.state)
        self.stream = stream_with(self.header, self.items)

    def first(self, tag: int, where: Callable[[bytes], bool] = bool) -> int:
        """Return which item is the first with a tag."""
        return next(i for i, item in enumerate(self.items) if item[0] == tag and where(item))

    def put(self, at: int, *items: bytes, instead: int = 1) -> bytes:
        """Return a stream with other items in place of some."""
        return stream_with(self.header, [*self.items[:at], *items, *self.items[at + instead :]])


@pytest.fixture(scope="module")
def forger() -> Forger:
    return Forger()


@pytest.fixture(scope="module", autouse=True)
def quickly() -> Iterator[None]:
    with unsynced():
        yield


def refuse(stream: bytes, place: Path, match: str = "is refused") -> StreamRefused:
    """Check that a stream is refused, and that nothing is left; return the error."""
    with pytest.raises(StreamRefused, match=match) as caught:
        imported(stream, place / "copy.db")
    error = caught.value
    assert os.listdir(place) == [], error
    assert f"chunk {error.chunk}, byte {error.offset}: " in str(error)
    assert str(error).count("\n") == 0
    return error


def place_of(stream: bytes, offset: int) -> int:
    """Return the number of the chunk that a byte is in."""
    at, number = len(TITLE) + 1, 0
    while at < len(stream):
        at += 9 + int.from_bytes(stream[at + 5 : at + 9], "big") + 32
        if offset < at:
            return number
        number += 1
    return number


# --- damaged, cut off ------------------------------------------------------------------------------------------------


@pytest.fixture
def stream(forger: Forger, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A stream of many small chunks."""
    chunks_of(monkeypatch, 300)
    made = export(forger.store)
    assert len(chunks_in(made)) > 8
    return made


def test_any_bit_that_tips_is_found_and_its_chunk_named(stream: bytes, tmp_path: Path) -> None:
    chance = random.Random(1)
    begins = [len(TITLE) + 1]
    for _, body in chunks_in(stream):
        begins.append(begins[-1] + 9 + len(body) + 32)
    picked = {
        *range(len(TITLE) + 1),
        *(begin + i for begin in begins[:-1] for i in range(9)),
        *(begin - i for begin in begins[1:] for i in (1, 32, 33)),
        *(chance.randrange(len(stream)) for _ in range(80)),
    }
    for at in sorted(picked):
        damaged = bytearray(stream)
        damaged[at] ^= 1 << chance.randrange(8)
        error = refuse(bytes(damaged), tmp_path)
        assert error.chunk == place_of(stream, at), (at, error)
        # A chunk that says that it is longer than all that is there may as well be cut off.
        assert not error.cut_off or any(at - begin in range(5, 9) for begin in begins)


def test_a_stream_that_ends_early_is_refused_where_it_ends(stream: bytes, tmp_path: Path) -> None:
    begins = [0, len(TITLE) + 1]
    for _, body in chunks_in(stream):
        begins.append(begins[-1] + 9 + len(body) + 32)
    chance = random.Random(2)
    picked = {0, 1, 5, *(end + i for end in begins[1:-1] for i in (-1, 0, 1, 8, 9, 10)), len(stream) - 1}
    for end in sorted(picked | {chance.randrange(len(stream)) for _ in range(40)}):
        error = refuse(
            stream[:end],
            tmp_path,
            "it ends here, before this chunk(, of .* bytes by what it says,)? does; fetch the rest",
        )
        assert (error.cut_off, error.offset, error.chunk) == (True, end, place_of(stream, end))


def test_chunks_that_were_moved_are_refused(stream: bytes, tmp_path: Path, forger: Forger) -> None:
    title, bodies = stream[: len(TITLE) + 1], chunks_in(stream)
    pieces, at = [], len(title)
    for _, body in bodies:
        end = at + 9 + len(body) + 32
        pieces.append(stream[at:end])
        at = end
    other = MemoryStore()
    keep(other, state_of([*entries(), ("d", 1)]))
    cases = {
        "swapped": [pieces[0], pieces[2], pieces[1], *pieces[3:]],
        "twice": [pieces[0], pieces[1], pieces[1], *pieces[2:]],
        "left out": [pieces[0], *pieces[2:]],
        "the last left out": pieces[:-1],
        "the header twice": [pieces[0], *pieces],
        "no header": pieces[1:],
        "the last first": [pieces[0], pieces[-1]],
        "reversed": pieces[::-1],
        "another's end": [*pieces[:4], stream_of(chunks_in(export(other)))[sum(map(len, pieces[:4])) + len(title) :]],
    }
    for name, order in cases.items():
        assert refuse(title + b"".join(order), tmp_path), name
    # Numbered anew, they are still not behind the digests of those before them.
    renumbered = bytearray(pieces[2])
    renumbered[1:5] = (1).to_bytes(4, "big")
    refuse(
        title + pieces[0] + bytes(renumbered) + b"".join(pieces[2:]), tmp_path, "does not belong behind the one before"
    )


def test_what_stands_behind_the_end_is_refused(stream: bytes, tmp_path: Path) -> None:
    for more in (b"\0", stream[-40:], stream):
        error = refuse(stream + more, tmp_path, "bytes behind the last chunk")
        assert error.offset == len(stream)


def test_what_is_no_export_is_refused(tmp_path: Path) -> None:
    for data in (b"x", b"SQLite format 3\0" * 300, b'{"xs": 1}\n' * 10, bytes(100), TITLE[:-1] + b"x" * 100):
        refuse(data, tmp_path, "chunk 0, byte 0: that is no export of a state; name a file that `lockstep export` made")
    refuse(TITLE + bytes((VERSION + 1,)) + bytes(100), tmp_path, "of version 2, and this Lockstep reads version 1")


def test_lengths_that_lie_take_no_memory(forger: Forger, tmp_path: Path) -> None:
    title = TITLE + bytes((VERSION,))
    whole, _ = chunk(HEADER, 0, forger.header, sha256(title).digest())
    for length in (CHUNK_BYTES + NODE_BYTES_MAX + 1, 2**31, 2**32 - 1):
        for before, kind, number in ((title, HEADER, 0), (title + whole, ITEMS, 1), (title + whole, LAST, 1)):
            if kind == HEADER and length <= 2 * VALUE_BYTES_MAX:
                continue
            head = bytes((kind,)) + number.to_bytes(4, "big") + length.to_bytes(4, "big")

            class Watched(io.BytesIO):
                def read(self, size: int | None = -1) -> bytes:
                    assert size is not None
                    assert 0 <= size <= 1 << 20
                    return super().read(size)

            with pytest.raises(StreamRefused, match="over the limit"):
                import_block(Watched(before + head + bytes(1000)), tmp_path / "copy.db")
            # What is allowed, and is not there, is read in pieces.
            allowed = bytes((kind,)) + number.to_bytes(4, "big") + (CHUNK_BYTES + NODE_BYTES_MAX).to_bytes(4, "big")
            with pytest.raises(StreamRefused, match="it ends here"):
                import_block(Watched(before + allowed + bytes(1000)), tmp_path / "copy.db")
    assert os.listdir(tmp_path) == []


# --- forged ----------------------------------------------------------------------------------------------------------


def test_the_forger_can_make_a_stream_that_is_right(forger: Forger, tmp_path: Path) -> None:
    assert forger.stream == export(forger.store)
    imported(forger.stream, tmp_path / "copy.db")
    assert export_of(tmp_path / "copy.db") == forger.stream


def test_items_that_are_left_out_doubled_or_moved_are_refused(forger: Forger, tmp_path: Path) -> None:
    for at, item in enumerate(forger.items):
        refuse(forger.put(at), tmp_path)
        refuse(forger.put(at, item, item), tmp_path)
        if at and forger.items[at - 1] != item:
            refuse(forger.put(at - 1, item, forger.items[at - 1], instead=2), tmp_path)
    refuse(stream_with(forger.header, []), tmp_path, "the state is not whole")
    refuse(stream_with(forger.header, forger.items[:-1]), tmp_path, "the state is not whole")
    refuse(
        stream_with(forger.header, [*forger.items, forger.items[0]]), tmp_path, "the state is whole, and there is more"
    )
    for count in (0, len(forger.items) - 1, len(forger.items) + 1, 2**40):
        refuse(stream_with(forger.header, forger.items, count), tmp_path, "it says that there were")
    refuse(stream_with(forger.header, forger.items, 2**60), tmp_path, "over its limit")


def test_items_of_other_states_are_refused(forger: Forger, tmp_path: Path) -> None:
    other = MemoryStore()
    state = state_of([*entries()[:-1], ("z", b"O" + LONG[1:])])
    keep(other, state)
    refuse(
        stream_with(forger.header, items_of(other, state)),
        tmp_path,
        "a node does not have the digest that stands above",
    )


def test_any_bit_that_is_forged_into_an_item_is_found(forger: Forger, tmp_path: Path) -> None:
    chance = random.Random(3)
    for _ in range(150):
        at = chance.randrange(len(forger.items))
        item = bytearray(forger.items[at])
        item[chance.randrange(min(len(item), 80) if chance.random() < 0.5 else len(item))] ^= 1 << chance.randrange(8)
        refuse(forger.put(at, bytes(item)), tmp_path)


def test_items_that_are_cut_or_stretched_are_refused(forger: Forger, tmp_path: Path) -> None:
    chance = random.Random(4)
    for at, item in enumerate(forger.items):
        for size in {0, 1, len(item) - 1, chance.randrange(len(item))}:
            refuse(forger.put(at, item[:size]), tmp_path)
        refuse(forger.put(at, item + b"\0"), tmp_path)


def seen(number: int) -> bytes:
    return bytes((SEEN,)) + varint(number)


def test_what_was_here_before_must_have_been_and_be_the_same(forger: Forger, tmp_path: Path) -> None:
    """In place of every item, every number that there is, and some that there are not."""
    last = len(items_of(forger.store, forger.state)) * 2 + 10
    at = forger.first(SEEN)
    right = forger.items[at]
    found = 0
    for number in [*range(last), 2**40, 2**48 - 1]:
        if seen(number) == right:
            found += 1
            continue
        refuse(forger.put(at, seen(number)), tmp_path, "nothing has come under number|is not what has to stand here")
    assert found == 1
    for at in range(0, len(forger.items), 3):
        if forger.items[at][0] != SEEN:
            for number in (0, 1, 2, 3, 4, last // 3):
                refuse(forger.put(at, seen(number)), tmp_path)
    refuse(forger.put(at, seen(2**48)), tmp_path)
    refuse(forger.put(at, bytes((SEEN, 0x83, 0x00))), tmp_path, "shortest form")
    refuse(forger.put(0, seen(1)), tmp_path, "nothing has come under number 1")


def test_what_is_sent_again_in_full_is_taken_and_gives_the_same_stream(forger: Forger, tmp_path: Path) -> None:
    """It is the state that was asked for, though not the shortest stream of it."""
    at = max(i for i, item in enumerate(forger.items) if item[0] == SEEN)
    assert all(item[0] != SEEN for item in forger.items[at + 1 :]), "the numbers behind it are others now"
    longer = forger.put(at, bytes((VALUE,)) + varint(len(encode(LONG))) + encode(LONG))
    assert len(longer) > len(forger.stream)
    imported(longer, tmp_path / "copy.db")
    assert export_of(tmp_path / "copy.db") == forger.stream


class Layered:
    """A state with some trees, or values, one below each nibble, in this order; and its items."""

    def __init__(self, *parts: Tree | bytes) -> None:
        tree = EMPTY.update([(bytes((0xF0, n)), b"\x80") for n in range(30)])  # so that the heap is a branch
        for n, part in enumerate(parts):
            key = bytes((16 * n,))
            tree = tree.update([(key, part)]) if isinstance(part, bytes) else tree.graft(key, part)
        self.state = Tree.assemble({b"p": state_of({}).get(b"p") or b""}, {HEAP: tree})
        store = MemoryStore()
        self.header = header_of(keep(store, self.state), self.state)
        self.items = items_of(store, self.state)

    def numbers(self, place: Path) -> dict[bytes, int]:
        """Return the numbers of all records of the store that is made of it."""
        imported(stream_with(self.header, self.items), place / "right.db")
        rows = rows_of(place / "right.db")["nodes"]
        (place / "right.db").unlink()
        return {record: number for number, record in rows}

    def at(self, begin: bytes) -> int:
        return next(i for i, item in enumerate(self.items) if item.startswith(begin))

    def put(self, at: int, *items: bytes, instead: int = 1) -> bytes:
        """Return a stream with other items in place of some."""
        return stream_with(self.header, [*self.items[:at], *items, *self.items[at + instead :]])


def value_item(value: bytes) -> bytes:
    return bytes((VALUE,)) + varint(len(value)) + value


# Trees of a branch, of a bucket that refers to a value, of one that does not. Their records are longer than short values.


def branched() -> Tree:
    return EMPTY.update([(bytes((i,)), b"\x81") for i in range(256)])


def referring() -> Tree:
    return EMPTY.update([(b"\x14", b"x" * 300), *[(bytes((0x15, i)), b"\x82" * 30) for i in range(10)]])


def leaf() -> Tree:
    return EMPTY.update([(bytes((0x15, i)), bytes((0x83, i)) * 20) for i in range(20)])


def begin_of(tree: Tree) -> bytes:
    """The record of the top node as it stands in a `Layered`, but for all that refers to others."""
    node = tree.node
    assert node is not None
    if node.paths is not None:
        node = bucket({b"\0" + path: cell for path, cell in node.entries().items()})
        node.seal()
        assert node.form is not None
        return node.form[: -32 * node.count] + node.ends + node.cells
    tree.digest()
    assert node.form is not None
    return node.form


def test_a_value_whose_bytes_are_a_node_s_record_does_not_pass_for_one(tmp_path: Path) -> None:
    """Neither a branch's, behind whose form stand numbers, nor a bucket's with such: whoever forges would choose them."""
    numbers = (1).to_bytes(6, "big")
    for tree, rest in (
        (branched(), numbers * 16),
        (referring(), numbers + sha256(b"x" * 300).digest()),
        (leaf(), b"more"),
    ):
        value = begin_of(tree) + rest
        made = Layered(value, tree)
        number = made.numbers(tmp_path)[value]
        at = made.at(begin_of(tree))
        assert made.at(value_item(value)) < at
        # All that was below is left out with it.
        refuse(stream_with(made.header, [*made.items[:at], seen(number)]), tmp_path, "is not what has to stand here")


def test_a_bucket_may_pass_for_a_value_of_its_bytes_and_the_other_way_round(tmp_path: Path) -> None:
    """Where nothing is referred to, the bytes are all that there is."""
    record = begin_of(leaf())
    for made, item in ((Layered(record, leaf()), record), (Layered(leaf(), record), value_item(record))):
        number = made.numbers(tmp_path)[record]
        first = min(made.at(record), made.at(value_item(record)))
        # What came first has the first number.
        assert (made.items.index(item) > first) == (number > 1)
        imported(made.put(made.items.index(item), seen(1)), tmp_path / "copy.db")
        assert export_of(tmp_path / "copy.db") == stream_with(made.header, made.items)
        (tmp_path / "copy.db").unlink()


def test_a_node_that_refers_to_others_does_not_pass_for_a_value_of_its_record_s_bytes(tmp_path: Path) -> None:
    """Pruning would keep what it refers to, or not, by what it is taken for."""
    for tree in (branched, referring):
        numbers = Layered(tree()).numbers(tmp_path)
        record = next(record for record in numbers if record.startswith(begin_of(tree())))
        made = Layered(tree(), record)
        at = made.at(value_item(record))
        why = f"what came under number {numbers[record]} is not what has to stand here"
        refuse(made.put(at, seen(numbers[record])), tmp_path, why)


def test_a_long_value_inside_its_node_is_refused_though_its_digest_is_right(tmp_path: Path) -> None:
    long = b"x" * 300
    made = Layered(EMPTY.update([(b"", long), *[(bytes((i,)), b"\x80") for i in range(30)]]))
    at = made.at(value_item(long)) - 1
    item = made.items[at]
    assert item.endswith(b"\0\0")
    forged = made.put(at, item[:-2] + (300).to_bytes(2, "big") + long, instead=2)
    refuse(forged, tmp_path, "a long value stands inside its node")
    made = Layered(referring())
    at = made.at(begin_of(referring()))
    assert made.items[at + 1] == value_item(long)
    item = made.items[at]
    cells = b"\x82" * 300
    head = item[: item.index(cells) - 2 * 11]
    ends = b"".join((300 + 30 * i).to_bytes(2, "big") for i in range(11))
    refuse(
        made.put(at, head + ends + long + cells, instead=2), tmp_path, "the sizes of a bucket's values are not right"
    )


def test_a_short_value_that_stands_outside_its_node_is_refused_though_its_digest_is_right(tmp_path: Path) -> None:
    """Equal values would be unlike cells, and unlike values equal ones. Not even as what came before as a bucket."""
    few = EMPTY.update([(bytes((0x15, i)), b"\x80") for i in range(3)])
    record = begin_of(few)
    assert len(record) < 256
    heap = EMPTY.update([(bytes((0xF0, n)), b"\x80") for n in range(30)]).graft(b"\0", few)
    # A heap with that cell, which no program could make.
    heap = Tree(*update(heap.label, heap.node, [(b"\1\0", Blob.of(record))]))
    state = Tree.assemble({b"p": state_of({}).get(b"p") or b""}, {HEAP: heap})
    store = MemoryStore()
    header = header_of(keep(store, state), state)
    items = items_of(store, state)
    refuse(stream_with(header, items), tmp_path, "a short value stands outside its node")
    at = items.index(value_item(record))
    assert items.index(record) < at, "it has the first number"
    refuse(stream_with(header, [*items[:at], seen(1), *items[at + 1 :]]), tmp_path, "is not what has to stand here")


def test_values_that_are_too_long_or_too_short_are_refused(forger: Forger, tmp_path: Path) -> None:
    at = forger.first(VALUE)
    for length in (0, 1, 256, VALUE_BYTES_MAX + 1, 2**40):
        refuse(forger.put(at, bytes((VALUE,)) + varint(length) + bytes(min(length, 1000))), tmp_path)
    refuse(forger.put(at, bytes((VALUE,)) + varint(300) + bytes(300)), tmp_path, "a value does not have the digest")


def test_items_of_another_kind_are_refused(forger: Forger, tmp_path: Path) -> None:
    for at in (0, forger.first(BUCKET), forger.first(VALUE)):
        for tag in {*range(12), 0x81, 0x82, 0xFF} - {forger.items[at][0]}:
            refuse(forger.put(at, bytes((tag,)) + forger.items[at][1:]), tmp_path)


def lying(*kids: tuple[Node, int]) -> tuple[Block, Tree]:
    """A block of a branch that says of its children that they have so many entries."""
    top: list[Node | None] = [None] * 16
    for i, (kid, told) in enumerate(kids):
        kid.seal()
        top[i] = Node.stub(told, kid.digest or b"", 1, MemoryStore())
    node = branch(sum(told for _, told in kids), top, {}, None)
    node.seal()
    state = Tree(b"", node)
    return Block(0, b"", 0, state.digest(), bytes(32), encode(None), encode(None)), state


def test_counts_that_lie_are_refused(tmp_path: Path) -> None:
    """The digests above are of the lie, and so are right."""
    one, two = bucket({b"\0\0": b"\x80"}), bucket({b"\0\1": b"\x80"})
    block, state = lying((one, 200), (two, 200))
    items = [form_of(state), item_of(one), item_of(two)]
    refuse(stream_with(header_of(block, state), items), tmp_path, "a node has 1 entries where 200 stands above it")
    block, state = lying((one, 1), (one, 200))
    items = [form_of(state), item_of(one), seen(1)]
    refuse(
        stream_with(header_of(block, state), items), tmp_path, "what came under number 1 is not what has to stand here"
    )
    below = [bucket({bytes((i, j)): b"\x80" for j in range(15)}) for i in range(2)]
    inner = branch(30, [*below, *[None] * 14], {}, None)
    for node in below:
        node.seal()
    block, state = lying((inner, 30), (inner, 31))
    items = [form_of(state), inner.form or b"", *map(item_of, below), seen(4)]
    refuse(
        stream_with(header_of(block, state), items), tmp_path, "what came under number 4 is not what has to stand here"
    )
    block, state = lying((inner, 29))
    refuse(stream_with(header_of(block, state), [form_of(state)]), tmp_path, "too little below it")


def form_of(tree: Tree) -> bytes:
    assert tree.node is not None
    assert tree.node.form is not None
    return tree.node.form


def item_of(node: Node) -> bytes:
    assert node.form is not None
    return node.form[: -32 * node.count] + node.ends + node.cells


def test_an_own_value_has_the_digest_that_its_branch_says(tmp_path: Path) -> None:
    made = Layered(EMPTY.update([(b"", b"\x81"), *[(bytes((i,)), b"\x80") for i in range(30)]]))
    at = next(i for i, item in enumerate(made.items) if item.endswith(b"\0\1\x81"))
    why = "a value does not have the digest that its node holds"
    refuse(made.put(at, made.items[at][:-1] + b"\x82"), tmp_path, why)
    refuse(made.put(at, made.items[at][:-3] + b"\0\2\x81\x81"), tmp_path, why)


def test_a_value_whose_bytes_are_a_node_s_form_is_another_thing(tmp_path: Path) -> None:
    """The digests are the same."""
    form = begin_of(branched())
    for made in (Layered(branched(), form), Layered(form, branched())):
        assert value_item(form) in made.items
        assert form in made.items
        imported(stream_with(made.header, made.items), tmp_path / "copy.db")
        assert export_of(tmp_path / "copy.db") == stream_with(made.header, made.items)
        (tmp_path / "copy.db").unlink()


def test_chunks_of_another_size_are_refused(forger: Forger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chunks_of(monkeypatch, 300)
    bodies = chunks_in(export(forger.store))
    (_, one), (_, two) = bodies[1], bodies[2]
    told = varint(len(forger.items))
    items = bodies[-1][1].removeprefix(told)
    cases = [
        ([bodies[0], (ITEMS, one + two), *bodies[3:]], "it should have ended here"),
        ([bodies[0], (ITEMS, b""), *bodies[1:]], "too few for one that others follow"),
        ([bodies[0], (ITEMS, one[:200]), (ITEMS, one[200:]), *bodies[2:]], "too few"),
        ([*bodies[:-2], (LAST, told + bodies[-2][1] + items)], "it should have ended here|too long to be the last"),
        ([*bodies[:-2], (LAST, told + bodies[-2][1]), bodies[-1]], "too long|not whole"),
        ([*bodies, bodies[-1]], "bytes behind the last chunk"),
        ([*bodies, (LAST, varint(0))], "bytes behind the last chunk"),
        ([*bodies[:-1], (ITEMS, items)], "too few"),
        ([bodies[0], (HEADER, bodies[0][1]), *bodies[1:]], "0x01 begins no chunk that may stand here"),
        ([(ITEMS, one), *bodies[2:]], "0x02 begins no chunk that may stand here"),
        ([*bodies[:3], (7, b""), *bodies[3:]], "0x07 begins no chunk"),
    ]
    for forged, why in cases:
        refuse(stream_of(forged), tmp_path, why)
    assert stream_of(bodies) == export(forger.store)
    title = TITLE + bytes((VERSION,))
    for number in (1, 2**32 - 1):
        refuse(
            title + chunk(HEADER, number, forger.header, sha256(title).digest())[0],
            tmp_path,
            f"here stands chunk {number}",
        )


def parts_of(header: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(header):
        length, shift = 0, 0
        while True:
            length |= (header[at] & 127) << shift
            shift += 7
            at += 1
            if header[at - 1] < 128:
                break
        found.append(header[at : at + length])
        at += length
    return found


def joined(parts: list[bytes]) -> bytes:
    return b"".join([varint(len(part)) + part for part in parts])


def header_with(**changed: Any) -> bytes:
    """The header of a block of an empty state with some fields changed, and its digests right."""
    fields: dict[str, Any] = {"number": 3, "parent": bytes(32), "gas_used": 0, "code": bytes(32)}
    root = changed.pop("root", b"\3\0")
    genesis = changed.pop("genesis", bytes(32))
    fields |= changed
    block = Block(state_root=sha256(root).digest(), inputs_form=encode(1), data_form=encode(2), **fields)
    return joined([bytes((FORMAT,)), genesis, block.header, encode(1), encode(2), root])


def test_headers_that_are_none_are_refused(forger: Forger, tmp_path: Path) -> None:
    parts = parts_of(forger.header)
    assert joined(parts) == forger.header
    form, genesis, header, inputs, data, root = parts
    cases = [
        ([bytes((FORMAT + 1,)), *parts[1:]], "its nodes are of format 03, and this Lockstep reads format 02"),
        ([b"", *parts[1:]], "its nodes are of format"),
        ([form, genesis[:-1], header, inputs, data, root], "a digest is none"),
        ([form, bytes(32), header, inputs, data, root], "of block 0, and that is not its genesis"),
        ([form, genesis, header[:-1], inputs, data, root], "the block's header is none"),
        ([form, genesis, encode(5), inputs, data, root], "the block's header is none"),
        ([form, genesis, encode((1, 2)), inputs, data, root], "the block's header is none"),
        ([form, genesis, encode((1,) * 9), inputs, data, root], "the block's header is none: a header of 1"),
        ([form, genesis, header, encode(1), data, root], "not those of its header"),
        ([form, genesis, header, inputs, encode(1), root], "not those of its header"),
        ([form, genesis, header, inputs, data, b"\3\0"], "the state root is not|not that of its state"),
        (parts[:-1], "bytes end too early"),
        ([*parts, b""], "bytes too many"),
    ]
    for forged, why in cases:
        refuse(stream_with(joined(forged), forger.items), tmp_path, why)
    digest = bytes(32)
    fields: list[tuple[dict[str, Any], str]] = [
        ({"number": -1}, "is no block's number"),
        ({"number": 2**62 + 1}, "is no block's number"),
        ({"number": True}, "is no block's number"),
        ({"number": "3"}, "is no block's number"),
        ({"gas_used": -1}, "the gas used"),
        ({"gas_used": None}, "the gas used"),
        ({"parent": b""}, "a digest is none"),
        ({"parent": 5}, "a digest is none"),
        ({"code": "x" * 32}, "a digest is none"),
        ({"number": 0}, "of block 0, and that is not its genesis"),
        ({"root": b""}, "the root form"),
        ({"root": b"\2\0"}, "the root form"),
        ({"root": b"\3\0\0"}, "the root form"),
        ({"root": b"\3\x80\0"}, "the root form"),
        ({"root": b"\3\5\1\x40" + digest}, "the label is none"),
        ({"root": b"\3\x30\1\x41" + digest}, "the label is none"),
        ({"root": b"\3\x30\0" + digest[1:]}, "the root form"),
        ({"root": b"\3\x30" + varint(2**40) + digest}, "the root form"),
        ({}, "has no control value"),
    ]
    for changed, why in fields:
        refuse(stream_with(header_with(**changed), []), tmp_path, why)


def test_a_state_that_is_no_machine_s_is_refused(tmp_path: Path) -> None:
    for control in (
        b"",
        b"\xff",
        encode(1),
        encode((1, 2)),
        encode((None, False, False, 0, None, 0, False, None, None, 0)),
    ):
        store = MemoryStore()
        state = Tree.assemble({b"p": control} if control else {b"q": b"\x80"}, {})
        block = keep(store, state)
        refuse(stream_with(header_of(block, state), items_of(store, state)), tmp_path, "control value|no program")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_streams_of_any_bytes_are_refused(forger: Forger, tmp_path: Path, data: st.DataObject) -> None:
    """Any header; or the right one, and any items behind it, some of them right."""
    any_bytes = st.binary(max_size=200)
    pieces = st.lists(st.one_of(any_bytes, st.sampled_from(forger.items)), max_size=6)
    header = data.draw(st.one_of(st.just(forger.header), any_bytes))
    kinds = st.sampled_from([ITEMS, LAST, LAST, HEADER])
    begun = b"".join(forger.items[: data.draw(st.integers(0, 12))])
    bodies = data.draw(st.lists(st.tuples(kinds, pieces.map(b"".join)), max_size=3))
    refuse(stream_of([(HEADER, header), *[(kind, varint(3) + begun + body) for kind, body in bodies]]), tmp_path)


async def test_what_is_refused_behind_a_good_part_leaves_nothing_to_go_on_with(
    forger: Forger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped, gone on with, refused in the end: nothing of it is left; and a good stream then comes in whole."""
    chunks_of(monkeypatch, 300)
    good = export(forger.store)
    bad = good[:-1] + bytes((good[-1] ^ 1,))

    for at in (2, 5):
        with pytest.raises(Stop):
            imported(bad, tmp_path / "copy.db", progress=stop_at(at))
        assert sorted(os.listdir(tmp_path)) == ["copy.db.partial", "copy.db.partial-lock"]
    refuse(bad, tmp_path)
    imported(good, tmp_path / "copy.db")
    async with Runtime(Counter, tmp_path / "copy.db") as rt:
        assert (await rt.advance()).data == 1


def test_a_stream_that_changed_since_an_import_began_with_it_is_told(
    forger: Forger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same header, and another way to say the same state: what was left is not touched, nor gone on with."""
    chunks_of(monkeypatch, 300)
    good = export(forger.store)
    bodies = chunks_in(good)
    with pytest.raises(Stop):
        imported(good, tmp_path / "copy.db", progress=stop_at(4))
    other = stream_of([bodies[0], (ITEMS, bytes(700)), *bodies[2:]])
    with pytest.raises(InputError, match="left by an import of something else"):
        imported(other, tmp_path / "copy.db")
    imported(good, tmp_path / "copy.db")
    assert export_of(tmp_path / "copy.db") == good


def test_a_root_form_is_what_the_header_says_it_is(forger: Forger) -> None:
    assert parts_of(forger.header)[-1] == root_form(forger.state.label, forger.state.node)
