"""Settings: what a `Runtime` is given beside its program and its store, checked before anything is opened."""

from __future__ import annotations

import math
import os
import sys
from typing import Final

from actors.errors import InputError
from runtime.workers import WORKER_MEMORY_MIN

#: By which methods a store is told from what is none.
_METHODS: Final = ("head", "block", "read_node", "commit", "close")


def check_store(store: object) -> None:
    """Check that a store is a path, an open store, or None for one in memory. Raises InputError."""
    if store is None or (isinstance(store, (str, os.PathLike)) and store):
        return
    if not all(callable(getattr(store, name, None)) for name in _METHODS):
        raise InputError(f"store is {store!r}; it is a path, an open Store, or None to keep everything in memory")


def workers_of(workers: object, executor: object) -> int:
    """Return how many workers there are to be: as many as there are processors, where None is given.

    Raises:
        InputError: it is no such number; or `executor` is none, or has nothing to do.
    """
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise InputError(f"executor is {executor!r}; it is an executor as those of concurrent.futures, with `submit`")
    if workers is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if type(workers) is not int or workers < 0:
        raise InputError(f"workers is {workers!r}; it is how many there are, 0 to run everything on the loop")
    if executor is not None and not workers:
        raise InputError("an executor and workers=0: with 0 everything runs on the loop; leave one of them out")
    return workers


def watchdog_of(seconds: float | None, workers: int) -> float | None:
    """Return how many seconds an activation may take on one of the workers, None for any number.

    Raises:
        InputError: it is no such number; or there is no worker.
    """
    if seconds is None:
        return None
    if not (type(seconds) in (int, float) and 0 < seconds < math.inf):
        raise InputError(f"the watchdog is {seconds!r}; it is a number of seconds, more than 0")
    if not workers:
        raise InputError("a watchdog and 0 workers: it watches workers alone, and there is none; leave one of them out")
    return seconds


def worker_memory_of(size: object, executor: object, workers: int) -> int | None:
    """Return how many bytes each of the workers may have, None for any number.

    Raises:
        InputError: it is no such number; the workers are an executor's; there are none; or the platform cannot limit them.
    """
    if size is None:
        return None
    if type(size) is not int or size < WORKER_MEMORY_MIN:
        raise InputError(f"worker_memory is {size!r}; it is a number of bytes, at least {WORKER_MEMORY_MIN}")
    if executor is not None:
        raise InputError(
            "worker_memory: the workers of an executor are not ours to limit; limit them where they are started"
        )
    if not workers:
        raise InputError(
            "worker_memory and 0 workers: it limits workers alone, and there is none; leave one of them out"
        )
    if sys.platform == "win32":
        raise InputError("worker_memory: this platform has no limit of a process's memory")
    return size
