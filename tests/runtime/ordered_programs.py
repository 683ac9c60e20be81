"""Transactions that are little programs themselves, and what they leave when they are done one after the other.

A transaction is (keys that it says it touches, or None; operations). `model` does them on a heap of its own, in order, with
none of what `transact` is made of.
"""

from __future__ import annotations

import time
from typing import Any

from actors import ABSENT, ChildFailed, Heap, Process, Region, Root, Transaction, append, maximum, union
from actors.memory import Memory

REDUCTIONS: dict[Any, Any] = {"max": maximum, Region("log"): append, "set": union}


class Refused(Exception):
    pass


def interpret(heap: Any, code: Any) -> Any:
    """Run a transaction's operations; return what they saw."""
    seen: list[Any] = []
    for operation, *operands in code:
        seen.append(OPERATIONS[operation](heap, *operands))
        if operation == "refuse":
            raise Refused
    return tuple(seen)


def set_(heap: Any, key: Any, value: Any) -> None:
    heap[key] = value


def copy(heap: Any, key: Any, other: Any) -> None:
    heap[key] = heap.get(other)


def follow(heap: Any, key: Any, value: Any) -> Any:
    """What is touched follows from what is there."""
    there = heap.get(key, 0)
    other = there % 5 if type(there) is int else 0
    heap[other] = value
    return other


def choose(heap: Any, key: Any, other: Any) -> None:
    if heap.get(key):
        heap[other] = 7


def spend(heap: Any, key: Any, amount: int) -> bool:
    if not heap.at_least(key, amount):
        raise Refused
    heap.add(key, -amount)
    return bool(heap.at_least(key, 1))


def some(heap: Any, region: Any, reverse: bool, count: int) -> Any:
    return tuple(pair for pair, _ in zip(heap.items(Region(*region), reverse=reverse), range(count), strict=False))


def take_first(heap: Any, region: Any) -> Any:
    found = heap.first(Region(*region), default=None)
    if found is not None:
        prefix = region[0] if region[0] != () else None
        part = found[0] if type(found[0]) is tuple else (found[0],)
        del heap[part if prefix is None else (prefix, *part)]
    return found


def later(heap: Any, key: Any, value: Any) -> Any:
    """An iteration shows what was there when it began."""
    found = heap.items(key)
    heap[key] = value
    return tuple(found)


OPERATIONS: dict[str, Any] = {
    "get": lambda heap, key: heap.get(key),
    "read": lambda heap, key: heap[key],
    "in": lambda heap, key: key in heap,
    "set": set_,
    "copy": copy,
    "follow": follow,
    "choose": choose,
    "del": lambda heap, key: heap.__delitem__(key),
    "pop": lambda heap, key: heap.pop(key, None),
    "default": lambda heap, key, value: heap.setdefault(key, value),
    "update": lambda heap, *pairs: heap.update(pairs),
    "add": lambda heap, key, number: heap.add(key, number),
    "least": lambda heap, key, number: heap.at_least(key, number),
    "spend": spend,
    "max": lambda heap, value: heap.reduce("max", value),
    "log": lambda heap, key, value: heap.reduce(("log", key), (value,)),
    "set in": lambda heap, value: heap.reduce("set", {value}),
    "sorted": lambda heap: tuple(sorted(heap.get("set", ()))),
    "none": lambda heap, key, value: heap.reduce(key, value),
    "some": some,
    "keys": lambda heap, region: tuple(heap.keys(Region(*region))),
    "last": lambda heap, region: heap.last(Region(*region)),
    "take first": take_first,
    "later": later,
    "count": lambda heap, region: heap.count(Region(*region)),
    "len": lambda heap: (len(heap), bool(heap)),
    "sum": lambda heap, key: sum(value for value in heap.region(key).values() if type(value) is int),
    "clear": lambda heap, region: heap.clear(Region(*region)),
    "refuse": lambda heap: None,
    "grow": lambda heap, key: heap.add(key, 1 << 8 * (1 << 20)),
}


class Scripted(Transaction):
    """Runs little programs."""

    reductions = REDUCTIONS

    def apply(self, heap: Any, transaction: Any) -> Any:
        return interpret(heap, transaction[1])

    def touches(self, transaction: Any) -> Any:
        return transaction[0]

    def adds_to(self, transaction: Any) -> Any:
        return (0, 1)


