"""Edits of the heap's tree: functions that take edges and give back edges, sharing every node they do not touch.

An *edge* is a place in a tree: the label above a node, and the node. All of these go down to where something changes,
keeping the branches on the way open on a stack of their own, and climb back, closing each into a new branch, or into a
bucket where too little is left, or into nothing. A branch that nothing changed is closed into itself: a change that
changes nothing (the same bytes again, a delete of what is absent) gives back the very same nodes, because what is
stored must equal what is reachable. None of them recurses, so that the deepest tree that the key limit allows takes no
more of Python's stack than a flat one.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final, TypeAlias

from actors.errors import LimitExceeded
from actors.limits import BUCKET_ENTRIES_MAX
from actors.nodes import LATER, NIBBLES, PATH_NIBBLES_MAX, Edge, Node, branch, bucket
from actors.records import load
from actors.walks import common_length, differ, find, kid_of, parted, same, unlike, walk

if TYPE_CHECKING:
    from collections.abc import Mapping

#: A path, or a key, where three sides differ: it, and the cells there of base, ours and theirs.
Clash: TypeAlias = tuple[bytes, bytes | None, bytes | None, bytes | None]

_NOTHING: Final[Edge] = (b"", None)
#: So many edits are looked at one by one for where their child's end.
_NEAR: Final = 8
#: So many edits of one bucket are made one by one.
_SINGLY_MAX: Final = 6


def _all_entries(label: bytes, node: Node | None) -> dict[bytes, bytes]:
    """Return all cells below an edge by path, for edges with few entries."""
    return dict(walk(label, node, b"", None, False))


def _prefixed(prefix: bytes, entries: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    return {prefix + path: cell for path, cell in entries.items()} if prefix else dict(entries)


def _edited(node: Node, edits: list[tuple[bytes, bytes | None]], position: int) -> Node | None:
    """Return a bucket with edits made one by one, their paths from `position` on; None where it does not stay a bucket."""
    made: Node | None = node
    for path, cell in edits:
        made = made.edited(path[position:], cell)  # type: ignore[union-attr]
        if made is None:
            return None
    return made


class _Open:
    """A branch being remade by `update`: which edits go to which child, and what came back so far."""

    __slots__ = (
        "changed",
        "count",
        "edits",
        "groups",
        "kids",
        "label",
        "labels",
        "node",
        "position",
        "remade",
        "touched",
        "value",
    )

    def __init__(self, label: bytes, node: Node | None, edits: list[tuple[bytes, bytes | None]], position: int) -> None:
        self.label = label
        #: The branch as it was; None where there was none.
        self.node = node
        self.edits = edits
        #: Where in the edits' paths the children's nibbles are.
        self.position = position
        if node is None:
            self.changed = self.remade = True
            self.count = 0
            self.kids: list[Node | None] = [None] * NIBBLES
            self.labels: dict[int, bytes] = {}
            self.value = None
        else:
            self.changed = self.remade = False
            self.count = node.count
            self.kids = node.kids.copy()  # type: ignore[union-attr]
            self.labels = dict(node.labels) if node.labels else {}
            self.value = node.value
        #: The children that are others now; of no use where more than that changed (`remade`).
        self.touched = 0
        #: (nibble, first edit, edit behind the last), the next one last.
        self.groups: list[tuple[int, int, int]] = []

    def kid(self, nibble: int) -> Node | None:
        """Return a child as it is now, as a stub at least."""
        kid = self.kids[nibble]
        if kid is LATER:
            assert self.node is not None
            kid = self.kids[nibble] = self.node.fetch(nibble)
        return kid

    def split(self, low: int, high: int) -> None:
        """Deal the edits low … high out: the own value at once, the rest into groups."""
        edits, position = self.edits, self.position
        if low < high and len(edits[low][0]) == position:
            self.give(edits[low][1])
            low += 1
        groups = self.groups
        while low < high:
            nibble = edits[low][0][position]
            end = low + 1
            if end < high and edits[end][0][position] == nibble:
                if edits[high - 1][0][position] == nibble:
                    end = high
                else:
                    # A few are looked at one by one, then they are halved: else keys that part ways one at a time, at
                    # every nibble of a long path, cost their number times the depth.
                    near = min(end + _NEAR, high)
                    while end < near and edits[end][0][position] == nibble:
                        end += 1
                    if end == near:
                        end = bisect_right(edits, nibble, end, high, key=lambda edit: edit[0][position])
            if not (end - low <= _SINGLY_MAX and self._splice(nibble, low, end)):
                groups.append((nibble, low, end))
            low = end
        groups.reverse()

    def _splice(self, nibble: int, low: int, end: int) -> bool:
        """Make a few edits of a child at once if it is a bucket at hand and stays one: most edits end here."""
        kid = self.kids[nibble]
        if kid is None or kid.paths is None:
            return False
        made = _edited(kid, self.edits[low:end], self.position + 1)
        if made is None:
            return False
        if made is not kid:
            self.kids[nibble] = made
            self.count += made.count - kid.count
            self.touched |= 1 << nibble
            self.changed = True
        return True

    def give(self, cell: bytes | None) -> None:
        """Put a cell in the place of the own value."""
        if cell != self.value:
            self.count += (cell is not None) - (self.value is not None)
            self.value = cell
            self.changed = self.remade = True

    def take(self, nibble: int, edge: Edge) -> None:
        """Put what became of a child in its place."""
        label, new = edge
        old = self.kid(nibble)
        before = self.labels.get(nibble, b"")
        if new is old and label == before:
            return
        self.changed = True
        self.count += (0 if new is None else new.count) - (0 if old is None else old.count)
        self.kids[nibble] = new
        if label != before or new is None or old is None:
            self.remade = True
            self.labels.pop(nibble, None)
            if label:
                self.labels[nibble] = label
        else:
            self.touched |= 1 << nibble

    def close(self) -> Edge:
        """Return what became of the branch: in its canonical form, a bucket or nothing where it has become too small."""
        count, kids, labels, value = self.count, self.kids, self.labels, self.value
        if not self.changed:
            return self.label, self.node
        if count == 0:
            return _NOTHING
        if count <= BUCKET_ENTRIES_MAX:
            entries = {} if value is None else {self.label: value}
            for i in range(NIBBLES):
                kid = self.kid(i)
                if kid is not None:
                    entries.update(_all_entries(self.label + bytes((i,)) + labels.get(i, b""), kid))
            _check_length(max(map(len, entries)))
            return b"", bucket(entries)
        if value is None and kids.count(None) == NIBBLES - 1:
            only = next(i for i in range(NIBBLES) if kids[i] is not None)
            joined = self.label + bytes((only,)) + labels.get(only, b"")
            _check_length(len(joined))
            return joined, self.kid(only)
        if self.node is None:
            return self.label, branch(count, kids, labels, value)
        return self.label, self.node.evolve(count, kids, labels, value, None if self.remade else self.touched)


def update(label: bytes, node: Node | None, edits: list[tuple[bytes, bytes | None]]) -> Edge:
    """Fold edits (path, cell or None to delete; sorted, each path once) into what is below an edge."""
    stack: list[tuple[_Open, int]] = []
    low, high, position = 0, len(edits), 0
    #: The edit that was tried alone last: where that failed, it would further down as well.
    refused: tuple[bytes, bytes | None] | None = None
    while True:
        # Go down with the edits low … high, whose paths agree up to `position`, until a result is there at once.
        edge: Edge | None = None
        if node is None and high - low > BUCKET_ENTRIES_MAX and not (stack and stack[-1][0].node is None):
            # Below a branch that is new itself there are no deletes left to leave out.
            edits = [edit for edit in edits[low:high] if edit[1] is not None]
            low, high = 0, len(edits)
        if node is None and high - low > BUCKET_ENTRIES_MAX:
            # A bulk of new entries: they become a branch as they lie, without passing through a bucket.
            first, last = edits[low][0], edits[high - 1][0]
            end = position + common_length(first[position:], last[position:])
            opened = _Open(first[position:end], None, edits, end)
            opened.split(low, high)
        elif (
            high - low == 1
            and node is not None
            and edits[low] is not refused
            and (edge := _update_one(label, node, refused := edits[low], position))
        ):
            pass
        elif node is None or load(node).paths is not None:
            edge, left = _update_bucket(node, edits, low, high, position)
            if edge is None:
                edits, low, high = left, 0, len(left)
                end = common_length(left[0][0], left[-1][0])
                opened = _Open(left[0][0][:end], None, left, end)
                opened.split(low, high)
        else:
            low, high, label, node = _reach(label, node, edits, low, high, position)
            opened = _Open(label, node, edits, position + len(label))
            opened.split(low, high)
        # Climb: give results to the open branches until one of them has another child to go down to.
        while True:
            if edge is not None:
                if not stack:
                    return edge
                opened, nibble = stack.pop()
                opened.take(nibble, edge)
            if opened.groups:
                nibble, low, high = opened.groups.pop()
                stack.append((opened, nibble))
                edits, position = opened.edits, opened.position + 1
                label, node = opened.labels.get(nibble, b"") if opened.labels else b"", opened.kid(nibble)
                break
            edge = opened.close()


def _update_one(label: bytes, node: Node, edit: tuple[bytes, bytes | None], position: int) -> Edge | None:
    """Fold one edit into a branch in the usual case: it ends in a bucket, and the shape stays. None in any other."""
    path, cell = edit
    top = (label, node)
    trail: list[tuple[Node, int]] = []
    while load(node).kids is not None:
        kids = node.kids
        assert kids is not None
        if label:
            if not path.startswith(label, position):
                return None
            position += len(label)
        if position == len(path):
            return None
        nibble = path[position]
        kid = kids[nibble]
        if kid is None:
            return None
        trail.append((node, nibble))
        label = node.labels.get(nibble, b"") if node.labels else b""
        node = node.fetch(nibble) if kid is LATER else kid
        position += 1
    new = node.edited(path[position:], cell)
    if new is node:
        return top
    if new is None:
        return None
    more = new.count - node.count
    if trail and trail[-1][0].count + more <= BUCKET_ENTRIES_MAX:
        return None
    for node, nibble in reversed(trail):
        kids = node.kids.copy()  # type: ignore[union-attr]
        kids[nibble] = new
        new = node.evolve(node.count + more, kids, node.labels, node.value, 1 << nibble)
    return top[0], new


def _update_bucket(
    node: Node | None,
    edits: list[tuple[bytes, bytes | None]],
    low: int,
    high: int,
    position: int,
) -> tuple[Edge | None, list[tuple[bytes, bytes | None]]]:
    """Return the edge that edits make of a bucket, or the entries of the branch that it has to become."""
    if node is not None and high - low <= _SINGLY_MAX:
        # A splice for each is less work than to take the bucket apart.
        made = _edited(node, edits[low:high], position)
        if made is not None:
            return (b"", made), []
    entries = {} if node is None else node.entries()
    changed = False
    for path, cell in edits[low:high]:
        rest = path[position:]
        if cell is None:
            changed = entries.pop(rest, None) is not None or changed
        elif entries.get(rest) != cell:
            entries[rest] = cell
            changed = True
    if not changed:
        return (b"", node), []
    if len(entries) <= BUCKET_ENTRIES_MAX:
        return (b"", bucket(entries) if entries else None), []
    return None, sorted(entries.items())


def _reach(
    label: bytes, node: Node, edits: list[tuple[bytes, bytes | None]], low: int, high: int, position: int
) -> tuple[int, int, bytes, Node]:
    """Make the branch at the end of `label` one that all inserting edits pass through; leave out idle deletes."""
    if not label:
        return low, high, label, node
    # The edits are sorted: of those that insert, the first or the last leaves the label soonest.
    end = position + len(label)
    first = next((path for path, cell in edits[low:high] if cell is not None), None)
    last = next((path for path, cell in reversed(edits[low:high]) if cell is not None), None)
    shared = min(
        [common_length(path[position:end], label) for path in (first, last) if path is not None], default=len(label)
    )
    if shared < len(label):
        kids: list[Node | None] = [None] * NIBBLES
        kids[label[shared]] = node
        rest = label[shared + 1 :]
        node = branch(node.count, kids, {label[shared]: rest} if rest else {}, None)
        label = label[:shared]
        end = position + shared
    # What still does not pass is a delete of something absent; the rest is one run.
    while low < high and edits[low][0][position:end] != label:
        low += 1
    while low < high and edits[high - 1][0][position:end] != label:
        high -= 1
    return low, high, label, node


def graft(label: bytes, node: Node | None, prefix: bytes, new: Edge) -> Edge:
    """Put `new` in place of everything at and below `prefix`."""
    stack: list[tuple[_Open, int]] = []
    while True:
        if node is None or load(node).paths is not None:
            edge = _graft_bucket(node, prefix, new)
            break
        if label.startswith(prefix):
            edge = _under(prefix, new)
            break
        if prefix.startswith(label):
            opened = _Open(label, node, [], 0)
            nibble = prefix[len(label)]
            stack.append((opened, nibble))
            prefix = prefix[len(label) + 1 :]
            label, node = kid_of(node, nibble)
            continue
        if new[1] is None:
            edge = (label, node)
            break
        shared = common_length(label, prefix)
        opened = _Open(label[:shared], None, [], 0)
        opened.take(label[shared], (label[shared + 1 :], node))
        opened.take(prefix[shared], _under(prefix[shared + 1 :], new))
        edge = opened.close()
        break
    return _climb(stack, edge)


def _check_length(path: int) -> None:
    """Check that a path of so many nibbles fits into a node, so that whatever is written can be read."""
    if path > PATH_NIBBLES_MAX:
        raise LimitExceeded(
            f"a key would take {path // 2} bytes, over the limit of {PATH_NIBBLES_MAX // 2}; "
            "a region was mounted in itself, or in regions of regions, too often"
        )


def _under(prefix: bytes, edge: Edge) -> Edge:
    """Return an edge as it stands below a further prefix.

    Raises:
        LimitExceeded: a path would become longer than a node can hold.
    """
    label, node = edge
    if node is None:
        return _NOTHING
    if not prefix:
        return edge
    few = load(node).kids is None
    longest = len(prefix) + (max(node.lengths) if few else len(label))
    _check_length(longest)
    return (b"", bucket(_prefixed(prefix, node.entries()))) if few else (prefix + label, node)


def _graft_bucket(old: Node | None, prefix: bytes, new: Edge) -> Edge:
    entries = {} if old is None else old.entries()
    kept = {path: cell for path, cell in entries.items() if not path.startswith(prefix)}
    label, node = _under(prefix, new)
    if node is not None and node.count > BUCKET_ENTRIES_MAX:
        return update(label, node, sorted(kept.items())) if kept else (label, node)
    if node is not None:
        kept.update(load(node).entries())
    if kept == entries:
        return b"", old
    if len(kept) > BUCKET_ENTRIES_MAX:
        return update(b"", None, sorted(kept.items()))
    return (b"", bucket(kept)) if kept else _NOTHING


def extract(label: bytes, node: Node | None, prefix: bytes) -> Edge:
    while node is not None:
        if load(node).paths is not None:
            size = len(prefix)
            found = {path[size:]: cell for path, cell in node.entries().items() if path.startswith(prefix)}
            if len(found) == node.count and not size:
                return b"", node
            return (b"", bucket(found)) if found else _NOTHING
        if label.startswith(prefix):
            return label[len(prefix) :], node
        if not prefix.startswith(label):
            return _NOTHING
        nibble = prefix[len(label)]
        prefix = prefix[len(label) + 1 :]
        label, node = kid_of(node, nibble)
    return _NOTHING


def cut(label: bytes, node: Node | None, bound: bytes, keep_high: bool) -> Edge:
    """Keep the entries at and above `bound`, or those below it."""
    stack: list[tuple[_Open, int]] = []
    while True:
        if node is None:
            edge = _NOTHING
            break
        if load(node).paths is not None:
            kept = {path: cell for path, cell in node.entries().items() if (path >= bound) is keep_high}
            edge = (b"", node) if len(kept) == node.count else (b"", bucket(kept)) if kept else _NOTHING
            break
        if not bound.startswith(label) or len(bound) == len(label):
            edge = (label, node) if (label >= bound) is keep_high else _NOTHING
            break
        nibble = bound[len(label)]
        opened = _Open(label, node, [], 0)
        if keep_high:
            opened.give(None)
        for i in range(nibble) if keep_high else range(nibble + 1, NIBBLES):
            opened.take(i, _NOTHING)
        stack.append((opened, nibble))
        bound = bound[len(label) + 1 :]
        label, node = kid_of(node, nibble)
    return _climb(stack, edge)


def join(one: Edge, other: Edge) -> Edge:
    """Put two edges together, all of whose paths in `one` are below all of those in `other`."""
    stack: list[tuple[_Open, int]] = []
    while True:
        (label, node), (label_b, node_b) = one, other
        if node is None or node_b is None:
            edge = other if node is None else one
            break
        if load(node).kids is None or load(node_b).kids is None:
            few, many = (one, other) if load(node).kids is None else (other, one)
            assert few[1] is not None
            edge = update(*many, list(few[1].entries().items()))
            break
        shared = common_length(label, label_b)
        if shared == len(label):
            # Only one child of `one` can have anything of `other` beside it: the last.
            opened, nibble = _Open(label, node, [], 0), label_b[shared] if shared < len(label_b) else -1
            if nibble < 0:
                assert node_b.kids is not None and node_b.value is None
                nibble = next(i for i in range(NIBBLES) if node_b.kids[i] is not None)
                for i in range(nibble + 1, NIBBLES):
                    opened.take(i, kid_of(node_b, i) if node_b.kids[i] is not None else _NOTHING)
                other = kid_of(node_b, nibble)
            else:
                other = (label_b[shared + 1 :], node_b)
            one = (opened.labels.get(nibble, b""), opened.kid(nibble))
        elif shared == len(label_b):
            opened, nibble = _Open(label_b, node_b, [], 0), label[shared]
            one, other = (label[shared + 1 :], node), kid_of(node_b, nibble)
        else:
            opened = _Open(label[:shared], None, [], 0)
            opened.take(label[shared], (label[shared + 1 :], node))
            nibble = label_b[shared]
            one, other = _NOTHING, (label_b[shared + 1 :], node_b)
        stack.append((opened, nibble))
    return _climb(stack, edge)


def combine(base: Edge, ours: Edge, theirs: Edge) -> tuple[Edge, list[Clash]]:
    """Put what differs between `base` and `theirs` into `ours` where that is as `base`; tell where it is not, in order."""
    clashes: list[Clash] = []
    #: Each with where it stands, and with the children of base and theirs, by nibble, that are still to be put in.
    stack: list[tuple[_Open, bytes, list[tuple[int, Edge, Edge]]]] = []
    at = b""
    while True:
        edge: Edge | None = None
        if same(base, theirs):
            edge = ours
        elif same(base, ours):
            edge = theirs
        elif all(node is None or load(node).kids is not None for _, node in (base, ours, theirs)):
            stack.append(_open_three(at, base, ours, theirs, clashes))
        else:
            edge = _combine_few(at, base, ours, theirs, clashes)
        while stack:
            opened, here, waiting = stack[-1]
            if edge is not None:
                opened.take(waiting.pop()[0], edge)
            if waiting:
                nibble, base, theirs = waiting[-1]
                at, ours = here + bytes((nibble,)), (opened.labels.get(nibble, b""), opened.kid(nibble))
                break
            edge = opened.close()
            stack.pop()
        else:
            assert edge is not None
            return edge, clashes


def _open_three(
    at: bytes, base: Edge, ours: Edge, theirs: Edge, clashes: list[Clash]
) -> tuple[_Open, bytes, list[tuple[int, Edge, Edge]]]:
    """Open `ours`, as seen from where the three labels part, and put the own value in that stands there."""
    labels = [label for label, node in (base, ours, theirs) if node is not None]
    first, last = min(labels), max(labels)
    length = common_length(first, last)
    if ours[1] is None or len(ours[0]) == length:
        opened = _Open(first[:length], ours[1], [], 0)
    else:
        opened = _Open(first[:length], None, [], 0)
        opened.take(ours[0][length], (ours[0][length + 1 :], ours[1]))
    if base[1] is not None and theirs[1] is not None and len(base[0]) == length == len(theirs[0]):
        was, new = base[1].value, theirs[1].value
        waiting = [(i, kid_of(base[1], i), kid_of(theirs[1], i)) for i in unlike(base[1], theirs[1])]
    else:
        (was, kids), (new, their_kids) = parted(base, length), parted(theirs, length)
        waiting = [(i, kids[i], their_kids[i]) for i in reversed(range(NIBBLES)) if not same(kids[i], their_kids[i])]
    here = at + opened.label
    if was != new:
        if opened.value == was:
            opened.give(new)
        else:
            clashes.append((here, was, opened.value, new))
    return opened, here, waiting


def _combine_few(at: bytes, base: Edge, ours: Edge, theirs: Edge, clashes: list[Clash]) -> Edge:
    """Do the same entry by entry: one of the three has few entries."""
    edits: list[tuple[bytes, bytes | None]] = []
    for path, was, new in differ(base, theirs):
        mine = find(*ours, path)
        if mine == was:
            edits.append((path, new))
        else:
            clashes.append((at + path, was, mine, new))
    return update(*ours, edits) if edits else ours


def _climb(stack: list[tuple[_Open, int]], edge: Edge) -> Edge:
    """Hand a result up through the branches that were opened on the way down."""
    while stack:
        opened, nibble = stack.pop()
        opened.take(nibble, edge)
        edge = opened.close()
    return edge
