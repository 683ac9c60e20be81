"""Block elimination, whichever way the matrix is cut: what `lu` and `lu_scattered` have in common.

A matrix is cut into PARTS pieces. In each step one of them is at its end: the pivot, by which all pieces behind it are then
brought up to date, side by side; and whoever has the next one finishes it. Each process owns some pieces, and keeps them in
its heap, so that nothing but the pivot goes to it. They go round among the owners, one to each, so that all have something
to do to the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from actors import Process, Region
from examples.determinator.workload import PARTS, Solver

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from numpy.typing import NDArray

    Array = NDArray[Any]

    class Cut(Protocol):
        """Cut a matrix into its pieces; the first is finished."""

        def __call__(self, matrix: Array, /) -> list[Array]: ...

    class Bring(Protocol):
        """Bring pieces, by number, up to date with the pivot of a step; of each, what is at its end, and the rest."""

        def __call__(self, step: int, pivot: Array, pieces: dict[int, Array], /) -> dict[int, tuple[Array, Array]]: ...


#: How many own the matrix together.
OWNERS = 4


def owned(owner: int, step: int) -> list[int]:
    """Return what an owner has behind the pivot of a step."""
    return [number for number in range(step + 1, PARTS) if number % OWNERS == owner]


def in_order(rests: list[Array], bring: Bring) -> list[Array]:
    """Do all steps in a plain loop; return the parts of the pieces that are at their end, piece by piece."""
    done: list[list[Array]] = [[] for _ in range(PARTS)]
    for step in range(PARTS - 1):
        for number, (end, rest) in bring(step, rests[step], dict(enumerate(rests[step + 1 :], step + 1))).items():
            done[number].append(end)
            rests[number] = rest
    return [part for ends, rest in zip(done, rests, strict=True) for part in (*ends, rest)]


def in_pool(pool: Executor, rests: list[Array], bring: Bring) -> list[Array]:
    """Do the same, each step on a pool."""
    done: list[list[Array]] = [[] for _ in range(PARTS)]
    for step in range(PARTS - 1):
        behind = [{number: rests[number] for number in owned(owner, step)} for owner in range(OWNERS)]
        for part in [pool.submit(bring, step, rests[step], some) for some in behind if some]:
            for number, (end, rest) in part.result().items():
                done[number].append(end)
                rests[number] = rest
    return [part for ends, rest in zip(done, rests, strict=True) for part in (*ends, rest)]


class Owner(Process):
    placement = "worker"
    bring: ClassVar[Bring]

    async def run(self) -> None:
        heap, step = self.heap, self.heap["step"]
        pieces = {number: heap["rest", number] for number in owned(heap["owner"], step)}
        for number, (end, rest) in self.bring(step, heap["pivot"], pieces).items():
            heap["done", number, step] = end
            heap["rest", number] = rest


class Elimination(Solver):
    cut: ClassVar[Cut]
    owner: ClassVar[type[Owner]]

    async def solve(self) -> None:
        pieces = self.cut(self.whole("a"))
        self.heap["result", 0] = pivot = pieces[0]
        for owner in range(OWNERS):
            rests = {("rest", number): pieces[number] for number in owned(owner, 0)}
            await self.put(owner, {"owner": owner, **rests}, program=self.owner)
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
