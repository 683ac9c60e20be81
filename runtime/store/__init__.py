"""Where the heap lives between activations: the `Store` protocol and its implementations."""

from runtime.store.base import FORMAT, Commit, Store
from runtime.store.memory import MemoryStore
from runtime.store.sqlite import SqliteStore

__all__ = ["FORMAT", "Commit", "MemoryStore", "SqliteStore", "Store"]
