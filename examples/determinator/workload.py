"""What the seven have in common: a problem, three forms of solving it, and a root that is told the problem in blocks.

A problem is a few arrays and numbers by name. In a heap an array stands in PARTS bands of its rows: so it may be larger than
a value may be, and a part of the work is given its band by reference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from actors import Root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor

    from numpy.typing import NDArray

#: Into how many parts the work is cut, whoever does it.
PARTS = 8
#: How many bytes of arrays are put into one block; an input may have 16 MiB.
_BLOCK_BYTES = 1 << 23


class Workload(NamedTuple):
    """One of the seven."""

    name: str
    #: What its size counts.
    unit: str
    #: A size at which each part takes tens of milliseconds, and one at which it takes tens of microseconds.
    coarse: int
    fine: int
    #: Of which number its sizes are multiples.
    step: int
    #: How many pieces of work are done side by side, one after the other, all together.
    tasks: int
    #: Makes the problem of (size, seed).
    problem: Callable[[int, int], dict[str, Any]]
    #: The pieces of the result, in order: arrays or numbers. All but the first cut the work, and give equal ones.
    sequential: Callable[[dict[str, Any]], list[Any]]
    pooled: Callable[[Executor, dict[str, Any]], list[Any]]
    program: type[Solver]


class Solver(Root):
    """A root that is told a problem in some blocks, and solves it in another: its result is in the region "result"."""

    async def run(self) -> None:
        if self.heap.get(("block", "solve")):
            await self.solve()
            return
        for name, part in self.heap.keys("block"):
            self.heap["problem", name, part] = self.heap.region(("block", name, part))

    async def solve(self) -> None:
        """Solve the problem."""
        raise NotImplementedError

    def given(self, name: str) -> Any:
        """Return a number of the problem."""
        return self.heap["problem", name, 0]

    def whole(self, name: str) -> NDArray[Any]:
        """Return an array of the problem."""
        return np.concatenate(list(self.heap.values(("problem", name))))


def spans(size: int) -> list[tuple[int, int]]:
    """Return PARTS spans, of which some may be empty, that are 0 to `size` together."""
    return [(size * part // PARTS, size * (part + 1) // PARTS) for part in range(PARTS)]


def bands(array: NDArray[Any]) -> list[NDArray[Any]]:
    """Return an array in PARTS bands of its rows."""
    return [array[low:high] for low, high in spans(len(array))]


def told(problem: dict[str, Any]) -> Iterator[dict[Any, Any]]:
    """Yield the inputs of blocks by which a `Solver` is told a problem."""
    block: dict[Any, Any] = {}
    size = 0
    for name, value in problem.items():
        for part, piece in enumerate(bands(value) if isinstance(value, np.ndarray) else [value]):
            if size > _BLOCK_BYTES:
                yield block
                block, size = {}, 0
            block[name, part] = piece
            size += getattr(piece, "nbytes", 0)
    yield block
