"""From nodes in memory to records for the store: what a commit writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.nodes import Blob, Node

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from actors.nodes import NodeSource
    from actors.tree import Tree


def number_nodes(tree: Tree, first: int, source: NodeSource) -> list[tuple[int, bytes]]:
    """Number, hash and encode the nodes of a tree that are in no store yet: O(those).

    Args:
        tree: the state to be committed.
        first: the first number that is free.
        source: the store that is to hold them.

    Returns:
        (number, record) for each, children before parents, the numbers growing from `first` on.
    """
    records: list[tuple[int, bytes]] = []
    for node in _unnumbered(tree.node):
        for cell in _cells(node):
            if type(cell) is Blob and cell.number is None:
                assert cell.data is not None
                cell.number, cell.source = first + len(records), source
                records.append((cell.number, cell.data))
                cell.data = None
        form = node.form() if node.digest is not None else node.seal()
        node.number, node.source = first + len(records), source
        records.append((node.number, form + node.links()))
    return records


def _cells(node: Node) -> Iterable[bytes | None]:
    return node.entries.values() if node.entries is not None else (node.value,)


def _unnumbered(node: Node | None) -> Iterator[Node]:
    """Yield the nodes that have no number yet, children before parents; each must get one before the next is asked for."""
    stack = [] if node is None else [node]
    while stack:
        top = stack[-1]
        if top.number is not None:
            stack.pop()
            continue
        waiting = [kid for kid in top.kids if kid is not None and kid.number is None] if top.kids is not None else None
        if waiting:
            stack += waiting
        else:
            stack.pop()
            yield top
