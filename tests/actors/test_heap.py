"""Heap, View and Memory held against a plain dict with a copy of it for the snapshot.

`Heaps` is a machine of random reads, writes, clears, mounts, snapshots and reverts. What is read is compared by its
encoding, which keeps True, 1 and 1.0 apart; the order of keys is said by `order`, from their elements alone. The second
machine does the same with a read cache of three entries, for the cache must never show.
"""

from __future__ import annotations

import dataclasses
import math
import struct
from bisect import bisect_left, bisect_right
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from pyrsistent import pmap, pset, pvector

import actors.memory
from actors import (
    ABSENT,
    Heap,
    KeyRefused,
    LimitExceeded,
    MissingKey,
    Region,
    Root,
    StoreDamaged,
    ValueRefused,
    View,
    codec,
    freeze,
)
from actors.changes import changes_of
from actors.keys import encode_key, plain
from actors.limits import BUCKET_ENTRIES_MAX, HEAP_ENTRIES_MAX, INLINE_BYTES_MAX, KEY_BYTES_MAX, PROCESS_DEPTH_MAX
from actors.memory import Memory
from actors.nodes import Node
from actors.tree import EMPTY, Tree
from actors.values import decode, encode
from runtime import MemoryStore, Runtime
from runtime.persist import number_nodes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Elements = tuple[Any, ...]
Model = dict[Elements, bytes]


def new_heap(values: Any = (), path: Any = ()) -> Heap:
    heap = Heap(Memory(), path)
    heap.update(values)
    return heap


def elements(key: Any) -> Elements:
    return key if type(key) is tuple else (key,)


def order(key: Elements) -> list[tuple[int, Any]]:
    rank = {bytes: 0, str: 1, int: 2}
    return [(rank[type(one)], one.encode() if type(one) is str else one) for one in key]


def inside(key: Elements, region: Region) -> bool:
    prefix = elements(region.prefix)
    if order(key[: len(prefix)]) != order(prefix):
        return False
    rest = order(key[len(prefix) :])
    return (region.low is None or rest >= order(elements(region.low))) and (
        region.high is None or rest < order(elements(region.high))
    )


def ordered(model: Model, region: Region | None = None) -> list[tuple[Any, bytes]]:
    """The entries of a region by key, the keys relative to its prefix and as a program writes them."""
    region = region or Region()
    size = len(elements(region.prefix))
    found = sorted((key for key in model if inside(key, region)), key=order)
    return [(plain(key[size:]), model[key]) for key in found]


def form(value: Any) -> bytes | None:
    return None if value is ABSENT else encode(freeze(value))


# --- strategies ---

element = st.sampled_from(["", "a", "b", "ab", b"a", b"", 0, 1, -1, 300, "é"])
keys = st.lists(element, max_size=3).map(tuple).map(plain)
values = st.sampled_from([None, True, 1, 1.0, 0, False, "", "x" * 300, b"b", (), [1], {"k": [2]}, {3}, -0.0, 10**30])
bounds = st.none() | keys


@st.composite
def regions(draw: st.DrawFn) -> Region:
    low, high = draw(bounds), draw(bounds)
    if low is not None and high is not None and encode_key(low) > encode_key(high):
        low, high = high, low
    return Region(draw(keys), low, high)


