"""Settings: what a `Runtime` is given beside its program and its store, checked before anything is opened."""

from __future__ import annotations

import math
import os
import sys

from actors.errors import InputError
from runtime.workers import WORKER_MEMORY_MIN


def workers_of(workers: object) -> int:
    """Return how many workers there are to be: as many as there are processors, where None is given.

    Raises:
        InputError: it is no such number.
    """
    if workers is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if type(workers) is not int or workers < 0:
        raise InputError(f"workers is {workers!r}; it is how many there are, 0 to run everything on the loop")
    return workers


def watchdog_of(seconds: float | None) -> float | None:
    """Return how many seconds an activation may take, None for any number.

    Raises:
        InputError: it is no such number.
    """
    if seconds is not None and not (type(seconds) in (int, float) and 0 < seconds < math.inf):
        raise InputError(f"the watchdog is {seconds!r}; it is a number of seconds, more than 0")
    return seconds


def worker_memory_of(size: object, executor: object) -> int | None:
    """Return how many bytes a worker may have, None for any number.

    Raises:
        InputError: it is no such number; the workers are an executor's; or the platform cannot limit them.
    """
    if size is None:
        return None
    if type(size) is not int or size < WORKER_MEMORY_MIN:
        raise InputError(f"worker_memory is {size!r}; it is a number of bytes, at least {WORKER_MEMORY_MIN}")
    if executor is not None:
        raise InputError(
            "worker_memory: the workers of an executor are not ours to limit; limit them where they are started"
        )
    if sys.platform == "win32":
        raise InputError("worker_memory: this platform has no limit of a process's memory")
    return size
