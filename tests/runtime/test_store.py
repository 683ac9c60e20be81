"""The conformance suite of the `Store` protocol: every store keeps the invariants that runtime/store/base.py lists.

A test that takes `store` runs against every implementation; one that takes `path` is about the store on disk alone.
What a store does when it is killed, or its disk fails, is in test_crash.py; what it refuses to open, in
test_store_opening.py.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from actors.errors import StoreBusy, StoreDamaged, StoreError
from actors.limits import NODE_BYTES_MAX
from runtime.store import Commit, MemoryStore, SqliteStore, Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def hash_of(number: int, branch: str = "") -> bytes:
    return sha256(f"{branch}{number}".encode()).digest()


def commit_at(store: Store, number: int, branch: str = "", nodes: int = 3) -> Commit:
    """The commit of a block with a few nodes, which all tell the block's number."""
    first = store.next_number()
    return Commit(
        head=hash_of(number, branch),
        nodes=[(first + i, b"node %d of block %d" % (i, number)) for i in range(nodes)],
        blocks=[(number, hash_of(number, branch), b"record %s%d" % (branch.encode(), number))],
        chain=[(number, hash_of(number, branch))],
        meta={"last": b"%d" % number},
    )


def content(store: Store) -> dict[str, Any]:
    """Everything that can be asked of a store with block numbers and node numbers below a hundred."""
    known: dict[str, Any] = {
        "head": store.head(),
        "next": store.next_number(),
        "hashes": list(store.hashes()),
        "blocks": {digest: store.block(digest) for _, digest in store.hashes()},
        "chain": {number: store.hash_at(number) for number in range(100)},
        "meta": {name: store.meta(name) for name in ("last", "other", "head")},
        "numbers": store.numbers(0, 100),
        "nodes": {},
    }
    for number in range(1, 100):
        try:
            known["nodes"][number] = store.read_node(number)
        except StoreDamaged:
            known["nodes"][number] = None
    return known


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, path: Path) -> Iterator[Store]:
    made: Store = MemoryStore() if request.param == "memory" else SqliteStore(path)
    yield made
    made.close()


# --- reading ---------------------------------------------------------------------------------------------------------


def test_a_new_store_has_nothing(store: Store) -> None:
    assert store.head() is None
    assert store.next_number() == 1
    assert store.block(hash_of(0)) is None
    assert store.hash_at(0) is None
    assert list(store.hashes()) == []
    assert store.meta("last") is None


def test_what_was_committed_is_read(store: Store) -> None:
    store.commit(commit_at(store, 0))
    assert store.head() == hash_of(0)
    assert store.read_node(1) == b"node 0 of block 0"
    assert store.read_node(3) == b"node 2 of block 0"
    assert store.block(hash_of(0)) == b"record 0"
    assert store.hash_at(0) == hash_of(0)
    assert list(store.hashes()) == [(0, hash_of(0))]
    assert store.meta("last") == b"0"


def test_a_node_that_is_not_there_is_damage(store: Store) -> None:
    store.commit(commit_at(store, 0))
    for number in (0, 4, -1, 2**62, 2**63, 2**70):
        with pytest.raises(StoreDamaged, match=f"no node {number}"):
            store.read_node(number)


