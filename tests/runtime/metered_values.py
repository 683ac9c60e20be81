"""Value classes and functions of a module beside a program's: see `test_metering_worlds.py`."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from actors import codec

RATES = {"low": 1, "high": 3}


@codec(name="metering.Money")
@dataclasses.dataclass(frozen=True)
class Money:
    amount: int

    def __add__(self, other: Money) -> Money:
        return Money(self.amount + other.amount)

    def split(self, parts: int) -> list[Money]:
        return [Money(each(self.amount, parts)) for _ in range(parts)]


@codec(name="metering.Slow")
@dataclasses.dataclass(frozen=True)
class Slow:
    """Whose objects take long to make."""

    n: int
    TURNS: ClassVar[int] = 10_000

    def __post_init__(self) -> None:
        for _ in range(self.TURNS):
            pass


def each(amount: int, parts: int) -> int:
    while amount % parts:
        amount -= 1
    return amount // parts


def rate(name: str) -> int:
    return RATES[name]


def forever() -> Any:
    while True:
        pass


class Spinning:
    deep: ClassVar[dict[str, Any]] = {"a": [forever]}

    def spin(self) -> Any:
        return forever()


#: A table of functions, and an object with a function in it.
BY_NAME = {"rate": rate, "each": each, "forever": forever}


class Holder:
    def __init__(self, call: Any) -> None:
        self.call = call


HOLDER = Holder(forever)