class Heaps(RuleBasedStateMachine):
    cache_entries = actors.memory.READ_CACHE_ENTRIES_MAX

    def __init__(self) -> None:
        super().__init__()
        self.before = actors.memory.READ_CACHE_ENTRIES_MAX
        actors.memory.READ_CACHE_ENTRIES_MAX = self.cache_entries  # type: ignore[misc]
        self.memory = Memory()
        self.heap = Heap(self.memory, ("shards", 3))
        self.model: Model = {}
        self.snapshot: Model = {}
        self.views: list[tuple[View, Model]] = [(self.heap.region(), {})]

    @initialize(many=st.booleans(), snapshot=st.booleans(), fold=st.booleans())
    def begin_with_more_than_a_bucket(self, many: bool, snapshot: bool, fold: bool) -> None:
        if many:
            self.update([(key, 7) for key in (*range(-3, 4), "a", "b", "ab", "", ("a", 1), ("a", "b"), b"a", b"")])
        if fold:
            self.memory.fold()
        if snapshot:
            self.take_snapshot()

    def teardown(self) -> None:
        for view, model in self.views:
            assert [(key, form(value)) for key, value in view.items()] == ordered(model), "a view has changed"
        assert form_items(self.heap.items()) == ordered(self.model)
        self.memory.fold().check()
        actors.memory.READ_CACHE_ENTRIES_MAX = self.before  # type: ignore[misc]

    # --- writes ---

    @rule(key=keys, value=values)
    def set(self, key: Any, value: Any) -> None:
        self.heap[key] = value
        self.model[elements(key)] = encode(freeze(value))

    @rule(batch=st.lists(st.tuples(keys, values), max_size=15))
    def update(self, batch: list[tuple[Any, Any]]) -> None:
        self.heap.update(batch)
        self.model |= {elements(key): encode(freeze(value)) for key, value in batch}

    @rule(key=keys)
    def delete(self, key: Any) -> None:
        if elements(key) in self.model:
            del self.heap[key]
            del self.model[elements(key)]
        else:
            with pytest.raises(MissingKey):
                del self.heap[key]

    @rule(key=keys, default=values)
    def pop(self, key: Any, default: Any) -> None:
        assert form(self.heap.pop(key, default)) == self.model.pop(elements(key), form(default))

    @rule(key=keys, default=values)
    def setdefault(self, key: Any, default: Any) -> None:
        assert form(self.heap.setdefault(key, default)) == self.model.setdefault(elements(key), form(default) or b"")

    @rule(region=regions() | keys)
    def clear(self, region: Any) -> None:
        self.heap.clear(region)
        self.model = {key: value for key, value in self.model.items() if not inside(key, Region.of(region))}

    @rule(region=regions())
    def take_a_view(self, region: Region) -> None:
        view = self.heap.region(region)
        self.views.append((view, {elements(key): value for key, value in ordered(self.model, region)}))

    @rule(key=keys, pick=st.integers(0, 1000))
    def mount(self, key: Any, pick: int) -> None:
        view, model = self.views[pick % len(self.views)]
        if any(len(one) > 8 for one in model):
            return
        self.heap[key] = view
        kept = {one: value for one, value in self.model.items() if not inside(one, Region(key))}
        self.model = kept | {elements(key) + one: value for one, value in model.items()}

    # --- snapshots ---

    @rule()
    def take_snapshot(self) -> None:
        self.memory.take_snapshot()
        self.snapshot = dict(self.model)

    @rule()
    def revert(self) -> None:
        self.memory.revert()
        self.model = dict(self.snapshot)

    @rule()
    def fold(self) -> None:
        assert dict(tree_items(self.memory.fold())) == by_form(self.model)

    @rule()
    def look_at_the_snapshot(self) -> None:
        assert dict(tree_items(self.memory.snapshot())) == by_form(self.snapshot)

    @rule(folded=st.booleans())
    def look_at_the_changes(self, folded: bool) -> None:
        if folded:
            self.memory.fold()
        changed = [key for key in self.snapshot.keys() | self.model if self.snapshot.get(key) != self.model.get(key)]
        assert [(change.key, form(change.old), form(change.new)) for change in changes_of(self.memory)] == [
            (plain(key), self.snapshot.get(key), self.model.get(key)) for key in sorted(changed, key=order)
        ]

    # --- reads ---

    @rule(key=keys, default=values)
    def read(self, key: Any, default: Any) -> None:
        held = self.model.get(elements(key))
        assert (key in self.heap) == (held is not None)
        assert form(self.heap.get(key, default)) == (form(default) if held is None else held)
        if held is not None:
            assert form(self.heap[key]) == held
        else:
            with pytest.raises(MissingKey):
                self.heap[key]

    @rule(region=regions() | keys, reverse=st.booleans())
    def iterate(self, region: Any, reverse: bool) -> None:
        expected = ordered(self.model, Region.of(region))
        if reverse:
            expected.reverse()
        assert form_items(self.heap.items(region, reverse=reverse)) == expected
        assert list(self.heap.keys(region, reverse=reverse)) == [key for key, _ in expected]
        assert [form(value) for value in self.heap.values(region, reverse=reverse)] == [value for _, value in expected]

    @rule(region=regions() | keys, default=values)
    def look_at_the_ends(self, region: Any, default: Any) -> None:
        expected = ordered(self.model, Region.of(region))
        assert self.heap.count(region) == len(expected)
        for end, at in ((self.heap.first, 0), (self.heap.last, -1)):
            if expected:
                assert form_items([end(region)]) == [expected[at]]
            else:
                with pytest.raises(MissingKey):
                    end(region)
                assert end(region, default=default) is default

    @rule()
    def count(self) -> None:
        assert len(self.heap) == self.heap.count() == len(self.model)
        assert bool(self.heap) == bool(self.model)
        assert list(self.heap) == [key for key, _ in ordered(self.model)]
        assert list(reversed(self.heap)) == [key for key, _ in ordered(self.model)][::-1]

    @rule()
    def hash_it(self) -> None:
        assert self.heap.digest() == EMPTY.update(by_form(self.model).items()).digest()

    @invariant()
    def the_rules_of_the_memory_hold(self) -> None:
        assert not self.memory.kept or self.memory.tree is self.memory.snap
        assert len(self.memory.cache) <= self.cache_entries
        if self.memory.tree is not self.memory.snap:
            assert self.memory.changed() is None


