"""A worker in a thread of this process: the same protocol as with a process, in a hundredth of the time to start it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from runtime.workers.slot import ProcessSlot, SharedSlot

if TYPE_CHECKING:
    from collections.abc import Iterator


class ThreadSlot(ProcessSlot):
    """Remembers what a process would, for a thread's workshop is its own."""

    _shared: SharedSlot | None = None
    _thread: ThreadPoolExecutor | None = None

    def submit(self, batch: bytes, landed: Any) -> None:
        if self._shared is None:
            self._thread = ThreadPoolExecutor(1)
            self._shared = SharedSlot(self._thread)
            self.ready = True
        self._shared.submit(batch, landed)

    def replace(self) -> None:
        thread, self._thread, self._shared = self._thread, None, None
        super().replace()
        if thread is not None:
            thread.shutdown(wait=True, cancel_futures=True)


@contextmanager
def thread_slots() -> Iterator[None]:
    with patch("runtime.workers.crew.ProcessSlot", ThreadSlot):
        yield


@contextmanager
def random_placement(seed: int, share: float = 0.6) -> Iterator[None]:
    """Place activations at random, whatever their programs say."""
    draw = Random(seed)
    with patch("runtime.workers.placement.Costs.on_worker", lambda *_: draw.random() < share):
        yield
