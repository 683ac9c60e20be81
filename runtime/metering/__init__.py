"""Metering: Python programs that can be stopped at the same point on every machine.

    metered(program)          the variant of a program whose code has ticks in it
    enter(meter), leave()     around every step of its coroutine
    replaying(meter)          to run it again, at no cost; closing(), to bring it to an end on an empty meter

What is metered is the program, all that it calls, and all that these call, but for what is trusted by name. Ticks are
put into the source's syntax tree (`instrument`), by a table of costs (`costs`); calls of builtins that could take long are
charged by size (`guards`). A program's functions are copied into a *world* of their own (`world`), in which modules and
builtins are those that compute and do nothing else (`modules`, `names`).

This bounds what Python code does, not what one call of C code does: that is the business of a worker's memory limit and its
watchdog. It is a guard, and no sandbox for hostile code.
"""

from __future__ import annotations

from runtime.metering import names as _names
from runtime.metering.costs import COSTS_VERSION
from runtime.metering.sources import adopt_sources
from runtime.metering.step import building, closing, enter, leave, replaying, several_threads, use_up
from runtime.metering.variants import metered, original, sources_of

assert _names

__all__ = [
    "COSTS_VERSION",
    "adopt_sources",
    "building",
    "closing",
    "enter",
    "leave",
    "metered",
    "original",
    "replaying",
    "several_threads",
    "sources_of",
    "use_up",
]