class HeapsWithSmallCaches(Heaps):
    cache_entries = 3  # type: ignore[misc]


def form_items(items: Iterable[tuple[Any, Any]]) -> list[tuple[Any, bytes | None]]:
    return [(key, form(value)) for key, value in items]


def tree_items(tree: Tree) -> list[tuple[bytes, bytes | None]]:
    return [(key, tree.get(key)) for key, _ in tree.entries()]


def by_form(model: Model) -> dict[bytes, bytes]:
    return {encode_key(key): value for key, value in model.items()}


TestHeaps = Heaps.TestCase
TestHeaps.settings = settings(deadline=None, max_examples=50, stateful_step_count=30)
TestHeapsWithSmallCaches = HeapsWithSmallCaches.TestCase
TestHeapsWithSmallCaches.settings = settings(deadline=None, max_examples=40, stateful_step_count=30)


# --- keys, order, regions ---


def test_a_key_and_the_tuple_of_it_are_one_key() -> None:
    heap = new_heap({"x": 1})
    assert heap["x",] == 1
    heap["x",] = 2
    assert len(heap) == 1 and list(heap) == ["x"]


def test_keys_come_in_their_order_whatever_order_they_were_written_in() -> None:
    in_order = [(), b"", b"z", "", "a", ("a", b"x"), ("a", "x"), ("a", -1), ("a", 0), ("a", 10), "é", -5, 0, 3, 300]
    heap = new_heap()
    for key in reversed(in_order):
        heap[key] = None
    assert list(heap) == in_order
    assert list(heap.keys(reverse=True)) == in_order[::-1]
    assert list(heap.keys("a")) == [(), b"x", "x", -1, 0, 10]


def test_the_bounds_of_a_region_are_low_included_and_high_not() -> None:
    heap = new_heap({("n", n): n for n in range(10)} | {"n": "own", ("n", "s"): "s", ("m", 1): 1, ("n", 3, "deep"): 33})
    assert list(heap.values(Region("n", 3, 6))) == [3, 33, 4, 5]
    assert list(heap.values(Region("n", None, 2))) == ["own", "s", 0, 1]
    assert list(heap.values(Region("n", 8))) == [8, 9]
    assert list(heap.values(Region("n", 3, 3))) == []
    assert list(heap.values(Region("n", (3, "deep"), 4))) == [33]
    assert list(heap.keys(Region("n", 3, 5), reverse=True)) == [4, (3, "deep"), 3]
    heap.clear(Region("n", 1, 9))
    assert list(heap.items()) == [(("m", 1), 1), ("n", "own"), (("n", "s"), "s"), (("n", 0), 0), (("n", 9), 9)]


def test_a_region_is_refused_where_it_is_named() -> None:
    with pytest.raises(
        KeyRefused, match=r"Region\('a', low=2, high=1\): low is above high; a range is low <= key < high"
    ):
        Region("a", 2, 1)
    for wrong in (lambda: Region(True), lambda: Region("a", None, 1.5), lambda: Region(("a", None))):
        with pytest.raises(KeyRefused, match="a key is a str, an int, bytes or a tuple of them"):
            wrong()
    assert repr(Region()) == "Region(())"
    assert repr(Region("a", high=(1, 2))) == "Region('a', high=(1, 2))"


def test_a_region_ends_where_the_element_ends_not_in_the_middle_of_a_word() -> None:
    heap = new_heap({"a": 1, "ab": 2, ("a", "b"): 3, "a\0": 4, ("a\0", 1): 5, b"a": 6})
    assert form_items(heap.items("a")) == [((), form(1)), ("b", form(3))]
    heap.clear("a")
    assert set(heap) == {"ab", "a\0", ("a\0", 1), b"a"}


# --- iteration ---


@pytest.mark.parametrize("how", ["iter", "keys", "values", "items", "region", "reversed"])
@pytest.mark.parametrize("begun", [False, True])
def test_an_iteration_sees_the_heap_as_it_was_when_it_was_asked_for(how: str, begun: bool) -> None:
    heap = new_heap({n: n for n in range(20)})
    views = {"iter": iter, "reversed": reversed, "region": lambda heap: iter(heap.region())}
    asked = views[how](heap) if how in views else getattr(heap, how)()
    seen = [next(asked)] if begun else []
    heap[5] = "changed"
    heap[30] = "new"
    del heap[7]
    heap.clear(Region((), 10, 12))
    seen += asked
    assert len(seen) == 20 and "changed" not in str(seen) and "new" not in str(seen)


def test_writing_while_iterating_is_well_defined() -> None:
    heap = new_heap({n: n for n in range(50)})
    for key in heap:
        heap[key + 100] = key
        del heap[key]
    assert list(heap) == list(range(100, 150))


