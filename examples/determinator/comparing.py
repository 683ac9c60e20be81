"""Solving a problem in each of the three forms, and whether the results are equal."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any, Self

import numpy as np

import runtime
from examples.determinator import blackscholes, fft, lu, lu_scattered, matmul, md5, quicksort
from examples.determinator.workload import told

if TYPE_CHECKING:
    from types import TracebackType

    from examples.determinator.workload import Workload

WORKLOADS: dict[str, Workload] = {
    module.WORKLOAD.name: module.WORKLOAD for module in (md5, matmul, quicksort, blackscholes, fft, lu, lu_scattered)
}


class Machine:
    """A runtime that solves problems of one kind: `async with Machine(workload, workers) as machine`."""

    def __init__(self, workload: Workload, workers: int) -> None:
        self._runtime = runtime.Runtime(workload.program, workers=workers)

    async def __aenter__(self) -> Self:
        await self._runtime.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._runtime.__aexit__(kind, error, at)

    async def tell(self, problem: dict[str, Any]) -> None:
        """Put a problem into the root's heap."""
        for inputs in told(problem):
            await self._runtime.advance(inputs)

    async def solve(self) -> list[Any]:
        """Make the block that solves it; return the pieces of the result."""
        block = await self._runtime.advance({"solve": True})
        return list(self._runtime.state(block).heap.values("result"))


def pool_of(workers: int) -> ProcessPoolExecutor:
    """Return a bare pool: started as workers are, so that BLAS has one thread in it as well."""
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("forkserver"))


def flat(pieces: list[Any]) -> Any:
    """Return all items of the pieces of a result, in a row."""
    return np.concatenate([np.ravel(piece) for piece in pieces]) if pieces else np.array([])


def equal(one: list[Any], other: list[Any]) -> bool:
    """Tell whether two results are equal to the bit."""
    return bool(flat(one).tobytes() == flat(other).tobytes())


def near(one: list[Any], other: list[Any]) -> bool:
    """Tell whether two results are equal but for the rounding, which follows from how the work is cut."""
    return bool(np.allclose(flat(one), flat(other)))
