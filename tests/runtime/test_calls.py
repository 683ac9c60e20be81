"""The contract (DESIGN.md, "System calls" to "What is kept"), clause by clause: each test quotes the one that it shows.

Programs are written as functions: `@root` and `@process` make a class of a function of one parameter, `self`.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import traceback
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

import runtime
from actors import (
    ABSENT,
    BlockFailed,
    CallRefused,
    ChildFailed,
    ForeignAwait,
    InputError,
    KeyRefused,
    LimitExceeded,
    LockstepError,
    MergeConflict,
    MissingKey,
    NoSuchChild,
    Process,
    ProgramError,
    Region,
    Root,
    StoreMismatch,
    Trap,
    TrapKind,
    ValueRefused,
    add,
)
from actors.limits import NAMES_SHOWN_MAX, PROCESS_DEPTH_MAX
from runtime.events import Input
from runtime.kernel import Kernel
from runtime.stepper import Shuffle, Stepper

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Iterable
    from pathlib import Path


def program(base: type[Process], run: Callable[..., Any], **more: Any) -> Any:
    space = {"run": run, "__module__": run.__module__, "__qualname__": run.__qualname__, **more}
    return type(run.__name__, (base,), space)


def process(run: Callable[..., Any]) -> type[Process]:
    return program(Process, run)


def root(run: Callable[..., Any]) -> type[Root]:
    return program(Root, run)


async def data_of(top: type[Root], *inputs: Any, **how: Any) -> Any:
    """Run a root for one block, or one for each input, verify them, and return the last block's data."""
    async with runtime.Runtime(top, **how) as rt:
        for one in inputs or ({},):
            block = await rt.advance(one)
        assert await rt.verify() == rt.head.number
        return block.data


class LeftOpen(runtime.MemoryStore):
    """A store that can be read behind its Runtime."""

    def close(self) -> None:
        pass


async def state_of(top: type[Root], *inputs: Any, **how: Any) -> runtime.ProcessView:
    async with runtime.Runtime(top, LeftOpen(), **how) as rt:
        for one in inputs or ({},):
            await rt.advance(one)
        return rt.state()


def content(view: Any) -> dict[Any, Any]:
    return dict(view.heap.items())


@process
async def idle(self):
    pass


@process
async def double(self):
    self.heap["y"] = 2 * self.heap["x"]


@process
async def failing(self):
    self.heap["done"] = True
    raise ValueError("only people see this")


@process
async def asking(self):
    """Counts its returns, and keeps what the parent put at each."""
    for turn in range(100):
        self.heap["turn"] = turn
        changes = await self.ret()
        self.heap["told"] = tuple(changes)


# --- PUT -----------------------------------------------------------------------------------------------------------


async def test_put_deletes_keys_and_regions_before_it_copies_values() -> None:
    """PUT in this order: … set its program … → delete keys and regions → copy values → on `start` …"""

    @root
    async def top(self):
        await self.put("c", {"a": 1, "b": 1, ("r", 1): 1, ("r", 2): 1, "kept": 1})
        await self.put("c", {"a": 2, ("r", 3): 2}, delete=["a", "b", "never there", Region("r"), Region("none")])

    assert content((await state_of(top)).at("/c")) == {"a": 2, ("r", 3): 2, "kept": 1}


async def test_put_deletes_a_key_range_of_a_region_alone() -> None:
    """delete keys and regions: `Region(prefix, low, high)` names a region"""

    @root
    async def top(self):
        await self.put("c", {("r", n): n for n in range(6)} | {"r": "itself", "s": 0})
        await self.put("c", delete=[Region("r", low=2, high=4)])

    assert content((await state_of(top)).at("/c")) == {
        "r": "itself",
        "s": 0,
        ("r", 0): 0,
        ("r", 1): 1,
        ("r", 4): 4,
        ("r", 5): 5,
    }


async def test_put_waits_for_a_running_child_before_it_changes_it() -> None:
    """find the child, or create it → wait until it is stopped"""

    @root
    async def top(self):
        await self.put("c", {"x": 1}, program=double, start=True)
        await self.put("c", {"x": 10})
        return await self.get("c", "x", "y")

    assert await data_of(top) == (10, 2)


async def test_put_takes_the_snapshot_behind_what_it_copied() -> None:
    """on `start`: take the child's snapshot …, set it running; GET: in what the child's heap differs from it"""

    @root
    async def top(self):
        await self.put("c", {"x": 4}, program=double, start=True)
        return tuple(change.key for change in await self.get("c"))

    assert await data_of(top) == ("y",)


async def test_a_new_program_begins_at_the_top_of_run() -> None:
    """set its program (which resets its control state to the top of `run`)"""

    @root
    async def top(self):
        await self.put("c", program=asking, start=True)
        await self.put("c", start=True)
        before = await self.get("c", "turn")
        await self.put("c", program=asking)
        trap = await self.status("c")
        await self.put("c", start=True)
        return before, trap.kind.name, trap.middle, await self.get("c", "turn")

    assert await data_of(top) == (1, "NEW", False, 0)


async def test_a_new_program_ends_the_failure_of_the_one_before() -> None:
    """set its program (which resets its control state …)"""

    @root
    async def top(self):
        await self.put("c", {"x": 1}, program=failing, start=True)
        assert (await self.status("c")).failed
        await self.put("c", program=double)
        return (await self.status("c")).kind.name, await self.get("c", "x")

    assert await data_of(top) == ("NEW", 1)


async def test_put_with_nothing_but_the_name_only_waits() -> None:
    """PUT with nothing but the name only waits."""

    def top(wait: Any) -> type[Root]:
        @root
        async def top(self):
            await self.put("c", {"x": 1}, program=double, start=True)
            await wait(self)

        return top

    put = await state_of(top(lambda self: self.put("c")))
    status = await state_of(top(lambda self: self.status("c")))
    assert content(put.at("/c")) == {"x": 1, "y": 2}
    assert not put.at("/c").pending
    assert put.at("/c").digest() == status.at("/c").digest()


async def test_put_creates_a_child_without_a_program_that_has_nothing_but_its_values() -> None:
    """find the child, or create it"""

    @root
    async def top(self):
        await self.put("empty")
        await self.put("c", {"x": 1})
        return (await self.status("c")).kind.name, await self.get("c", "x"), len(await self.get("c"))

    view = await state_of(top)
    assert list(view.children) == ["c", "empty"]
    assert view.at("/c").program is None
    assert await data_of(top) == ("NEW", 1, 1)


async def test_a_start_without_a_program_is_refused_and_creates_nothing() -> None:
    """Every check comes before any effect."""

    @root
    async def top(self):
        with pytest.raises(ProgramError, match=r"^/c has no program to start; pass program="):
            await self.put("c", {"x": 1}, start=True)

    assert not (await state_of(top)).children


async def test_a_region_is_mounted_in_the_child_under_the_key() -> None:
    """A value may be a region of the parent's heap …; it is mounted under the given key by reference."""

    @root
    async def top(self):
        self.heap.update({("accounts", n): n for n in range(9)})
        await self.put("c", {("mine", 99): "gone", "mine": self.heap.region("accounts", low=3, high=6), ("mine", 7): 7})

    assert content((await state_of(top)).at("/c")) == {("mine", 3): 3, ("mine", 4): 4, ("mine", 5): 5, ("mine", 7): 7}


async def test_a_region_for_values_makes_the_child_a_fork() -> None:
    """`values` may itself be a region: a whole heap, say, which makes the child a fork."""

    @root
    async def top(self):
        self.heap.update({("accounts", n): n for n in range(50)})
        await self.put("c", {"before": 1})
        await self.put("c", self.heap.region())
        await self.put("d", self.heap)
        self.heap["accounts", 0] = "only here"

    view = await state_of(top)
    assert content(view.at("/c")) == {("accounts", n): n for n in range(50)}
    assert content(view.at("/d")) == content(view.at("/c"))