@settings(deadline=None, max_examples=200)
@given(
    st.lists(keys, max_size=40, unique_by=elements),
    keys,
    keys,
    keys.filter(lambda prefix: len(elements(prefix)) < 2),
    st.booleans(),
)
def test_what_other_sorted_maps_have_names_for_follows_from_the_two_bounds(
    held: list[Any], one: Any, other: Any, prefix: Any, stored: bool
) -> None:
    """The table at the top of `actors.region`, against a sorted list."""
    heap = new_heap(
        {(*elements(prefix), *elements(key)): n for n, key in enumerate(held)} | {"before": 0, b"": 0, 7: 0}
    )
    if stored:
        heap = Heap(Memory(Source().reopened(heap.machine_memory.fold())))
    model = {key: heap[key] for key in map(elements, heap.keys())}
    inside_it = ordered({key: encode(value) for key, value in model.items()}, Region(prefix))
    listed = [order(elements(key)) for key, _ in inside_it]
    item = [(key, decode(value)) for key, value in inside_it]
    at_least, above = bisect_left(listed, order(elements(one))), bisect_right(listed, order(elements(one)))

    def at(index: int) -> Any:
        return item[index] if 0 <= index < len(item) else None

    behind = (*elements(one), b"")
    assert heap.first(prefix, low=one, default=None) == at(at_least), "the ceiling"
    assert heap.first(prefix, low=behind, default=None) == at(above), "the one behind it"
    assert heap.last(prefix, high=behind, default=None) == at(above - 1), "the floor"
    assert heap.last(prefix, high=one, default=None) == at(at_least - 1), "the one before it"
    assert (heap.count(prefix, high=one), heap.count(prefix, low=behind)) == (at_least, len(item) - above)
    assert list(islice(heap.items(prefix, low=behind), 3)) == item[above : above + 3]
    assert list(islice(heap.items(prefix, high=one, reverse=True), 3)) == item[:at_least][::-1][:3]
    low, high = sorted((one, other), key=encode_key)
    region = Region(prefix, low, high)
    for whole, apart in (((region,), {}), ((prefix, low), {"high": high})):
        between = heap.region(*whole, **apart)
        assert heap.count(*whole, **apart) == len(between)
        assert (
            list(heap.items(*whole, **apart))
            == list(between.items())
            == list(zip(between, between.values(), strict=True))
        )
        assert list(heap.keys(*whole, **apart, reverse=True)) == list(reversed(between))
        assert heap.first(*whole, **apart, default=()) == next(heap.items(region), ())
        assert heap.last(*whole, **apart, default=()) == next(heap.items(region, reverse=True), ())
    heap.clear(prefix, low, high)
    assert len(heap) == len(model) - len(between) and heap.count(region) == 0


def test_the_ends_of_an_empty_region_are_an_error_or_the_default() -> None:
    heap = new_heap({("n", 5): "five", "z": 0}, path=("shards", 3))
    for end in (heap.first, heap.last, heap.region().first):
        assert end("n") == (5, "five")
        assert end("m", default=None) is None
        assert end(Region("n", 6), default=(0, "none")) == (0, "none")
        with pytest.raises(KeyError) as caught:
            end("n", high=5)
        assert isinstance(caught.value, MissingKey)
        assert str(caught.value).startswith("no key in Region('n', high=5) of ")
        assert str(caught.value).endswith("/shards/3; pass default= where it may be empty")
    assert new_heap().first(default="nothing") == new_heap().region().last(default="nothing") == "nothing"


def test_bounds_beside_a_whole_region_are_refused_not_forgotten() -> None:
    heap = new_heap({("n", n): n for n in range(9)})
    for ask in (heap.keys, heap.values, heap.items, heap.first, heap.last, heap.count, heap.region, heap.clear):
        with pytest.raises(KeyRefused, match=r"come beside Region\('n', high=5\); give the bounds to the Region"):
            ask(Region("n", high=5), low=3)
        with pytest.raises(KeyRefused, match="low is above high"):
            ask("n", 3, 2)
    assert len(heap) == 9


class Source:
    def __init__(self) -> None:
        self.records: dict[int, bytes] = {}
        self.reads = 0

    def read_node(self, number: int) -> bytes:
        self.reads += 1
        if number not in self.records:
            raise StoreDamaged(f"no node {number}")
        return self.records[number]

    def reopened(self, tree: Tree) -> Tree:
        self.records.update(number_nodes(tree, max(self.records, default=0) + 1, self))
        node = tree.node
        if node is None:
            return EMPTY
        tree.digest()
        assert node.digest is not None and node.number is not None
        return Tree(tree.label, Node.stub(node.count, node.digest, node.number, self))


