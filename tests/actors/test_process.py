"""What a process may say to the kernel, without a kernel: each method is driven by hand.

DESIGN.md, "System calls": every check comes before any effect. Here: whatever can be seen from the arguments is refused
before anything is yielded, with its text, and what is yielded is the call as `actors.calls` describes it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest
from pyrsistent import pmap

from actors import (
    ABSENT,
    CallRefused,
    Changes,
    ChildFailed,
    Heap,
    KeyRefused,
    LimitExceeded,
    MergeConflict,
    Process,
    ProgramError,
    Region,
    Root,
    Trap,
    TrapKind,
    ValueRefused,
    View,
    add,
)
from actors.calls import CALLS, Drop, Get, Put, Ret, Snapshot, Status
from actors.changes import changes_of
from actors.freezing import freeze
from actors.keys import encode_key
from actors.memory import Memory, form_of
from actors.process import check_program, defined
from actors.values import encode


class Child(Process):
    async def run(self) -> None: ...


class Top(Root):
    async def run(self) -> None: ...


@pytest.fixture
def process() -> Process:
    made = Child()
    made.machine_bind(Memory(), ("shards", 3))
    made.heap.update({"a": 1, ("r", 1): 1, ("r", 2): 2})
    return made


@pytest.fixture
def root() -> Root:
    made = Top()
    made.machine_bind(Memory(), ())
    return made


def yielded(awaitable: Any) -> Any:
    """The call that a method yields first; the coroutine is closed then."""
    call = awaitable.send(None)
    awaitable.close()
    assert type(call) in CALLS
    return call


def answered(awaitable: Any, answer: Any) -> Any:
    """What a method returns when its one call is answered so."""
    awaitable.send(None)
    with pytest.raises(StopIteration) as stopped:
        awaitable.send(answer)
    return stopped.value.value


def refused(awaitable: Any) -> Exception:
    """The error that a method raises before it yields anything."""
    try:
        call = awaitable.send(None)
    except Exception as error:
        return error
    awaitable.close()
    raise AssertionError(f"not refused, but yielded: {call!r}")


# --- PUT ---


def test_a_put_yields_encoded_keys_and_checked_values(process: Process) -> None:
    view = process.heap.region("r")
    call = yielded(
        process.put(
            "c",
            {"x": [1], ("y", 1): "text", "m": view, 5: 10**30},
            program=Child,
            delete=["old", ("older", 1), Region("gone"), Region("range", 1, 5)],
            start=True,
            gas=100,
        )
    )
    assert type(call) is Put
    assert call.child == "c" and call.program is Child and call.start is True and call.gas == 100
    assert [key for key, _ in call.values] == [encode_key(key) for key in ("x", ("y", 1), "m", 5)]
    assert [form_of(slot) for _, slot in (call.values[0], call.values[1], call.values[3])] == [
        encode(freeze(value)) for value in ([1], "text", 10**30)
    ]
    assert call.values[2][1] is view
    assert len(call.delete) == 4
    assert set(call.delete) == {
        (encode_key("old"), None, None, True),
        (encode_key(("older", 1)), None, None, True),
        (encode_key("gone"), None, None, False),
        (encode_key("range"), encode_key(1), encode_key(5), False),
    }


def test_a_put_of_a_name_alone_asks_for_nothing_else(process: Process) -> None:
    for name in ("c", 0, -5):
        assert yielded(process.put(name)) == Put(name, (), None, (), False, None)
    assert answered(process.put("c"), None) is None


def test_a_put_of_a_heap_or_view_or_mapping_is_of_its_entries(process: Process) -> None:
    view = process.heap.region()
    assert yielded(process.put("c", view)).values == ((b"", view),)
    ((key, whole),) = yielded(process.put("c", process.heap)).values  # type: ignore[arg-type]
    assert key == b"" and type(whole) is View and whole == view
    for mapping in ({"k": 1}, pmap({"k": 1}), OrderedDict(k=1)):
        assert yielded(process.put("c", mapping)).values == ((encode_key("k"), 1),)
    assert yielded(process.put("c", {})).values == ()


def test_what_a_put_copies_is_what_it_was_at_the_call(process: Process) -> None:
    items = [1]
    call = yielded(process.put("c", {"k": items, "r": process.heap.region("r")}))
    items.append(2)
    process.heap["r", 1] = "changed"
    assert form_of(call.values[0][1]) == encode(freeze([1]))
    assert call.values[1][1][1] == 1


PUT_REFUSALS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"child": b"c"}, KeyRefused, "a child's name is a str or an int, not b'c' of type bytes"),
    ({"child": True}, KeyRefused, "a child's name is a str or an int, not True of type bool"),
    ({"child": ("c",)}, KeyRefused, "a child's name is a str or an int, not ('c',) of type tuple"),
    ({"child": None}, KeyRefused, "a child's name is a str or an int, not None of type NoneType"),
    (
        {"values": [("k", 1)]},
        CallRefused,
        "put: values is a list; it is a mapping of keys to values, or a region of the heap",
    ),
    ({"values": 5}, CallRefused, "put: values is a int; it is a mapping of keys to values, or a region of the heap"),
    (
        {"values": {None: 1}},
        KeyRefused,
        "the key None is of type NoneType; a key is a str, an int, bytes or a tuple of them",
    ),
    (
        {"values": {"k": object()}},
        ValueRefused,
        "under the key 'k': an object of type builtins.object cannot be a value; ",
    ),
    (
        {"values": {"k": [{1: 1j}]}},
        ValueRefused,
        "under the key 'k': a complex of type builtins.complex at [0][1] cannot be",
    ),
    ({"values": {"k": ABSENT}}, ValueRefused, "under the key 'k': an Absent of type actors.values.Absent cannot be"),
    ({"gas": 5}, CallRefused, "put: gas fills the meter at a start; pass start=True with it"),
    ({"gas": -1, "start": True}, CallRefused, "put: gas is -1; it is an int, at least 0, or None for no meter"),
    ({"gas": 1.5, "start": True}, CallRefused, "put: gas is 1.5; it is an int, at least 0, or None for no meter"),
    ({"gas": True, "start": True}, CallRefused, "put: gas is True; it is an int, at least 0, or None for no meter"),
    ({"delete": "key"}, CallRefused, "put: delete is 'key'; it is a list of keys and Regions: ['key']"),
    ({"delete": b"key"}, CallRefused, "put: delete is b'key'; it is a list of keys and Regions: [b'key']"),
    ({"delete": 7}, CallRefused, "put: delete is 7; it is a list of keys and Regions: [7]"),
    ({"delete": 0}, CallRefused, "put: delete is 0; it is a list of keys and Regions: [0]"),
    ({"delete": ""}, CallRefused, "put: delete is ''; it is a list of keys and Regions: ['']"),
    (
        {"delete": Region("r")},
        CallRefused,
        "put: delete is Region('r'); it is a list of keys and Regions: [Region('r')]",
    ),
    ({"delete": ["ok", 1.5]}, KeyRefused, "the key 1.5 is of type float; "),
    ({"program": 5}, ProgramError, "a program is a subclass of Process, not an object of type int"),
    (
        {"program": Child()},
        ProgramError,
        "a program is a subclass of Process, not an object of type Child; pass the class, Child",
    ),
    ({"program": int}, ProgramError, "int is no program: it does not inherit from actors.Process"),
    (
        {"program": Top},
        ProgramError,
        "Top is a Root, which only a Runtime runs; a child's program inherits from actors.Process",
    ),
    ({"program": Process}, ProgramError, "Process has no program to run: write `async def run(self)` in it"),
]


@pytest.mark.parametrize(("arguments", "error", "told"), PUT_REFUSALS, ids=[told[:50] for _, _, told in PUT_REFUSALS])
def test_a_put_is_refused_before_the_kernel_hears_of_it(
    process: Process, arguments: dict[str, Any], error: type[Exception], told: str
) -> None:
    raised = refused(process.put(**{"child": "c", **arguments}))
    assert type(raised) is error
    assert str(raised).startswith(told)


def test_a_key_or_value_beyond_its_limit_is_refused(process: Process) -> None:
    assert type(refused(process.put("c", {"k" * 5000: 1}))) is LimitExceeded
    assert type(refused(process.put("c", {"k": 1 << (9 << 20)}))) is LimitExceeded
    assert type(refused(process.put("c", delete=["k" * 5000]))) is LimitExceeded
    assert type(refused(process.get("c", "k" * 5000))) is LimitExceeded


def test_a_put_is_the_same_whatever_order_a_set_or_persistent_map_has(process: Process) -> None:
    """A call is held against the journal at a replay, maybe in an interpreter with another hash seed."""
    names = [f"n{i}" for i in range(40)]
    forwards, backwards = pmap(), pmap()
    for name in names:
        forwards = forwards.set(name, 1)
    for name in [*reversed(names), *(f"x{i}" for i in range(500))]:
        backwards = backwards.set(name, 1)
    for i in range(500):
        backwards = backwards.remove(f"x{i}")
    assert forwards == backwards and list(forwards) != list(backwards)
    assert yielded(process.put("c", forwards)) == yielded(process.put("c", backwards))
    listed = [*names, Region("r"), Region("r", 1), ("a", 1), 5]
    assert yielded(process.put("c", delete=listed)) == yielded(process.put("c", delete={*listed[30:], *listed[:30]}))


def test_what_is_put_first_and_last_is_decided_by_the_order_of_any_mapping(process: Process) -> None:
    """A region that is mounted takes the place of all under its key, so the order of such a mapping says something."""
    view = process.heap.region("r")
    pairs: list[tuple[Any, Any]] = [(("m", 1), 5), ("m", view)]
    for entries in (pairs, pairs[::-1]):
        assert yielded(process.put("c", OrderedDict(entries))) == yielded(process.put("c", dict(entries)))


@pytest.mark.parametrize("name", ["n" * 5000, "\ud800", 10**700, -(10**5000)], ids=["long", "surrogate", "big", "huge"])
@pytest.mark.parametrize("method", ["put", "get", "status", "drop"])
def test_a_name_that_no_state_can_hold_is_refused_where_it_is_used(process: Process, name: Any, method: str) -> None:
    awaitable = getattr(process, method)(name)
    with pytest.raises((KeyRefused, LimitExceeded)):
        try:
            awaitable.send(None)
        finally:
            awaitable.close()


# --- GET, RET, STATUS, DROP ---


def test_a_get_yields_what_is_wanted_in_the_order_asked_for(process: Process) -> None:
    region = Region("r", 1, 2)
    assert yielded(process.get("c")) == Get("c", ())
    assert yielded(process.get(7, "k")) == Get(7, (encode_key("k"),))
    assert yielded(process.get("c", ("k", 1))) == Get("c", (encode_key(("k", 1)),))
    assert yielded(process.get("c", region)) == Get("c", (region,))
    assert yielded(process.get("c", "b", region, "a")) == Get("c", (encode_key("b"), region, encode_key("a")))
    assert type(yielded(process.get("c", "k"))) is Get
    assert answered(process.get("c", "k"), 5) == 5
    assert answered(process.get("c", "a", "b"), (1, 2)) == (1, 2)


def test_a_get_of_no_key_or_from_no_name_is_refused(process: Process) -> None:
    for wrong in (process.get("c", None), process.get("c", "a", True), process.get("c", 1.5), process.get("c", ["a"])):
        assert type(refused(wrong)) is KeyRefused
    for wrong in (process.get(None), process.get(b"c", "k"), process.get(True)):
        assert "a child's name is a str or an int" in str(refused(wrong))


def test_ret_status_and_drop_yield_themselves(process: Process) -> None:
    assert type(yielded(process.ret())) is Ret
    assert yielded(process.status("c")) == Status("c") and type(yielded(process.status("c"))) is Status
    assert yielded(process.drop(3)) == Drop(3) and type(yielded(process.drop(3))) is Drop
    trap = Trap(TrapKind.RETURNED)
    assert answered(process.status("c"), trap) is trap
    assert answered(process.drop("c"), None) is None
    changes = Changes([])
    assert answered(process.ret(), changes) is changes
    for wrong in (process.status(1.5), process.drop(None)):
        assert type(refused(wrong)) is KeyRefused


def test_what_the_kernel_throws_is_raised_where_the_call_stands(process: Process) -> None:
    awaitable = process.get("c", "k")
    awaitable.send(None)
    error = ChildFailed("/c", "ValueError", 3)
    with pytest.raises(ChildFailed) as caught:
        awaitable.throw(error)
    assert caught.value is error


# --- SNAPSHOT ---


def test_a_snapshot_is_the_roots_alone(process: Process, root: Root) -> None:
    told = "snapshot: /shards/3 is not the root, and only the root closes a block; end with ret(), or return"
    assert str(refused(process.snapshot({"x": 1}))).startswith(told)
    below = Top()
    below.machine_bind(Memory(), ("shards", 3))
    assert type(refused(below.snapshot())) is CallRefused
    call = yielded(root.snapshot({"total": 5}, region=("in", 1)))
    assert type(call) is Snapshot
    assert form_of(call.data) == encode(freeze({"total": 5})) and call.region == encode_key(("in", 1))
    assert yielded(root.snapshot()) == Snapshot(None, None)
    assert answered(root.snapshot(), {"a": 1}) == {"a": 1}


def test_a_snapshot_of_no_value_or_key_is_refused(root: Root) -> None:
    assert type(refused(root.snapshot(object()))) is ValueRefused
    assert type(refused(root.snapshot({"a": [1j]}))) is ValueRefused
    assert type(refused(root.snapshot(1, region=1.5))) is KeyRefused  # type: ignore[arg-type]


# --- merge ---


def child_of(base: dict[Any, Any], theirs: dict[Any, Any]) -> Changes:
    heap = Heap(Memory())
    heap.update(base)
    heap.machine_memory.take_snapshot()
    heap.update(theirs)
    return changes_of(heap.machine_memory)


def test_a_merge_is_a_get_of_the_changes(process: Process) -> None:
    assert yielded(process.merge("c")) == Get("c", ())
    changes = child_of({"a": 1}, {"a": 5, "z": 6})
    assert answered(process.merge("c"), changes) == changes
    assert process.heap["a"] == 5 and process.heap["z"] == 6


def test_a_merge_of_a_region_leaves_the_rest(process: Process) -> None:
    changes = child_of({"a": 1, ("r", 1): 1}, {"a": 5, ("r", 1): 7, ("r", 9): 9})
    merged = answered(process.merge("c", region="r"), changes)
    assert [change.key for change in merged] == [("r", 1), ("r", 9)]
    assert process.heap["a"] == 1 and process.heap["r", 1] == 7 and process.heap["r", 9] == 9


def test_a_merge_that_conflicts_says_where_and_changes_nothing(process: Process) -> None:
    before = process.heap.digest()
    awaitable = process.merge("c")
    awaitable.send(None)
    with pytest.raises(MergeConflict, match="merge into /shards/3: 1 key"):
        awaitable.send(child_of({"a": 0, "z": 0}, {"a": 5}))
    assert process.heap.digest() == before
    answered(process.merge("c", resolve={"a": add}), child_of({"a": 0}, {"a": 5}))
    assert process.heap["a"] == 6


def test_a_merge_is_refused_before_the_kernel_hears_of_it(process: Process) -> None:
    assert type(refused(process.merge("c", resolve=5))) is CallRefused  # type: ignore[arg-type]
    assert type(refused(process.merge("c", resolve={"a": 5}))) is CallRefused  # type: ignore[dict-item]
    assert type(refused(process.merge("c", region=1.5))) is KeyRefused  # type: ignore[arg-type]
    assert type(refused(process.merge(None))) is KeyRefused  # type: ignore[arg-type]


# --- programs ---


def test_a_program_is_told_by_its_module_and_qualified_name() -> None:
    assert defined[__name__, "Child"] is Child

    class Inner(Process):
        async def run(self) -> None: ...

    assert defined[__name__, Inner.__qualname__] is Inner


def test_a_placement_is_loop_or_worker_or_auto() -> None:
    with pytest.raises(ProgramError, match=r"Odd: placement is 'thread'; it is \"loop\", \"worker\" or \"auto\""):

        class Odd(Process):
            placement = "thread"  # type: ignore[assignment]


class NotAsync(Process):
    def run(self) -> None: ...  # type: ignore[override]


class Yields(Process):
    async def run(self) -> Any:  # type: ignore[override]
        yield 1


class Inherits(Child):
    pass


@pytest.mark.parametrize(
    ("program", "root", "told"),
    [
        (NotAsync, False, "NotAsync.run is not async: write `async def run(self)`"),
        (Yields, False, "Yields.run is an async generator; do not yield in it: write `async def run(self)`"),
        (Root, True, "Root has no program to run: write `async def run(self)` in it"),
        (Child, True, "Child cannot be the root: it inherits from Process; let it inherit from actors.Root"),
        (Top, False, "Top is a Root, which only a Runtime runs"),
        (None, False, "a program is a subclass of Process, not None"),
        (object, False, "object is no program: it does not inherit from actors.Process"),
    ],
)
def test_what_cannot_be_run_is_refused_with_what_to_write(program: object, root: bool, told: str) -> None:
    for _ in range(2):
        with pytest.raises(ProgramError) as caught:
            check_program(program, root=root)
        assert str(caught.value).startswith(told)


def test_what_can_be_run_is_accepted() -> None:
    check_program(Child)
    check_program(Inherits)
    check_program(Top, root=True)


def test_a_subclass_of_a_program_that_passed_is_checked_itself(process: Process) -> None:
    yielded(process.put("c", program=Child))

    class Broken(Child):
        def run(self) -> None: ...  # type: ignore[override]

    assert "Broken.run is not async" in str(refused(process.put("c", program=Broken)))


def test_a_trap_says_whether_a_get_would_raise() -> None:
    assert {kind: Trap(kind).failed for kind in TrapKind} == {
        TrapKind.NEW: False,
        TrapKind.RETURNED: False,
        TrapKind.FAILED: True,
        TrapKind.OUT_OF_GAS: True,
        TrapKind.HOST_FAULT: True,
    }


def test_of_two_programs_of_one_name_the_older_is_refused() -> None:
    def made(number: int) -> type[Process]:
        class Twin(Process):
            async def run(self) -> None:
                self.heap["number"] = number

        return Twin

    one, other = made(1), made(2)
    with pytest.raises(ProgramError, match=r"there is another, newer program .*made\.<locals>\.Twin in test_process"):
        check_program(one)
    check_program(other)
