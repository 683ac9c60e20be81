"""lu_scattered: as `lu`, but the matrix is kept in bands of its rows, in which a block lies scattered.

What is behind the pivot, a band of rows here, is brought up to date as one piece of the rows that shrinks from step to
step; what is cut off it on the left is at its end, and is kept by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from examples.determinator.elimination import OWNERS, Elimination, Owner, in_order, in_pool
from examples.determinator.lu import behind_lower, behind_upper, factor, problem
from examples.determinator.workload import PARTS, Workload, in_parts

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
    return in_order(in_bands(given["a"]), bring)


def pooled(pool: Executor, given: dict[str, Any]) -> list[Array]:
    return in_pool(pool, in_bands(given["a"]), bring)


class Bands(Owner):
    bring = staticmethod(bring)


class LuScattered(Elimination):
    cut = staticmethod(in_bands)
    owner = Bands


WORKLOAD = Workload(
    "lu_scattered", "rows", 2_048, 32, in_parts, OWNERS * (PARTS - 1), problem, sequential, pooled, LuScattered
)