def test_iteration_length_and_membership_read_no_more_than_they_need() -> None:
    source = Source()
    tree = source.reopened(new_heap({("n", n): "x" * 300 for n in range(3000)}).machine_memory.fold())
    heap = Heap(Memory(tree))
    assert (len(heap), bool(heap), source.reads) == (3000, True, 0)
    items = heap.items("n")
    assert next(items)[0] == 0
    assert source.reads < 12
    assert ("n", 2999) in heap.region()
    assert source.reads < 24, "membership in a view needs no value"
    heap.clear("n")
    assert (len(heap), source.reads < 24) == (0, True)
    assert len(list(items)) == 2999


class CountingStore(MemoryStore):
    """A store in memory that counts the nodes that are read."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    def read_node(self, number: int) -> bytes:
        self.reads += 1
        return super().read_node(number)


class Idle(Root):
    async def run(self) -> None:
        self.heap["n", 7] = "later"


async def test_the_heap_of_a_kept_block_is_read_no_further_than_it_is_asked_for() -> None:
    many = 100_000
    store = CountingStore()
    async with Runtime(Idle, store, genesis={("n", n): n for n in range(many)} | {"a": 0, "z": 1}) as rt:
        await rt.advance()

        def reads(ask: Callable[[View], Any]) -> tuple[int, Any]:
            """How many nodes it reads of the heap of block 0, of which nothing else was read yet; what it gives."""
            heap = rt.state(0).at("/").heap
            before = store.reads
            found = ask(heap)
            return store.reads - before, found

        middle = many // 2
        deepest = max([reads(lambda heap: heap["n", n])[0] for n in (*range(0, many, 999), middle, many - 1)])  # noqa: B023
        assert 3 < deepest < 10
        few: list[tuple[Callable[[View], Any], Any, int]] = [
            (lambda heap: heap.first("n"), (0, 0), 1),
            (lambda heap: heap.last("n"), (many - 1, many - 1), 1),
            (lambda heap: heap.first("n", low=middle), (middle, middle), 1),
            (lambda heap: heap.last("n", high=middle), (middle - 1, middle - 1), 2),
            (lambda heap: heap.first("nothing", default=None), None, 1),
            (lambda heap: len(heap), many + 2, 0),
            (lambda heap: heap.count("n"), many, 1),
            (lambda heap: heap.count("n", 1000, middle), middle - 1000, 3),
            (lambda heap: len(heap.region("n", low=17)), many - 17, 2),
            (lambda heap: next(reversed(heap)), "z", 1),
        ]
        for number, (ask, expected, paths) in enumerate(few):
            read, found = reads(ask)
            assert found == expected, number
            assert read <= paths * deepest, number
        for reverse, expected_keys in ((False, range(middle, middle + 10)), (True, range(middle - 1, middle - 11, -1))):
            bounds: Any = {"high": middle} if reverse else {"low": middle}
            for how in ("keys", "items", "values"):
                read, found = reads(
                    lambda heap: list(islice(getattr(heap, how)("n", **bounds, reverse=reverse), 10))  # noqa: B023
                )
                assert found == ([(n, n) for n in expected_keys] if how == "items" else list(expected_keys))
                assert read <= 2 * deepest + 10
        everything, found = reads(lambda heap: sum(1 for _ in heap))
        assert (found, everything > many // 16) == (many + 2, True), "the count of reads counts nothing"
        assert rt.state().heap["n", 7] == "later" and rt.state(0).heap["n", 7] == 7


# --- views ---


def test_a_view_is_what_the_heap_was() -> None:
    heap = new_heap({("a", n): n for n in range(12)})
    view = heap.region("a")
    digest = view.digest()
    heap["a", 3] = "new"
    heap.clear("a")
    assert [view[n] for n in range(12)] == list(range(12))
    assert view.digest() == digest and len(view) == 12 and view == view.region() and view != heap.region("a")
    assert view.get(12) is None and view.get(12, 7) == 7 and 12 not in view and 11 in view
    with pytest.raises(MissingKey, match=r"no key 12 in Region\('a'\) of /"):
        view[12]
    with pytest.raises(TypeError):
        view[3] = 4  # type: ignore[index]


def test_a_mounted_region_takes_the_place_of_all_under_its_key_and_of_nothing_else() -> None:
    heap = new_heap({"src": 0, ("src", 1): 1, ("dst", 5): 5, ("dst", 6, 7): 6, "dst": 4, "dst2": 3})
    heap["dst"] = heap.region("src")
    assert dict(heap.items()) == {"src": 0, ("src", 1): 1, "dst": 0, ("dst", 1): 1, "dst2": 3}
    heap["dst"] = heap.region("nothing")
    assert dict(heap.items()) == {"src": 0, ("src", 1): 1, "dst2": 3}
    heap[()] = heap.region("src")
    assert dict(heap.items()) == {(): 0, 1: 1}


def test_a_mount_costs_a_reference() -> None:
    big = new_heap({n: n for n in range(5000)})
    source = Source()
    view = View(source.reopened(big.machine_memory.fold()), "far away")
    heap = new_heap({("other", n): n for n in range(50)})
    heap["mine"] = view
    heap["mine", 17] = "changed"
    assert heap["mine", 4999] == 4999 and len(heap) == 5050
    assert source.reads < 20


def test_a_view_has_the_same_digest_wherever_it_is_mounted() -> None:
    heap = new_heap({("a", n): n for n in range(30)})
    digest = heap.region("a").digest()
    heap["far", "away", 7] = heap.region("a")
    assert heap.region(("far", "away", 7)).digest() == digest == new_heap({n: n for n in range(30)}).digest()


@pytest.mark.parametrize("step", ["deeper", "longer"])
def test_keys_that_a_mount_makes_too_long_to_write_are_listed_and_read_through_regions(step: str) -> None:
    heap = new_heap({"a": 1})
    parts = ["x"] * 70 if step == "deeper" else ["x" * (KEY_BYTES_MAX - 100), "y" * (KEY_BYTES_MAX - 100)]
    for part in parts:
        heap[part] = heap.region()
    listed = list(heap.keys())
    assert len(listed) == len(heap) and set(heap.values()) == {1}
    longest = (*reversed(parts), "a")
    assert longest in listed
    with pytest.raises(LimitExceeded, match=r"over the limit of (4096|64)"):
        heap[longest]
    view = heap.region(longest[: len(longest) // 2])
    assert view[longest[len(longest) // 2 :]] == 1
    heap.clear(longest[: len(longest) // 2])
    assert len(heap) == len(listed) - len(view)


def test_a_heap_of_very_many_entries_is_refused_or_can_be_stored_and_read() -> None:
    source = Source()
    heap = new_heap({n: n for n in range(20)})
    try:
        for _ in range(70):
            whole = heap.region()
            source.reopened(whole.machine_tree)
            heap.clear()
            heap["l"], heap["r"] = whole, whole
    except LimitExceeded:
        pass
    tree = heap.machine_memory.fold()
    assert next(source.reopened(tree).entries())[1] == next(tree.entries())[1]


@pytest.mark.parametrize("entries", [2, BUCKET_ENTRIES_MAX + 8])
def test_a_heap_of_very_long_paths_is_refused_or_can_be_stored_and_read(entries: int) -> None:
    source = Source()
    heap = new_heap({n: n for n in range(entries)})
    mounts = 0
    with pytest.raises(LimitExceeded, match="a region was mounted in itself, or in regions of regions, too often"):
        while mounts < 300:
            longer = new_heap()
            longer["k" * (KEY_BYTES_MAX - 2)] = heap.region()
            heap, mounts = longer, mounts + 1
    assert mounts >= PROCESS_DEPTH_MAX
    heap[b"beside"] = 1
    tree = heap.machine_memory.fold()
    assert len(tree) == entries + 1
    last = next(source.reopened(tree).entries(reverse=True))
    assert last == next(tree.entries(reverse=True))


# --- what is read ---


@codec(name="heap.Box")
@dataclasses.dataclass(frozen=True)
class Box:
    content: Any


def bits(value: Any) -> Any:
    """A value with all that a program can see of it: types, and the bits of floats."""
    if type(value) is float:
        return ("float", struct.pack(">d", value))
    if type(value) is tuple or isinstance(value, type(pvector())):
        return (type(value).__name__, [bits(item) for item in value])
    if isinstance(value, (type(pmap()), type(pset()))):
        return (type(value).__name__, encode(value))
    if type(value) is Box:
        return ("Box", bits(value.content))
    return (type(value).__name__, value)


@pytest.mark.parametrize(
    "value",
    [
        True,
        1,
        1.0,
        -0.0,
        math.nan,
        -math.nan,
        struct.unpack(">d", bytes.fromhex("7ff8000000000001"))[0],
        [1, [2]],
        (1, [2], {"a": [3]}),
        {"a": {1, 2}},
        b"x" * 300,
        "é" * 300,
        10**400,
        Box(1),
        Box([1, {"a": [2]}]),
        [Box({1, 2})],
        Box(-math.nan),
    ],
    ids=repr,
)
def test_what_is_read_is_the_same_before_and_after_it_went_through_the_tree(value: Any) -> None:
    """Whether a value still is in the working set depends on the machine, so no program may see it."""
    heap = new_heap({"k": value})
    before = bits(heap["k"])
    heap.machine_memory.fold()
    folded = bits(heap["k"])
    heap.machine_memory.cache = {}
    decoded = bits(heap["k"])
    assert before == folded == decoded


def test_a_map_or_set_is_read_in_one_order_before_and_after_it_went_through_the_tree() -> None:
    """A persistent map's order follows from how it was made; what was decoded was made another way."""
    names = [f"n{n}" for n in range(40)]
    grown = pmap()
    for name in names + [f"extra{n}" for n in range(500)]:
        grown = grown.set(name, 1)
    for n in range(500):
        grown = grown.remove(f"extra{n}")
    heap = new_heap({"map": grown, "set": pset(grown), "deep": [(grown,)], "box": Box(grown)})

    def orders() -> list[list[str]]:
        return [list(heap["map"]), list(heap["set"]), list(heap["deep"][0][0]), list(heap["box"].content)]

    before = orders()
    heap.machine_memory.fold()
    heap.machine_memory.cache = {}
    assert before == orders()