class CountingStore(runtime.MemoryStore):
    """Counts the nodes that are read and written."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.writes = 0

    def read_node(self, number: int) -> bytes:
        self.reads += 1
        return super().read_node(number)

    def commit(self, commit: Any) -> None:
        self.writes += len(commit.nodes)
        super().commit(commit)


async def cost_of_the_last(top: type[Root], *inputs: Any) -> tuple[int, int]:
    """Return the reads and writes of the last of some blocks, all processes and nodes forgotten before it."""
    store = CountingStore()
    async with runtime.Runtime(top, store) as rt:
        for one in inputs[:-1]:
            await rt.advance(one)
        await rt.revert(rt.head)
        store.reads = store.writes = 0
        await rt.advance(inputs[-1])
        return store.reads, store.writes


@root
async def forking(self):
    step = self.heap["block", "step"]
    if step == "fill":
        self.heap.update({("accounts", n): n for n in range(self.heap["block", "size"])})
    elif step == "fork":
        await self.put("c", {"accounts": self.heap.region("accounts")})


async def test_a_fork_costs_a_reference_whatever_its_size() -> None:
    """a snapshot and a fork are O(1)"""
    small = await cost_of_the_last(forking, {"step": "fill", "size": 500}, {"step": "fork"})
    large = await cost_of_the_last(forking, {"step": "fill", "size": 50_000}, {"step": "fork"})
    assert large[0] <= small[0] + 12
    assert large[1] <= small[1] + 12


# --- refused calls -------------------------------------------------------------------------------------------------


class NotAProgram:
    async def run(self):
        pass


class Runless(Process):
    pass


class NotAsync(Process):
    def run(self):
        pass


class Yielding(Process):
    async def run(self):
        yield 1


class AnotherRoot(Root):
    async def run(self):
        pass


_REFUSED: dict[str, tuple[type[Exception], Callable[[Process], Any]]] = {
    "put: a name that is a bool": (KeyRefused, lambda self: self.put(True)),
    "put: a name that is None": (KeyRefused, lambda self: self.put(None)),
    "put: a name that is a tuple": (KeyRefused, lambda self: self.put(("a", 1))),
    "put: values that are a list": (CallRefused, lambda self: self.put("new", [1, 2])),
    "put: a value of no kind": (ValueRefused, lambda self: self.put("c", {"good": 1, "bad": object()})),
    "put: a key of no kind": (KeyRefused, lambda self: self.put("c", {"good": 1, 1.5: 1})),
    "put: too long a key": (LimitExceeded, lambda self: self.put("c", {"good": 1, "k" * 5000: 1})),
    "put: an instance for a program": (ProgramError, lambda self: self.put("c", {"x": 1}, program=Runless())),
    "put: a class without run": (ProgramError, lambda self: self.put("c", {"x": 1}, program=Runless)),
    "put: a run that is not async": (ProgramError, lambda self: self.put("c", {"x": 1}, program=NotAsync)),
    "put: a run that yields": (ProgramError, lambda self: self.put("c", {"x": 1}, program=Yielding)),
    "put: a class that is no Process": (ProgramError, lambda self: self.put("c", {"x": 1}, program=NotAProgram)),
    "put: a Root": (ProgramError, lambda self: self.put("c", {"x": 1}, program=AnotherRoot)),
    "put: a name for a program": (ProgramError, lambda self: self.put("c", {"x": 1}, program="idle")),
    "put: a start without a program": (ProgramError, lambda self: self.put("new", {"x": 1}, start=True)),
    "put: gas without a start": (CallRefused, lambda self: self.put("c", {"x": 1}, gas=1)),
    "put: gas below 0": (CallRefused, lambda self: self.put("c", {"x": 1}, start=True, gas=-1)),
    "put: gas that is a bool": (CallRefused, lambda self: self.put("c", {"x": 1}, start=True, gas=True)),
    "put: gas that is a float": (CallRefused, lambda self: self.put("c", {"x": 1}, start=True, gas=1.5)),
    "put: a key to delete, not in a list": (CallRefused, lambda self: self.put("c", {"x": 1}, delete="x")),
    "put: a region to delete, not in a list": (CallRefused, lambda self: self.put("c", delete=Region("x"))),
    "put: a key to delete of no kind": (KeyRefused, lambda self: self.put("c", {"x": 1}, delete=["x", None])),
    "get: no such child": (NoSuchChild, lambda self: self.get("new", "x")),
    "get: no such child, for its changes": (NoSuchChild, lambda self: self.get("new")),
    "get: a name of no kind": (KeyRefused, lambda self: self.get(1.5)),
    "get: a key of no kind": (KeyRefused, lambda self: self.get("c", 1.5)),
    "get: a key that is not there": (MissingKey, lambda self: self.get("c", "kept", "none")),
    "status: no such child": (NoSuchChild, lambda self: self.status("new")),
    "drop: no such child": (NoSuchChild, lambda self: self.drop("new")),
    "drop: a name of no kind": (KeyRefused, lambda self: self.drop(None)),
    "merge: no such child": (NoSuchChild, lambda self: self.merge("new")),
    "merge: no function to resolve with": (CallRefused, lambda self: self.merge("c", resolve="theirs")),
    "merge: no function for a key": (CallRefused, lambda self: self.merge("c", resolve={"kept": 1})),
    "merge: a conflict": (MergeConflict, lambda self: self.merge("c")),
    "merge: a resolver's value of no kind": (ValueRefused, lambda self: self.merge("c", resolve=lambda *_: object())),
    "ret: the root": (CallRefused, lambda self: self.ret()),
    "snapshot: data of no kind": (ValueRefused, lambda self: self.snapshot(object())),
    "snapshot: a region of no kind": (KeyRefused, lambda self: self.snapshot(1, region=1.5)),
}


@pytest.mark.parametrize("what", _REFUSED)
async def test_a_refused_call_changes_nothing(what: str) -> None:
    """Every check comes before any effect. A call that is refused changes nothing."""
    error, call = _REFUSED[what]

    def top(calls: bool) -> type[Root]:
        @root
        async def top(self):
            self.heap.update({"kept": "mine", "a": 0})
            await self.put("c", {"a": 1, "zz": 1}, program=double)
            await self.put("c", {"kept": 1, "x": 3}, program=asking, start=True)
            await self.put("c", {"kept": 2})
            if calls:
                with pytest.raises(error):
                    await call(self)
            await self.status("c")

        return top

    assert (await state_of(top(True))).digest() == (await state_of(top(False))).digest()


async def test_snapshot_outside_the_root_is_refused() -> None:
    """SNAPSHOT …, the root's alone"""

    @process
    async def child(self):
        self.heap["before"] = 1
        try:
            await self.snapshot({"data": 1})
        except CallRefused as error:
            self.heap["said"] = str(error)

    @root
    async def top(self):
        await self.put("c", program=child, start=True)
        return await self.get("c", "said")

    assert (await data_of(top)).startswith("snapshot: /c is not the root, and only the root closes a block")


@pytest.mark.parametrize("bad", [Runless, NotAsync, Yielding, NotAProgram, Runless(), None, "top", double])
def test_a_runtime_takes_a_root_program_alone(bad: Any) -> None:
    with pytest.raises(ProgramError):
        runtime.Runtime(bad)


def test_the_errors_for_what_is_no_program_say_how_to_mend_it() -> None:
    with pytest.raises(ProgramError, match="pass the class, Runless"):
        runtime.Runtime(Runless())  # type: ignore[arg-type]
    with pytest.raises(ProgramError, match="Runless cannot be the root: it inherits from Process; let it inherit from"):
        runtime.Runtime(Runless)  # type: ignore[arg-type]
    with pytest.raises(ProgramError, match=r"NotAsyncRoot\.run is not async: write `async def run\(self\)`"):
        runtime.Runtime(program(Root, NotAsync.run, __qualname__="NotAsyncRoot"))


