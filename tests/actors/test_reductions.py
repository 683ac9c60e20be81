"""Reductions and their laws: each by its rule, at absent sides too; and that the check finds what is none."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import strategies as st
from pyrsistent import pset, pvector

from actors import ABSENT, CallRefused, add, append, maximum, minimum, union
from actors.laws import LawBroken, check_reduction
from actors.values import same

NUMBERS = st.integers(-50, 50)
SETS = st.frozensets(st.integers(0, 5))


@pytest.mark.parametrize(
    ("reduction", "base", "ours", "theirs", "expected"),
    [
        (add, 5, 7, 4, 6),
        (add, ABSENT, 2, 3, 5),
        (minimum, 5, 3, 4, 3),
        (minimum, 5, 9, 7, 7),
        (minimum, ABSENT, 3, 4, 3),
        (minimum, 5, ABSENT, 4, 4),
        (minimum, 5, 4, ABSENT, 4),
        (maximum, 5, 3, 4, 4),
        (maximum, ABSENT, 3, 4, 4),
        (maximum, 5, ABSENT, 9, 9),
        (maximum, 5, ABSENT, ABSENT, ABSENT),
        (union, pset([1]), pset([1, 2]), pset([1, 3]), pset([1, 2, 3])),
        (union, ABSENT, pset([2]), pset([3]), pset([2, 3])),
        (union, pset([1, 2, 3]), pset([2, 3, 4]), pset([1, 3]), pset([3, 4])),
        (union, pset([1, 2]), ABSENT, pset([1, 2, 3]), pset([3])),
        (append, (1,), (1, 2), (1, 3, 4), (1, 2, 3, 4)),
        (append, ABSENT, (2,), (3,), (2, 3)),
        (append, ABSENT, ABSENT, (3,), (3,)),
        (append, "a", "ab", "ac", "abc"),
        (append, b"", b"b", b"c", b"bc"),
        (append, pvector([1]), pvector([1, 2]), pvector([1, 3]), pvector([1, 2, 3])),
    ],
)
def test_a_reduction_by_its_rule(reduction: Any, base: Any, ours: Any, theirs: Any, expected: Any) -> None:
    found = reduction(base, ours, theirs)
    assert found is ABSENT if expected is ABSENT else same(found, expected)


@pytest.mark.parametrize(
    ("reduction", "base", "ours", "theirs", "told"),
    [
        (union, 1, pset([1]), pset(), "union: 1 is a int"),
        (append, (1, 2), (1, 2, 3), (1,), r"append: \(1,\) does not begin with \(1, 2\)"),
        (append, (1,), ABSENT, (1, 2), "does not begin with"),
        (append, ABSENT, 3, (1,), "append: 3 does not begin with"),
        (append, ABSENT, (1,), "a", "of different types"),
        (append, (1,), pvector([1, 2]), (1, 2), "does not begin with"),
    ],
)
def test_what_a_reduction_cannot_settle_is_refused(
    reduction: Any, base: Any, ours: Any, theirs: Any, told: str
) -> None:
    with pytest.raises(CallRefused, match=told):
        reduction(base, ours, theirs)


def tails(base: Any) -> Any:
    """What children may leave who append."""
    return st.lists(NUMBERS, max_size=3).map(lambda tail: (() if base is ABSENT else base) + tuple(tail))


def test_all_of_them_hold_their_laws() -> None:
    for reduction in (add, minimum, maximum):
        check_reduction(reduction, NUMBERS)
    check_reduction(union, SETS)
    check_reduction(append, st.lists(NUMBERS, max_size=3).map(tuple), tails, ordered=True)


def last(base: Any, ours: Any, theirs: Any) -> Any:
    return theirs


def product(base: Any, ours: Any, theirs: Any) -> Any:
    return ours * theirs


def mean(base: Any, ours: Any, theirs: Any) -> Any:
    return (ours + theirs) // 2


@pytest.mark.parametrize(
    ("function", "values", "how", "told"),
    [
        (last, NUMBERS, {}, "not commutative"),
        (mean, NUMBERS, {"absent": False}, "not (commutative|associative)"),
        (mean, NUMBERS, {"ordered": True}, "not associative"),
        (add, st.floats(-1e3, 1e3), {}, "not (commutative|associative)"),
        (append, st.lists(NUMBERS, max_size=3).map(tuple), {"after": tails}, "not commutative"),
    ],
)
def test_what_is_no_reduction_is_found_with_an_example(function: Any, values: Any, how: Any, told: str) -> None:
    with pytest.raises(LawBroken, match=told):
        check_reduction(function, values, **how)


def test_a_function_that_fails_where_the_key_is_absent_shows_it() -> None:
    def strict(base: Any, ours: Any, theirs: Any) -> Any:
        return ours + (theirs - base)

    check_reduction(strict, NUMBERS, absent=False)
    with pytest.raises(TypeError):
        check_reduction(strict, NUMBERS)


def test_a_function_that_may_come_back_to_the_base_has_to_agree_that_the_other_side_is_taken_then() -> None:
    """-1 and -2 on 2 make 2 again: then the next child's value is taken as it is, and no function asked."""
    for function in (product, lambda base, ours, theirs: ours + theirs):
        with pytest.raises(LawBroken):
            check_reduction(function, st.integers(-3, 3), absent=False, examples=2_000)


def test_without_hypothesis_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(ModuleNotFoundError, match="pip install hypothesis"):
        check_reduction(add, NUMBERS)


def test_what_is_equal_and_not_the_same_is_in_one_order_and_nan_comes_last() -> None:
    nan = float("nan")
    for one, other, least in [(0.0, -0.0, 0.0), (1, True, True), (nan, -1.0, -1.0), (nan, float("inf"), float("inf"))]:
        for pair in ((one, other), (other, one)):
            assert same(minimum(ABSENT, *pair), least), pair
            greatest = one if same(least, other) else other
            assert same(maximum(ABSENT, *pair), greatest), pair


def test_a_set_that_all_sides_deleted_is_gone() -> None:
    assert union(pset([1]), ABSENT, ABSENT) is ABSENT
    assert union(pset([1]), ABSENT, pset([1, 2])) == pset([2])
