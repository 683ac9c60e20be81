"""blackscholes: the least price that each of many call options has while the share's price is shocked up and down.

The distribution function is approximated by a polynomial, as in PARSEC's program of that name (Abramowitz and Stegun,
Handbook of Mathematical Functions, 26.2.17), which prices all options again and again, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from actors import Process
from examples.determinator.workload import PARTS, Solver, Workload, bands, in_parts

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from numpy.typing import NDArray

SHOCKS = tuple(1 + percent / 100 for percent in range(-25, 26))


def problem(size: int, seed: int) -> dict[str, Any]:
    numbers = np.random.default_rng(seed)
    low = np.array([20.0, 20.0, 0.01, 0.1, 0.1])
    high = np.array([120.0, 120.0, 0.1, 0.6, 2.0])
    return {"options": low + (high - low) * numbers.random((size, 5))}


def normal(x: NDArray[Any]) -> NDArray[Any]:
    """Return the cumulative distribution function of the standard normal distribution."""
    t = 1 / (1 + 0.2316419 * np.abs(x))
    series = t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
    tail = np.exp(-0.5 * x * x) * 0.39894228040143270286 * series
    below: NDArray[Any] = np.where(x < 0, tail, 1 - tail)
    return below


def price(options: NDArray[Any]) -> NDArray[Any]:
    """Return the least price of each; a row is share, strike, interest, volatility, years."""
    share, strike, interest, volatility, years = np.ascontiguousarray(options.T)
    spread = volatility * np.sqrt(years)
    drift = np.log(share / strike) + (interest + 0.5 * volatility * volatility) * years
    discounted = strike * np.exp(-interest * years)
    least = np.full(len(share), np.inf)
    for shock in SHOCKS:
        d = (drift + np.log(shock)) / spread
        least = np.minimum(least, shock * share * normal(d) - discounted * normal(d - spread))
    return least


def sequential(given: dict[str, Any]) -> list[NDArray[Any]]:
    return [price(given["options"])]


def pooled(pool: Executor, given: dict[str, Any]) -> list[NDArray[Any]]:
    return [part.result() for part in [pool.submit(price, band) for band in bands(given["options"])]]


class Price(Process):
    placement = "worker"

    async def run(self) -> None:
        self.heap["result"] = price(self.heap["item"])


class BlackScholes(Solver):
    async def solve(self) -> None:
        part = 0
        async for prices in self.map(Price, bands(self.whole("options"))):
            self.heap["result", part] = prices
            part += 1


WORKLOAD = Workload("blackscholes", "options", 200_000, 160, in_parts, PARTS, problem, sequential, pooled, BlackScholes)
