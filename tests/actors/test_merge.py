"""Three-way merge and changes, held against a model on dicts.

The model is the rule of DESIGN.md, "System calls": for each key that the child changed since its snapshot, where the
caller's value is still the one of that snapshot, the child's is taken; else it is a conflict, also when both are equal
now, unless `resolve` settles it.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import actors.memory
from actors import (
    ABSENT,
    CallRefused,
    Changes,
    Heap,
    KeyRefused,
    LimitExceeded,
    MergeConflict,
    MissingKey,
    Region,
    ValueRefused,
    add,
)
from actors.changes import changes_of
from actors.freezing import freeze
from actors.keys import encode_key
from actors.memory import Memory
from actors.merge import check_resolve, merge
from actors.values import encode

often = settings(deadline=None, max_examples=100)


def heap_of(entries: dict[Any, Any]) -> Heap:
    heap = Heap(Memory())
    heap.update(entries)
    return heap


def child_changes(base: dict[Any, Any], theirs: dict[Any, Any], how: str) -> Changes:
    """The changes of a child from `base` to `theirs`: known by its working set, or as the difference of two trees."""
    heap = heap_of(base)
    if how != "known":
        heap.machine_memory.fold()
    heap.machine_memory.take_snapshot()
    for key in base.keys() - theirs.keys():
        del heap[key]
    heap.update({key: value for key, value in theirs.items() if key not in base or not alike(base[key], value)})
    if how == "trees":
        heap.machine_memory.fold()
    elif how == "rewritten":
        heap.clear()
        heap.update(theirs)
    changes = changes_of(heap.machine_memory)
    return Changes(None, *changes.machine_trees()) if how == "carried" else changes


HOWS = ["known", "trees", "rewritten", "carried"]


def alike(one: Any, other: Any) -> bool:
    if one is ABSENT or other is ABSENT:
        return one is other
    return encode(freeze(one)) == encode(freeze(other))


def known(entries: dict[Any, Any]) -> dict[Any, bytes]:
    return {key: encode(freeze(value)) for key, value in entries.items()}


def model(
    base: dict[Any, Any], ours: dict[Any, Any], theirs: dict[Any, Any]
) -> tuple[dict[Any, Any], list[tuple[Any, Any, Any, Any]]]:
    """What is merged where nothing conflicts, and the conflicts by key."""
    merged = dict(ours)
    conflicts = []
    for key in sorted(base.keys() | theirs.keys(), key=encode_key):
        was, here, there = (side.get(key, ABSENT) for side in (base, ours, theirs))
        if alike(was, there):
            continue
        if not alike(was, here):
            conflicts.append((key, was, here, there))
        elif there is ABSENT:
            merged.pop(key, None)
        else:
            merged[key] = there
    return merged, conflicts


keys = st.sampled_from(["a", "b", "ab", ("a", 1), ("a", 2), ("a", 2, "x"), 0, b"a", ()])
values = st.sampled_from([0, 1, 2, True, 1.0, None, "x", "y" * 300, (1,), [1], {"k": 1}])
sides = st.dictionaries(keys, values, max_size=7)


@st.composite
def three_sides(draw: st.DrawFn) -> tuple[dict[Any, Any], dict[Any, Any], dict[Any, Any]]:
    base = draw(sides)
    made = []
    for _ in range(2):
        kept = {key: value for key, value in base.items() if draw(st.integers(0, 3))}
        made.append(kept | draw(st.dictionaries(keys, values, max_size=3)))
    return base, made[0], made[1]


@often
@given(three_sides(), st.sampled_from(HOWS), st.booleans())
def test_a_merge_takes_what_only_the_child_changed_or_lists_every_conflict_and_does_nothing(
    three: tuple[dict[Any, Any], dict[Any, Any], dict[Any, Any]], how: str, folded: bool
) -> None:
    base, ours, theirs = three
    heap = heap_of(ours)
    if folded:
        heap.machine_memory.fold()
    changes = child_changes(base, theirs, how)
    merged, conflicts = model(base, ours, theirs)
    if not conflicts:
        merge(heap.machine_memory, changes, None, "/p")
        assert known(dict(heap.items())) == known(merged)
        return
    with pytest.raises(MergeConflict) as caught:
        merge(heap.machine_memory, changes, None, "/p")
    assert caught.value.place == "/p"
    assert [key for key, *_ in caught.value.conflicts] == [key for key, *_ in conflicts]
    for told, expected in zip(caught.value.conflicts, conflicts, strict=True):
        assert all(map(alike, told[1:], expected[1:]))
    assert known(dict(heap.items())) == known(ours)


@st.composite
def edits_of_many(draw: st.DrawFn) -> dict[Any, Any]:
    """Changes of a heap of `MANY`: here and there, or a whole stretch of it; ABSENT deletes."""
    some = draw(st.lists(st.sampled_from(list(MANY)) | st.tuples(st.just("k"), st.integers(90, 120)), max_size=6))
    if draw(st.booleans()):
        begin = draw(st.integers(0, 99))
        some += list(MANY)[begin : begin + draw(st.integers(1, 99))]
    return {key: draw(st.sampled_from([ABSENT, 0, "y" * 300, key])) for key in some}


MANY: dict[Any, Any] = {("k", n): n for n in range(80)} | {("k", 7, n): n for n in range(10)} | {"a": 1, "z": 2}


@often
@given(edits_of_many(), edits_of_many(), st.booleans(), st.sampled_from([(), "k", Region("k", 20, 60), ("k", 7)]))
def test_a_fork_that_folded_its_heap_is_merged_key_by_key_or_in_whole_parts_alike(
    mine: dict[Any, Any], theirs: dict[Any, Any], hashed: bool, region: Any
) -> None:
    heap = heap_of(MANY)
    heap.machine_memory.fold()
    child = Heap(heap.machine_memory.copy())
    child.machine_memory.take_snapshot()
    sides = []
    for side, changes in ((heap, mine), (child, theirs)):
        for key, value in changes.items():
            if value is ABSENT:
                side.pop(key, None)
            else:
                side[key] = value
        if hashed:
            side.digest()
        sides.append(dict(side.items()))
    child.machine_memory.fold()
    here, there = sides
    changed = changes_of(child.machine_memory).within(region)
    inside = {change.key for change in changed}
    taken = {key: value for key, value in MANY.items() if key not in inside}
    taken |= {key: there[key] for key in inside if key in there}
    merged, conflicts = model(MANY, here, taken)
    if conflicts:
        with pytest.raises(MergeConflict) as caught:
            merge(heap.machine_memory, changed, None, "/p")
        assert [key for key, *_ in caught.value.conflicts] == [key for key, *_ in conflicts]
        assert known(dict(heap.items())) == known(here)
        merge(heap.machine_memory, changed, lambda key, was, here, there: here, "/p")
    else:
        merge(heap.machine_memory, changed, None, "/p")
    assert known(dict(heap.items())) == known(merged)
    assert heap.digest() == heap_of(merged).digest()
    heap.machine_memory.tree.check()


def test_what_only_the_child_touched_is_taken_over_as_it_is() -> None:
    heap = heap_of({(part, n): n for part in "ab" for n in range(100)})
    heap.machine_memory.fold()
    child = Heap(heap.machine_memory.copy())
    child.machine_memory.take_snapshot()
    child["b", 7] = "theirs"
    child.machine_memory.fold()
    heap["a", 3] = "ours"
    theirs = child.region("b").machine_tree
    merge(heap.machine_memory, changes_of(child.machine_memory), None, "/")
    assert heap["a", 3] == "ours" and heap["b", 7] == "theirs"
    assert heap.region("b").machine_tree.node is theirs.node


def test_a_merge_of_trees_that_would_make_the_heap_too_large_leaves_it_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(actors.memory, "HEAP_ENTRIES_MAX", 50)
    heap = heap_of({("n", n): n for n in range(40)})
    heap.machine_memory.fold()
    child = Heap(heap.machine_memory.copy())
    child.machine_memory.take_snapshot()
    child.update({("c", n): n for n in range(6)})
    child.machine_memory.fold()
    heap.update({("h", n): n for n in range(5)})
    digest = heap.digest()
    with pytest.raises(LimitExceeded, match="merge into /p: the heap would have 51 entries"):
        merge(heap.machine_memory, changes_of(child.machine_memory), None, "/p")
    assert heap.digest() == digest and len(heap) == 45
    del heap["h", 0]
    merge(heap.machine_memory, changes_of(child.machine_memory), None, "/p")
    assert len(heap) == 50


@often
@given(three_sides(), st.sampled_from(HOWS), st.data())
def test_a_function_settles_every_conflict_and_is_asked_about_no_other_key(
    three: tuple[dict[Any, Any], dict[Any, Any], dict[Any, Any]], how: str, data: st.DataObject
) -> None:
    base, ours, theirs = three
    heap = heap_of(ours)
    merged, conflicts = model(base, ours, theirs)
    answers = {key: data.draw(values | st.just(ABSENT)) for key, *_ in conflicts}
    asked = []

    def resolve(key: Any, was: Any, here: Any, there: Any) -> Any:
        asked.append((key, was, here, there))
        return answers[key]

    merge(heap.machine_memory, child_changes(base, theirs, how), resolve, "/")
    assert [key for key, *_ in asked] == [key for key, *_ in conflicts]
    assert all(
        alike(a, b)
        for one, other in zip(asked, conflicts, strict=True)
        for a, b in zip(one[1:], other[1:], strict=True)
    )
    expected = merged | answers
    assert known(dict(heap.items())) == known({key: value for key, value in expected.items() if value is not ABSENT})


@often
@given(three_sides())
def test_changes_are_the_same_however_they_are_known(
    three: tuple[dict[Any, Any], dict[Any, Any], dict[Any, Any]],
) -> None:
    base, _, theirs = three
    made = {how: child_changes(base, theirs, how) for how in HOWS}
    expected = [
        (key, base.get(key, ABSENT), theirs.get(key, ABSENT))
        for key in sorted(base.keys() | theirs.keys(), key=encode_key)
        if not alike(base.get(key, ABSENT), theirs.get(key, ABSENT))
    ]
    for changes in made.values():
        assert changes == made["known"]
        assert len(changes) == len(expected) and bool(changes) == bool(expected)
        for change, (key, old, new) in zip(changes, expected, strict=True):
            assert change.key == key and alike(change.old, old) and alike(change.new, new)
            assert key in changes and alike(changes[key], new)
        before, after = changes.machine_trees()
        assert changes.machine_trees() == (before, after)
        assert Changes(None, before, after) == changes
        if expected:
            assert changes != Changes([])


@often
@given(three_sides(), keys, st.none() | keys, st.none() | keys, st.sampled_from(HOWS))
def test_changes_within_a_region_are_those_with_keys_in_it(
    three: tuple[dict[Any, Any], dict[Any, Any], dict[Any, Any]], prefix: Any, low: Any, high: Any, how: str
) -> None:
    base, _, theirs = three
    if low is not None and high is not None and encode_key(low) > encode_key(high):
        low, high = high, low
    region = Region(prefix, low, high)
    begin = prefix if type(prefix) is tuple else (prefix,)
    changes = child_changes(base, theirs, how)
    expected = []
    for change in changes:
        key = change.key if type(change.key) is tuple else (change.key,)
        if key[: len(begin)] == begin and [type(one) for one in key[: len(begin)]] == [type(one) for one in begin]:
            rest = encode_key(key[len(begin) :])
            if (low is None or rest >= encode_key(low)) and (high is None or rest < encode_key(high)):
                expected.append(change.key)
    assert [change.key for change in changes.within(region)] == expected


# --- conflicts and how they are settled ---


def test_equal_changes_on_both_sides_are_a_conflict() -> None:
    heap = heap_of({"a": 2})
    with pytest.raises(MergeConflict) as caught:
        merge(heap.machine_memory, child_changes({"a": 1}, {"a": 2}, "known"), None, "/here")
    assert caught.value.conflicts == (("a", 1, 2, 2),)


def test_a_conflict_names_the_place_the_keys_and_the_three_values() -> None:
    base, theirs = {"a": 1, "c": 0, ("k", 1): "s"}, {"b": 2, "a": 3, ("k", 1): "t"}
    heap = heap_of({"b": 5, "c": 7})
    with pytest.raises(MergeConflict) as caught:
        merge(heap.machine_memory, child_changes(base, theirs, "known"), None, "/shards")
    assert caught.value.conflicts == (
        ("a", 1, ABSENT, 3),
        ("b", ABSENT, 5, 2),
        ("c", 0, 7, ABSENT),
        (("k", 1), "s", ABSENT, "t"),
    )
    assert str(caught.value).splitlines() == [
        "merge into /shards: 4 key(s) changed on both sides since the snapshot",
        "  'a': was 1, here ABSENT, in the child 3",
        "  'b': was ABSENT, here 5, in the child 2",
        "  'c': was 0, here 7, in the child ABSENT",
        "  ('k', 1): was 's', here ABSENT, in the child 't'",
        "pass resolve= to say how such keys are settled; nothing was merged",
    ]


def test_a_conflict_of_many_keys_has_them_all_and_prints_twenty() -> None:
    numbers = dict.fromkeys(range(50), 0)
    heap = heap_of(dict.fromkeys(range(50), 1))
    with pytest.raises(MergeConflict) as caught:
        merge(heap.machine_memory, child_changes(numbers, dict.fromkeys(range(50), 2), "known"), None, "/")
    assert [key for key, *_ in caught.value.conflicts] == list(range(50))
    lines = str(caught.value).splitlines()
    assert len(lines) == 23 and lines[21] == "  … and 30 more"


def test_a_mapping_settles_the_keys_and_regions_that_it_names_first_match_first() -> None:
    base = {"x": 1, ("n", 1): 1, ("n", 5): 1, ("m", 1): 1, "n": 1}
    heap = heap_of(dict.fromkeys(base, 10))
    changes = child_changes(base, dict.fromkeys(base, 100), "known")
    resolve = {
        ("n", 1): lambda base, ours, theirs: "key",
        Region("n", 2, 9): lambda base, ours, theirs: "range",
        Region("n"): lambda base, ours, theirs: (base, ours, theirs),
        "x": add,
        Region("m"): max,
    }
    merge(heap.machine_memory, changes, resolve, "/")
    assert dict(heap.items()) == {"x": 109, ("n", 1): "key", ("n", 5): "range", "n": (1, 10, 100), ("m", 1): 100}


def test_keys_that_a_mapping_does_not_name_stay_conflicts_and_nothing_is_merged() -> None:
    heap = heap_of({"a": 1, "b": 1})
    changes = child_changes({"a": 0, "b": 0, "c": 0}, {"a": 5, "b": 5, "c": 5}, "known")
    asked = []
    with pytest.raises(MergeConflict) as caught:
        merge(heap.machine_memory, changes, {"a": lambda *three: asked.append(three) or 7}, "/")
    assert [key for key, *_ in caught.value.conflicts] == ["b", "c"]
    assert dict(heap.items()) == {"a": 1, "b": 1}


def test_a_key_names_one_key_and_a_region_all_below() -> None:
    base = {("a", 1): 0}
    changes = child_changes(base, {("a", 1): 2}, "known")
    with pytest.raises(MergeConflict):
        merge(heap_of({("a", 1): 1}).machine_memory, changes, {"a": add}, "/")
    heap = heap_of({("a", 1): 1})
    merge(heap.machine_memory, changes, {Region("a"): add}, "/")
    assert heap["a", 1] == 3


def test_counters_are_added_with_an_absent_one_as_zero() -> None:
    assert add(5, 7, 11) == 13
    assert add(ABSENT, 7, 11) == 18
    assert add(5, ABSENT, 8) == 3
    assert add(5, 8, ABSENT) == 3
    heap = heap_of({"n": 7})
    merge(heap.machine_memory, child_changes({}, {"n": 4}, "known"), {"n": add}, "/")
    assert heap["n"] == 11


def test_a_resolver_that_answers_absent_deletes_the_key() -> None:
    heap = heap_of({"a": 1, "b": 1})
    changes = child_changes({"a": 0, "b": 0}, {"a": 5, "b": 6}, "known")
    merge(heap.machine_memory, changes, lambda key, base, ours, theirs: ABSENT if key == "a" else theirs, "/")
    assert dict(heap.items()) == {"b": 6}


def test_a_resolver_that_raises_or_answers_no_value_changes_nothing() -> None:
    def raises(key: Any, base: Any, ours: Any, theirs: Any) -> Any:
        if key == "z":
            raise RuntimeError("no")
        return theirs

    base, theirs = {"a": 0, "m": 0, "z": 0}, {"a": 1, "m": 5, "z": 1}
    for resolve, error in ((raises, RuntimeError), (lambda *four: object() if four[0] == "z" else 1, ValueRefused)):
        heap = heap_of({"a": 3, "m": 0, "z": 3})
        with pytest.raises(error):
            merge(heap.machine_memory, child_changes(base, theirs, "known"), resolve, "/")
        assert dict(heap.items()) == {"a": 3, "m": 0, "z": 3}


def test_what_a_resolver_answers_is_frozen() -> None:
    answer = [1]
    heap = heap_of({"a": 1})
    merge(heap.machine_memory, child_changes({"a": 0}, {"a": 2}, "known"), lambda *four: answer, "/")
    answer.append(2)
    assert heap["a"] == freeze([1])


@pytest.mark.parametrize(
    ("resolve", "told"),
    [
        (5, "merge: resolve is a int; it takes a function (key, base, ours, theirs) or a mapping"),
        ([add], "merge: resolve is a list; it takes a function"),
        ({"a": 5}, "merge: resolve['a'] is a int; it takes a function (base, ours, theirs)"),
        ({Region("a"): None}, "merge: resolve[Region('a')] is a NoneType; it takes a function (base, ours, theirs)"),
    ],
)
def test_a_resolver_of_another_kind_is_refused(resolve: object, told: str) -> None:
    with pytest.raises(CallRefused) as caught:
        check_resolve(resolve)
    assert str(caught.value).startswith(told)


def test_a_mapping_of_resolvers_has_keys_that_are_keys() -> None:
    with pytest.raises(KeyRefused, match="the key None"):
        check_resolve({None: add})
    for fine in (None, add, {}, {"a": add, ("a", 1): add, Region("b", 1, 2): add}):
        check_resolve(fine)


# --- changes ---


def test_changes_are_read_by_key() -> None:
    changes = child_changes({"a": 1, "b": 2, "c": 3}, {"a": 9, "c": 3, ("d", 1): 4}, "known")
    assert changes["a"] == 9 and changes["b"] is ABSENT and changes["d", 1] == 4
    assert "c" not in changes and ("d",) not in changes and "b" in changes
    with pytest.raises(MissingKey, match="no key 'c' in these changes"):
        changes["c"]
    assert repr(changes) == "<Changes 'a': 1 → 9, 'b': 2 → ABSENT, ('d', 1): ABSENT → 4>"


def test_changes_are_frozen() -> None:
    heap = heap_of({"a": 1})
    heap.machine_memory.take_snapshot()
    heap["a"] = 2
    for fold in (False, True):
        if fold:
            heap.machine_memory.fold()
        changes = changes_of(heap.machine_memory)
        heap["b"] = 3
        heap["a"] = 7
        heap.machine_memory.fold()
        heap.machine_memory.take_snapshot()
        assert [tuple(change) for change in changes] == [("a", 1, 2)]
        heap["a"] = 1
        del heap["b"]
        heap.machine_memory.take_snapshot()
        heap["a"] = 2


def test_a_mounted_region_is_a_change_of_each_of_its_keys() -> None:
    source = heap_of({n: n for n in range(30)})
    heap = heap_of({("m", 5): 5, ("m", 99): 99})
    heap.machine_memory.take_snapshot()
    heap["m"] = source.region()
    changes = changes_of(heap.machine_memory)
    assert len(changes) == 30
    assert changes["m", 99] is ABSENT and changes["m", 7] == 7 and ("m", 5) not in changes


# --- what a child wrote on the caller's own tree ---


@st.composite
def forked(draw: Any) -> Any:
    """What the caller's heap has, what is put on top for the child, and what each side then writes; None deletes."""
    keys = st.integers(0, 40)
    base = draw(st.dictionaries(keys, st.integers(0, 2), max_size=40))
    writes = st.dictionaries(keys, st.one_of(st.none(), st.integers(0, 2)), max_size=6)
    late = draw(st.dictionaries(keys, st.integers(0, 2), max_size=4))
    return base, late, draw(st.dictionaries(keys, st.integers(0, 2), max_size=3)), draw(writes), draw(writes)


