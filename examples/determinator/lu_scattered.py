"""lu_scattered: as `lu`, but the matrix is kept in bands of its rows, in which a block lies scattered.

What is behind the pivot, a band of rows here, is brought up to date as one piece of the rows that shrinks from step to
step; what is cut off it on the left is at its end, and is kept by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from actors import Process, Region
from examples.determinator.lu import OWNERS, behind_lower, behind_upper, factor, owned, problem
from examples.determinator.workload import PARTS, Solver, Workload, in_parts

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from numpy.typing import NDArray

    Array = NDArray[Any]


def in_bands(a: Array) -> list[Array]:
    """Return the bands of a matrix; the first is finished."""
    bands = np.split(a, PARTS)
    return [finish(bands[0]), *bands[1:]]


def finish(band: Array) -> Array:
    """Return a pivot: a band from the diagonal to the right that is up to date."""
    width = len(band)
    factors = factor(band[:, :width])
    return np.hstack((factors, behind_lower(factors, band[:, width:]))) if band.shape[1] > width else factors


def bring(step: int, pivot: Array, bands: dict[int, Array]) -> dict[int, tuple[Array, Array]]:
    """Bring bands up to date with the pivot of a step, and finish the next one if it is among them.

    Args:
        step: the number of the pivot.
        pivot: it, from the diagonal to the right.
        bands: the others, from the same column to the right, by their number.

    Returns:
        Of each, the block that is at its end, and what is to the right of it.
    """
    width = len(pivot)
    done = {}
    for number, band in bands.items():
        left = behind_upper(pivot[:, :width], band[:, :width])
        rest = band[:, width:] - left @ pivot[:, width:]
        done[number] = left, finish(rest) if number == step + 1 else rest
    return done


def sequential(given: dict[str, Any]) -> list[Array]:
    rests = in_bands(given["a"])
    bands: list[list[Array]] = [[] for _ in range(PARTS)]
    for step in range(PARTS - 1):
        for number, (left, rest) in bring(step, rests[step], dict(enumerate(rests[step + 1 :], step + 1))).items():
            bands[number].append(left)
            rests[number] = rest
    return [block for band, rest in zip(bands, rests, strict=True) for block in (*band, rest)]


def pooled(pool: Executor, given: dict[str, Any]) -> list[Array]:
    rests = in_bands(given["a"])
    bands: list[list[Array]] = [[] for _ in range(PARTS)]
    for step in range(PARTS - 1):
        behind = [{number: rests[number] for number in owned(owner, step)} for owner in range(OWNERS)]
        for part in [pool.submit(bring, step, rests[step], some) for some in behind if some]:
            for number, (left, rest) in part.result().items():
                bands[number].append(left)
                rests[number] = rest
    return [block for band, rest in zip(bands, rests, strict=True) for block in (*band, rest)]


class Bands(Process):
    placement = "worker"

    async def run(self) -> None:
        heap, step = self.heap, self.heap["step"]
        bands = {number: heap["rest", number] for number in owned(heap["owner"], step)}
        for number, (left, rest) in bring(step, heap["pivot"], bands).items():
            heap["done", number, step] = left
            heap["rest", number] = rest


class LuScattered(Solver):
    async def solve(self) -> None:
        bands = in_bands(self.whole("a"))
        for owner in range(OWNERS):
            rests = {("rest", number): bands[number] for number in owned(owner, 0)}
            await self.put(owner, {"owner": owner, **rests}, program=Bands)
        self.heap["result", 0] = pivot = bands[0]
        for step in range(PARTS - 1):
            for owner in range(OWNERS):
                if owned(owner, step):
                    await self.put(owner, {"step": step, "pivot": pivot}, start=True)
            pivot = await self.get((step + 1) % OWNERS, ("rest", step + 1))
        for number in range(1, PARTS):
            self.heap["result", number] = await self.get(number % OWNERS, Region(("done", number)))
            self.heap["result", number, number] = await self.get(number % OWNERS, ("rest", number))
        for owner in range(OWNERS):
            await self.drop(owner)


WORKLOAD = Workload(
    "lu_scattered", "rows", 2_048, 32, in_parts, OWNERS * (PARTS - 1), problem, sequential, pooled, LuScattered
)