# --- GET -----------------------------------------------------------------------------------------------------------


async def test_get_of_an_absent_child_is_an_error_that_lists_the_names_there_are_and_creates_nothing() -> None:
    """find (an absent child is an error, never created)"""

    @root
    async def top(self):
        said = []
        for name in ("none", 7):
            with pytest.raises(NoSuchChild) as raised:
                await self.get(name, "x")
            said.append(str(raised.value))
        for name in (2, "b", 10, "a"):
            await self.put(name)
        with pytest.raises(NoSuchChild) as raised:
            await self.get("c", "x")
        said.append(str(raised.value))
        for name in range(100, 140):
            await self.put(name)
        with pytest.raises(NoSuchChild) as raised:
            await self.get("c", "x")
        return *said, raised.value.known, raised.value.more

    *said, known, more = await data_of(top)
    assert said == [
        "/ has no child 'none' (it has none); create it with put('none', program=…)",
        "/ has no child 7 (it has none); create it with put(7, program=…)",
        "/ has no child 'c' (it has 'a', 'b', 2, 10); create it with put('c', program=…)",
    ]
    assert known == ("a", "b", 2, 10, *range(100, 100 + NAMES_SHOWN_MAX - 4))
    assert more
    assert len((await state_of(top)).children) == 44


async def test_the_names_in_an_error_are_those_of_children_in_memory_and_in_the_store_alike() -> None:
    """find (an absent child is an error …)"""

    @root
    async def top(self):
        if self.heap["block", "n"] == 1:
            for name in ("a", "c", 1):
                await self.put(name)
            return None
        await self.put("b")
        await self.drop("a")
        with pytest.raises(NoSuchChild) as raised:
            await self.get("x", "y")
        return raised.value.known

    assert await data_of(top, {"n": 1}, {"n": 2}) == ("b", "c", 1)


async def test_get_waits_for_the_child() -> None:
    """GET … → wait until it is stopped → … → copy out"""

    @root
    async def top(self):
        for n in range(5):
            await self.put(n, {"x": n}, program=double, start=True)
        return tuple([await self.get(n, "y") for n in (4, 0, 3, 1, 2)])

    assert await data_of(top) == (8, 0, 6, 2, 4)


async def test_get_gives_one_value_or_a_tuple_in_the_order_asked_for() -> None:
    """`await self.get(child, key)` → the value of that key; `get(child, *keys)` → a tuple, in that order."""

    @root
    async def top(self):
        await self.put("c", {"a": 1, ("b", 2): None, b"z": (1,)})
        return await self.get("c", "a"), await self.get("c", ("a",)), await self.get("c", b"z", "a", ("b", 2), "a")

    assert await data_of(top) == (1, 1, ((1,), 1, None, 1))


async def test_get_names_the_key_and_the_child_that_has_none() -> None:
    @root
    async def top(self):
        await self.put("c", {"a": 1})
        with pytest.raises(MissingKey) as raised:
            await self.get("c", "a", ("b", 2))
        with pytest.raises(KeyError):
            await self.get("c", "b")
        return str(raised.value)

    assert (await data_of(top)).startswith("no key ('b', 2) in the heap of /c; use get")


async def test_get_of_nothing_gives_the_changes_since_the_last_snapshot() -> None:
    """`await self.get(child)` → `Changes`: in what the child's heap differs from its last snapshot."""

    @process
    async def child(self):
        self.heap["new"] = 1
        self.heap["old"] = 2
        self.heap["same"] = 3
        del self.heap["gone"]
        self.heap["came and went"] = 1
        del self.heap["came and went"]

    @root
    async def top(self):
        await self.put("c", {"old": 1, "same": 3, "gone": 4, "left": 5}, program=child, start=True)
        changes = await self.get("c")
        assert [change.key for change in changes] == ["gone", "new", "old"]
        assert [(change.old, change.new) for change in changes] == [(4, ABSENT), (ABSENT, 1), (1, 2)]
        assert "new" in changes
        assert "same" not in changes
        await self.put("c", {"from the parent": 1})
        assert [change.key for change in await self.get("c")] == ["from the parent", "gone", "new", "old"]
        await self.put("c", {"gone": 9}, start=True)
        assert [change.key for change in await self.get("c")] == ["gone"]

    await data_of(top)


async def test_get_of_a_region_gives_it_by_reference_to_be_mounted() -> None:
    """`await self.get(child, Region("accounts"))` → that region of the child's heap, to be mounted in the caller's"""

    @root
    async def top(self):
        await self.put("c", {("accounts", n): n for n in range(20)} | {"accounts": "itself"})
        whole = await self.get("c", Region("accounts"))
        some, one, none = await self.get("c", Region("accounts", low=5, high=8), ("accounts", 1), Region("none"))
        self.heap["mine", 1000] = "gone"
        self.heap["mine"] = whole
        self.heap["some"] = some
        self.heap["none"] = none
        await self.put("c", {("accounts", 5): "changed later"})
        return len(whole), dict(some.items()) == {5: 5, 6: 6, 7: 7}, one, len(none)

    assert await data_of(top) == (21, True, 1, 0)
    heap = content(await state_of(top))
    assert heap == {("mine", n): n for n in range(20)} | {"mine": "itself"} | {("some", n): n for n in (5, 6, 7)}


@root
async def taking(self):
    step = self.heap["block", "step"]
    if step == "fill":
        await self.put("c", {("accounts", n): n for n in range(self.heap["block", "size"])})
    elif step == "take":
        self.heap["mine"] = await self.get("c", Region("accounts"))


async def test_taking_a_region_costs_a_reference_whatever_its_size() -> None:
    """a region can be mounted under another key, in another heap, by reference"""
    small = await cost_of_the_last(taking, {"step": "fill", "size": 500}, {"step": "take"})
    large = await cost_of_the_last(taking, {"step": "fill", "size": 50_000}, {"step": "take"})
    assert large[0] <= small[0] + 12
    assert large[1] <= small[1] + 12


async def test_get_raises_for_a_failed_child_before_it_copies_anything() -> None:
    """wait until it is stopped → raise if it failed → copy out"""

    @root
    async def top(self):
        await self.put("c", {"x": 1}, program=failing, start=True)
        for wanted in (("x",), ("none",), (Region("r"),), ()):
            with pytest.raises(ChildFailed):
                await self.get("c", *wanted)
        with pytest.raises(ChildFailed):
            await self.merge("c")
        await self.put("c", {"x": 2})
        with pytest.raises(ChildFailed):
            await self.get("c", "x")

    await data_of(top)


# --- merge ---------------------------------------------------------------------------------------------------------


@process
async def writing(self):
    for key, value in self.heap.get("todo", ()):
        if value is None:
            del self.heap[key]
        else:
            self.heap[key] = value


async def fork_to_write(self: Process, name: str, *todo: Any) -> None:
    await self.put(name, self.heap.region())
    await self.put(name, {"todo": todo}, program=writing, start=True)


async def test_merge_takes_the_childs_value_where_the_callers_is_still_the_snapshots() -> None:
    """where the caller's value is still the one of that snapshot, the child's is taken"""

    @root
    async def top(self):
        self.heap.update({"a": 1, "b": 1, "c": 1})
        await fork_to_write(self, "one", ("a", 2), ("b", None), ("new", 3))
        self.heap["c"] = 5
        changes = await self.merge("one")
        return tuple(change.key for change in changes), tuple(self.heap.items())

    keys, heap = await data_of(top)
    assert keys == ("a", "b", "new")
    assert dict(heap) == {"a": 2, "c": 5, "new": 3}


