"""fft: the discrete Fourier transform of size x size points, as transforms of the rows of a square.

The points stand in rows: point size * a + b is in row a, column b.

    1  turn the square over, and transform each row
    2  multiply what is in row b, column c by exp(-2πi b c / size²)
    3  turn it over, and transform each row: in row c, column d is now point c + size * d of the whole's transform

as SPLASH-2's program does (Bailey, "FFTs in external or hierarchical memory", 1990). A part transforms a band of rows in 1
and 2, or in 3. The transform of a row is written out (Stockham's), for all rows of a band at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from actors import Process
from examples.determinator.workload import PARTS, Solver, Workload, spans

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from numpy.typing import NDArray


def problem(size: int, seed: int) -> dict[str, Any]:
    numbers = np.random.default_rng(seed)
    return {"points": numbers.random((size, size)) + 1j * numbers.random((size, size))}


def power_of_two(size: int) -> int:
    return 1 << (max(size, PARTS) - 1).bit_length()


def transform(band: NDArray[Any], first: int | None) -> NDArray[Any]:
    """Transform each row, of which there is a power of two of points; then multiply by the twiddle factors.

    Args:
        band: the rows.
        first: the number of the first of them; None: no factors.
    """
    count, size = band.shape
    half, stride = size // 2, 1
    band = band.reshape(count, size, 1)
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
    return [transform(transform(given["points"].T, 0).T, None)]


def cut(square: NDArray[Any], twiddled: bool) -> list[tuple[NDArray[Any], int | None]]:
    """Return what the parts of a phase are given."""
    return [(square[low:high], low if twiddled else None) for low, high in spans(len(square))]


def pooled(pool: Executor, given: dict[str, Any]) -> list[NDArray[Any]]:
    turned = given["points"].T
    middle = [part.result() for part in [pool.submit(transform, *given) for given in cut(turned, True)]]
    turned = np.concatenate(middle).T
    return [part.result() for part in [pool.submit(transform, *given) for given in cut(turned, False)]]


class Transform(Process):
    placement = "worker"

    async def run(self) -> None:
        self.heap["band"] = transform(self.heap["band"], self.heap["first"])


class Fft(Solver):
    async def solve(self) -> None:
        turned = self.whole("points").T
        turned = np.concatenate(await self.transformed(cut(turned, True))).T
        for part, band in enumerate(await self.transformed(cut(turned, False))):
            self.heap["result", part] = band
            await self.drop(part)

    async def transformed(self, bands: list[tuple[NDArray[Any], int | None]]) -> list[NDArray[Any]]:
        for part, (band, first) in enumerate(bands):
            await self.put(part, {"band": band, "first": first}, program=Transform, start=True)
        return [await self.get(part, "band") for part in range(PARTS)]


WORKLOAD = Workload("fft", "rows", 1_024, 16, power_of_two, 2 * PARTS, problem, sequential, pooled, Fft)
