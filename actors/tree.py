"""The authenticated ordered map under every heap: persistent, its shape given by its entries alone.

A `Tree` is an immutable value: a label and a top node (see `actors.nodes` for the structure and its bytes). Every
operation here returns another tree that shares all untouched nodes with the old one:

    update      fold many changed entries in, each node touched once         O(changes * depth)
    graft       put a whole tree in place of a region, by reference          O(depth)
    extract     take a region out as a tree of its own, by reference         O(depth)
    cut, join   keep a range of keys; put two ranges together; by reference  O(depth)
    combine     put in what a third tree changed since a second one          O(what all three differ in * depth)
    difference  what differs between two trees, equal subtrees skipped       O(differences * depth)
    digest      of nodes that have none yet                                  O(new nodes)

Keys and values are bytes here: encoded keys, encoded values.
"""

from __future__ import annotations

from hashlib import sha256
from itertools import chain, pairwise, starmap
from typing import TYPE_CHECKING, Final

from actors.cells import from_cell, to_cell
from actors.edits import combine, cut, extract, graft, join, update
from actors.limits import BUCKET_ENTRIES_MAX
from actors.nodes import NIBBLES, Edge, Node, bucket, root_form, to_key, to_keys, to_path
from actors.records import load
from actors.walks import differ, find, kid_of, runs, unfinished

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from actors.edits import Clash