def write_all(heap: Heap, writes: dict[int, int | None]) -> None:
    for key, value in writes.items():
        if value is not None:
            heap[key] = value
        else:
            heap.pop(key, None)


@often
@given(case=forked(), folds=st.tuples(st.booleans(), st.booleans(), st.booleans()), settled=st.booleans())
def test_a_fork_by_reference_is_merged_as_one_by_value(
    case: Any, folds: tuple[bool, bool, bool], settled: bool
) -> None:
    base, late, on_top, theirs, ours = case
    resolve = (lambda key, *sides: sum(0 if side is ABSENT else side for side in sides)) if settled else None
    results = []
    for by_reference in (True, False):
        caller = heap_of(base)
        if folds[0]:
            caller.machine_memory.fold()
        write_all(caller, late)
        child = Heap(Memory())
        if by_reference:
            child.machine_memory.lay(*caller.region().machine_layers())
        else:
            child.update(dict(caller.items()))
            child.machine_memory.fold()
        child.update(on_top)
        child.machine_memory.take_snapshot()
        write_all(child, theirs)
        write_all(caller, ours)
        if by_reference and folds[1]:
            caller.machine_memory.fold()
        if by_reference and folds[2]:
            child.machine_memory.fold()
        changes = changes_of(child.machine_memory)
        try:
            got = caller.merge(changes, resolve)
        except MergeConflict as conflict:
            results.append((conflict.conflicts, caller.digest(), None))
        else:
            results.append((list(changes), caller.digest(), sorted(got)))
        caller.machine_memory.fold().check()
    assert results[0] == results[1]


