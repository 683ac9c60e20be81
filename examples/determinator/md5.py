"""md5: which number below `size` has this MD5? Each part searches a span of them."""

from __future__ import annotations

from hashlib import md5
from typing import TYPE_CHECKING, Any

from actors import Process
from examples.determinator.workload import PARTS, Solver, Workload, in_parts, spans

if TYPE_CHECKING:
    from concurrent.futures import Executor


def problem(size: int, seed: int) -> dict[str, Any]:
    return {"size": size, "salt": seed, "digest": digest(seed, size - 1)}


def digest(salt: int, number: int) -> str:
    return md5(b"%d %d" % (salt, number)).hexdigest()


def search(span: tuple[int, int], salt: int, wanted: str) -> list[int]:
    return [number for number in range(*span) if digest(salt, number) == wanted]


def sequential(given: dict[str, Any]) -> list[int]:
    return search((0, given["size"]), given["salt"], given["digest"])


def pooled(pool: Executor, given: dict[str, Any]) -> list[int]:
    parts = [pool.submit(search, span, given["salt"], given["digest"]) for span in spans(given["size"])]
    return [number for part in parts for number in part.result()]


class Search(Process):
    placement = "worker"

    async def run(self) -> None:
        self.heap["result"] = search(*self.heap["item"])


class Md5(Solver):
    async def solve(self) -> None:
        salt, wanted = self.given("salt"), self.given("digest")
        parts = self.map(Search, [(span, salt, wanted) for span in spans(self.given("size"))])
        self.heap["result"] = tuple([number async for part in parts for number in part])


WORKLOAD = Workload("md5", "numbers", 1_000_000, 400, in_parts, PARTS, problem, sequential, pooled, Md5)