async def test_merge_is_a_conflict_where_both_changed_also_when_both_are_equal_now() -> None:
    """else it is a conflict, also when both are equal now … `MergeConflict` lists every key with the three values"""

    @root
    async def top(self):
        self.heap.update({"a": 1, "b": 1, "c": 1, "d": 1})
        await fork_to_write(self, "one", ("a", 2), ("b", None), ("c", 3), ("d", 4), ("new", 5))
        self.heap.update({"a": 2, "b": 7, "new": 6})
        del self.heap["c"]
        before = tuple(self.heap.items())
        with pytest.raises(MergeConflict) as raised:
            await self.merge("one")
        assert tuple(self.heap.items()) == before
        assert raised.value.conflicts == (
            ("a", 1, 2, 2),
            ("b", 1, 7, ABSENT),
            ("c", 1, ABSENT, 3),
            ("new", ABSENT, 6, 5),
        )
        assert "'a': was 1, here 2, in the child 2" in str(raised.value)

    await data_of(top)


async def test_merge_settles_conflicts_as_resolve_says() -> None:
    """unless `resolve` names how to settle it (a commutative function for a counter, say)"""

    @root
    async def top(self):
        self.heap.update({"n": 10, ("m", 1): 1, "gone": 1, "free": 1})
        for name in ("one", "two"):
            await fork_to_write(self, name, ("n", 11), (("m", 1), 2), ("gone", 2))
        await self.merge("one")
        resolve = {"n": add, Region("m"): lambda base, ours, theirs: (base, ours, theirs), "gone": lambda *_: ABSENT}
        await self.merge("two", resolve=resolve)
        return tuple(self.heap.items())

    assert dict(await data_of(top)) == {"n": 12, ("m", 1): (1, 2, 2), "free": 1}


async def test_merge_of_a_region_leaves_all_other_changes_alone() -> None:
    """the child's changes since its snapshot, folded into the caller's heap … `merge(child, region=…)`"""

    @root
    async def top(self):
        self.heap.update({"x": 1, ("r", 1): 1, ("r", 2): 1, ("r", 3): 1})
        await fork_to_write(self, "one", ("x", 2), (("r", 1), 2), (("r", 2), 2), (("r", 3), 2))
        self.heap["x"] = 9
        changes = await self.merge("one", region=Region("r", low=2))
        return tuple(change.key for change in changes), tuple(self.heap.items())

    keys, heap = await data_of(top)
    assert keys == (("r", 2), ("r", 3))
    assert dict(heap) == {"x": 9, ("r", 1): 1, ("r", 2): 2, ("r", 3): 2}


# --- RET -----------------------------------------------------------------------------------------------------------


async def test_ret_in_the_middle_waits_for_the_parent_and_returns_what_it_put_meanwhile() -> None:
    """RET `await self.ret()` stops, and waits for the parent. It returns the `Changes` that the parent put meanwhile."""

    @root
    async def top(self):
        await self.put("c", {"a": 1, "b": 2}, program=asking, start=True)
        first = await self.status("c")
        assert first == Trap(TrapKind.RETURNED, middle=True)
        await self.put("c", {"a": 5}, delete=["b"])
        await self.put("c", {"n": 1, "b": 2}, start=True)
        told = await self.get("c", "told")
        await self.put("c", start=True)
        return tuple(tuple(change) for change in told), await self.get("c", "told"), await self.get("c", "turn")

    with pytest.raises(BlockFailed) as failed:
        await data_of(top)
    assert failed.value.error == "ChildFailed", "ABSENT is no value: a Change with one cannot stand in a heap"


async def test_ret_returns_the_changes_key_by_key() -> None:
    """RET … returns the `Changes` that the parent put meanwhile."""

    @process
    async def child(self):
        self.heap["mine"] = 1
        changes = await self.ret()
        self.heap["told"] = tuple([(key, old is ABSENT or old, new is ABSENT or new) for key, old, new in changes])
        changes = await self.ret()
        self.heap["told again"] = len(changes)

    @root
    async def top(self):
        await self.put("c", {"a": 1, "b": 2, "z": 3}, program=child, start=True)
        await self.put("c", {"a": 5, "n": 6}, delete=["b", "z"])
        await self.put("c", {"z": 3}, start=True)
        told = await self.get("c", "told")
        await self.put("c", start=True)
        return told, await self.get("c", "told again"), (await self.status("c")).middle

    assert await data_of(top) == ((("a", 1, 5), ("b", 2, True), ("n", True, 6)), 0, False)
    assert await data_of(top, forget=True) == await data_of(top)


async def test_a_later_start_calls_run_again_from_the_top_on_the_same_heap() -> None:
    """To fall off its end is RET; a later start calls `run` again from the top, on the same heap."""

    @process
    async def child(self):
        self.heap["n"] = self.heap.get("n", 0) + 1

    @root
    async def top(self):
        await self.put("c", program=child, start=True)
        for _ in range(4):
            await self.put("c", start=True)
        return await self.get("c", "n")

    assert await data_of(top) == 5


@pytest.mark.parametrize("value", [1, "text", (), False, ABSENT])
async def test_a_childs_run_returns_nothing(value: Any) -> None:
    """For the root, to return is SNAPSHOT with the returned value: a child's value would go nowhere."""

    @process
    async def child(self):
        self.heap["done"] = True
        return value

    @root
    async def top(self):
        await self.put("c", program=child, start=True)
        with pytest.raises(ChildFailed) as raised:
            await self.get("c", "done")
        return raised.value.error

    assert await data_of(top) == "ProgramError"
    assert content((await state_of(top)).at("/c")) == {}


# --- SNAPSHOT, inputs, genesis -------------------------------------------------------------------------------------


async def test_snapshot_closes_the_block_with_data_and_returns_the_next_blocks_input() -> None:
    """SNAPSHOT …: closes the block with `data` …, and names the region in which the next block's input is to stand"""

    @root
    async def top(self):
        seen = [dict(self.heap.items("block"))]
        value = await self.snapshot({"block": 1}, region=("in", 2))
        seen += [value, dict(self.heap.items(("in", 2))), dict(self.heap.items("block"))]
        value = await self.snapshot({"block": 2})
        seen += [value, self.heap["block"], dict(self.heap.items(("in", 2)))]
        self.heap["top"] = self.heap.get("top", 0) + 1
        return seen

    async with runtime.Runtime(top) as rt:
        first = await rt.advance({"a": 1})
        second = await rt.advance({"b": 2})
        third = await rt.advance(3)
        assert (first.data, second.data) == ({"block": 1}, {"block": 2})
        assert list(third.data) == [{"a": 1}, {"b": 2}, {"b": 2}, {"a": 1}, 3, 3, {"b": 2}]
        assert rt.state().heap["top"] == 1
        fourth = await rt.advance({"c": 3})
        assert fourth.data == {"block": 1}
        assert await rt.verify() == 4


async def test_the_next_input_takes_the_place_of_the_whole_region() -> None:
    """the next block begins `run` at the top with its input in the region "block" """

    @root
    async def top(self):
        return tuple(self.heap.items("block"))

    async with runtime.Runtime(top) as rt:
        assert (await rt.advance({"a": 1, ("b", 2): [3]})).data == (("a", 1), (("b", 2), rt.head.inputs[("b", 2)]))
        assert (await rt.advance("bare")).data == (((), "bare"),)
        assert (await rt.advance({"c": None})).data == (("c", None),)
        assert (await rt.advance()).data == ()
        assert (await rt.advance(None)).data == (((), None),)