def test_a_child_that_began_on_the_callers_own_tree_is_merged_without_a_read() -> None:
    caller = heap_of({n: n for n in range(100)})
    caller.machine_memory.fold()
    child = Heap(Memory())
    child.machine_memory.lay(*caller.region().machine_layers())
    child.machine_memory.take_snapshot()
    child.update({3: "new", 200: "added"})
    caller[5] = "mine"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(actors.memory.Tree, "get", lambda *_: pytest.fail("it was read"))
        caller.merge(changes_of(child.machine_memory))
    assert (caller[3], caller[5], caller[200]) == ("new", "mine", "added")


def test_a_view_of_a_whole_heap_is_what_it_was_when_it_was_taken() -> None:
    heap = heap_of({n: n for n in range(100)})
    heap.machine_memory.fold()
    heap[1], heap[200] = "written", "added"
    view = heap.region()
    heap[1] = "later"
    laid = Heap(Memory())
    laid["gone"] = True
    laid.machine_memory.take_snapshot()
    laid.machine_memory.lay(*view.machine_layers())
    laid[2] = "the child's"
    assert (view[1], view[200], len(view), "gone" in laid, laid[1]) == ("written", "added", 101, False, "written")
    assert view == heap_of({**{n: n for n in range(100)}, 1: "written", 200: "added"}).region()
    laid.machine_memory.revert()
    assert list(laid.items()) == [("gone", True)]