class Ordered(Root):
    """Does the block's transactions in its region; tells the results, and the heap."""

    async def run(self) -> Any:
        block = self.heap["block", "transactions"]
        groups, region = self.heap["block", "groups"], self.heap["block", "region"]
        self.heap["other"] = "is left alone"
        results = await self.transact(Scripted, block, groups=groups, region=region)
        return tuple(map(told, results)), tuple(self.heap.items(Region(region))), self.heap["other"] == "is left alone"


class Inside(Process):
    """A process that does transactions between two stops, so that it is restored in its middle."""

    async def run(self) -> None:
        while True:
            block = self.heap["transactions"]
            results = await self.transact(Scripted, block, region="state", groups=3)
            self.heap["results"] = tuple(map(told, results))
            await self.ret()


class Keeper(Root):
    """Has such a process over many blocks."""

    async def run(self) -> Any:
        await self.put("inside", {"transactions": self.heap["block"]}, program=self._program(), start=True)
        results = await self.get("inside", "results")
        return results, tuple((await self.get("inside", Region("state"))).items())

    def _program(self) -> Any:
        new = "begun" not in self.heap
        self.heap["begun"] = True
        return Inside if new else None


def told(result: Any) -> Any:
    """What a result is as a value."""
    return ("refused", result.error) if type(result).__name__ == "Refusal" else result


class ModelHeap(Heap):
    """A heap with what transactions have beside it, as plainly as can be."""

    __slots__ = ()

    def number(self, key: Any) -> int:
        value = self.get(key, 0)
        if type(value) is not int:
            raise TypeError
        return value

    def add(self, key: Any, number: int) -> None:
        self[key] = self.number(key) + number

    def at_least(self, key: Any, number: int) -> bool:
        return self.number(key) >= number

    def reduce(self, key: Any, value: Any) -> None:
        reducer = REDUCTIONS.get(key) or (append if type(key) is tuple and key[0] == "log" else None)
        if reducer is None:
            raise CallRefused
        made = Heap(Memory())
        made["value"] = value
        self[key] = reducer(ABSENT, self.get(key, ABSENT), made["value"])


class CallRefused(Exception):
    """Has the name of the one that it stands for."""


def model(heap: ModelHeap, transactions: Any) -> list[Any]:
    """Do transactions one after the other; return the results."""
    results: list[Any] = []
    for _, code in transactions:
        before = heap.machine_memory.copy()
        try:
            made = Heap(Memory())
            made["value"] = interpret(heap, code)
            results.append(made["value"])
        except Exception as error:
            heap.machine_memory.become(before)
            results.append(("refused", type(error).__name__))
    return results


def empty() -> ModelHeap:
    return ModelHeap(Memory())


class Costly(Transaction):
    """Each has its own way to come to an end."""

    def apply(self, heap: Any, transaction: Any) -> Any:
        what, key = transaction
        heap.add("runs", 1)
        if what == "charge":
            self.charge(key)
        elif what == "deep":
            self._deep(key)
        elif what == "clock":
            time.time()
        elif what == "long":
            heap[key] = "x" * 100_000
            return "y" * 100_000
        elif what == "view":
            heap[key] = heap.region("a")
        elif what == "random":
            self.random.random()
        elif what == "spoil":
            self.spoilt = True
        elif what == "spoilt":
            return hasattr(self, "spoilt"), self.heap is heap, self.path
        return what

    def _deep(self, depth: int) -> int:
        return self._deep(depth + 1) + 1

    def touches(self, transaction: Any) -> Any:
        return ()


class Trying(Root):
    """Does lists that may fail as a whole; what is left of the heap then is what was there before."""

    async def run(self) -> Any:
        block = self.heap["block"]
        told = []
        for number, (gas, transactions) in enumerate(block):
            self.heap["before"] = number
            try:
                results = await self.transact(Costly, transactions, gas=gas)
                told.append(tuple(map(told_briefly, results)))
            except ChildFailed as error:
                told.append((type(error).__name__, error.error, self.heap.get("runs", 0)))
        return tuple(told)


def told_briefly(result: Any) -> Any:
    result = told(result)
    return len(result) if type(result) is str and len(result) > 100 else result


class Metered(Process):
    """Does transactions on a meter of its own."""

    async def run(self) -> None:
        results = await self.transact(Scripted, self.heap["transactions"], region="state", gas=200_000)
        self.heap["results"] = tuple(map(told, results))


class Paying(Root):
    async def run(self) -> Any:
        await self.put("m", {"transactions": self.heap["block"]}, program=Metered, start=True, gas=10_000_000)
        results = await self.get("m", "results")
        return results, (await self.status("m")).gas
