"""Limits: each lets its own size through and refuses one more, with the place and the mend, and nothing has changed.

And what is as large as a limit allows works: the longest keys, the largest values, the deepest tree. (The limits of the
tree of processes and of the journal are tested with the machine, in `test_calls`.)
"""

from __future__ import annotations

import random
import sys
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import actors.memory
from actors import Heap, LimitExceeded, Process, Region, Root, freeze
from actors.keys import decode_key, encode_key, plain
from actors.limits import (
    BUCKET_ENTRIES_MAX,
    HEAP_ENTRIES_MAX,
    INLINE_BYTES_MAX,
    KEY_BYTES_MAX,
    KEY_ELEMENTS_MAX,
    KEY_INT_BYTES_MAX,
    NODE_BYTES_MAX,
    VALUE_BYTES_MAX,
    VALUE_DEPTH_MAX,
    VALUE_INT_BYTES_MAX,
)
from actors.memory import Memory
from actors.nodes import NIBBLES, PATH_NIBBLES_MAX, to_path
from actors.records import load
from actors.tree import EMPTY, Tree
from actors.values import encode
from actors.walks import kid_of
from runtime import Runtime
from runtime.difference import difference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def new_heap(values: Any = (), path: Any = ()) -> Heap:
    heap = Heap(Memory(), path)
    heap.update(values)
    return heap


# --- keys and values: at the limit, and one over -------------------------------------------------------------------


def nested(depth: int) -> Any:
    made: Any = ()
    for _ in range(depth - 1):
        made = (made,)
    return made