async def test_a_root_class_names_its_own_input_region() -> None:
    """with its input in the region "block" (or the one it named)"""

    async def run(self):
        return tuple(self.heap.items())

    top = program(Root, run, input_region=("in", 1))
    async with runtime.Runtime(top, genesis={("in", 1, "old"): 1, ("in", 2): 2}) as rt:
        assert (await rt.advance({"a": 1})).data == ((("in", 1, "a"), 1), (("in", 2), 2))
        assert (await rt.advance(7)).data == ((("in", 1), 7), (("in", 2), 2))


@pytest.mark.parametrize(
    ("bad", "error", "said"),
    [
        ({"a": {"b": [1, object()]}}, ValueRefused, r"\['a'\]\['b'\]\[1\]"),
        ({"a": 1, 1.5: 2}, KeyRefused, "1.5"),
        (object(), ValueRefused, "type builtins.object"),
    ],
)
async def test_an_input_that_is_no_value_is_refused_and_the_head_stays(
    bad: Any, error: type[Exception], said: str
) -> None:
    @root
    async def top(self):
        self.heap["n"] = self.heap.get("n", 0) + 1

    async with runtime.Runtime(top) as rt:
        await rt.advance()
        with pytest.raises(error, match=said):
            await rt.advance(bad)
        assert rt.head.number == 1
        await rt.advance()
        assert rt.state().heap["n"] == 2


async def test_inputs_and_data_that_a_block_cannot_keep_are_refused_and_the_head_stays() -> None:
    nine = b"x" * (9 << 20)

    @root
    async def top(self):
        self.heap["n"] = self.heap.get("n", 0) + 1
        return self.heap["block", "a"] if self.heap.get(("block", "echo")) else None

    async with runtime.Runtime(top, workers=0) as rt:
        with pytest.raises(LimitExceeded, match=r"the inputs of a block are one value: .* over several blocks"):
            await rt.advance({"a": nine, "b": nine})
        with pytest.raises(LimitExceeded, match=r"block 1: its inputs are 94\d+ bytes, .* is 94\d+; together"):
            await rt.advance({"a": nine, "echo": True})
        assert rt.head.number == 0
        await rt.advance({"a": nine})
        assert rt.state().heap["n"] == 1


async def test_block_0_is_the_genesis() -> None:
    """Block 0 is the genesis: the root's heap as the caller gave it, before any run."""

    @root
    async def top(self):
        self.heap["n"] += 1

    async with runtime.Runtime(top, genesis={"n": 5, ("r", 1): [1, {"k": 2}]}) as rt:
        genesis = rt.head
        assert (genesis.number, genesis.parent, genesis.inputs, genesis.data, genesis.gas_used) == (
            0,
            b"",
            None,
            None,
            0,
        )
        assert content(rt.state()) == {"n": 5, ("r", 1): rt.state().heap["r", 1]}
        assert rt.state().trap.kind is TrapKind.NEW
        block = await rt.advance()
        assert block.parent == genesis.hash
        assert rt.state(0).heap["n"] == 5
        assert rt.state().heap["n"] == 6
        with pytest.raises(InputError, match="block 0 is the genesis"):
            await rt.verify(0)


@root
async def growing(self):
    self.heap["n"] = self.heap.get("n", 0) + 1


async def test_a_genesis_is_the_same_however_it_was_given(tmp_path: Path) -> None:
    entries = {"n": 5, ("r", 1): (1, 2)}
    hashes = set()
    for made in (
        entries,
        list(entries.items()),
        list(reversed(entries.items())),
        lambda: entries,
        lambda: iter(entries.items()),
    ):
        async with runtime.Runtime(growing, genesis=made) as rt:
            hashes.add(rt.head.hash)
    assert len(hashes) == 1


async def test_a_genesis_function_is_called_where_the_store_is_new_alone(tmp_path: Path) -> None:
    calls = []

    def genesis() -> dict[str, int]:
        calls.append(1)
        return {"n": 1}

    for _ in range(3):
        async with runtime.Runtime(growing, tmp_path / "a.db", genesis) as rt:
            await rt.advance()
    assert len(calls) == 1


async def test_a_store_from_another_genesis_is_refused(tmp_path: Path) -> None:
    async with runtime.Runtime(growing, tmp_path / "a.db", {"n": 1}) as rt:
        await rt.advance()
    with pytest.raises(StoreMismatch, match="another genesis"):
        async with runtime.Runtime(growing, tmp_path / "a.db", {"n": 2}):
            pass
    for genesis in ({"n": 1}, None):
        async with runtime.Runtime(growing, tmp_path / "a.db", genesis) as rt:
            assert rt.head.number == 1


@pytest.mark.parametrize("bad", [5, [1, 2], [("a", 1, 2)], "text"])
async def test_a_genesis_that_is_no_mapping_is_refused(bad: Any) -> None:
    with pytest.raises(InputError, match=r"genesis is (?!a int)\S.*; it is a mapping"):
        async with runtime.Runtime(growing, genesis=bad):
            pass


async def test_a_key_that_a_state_does_not_have_is_told_once_where() -> None:
    async with runtime.Runtime(growing) as rt:
        with pytest.raises(MissingKey) as caught:
            rt.state().heap["q"]
        assert str(caught.value).startswith("no key 'q' in the heap of /; use get")


async def test_a_genesis_of_another_stores_region_is_whole_in_its_own(tmp_path: Path) -> None:
    """Block 0 is the genesis: the root's heap as the caller gave it"""
    async with runtime.Runtime(growing, tmp_path / "a.db", {("r", n): n for n in range(100)}) as one:
        await one.advance()
        region = one.state().heap.region("r")
        async with runtime.Runtime(growing, tmp_path / "b.db", {"mine": region}) as rt:
            made = rt.head.hash
    async with runtime.Runtime(growing, tmp_path / "b.db") as rt:
        assert content(rt.state()) == {("mine", n): n for n in range(100)}
        await rt.advance()
    async with runtime.Runtime(growing, genesis={("mine", n): n for n in range(100)}) as rt:
        assert rt.head.hash == made


# --- status, drop --------------------------------------------------------------------------------------------------


async def test_status_waits_and_tells_the_trap_without_raising() -> None:
    """`await self.status(child)` waits and tells the trap without raising"""

    @root
    async def top(self):
        await self.put("new")
        await self.put("good", {"x": 1}, program=double, start=True)
        await self.put("bad", program=failing, start=True)
        await self.put("middle", program=asking, start=True)
        traps = [await self.status(name) for name in ("new", "good", "bad", "middle")]
        assert traps == [
            Trap(TrapKind.NEW),
            Trap(TrapKind.RETURNED),
            Trap(TrapKind.FAILED, "ValueError"),
            Trap(TrapKind.RETURNED, middle=True),
        ]
        assert [trap.failed for trap in traps] == [False, False, True, False]

    await data_of(top)


async def test_a_retry_that_succeeds_leaves_no_trace_of_the_failure() -> None:
    """what a state holds is why a process stopped last"""

    @process
    async def child(self):
        if "n" not in self.heap:
            raise ValueError

    def top(fails: bool) -> type[Root]:
        @root
        async def top(self):
            await self.put("c", {} if fails else {"n": 1}, program=child, start=True)
            await self.status("c")
            await self.put("c", {"n": 1}, start=True)
            return (await self.status("c")).error

        return top

    assert await data_of(top(True)) is None
    assert (await state_of(top(True))).digest() == (await state_of(top(False))).digest()


async def test_drop_ends_a_child_with_its_subtree_and_frees_the_name() -> None:
    """`await self.drop(child)` ends a child and its subtree at once"""

    @process
    async def child(self):
        await self.put("below", {"x": 1}, program=double, start=True)
        await self.put("idle")
        await self.get("below", "y")

    @root
    async def top(self):
        await self.put("c", program=child, start=True)
        await self.status("c")
        await self.drop("c")
        with pytest.raises(NoSuchChild):
            await self.get("c")
        with pytest.raises(NoSuchChild):
            await self.drop("c")
        await self.put("c", {"x": 5})
        return (await self.status("c")).kind.name

    assert await data_of(top) == "NEW"
    view = await state_of(top)
    assert content(view.at("/c")) == {"x": 5}
    assert not view.at("/c").children


