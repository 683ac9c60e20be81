"""Long values in a store: checked when they are fetched, and those used last at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from actors.cells import Blob, damage
from actors.errors import StoreDamaged
from actors.recent import Recent
from actors.tree import EMPTY
from runtime.persist import number_nodes

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def little_at_hand(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("actors.cells.recent", Recent(10_000))
    yield
    damage.found.clear()


class Shelf:
    """A store that counts what is fetched."""

    def __init__(self) -> None:
        self.records: dict[int, bytes] = {}
        self.fetched: list[int] = []

    def read_node(self, number: int) -> bytes:
        self.fetched.append(number)
        return self.records[number]


def stored(shelf: Shelf, number: int, data: bytes) -> Blob:
    shelf.records[number] = data
    return Blob.stored(Blob.of(data)[:32], number, shelf)


def test_those_used_last_are_kept_up_to_so_many_bytes() -> None:
    kept: Recent[bytes, bytes] = Recent(10)
    for name in (b"a", b"b", b"c"):
        kept.put(name, name * 3, 3)
    assert kept.get(b"a") == b"aaa"
    kept.put(b"d", b"dd", 2)  # 11 bytes: one has to go
    assert [kept.get(name) for name in (b"a", b"b", b"c", b"d")] == [b"aaa", None, b"ccc", b"dd"]
    kept.put(b"a", b"aaa", 3)
    kept.put(b"e", b"ee", 2)  # 10: what was there already did not count twice
    assert [kept.get(name) for name in (b"a", b"c", b"d", b"e")] == [b"aaa", b"ccc", b"dd", b"ee"]
    kept.put(b"f", bytes(11), 11)
    assert [kept.get(name) for name in (b"a", b"c", b"d", b"e", b"f")] == [b"aaa", b"ccc", b"dd", b"ee", None]


def test_a_long_value_is_fetched_once_whoever_reads_it() -> None:
    shelf = Shelf()
    data = bytes(5_000)
    assert [stored(shelf, number, data).load() for number in (1, 1, 2)] == [data] * 3
    assert shelf.fetched == [1]


def test_what_was_just_committed_is_not_fetched() -> None:
    shelf = Shelf()
    tree = EMPTY.update([(b"k", b"v" * 5_000)])
    tree.digest()
    shelf.records = dict(number_nodes(tree, 1, shelf))
    assert tree.get(b"k") == b"v" * 5_000
    assert shelf.fetched == []


def test_what_does_not_have_its_digest_is_refused_and_is_not_at_hand_afterwards() -> None:
    shelf = Shelf()
    blob = stored(shelf, 1, bytes(5_000))
    shelf.records[1] = bytes(4_999) + b"x"
    for _ in range(2):
        with pytest.raises(StoreDamaged, match="node 1"):
            blob.load()
    assert shelf.fetched == [1, 1]
    shelf.records[1] = bytes(5_000)
    assert blob.load() == bytes(5_000)
