"""Walks over the heap's tree: entries in order, and the differences between two trees.

Both are generators that load nodes as they come to them, hold a stack of what is still to be visited, and never
recurse. `differ` skips what is the same node, or has the same digest, on both sides: its cost follows the differences.

A walk goes through millions, so it works by the bucket and not by the entry: buckets that stand beside one another are
read at once, and the entries of one are looked at one by one only where a bound falls among them.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

from actors.limits import BUCKET_ENTRIES_MAX
from actors.nodes import LATER, NIBBLES, Edge, Node, nibbles_of
from actors.records import load, read_ahead

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NOTHING: Final[Edge] = (b"", None)
#: A walk through a tree of at most so many entries keeps the nodes that it loads.
_KEPT_MAX: Final = 1 << 16
#: So many buckets are read at once: the children of a branch.
_AHEAD_MAX: Final = NIBBLES
_NIBBLE: Final = tuple(bytes((i,)) for i in range(NIBBLES))


def common_length(one: bytes, other: bytes) -> int:
    """Return how long the common prefix is."""
    size = min(len(one), len(other))
    if one[:size] == other[:size]:
        return size
    low = 0
    while low < size and one[low] == other[low]:
        low += 1
    return low


def kid_of(node: Node, i: int) -> Edge:
    """Return the edge to a child, as a stub at least."""
    assert node.kids is not None
    kid = node.kids[i]
    return node.labels.get(i, b""), node.fetch(i) if kid is LATER else kid


def walk(
    label: bytes, node: Node | None, low: bytes, high: bytes | None, reverse: bool
) -> Iterator[tuple[bytes, bytes]]:
    """Yield (path, cell) in order, from `low` up to and without `high`; nodes are loaded as they come."""
    for at, paths, cells in runs(label, node, low, high, reverse):
        yield from zip([at + path for path in paths], cells, strict=True)


def runs(
    label: bytes, node: Node | None, low: bytes, high: bytes | None, reverse: bool
) -> Iterator[tuple[bytes, list[bytes], list[bytes]]]:
    """Yield the entries of a walk by the node that has them: (its path, what each one's goes on with, their cells).

    What a walk through very many entries loads is not kept: it must not take the room of them all.
    """
    if node is None:
        return
    fetch = Node.fetch if node.count <= _KEPT_MAX else Node.stub_of
    ahead: Mapping[int, bytes] = {}
    alone = True
    stack: list[tuple[bytes, Node | bytes]] = [(label, node)]
    while stack:
        at, thing = stack.pop()
        if isinstance(thing, bytes):
            if at >= low and (high is None or at < high):
                yield at, [b""], [thing]
            continue
        if _outside(at, low, high):
            continue
        if _is_bucket_to_load(thing):
            if alone:
                # The first is: whoever wants no more than its entries does not pay for others.
                alone = False
            elif thing.number not in ahead:
                ahead = read_ahead([thing, *_next_buckets(stack, low, high)])
        if load(thing, ahead).paths is not None:
            paths, cells = thing.path_list(), thing.cell_list()
            straddles = high is not None and high.startswith(at)
            if at < low or straddles:
                begin = bisect_left(paths, low[len(at) :]) if at < low else 0
                end = bisect_left(paths, high[len(at) :]) if straddles else len(paths)  # type: ignore[index]
                paths, cells = paths[begin:end], cells[begin:end]
            if reverse:
                paths.reverse()
                cells.reverse()
            if paths:
                yield at, paths, cells
            continue
        assert thing.kids is not None
        labels = thing.labels
        below: list[tuple[bytes, Node | bytes]] = [] if thing.value is None else [(at, thing.value)]
        for i, kid in enumerate(thing.kids):
            if kid is not None:
                whole = at + _NIBBLE[i] + labels[i] if i in labels else at + _NIBBLE[i]
                below.append((whole, fetch(thing, i) if kid is LATER else kid))
        stack.extend(below if reverse else reversed(below))


def _outside(at: bytes, low: bytes, high: bytes | None) -> bool:
    """Tell whether all below a path is below `low`, or not below `high`."""
    return (at < low and not low.startswith(at)) or (high is not None and at >= high)


def _is_bucket_to_load(node: Node) -> bool:
    return node.paths is None and node.count <= BUCKET_ENTRIES_MAX


def _next_buckets(stack: list[tuple[bytes, Node | bytes]], low: bytes, high: bytes | None) -> Iterator[Node]:
    """Yield the buckets that a walk will load next."""
    for at, thing in stack[:-_AHEAD_MAX:-1]:
        if isinstance(thing, bytes) or not _is_bucket_to_load(thing) or _outside(at, low, high):
            return
        yield thing


def _same(one: Edge, other: Edge) -> bool:
    """Tell whether two edges surely have the same entries, without looking below."""
    a, b = one[1], other[1]
    if a is b:
        return a is None or one[0] == other[0]
    if a is None or b is None or one[0] != other[0]:
        return False
    return a.digest is not None and a.digest == b.digest


def differ(one: Edge, other: Edge) -> Iterator[tuple[bytes, bytes | None, bytes | None]]:
    """Yield (path, cell here, cell there) in order for all paths whose cells differ."""
    stack: list[tuple[bytes, Edge, Edge]] = [(b"", one, other)]
    while stack:
        at, a, b = stack.pop()
        if _same(a, b):
            continue
        if a[1] is None or b[1] is None or load(a[1]).kids is None or load(b[1]).kids is None:
            yield from _merge_walk(at, a, b)
            continue
        # Two branches: bring both to where the shorter label ends, and pair the children up.
        shared = common_length(a[0], b[0])
        if shared < len(a[0]) and shared < len(b[0]):
            first, second = (a, _NOTHING), (_NOTHING, b)
            pair = (first, second) if a[0][shared] < b[0][shared] else (second, first)
            stack += ((at, *pair[1]), (at, *pair[0]))
            continue
        here = at + a[0][:shared]
        if shared == len(a[0]) == len(b[0]):
            own_a, own_b = a[1].value, b[1].value
            stack += [(here + _NIBBLE[i], kid_of(a[1], i), kid_of(b[1], i)) for i in _unlike(a[1], b[1])]
        else:
            own_a, kids_a = _at(a, shared)
            own_b, kids_b = _at(b, shared)
            stack += [(here + _NIBBLE[i], kids_a[i], kids_b[i]) for i in reversed(range(NIBBLES))]
        if own_a != own_b:
            yield here, own_a, own_b


def _unlike(one: Node, other: Node) -> list[int]:
    """Return the nibbles, the last first, where two branches do not surely have the same below; nothing is fetched."""
    mine, theirs = one.kids, other.kids
    assert mine is not None and theirs is not None
    labelled = one.labels != other.labels
    unlike = []
    for i in range(NIBBLES - 1, -1, -1):
        a, b = mine[i], theirs[i]
        if not labelled or one.labels.get(i) == other.labels.get(i):
            if a is b and a is not LATER:
                continue
            digest = one.kid_digest(i)
            if digest is not None and digest == other.kid_digest(i):
                continue
        unlike.append(i)
    return unlike


def _at(edge: Edge, length: int) -> tuple[bytes | None, list[Edge]]:
    """Return the own cell and the children of an edge's branch as seen from `length` nibbles down its label."""
    label, node = edge
    assert node is not None and node.kids is not None
    if length < len(label):
        kids = [_NOTHING] * NIBBLES
        kids[label[length]] = (label[length + 1 :], node)
        return None, kids
    return node.value, [kid_of(node, i) for i in range(NIBBLES)]


def _merge_walk(at: bytes, a: Edge, b: Edge) -> Iterator[tuple[bytes, bytes | None, bytes | None]]:
    """Compare entry by entry: at least one side has few entries."""
    one, other = a[1], b[1]
    if one is not None and other is not None and load(one).paths is not None and load(other).paths is not None:
        yield from _differ_buckets(at, one, other)
        return
    left, right = walk(*a, b"", None, False), walk(*b, b"", None, False)
    x, y = next(left, None), next(right, None)
    while x is not None or y is not None:
        if y is None or (x is not None and x[0] < y[0]):
            assert x is not None
            yield at + x[0], x[1], None
            x = next(left, None)
        elif x is None or y[0] < x[0]:
            yield at + y[0], None, y[1]
            y = next(right, None)
        else:
            if x[1] != y[1]:
                yield at + x[0], x[1], y[1]
            x, y = next(left, None), next(right, None)


def _differ_buckets(at: bytes, one: Node, other: Node) -> Iterator[tuple[bytes, bytes | None, bytes | None]]:
    mine, theirs = one.entries(), other.entries()
    paths = mine if one.paths == other.paths and one.lengths == other.lengths else sorted({**mine, **theirs})
    for path in paths:
        old, new = mine.get(path), theirs.get(path)
        if old != new:
            yield at + path, old, new


def unfinished(node: Node | None, saved: bool) -> Iterator[Node]:
    """Yield the nodes at and below `node` that have no digest (where `saved`: no number) yet, children before parents.

    Each once, and it must be given what it lacks before the next is asked for: that is how one that stands in many places
    is known again.
    """
    stack = [] if node is None else [node]
    while stack:
        top = stack[-1]
        if (top.number if saved else top.digest) is not None:
            stack.pop()
            continue
        kids = top.kids
        if kids is not None:
            some = top.unsaved if saved else top.unsealed
            waiting = []
            for kid in kids if some is None else [kids[i] for i in nibbles_of(some)]:
                if kid is None or (kid.number if saved else kid.digest) is not None:
                    continue
                if kid.kids is None:
                    yield kid
                else:
                    waiting.append(kid)
            if waiting:
                stack += waiting
                continue
        stack.pop()
        yield top