class Tree:
    """An immutable ordered map from encoded keys to encoded values."""

    __slots__ = ("_digest", "label", "node")

    def __init__(self, label: bytes = b"", node: Node | None = None) -> None:
        self.label = label
        self.node = node
        self._digest: bytes | None = None

    def __len__(self) -> int:
        return 0 if self.node is None else self.node.count

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tree):
            return NotImplemented
        return self is other or (len(self) == len(other) and next(self.difference(other), None) is None)

    __hash__ = None  # type: ignore[assignment]

    def shares(self, other: Tree) -> bool:
        """Tell whether the other is this very tree, by reference. Equal ones that were made apart are not."""
        return self.node is other.node and self.label == other.label

    def get(self, key: bytes) -> bytes | None:
        """Return the encoded value of a key, or None. O(depth); reads what is not loaded yet."""
        cell = find(self.label, self.node, to_path(key))
        return None if cell is None else from_cell(cell)

    def cell(self, key: bytes) -> bytes | None:
        """Return the cell of a key, or None."""
        return find(self.label, self.node, to_path(key))

    def update(self, changes: Iterable[tuple[bytes, bytes | None]]) -> Tree:
        """Return the tree with these (key, encoded value, or None to delete) folded in. A later change of a key wins."""
        edits = {to_path(key): None if value is None else to_cell(value) for key, value in changes}
        if not edits:
            return self
        if self.node is None and len(edits) <= BUCKET_ENTRIES_MAX:
            entries = {path: cell for path, cell in edits.items() if cell is not None}
            return Tree(b"", bucket(entries)) if entries else self
        return self._fold(edits)

    def _fold(self, edits: Mapping[bytes, bytes | None]) -> Tree:
        order = sorted(edits)
        return self._moved(update(self.label, self.node, list(zip(order, map(edits.__getitem__, order), strict=True))))

    def _moved(self, edge: Edge) -> Tree:
        return self if edge[1] is self.node and edge[0] == self.label else Tree(*edge)

    def graft(self, prefix: bytes, tree: Tree) -> Tree:
        """Return this tree with all at and below `prefix` replaced by `tree`, by reference."""
        return self._moved(graft(self.label, self.node, to_path(prefix), (tree.label, tree.node)))

    def graft_all(self, parts: Mapping[bytes, Tree]) -> Tree:
        """Return this tree with many regions replaced. Prefixes must not be prefixes of one another."""
        made = self
        edits: dict[bytes, bytes | None] = {}
        for prefix, tree in parts.items():
            if len(tree) > BUCKET_ENTRIES_MAX:
                made = made.graft(prefix, tree)
                continue
            path = to_path(prefix)
            old = extract(made.label, made.node, path)
            if old[1] is not None:
                if old[1].count > BUCKET_ENTRIES_MAX:
                    made = made.graft(prefix, EMPTY)
                else:
                    for rest in load(old[1]).path_list():
                        edits[path + rest] = None
            if tree.node is not None:
                for rest, cell in load(tree.node).entries().items():
                    edits[path + rest] = cell
        return made._fold(edits) if edits else made

    @staticmethod
    def assemble(values: Mapping[bytes, bytes], parts: Mapping[bytes, Tree]) -> Tree:
        """Return a tree of some encoded values and of whole trees under prefixes that are not prefixes of one another.

        What `EMPTY.update(values).graft_all(parts)` gives, at a fraction of the cost where the parts are small.
        """
        entries = {to_path(key): to_cell(value) for key, value in values.items()}
        large = {}
        for prefix, tree in parts.items():
            node = tree.node
            if node is None:
                continue
            if node.count > BUCKET_ENTRIES_MAX:
                large[prefix] = tree
                continue
            path = to_path(prefix)
            for rest, cell in load(node).entries().items():
                entries[path + rest] = cell
        made = EMPTY._fold(entries) if len(entries) > BUCKET_ENTRIES_MAX else Tree(b"", bucket(entries))
        for prefix, tree in large.items():
            made = made.graft(prefix, tree)
        return made

    def extract(self, prefix: bytes) -> Tree:
        """Return all at and below `prefix` as a tree of its own, by reference."""
        edge = extract(self.label, self.node, to_path(prefix))
        return Tree(*edge) if edge[1] is not None else EMPTY

    def cut(self, low: bytes | None, high: bytes | None) -> Tree:
        """Return the entries with low <= key < high, by reference. None leaves that side open."""
        edge: Edge = (self.label, self.node)
        if high is not None:
            edge = cut(*edge, to_path(high), False)
        if low is not None:
            edge = cut(*edge, to_path(low), True)
        return self._moved(edge)

    def join(self, other: Tree) -> Tree:
        """Return the entries of both; all keys of `other` must be above all keys here. By reference."""
        return self._moved(join((self.label, self.node), (other.label, other.node)))

    def combine(self, base: Tree, theirs: Tree) -> tuple[Tree, list[Clash]]:
        """Return the tree with what differs between `base` and `theirs` put in where this one is still as `base`.

        Where it is not, the key is left as it is here and told, in order, with the cells of base, here and theirs. What
        lies below one node in two of the three is not walked: it is taken, or left, as a whole.
        """
        edge, clashes = combine((base.label, base.node), (self.label, self.node), (theirs.label, theirs.node))
        return self._moved(edge), [(to_key(path), was, mine, new) for path, was, mine, new in clashes]

    def entries(
        self, low: bytes | None = None, high: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, cell) in key order, or against it, for low <= key < high; lazily."""
        return chain.from_iterable(starmap(zip, self.runs(low, high, reverse=reverse)))

    def runs(
        self, low: bytes | None = None, high: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[list[bytes], list[bytes]]]:
        """Yield the same a node at a time: (keys, cells)."""
        high_path = None if high is None else to_path(high)
        for at, paths, cells in runs(self.label, self.node, to_path(low or b""), high_path, reverse):
            yield to_keys(at, paths), cells

    def difference(self, other: Tree) -> Iterator[tuple[bytes, bytes | None, bytes | None]]:
        """Yield (key, cell here, cell in `other`) in key order for every key whose values differ."""
        for path, mine, theirs in differ((self.label, self.node), (other.label, other.node)):
            yield to_key(path), mine, theirs

    def digest(self) -> bytes:
        """Return the Merkle root: the SHA-256 of the root form. Hashes the nodes that were not hashed yet."""
        if self._digest is None:
            for node in unfinished(self.node, saved=False):
                node.seal()
            self._digest = sha256(root_form(self.label, self.node)).digest()
        return self._digest

    def check(self) -> None:
        """Check every invariant of every node, for tests."""
        assert self.node is None or self.node.count > BUCKET_ENTRIES_MAX or not self.label
        stack = [] if self.node is None else [self.node]
        while stack:
            node = load(stack.pop())
            node.check()
            if node.kids is not None:
                stack += [kid for _, kid in [kid_of(node, i) for i in range(NIBBLES)] if kid is not None]
        keys = [key for key, _ in self.entries()]
        assert len(keys) == len(self) and all(a < b for a, b in pairwise(keys))


EMPTY: Final = Tree()
