"""lu: a matrix as the product of a lower and an upper triangular one, without pivoting, in blocks that are values.

A matrix of PARTS x PARTS blocks is done in as many steps, a column of blocks each (see `elimination`).

(SPLASH-2 has both: Woo and others, "The SPLASH-2 Programs", 1995.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from examples.determinator.elimination import OWNERS, Elimination, Owner, in_order, in_pool
from examples.determinator.workload import PARTS, Workload, in_parts

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from numpy.typing import NDArray

    Array = NDArray[Any]


def problem(size: int, seed: int) -> dict[str, Any]:
    # What is heavy on its diagonal needs no pivoting.
    return {"a": np.random.default_rng(seed).random((size, size)) + size * np.eye(size)}


def factor(block: Array) -> Array:
    """Return both factors of a block in one."""
    block = block.copy()
    for at in range(len(block) - 1):
        block[at + 1 :, at] /= block[at, at]
        block[at + 1 :, at + 1 :] -= np.outer(block[at + 1 :, at], block[at, at + 1 :])
    return block


def behind_upper(factors: Array, block: Array) -> Array:
    """Return the block of the lower matrix that stands below a block with these factors."""
    return np.linalg.solve(np.triu(factors).T, block.T).T


def behind_lower(factors: Array, block: Array) -> Array:
    """Return the blocks of the upper matrix that stand to the right of a block with these factors."""
    return np.linalg.solve(np.tril(factors, -1) + np.eye(len(factors)), block)


def in_columns(a: Array) -> list[Array]:
    """Return the columns of a matrix, each as a stack of its blocks; the first is finished."""
    columns = [np.stack(np.split(column, PARTS)) for column in np.split(a, PARTS, axis=1)]
    return [finish(columns[0]), *columns[1:]]


def finish(column: Array) -> Array:
    """Return a pivot: a column from the diagonal down that is up to date."""
    factors = factor(column[0])
    return np.stack([factors, *[behind_upper(factors, block) for block in column[1:]]])


def bring(step: int, pivot: Array, columns: dict[int, Array]) -> dict[int, tuple[Array, Array]]:
    """Bring columns up to date with the pivot of a step, and finish the next one if it is among them.

    Args:
        step: the number of the pivot.
        pivot: it, from the diagonal down.
        columns: the others, from the same row down, by their number.

    Returns:
        Of each, the block that is at its end, and those below it.
    """
    done = {}
    for number, column in columns.items():
        top = behind_lower(pivot[0], column[0])
        rest = column[1:] - pivot[1:] @ top
        done[number] = top, finish(rest) if number == step + 1 else rest
    return done


def sequential(given: dict[str, Any]) -> list[Array]:
    return in_order(in_columns(given["a"]), bring)


def pooled(pool: Executor, given: dict[str, Any]) -> list[Array]:
    return in_pool(pool, in_columns(given["a"]), bring)


class Columns(Owner):
    bring = staticmethod(bring)


class Lu(Elimination):
    cut = staticmethod(in_columns)
    owner = Columns


WORKLOAD = Workload("lu", "rows", 2_048, 32, in_parts, OWNERS * (PARTS - 1), problem, sequential, pooled, Lu)