_ran: list[str] = []


@process
async def telling(self):
    _ran.append(f"{self.path[-1]} began")
    await self.put("below", {"x": 1}, program=double, start=True)
    await self.get("below", "y")
    _ran.append(f"{self.path[-1]} ended")


class Prefer:
    """Performs the effects of some processes before all others."""

    def __init__(self, first: Callable[[Any], bool]) -> None:
        self.first = first

    def take(self, agenda: deque[Any]) -> Any:
        at = next((i for i, effect in enumerate(agenda) if self.first(effect[0])), 0)
        agenda.rotate(-at)
        return agenda.popleft()


def root_first() -> Prefer:
    return Prefer(lambda record: record.parent is None)


def root_last() -> Prefer:
    return Prefer(lambda record: record.parent is not None)


@root
async def dropping(self):
    await self.put("c", {"a": 1}, program=telling, start=True)
    await self.put("d", {"x": 1}, program=double, start=True)
    await self.drop("c")
    await self.get("d", "y")


async def test_a_running_child_can_be_dropped_wherever_it_stands() -> None:
    """ends a child and its subtree at once, running or not"""
    digests = set()
    stories = set()
    for order in (None, root_first(), root_last(), *map(Shuffle, range(30))):
        _ran.clear()
        view = await state_of(dropping, order=order)
        assert list(view.children) == ["d"]
        digests.add(view.digest())
        stories.add(tuple(_ran))
    assert len(digests) == 1
    assert stories == {(), ("c began",), ("c began", "c ended")}, "it was dropped before, in and behind its run"


