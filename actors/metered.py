"""The heap of a metered process: the same heap, every use of which is charged to the process's meter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actors.cells import from_cell
from actors.errors import MissingKey
from actors.gas import MOUNT, READ, READ_BYTES, STEP, WRITE, read_cost, write_cost
from actors.heap import Heap
from actors.keys import encode_key, read_key, show_key
from actors.memory import value_of
from actors.region import Region
from actors.values import ABSENT, decode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from actors.changes import Changes
    from actors.keys import Key, Path
    from actors.memory import Memory, Slot
    from actors.merge import Resolve
    from actors.meter import Meter
    from actors.region import View
    from actors.tree import Tree


class MeteredHeap(Heap):
    """A process's heap, and the meter that pays for it.

    Args:
        memory: the memory behind it.
        path: the path of the process.
        meter: the process's.
    """

    __slots__ = ("_machine_meter",)

    def __init__(self, memory: Memory, path: Path, meter: Meter) -> None:
        super().__init__(memory, path)
        self._machine_meter = meter

    def __getitem__(self, key: Key) -> Any:
        slot = self._read(key)
        if slot is ABSENT:
            raise MissingKey(self._place(), show_key(key))
        return value_of(slot)

    def get(self, key: Key, default: Any = None) -> Any:
        slot = self._read(key)
        return default if slot is ABSENT else value_of(slot)

    def __contains__(self, key: Key) -> bool:
        return self._read(key) is not ABSENT

    def __setitem__(self, key: Key, value: Any) -> None:
        super().__setitem__(key, value)
        self._charge_write(key)

    def __delitem__(self, key: Key) -> None:
        self._machine_meter.charge(WRITE)
        super().__delitem__(key)

    def clear(self, region: Region | Key = (), low: Key | None = None, high: Key | None = None) -> None:
        self._machine_meter.charge(MOUNT)
        super().clear(region, low, high)

    def update(self, values: Mapping[Key, Any] | Iterable[tuple[Key, Any]] = (), /, **more: Any) -> None:
        pairs = dict(values, **more)
        super().update(pairs)
        for key in pairs:
            self._charge_write(key)

    def write(self, slots: dict[bytes, Slot]) -> None:
        super().write(slots)
        self._machine_meter.charge(sum([write_cost(form, slot) for form, slot in slots.items()]))

    def merge(self, changes: Changes, resolve: Resolve | None = None) -> dict[bytes, Slot]:
        self._machine_meter.charge(MOUNT + STEP * len(changes))
        return super().merge(changes, resolve)

    def count(self, region: Region | Key = (), low: Key | None = None, high: Key | None = None) -> int:
        self._machine_meter.charge(MOUNT)
        return super().count(region, low, high)

    def region(self, prefix: Region | Key = (), low: Key | None = None, high: Key | None = None) -> View:
        self._machine_meter.charge(MOUNT)
        return super().region(prefix, low, high)

    def _tree(self) -> Tree:
        self._machine_meter.charge(READ)
        return super()._tree()

    def _whole(self) -> View:
        # Whether it was folded depends on the machine; what it costs does not.
        self._machine_meter.charge(READ)
        return super()._whole()

    def values(
        self, region: Region | Key = (), low: Key | None = None, high: Key | None = None, *, reverse: bool = False
    ) -> Iterator[Any]:
        return (value for _, value in self.items(region, low, high, reverse=reverse))

    def items(
        self, region: Region | Key = (), low: Key | None = None, high: Key | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[Any, Any]]:
        return self._each(self._runs(Region.of(region, low, high), reverse))

    def _each(self, found: Iterator[tuple[list[bytes], list[bytes]]]) -> Iterator[tuple[Any, Any]]:
        for keys, cells in found:
            for key, cell in zip(keys, cells, strict=True):
                data = from_cell(cell)
                self._machine_meter.charge(len(data) // READ_BYTES)
                yield read_key(key), decode(data)

    def _runs(self, region: Region, reverse: bool) -> Iterator[tuple[list[bytes], list[bytes]]]:
        return self._charged(super()._runs(region, reverse))

    def _charged(self, found: Iterator[tuple[list[bytes], list[bytes]]]) -> Iterator[tuple[list[bytes], list[bytes]]]:
        for keys, cells in found:
            self._machine_meter.charge(READ + STEP * len(keys) + sum(map(len, keys)) // READ_BYTES)
            yield keys, cells

    def _end(self, region: Region, reverse: bool, default: Any) -> Any:
        self._machine_meter.charge(MOUNT)
        return super()._end(region, reverse, default)

    def _read(self, key: Key) -> Slot:
        slot = self._machine_memory.read(encode_key(key))
        self._machine_meter.charge(read_cost(slot))
        return slot

    def _charge_write(self, key: Key) -> None:
        form = encode_key(key)
        self._machine_meter.charge(write_cost(form, self._machine_memory.read(form)))
