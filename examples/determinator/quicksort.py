"""quicksort: recursive, side by side down to a depth, and from there on in one piece. The sort itself is written out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from actors import Process
from examples.determinator.workload import PARTS, Solver, Workload, in_parts

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from numpy.typing import NDArray

    from actors.process import Placement

#: How deep the tree of processes is: it has PARTS leaves.
DEPTH = PARTS.bit_length() - 1


def problem(size: int, seed: int) -> dict[str, Any]:
    return {"numbers": np.random.default_rng(seed).integers(0, 2**40, size)}


def quicksort(numbers: list[int]) -> list[int]:
    """Sort a list in place, by Hoare's partition, and return it."""
    stack = [(0, len(numbers) - 1)]
    while stack:
        low, high = stack.pop()
        while low < high:
            pivot = numbers[(low + high) // 2]
            left, right = low, high
            while left <= right:
                while numbers[left] < pivot:
                    left += 1
                while numbers[right] > pivot:
                    right -= 1
                if left <= right:
                    numbers[left], numbers[right] = numbers[right], numbers[left]
                    left += 1
                    right -= 1
            # The longer side is put off, so that the stack is short.
            if right - low < high - left:
                stack.append((left, high))
                high = right
            else:
                stack.append((low, right))
                low = left
    return numbers


def sort(numbers: NDArray[Any]) -> NDArray[Any]:
    return np.array(quicksort(numbers.tolist()), dtype=numbers.dtype)


def partition(numbers: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Cut the numbers in two about the median of a sample of them: those below it, and the rest."""
    sample = np.sort(numbers[:: max(len(numbers) // 255, 1)])
    below = numbers < sample[len(sample) // 2] if len(sample) else numbers < 0
    return numbers[below], numbers[~below]


def sequential(given: dict[str, Any]) -> list[NDArray[Any]]:
    return [sort(given["numbers"])]


def pooled(pool: Executor, given: dict[str, Any]) -> list[NDArray[Any]]:
    parts = [given["numbers"]]
    for _ in range(DEPTH):
        parts = [half for part in parts for half in partition(part)]
    return [part.result() for part in [pool.submit(sort, part) for part in parts]]


class Sort(Process):
    """Sorts its numbers: what it makes of them is in 2**depth pieces, in order."""

    async def run(self) -> None:
        numbers, depth = self.heap["numbers"], self.heap["depth"]
        if depth:
            await self.sort_halves(numbers, depth - 1)
        else:
            self.heap["sorted", 0] = sort(numbers)

    async def sort_halves(self, numbers: NDArray[Any], depth: int) -> None:
        # The inner nodes are short and have no use for a worker: it would run all that is below them, too.
        placement: Placement = "worker" if depth == 0 else "loop"
        for name, half in enumerate(partition(numbers)):
            values = {"numbers": half, "depth": depth}
            await self.put(name, values, program=Sort, start=True, placement=placement)
        for name in range(2):
            for piece in range(2**depth):
                self.heap["sorted", name * 2**depth + piece] = await self.get(name, ("sorted", piece))


class Quicksort(Solver):
    async def solve(self) -> None:
        await self.put("all", {"numbers": self.whole("numbers"), "depth": DEPTH}, program=Sort, start=True)
        for piece in range(PARTS):
            self.heap["result", piece] = await self.get("all", ("sorted", piece))
        await self.drop("all")


WORKLOAD = Workload("quicksort", "numbers", 400_000, 400, in_parts, PARTS, problem, sequential, pooled, Quicksort)
