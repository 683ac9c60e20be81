"""What a store has to have: all that its blocks reach, found by walking their states node by node.

The walk goes by what loading a node gives, so each is held against the digest that its parent has. Of how pruning marks
(`actors.records.references`, `runtime.prune`) nothing is used here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.cells import Blob
from actors.nodes import NIBBLES
from actors.records import load
from actors.walks import kid_of
from runtime.history import History

if TYPE_CHECKING:
    from actors.nodes import Node
    from runtime.store import Store


def reachable(store: Store) -> set[int]:
    """Return the numbers of the records that the blocks of a store reach, and of those that they are patches of.

    Every node and every long value of every block is read and checked on the way.
    """
    history = History(store)
    found: set[int] = set()
    seen: set[tuple[int, bytes]] = set()
    stack: list[Node] = []
    for _, digest in store.hashes():
        top = history.state(digest).node
        stack += [] if top is None else [top]
    while stack:
        node = stack.pop()
        assert node.number is not None and node.digest is not None
        if (node.number, node.digest) in seen:
            continue
        seen.add((node.number, node.digest))
        load(node)
        found |= {node.number, node.base}
        for cell in (*node.blobs.values(), node.value):
            if isinstance(cell, Blob):
                assert cell.number is not None
                cell.load()
                found.add(cell.number)
        if node.kids is not None:
            stack += [kid for i in range(NIBBLES) if node.kids[i] is not None and (kid := kid_of(node, i)[1])]
    return found


def stored(store: Store) -> set[int]:
    """Return the numbers of the records that a store has."""
    return set(store.numbers(0, store.next_number()))
