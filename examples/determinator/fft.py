"""fft: the discrete Fourier transform of size x size points, as transforms of the rows of a square.

The points stand in rows: point size * a + b is in row a, column b.

    1  transform each column, and make it a row
    2  multiply what is in row b, column c by exp(-2πi b c / size²)
    3  transform each column, and make it a row: in row c, column d is now point c + size * d of the whole's transform

as SPLASH-2's program does (Bailey, "FFTs in external or hierarchical memory", 1990). A part transforms some columns in 1
and 2, or in 3. The transform is written out (Stockham's), for all that a part has at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from actors import Process, Region
from examples.determinator.workload import PARTS, Solver, Workload, spans

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor

    from numpy.typing import NDArray


def problem(size: int, seed: int) -> dict[str, Any]:
    numbers = np.random.default_rng(seed)
    return {"points": numbers.random((size, size)) + 1j * numbers.random((size, size))}


def power_of_two(size: int) -> int:
    return 1 << (max(size, PARTS) - 1).bit_length()


def transform(columns: NDArray[Any], first: int | None) -> NDArray[Any]:
    """Transform each column, of which there is a power of two of points; then multiply by the twiddle factors.

    Args:
        columns: those of a square, or some of them.
        first: the number of the first of them; None: no factors.

    Returns:
        The transforms, as rows.
    """
    size, count = columns.shape
    half, stride = size // 2, 1
    band: NDArray[Any] = np.ascontiguousarray(columns.T).reshape(count, size, 1)
    while half:
        even, odd = band[:, :half], band[:, half:]
        turn = np.exp(-1j * np.pi * np.arange(half) / half)[:, None]
        band = np.stack((even + odd, (even - odd) * turn), axis=2).reshape(count, half, 2 * stride)
        half, stride = half // 2, 2 * stride
    band = band.reshape(count, size)
    if first is None:
        return band
    factors: NDArray[Any] = np.exp(np.outer(np.arange(first, first + count), np.arange(size)) * (-2j * np.pi / size**2))
    twiddled: NDArray[Any] = band * factors
    return twiddled


def sequential(given: dict[str, Any]) -> list[NDArray[Any]]:
    return [transform(transform(given["points"], 0), None)]


def cut(rows: list[NDArray[Any]], twiddled: bool) -> Iterator[tuple[NDArray[Any], int | None]]:
    """Yield what the parts of a phase are given, of a square that is in blocks of its rows."""
    for low, high in spans(rows[0].shape[1]):
        yield np.concatenate([block[:, low:high] for block in rows]), low if twiddled else None


def pooled(pool: Executor, given: dict[str, Any]) -> list[NDArray[Any]]:
    rows = [given["points"]]
    for twiddled in (True, False):
        rows = [part.result() for part in [pool.submit(transform, *some) for some in cut(rows, twiddled)]]
    return rows


class Transform(Process):
    placement = "worker"

    async def run(self) -> None:
        self.heap["rows"] = transform(self.heap["columns"], self.heap["first"])


class Fft(Solver):
    async def solve(self) -> None:
        await self.start(list(self.heap.values(("problem", "points"))), twiddled=True)
        await self.start([await self.get(part, "rows") for part in range(PARTS)], twiddled=False)
        for part in range(PARTS):
            self.heap["result", part] = await self.get(part, Region("rows"))  # by reference
            await self.drop(part)

    async def start(self, rows: list[NDArray[Any]], *, twiddled: bool) -> None:
        for part, (columns, first) in enumerate(cut(rows, twiddled)):
            await self.put(part, {"columns": columns, "first": first}, program=Transform, start=True)


WORKLOAD = Workload("fft", "rows", 1_024, 16, power_of_two, 2 * PARTS, problem, sequential, pooled, Fft)