@root
async def dropping_later(self):
    step = self.heap["block", "step"]
    if step == "make":
        size = self.heap["block", "size"]
        await self.put("c", {("k", n): n for n in range(size)} | {"size": size // 50}, program=crowd, start=True)
        await self.get("c", "size")
    elif step == "drop":
        await self.drop("c")


@process
async def crowd(self):
    for n in range(self.heap["size"]):
        await self.put(n, {("k", n): n for n in range(20)}, program=idle, start=True)
        await self.put(n)


async def test_to_drop_a_child_costs_the_same_whatever_it_holds() -> None:
    """at a cost that does not grow with its size"""
    small = await cost_of_the_last(dropping_later, {"step": "make", "size": 100}, {"step": "drop"})
    large = await cost_of_the_last(dropping_later, {"step": "make", "size": 10_000}, {"step": "drop"})
    assert large[0] <= small[0] + 6
    assert large[1] <= small[1] + 6


async def test_what_a_dropped_subtree_does_on_its_way_out_disturbs_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """ends a child and its subtree at once, running or not: also one that awaits in its `finally`"""
    complaints: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", complaints.append)

    @process
    async def below(self):
        try:
            await self.ret()
        finally:
            await self.ret()

    @process
    async def child(self):
        await self.put("below", program=below, start=True)
        await self.status("below")
        try:
            await self.ret()
        finally:
            await self.put("late", {"x": 1})

    @root
    async def top(self):
        await self.put("c", program=child, start=True)
        await self.status("c")
        await self.drop("c")

    assert not (await state_of(top)).children
    gc.collect()
    assert [str(complaint.exc_value) for complaint in complaints] == []


@pytest.mark.parametrize("ends", ["drop", "fail", "program"])
@pytest.mark.parametrize("raised", [ValueError, asyncio.CancelledError, SystemExit])
def test_what_a_process_raises_on_its_way_out_disturbs_nobody(
    monkeypatch: pytest.MonkeyPatch, ends: str, raised: type[BaseException]
) -> None:
    """`drop` ends a child …; PUT … set its program; a failure takes the subtree back"""
    complaints: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", complaints.append)

    @process
    async def child(self):
        try:
            await self.ret()
        except GeneratorExit:
            raise raised("on its way out") from None

    @process
    async def parent(self):
        await self.put("c", program=child, start=True)
        await self.status("c")
        if ends == "drop":
            await self.drop("c")
        elif ends == "program":
            await self.put("c", program=idle)
        else:
            raise LookupError

    @root
    async def top(self):
        await self.put("p", program=parent, start=True)
        return (await self.status("p")).error

    kernel = Kernel.genesis(top, [])
    kernel.handle(kernel.root, Input(None, []))
    # Stepped here, with no event loop around it that such an exception would break.
    Stepper(kernel).run(1_000)
    assert kernel.failed is None
    assert kernel.closed is not None
    assert kernel.closed.data == ("LookupError" if ends == "fail" else None)
    kernel.state()
    kernel.end()
    gc.collect()
    assert [repr(complaint.exc_value) for complaint in complaints] == []


async def test_what_a_process_writes_on_its_way_out_goes_nowhere(tmp_path: Path) -> None:
    """set its program (which resets its control state …): whether its coroutine is at hand makes no difference"""

    @process
    async def child(self):
        try:
            await self.ret()
        finally:
            self.heap["on its way out"] = 1

    @root
    async def top(self):
        if self.heap["block", "n"] == 1:
            await self.put("c", program=child, start=True)
            await self.status("c")
        else:
            await self.put("c", program=idle)

    assert content((await state_of(top, {"n": 1}, {"n": 2})).at("/c")) == {}
    assert content((await state_of(top, {"n": 1}, forget=True)).at("/c")) == {}
    digests = {(await state_of(top, {"n": 1}, {"n": 2}, forget=forget)).digest() for forget in (False, True)}
    for n in (1, 2):
        async with runtime.Runtime(top, tmp_path / "a.db") as rt:
            await rt.advance({"n": n})
            digest = rt.state().digest()
    assert digests == {digest}


# --- failure -------------------------------------------------------------------------------------------------------


@process
async def breaking(self):
    """Changes itself and its subtree, and fails where it is told to."""
    self.heap["mine"] = "changed"
    await self.put("kept", {"x": 100}, start=True)
    await self.get("kept", "y")
    await self.put("new", {"x": 1}, program=double, start=True)
    if "gone" in self.heap:
        await self.drop("gone")
    if "fail" in self.heap:
        raise ZeroDivisionError("only people see this")


@process
async def building(self):
    await self.put("kept", {"x": 1}, program=double, start=True)
    await self.put("gone", {"x": 2}, program=double, start=True)
    await self.put("asked", program=asking, start=True)
    await self.get("kept", "y")
    await self.status("asked")


async def test_a_failure_takes_the_child_back_to_its_snapshot_subtree_included() -> None:
    """the child, its subtree included, goes back to its last snapshot (the one taken at its start)"""

    @root
    async def top(self):
        await self.put("c", {"mine": 0}, program=building, start=True)
        await self.status("c")
        if self.heap["block"] == "start only":
            return
        await self.put("c", {"fail": 1, "gone": 1}, program=breaking, start=True)
        assert (await self.status("c")).error == "ZeroDivisionError"

    built = (await state_of(top, "start only")).at("/c")
    failed = (await state_of(top, "fail")).at("/c")
    assert content(failed) == {"mine": 0, "fail": 1, "gone": 1}
    assert list(failed.children) == ["asked", "gone", "kept"]
    for name in failed.children:
        assert failed.children[name].digest() == built.children[name].digest()


async def test_a_failed_child_can_be_started_again_with_other_values_and_more_gas() -> None:
    """The parent may retry with `put(child, start=True, gas=more)`, change the child's values first, or drop it."""

    @root
    async def top(self):
        await self.put("c", program=building, start=True)
        await self.put("c", {"fail": 1}, program=breaking, start=True, gas=10**9)
        with pytest.raises(ChildFailed):
            await self.get("c", "mine")
        await self.put("c", start=True)
        with pytest.raises(ChildFailed):
            await self.get("c", "mine")
        await self.put("c", delete=["fail"])
        await self.put("c", start=True, gas=10**12)
        await self.put("d", program=failing, start=True)
        assert (await self.status("d")).failed
        await self.drop("d")
        return await self.get("c", "mine")

    assert await data_of(top) == "changed"
    view = await state_of(top)
    assert content(view.at("/c/kept")) == {"x": 100, "y": 200}
    assert view.at("/c").gas is not None
    assert list(view.children) == ["c"]


async def test_what_a_process_sees_of_a_failure_is_the_path_the_kind_the_class_and_the_gas() -> None:
    """What a process can see of a failure …: the path, the kind of trap, the exception's class name, the gas."""

    @root
    async def top(self):
        await self.put(3, program=failing, start=True)
        with pytest.raises(ChildFailed) as raised:
            await self.get(3, "done")
        error = raised.value
        assert (error.path, error.kind, error.error, error.gas) == ("/3", "failed", "ValueError", 0)
        assert error.args == ("/3", "ValueError", 0)
        assert set(vars(error)) == {"path", "error", "gas"}
        assert error.__cause__ is None
        assert "people" not in str(error)
        return str(error)

    assert (await data_of(top)).startswith("/3 failed with ValueError and is back at its snapshot; start it again")


@pytest.mark.parametrize("raised", [ValueError, SystemExit, asyncio.CancelledError, GeneratorExit, BaseException])
async def test_any_exception_in_a_child_is_a_trap(raised: type[BaseException]) -> None:
    """An exception, an empty meter or a broken limit in a child is a trap"""

    @process
    async def child(self):
        raise raised

    @root
    async def top(self):
        await self.put("c", program=child, start=True)
        return (await self.status("c")).error

    assert await data_of(top) == raised.__name__


async def test_a_root_that_fails_fails_the_block_and_the_head_stays() -> None:
    """A root that fails fails the block: nothing of it is committed, the caller gets the error, the head stays."""

    @root
    async def top(self):
        self.heap["n"] = self.heap.get("n", 0) + 1
        await self.put(self.heap["n"], {"x": 1}, program=double, start=True)
        if self.heap["block", "fails"]:
            await self.put(1, {"x": 77}, start=True)
            await self.get(1, "y")
            raise LookupError("told to")

    async with runtime.Runtime(top) as rt, runtime.Runtime(top) as undisturbed:
        await rt.advance({"fails": False})
        head, state = rt.head, rt.state().digest()
        for _ in range(2):
            with pytest.raises(BlockFailed, match=r"block 2 was not made.*LookupError: told to") as failed:
                await rt.advance({"fails": True})
            assert (failed.value.number, failed.value.error, failed.value.detail) == (2, "LookupError", "told to")
            assert (rt.head, rt.state().digest()) == (head, state)
            assert len(list(rt.blocks(branches=True))) == 2
        after = await rt.advance({"fails": False})
        await undisturbed.advance({"fails": False})
        assert after == await undisturbed.advance({"fails": False})
        assert await rt.verify() == 2


async def test_the_caller_gets_the_childs_own_exception_and_its_traceback() -> None:
    """they go to people (… the error that the caller of `advance` gets, with the child's own traceback)"""

    @process
    async def lowest(self):
        raise ZeroDivisionError("in the lowest")

    @process
    async def between(self):
        await self.put("low", program=lowest, start=True)
        await self.get("low", "x")

    @root
    async def top(self):
        await self.put("mid", program=between, start=True)
        await self.get("mid", "x")

    async with runtime.Runtime(top) as rt:
        with pytest.raises(BlockFailed) as failed:
            await rt.advance()
    seen: list[BaseException] = [failed.value]
    while seen[-1].__cause__ is not None:
        seen.append(seen[-1].__cause__)
    assert [type(error).__name__ for error in seen] == [
        "BlockFailed",
        "ChildFailed",
        "ChildFailed",
        "ZeroDivisionError",
    ]
    assert [error.path for error in seen if isinstance(error, ChildFailed)] == ["/mid", "/mid/low"]
    frames = traceback.extract_tb(seen[-1].__traceback__)
    assert (frames[-1].name, frames[-1].line) == ("lowest", 'raise ZeroDivisionError("in the lowest")')


async def test_the_failure_of_one_child_is_not_given_for_that_of_another() -> None:
    @root
    async def top(self):
        await self.put("a", program=failing, start=True)
        await self.put("b", {"x": None}, program=double, start=True)
        await self.status("a")
        await self.status("b")
        try:
            await self.get("b", "y")
        except ChildFailed:
            await self.get("a", "done")

    @root
    async def other(self):
        await self.put("a", program=failing, start=True)
        await self.status("a")
        raise KeyError("its own")

    async with runtime.Runtime(top) as rt:
        with pytest.raises(BlockFailed) as failed:
            await rt.advance()
        cause = failed.value.__cause__
        assert isinstance(cause, ChildFailed)
        assert isinstance(cause.__cause__, ValueError)
    async with runtime.Runtime(other) as rt:
        with pytest.raises(BlockFailed) as failed:
            await rt.advance()
        assert isinstance(failed.value.__cause__, KeyError)
        assert failed.value.__cause__.__cause__ is None


async def test_a_value_that_the_root_cannot_close_a_block_with_fails_the_block() -> None:
    @root
    async def top(self):
        return {"a": [1, object()]}

    async with runtime.Runtime(top) as rt:
        with pytest.raises(BlockFailed, match=r"ValueRefused.*\['a'\]\[1\]"):
            await rt.advance()
        assert rt.head.number == 0


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"a": [1, {"b": (2, object())}]}, "['a'][1]['b'][1]"),
        ((1, [2, bytearray(b"x")]), "[1][1]"),
        ({"k": {1, 2, frozenset({1j})}}, "['k']"),
        (lambda: 1, "type builtins.function"),
    ],
)
async def test_a_value_is_refused_with_its_type_and_the_path_inside_it(value: Any, said: str) -> None:
    """Anything else is refused with its type and the path to it."""

    @root
    async def top(self):
        with pytest.raises(ValueRefused) as written:
            self.heap["here"] = value
        with pytest.raises(ValueRefused) as put:
            await self.put("c", {"here": value})
        assert str(written.value) == str(put.value)
        return str(put.value)

    told = await data_of(top)
    assert said in told
    assert "under the key 'here'" in told


# --- foreign awaits ------------------------------------------------------------------------------------------------


async def of_a_future() -> None:
    await asyncio.get_running_loop().create_future()


async def of_an_event() -> None:
    await anyio.Event().wait()


_FOREIGN = {
    "asyncio.sleep(0)": lambda: asyncio.sleep(0),
    "asyncio.sleep(1)": lambda: asyncio.sleep(1),
    "a Future": of_a_future,
    "an anyio Event": of_an_event,
    "anyio.sleep(0)": lambda: anyio.lowlevel.checkpoint(),
}


@pytest.mark.parametrize("what", _FOREIGN)
async def test_a_foreign_await_is_an_error_that_names_the_rule_and_the_line(what: str) -> None:
    """To await a foreign thing (an asyncio future, a sleep) is an error that names the rule and the line."""

    @process
    async def child(self):
        self.heap["before"] = 1
        await _FOREIGN[what]()

    @root
    async def top(self):
        await self.put("c", program=child, start=True)
        with pytest.raises(ChildFailed) as raised:
            await self.get("c", "before")
        assert raised.value.error == "ForeignAwait"
        await _FOREIGN[what]()

    async with runtime.Runtime(top) as rt:
        with pytest.raises(BlockFailed) as failed:
            await rt.advance()
    cause = failed.value.__cause__
    assert isinstance(cause, ForeignAwait)
    assert "a process awaits its own system calls (put, get, merge, ret, status, drop, " in str(cause)
    assert f"{__file__}:" in str(cause)


