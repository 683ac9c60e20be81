"""The store on disk: SQLite, in write-ahead-log mode with full synchronisation.

    nodes   number → record        a table in the order of its key, so that a commit appends at its end
    blocks  age → number, hash, record
    chain   number → hash          the head's chain
    meta    name → value           head, root program, genesis

`application_id` tells a Lockstep store from other SQLite files, `user_version` is the format. Next to `PATH` stand
SQLite's own `PATH-wal` and `PATH-shm` while it is open, and `PATH-lock`: an empty database whose exclusive lock is held
by the one runtime that may write. The operating system lets go of that lock when the process dies, however it dies.

Readers in other processes (`writer=False`) take no lock; each sees the last commit that was whole when it looked.

Why SQLite: its durable commits cost what LMDB's and RocksDB's cost (tests/benchmarks/store_engines.py prints all three
side by side); its file stops growing under pruning, where LMDB's did not; other processes read while it is written,
which RocksDB's cannot do live; and of 800 damaged files none brought the process down, where LMDB's died of SIGBUS.
What damage leaves readable is caught by the digests that stand in the parents.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from actors.errors import StoreBusy, StoreDamaged, StoreError, StoreFormat
from runtime.store.base import FORMAT

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from runtime.store.base import Commit

#: "Lkst", in the SQLite header's field for it.
APPLICATION_ID: Final = 0x4C6B7374

_SCHEMA: Final = """
CREATE TABLE nodes (number INTEGER PRIMARY KEY, record BLOB NOT NULL);
CREATE TABLE blocks (age INTEGER PRIMARY KEY, number INTEGER NOT NULL, hash BLOB NOT NULL UNIQUE, record BLOB NOT NULL);
CREATE TABLE chain (number INTEGER PRIMARY KEY, hash BLOB NOT NULL);
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
"""
_HEAD: Final = "head"
_NEXT: Final = "next number"
_CACHE_KIB: Final = 16_384
_WAL_PAGES_MAX: Final = 1_000
_WAL_BYTES_KEPT: Final = 64 << 20


class SqliteStore:
    """A store in one SQLite file.

    Args:
        path: the file; it is created where there is none, unless `writer` is False.
        writer: whether to write. At most one writer has a store open; any number of others may read.

    Raises:
        StoreBusy: another writer has it open.
        StoreFormat: the file is no store of this format.
        StoreDamaged: it is one, but damaged.
        StoreError: it cannot be opened or created.
    """

    def __init__(self, path: str | os.PathLike[str], *, writer: bool = True) -> None:
        self._path = Path(path)
        self.place = str(path)
        self._mutex = threading.Lock()
        self._lock: sqlite3.Connection | None = None
        if self._path.is_dir():
            raise StoreError(f"{self.place} is a directory; a store is a file: {self._path / 'state.db'}, say")
        if not self._path.parent.is_dir():
            raise StoreError(f"{self.place}: there is no directory {self._path.parent}; make it first")
        new = not self._path.exists() or self._path.stat().st_size == 0
        if new and not writer:
            raise StoreError(f"{self.place}: there is no store; `lockstep run … --store {self.place}` makes one")
        if writer:
            self._lock = self._take_lock()
        try:
            self._db = self._open(new)
        except BaseException:
            self._release_lock()
            raise

    def _take_lock(self) -> sqlite3.Connection:
        lock = sqlite3.connect(f"{self._path}-lock", timeout=0, isolation_level=None, check_same_thread=False)
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            lock.close()
            if "locked" in str(error):
                raise StoreBusy(
                    f"{self.place} is open in another process, or in another Runtime of this one; close that first, or "
                    "look at the store with the commands that only read (log, show, tree, get, diff)"
                ) from None
            raise StoreError(f"{self.place} cannot be written: {error}; check who owns it and its directory") from error
        return lock

    def _release_lock(self) -> None:
        if self._lock is not None:
            with suppress(sqlite3.Error):
                self._lock.close()
            self._lock = None

    def _open(self, new: bool) -> sqlite3.Connection:
        db = None
        try:
            db = sqlite3.connect(self._path, timeout=10, isolation_level=None, check_same_thread=False)
            db.execute("PRAGMA trusted_schema=OFF")
            if not new:
                self._check_format(db)
            db.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
            if self._lock is None:
                db.execute("PRAGMA query_only=ON")
                return db
            db.execute("PRAGMA page_size=4096")
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            db.execute("PRAGMA secure_delete=OFF")
            db.execute(f"PRAGMA wal_autocheckpoint={_WAL_PAGES_MAX}")
            db.execute(f"PRAGMA journal_size_limit={_WAL_BYTES_KEPT}")
            if new:
                db.executescript(
                    f"BEGIN; PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={FORMAT}; {_SCHEMA} COMMIT;"
                )
        except BaseException as error:
            if db is not None:
                db.close()
            if isinstance(error, sqlite3.Error):
                raise self._told(error) from error
            raise
        return db

    def _check_format(self, db: sqlite3.Connection) -> None:
        if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise StoreFormat(f"{self.place} is a database, but no Lockstep store; choose another path")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version != FORMAT:
            raise StoreFormat(
                f"{self.place} is a store of format {version}, and this Lockstep reads format {FORMAT}; "
                "open it with the version that made it"
            )
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {"nodes", "blocks", "chain", "meta"} <= tables:
            raise StoreDamaged(
                f"{self.place} is damaged: it has only the tables {sorted(tables)}; restore it from a backup"
            )

    def _told(self, error: sqlite3.Error) -> StoreError:
        """Return our error for one of SQLite's."""
        code = (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF
        if code == sqlite3.SQLITE_NOTADB:
            return StoreFormat(f"{self.place} is no Lockstep store; choose another path")
        if code == sqlite3.SQLITE_CORRUPT:
            return StoreDamaged(f"{self.place} is damaged ({error}); restore it from a backup")
        if code == sqlite3.SQLITE_FULL:
            return StoreError(
                f"{self.place}: the disk is full; make room, then go on: nothing was lost but this commit"
            )
        if code == sqlite3.SQLITE_CANTOPEN:
            return StoreError(f"{self.place} cannot be opened: {error}; check the path and who may write there")
        if code == sqlite3.SQLITE_READONLY:
            return StoreError(f"{self.place} cannot be written: {error}; check who owns it and its directory")
        return StoreError(f"{self.place}: {error}")

    def _rows(self, query: str, *values: Any) -> list[Any]:
        try:
            with self._mutex:
                return self._db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise self._told(error) from error

    def read_node(self, number: int) -> bytes:
        """Return a node's record."""
        rows = self._rows("SELECT record FROM nodes WHERE number = ?", number)
        if not rows or type(rows[0][0]) is not bytes:
            raise StoreDamaged(f"{self.place}: there is no node {number}; restore the store from a backup")
        return rows[0][0]

    def next_number(self) -> int:
        """Return the first number that no node has had."""
        return int.from_bytes(self.meta(_NEXT) or b"\1", "big")

    def head(self) -> bytes | None:
        """Return the hash of the head."""
        return self.meta(_HEAD)

    def block(self, digest: bytes) -> bytes | None:
        """Return a block's record."""
        rows = self._rows("SELECT record FROM blocks WHERE hash = ?", digest)
        return rows[0][0] if rows else None

    def hash_at(self, number: int) -> bytes | None:
        """Return the hash of a block on the head's chain."""
        rows = self._rows("SELECT hash FROM chain WHERE number = ?", number)
        return rows[0][0] if rows else None

    def hashes(self) -> Iterator[tuple[int, bytes]]:
        """Yield (number, hash) of every block."""
        yield from self._rows("SELECT number, hash FROM blocks ORDER BY number, age")

    def meta(self, name: str) -> bytes | None:
        """Return what is remembered under a name."""
        rows = self._rows("SELECT value FROM meta WHERE name = ?", name)
        return rows[0][0] if rows else None

    def commit(self, commit: Commit) -> None:
        """Make a commit, durably."""
        db = self._db
        with self._mutex:
            try:
                db.execute("BEGIN IMMEDIATE")
                db.executemany("INSERT INTO nodes VALUES (?, ?)", commit.nodes)
                db.executemany("INSERT INTO blocks (number, hash, record) VALUES (?, ?, ?)", commit.blocks)
                gone = [(number,) for number, digest in commit.chain if digest is None]
                db.executemany("DELETE FROM chain WHERE number = ?", gone)
                kept = [(number, digest) for number, digest in commit.chain if digest is not None]
                db.executemany("INSERT OR REPLACE INTO chain VALUES (?, ?)", kept)
                meta = [*commit.meta.items(), (_HEAD, commit.head)]
                if commit.nodes:
                    meta.append((_NEXT, (commit.nodes[-1][0] + 1).to_bytes(8, "big")))
                db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", meta)
                db.execute("COMMIT")
            except sqlite3.Error as error:
                if db.in_transaction:
                    with suppress(sqlite3.Error):
                        db.execute("ROLLBACK")
                raise self._told(error) from error

    def close(self) -> None:
        """Let go of the store."""
        with suppress(sqlite3.Error), self._mutex:
            self._db.close()
        self._release_lock()
