"""Run a function on a thread whose stack fits the deepest calls that the rules allow.

A contract may call another 1,024 deep, and the package's interpreter recurses at every level. Neither the
ordinary recursion limit nor, depending on the Python, the main thread's stack holds that.
"""

import contextvars
import sys
import threading
from collections.abc import Callable
from typing import Final, TypeVar

__all__ = ["on_deep_stack"]

T = TypeVar("T")

#: Python frames that one level of calls takes, with room to spare (4 or 5 are seen).
FRAMES_PER_CALL_MAX: Final = 20
CALL_DEPTH_MAX: Final = 1024
RECURSION_MIN: Final = CALL_DEPTH_MAX * FRAMES_PER_CALL_MAX
#: Address space, touched only as far as it is used.
STACK_BYTES: Final = 256 << 20

#: A new thread's stack size is a setting of the process.
_starting = threading.Lock()
#: How many threads of this kind there are, and the recursion limit from before the first of them.
_running = 0
_limit_before = 0


def on_deep_stack(work: Callable[[], T]) -> T:
    """Call `work` on a thread with a large stack, in the caller's context, and return or raise what it does.

    The process's recursion limit is raised while any such thread runs, and set back behind the last: it belongs
    to all threads, and those with ordinary stacks rely on it.
    """
    global _running, _limit_before
    done: list[T] = []
    failed: list[BaseException] = []
    context = contextvars.copy_context()

    def body() -> None:
        try:
            done.append(context.run(work))
        except BaseException as error:
            failed.append(error)

    with _starting:
        if _running == 0:
            _limit_before = sys.getrecursionlimit()
            sys.setrecursionlimit(max(_limit_before, RECURSION_MIN))
        _running += 1
        before = threading.stack_size(STACK_BYTES)
        try:
            thread = threading.Thread(target=body, name="evm")
            thread.start()
        finally:
            threading.stack_size(before)
    thread.join()
    with _starting:
        _running -= 1
        if _running == 0:
            sys.setrecursionlimit(_limit_before)
    if failed:
        raise failed[0]
    return done[0]
