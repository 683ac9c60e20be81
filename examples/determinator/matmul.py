"""matmul: the product of two square matrices of ints, as in the paper. Each part makes a band of its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from actors import Process, Region
from examples.determinator.workload import PARTS, Solver, Workload, bands, in_parts, together

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from numpy.typing import NDArray


def problem(size: int, seed: int) -> dict[str, Any]:
    numbers = np.random.default_rng(seed)
    return {"a": numbers.integers(-99, 99, (size, size)), "b": numbers.integers(-99, 99, (size, size))}


def multiply(band: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    product: NDArray[Any] = band @ b
    return product


def sequential(given: dict[str, Any]) -> list[NDArray[Any]]:
    return [multiply(given["a"], given["b"])]


def pooled(pool: Executor, given: dict[str, Any]) -> list[NDArray[Any]]:
    return [part.result() for part in [pool.submit(multiply, band, given["b"]) for band in bands(given["a"])]]


class Multiply(Process):
    placement = "worker"

    async def run(self) -> None:
        self.heap["c"] = multiply(self.heap["band"], together(self.heap.values("b")))


class Matmul(Solver):
    async def solve(self) -> None:
        b = self.heap.region(("problem", "b"))  # by reference: a worker that has it is not sent it again
        for part, band in enumerate(bands(self.whole("a"))):
            await self.put(part, {"band": band, "b": b}, program=Multiply, start=True)
        for part in range(PARTS):
            self.heap["result", part] = await self.get(part, Region("c"))
            await self.drop(part)


WORKLOAD = Workload("matmul", "rows", 512, 32, in_parts, PARTS, problem, sequential, pooled, Matmul)
