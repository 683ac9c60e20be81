"""Walks over the heap's tree: entries in order, and the differences between two trees.

Both are generators that load nodes as they come to them, hold a stack of what is still to be visited, and never
recurse. `differ` skips what is the same node, or has the same digest, on both sides: its cost follows the differences.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from actors.nodes import NIBBLES, Edge, Node

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOTHING: Final[Edge] = (b"", None)


def common_length(one: bytes, other: bytes) -> int:
    """Return how long the common prefix is."""
    size = min(len(one), len(other))
    if one[:size] == other[:size]:
        return size
    low = 0
    while low < size and one[low] == other[low]:
        low += 1
    return low


def load(node: Node) -> Node:
    if node.kids is None and node.entries is None:
        node.load()
    return node


def kid_of(node: Node, i: int) -> Edge:
    assert node.kids is not None
    return node.labels.get(i, b""), node.kids[i]


def walk(
    label: bytes, node: Node | None, low: bytes, high: bytes | None, reverse: bool
) -> Iterator[tuple[bytes, bytes]]:
    """Yield (path, cell) in order, from `low` up to and without `high`; nodes are loaded as they come."""
    if node is None:
        return
    stack: list[tuple[bytes, Node | bytes]] = [(label, node)]
    while stack:
        at, thing = stack.pop()
        if isinstance(thing, bytes):
            if at >= low and (high is None or at < high):
                yield at, thing
            continue
        if (at < low and not low.startswith(at)) or (high is not None and at >= high):
            continue
        if load(thing).entries is not None:
            assert thing.entries is not None
            for path in sorted(thing.entries, reverse=reverse):
                whole = at + path
                if whole >= low and (high is None or whole < high):
                    yield whole, thing.entries[path]
            continue
        assert thing.kids is not None
        labels = thing.labels
        below: list[tuple[bytes, Node | bytes]] = [] if thing.value is None else [(at, thing.value)]
        for i, kid in enumerate(thing.kids):
            if kid is not None:
                below.append((at + bytes((i,)) + labels[i] if i in labels else at + bytes((i,)), kid))
        stack.extend(below if reverse else reversed(below))


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
        own_a, kids_a = _at(a, shared)
        own_b, kids_b = _at(b, shared)
        if own_a != own_b:
            yield here, own_a, own_b
        for i in reversed(range(NIBBLES)):
            if not _same(kids_a[i], kids_b[i]):
                stack.append((here + bytes((i,)), kids_a[i], kids_b[i]))


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