#: By name: what makes a key of a size, the largest size, and what the refusal says.
KEYS: dict[str, tuple[Callable[[int], Any], int, str]] = {
    "bytes of a str": (lambda n: "k" * (n - 2), KEY_BYTES_MAX, "keep a digest of it in the key"),
    "bytes of a bytes": (lambda n: b"k" * (n - 2), KEY_BYTES_MAX, "keep a digest of it in the key"),
    "bytes of two elements": (
        lambda n: ("k" * 1000, "k" * (n - 1004)),
        KEY_BYTES_MAX,
        "keep a digest of it in the key",
    ),
    "bytes, when escaped": (
        lambda n: b"\0" * 1000 + b"k" * (n - 2002),
        KEY_BYTES_MAX,
        "keep a digest of it in the key",
    ),
    "elements": (lambda n: (0,) * n, KEY_ELEMENTS_MAX, "put several of them into one"),
    "an int": (lambda n: 256**n - 1, KEY_INT_BYTES_MAX, "keep a digest of it in the key"),
    "an int below 0": (lambda n: 1 - 256**n, KEY_INT_BYTES_MAX, "keep a digest of it in the key"),
}
VALUES: dict[str, tuple[Callable[[int], Any], int, str]] = {
    "bytes": (lambda n: b"v" * (n - 5), VALUE_BYTES_MAX, "split it over keys"),
    "a str": (lambda n: "v" * (n - 5), VALUE_BYTES_MAX, "split it over keys"),
    "a str of wide characters": (
        lambda n: "é" * (n // 2 - 5) + "v" * (5 + n % 2),
        VALUE_BYTES_MAX,
        "split it over keys",
    ),
    "a tuple": (lambda n: (b"v" * (n // 2), b"v" * (n - n // 2 - 12)), VALUE_BYTES_MAX, "split it over keys"),
    "a map": (lambda n: {"k": b"v" * (n - 10)}, VALUE_BYTES_MAX, "split it over keys"),
    "depth of tuples": (nested, VALUE_DEPTH_MAX, "keep parts under keys of their own"),
    "depth of lists": (lambda n: [nested(n - 1)], VALUE_DEPTH_MAX, "keep parts under keys of their own"),
    "depth of maps": (lambda n: {"k": nested(n - 1)}, VALUE_DEPTH_MAX, "keep parts under keys of their own"),
    "bytes of an int": (lambda n: 2 ** (8 * n - 1) - 1, VALUE_INT_BYTES_MAX, "keep it as bytes"),
    "bytes of an int below 0": (lambda n: -(2 ** (8 * n - 1)), VALUE_INT_BYTES_MAX, "keep it as bytes"),
}


@pytest.mark.parametrize("name", KEYS)
def test_a_key_as_large_as_may_be_is_a_key_and_one_more_is_refused(name: str) -> None:
    make, most, mend = KEYS[name]
    key = make(most)
    heap = new_heap({key: "at the limit", "beside": 1})
    for _ in range(2):
        assert heap[key] == "at the limit" and key in heap and list(heap).count(key) == 1
        heap = Heap(Memory(heap.machine_memory.fold()))
    over, digest = make(most + 1), heap.digest()
    for ask in (heap.get, heap.pop, heap.clear, heap.region, heap.count, heap.first, lambda key: key in heap):
        with pytest.raises(LimitExceeded, match=f"over the limit of {most}; {mend}"):
            ask(over)
    for write in (heap.__setitem__, heap.setdefault, lambda key, value: heap.update({"also": 1, key: value})):
        with pytest.raises(LimitExceeded, match=f"over the limit of {most}; {mend}"):
            write(over, 2)
    with pytest.raises(LimitExceeded, match=f"over the limit of {most}; {mend}"):
        Region("prefix", high=over)
    assert heap.digest() == digest
    del heap[key]
    assert list(heap) == ["beside"]


@pytest.mark.parametrize("name", VALUES)
def test_a_value_as_large_as_may_be_is_a_value_and_one_more_is_refused(name: str) -> None:
    make, most, mend = VALUES[name]
    heap = new_heap({"beside": 1})
    heap["k", 1] = make(most)
    form = encode(heap["k", 1])
    assert len(form) == most or "depth" in name or "int" in name
    heap.machine_memory.fold()
    heap.machine_memory.cache = {}
    assert encode(heap["k", 1]) == form
    digest, over = heap.digest(), make(most + 1)
    for write in (heap.__setitem__, heap.setdefault, lambda key, value: heap.update({"also": 1, key: value})):
        with pytest.raises(LimitExceeded, match=rf"^under the key \('k', 2\): .*{mend}") as caught:
            write(("k", 2), over)
        assert len(str(caught.value)) < 400
    assert heap.digest() == digest


# --- entries -------------------------------------------------------------------------------------------------------

FULL = 60


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A heap is full with so few entries."""
    monkeypatch.setattr(actors.memory, "HEAP_ENTRIES_MAX", FULL)


def full_heap(path: Any = ("shards", 3)) -> Heap:
    return new_heap({("n", n): n for n in range(FULL)}, path)


#: Ways to have one entry more.
GROWING: dict[str, Callable[[Heap], Any]] = {
    "set": lambda heap: heap.__setitem__("more", 1),
    "setdefault": lambda heap: heap.setdefault("more", 1),
    "update": lambda heap: heap.update({("n", 3): "other", "more": 1}),
    "update of two": lambda heap: heap.update([("more", 1), (("n", 3), "other"), ("much more", 1)]),
    "mount": lambda heap: heap.__setitem__("more", heap.region("n", 1, 2)),
    "mount over less": lambda heap: heap.__setitem__(("n", 1), heap.region("n", 1, 3)),
    "mount in itself": lambda heap: heap.__setitem__(("n", 1), heap.region()),
    "update with a region": lambda heap: heap.update([(("n", 3), "other"), ("more", heap.region("n", 1, 2)), ("z", 1)]),
    "update with a region that is over": lambda heap: heap.update([("more", 1), (("n", 1), heap.region("n", 1, 2))]),
}
#: Ways to change a full heap that do not make it larger.
STAYING: dict[str, Callable[[Heap], Any]] = {
    "set again": lambda heap: heap.__setitem__(("n", 3), "other"),
    "update again": lambda heap: heap.update({("n", n): -n for n in range(FULL)}),
    "delete and set": lambda heap: (heap.pop(("n", 3)), heap.__setitem__("more", 1)),
    "clear and mount": lambda heap: (heap.clear("n", 5, 9), heap.__setitem__("more", heap.region("n", 0, 4))),
    "mount in place": lambda heap: heap.__setitem__("n", heap.region("n")),
    "mount of nothing": lambda heap: heap.__setitem__("more", heap.region("nothing")),
    "setdefault of what is there": lambda heap: heap.setdefault(("n", 3), 1),
}


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("layers", ["writes", "kept", "tree", "tree and writes", "reopened", "reverted"])
class TestAFullHeap:
    """Whatever of it is in the working set, and whatever is folded."""

    def made(self, layers: str) -> Heap:
        heap = full_heap()
        memory = heap.machine_memory
        if layers == "kept":
            memory.take_snapshot()
        elif layers == "tree":
            memory.fold()
        elif layers == "tree and writes":
            heap.clear("n", 10)
            heap.update({("n", n): n for n in range(10, FULL)})
            memory.take_snapshot()
            heap["n", 0] = "again"
        elif layers == "reopened":
            heap = Heap(Memory(memory.fold()), ("shards", 3))
        elif layers == "reverted":
            memory.take_snapshot()
            heap.clear("n")
            heap["other"] = 1
            memory.revert()
        return heap

    @pytest.mark.parametrize("how", GROWING)
    def test_takes_no_entry_more_and_says_where_and_what_to_do(self, layers: str, how: str) -> None:
        heap = self.made(layers)
        # Nothing is asked of it before, so that all stands where it was put.
        with pytest.raises(LimitExceeded) as caught:
            GROWING[how](heap)
        with pytest.raises(LimitExceeded):
            heap["again"] = 1
        said = str(caught.value)
        assert said.startswith("/shards/3: ")
        assert ("under the key" in said) == ("mount" in how or how == "update with a region")
        assert f" entries, over the limit of {FULL}; delete what is not needed, or keep a part of it in" in said
        whole = {("n", n): n for n in range(FULL)}
        assert dict(heap.items()) == (whole if layers != "tree and writes" else whole | {("n", 0): "again"})
        heap.machine_memory.fold().check()

    @pytest.mark.parametrize("how", STAYING)
    def test_can_be_changed(self, layers: str, how: str) -> None:
        heap = self.made(layers)
        STAYING[how](heap)
        assert FULL - 1 <= len(heap) <= FULL
        heap.machine_memory.fold().check()
        heap.clear("n", 0, 2)
        heap["room"] = 1
        assert heap["room"] == 1


names = st.sampled_from(["a", "b", ("a", "b"), ("b", "a"), *range(6)])
steps = st.one_of(
    st.tuples(st.just("set"), names),
    st.tuples(st.just("delete"), names),
    st.tuples(st.just("update"), st.lists(names, max_size=5)),
    st.tuples(st.just("mount"), names, names),
    st.tuples(st.just("mount all"), names),
    st.tuples(st.just("clear"), names),
    st.tuples(st.sampled_from(["fold", "take_snapshot", "revert", "snapshot"])),
)


@settings(deadline=None, max_examples=300)
@given(st.integers(0, 12), st.lists(steps, max_size=40))
def test_a_write_is_refused_where_a_plain_dict_would_be_too_large_and_nowhere_else(
    most: int, made: list[tuple[Any, ...]]
) -> None:
    def below(model: dict[Any, Any], prefix: Any) -> dict[Any, Any]:
        size = len(prefix)
        return {key[size:]: value for key, value in model.items() if key[:size] == prefix}

    def without(model: dict[Any, Any], prefix: Any) -> dict[Any, Any]:
        return {key: value for key, value in model.items() if key[: len(prefix)] != prefix}

    def whole(key: Any) -> Any:
        return key if isinstance(key, tuple) else (key,)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(actors.memory, "HEAP_ENTRIES_MAX", most)
        heap = new_heap()
        model: dict[Any, Any] = {}
        snapshot: dict[Any, Any] = {}
        for number, (what, *rest) in enumerate(made):
            wanted = dict(model)
            act: Callable[[], Any]
            if what == "set":
                wanted[whole(rest[0])] = number
                act = lambda: heap.__setitem__(rest[0], number)  # noqa: B023, E731
            elif what == "update":
                wanted |= {whole(key): number for key in rest[0]}
                act = lambda: heap.update([(key, number) for key in rest[0]])  # noqa: B023, E731
            elif what == "delete":
                wanted.pop(whole(rest[0]), None)
                act = lambda: heap.pop(rest[0], None)  # noqa: B023, E731
            elif what in ("mount", "mount all"):
                source = whole(rest[1]) if what == "mount" else ()
                if any(len(key) > 12 for key in model):
                    continue
                wanted = without(model, whole(rest[0]))
                wanted |= {whole(rest[0]) + key: value for key, value in below(model, source).items()}
                act = lambda: heap.__setitem__(rest[0], heap.region(source))  # noqa: B023, E731
            elif what == "clear":
                wanted = without(model, whole(rest[0]))
                act = lambda: heap.clear(rest[0])  # noqa: B023, E731
            else:
                if what == "take_snapshot":
                    snapshot = dict(model)
                elif what == "revert":
                    wanted = dict(snapshot)
                act = getattr(heap.machine_memory, what)
            if len(wanted) > most:
                with pytest.raises(LimitExceeded, match=f"would have {len(wanted)} entries, over the limit of {most};"):
                    act()
            else:
                act()
                model = wanted
            if number % 3 == 0:
                assert {whole(key): value for key, value in heap.items()} == model
        assert {whole(key): value for key, value in heap.items()} == model


def test_the_largest_nodes_that_the_limits_allow_fit_a_record() -> None:
    path, cell = PATH_NIBBLES_MAX // 2 + 4, INLINE_BYTES_MAX + 2
    assert BUCKET_ENTRIES_MAX * (path + cell + 6) + 2 <= NODE_BYTES_MAX
    assert NIBBLES * (path + 6 + 32 + 6) + cell + 16 <= NODE_BYTES_MAX
    assert VALUE_BYTES_MAX <= NODE_BYTES_MAX


# --- entries, in the machine ---------------------------------------------------------------------------------------


class Sink(Process):
    """Holds what it is given, and adds to it what it is told to."""

    async def run(self) -> None:
        for n in range(self.heap.get("more", 0)):
            self.heap["added", n] = n
        for n in range(self.heap.get("fewer", 0)):
            del self.heap["held", n]


#: By name: what a root does that has a heap of FULL - 5 entries, 5 of them behind "own", and a child "sink" with FULL - 5
#: entries behind "held"; what it says where it is refused begins so. None: it fits exactly.
CALLS: dict[str, tuple[Callable[[Any], Any], str | None]] = {
    "put: values": (lambda self: self.put("sink", {("new", n): n for n in range(5)}), None),
    "put: one value too many": (lambda self: self.put("sink", {("new", n): n for n in range(6)}), "/sink: "),
    "put: values that are there": (lambda self: self.put("sink", {("held", n): -n for n in range(FULL - 5)}), None),
    "put: a region": (lambda self: self.put("sink", {"new": self.heap.region("own")}), None),
    "put: a region and a value": (lambda self: self.put("sink", {"new": self.heap.region("own"), "x": 1}), "/sink: "),
    "put: a value and a region": (lambda self: self.put("sink", {"x": 1, "new": self.heap.region("own")}), "/sink: "),
    "put: two regions": (
        lambda self: self.put("sink", {name: self.heap.region("own") for name in "ab"}, start=True),
        "/sink: ",
    ),
    "put: with enough deleted": (
        lambda self: self.put("sink", {name: self.heap.region("own") for name in "ab"}, delete=[Region("held", 0, 5)]),
        None,
    ),
    "put: with a key too few deleted": (
        lambda self: self.put("sink", {n: n for n in range(9)}, delete=[("held", n) for n in range(3)]),
        "/sink: ",
    ),
    "put: with just as many keys deleted": (
        lambda self: self.put("sink", {n: n for n in range(9)}, delete=[("held", n) for n in range(4)]),
        None,
    ),
    "put: a new child": (lambda self: self.put("new", {n: n for n in range(FULL)}), None),
    "put: a new child, over": (lambda self: self.put("new", {n: n for n in range(FULL + 1)}, program=Sink), "/new: "),
    "put: a fork": (lambda self: self.put("new", self.heap), None),
    "mount of what was got": (lambda self: mount(self, Region("held", 0, 5)), None),
    "mount of too much that was got": (lambda self: mount(self, Region("held", 0, 6)), "/: under the key 'got': "),
    "merge": (lambda self: merged(self, {"more": 5}), None),
    "merge of too much": (lambda self: merged(self, {"more": 6}), "merge into /: "),
    "merge of a region": (lambda self: merged(self, {"more": 6}, region=Region("added", 0, 5)), None),
    "merge of more that deletes as well": (lambda self: merged(self, {"more": 7, "fewer": 2}), None),
}


async def mount(self: Any, region: Region) -> None:
    self.heap["got"] = await self.get("sink", region)


async def merged(self: Any, told: dict[str, int], region: Any = ()) -> None:
    """Merge the changes of a child that began as a fork of what is held here."""
    await self.put("fork", {"held": self.heap.region("held"), **told}, program=Sink, start=True)
    changes = await self.get("fork")
    assert len(changes) == told["more"] + told.get("fewer", 0)
    await self.merge("fork", region=region)


class Caller(Root):
    """Makes the call that it is told to make, in a state that is as large before it as after it if it is refused."""

    async def run(self) -> Any:
        name = self.heap.pop(("block", "name"))
        if name == "prepare":
            held = {("held", n): n for n in range(FULL - 5)}
            await self.put("sink", held, program=Sink)
            self.heap.update({("held", n): n for n in range(FULL - 10)} | {("own", n): n for n in range(5)})
            return None
        call, _ = CALLS[name]
        try:
            await call(self)
        except LimitExceeded as error:
            return str(error)
        return None


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("reopened", [False, True])
async def test_a_call_that_would_make_a_heap_too_large_is_refused_and_changes_nothing(
    name: str, reopened: bool, tmp_path: Path
) -> None:
    _, refused = CALLS[name]
    async with Runtime(Caller, tmp_path / "a.db") as rt:
        await rt.advance({"name": "prepare"})
        before = {view.path: dict(view.heap.items()) for view in rt.state().walk()}
        assert [len(heap) for heap in before.values()] == [FULL - 5, FULL - 5]
        if not reopened:
            said = (await rt.advance({"name": name})).data
    if reopened:
        async with Runtime(Caller, tmp_path / "a.db") as rt:
            said = (await rt.advance({"name": name})).data
    async with Runtime(Caller, tmp_path / "a.db") as rt:
        behind = {view.path: dict(view.heap.items()) for view in rt.state().walk() if view.path != ("fork",)}
        assert max(len(heap) for heap in behind.values()) <= FULL
        assert (behind == before) == (refused is not None)
        if refused is None:
            assert said is None
        else:
            over = FULL + 5 if name == "put: two regions" else FULL + 1
            assert said.startswith(f"{refused}the heap would have {over} entries, over the limit of {FULL}; delete")
        assert await rt.verify() == 2


@pytest.mark.usefixtures("few")
async def test_a_genesis_and_an_input_that_do_not_fit_are_refused_and_the_head_stays(tmp_path: Path) -> None:
    async with Runtime(Idle, tmp_path / "a.db", genesis={("n", n): n for n in range(FULL - 5)}) as rt:
        assert (await rt.advance({n: n for n in range(5)})).data == FULL
        root = rt.head.state_root
        for _ in range(2):
            with pytest.raises(
                LimitExceeded, match=rf"^the block's input, /: the heap would have {FULL + 1} entries, over"
            ):
                await rt.advance({n: n for n in range(6)})
            assert (rt.head.number, rt.state().digest(), len(rt.state().heap)) == (1, root, FULL)
        assert (await rt.advance({n: n for n in range(4)})).data == FULL - 1
        assert (await rt.advance("a bare value")).data == FULL - 4
        assert await rt.verify() == 3
    over = {("n", n): n for n in range(FULL + 1)}
    for genesis in (over, {"region": new_heap_beyond(over).region()}):
        with pytest.raises(
            LimitExceeded, match=rf"^the genesis of /: the heap would have {FULL + 1} entries, over the limit"
        ):
            async with Runtime(Idle, tmp_path / "b.db", genesis=genesis):
                pass
        async with Runtime(Idle, tmp_path / "b.db") as rt:
            assert (rt.head.number, len(rt.state().heap)) == (0, 0)
        (tmp_path / "b.db").unlink()


class Starter(Root):
    """Fills a child and starts it, and puts more into it in the same block, before any of it is in a tree."""

    async def run(self) -> Any:
        await self.put("c", {n: n for n in range(FULL)}, program=Sink, start=True)
        said = []
        for values in ({"x": 1}, {3: "other", "x": 1, 4: "other"}, {3: "other"}):
            try:
                await self.put("c", values)
            except LimitExceeded:
                said.append("refused")
            said.append(await self.get("c", 3))
        return said, len(await self.get("c", Region()))


@pytest.mark.usefixtures("few")
async def test_a_child_that_is_full_since_its_start_takes_no_value_more() -> None:
    async with Runtime(Starter) as rt:
        assert freeze((await rt.advance()).data) == (freeze(["refused", 3, "refused", 3, "other"]), FULL)


class Idle(Root):
    async def run(self) -> int:
        return len(self.heap)


def new_heap_beyond(values: Any) -> Heap:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(actors.memory, "HEAP_ENTRIES_MAX", HEAP_ENTRIES_MAX)
        return new_heap(values)


@pytest.mark.usefixtures("few")
async def test_a_full_heap_goes_on_in_the_middle_of_a_run_and_is_restored_there(tmp_path: Path) -> None:
    """A refusal follows from the entries alone: a replay, on whatever layers, is refused at the same place."""
    async with Runtime(Filler, tmp_path / "a.db", forget=True) as rt:
        counts = [(await rt.advance({"n": n})).data for n in range(6)]
    assert counts == [("ok", 21), ("ok", 41), ("refused", FULL), ("ok", 2), ("ok", 22), ("ok", 42)]
    async with Runtime(Filler, tmp_path / "a.db") as rt:
        assert (await rt.advance({"n": 6})).data == ("refused", FULL)
        assert await rt.verify() == 7


class Filler(Root):
    async def run(self) -> None:
        while True:
            said = "ok"
            n = self.heap["block", "n"]
            if self.heap.count("n") > FULL - 10:
                self.heap.clear("n")
                self.heap["again"] = 1
            else:
                try:
                    for i in range(20):
                        self.heap["n", n, i] = i
                        self.heap.count()
                except LimitExceeded:
                    said = "refused"
            await self.snapshot((said, len(self.heap)))


# --- entries of a tree, and of a state -----------------------------------------------------------------------------


def test_a_tree_of_more_entries_than_a_node_can_say_is_refused_and_the_one_before_it_is_whole() -> None:
    most = 2**48 - 1
    assert most > HEAP_ENTRIES_MAX
    tree = EMPTY.update((bytes([n]), b"v") for n in range(64))
    while 2 * len(tree) <= most:
        tree = EMPTY.graft(b"l", tree).graft(b"r", tree)
    assert len(tree) == 2**47
    whole = tree.graft(b"more", tree.cut(None, b"m")).graft(b"most", tree.cut(None, b"lr"))
    assert len(whole) == 2**47 + 2**46 + 2**45
    digest = whole.digest()
    for over in (
        lambda: whole.graft(b"z", tree),
        lambda: tree.graft(b"m", tree),
        lambda: EMPTY.graft_all({b"1": tree, b"2": tree}),
    ):
        with pytest.raises(
            LimitExceeded, match=rf"there would be \d+ entries below one key, over the limit of {most}; mount"
        ):
            over()
    assert whole.digest() == digest
    assert len(whole.cut(b"m", None)) == 2**47 + 2**45


class Hoarder(Root):
    """Gives each child a heap of as many entries as there may be, by reference."""

    async def run(self) -> int:
        if not self.heap.count("all"):
            self.heap["all"] = 1
            for _ in range(self.heap["block", "doublings"]):
                whole = self.heap.region("all")
                self.heap.clear("all")
                self.heap.update([(("all", n), whole) for n in range(2)])
        for n in range(*self.heap["block", "children"]):
            await self.put(n, {"mine": self.heap.region("all")}, program=Sink)
        return self.heap.count("all")


async def test_a_state_of_more_entries_than_can_be_said_fails_its_block_and_the_head_stays(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Every heap is within its limit; it is their sum that a state root could not tell."""
    monkeypatch.setattr("actors.nodes._COUNT_MAX", 50 * 512 + 300)
    async with Runtime(Hoarder, tmp_path / "a.db") as rt:
        assert (await rt.advance({"doublings": 9, "children": (0, 40)})).data == 512
        before = rt.state().digest()
        with pytest.raises(
            LimitExceeded, match=r"there would be \d+ entries below one key, over the limit of 25900; mount a"
        ):
            await rt.advance({"children": (40, 60)})
        assert (rt.head.number, rt.state().digest()) == (1, before)
        assert (await rt.advance({"children": (40, 47)})).data == 512
        assert await rt.verify() == 2


# --- large things --------------------------------------------------------------------------------------------------

LARGE = 16 * 1024 * 1024


class Keep(Root):
    async def run(self) -> None:
        self.heap.update(self.heap["block", "set"])
        for key in self.heap["block", "delete"]:
            del self.heap[key]
        self.heap.clear("block")


def large(kind: str, seed: int) -> Any:
    block = bytes((7 * n + seed) % 251 for n in range(1024))
    if kind == "bytes":
        return block * (LARGE // 1024)
    if kind == "str":
        return (f"é{seed}" + "v" * 1021) * (LARGE // 1024)
    return tuple([block * 64] * (LARGE // 65_536 - 1))


@pytest.mark.parametrize("kind", ["bytes", "str", "tuple"])
async def test_a_value_of_sixteen_mebibytes_goes_through_heap_commit_and_reopening(kind: str, tmp_path: Path) -> None:
    one, other = large(kind, 1), large(kind, 2)
    assert one != other and len(encode(one)) > LARGE - 70_000
    async with Runtime(Keep, tmp_path / "a.db", genesis={"k": one}) as rt:
        await rt.advance({"set": {("deep", n): n for n in range(100)}, "delete": []})
        await rt.advance({"set": {("deep", 7): other}, "delete": ["k"]})
    async with Runtime(Keep, tmp_path / "a.db") as rt:
        assert rt.state(1).heap["k"] == one == rt.state(0).heap.first()[1]
        heap = rt.state().heap
        assert heap["deep", 7] == other and "k" not in heap and heap.count("deep") == 100
        await rt.revert(1)
        again = await rt.advance({"set": {("deep", 7): other}, "delete": ["k"]})
        assert rt.state(again).heap.digest() == heap.digest()


async def test_thousands_of_keys_that_share_a_thousand_bytes_do_not_keep_them_each(tmp_path: Path) -> None:
    shared = "p" * 500, b"q" * 495
    keys = [(*shared, n) for n in range(3000)]
    model: dict[Any, Any] = {key: n for n, key in enumerate(keys)} | {("p" * 500,): "own", ("p" * 501, 1): "beside"}
    async with Runtime(Keep, tmp_path / "a.db", genesis=model) as rt:
        assert rt.state().heap.digest() == digest_of(model)
    assert (tmp_path / "a.db").stat().st_size < 500 * len(keys)
    some = random.Random(1).sample(keys, 900)
    changed = dict.fromkeys(some[:500], "changed")
    async with Runtime(Keep, tmp_path / "a.db") as rt:
        await rt.advance({"set": changed, "delete": some[500:]})
        old = rt.state(0).heap.machine_tree
        assert [(plain(decode_key(key))) for key, _, _ in old.difference(rt.state().heap.machine_tree)] == sorted(some)
    model = {key: value for key, value in (model | changed).items() if key not in set(some[500:])}
    async with Runtime(Keep, tmp_path / "a.db") as rt:
        heap = rt.state().heap
        assert heap.digest() == digest_of(model)
        inside = {key[2]: value for key, value in model.items() if key[:2] == shared}
        assert list(heap.items(shared)) == sorted(inside.items())
        assert heap.count(shared) == len(inside)
        at = sorted(inside)
        assert [heap.first(shared, 700)[0], heap.last(shared, high=700)[0]] == [
            next(n for n in at if n >= 700),
            next(n for n in reversed(at) if n < 700),
        ]


def digest_of(model: dict[Any, Any]) -> bytes:
    return EMPTY.update((encode_key(key), encode(freeze(value))) for key, value in model.items()).digest()


# --- the deepest tree ----------------------------------------------------------------------------------------------


def deepest(size: int) -> dict[bytes, int]:
    """Keys of up to `size` bytes of which two part ways at every nibble of the longest: a branch at each of them."""
    body = b"\x22"
    keys = [body * n + last for n in range(size) for last in (b"\x23", b"\x32")]
    return {key: n for n, key in enumerate([*keys, body * size])}


STACK = 1_000
#: A tree deeper than Python's own stack, in either case.
SIZES = [600, pytest.param(KEY_BYTES_MAX - 5, marks=pytest.mark.long)]


@pytest.fixture
def small_stack() -> Iterator[None]:
    """Python's own limit of recursion, which some packages raise where they are imported."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(STACK)
    yield
    sys.setrecursionlimit(before)


def depth(tree: Tree, key: bytes) -> int:
    """How many nodes stand between the top and a key's own, both included."""
    found, node, label, path = 1, tree.node, tree.label, to_path(key)
    while node is not None and load(node).kids is not None:
        path = path[len(label) :]
        label = node.labels.get(path[0], b"")
        node, path, found = kid_of(node, path[0])[1], path[1:], found + 1
    return found


@pytest.mark.usefixtures("small_stack")
@pytest.mark.parametrize("size", SIZES)
def test_the_deepest_tree_is_written_read_cut_and_compared(size: int) -> None:
    model = {encode_key(key): encode(n) for key, n in deepest(size).items()}
    order = sorted(model)
    rng = random.Random(size)
    shuffled = rng.sample(order, len(order))
    tree = EMPTY.update(model.items())
    longest = max(order, key=len)
    assert depth(tree, longest) > 2 * size - BUCKET_ENTRIES_MAX > STACK
    tree.check()
    digest = tree.digest()
    half = len(order) // 2
    assert (
        EMPTY.update((key, model[key]) for key in shuffled[:half])
        .update((key, model[key]) for key in shuffled[half:])
        .digest()
        == digest
    )
    assert [key for key, _ in tree.entries()] == order
    assert [key for key, _ in tree.entries(reverse=True)] == order[::-1]
    for key in [longest, order[0], order[-1], *shuffled[:20]]:
        assert tree.get(key) == model[key]
        assert tree.get(key + b"\0") is tree.get(key[:-1]) is None
        at = order.index(key)
        assert [found for found, _ in islice(tree.entries(key), 3)] == order[at : at + 3]
        assert [found for found, _ in islice(tree.entries(None, key, reverse=True), 3)] == order[:at][::-1][:3]
        below, above = tree.cut(None, key), tree.cut(key, None)
        assert (len(below), len(above)) == (at, len(order) - at)
        assert below.join(above).digest() == digest
    for key in (longest, longest[: size // 2] + b"\x23\0", order[0]):
        changed = tree.update([(key, encode("changed"))])
        assert list(tree.difference(changed)) == [(key, tree.cell(key), changed.cell(key))]
        assert changed.digest() != digest
        assert changed.update([(key, model[key])]).digest() == digest
        gone = tree.update([(key, None)])
        assert list(tree.difference(gone)) == [(key, tree.cell(key), None)]
        assert gone.digest() == EMPTY.update((one, form) for one, form in model.items() if one != key).digest()
        assert gone.update([(key, model[key])]).digest() == digest
    for prefix in (longest[: size // 3], longest[:-15], longest[:-1], longest):
        part = tree.extract(prefix)
        assert [key for key, _ in part.entries()] == [key[len(prefix) :] for key in order if key.startswith(prefix)]
        without = tree.graft(prefix, EMPTY)
        assert [key for key, _ in without.entries()] == [key for key in order if not key.startswith(prefix)]
        assert without.graft(prefix, part).digest() == digest
        assert EMPTY.graft(prefix, part).extract(prefix).digest() == part.digest()
    rest = set(shuffled[half:])
    few = tree.update((key, None) for key in shuffled[:half])
    few.check()
    assert few.digest() == EMPTY.update((key, model[key]) for key in rest).digest()
    assert sum(1 for _ in few.difference(tree)) == half
    assert few.update((key, None) for key in rest).node is None


class Deep(Root):
    """Changes the end of the longest path, here and in a fork, and merges the two."""

    async def run(self) -> Any:
        longest = self.heap["block", "longest"]
        self.heap.clear("block")
        await self.put("fork", {"d": self.heap.region("d"), "longest": longest}, program=Shortener, start=True)
        self.heap["d", longest] = "changed"
        changes = await self.get("fork")
        await self.merge("fork", region="d")
        return len(changes), self.heap.count("d"), self.heap.last("d")[0], self.heap.first("d", longest)[0]


class Shortener(Process):
    async def run(self) -> None:
        longest = self.heap.pop("longest")
        del self.heap["d", longest[:-1] + b"\x23"]
        self.heap["d", longest[:-1] + b"\x24"] = "new"


@pytest.mark.usefixtures("small_stack")
@pytest.mark.parametrize("size", SIZES)
async def test_the_deepest_heap_is_forked_merged_committed_and_read_back(size: int, tmp_path: Path) -> None:
    model: dict[Any, Any] = {("d", key): n for key, n in deepest(size).items()}
    longest = b"\x22" * size
    async with Runtime(Deep, tmp_path / "a.db", genesis=model) as rt:
        block = await rt.advance({"longest": longest})
        assert block.data == (3, len(model), b"\x32", longest)
    behind = {key: value for key, value in model.items() if key != ("d", longest[:-1] + b"\x23")}
    behind |= {("d", longest): "changed", ("d", longest[:-1] + b"\x24"): "new"}
    async with Runtime(Deep, tmp_path / "a.db") as rt:
        heap = rt.state().heap
        assert heap["d", longest] == "changed"
        assert heap.count("d", high=longest) == sorted(key for _, key in behind).index(longest)
        assert dict(heap.items()) == behind and list(heap) == sorted(behind)
        assert heap.digest() == digest_of(behind)
        assert dict(rt.state(0).heap.items()) == model
        top, fork = difference(rt.state(0)._state, rt.state(1)._state)
        assert (top.path, fork.path, fork.kind) == ((), ("fork",), "added")
        assert [one.key for one in top.keys] == [
            ("d", key) for key in sorted((longest, longest[:-1] + b"\x23", longest[:-1] + b"\x24"))
        ]
        assert await rt.verify() == 1
        await rt.revert(0)
        assert (await rt.advance({"longest": longest})).state_root == block.state_root
