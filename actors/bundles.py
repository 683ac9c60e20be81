"""Rows of small things as few values: how transactions, and what they did, travel between a process and its children.

In a heap every entry has its price, and here are thousands of rows. So rows are put together, as many as one encoding does
in one go; encoded values travel as they are, as bytes. One that is long stands in an entry of its own, as the value that
it is, and in the row stands its number.

    (name)              how many more pieces there are, and behind that the first rows
    (name, n)           the rows of piece n, from 1 on
    (name, "long", n)   long value n, from 0 on
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from actors.keys import encode_key
from actors.memory import form_of
from actors.values import decode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actors.memory import Memory

#: A piece has at most so many rows, and rows of so many elements.
ROWS_MAX: Final = 120
WEIGHT_MAX: Final = 2_000
#: An encoded value of more bytes is long.
LONG_BYTES: Final = 4_096


class Bundle:
    """Rows that are being put together.

    Args:
        name: under which key they will stand.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._pieces: list[tuple[Any, ...]] = []
        self._rows: list[Any] = []
        self._weight = 0
        self._longs: dict[Any, Any] = {}

    def value(self, data: bytes | None) -> bytes | int | None:
        """Return what stands in a row for an encoded value: itself, or the number of the entry that has it."""
        if data is None or len(data) <= LONG_BYTES:
            return data
        number = len(self._longs)
        self._longs[self._name, "long", number] = decode(data)
        return number

    def add(self, row: tuple[Any, ...], weight: int) -> None:
        """Add a row that has about so many elements."""
        if len(self._rows) == ROWS_MAX or (self._rows and self._weight + weight > WEIGHT_MAX):
            self._close()
        self._rows.append(row)
        self._weight += weight

    def _close(self) -> None:
        self._pieces.append(tuple(self._rows))
        self._rows = []
        self._weight = 0

    def entries(self) -> dict[Any, Any]:
        """Return what to put into a heap."""
        self._close()
        first, *more = self._pieces
        made = {self._name: (len(more), *first), **self._longs}
        made.update({(self._name, number): rows for number, rows in enumerate(more, 1)})
        return made


def read_rows(heap: Any, name: str) -> Iterator[Any]:
    """Yield the rows that stand in a heap."""
    more, *rows = heap[name]
    yield from rows
    for number in range(1, more + 1):
        yield from heap[name, number]


def read_value(memory: Memory, name: str, data: bytes | int | None) -> bytes | None:
    """Return the encoded value for which something stands in a row."""
    return form_of(memory.read(encode_key((name, "long", data)))) if type(data) is int else data  # type: ignore[return-value]
