"""Making a class a second time, without anybody hearing of it."""

from __future__ import annotations

from abc import ABCMeta
from typing import Any

from actors.process import Process


class _Quiet:
    """Stands in front of a class's bases while it is made, so that none of them hears of it a second time."""

    def __init_subclass__(cls, **more: Any) -> None:
        pass


def new_class(cls: type, bases: tuple[type, ...], inside: dict[str, Any]) -> type:
    """Return a class like another one, with other bases and other things in it."""
    kind: Any = type(cls)
    make = ABCMeta.__new__ if issubclass(kind, ABCMeta) else type.__new__
    hears = getattr(bases[0], "__init_subclass__", None)
    if getattr(hears, "__func__", None) in (None, Process.__init_subclass__.__func__):  # type: ignore[attr-defined]
        made: type = make(kind, cls.__name__, bases, inside)
        return made
    made = make(kind, cls.__name__, (_Quiet, *bases), inside)
    made.__bases__ = bases
    return made
