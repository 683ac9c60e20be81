"""The laws of a reduction, tried on examples: for the tests of programs that bring a function of their own.

A key that several children change is to end with the same value in whatever order and in whatever groups they are joined.
So what is tried is that itself: some children, each of which leaves a value, are joined into a heap in every order, and a
part of them first into one between. Where two results differ, the smallest example that was found is in the error.

It wants hypothesis, which the language itself does without.
"""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, Any, Final

from actors.freezing import freeze
from actors.values import ABSENT, encode, show

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hypothesis.strategies import SearchStrategy

    from actors.merge import Resolver

#: So many children an example has: one beside a group of two, and each alone.
_CHILDREN: Final = 3


class LawBroken(AssertionError):
    """A function is no reduction: children that are joined in another way leave another value. The message has an example."""


def check_reduction(
    function: Resolver,
    values: SearchStrategy[Any],
    after: Callable[[Any], SearchStrategy[Any]] | None = None,
    *,
    absent: bool = True,
    ordered: bool = False,
    examples: int = 200,
) -> None:
    """Check that the result of joins does not depend on their order or grouping where this function settles them.

    Args:
        function: (base, ours, theirs), as `reductions` and `resolve` take it.
        values: what may stand under the key; few and small ones meet more often.
        after: what a child may leave, given what it found (`ABSENT` where there was nothing); any of `values`, if not given.
        absent: whether the key may be absent at first.
        ordered: whether children are joined in one order, as they are in a team: then only groups are tried.
        examples: how many are tried.

    Raises:
        LawBroken: it is none; the message has the smallest example found.
        ModuleNotFoundError: there is no hypothesis; the message says how it is installed.
    """
    try:
        from hypothesis import HealthCheck, Phase, given, settings
        from hypothesis import strategies as st
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "check_reduction draws its examples with hypothesis, and there is none: pip install hypothesis"
        ) from error
    bases = st.one_of(st.just(ABSENT), values) if absent else values

    def left(base: Any) -> SearchStrategy[tuple[Any, list[Any]]]:
        one = values if after is None else after(base)
        return st.tuples(st.just(base), st.lists(one, min_size=_CHILDREN, max_size=_CHILDREN))

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(bases.flatmap(left))
    def check(example: tuple[Any, list[Any]]) -> None:
        base, children = example
        _check_example(function, _settled(base), [_settled(child) for child in children], ordered)

    check()


def _check_example(function: Resolver, base: Any, children: list[Any], ordered: bool) -> None:
    expected = _joined(function, base, children)
    told = ", ".join(map(show, children))
    for order in [tuple(children)] if ordered else permutations(children):
        shown = ", ".join(map(show, order))
        result = _joined(function, base, order)
        if not _same(expected, result):
            raise LawBroken(
                f"not commutative: on {show(base)}, children that leave {told} make {show(expected)}, "
                f"and joined as {shown} they make {show(result)}"
            )
        first, *rest = order
        result = _joined(function, base, [first, _joined(function, base, rest)])
        if not _same(expected, result):
            raise LawBroken(
                f"not associative: on {show(base)}, children that leave {told} make {show(expected)}, "
                f"and {show(result)} where the last two of {shown} are joined before"
            )


def _joined(function: Resolver, base: Any, children: Iterable[Any]) -> Any:
    """Return what stands under a key once all children are joined, as `merge` does it."""
    ours = base
    for theirs in children:
        if _same(base, theirs):
            continue
        ours = theirs if _same(ours, base) else _settled(function(base, ours, theirs))
    return ours


def _settled(value: Any) -> Any:
    return value if value is ABSENT else freeze(value)


def _same(one: Any, other: Any) -> bool:
    if one is ABSENT or other is ABSENT:
        return one is other
    return encode(one) == encode(other)
