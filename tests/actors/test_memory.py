"""A memory's layers: what is taken out of a small one, without folding it, is what is taken out of it when it is folded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from actors.cells import Blob
from actors.keys import encode_key
from actors.memory import Memory
from actors.values import ABSENT

if TYPE_CHECKING:
    import pytest

KEYS = [(), "a", ("a",), ("a", 1), ("a", 1, 2), ("a", 2), "ab", ("ab", 1), 1, (1, "a"), b"a", (b"a", 1)]
Writes = dict[Any, int | str | None]
some_writes = st.dictionaries(st.sampled_from(KEYS), st.none() | st.integers(0, 9) | st.just("x" * 300))


def filled(*layers: Writes) -> Memory:
    memory = Memory()
    for layer in layers:
        memory.take_snapshot()
        memory.write({encode_key(key): ABSENT if value is None else value for key, value in layer.items()})
    return memory


@given(some_writes, some_writes, st.sampled_from(KEYS))
def test_what_is_below_a_prefix_is_the_same_folded_or_not(kept: Writes, written: Writes, prefix: Any) -> None:
    memory, folded = filled(kept, written), filled(kept, written)
    below = memory.below(encode_key(prefix))
    expected = folded.fold().extract(encode_key(prefix))
    assert below == expected
    assert below.digest() == expected.digest()


def test_of_several_long_values_only_what_is_taken_out_is_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = filled({"long": "x" * 5_000, "other": "y" * 5_000})
    hashed: list[int] = []
    made = Blob.of

    def of(data: bytes) -> Blob:
        hashed.append(len(data))
        return made(data)

    monkeypatch.setattr("actors.cells.Blob.of", of)
    assert len(memory.below(encode_key("long"))) == 1
    assert len(hashed) == 1


def test_a_long_value_that_is_taken_out_beside_short_ones_is_the_heap_s_own() -> None:
    memory = filled({("long", 1): "x" * 5_000, "other": 2})
    ((_, cell),) = memory.below(encode_key("long")).entries()
    assert cell is memory.fold().cell(encode_key(("long", 1))), "it is hashed and stored once"
