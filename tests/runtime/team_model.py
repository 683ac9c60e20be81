"""Teams once more, small and sequential, on plain dicts: what `workspace_programs.Teams` is held against.

A member is run to its barrier or its end at once, on a copy of its leader's dict. What it changed is then put into the
leader's, in the order of the members. Of `actors` the encoding of values alone is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actors.freezing import freeze
from actors.values import ABSENT, encode

if TYPE_CHECKING:
    from collections.abc import Iterator

Heap = dict[Any, Any]


class Failed(Exception):
    """A member failed; it has the path."""


class Conflict(Exception):
    """It has (key, (path of the writer here, path of the writer there)) for every key."""


def same(one: Any, other: Any) -> bool:
    if one is ABSENT or other is ABSENT:
        return one is other
    return encode(freeze(one)) == encode(freeze(other))


def settle(key: Any, base: Any, ours: Any, theirs: Any) -> Any:
    """Return what reductions make of three values; ABSENT where they have none."""
    if key == "sum":
        start = 0 if base is ABSENT else base
        return ours + theirs - start
    if key == "set":
        return ours | theirs
    if key == "list":
        return ours + theirs[0 if base is ABSENT else len(base) :]
    if isinstance(key, tuple) and key[0] == "low":
        return min(ours, theirs)
    return ABSENT


def path_of(path: tuple[str, ...]) -> str:
    return "/" + "/".join(path)


class Runner:
    """The member at a path, or the root.

    Args:
        path: its path.
        heap: its heap; changed in place.
    """

    def __init__(self, path: tuple[str, ...], heap: Heap) -> None:
        self.path = path
        self.heap = heap
        self.teams = 0

    def run(self, code: Any) -> Iterator[None]:
        """Yield at every barrier."""
        heap = self.heap
        for operation, *operands in code:
            if operation == "set":
                heap[operands[0]] = operands[1]
            elif operation == "copy":
                heap[operands[0]] = heap.get(operands[1], "none")
            elif operation == "delete":
                heap.pop(operands[0], None)
            elif operation == "add":
                heap["sum"] = heap.get("sum", 0) + operands[0]
            elif operation == "low":
                heap["low", operands[0]] = min(heap.get(("low", operands[0]), 100), operands[1])
            elif operation == "include":
                heap["set"] = heap.get("set", frozenset()) | {operands[0]}
            elif operation == "append":
                heap["list"] = (*heap.get("list", ()), operands[0])
            elif operation == "fail":
                raise Failed(path_of(self.path))
            elif operation == "barrier":
                yield
            else:
                self.lead(*operands)

    def lead(self, members: Any, own: Any) -> None:
        try:
            self.team(members, own)
        except Conflict as conflict:
            self.log("conflict", conflict.args[0])
        except Failed as failure:
            self.log("failed", failure.args[0])

    def log(self, *entry: Any) -> None:
        key = ("log", *self.path) if self.path else "log"
        self.heap[key] = (*self.heap.get(key, ()), entry)

    def team(self, members: Any, own: Any) -> None:
        self.teams += 1
        going = []
        for i, code in enumerate(members):
            runner = Runner((*self.path, f"team {self.teams}.{i}"), {**self.heap, "code": code})
            going.append((runner, runner.run(code), dict(runner.heap), code))
        for _ in self.run(own):
            raise AssertionError("no barriers here")
        while going:
            before = dict(self.heap)
            writers: dict[Any, str] = {}
            waiting = []
            try:
                results = [self.step(running) for _, running, _, _ in going]
                for (runner, running, base, code), result in zip(going, results, strict=True):
                    if isinstance(result, Failed):
                        raise Failed(path_of(runner.path))
                    self.merge(base, runner, writers)
                    if result:
                        waiting.append((runner, running, code))
            except Exception:
                self.heap.clear()
                self.heap.update(before)
                raise
            going = []
            for runner, running, code in waiting:
                runner.heap.clear()
                runner.heap.update(self.heap, code=code)
                going.append((runner, running, dict(runner.heap), code))

    def step(self, running: Iterator[None]) -> bool | Failed:
        """Return whether it stands at a barrier; or how it failed."""
        try:
            next(running)
        except StopIteration:
            return False
        except Failed as failure:
            return failure
        return True

    def merge(self, base: Heap, runner: Runner, writers: dict[Any, str]) -> None:
        place = path_of(runner.path)
        decided, conflicts = {}, []
        for key in {*base, *runner.heap}:
            was, theirs, ours = (heap.get(key, ABSENT) for heap in (base, runner.heap, self.heap))
            if same(was, theirs):
                continue
            decided[key] = theirs if same(was, ours) else settle(key, was, ours, theirs)
            if not same(was, ours) and decided[key] is ABSENT:
                conflicts.append((key, (writers.get(key, path_of(self.path)), place)))
        if conflicts:
            raise Conflict(tuple(sorted(conflicts, key=repr)))
        for key, value in decided.items():
            writers[key] = place
            if value is ABSENT:
                del self.heap[key]
            else:
                self.heap[key] = value
