"""What cannot be opened is refused in words, by the right error, and stays as it is to the byte.

Also: what damage does. A store is not read when it is opened (a restart loads nothing), so damage is met where it is
touched: it is then a StoreDamaged for whoever called the runtime, never a value, never a trap that a process could see.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from crash_writer import GENESIS, Ledger, read_whole, undisturbed

from actors import Process, Root
from actors.errors import InputError, StoreBusy, StoreDamaged, StoreError, StoreFormat, StoreMismatch
from runtime import Runtime, SqliteStore
from runtime.cli.kept import block_of
from runtime.history import History
from runtime.store import FORMAT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

pytestmark = pytest.mark.usefixtures("nothing_at_hand")

BLOCKS = 12


class OtherRoot(Root):
    async def run(self) -> None:
        self.heap["other"] = True


# --- opening, and what it leaves -------------------------------------------------------------------------------------


def files(place: Path) -> dict[str, bytes | None]:
    """Every file of a directory with its bytes, but for the lock's."""
    return {
        path.name: path.read_bytes() if path.is_file() else None
        for path in place.iterdir()
        if not path.name.endswith("-lock")
    }


@contextmanager
def unchanged(place: Path) -> Iterator[None]:
    before = files(place)
    yield
    after = files(place)
    assert sorted(after) == sorted(before)
    assert [name for name in after if after[name] != before[name]] == []


async def open_runtime(path: Path) -> None:
    async with Runtime(Ledger, path):
        pass


async def open_runtime_with_genesis(path: Path) -> None:
    async with Runtime(Ledger, path, genesis=GENESIS):
        pass


async def open_writer(path: Path) -> None:
    SqliteStore(path).close()


async def open_reader(path: Path) -> None:
    SqliteStore(path, writer=False).close()


WRITERS = [open_runtime, open_runtime_with_genesis, open_writer]
OPENERS = [*WRITERS, open_reader]


async def refused(path: Path, open_it: Callable[[Path], Any], kind: type[StoreError], *words: str) -> None:
    """Opening gives that error, which names the path and says these words, and changes nothing."""
    with unchanged(path.parent if path.parent.is_dir() else path.parent.parent), pytest.raises(StoreError) as caught:
        await open_it(path)
    assert type(caught.value) is kind, caught.value
    for word in (str(path), *words):
        assert word in str(caught.value)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of some blocks, to be copied."""
    path = tmp_path_factory.mktemp("made") / "made.db"
    script = f"""
import runtime
from crash_writer import GENESIS, Ledger
async def main():
    async with runtime.Runtime(Ledger, {str(path)!r}, genesis=GENESIS) as rt:
        for number in range(1, {BLOCKS} + 1):
            await rt.advance({{"number": number}})
runtime.run(main)
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parent)
    return path


@pytest.fixture(scope="session")
def expected() -> list[tuple[str, str]]:
    """The hashes and state roots of the store's blocks, and of one more."""
    import asyncio

    return asyncio.run(undisturbed(BLOCKS + 1))


@pytest.fixture
def path(tmp_path: Path, made: Path) -> Path:
    """A store that is in order."""
    return Path(shutil.copy(made, tmp_path / "state.db"))


@pytest.mark.parametrize("open_it", OPENERS)
async def test_a_store_that_is_in_order_opens_and_stays_as_it_is(path: Path, open_it: Callable[[Path], Any]) -> None:
    with unchanged(path.parent):
        await open_it(path)


# --- open elsewhere --------------------------------------------------------------------------------------------------


