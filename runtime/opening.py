"""Opening: a chain is begun in a store that is new, or gone on with in one that belongs to the same program and genesis."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeAlias

from actors.errors import StoreDamaged, StoreMismatch
from actors.values import encode
from runtime.chain import Block
from runtime.history import ROOT_PROGRAM, History
from runtime.inputs import Genesis, genesis_entries
from runtime.kernel import Kernel
from runtime.programs import code_digest, identity
from runtime.store import MemoryStore, SqliteStore, Store

if TYPE_CHECKING:
    from actors.process import Root
    from actors.tree import Tree

#: A path, an open store, or None for one in memory.
Where: TypeAlias = str | os.PathLike[str] | Store | None


def open_chain(root: type[Root], where: Where, genesis: Genesis | None) -> History:
    """Open a store and return the chain in it; write the genesis into a new one.

    Args:
        root: the program at the top.
        where: the store. It is closed where something is raised.
        genesis: the entries of the root's first heap.

    Raises:
        StoreMismatch: it belongs to another program, or began from another genesis.
        StoreError: it cannot be opened, or is damaged.
        KeyRefused, ValueRefused, LimitExceeded: the genesis cannot stand in a heap.
    """
    if where is None:
        store: Store = MemoryStore()
    elif isinstance(where, (str, os.PathLike)):
        store = SqliteStore(where)
    else:
        store = where
    try:
        return _begin(root, store, genesis) if store.head() is None else _go_on(root, store, genesis)
    except BaseException:
        store.close()
        raise


def _genesis_state(root: type[Root], genesis: Genesis | None) -> Tree:
    return Kernel.genesis(root, genesis_entries(genesis)).state()


def _begin(root: type[Root], store: Store, genesis: Genesis | None) -> History:
    state = _genesis_state(root, genesis)
    nothing = encode(None)
    block = Block(0, b"", 0, state.digest(), code_digest(frozenset({root})), nothing, nothing)
    return History.begin(store, block, state, {ROOT_PROGRAM: identity(root).encode()})


def _go_on(root: type[Root], store: Store, genesis: Genesis | None) -> History:
    try:
        owner = (store.meta(ROOT_PROGRAM) or b"\xff").decode()
    except UnicodeDecodeError as error:
        raise StoreDamaged(f"{store.place} is damaged: it names no root program; restore it from a backup") from error
    if owner != identity(root):
        raise StoreMismatch(
            f"{store.place} belongs to the root program {owner}, not {identity(root)}; "
            "run that one, or choose another path"
        )
    history = History(store)
    if genesis is not None and not callable(genesis):
        made, kept = _genesis_state(root, genesis).digest(), history.genesis_root()
        if made != kept:
            raise StoreMismatch(
                f"{store.place} began from another genesis (state root {kept.hex()[:16]}…, this one gives "
                f"{made.hex()[:16]}…); leave genesis out to go on with the store, or choose another path"
            )
    return history
