"""The history: the blocks of a store, which of them is the head, and the states behind them.

Blocks form a tree by their parents; the *chain* is the path from the genesis to the head. To revert is to move the head:
nothing is deleted by it, and the block that is made next has the new head for its parent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from actors.errors import BlockUnknown, InputError, StoreDamaged
from runtime.chain import Block, read_record
from runtime.persist import number_nodes
from runtime.store.base import Commit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from actors.tree import Tree
    from runtime.store.base import Store

#: A block: itself, its number on the chain, its hash, or its hash in hex (the first digits, where they are its alone).
Which: TypeAlias = Block | int | bytes | str

_HEX_DIGITS_MIN = 4


class History:
    """The blocks of a store that has a genesis.

    Args:
        store: the store, open.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        digest = store.head()
        if digest is None:
            raise StoreDamaged(f"{store.place} has no head; restore it from a backup")
        self.head, self.head_state = self._kept(digest)

    @staticmethod
    def begin(store: Store, genesis: Block, state: Tree, meta: Mapping[str, bytes]) -> History:
        """Write the genesis into an empty store."""
        nodes = number_nodes(state, store.next_number(), store)
        store.commit(
            Commit(
                head=genesis.hash,
                nodes=nodes,
                blocks=[(0, genesis.hash, genesis.record(state))],
                chain=[(0, genesis.hash)],
                meta=meta,
            )
        )
        return History(store)

    def _read(self, digest: bytes) -> tuple[Block, Tree]:
        record = self.store.block(digest)
        if record is None:
            raise BlockUnknown(f"no block {digest.hex()[:16]}… is kept in {self.store.place}")
        try:
            return read_record(record, digest, self.store)
        except StoreDamaged as error:
            raise self._damaged(str(error)) from error

    def _kept(self, digest: bytes) -> tuple[Block, Tree]:
        """Return a block that the store itself says is there."""
        try:
            return self._read(digest)
        except BlockUnknown as error:
            raise self._damaged(str(error)) from error

    def _damaged(self, what: str) -> StoreDamaged:
        return StoreDamaged(f"{self.store.place} is damaged: {what}; restore it from a backup")

    def find(self, which: Which) -> Block:
        """Return a block.

        Raises:
            BlockUnknown: it is not kept, or not on the chain where a number was given.
            InputError: that names no block.
        """
        return self._find(which)[0]

    def _find(self, which: Which) -> tuple[Block, Tree]:
        digest = self._hash(which)
        if type(which) is not int:
            return self._read(digest)
        block, state = self._kept(digest)
        if block.number != which:
            raise self._damaged(f"block {which} of the chain is a block {block.number}")
        return block, state

    def state(self, which: Which) -> Tree:
        """Return the state behind a block; what is needed of it is read when it is needed."""
        return self._find(which)[1]

    def _hash(self, which: Which) -> bytes:
        if isinstance(which, Block):
            return which.hash
        if isinstance(which, bytes):
            return which
        if isinstance(which, str):
            return self._hash_of_text(which)
        if type(which) is not int:
            raise InputError(f"a block is a Block, its number or its hash, not {which!r}")
        digest = self.store.hash_at(which)
        if digest is None and 0 <= which <= self.head.number:
            raise self._damaged(f"block {which} of the chain is not in it")
        if digest is None:
            raise BlockUnknown(
                f"no block {which} is on the chain, which goes from 0 to {self.head.number}; "
                "ask for a block on another branch by its hash"
            )
        return digest

    def _hash_of_text(self, text: str) -> bytes:
        digits = text.removeprefix("0x").lower()
        if digits.isdecimal() and len(digits) < 10 and not text.startswith("0x"):
            return self._hash(int(digits))
        if len(digits) < _HEX_DIGITS_MIN or digits.strip("0123456789abcdef"):
            raise InputError(f"{text!r} is neither a block's number nor the hex digits of its hash (at least 4)")
        found = [digest for _, digest in self.store.hashes() if digest.hex().startswith(digits)]
        if len(found) == 1:
            return found[0]
        raise BlockUnknown(f"{'no' if not found else 'more than one'} block's hash begins with {text}")

    def blocks(self, *, branches: bool = False) -> Iterator[Block]:
        """Yield the blocks of the chain from the genesis to the head; with `branches`, all that are kept, by number."""
        if branches:
            for _, digest in self.store.hashes():
                yield self.find(digest)
        else:
            for number in range(self.head.number + 1):
                yield self.find(number)

    def nodes_of(self, state: Tree) -> list[tuple[int, bytes]]:
        """Number, hash and encode the new nodes of a state, each once; its digest costs nothing behind this."""
        return number_nodes(state, self.store.next_number(), self.store)

    def commit_of(self, block: Block, state: Tree, nodes: list[tuple[int, bytes]]) -> Commit:
        """Return the commit that makes a new block the head; `nodes` are those of its state."""
        return Commit(
            head=block.hash,
            nodes=nodes,
            blocks=[]
            if self.store.block(block.hash) is not None
            else [(block.number, block.hash, block.record(state))],
            chain=[(block.number, block.hash)],
        )

    def revert_of(self, target: Block) -> Commit:
        """Return the commit that makes a kept block the head."""
        chain: list[tuple[int, bytes | None]] = [
            (number, None) for number in range(target.number + 1, self.head.number + 1)
        ]
        block = target
        while self.store.hash_at(block.number) != block.hash:
            chain.append((block.number, block.hash))
            block = self._kept(block.parent)[0]
        return Commit(head=target.hash, chain=chain)
