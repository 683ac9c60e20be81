"""Shim."""

from typing import Any


def metered(p: Any) -> Any:
    return p


def original(p: Any) -> Any:
    return p


def enter(m: Any) -> None: ...
def leave() -> None: ...


COSTS_VERSION = 1