def test_many_nodes_come_at_once_without_those_that_are_not_there_or_are_no_bytes(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        store.commit(commit_at(store, 0))
        store.commit(Commit(nodes=[(number, b"%d" % number) for number in range(10, 60)]))
        both = {1: b"node 0 of block 0", 3: b"node 2 of block 0"}
        assert store.read_nodes([3, 1]) == store.read_nodes([1, 3, 3, 4, 0, -1, 2**62]) == both
        assert store.read_nodes(range(5, 100)) == {number: b"%d" % number for number in range(10, 60)}
        assert store.read_nodes([]) == store.read_nodes([4]) == {}
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE nodes SET record = 7 WHERE number = 3")
    with closing(SqliteStore(path, writer=False)) as store:
        assert store.read_nodes([1, 3]) == {1: b"node 0 of block 0"}
    with pytest.raises(StoreError, match="closed"):
        store.read_nodes([1])


def test_what_nobody_has_named_is_none(store: Store) -> None:
    store.commit(commit_at(store, 0))
    for number in (-1, 1, 2**62, 2**63, 2**70):
        assert store.hash_at(number) is None
    for digest in (b"", b"short", hash_of(1), bytes(1000)):
        assert store.block(digest) is None
    for name in ("", "first", "x" * 1000):
        assert store.meta(name) is None


def test_names_and_records_are_any_bytes(store: Store) -> None:
    every = bytes(range(256))
    store.commit(
        Commit(
            head=every,
            nodes=[(1, b""), (2, every)],
            blocks=[(0, every, every)],
            chain=[(0, every)],
            meta={"имя": every, "": b"", "'; DROP TABLE nodes": b"kept"},
        )
    )
    assert (store.read_node(1), store.read_node(2)) == (b"", every)
    assert store.head() == store.hash_at(0) == store.block(every) == every
    assert (store.meta("имя"), store.meta(""), store.meta("'; DROP TABLE nodes")) == (every, b"", b"kept")


def test_the_largest_record_comes_back_whole(store: Store) -> None:
    record = os.urandom(1 << 20) * 16 + bytes(NODE_BYTES_MAX - (16 << 20))
    store.commit(Commit(head=hash_of(0), nodes=[(1, record)], blocks=[(0, hash_of(0), record)]))
    assert store.read_node(1) == record
    assert store.block(hash_of(0)) == record


# --- commits ---------------------------------------------------------------------------------------------------------


def test_node_numbers_grow_and_are_used_once(store: Store) -> None:
    for number in range(20):
        before = store.next_number()
        store.commit(commit_at(store, number, nodes=number % 4))
        assert store.next_number() == before + number % 4


def test_a_commit_without_nodes_uses_no_number(store: Store) -> None:
    store.commit(commit_at(store, 0))
    store.commit(Commit(head=hash_of(0)))
    assert store.next_number() == 4


def test_many_commits_are_all_there(store: Store) -> None:
    for number in range(300):
        store.commit(commit_at(store, number))
    assert [number for number, _ in store.hashes()] == list(range(300))
    assert store.meta("last") == b"299"
    for number in range(300):
        assert store.hash_at(number) == hash_of(number)
        assert store.block(hash_of(number)) == b"record %d" % number
        assert store.read_node(1 + 3 * number) == b"node 0 of block %d" % number


def test_a_later_commit_replaces_head_chain_and_meta(store: Store) -> None:
    store.commit(Commit(head=b"a", blocks=[(0, b"a", b"A")], chain=[(0, b"a")], meta={"one": b"1", "two": b"2"}))
    store.commit(Commit(head=b"b", blocks=[(0, b"b", b"B")], chain=[(0, b"b")], meta={"two": b"3"}))
    assert (store.head(), store.hash_at(0)) == (b"b", b"b")
    assert (store.meta("one"), store.meta("two")) == (b"1", b"3")


def test_what_is_to_be_forgotten_is_none(store: Store) -> None:
    store.commit(Commit(head=b"a", meta={"one": b"1", "two": b"2"}))
    store.commit(Commit(meta={"three": b"3"}, dropped_meta=["one", "nothing"]))
    assert [store.meta(name) for name in ("one", "two", "three", "nothing")] == [None, b"2", b"3", None]
    assert store.head() == b"a"


def test_blocks_of_all_branches_are_kept_and_told_by_number_then_age(store: Store) -> None:
    for number in range(4):
        store.commit(commit_at(store, number))
    # Back to block 1, and another branch from there, longer than the first.
    store.commit(Commit(head=hash_of(1), chain=[(2, None), (3, None)]))
    assert [store.hash_at(number) for number in range(5)] == [hash_of(0), hash_of(1), None, None, None]
    for number in range(2, 5):
        store.commit(commit_at(store, number, "other "))
    assert list(store.hashes()) == [
        (0, hash_of(0)),
        (1, hash_of(1)),
        (2, hash_of(2)),
        (2, hash_of(2, "other ")),
        (3, hash_of(3)),
        (3, hash_of(3, "other ")),
        (4, hash_of(4, "other ")),
    ]
    assert store.block(hash_of(3)) == b"record 3"
    assert store.hash_at(3) == hash_of(3, "other ")
    assert store.head() == hash_of(4, "other ")


def test_to_take_a_number_off_the_chain_twice_is_to_do_it_once(store: Store) -> None:
    store.commit(commit_at(store, 0))
    store.commit(Commit(head=hash_of(0), chain=[(0, None), (5, None)]))
    store.commit(Commit(head=hash_of(0), chain=[(0, None)]))
    assert store.hash_at(0) is None
    assert store.block(hash_of(0)) is not None


def test_blocks_may_be_committed_while_they_are_listed(store: Store) -> None:
    for number in range(10):
        store.commit(commit_at(store, number))
    seen = []
    for number, _ in store.hashes():
        seen.append(number)
        store.commit(commit_at(store, number, "other "))
    assert seen == list(range(10))


BAD_COMMITS = {
    "a node number that is there": {"nodes": [(4, b"new"), (3, b"again")]},
    "a node number twice": {"nodes": [(4, b"new"), (5, b"new"), (4, b"again")]},
    "a node without bytes": {"nodes": [(4, b"new"), (5, None)]},
    "a block without bytes": {"nodes": [(4, b"new")], "blocks": [(1, b"1", b"one"), (2, b"2", None)]},
    "a block without a hash": {"nodes": [(4, b"new")], "blocks": [(1, None, b"one")]},
    "a block that is there": {"nodes": [(4, b"new")], "blocks": [(1, b"1", b"one"), (0, hash_of(0), b"again")]},
    "a block twice": {"nodes": [(4, b"new")], "blocks": [(1, b"1", b"one"), (1, b"1", b"one")]},
    "a meta value without bytes": {"nodes": [(4, b"new")], "chain": [(0, b"1")], "meta": {"last": b"x", "other": None}},
    "drops, and a meta value without bytes": {
        "head": None,
        "chain": [(0, None)],
        "dropped_blocks": [hash_of(0)],
        "dropped_nodes": [1, 3],
        "meta": {"last": b"x", "other": None},
    },
    "drops, and a node that is there": {"nodes": [(4, b"new"), (2, b"again")], "dropped_nodes": [1, 2]},
}


@pytest.mark.parametrize("what", BAD_COMMITS)
def test_a_commit_that_raises_half_way_has_changed_nothing(store: Store, what: str) -> None:
    store.commit(commit_at(store, 0))
    before = content(store)
    with pytest.raises(StoreError, match=store.place):
        store.commit(Commit(**{"head": b"1", **BAD_COMMITS[what]}))
    assert content(store) == before
    store.commit(commit_at(store, 1))
    assert store.head() == hash_of(1)
    assert store.read_node(4) == b"node 0 of block 1"


def test_an_error_that_is_not_the_stores_changes_nothing_either(store: Store) -> None:
    class Interrupted(Exception):
        pass

    class Nodes(list):  # type: ignore[type-arg]
        def __iter__(self) -> Any:
            yield 4, b"new"
            raise Interrupted

    store.commit(commit_at(store, 0))
    before = content(store)
    with pytest.raises(Interrupted):
        store.commit(Commit(head=b"1", nodes=Nodes([(4, b"new"), (5, b"never")])))
    assert content(store) == before
    store.commit(commit_at(store, 1))
    assert store.head() == hash_of(1)


def test_a_commit_from_a_thread_is_read_by_the_others_whole(store: Store) -> None:
    store.commit(commit_at(store, 0))
    errors: list[BaseException] = []
    done = threading.Event()

    def read() -> None:
        try:
            while not done.is_set():
                head = store.head()
                assert head is not None and store.block(head) is not None
                # `hashes` is one look at the store, `head` an earlier one: no head is younger than the list.
                hashes = [digest for _, digest in store.hashes()]
                assert head in hashes
                assert hashes == [hash_of(number) for number in range(len(hashes))]
        except BaseException as error:
            errors.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for number in range(1, 150):
            store.commit(commit_at(store, number))
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert errors == []


# --- pruning ---------------------------------------------------------------------------------------------------------


def test_a_commit_without_a_head_leaves_the_head(store: Store) -> None:
    store.commit(commit_at(store, 0))
    store.commit(Commit(meta={"last": b"x"}, nodes=[(4, b"new")]))
    assert store.head() == hash_of(0)
    assert (store.meta("last"), store.read_node(4), store.next_number()) == (b"x", b"new", 5)
    assert store.hash_at(0) == hash_of(0)


def test_a_store_without_a_block_takes_a_commit_without_a_head(store: Store) -> None:
    store.commit(Commit(nodes=[(1, b"new")], meta={"last": b"x"}))
    assert store.head() is None
    assert store.read_node(1) == b"new"


def test_what_was_dropped_is_there_no_more_and_all_else_is(store: Store) -> None:
    for number in range(4):
        store.commit(commit_at(store, number))
    before = content(store)
    store.commit(
        Commit(chain=[(0, None), (1, None)], dropped_blocks=[hash_of(1), hash_of(0)], dropped_nodes=[2, 3, 5, 12])
    )
    assert list(store.hashes()) == [(2, hash_of(2)), (3, hash_of(3))]
    assert [store.block(hash_of(number)) for number in range(4)] == [None, None, b"record 2", b"record 3"]
    assert [store.hash_at(number) for number in range(4)] == [None, None, hash_of(2), hash_of(3)]
    for number in (2, 3, 5, 12):
        with pytest.raises(StoreDamaged, match=f"no node {number}\\b"):
            store.read_node(number)
    after = content(store)
    assert {number for number, node in after["nodes"].items() if node != before["nodes"][number]} == {2, 3, 5, 12}
    assert (after["head"], after["next"], after["meta"]) == (before["head"], before["next"], before["meta"])


def test_what_is_not_there_is_passed_over_where_it_is_dropped(store: Store) -> None:
    store.commit(commit_at(store, 0))
    before = content(store)
    missing = [0, 4, 99, 2**62]
    store.commit(Commit(dropped_blocks=[b"", hash_of(1)], dropped_nodes=missing))
    assert content(store) == before
    for _ in range(2):
        store.commit(Commit(dropped_blocks=[hash_of(0)] * 2, dropped_nodes=[2, 2, 1]))
    assert (list(store.hashes()), store.numbers(0, 9)) == ([], [3])


def test_a_number_that_was_dropped_is_not_used_again(store: Store, path: Path) -> None:
    store.commit(commit_at(store, 0))
    store.commit(Commit(dropped_nodes=[1, 2, 3]))
    assert store.next_number() == 4
    if isinstance(store, SqliteStore):
        store.close()
        store = SqliteStore(path)
    assert store.next_number() == 4
    store.commit(commit_at(store, 1))
    assert store.numbers(0, 9) == [4, 5, 6]
    store.close()


def test_numbers_are_those_that_there_are_ascending_and_no_more_than_were_asked_for(store: Store) -> None:
    assert store.numbers(0, 10) == []
    store.commit(Commit(nodes=[(number, b"node") for number in (1, 2, 4, 7, 8, 9, 1000)]))
    assert store.numbers(0, 10) == [1, 2, 4, 7, 8, 9, 1000]
    assert store.numbers(0, 3) == [1, 2, 4]
    assert store.numbers(2, 3) == [2, 4, 7]
    assert store.numbers(3, 1) == [4]
    assert store.numbers(10, 5) == [1000]
    assert store.numbers(1001, 5) == store.numbers(2**63, 5) == store.numbers(5, 0) == []
    store.commit(Commit(dropped_nodes=[4, 1000]))
    assert store.numbers(0, 10) == [1, 2, 7, 8, 9]


def test_one_commit_may_write_and_drop(store: Store) -> None:
    for number in range(3):
        store.commit(commit_at(store, number))
    commit = commit_at(store, 3)
    store.commit(
        Commit(
            head=commit.head,
            nodes=commit.nodes,
            blocks=commit.blocks,
            chain=[*commit.chain, (0, None)],
            meta={"last": b"3", "other": b"x"},
            dropped_blocks=[hash_of(0)],
            dropped_nodes=[1, 2, 3, 5],
        )
    )
    assert store.numbers(0, 99) == [4, 6, 7, 8, 9, 10, 11, 12]
    assert [number for number, _ in store.hashes()] == [1, 2, 3]
    assert (store.head(), store.meta("other")) == (hash_of(3), b"x")


# --- the end ---------------------------------------------------------------------------------------------------------


def test_to_close_twice_is_to_close_once(store: Store) -> None:
    store.commit(commit_at(store, 0))
    store.close()
    store.close()


USES = {
    "read_node": lambda store: store.read_node(1),
    "next_number": lambda store: store.next_number(),
    "head": lambda store: store.head(),
    "block": lambda store: store.block(hash_of(0)),
    "hash_at": lambda store: store.hash_at(0),
    "hashes": lambda store: list(store.hashes()),
    "meta": lambda store: store.meta("last"),
    "numbers": lambda store: store.numbers(0, 10),
    "commit": lambda store: store.commit(Commit(head=b"1")),
}


@pytest.mark.parametrize("use", USES)
def test_a_closed_store_says_so_to_every_use(store: Store, use: str) -> None:
    store.commit(commit_at(store, 0))
    store.close()
    with pytest.raises(StoreError, match="closed") as caught:
        USES[use](store)
    assert type(caught.value) is StoreError
    assert store.place in str(caught.value)


# --- on disk ---------------------------------------------------------------------------------------------------------


def test_what_was_committed_is_there_when_it_is_opened_again(path: Path) -> None:
    store = SqliteStore(path)
    for number in range(10):
        store.commit(commit_at(store, number))
    store.commit(Commit(head=hash_of(8), chain=[(9, None)]))
    before = content(store)
    store.close()
    for writer in (True, False, True):
        again = SqliteStore(path, writer=writer)
        assert content(again) == before
        again.close()


def test_a_closed_store_is_one_file_beside_its_lock(path: Path) -> None:
    store = SqliteStore(path)
    store.commit(commit_at(store, 0))
    store.close()
    assert sorted(file.name for file in path.parent.iterdir()) == ["state.db", "state.db-lock"]


def test_an_open_store_can_be_copied_with_its_log(path: Path, tmp_path: Path) -> None:
    store = SqliteStore(path)
    for number in range(5):
        store.commit(commit_at(store, number))
    copies = tmp_path / "copies"
    copies.mkdir()
    for suffix in ("", "-wal"):
        (copies / f"state.db{suffix}").write_bytes((path.parent / f"state.db{suffix}").read_bytes())
    copy = SqliteStore(copies / "state.db")
    assert content(copy) == content(store)
    copy.close()
    store.close()


def test_a_store_is_one_store_whatever_it_is_called(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(path)
    store = SqliteStore(link)
    store.commit(commit_at(store, 0))
    monkeypatch.chdir(tmp_path)
    for name in (path, link, "state.db", "./link.db", str(path.parent / "." / "state.db")):
        with pytest.raises(StoreBusy):
            SqliteStore(name)
    store.close()
    again = SqliteStore("state.db")
    assert again.head() == hash_of(0)
    again.close()


def test_strange_letters_in_a_path_are_letters(tmp_path: Path) -> None:
    for name in ("a b.db", "a?mode=memory", "a#b%20c.db", "файл.db", "file:x.db", ":memory:", "'a'.db"):
        path = tmp_path / name
        store = SqliteStore(path)
        store.commit(commit_at(store, 0))
        store.close()
        assert path.is_file()
        again = SqliteStore(path, writer=False)
        assert again.head() == hash_of(0)
        again.close()


def test_a_reader_beside_the_writer_sees_each_commit_and_cannot_make_one(path: Path) -> None:
    store = SqliteStore(path)
    store.commit(commit_at(store, 0))
    reader = SqliteStore(path, writer=False)
    other = SqliteStore(path, writer=False)
    for number in range(1, 20):
        store.commit(commit_at(store, number))
        assert content(reader) == content(other) == content(store)
    with pytest.raises(StoreError, match="cannot be written"):
        reader.commit(commit_at(reader, 20))
    assert content(reader) == content(store)
    reader.close()
    store.commit(commit_at(store, 20))
    assert content(other) == content(store)
    store.close()
    assert other.head() == hash_of(20)
    other.close()


def test_the_room_of_what_was_dropped_is_used_again(path: Path) -> None:
    store = SqliteStore(path)
    for number in range(10):
        first = store.next_number()
        store.commit(
            Commit(
                head=hash_of(number),
                nodes=[(first + i, os.urandom(3000)) for i in range(100)],
                blocks=[(number, hash_of(number), os.urandom(3000))],
            )
        )
    (pages,) = store._rows("PRAGMA page_count")[0]
    for number in range(10, 60):
        first = store.next_number()
        store.commit(
            Commit(
                head=hash_of(number),
                nodes=[(first + i, os.urandom(3000)) for i in range(100)],
                blocks=[(number, hash_of(number), os.urandom(3000))],
                dropped_nodes=range(first - 1000, first - 900),
                dropped_blocks=[hash_of(number - 10)],
            )
        )
        assert store._rows("PRAGMA page_count")[0][0] <= pages * 1.2 + 10
    store.close()


def test_a_store_that_nobody_made_is_not_made_by_a_reader(path: Path) -> None:
    with pytest.raises(StoreError, match="there is no store"):
        SqliteStore(path, writer=False)
    assert list(path.parent.iterdir()) == []


READER = """
import sys
from hashlib import sha256
from runtime.store import SqliteStore

store = SqliteStore(sys.argv[1], writer=False)
last = -1
while True:
    head = store.head()
    record = store.block(head)
    assert record is not None, "a head without its block"
    number = int(record.removeprefix(b"record "))
    assert number >= last, "an older head"
    assert store.hash_at(number) == head, "a head that is not on the chain"
    assert int(store.meta("last")) >= number, "a block without its meta"
    assert store.next_number() >= 4 + 3 * number, "a block without its nodes' numbers"
    for i in range(3):
        assert store.read_node(1 + 3 * number + i) == b"node %d of block %d" % (i, number), "a block without a node"
    if number != last:
        print(number, flush=True)
    last = number
"""


def test_readers_in_other_processes_see_whole_commits_only(path: Path) -> None:
    store = SqliteStore(path)
    store.commit(commit_at(store, 0))
    command = [sys.executable, "-c", READER, str(path)]
    readers = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    enough, seen = threading.Event(), [0, 0]

    def count(index: int) -> None:
        stream = readers[index].stdout
        assert stream is not None
        for _ in stream:
            seen[index] += 1
            if min(seen) >= 50:
                enough.set()
        enough.set()

    counters = [threading.Thread(target=count, args=(index,)) for index in range(2)]
    for counter in counters:
        counter.start()
    number = 0
    while not enough.is_set() and number < 100_000:
        number += 1
        store.commit(commit_at(store, number))
    alive = [reader.poll() is None for reader in readers]
    for reader in readers:
        reader.kill()
    for counter in counters:
        counter.join()
    told = [reader.communicate()[1] for reader in readers]
    store.close()
    assert alive == [True, True], told
    assert min(seen) >= 50
