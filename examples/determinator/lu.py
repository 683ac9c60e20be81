"""lu: a matrix as the product of a lower and an upper triangular one, without pivoting, in blocks that are values.

A matrix of PARTS x PARTS blocks is done in as many steps. In each, one column of blocks is at its end: the pivot, by which
all columns behind it are then brought up to date, side by side; and whoever has the next one finishes it. Each process owns
some columns, and keeps them in its heap, so that nothing but the pivot goes to it. The columns go round among the owners,
one to each, so that all have something to do to the end.

(SPLASH-2 has both: Woo and others, "The SPLASH-2 Programs", 1995.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from actors import Process, Region
from examples.determinator.workload import PARTS, Solver, Workload, in_parts

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from numpy.typing import NDArray

    Array = NDArray[Any]

#: How many own the matrix together.
OWNERS = 4


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


def owned(owner: int, step: int) -> list[int]:
    """Return what an owner has behind the pivot of a step."""
    return [number for number in range(step + 1, PARTS) if number % OWNERS == owner]


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
    rests = in_columns(given["a"])
    columns: list[list[Array]] = [[] for _ in range(PARTS)]
    for step in range(PARTS - 1):
        for number, (top, rest) in bring(step, rests[step], dict(enumerate(rests[step + 1 :], step + 1))).items():
            columns[number].append(top)
            rests[number] = rest
    return [block for column, rest in zip(columns, rests, strict=True) for block in (*column, rest)]


def pooled(pool: Executor, given: dict[str, Any]) -> list[Array]:
    rests = in_columns(given["a"])
    columns: list[list[Array]] = [[] for _ in range(PARTS)]
    for step in range(PARTS - 1):
        behind = [{number: rests[number] for number in owned(owner, step)} for owner in range(OWNERS)]
        for part in [pool.submit(bring, step, rests[step], some) for some in behind if some]:
            for number, (top, rest) in part.result().items():
                columns[number].append(top)
                rests[number] = rest
    return [block for column, rest in zip(columns, rests, strict=True) for block in (*column, rest)]


class Columns(Process):
    placement = "worker"

    async def run(self) -> None:
        heap, step = self.heap, self.heap["step"]
        columns = {number: heap["rest", number] for number in owned(heap["owner"], step)}
        for number, (top, rest) in bring(step, heap["pivot"], columns).items():
            heap["done", number, step] = top
            heap["rest", number] = rest


class Lu(Solver):
    async def solve(self) -> None:
        columns = in_columns(self.whole("a"))
        self.heap["result", 0] = pivot = columns[0]
        for owner in range(OWNERS):
            rests = {("rest", number): columns[number] for number in owned(owner, 0)}
            await self.put(owner, {"owner": owner, **rests}, program=Columns)
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


WORKLOAD = Workload("lu", "rows", 2_048, 32, in_parts, OWNERS * (PARTS - 1), problem, sequential, pooled, Lu)