@pytest.mark.parametrize("what", _FOREIGN)
async def test_a_foreign_await_may_be_caught(what: str) -> None:
    """a program's mistake; raised inside the process, which may catch it"""

    @process
    async def child(self):
        try:
            await _FOREIGN[what]()
        except ForeignAwait:
            self.heap["caught"] = 1
        await self.ret()
        self.heap["went on"] = 1

    @root
    async def top(self):
        await self.put("c", program=child, start=True)
        await self.put("c", start=True)
        return await self.get("c", "caught", "went on")

    assert await data_of(top) == (1, 1)
    assert await data_of(top, forget=True) == (1, 1)


async def test_a_process_may_await_coroutines_that_make_its_system_calls() -> None:
    """A process awaits system calls of its own and coroutines that do the same"""

    async def all_of(self: Process, names: Iterable[int]) -> list[int]:
        return [await self.get(name, "y") for name in names]

    @root
    async def top(self):
        for n in range(3):
            await self.put(n, {"x": n}, program=double, start=True)
        return await all_of(self, range(3))

    assert list(await data_of(top)) == [0, 2, 4]


# --- limits --------------------------------------------------------------------------------------------------------


@process
async def nesting(self):
    try:
        await self.put("n", program=nesting, start=True)
        self.heap["depth"] = await self.get("n", "depth") + 1
        self.heap["said"] = await self.get("n", "said")
    except LimitExceeded as error:
        self.heap["depth"] = 0
        self.heap["said"] = str(error)


async def test_the_tree_of_processes_has_a_depth_that_it_may_not_exceed() -> None:
    """Limits: how deep the tree of processes may grow below the root"""

    @root
    async def top(self):
        await self.put("n", program=nesting, start=True)
        return await self.get("n", "depth", "said")

    depth, said = await data_of(top)
    assert depth == PROCESS_DEPTH_MAX - 1
    assert f"is {PROCESS_DEPTH_MAX} processes deep, which is the limit" in said


async def test_the_journal_has_a_limit_and_the_error_says_to_return(monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal has a limit; the error at the limit says to return."""
    monkeypatch.setattr("runtime.record.JOURNAL_ITEMS_MAX", 10)

    @process
    async def child(self):
        made = 0
        try:
            while True:
                await self.put("x", {"n": made})
                made += 1
        except LimitExceeded as error:
            self.heap["made"] = self.heap.get("made", 0) + made
            self.heap["said"] = str(error)
        for call in (self.ret(), self.get("x"), self.status("x"), self.drop("x")):
            with pytest.raises(LimitExceeded):
                await call

    @root
    async def top(self):
        await self.put("c", program=child, start=True)
        await self.put("c", start=True)
        return await self.get("c", "made", "said")

    made, said = await data_of(top)
    assert made == 10, "an activation begins with an empty journal"
    assert "/c made 5 system calls in one activation, which is the limit; return, keep what is to be known" in said


# --- children across blocks ----------------------------------------------------------------------------------------


@process
async def long_running(self):
    _ran.append(f"{self.path[-1]} {self.heap['x']}")
    self.heap["y"] = 2 * self.heap["x"]
    await self.put("below", {"x": self.heap["y"]}, program=double, start=True)
    await self.get("below", "y")
    self.heap["done"] = True


@root
async def leaving(self):
    n = self.heap["block", "n"]
    _ran.append(f"root {n}")
    if n == 1:
        for name in ("waited", "never", "dropped"):
            await self.put(name, {"x": 1}, program=long_running, start=True)
    elif n == 3:
        await self.drop("dropped")
    elif n == 4:
        return await self.get("waited", "y", "done")
    return None


async def roots_of(
    top: type[Root], blocks: int, **how: Any
) -> tuple[list[bytes], list[list[str]], runtime.ProcessView]:
    roots, stories = [], []
    async with runtime.Runtime(top, LeftOpen(), **how) as rt:
        for n in range(1, blocks + 1):
            _ran.clear()
            roots.append((await rt.advance({"n": n})).hash)
            stories.append(list(_ran))
        return roots, stories, rt.state()


async def test_a_child_that_goes_on_across_blocks_pins_its_start_alone() -> None:
    """The block then pins its start …, not its end; whether it has in fact been run makes no difference to any root."""
    lazy_roots, lazy, _ = await roots_of(leaving, 5, order=root_first())
    eager_roots, eager, view = await roots_of(leaving, 5, order=root_last())
    assert lazy_roots == eager_roots
    assert lazy[0] == ["root 1"]
    assert set(eager[0]) == {"root 1", "waited 1", "never 1", "dropped 1"}
    assert not any("waited 1" in story for story in lazy[:3])
    assert "waited 1" in lazy[3]
    for seed in range(5):
        assert (await roots_of(leaving, 5, order=Shuffle(seed)))[0] == eager_roots
    assert view.at("/never").pending
    assert content(view.at("/never")) == {"x": 1}, "as it was when it was started"
    assert not view.at("/never").children
    assert not view.at("/waited").pending
    assert content(view.at("/waited")) == {"x": 1, "y": 2, "done": True}


async def test_a_child_that_is_never_waited_for_may_fail_and_nobody_knows() -> None:
    """A child that was started but not yet waited for may go on across a SNAPSHOT."""

    @root
    async def top(self):
        if self.heap["block", "n"] == 1:
            await self.put("c", {"x": 1}, program=failing, start=True)
        elif self.heap["block", "n"] == 3:
            return (await self.status("c")).error
        return None

    hashes = {tuple((await roots_of(top, 3, order=order))[0]) for order in (None, root_first(), root_last())}
    assert len(hashes) == 1
    view = await state_of(top, {"n": 1}, {"n": 2})
    assert view.at("/c").pending
    assert view.at("/c").trap == Trap(TrapKind.NEW)
    assert await data_of(top, {"n": 1}, {"n": 2}, {"n": 3}) == "ValueError"


async def test_a_pending_child_in_the_middle_pins_the_journal_of_its_start() -> None:
    """The block then pins its start (heap, program, meter), not its end"""

    @process
    async def child(self):
        self.heap["turn"] = 1
        await self.ret()
        self.heap["turn"] = 2

    @root
    async def top(self):
        n = self.heap["block", "n"]
        if n == 1:
            await self.put("c", program=child, start=True)
            await self.put("c", start=True)
        elif n == 3:
            return await self.get("c", "turn")
        return None

    hashes = {tuple((await roots_of(top, 3, order=order))[0]) for order in (None, root_first(), root_last())}
    assert len(hashes) == 1
    view = await state_of(top, {"n": 1}, {"n": 2})
    assert (view.at("/c").pending, view.at("/c").trap.middle, content(view.at("/c"))) == (True, True, {"turn": 1})
    assert await data_of(top, {"n": 1}, {"n": 2}, {"n": 3}) == 2


async def test_a_call_that_was_not_awaited_is_not_made() -> None:
    """Each may talk … through three system calls: a call is made when it is awaited."""

    @root
    async def top(self):
        self.put("c", {"x": 1})

    with pytest.warns(RuntimeWarning, match=r"'Process\.put' was never awaited"):
        assert not (await state_of(top)).children


async def test_a_view_of_a_state_walks_parents_first_and_children_in_key_order() -> None:
    @root
    async def top(self):
        await self.put("c", program=building, start=True)
        await self.put(1, program=idle)
        await self.status("c")

    view = await state_of(top)
    assert [one.path for one in view.walk()] == [(), ("c",), ("c", "asked"), ("c", "gone"), ("c", "kept"), (1,)]
    with pytest.raises(LockstepError):
        view.at("/c/none")
