"""What the seven have in common: a problem, three forms of solving it, and a root that is told the problem in blocks.

A problem is a few arrays and numbers by name. An array that is more than a value may be stands in a heap in blocks of its
rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from actors import Root
from actors.arrays import rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Executor

    from numpy.typing import NDArray

#: Into how many parts the work is cut, whoever does it.
PARTS = 8
#: How many bytes of an array are put into one block of the chain; an input may have 16 MiB.
_INPUT_BYTES = 1 << 23


class Workload(NamedTuple):
    """One of the seven."""

    name: str
    #: What its size counts.
    unit: str
    #: A size at which each part takes tens of milliseconds, and one at which it takes tens of microseconds.
    coarse: int
    fine: int
    #: Makes a size of any number: the next one that there is.
    fit: Callable[[int], int]
    #: How many pieces of work are done side by side, one after the other, all together.
    tasks: int
    #: Makes the problem of (size, seed).
    problem: Callable[[int, int], dict[str, Any]]
    #: The pieces of the result, in order: arrays or numbers. All but the first cut the work, and give equal ones.
    sequential: Callable[[dict[str, Any]], list[Any]]
    pooled: Callable[[Executor, dict[str, Any]], list[Any]]
    program: type[Solver]


class Solver(Root):
    """A root that is told a problem in some blocks (`told`), and solves it in another: its result is in the region "result"."""

    async def run(self) -> None:
        if self.heap.get(("block", "solve")):
            await self.solve()
            return
        if self.heap.get(("block", "anew")):
            self.heap.clear("problem")
            self.heap.clear("result")
            return
        for name, at in self.heap.keys("block"):
            self.heap["problem", name, at] = self.heap.region(("block", name, at))

    async def solve(self) -> None:
        """Solve the problem."""
        raise NotImplementedError

    def given(self, name: str) -> Any:
        """Return a number of the problem."""
        return self.heap["problem", name, 0]

    def whole(self, name: str) -> NDArray[Any]:
        """Return an array of the problem."""
        return together(self.heap.values(("problem", name)))


def in_parts(size: int) -> int:
    """Return the next multiple of PARTS."""
    return -(-size // PARTS) * PARTS


def spans(size: int) -> list[tuple[int, int]]:
    """Return PARTS spans, of which some may be empty, that are 0 to `size` together."""
    return [(size * part // PARTS, size * (part + 1) // PARTS) for part in range(PARTS)]


def bands(array: NDArray[Any]) -> list[NDArray[Any]]:
    """Return an array in PARTS bands of its rows."""
    return [array[low:high] for low, high in spans(len(array))]


def together(blocks: Iterable[NDArray[Any]]) -> NDArray[Any]:
    """Return an array of its blocks of rows."""
    several = list(blocks)
    return several[0] if len(several) == 1 else np.concatenate(several)


def told(problem: dict[str, Any]) -> Iterator[dict[Any, Any]]:
    """Yield the inputs of blocks by which a `Solver` is told a problem."""
    yield {"anew": True}
    yield {(name, 0): value for name, value in problem.items() if not isinstance(value, np.ndarray)}
    for name, value in problem.items():
        if isinstance(value, np.ndarray):
            for at, block in rows(value, max(_INPUT_BYTES * len(value) // max(value.nbytes, 1), 1)):
                yield {(name, at): block}