@pytest.mark.parametrize("wrap", [lambda items: items, lambda items: (items,), lambda items: {"k": items}, Box])
def test_what_was_written_cannot_be_changed_from_outside(wrap: Any) -> None:
    items = [1, 2]
    heap = new_heap()
    heap["k"] = wrap(items)
    before = encode(heap["k"])
    items.append(3)
    assert encode(heap["k"]) == before


@settings(deadline=None, max_examples=100)
@given(st.dictionaries(keys, values, max_size=30))
def test_two_heaps_of_the_same_entries_have_one_digest(entries: dict[Any, Any]) -> None:
    one = new_heap(entries)
    other = new_heap({("extra", n): n for n in range(20)})
    for key, value in reversed(entries.items()):
        other[key] = value
        len(other)
    for n in range(20):
        if ("extra", n) not in entries:
            del other["extra", n]
    assert one.digest() == other.digest()


def test_a_value_of_sixteen_mebibytes_is_stored_and_read() -> None:
    body = bytes(range(256)) * (16 * 4096)
    heap = new_heap({"large": body, "also": "x" * (16 << 20)})
    source = Source()
    tree = source.reopened(heap.machine_memory.fold())
    reopened = Heap(Memory(tree))
    assert reopened["large"] == body and len(reopened["also"]) == 16 << 20
    assert reopened.digest() == heap.digest()
    with pytest.raises(LimitExceeded, match=r"^under the key \('too', 1\): the value takes \d+ bytes, over the limit"):
        heap["too", 1] = body + b"x" * 1020
    assert ("too", 1) not in heap


