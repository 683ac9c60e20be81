"""The trace: what ran, where and when, as a file that Perfetto and chrome://tracing open.

The format is the Trace Event Format, an array of events. A span (`"ph": "X"`) has its begin and its length in
microseconds; an instant (`"i"`) marks a point; names of tracks are events too (`"M"`). A track is a thread (`tid`) of a
group, which is a process (`pid`) to those who show it; neither is one of the host's:

    lockstep   loop       blocks; in them: steps, waits for workers, what is sent, landed, taken in, the state's tree;
                          instants: activations whose outcome was known already, host faults
               commits    what the thread that commits does
               waits      a process that waits for a child on a worker; those at one time lie on tracks side by side
    workers    worker i   batches; in them: activations, as the worker's own clock saw them; batches that were lost;
                          instants: deaths and replacements

Spans of one track lie in one another or apart. What is on the loop and was not sent to a worker has no spans of its own,
for a clock is not read between two effects: it is in the steps.

Events are written as they come, whole ones at a time, and nothing is kept. A trace that was cut off opens as well: the
format does not ask for the closing bracket. Where it cannot be written any further, it ends there, and the run goes on.
"""

from __future__ import annotations

import json
import logging
import os
import time
from contextlib import contextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TextIO

from actors.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from runtime.chain import Block

_log = logging.getLogger("lockstep.trace")

LOCKSTEP: Final = 1
WORKERS: Final = 2
_GROUPS: Final = {LOCKSTEP: "lockstep", WORKERS: "workers"}

#: What is written goes to the file in whole events, about so much at once; the buffer must not overflow before.
_FLUSH_BYTES: Final = 1 << 16
_BUFFER_BYTES: Final = 1 << 20
#: How every trace begins: a file that does not is somebody's, and is not written over.
_BEGIN: Final = '[\n{"name":"process_name","ph":"M","pid":1,'
_ROOT_DIGITS: Final = 10


class Track(NamedTuple):
    """Where spans and instants are shown."""

    pid: int
    tid: int


class Trace:
    """A trace that is being written.

    Args:
        path: the file; one that is there is written over if it is a trace.

    Raises:
        InputError: it cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        self._file: TextIO | None = _opened(path)
        self._origin = self._last = time.monotonic_ns()
        self._tids = count(1)
        self._separator = "[\n"
        self._unflushed = 0
        for pid, name in _GROUPS.items():
            self._describe("process", pid, 0, name, pid)
        self.loop = self.track(LOCKSTEP, "loop")
        self.commits = self.track(LOCKSTEP, "commits")

    def now(self) -> int:
        """Return the time, in nanoseconds of the host's monotonic clock; no two are the same."""
        # Of two spans that begin at once, a viewer could not tell which one lies in the other.
        self._last = max(time.monotonic_ns(), self._last + 1)
        return self._last

    def track(self, group: int, name: str) -> Track:
        """Return a new track."""
        track = Track(group, next(self._tids))
        self._describe("thread", *track, name, track.tid)
        return track

    def span(self, track: Track, name: str, begin: int, end: int, /, **args: Any) -> None:
        """Tell of something that lasted."""
        self._write(
            {
                "name": name,
                "ph": "X",
                "pid": track.pid,
                "tid": track.tid,
                "ts": self._microseconds(begin),
                "dur": (end - begin) / 1_000,
                "args": args,
            }
        )

    def instant(self, track: Track, name: str, /, **args: Any) -> None:
        """Tell of something that happens now."""
        at = self._microseconds(self.now())
        self._write({"name": name, "ph": "i", "s": "t", "pid": track.pid, "tid": track.tid, "ts": at, "args": args})

    @contextmanager
    def during(self, name: str, /, **args: Any) -> Iterator[None]:
        """Tell how long something took on the loop, however it ends."""
        begin = self.now()
        try:
            yield
        finally:
            self.span(self.loop, name, begin, self.now(), **args)

    async def block(self, number: int, making: Awaitable[Block]) -> Block:
        """Wait for a block that is being made, and tell of it."""
        begin = self.now()
        try:
            block = await making
        except BaseException as error:
            self.span(self.loop, f"block {number}, not made", begin, self.now(), error=type(error).__name__)
            raise
        root = block.state_root.hex()[:_ROOT_DIGITS]
        told = {"number": number, "state_root": root, "gas_used": block.gas_used, "faults": len(block.faults)}
        self.span(self.loop, f"block {number}", begin, self.now(), **told)
        # Whoever is killed leaves a trace of all blocks that were made.
        self._flush()
        return block

    def close(self) -> None:
        """End the trace. It may be called twice."""
        self._do(lambda file: file.write("\n]\n"))
        self._do(lambda file: file.close())
        self._file = None

    def _microseconds(self, at: int) -> float:
        return (at - self._origin) / 1_000

    def _describe(self, what: str, pid: int, tid: int, name: str, order: int) -> None:
        self._write({"name": f"{what}_name", "ph": "M", "pid": pid, "tid": tid, "args": {"name": name}})
        self._write({"name": f"{what}_sort_index", "ph": "M", "pid": pid, "tid": tid, "args": {"sort_index": order}})

    def _write(self, event: dict[str, Any]) -> None:
        text = self._separator + json.dumps(event, separators=(",", ":"), allow_nan=False)
        self._do(lambda file: file.write(text))
        self._separator = ",\n"
        self._unflushed += len(text)
        if self._unflushed >= _FLUSH_BYTES:
            self._flush()

    def _flush(self) -> None:
        self._do(lambda file: file.flush())
        self._unflushed = 0

    def _do(self, what: Callable[[TextIO], object]) -> None:
        if self._file is None:
            return
        try:
            what(self._file)
        except OSError as error:
            _log.warning("the trace ends here, it cannot be written any further: %s: %s", self._path, error.strerror)
            file, self._file = self._file, None
            with suppress(OSError):
                file.close()


def _opened(path: str | os.PathLike[str]) -> TextIO:
    place = os.fspath(path)
    try:
        if os.path.isfile(place) and os.path.getsize(place):
            with open(place, "rb") as there:
                if there.read(len(_BEGIN)) != _BEGIN.encode():
                    raise InputError(f"the trace {place}: this file is there already, and is no trace; choose another")
        return open(place, "w", encoding="ascii", buffering=_BUFFER_BYTES)
    except OSError as error:
        raise InputError(f"the trace {place} cannot be written: {error.strerror}") from error
