"""Keeping: a runtime lets go of old blocks, and sweeps out what only they held, beside the making of new ones.

Where it was opened with `keep`, that goes bit by bit: before a block is made, a step of the cycle that is under way, or the
first of a new one (`tidy`); what it sweeps out goes with the block's own commit (`with_block`). `prune` makes a whole cycle
at once, of which each step takes a turn among the blocks. There is one cycle at a time: none may sweep what another one
still reads.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

import anyio
import anyio.lowlevel

from runtime.prune import Pruned, Pruner, due

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.driver import Writer
    from runtime.history import History
    from runtime.store.base import Commit

#: So many blocks more than are to be kept are there, or a quarter more, before some are dropped.
_SLACK_MIN: Final = 16


class Keeping:
    """Decides which blocks are kept.

    Args:
        keep: about how many are, at least; None: all.
        opened: returns the history, or raises InputError where the runtime was closed meanwhile.
        writer: makes commits.
        let_go: makes whoever has nodes in memory that no kept block may reach forget them; the head's state has what is
            needed anew.
    """

    def __init__(
        self, keep: int | None, opened: Callable[[], History], writer: Writer, let_go: Callable[[], None]
    ) -> None:
        self._keep = keep
        self._opened = opened
        self._writer = writer
        self._let_go = let_go
        #: Held by `prune`, and while it is, nothing else prunes.
        self._pruning = anyio.Lock()
        #: The cycle that goes on beside the blocks, and what it sweeps out with the next one that is made.
        self._pruner: Pruner | None = None
        self._swept: Commit | None = None
        #: How many nodes the last block wrote.
        self._written = 0

    async def tidy(self) -> None:
        """Go on with what `keep` asks for, before a block is made."""
        keep = self._keep
        # Where the last step went with a block that was not made, it goes with this one.
        if keep is None or self._swept is not None or self._pruning.locked():
            return
        history = self._opened()
        late = history.head.number - history.first >= keep + max(_SLACK_MIN, keep // 4)
        if late and (self._pruner is None or not self._pruner.marking):
            await self._drop(history, keep)
            if self._pruner is None and due(history.store):
                self._let_go()
                self._pruner = Pruner(history)
        pruner, self._pruner = self._pruner, None  # a cycle that meets damage is over
        if pruner is not None:
            self._swept = pruner.step(self._written)
            if not pruner.done:
                self._pruner = pruner

    def with_block(self, commit: Commit) -> Commit:
        """Return the commit of a block with what is swept out along with it."""
        if self._swept is None:
            return commit
        return dataclasses.replace(commit, dropped_nodes=self._swept.dropped_nodes, meta=self._swept.meta)

    def made(self, written: int) -> None:
        """Note that the commit of `with_block` was made, and how many nodes it wrote."""
        self._swept, self._written = None, written

    async def prune(self, keep: int, turn: anyio.Lock) -> Pruned:
        """Drop all blocks but those of the last `keep` numbers, and sweep, in steps that take turns with the blocks."""
        async with self._pruning:
            async with turn:
                history = self._opened()
                self._pruner = self._swept = None  # which may need the blocks that are dropped now
                blocks = await self._drop(history, keep)
                self._let_go()
                pruner = Pruner(history)
            while not pruner.done:
                await anyio.lowlevel.checkpoint()
                async with turn:
                    self._opened()
                    commit = pruner.step()
                    cancelled = None if commit is None else await self._writer.commit(commit)
                if cancelled is not None:
                    raise cancelled
            return Pruned(history.first, blocks, pruner.dropped)

    async def _drop(self, history: History, keep: int) -> int:
        """Drop blocks; return how many."""
        drop = history.drop_of(keep)
        if drop is None:
            return 0
        cancelled = await self._writer.commit(drop)
        history.dropped(drop)
        if cancelled is not None:
            raise cancelled
        return len(drop.dropped_blocks)
