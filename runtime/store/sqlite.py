"""The store on disk: SQLite, in write-ahead-log mode with full synchronisation.

    nodes   number → record        a table in the order of its key, so that a commit appends at its end
    blocks  age → number, hash, record
    chain   number → hash          the head's chain
    meta    name → value           head, root program, genesis

`application_id` tells a Lockstep store from other SQLite files, `user_version` is the format. Next to `PATH` stand
SQLite's own `PATH-wal` and `PATH-shm` while it is open, and `PATH-lock`: an empty database whose exclusive lock is held
by the one runtime that may write. The operating system lets go of that lock when the process dies, however it dies.
Where PATH is a symbolic link, all of these stand next to the file itself, so that there is one lock for every name.

A file is looked at before it is opened to be written, so that one which is no store stays as it is. A database in which
nothing was ever made is what a process leaves that died while it made a store: it is taken for a new one.

Readers in other processes (`writer=False`) take no lock; each sees the last commit that was whole when it looked. They, too,
write `PATH-shm`; where nobody can (a file system, or a directory, that is for reading alone) and no `PATH-wal` stands there,
the file is all that there is and will be, and is read as it is.

Why SQLite: its durable commits cost what LMDB's and RocksDB's cost (tests/benchmarks/store_engines.py prints all three
side by side); its file stops growing under pruning, where LMDB's did not; other processes read while it is written,
which RocksDB's cannot do live; and of 800 damaged files none brought the process down, where LMDB's died of SIGBUS.
What damage leaves readable is caught by the digests that stand in the parents.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing, suppress
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from actors.errors import StoreBusy, StoreDamaged, StoreError, StoreFormat
from actors.records import NUMBER_MAX
from runtime.store.base import FORMAT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from runtime.store.base import Commit

#: "Lkst", in the SQLite header's field for it.
APPLICATION_ID: Final = 0x4C6B7374

_SCHEMA: Final = """
CREATE TABLE nodes (number INTEGER PRIMARY KEY, record BLOB NOT NULL);
CREATE TABLE blocks (age INTEGER PRIMARY KEY, number INTEGER NOT NULL, hash BLOB NOT NULL UNIQUE, record BLOB NOT NULL);
CREATE TABLE chain (number INTEGER PRIMARY KEY, hash BLOB NOT NULL);
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
"""
#: What is wrong with the file itself, not with the disk or with who holds it.
_DAMAGE: Final = frozenset(
    {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_TOOBIG,
    }
)
_HEAD: Final = "head"
_NEXT: Final = "next number"
_NEXT_MAX: Final = NUMBER_MAX + 1
_CACHE_KIB: Final = 16_384
_WAL_PAGES_MAX: Final = 1_000
_WAL_BYTES_KEPT: Final = 64 << 20
#: At most so many rows are written by one statement. Each number of them is a statement of its own, and SQLite's module
#: keeps 128 ready.
_ROWS_AT_ONCE: Final = 64
_MEND: Final = "restore it from a backup"


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
        #: The file itself, wherever links lead to it.
        self.path = Path(os.path.realpath(path))
        self.place = str(path)
        self._mutex = threading.Lock()
        self._lock: sqlite3.Connection | None = None
        self._closed = False
        self._check_path(writer)
        if writer:
            self._lock = self._take_lock()
        try:
            self._db = self._open()
        except BaseException:
            self._release_lock()
            raise

    def _check_path(self, writer: bool) -> None:
        try:
            if self.path.is_dir():
                raise StoreError(f"{self.place} is a directory; a store is a file: {self.path / 'state.db'}, say")
            if not self.path.parent.is_dir():
                raise StoreError(f"{self.place}: there is no directory {self.path.parent}; make it first")
            there = self.path.exists()
            if there and not self.path.is_file():
                raise StoreError(f"{self.place} is no regular file; choose another path")
            if not writer and not (there and self.path.stat().st_size):
                raise self._no_store()
            # SQLite would open such a file without a word, and leave its log and its shared memory beside it.
            if writer and there and not os.access(self.path, os.W_OK):
                raise StoreError(f"{self.place} cannot be written: it may only be read; check who owns it")
        except OSError as error:
            raise StoreError(
                f"{self.place} cannot be opened: {error.strerror}; check the path and who may read there"
            ) from error

    def _no_store(self) -> StoreError:
        return StoreError(f"{self.place}: there is no store; `lockstep run … --store {self.place}` makes one")

    def _take_lock(self) -> sqlite3.Connection:
        lock = None
        try:
            lock = sqlite3.connect(f"{self.path}-lock", timeout=0, isolation_level=None, check_same_thread=False)
            lock.execute("PRAGMA journal_mode=OFF")
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            if lock is not None:
                lock.close()
            if "locked" in str(error):
                raise StoreBusy(
                    f"{self.place} is open in another process, or in another Runtime of this one; close that first, or "
                    "look at the store with the commands that only read (log, show, tree, get, diff, prove, verify, export)"
                ) from None
            raise StoreError(f"{self.place} cannot be written: {error}; check who owns it and its directory") from error
        return lock

    def _release_lock(self) -> None:
        if self._lock is not None:
            with suppress(sqlite3.Error):
                self._lock.close()
            self._lock = None

    def _open(self) -> sqlite3.Connection:
        db = None
        try:
            if self.path.exists():
                self._look_first()
            place = f"{self.path.as_uri()}{'?immutable=1' if self._is_still() else ''}"
            db = sqlite3.connect(place, timeout=10, isolation_level=None, check_same_thread=False, uri=True)
            # What is not bytes in a damaged row is then never decoded, but compared with a digest like the rest.
            db.text_factory = bytes
            db.execute("PRAGMA trusted_schema=OFF")
            db.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
            new = not self._has_store(db)
            if not new:
                self._check_schema(db)
            if self._lock is None:
                if new:
                    raise self._no_store()
                db.execute("PRAGMA query_only=ON")
            else:
                self._prepare(db, new)
        except BaseException as error:
            if db is not None:
                db.close()
            if isinstance(error, (sqlite3.Error, UnicodeDecodeError)):
                raise self._told(error) from error
            raise
        return db

    def _is_still(self) -> bool:
        """Tell whether the file is for reading alone, to whom it ever may be, and has all that was committed in it."""
        place = self.path.parent
        if self._lock is not None or os.access(place, os.W_OK) or Path(f"{self.path}-wal").exists():
            return False
        mounted = hasattr(os, "statvfs") and os.statvfs(place).f_flag & os.ST_RDONLY
        return bool(mounted) or not place.stat().st_mode & 0o222

    def _is_locked_up(self) -> bool:
        """Tell whether the file may be read, and nothing may be written beside it."""
        return os.access(self.path, os.R_OK) and not os.access(self.path.parent, os.W_OK)

    def _look_first(self) -> None:
        """Refuse a file that is no store of this format without opening it to be written."""
        # Not by reading the file: to close it would drop the locks that other connections of this process hold on it.
        with closing(sqlite3.connect(f"{self.path.as_uri()}?immutable=1", uri=True)) as db:
            try:
                self._has_store(db)
            # Without its log a store may look damaged: its writer is at work on it, or died in the middle of that.
            except UnicodeDecodeError:
                pass
            except sqlite3.DatabaseError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_CORRUPT:
                    raise

    def _has_store(self, db: sqlite3.Connection) -> bool:
        """Tell whether there is a store in the file, and not nothing at all.

        Raises:
            StoreFormat: there is something else.
        """
        application = db.execute("PRAGMA application_id").fetchone()[0]
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if (application, version) == (0, 0) and not db.execute("SELECT 1 FROM sqlite_master").fetchone():
            return False
        if application != APPLICATION_ID:
            raise StoreFormat(f"{self.place} is a database, but no Lockstep store; choose another path")
        if version != FORMAT:
            raise StoreFormat(
                f"{self.place} is a store of format {version}, and this Lockstep reads format {FORMAT}; "
                "open it with the version that made it"
            )
        return True

    def _check_schema(self, db: sqlite3.Connection) -> None:
        made = {sql for (sql,) in db.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")}
        if made != {sql.strip().encode() for sql in _SCHEMA.split(";") if sql.strip()}:
            raise StoreDamaged(f"{self.place} is damaged: its tables are not those of a store; {_MEND}")

    def _prepare(self, db: sqlite3.Connection, new: bool) -> None:
        """Make a connection one that writes, and the tables where there are none."""
        db.execute("PRAGMA page_size=4096")
        if db.execute("PRAGMA journal_mode=WAL").fetchone()[0] != b"wal":
            raise StoreError(f"{self.place}: its file system takes no write-ahead log; choose a path on a local disk")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA secure_delete=OFF")
        db.execute(f"PRAGMA wal_autocheckpoint={_WAL_PAGES_MAX}")
        db.execute(f"PRAGMA journal_size_limit={_WAL_BYTES_KEPT}")
        if new:
            db.executescript(
                f"BEGIN; PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={FORMAT}; {_SCHEMA} COMMIT;"
            )

    def _told(self, error: sqlite3.Error | UnicodeDecodeError) -> StoreError:
        """Return our error for one of SQLite's, or for one of its messages that quotes what is damaged and no text any more."""
        if self._closed:
            return StoreError(f"{self.place}: the store is closed")
        if isinstance(error, UnicodeDecodeError):
            return StoreDamaged(f"{self.place} is damaged: its tables are not those of a store; {_MEND}")
        code = (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF
        if code == sqlite3.SQLITE_NOTADB:
            return StoreFormat(f"{self.place} is no Lockstep store; choose another path")
        if code in _DAMAGE:
            return StoreDamaged(f"{self.place} is damaged ({error}); {_MEND}")
        if code == sqlite3.SQLITE_FULL:
            return StoreError(
                f"{self.place}: the disk is full; make room, then go on: nothing was lost but this commit"
            )
        if code == sqlite3.SQLITE_IOERR:
            return StoreError(
                f"{self.place}: {error} ({getattr(error, 'sqlite_errorname', '')}); look at the disk and the system's log, "
                "then go on: a commit that failed changed nothing"
            )
        if code == sqlite3.SQLITE_BUSY:
            return StoreBusy(
                f"{self.place}: {error}; end what else has it open (a backup, an SQLite shell), then go on"
            )
        shared = code == sqlite3.SQLITE_READONLY and error.sqlite_errorcode != code
        if self._lock is None and (shared or (code == sqlite3.SQLITE_CANTOPEN and self._is_locked_up())):
            return StoreError(
                f"{self.place} cannot be opened: readers, too, write {self.place}-shm beside it; copy the store, with its "
                "-wal if there is one, to a directory that you may write, and look at it there"
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
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise self._told(error) from error
        except OverflowError:
            return []  # a number beyond SQLite's, so one that nothing has

    def _blob(self, query: str, *values: Any) -> bytes | None:
        rows = self._rows(query, *values)
        if rows and type(rows[0][0]) is not bytes:
            raise StoreDamaged(f"{self.place} is damaged: {rows[0][0]!r} stands where bytes belong; {_MEND}")
        return rows[0][0] if rows else None

    def read_node(self, number: int) -> bytes:
        """Return a node's record."""
        record = self._blob("SELECT record FROM nodes WHERE number = ?", number)
        if record is None:
            raise StoreDamaged(
                f"{self.place} is damaged, or its block was pruned while somebody looked at it: there is no node {number}; "
                f"look at a block that is kept, or {_MEND}"
            )
        return record

    def read_nodes(self, numbers: Sequence[int]) -> dict[int, bytes]:
        """Return the records by number of those of these nodes that there are."""
        places = ",".join("?" * len(numbers))
        rows = self._rows("SELECT number, record FROM nodes WHERE number IN (?)".replace("?", places), *numbers)
        return {number: record for number, record in rows if type(record) is bytes}

    def next_number(self) -> int:
        """Return the first number that no node has had."""
        known = self.meta(_NEXT)
        number = 1 if known is None else int.from_bytes(known, "big")
        if not 1 <= number < _NEXT_MAX:
            raise StoreDamaged(f"{self.place} is damaged: {number} cannot be the next node's number; {_MEND}")
        return number

    def numbers(self, first: int, count: int) -> list[int]:
        """Return the numbers of the nodes that there are from `first` on."""
        found = self._rows("SELECT number FROM nodes WHERE number >= ? ORDER BY number LIMIT ?", first, count)
        return [number for (number,) in found]

    def head(self) -> bytes | None:
        """Return the hash of the head."""
        digest = self.meta(_HEAD)
        if digest is None and self._rows("SELECT 1 FROM blocks LIMIT 1"):
            raise StoreDamaged(f"{self.place} is damaged: it has blocks, and no head; {_MEND}")
        return digest

    def block(self, digest: bytes) -> bytes | None:
        """Return a block's record."""
        return self._blob("SELECT record FROM blocks WHERE hash = ?", digest)

    def hash_at(self, number: int) -> bytes | None:
        """Return the hash of a block on the head's chain."""
        return self._blob("SELECT hash FROM chain WHERE number = ?", number)

    def hashes(self) -> Iterator[tuple[int, bytes]]:
        """Yield (number, hash) of every block."""
        yield from self._rows("SELECT number, hash FROM blocks ORDER BY number, age")

    def meta(self, name: str) -> bytes | None:
        """Return what is remembered under a name."""
        return self._blob("SELECT value FROM meta WHERE name = ?", name)

    def commit(self, commit: Commit) -> None:
        """Make a commit, durably."""
        db = self._db
        with self._mutex:
            try:
                db.execute("BEGIN IMMEDIATE")
                _write(db, "INSERT INTO nodes VALUES {}", "(?, ?)", commit.nodes)
                _write(db, "INSERT INTO blocks (number, hash, record) VALUES {}", "(?, ?, ?)", commit.blocks)
                gone = [(number,) for number, digest in commit.chain if digest is None]
                _write(db, "DELETE FROM chain WHERE number IN ({})", "?", gone)
                kept = [(number, digest) for number, digest in commit.chain if digest is not None]
                _write(db, "INSERT OR REPLACE INTO chain VALUES {}", "(?, ?)", kept)
                _write(
                    db, "DELETE FROM blocks WHERE hash IN ({})", "?", [(digest,) for digest in commit.dropped_blocks]
                )
                _write(
                    db, "DELETE FROM nodes WHERE number IN ({})", "?", [(number,) for number in commit.dropped_nodes]
                )
                _write(db, "DELETE FROM meta WHERE name IN ({})", "?", [(name,) for name in commit.dropped_meta])
                meta = list(commit.meta.items())
                if commit.head is not None:
                    meta.append((_HEAD, commit.head))
                if commit.nodes:
                    meta.append((_NEXT, (commit.nodes[-1][0] + 1).to_bytes(8, "big")))
                _write(db, "INSERT OR REPLACE INTO meta VALUES {}", "(?, ?)", meta)
                db.execute("COMMIT")
            except BaseException as error:
                with suppress(sqlite3.Error):
                    if db.in_transaction:
                        db.execute("ROLLBACK")
                if isinstance(error, (sqlite3.Error, UnicodeDecodeError)):
                    raise self._told(error) from error
                raise

    def close(self) -> None:
        """Let go of the store."""
        with suppress(sqlite3.Error), self._mutex:
            self._closed = True
            self._db.close()
        self._release_lock()


def _write(db: sqlite3.Connection, statement: str, row: str, rows: Iterable[tuple[Any, ...]]) -> None:
    """Execute a statement on rows, a number of them at a time.

    SQLite lets go of the interpreter's lock for each execution, and gets it back only after a switch interval of 5 ms
    where another thread computes: row by row, 300 nodes took 2 s beside one, and so they take 70 ms; alone a fifth less.
    """
    left = iter(rows)
    while part := list(islice(left, _ROWS_AT_ONCE)):
        db.execute(statement.format(",".join([row] * len(part))), list(chain.from_iterable(part)))
