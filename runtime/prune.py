"""Pruning: what only dropped blocks held is swept out of the store, bit by bit, beside the making of blocks.

The nodes of all states form one graph without cycles: a fork, a snapshot or a mount shares a subtree by reference, over
blocks and branches. So what is garbage is decided by reachability alone, by marking and sweeping:

1. Blocks are dropped, in one commit (`History.drop_of`). Whoever held nodes of theirs in memory lets go of them.
2. *Mark*: from the states of all kept blocks, everything that can be reached. A record under an odd number refers to
   no other one, so most of the tree, its buckets, is marked without being read. A patch keeps its base.
3. *Sweep*: what has a number below that which was free when marking began, and is not marked, is deleted. Nodes
   that were written since then have higher numbers, and refer to such or to marked ones alone.

Each step is short, and a step of the sweep is a commit, so that a process may die at any point: what was not swept yet
is found again by the next cycle, and at no time is anything deleted that a kept block reaches. A mark takes one bit.

A cycle reads every live branch once, so cycles are begun when so much was written since the last one that their cost
is a fraction of that of writing it (`due`): the store then stays within a small multiple of what is live.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from actors.records import references
from runtime.store.base import Commit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.history import History
    from runtime.store.base import Store

#: How many nodes a step of the mark reads at least, and over how many a step of the sweep goes.
_MARKS_PER_STEP: Final = 200
_SWEPT_PER_STEP: Final = 2_000
#: How many times the nodes that a block wrote the step that goes with it sweeps over: more, so that a cycle ends.
_SWEPT_SHARE: Final = 4
#: A cycle is due when the numbers given since the last one are this share of those that were live then, or this many.
_DUE_SHARE: Final = 0.5
_DUE_MIN: Final = 5_000
_META: Final = "pruned"
_PAGE_BITS: Final = 12


class NumberSet:
    """A set of numbers that lie close together: one bit each."""

    def __init__(self) -> None:
        self._pages: dict[int, bytearray] = {}

    def add(self, number: int) -> None:
        """Put a number in."""
        page, at = number >> _PAGE_BITS, number & ((1 << _PAGE_BITS) - 1)
        bits = self._pages.get(page)
        if bits is None:
            bits = self._pages[page] = bytearray(1 << (_PAGE_BITS - 3))
        bits[at >> 3] |= 1 << (at & 7)

    def __contains__(self, number: int) -> bool:
        bits = self._pages.get(number >> _PAGE_BITS)
        at = number & ((1 << _PAGE_BITS) - 1)
        return bits is not None and bool(bits[at >> 3] & 1 << (at & 7))


class Pruner:
    """One cycle of mark and sweep. Nobody may hold a node in memory that no kept block reaches, from here on.

    Args:
        history: of the store. None of the blocks that are kept may be dropped before the marking is over.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self._store = store = history.store
        #: The blocks whose states are still to be marked, and numbers below others.
        self._blocks = [digest for _, digest in store.hashes()]
        self._stack: list[int] = []
        self._visited = NumberSet()
        #: Kept because a patch needs them. Apart from those visited: what such a record refers to is not kept by that.
        self._bases = NumberSet()
        self._cut = store.next_number()
        self._at = 0
        self._live = 0
        #: How many records were deleted.
        self.dropped = 0
        self.done = False

    @property
    def marking(self) -> bool:
        """Whether the blocks that were kept when it began are still needed."""
        return bool(self._blocks or self._stack)

    def step(self, written: int = 0) -> Commit | None:
        """Do a little more; return a commit that must be made before the next step, or None. At the end `done` is set.

        Args:
            written: how many nodes were written since the last step; the step is the longer for it.

        Raises:
            StoreDamaged: the store is not whole. Nothing was deleted that was needed, and further steps raise it again.
        """
        if self.marking:
            self._mark(max(_MARKS_PER_STEP, written))
            return None
        size = max(_SWEPT_PER_STEP, _SWEPT_SHARE * written)
        numbers = self._store.numbers(self._at, size)
        low = [number for number in numbers if number < self._cut]
        garbage = [number for number in low if number not in self._visited and number not in self._bases]
        self.dropped += len(garbage)
        self._live += len(low) - len(garbage)
        if len(low) == size:
            self._at = low[-1] + 1
            return Commit(dropped_nodes=garbage) if garbage else None
        self.done = True
        note = self._cut.to_bytes(8, "big") + self._live.to_bytes(8, "big")
        return Commit(dropped_nodes=garbage, meta={_META: note})

    def _mark(self, reads: int) -> None:
        blocks, stack, visited, read = self._blocks, self._stack, self._visited, 0
        while (blocks or stack) and read < reads:
            # What cannot be read stays where it is, and so nothing is ever swept behind it.
            if not stack:
                read += 1
                top = self._history.top(blocks[-1])
                blocks.pop()
                if top is not None:
                    stack.append(top)
                continue
            number = stack[-1]
            if number in visited or number & 1:
                visited.add(stack.pop())
                continue
            read += 1
            found, base = references(number, self._store)
            visited.add(stack.pop())
            if base:
                self._bases.add(base)
            stack += found


def due(store: Store) -> bool:
    """Tell whether so much was written since the last cycle that another one pays."""
    note = store.meta(_META) or bytes(16)
    cut, live = int.from_bytes(note[:8], "big"), int.from_bytes(note[8:], "big")
    return store.next_number() - cut >= max(_DUE_MIN, _DUE_SHARE * live)


class Pruned(NamedTuple):
    """What a pruning did.

    Attributes:
        first: the number of the first block of the chain that is kept now.
        blocks: how many blocks were dropped, on all branches.
        nodes: how many records were swept out with them and with those that were dropped before.
    """

    first: int
    blocks: int
    nodes: int


def prune(history: History, keep: int) -> Iterator[Pruned]:
    """Drop all blocks but those of the last `keep` numbers, and sweep. For a store in which nothing runs.

    Yields:
        What was done so far, after every step.

    Raises:
        InputError: `keep` is not at least 1.
    """
    drop = history.drop_of(keep)
    if drop is not None:
        history.store.commit(drop)
        history.dropped(drop)
    blocks = 0 if drop is None else len(drop.dropped_blocks)
    pruner = Pruner(history)
    while not pruner.done:
        commit = pruner.step()
        if commit is not None:
            history.store.commit(commit)
        yield Pruned(history.first, blocks, pruner.dropped)
