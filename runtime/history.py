"""The history: the blocks of a store, which of them is the head, and the states behind them.

Blocks form a tree by their parents; the *chain* is the path from the genesis to the head. To revert is to move the head:
nothing is deleted by it, and the block that is made next has the new head for its parent. To prune is to drop the blocks
below a number, on all branches; `first` is then the first of the chain that is kept. What only they held is swept out
behind that (runtime.prune).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from actors.errors import BlockUnknown, InputError, StoreDamaged
from runtime.chain import Block, read_record
from runtime.persist import number_nodes
from runtime.store.base import Commit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from actors.tree import Tree
    from runtime.store.base import Store

#: A block: itself, its number on the chain, its hash, or its hash in hex (the first digits, where they are its alone).
Which: TypeAlias = Block | int | bytes | str

_HEX_DIGITS_MIN = 4
#: Under what name a store remembers the root program that it belongs to.
ROOT_PROGRAM = "root program"
_FIRST = "first"
_GENESIS = "genesis"


def check_keep(keep: object) -> None:
    """Check how many blocks are to be kept. Raises InputError."""
    if type(keep) is not int or keep < 1:
        raise InputError(f"keep is {keep!r}; it is a number of blocks, the head among them: 1 at least")


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
        #: The number of the first block of the chain that is kept.
        self.first = self._first()
        self.head, self.head_state = self._kept(digest)

    @staticmethod
    def begin(store: Store, genesis: Block, state: Tree, meta: Mapping[str, bytes]) -> History:
        """Write the genesis into an empty store."""
        nodes = number_nodes(state, store.next_number(), store)
        store.commit(History.begin_of(genesis, state, nodes, meta, genesis.state_root))
        return History(store)

    @staticmethod
    def begin_of(
        block: Block,
        state: Tree,
        nodes: list[tuple[int, bytes]],
        meta: Mapping[str, bytes],
        genesis_root: bytes,
        dropped_meta: Sequence[str] = (),
    ) -> Commit:
        """Return the commit with which the history of a store begins at a block; those before it count as pruned."""
        first = {_FIRST: block.number.to_bytes(8, "big")} if block.number else {}
        return Commit(
            head=block.hash,
            nodes=nodes,
            blocks=[(block.number, block.hash, block.record(state))],
            chain=[(block.number, block.hash)],
            meta={**meta, **first, _GENESIS: genesis_root},
            dropped_meta=dropped_meta,
        )

    def _first(self) -> int:
        first = self.store.meta(_FIRST)
        return 0 if first is None else int.from_bytes(first, "big")

    def _check_pruned(self, number: int) -> None:
        """Raise BlockUnknown for a number below the first that is kept. Whoever only reads learns of it here."""
        self.first = self._first()
        if 0 <= number < self.first:
            raise BlockUnknown(f"block {number} was pruned: the chain is kept from block {self.first} on")

    def _read(self, digest: bytes) -> tuple[Block, Tree]:
        record = self.store.block(digest)
        if record is None:
            raise BlockUnknown(f"no block {digest.hex()[:16]}… is kept in {self.store.place}{self._since()}")
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

    def _since(self) -> str:
        """Return what an error about an unknown hash says of blocks that were pruned."""
        first = self._first()
        return f"; those before block {first} were pruned" if first else ""

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
        if isinstance(which, str):
            which = self._in_text(which)
        digest = self._hash(which)
        if isinstance(which, (Block, bytes)):
            return self._read(digest)
        try:
            block, state = self._read(digest)
        except BlockUnknown as error:
            self._check_pruned(which)
            raise self._damaged(str(error)) from error
        if block.number != which:
            raise self._damaged(f"block {which} of the chain is a block {block.number}")
        return block, state

    def state(self, which: Which) -> Tree:
        """Return the state behind a block; what is needed of it is read when it is needed."""
        return self._find(which)[1]

    def _hash(self, which: Block | int | bytes) -> bytes:
        if isinstance(which, Block):
            return which.hash
        if isinstance(which, bytes):
            return which
        if type(which) is not int:
            raise InputError(f"a block is a Block, its number or its hash, not {which!r}")
        digest = self.store.hash_at(which)
        if digest is None:
            self._check_pruned(which)
            if 0 <= which <= self.head.number:
                raise self._damaged(f"block {which} of the chain is not in it")
            raise BlockUnknown(
                f"no block {which} is on the chain, which goes from {self.first} to {self.head.number}; "
                "ask for a block on another branch by its hash"
            )
        return digest

    def _in_text(self, text: str) -> int | bytes:
        """Return the number, or the hash, that a text names."""
        digits = text.removeprefix("0x").lower()
        if digits.isdecimal() and len(digits) < 10 and not text.startswith("0x"):
            number = int(digits)
            # The first digits of a hash may all be decimal: what is no block's number may be such.
            if number <= self.head.number or not self._begin_with(digits):
                return number
        if len(digits) < _HEX_DIGITS_MIN or digits.strip("0123456789abcdef"):
            raise InputError(f"{text!r} is neither a block's number nor the hex digits of its hash (at least 4)")
        found = self._begin_with(digits)
        if len(found) == 1:
            return found[0]
        if found:
            raise BlockUnknown(f"more than one block's hash begins with {text}; give more of its digits")
        raise BlockUnknown(f"no block's hash begins with {text}{self._since()}")

    def _begin_with(self, digits: str) -> list[bytes]:
        """Return the hashes that begin with so many hex digits, four at least."""
        if len(digits) < _HEX_DIGITS_MIN:
            return []
        return [digest for _, digest in self.store.hashes() if digest.hex().startswith(digits)]

    def blocks(self, *, branches: bool = False) -> Iterator[Block]:
        """Yield the blocks of the chain from the first that is kept to the head; with `branches`, all that are kept."""
        if branches:
            for number, digest in self.store.hashes():
                try:
                    yield self._read(digest)[0]
                except BlockUnknown as error:
                    if number >= self._first():  # else it was pruned meanwhile
                        raise self._damaged(str(error)) from error
        else:
            for number in range(self.first, self.head.number + 1):
                yield self.find(number)

    def nodes_of(self, state: Tree) -> list[tuple[int, bytes]]:
        """Number, hash and encode the new nodes of a state, each once; its digest costs nothing behind this."""
        return number_nodes(state, self.store.next_number(), self.store)

    def commit_of(self, block: Block, state: Tree, nodes: list[tuple[int, bytes]]) -> Commit:
        """Return the commit that makes a new block the head; `nodes` are those of its state."""
        return Commit(
            head=block.hash,
            nodes=nodes,
            blocks=[(block.number, block.hash, block.record(state))],
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
            if block.number == self.first:
                break
            block = self._kept(block.parent)[0]
        return Commit(head=target.hash, chain=chain)

    def genesis_root(self) -> bytes:
        """Return the state root of the genesis, whether it is kept or not."""
        root = self.store.meta(_GENESIS)
        if root is None:
            raise self._damaged("it does not know its genesis")
        return root

    def drop_of(self, keep: int) -> Commit | None:
        """Return the commit that drops all blocks but those of the last `keep` numbers up to the head's, if there are any.

        Raises:
            InputError: `keep` is not at least 1.
        """
        check_keep(keep)
        first = self.head.number - keep + 1
        if first <= self.first:
            return None
        return Commit(
            chain=[(number, None) for number in range(self.first, first)],
            meta={_FIRST: first.to_bytes(8, "big")},
            dropped_blocks=[digest for number, digest in self.store.hashes() if number < first],
        )

    def dropped(self, commit: Commit) -> None:
        """Note that a commit of `drop_of` was made."""
        self.first = int.from_bytes(commit.meta[_FIRST], "big")

    def top(self, digest: bytes) -> int | None:
        """Return the number of the top node of the state behind a block that is kept, by its hash."""
        node = self._kept(digest)[1].node
        return None if node is None else node.number
