"""From nodes in memory to records for the store: what a commit writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.cells import Blob
from actors.records import is_leaf, number_of, record
from actors.walks import unfinished

if TYPE_CHECKING:
    from actors.cells import NodeSource
    from actors.tree import Tree


def number_nodes(tree: Tree, first: int, source: NodeSource) -> list[tuple[int, bytes]]:
    """Number, hash and encode the nodes of a tree that are in no store yet: O(those).

    Args:
        tree: the state to be committed.
        first: the first number that is free.
        source: the store that is to hold them.

    Returns:
        (number, record) for each, children before parents, the numbers growing from `first` on, odd where the record refers
        to no other one.
    """
    records: list[tuple[int, bytes]] = []
    free = first
    for node in unfinished(tree.node, saved=True):
        if node.blobs or node.value is not None:
            for cell in (*node.blobs.values(), node.value):
                if type(cell) is Blob and cell.number is None:
                    number = number_of(free, leaf=True)
                    records.append((number, cell.stored_at(number, source)))
                    free = number + 1
        if node.digest is None:
            node.seal()
        number = number_of(free, leaf=is_leaf(node))
        records.append((number, record(node, number, source)))
        free = number + 1
    return records
