"""The programs by which metering is measured: one for each kind of work. Each keeps what it worked out in its heap.

They are run by `test_metering_gas.py` on every interpreter, and by `tests/benchmarks/metering.py` against the clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actors import Process
from actors.memory import Memory

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def fib(n: int) -> int:
    return n if n < 2 else fib(n - 1) + fib(n - 2)


class Fib(Process):
    async def run(self) -> None:
        self.heap["result"] = fib(self.heap["n"])


class Body:
    def __init__(self, place: tuple[float, float, float], speed: tuple[float, float, float], mass: float) -> None:
        self.x, self.y, self.z = place
        self.vx, self.vy, self.vz = speed
        self.mass = mass


def advance(bodies: list[Body], dt: float) -> None:
    for i, one in enumerate(bodies):
        for other in bodies[i + 1 :]:
            dx = one.x - other.x
            dy = one.y - other.y
            dz = one.z - other.z
            square = dx * dx + dy * dy + dz * dz
            pull = dt / (square * square**0.5)
            one.vx -= dx * other.mass * pull
            one.vy -= dy * other.mass * pull
            one.vz -= dz * other.mass * pull
            other.vx += dx * one.mass * pull
            other.vy += dy * one.mass * pull
            other.vz += dz * one.mass * pull
    for one in bodies:
        one.x += dt * one.vx
        one.y += dt * one.vy
        one.z += dt * one.vz


class NBody(Process):
    async def run(self) -> None:
        bodies = [
            Body((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), 39.47),
            Body((4.84, -1.16, -0.10), (0.60, 2.81, -0.02), 0.037),
            Body((8.34, 4.12, -0.4), (-1.01, 1.82, 0.008), 0.011),
            Body((12.89, -15.11, -0.22), (1.08, 0.86, -0.01), 0.0017),
            Body((15.37, -25.9, 0.179), (0.979, 0.594, -0.034), 0.002),
        ]
        for _ in range(self.heap["n"]):
            advance(bodies, 0.01)
        self.heap["result"] = (bodies[0].x, bodies[1].y)


class Text(Process):
    async def run(self) -> None:
        words: list[str] = []
        for i in range(self.heap["n"]):
            word = "w" + str(i % 997)
            if word.startswith("w9"):
                word = word.upper()
            words.append(word.replace("1", "one"))
        text = " ".join(words)
        total = 0
        for part in text.split(" "):
            total += len(part.strip("w")) + part.count("o")
        self.heap["result"] = (total, f"{total:>12}")


class Table(Process):
    async def run(self) -> None:
        counts: dict[int, int] = {}
        for i in range(self.heap["n"]):
            key = i * 7919 % 1009
            if key in counts:
                counts[key] += 1
            else:
                counts[key] = 1
        best = 0
        for key, count in counts.items():
            best = max(best, count * 1000 + key % 10)
        self.heap["result"] = best


class Vector:
    def __init__(self, x: int, y: int) -> None:
        self.x = x
        self.y = y

    def plus(self, other: Vector) -> Vector:
        return Vector(self.x + other.x, self.y + other.y)

    @property
    def size(self) -> int:
        return abs(self.x) + abs(self.y)


class Objects(Process):
    async def run(self) -> None:
        at, step = Vector(0, 0), Vector(3, -4)
        longest = 0
        for _ in range(self.heap["n"]):
            at = at.plus(step)
            if at.size > longest:
                longest = at.size
        self.heap["result"] = longest


class Comprehensions(Process):
    async def run(self) -> None:
        total = 0
        for i in range(self.heap["n"]):
            row = [j * i for j in range(60) if j % 3]
            total += sum(row) + len({j: j + 1 for j in row}) + sum(j for j in row if j > 50)
        self.heap["result"] = total


class Tight(Process):
    async def run(self) -> None:
        total = 0
        i = 0
        limit = self.heap["n"]
        while i < limit:
            total += i & 3
            i += 1
        for j in range(limit):
            total += j % 5
        self.heap["result"] = total


#: By name: the program, and an `n` with which it takes some hundredths of a second.
PROGRAMS: dict[str, tuple[type[Process], int]] = {
    "fib": (Fib, 20),
    "nbody": (NBody, 400),
    "string": (Text, 20_000),
    "dict": (Table, 40_000),
    "object": (Objects, 20_000),
    "comprehension": (Comprehensions, 500),
    "tight": (Tight, 60_000),
}


def program_of(function: Callable[[], Awaitable[Any]]) -> type[Process]:
    """Return a program that keeps what a function gives, as text."""

    class Snippet(Process):
        async def run(self) -> None:
            self.heap["result"] = repr(await function())

    return Snippet


def prepared(program: type[Process], n: Any) -> Any:
    """Return the coroutine of a program whose heap has `n`, and the heap."""
    instance = program()
    instance.machine_bind(Memory(), ())
    instance.heap["n"] = n
    return instance.run(), instance.heap