def test_a_value_beyond_the_inline_limit_is_as_good_as_one_below() -> None:
    heap = new_heap({n: b"x" * n for n in range(INLINE_BYTES_MAX - 6, INLINE_BYTES_MAX + 4)})
    heap.machine_memory.fold()
    heap.machine_memory.cache = {}
    assert [len(value) for value in heap.values()] == list(range(INLINE_BYTES_MAX - 6, INLINE_BYTES_MAX + 4))


# --- errors ---


def test_an_update_is_refused_whole() -> None:
    heap = new_heap({"a": 1, "region": 2})
    view = heap.region("region")
    digest = heap.digest()
    refused: list[Any] = [
        [("b", 2), ("c", object())],
        [("b", 2), (None, 3)],
        [("b", view), ("c", 1j)],
        [("b", view), (1.5, view)],
        {"b": 2, "c": [{1: [object()]}]},
    ]
    for pairs in refused:
        with pytest.raises((ValueRefused, KeyRefused)):
            heap.update(pairs)
        assert heap.digest() == digest
    with pytest.raises(ValueRefused, match=r"^under the key 'c': "):
        heap.update({"b": 1}, c=object())
    assert heap.digest() == digest
    heap.update([("b", view), ("a", 5), ("a", 6)], d=7)
    assert dict(heap.items()) == {"a": 6, "b": 2, "d": 7, "region": 2}


def test_an_update_that_would_make_the_heap_too_large_is_refused_whole() -> None:
    large = new_heap({n: n for n in range(8)}).region()
    while len(large) <= HEAP_ENTRIES_MAX // 2:
        doubled = Heap(Memory())
        doubled["l"], doubled["r"] = large, large
        large = doubled.region()
    heap = new_heap({"a": 1})
    for wrong in ({"b": 2, "l": large, "r": large}, [("r", large), ("b", 2), ("l", large)]):
        with pytest.raises(LimitExceeded, match=rf"over the limit of {HEAP_ENTRIES_MAX}"):
            heap.update(wrong)
        assert list(heap.items(Region((), None, "c"))) == [("a", 1)] and len(heap) == 1


def test_a_mount_that_would_make_the_heap_too_large_leaves_it_as_it_was() -> None:
    large = new_heap({n: n for n in range(8)}).region()
    while len(large) <= HEAP_ENTRIES_MAX // 4:
        doubled = Heap(Memory())
        doubled["l"], doubled["r"] = large, large
        large = doubled.region()
    heap = new_heap({"a": 1})
    heap["l"] = large
    digest = heap.digest()
    with pytest.raises(LimitExceeded, match=rf"over the limit of {HEAP_ENTRIES_MAX}"):
        heap["r"] = large
    assert heap.digest() == digest and heap["a"] == 1


