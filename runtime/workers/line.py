"""Lines: how batches and answers go between the driver and a worker process, over a pair of sockets.

A message is its size, u64, and itself. The worker's first one, which is empty, says that it has begun; each one after that
answers a batch, in the order in which the batches were sent. The driver's side never waits for long: what the socket does
not take stands in the loop's memory until it does. So the worker's side may wait in both directions, and there is no size
at which the two wait for each other. Who is gone has closed its socket: that is how either side learns of it.

A socket takes some 200 kB, and the loop comes to the rest only when the root waits, which may be late: it makes the next
child's heap first. So to a worker that has nothing to do, and reads, a batch is pushed at once.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from runtime.workers.frames import LONG_BYTES, pieces_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from runtime.workers.frames import Form, Piece

    #: Is called with the answer to a batch, or with why there is none.
    Landed: TypeAlias = Callable[[Piece | Exception], None]

_SIZE: Final = struct.Struct(">Q")
#: How long a batch may be pushed, and how long its worker may read nothing meanwhile, before it is left to the loop.
_PUSH_S: Final = 0.01
_PATIENCE_S: Final = 0.002


class LineLost(OSError):
    """The worker at the other end is gone."""


class Line(asyncio.BufferedProtocol):
    """The driver's end.

    Args:
        line: the socket; it is closed with this.
        begun: called when the worker has begun.
    """

    def __init__(self, line: socket.socket, begun: Callable[[], None]) -> None:
        self._socket = line
        #: The same socket: to write to it at once, and to read what is left there when the loop has given it up.
        self._beside = line.dup()
        self._beside.settimeout(_PATIENCE_S)
        self._begun = begun
        self._reads = False
        #: What has come of messages that are short, or have only just begun.
        self._short = memoryview(bytearray(LONG_BYTES))
        self._short_end = 0
        #: The long message that is coming, and how much of it has; it comes where it is to stay.
        self._long: memoryview | None = None
        self._long_end = 0
        #: Who is told of the answers that are still to come, the next one first.
        self._expected: deque[Landed] = deque()
        self._transport: asyncio.WriteTransport | None = None
        self._closed = False
        self._lost: LineLost | None = None
        #: What is to be sent when the loop has taken the socket over.
        self._unsent: list[Piece] = []
        loop = asyncio.get_running_loop()
        self._opening = loop.create_task(loop.create_connection(lambda: self, sock=line), name="lockstep-line")

    def send(self, batch: Form, landed: Landed) -> None:
        """Send a batch.

        Raises:
            LineLost: the worker is gone, and was at work on nothing.
        """
        if self._lost is not None:
            raise self._lost
        self._expected.append(landed)
        message = announced(batch)
        if self._transport is None:
            self._unsent += message
            return
        if self._reads and len(self._expected) == 1 and not self._transport.get_write_buffer_size():
            message = self._push(message)
        for piece in message:
            self._transport.write(piece)

    def _push(self, message: Sequence[Piece]) -> Sequence[Piece]:
        """Write a message to a worker that reads; return what is left of it, if the worker does not go on reading."""
        left: list[Piece] = [memoryview(piece) for piece in message]
        end = time.monotonic() + _PUSH_S
        with suppress(OSError):  # It took too long, or the loop will come upon it, too, and tell.
            while left and time.monotonic() < end:
                left[0] = left[0][self._beside.send(left[0]) :]
                if not left[0]:
                    del left[0]
        return left

    def close(self) -> None:
        """Let go of it; nobody is told of anything any more."""
        self._expected.clear()
        self._closed = True
        self._beside.close()
        if self._transport is None:
            self._opening.cancel()
            self._socket.close()
        else:
            self._transport.abort()

    # --- called by the loop ---

    def connection_made(self, transport: Any) -> None:
        """Send what was to be sent."""
        self._transport = transport
        for piece in self._unsent:
            transport.write(piece)
        self._unsent.clear()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where what comes next is to be put."""
        return self._short[self._short_end :] if self._long is None else self._long[self._long_end :]

    def buffer_updated(self, nbytes: int) -> None:
        """Tell of the answers that are whole."""
        if self._long is not None:
            self._long_end += nbytes
            if self._long_end == len(self._long):
                message, self._long = self._long, None
                self._tell(message)
            return
        end = self._short_end + nbytes
        at = 0
        while not self._closed and end - at >= _SIZE.size:
            begin = at + _SIZE.size
            (size,) = _SIZE.unpack_from(self._short, at)
            if begin + size <= end:
                at = begin + size
                self._tell(bytes(self._short[begin:at]))
                continue
            if _SIZE.size + size > len(self._short):
                self._long, self._long_end = memoryview(bytearray(size)), end - begin
                self._long[: end - begin] = self._short[begin:end]
                at = end
            break
        self._short_end = end - at
        self._short[: end - at] = bytes(self._short[at:end])

    def _tell(self, message: Piece) -> None:
        if self._closed:
            return
        if message:
            self._expected.popleft()(message)
        else:
            self._reads = True
            self._begun()

    def connection_lost(self, error: Exception | None) -> None:
        """Tell all who wait."""
        self._transport = None
        self._take_rest()
        self._lost = lost = LineLost("its line was closed" if error is None else f"its line broke: {error}")
        expected, self._expected = self._expected, deque()
        for landed in expected:
            landed(lost)

    def _take_rest(self) -> None:
        """Tell of what was answered before it broke: a worker may answer one batch and die before it is sent the next."""
        with self._beside, suppress(OSError):
            self._beside.setblocking(False)
            while not self._closed and (count := self._beside.recv_into(self.get_buffer(-1))):
                self.buffer_updated(count)


def announced(batch: Form) -> Sequence[Piece]:
    """Return the pieces of a message: its size before them."""
    first, *rest = pieces_of(batch)
    return [_SIZE.pack(len(first) + sum(map(len, rest))) + first, *rest]


def serve(line: socket.socket, work: Callable[[bytes], Form]) -> None:
    """Answer batches for as long as there is a driver: the worker's end."""
    with line, line.makefile("rb") as batches:
        there = _say(line, [_SIZE.pack(0)])
        while there and (batch := _next(batches)) is not None:
            there = _say(line, announced(work(batch)))


def _say(line: socket.socket, message: Sequence[Piece]) -> bool:
    """Send a message; return whether the driver is there. One that was killed is gone by an error if it had not read all."""
    try:
        for piece in message:
            line.sendall(piece)
    except ConnectionError:
        return False
    return True


def _next(batches: BinaryIO) -> bytes | None:
    """Return the next batch; None: the driver is gone."""
    try:
        head = batches.read(_SIZE.size)
        if len(head) < _SIZE.size:
            return None
        (size,) = _SIZE.unpack(head)
        batch = batches.read(size)
    except ConnectionError:
        return None
    return batch if len(batch) == size else None