@pytest.fixture
def held(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has the store open."""
    script = f"import runtime; store = runtime.SqliteStore({str(path)!r}); print('open', flush=True); input()"
    holder = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None and holder.stdout.readline() == "open\n"
    yield holder
    holder.kill()
    holder.communicate()


@pytest.mark.parametrize("open_it", WRITERS)
async def test_a_store_that_another_process_has_open_is_busy(
    path: Path, held: subprocess.Popen[str], open_it: Callable[[Path], Any]
) -> None:
    await refused(path, open_it, StoreBusy, "another process", "close that first")


async def test_a_store_that_another_process_has_open_can_be_read(path: Path, held: subprocess.Popen[str]) -> None:
    reader = SqliteStore(path, writer=False)
    assert reader.hash_at(BLOCKS) == reader.head()
    reader.close()


async def test_a_store_is_free_again_when_its_process_is_gone(path: Path, held: subprocess.Popen[str]) -> None:
    held.kill()
    held.wait()
    await open_runtime(path)


@pytest.mark.parametrize("open_it", WRITERS)
async def test_a_store_that_another_runtime_has_open_is_busy(path: Path, open_it: Callable[[Path], Any]) -> None:
    async with Runtime(Ledger, path) as rt:
        await refused(path, open_it, StoreBusy, "another Runtime", "close that first")
        # The one that has it notices nothing.
        await rt.advance({"number": BLOCKS + 1})
        await refused(path, open_it, StoreBusy, "another Runtime", "close that first")
    await open_it(path)


async def test_a_runtime_that_is_open_is_not_opened_again(path: Path) -> None:
    async with Runtime(Ledger, path) as rt:
        with pytest.raises(InputError, match="open already"):
            await rt.__aenter__()
        await rt.advance({"number": BLOCKS + 1})


@pytest.mark.parametrize("what", [5, b"x.db", "", object])
def test_what_is_no_store_is_told_before_it_is_opened(what: Any) -> None:
    with pytest.raises(InputError, match=r"store is .*; it is a path, an open Store, or None"):
        Runtime(Ledger, what)


# --- another program's, another genesis's, another format's ----------------------------------------------------------


async def test_a_store_of_another_root_program_is_a_mismatch(path: Path) -> None:
    async def open_it(path: Path) -> None:
        async with Runtime(OtherRoot, path):
            pass

    await refused(path, open_it, StoreMismatch, "crash_writer:Ledger", "OtherRoot", "another path")


async def test_a_store_of_another_genesis_is_a_mismatch(path: Path) -> None:
    async def open_it(path: Path) -> None:
        async with Runtime(Ledger, path, genesis={**GENESIS, "seed": "other"}):
            pass

    await refused(path, open_it, StoreMismatch, "genesis", "another path")


async def test_a_genesis_that_is_a_function_is_not_asked_for_where_there_is_a_store(path: Path) -> None:
    def genesis() -> dict[str, int]:
        raise AssertionError("it was called")

    with unchanged(path.parent):
        async with Runtime(Ledger, path, genesis=genesis) as rt:
            assert rt.head.number == BLOCKS


@pytest.mark.parametrize("version", [0, FORMAT - 1, FORMAT + 1, -1, 2**31 - 1])
@pytest.mark.parametrize("open_it", OPENERS)
async def test_a_store_of_another_format_is_told_by_its_number(
    path: Path, open_it: Callable[[Path], Any], version: int
) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version={version}")
    await refused(path, open_it, StoreFormat, f"format {version}", "the version that made it")


NO_STORES = {
    "a line of text": b"a line of text\n",
    "two bytes": b"xy",
    "zeroes": bytes(8192),
    "noise": random.Random(1).randbytes(20_000),
    "SQLite's first words alone": b"SQLite format 3\0",
}


@pytest.mark.parametrize("content", NO_STORES)
@pytest.mark.parametrize("open_it", OPENERS)
async def test_a_file_of_something_else_is_no_store(
    tmp_path: Path, open_it: Callable[[Path], Any], content: str
) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(NO_STORES[content])
    await refused(path, open_it, StoreFormat, "another path")


@pytest.mark.parametrize("application_id", [0, 252006674])
@pytest.mark.parametrize("mode", ["delete", "wal", "wal, left open"])
@pytest.mark.parametrize("open_it", OPENERS)
async def test_another_applications_database_is_no_store(
    tmp_path: Path, open_it: Callable[[Path], Any], mode: str, application_id: int
) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    with closing(sqlite3.connect(tmp_path / "theirs.db", isolation_level=None)) as db:
        db.execute(f"PRAGMA application_id={application_id}")
        db.execute(f"PRAGMA journal_mode={mode.split(',')[0]}")
        db.execute("CREATE TABLE notes (text TEXT)")
        db.execute("INSERT INTO notes VALUES ('keep me')")
        db.execute("PRAGMA wal_checkpoint")
        db.execute("INSERT INTO notes VALUES ('me too')")
        if mode == "wal, left open":
            # As a crash leaves it: the last row is in the log alone.
            shutil.copy(tmp_path / "theirs.db-wal", theirs / "theirs.db-wal")
            shutil.copy(tmp_path / "theirs.db", theirs / "theirs.db")
    if mode != "wal, left open":
        shutil.copy(tmp_path / "theirs.db", theirs / "theirs.db")
    await refused(theirs / "theirs.db", open_it, StoreFormat, "no Lockstep store", "another path")


# --- paths -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("empty", [True, False])
@pytest.mark.parametrize("open_it", WRITERS)
async def test_an_empty_file_is_as_good_as_none(tmp_path: Path, open_it: Callable[[Path], Any], empty: bool) -> None:
    path = tmp_path / "state.db"
    if empty:
        path.touch()
    await open_it(path)
    async with Runtime(Ledger, path, genesis=None if open_it is open_runtime else GENESIS) as rt:
        assert rt.head.number == 0


async def test_a_reader_refuses_an_empty_file_and_none(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    await refused(path, open_reader, StoreError, "there is no store", "lockstep run")
    path.touch()
    await refused(path, open_reader, StoreError, "there is no store", "lockstep run")


async def test_a_reader_refuses_a_database_in_which_nothing_was_made(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("VACUUM")
    assert path.stat().st_size
    await refused(path, open_reader, StoreError, "there is no store", "lockstep run")


@pytest.mark.parametrize("open_it", OPENERS)
async def test_a_directory_is_no_store(tmp_path: Path, open_it: Callable[[Path], Any]) -> None:
    await refused(tmp_path, open_it, StoreError, "is a directory", "state.db")


@pytest.mark.parametrize("open_it", OPENERS)
async def test_a_directory_is_not_made_for_a_store(tmp_path: Path, open_it: Callable[[Path], Any]) -> None:
    await refused(tmp_path / "none" / "state.db", open_it, StoreError, f"no directory {tmp_path / 'none'}", "make it")


@pytest.mark.parametrize("open_it", OPENERS)
async def test_a_file_is_no_directory(path: Path, open_it: Callable[[Path], Any]) -> None:
    with unchanged(path.parent), pytest.raises(StoreError, match="no directory"):
        await open_it(path / "state.db")


@pytest.mark.parametrize("open_it", OPENERS)
async def test_a_pipe_is_no_store(tmp_path: Path, open_it: Callable[[Path], Any]) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    await refused(path, open_it, StoreError, "no regular file", "another path")


@pytest.mark.parametrize("open_it", OPENERS)
async def test_a_link_that_leads_in_a_circle_is_no_store(tmp_path: Path, open_it: Callable[[Path], Any]) -> None:
    path = tmp_path / "state.db"
    path.symlink_to(path)
    await refused(path, open_it, StoreError)


AS_NOBODY = """
import os, sys
import urllib.parse  # which pathlib imports late, when nobody may read where it is
import runtime
from actors.errors import StoreError
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    runtime.SqliteStore(sys.argv[1], writer=sys.argv[2] == "writer").close()
except StoreError as error:
    print(type(error).__name__, error)
else:
    print("opened")
"""


def as_nobody(path: Path, how: str) -> str:
    """Open a store in a process without privileges. Returns what came of it."""
    command = [sys.executable, "-c", AS_NOBODY, str(path), how]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def public(made: Path) -> Iterator[Path]:
    """A store of everybody's in a directory of everybody's."""
    place = Path(tempfile.mkdtemp())
    path = Path(shutil.copy(made, place / "state.db"))
    place.chmod(0o777)
    path.chmod(0o666)
    yield path
    place.chmod(0o700)
    shutil.rmtree(place)


@pytest.mark.parametrize("how", ["writer", "reader"])
def test_whoever_may_write_a_store_may_open_it(public: Path, how: str) -> None:
    with unchanged(public.parent):
        assert as_nobody(public, how) == "opened"


def test_a_store_that_may_only_be_read_is_told_when_it_is_opened_to_be_written(public: Path) -> None:
    public.chmod(0o444)
    with unchanged(public.parent):
        told = as_nobody(public, "writer")
    assert told.startswith(f"StoreError {public} cannot be written") and "who owns it" in told


@pytest.mark.parametrize("there", [True, False])
def test_a_directory_that_may_only_be_read_takes_no_writer(public: Path, there: bool) -> None:
    if not there:
        public.unlink()
    public.parent.chmod(0o555)
    with unchanged(public.parent):
        told = as_nobody(public, "writer")
    assert told.startswith(f"StoreError {public} cannot be written") and "who owns it" in told


@pytest.mark.parametrize("how", ["writer", "reader"])
def test_a_store_that_may_not_be_read_is_told(public: Path, how: str) -> None:
    public.chmod(0)
    told = as_nobody(public, how)
    assert told.startswith(f"StoreError {public} cannot be") and "check" in told


@pytest.mark.parametrize("how", ["writer", "reader"])
def test_a_directory_that_may_not_be_entered_is_told(public: Path, how: str) -> None:
    public.parent.chmod(0o600)
    told = as_nobody(public, how)
    assert told.startswith(f"StoreError {public} cannot be opened") and "check the path" in told


def test_a_reader_without_rights_leaves_things_as_they_are(public: Path) -> None:
    public.parent.chmod(0o555)
    with unchanged(public.parent):
        told = as_nobody(public, "reader")
    assert told == "opened", "nobody can write there, so that the file is all that there is"


def test_a_reader_without_rights_where_others_may_write_is_told_the_mend(public: Path) -> None:
    if os.getuid():
        pytest.skip("the directory has to be somebody else's")
    public.parent.chmod(0o755)
    with unchanged(public.parent):
        told = as_nobody(public, "reader")
    assert told.startswith(f"StoreError {public} cannot be opened") and "copy the store" in told


def test_a_store_with_a_log_is_not_read_without_it(public: Path) -> None:
    Path(f"{public}-wal").write_bytes(b"")
    public.parent.chmod(0o555)
    with unchanged(public.parent):
        told = as_nobody(public, "reader")
    assert told.startswith(f"StoreError {public} cannot be opened") and "with its -wal" in told


# --- damage ----------------------------------------------------------------------------------------------------------


async def use(path: Path, expected: list[tuple[str, str]], *, advance_first: bool) -> type[StoreError] | None:
    """Open a damaged store and touch all of it: each thing is as it was, or a StoreDamaged. Returns the error's kind.

    The file changes where a block was made, and only there.
    """
    before, made = files(path.parent), False

    async def advance(rt: Runtime) -> None:
        nonlocal made
        block = await rt.advance({"number": BLOCKS + 1})
        made = True
        assert (block.hash.hex(), block.state_root.hex()) == expected[BLOCKS + 1]

    kind = None
    try:
        async with Runtime(Ledger, path) as rt:
            head = rt.head
            assert head.hash.hex() == expected[BLOCKS][0]
            try:
                if advance_first:
                    await advance(rt)
                for number in range(BLOCKS + 1):
                    block = rt.block(number)
                    assert (block.hash.hex(), block.state_root.hex()) == expected[number]
                read_whole(path, range(BLOCKS + 1))
                assert {block.hash for block in rt.blocks()} == {block.hash for block in rt.blocks(branches=True)}
                if not advance_first:
                    await advance(rt)
            finally:
                assert made or rt.head is head
    except (StoreDamaged, StoreFormat) as error:
        kind = type(error)
    if not made:
        assert files(path.parent) == before
    return kind


@pytest.fixture
def whole(made: Path) -> bytes:
    """The bytes of the store that is in order."""
    return made.read_bytes()


def replace(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def cuts(size: int) -> list[int]:
    pages = range(4096, size, 4096)
    return [2, 15, 16, 99, 100, 511, 512, 4095, *pages, *[page + 1000 for page in pages], size - 1]


async def test_a_store_that_was_cut_off_anywhere_is_damaged(path: Path, whole: bytes, expected: Any) -> None:
    kinds = set()
    for i, size in enumerate(cuts(len(whole))):
        replace(path, whole[:size])
        kind = await use(path, expected, advance_first=bool(i % 2))
        kinds.add(kind)
        # The last page may have nothing where it was cut.
        assert kind is not None or size > len(whole) - 4096, size
        assert kind is not StoreFormat or size < 4096, size
    assert StoreDamaged in kinds


async def flip_bits(path: Path, whole: bytes, expected: Any, count: int, seed: int) -> set[type[StoreError] | None]:
    chance = random.Random(seed)
    kinds = set()
    for i in range(count):
        # Every page has its turn; the first 100 bytes are SQLite's own, the rest of the first page is the schema.
        page = i % (len(whole) // 4096)
        offset, bit = 4096 * page + chance.randrange(4096), chance.randrange(8)
        replace(path, whole[:offset] + bytes((whole[offset] ^ 1 << bit,)) + whole[offset + 1 :])
        try:
            kind = await use(path, expected, advance_first=chance.random() < 0.5)
        except Exception as error:
            raise AssertionError(f"bit {bit} of byte {offset}: {type(error).__name__}: {error}") from error
        assert kind is not StoreFormat or offset < 100
        kinds.add(kind)
    return kinds


async def test_a_bit_that_flipped_shows_or_does_not_matter(path: Path, whole: bytes, expected: Any) -> None:
    assert await flip_bits(path, whole, expected, 90, seed=4) >= {None, StoreDamaged}


@pytest.mark.long
async def test_hundreds_of_bits_that_flipped_show_or_do_not_matter(path: Path, whole: bytes, expected: Any) -> None:
    assert await flip_bits(path, whole, expected, 800, seed=5) >= {None, StoreDamaged}


async def test_a_schema_that_is_no_text_any_more_is_damage(path: Path, whole: bytes, expected: Any) -> None:
    first = whole.find(b"CREATE TABLE", 0, 4096)
    for place in (first - 9, first - 6, first + 3, first + 9, first + 18):
        replace(path, whole[:place] + bytes((whole[place] ^ 0x80,)) + whole[place + 1 :])
        for open_it in OPENERS:
            await refused(path, open_it, StoreDamaged, "restore it from a backup")


@pytest.mark.parametrize("which", [3, "3", "head~1"])
async def test_a_block_of_the_chain_that_its_index_has_lost_is_damage(
    path: Path, whole: bytes, which: int | str
) -> None:
    with closing(sqlite3.connect(path)) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_blocks_1'").fetchone()
        hashes = [row[0] for row in db.execute("SELECT hash FROM blocks WHERE number IN (3, ?)", (BLOCKS - 1,))]
    begin, end = 4096 * (page - 1), 4096 * page
    index = whole[begin:end]
    for digest in hashes:
        assert index.count(digest) == 1
        index = index.replace(digest, bytes(32))
    replace(path, whole[:begin] + index + whole[end:])
    store = SqliteStore(path, writer=False)
    with closing(store), pytest.raises(StoreDamaged, match=f"{path} is damaged: no block .* is kept"):
        block_of(History(store), str(which)) if isinstance(which, str) else History(store).find(which)


async def test_a_page_of_zeroes_is_damage(path: Path, made: Path, whole: bytes, expected: Any) -> None:
    for begin in range(0, len(whole), 4096):
        replace(path, whole[:begin] + bytes(4096) + whole[begin + 4096 :])
        kind = await use(path, expected, advance_first=begin % 8192 == 0)
        assert kind in ((StoreFormat, StoreDamaged) if begin == 0 else (StoreDamaged, None))
        if kind is None:
            # Nothing but a page that is not in use.
            with closing(sqlite3.connect(made)) as db:
                assert db.execute("PRAGMA freelist_count").fetchone()[0] > 0, begin


def rows(made: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(made)) as db:
        return [row[0] for row in db.execute(query)]


def change(path: Path, made: Path, statement: str, *values: Any) -> None:
    """Make a fresh copy, changed by a statement that leaves the database itself in order."""
    shutil.copy(made, path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        assert db.execute(statement, values).rowcount == 1
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


async def lose_nodes(path: Path, made: Path, expected: Any, step: int) -> None:
    for i, number in enumerate(rows(made, "SELECT number FROM nodes")[::step]):
        change(path, made, "DELETE FROM nodes WHERE number = ?", number)
        assert await use(path, expected, advance_first=bool(i % 2)) is StoreDamaged, number


async def test_a_node_that_is_gone_is_damage(path: Path, made: Path, expected: Any) -> None:
    await lose_nodes(path, made, expected, 37)


@pytest.mark.long
async def test_many_a_node_that_is_gone_is_damage(path: Path, made: Path, expected: Any) -> None:
    await lose_nodes(path, made, expected, 5)


RECORDS = {
    "empty": lambda record: b"",
    "short": lambda record: record[:-1],
    "long": lambda record: record + b"\0",
    "zeroes": lambda record: bytes(len(record)),
    "noise": lambda record: random.Random(len(record)).randbytes(len(record)),
    "a number": lambda record: 7,
    "text": lambda record: "text",
    "its first bit": lambda record: bytes((record[0] ^ 1,)) + record[1:],
    "its last bit": lambda record: record[:-1] + bytes((record[-1] ^ 1,)),
}


@pytest.mark.parametrize("what", RECORDS)
@pytest.mark.parametrize("table", ["nodes", "blocks"])
async def test_a_record_that_is_another_is_damage(path: Path, made: Path, expected: Any, what: str, table: str) -> None:
    key = "number" if table == "nodes" else "age"
    for number in rows(made, f"SELECT {key} FROM {table}")[:: 41 if table == "nodes" else 4]:
        record = rows(made, f"SELECT record FROM {table} WHERE {key} = {number}")[0]
        change(path, made, f"UPDATE {table} SET record = ? WHERE {key} = ?", RECORDS[what](record), number)
        assert await use(path, expected, advance_first=False) is StoreDamaged, number


async def opening_is_damage(path: Path, open_it: Callable[[Path], Any] = open_runtime) -> None:
    await refused(path, open_it, StoreDamaged, "restore it from a backup")


@pytest.mark.parametrize("name", ["head", "root program"])
@pytest.mark.parametrize("open_it", [open_runtime, open_runtime_with_genesis])
async def test_a_store_without_its_head_or_root_program_is_damaged(
    path: Path, made: Path, name: str, open_it: Callable[[Path], Any]
) -> None:
    change(path, made, "DELETE FROM meta WHERE name = ?", name)
    await opening_is_damage(path, open_it)


@pytest.mark.parametrize("value", [b"", b"\xff\xfe", b"x" * 31, b"x" * 32, "text", 7])
async def test_a_head_that_is_no_block_is_damage(path: Path, made: Path, value: object) -> None:
    change(path, made, "UPDATE meta SET value = ? WHERE name = 'head'", value)
    await opening_is_damage(path)


async def test_a_root_program_that_is_no_text_is_damage(path: Path, made: Path) -> None:
    change(path, made, "UPDATE meta SET value = ? WHERE name = 'root program'", b"\xff\xfe")
    await opening_is_damage(path)


async def test_a_head_whose_block_is_gone_is_damage(path: Path, made: Path) -> None:
    change(path, made, "DELETE FROM blocks WHERE number = ?", BLOCKS)
    await opening_is_damage(path)


@pytest.mark.parametrize("value", [None, b"", b"\0", b"\1", b"\0\5", b"\xff" * 8, b"\xff" * 100, 7])
async def test_the_next_number_where_it_cannot_be_is_damage(
    path: Path, made: Path, expected: Any, value: object
) -> None:
    if value is None:
        change(path, made, "DELETE FROM meta WHERE name = 'next number'")
    else:
        change(path, made, "UPDATE meta SET value = ? WHERE name = 'next number'", value)
    assert await use(path, expected, advance_first=True) is StoreDamaged


@pytest.mark.parametrize("number", [0, 1, 5, BLOCKS - 1])
async def test_a_block_of_the_chain_that_is_gone_is_damage(path: Path, made: Path, expected: Any, number: int) -> None:
    change(path, made, "DELETE FROM blocks WHERE number = ?", number)
    async with Runtime(Ledger, path) as rt:
        with pytest.raises(StoreDamaged, match="restore"):
            rt.block(number)
        with pytest.raises(StoreDamaged, match="restore"):
            rt.state(number)
        with pytest.raises(StoreDamaged, match="restore"):
            list(rt.blocks())
        assert rt.block(number + 1).hash.hex() == expected[number + 1][0]
        await rt.advance({"number": BLOCKS + 1})
        assert rt.head.hash.hex() == expected[BLOCKS + 1][0]


@pytest.mark.parametrize("number", [0, 1, 5, BLOCKS - 1])
async def test_a_number_of_the_chain_that_is_gone_is_damage(path: Path, made: Path, expected: Any, number: int) -> None:
    change(path, made, "DELETE FROM chain WHERE number = ?", number)
    async with Runtime(Ledger, path) as rt:
        with pytest.raises(StoreDamaged, match="restore"):
            rt.block(number)
        assert rt.block(bytes.fromhex(expected[number][0])).number == number
        await rt.advance({"number": BLOCKS + 1})
        assert rt.head.hash.hex() == expected[BLOCKS + 1][0]


@pytest.mark.parametrize("value", ["another block", b"x" * 32, "text", 7])
async def test_a_number_of_the_chain_with_another_block_is_damage(
    path: Path, made: Path, expected: Any, value: object
) -> None:
    digest = bytes.fromhex(expected[3][0]) if value == "another block" else value
    change(path, made, "UPDATE chain SET hash = ? WHERE number = 5", digest)
    async with Runtime(Ledger, path) as rt:
        with pytest.raises(StoreDamaged, match="restore"):
            rt.block(5)


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE chain",
        "ALTER TABLE nodes RENAME COLUMN record TO records",
        "CREATE TRIGGER quiet AFTER INSERT ON nodes BEGIN DELETE FROM nodes WHERE number = NEW.number; END",
        "CREATE VIEW more AS SELECT * FROM nodes",
    ],
)
@pytest.mark.parametrize("open_it", OPENERS)
async def test_a_store_with_other_tables_is_damaged(path: Path, open_it: Callable[[Path], Any], statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(statement)
    await opening_is_damage(path, open_it)


# --- damage that a process meets -------------------------------------------------------------------------------------

WIDE = {("wide", i): f"value {i} of many" for i in range(3000)}


class Reads(Root):
    """Reads a key itself, or lets a child do it, which may be one that catches everything."""

    async def run(self) -> Any:
        key, how = self.heap["block", "key"], self.heap["block", "how"]
        if how == "itself":
            return self.heap["wide", key]
        program = {"by a child": Child, "by one that catches all": Careless}[how]
        await self.put("child", {"wide": self.heap.region("wide"), "key": key}, program=program, start=True)
        trap = await self.status("child")
        self.heap["trap"] = str(trap)
        return await self.get("child", "found")


class Child(Process):
    async def run(self) -> None:
        self.heap["found"] = self.heap["wide", self.heap["key"]]


class Careless(Process):
    async def run(self) -> None:
        try:
            self.heap["found"] = self.heap["wide", self.heap["key"]]
        except Exception:
            self.heap["found"] = "nothing, it seems"


HOWS = ["itself", "by a child", "by one that catches all"]


@pytest.fixture
async def wide(tmp_path: Path) -> AsyncIterator[Path]:
    """A store with one damaged node: the one that holds the value 777."""
    path = tmp_path / "wide.db"
    async with Runtime(Reads, path, genesis=WIDE) as rt:
        await rt.advance({"key": 1, "how": "itself"})
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        ((number, record),) = db.execute("SELECT number, record FROM nodes WHERE instr(record, 'value 777 of many')")
        damaged = record.replace(b"value 777 of many", b"value 666 of many")
        db.execute("UPDATE nodes SET record = ? WHERE number = ?", (damaged, number))
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    yield path


@pytest.mark.parametrize("how", HOWS)
async def test_a_damaged_node_that_nobody_touches_does_no_harm(wide: Path, how: str) -> None:
    async with Runtime(Reads, wide) as rt, Runtime(Reads, genesis=WIDE) as sound:
        await sound.advance({"key": 1, "how": "itself"})
        for key in (0, 5, 2999):
            block = await rt.advance({"key": key, "how": how})
            assert block.data == f"value {key} of many"
            assert block.hash == (await sound.advance({"key": key, "how": how})).hash
        await rt.verify()


@pytest.mark.parametrize("how", HOWS)
async def test_a_damaged_node_that_is_touched_fails_the_call_and_no_process(wide: Path, how: str) -> None:
    with unchanged(wide.parent):
        async with Runtime(Reads, wide) as rt:
            for _ in range(2):
                head = rt.head
                with pytest.raises(StoreDamaged):
                    await rt.advance({"key": 777, "how": how})
                assert rt.head is head
    async with Runtime(Reads, wide) as rt:
        with pytest.raises(StoreDamaged):
            await rt.advance({"key": 777, "how": how})
        block = await rt.advance({"key": 5, "how": how})
        assert (block.number, block.data) == (2, "value 5 of many")
        with pytest.raises(StoreDamaged):
            rt.state().heap["wide", 777]


async def test_damage_is_told_with_the_store_and_the_mend(wide: Path) -> None:
    async with Runtime(Reads, wide) as rt:
        with pytest.raises(StoreDamaged) as caught:
            await rt.advance({"key": 777, "how": "itself"})
    assert str(wide) in str(caught.value)
    assert "restore it from a backup" in str(caught.value)


async def test_a_damaged_block_record_is_told_with_the_store_and_the_mend(path: Path, made: Path) -> None:
    change(path, made, "UPDATE blocks SET record = x'00' WHERE number = 3")
    async with Runtime(Ledger, path) as rt:
        with pytest.raises(StoreDamaged) as caught:
            rt.block(3)
    assert str(path) in str(caught.value)
    assert "restore it from a backup" in str(caught.value)


# --- one store's nodes in another ------------------------------------------------------------------------------------


async def test_a_genesis_may_have_a_region_that_is_in_another_store(tmp_path: Path) -> None:
    async with Runtime(Reads, tmp_path / "one.db", genesis=WIDE) as one:
        region = one.state().heap.region("wide")
        async with Runtime(Reads, tmp_path / "other.db", genesis={"wide": region}) as other:
            block = await other.advance({"key": 5, "how": "itself"})
            assert block.data == "value 5 of many"
        assert (await one.advance({"key": 5, "how": "itself"})).hash == block.hash
    for name in ("one.db", "other.db"):
        read_whole(tmp_path / name, range(2))