def test_errors_name_the_key_and_the_place() -> None:
    heap = new_heap({"a": 1}, path=("shards", 3))
    with pytest.raises(MissingKey) as caught:
        heap["b", 1]
    assert (caught.value.place, caught.value.key) == ("/shards/3", "('b', 1)")
    assert str(caught.value) == (
        "no key ('b', 1) in the heap of /shards/3; use get(key, default) or `in` where it may be absent"
    )
    for wrong in (lambda: heap.__delitem__("b"), lambda: heap.pop("b")):
        with pytest.raises(MissingKey, match="no key 'b' in the heap of /shards/3"):
            wrong()
    with pytest.raises(KeyError):
        heap["b"]
    with pytest.raises(
        ValueRefused, match=r"^under the key \('k', 1\): an object of type builtins\.object at \['x'\]\[0\] cannot be"
    ):
        heap["k", 1] = {"x": [object()]}
    with pytest.raises(ValueRefused, match=r"^under the key 'k': the str has a lone surrogate"):
        heap["k"] = "\ud800"
    for wrong in (
        lambda: heap[True],
        lambda: heap.get(None),
        lambda: 1.5 in heap,
        lambda: heap.__setitem__(["a"], 1),
        lambda: heap.clear(True),
        lambda: heap.region(None),
        lambda: heap.pop(1.5, None),
        lambda: heap.setdefault(True, 1),
        lambda: list(heap.keys(True)),
    ):
        with pytest.raises(KeyRefused, match="a key is a str, an int, bytes or a tuple of them"):
            wrong()
    assert dict(heap.items()) == {"a": 1}


def test_a_heap_in_place_of_its_region_is_refused_with_its_type() -> None:
    heap = new_heap({"a": 1})
    with pytest.raises(ValueRefused, match=r"under the key 'b': a Heap of type actors\.heap\.Heap cannot be a value"):
        heap["b"] = new_heap()
    with pytest.raises(ValueRefused, match=r"a View of type actors\.region\.View"):
        heap["b"] = [heap.region()]


def test_none_is_a_value_and_not_an_absence() -> None:
    heap = new_heap({"a": None})
    assert "a" in heap and heap["a"] is None and heap.get("a", 1) is None
    assert heap.pop("a", 1) is None and "a" not in heap and heap.get("a", 1) == 1
    assert heap.setdefault("a") is None and "a" in heap


# --- snapshots ---


def test_a_revert_goes_back_to_the_snapshot_and_no_further() -> None:
    heap = new_heap({"a": 1})
    memory = heap.machine_memory
    memory.take_snapshot()
    for folds in (False, True):
        heap["a"], heap["b"] = 2, 3
        heap["region"] = heap.region()
        if folds:
            memory.fold()
        memory.revert()
        assert dict(heap.items()) == {"a": 1}
        memory.revert()
        assert dict(heap.items()) == {"a": 1}
    heap["a"] = 5
    memory.take_snapshot()
    heap.clear()
    memory.revert()
    assert dict(heap.items()) == {"a": 5}


@pytest.mark.parametrize("many", [0, 30])
@pytest.mark.parametrize("folds", ["never", "before", "between", "after"])
def test_what_is_read_after_snapshots_and_reverts_is_never_out_of_date(many: int, folds: str) -> None:
    """Every key is read, and so remembered, at every step."""
    heap = new_heap({n: n for n in range(many)})
    memory = heap.machine_memory

    def read() -> list[Any]:
        return [heap.get(key) for key in ("a", "b", "c", 3)]

    if folds == "before":
        memory.fold()
    start = read()
    heap["a"] = 1
    memory.take_snapshot()
    heap["b"], heap[3] = 2, "three"
    assert read() == [1, 2, None, "three"]
    if folds == "between":
        memory.fold()
    memory.take_snapshot()
    assert read() == [1, 2, None, "three"]
    heap["c"], heap["a"], heap[3] = 3, "one", 3
    if folds == "after":
        memory.fold()
    assert read() == ["one", 2, 3, 3]
    memory.revert()
    assert read() == [1, 2, None, "three"]
    del heap["a"]
    assert read() == [None, 2, None, "three"]
    memory.fold()
    assert read() == [None, 2, None, "three"]
    memory.revert()
    assert read() == [1, 2, None, "three"]
    assert start == [None, None, None, 3 if many else None]


def test_changes_that_undo_each_other_are_none() -> None:
    heap = new_heap({"a": 1, "b": 2})
    memory = heap.machine_memory
    memory.take_snapshot()
    heap["a"] = 2
    heap["a"] = 1
    heap["c"] = 1
    del heap["c"]
    assert not changes_of(memory)
    heap["a"] = True
    heap["b"] = 2.0
    assert [(change.key, change.old, form(change.new)) for change in changes_of(memory)] == [
        ("a", 1, form(True)),
        ("b", 2, form(2.0)),
    ]
