"""A program with values and keys of every kind, and a process that reads all of its store and makes a few more blocks.

    python portable.py PATH LAST     read every block of a store, verify it, and make blocks up to number LAST

It prints a line for each block, the new ones too: its number and hash, the state root made anew from the entries alone,
and a digest of all that can be read of it. `test_portability.py` compares these between interpreters.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import runtime
from actors import ChildFailed, Process, Root, add, codec, freeze
from actors.cells import from_cell
from actors.keys import encode_key
from actors.tree import EMPTY
from actors.values import decode, encode

if TYPE_CHECKING:
    from runtime import ProcessView

NAMES = [f"name {n}" for n in range(40)]


@codec(name="portable.Point")
@dataclasses.dataclass(frozen=True)
class Point:
    x: Any
    y: Any


def value(n: int) -> Any:
    """Return the value of a number: each kind of value comes again and again, never quite the same."""
    scalars: list[Any] = [None, n % 2 == 0, n, -n, n**40, -(n**60), n / 7, math.inf, -0.0, math.nan, 1e-310]
    texts: list[Any] = [f"é{n}\U0001f600", "x" * (250 + n % 20), b"\0\1" * (n % 200), "", b"", f"{n}\0"]
    some = NAMES[n % 7 :: 1 + n % 5]
    made: list[Any] = [
        *scalars,
        *texts,
        tuple(scalars),
        [texts, [n]],
        dict.fromkeys(some, n),
        {(name, n): {name: (n,)} for name in some},
        set(some),
        {freeze({name, n, float(n) + 0.5}) for name in some},
        {1: "int", "1": "str", b"1": "bytes", (1,): "tuple", None: "none", 1.5: "float"},
        {freeze({name: {n}}) for name in some},
        Point(n, freeze(dict.fromkeys(some, some))),
        {"deep": [{"deeper": (set(some), Point(freeze({n}), None))}]},
    ]
    return made[n % len(made)]


def key(n: int) -> Any:
    """Return the key of a number, of every kind as well."""
    kinds: list[Any] = [
        n,
        -n,
        n**9,
        -(n**11),
        f"k{n}",
        f"é\0{n}",
        b"\0" * (n % 5),
        (n, "a"),
        ("a", (-1) ** n, b"\1"),
        (),
    ]
    return kinds[n % len(kinds)]


class Sorter(Process):
    """Works on a region of its parent's."""

    async def run(self) -> None:
        self.heap["names"] = sorted({one for one in self.heap.values("all") if isinstance(one, str)})
        self.heap["count"] = self.heap.count("all")
        self.heap["total", "runs"] = self.heap.get(("total", "runs"), 0) + 1


class Talker(Process):
    """Stands in the middle of `run` between blocks."""

    async def run(self) -> None:
        for turn in range(3):
            self.heap["turn"] = turn
            self.heap["put"] = [(change.key, change.new) for change in await self.ret()]


class Shaky(Process):
    async def run(self) -> None:
        self.heap["half"] = "written"
        if self.heap["n"] % 3 == 1:
            raise ValueError("the text of this goes nowhere")


class Keeper(Root):
    async def run(self) -> Any:
        n = self.heap["block", "n"]
        for i in range(30):
            self.heap["values", n % 3, i] = value(30 * n + i)
        for i in range(n % 4, 30, 4):
            self.heap.pop(("values", (n + 1) % 3, i), None)
        for i in range(10):
            self.heap[("seen", *(one if isinstance(one := key(10 * n + i), tuple) else (one,)))] = i
        if n % 4 == 2:
            self.heap["old"] = self.heap.region("values")
        if n % 4 == 3:
            self.heap.clear("old", (n % 3, 10), (n % 3, 20))
        for name in (n % 3, "sorter"):
            await self.put(name, {"all": self.heap.region(("values", n % 3))}, program=Sorter, start=True)
        await self.merge("sorter", region="total", resolve={"total": add})
        if n % 5 == 4:
            await self.drop(n % 3)
        await self.put("talker", {"told": value(n)}, program=Talker if n == 1 else None, start=True)
        await self.put("shaky", {"n": n}, program=Shaky, start=True, gas=1000)
        try:
            await self.get("shaky", "half")
        except ChildFailed as error:
            self.heap["failures", n] = error.error
        await self.put("late", {"all": self.heap.region("seen")}, program=Sorter, start=True)
        return {"n": n, "names": set(NAMES[: n % 9]), "point": Point(n, value(n))}


def orders() -> list[Any]:
    """Return what follows the hash seed, and must not show."""
    return [list(freeze(set(NAMES))), list(freeze(dict.fromkeys(NAMES, 1))), list(set(NAMES))]


def told(view: ProcessView) -> tuple[bytes, bytes]:
    """Read everything of a state: return its root, made anew of its entries, and a digest of what was read."""
    entries: dict[bytes, bytes] = {}
    for form, cell in view._state.entries():
        data = from_cell(cell)
        assert encode(decode(data)) == data
        entries[form] = data
    read = sha256()
    for process in view.walk():
        listed = {encode_key(one): encode(freeze(held)) for one, held in process.heap.items()}
        assert EMPTY.update(reversed(listed.items())).digest() == process.heap.digest()
        assert [encode_key(one) for one in reversed(process.heap)] == sorted(listed, reverse=True)
        read.update(repr((process.path, process.status(), sorted(listed.items()))).encode())
    return EMPTY.update(entries.items()).digest(), read.digest()


def say(rt: runtime.Runtime, block: runtime.Block) -> None:
    root, read = told(rt.state(block))
    assert root == block.state_root == rt.state(block).digest()
    print(block.number, block.hash.hex(), root.hex(), read.hex(), sha256(encode(block.data)).hexdigest())


async def main(path: str, last: int) -> None:
    async with runtime.Runtime(Keeper, path, genesis={key(n): value(n) for n in range(1000, 1040)}) as rt:
        await rt.verify()
        for block in rt.blocks():
            say(rt, block)
        for n in range(rt.head.number + 1, last + 1):
            say(rt, await rt.advance({"n": n, "names": set(NAMES), "value": value(n)}))


if __name__ == "__main__":
    runtime.run(main(sys.argv[1], int(sys.argv[2])))
